"""Each part of a proof alone: certificate, crossings, turns, and what a plan takes from the encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from cloudsync import run
from cloudsync.adapter import Access, Adapter, Effect, Method, Phase, Point, Step, TargetSettings, Whose
from cloudsync.compile.intent import Wanted, owed
from cloudsync.inventory.merge import build as build_inventory
from cloudsync.inventory.rules import InventoryRules
from cloudsync.inventory.static import StaticInventory
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet, Family
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.service import TCP, ServiceSet
from cloudsync.model.workload import PointId
from cloudsync.plan import order
from cloudsync.plan.build import Before, losses
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.values import TargetPlan
from cloudsync.policy.load import load_policy
from cloudsync.proof.certificate import Beyond, Decoded, certify
from cloudsync.proof.series import crossings
from cloudsync.proof.values import Replay, Violation
from cloudsync.testing.memory import MemoryAdapter, MemoryPlatform
from cloudsync.testing.memory_table import Group, MemoryTable, Rule, Spot

POINT = PointId("p")
OFFICE, HOME = AddressSet.of("192.0.2.0/24"), AddressSet.of("198.51.100.7")
SSH, WEB = ServiceSet.ports(TCP, 22, 22), ServiceSet.ports(TCP, 443, 443)
LESS, MORE = PacketSet.of(OFFICE, SSH), PacketSet.of(OFFICE, SSH) | PacketSet.of(HOME, SSH)

# --- certificate -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_a_certificate_finds_one_packet_too_many_and_one_too_few(direction: str) -> None:
    def both(packets: PacketSet) -> Access:
        return Access(**{direction: packets})

    def differences(
        found: PacketSet, least: PacketSet, most: PacketSet, left: PacketSet = NO_PACKETS, forced: PacketSet = NO_PACKETS
    ) -> list[tuple[str, str]]:
        want = Wanted(both(least), both(most), ours_only=False)
        beyond = Beyond({POINT: both(left)}, {POINT: both(forced)})
        certificate = certify(Decoded({POINT: both(found)}, {}), {POINT: want}, beyond, reached=True)
        assert certificate.holds is not bool(certificate.differences)
        assert {one.direction for one in certificate.differences} <= {direction}
        return [(one.kind, one.packet.text()) for one in certificate.differences]

    assert differences(MORE, LESS, LESS) == [("excess", "198.51.100.7 tcp/22")]
    assert differences(LESS, MORE, MORE) == [("missing", "198.51.100.7 tcp/22")]
    assert differences(LESS, LESS, MORE) == []
    assert differences(MORE, LESS, MORE) == []
    assert differences(LESS, MORE, MORE, left=PacketSet.of(HOME, SSH)) == []
    assert differences(MORE, LESS, LESS, forced=PacketSet.of(HOME, SSH)) == []
    assert differences(MORE, LESS, LESS, forced=PacketSet.of(HOME, WEB)) == [("excess", "198.51.100.7 tcp/22")]


def test_packets_of_the_platform_are_owed_and_tolerated() -> None:
    def kinds(found: PacketSet) -> list[str]:
        want = Wanted(Access(LESS), Access(LESS), ours_only=False)
        beyond = Beyond(plumbing={POINT: Access(PacketSet.of(HOME, SSH))})
        certificate = certify(Decoded({POINT: Access(found)}, {}), {POINT: want}, beyond, reached=True)
        return [one.kind for one in certificate.differences]

    assert kinds(MORE) == []
    assert kinds(LESS) == ["missing"]
    assert kinds(MORE | PacketSet.of(HOME, WEB)) == ["excess"]


def test_no_packet_is_owed_in_a_family_that_a_point_has_no_address_of() -> None:
    both = PacketSet.of(ANYWHERE, WEB)
    want = Wanted(Access(both, both), Access(both, both), ours_only=False)
    point = Point(POINT, "s", "n", "web1", AddressSet.of("10.0.0.1"))
    held = owed({POINT: want}, {POINT: point})[POINT]
    assert held.least == Access(PacketSet.of(ANYWHERE.only(Family.V4), WEB), PacketSet.of(ANYWHERE.only(Family.V4), WEB))
    assert held.most == want.most
    dual = replace(point, addresses=AddressSet.of("10.0.0.1", "2001:db8::1"))
    assert owed({POINT: want}, {POINT: dual})[POINT] == want


def test_a_point_that_nobody_decoded_lets_nothing_through() -> None:
    certificate = certify(Decoded({}, {}), {POINT: Wanted(Access(LESS), Access(LESS), ours_only=False)}, Beyond(), reached=True)
    assert [one.kind for one in certificate.differences] == ["missing"]


# --- series and turns ------------------------------------------------------------------------------------------------


class _Shown(MemoryAdapter):
    """A platform whose tables are what each point lets through."""

    def decode(self, table: object, whose: Whose = Whose.ALL, points: object = None) -> dict[PointId, Access]:
        del whose, points
        assert isinstance(table, dict)
        return table


@pytest.mark.parametrize(("start", "goal"), [("10.0.0.1", "10.0.0.2"), ("2001:db8::1", "2001:db8::2")])
def test_points_in_series_cross_over_ipv6_too(start: str, goal: str) -> None:
    source, sink = PointId("source"), PointId("sink")
    addresses = {source: AddressSet.of(start), sink: AddressSet.of(goal)}

    def world(out: ServiceSet, into: ServiceSet) -> dict[PointId, Access]:
        return {source: Access(outbound=PacketSet.of(addresses[sink], out)), sink: Access(PacketSet.of(addresses[source], into))}

    adapter = _Shown(MemoryPlatform())
    assert len(list(crossings(adapter, world(SSH, WEB), world(WEB, SSH), addresses))) == 2  # each service one way
    assert list(crossings(adapter, world(SSH, SSH), world(WEB, WEB), addresses)) == []


def test_a_machine_reaches_its_public_ipv4_address_from_outside() -> None:
    own = AddressSet.of("10.0.0.1", "52.0.0.1", "2600:1::1")
    assert order.local({POINT: own}) == {POINT: AddressSet.of("10.0.0.1", "2600:1::1")}


def _step(effect: Effect, name: str, thing: str) -> tuple[str, Step]:
    return "phase", Step(name, "Act", "mem/one", thing, name, effect, "{}", mark="m")


def test_a_later_step_on_one_object_never_overtakes() -> None:
    first, second, other = _step(Effect.SHRINKS, "a", "x"), _step(Effect.GROWS, "b", "x"), _step(Effect.GROWS, "c", "y")
    waiting = [first, second, other]
    assert order._ready(waiting, shrinking=False) == (other[1],)
    assert order._ready(waiting, shrinking=True) == (first[1],)
    assert order._ready([second, other], shrinking=False) == (second[1], other[1])


def test_rounds_keep_the_steps_that_nobody_feels() -> None:
    """A machine leaves web for db while web gets a rule that it must never have; besides, a group that nobody carries goes."""
    ssh, sql, rule = Rule("10.0.0.0/30", "6/22-22"), Rule("10.0.0.2/31", "6/20-30"), Rule("0.0.0.0/0", "6/443-443")

    def group(name: str, *rules: Rule) -> Group:
        return Group(name, "mem/one", name, "me", frozenset(rules))

    def spot(name: str, carried: str) -> Spot:
        return Spot(PointId(name), "mem/one", "net", AddressSet(), (carried,))

    def table(groups: tuple[Group, ...], *spots: Spot) -> MemoryTable:
        return MemoryTable("me", {one.id: one for one in groups}, {one.id: one for one in spots})

    db, idle = group("db", ssh, sql), group("idle", ssh)
    actual = table((group("web", ssh), db, idle), spot("mover", "web"), spot("stays", "web"))
    desired = table((group("web", ssh, rule), db), spot("mover", "db"), spot("stays", "web"))
    adapter = MemoryAdapter(MemoryPlatform())
    chosen = order.choose(adapter, actual, desired, {})
    assert chosen.method == "rounds"
    steps = [step for phase in chosen.phases for step in phase.steps]
    assert adapter.simulate(actual, *steps) == desired
    assert steps[-1].key == "delete/idle"


# --- what a plan takes from the encoder ------------------------------------------------------------------------------

POLICY = b"""version: 1
labels: {role: [web, db]}
enforcement: {default: full}
rulesets: [{name: base, scope: all, owner: us, rules: [allow all workloads to all workloads on tcp/22]}]
"""


class _Lazy(MemoryAdapter):
    """Forgets the last phase of its own plans."""

    def steps(self, actual: MemoryTable, desired: MemoryTable, method: Method) -> tuple[Phase, ...]:
        return super().steps(actual, desired, method)[:-1]


def _planned(adapter: MemoryAdapter, management: AddressSet = NOWHERE) -> TargetPlan:
    policy, findings = load_policy([("policy/p.yaml", POLICY)])
    assert policy is not None, findings
    target = TargetSettings("mem", "memory", TargetMode.EXCLUSIVE, {}, Where("cloudsync.yaml"))
    adapters: Mapping[str, Adapter] = {"mem": adapter}
    readings = run.read_all([target], lambda one: adapters[one.name])
    inventory = build_inventory([one.discovery for one in readings], StaticInventory(), InventoryRules(), policy, [target])
    scene = run.world(policy, inventory, 1.8e9, Before())
    limits = GuardLimits(max_affected_workloads=100, management=management)
    (planned,) = run.plan_all(scene, readings, run.Settled("test", "digest", limits, 1.8e9, {"mem": {}}))
    assert planned.plan is not None, planned.error
    return planned.plan


def _platform() -> MemoryPlatform:
    platform = MemoryPlatform()
    legacy = platform.add_group("legacy", [("0.0.0.0/0", "6/443-443")])
    platform.add_point("web1", "10.0.0.1", [legacy])
    platform.add_point("web2", "10.0.0.2", [legacy])
    return platform


def test_a_first_plan_records_what_every_point_had() -> None:
    platform = _platform()
    plan = _planned(MemoryAdapter(platform, "mem"))
    before = MemoryAdapter(platform).decode(platform.table("test"))
    assert [(one.point, one.original, one.inbound) for one in plan.adoptions] == [
        (point, ("g-1",), before[point].inbound) for point in sorted(platform.spots)
    ]
    assert plan.certificate is not None
    assert plan.certificate.holds


def test_steps_that_lead_somewhere_else_are_not_certified() -> None:
    platform = _platform()
    ours = platform.add_group("cs-idle", [("10.0.0.0/8", "6/25-25")], owner="test")
    plan = _planned(_Lazy(platform, "mem"))
    assert plan.certificate is not None
    assert not plan.certificate.differences, "every packet is as wanted, yet the steps do not arrive"
    assert not plan.certificate.reached
    assert ours in platform.groups


def test_what_the_encoder_gave_up_on_is_not_planned() -> None:
    plan = _planned(MemoryAdapter(_platform(), "mem", quota=0))
    assert {problem.code for problem in plan.problems} == {"G-QUOTA"}
    assert plan.empty
    assert plan.adoptions == ()
    assert replace(plan, problems=()).certificate is None


@pytest.mark.parametrize(
    ("kind", "direction", "management", "counts"),
    [
        ("outage", "inbound", "192.0.2.0/24", True),
        ("exposure", "inbound", "192.0.2.0/24", False),
        ("outage", "outbound", "192.0.2.0/24", False),
        ("outage", "inbound", "198.51.100.0/24", False),
    ],
)
def test_a_management_flow_that_is_cut_on_the_way_is_a_loss_of_its_own(*, kind: str, direction: str, management: str, counts: bool) -> None:
    packet = PacketSet.of(AddressSet.of("192.0.2.7"), ServiceSet.ports(TCP, 22, 22)).witness()
    assert packet is not None
    found = losses(Replay(3, (Violation(kind, "revoke", "revoke 2 rules", PointId("p"), direction, packet),)), AddressSet.of(management))
    assert [(loss.point, loss.flow, loss.step) for loss in found] == ([("p", "192.0.2.7 tcp/22", "revoke 2 rules")] if counts else [])


def test_a_plan_counts_its_management_losses() -> None:
    plan = _planned(MemoryAdapter(_platform(), "mem"), AddressSet.of("10.0.0.0/30"))
    assert plan.replay is not None
    assert plan.management_losses == losses(plan.replay, plan.limits.management) == ()
