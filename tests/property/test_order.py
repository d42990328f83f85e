"""The planner's order, attacked with random tables and random interleavings inside every phase."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

import pytest

from cloudsync.adapter import Access, Method, Phase, Step, Whose
from cloudsync.model.address import AddressSet
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import TCP, ServiceSet
from cloudsync.model.workload import PointId
from cloudsync.plan import order
from cloudsync.plan.order import choose, rounds
from cloudsync.proof.certificate import final_table
from cloudsync.proof.replay import replay
from cloudsync.proof.series import crossings
from cloudsync.testing import memory_table
from cloudsync.testing.memory import MemoryAdapter, MemoryPlatform
from cloudsync.testing.memory_table import Group, MemoryTable, Rule, Spot

PEERS = ("10.0.0.0/30", "10.0.0.2/31", "0.0.0.0/0")
SERVICES = ("6/22-22", "6/20-30", "6/443-443")
SCOPE = "mem/one"


def _table(dice: random.Random, groups: int, points: int) -> MemoryTable:
    made = {
        f"g-{number}": Group(f"g-{number}", SCOPE, f"n{number}", "me", frozenset(_rule(dice) for _ in range(dice.randint(0, 3))))
        for number in range(groups)
    }
    spots = {}
    for number in range(points):
        carried = tuple(sorted(dice.sample(sorted(made), dice.randint(1, 2))))
        name = PointId(f"p{number}")
        spots[name] = Spot(name, SCOPE, "net", AddressSet.of(f"10.9.0.{number}"), carried)
    return MemoryTable("me", made, spots)


def _rule(dice: random.Random) -> Rule:
    return Rule(dice.choice(PEERS), dice.choice(SERVICES))


def _adapter() -> MemoryAdapter:
    return MemoryAdapter(MemoryPlatform())


def _states(table: MemoryTable, phases: tuple[Phase, ...], dice: random.Random) -> Iterator[MemoryTable]:
    """Yield every state while the steps of each phase take effect in a random order."""
    yield table
    for phase in phases:
        steps = list(phase.steps)
        dice.shuffle(steps)
        for step in steps:
            table = memory_table.after(table, step.payload)
            yield table


@pytest.mark.parametrize("seed", range(60))
def test_no_state_exposes_or_cuts_whatever_the_order_inside_a_phase(seed: int) -> None:
    dice = random.Random(seed)
    actual, desired = _table(dice, 3, 4), _table(dice, 3, 4)
    adapter = _adapter()
    chosen = choose(adapter, actual, desired, {})
    old, new = memory_table.decode(actual, Whose.ALL, None), memory_table.decode(desired, Whose.ALL, None)
    if chosen.replay.violations:
        assert chosen.method in ("none safe", "gap")
        return
    assert chosen.final == desired
    assert chosen.replay.states == 1 + sum(len(phase.steps) for phase in chosen.phases)
    for _ in range(5):
        last = actual
        for last in _states(actual, chosen.phases, dice):
            state = memory_table.decode(last, Whose.ALL, None)
            for point, access in state.items():
                assert access.inbound <= old[point].inbound | new[point].inbound, (chosen.method, point)
                assert old[point].inbound & new[point].inbound <= access.inbound, (chosen.method, point)
        assert last == desired


def test_most_transitions_find_a_safe_order_and_nothing_to_do_needs_none() -> None:
    safe = 0
    for seed in range(60):
        dice = random.Random(seed)
        actual, desired = _table(dice, 3, 4), _table(dice, 3, 4)
        safe += not choose(_adapter(), actual, desired, {}).replay.violations
        assert choose(_adapter(), actual, actual, {}).phases == ()
    assert safe > 40


def _coupled() -> tuple[MemoryTable, MemoryTable]:
    """A machine leaves web for db while web gets a rule that the machine must never have."""
    ssh, sql, web_rule = Rule("10.0.0.0/30", "6/22-22"), Rule("10.0.0.2/31", "6/20-30"), Rule("0.0.0.0/0", "6/443-443")
    groups = {"web": Group("web", SCOPE, "web", "me", frozenset({ssh})), "db": Group("db", SCOPE, "db", "me", frozenset({ssh, sql}))}
    mover, stays = PointId("mover"), PointId("stays")
    spots = {mover: Spot(mover, SCOPE, "net", AddressSet(), ("web",)), stays: Spot(stays, SCOPE, "net", AddressSet(), ("web",))}
    actual = MemoryTable("me", groups, spots)
    desired = actual.with_group(Group("web", SCOPE, "web", "me", frozenset({ssh, web_rule}))).with_spot(
        Spot(mover, SCOPE, "net", AddressSet(), ("db",))
    )
    return actual, desired


def test_a_rule_waits_until_the_machine_that_must_not_have_it_has_left() -> None:
    actual, desired = _coupled()
    adapter = _adapter()
    plain = adapter.steps(actual, desired, Method.JOIN)
    exposed = replay(adapter, actual, final_table(adapter, actual, plain), plain)
    assert {(one.kind, one.point) for one in exposed.violations} == {("exposure", "mover")}
    chosen = choose(adapter, actual, desired, {})
    assert chosen.method == "rounds"
    assert chosen.replay.safe
    keys = [step.key for phase in chosen.phases for step in phase.steps]
    assert keys.index("shrinks/mover") < keys.index("authorize/web")


def test_steps_swapped_across_a_barrier_are_caught() -> None:
    old, new = Rule("10.0.0.0/30", "6/22-22"), Rule("0.0.0.0/0", "6/22-22")
    group = Group("g", SCOPE, "g", "me", frozenset({old}))
    spot = Spot(PointId("p"), SCOPE, "net", AddressSet(), ("g",))
    actual = MemoryTable("me", {"g": group}, {spot.id: spot})
    desired = actual.with_group(Group("g", SCOPE, "g", "me", frozenset({new})))
    adapter = _adapter()
    phases = adapter.steps(actual, desired, Method.JOIN)
    assert [phase.name for phase in phases] == ["authorize", "revoke"]
    assert replay(adapter, actual, desired, phases).safe
    wrong = replay(adapter, actual, desired, tuple(reversed(phases)))
    assert {one.kind for one in wrong.violations} == {"outage"}
    assert wrong.violations[0].packet.text() == "10.0.0.0 tcp/22"


def test_rounds_give_up_when_nothing_can_move_and_a_gap_is_planned() -> None:
    """Two machines trade places between two groups whose rules trade places too: every single step exposes or cuts."""
    one, two = Rule("10.0.0.0/30", "6/22-22"), Rule("10.0.0.0/30", "6/443-443")
    a, b = Group("a", SCOPE, "a", "me", frozenset({one})), Group("b", SCOPE, "b", "me", frozenset({two}))
    p, q = (Spot(PointId(name), SCOPE, "net", AddressSet(), (group,)) for name, group in (("p", "a"), ("q", "b")))
    actual = MemoryTable("me", {"a": a, "b": b}, {p.id: p, q.id: q})
    desired = MemoryTable(
        "me",
        {"a": Group("a", SCOPE, "a", "me", frozenset({two})), "b": Group("b", SCOPE, "b", "me", frozenset({one}))},
        {p.id: Spot(p.id, SCOPE, "net", AddressSet(), ("b",)), q.id: Spot(q.id, SCOPE, "net", AddressSet(), ("a",))},
    )
    adapter = _adapter()
    assert rounds(adapter, actual, desired, adapter.steps(actual, desired, Method.JOIN)) == ()
    chosen = choose(adapter, actual, desired, {})
    assert chosen.method == "gap"
    assert {violation.kind for violation in chosen.replay.violations} == {"outage"}
    assert [phase.name for phase in chosen.phases] == ["revoke", "move", "authorize"]


class _Narrow(MemoryAdapter):
    """A platform with outbound control, for points in series: tables are plain maps of point to access."""

    def decode(self, table: object, whose: Whose = Whose.ALL, points: object = None) -> dict[PointId, Access]:
        del whose, points
        assert isinstance(table, dict)
        return table


def _series(old_out: str, new_out: str, old_in: str, new_in: str) -> list[object]:
    source, goal = PointId("source"), PointId("goal")
    addresses = {source: AddressSet.of("10.0.0.1"), goal: AddressSet.of("10.0.0.2")}

    def packets(peer: AddressSet, ports: str) -> PacketSet:
        return PacketSet.union_all(PacketSet.of(peer, ServiceSet.ports(TCP, int(port), int(port))) for port in ports.split())

    def world(out: str, into: str) -> dict[PointId, Access]:
        return {
            source: Access(outbound=packets(addresses[goal], out)),
            goal: Access(inbound=packets(addresses[source], into)),
        }

    adapter = _Narrow(MemoryPlatform())
    return list(crossings(adapter, world(old_out, old_in), world(new_out, new_in), addresses))


@pytest.mark.parametrize(
    ("tables", "crosses"),
    [
        (("22", "443", "443", "22"), True),  # 22 leaves by the old egress and enters by the new ingress
        (("22", "443", "22", "443"), False),  # both ends change alike
        (("22", "22", "443", "22"), False),  # one end stays: nothing can cross that the new state does not allow
        (("22 443", "443", "443", "22 443"), True),
    ],
)
def test_points_in_series_cross_only_when_old_and_new_combine(tables: tuple[str, str, str, str], crosses: bool) -> None:
    assert bool(_series(*tables)) is crosses


def test_turns_keep_the_order_of_steps_on_one_object() -> None:
    actual, desired = _coupled()
    chosen = choose(_adapter(), actual, desired, {})
    seen: dict[str, list[Step]] = {}
    for phase in chosen.phases:
        for step in phase.steps:
            seen.setdefault(step.object, []).append(step)
    assert [step.key for step in seen["mover"]] == ["grows/mover", "shrinks/mover"]
    assert all(first.name != second.name for first, second in pairwise(chosen.phases))
    assert order.choose(_adapter(), actual, desired, {}) == chosen
