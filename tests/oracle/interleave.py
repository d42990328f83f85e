"""A brute-force interleaver: single packets through every state that targets may be in together, by decoding whole tables.

It knows nothing of how a course was found, nor of packet algebra over paths: a flow is one packet, a stop is one point, a state is a table.
Inside a phase each point may have seen any part of the phase's writes, whatever the other points have seen (the data plane lags per point).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from cloudsync.adapter import Access, Adapter, Phase, Step, Table
from cloudsync.model.packets import Packet
from cloudsync.model.workload import PointId
from cloudsync.proof.values import Stage

SUBSETS_MAX = 6
"""Up to so many writes in a phase, every part of them is looked at; above, every prefix, suffix and single one."""


@dataclass(frozen=True, slots=True)
class Stopover:
    """One point on one packet's way, and the packet as it is seen there."""

    target: str
    point: PointId
    inbound: bool
    packet: Packet


@dataclass(frozen=True, slots=True)
class Trip:
    """One flow: every point that it has to pass."""

    name: str
    stops: tuple[Stopover, ...]


@dataclass(slots=True)
class Actor:
    """One target: where it starts and what it will be sent."""

    adapter: Adapter
    table: Table
    phases: tuple[Phase, ...]
    _tables: list[Table] = field(default_factory=list)
    _seen: dict[tuple[int, frozenset[int]], Mapping[PointId, Access]] = field(default_factory=dict)

    def after(self, phase: int) -> Table:
        """Return the table before phase number `phase`."""
        if not self._tables:
            self._tables.append(self.table)
        while len(self._tables) <= phase:
            self._tables.append(self.adapter.simulate(self._tables[-1], *self.phases[len(self._tables) - 1].steps))
        return self._tables[phase]

    def access(self, phase: int, part: frozenset[int]) -> Mapping[PointId, Access]:
        """Return what every point lets through when it has seen a part of a phase's writes."""
        key = (phase, part)
        if key not in self._seen:
            steps = self.phases[phase].steps if part else ()
            table = self.adapter.simulate(self.after(phase), *(step for number, step in enumerate(steps) if number in part))
            self._seen[key] = self.adapter.decode(table)
        return self._seen[key]

    def parts(self, phase: int) -> Iterator[frozenset[int]]:
        """Yield the parts of a phase's writes that a point may have seen."""
        count = len(self.phases[phase].steps)
        if count <= SUBSETS_MAX:
            for size in range(count + 1):
                yield from map(frozenset, combinations(range(count), size))
            return
        for at in range(count + 1):
            yield frozenset(range(at))
            yield frozenset(range(at, count))
        yield from (frozenset({at}) for at in range(count))


def open_at(access: Mapping[PointId, Access], stop: Stopover) -> bool:
    """Tell whether a point lets a packet through."""
    found = access.get(stop.point, Access())
    return stop.packet in (found.inbound if stop.inbound else found.outbound)


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that a state breaks: kind `exposure` or `outage`, of which flow, in which stage (its number)."""

    kind: str
    trip: str
    stage: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What brute force says: broken promises, and how many states of single flows it looked at."""

    broken: tuple[Broken, ...]
    looked: int


def judge(actors: Mapping[str, Actor], stages: tuple[Stage, ...], trips: Iterable[Trip]) -> Verdict:
    """Return every promise that some interleaving breaks."""
    broken: list[Broken] = []
    looked = 0
    for trip in trips:
        old = all(open_at(actors[stop.target].access(0, frozenset()), stop) for stop in trip.stops)
        new = all(open_at(_final(actors[stop.target]), stop) for stop in trip.stops)
        at = dict.fromkeys(actors, 0)
        for number, stage in enumerate(stages):
            can, must, states = _stage(actors, stage, at, trip)
            looked += states
            if can and not (old or new):
                broken.append(Broken("exposure", trip.name, number))
            if not must and old and new:
                broken.append(Broken("outage", trip.name, number))
            at |= {leg.target: leg.end for leg in stage.legs}
    return Verdict(tuple(broken), looked)


def _final(actor: Actor) -> Mapping[PointId, Access]:
    return actor.access(len(actor.phases), frozenset())


def _stage(actors: Mapping[str, Actor], stage: Stage, at: Mapping[str, int], trip: Trip) -> tuple[bool, bool, int]:
    """Return whether a flow can get through in some state of a stage, whether it does in all of them, and the states looked at."""
    can, must, looked = True, True, 0
    for target in dict.fromkeys(stop.target for stop in trip.stops):
        actor, leg = actors[target], stage.leg(target)
        stops = [stop for stop in trip.stops if stop.target == target]
        together = False
        for phase in range(leg.first, leg.end) if leg is not None else (at[target],):
            parts = tuple(actor.parts(phase)) if leg is not None else (frozenset[int](),)
            told = [[open_at(actor.access(phase, part), stop) for part in parts] for stop in stops]
            looked += len(parts) * len(stops)
            together |= all(any(one) for one in told)
            must &= all(all(one) for one in told)
        can &= together
    return can, must, looked


def walk(
    actors: Mapping[str, Actor], stages: tuple[Stage, ...], dice: random.Random, *, lag: bool = True
) -> Iterator[dict[str, tuple[int, Mapping[PointId, frozenset[int]]]]]:
    """Yield states of one random run: per target its phase, and per point what part of that phase's writes it has seen."""
    at = dict.fromkeys(actors, 0)
    for stage in stages:
        going = {leg.target: [leg.first, leg.end] for leg in stage.legs}
        sent: dict[str, list[int]] = {target: [] for target in going}
        while going:
            target = dice.choice(sorted(going))
            phase, end = going[target]
            steps: tuple[Step, ...] = actors[target].phases[phase].steps
            left = [number for number in range(len(steps)) if number not in sent[target]]
            if left:
                sent[target].append(dice.choice(left))
            else:
                sent[target] = []
                going[target] = [phase + 1, end]
                at[target] = phase + 1
                if phase + 1 == end:
                    del going[target]
            yield {name: (at[name], _lagging(actor, at[name], sent.get(name, []), dice, lag=lag)) for name, actor in actors.items()}


def _lagging(actor: Actor, phase: int, sent: list[int], dice: random.Random, *, lag: bool) -> dict[PointId, frozenset[int]]:
    if phase == len(actor.phases):
        sent = []
    return {one.id: frozenset(number for number in sent if not lag or dice.random() < 0.7) for one in actor.adapter.points(actor.table)}


def passes(actors: Mapping[str, Actor], state: Mapping[str, tuple[int, Mapping[PointId, frozenset[int]]]], trip: Trip) -> bool:
    """Tell whether a flow gets through in one state of a walk."""
    return all(open_at(actors[stop.target].access(state[stop.target][0], state[stop.target][1][stop.point]), stop) for stop in trip.stops)
