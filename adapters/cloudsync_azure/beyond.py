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
from cloudsync_azure.decode import EVERYTHING, Reader
from cloudsync_azure.limits import PLATFORM_ADDRESS
from cloudsync_azure.table import AzureTable, Nic
from cloudsync_azure.tiers import Want

if TYPE_CHECKING:
    from cloudsync_azure.mend import Held

_PLATFORM = PacketSet.of(PLATFORM_ADDRESS, ANY_SERVICE)
_INBOUND, _BOTH = Access(_PLATFORM), Access(_PLATFORM, _PLATFORM)


@lru_cache(maxsize=4096)
def _access(inbound: PacketSet, outbound: PacketSet) -> Access:
    return Access(inbound, outbound)


def unreachable(reader: Reader, nic: Nic) -> Access:
    """Return what cannot pass at an interface whatever is written into managed NSGs. Equal ones are one object."""
    return _access(_cut(reader, nic, egress=False), _cut(reader, nic, egress=True))


def _cut(reader: Reader, nic: Nic, *, egress: bool) -> PacketSet:
    missing = PacketSet.union_all(EVERYTHING[family] for family in Family if not nic.private.family(family))
    unmanaged = [nsg for nsg in reader.series(nic) if not reader.table.nsgs[nsg].managed]
    if not unmanaged:
        return missing
    passes = NO_PACKETS
    for met, family in reader.pieces(nic, egress=egress):
        piece = EVERYTHING[family]
        for nsg, mask in met:
            if nsg in unmanaged:
                piece &= reader.chain(nsg, nic.vnet, egress=egress).packets(mask, family)
        passes |= piece
    return missing | (ALL_PACKETS - passes)


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
        inbound, outbound = (
            PacketSet.union_all((side, *(want.packets for want in cut.get((point, egress), ()))))
            for side, egress in ((found.inbound, False), (found.outbound, True))
        )
        if inbound or outbound:
            left_out[point] = _access(inbound, outbound)
        if one.nic.private.v4:
            forced[point] = _BOTH if one.both else _INBOUND
    return left_out, forced
