"""Certificate: fold the rendered steps over the actual table, decode the result, compare it with the intent, packet for packet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cloudsync.adapter import Access, Adapter, Phase, Table
from cloudsync.compile.intent import Wanted
from cloudsync.model.packets import PacketSet
from cloudsync.model.workload import PointId
from cloudsync.proof.values import Certificate, Difference

SHUT = Access()
"""A point that lets nothing through. One object: the memo below goes by identity."""


def final_table(adapter: Adapter, actual: Table, phases: Iterable[Phase]) -> Table:
    """Return the table after all steps, each parsed back from its rendered payload."""
    table = actual
    for phase in phases:
        table = adapter.simulate(table, *phase.steps)
    return table


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a final table lets through: everything, and ours alone at points where foreign objects stay beside ours."""

    everything: Mapping[PointId, Access]
    ours: Mapping[PointId, Access]


def certify(final: Decoded, wanted: Mapping[PointId, Wanted], left_out: Mapping[PointId, Access], *, reached: bool) -> Certificate:
    """Compare what the final table lets through at each wanted point with what it must and may let through."""
    differences: list[Difference] = []
    memo: dict[tuple[int, int, int, int], tuple[Difference, ...]] = {}
    for point, want in sorted(wanted.items()):
        access = (final.ours if want.ours_only else final.everything).get(point, SHUT)
        out = left_out.get(point, SHUT)
        key = (id(access.inbound), id(access.outbound), id(want), id(out))
        if key not in memo:
            memo[key] = tuple(_compare(point, access, want, out))
        differences.extend(Difference(point, one.direction, one.kind, one.packet) for one in memo[key])
    return Certificate(len(wanted), tuple(differences), reached)


def _compare(point: PointId, access: Access, want: Wanted, out: Access) -> Iterator[Difference]:
    sides: tuple[tuple[str, PacketSet, PacketSet, PacketSet, PacketSet], ...] = (
        ("inbound", access.inbound, want.least.inbound, want.most.inbound, out.inbound),
        ("outbound", access.outbound, want.least.outbound, want.most.outbound, out.outbound),
    )
    for direction, found, least, most, left in sides:
        if found == least and least == most:
            continue
        missing = (least - left - found).witness()
        if missing is not None:
            yield Difference(point, direction, "missing", missing)
        excess = (found - most).witness()
        if excess is not None:
            yield Difference(point, direction, "excess", excess)
