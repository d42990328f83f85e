"""Every state on the way of a plan: what has taken effect where, whatever the order inside a phase and however each point lags behind.

A judge of its own: tables are evaluated rule by rule (`tests.sim.judges`), whole paths are bits (`tests.sim.paths`); neither the product's
replay nor its decoding has a word in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import combinations, product
from math import prod
from operator import and_, or_
from random import Random
from typing import Any

from cloudsync.adapter import Adapter, Phase
from cloudsync.proof.values import Leg, Stage
from tests.sim.judges import JUDGES, Rows
from tests.sim.paths import Paths

WHOLE_SUBSETS = 5
"""Up to so many steps in a phase every subset of them is looked at; above, every prefix, suffix and single one, and some drawn."""
DRAWN = 12


@dataclass(slots=True)
class Part:
    """One phase of one target: the masks of every subset looked at, and the widest and narrowest that points lagging apart can make."""

    masks: tuple[int, ...]
    widest: int
    narrowest: int


@dataclass(slots=True)
class Actor:
    """One target on its way. `start`: its table before the first phase; `goal`: what it is to be in the end."""

    kind: str
    adapter: Adapter
    start: Any
    goal: Any
    phases: tuple[Phase, ...]
    paths: Paths
    dice: Random
    _tables: list[Any] = field(default_factory=list)
    _parts: dict[int, Part] = field(default_factory=dict)

    def table(self, phase: int) -> Any:
        """Return the table before a phase."""
        if not self._tables:
            self._tables.append(self.start)
        while len(self._tables) <= phase:
            self._tables.append(self.adapter.simulate(self._tables[-1], *self.phases[len(self._tables) - 1].steps))
        return self._tables[phase]

    def rows(self, table: Any) -> Rows:
        """Return what every point lets through with a table."""
        return JUDGES[self.kind](self.paths.lens, table)

    def mask(self, phase: int) -> int:
        """Return the mask before a phase."""
        return self.paths.mask(self.kind, self.rows(self.table(phase)))

    def part(self, phase: int) -> Part:
        """Return everything that may be seen while a phase takes effect."""
        found = self._parts.get(phase)
        if found is None:
            table, steps = self.table(phase), self.phases[phase].steps
            seen = []
            for chosen in self._subsets(len(steps)):
                try:
                    seen.append(self.rows(self.adapter.simulate(table, *(steps[at] for at in chosen))))
                except ValueError:
                    continue  # a platform refuses this step before another: then that state does not come about
            masks = tuple(self.paths.mask(self.kind, one) for one in seen)
            widest, narrowest = self._blended(seen, or_), self._blended(seen, and_)
            found = self._parts[phase] = Part(masks, widest, narrowest)
        return found

    def _blended(self, seen: Sequence[Rows], how: Any) -> int:
        points = frozenset().union(*seen)
        blended = {
            point: (
                reduce(how, (one[point][0] for one in seen if point in one)),
                reduce(how, (one[point][1] for one in seen if point in one)),
            )
            for point in points
        }
        return self.paths.mask(self.kind, blended)

    def _subsets(self, count: int) -> Iterator[tuple[int, ...]]:
        if count <= WHOLE_SUBSETS:
            for size in range(count + 1):
                yield from combinations(range(count), size)
            return
        found = {tuple(range(at)) for at in range(count + 1)} | {tuple(range(at, count)) for at in range(count)}
        found |= {(at,) for at in range(count)}
        found |= {tuple(at for at in range(count) if self.dice.random() < 0.5) for _ in range(DRAWN)}
        yield from sorted(found)


@dataclass(frozen=True, slots=True)
class Group:
    """Targets that go together, in stages; groups are independent of each other."""

    stages: tuple[Stage, ...]

    @property
    def targets(self) -> frozenset[str]:
        """Return who is in it."""
        return frozenset(leg.target for stage in self.stages for leg in stage.legs)


@dataclass(slots=True)
class Seen:
    """What came of looking at every state. `distinct`: how many of them differ in some packet."""

    states: int = 0
    distinct: int = 0
    exposed: int = 0
    cut: int = 0
    lag_exposed: int = 0
    lag_cut: int = 0
    words: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        """How many states break a promise."""
        return self.exposed + self.cut + self.lag_exposed + self.lag_cut


@dataclass(slots=True)
class Journey:
    """One transition of some targets. `limit`: how many states are looked at in one stage, and overall."""

    paths: Paths
    actors: Mapping[str, Actor]
    rest: int
    """What the targets that do not move let through."""
    dice: Random
    limit: int = 4096

    def look(self, groups: Iterable[Group]) -> Seen:
        """Look at every state in which the groups may be together: each anywhere on its own way."""
        old = self.rest & reduce(and_, (actor.mask(0) for actor in self.actors.values()), -1)
        new = self.rest & reduce(and_, (self.paths.mask(one.kind, one.rows(one.goal)) for one in self.actors.values()), -1)
        seen = Seen()
        ways = [self._way(group) for group in groups]
        either, both = old | new, old & new
        for state in self._product([[one for one, _, _ in way] for way in ways]):
            self._judge(seen, state, either, both)
        seen.distinct = len({mask for way in ways for mask, _, _ in way})
        for state in self._product([list(dict.fromkeys(one for _, one, _ in way)) for way in ways]):
            if state & ~either:
                seen.lag_exposed += 1
                self._say(seen, f"lag exposes {self.paths.words(state & ~either)}")
        for state in self._product([list(dict.fromkeys(one for _, _, one in way)) for way in ways]):
            if both & ~state:
                seen.lag_cut += 1
                self._say(seen, f"lag cuts {self.paths.words(both & ~state)}")
        return seen

    def _judge(self, seen: Seen, state: int, either: int, both: int) -> None:
        seen.states += 1
        if state & ~either:
            seen.exposed += 1
            self._say(seen, f"exposes {self.paths.words(state & ~either)}")
        if both & ~state:
            seen.cut += 1
            self._say(seen, f"cuts {self.paths.words(both & ~state)}")

    def _say(self, seen: Seen, words: str) -> None:
        if len(seen.words) < 4:
            seen.words.append(words)

    def _product(self, ways: Sequence[Sequence[int]]) -> Iterator[int]:
        """Yield what every combination lets through; drawn ones where there are too many."""
        if not ways:
            return
        if prod(map(len, ways)) <= self.limit * 4:
            for combination in product(*ways):
                yield reduce(and_, combination, self.rest)
            return
        for _ in range(self.limit * 4):
            yield reduce(and_, (self.dice.choice(way) for way in ways), self.rest)

    def _way(self, group: Group) -> list[tuple[int, int, int]]:
        """Return the states of one group as (mask, widest, narrowest), stage after stage."""
        found: list[tuple[int, int, int]] = []
        at = dict.fromkeys(sorted(group.targets), 0)
        for stage in group.stages:
            going = {leg.target for leg in stage.legs}
            still = reduce(and_, (self.actors[name].mask(at[name]) for name in at if name not in going), -1)
            legs = [self._leg(leg) for leg in stage.legs]
            count = prod(map(len, legs))
            if count <= self.limit:
                combinations_ = product(*legs)
                found += [self._joined(still, one) for one in combinations_]
            else:
                found += [self._joined(still, tuple(self.dice.choice(leg) for leg in legs)) for _ in range(self.limit)]
            at |= {leg.target: leg.end for leg in stage.legs}
        return found

    def _joined(self, still: int, parts: tuple[tuple[int, int, int], ...]) -> tuple[int, int, int]:
        masks, widest, narrowest = zip(*parts, strict=True)
        return (reduce(and_, masks, still), reduce(and_, widest, still), reduce(and_, narrowest, still))

    def _leg(self, leg: Leg) -> list[tuple[int, int, int]]:
        found: list[tuple[int, int, int]] = []
        for phase in range(leg.first, leg.end):
            part = self.actors[leg.target].part(phase)
            found += [(mask, part.widest, part.narrowest) for mask in part.masks]
        if not found:
            mask = self.actors[leg.target].mask(leg.first)
            found.append((mask, mask, mask))
        return found
