"""PacketSet: exact set algebra over peer address x protocol x port (or ICMP type and code), both families.

Kept as bands: per family a list of `(first, end, addresses)` over the service line, disjoint, ascending, neighbours with
the same addresses merged, no band empty. That form is canonical: two sets are equal exactly when their values are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from cloudsync.model import intervals
from cloudsync.model.address import ANYWHERE, AddressSet, Family, address_text
from cloudsync.model.intervals import Points
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ANY_SERVICE, BLOCK, WITH_PORTS, WITH_TYPES, ServiceRange, ServiceSet, possible

Band = tuple[int, int, Points]
Bands = tuple[Band, ...]


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet that opens a flow, seen from the enforcing workload: the peer and the service."""

    family: Family
    peer: int
    protocol: int
    detail: int
    """Port, or type*256+code for ICMP, or 0."""

    def text(self) -> str:
        """Return e.g. `10.1.2.3 tcp/22`."""
        run = ServiceRange(self.protocol, self.detail, self.detail)
        service = run.text() if self.protocol in WITH_PORTS | WITH_TYPES else ServiceRange(self.protocol, 0, BLOCK - 1).text()
        return f"{address_text(self.family, self.peer)} {service}"


@dataclass(frozen=True, slots=True)
class PacketSet:
    """A set of packets; see the module for the canonical form."""

    v4: Bands = ()
    v6: Bands = ()

    @classmethod
    def of(cls, addresses: AddressSet, services: ServiceSet) -> PacketSet:
        """Return every packet from these peers on these services (impossible ones, ICMP over IPv6 and so on, left out)."""
        return cls(_product(addresses, services, Family.V4), _product(addresses, services, Family.V6))

    @classmethod
    def union_all(cls, sets: Iterable[PacketSet]) -> PacketSet:
        """Return the union of many sets in one sweep."""
        kept = [packets for packets in sets if packets]
        if len(kept) < 2:
            return kept[0] if kept else NO_PACKETS
        return cls(_union_bands([s.v4 for s in kept]), _union_bands([s.v6 for s in kept]))

    def bands(self, family: Family) -> Bands:
        """Return the canonical bands of one family."""
        return self.v4 if family is Family.V4 else self.v6

    def __or__(self, other: PacketSet) -> PacketSet:
        if not self or self == other:
            return other
        return self if not other else PacketSet.union_all((self, other))

    def __and__(self, other: PacketSet) -> PacketSet:
        return PacketSet(_combine(self.v4, other.v4, intervals.intersection), _combine(self.v6, other.v6, intervals.intersection))

    def __sub__(self, other: PacketSet) -> PacketSet:
        if not other:
            return self
        return PacketSet(_combine(self.v4, other.v4, intervals.difference), _combine(self.v6, other.v6, intervals.difference))

    def __bool__(self) -> bool:
        return bool(self.v4 or self.v6)

    def __le__(self, other: PacketSet) -> bool:
        return self == other or not self - other

    def __contains__(self, packet: Packet) -> bool:
        at = packet.protocol * BLOCK + packet.detail
        return any(first <= at < end and intervals.contains(points, packet.peer) for first, end, points in self.bands(packet.family))

    @property
    def size(self) -> int:
        """Number of packets; a protocol without ports or types counts one per address."""
        total = 0
        for bands in (self.v4, self.v6):
            for first, end, points in bands:
                total += _services_in(first, end) * intervals.size(points)
        return total

    def witness(self) -> Packet | None:
        """Return one member, the lowest in the order family, service, address; None when empty."""
        for family in Family:
            for first, _end, points in self.bands(family):
                return Packet(family, points[0], first // BLOCK, first % BLOCK)
        return None

    def services(self) -> ServiceSet:
        """Return every service that some peer may use."""
        return ServiceSet(intervals.from_ranges((first, end) for bands in (self.v4, self.v6) for first, end, _ in bands))

    def peers(self, services: ServiceSet = ANY_SERVICE) -> AddressSet:
        """Return every peer that may use at least one of these services."""
        kept = self if services is ANY_SERVICE else self & PacketSet.of(ANYWHERE, services)
        return AddressSet(intervals.union_all(points for _, _, points in kept.v4), intervals.union_all(points for _, _, points in kept.v6))

    def products(self) -> Iterator[tuple[AddressSet, ServiceSet]]:
        """Yield disjoint `(peers, services)` boxes whose union is this set: one per distinct set of peers, stable order."""
        for family in Family:
            by_peers: dict[Points, list[tuple[int, int]]] = {}
            for first, end, points in self.bands(family):
                by_peers.setdefault(points, []).append((first, end))
            for points, spans in by_peers.items():
                peers = AddressSet(v4=points) if family is Family.V4 else AddressSet(v6=points)
                yield peers, ServiceSet(intervals.from_ranges(spans))

    def text(self, most: int = 3) -> str:
        """Return a short text for people, e.g. `tcp/22 from anywhere`; at most `most` parts, `nothing` when empty."""
        parts = [f"{_services_text(services, peers)} from {peers.text()}" for peers, services in _merged(self)]
        shown = "; ".join(parts[:most]) or "nothing"
        return shown if len(parts) <= most else f"{shown}; and {len(parts) - most} more"


def _merged(packets: PacketSet) -> list[tuple[AddressSet, ServiceSet]]:
    """Return boxes for people: the same services of both families are one box, ICMP beside its ICMPv6 twin."""
    by_services: dict[ServiceSet, AddressSet] = {}
    for peers, services in packets.products():
        by_services[services] = by_services.get(services, AddressSet()) | peers
    found = [(peers, services) for services, peers in by_services.items()]
    for at, (peers, services) in enumerate(found):
        if peers.v6:
            continue
        for other, (peers6, services6) in enumerate(found):
            both = services | services6
            if not peers6.v4 and both & possible(Family.V4) == services and both & possible(Family.V6) == services6:
                found[at] = (AddressSet(peers.v4, peers6.v6), both)
                del found[other]
                break
    return found


def _services_text(services: ServiceSet, peers: AddressSet) -> str:
    """Return the services, said as an exception where that is shorter: `any service except tcp/22`."""
    every = ServiceSet.union_all(possible(family) for family in Family if peers.family(family))
    left_out = every - services
    if not left_out:
        return ANY_SERVICE.text()
    if len(left_out.parts()) < len(services.parts()):
        return f"any service except {left_out.text()}"
    return services.text()


def _services_in(first: int, end: int) -> int:
    total = 0
    for run in ServiceSet((first, end)).ranges():
        total += run.last - run.first + 1 if run.protocol in WITH_PORTS | WITH_TYPES else 1
    return total


def _product(addresses: AddressSet, services: ServiceSet, family: Family) -> Bands:
    points = addresses.family(family)
    if not points:
        return ()
    spans = intervals.intersection(services.points, possible(family).points)
    return tuple((first, end, points) for first, end in intervals.ranges(spans))


def append(out: list[Band], first: int, end: int, points: Points) -> None:
    """Add a band behind the last one, in canonical form: a neighbour with the same addresses grows instead."""
    if out and out[-1][1] == first and out[-1][2] == points:
        out[-1] = (out[-1][0], end, points)
    else:
        out.append((first, end, points))


def _combine(a: Bands, b: Bands, operation: Callable[[Points, Points], Points]) -> Bands:
    """Return a op b for an operation whose result lies inside its first argument."""
    if not a or (not b and operation is intervals.intersection):
        return ()
    out: list[Band] = []
    j = 0
    for first, end, points in a:
        while j < len(b) and b[j][1] <= first:
            j += 1
        start, k = first, j
        while start < end:
            if k < len(b) and b[k][0] < end:
                if start < b[k][0]:
                    stop, other = b[k][0], intervals.EMPTY
                else:
                    stop, other = min(end, b[k][1]), b[k][2]
                    k += 1
            else:
                stop, other = end, intervals.EMPTY
            kept = operation(points, other)
            if kept:
                append(out, start, stop, kept)
            start = stop
    return tuple(out)


def _union_bands(lists: list[Bands]) -> Bands:
    events: dict[int, tuple[list[int], list[int]]] = {}
    sets: list[Points] = []
    number: dict[Points, int] = {}
    for bands in lists:
        for first, end, points in bands:
            at = number.setdefault(points, len(sets))
            if at == len(sets):
                sets.append(points)
            events.setdefault(first, ([], []))[0].append(at)
            events.setdefault(end, ([], []))[1].append(at)
    live: dict[int, int] = {}
    memo: dict[frozenset[int], Points] = {}
    out: list[Band] = []
    previous = 0
    for at in sorted(events):
        if live:
            active = frozenset(live)
            if active not in memo:
                memo[active] = intervals.union_all(sets[i] for i in sorted(active))
            append(out, previous, at, memo[active])
        starts, ends = events[at]
        for i in starts:
            live[i] = live.get(i, 0) + 1
        for i in ends:
            live[i] -= 1
            if not live[i]:
                del live[i]
        previous = at
    return tuple(out)


NO_PACKETS = PacketSet()
ALL_PACKETS = PacketSet.of(ANYWHERE, ANY_SERVICE)
