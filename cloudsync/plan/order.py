"""The order of a transition: the first method whose every prefix is proven safe, or the reasons why there is none.

SWAP needs the fewest calls, JOIN holds old and new membership side by side, ROUNDS is JOIN cut in several turns where a group gets
rules and loses members in one plan, MEET shrinks to what old and new share before it grows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cloudsync.adapter import Access, Adapter, Effect, Method, Phase, Step, Table, Whose
from cloudsync.model.address import AddressSet, Family, globally_routable
from cloudsync.model.workload import PointId
from cloudsync.proof.certificate import final_table
from cloudsync.proof.replay import Envelope, phase_violations, replay
from cloudsync.proof.series import crossings
from cloudsync.proof.values import Replay, Violation


@dataclass(frozen=True, slots=True)
class Order:
    """Phases with the replay that covers them. `method` names how they were found; `replay.violations` is not empty when none is safe."""

    method: str
    phases: tuple[Phase, ...]
    replay: Replay
    final: Table


def choose(adapter: Adapter, actual: Table, desired: Table, addresses: Mapping[PointId, AddressSet]) -> Order:
    """Return the first safe order from actual to desired. Pure and deterministic."""
    methods = adapter.capabilities.methods
    direct = next(filter(None, (adapter.steps(actual, desired, method) for method in methods)), ())
    if not direct:
        return Order("none", (), Replay(1), actual)
    final = final_table(adapter, actual, direct)
    crossing = next(crossings(adapter, actual, final, addresses), None)
    failed: list[Violation] = []
    if crossing is None:
        for method in methods:
            if method is not Method.MEET:
                found = _tried(adapter, (actual, desired, final), method, addresses)
                if found is not None and found.replay.safe:
                    return found
                failed = failed if found is None else list(found.replay.violations)
    else:
        title = "old and new state of source and destination combined"
        failed.append(Violation("exposure", "join", title, crossing.destination, "inbound", crossing.packet))
    meet = adapter.steps(actual, desired, Method.MEET) if Method.MEET in methods else ()
    if meet:
        proven = replay_meet(adapter, actual, final, meet)
        if proven.safe:
            return Order("meet", meet, proven, final)
        failed = list(proven.violations)
    return Order("none safe", direct, Replay(1, tuple(failed)), final)


def _tried(adapter: Adapter, tables: tuple[Table, Table, Table], method: Method, addresses: Mapping[PointId, AddressSet]) -> Order | None:
    """Return one method's order with its replay; None where the method has no steps for it. `tables`: actual, desired, final."""
    actual, desired, final = tables
    steps = adapter.steps(actual, desired, method)
    if not steps:
        return None
    # A member that moves between groups that let each other in would be its own peer while the move spreads: no packet does that.
    proven = replay(adapter, actual, final, steps, local(addresses) if method is Method.SWAP else None)
    if proven.safe or method is not Method.JOIN:
        return Order(method.value, steps, proven, final)
    turns = rounds(adapter, actual, final, steps)
    return Order("rounds", turns, replay(adapter, actual, final, turns), final) if turns else Order(method.value, steps, proven, final)


def local(addresses: Mapping[PointId, AddressSet]) -> dict[PointId, AddressSet]:
    """Return the addresses at which a machine reaches itself without leaving; public IPv4 may be translated outside."""
    outside = globally_routable().only(Family.V4)
    return {point: own - outside for point, own in addresses.items()}


