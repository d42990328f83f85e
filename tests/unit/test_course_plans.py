"""What is planned for a few targets that share a path, case by case, and how people are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from cloudsync.adapter import Access, Capabilities, Method, Phase
from cloudsync.app import together
from cloudsync.apply import ApplyResult, ApplyStatus, Execution
from cloudsync.guard import proof, quota
from cloudsync.model.address import AddressSet
from cloudsync.model.packets import ALL_PACKETS, PacketSet
from cloudsync.model.service import TCP, ServiceSet
from cloudsync.model.workload import Forward, PointId
from cloudsync.plan.build import Built
from cloudsync.plan.course import Site, chart, waist
from cloudsync.plan.document import dump, load, target_digest
from cloudsync.plan.order import choose
from cloudsync.plan.peaks import of_order
from cloudsync.plan.shield import shielded
from cloudsync.plan.values import Component, CourseMethod, Plan
from cloudsync.proof.flows import Ground, Place, crossings
from cloudsync.proof.values import Leg, PathReplay, PathViolation, Stage
from cloudsync.proof.whole import Track, replay_whole
from cloudsync.report.document import _component, _gap
from cloudsync.report.together import paragraphs
from cloudsync.testing.memory_table import Spot
from cloudsync.testing.ordered import ALLOWING, DENYING, MEETING, OrderedAdapter, OrderedPlatform
from cloudsync.testing.ordered_table import Line, OrderedTable, named, weight
from tests.oracle.courses import FLOOR, Host, World
from tests.oracle.interleave import judge

SSH, WEB, API = (ServiceSet.ports(TCP, port, port) for port in (22, 443, 8080))
A, B, C = Host("alpha", PointId("a"), "10.0.0.1"), Host("beta", PointId("b"), "10.1.0.1"), Host("gamma", PointId("c"), "10.2.0.1")


def line(number: int, at: Host, peer: Host, services: ServiceSet, *, out: bool = False) -> Line:
    """Return an allow line of ours at one machine."""
    packets = PacketSet.of(peer.addresses, services)
    return named(Line(number, "", "test", deny=False, outbound=out, points=(at.point,), packets=packets))


def world(capabilities: Capabilities, hosts: tuple[Host, ...], old: tuple[Line, ...], new: tuple[Line, ...]) -> World:
    """Return a world of one target per name, with these lines before and after."""
    names = sorted({host.target for host in hosts})
    adapters = {name: OrderedAdapter(OrderedPlatform(), name, "test", capabilities=capabilities) for name in names}

    def tables(lines: tuple[Line, ...]) -> dict[str, OrderedTable]:
        found: dict[str, OrderedTable] = {}
        for name in names:
            spots = {host.point: Spot(host.point, "mem/one", "net", host.addresses) for host in hosts if host.target == name}
            floor = Line(FLOOR, f"floor-{name}", "", deny=True, outbound=True, points=tuple(sorted(spots)), packets=ALL_PACKETS)
            found[name] = OrderedTable("test", {}, spots).with_lines((floor, *(one for one in lines if set(one.points) <= spots.keys())))
        return found

    return World(hosts, adapters, tables(old), tables(new))


def component_of(built: tuple[Built, ...]) -> Component:
    (found,) = {one.plan.component for one in built if one.plan.component is not None}
    return found


def checked(there: World) -> tuple[tuple[Built, ...], Component]:
    """Return the plans, after brute force found nothing wrong with them but what a gap says itself."""
    built = there.charted()
    component = component_of(built)
    verdict = judge(there.actors(built), component.stages, there.trips())
    assert {one.kind for one in verdict.broken} <= ({"outage"} if component.method is CourseMethod.GAP else set())
    return built, component


# --- an order of targets ---------------------------------------------------------------------------------------------


def ordered_case() -> World:
    return world(DENYING, (A, B), (line(1000, A, B, SSH, out=True),), (line(1001, B, A, SSH),))


def test_what_closes_goes_before_what_opens() -> None:
    built, component = checked(ordered_case())
    assert component.method is CourseMethod.ORDER
    assert [[leg.target for leg in stage.legs] for stage in component.stages] == [["alpha"], ["beta"]]
    assert {one.plan.method for one in built} <= {"merge", "two-band"}
    (witness,) = component.witnesses
    assert (witness.flow, witness.source, witness.destination, witness.service) == ("10.0.0.1 -> 10.1.0.1 tcp/22", "a", "b", "tcp/22")
    assert (witness.closes.point, witness.opens.point) == ("a", "b")


def test_an_order_is_told_in_a_few_words() -> None:
    lines = [text for text, _ in paragraphs(one.plan for one in ordered_case().charted())]
    assert lines == [
        "",
        "alpha and beta share paths and are written together",
        "  why: a to b on tcp/22 is open neither before nor after, but would be if beta opened before alpha has closed",
        "  how: first alpha, then beta; each waits until the one before is done, confirmed and settled",
        "  every state of all of them together safe (ORDER, 3 states)",
    ]


def test_targets_that_share_no_such_flow_are_left_alone() -> None:
    apart = world(DENYING, (A, B), (line(1000, A, B, SSH, out=True),), (line(1001, B, A, WEB),))
    assert [one.plan.component for one in apart.charted()] == [None, None]


def test_a_target_that_is_not_written_is_not_waited_for() -> None:
    there = ordered_case()
    built = there.built()
    sites = [Site(one, one.plan.target == "beta") for one in built]
    assert [one.plan.component for one in chart(sites, there.universe())] == [None, None]


def test_an_order_is_part_of_the_digest_and_of_the_plan_file() -> None:
    built = ordered_case().charted()
    plan = Plan(tuple(one.plan for one in built))
    alone = replace(built[0].plan, component=None)
    assert target_digest(alone) != target_digest(built[0].plan)
    component = component_of(built)
    turned = replace(built[0].plan, component=replace(component, stages=component.stages[::-1]))
    assert target_digest(turned) != target_digest(built[0].plan)
    again = load(dump(plan))
    assert again.course == plan.course
    assert again.course.components == (component_of(built),)
    assert _component(again.course.components[0])["stages"][0]["legs"] == [{"target": "alpha", "first": 0, "end": 1}]


# --- in a circle: shields, what old and new share, gaps --------------------------------------------------------------


def circle(capabilities: Capabilities, *, shared: bool = False) -> World:
    """Each closes towards the other what the other opens. `shared`: a line of each holds something that stays allowed."""
    more = API if shared else ServiceSet()
    old = (line(1000, A, B, SSH | more, out=True), line(1010, B, A, WEB | more, out=True))
    new = (line(1001, B, A, SSH | API), line(1002, A, B, API, out=True), line(1011, A, B, WEB | API), line(1012, B, A, API, out=True))
    kept = (line(1020, A, B, API), line(1021, B, A, API))
    return world(capabilities, (A, B), (*old, *kept), (*new, *kept))


def test_in_a_circle_shields_keep_it_out() -> None:
    _, component = checked(circle(DENYING))
    assert component.method is CourseMethod.SHIELD
    assert [stage.name for stage in component.stages] == ["shield", "change", "unshield"], "one target shields both ways"
    lines = [text for text, _ in paragraphs(one.plan for one in circle(DENYING).charted())]
    assert any("temporary denies at" in text for text in lines)


def test_without_denies_everybody_shrinks_before_anybody_grows() -> None:
    built, component = checked(circle(MEETING, shared=True))
    assert component.method is CourseMethod.MEET
    assert [stage.name for stage in component.stages] == ["close", "open"]
    assert {one.plan.method for one in built} == {"meet"}


def test_where_shrinking_cuts_what_stays_a_gap_is_planned_and_a_person_asked() -> None:
    built, component = checked(circle(ALLOWING, shared=True))
    assert component.method is CourseMethod.GAP
    assert component.gap.packets
    assert component.replay is not None
    assert component.replay.safe
    broken = [one for one in built if one.plan.method == "gap"]
    assert len(broken) == 1, "one of the two can be written whole, between the other's halves"
    plan = broken[0].plan
    (refusal,) = proof.check(plan, plan.limits)
    assert refusal.approve.startswith(f"cloudsync approve {target_digest(plan)[:16]} --guard G-PROOF")
    assert "the shortest gap: 1 packet at 1 point for about" in refusal.message
    assert _gap(plan.gap)["packets"] == 1
    lines = [text for text, _ in paragraphs(one.plan for one in built)]
    assert any("no order keeps everything open that stays allowed: the shortest gap cuts 1 packet at 1 point" in text for text in lines)


def test_shields_without_room_give_way_to_another_method() -> None:
    there = circle(DENYING)
    for adapter in there.adapters.values():
        adapter.shields = 0
    built, component = checked(there)
    assert component.method is not CourseMethod.SHIELD
    assert all(one.plan.replay is not None and one.plan.replay.safe for one in built) is (component.method is not CourseMethod.GAP)


def test_a_peak_over_the_quota_is_refused_with_the_numbers_or_avoided() -> None:
    there = circle(DENYING)
    for adapter in there.adapters.values():
        adapter.quota = 5
    for one in there.charted():
        peaks = one.plan.peaks
        over = [peak for peak in peaks if peak.peak > 5]
        refused = list(quota.check(one.plan, one.plan.limits))
        assert bool(over) is bool(refused)
        assert all("ledger" in refusal.objects[0] for refusal in refused)


# --- by a load balancer ----------------------------------------------------------------------------------------------

FRONT = replace(B, forwards=(Forward(WEB, C.addresses, API, B.addresses),))
"""It takes tcp/443 and passes it on to gamma's machine on tcp/8080, from its own address."""


