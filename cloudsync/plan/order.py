"""The order of a transition: the first method whose every prefix is proven safe, or the reasons why there is none.

SWAP needs the fewest calls, JOIN holds old and new membership side by side, ROUNDS is JOIN cut in several turns where a group gets
rules and loses members in one plan, MERGE goes through a table with an order, SHIELD denies for a while what would slip through between two
ends, MEET shrinks to what old and new share before it grows. Where none of them is safe, a gap is planned: it exposes nothing, cuts as
little as can be for as short as can be, and a person has to agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from cloudsync.adapter import Access, Adapter, Effect, Method, Phase, Step, Table, Whose
from cloudsync.model.address import AddressSet, Family, globally_routable
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId
from cloudsync.plan.gap import broken_steps, cut
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.peaks import of_order, over
from cloudsync.plan.shield import CHOICES, shielded, wish
from cloudsync.proof.certificate import final_table
from cloudsync.proof.flows import Crossing
from cloudsync.proof.replay import Envelope, phase_violations, replay
from cloudsync.proof.series import crossings, places_of
from cloudsync.proof.values import Leg, Replay, Stage, Violation
from cloudsync.proof.whole import Track, replay_whole

DEFAULTS = GuardLimits()


@dataclass(frozen=True, slots=True)
class Order:
    """Phases with the replay that covers them. `method` names how they were found; `replay.violations` is not empty when none is safe."""

    method: str
    phases: tuple[Phase, ...]
    replay: Replay
    final: Table


def choose(
    adapter: Adapter, actual: Table, desired: Table, addresses: Mapping[PointId, AddressSet], limits: GuardLimits = DEFAULTS
) -> Order:
    """Return the first safe order from actual to desired. Pure and deterministic. What there is room for goes before what there is not."""
    direct = next(filter(None, (adapter.steps(actual, desired, method) for method in stepped(adapter))), ())
    if not direct:
        return Order("none", (), Replay(1), actual)
    tables = (actual, desired, final_table(adapter, actual, direct))
    across = tuple(crossings(adapter, actual, tables[2], addresses))
    if across:
        tried = [behind_shields(adapter, tables, across, addresses), apart(adapter, tables)]
    else:
        tried = [ordinary(adapter, tables, addresses)]
        if not _safe(tried):
            tried.append(apart(adapter, tables))
    found = _safe(tried)
    if found:
        # The first of equals: behind shields, new access does not wait for old access to go.
        best = min(found, key=lambda one: (_cramped(adapter, actual, one, limits), _writes(one)))
        # What is certified is where these very steps lead, not where another method's would.
        return best if best.phases == direct else replace(best, final=final_table(adapter, actual, best.phases))
    failed = next((one.replay.violations for one in reversed(tried) if one is not None and one.replay.violations), ())
    if across and not failed:
        failed = (_exposed(across[0]),)
    return broken(adapter, tables, addresses) or Order("none safe", direct, Replay(1, failed), tables[2])


def stepped(adapter: Adapter) -> tuple[Method, ...]:
    """Return the methods that a platform has steps for; SHIELD is a way between tables, made of the others."""
    return tuple(method for method in adapter.capabilities.methods if method is not Method.SHIELD)


Tables = tuple[Table, Table, Table]
"""Actual, desired, and what the steps really lead to."""


def ordinary(adapter: Adapter, tables: Tables, addresses: Mapping[PointId, AddressSet]) -> Order | None:
    """Return the first of a platform's own methods (all but MEET) that is safe at every point alone, else the last that was tried."""
    last: Order | None = None
    for method in stepped(adapter):
        if method is not Method.MEET:
            found = _tried(adapter, tables, method, addresses)
            if found is not None and found.replay.safe:
                return found if method is not Method.MERGE else replace(found, method=_merged(adapter, tables, found.phases))
            last = found or last
    return last


