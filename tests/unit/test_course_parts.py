"""The parts of a course: what belongs together, who goes before whom, where everybody is narrow, and in which stages it runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudsync.adapter import Access, Effect, Encoding, Intent, Phase, Step
from cloudsync.model.address import AddressSet
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.service import TCP, ServiceSet
from cloudsync.plan import course
from cloudsync.plan.build import Built
from cloudsync.plan.course import Site, waist
from cloudsync.plan.values import CourseMethod
from cloudsync.proof.flows import Crossing, End, Flow, Kind
from cloudsync.proof.values import Leg, Stage
from cloudsync.testing.memory_table import MemoryTable
from cloudsync.testing.plans import HARMLESS
from tests.acting.staged import P, Q, Staged
from tests.stories.estate import compiled, machine

TABLE = MemoryTable("t", {}, {})
POLICY = """version: 1
labels: {role: [web]}
enforcement: {default: full}
rulesets:
  - {name: r, scope: all, owner: o, rules: [allow role=web to role=web on tcp/1]}
"""
WORLD = compiled(POLICY, (machine("a", "web-1", "10.0.0.1", role="web"),))


def some(*numbers: int) -> PacketSet:
    return PacketSet.union_all(PacketSet.of(AddressSet.of("192.0.2.1"), ServiceSet.ports(TCP, number, number)) for number in numbers)


def step(name: str) -> Step:
    return Step(name, "Act", "s", name, name, Effect.GROWS, "{}", mark="m")


def phases(count: int) -> tuple[Phase, ...]:
    return tuple(Phase(f"phase {number}", (step(f"s{number}"),)) for number in range(count))


def site(name: str, count: int = 1, *, written: bool = True) -> Site:
    plan = replace(HARMLESS, target=name, phases=phases(count))
    intent = Intent(name, "acme", TargetMode.EXCLUSIVE, (), ())
    return Site(Built(plan, TABLE, TABLE, Encoding(TABLE), intent), written)


def end(target: str, kind: Kind = Kind.ENTERS) -> End:
    return End(target, kind, (P,), AddressSet.of("10.0.0.1"), None, NO_PACKETS, NO_PACKETS)


FLOW = Flow(AddressSet.of("10.0.0.1"), AddressSet.of("10.0.0.2"), ServiceSet.ports(TCP, 1, 1))


def crossing(closing: str, opening: str, *between: str) -> Crossing:
    first, last = end(closing, Kind.LEAVES), end(opening)
    return Crossing((first, *(end(name) for name in between), last), first, last, (FLOW,))


def chart(*crossings: Crossing, names: str = "abc") -> course._Chart:
    return course._Chart(tuple(site(name) for name in names), crossings, {}, course._Words(WORLD.compiler.universe, WORLD.owners))


# --- what belongs together -------------------------------------------------------------------------------------------


def test_a_crossing_inside_one_target_is_its_own_matter_unless_it_goes_by_a_third_stop() -> None:
    assert not course._shared(crossing("a", "a"))
    assert course._shared(crossing("a", "b"))
    assert course._shared(crossing("a", "a", "a"))
    assert course._shared(crossing("a", "a", "b"))


def test_targets_that_cross_are_one_component_and_chains_too() -> None:
    found = course._joined([crossing("d", "c"), crossing("a", "b"), crossing("b", "c"), crossing("x", "y"), crossing("b", "a")])
    assert found == [frozenset("abcd"), frozenset("xy")]
    assert course._joined([]) == []
    assert course._joined([crossing("b", "b", "z")]) == [frozenset("b")]


def test_a_site_moves_when_something_is_written_there() -> None:
    assert site("a").moves
    assert not site("a", written=False).moves
    assert not site("a", 0).moves
    assert site("a").name == "a"


# --- who goes first --------------------------------------------------------------------------------------------------


def levels(*crossings: Crossing) -> list[list[str]] | None:
    found = chart(*crossings)._levels()
    return None if found is None else [[one.name for one in level] for level in found]


def test_what_closes_goes_before_what_opens() -> None:
    assert levels(crossing("b", "a"), crossing("c", "b")) == [["c"], ["b"], ["a"]]
    assert levels(crossing("b", "a"), crossing("c", "a")) == [["b", "c"], ["a"]]
    assert levels(crossing("a", "a", "b")) == [["a", "b", "c"]]
    assert levels(crossing("a", "b"), crossing("b", "a")) is None


def test_whole_targets_are_tried_by_level_or_else_in_every_order() -> None:
    (one,) = chart(crossing("b", "a"), crossing("c", "a"))._orders()
    why = "what it closes has to be closed before others open"
    assert one.method is CourseMethod.ORDER
    assert one.stages == (Stage("b, c", (Leg("b", 0, 1), Leg("c", 0, 1)), why), Stage("a", (Leg("a", 0, 1),), why))
    assert {name: len(found) for name, found in one.phases.items()} == {"a": 1, "b": 1, "c": 1}
    circle = (crossing("a", "b"), crossing("b", "a"))
    tried = [[stage.name for stage in one.stages] for one in chart(*circle)._orders()]
    assert sorted(tried) == sorted([list(one) for one in ("abc", "acb", "bac", "bca", "cab", "cba")])
    assert len(list(chart(*circle, names="abcde")._orders())) == 120
    assert list(chart(*circle, names="abcdef")._orders()) == []
    assert chart(names="ba").names == ("b", "a")


# --- where everybody is narrow ---------------------------------------------------------------------------------------


def narrow(*states: PacketSet, outbound: bool = False) -> int | None:
    told = [{P: Access(outbound=one) if outbound else Access(one), Q: Access()} for one in states]
    last = len(states) - 1
    adapter = Staged(*told, upper={number: (number, number + 1) for number in range(last)})
    return waist(adapter, 0, last, phases(last))


@pytest.mark.parametrize("outbound", [False, True])
def test_the_barrier_stands_where_everything_lies_within_both_states(*, outbound: bool) -> None:
    assert narrow(some(1, 2), some(1), some(1, 3), outbound=outbound) == 1
    assert narrow(some(1, 2), some(1), some(1), some(1, 3), outbound=outbound) == 2
    assert narrow(some(1), some(1, 3), some(1, 3, 4), outbound=outbound) == 0
    assert narrow(some(1, 2), some(1), outbound=outbound) == 1, "what only closes has it at its end"
    assert narrow(some(1, 2), some(1, 2, 3), some(1, 3), outbound=outbound) is None
    assert narrow(some(1, 2), some(1), some(1, 3), some(1, 2, 3), some(1, 3), outbound=outbound) is None
    assert narrow(some(1, 2), some(1, 9), some(1, 3), outbound=outbound) is None


def test_a_state_is_inside_another_when_no_point_lets_more_through() -> None:
    assert course._inside({P: Access(some(1), some(2))}, {P: Access(some(1, 2), some(2))})
    assert not course._inside({P: Access(some(1), some(2))}, {P: Access(some(1))})
    assert not course._inside({P: Access(some(1, 2))}, {P: Access(some(1))})
    assert not course._inside({Q: Access(some(1))}, {P: Access(some(1))})
    assert course._inside({Q: Access()}, {})
    assert course._inside({}, {P: Access(some(1))})


def test_what_is_more_is_told_in_both_directions() -> None:
    assert course._more(Access(some(1), some(2)), Access(some(1, 3), some(4))) == Access(some(3), some(4))


def test_halves_leave_out_who_has_nothing_to_do_in_them() -> None:
    splits = {"a": course._Split(phases(3), 1), "b": course._Split(phases(2), 0), "c": course._Split(phases(2), 2)}
    close, grow = course._legs(splits)
    assert close == (Leg("a", 0, 1), Leg("c", 0, 2))
    assert grow == (Leg("a", 1, 3), Leg("b", 0, 2))
    assert [(one.name, one.legs) for one in course._halves(splits)] == [("close", close), ("open", grow)]
    assert [one.name for one in course._halves({"b": splits["b"]})] == ["open"]
    assert [one.name for one in course._halves({"c": splits["c"]})] == ["close"]
    assert [one.why for one in course._halves(splits)] == [
        "everybody closes first: nothing that is new is open yet",
        "everything old has closed: what is new may open",
    ]


def test_a_gap_is_called_what_it_is_made_of() -> None:
    assert [course._name(one) for one in CourseMethod] == ["order", "shield", "meet", "meet", "none safe"]
    assert (course.WITNESSES, course.ORDERS_MAX) == (4, 5)