@pytest.mark.parametrize("first", ["alpha", "beta"])
def test_a_flow_is_followed_through_a_load_balancer(first: str) -> None:
    leaves, enters = line(1000, A, FRONT, WEB, out=True), line(1001, FRONT, A, WEB)
    closes, stays = (leaves, enters) if first == "alpha" else (enters, leaves)
    there = world(DENYING, (A, FRONT, C), (closes, stays), (stays, line(1002, C, FRONT, API)))
    _, component = checked(there)
    assert component.targets == (first, "gamma")
    assert component.method is CourseMethod.ORDER
    assert [[leg.target for leg in stage.legs] for stage in component.stages] == [[first], ["gamma"]]
    assert component.witnesses[0].behind == "c"
    assert component.witnesses[0].flow == "10.0.0.1 -> 10.1.0.1 tcp/443 -> 10.2.0.1 tcp/8080"


def test_two_ends_of_one_target_with_a_load_balancer_between_them_are_seen() -> None:
    member = Host("alpha", PointId("c"), "10.2.0.1")
    there = world(
        DENYING,
        (A, FRONT, member),
        (line(1000, A, FRONT, WEB, out=True), line(1001, FRONT, A, WEB)),
        (line(1001, FRONT, A, WEB), line(1002, member, FRONT, API)),
    )
    built, component = checked(there)
    assert component.targets == ("alpha",)
    assert component.method in (CourseMethod.SHIELD, CourseMethod.MEET)
    assert next(one for one in built if one.plan.target == "beta").plan.empty


