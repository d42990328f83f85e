"""The IPv4 addresses of all workloads side by side in arrays, class by class: what lists of prefixes are made from when there are many.

Every distinct range has a rank in address order, so a list is the ranks of its classes, sorted; the text of each address is made once.
Without numpy, or for few workloads, the same lists are made one by one from sets of addresses (`tables`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from operator import add
from typing import TYPE_CHECKING, Any, Literal

from cloudsync.model.intervals import Points, ranges
from cloudsync.model.quick import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Texts = NDArray[Any]

AT_ONCE = 1 << 18
"""So many addresses are worked on in one go: enough to make a call cheap, few enough to stay in memory."""
_OCTETS = tuple(map(str, range(256)))
FEW = 64
"""So few blocks are written one by one."""


@cache
def available() -> bool:
    """Tell whether numpy is installed, without importing it."""
    return find_spec("numpy") is not None


def members(bits: int) -> Numbers:
    """Return the numbers of the set bits, ascending. Most bytes of a large set are zero."""
    import numpy as np

    octets = np.frombuffer(bits.to_bytes((bits.bit_length() + 7) // 8, "little"), dtype=np.uint8)
    filled = np.flatnonzero(octets != 0)
    row, bit = np.nonzero(np.unpackbits(octets[filled].reshape(-1, 1), axis=1, bitorder="little"))
    return filled[row] * 8 + bit


@dataclass(frozen=True, slots=True)
class Columns:
    """Distinct ranges `firsts` to `ends` (exclusive), ascending; the ranges of class n are `ranks[starts[n]:starts[n + 1]]`."""

    starts: Numbers
    ranks: Numbers
    firsts: Numbers
    ends: Numbers
    texts: Texts
    """The text of each range that is one address."""
    single: bool
    """Every range is one address, so that none overlaps another."""

    @classmethod
    def of(cls, firsts: Numbers, ends: Numbers, classes: Numbers, count: int) -> Columns:
        """Return the columns of ranges given in any order with the class of each; `count`: how many classes there are."""
        import numpy as np

        single = bool((ends - firsts == 1).all())
        key, ranks = np.unique(firsts.astype(np.uint64) << 32 | (ends - firsts - 1).astype(np.uint64), return_inverse=True)
        first = (key >> 32).astype(np.int64)
        end = first + (key & 0xFFFFFFFF).astype(np.int64) + 1
        starts = np.concatenate(([0], np.cumsum(np.bincount(classes, minlength=count))))
        by_class = np.sort(classes << 32 | ranks) & 0xFFFFFFFF
        return cls(starts, by_class, first, end, _texts(first, np.zeros(len(first), dtype=np.int64)), single)

    def grown(self) -> Columns:
        """Return the columns with one more class, at the end, of no range."""
        import numpy as np

        return replace(self, starts=np.concatenate((self.starts, self.starts[-1:])))

    def without(self, number: int, points: Points) -> Columns:
        """Return the columns after a workload with these addresses left a class. Raises KeyError when it has none such."""
        import numpy as np

        begin, finish = int(self.starts[number]), int(self.starts[number + 1])
        ranks = self.ranks
        for first, end in ranges(points):
            held = ranks[begin:finish]
            at = np.flatnonzero((self.firsts[held] == first) & (self.ends[held] == end))
            if not len(at):
                raise KeyError(points)
            ranks = np.delete(ranks, begin + at[0])
            finish -= 1
        return replace(self, ranks=ranks, starts=_moved(self.starts, number, -len(points) // 2))

    def joined(self, number: int, points: Points) -> Columns:
        """Return the columns after a workload with these addresses joined a class; ranges of before keep their order."""
        import numpy as np

        found = self
        for first, end in ranges(points):
            found, rank = _ranked(found, first, end)
            ranks = np.insert(found.ranks, int(found.starts[number + 1]), rank)
            found = replace(found, ranks=ranks, starts=_moved(found.starts, number, 1))
        return found

    def lists(self, wanted: Iterable[int]) -> Iterator[tuple[str, ...]]:
        """Yield, for each set of classes (as bits), the minimal CIDR cover of their addresses as text, ascending."""
        waiting: list[Numbers] = []
        many = 0
        for bits in wanted:
            classes = members(bits)
            waiting.append(classes)
            many += int((self.starts[classes + 1] - self.starts[classes]).sum()) + len(classes)
            if many >= AT_ONCE:
                yield from self._lists(waiting)
                waiting, many = [], 0
        if waiting:
            yield from self._lists(waiting)

    def own(self, wanted: Sequence[int]) -> Iterator[tuple[str, ...]]:
        """Yield the list of each of these classes alone."""
        import numpy as np

        step = AT_ONCE // 4
        for at in range(0, len(wanted), step):
            yield from self._lists([np.array(wanted[at : at + step], dtype=np.int64)], apart=True)

    def _lists(self, sets: list[Numbers], *, apart: bool = False) -> Iterator[tuple[str, ...]]:
        import numpy as np

        classes = np.concatenate(sets)
        count = len(classes) if apart else len(sets)
        owner = np.arange(count) if apart else np.repeat(np.arange(count), [len(one) for one in sets])
        sizes = self.starts[classes + 1] - self.starts[classes]
        shift = self.starts[classes] - (np.cumsum(sizes) - sizes)
        at = np.arange(int(sizes.sum())) + np.repeat(shift, sizes)
        key = np.sort(np.repeat(owner, sizes) << 32 | self.ranks[at])
        if not len(key):
            yield from [()] * count
            return
        key = key[np.concatenate(([True], key[1:] != key[:-1]))]
        text, bounds = self._covers(key >> 32, key & 0xFFFFFFFF, count)
        for begin, finish in pairwise(bounds):
            yield tuple(text[begin:finish])

    def _covers(self, owner: Numbers, ranks: Numbers, count: int) -> tuple[list[str], list[int]]:
        """Return the covers of many lists one after the other, and where each begins; `owner` and `ranks` are sorted together."""
        import numpy as np

        first, end = self.firsts[ranks], self.ends[ranks]
        if not self.single:
            end = np.sort(owner << 33 | end) & ((1 << 33) - 1)
        gaps = np.flatnonzero((owner[1:] != owner[:-1]) | (first[1:] > end[:-1])) + 1
        begins = np.concatenate(([0], gaps))
        finishes = np.concatenate((gaps, [len(ranks)])) - 1
        run_first, run_end = first[begins], end[finishes]
        alone = run_end - run_first == 1
        parts = list(_blocks(run_first[~alone], run_end[~alone]))
        which = np.flatnonzero(~alone)
        counts = alone.astype(np.int64)
        for rows, _, _ in parts:
            counts[which[rows]] += 1
        offsets = np.cumsum(counts) - counts
        out = np.empty(int(counts.sum()), dtype=object)
        out[offsets[alone]] = self.texts[ranks[begins[alone]]]
        for turn, (rows, values, widths) in enumerate(parts):
            out[offsets[which[rows]] + turn] = _texts(values, widths)
        sizes = np.bincount(owner[begins], weights=counts, minlength=count).astype(np.int64)
        return out.tolist(), [0, *np.cumsum(sizes).tolist()]


def _moved(starts: Numbers, number: int, by: int) -> Numbers:
    """Return where each class begins after `by` ranges more in one."""
    moved = starts.copy()
    moved[number + 1 :] += by
    return moved


def _ranked(columns: Columns, first: int, end: int) -> tuple[Columns, int]:
    """Return the rank of a range, and the columns in which it has one."""
    import numpy as np

    at, last = (int(np.searchsorted(columns.firsts, first, side=side)) for side in _SIDES)
    at += int(np.searchsorted(columns.ends[at:last], end))
    if at < last and columns.ends[at] == end:
        return columns, at
    firsts, ends = np.insert(columns.firsts, at, first), np.insert(columns.ends, at, end)
    texts = np.insert(columns.texts, at, _text(first, 0))
    ranks = columns.ranks + (columns.ranks >= at)
    single = columns.single and end - first == 1
    return replace(columns, firsts=firsts, ends=ends, texts=texts, ranks=ranks, single=single), at


_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


def _blocks(first: Numbers, end: Numbers) -> Iterator[tuple[Numbers, Numbers, Numbers]]:
    """Cut ranges into aligned blocks, the first of each, then the second: yields (numbers of ranges, networks, sizes as bits)."""
    import numpy as np

    rows, at = np.arange(len(first)), first
    while len(rows):
        aligned = np.where(at == 0, 1 << 32, at & -at)
        fits = np.frexp((end - at).astype(np.float64))[1].astype(np.int64) - 1
        bits = np.minimum(np.frexp(aligned.astype(np.float64))[1].astype(np.int64) - 1, fits)
        yield rows, at, bits
        at = at + (np.int64(1) << bits)
        left = at < end
        rows, at, end = rows[left], at[left], end[left]


def _text(value: int, bits: int) -> str:
    """Return `network/length` of one block; `bits`: how many bits of it are its hosts'."""
    octet = _OCTETS
    return f"{octet[value >> 24]}.{octet[value >> 16 & 255]}.{octet[value >> 8 & 255]}.{octet[value & 255]}/{32 - bits}"


def _texts(values: Numbers, bits: Numbers) -> Texts:
    """Return the text of blocks; many are put together from halves that are made once each."""
    import numpy as np

    out = np.empty(len(values), dtype=object)
    if len(values) < FEW:
        out[:] = list(map(_text, values.tolist(), bits.tolist()))
        return out
    upper = _uppers()
    for wide in np.unique(bits).tolist():
        at = np.flatnonzero(bits == wide)
        some = values[at]
        out[at] = list(map(add, upper[some >> 16].tolist(), _lowers(wide)[(some & 0xFFFF) >> wide].tolist()))
    return out


@cache
def _uppers() -> Texts:
    """Return `a.b.` for each upper half of an address."""
    return _held([f"{high}.{low}." for high in _OCTETS for low in _OCTETS])


@cache
def _lowers(bits: int) -> Texts:
    """Return `c.d/length` for each lower half of a block of so many bits."""
    return _held([f"{_OCTETS[low >> 8]}.{_OCTETS[low & 255]}/{32 - bits}" for low in range(0, 1 << 16, 1 << bits)])


def _held(texts: list[str]) -> Texts:
    import numpy as np

    out = np.empty(len(texts), dtype=object)
    out[:] = texts
    return out
