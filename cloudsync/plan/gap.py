"""Gaps: orders that shrink before they grow, so that nothing is exposed, and how much they cut of what old and new both allow, how long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cloudsync.adapter import Access, Adapter, Effect, Patience, Phase, Step, Table, Whose
from cloudsync.model.packets import PacketSet
from cloudsync.model.workload import PointId
from cloudsync.plan.values import Gap
from cloudsync.proof.flows import SHUT

CALL_S = 1.0
"""Assumed length of one write with its answer, in seconds."""


def broken_steps(adapter: Adapter, actual: Table, phases: tuple[Phase, ...]) -> Iterator[tuple[Phase, ...]]:
    """Yield a method's phases as they are, then rearranged: rules that take away, moves of members, rules that give.

    What a step needs before it (a new object, a member that has left) keeps its place in front of it; an order that a platform could not
    follow is left out.
    """
    if not phases:
        return
    yield phases
    parts: tuple[list[Phase], ...] = ([], [], [], [], [])
    shrunk = False
    for phase in phases:
        for part, steps in _sorted(phase.steps, late=shrunk).items():
            parts[part].append(Phase(phase.name, steps))
        shrunk = shrunk or any(step.effect is Effect.SHRINKS for step in phase.steps)
    turned = tuple(phase for part in parts for phase in part)
    if turned != phases and _possible(adapter, actual, turned):
        yield turned


def _sorted(steps: tuple[Step, ...], *, late: bool) -> dict[int, tuple[Step, ...]]:
    found: dict[int, list[Step]] = {}
    for step in steps:
        if step.effect is Effect.NONE:
            part = 4 if late else 0
        elif step.points:
            part = 2
        else:
            part = 1 if step.effect is Effect.SHRINKS else 3
        found.setdefault(part, []).append(step)
    return {part: tuple(listed) for part, listed in sorted(found.items())}


def _possible(adapter: Adapter, actual: Table, phases: tuple[Phase, ...]) -> bool:
    table = actual
    try:
        for phase in phases:
            table = adapter.simulate(table, *phase.steps)
    except (ValueError, LookupError):  # a simulation refuses what its platform would
        return False
    return True


def cut(adapter: Adapter, actual: Table, final: Table, phases: tuple[Phase, ...]) -> Gap:
    """Return the most that an order cuts at once of what old and new both allow, at how many points, and for how long about."""
    points = frozenset().union(*(adapter.affected(actual, phase.steps) | adapter.affected(final, phase.steps) for phase in phases))
    old, new = adapter.decode(actual, Whose.ALL, points), adapter.decode(final, Whose.ALL, points)
    both = {point: _shared(old.get(point, SHUT), new.get(point, SHUT)) for point in points}
    table = actual
    packets = where = 0
    hurt: list[int] = []
    for number, phase in enumerate(phases):
        lost = _lost(adapter, table, phase, both)
        table = adapter.simulate(table, *phase.steps)
        if lost:
            hurt.append(number)
            packets, where = max(packets, sum(lost)), max(where, len(lost))
    if not hurt:
        return Gap()
    first, last = hurt[0], hurt[-1]
    steps = sum(len(phase.steps) for phase in phases[first : last + 1])
    return Gap(packets, where, steps, seconds(steps, last - first, adapter.patience))


def _shared(old: Access, new: Access) -> Access:
    return Access(old.inbound & new.inbound, old.outbound & new.outbound)


def _lost(adapter: Adapter, table: Table, phase: Phase, both: Mapping[PointId, Access]) -> list[int]:
    """Return how many packets each point may miss while a phase takes effect; points that miss none are left out."""
    lowers = [adapter.decode(one, Whose.ALL, both) for one in adapter.bounds(table, phase.steps).lower]
    found: list[int] = []
    for point, access in both.items():
        inbound = PacketSet.union_all(access.inbound - one.get(point, SHUT).inbound for one in lowers)
        outbound = PacketSet.union_all(access.outbound - one.get(point, SHUT).outbound for one in lowers)
        if inbound or outbound:
            found.append(inbound.size + outbound.size)
    return found


def seconds(steps: int, barriers: int, patience: Patience) -> float:
    """Return about how long so many writes with so many barriers between them take: an estimate from stated assumptions."""
    return steps * CALL_S + barriers * (patience.settle_s + CALL_S)