def test_who_cannot_reach_the_load_balancer_is_no_reason() -> None:
    silent = world(DENYING, (A, FRONT, C), (line(1001, FRONT, A, WEB),), (line(1002, C, FRONT, API),))
    assert [one.plan.component for one in silent.charted()] == [None] * 3  # alpha's machine may send nothing, before and after
    stranger = Host("", PointId(""), "203.0.113.9")
    _, component = checked(world(DENYING, (A, FRONT, C), (line(1001, FRONT, stranger, WEB),), (line(1002, C, FRONT, API),)))
    assert component.witnesses[0].source == "203.0.113.9"


# --- inside one target -----------------------------------------------------------------------------------------------


def inside(capabilities: Capabilities = DENYING) -> tuple[OrderedAdapter, OrderedTable, OrderedTable, dict[PointId, AddressSet]]:
    other = Host("alpha", PointId("d"), "10.0.0.2")
    there = world(capabilities, (A, other), (line(1000, A, other, SSH, out=True),), (line(1001, other, A, SSH),))
    addresses = {host.point: host.addresses for host in there.hosts}
    return there.adapters["alpha"], there.old["alpha"], there.new["alpha"], addresses


def test_inside_one_target_a_shield_does_and_is_named() -> None:
    adapter, old, new, addresses = inside()
    order = choose(adapter, old, new, addresses)
    assert order.method == "shield"
    assert order.replay.safe
    steps = [step for phase in order.phases for step in phase.steps]
    assert [step.temporary for step in steps].count(True) == 2
    assert order.phases[-1].name.startswith("unshield")
    assert adapter.simulate(old, *steps) == new


