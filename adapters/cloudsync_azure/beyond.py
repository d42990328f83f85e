"""What no table of ours decides at a point: families without an address, unmanaged NSGs in series, the platform's own address."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from cloudsync.adapter import Access
from cloudsync.model.address import NOWHERE, AddressSet, Family
from cloudsync.model.packets import ALL_PACKETS, NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ANY_SERVICE
from cloudsync.model.workload import PointId
from cloudsync_azure.chain import overlap
from cloudsync_azure.decode import EVERYTHING, Reader, pair
from cloudsync_azure.limits import PLATFORM_ADDRESS
from cloudsync_azure.table import AzureTable, Nic, Tier, members

if TYPE_CHECKING:
    from cloudsync_azure.mend import Held

_MISSING = {
    (four, six): PacketSet.union_all(EVERYTHING[family] for family, there in ((Family.V4, four), (Family.V6, six)) if not there)
    for four in (False, True)
    for six in (False, True)
}
"""What cannot be, by whether there is an address of each family."""
PLATFORM_PACKETS = PacketSet.of(PLATFORM_ADDRESS, ANY_SERVICE)


def unreachable(reader: Reader, nic: Nic) -> Access:
    """Return what cannot pass at an interface whatever is written into managed NSGs. Equal ones are one object."""
    return pair(_cut(reader, nic, egress=False), _cut(reader, nic, egress=True))


def _cut(reader: Reader, nic: Nic, *, egress: bool) -> PacketSet:
    missing = _MISSING[bool(nic.private.v4), bool(nic.private.v6)]
    unmanaged = frozenset(nsg for nsg in reader.series(nic) if not reader.table.nsgs[nsg].managed)
    if not unmanaged:
        return missing
    passes = NO_PACKETS
    for met, family in reader.pieces(nic, egress=egress):
        piece = EVERYTHING[family]
        for nsg, mask in met:
            if nsg in unmanaged:
                piece &= reader.chain(nsg, nic.vnet, egress=egress).packets(mask, family)
        passes |= piece
    return _cut_beside(passes, missing)


@lru_cache(maxsize=4096)
def _cut_beside(passes: PacketSet, missing: PacketSet) -> PacketSet:
    return missing | (ALL_PACKETS - passes)


@lru_cache(maxsize=4096)
def _united(inbound: PacketSet, outbound: PacketSet) -> Access:
    return Access(inbound, outbound)


@dataclass(frozen=True, slots=True)
class Plumbing:
    """Whom our rules for the platform's own address keep reachable from there, by NSG and direction."""

    own: Mapping[tuple[str, bool], AddressSet]

    @classmethod
    def of(cls, table: AzureTable) -> Plumbing:
        """Index the platform rules of a table."""
        found: dict[tuple[str, bool], AddressSet] = {}
        inside = members(table)
        for nsg in table.nsgs.values():
            for rule in nsg.rules:
                if nsg.managed and rule.tier is Tier.PLATFORM:
                    key = (nsg.id, rule.egress)
                    own = AddressSet.union_all((rule.own.addresses, *(inside.get(one, NOWHERE) for one in rule.own.asgs)))
                    found[key] = found.get(key, AddressSet()) | own
        return cls(found)

    def open(self, reader: Reader, nic: Nic, *, egress: bool) -> PacketSet:
        """Return the platform's packets that an interface owes to our rules."""
        kept = any(overlap(nic.private, self.own.get((nsg, egress), NOWHERE)) for nsg in reader.series(nic))
        return PLATFORM_PACKETS if kept else NO_PACKETS


@dataclass(frozen=True, slots=True)
class Beyond:
    """Packets that cannot pass, that may pass in any case, and that our rules owe to the platform, by point."""

    left_out: dict[PointId, Access]
    forced: dict[PointId, Access]
    plumbing: dict[PointId, Access]


def beyond(table: AzureTable, held: tuple[Held, ...], cut: Mapping[tuple[PointId, bool], tuple[PacketSet, ...]]) -> Beyond:
    """Return what the policy does not decide at held points. `cut`: what finds no place below a foreign deny, by point and direction."""
    reader = Reader(table)
    pipes = Plumbing.of(table)
    left_out: dict[PointId, Access] = {}
    forced: dict[PointId, Access] = {}
    plumbing: dict[PointId, Access] = {}
    for one in held:
        point = one.nic.point
        found = unreachable(reader, one.nic)
        more = [cut.get((point, egress), ()) for egress in (False, True)]
        if any(more):
            inbound, outbound = (
                PacketSet.union_all((side, *some)) for side, some in zip((found.inbound, found.outbound), more, strict=True)
            )
            found = _united(inbound, outbound)
        if found.inbound or found.outbound:
            left_out[point] = found
        kept = [pipes.open(reader, one.nic, egress=egress) for egress in (False, True)]
        if any(kept):
            # Ours let them through wherever they stand; an unmanaged group in series may still cut them.
            forced[point] = _united(*kept)
            plumbing[point] = _united(_without(kept[0], found.inbound), _without(kept[1], found.outbound))
    return Beyond(left_out, forced, plumbing)


@lru_cache(maxsize=4096)
def _without(a: PacketSet, b: PacketSet) -> PacketSet:
    return a - b
