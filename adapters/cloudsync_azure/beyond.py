"""What no table of ours decides at a point: families without an address, unmanaged NSGs in series, the platform's own address."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from cloudsync.adapter import Access
from cloudsync.model.address import Family
from cloudsync.model.packets import ALL_PACKETS, NO_PACKETS, PacketSet
from cloudsync.model.service import ANY_SERVICE
from cloudsync.model.workload import PointId
from cloudsync_azure.decode import EVERYTHING, Reader, pair
from cloudsync_azure.limits import PLATFORM_ADDRESS
from cloudsync_azure.table import AzureTable, Nic
from cloudsync_azure.tiers import Want

if TYPE_CHECKING:
    from cloudsync_azure.mend import Held

_MISSING = {
    (four, six): PacketSet.union_all(EVERYTHING[family] for family, there in ((Family.V4, four), (Family.V6, six)) if not there)
    for four in (False, True)
    for six in (False, True)
}
"""What cannot be, by whether there is an address of each family."""
_PLATFORM = PacketSet.of(PLATFORM_ADDRESS, ANY_SERVICE)
_INBOUND, _BOTH = Access(_PLATFORM), Access(_PLATFORM, _PLATFORM)


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


def beyond(
    table: AzureTable, held: tuple[Held, ...], cut: Mapping[tuple[PointId, bool], tuple[Want, ...]]
) -> tuple[dict[PointId, Access], dict[PointId, Access]]:
    """Return `(left_out, forced)` of every held point. `cut`: allows that were left out, by point and direction."""
    reader = Reader(table)
    left_out: dict[PointId, Access] = {}
    forced: dict[PointId, Access] = {}
    for one in held:
        point = one.nic.point
        found = unreachable(reader, one.nic)
        more = [cut.get((point, egress), ()) for egress in (False, True)]
        if any(more):
            inbound, outbound = (
                PacketSet.union_all((side, *(want.packets for want in some)))
                for side, some in zip((found.inbound, found.outbound), more, strict=True)
            )
            left_out[point] = _united(inbound, outbound)
        elif found.inbound or found.outbound:
            left_out[point] = found
        if one.nic.private.v4:
            forced[point] = _BOTH if one.both else _INBOUND
    return left_out, forced
