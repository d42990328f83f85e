"""Replays: what is a violation and what is not, at one point and over whole paths, and which write is blamed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudsync.adapter import Access, Effect, Phase, Step
from cloudsync.compile.intent import Wanted
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.packets import NO_PACKETS, Packet, PacketSet
from cloudsync.model.service import TCP, ServiceSet
from cloudsync.model.workload import PointId
from cloudsync.plan.order import replay_meet
from cloudsync.proof.certificate import Beyond, Decoded, certify, final_table
from cloudsync.proof.flows import Crossing, End, Flow, Kind, Place
from cloudsync.proof.replay import SHUT, Envelope, replay
from cloudsync.proof.values import (
    Certificate,
    Difference,
    Leg,
    PathReplay,
    PathViolation,
    Replay,
    Stage,
    Stop,
    Violation,
)
from cloudsync.proof.whole import SHOWN, Track, replay_whole
from tests.acting.staged import P, Q, Staged

HERE = "10.0.0.1"


def some(*numbers: int, peer: str = "192.0.2.1") -> PacketSet:
    return PacketSet.union_all(PacketSet.of(AddressSet.of(peer), ServiceSet.ports(TCP, number, number)) for number in numbers)


def step(name: str, *points: PointId) -> Step:
    return Step(name, "Act", "mem/one", name, f"do {name}", Effect.GROWS, "{}", points=points, mark="m")


def phases(*counts: int) -> tuple[Phase, ...]:
    return tuple(
        Phase(f"phase {number}", tuple(step(f"{number}{letter}") for letter in "abcdefghi"[:count])) for number, count in enumerate(counts)
    )


def both(inbound: PacketSet, outbound: PacketSet = NO_PACKETS) -> dict[PointId, Access]:
    return {P: Access(inbound, outbound), Q: SHUT}


def found(adapter: Staged, *counts: int, own: dict[PointId, AddressSet] | None = None) -> Replay:
    return replay(adapter, 0, len(counts), phases(*counts), own)


def told(result: Replay) -> list[tuple[str, str, str, str, str]]:
    return [(one.kind, one.phase, one.point, one.direction, one.packet.text()) for one in result.violations]


# --- one point -------------------------------------------------------------------------------------------------------


def test_between_what_old_and_new_share_and_what_either_allows_everything_is_safe() -> None:
    adapter = Staged(both(some(1, 2)), both(some(1, 2, 3)), both(some(1)), both(some(1, 3)))
    assert found(adapter, 2, 1, 3) == Replay(1 + 2 + 1 + 3)
    assert found(Staged(both(some(1)), both(some(1))), 1).safe


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_one_packet_too_many_is_an_exposure_and_one_too_few_an_outage(direction: str) -> None:
    def at(*numbers: int) -> dict[PointId, Access]:
        return both(some(*numbers)) if direction == "inbound" else both(NO_PACKETS, some(*numbers))

    exposing = Staged(at(1), at(1, 2), at(1, 9), at(1, 2))
    assert told(found(exposing, 1, 1, 1)) == [("exposure", "phase 2", "p", direction, "192.0.2.1 tcp/9")]
    cutting = Staged(at(1, 5), at(1, 2), at(2), at(1, 2))
    assert told(found(cutting, 1, 1, 1)) == [("outage", "phase 2", "p", direction, "192.0.2.1 tcp/1")]


def test_bounds_of_a_phase_are_looked_at_and_not_only_its_ends() -> None:
    states = (both(some(1, 2)), both(some(1, 3)), both(some(1, 3)), both(NO_PACKETS), both(some(1, 2, 3, 4)))
    assert told(found(Staged(*states, lower={0: (0, 3)}), 1, 1)) == [("outage", "phase 0", "p", "inbound", "192.0.2.1 tcp/1")]
    assert told(found(Staged(*states, upper={1: (4,)}), 1, 1)) == [("exposure", "phase 1", "p", "inbound", "192.0.2.1 tcp/4")]
    assert found(Staged(*states, lower={0: (4,)}, upper={0: (3,)}), 1, 1).safe, "a lower bound may be wide, an upper one narrow"


def test_the_step_that_acts_on_the_point_is_blamed() -> None:
    adapter = Staged({P: Access(some(1)), Q: Access(some(1))}, {P: SHUT, Q: Access(some(1))}, {P: Access(some(1)), Q: Access(some(1))})
    moves = (Phase("one", (step("x", Q), step("y", P), step("z", P))), Phase("two", (step("u", Q), step("v", P))))
    assert [(one.step, one.phase) for one in replay(adapter, 0, 2, moves).violations] == [("do v", "two")]


def test_points_that_no_step_acts_on_are_not_asked_about() -> None:
    adapter = Staged({P: Access(some(1))}, {}, {P: Access(some(1))})
    only_q = (Phase("one", (step("x", Q),)), Phase("two", (step("y", Q),)))
    assert replay(adapter, 0, 2, only_q).safe
    assert replay(adapter, 0, 2, (Phase("one", ()), *only_q)) == Replay(3)


def test_a_point_that_is_not_there_lets_nothing_through() -> None:
    gone = Staged({P: Access(some(1))}, {}, {P: Access(some(1))})
    assert [one[0] for one in told(found(gone, 1, 1))] == ["outage"]
    born = Staged({}, {P: Access(some(1))}, {})
    assert [one[0] for one in told(found(born, 1, 1))] == ["exposure"]


def test_packets_of_a_machine_to_itself_never_leave_it() -> None:
    own = {P: AddressSet.of(HERE)}
    adapter = Staged(both(some(1)), both(some(1) | some(2, peer=HERE)), both(some(1)))
    assert told(found(adapter, 1, 1)) == [("exposure", "phase 1", "p", "inbound", "10.0.0.1 tcp/2")]
    assert found(adapter, 1, 1, own=own).safe
    worse = Staged(both(some(1)), both(some(1, 3) | some(2, peer=HERE)), both(some(1)))
    assert [one[4] for one in told(found(worse, 1, 1, own=own))] == ["192.0.2.1 tcp/3"]
    assert found(worse, 1, 1, own={Q: AddressSet.of(HERE)}).violations == found(worse, 1, 1).violations


def test_twenty_violations_are_kept_although_there_are_more() -> None:
    many = {PointId(f"p{number:02}"): Access(some(1)) for number in range(30)}
    moves = tuple(Phase(name, (step(name, *many),)) for name in "xy")
    result = replay(Staged({}, many, {}), 0, 2, moves)
    assert [one.point for one in result.violations] == [f"p{number:02}" for number in range(20)]


def test_an_envelope_answers_the_same_twice_and_keeps_kinds_apart() -> None:
    old, new, wide = some(1), some(1, 2), some(1, 2, 3)
    envelope = Envelope({P: Access(old, new)}, {P: Access(new, old)})
    assert envelope.sides(P) == (("inbound", old, new), ("outbound", new, old))
    assert envelope.sides(Q) == (("inbound", NO_PACKETS, NO_PACKETS), ("outbound", NO_PACKETS, NO_PACKETS))
    assert envelope.limits(old, new) == envelope.limits(old, new) == (old, new)
    same = some(4)
    assert envelope.limits(same, same) == (same, same)
    for _ in range(2):
        assert envelope.wrong(old, new, wide, upper=True) == some(3)
        assert envelope.wrong(old, new, wide, upper=False) == NO_PACKETS
        assert envelope.wrong(old, new, NO_PACKETS, upper=False) == old
        assert envelope.wrong(old, new, NO_PACKETS, upper=True) == NO_PACKETS
        assert envelope.wrong(old, new, new, upper=True) == envelope.wrong(old, new, old, upper=False) == NO_PACKETS
    assert envelope.felt(P, NO_PACKETS) == NO_PACKETS


# --- MEET ------------------------------------------------------------------------------------------------------------


def met(*states: PacketSet, upper: dict[int, tuple[int, ...]] | None = None) -> list[tuple[str, str, str]]:
    adapter = Staged(*(both(one) for one in states), upper=upper)
    result = replay_meet(adapter, 0, len(states) - 1, phases(*(1 for _ in states[1:])))
    assert result.states == len(states)
    return [(one.kind, one.phase, one.step) for one in result.violations]


def test_meet_shrinks_to_what_is_shared_and_only_then_grows() -> None:
    assert met(some(1, 2), some(1), some(1), some(1, 3)) == []
    assert met(some(1, 2), some(1, 2, 3), some(1, 3), some(1, 3)) == [("exposure", "phase 1", "barrier")]
    assert met(some(1, 2), some(1), some(1, 3), some(1, 2, 3), some(1, 3)) == [("exposure", "phase 3", "do 3a")]
    assert met(some(1, 2), some(1, 9), some(1, 3)) == [("exposure", "phase 1", "do 1a")], "outside both it is wrong at once"


def test_at_the_barrier_of_meet_no_direction_is_wider_than_the_new_state() -> None:
    states = (both(some(1), some(1, 2)), both(some(1), some(1, 2)), both(some(1, 3), some(1)), both(some(1, 3), some(1)))
    adapter = Staged(*states, upper={1: (2,)})
    result = replay_meet(adapter, 0, 3, phases(1, 1, 1))
    assert [(one.direction, one.step, one.packet.text()) for one in result.violations] == [("outbound", "barrier", "192.0.2.1 tcp/2")]


# --- whole paths -----------------------------------------------------------------------------------------------------

SOURCE_AT, GOAL_AT = AddressSet.of("10.0.0.1"), AddressSet.of("10.0.0.2")
FLOW = Flow(SOURCE_AT, GOAL_AT, ServiceSet.ports(TCP, 1, 1))
OUT, IN = some(1, peer="10.0.0.2"), some(1, peer="10.0.0.1")
LEAVES = End("a", Kind.LEAVES, (P,), SOURCE_AT, None, OUT, NO_PACKETS, OUT, NO_PACKETS)
ENTERS = End("b", Kind.ENTERS, (Q,), GOAL_AT, None, NO_PACKETS, IN, NO_PACKETS, IN)
ACROSS = Crossing((LEAVES, ENTERS), LEAVES, ENTERS, (FLOW,))
PLACES_A, PLACES_B = {P: Place(SOURCE_AT)}, {Q: Place(GOAL_AT)}
OPEN_A, SHUT_A, OPEN_B, SHUT_B = {P: Access(outbound=OUT)}, {P: SHUT}, {Q: Access(IN)}, {Q: SHUT}


def leaving(*counts: int) -> tuple[Phase, ...]:
    return tuple(Phase(one.name, tuple(replace(each, points=(P,)) for each in one.steps)) for one in phases(*counts))


def entering(*counts: int) -> tuple[Phase, ...]:
    return tuple(Phase(one.name, tuple(replace(each, points=(Q,)) for each in one.steps)) for one in phases(*counts))


def tracks() -> dict[str, Track]:
    """Target a closes in its second phase, target b opens in its second."""
    closing = Staged(OPEN_A, OPEN_A, SHUT_A, SHUT_A, upper={1: (1, 2), 2: (2,)})
    opening = Staged(SHUT_B, SHUT_B, OPEN_B, OPEN_B, upper={1: (1, 2), 2: (2,)})
    return {"a": Track(closing, 0, leaving(1, 2, 1), PLACES_A), "b": Track(opening, 0, entering(2, 1, 1), PLACES_B)}


def stages(*legs: tuple[Leg, ...]) -> tuple[Stage, ...]:
    return tuple(Stage(f"stage {number}", one) for number, one in enumerate(legs))


def test_whoever_closes_first_exposes_nothing() -> None:
    result = replay_whole(tracks(), stages((Leg("a", 0, 3),), (Leg("b", 0, 3),)), [ACROSS])
    assert result == PathReplay(1 + 4 + 4)
    assert result.safe
    early = replay_whole(tracks(), stages((Leg("a", 0, 2), Leg("b", 0, 1)), (Leg("a", 2, 3),), (Leg("b", 1, 3),)), [ACROSS])
    assert early == PathReplay(1 + (4 * 3 - 1) + 1 + 2)


def test_whoever_opens_first_or_at_the_same_time_exposes_and_is_named() -> None:
    reversed_order = replay_whole(tracks(), stages((Leg("b", 0, 3),), (Leg("a", 0, 3),)), [ACROSS])
    way = (Stop("a", P, "outbound"), Stop("b", Q, "inbound"))
    assert reversed_order.violations == (
        PathViolation("stage 0", "b", 3, "do 1a", "10.0.0.1 -> 10.0.0.2 tcp/1", way),
        PathViolation("stage 1", "a", 1, "do 0a", "10.0.0.1 -> 10.0.0.2 tcp/1", way),
    )
    together = replay_whole(tracks(), stages((Leg("a", 0, 3), Leg("b", 0, 3))), [ACROSS])
    assert [(one.target, one.number) for one in together.violations] == [("b", 3)]
    assert not together.safe
    assert together.violations[0].text() == (
        "exposure in stage stage 0, write 3 of b (do 1a): 10.0.0.1 -> 10.0.0.2 tcp/1 would get through by p outbound (a), then q inbound"
        " (b)"
        " although neither the old nor the new state lets it"
    )


def test_a_target_without_a_track_stays_as_wide_as_it_is() -> None:
    found_ = replay_whole({"b": tracks()["b"]}, stages((Leg("b", 0, 3),)), [ACROSS])
    assert [one.stops for one in found_.violations] == [(Stop("a", P, "outbound"), Stop("b", Q, "inbound"))]


def test_a_stage_in_which_nobody_of_the_way_moves_is_as_the_one_before() -> None:
    other = Track(Staged({}, {}), 0, phases(1), {})
    course = stages((Leg("a", 0, 3),), (Leg("c", 0, 1),), (Leg("b", 0, 3),))
    assert replay_whole({**tracks(), "c": other}, course, [ACROSS]).safe
    exposed = stages((Leg("b", 0, 3),), (Leg("c", 0, 1),), (Leg("a", 0, 3),))
    assert [one.stage for one in replay_whole({**tracks(), "c": other}, exposed, [ACROSS]).violations] == ["stage 0", "stage 2"]


def test_of_points_that_change_alike_the_one_that_meets_the_flow_is_named() -> None:
    other = PointId("o")
    both_leave = replace(LEAVES, points=(other, P), addresses=SOURCE_AT | AddressSet.of("10.0.0.77"))
    known = tracks()
    known["a"] = replace(known["a"], places={other: Place(AddressSet.of("10.0.0.77")), P: Place(SOURCE_AT)}, _tables=[], _seen={})
    course = stages((Leg("b", 0, 3),), (Leg("a", 0, 3),))
    found_ = replay_whole(known, course, [replace(ACROSS, path=(both_leave, ENTERS), closing=both_leave)])
    assert {one.stops[0] for one in found_.violations} == {Stop("a", P, "outbound")}


def test_a_replay_tells_twenty_violations_at_most() -> None:
    result = replay_whole(tracks(), stages((Leg("b", 0, 3),), (Leg("a", 0, 3),)), [ACROSS] * 30)
    assert len(result.violations) == SHOWN == 20


@pytest.mark.parametrize(
    ("course", "words"),
    [
        (stages((Leg("a", 0, 3),)), "b: the course does not reach the end of the plan"),
        (stages((Leg("a", 0, 2),), (Leg("b", 0, 3),)), "a: the course does not reach the end of the plan"),
        (stages((Leg("a", 1, 3),), (Leg("b", 0, 3),)), "a: a stage leaves out or repeats a phase"),
        (stages((Leg("a", 0, 2),), (Leg("a", 1, 3),), (Leg("b", 0, 3),)), "a: a stage leaves out or repeats a phase"),
        (stages((Leg("a", 0, 0),), (Leg("a", 0, 3),), (Leg("b", 0, 3),)), "a: an empty leg"),
    ],
)
def test_a_course_that_leaves_out_or_repeats_a_phase_is_our_own_mistake(course: tuple[Stage, ...], words: str) -> None:
    with pytest.raises(AssertionError, match=f"^{words}$"):
        replay_whole(tracks(), course, [ACROSS])


def test_a_stage_knows_its_legs() -> None:
    stage = Stage("s", (Leg("a", 0, 1), Leg("b", 2, 3)))
    assert (stage.leg("b"), stage.leg("c"), stage.why) == (Leg("b", 2, 3), None, "")


# --- certificates and words ------------------------------------------------------------------------------------------


def test_a_certificate_asks_everything_or_ours_alone_and_holds_what_it_says() -> None:
    everything, ours = {P: Access(some(1, 2)), Q: Access(some(1))}, {P: Access(some(1))}
    asked = {P: Wanted(Access(some(1)), Access(some(1)), ours_only=True), Q: Wanted(Access(some(1)), Access(some(1)), ours_only=False)}
    assert certify(Decoded(everything, ours), asked, Beyond(), reached=True) == Certificate(2)
    all_of_it = {point: replace(want, ours_only=False) for point, want in asked.items()}
    excess = certify(Decoded(everything, ours), all_of_it, Beyond(), reached=True)
    assert [(one.point, one.kind) for one in excess.differences] == [(P, "excess")]
    assert not certify(Decoded(everything, ours), asked, Beyond(), reached=False).holds


def test_what_must_pass_but_may_not_is_told_although_it_passes() -> None:
    want = Wanted(Access(some(1, 2)), Access(some(1)), ours_only=False)
    result = certify(Decoded({P: Access(some(1, 2))}, {}), {P: want}, Beyond(), reached=True)
    assert [(one.kind, one.packet.text()) for one in result.differences] == [("excess", "192.0.2.1 tcp/2")]


def test_equal_points_are_compared_once_and_told_each() -> None:
    shared, want = Access(some(2), some(2)), Wanted(Access(some(1)), Access(some(1), some(2)), ours_only=False)
    result = certify(Decoded({P: shared, Q: shared}, {}), {Q: want, P: want}, Beyond(), reached=True)
    assert [(one.point, one.direction, one.kind) for one in result.differences] == [
        (P, "inbound", "missing"), (P, "inbound", "excess"), (Q, "inbound", "missing"), (Q, "inbound", "excess"),
    ]  # fmt: skip
    apart = certify(Decoded({P: shared, Q: shared}, {}), {Q: want, P: want}, Beyond(forced={P: Access(some(2))}), reached=True)
    assert [(one.point, one.kind) for one in apart.differences] == [(P, "missing"), (Q, "missing"), (Q, "excess")]


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_what_the_policy_does_not_decide_is_allowed_for_in_its_direction(direction: str) -> None:
    def only(packets: PacketSet) -> Access:
        return Access(packets) if direction == "inbound" else Access(outbound=packets)

    want = Wanted(only(some(1, 2)), only(some(1, 2)), ours_only=False)
    assert Beyond().held(P, want) is want
    assert Beyond({P: only(some(2))}).held(P, want) == replace(want, least=only(some(1)))
    assert Beyond(forced={P: only(some(3))}).held(P, want) == replace(want, most=only(some(1, 2, 3)))
    assert Beyond(plumbing={P: only(some(4))}).held(P, want) == replace(want, least=only(some(1, 2, 4)), most=only(some(1, 2, 4)))
    assert Beyond({P: only(some(2))}).held(Q, want) is want


def test_the_final_table_is_the_one_behind_every_phase() -> None:
    assert final_table(Staged(), 3, phases(1, 2, 1)) == 6
    assert final_table(Staged(), 3, ()) == 3


def test_proofs_say_what_is_wrong_in_these_words() -> None:
    packet = Packet(Family.V4, 0x0A000001, 6, 22)
    kinds = {"missing": "is wanted but would not pass", "excess": "would pass but is not wanted", "changed": "would change"}
    for kind, words in kinds.items():
        assert Difference(P, "inbound", kind, packet).text() == f"p inbound: 10.0.0.1 tcp/22 {words}"
    said = {
        "exposure": "would be open although neither the old nor the new state opens it",
        "outage": "would be cut",
    }
    for kind, words in said.items():
        assert (
            Violation(kind, "move", "set", P, "inbound", packet).text() == f"{kind} in phase move (set): p inbound 10.0.0.1 tcp/22 {words}"
        )
    assert Certificate(1).holds
    assert not Certificate(1, (Difference(P, "inbound", "missing", packet),)).holds
    assert (Replay(1).safe, PathReplay(1).safe) == (True, True)
