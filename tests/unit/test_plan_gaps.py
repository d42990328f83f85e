"""Orders that cut for a while, and ways behind shields: how steps are rearranged, what is counted, and when there is no such way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from cloudsync.adapter import Access, Effect, Patience, Phase, Step
from cloudsync.model.address import AddressSet
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.service import TCP, ServiceSet
from cloudsync.model.workload import PointId
from cloudsync.plan.gap import broken_steps, cut, seconds
from cloudsync.plan.shield import CHOICES, Shielded, everywhere, inbound, outbound, shielded, wish
from cloudsync.plan.values import Gap
from cloudsync.proof.flows import Crossing, End, Flow, Kind, Place
from tests.acting.staged import P, Q, Staged


def some(count: int, first: int = 1) -> PacketSet:
    """As many packets, one port each."""
    return PacketSet.of(AddressSet.of("192.0.2.1"), ServiceSet.ports(TCP, first, first + count - 1)) if count else NO_PACKETS


def step(name: str, effect: Effect, *points: PointId) -> Step:
    return Step(name, "Act", "mem/one", name, name, effect, "{}", points=points, mark="m")


# --- rearranging -----------------------------------------------------------------------------------------------------

CREATE, FILL = step("create", Effect.NONE), step("fill", Effect.GROWS)
MOVE, TAKE, DROP = step("move", Effect.SWAPS, P), step("take", Effect.SHRINKS), step("drop", Effect.NONE)
LEAVE = step("leave", Effect.SHRINKS, P)
IN_ORDER = (Phase("make", (CREATE, FILL)), Phase("move", (MOVE,)), Phase("clear", (TAKE, LEAVE)), Phase("delete", (DROP,)))


def keys(phases: tuple[Phase, ...]) -> list[tuple[str, list[str]]]:
    return [(phase.name, [one.key for one in phase.steps]) for phase in phases]


def test_what_takes_away_goes_before_what_moves_and_what_gives() -> None:
    first, turned = broken_steps(Staged(), 0, IN_ORDER)
    assert first == IN_ORDER
    assert keys(turned) == [
        ("make", ["create"]),
        ("clear", ["take"]),
        ("move", ["move"]),
        ("clear", ["leave"]),
        ("make", ["fill"]),
        ("delete", ["drop"]),
    ]


def test_what_is_needed_before_the_first_removal_comes_first_and_what_follows_it_last() -> None:
    second = replace(CREATE, key="second")
    phases = (Phase("a", (FILL,)), Phase("b", (second,)), Phase("c", (TAKE,)), Phase("d", (DROP,)))
    _, turned = broken_steps(Staged(), 0, phases)
    assert [one.key for phase in turned for one in phase.steps] == ["second", "take", "fill", "drop"]


def test_an_order_that_is_turned_already_is_told_once_and_none_not_at_all() -> None:
    already = (Phase("take", (TAKE,)), Phase("fill", (FILL,)))
    assert list(broken_steps(Staged(), 0, already)) == [already]
    assert list(broken_steps(Staged(), 0, ())) == []


@pytest.mark.parametrize(("error", "orders"), [(ValueError, 1), (KeyError, 1), (LookupError, 1)])
def test_an_order_that_the_platform_would_refuse_is_left_out(error: type[Exception], orders: int) -> None:
    adapter = Staged()
    adapter.refuses, adapter.error = ("fill",), error
    assert len(list(broken_steps(adapter, 0, IN_ORDER))) == orders


# --- what a gap cuts -------------------------------------------------------------------------------------------------

WHOLE = {P: Access(some(8), some(4)), Q: Access(some(8))}
PHASES = tuple(Phase(name, tuple(step(f"{name}{number}", Effect.GROWS) for number in range(count)))
               for name, count in (("a", 1), ("b", 2), ("c", 3), ("d", 1)))  # fmt: skip


def test_what_is_cut_at_most_is_counted_over_points_and_directions() -> None:
    states = (WHOLE, {P: Access(some(5), some(4)), Q: Access(some(8))}, {P: Access(some(6), some(1)), Q: Access(some(7))}, WHOLE, WHOLE)
    lower = {0: (0,), 1: (1,), 2: (2,), 3: (3,)}
    gap = cut(Staged(*states, lower=lower), 0, 4, PHASES)
    assert gap == Gap(packets=2 + 3 + 1, points=2, steps=2 + 3, seconds=5 * 1.0 + 1 * (5.0 + 1.0))


def test_the_most_of_packets_and_of_points_may_be_at_different_times() -> None:
    states = (WHOLE, {P: Access(), Q: WHOLE[Q]}, {P: Access(some(7), some(4)), Q: Access(some(7))}, WHOLE, WHOLE)
    gap = cut(Staged(*states), 0, 4, PHASES)
    assert (gap.packets, gap.points) == (8 + 4, 2)


def test_what_only_one_state_allows_is_not_cut_and_an_order_that_cuts_nothing_has_no_gap() -> None:
    old, new = {P: Access(some(8)), Q: Access(some(2))}, {P: Access(some(4)), Q: Access()}
    assert cut(Staged(old, {P: Access(some(4))}, new, new, new), 0, 4, PHASES) == Gap()
    less = cut(Staged(old, {P: Access(some(3))}, new, new, new), 0, 4, PHASES)
    assert less == Gap(packets=1, points=1, steps=2, seconds=2.0)


def test_points_that_only_the_old_or_only_the_new_table_has_are_looked_at() -> None:
    class Moving(Staged):
        def affected(self, table: object, steps: tuple[Step, ...]) -> frozenset[PointId]:
            del steps
            return frozenset({P if table == 0 else Q})

    states = (WHOLE, {P: Access(some(7), some(4)), Q: Access(some(5))}, WHOLE, WHOLE, WHOLE)
    assert (cut(Moving(*states), 0, 4, PHASES).packets, cut(Moving(*states), 0, 4, PHASES).points) == (1 + 3, 2)


def test_every_lower_bound_of_a_phase_counts() -> None:
    states = (WHOLE, {**WHOLE, P: Access(some(6), some(4))}, {**WHOLE, P: Access(some(6, 3), some(2))}, WHOLE, WHOLE)
    gap = cut(Staged(*states, lower={0: (1, 2), 1: (0,), 2: (0,)}), 0, 4, PHASES)
    assert (gap.packets, gap.steps) == (2 + 2 + 2, 1)


def test_an_estimate_counts_writes_and_barriers() -> None:
    assert seconds(3, 2, Patience(settle_s=7.0, visible_s=0.0, call_s=0.0)) == 3 * 1.0 + 2 * (7.0 + 1.0)
    assert seconds(0, 0, Patience(settle_s=7.0, visible_s=0.0, call_s=0.0)) == 0


# --- shields ---------------------------------------------------------------------------------------------------------

SOURCE = End("t", Kind.LEAVES, (P,), AddressSet.of("10.0.0.1"), None, some(4), NO_PACKETS, some(4), NO_PACKETS)
GOAL = End("t", Kind.ENTERS, (Q,), AddressSet.of("10.0.0.2"), None, NO_PACKETS, some(4), NO_PACKETS, some(4))
STILL = replace(SOURCE, new=some(4), closes=NO_PACKETS)
PLACES = {P: Place(AddressSet.of("10.0.0.1")), Q: Place(AddressSet.of("10.0.0.2"))}
FLOW = Flow(AddressSet.of("10.0.0.1"), AddressSet.of("10.0.0.2"), ServiceSet.ports(TCP, 1, 4))
CROSSING = Crossing((SOURCE, GOAL), SOURCE, GOAL, (FLOW,))


def test_destinations_are_asked_first_then_sources_then_everybody_that_changes() -> None:
    assert (inbound, outbound, everywhere) == CHOICES
    asked = [[wanted(CROSSING, end) for end in (SOURCE, GOAL, STILL, replace(GOAL, opens=NO_PACKETS))] for wanted in CHOICES]
    assert asked == [[False, True, False, False], [True, False, False, False], [True, True, False, False]]


def test_a_wish_is_what_each_point_sees_of_the_flows() -> None:
    at_goal = PacketSet.of(AddressSet.of("10.0.0.1"), ServiceSet.ports(TCP, 1, 4))
    at_source = PacketSet.of(AddressSet.of("10.0.0.2"), ServiceSet.ports(TCP, 1, 4))
    assert wish((CROSSING,), "t", PLACES, inbound) == {Q: Access(at_goal)}
    assert wish((CROSSING,), "t", PLACES, outbound) == {P: Access(outbound=at_source)}
    assert wish((CROSSING,), "t", PLACES, everywhere) == {P: Access(outbound=at_source), Q: Access(at_goal)}
    assert wish((CROSSING,), "other", PLACES, everywhere) == {}
    two = replace(CROSSING, flows=(replace(FLOW, service=ServiceSet.ports(TCP, 9, 9)),))
    both = wish((CROSSING, two), "t", PLACES, inbound)
    assert both == {Q: Access(at_goal | PacketSet.of(AddressSet.of("10.0.0.1"), ServiceSet.ports(TCP, 9, 9)))}


def test_what_both_states_of_a_point_let_through_is_never_asked_for() -> None:
    kept = PacketSet.of(AddressSet.of("10.0.0.1"), ServiceSet.ports(TCP, 1, 3))
    keeps = replace(GOAL, old=kept, new=kept | some(1))
    asked = wish((replace(CROSSING, path=(SOURCE, keeps)),), "t", PLACES, inbound)
    assert asked == {Q: Access(PacketSet.of(AddressSet.of("10.0.0.1"), ServiceSet.ports(TCP, 4, 4)))}
    far = replace(GOAL, points=(P, Q))
    assert set(wish((replace(CROSSING, path=(SOURCE, far)),), "t", PLACES, inbound)) == {Q}, "nobody but the destination meets them"


WISH = {Q: Access(some(2))}
OPEN, SHUT = {Q: Access(some(4))}, {Q: Access()}


def way(adapter: Staged, actual: int, desired: int, legs: Mapping[tuple[int, int], int]) -> Shielded | None:
    """The ordinary way between two tables takes so many phases; a missing one is none."""

    def direct(start: object, goal: object) -> tuple[Phase, ...]:
        assert isinstance(start, int)
        assert isinstance(goal, int)
        return tuple(Phase(f"phase {number}", (FILL,)) for number in range(legs.get((start, goal), 0)))

    return shielded(adapter, (actual, desired), WISH, direct)


def test_shields_go_up_first_and_down_last() -> None:
    adapter = Staged(OPEN, SHUT, SHUT, OPEN)
    adapter.shields = {0: 1, 3: 2}
    found = way(adapter, 0, 3, {(0, 1): 1, (1, 2): 1, (2, 3): 1})
    assert found is not None
    assert [phase.name for phase in found.phases] == ["shield: phase 0", "phase 0", "unshield: phase 0"]
    assert (found.up, found.down) == (1, 2)


def test_a_table_that_lets_nothing_of_it_through_is_not_shielded() -> None:
    adapter = Staged(SHUT, SHUT, SHUT, OPEN)
    adapter.shields = {0: 9, 3: 2}
    found = way(adapter, 0, 3, {(0, 2): 2, (2, 3): 1})
    assert found is not None
    assert ([phase.name for phase in found.phases], found.up, found.down) == (["phase 0", "phase 1", "unshield: phase 0"], 0, 2)
    closing = Staged(OPEN, SHUT, SHUT, SHUT)
    closing.shields = {0: 1, 3: 9}
    found = way(closing, 0, 3, {(0, 1): 1, (1, 3): 2})
    assert found is not None
    assert ([phase.name for phase in found.phases], found.up, found.down) == (["shield: phase 0", "phase 0", "phase 1"], 1, 3)


def test_without_a_shield_or_a_way_there_is_no_way_behind_shields() -> None:
    adapter = Staged(OPEN, SHUT, SHUT, OPEN)
    assert way(adapter, 0, 3, {(0, 3): 3}) is None, "the platform shields nothing"
    adapter.shields = {0: 1, 3: 2}
    assert way(adapter, 0, 3, {(0, 1): 1, (1, 2): 1}) is None, "the last leg has no way"
    assert way(adapter, 0, 3, {(0, 1): 1, (1, 2): 2, (2, 3): 1}) is None, "a leg leads elsewhere"


def test_what_goes_out_is_shielded_like_what_comes_in() -> None:
    adapter = Staged({Q: Access(outbound=some(4))}, SHUT, SHUT, SHUT)
    adapter.shields = {0: 1}

    def direct(start: object, goal: object) -> tuple[Phase, ...]:
        assert isinstance(start, int)
        assert isinstance(goal, int)
        return tuple(Phase("p", (FILL,)) for _ in range(goal - start))

    found = shielded(adapter, (0, 3), {Q: Access(outbound=some(2))}, direct)
    assert found is not None
    assert (found.up, found.down) == (1, 3)
    assert shielded(adapter, (0, 3), {Q: Access(outbound=some(2, 8))}, direct) is None
