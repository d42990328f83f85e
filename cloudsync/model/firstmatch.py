"""First match: which packets each action of an ordered list of rules decides, all of them in one sweep.

The line of services is cut where a rule begins or ends; between two cuts the same rules are alive, and a sweep over their peers, with the
first of them on top of a heap, tells who decides where. Time grows with rules and cuts, not with their product, unless they all overlap.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import TypeVar

from cloudsync.model import intervals
from cloudsync.model.address import Family
from cloudsync.model.intervals import Points
from cloudsync.model.packets import Band, PacketSet, append

Action = TypeVar("Action", bound=Hashable)


def decided(rules: Iterable[tuple[Action, PacketSet]]) -> dict[Action, PacketSet]:
    """Return, by action (None is none), the packets that rules of it decide: those that no rule before them matches.

    Actions that decide nothing are left out.
    """
    kept = [(action, packets) for action, packets in rules if packets]
    if len(kept) == 1:
        return dict(kept)
    found: dict[Action, dict[Family, tuple[Band, ...]]] = {}
    for family in Family:
        bands: dict[Action, list[Band]] = {}
        for first, end, peers in _cut(kept, family):
            for action, points in peers.items():
                append(bands.setdefault(action, []), first, end, points)
        for action, every in bands.items():
            found.setdefault(action, {})[family] = tuple(every)
    return {action: PacketSet(parts.get(Family.V4, ()), parts.get(Family.V6, ())) for action, parts in found.items()}


def _cut(rules: list[tuple[Action, PacketSet]], family: Family) -> Iterator[tuple[int, int, Mapping[Action, Points]]]:
    """Yield `(first, end, peers by action)` over the line of services, ascending."""
    actions: list[Action] = []
    peers: list[Points] = []
    begins: dict[int, list[int]] = {}
    ends: dict[int, list[int]] = {}
    for action, packets in rules:
        known: dict[Points, int] = {}
        for first, end, points in packets.bands(family):
            number = known.setdefault(points, len(peers))  # numbers ascend in the order of the rules
            if number == len(peers):
                actions.append(action)
                peers.append(points)
            begins.setdefault(first, []).append(number)
            ends.setdefault(end, []).append(number)
    alive: set[int] = set()
    bits = 0  # the same set: a key that is small however many are alive
    memo: dict[int, Mapping[Action, Points]] = {}
    before = 0
    for place in sorted(begins.keys() | ends.keys()):
        if alive:
            if bits not in memo:
                memo[bits] = _first(sorted(alive), actions, peers)
            yield before, place, memo[bits]
        for changed in (ends, begins):
            for number in changed.get(place, ()):
                alive ^= {number}
                bits ^= 1 << number
        before = place


def _first(some: list[int], actions: list[Action], peers: list[Points]) -> Mapping[Action, Points]:
    """Return, by action, the peers at which one of it stands first."""
    if len(some) == 1:
        return {actions[some[0]]: peers[some[0]]}
    if len({actions[number] for number in some}) == 1:
        return {actions[some[0]]: intervals.union_all(peers[number] for number in some)}
    flips = sorted([(place, number) for number in some for place in peers[number]])
    found: dict[Action, list[int]] = {}
    alive: set[int] = set()
    heap: list[int] = []
    now: Action | None = None
    at = 0
    while at < len(flips):
        place = flips[at][0]
        while at < len(flips) and flips[at][0] == place:
            number = flips[at][1]
            if number in alive:
                alive.remove(number)
            else:
                alive.add(number)
                heapq.heappush(heap, number)
            at += 1
        while heap and heap[0] not in alive:
            heapq.heappop(heap)
        first = actions[heap[0]] if heap else None
        if first != now:
            if now is not None:
                found[now].append(place)
            if first is not None:
                found.setdefault(first, []).append(place)
            now = first
    return {action: tuple(points) for action, points in found.items()}
