"""Certificate: fold the rendered steps over the actual table, decode the result, compare it with the intent, packet for packet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace

from cloudsync.adapter import Access, Adapter, Encoding, Phase, Table
from cloudsync.compile.intent import Wanted
from cloudsync.model.packets import PacketSet
from cloudsync.model.quick import dataclass
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


@dataclass(frozen=True, slots=True)
class Beyond:
    """What the policy does not decide, per point: packets that cannot pass, those that always do, and those of the platform itself."""

    left_out: Mapping[PointId, Access] = field(default_factory=dict)
    forced: Mapping[PointId, Access] = field(default_factory=dict)
    plumbing: Mapping[PointId, Access] = field(default_factory=dict)

    @classmethod
    def of(cls, encoding: Encoding) -> Beyond:
        """Return what an encoder says of its table."""
        return cls(encoding.left_out or {}, encoding.forced or {}, encoding.plumbing or {})

    def known(self, point: PointId) -> tuple[int, int, int]:
        """Return a key by which points of which the same is said are told from others."""
        return (id(self.left_out.get(point)), id(self.forced.get(point)), id(self.plumbing.get(point)))

    def held(self, point: PointId, want: Wanted) -> Wanted:
        """Return what a point can be held to. The same objects give the same object's values, so that equal points stay cheap."""
        out, always, platform = self.left_out.get(point), self.forced.get(point), self.plumbing.get(point)
        if out is None and always is None and platform is None:
            return want
        least, most = want.least, want.most
        if out is not None:
            least = Access(least.inbound - out.inbound, least.outbound - out.outbound)
        if always is not None:
            most = Access(most.inbound | always.inbound, most.outbound | always.outbound)
        if platform is not None:
            least = Access(least.inbound | platform.inbound, least.outbound | platform.outbound)
            most = Access(most.inbound | platform.inbound, most.outbound | platform.outbound)
        return replace(want, least=least, most=most)


def certify(final: Decoded, wanted: Mapping[PointId, Wanted], beyond: Beyond, *, reached: bool) -> Certificate:
    """Compare what the final table lets through at each wanted point with what it must and may let through."""
    differences: list[Difference] = []
    memo: dict[tuple[int, ...], tuple[Difference, ...]] = {}
    for point, want in sorted(wanted.items()):
        access = (final.ours if want.ours_only else final.everything).get(point, SHUT)
        key = (id(access.inbound), id(access.outbound), id(want), *beyond.known(point))
        if key not in memo:
            memo[key] = tuple(_compare(point, access, beyond.held(point, want)))
        differences.extend(Difference(point, one.direction, one.kind, one.packet) for one in memo[key])
    return Certificate(len(wanted), tuple(differences), reached)


def _compare(point: PointId, access: Access, want: Wanted) -> Iterator[Difference]:
    sides: tuple[tuple[str, PacketSet, PacketSet, PacketSet], ...] = (
        ("inbound", access.inbound, want.least.inbound, want.most.inbound),
        ("outbound", access.outbound, want.least.outbound, want.most.outbound),
    )
    for direction, found, least, most in sides:
        if found == least and least == most:
            continue
        missing = (least - found).witness()
        if missing is not None:
            yield Difference(point, direction, "missing", missing)
        excess = (found - most).witness()
        if excess is not None:
            yield Difference(point, direction, "excess", excess)
