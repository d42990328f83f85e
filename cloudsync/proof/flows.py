"""Flows over several enforcement points in series, and those that only a moment between two states would let through.

A flow leaves by the source's egress, enters by the destination's ingress and, at a load balancer, is passed on to the ingress of a pool
member. While points change in any order each of them lies between what its old and new state share and what either allows. What then gets
through although neither the old nor the new state of the whole path allows it is X: somewhere on its way it closes (only the old state
allows it), somewhere else it opens (only the new one does), and everything between is wide. Exact: sets, no samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from enum import Enum

from cloudsync.adapter import Access
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet, Family, address_text, globally_routable
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import NO_SERVICE, ServiceSet, possible
from cloudsync.model.workload import Domain, Forward, PointId

SHUT = Access()


class Kind(Enum):
    """Where on its way a flow meets a point."""

    LEAVES = "leaves"
    """At the source: packets to the destination."""
    ENTERS = "enters"
    """At the first destination: packets from the source."""
    PASSED_ON = "passed on"
    """At the member of a load balancer's pool: packets from the source, or from the load balancer's own addresses."""

    @property
    def inbound(self) -> bool:
        """Tell which direction of the point is asked."""
        return self is not Kind.LEAVES

    def of(self, access: Access) -> PacketSet:
        """Return the side of a point that decides there."""
        return access.inbound if self.inbound else access.outbound


@dataclass(frozen=True, slots=True)
class Flow:
    """A box of flows: from each of `start` to each of `front` on each of `service`, one address family; behind a load balancer on to
    each of `behind` on each of `onward`, coming from `via` (nowhere: the address of the source is kept).
    """

    start: AddressSet
    front: AddressSet
    service: ServiceSet
    behind: AddressSet = NOWHERE
    onward: ServiceSet = NO_SERVICE
    via: AddressSet = NOWHERE

    def seen(self, kind: Kind) -> PacketSet:
        """Return the packets as one point of the way sees them."""
        match kind:
            case Kind.LEAVES:
                return PacketSet.of(self.front, self.service)
            case Kind.ENTERS:
                return PacketSet.of(self.start, self.service)
            case Kind.PASSED_ON:
                return PacketSet.of(self.via or self.start, self.onward)

    def passing(self, kind: Kind, packets: PacketSet) -> Iterator[Flow]:
        """Yield what of it a point lets through."""
        seen = self.seen(kind)
        kept = seen & packets
        if kept == seen:
            if seen:
                yield self
            return
        for peers, services in kept.products():
            match kind:
                case Kind.LEAVES:
                    yield replace(self, front=peers, service=services)
                case Kind.ENTERS:
                    yield replace(self, start=peers, service=services)
                case Kind.PASSED_ON:
                    yield replace(self, via=peers, onward=services) if self.via else replace(self, start=peers, onward=services)

    def at(self, kind: Kind, addresses: AddressSet) -> Flow | None:
        """Return what of it meets a point with these addresses; None for nothing."""
        match kind:
            case Kind.LEAVES:
                met = self.start & addresses
                return replace(self, start=met) if met else None
            case Kind.ENTERS:
                met = self.front & addresses
                return replace(self, front=met) if met else None
            case Kind.PASSED_ON:
                met = self.behind & addresses
                return replace(self, behind=met) if met else None

    def text(self) -> str:
        """Return one flow of it, e.g. `10.0.0.1 -> 10.0.0.2 tcp/22`, with where a load balancer passes it on to."""
        service = next(self.service.ranges())
        service = replace(service, last=service.first) if not service.whole else service
        words = f"{_one(self.start)} -> {_one(self.front)} {service.text()}"
        if self.behind:
            onward = next(self.onward.ranges())
            onward = replace(onward, last=onward.first) if not onward.whole else onward
            words += f" -> {_one(self.behind)} {onward.text()}"
        return words

    @property
    def size(self) -> int:
        """Number of packets as its last point sees them, times the addresses that they go to."""
        if self.behind:
            return self.seen(Kind.PASSED_ON).size * self.behind.size * self.front.size
        return self.seen(Kind.ENTERS).size * self.front.size


def _one(addresses: AddressSet) -> str:
    family = Family.V4 if addresses.v4 else Family.V6
    return address_text(family, addresses.family(family)[0])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a point stands: its addresses, its routing domain (None: not known, so that any may be meant), what it forwards to."""

    addresses: AddressSet
    domain: Domain | None = None
    forwards: tuple[Forward, ...] = ()


