"""Between packets and EC2's entries: what an entry's protocol and ports mean, and the fewest entries that say a set of packets exactly.

Protocol -1 is everything; protocols other than tcp, udp, icmp and icmpv6 have no ports on EC2 (sctp's are ignored); for ICMP the
port fields hold type and code, -1 being all. Source: EC2 API reference, IpPermission.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import ip_network

from cloudsync.model import intervals
from cloudsync.model.address import AddressSet, Family, prefix_text
from cloudsync.model.intervals import Points
from cloudsync.model.packets import PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import (
    ANY_SERVICE,
    BLOCK,
    NAMED_PROTOCOLS,
    NO_SERVICE,
    SCTP,
    TCP,
    UDP,
    WITH_TYPES,
    ServiceRange,
    ServiceSet,
    possible,
)

Native = tuple[int, int, int]
"""Protocol, from and to, as in `RuleKey`."""

ALL: Native = (-1, -1, -1)
UNNAMED = ANY_SERVICE - NAMED_PROTOCOLS
UNNAMED_MOST = 16
"""Protocols without a name in the policy language are said one by one up to this number; more of them come from `any service` minus
something, and one entry for each of 248 would fill any group: they are left out, which is stricter and is stated."""


@lru_cache(maxsize=16384)
def services_of(native: Native) -> ServiceSet:
    """Return what the protocol and port fields of an entry let through."""
    protocol, first, last = native
    if protocol == -1:
        return ANY_SERVICE
    if protocol in (TCP, UDP) and first >= 0:
        return ServiceSet.ports(protocol, first, last)
    if protocol in WITH_TYPES and first >= 0:
        return ServiceSet.icmp(protocol, first, None if last < 0 else last)
    return ServiceSet.protocol(protocol)


@lru_cache(maxsize=65536)
def addresses_of(cidr: str) -> AddressSet:
    """Return the addresses of a canonical CIDR text."""
    network = ip_network(cidr)
    first = int(network.network_address)
    points = (first, first + network.num_addresses)
    return AddressSet(v4=points) if network.version == 4 else AddressSet(v6=points)


@dataclass(frozen=True, slots=True)
class Said:
    """Services as native entries. `left`: unnamed protocols left out; `lost`: ports that EC2 cannot say (sctp), not among the entries."""

    natives: tuple[Native, ...]
    left: ServiceSet = NO_SERVICE
    lost: ServiceSet = NO_SERVICE


@lru_cache(maxsize=16384)
def say(services: ServiceSet, family: Family | None = None) -> Said:
    """Return the fewest entries for services at one peer, ascending; `family` narrows to what exists there (None: both)."""
    everything = ANY_SERVICE if family is None else possible(family)
    wanted = services & everything
    if wanted == everything:
        return Said((ALL,))
    unnamed = wanted & UNNAMED
    left = unnamed if intervals.size(unnamed.points) > UNNAMED_MOST * BLOCK else NO_SERVICE
    natives: list[Native] = []
    lost: list[tuple[int, int]] = []
    for run in (wanted - left).ranges():
        if run.protocol == SCTP and not run.whole:
            lost.append((SCTP * BLOCK + run.first, SCTP * BLOCK + run.last + 1))
        else:
            natives.extend(_natives(run))
    return Said(tuple(natives), left, ServiceSet(intervals.from_ranges(lost)))


def _natives(run: ServiceRange) -> Iterator[Native]:
    if run.protocol in (TCP, UDP):
        yield run.protocol, run.first, run.last
    elif run.protocol not in WITH_TYPES or run.whole:
        yield run.protocol, -1, -1
    else:
        at = run.first
        while at <= run.last:
            kind, code = divmod(at, 256)
            if code == 0 and at + 255 <= run.last:
                yield run.protocol, kind, -1
                at += 256
            else:
                yield run.protocol, kind, code
                at += 1


Cidr = tuple[Family, int, int]
"""Family, network, prefix length."""


def cover(packets: PacketSet) -> dict[Cidr, ServiceSet]:
    """Return services per CIDR whose union is exactly `packets`, in as few entries as this finds; ordered by CIDR.

    Peers with the same services become their minimal CIDR cover. A run of services is closed over a hole that a wider block fills
    anyway, but not stretched further, so that a change elsewhere does not move it.
    """
    found: dict[Cidr, list[Points]] = {}
    for family in Family:
        for peers, services in _rectangles(packets, family):
            for network, length in intervals.blocks(peers, family.width):
                found.setdefault((family, network, length), []).append(services)
    return {cidr: ServiceSet(intervals.union_all(found[cidr])) for cidr in sorted(found)}


def _rectangles(packets: PacketSet, family: Family) -> Iterator[tuple[Points, Points]]:
    by_peers: dict[Points, list[tuple[int, int]]] = {}
    for first, end, points in packets.bands(family):
        by_peers.setdefault(points, []).append((first, end))
    sizes = {peers: intervals.size(peers) for peers in by_peers}
    for peers, spans in by_peers.items():
        own = intervals.from_ranges(spans)
        wider = [
            span
            for other, spans in by_peers.items()
            if sizes[other] > sizes[peers] and intervals.contains(other, peers[0]) and intervals.is_subset(peers, other)
            for span in spans
        ]
        yield peers, _closed(own, intervals.from_ranges(wider), family) if wider else own


def _closed(own: Points, wider: Points, family: Family) -> Points:
    """Return `own` with the holes closed that wider blocks fill; everything where that is shorter, or says what they leave unsaid."""
    everything, whole = possible(family).points, intervals.union(own, wider)
    if whole == everything:
        mine, theirs = say(ServiceSet(own), family), say(ServiceSet(wider), family)
        if len(mine.natives) > 1 or mine.left or mine.lost or theirs.left or theirs.lost:
            return everything
    hulls: list[tuple[int, int]] = []
    for run in ServiceSet(whole).ranges():
        start = run.protocol * BLOCK
        inner = intervals.intersection(own, (start + run.first, start + run.last + 1))
        if inner:
            hulls.append((inner[0], inner[-1]))
    return intervals.from_ranges(hulls)


def cidr_text(cidr: Cidr) -> str:
    """Return the canonical text of a CIDR."""
    return prefix_text(*cidr)


def overlaps(points: Points, first: int, end: int) -> bool:
    """Tell whether a set has a member in first <= x < end."""
    at = bisect_right(points, first)
    return at % 2 == 1 or (at < len(points) and points[at] < end)


def everywhere(packets: PacketSet) -> dict[Family, ServiceSet]:
    """Return the services that every address of a family may use."""
    return {
        family: ServiceSet(
            intervals.from_ranges((first, end) for first, end, points in packets.bands(family) if points == (0, 1 << family.width))
        )
        for family in Family
    }


def union_of(sets: Iterable[ServiceSet]) -> ServiceSet:
    """Return the union of services."""
    return ServiceSet.union_all(sets)