def test_a_foreign_line_above_voids_a_shield() -> None:
    adapter, old, new, addresses = inside()
    above = Line(50, "above", "", deny=False, outbound=False, points=(PointId("d"),), packets=PacketSet.of(A.addresses, WEB))
    higher = replace(
        above, name="higher", number=51, outbound=True, points=(PointId("a"),), packets=PacketSet.of(AddressSet.of("10.0.0.2"), SSH)
    )
    order = choose(adapter, old.with_lines((above,)), new.with_lines((above,)), addresses)
    assert order.method == "shield"  # what stands above lets other packets through
    order = choose(adapter, old.with_lines((above, higher)), new.with_lines((above, higher)), addresses)
    assert order.method in ("merge", "two-band")  # nothing closes any more: the foreign line keeps it open


def test_a_block_that_takes_the_place_of_another_is_named_two_band() -> None:
    there = world(DENYING, (A, B), (line(1000, B, A, SSH),), (line(1001, B, A, WEB),))
    beta = next(one for one in there.charted() if one.plan.target == "beta")
    assert beta.plan.method == "two-band"
    kept = line(1002, B, A, API)
    mixed = world(DENYING, (A, B), (line(1000, B, A, SSH), kept), (line(1001, B, A, WEB), kept))
    assert next(one for one in mixed.charted() if one.plan.target == "beta").plan.method == "merge"


# --- the guard -------------------------------------------------------------------------------------------------------


def test_an_exposure_on_a_shared_path_is_refused_and_nobody_can_approve_it() -> None:
    built = ordered_case().charted()
    component = component_of(built)
    violation = PathViolation("all", "beta", 1, "insert line 1001", "10.0.0.1 -> 10.1.0.1 tcp/22")
    for replayed, words in ((PathReplay(3, (violation,)), "would expose flows"), (None, "did not run")):
        plan = replace(built[0].plan, component=replace(component, replay=replayed))
        (refusal,) = proof.check(plan, plan.limits)
        assert words in refusal.message
        assert "together with beta" in refusal.message
        assert refusal.approve == ""
    assert list(proof.check(built[0].plan, built[0].plan.limits)) == []


# --- parts alone -----------------------------------------------------------------------------------------------------


def test_the_waist_is_where_everything_old_has_gone() -> None:
    there = circle(MEETING, shared=True)
    adapter, old, new = there.adapters["alpha"], there.old["alpha"], there.new["alpha"]
    held = adapter.steps(old, new, Method.MEET)
    at = waist(adapter, old, new, held)
    assert at is not None
    assert [phase.name for phase in held[:at]] == ["insert allows", "delete allows"]
    joined = adapter.steps(old, new, Method.JOIN)
    assert waist(adapter, old, new, joined) is None
    assert waist(adapter, old, new, tuple(reversed(joined))) == 1


def test_temporary_lines_are_counted() -> None:
    there = circle(MEETING, shared=True)
    adapter, old, new = there.adapters["alpha"], there.old["alpha"], there.new["alpha"]
    (peak,) = of_order(adapter, old, "meet", adapter.steps(old, new, Method.MEET))
    before, after = (weight(line for line in table.lines.values() if line.owner) for table in (old, new))
    assert peak.peak > max(before, after)
    assert (peak.object, peak.what, peak.quota) == ("ledger", "peers", 1000)
    assert of_order(adapter, old, "join", adapter.steps(old, new, Method.JOIN)) == ()


def test_what_closes_at_the_destination_and_opens_at_the_source_is_seen_too() -> None:
    there = world(DENYING, (A, B), (line(1001, B, A, SSH),), (line(1000, A, B, SSH, out=True),))
    _, component = checked(there)
    assert [[leg.target for leg in stage.legs] for stage in component.stages] == [["beta"], ["alpha"]]