def _merged(adapter: Adapter, tables: Tables, phases: tuple[Phase, ...]) -> str:
    """Return what MERGE is called: two-band where none of our rules is kept, so that a whole new block takes the place of the old one."""
    steps = [step for phase in phases for step in phase.steps if not step.temporary]
    old, new = (sum(adapter.owned(table).values()) for table in (tables[0], tables[2]))
    whole = bool(old and new) and sum(step.removes for step in steps) == old and sum(step.adds for step in steps) == new
    return Method.TWO_BAND.value if whole else Method.MERGE.value


def behind_shields(adapter: Adapter, tables: Tables, across: tuple[Crossing, ...], addresses: Mapping[PointId, AddressSet]) -> Order | None:
    """Return the first way behind shields that is safe; None where no shield cuts all of X on its own path."""
    if Method.SHIELD not in adapter.capabilities.methods:
        return None
    actual, desired, final = tables
    places = places_of(addresses)
    target = across[0].path[0].target

    def direct(start: Table, goal: Table) -> tuple[Phase, ...]:
        found = ordinary(adapter, (start, goal, goal), addresses)
        return found.phases if found is not None and found.replay.safe else ()

    for wanted in CHOICES:
        way = shielded(adapter, (actual, desired), wish(across, target, places, wanted), direct)
        if way is None:
            continue
        proven = replay(adapter, actual, final, way.phases)
        if proven.safe:
            stages = (Stage("", (Leg(target, 0, len(way.phases)),)),)
            whole = replay_whole({target: Track(adapter, actual, way.phases, places)}, stages, across)
            if whole.safe:
                return Order(Method.SHIELD.value, way.phases, proven, final)
    return None


def apart(adapter: Adapter, tables: Tables) -> Order | None:
    """Return MEET, which shrinks to what old and new share before it grows; None where a platform cannot, or has no room for it."""
    actual, desired, final = tables
    meet = adapter.steps(actual, desired, Method.MEET) if Method.MEET in adapter.capabilities.methods else ()
    return Order(Method.MEET.value, meet, replay_meet(adapter, actual, final, meet), final) if meet else None


def _safe(tried: Iterable[Order | None]) -> list[Order]:
    return [one for one in tried if one is not None and one.replay.safe]


def _writes(order: Order) -> int:
    return sum(len(phase.steps) for phase in order.phases)


def _cramped(adapter: Adapter, actual: Table, order: Order, limits: GuardLimits) -> bool:
    return any(over(of_order(adapter, actual, order.method, order.phases), limits))


def _exposed(crossing: Crossing) -> Violation:
    """Return X as a violation: what any order of the ordinary steps would let through."""
    title = "old and new state of source and destination combined"
    goal = crossing.path[-1]
    packet = crossing.flows[0].seen(goal.kind).witness()
    assert packet is not None
    return Violation("exposure", "join", title, goal.points[0], "inbound", packet)


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


def broken(adapter: Adapter, tables: Tables, addresses: Mapping[PointId, AddressSet]) -> Order | None:
    """Return the order that exposes nothing and cuts the least of what both states allow; None when every order exposes."""
    actual, desired, final = tables
    found: list[tuple[tuple[int, int, int], Order]] = []
    for method in stepped(adapter):
        for phases in broken_steps(adapter, actual, adapter.steps(actual, desired, method)):
            if final_table(adapter, actual, phases) != final:
                continue
            proven = replay(adapter, actual, final, phases)
            across = tuple(crossings(adapter, actual, final, addresses))
            stages = (Stage("", (Leg("", 0, len(phases)),)),)
            whole = replay_whole({"": Track(adapter, actual, phases, places_of(addresses))}, stages, across)
            if whole.safe and all(one.kind == "outage" for one in proven.violations):
                lost = cut(adapter, actual, final, phases)
                word = Method.MEET.value if proven.safe else "gap"  # where nothing is shared, nothing is cut
                found.append(((lost.packets, lost.points, lost.steps), Order(word, phases, proven, final)))
    return min(found, key=lambda one: one[0])[1] if found else None


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
