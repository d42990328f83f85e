"""The planner on AWS tables whose ends change at once: what crosses, what trades places, what only looks safe phase by phase."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from cloudsync.adapter import Adapter, Bounds, Method, Phase, Step, Whose
from cloudsync.model.address import AddressSet
from cloudsync.model.service import TCP
from cloudsync.model.workload import PointId
from cloudsync.plan.order import Order, choose
from cloudsync.proof.replay import replay
from cloudsync_aws.bounds import affected, bounds
from cloudsync_aws.decode import decode
from cloudsync_aws.limits import CAPABILITIES
from cloudsync_aws.simulate import simulate_all
from cloudsync_aws.steps import join, steps
from cloudsync_aws.table import AwsTable, Eni, Group, Mark, PeerKind, RuleKey, Vpc

if TYPE_CHECKING:
    from cloudsync.adapter import Access

SCOPE = "111122223333/us-east-1"
SENDER, RECEIVER = "10.0.0.1", "10.0.0.2"


class _Pure:
    """The half of the adapter that decides, without its client."""

    capabilities = CAPABILITIES

    def steps(self, actual: AwsTable, desired: AwsTable, method: Method) -> tuple[Phase, ...]:
        return steps(actual, desired, method)

    def simulate(self, table: AwsTable, *found: Step) -> AwsTable:
        return simulate_all(table, found)

    def bounds(self, table: AwsTable, found: tuple[Step, ...]) -> Bounds:
        return bounds(table, found)

    def affected(self, table: AwsTable, found: tuple[Step, ...]) -> frozenset[PointId]:
        return affected(table, found)

    def decode(self, table: AwsTable, whose: Whose = Whose.ALL, points: Iterable[PointId] | None = None) -> dict[PointId, Access]:
        return decode(table, whose, points)


class _Hasty(_Pure):
    """Calls MEET what is JOIN: it grows before anything has shrunk."""

    def steps(self, actual: AwsTable, desired: AwsTable, method: Method) -> tuple[Phase, ...]:
        return join(actual, desired) if method is Method.MEET else steps(actual, desired, method)


def group(name: str, *rules: RuleKey) -> Group:
    mark = Mark("acme", name)
    return Group(name, SCOPE, "vpc-1", f"cs-{name}", dict.fromkeys(rules, ""), mark, mark.tags)


def to(peer: str, port: int) -> RuleKey:
    return RuleKey(True, TCP, port, port, PeerKind.CIDR4.value, f"{peer}/32")


def by(peer: str, port: int) -> RuleKey:
    return RuleKey(False, TCP, port, port, PeerKind.CIDR4.value, f"{peer}/32")


def member(own: str, port: int) -> RuleKey:
    return RuleKey(False, TCP, port, port, PeerKind.GROUP.value, own)


def table(*groups: Group, **carried: str) -> AwsTable:
    enis = {
        f"eni-{name}": Eni(f"eni-{name}", SCOPE, "vpc-1", f"i-{name}", AddressSet.of(address), groups=(key,))
        for (name, key), address in zip(sorted(carried.items()), (RECEIVER, SENDER), strict=True)
    }
    return AwsTable("acme", {one.id: one for one in groups}, enis, {}, {"vpc-1": Vpc("vpc-1", SCOPE)})


def crossing() -> tuple[AwsTable, AwsTable]:
    """Old: 22 may leave, 443 may enter. New: 443 may leave, 22 may enter. Neither lets a packet through; both together would."""
    old = table(group("src", to(RECEIVER, 22)), group("dst", by(SENDER, 443)), a="dst", b="src")
    return old, table(group("src", to(RECEIVER, 443)), group("dst", by(SENDER, 22)), a="dst", b="src")


def ordered(adapter: _Pure, actual: AwsTable, desired: AwsTable) -> Order:
    addresses = {eni.point: eni.private for eni in actual.enis.values()}
    return choose(cast("Adapter", adapter), actual, desired, addresses)


def test_two_ends_that_change_at_once_shrink_before_they_grow() -> None:
    actual, desired = crossing()
    chosen = ordered(_Pure(), actual, desired)
    assert chosen.method == "meet"
    assert chosen.replay.safe
    assert chosen.final == desired
    _nothing_slips_through(actual, desired, chosen)


def _nothing_slips_through(actual: AwsTable, desired: AwsTable, chosen: Order) -> None:
    ends = [decode(one) for one in (actual, desired)]
    sender, receiver = PointId(f"{SCOPE}/eni-b"), PointId(f"{SCOPE}/eni-a")
    now = actual
    for phase in chosen.phases:
        for step in phase.steps:
            now = simulate_all(now, (step,))
            seen = decode(now)
            assert not seen[sender].outbound.services() & seen[receiver].inbound.services(), step.title
    assert not any(end[sender].outbound.services() & end[receiver].inbound.services() for end in ends)


def test_meet_that_grows_before_it_shrank_is_not_taken() -> None:
    actual, desired = crossing()
    chosen = ordered(_Hasty(), actual, desired)
    assert chosen.final == desired
    _nothing_slips_through(actual, desired, chosen)


def test_a_state_inside_a_phase_is_looked_at() -> None:
    """Two machines that reach each other move to another group together: before and after they do, half way they do not."""
    groups = (group("one", member("one", 22)), group("two", member("two", 22)))
    actual, desired = table(*groups, a="one", b="one"), table(*groups, a="two", b="two")
    phases = steps(actual, desired, Method.SWAP)
    assert [(phase.name, len(phase.steps)) for phase in phases] == [("move", 2)]
    proven = replay(cast("Adapter", _Pure()), actual, desired, phases)
    assert "outage" in {one.kind for one in proven.violations}
    assert ordered(_Pure(), actual, desired).method == "join"
