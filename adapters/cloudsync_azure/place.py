"""Numbers for rules: an unchanged rule keeps its own, tiers never mix, and foreign rules are stood above or below as the mode asks.

Levels are tiers in the order of evaluation; every rule of a level must have a smaller number than every rule of the next. Inside a level
order is free, except among rules that repeat foreign ones, which are a level each.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from cloudsync.model.quick import dataclass
from cloudsync_azure.limits import PRIORITY_LAST
from cloudsync_azure.table import Tier

_WIDTH = PRIORITY_LAST - 1000
_STARTS = {
    Tier.SHIELD: 0,
    Tier.NEVER: 100,
    Tier.ALLOW: 500,
    Tier.CLOSED: 2500,
    Tier.MEND: 2900,
    Tier.KEPT: 2960,
    Tier.PLATFORM: 3090,
    Tier.DEFAULT: 3096,
}
"""Where tiers begin in a band of the usual width (1000 to 4096)."""
_STEP = 10
"""New rules leave room between them, as long as there is room."""
_BOTTOM_FEW = 3
"""The platform's rule and a default deny for each family."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One rule that needs a number, greater than `above` and less than `below`; `now` is the number it has, 0 for none."""

    level: float
    tier: Tier
    above: int = 0
    below: int = PRIORITY_LAST + 1
    now: int = 0
    before: Tier | None = None
    """The tier that it must precede, where it goes by that."""


@dataclass(frozen=True, slots=True)
class Band:
    """The numbers that may be used: `first` to `last`, but those taken."""

    first: int
    last: int
    taken: Collection[int] = ()
    old: Collection[int] = ()
    """Numbers of rules that stand there now, written rule by rule: each is for its own rule alone, until that is gone."""

    def free(self, number: int) -> bool:
        """Tell whether a number may be given."""
        return self.first <= number <= self.last and number not in self.taken

    bottom: int = 0
    """Rules that stand last: the platform's and the default denies; where there are many, they begin earlier."""

    def start(self, tier: Tier, before: Tier | None = None) -> int:
        """Return where a tier begins in this band, or the place just before another."""
        wanted = _STARTS[tier] if before is None or before is Tier.DEFAULT else _STARTS[before] - 1
        if tier is Tier.PLATFORM and wanted == _STARTS[tier] and self.bottom > _BOTTOM_FEW:
            wanted = max(_STARTS[Tier.KEPT] + _STEP, _STARTS[Tier.DEFAULT] - 4 * self.bottom)
        return self.first + wanted * (self.last - self.first) // _WIDTH


def numbers(seats: Sequence[Seat], band: Band) -> list[int] | None:
    """Return a number for each seat, in their order; None where the band has no room.

    First everything that can stays, and the numbers of temporary rules are spared while others do. Where some gap has no number left,
    everything is numbered anew: rule by rule as one block above or below the old one (two bands, used in turn), else wherever there is room
    beside it. At last `below` is given up, which leaves a foreign rule above.
    """
    for spared in (True, False):
        kept = _Try(band, seats, keep=True, packed=False, spared=spared).run()
        if kept is not None:
            return kept
    bands = [*_blocks(band), band]
    loose = [replace(one, below=PRIORITY_LAST + 1) for one in seats]
    tries = [(one, seats, packed) for one in bands for packed in (False, True)] + [(one, loose, True) for one in bands]
    return next((found for one, todo, packed in tries if (found := _Try(one, todo, keep=False, packed=packed).run()) is not None), None)


def _blocks(band: Band) -> list[Band]:
    """Return the parts of a band above and below what goes, the one with more room first; none where nothing has to go first."""
    going = set(band.old) - set(band.taken)
    if not going:
        return []
    parts = [replace(band, last=min(going) - 1), replace(band, first=max(band.first, max(going) + 1))]
    return sorted((one for one in parts if one.first <= one.last), key=lambda one: one.first - one.last)


class _Try:
    """One attempt."""

    def __init__(self, band: Band, seats: Sequence[Seat], *, keep: bool, packed: bool, spared: bool = False) -> None:
        self.band, self.seats, self.packed = band, seats, packed
        self.spared = band.start(Tier.NEVER) if spared else band.first
        self.levels = sorted({one.level for one in seats})
        self.given: dict[int, int] = {}
        self.used: set[int] = {*band.taken, *band.old}
        if keep:
            self._keep()

    def _keep(self) -> None:
        top, kept = 0, set[int]()
        for level in self.levels:
            highest = top
            for at, seat in self._of(level):
                fits = seat.above < seat.now < seat.below and self.band.free(seat.now) and seat.now not in kept
                if fits and seat.now > top:
                    self.given[at] = seat.now
                    kept.add(seat.now)
                    self.used.add(seat.now)
                    highest = max(highest, seat.now)
            top = highest

    def _of(self, level: float) -> list[tuple[int, Seat]]:
        return sorted(((at, one) for at, one in enumerate(self.seats) if one.level == level), key=lambda pair: (pair[1].above, pair[0]))

    def run(self) -> list[int] | None:
        """Give every seat a number, level by level; None where one finds none."""
        top = self.band.first - 1
        for level in self.levels:
            ceiling = self._ceiling(level)
            highest = top
            for at, seat in self._of(level):
                number = self.given.get(at) or self._number(seat, top, min(ceiling, seat.below))
                if number is None:
                    return None
                self.given[at] = number
                self.used.add(number)
                highest = max(highest, number)
            top = highest
        return [self.given[at] for at in range(len(self.seats))]

    def _ceiling(self, level: float) -> int:
        """Return the number that a level must stay under: what later levels have, or may have at the most."""
        later = [(at, one) for at, one in enumerate(self.seats) if one.level > level]
        return min((min(self.given.get(at, PRIORITY_LAST + 1), one.below) for at, one in later), default=PRIORITY_LAST + 1)

    def _number(self, seat: Seat, top: int, ceiling: int) -> int | None:
        low, high = max(top, seat.above, self.band.first - 1) + 1, min(ceiling - 1, self.band.last)
        if seat.tier is Tier.DEFAULT:
            return self._first(range(high, low - 1, -1))
        if self.packed:
            return self._first(range(low, high + 1))
        start = max(low, self.band.start(seat.tier, seat.before))
        step = 1 if seat.tier is Tier.PLATFORM else _STEP
        wide = self._first(range(start, min(high, self._next(seat.tier)) + 1, step))
        return wide or self._first(range(start, high + 1)) or self._first(range(max(low, self.spared), min(start, high + 1)))

    def _next(self, tier: Tier) -> int:
        """Return the last number before the next tier begins, so that the wide steps of one do not reach into another."""
        starts = sorted(self.band.start(one) for one in _STARTS)
        mine = self.band.start(tier)
        return next((one - 1 for one in starts if one > mine), self.band.last)

    def _first(self, candidates: range) -> int | None:
        return next((one for one in candidates if one not in self.used), None)