def test_the_replay_over_whole_paths_looks_inside_phases_and_knows_who_rests() -> None:
    there = ordered_case()
    places = {host.target: {host.point: Place(host.addresses)} for host in there.hosts}
    built = {one.plan.target: one for one in there.built()}
    tracks = {name: Track(there.adapters[name], one.actual, one.plan.phases, places[name]) for name, one in built.items()}
    grounds = [
        Ground(name, there.adapters[name].decode(one.actual), there.adapters[name].decode(one.final), places[name])
        for name, one in built.items()
    ]
    across = tuple(crossings(grounds))
    alpha, beta = Leg("alpha", 0, 1), Leg("beta", 0, 1)
    assert replay_whole(tracks, (Stage("1", (alpha,)), Stage("2", (beta,))), across).safe
    for stages in ((Stage("1", (alpha, beta)),), (Stage("1", (beta,)), Stage("2", (alpha,)))):
        found = replay_whole(tracks, stages, across)
        violation = found.violations[0]
        assert (violation.stage, violation.target, violation.number, violation.flow) == ("1", "beta", 1, "10.0.0.1 -> 10.1.0.1 tcp/22")
        assert [(stop.target, stop.point, stop.direction) for stop in violation.stops] == [
            ("alpha", "a", "outbound"),
            ("beta", "b", "inbound"),
        ]
    with pytest.raises(AssertionError, match="does not reach the end"):
        replay_whole(tracks, (Stage("1", (alpha,)),), across)


def test_what_a_table_does_not_let_through_is_not_shielded_there() -> None:
    there = ordered_case()
    wishes = {PointId("b"): Access(PacketSet.of(A.addresses, SSH))}
    for reverse, cuts in ((False, (0, 2)), (True, (1, 3))):
        tables = (there.old["beta"], there.new["beta"])
        way = shielded(there.adapters["beta"], tables[::-1] if reverse else tables, wishes, _merged(there.adapters["beta"]))
        assert way is not None
        assert (way.up, way.down) == cuts


def _merged(adapter: OrderedAdapter) -> Callable[[OrderedTable, OrderedTable], tuple[Phase, ...]]:
    return lambda start, goal: adapter.steps(start, goal, Method.MERGE)


# --- carried out -----------------------------------------------------------------------------------------------------


class Scripted(Execution):
    """An execution that ends each leg as it is told."""

    def __init__(self, log: list[str], name: str, ends: ApplyStatus) -> None:
        self.log, self.name, self.ends = log, name, ends

    def leg(self, first: int, end: int) -> ApplyResult:
        self.log.append(f"{self.name} {first}-{end}")
        return ApplyResult(self.ends)

    def rested(self) -> None:
        self.log.append(f"{self.name} rested")

    def waits(self, message: str) -> ApplyResult:
        return ApplyResult(ApplyStatus.WAITING, message)


def carried_out(
    ends: Mapping[str, ApplyStatus], unable: Mapping[str, str], method: CourseMethod = CourseMethod.ORDER
) -> tuple[list[str], dict[str, ApplyResult]]:
    stages = (Stage("a", (Leg("a", 0, 1), Leg("b", 0, 2))), Stage("c", (Leg("c", 0, 1), Leg("b", 2, 3))))
    log: list[str] = []
    running: dict[str, Execution] = {name: Scripted(log, name, end) for name, end in ends.items()}
    component = Component(("a", "b", "c"), method, stages)
    return log, together.run(component, running, unable, lambda names: log.append(f"settle {' '.join(names)}"))


DONE, FAILED, WAITING = ApplyStatus.DONE, ApplyStatus.FAILED, ApplyStatus.WAITING


def test_a_stage_begins_when_the_one_before_has_settled() -> None:
    log, results = carried_out(dict.fromkeys("abc", DONE), {})
    assert log == ["a 0-1", "b 0-2", "settle a b", "a rested", "b rested", "c rested", "c 0-1", "b 2-3"]
    assert {name: result.status for name, result in results.items()} == dict.fromkeys("abc", DONE)


def test_no_stage_begins_behind_one_that_failed() -> None:
    log, results = carried_out({"a": FAILED, "b": DONE, "c": DONE}, {})
    assert log == ["a 0-1", "b 0-2"]
    assert {name: result.status for name, result in results.items()} == {"a": FAILED, "b": WAITING, "c": WAITING}
    words = "waits for a, which ended failed: what opens here must not open before what closes there has closed"
    assert results["c"].message == results["b"].message == words


def test_no_stage_begins_behind_a_target_that_is_not_written() -> None:
    log, results = carried_out({"b": DONE, "c": DONE}, {"a": "which was refused (G-CAP)"}, CourseMethod.SHIELD)
    assert log == ["b 0-2"]
    assert results["c"].message.startswith("waits for a, which was refused (G-CAP): the temporary denies stay")
    log, results = carried_out({"a": DONE, "b": DONE}, {"c": "which was refused (G-CAP)"})
    assert [result.status for result in results.values()] == [DONE, DONE]
