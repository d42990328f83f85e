"""Points in series: no moment on the way lets a flow through that neither the old nor the new state of its whole way lets through.

A flow between two points leaves by the source's outbound side and enters by the destination's inbound side. While both change, what gets
through can be more than either state allows: where one closes and the other opens. Inside one target both are in the same phase; targets
that the plan joins into a component go through its stages together; any others may be anywhere on their ways at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cloudsync.verify.ground import Json, Passage, Place, items, mapping, number, text
from cloudsync.verify.policy import Meaning
from cloudsync.verify.space import Packets, UnreadableError

SHUT = Passage()


@dataclass(frozen=True, slots=True)
class Track:
    """One target's points: before, after, the most of each phase, and between phases. A target that is not written has no phase."""

    target: str
    places: Mapping[str, Place]
    domains: Mapping[str, str]
    """Routing domains of the points that belong to a workload."""
    rests: tuple[Mapping[str, Passage], ...]
    """Before each phase, and after the last."""
    during: tuple[Mapping[str, Passage], ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """Parts of targets' phases that run in any order: target -> first phase, and the one behind the last."""

    legs: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class End:
    """Points of one target that are alike at every moment, as sources or as destinations."""

    track: Track
    points: tuple[str, ...]
    mask: int
    domain: str | None
    outbound: bool
    rests: tuple[Packets, ...]
    during: tuple[Packets, ...]

    @property
    def closes(self) -> Packets:
        """What only the old state lets through."""
        return self.rests[0] & ~self.rests[-1]

    @property
    def opens(self) -> Packets:
        """What only the new state lets through."""
        return self.rests[-1] & ~self.rests[0]

    def part(self, first: int, end: int) -> Packets:
        """Return the most that some phases let through."""
        found = self.rests[first]
        for at in range(first, end):
            found |= self.during[at]
        return found


@dataclass(frozen=True, slots=True)
class Slip:
    """A flow that gets through at a wrong moment."""

    source: str
    source_target: str
    destination: str
    destination_target: str
    packets: Packets
    """As the destination sees them."""
    when: str


def stages_of(component: Json, phases: Mapping[str, int]) -> tuple[Stage, ...]:
    """Return the stages of a component. Raises UnreadableError where they leave out or repeat a phase. `phases`: how many, by target."""
    found = [
        Stage(
            {
                text(leg["target"], "a target"): (number(leg["first"], "a phase"), number(leg["end"], "a phase"))
                for leg in items(one["legs"], "legs")
            }
        )
        for one in items(mapping(component, "a component")["stages"], "stages")
    ]
    for target in items(component["targets"], "targets"):
        ends = [0]
        for stage in found:
            if target in stage.legs:
                first, end = stage.legs[target]
                if first != ends[-1] or end < first:
                    raise UnreadableError(f"the stages leave out or repeat a phase of {target}")
                ends.append(end)
        if ends[-1] != phases.get(target, 0):
            raise UnreadableError(f"the stages do not reach the end of the phases of {target}")
    return tuple(found)


def slips(meaning: Meaning, tracks: Iterable[Track], stages: Mapping[str, tuple[Stage, ...]]) -> Iterator[Slip]:
    """Yield a flow per pair of ends that gets through at a wrong moment. `stages`: of the component that a target is in."""
    listed = tuple(tracks)
    sources = [end for track in listed for end in _ends(meaning, track, outbound=True) if end.closes or end.opens]
    goals = [end for track in listed for end in _ends(meaning, track, outbound=False) if end.closes or end.opens]
    for source in sources:
        for goal in goals:
            yield from _pair(meaning, source, goal, stages)


def _ends(meaning: Meaning, track: Track, *, outbound: bool) -> Iterator[End]:
    ids: dict[Packets, int] = {}
    groups: dict[tuple[object, ...], list[str]] = {}
    sides: dict[tuple[object, ...], tuple[tuple[Packets, ...], tuple[Packets, ...]]] = {}
    for point, place in sorted(track.places.items()):
        if not place.addresses:
            continue
        rests, during = (
            tuple(one.get(point, SHUT).outbound if outbound else one.get(point, SHUT).inbound for one in some)
            for some in (track.rests, track.during)
        )
        key: tuple[object, ...] = (track.domains.get(point), *(ids.setdefault(one, len(ids)) for one in (*rests, *during)))
        groups.setdefault(key, []).append(point)
        sides[key] = (rests, during)
    for made_of, points in groups.items():
        mask = 0
        for point in points:
            mask |= meaning.space.mask(track.places[point].addresses)
        yield End(track, tuple(points), mask, track.domains.get(points[0]), outbound, *sides[made_of])


def _pair(meaning: Meaning, source: End, goal: End, stages: Mapping[str, tuple[Stage, ...]]) -> Iterator[Slip]:
    near = source.domain is None or goal.domain is None or source.domain == goal.domain
    seen = -1 if near else meaning.routed
    for closing, opening in ((source, goal), (goal, source)):
        if not _meets(meaning, closing, opening, seen):
            continue
        for when, at_source, at_goal in _moments(source, goal, stages):
            out = at_source & (closing.closes if closing is source else opening.opens)
            into = at_goal & (closing.closes if closing is goal else opening.opens)
            found = _through(meaning, (source, out), (goal, into), seen)
            if found is not None:
                yield Slip(found[0], source.track.target, found[1], goal.track.target, found[2], when)
                return


def _meets(meaning: Meaning, closing: End, opening: End, seen: int) -> bool:
    """Tell whether anything closes towards the one and opens towards the other."""
    space = meaning.space
    return bool(
        closing.closes
        and opening.opens
        and space.peers(closing.closes, space.every_row) & opening.mask & seen
        and space.peers(opening.opens, space.every_row) & closing.mask & seen
    )


def _moments(source: End, goal: End, stages: Mapping[str, tuple[Stage, ...]]) -> Iterator[tuple[str, Packets, Packets]]:
    """Yield what both ends let through at most at each moment at which they may be at once."""
    one, two = source.track.target, goal.track.target
    if one == two:
        for at in range(len(source.during)):
            yield f"phase {at + 1}", source.during[at], goal.during[at]
        return
    course = stages.get(one)
    if course is None or course is not stages.get(two):
        yield "while both are under way", source.part(0, len(source.during)), goal.part(0, len(goal.during))
        return
    reached = {one: 0, two: 0}
    for count, stage in enumerate(course):
        if one in stage.legs or two in stage.legs:
            parts = [end.part(*stage.legs.get(end.track.target, (reached[end.track.target],) * 2)) for end in (source, goal)]
            yield f"stage {count + 1}", parts[0], parts[1]
            reached |= {target: stage.legs[target][1] for target in reached if target in stage.legs}


def _through(meaning: Meaning, source: tuple[End, Packets], goal: tuple[End, Packets], seen: int) -> tuple[str, str, Packets] | None:
    """Return a source, a destination and packets (as the destination sees them) that pass both at once; None where nothing does."""
    space = meaning.space
    (start, out), (end, into) = source, goal
    if not space.rows_at(out, end.mask & seen, every=False) & space.rows_at(into, start.mask & seen, every=False):
        return None
    for one in start.points:
        own = space.mask(start.track.places[one].addresses) & seen
        for two in end.points:
            if (start.track.target, one) == (end.track.target, two):
                continue
            there = space.mask(end.track.places[two].addresses) & seen
            for family in space.families:
                for atom in space.atoms(own & family):
                    rows = space.rows_at(into, atom, every=False)
                    rows &= space.rows_at(out, there & family, every=False) if rows else 0
                    if rows:
                        return one, two, space.box(atom, rows)
    return None
