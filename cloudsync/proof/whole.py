"""Replay over whole paths: no state on the way of several targets lets a flow through that neither the old nor the new state does.

It asks the tables, not the planner: X is found from what is there and what comes out, and every phase of every target is looked at by its
bounds. Inside a stage the targets may be at any phase of their legs, each independently of the others; at one target all points of a flow
are looked at in the same phase. Between stages everybody rests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from itertools import pairwise
from math import prod

from cloudsync.adapter import Access, Adapter, Phase, Step, Table, Whose
from cloudsync.model.packets import PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId
from cloudsync.proof.flows import SHUT, Crossing, End, Flow, Place, through
from cloudsync.proof.values import Leg, PathReplay, PathViolation, Stage, Stop

SHOWN = 20
"""How many violations a replay tells."""

Moment = Mapping[PointId, Access]
"""The most that some points let through while a phase takes effect, or between phases."""


@dataclass(slots=True)
class Track:
    """One target's phases from one table on, and what its points let through at each of them."""

    adapter: Adapter
    table: Table
    phases: tuple[Phase, ...]
    places: Mapping[PointId, Place]
    _tables: list[Table] = field(default_factory=list)
    _seen: dict[tuple[int, bool, frozenset[PointId]], Moment] = field(default_factory=dict)

    def before(self, at: int) -> Table:
        """Return the table before a phase (or after the last one)."""
        if not self._tables:
            self._tables.append(self.table)
        while len(self._tables) <= at:
            self._tables.append(self.adapter.simulate(self._tables[-1], *self.phases[len(self._tables) - 1].steps))
        return self._tables[at]

    def rest(self, at: int, points: frozenset[PointId]) -> Moment:
        """Return what points let through before a phase begins."""
        key = (at, False, points)
        if key not in self._seen:
            self._seen[key] = self.adapter.decode(self.before(at), Whose.ALL, points)
        return self._seen[key]

    def during(self, at: int, points: frozenset[PointId]) -> Moment:
        """Return the most that points let through while a phase takes effect in any order."""
        key = (at, True, points)
        if key not in self._seen:
            uppers = self.adapter.bounds(self.before(at), self.phases[at].steps).upper
            decoded = [self.adapter.decode(one, Whose.ALL, points) for one in uppers]
            self._seen[key] = decoded[0] if len(decoded) == 1 else {point: _wide(point, decoded) for point in points}
        return self._seen[key]

    def blame(self, at: int, points: frozenset[PointId]) -> tuple[int, Step]:
        """Return the first write of a phase that acts on some points, with its number in the plan."""
        before = sum(len(phase.steps) for phase in self.phases[:at])
        steps = self.phases[at].steps
        for number, step in enumerate(steps):
            if self.adapter.affected(self.before(at), (step,)) & points:
                return before + number + 1, step
        return before + 1, steps[0]


def _wide(point: PointId, decoded: list[Moment]) -> Access:
    accesses = [one.get(point, SHUT) for one in decoded]
    return Access(PacketSet.union_all(one.inbound for one in accesses), PacketSet.union_all(one.outbound for one in accesses))


def replay_whole(tracks: Mapping[str, Track], stages: tuple[Stage, ...], crossings: Iterable[Crossing]) -> PathReplay:
    """Check every prefix of a course over several targets. Raises AssertionError where the stages leave out or repeat a phase."""
    _complete(tracks, stages)
    listed = tuple(crossings)
    at = dict.fromkeys(tracks, 0)
    states = 1
    violations: list[PathViolation] = []
    for stage in stages:
        for crossing in listed:
            if len(violations) < SHOWN:
                violations.extend(_slipping(tracks, stage, at, crossing))
        counts = [sum(len(phase.steps) for phase in tracks[leg.target].phases[leg.first : leg.end]) for leg in stage.legs]
        states += prod(count + 1 for count in counts) - 1
        at |= {leg.target: leg.end for leg in stage.legs}
    return PathReplay(states, tuple(violations))


def _complete(tracks: Mapping[str, Track], stages: tuple[Stage, ...]) -> None:
    for target, track in tracks.items():
        legs = [leg for stage in stages if (leg := stage.leg(target)) is not None]
        ends = [0, *(leg.end for leg in legs)]
        assert all(leg.first == end for leg, end in zip(legs, ends, strict=False)), f"{target}: a stage leaves out or repeats a phase"
        assert all(one < other for one, other in pairwise(ends)), f"{target}: an empty leg"
        assert ends[-1] == len(track.phases), f"{target}: the course does not reach the end of the plan"


def _slipping(tracks: Mapping[str, Track], stage: Stage, at: Mapping[str, int], crossing: Crossing) -> Iterator[PathViolation]:
    """Yield a violation when some of the flows pass every stop of their way at once during a stage."""
    if not any(stage.leg(end.target) for end in crossing.path):
        return  # everybody rests, as at the end of the stage before
    flows = list(crossing.flows)
    for target in dict.fromkeys(end.target for end in crossing.path):
        if target in tracks:  # who is not written in this course stays as wide as the flows already say
            ends = [end for end in crossing.path if end.target == target]
            passed = [_passing(flows, ends, moment) for moment in _moments(tracks[target], stage.leg(target), at[target], ends)]
            flows = list(dict.fromkeys(flow for one in passed for flow in one))
    if flows:
        yield _violation(tracks, stage, crossing, flows[0])


def _moments(track: Track, leg: Leg | None, at: int, ends: Iterable[End]) -> Iterator[tuple[Moment, Mapping[PointId, Place]]]:
    points = frozenset(point for end in ends for point in end.points)
    if leg is None:
        yield track.rest(at, points), track.places
        return
    for number in range(leg.first, leg.end):
        yield track.during(number, points), track.places


def _passing(flows: list[Flow], ends: Iterable[End], moment: tuple[Moment, Mapping[PointId, Place]]) -> list[Flow]:
    state, places = moment
    for end in ends:
        flows = through(flows, end, places, state)
    return flows


def _violation(tracks: Mapping[str, Track], stage: Stage, crossing: Crossing, flow: Flow) -> PathViolation:
    stops: list[Stop] = []
    for end in crossing.path:
        places = tracks[end.target].places if end.target in tracks else {}
        met = next((point for point in end.points if point in places and flow.at(end.kind, places[point].addresses)), end.points[0])
        stops.append(Stop(end.target, met, "inbound" if end.kind.inbound else "outbound"))
    target, number, step = _blame(tracks, stage, crossing, flow)
    return PathViolation(stage.name, target, number, step, flow.text(), tuple(stops))


def _blame(tracks: Mapping[str, Track], stage: Stage, crossing: Crossing, flow: Flow) -> tuple[str, int, str]:
    """Return the write that brings it about: the first that lets the flow pass where it opens, else one where it still passes."""
    for end in (crossing.opening, crossing.closing):
        leg = stage.leg(end.target)
        if leg is None:
            continue
        track, points = tracks[end.target], frozenset(end.points)
        for number in range(leg.first, leg.end):
            if _passing([flow], [end], (track.during(number, points), track.places)):
                counted, step = track.blame(number, points)
                return end.target, counted, step.title
    return crossing.opening.target, 0, ""
