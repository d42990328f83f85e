"""SHIELD: temporary denies against what only a moment between old and new would let through, then the ordinary way, then they go.

X lies outside the old and outside the new state of the whole path, so at a stop that changes a shield takes nothing away that both states
allow. Where it really stands is asked of the adapter: it may cut less than it was asked to, and then somebody else has to cut the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from cloudsync.adapter import Access, Adapter, Phase, Table, Whose
from cloudsync.model.packets import PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId
from cloudsync.proof.certificate import final_table
from cloudsync.proof.flows import SHUT, Crossing, End, Flow, Place

Direct = Callable[[Table, Table], tuple[Phase, ...]]
"""The ordinary way between two tables, proven by itself; empty where there is none, or nothing to do."""
Wish = Mapping[PointId, Access]
"""What is to be cut where."""
Wanted = Callable[[Crossing, End], bool]
"""Which stops are asked to cut a crossing's flows."""


def inbound(_crossing: Crossing, end: End) -> bool:
    """Ask the destinations."""
    return end.changes and end.kind.inbound


def outbound(_crossing: Crossing, end: End) -> bool:
    """Ask the sources."""
    return end.changes and not end.kind.inbound


def everywhere(_crossing: Crossing, end: End) -> bool:
    """Ask every stop that changes."""
    return end.changes


CHOICES: tuple[Wanted, ...] = (inbound, outbound, everywhere)
"""In the order in which they are tried: one rule at a destination usually stands for many sources."""


def wish(crossings: Iterable[Crossing], target: str, places: Mapping[PointId, Place], wanted: Wanted) -> dict[PointId, Access]:
    """Return what a target's points are asked to cut, without what both of a point's states let through: that never is X alone."""
    incoming: dict[PointId, list[PacketSet]] = {}
    outgoing: dict[PointId, list[PacketSet]] = {}
    for crossing in crossings:
        for end in crossing.path:
            if end.target == target and wanted(crossing, end):
                for point, packets in _asked(crossing.flows, end, places):
                    (incoming if end.kind.inbound else outgoing).setdefault(point, []).append(packets)
    return {
        point: Access(PacketSet.union_all(incoming.get(point, ())), PacketSet.union_all(outgoing.get(point, ())))
        for point in sorted(incoming.keys() | outgoing.keys())
    }


def _asked(flows: Iterable[Flow], end: End, places: Mapping[PointId, Place]) -> Iterator[tuple[PointId, PacketSet]]:
    kept = end.old & end.new
    for flow in flows:
        for point in end.points:
            met = flow.at(end.kind, places[point].addresses)
            packets = met.seen(end.kind) - kept if met is not None else None
            if packets:
                yield point, packets


@dataclass(frozen=True, slots=True)
class Shielded:
    """A target's way behind shields: the phases before `up` put the shields in place, those from `down` on take them away."""

    phases: tuple[Phase, ...]
    up: int
    down: int


def shielded(adapter: Adapter, tables: tuple[Table, Table], wishes: Wish, direct: Direct) -> Shielded | None:
    """Return the way from the actual to the desired table behind shields; None where there is none.

    A table is shielded only where it lets something through that is to be cut: what closes is denied before everything else, what opens
    when it would open. So a shield that was left behind by a run that was cut short is never put in again beside itself.
    """
    actual, desired = tables
    start, goal = (adapter.shield(table, wishes) if _passes(adapter, table, wishes) else table for table in tables)
    if start == actual and goal == desired:
        return None
    phases: list[Phase] = []
    cuts: list[int] = []
    table = actual
    for name, aim in (("shield", start), ("", goal), ("unshield", desired)):
        if table != aim:
            found = direct(table, aim)
            if not found or final_table(adapter, table, found) != aim:
                return None
            phases.extend(Phase(f"{name}: {phase.name}" if name else phase.name, phase.steps) for phase in found)
        cuts.append(len(phases))
        table = aim
    return Shielded(tuple(phases), cuts[0], cuts[1])


def _passes(adapter: Adapter, table: Table, wishes: Wish) -> bool:
    """Tell whether a table lets anything of a wish through."""
    now = adapter.decode(table, Whose.ALL, wishes)
    pairs = ((wanted, now.get(point, SHUT)) for point, wanted in wishes.items())
    return any(wanted.inbound & seen.inbound or wanted.outbound & seen.outbound for wanted, seen in pairs)