@dataclass(frozen=True, slots=True)
class Ground:
    """One target: what its points let through before and after, and where they stand."""

    target: str
    old: Mapping[PointId, Access]
    new: Mapping[PointId, Access]
    places: Mapping[PointId, Place]


@dataclass(frozen=True, slots=True)
class End:
    """Points of one target that change in the same way, as one kind of stop on a flow's way."""

    target: str
    kind: Kind
    points: tuple[PointId, ...]
    addresses: AddressSet
    domain: Domain | None
    old: PacketSet
    new: PacketSet
    closes: PacketSet = NO_PACKETS
    opens: PacketSet = NO_PACKETS
    peers: AddressSet = NOWHERE
    """With whom anything changes."""

    @property
    def wide(self) -> PacketSet:
        """What either state lets through."""
        return self.old if self.old == self.new else self.old | self.new

    @property
    def changes(self) -> bool:
        """Tell whether anything opens or closes here."""
        return bool(self.closes or self.opens)


@dataclass(frozen=True, slots=True)
class Crossing:
    """Flows of X on one way: `closing` is the stop that only the old state lets them pass, `opening` the one that only the new does."""

    path: tuple[End, ...]
    closing: End
    opening: End
    flows: tuple[Flow, ...]

    @property
    def targets(self) -> frozenset[str]:
        """The targets at which something changes for these flows."""
        return frozenset({self.closing.target, self.opening.target})


@dataclass(slots=True)
class _Ends:
    """The stops of all targets, grouped; those where nothing changes are made only when they are asked for."""

    grounds: tuple[Ground, ...]
    _still: tuple[End, ...] | None = None

    def changing(self, kind: Kind) -> list[End]:
        """Return where something changes."""
        return [end for ground in self.grounds for end in _grouped(ground, kind, changing=True)]

    def still(self) -> tuple[End, ...]:
        """Return the sources at which nothing changes."""
        if self._still is None:
            self._still = tuple(end for ground in self.grounds for end in _grouped(ground, Kind.LEAVES, changing=False))
        return self._still


def crossings(grounds: Iterable[Ground]) -> Iterator[Crossing]:
    """Yield every crossing: pairs of stops that change, and ways through load balancers. Nothing when any interleaving is safe."""
    ends = _Ends(tuple(grounds))
    fronts = [one for ground in ends.grounds for one in _fronts(ground)]
    leaving = ends.changing(Kind.LEAVES)
    if not leaving and not fronts:
        return
    entering = ends.changing(Kind.ENTERS)
    for source in leaving:
        for destination in entering:
            yield from _pair(source, destination)
    for front, forwards in fronts:
        for forward in forwards:
            yield from _behind(front, forward, (leaving, entering), ends)


def _grouped(ground: Ground, kind: Kind, *, changing: bool) -> Iterator[End]:
    """Yield points that change alike (or that stay alike) as one stop."""
    groups: dict[tuple[PacketSet, PacketSet, Domain | None], list[PointId]] = {}
    differs: dict[tuple[int, int], bool] = {}
    for point in sorted(ground.old.keys() | ground.new.keys()):
        place = ground.places.get(point)
        if place is None or not place.addresses:
            continue
        old, new = kind.of(ground.old.get(point, SHUT)), kind.of(ground.new.get(point, SHUT))
        key = (id(old), id(new))
        if key not in differs:  # most points share their packets with others: each pair is compared once
            differs[key] = old is not new and old != new
        if differs[key] is changing:
            groups.setdefault((old, new, place.domain), []).append(point)
    for (old, new, domain), points in groups.items():
        addresses = AddressSet.union_all(ground.places[point].addresses for point in points)
        yield _end(End(ground.target, kind, tuple(points), addresses, domain, old, new))


def _end(end: End) -> End:
    """Return an end with what closes and opens there."""
    if end.old == end.new:
        return end
    closes, opens = end.old - end.new, end.new - end.old
    return replace(end, closes=closes, opens=opens, peers=closes.peers() | opens.peers())


def _fronts(ground: Ground) -> Iterator[tuple[End, tuple[Forward, ...]]]:
    """Yield the points that pass flows on, one by one, with what they forward to."""
    for point, place in sorted(ground.places.items()):
        if place.forwards:
            old, new = ground.old.get(point, SHUT).inbound, ground.new.get(point, SHUT).inbound
            yield _end(End(ground.target, Kind.ENTERS, (point,), place.addresses, place.domain, old, new)), place.forwards


