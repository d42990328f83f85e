"""Workloads that share an address in a place where it counts for both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cloudsync.model import intervals
from cloudsync.model.address import AddressSet, Family, globally_routable
from cloudsync.model.workload import Domain, Workload

Span = tuple[int, int, int]
"""First address, the one behind the last, number of the workload."""


def clashes(workloads: Sequence[Workload], most: int = 100) -> Iterator[tuple[Workload, Workload, AddressSet]]:
    """Yield up to `most` pairs of workloads with the addresses they share, in order of the workloads; each pair once.

    A globally routable address counts everywhere, any other one only inside its own routing domain. Interfaces that carry the same word
    `shared` may have the same addresses: they are one owner here, who goes by the first workload of them that is concerned.
    """
    sharing = _sharing(workloads)
    pairs: dict[tuple[int, int], None] = {}
    for spans in _places(workloads, sharing):
        for pair in _overlaps(spans):
            pairs.setdefault(pair)
            if len(pairs) >= most:
                break
    for left, right in sorted(pairs)[:most]:
        found = ((one, other) for one in _owners(workloads, sharing, left) for other in _owners(workloads, sharing, right))
        one, other = next((pair for pair in found if _shared(*pair)), (workloads[left], workloads[right]))
        yield one, other, _shared(one, other)


def _sharing(workloads: Sequence[Workload]) -> dict[str, list[int]]:
    """Return the numbers of the workloads that share addresses, by the word they share."""
    found: dict[str, list[int]] = {}
    for number, workload in enumerate(workloads):
        for word in {interface.shared for interface in workload.interfaces if interface.shared}:
            found.setdefault(word, []).append(number)
    return found


def _owners(workloads: Sequence[Workload], sharing: dict[str, list[int]], number: int) -> list[Workload]:
    """Return the workloads that an owner stands for: itself, and those that share with it when it is the first of them."""
    also = [other for numbers in sharing.values() if numbers[0] == number for other in numbers[1:]]
    return [workloads[one] for one in (number, *also)]


def _shared(one: Workload, other: Workload) -> AddressSet:
    found = []
    for mine in one.interfaces:
        for yours in other.interfaces:
            if mine.shared and mine.shared == yours.shared:
                continue
            both = mine.addresses & yours.addresses
            found.append(both if mine.domain == yours.domain else both & globally_routable())
    return AddressSet.union_all(found)


def _places(workloads: Sequence[Workload], sharing: dict[str, list[int]]) -> Iterator[list[Span]]:
    """Yield the ranges that must not overlap: those of each domain and family, then the globally routable ones of all domains together."""
    places: dict[tuple[Domain, Family], list[Span]] = {}
    together: dict[tuple[str, Domain], list[AddressSet]] = {}
    owned: list[tuple[Domain, AddressSet, int]] = []
    for number, workload in enumerate(workloads):
        for interface in workload.interfaces:
            if interface.shared:
                together.setdefault((interface.shared, interface.domain), []).append(interface.addresses)
            else:
                owned.append((interface.domain, interface.addresses, number))
    owned += [(domain, AddressSet.union_all(parts), sharing[word][0]) for (word, domain), parts in together.items()]
    for domain, addresses, number in owned:
        for family in Family:
            spans = places.setdefault((domain, family), [])
            points = addresses.family(family)
            if len(points) == 2:
                spans.append((points[0], points[1], number))
            elif points:
                spans += [(start, end, number) for start, end in intervals.ranges(points)]
    yield from places.values()
    if len({domain for domain, _ in places}) < 2:
        return
    for family in Family:
        everywhere = globally_routable().family(family)
        yield [
            (start, end, number)
            for (_, own), spans in places.items()
            if own is family
            for first, last, number in spans
            for start, end in intervals.ranges(intervals.intersection((first, last), everywhere))
        ]


def _overlaps(spans: list[Span]) -> Iterator[tuple[int, int]]:
    """Yield pairs of workload numbers whose ranges overlap, by one sweep over the sorted ranges."""
    still_open: list[tuple[int, int]] = []
    last = 0  # the end of everything before
    for start, end, number in sorted(spans):
        if start >= last:
            still_open, last = [(end, number)], end
            continue
        last = max(last, end)
        still_open = [(until, other) for until, other in still_open if until > start]
        for _, other in still_open:
            if other != number:
                yield min(other, number), max(other, number)
        still_open.append((end, number))