def rounds(adapter: Adapter, actual: Table, final: Table, phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
    """Cut JOIN into turns: grow whatever stays inside old or new, shrink whatever keeps what both share, again until done.

    Needed where a group gets a rule and loses a member in one plan: the rule must wait until the member has left. Empty when stuck.
    """
    everything = [(phase.name, step) for phase in phases for step in phase.steps]
    first_shrink = next((at for at, (_, step) in enumerate(everything) if step.effect is Effect.SHRINKS), len(everything))
    closing = [pair for at, pair in enumerate(everything) if at > first_shrink and pair[1].effect is Effect.NONE]
    waiting = [pair for pair in everything if pair not in closing]
    touched = frozenset().union(*(adapter.affected(actual, phase.steps) | adapter.affected(final, phase.steps) for phase in phases))
    envelope = Envelope(adapter.decode(actual, Whose.ALL, touched), adapter.decode(final, Whose.ALL, touched))
    table, turn = actual, 0
    found: list[Phase] = []
    while waiting:
        before = len(waiting)
        for shrinking in (False, True):
            ready = _ready(waiting, shrinking=shrinking)
            chosen = _inside(adapter, envelope, table, ready)
            names = list(dict.fromkeys(name for name, step in waiting if step in chosen))
            for name in names:
                steps = tuple(step for label, step in waiting if label == name and step in chosen)
                found.append(Phase(name if turn == 0 else f"{name}, turn {turn + 1}", steps))
                table = adapter.simulate(table, *steps)
            waiting = [(name, step) for name, step in waiting if step not in chosen]
        if len(waiting) == before:
            return ()
        turn += 1
    closers = dict.fromkeys(name for name, _ in closing)  # deleting what nothing carries any more comes last
    last = (Phase(name, tuple(step for label, step in closing if label == name)) for name in closers)
    return (*found, *last)


def _ready(waiting: list[tuple[str, Step]], *, shrinking: bool) -> tuple[Step, ...]:
    """Return the steps of one kind whose object has no earlier step still waiting."""
    ready: list[Step] = []
    blocked: set[str] = set()
    for _, step in waiting:
        wrong_kind = (step.effect is Effect.SHRINKS) is not shrinking
        if wrong_kind or step.object in blocked:
            blocked.add(step.object)
        else:
            ready.append(step)
    return tuple(ready)


def _inside(adapter: Adapter, envelope: Envelope, table: Table, steps: tuple[Step, ...]) -> frozenset[Step]:
    """Return a largest part of `steps` that stays inside the envelope: all but suspects, then each suspect that does no harm."""
    broken = {one.point for one in phase_violations(adapter, envelope, table, "", steps)}
    if not broken:
        return frozenset(steps)
    suspects = {step for step in steps if step.effect is not Effect.NONE and adapter.affected(table, (step,)) & broken}
    chosen = tuple(step for step in steps if step not in suspects)
    if not _harmless(adapter, envelope, table, chosen):
        return frozenset()
    for step in steps:
        if step in suspects:
            more = tuple(one for one in steps if one is step or one in chosen)
            if _harmless(adapter, envelope, table, more):
                chosen = more
    return frozenset(chosen)


def _harmless(adapter: Adapter, envelope: Envelope, table: Table, steps: tuple[Step, ...]) -> bool:
    return next(phase_violations(adapter, envelope, table, "", steps), None) is None


def replay_meet(adapter: Adapter, actual: Table, final: Table, phases: tuple[Phase, ...]) -> Replay:
    """Check MEET: first every point only within the old state, then, after one moment when all are within both, only within the new.

    That is what makes points in series safe: at no moment is one end wide by the new state while the other is still wide by the old.
    """
    proven = replay(adapter, actual, final, phases)
    if not proven.safe:
        return proven
    touched = frozenset().union(*(adapter.affected(actual, phase.steps) | adapter.affected(final, phase.steps) for phase in phases))
    old, new = adapter.decode(actual, Whose.ALL, touched), adapter.decode(final, Whose.ALL, touched)
    shrinking = Envelope(old, old)
    growing = Envelope(new, new)
    table, grown = actual, False
    for phase in phases:
        if not grown:
            exposed = [one for one in phase_violations(adapter, shrinking, table, phase.name, phase.steps) if one.kind == "exposure"]
            if exposed:
                grown = True
                wide = tuple(_wider(adapter.decode(table, Whose.ALL, touched), new, phase.name))
                if wide:
                    return Replay(proven.states, wide)
        if grown:
            exposed = [one for one in phase_violations(adapter, growing, table, phase.name, phase.steps) if one.kind == "exposure"]
            if exposed:
                return Replay(proven.states, tuple(exposed))
        table = adapter.simulate(table, *phase.steps)
    return proven


def _wider(state: Mapping[PointId, Access], limit: Mapping[PointId, Access], phase: str) -> Iterator[Violation]:
    """Yield where a state lets more through than a limit, one witness per point and direction."""
    for point in sorted(state):
        now, most = state[point], limit.get(point, Access())
        for direction, excess in (("inbound", now.inbound - most.inbound), ("outbound", now.outbound - most.outbound)):
            witness = excess.witness()
            if witness is not None:
                yield Violation("exposure", phase, "barrier", point, direction, witness)