def met(source: End, destination: End) -> tuple[AddressSet, AddressSet]:
    """Return the addresses under which two ends meet: all of them inside one routing domain, else the globally routable ones."""
    if source.domain is None or destination.domain is None or source.domain == destination.domain:
        return source.addresses, destination.addresses
    return source.addresses & globally_routable(), destination.addresses & globally_routable()


def _pair(source: End, destination: End) -> Iterator[Crossing]:
    start, goal = met(source, destination)
    if not source.peers & goal or not destination.peers & start:
        return  # the ordinary case, and the cheapest to tell
    path = (source, destination)
    for closing, opening in ((source, destination), (destination, source)):
        if not closing.closes or not opening.opens:
            continue
        flows = tuple(
            flow
            for family in Family
            if start.only(family) and goal.only(family)
            for first in Flow(start.only(family), goal.only(family), possible(family)).passing(closing.kind, closing.closes)
            for flow in first.passing(opening.kind, opening.opens)
        )
        if flows:
            yield Crossing(path, closing, opening, flows)


def _behind(front: End, forward: Forward, changing: tuple[list[End], list[End]], ends: _Ends) -> Iterator[Crossing]:
    """Yield the crossings of flows that a load balancer passes on: with a pool member that changes, and whoever else changes before it."""
    clients, entering = changing
    members = [_member(end, forward, front) for end in entering]
    members = [end for end in members if end.addresses and end.points != front.points]
    for member in members:
        for family in Family:
            goal = front.addresses.only(family)
            if not goal:
                continue
            known = NOWHERE
            for client in clients:
                start = met(client, front)[0].only(family)
                known |= start
                yield from _composite((client, front, member), forward, start, goal)
            free = ANYWHERE.only(family) - known
            for found in _composite((front, member), forward, free, goal) if front.changes else ():
                flows = tuple(flow for flow in _sendable(found.flows, front, ends.still()))
                if flows:
                    yield replace(found, flows=flows)


def _member(end: End, forward: Forward, front: End) -> End:
    both = met(front, end)[1] & forward.to
    return replace(end, kind=Kind.PASSED_ON, addresses=both)


def _composite(path: tuple[End, ...], forward: Forward, start: AddressSet, goal: AddressSet) -> Iterator[Crossing]:
    """Yield the crossings of one way through a load balancer, for each pair of a closing and an opening stop but those before it alone."""
    family = Family.V4 if goal.v4 else Family.V6
    member = path[-1]
    bases: list[Flow] = []
    for inner in Family:
        behind, via = member.addresses.only(inner), forward.sources.only(inner)
        if behind and start and (via if forward.sources else inner is family):
            bases.append(Flow(start, goal, forward.services & possible(family), behind, forward.onward & possible(inner), via))
    for closing in path:
        for opening in path:
            if closing is opening or not closing.closes or not opening.opens or member not in (closing, opening):
                continue
            flows: list[Flow] = bases
            for stop in path:
                allowed = closing.closes if stop is closing else opening.opens if stop is opening else stop.wide
                flows = [part for flow in flows for part in flow.passing(stop.kind, allowed)]
            if flows:
                yield Crossing(path, closing, opening, tuple(flows))


def _sendable(flows: Iterable[Flow], front: End, leaving: Iterable[End]) -> Iterator[Flow]:
    """Yield what of these flows somebody can send: sources whose egress is known and does not change are asked, strangers may."""
    rest = list(flows)
    for end in leaving:
        own = met(end, front)[0]
        for flow in rest:
            inside = flow.at(Kind.LEAVES, own)
            if inside is not None:
                yield from inside.passing(Kind.LEAVES, end.old)
        rest = [replace(flow, start=flow.start - own) for flow in rest if flow.start - own]
    yield from rest


def through(flows: Iterable[Flow], end: End, places: Mapping[PointId, Place], state: Mapping[PointId, Access]) -> list[Flow]:
    """Return what of some flows passes one stop at a moment, point by point (points that change alike may be at different stages)."""
    groups: dict[PacketSet, list[AddressSet]] = {}
    for point in end.points:
        groups.setdefault(end.kind.of(state.get(point, SHUT)), []).append(places[point].addresses)
    kept: list[Flow] = []
    for packets, listed in groups.items():
        addresses = AddressSet.union_all(listed)
        for flow in flows:
            inside = flow.at(end.kind, addresses)
            if inside is not None:
                kept.extend(inside.passing(end.kind, packets))
    return kept
