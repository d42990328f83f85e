"""Tables that follow an inventory are the tables compiled from nothing, after every change of a random history."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from cloudsync.compile import arms, universe
from cloudsync.compile.allowed import Compiler
from cloudsync.compile.following import Following
from cloudsync.compile.tables import Tables, tables
from cloudsync.model.address import AddressSet
from cloudsync.model.workload import Domain, Labels, Workload
from cloudsync.policy.values import IpList, Policy, Rule, Who, WorkloadBase
from cloudsync.report.tables import tables_text
from tests.property.test_compile_meaning import KEYS, NOW, random_selector, random_world

pytest.importorskip("numpy", reason="without it everything is compiled from nothing")
HERE = Domain("default")


def _from_nothing(policy: Policy, workloads: list[Workload], domain: Domain = HERE) -> Tables:
    classes = universe.build(policy, workloads)
    return tables(Compiler(classes, arms.resolve(classes, policy, NOW)), domain)


def _plain(workload: Workload) -> Workload:
    """Return a workload that can be followed: IPv4 alone, and no load balancer."""
    kept = (one for one in workload.interfaces if not one.source_only)
    return replace(workload, interfaces=tuple(replace(one, addresses=AddressSet(one.addresses.v4)) for one in kept))


def _tame(dice: random.Random, policy: Policy) -> Policy:
    """Return rules whose ends do not depend on which addresses are strangers'; labels in place of what does."""

    def who(one: Who) -> Who:
        if isinstance(one.base, WorkloadBase) or (isinstance(one.base, IpList) and not one.excluded):
            return one
        return Who(random_selector(dice))

    def tamed(rule: Rule) -> Rule:
        return replace(rule, sources=tuple(map(who, rule.sources)), destinations=tuple(map(who, rule.destinations)))

    return replace(policy, rules=tuple(map(tamed, policy.rules)))


def _next(dice: random.Random, workloads: dict[str, Workload], spare: list[Workload]) -> tuple[Workload | None, Workload | None]:
    """Return one change: new labels (most often), another address, a workload that comes or goes."""
    kind = dice.random()
    if spare and (kind < 0.2 or not workloads):
        return None, spare.pop()
    before = workloads[dice.choice(sorted(workloads))]
    if kind < 0.35 and len(workloads) > 1:
        spare.append(before)
        return before, None
    if kind < 0.5:
        first, *rest = before.interfaces
        moved = replace(first, addresses=AddressSet.of(f"10.0.0.{dice.randrange(12)}/32", f"10.0.1.{2 * dice.randrange(4)}/31"))
        return before, replace(before, interfaces=(moved, *rest))
    labels = {key: dice.choice(values) for key, values in KEYS.items() if dice.random() < 0.7}
    return before, replace(before, labels=Labels.of(labels))


def _history(seed: int, *, tame: bool) -> int:
    """Follow a history and compare after each change; return how many changes were followed."""
    dice = random.Random(seed)
    policy, found = random_world(dice)
    more = random_world(dice)[1]
    spare = [replace(one, id=type(one.id)(f"{one.id}-more"), name=f"{one.name}-more", ref=f"{one.ref}-more") for one in more]
    if tame:
        policy, found, spare = _tame(dice, policy), list(map(_plain, found)), list(map(_plain, spare))
    workloads: dict[str, Workload] = {one.id: one for one in found}
    following = Following(policy, found, NOW, HERE)
    assert following.tables == _from_nothing(policy, found)
    for _ in range(12):
        before, after = _next(dice, workloads, spare)
        if before is not None:
            del workloads[before.id]
        if after is not None:
            workloads[after.id] = after
        got, wanted = following.change(before, after), _from_nothing(policy, list(workloads.values()))
        assert got == wanted
        assert tables_text(got, policy) == tables_text(wanted, policy)
    return following.followed


@pytest.mark.parametrize("seed", range(60))
def test_after_every_change_the_tables_are_those_compiled_from_nothing(seed: int) -> None:
    _history(seed, tame=False)


def test_changes_of_labels_and_of_plain_addresses_are_followed() -> None:
    followed = sum(_history(1000 + seed, tame=True) for seed in range(60))
    assert followed > 60 * 12 * 0.6
