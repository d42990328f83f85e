"""Replay: every state on the way lies between what old and new share and what either allows, at every point, whatever the order in a phase.

Inside a phase steps may take effect in any order, so a phase is checked by its bounds (a step that only adds keeps everything between the
state before and after it): no intermediate state is left out. The bounds come from the payloads parsed back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field

from cloudsync.adapter import Access, Adapter, Phase, Step, Table, Whose
from cloudsync.model.address import AddressSet
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ANY_SERVICE
from cloudsync.model.workload import PointId
from cloudsync.proof.values import Replay, Violation

SHUT = Access()
"""A point that lets nothing through. One object: the memo below goes by identity."""


@dataclass(slots=True)
class Envelope:
    """What old and new share and what either allows, per point; computed once per distinct pair."""

    old: Mapping[PointId, Access]
    new: Mapping[PointId, Access]
    own: Mapping[PointId, AddressSet] = field(default_factory=dict)
    """Addresses of the points themselves, where packets to oneself are left out: they never leave the machine."""
    _memo: dict[tuple[int, int], tuple[PacketSet, PacketSet]] = field(default_factory=dict)
    _checked: dict[tuple[int, int, int, bool], tuple[PacketSet, PacketSet]] = field(default_factory=dict)

    def sides(self, point: PointId) -> tuple[tuple[str, PacketSet, PacketSet], ...]:
        """Return `(direction, old, new)` of a point."""
        old, new = self.old.get(point, SHUT), self.new.get(point, SHUT)
        return (("inbound", old.inbound, new.inbound), ("outbound", old.outbound, new.outbound))

    def limits(self, old: PacketSet, new: PacketSet) -> tuple[PacketSet, PacketSet]:
        """Return `(old and new, old or new)`."""
        if old == new:
            return old, old
        key = (id(old), id(new))
        if key not in self._memo:
            self._memo[key] = (old & new, old | new)
        return self._memo[key]

    def wrong(self, old: PacketSet, new: PacketSet, state: PacketSet, *, upper: bool) -> PacketSet:
        """Return the packets by which a bound breaks the envelope: exposed (upper) or cut (lower)."""
        key = (id(old), id(new), id(state), upper)
        known = self._checked.get(key)
        if known is not None:
            return known[1]
        found = NO_PACKETS
        if state not in (old, new):
            both, either = self.limits(old, new)
            found = state - either if upper else both - state
        self._checked[key] = (state, found)  # holds the state, so that its identity is never given to another
        return found

    def felt(self, point: PointId, packets: PacketSet) -> PacketSet:
        """Return the packets that somebody can send: without those of a point to itself."""
        own = self.own.get(point) if packets else None
        return packets - PacketSet.of(own, ANY_SERVICE) if own else packets


def replay(
    adapter: Adapter, actual: Table, final: Table, phases: tuple[Phase, ...], own: Mapping[PointId, AddressSet] | None = None
) -> Replay:
    """Check every prefix of a transition. `final` is the table after all steps; `own`: see `Envelope`."""
    touched = frozenset().union(*(adapter.affected(actual, phase.steps) | adapter.affected(final, phase.steps) for phase in phases))
    envelope = Envelope(adapter.decode(actual, Whose.ALL, touched), adapter.decode(final, Whose.ALL, touched), own or {})
    table = actual
    states = 1
    violations: list[Violation] = []
    for phase in phases:
        violations.extend(phase_violations(adapter, envelope, table, phase.name, phase.steps))
        table = adapter.simulate(table, *phase.steps)
        states += len(phase.steps)
    return Replay(states, tuple(violations[:20]))


def phase_violations(adapter: Adapter, envelope: Envelope, table: Table, name: str, steps: tuple[Step, ...]) -> Iterator[Violation]:
    """Yield what breaks the envelope while `steps` take effect in any order, one witness per point and direction."""
    points = adapter.affected(table, steps)
    if not points:
        return
    bounds = adapter.bounds(table, steps)
    for upper, tables in ((False, bounds.lower), (True, bounds.upper)):
        for bound in tables:
            decoded = adapter.decode(bound, Whose.ALL, points)
            for point in sorted(points):
                access = decoded.get(point, SHUT)
                for (direction, old, new), state in zip(envelope.sides(point), (access.inbound, access.outbound), strict=True):
                    witness = envelope.felt(point, envelope.wrong(old, new, state, upper=upper)).witness()
                    if witness is not None:
                        kind = "exposure" if upper else "outage"
                        yield Violation(kind, name, _blame(adapter, table, steps, point), point, direction, witness)


def _blame(adapter: Adapter, table: Table, steps: tuple[Step, ...], point: PointId) -> str:
    for step in steps:
        if point in adapter.affected(table, (step,)):
            return step.title
    return steps[0].title
