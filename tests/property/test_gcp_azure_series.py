"""The planner over random GCP and Azure estates whose ends change at once: shields, two bands and MEET as it finds them, replayed by hand.

Every state of the chosen way, the steps of a phase in random order, is looked at along whole paths: what leaves the source and enters the
destination lies between what the old and the new path share and what either lets through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from cloudsync.adapter import Access, Adapter, Method, Phase, TargetSettings
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import ANY_SERVICE, ServiceSet
from cloudsync.model.workload import PointId
from cloudsync.plan.order import choose
from cloudsync.testing.clock import SimulatedClock
from cloudsync_azure import ADAPTER as AZURE
from cloudsync_gcp import ADAPTER as GCP
from tests.property import azure_estates, gcp_estates
from tests.property.test_azure_plans import CHILD, two_states
from tests.property.test_gcp_plans import two_states as gcp_states
from tests.trust.budget import budget
from tests.trust.figures import record

Table = Any
Change = tuple[Table, Table, dict[PointId, AddressSet]]
SAFE = ("swap", "merge", "two-band", "shield", "meet", "none")


def gcp() -> Adapter:
    options = {"project": gcp_estates.PROJECT, "networks": "all", "credentials": "env:NOT_USED"}
    return GCP.open(
        TargetSettings("gcp", "gcp", TargetMode.ADDITIVE, options, Where("cloudsync.yaml")), gcp_estates.OWNER, SimulatedClock()
    )


def azure(write: str) -> Adapter:
    options = {"subscription": azure_estates.SUBSCRIPTION, "write": write}
    return AZURE.open(TargetSettings("az", "azure", TargetMode.ADDITIVE, options, Where("cloudsync.yaml")), "acme", SimulatedClock())


def gcp_change(seed: int) -> Change | None:
    _, _, actual, encoding, _ = gcp_states(seed, TargetMode.ADDITIVE)
    if encoding.problems:
        return None
    desired = replace(encoding.table, nics=actual.nics)
    return actual, desired, {point: nic.primary for point, nic in actual.nics.items()}


def azure_change(write: str) -> Callable[[int], Change | None]:
    def change(seed: int) -> Change | None:
        states = two_states(seed, "above", TargetMode.ADDITIVE, CHILD if write == "child" else azure_estates.PLAIN)
        return None if states is None else (*states[:2], {point: nic.private for point, nic in states[0].nics.items()})

    return change


CASES = {
    "gcp": (gcp, gcp_change),
    "azure whole": (lambda: azure("whole"), azure_change("whole")),
    "azure child": (lambda: azure("child"), azure_change("child")),
}


def paths(access: Mapping[PointId, Access], addresses: Mapping[PointId, AddressSet]) -> dict[tuple[PointId, PointId, Family], ServiceSet]:
    """Return which services pass from one machine to another, by family: out at the one and in at the other."""
    found: dict[tuple[PointId, PointId, Family], ServiceSet] = {}
    for family in Family:
        first = {point: one_of(own, family) for point, own in addresses.items() if own.family(family)}
        for source, mine in first.items():
            for goal, theirs in first.items():
                if source != goal:
                    out = (access[source].outbound & PacketSet.of(theirs, ANY_SERVICE)).services()
                    found[source, goal, family] = out & (access[goal].inbound & PacketSet.of(mine, ANY_SERVICE)).services()
    return found


def one_of(own: AddressSet, family: Family) -> AddressSet:
    """Return the first address of a family."""
    first = own.family(family)[0]
    return AddressSet(v4=(first, first + 1)) if family is Family.V4 else AddressSet(v6=(first, first + 1))


def walked(random: Random, adapter: Adapter, ways: tuple[Phase, ...], change: Change) -> Counter[str]:
    """Carry a way out, the steps of each phase in random order, and look at every state along all paths."""
    actual, desired, addresses = change
    old, new = (paths(adapter.decode(table), addresses) for table in (actual, desired))
    table, found = actual, Counter[str]()
    for phase in ways:
        for step in random.sample(phase.steps, len(phase.steps)):
            table = adapter.simulate(table, step)
            found["states"] += 1
            for way, now in paths(adapter.decode(table), addresses).items():
                found["exposed"] += not now <= old[way] | new[way]
                found["cut"] += not old[way] & new[way] <= now
    assert table == desired
    return found


def direct(adapter: Adapter, change: Change) -> tuple[Phase, ...]:
    """Return the way that minds no second end."""
    methods = (Method.SWAP, Method.MERGE, Method.TWO_BAND)
    return next(filter(None, (adapter.steps(*change[:2], method) for method in methods)), ())


@pytest.mark.parametrize("case", sorted(CASES))
def test_whole_paths_are_safe_on_the_chosen_way(case: str) -> None:
    opened, changed = CASES[case]
    # Control: where the planner goes round, the direct way opens along some path what neither state does.
    adapter = opened()
    total, methods, wrong = Counter[str](), Counter[str](), 0
    for seed in range(budget(8, 2_000, 200)):
        change = changed(seed)
        if change is None:
            continue
        order = choose(adapter, *change)
        methods[order.method] += 1
        if order.method not in SAFE:
            continue
        total += walked(Random(seed), adapter, order.phases, change)
        if order.method in ("shield", "meet") and not wrong:
            wrong += sum(walked(Random(turn), adapter, direct(adapter, change), change)["exposed"] for turn in range(4))
    named = {f"by_{name.replace('-', '_').replace(' ', '_')}": count for name, count in sorted(methods.items())}
    figures = {
        "states": total["states"],
        "exposed": total["exposed"],
        "cut": total["cut"],
        "controls": 1,
        "controls_caught": int(wrong > 0),
    }
    record(f"T3 {case} in series", figures | named)
    assert (total["exposed"], total["cut"]) == (0, 0)
    assert total["states"] >= 15
    assert wrong > 0, "the direct way shows nothing either: this test cannot fail"
