"""Points in series: a packet between two workloads crosses the source's egress and the destination's ingress.

X = what could get through while both are wide but neither the old nor the new state lets through. If X is empty, adding everywhere before
removing anywhere is safe in any interleaving; if not, it exposes, and the transition has to shrink first (MEET).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cloudsync.adapter import Access, Adapter, Table, Whose
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.packets import Packet, PacketSet
from cloudsync.model.service import ServiceSet, possible
from cloudsync.model.workload import PointId

EXACT_PAIRS_MAX = 4096
"""Pairs of points up to which X is decided pair by pair; above, the (sound) estimate per group of equal points stands."""


@dataclass(frozen=True, slots=True)
class _Side:
    """Points whose tables change in the same way, on one end of a path."""

    old: PacketSet
    new: PacketSet
    points: tuple[PointId, ...]
    addresses: AddressSet


@dataclass(frozen=True, slots=True)
class Crossing:
    """A packet of X: on its way from source to destination while both are wide."""

    source: PointId
    destination: PointId
    packet: Packet


def crossings(adapter: Adapter, actual: Table, final: Table, addresses: Mapping[PointId, AddressSet]) -> Iterator[Crossing]:
    """Yield a witness of X per pair of changing ends; nothing when any interleaving of points is safe."""
    old = adapter.decode(actual, Whose.ALL)
    new = adapter.decode(final, Whose.ALL)
    sources = _sides(old, new, addresses, outbound=True)
    if not sources:
        return
    for destination in _sides(old, new, addresses, outbound=False):
        for source in sources:
            yield from _pair(source, destination, addresses)


def _sides(
    old: Mapping[PointId, Access], new: Mapping[PointId, Access], addresses: Mapping[PointId, AddressSet], *, outbound: bool
) -> tuple[_Side, ...]:
    groups: dict[tuple[PacketSet, PacketSet], list[PointId]] = {}
    for point in sorted(old.keys() | new.keys()):
        before, after = old.get(point, Access()), new.get(point, Access())
        pair = (before.outbound, after.outbound) if outbound else (before.inbound, after.inbound)
        if pair[0] != pair[1]:
            groups.setdefault(pair, []).append(point)
    return tuple(
        _Side(before, after, tuple(points), AddressSet.union_all(addresses.get(point, AddressSet()) for point in points))
        for (before, after), points in groups.items()
    )


def _pair(source: _Side, destination: _Side, addresses: Mapping[PointId, AddressSet]) -> Iterator[Crossing]:
    found = _wide(source, destination, source.addresses, destination.addresses)
    if not found:
        return
    if len(source.points) * len(destination.points) > EXACT_PAIRS_MAX:
        yield _witness(source, destination, found, (source.points[0], destination.points[0]))
        return
    for start in source.points:
        for goal in destination.points:
            exact = _wide(source, destination, addresses.get(start, AddressSet()), addresses.get(goal, AddressSet()))
            if exact:
                yield _witness(source, destination, exact, (start, goal))
                return


def _witness(source: _Side, destination: _Side, services: ServiceSet, pair: tuple[PointId, PointId]) -> Crossing:
    packet = (PacketSet.of(source.addresses, services) or PacketSet.of(destination.addresses, services)).witness()
    assert packet is not None
    return Crossing(*pair, packet)


def _wide(source: _Side, destination: _Side, from_: AddressSet, to: AddressSet) -> ServiceSet:
    """Return services open while both ends are wide but surely in neither the old nor the new state; exact for single addresses."""
    found = ServiceSet()
    for family in Family:
        start, goal = from_.only(family), to.only(family)
        if not start or not goal:
            continue
        there = (_some(source.old, goal, family) | _some(source.new, goal, family)) & (
            _some(destination.old, start, family) | _some(destination.new, start, family)
        )
        before = _every(source.old, goal, family) & _every(destination.old, start, family)
        after = _every(source.new, goal, family) & _every(destination.new, start, family)
        found |= there - before - after
    return found


def _some(packets: PacketSet, peers: AddressSet, family: Family) -> ServiceSet:
    return (packets & PacketSet.of(peers, possible(family))).services()


def _every(packets: PacketSet, peers: AddressSet, family: Family) -> ServiceSet:
    whole = PacketSet.of(peers, possible(family))
    return possible(family) - (whole - packets).services()
