"""Which order is chosen: the first whose every state is safe, one that shrinks before it grows, one that cuts and has to be agreed to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from cloudsync.adapter import Access, Bounds, Effect, Method, Patience, Phase, Step, Whose
from cloudsync.model.address import AddressSet
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.service import TCP, ServiceSet
from cloudsync.model.workload import PointId
from cloudsync.plan import order
from cloudsync.plan.order import Order, choose
from cloudsync.proof.values import Replay
from cloudsync.testing.memory import MemoryAdapter, MemoryPlatform

P, Q = PointId("p"), PointId("q")
P_AT, Q_AT = AddressSet.of("10.0.0.1"), AddressSet.of("10.0.0.2")
ADDRESSES = {P: P_AT, Q: Q_AT}


def some(*numbers: int, peer: str = "192.0.2.1") -> PacketSet:
    return PacketSet.union_all(PacketSet.of(AddressSet.of(peer), ServiceSet.ports(TCP, number, number)) for number in numbers)


def go(to: str, effect: Effect = Effect.GROWS, *, adds: int = 0, removes: int = 0, temporary: bool = False, points: int = 0) -> Step:
    return Step(
        f"to {to}", "Act", "s", f"o {to}", f"go to {to}", effect, to, adds, removes, points=(P,) * points, temporary=temporary, mark="m"
    )


def way(*steps: Step | str) -> tuple[Phase, ...]:
    found = tuple(go(one) if isinstance(one, str) else one for one in steps)
    return tuple(Phase(f"phase {number}", (one,)) for number, one in enumerate(found))


class Maze(MemoryAdapter):
    """Tables are names of states; a step leads to the state that its payload names, wherever it starts."""

    patience = Patience(settle_s=5.0, visible_s=1.0, call_s=1.0)

    def __init__(self, states: Mapping[str, Access], ways: Mapping[Method, tuple[Phase, ...]], *methods: Method) -> None:
        super().__init__(MemoryPlatform())
        self.states, self.ways = states, ways
        self.capabilities = replace(MemoryAdapter.capabilities, methods=methods or tuple(ways))
        self.counts: dict[str, int] = {}

    def steps(self, actual: object, desired: object, method: Method) -> tuple[Phase, ...]:
        return () if actual == desired else self.ways.get(method, ())

    def simulate(self, table: object, *steps: Step) -> Any:
        return steps[-1].payload if steps else table

    def decode(self, table: object, whose: Whose = Whose.ALL, points: Iterable[PointId] | None = None) -> dict[PointId, Access]:
        del whose
        assert isinstance(table, str)
        found = {P: self.states[table]} if isinstance(self.states[table], Access) else {}
        return {point: access for point, access in found.items() if points is None or point in set(points)}

    def affected(self, table: object, steps: tuple[Step, ...]) -> frozenset[PointId]:
        del table
        return frozenset({P}) if steps else frozenset()

    def bounds(self, table: object, steps: tuple[Step, ...]) -> Bounds:
        both = (table, self.simulate(table, *steps))
        return Bounds(both, both)

    def owned(self, table: object) -> Mapping[str, int]:
        assert isinstance(table, str)
        return {"s": self.counts.get(table, 0)}


OLD, NEW = some(1, 2), some(1, 3)
STATES = {
    "old": Access(OLD),
    "new": Access(NEW),
    "wide": Access(some(1, 2, 3)),
    "shared": Access(some(1)),
    "nothing": Access(),
    "open": Access(some(1, 2, 3, 9)),
    "part": Access(some(2, 3)),
}


def chosen(ways: Mapping[Method, tuple[Phase, ...]], *methods: Method, states: Mapping[str, Access] = STATES) -> Order:
    return choose(Maze(states, ways, *methods), "old", "new", ADDRESSES)


def test_where_nothing_is_to_be_done_nothing_is_ordered() -> None:
    adapter = Maze(STATES, {Method.SWAP: way("new")})
    assert choose(adapter, "old", "old", ADDRESSES) == Order("none", (), Replay(1), "old")
    assert choose(Maze(STATES, {}, Method.SWAP), "old", "new", ADDRESSES) == Order("none", (), Replay(1), "old")


def test_the_first_method_that_is_safe_is_taken() -> None:
    ways = {Method.SWAP: way("new"), Method.JOIN: way("wide", "new")}
    assert chosen(ways) == Order("swap", way("new"), Replay(2), "new")
    assert chosen(ways, Method.JOIN, Method.SWAP) == Order("join", way("wide", "new"), Replay(3), "new")
    cuts = {Method.SWAP: way("nothing", "new"), Method.JOIN: way("wide", "new")}
    assert chosen(cuts).method == "join"
    exposes = {Method.SWAP: way("open", "new"), Method.JOIN: way("wide", "new")}
    assert chosen(exposes).method == "join"
    assert chosen({Method.JOIN: way("wide", "new")}, Method.SWAP, Method.JOIN).method == "join", "a method without steps is passed over"


def test_shrinking_first_is_taken_where_the_ordinary_ways_are_not_safe() -> None:
    ways = {Method.SWAP: way("open", "new"), Method.MEET: way("shared", "new")}
    assert chosen(ways) == Order("meet", way("shared", "new"), Replay(3), "new")
    assert chosen({Method.SWAP: way("new"), Method.MEET: way("shared", "new")}).method == "swap"
    only = {Method.MEET: way("shared", "new")}
    assert chosen(only).method == "meet"
    assert chosen(ways, Method.SWAP).method == "none safe", "a platform that does not say MEET is not asked for it"


@pytest.mark.parametrize(
    ("counts", "steps", "name"),
    [
        ({"old": 2, "new": 3}, (go("wide", adds=3), go("new", Effect.SHRINKS, removes=2)), "two-band"),
        ({"old": 2, "new": 3}, (go("wide", adds=2), go("new", Effect.SHRINKS, removes=2)), "merge"),
        ({"old": 2, "new": 3}, (go("wide", adds=3), go("new", Effect.SHRINKS, removes=1)), "merge"),
        ({"old": 0, "new": 3}, (go("wide", adds=3), go("new")), "merge"),
        ({"old": 2, "new": 0}, (go("wide"), go("new", Effect.SHRINKS, removes=2)), "merge"),
        ({"old": 2, "new": 3}, (go("wide", adds=3), go("wide", adds=1, temporary=True), go("new", removes=2)), "two-band"),
    ],
)
def test_a_merge_that_keeps_no_rule_is_called_two_band(counts: dict[str, int], steps: tuple[Step, ...], name: str) -> None:
    adapter = Maze(STATES, {Method.MERGE: way(*steps)})
    adapter.counts = counts
    found = choose(adapter, "old", "new", ADDRESSES)
    assert (found.method, found.phases) == (name, way(*steps))


# --- gaps ------------------------------------------------------------------------------------------------------------


def test_where_every_order_cuts_the_one_that_cuts_least_is_a_gap() -> None:
    ways = {Method.SWAP: way("nothing", "new"), Method.JOIN: way("part", "new")}
    states = {**STATES, "old": Access(some(1, 2, 5)), "new": Access(some(1, 3, 5)), "part": Access(some(5))}
    found = chosen(ways, states=states)
    assert (found.method, found.phases) == ("gap", way("part", "new"))
    assert {one.kind for one in found.replay.violations} == {"outage"}
    assert chosen(dict(reversed(ways.items())), states=states).phases == way("part", "new")


def test_of_gaps_that_cut_the_same_the_shorter_one_is_taken() -> None:
    ways = {Method.SWAP: way("nothing", "nothing", "new"), Method.JOIN: way("nothing", "new")}
    assert chosen(ways).phases == way("nothing", "new")


def test_an_order_that_exposes_is_no_gap_and_where_all_do_none_is_safe() -> None:
    exposing = {Method.SWAP: way("open", "nothing", "new"), Method.JOIN: way("open", "new")}
    found = chosen(exposing)
    assert (found.method, found.phases) == ("none safe", way("open", "nothing", "new"))
    assert {one.kind for one in found.replay.violations} == {"exposure"}
    mixed = {**exposing, Method.MERGE: way("nothing", "new")}
    assert (chosen(mixed).method, chosen(mixed).phases) == ("gap", way("nothing", "new"))


def test_the_final_table_is_the_one_that_the_chosen_steps_lead_to_and_not_those_of_another_method() -> None:
    """What is certified is what is sent: an adapter that goes astray by one of its methods is found out."""
    astray = {Method.SWAP: way("open", "new"), Method.JOIN: way("shared", "wide")}
    assert (chosen(astray).method, chosen(astray).final) == ("join", "wide")
    assert chosen({Method.SWAP: way("open", "new"), Method.MEET: way("shared", "shared")}).final == "shared"


# --- points in series ------------------------------------------------------------------------------------------------

OUT, IN = some(1, peer="10.0.0.2"), some(1, peer="10.0.0.1")


class Pair(Maze):
    """Two points in series: a state is what P sends and what Q accepts."""

    def decode(self, table: object, whose: Whose = Whose.ALL, points: Iterable[PointId] | None = None) -> dict[PointId, Access]:
        del whose
        assert isinstance(table, str)
        sends, accepts = "s" in table, "a" in table
        found = {P: Access(outbound=OUT if sends else NO_PACKETS), Q: Access(IN if accepts else NO_PACKETS)}
        return {point: access for point, access in found.items() if points is None or point in set(points)}

    def affected(self, table: object, steps: tuple[Step, ...]) -> frozenset[PointId]:
        del table
        return frozenset({P, Q}) if steps else frozenset()


def paired(ways: Mapping[Method, tuple[Phase, ...]]) -> Order:
    """P sends before and Q accepts afterwards: while both do, a flow slips through."""
    return choose(Pair({}, ways), "s-", "-a", ADDRESSES)


def test_where_a_flow_would_slip_through_the_ordinary_ways_are_not_taken() -> None:
    ways = {Method.JOIN: way("sa", "-a"), Method.MEET: way("--", "-a")}
    assert paired(ways) == Order("meet", way("--", "-a"), Replay(3), "-a")
    only_join = paired({Method.JOIN: way("sa", "-a")})
    assert only_join.method == "none safe"
    (violation,) = only_join.replay.violations
    assert (violation.kind, violation.phase, violation.point, violation.direction) == ("exposure", "join", Q, "inbound")
    assert violation.step == "old and new state of source and destination combined"
    assert violation.packet.text() == "10.0.0.1 tcp/1"


def test_what_speaks_against_the_last_way_that_was_tried_is_told() -> None:
    found = paired({Method.JOIN: way("sa", "-a"), Method.MEET: way("sa", "-a")})
    assert (found.method, [(one.step, one.phase) for one in found.replay.violations]) == ("none safe", [("barrier", "phase 0")])


def test_an_order_that_happens_to_close_before_it_opens_is_a_meet_too() -> None:
    found = paired({Method.SWAP: way("--", "-a")})
    assert (found.method, found.phases, found.replay.safe) == ("meet", way("--", "-a"), True)


def test_where_only_one_end_changes_the_ordinary_way_is_safe() -> None:
    adapter = Pair({}, {Method.JOIN: way("-a")})
    assert choose(adapter, "sa", "-a", ADDRESSES).method == "join"
    apart = {P: P_AT, Q: AddressSet.of("fd00::2")}
    ways = {Method.JOIN: way("sa", "-a")}
    assert choose(Pair({}, ways), "s-", "-a", apart).method == "join", "they have no family in common"


# --- a machine and itself --------------------------------------------------------------------------------------------


def test_packets_of_a_machine_to_itself_are_left_out_where_members_are_swapped_and_only_there() -> None:
    own = some(7, peer="10.0.0.1")
    states = {**STATES, "loop": Access(some(1, 2) | own)}
    assert chosen({Method.SWAP: way("loop", "new")}, states=states).method == "swap"
    assert chosen({Method.JOIN: way("loop", "new")}, states=states).method != "join"
    assert order.local({P: AddressSet.of("10.0.0.1", "8.8.8.8")}) == {P: AddressSet.of("10.0.0.1")}


# --- turns -----------------------------------------------------------------------------------------------------------


def test_steps_are_ready_while_no_earlier_one_of_their_object_waits() -> None:
    def one(name: str, effect: Effect, thing: str) -> tuple[str, Step]:
        return "phase", replace(go(name, effect), object=thing)

    grow, shrink, none = one("a", Effect.GROWS, "x"), one("b", Effect.SHRINKS, "x"), one("c", Effect.NONE, "y")
    swap = one("d", Effect.SWAPS, "y")
    waiting = [grow, shrink, none, swap]
    assert order._ready(waiting, shrinking=False) == (grow[1], none[1], swap[1])
    assert order._ready(waiting, shrinking=True) == ()
    assert order._ready([shrink, none], shrinking=True) == (shrink[1],)
    assert order._ready([shrink, grow], shrinking=False) == ()
    assert order._ready([none, shrink, swap], shrinking=True) == (shrink[1],)


class Turning(MemoryAdapter):
    """Tables are the steps that were taken; a step may be taken when those that it waits for have been."""

    def __init__(self, waits: Mapping[str, str]) -> None:
        super().__init__(MemoryPlatform())
        self.waits = waits

    def simulate(self, table: object, *steps: Step) -> Any:
        assert isinstance(table, frozenset)
        return table | {one.payload for one in steps}

    def affected(self, table: object, steps: tuple[Step, ...]) -> frozenset[PointId]:
        del table
        return frozenset(PointId(one.payload) for one in steps if one.payload in self.waits)

    def decode(self, table: object, whose: Whose = Whose.ALL, points: Iterable[PointId] | None = None) -> dict[PointId, Access]:
        """A point is exposed from the moment in which its step was taken too early until what it waits for was done."""
        del whose
        assert isinstance(table, frozenset)
        early = {name for name, other in self.waits.items() if name in table and other not in table}
        return {point: Access(some(9)) if point in early else Access() for point in points or ()}

    def bounds(self, table: object, steps: tuple[Step, ...]) -> Bounds:
        both = (table, self.simulate(table, *steps))
        return Bounds(both, both)


def turns(waits: Mapping[str, str], *phases: tuple[str, list[tuple[str, Effect]]]) -> list[tuple[str, list[str]]]:
    given = tuple(Phase(name, tuple(go(word, effect) for word, effect in steps)) for name, steps in phases)
    everything: frozenset[str] = frozenset(word for _, steps in phases for word, _ in steps)
    found = order.rounds(Turning(waits), frozenset(), everything, given)
    return [(phase.name, [one.payload for one in phase.steps]) for phase in found]


GROWS, SHRINKS, NONE = Effect.GROWS, Effect.SHRINKS, Effect.NONE


def test_what_has_to_wait_is_left_to_the_next_turn() -> None:
    add, take = ("add", [("new", GROWS), ("late", GROWS)]), ("take", [("old", SHRINKS)])
    assert turns({}, add, take) == [("add", ["new", "late"]), ("take", ["old"])]
    assert turns({"late": "old"}, add, take) == [("add", ["new"]), ("take", ["old"]), ("add, turn 2", ["late"])]
    two = ("take", [("old", SHRINKS), ("older", SHRINKS)])
    assert turns({"late": "old", "older": "late"}, add, two) == [
        ("add", ["new"]),
        ("take", ["old"]),
        ("add, turn 2", ["late"]),
        ("take, turn 2", ["older"]),
    ]


def test_steps_of_one_turn_keep_the_names_of_their_phases() -> None:
    first, second = ("one", [("a", GROWS), ("late", GROWS)]), ("two", [("b", GROWS)])
    assert turns({"late": "old"}, first, second, ("take", [("old", SHRINKS)])) == [
        ("one", ["a"]),
        ("two", ["b"]),
        ("take", ["old"]),
        ("one, turn 2", ["late"]),
    ]


def test_what_nothing_carries_any_more_goes_last_and_what_comes_before_the_first_removal_does_not() -> None:
    found = turns(
        {"late": "old"},
        ("make", [("empty", NONE)]),
        ("add", [("late", GROWS)]),
        ("take", [("old", SHRINKS)]),
        ("delete", [("gone", NONE), ("gone too", NONE)]),
    )
    assert found == [("make", ["empty"]), ("take", ["old"]), ("add, turn 2", ["late"]), ("delete", ["gone", "gone too"])]


def test_two_steps_that_wait_for_each_other_have_no_turn() -> None:
    assert turns({"a": "b", "b": "a"}, ("add", [("a", GROWS)]), ("take", [("b", SHRINKS)])) == []
