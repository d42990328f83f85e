"""Sets of integers as flip points: `(3, 7, 9, 10)` is 3..6 and 9. One canonical form, so equality is `==`.

A flip-point tuple has even length and strictly increasing members: [first, end, first, end, ...), ends exclusive.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice

Points = tuple[int, ...]

EMPTY: Points = ()
MANY = 2048
"""From so many ranges on numpy is worth its import; see `make bench`."""


def from_ranges(ranges: Iterable[tuple[int, int]]) -> Points:
    """Return the union of half-open ranges `(first, end)`, given in any order, overlapping or not."""
    out: list[int] = []
    for first, end in sorted(ranges):
        if first >= end:
            continue
        if out and first <= out[-1]:
            if end > out[-1]:
                out[-1] = end
        else:
            out.append(first)
            out.append(end)
    return tuple(out)


def ranges(points: Points) -> Iterator[tuple[int, int]]:
    """Yield the half-open ranges `(first, end)` in ascending order."""
    steps = iter(points)
    return zip(steps, steps, strict=True)


def meet(a: Points, b: Points) -> bool:
    """Tell whether a and b have a member in common."""
    if not a or not b or a[-1] <= b[0] or b[-1] <= a[0]:
        return False
    return len(a) == len(b) == 2 or bool(intersection(a, b))


def union(a: Points, b: Points) -> Points:
    """Return a or b."""
    if not a or a == b:
        return b
    if not b:
        return a
    if a[-1] < b[0]:
        return a + b
    if b[-1] < a[0]:
        return b + a
    return _swept([*a[::2], *b[::2]], [*a[1::2], *b[1::2]])


def union_all(sets: Iterable[Points]) -> Points:
    """Return the union of many sets; two sorts instead of many merges."""
    distinct = list(dict.fromkeys(points for points in sets if points))
    if len(distinct) < 3:
        return union(distinct[0], distinct[1]) if len(distinct) == 2 else (distinct[0] if distinct else EMPTY)
    firsts: list[int] = []
    ends: list[int] = []
    for points in distinct:
        firsts += points[::2]
        ends += points[1::2]
    return _swept(firsts, ends)


def _swept(firsts: list[int], ends: list[int]) -> Points:
    """Return the union of ranges given by their firsts and their ends, in any order; there is at least one.

    Sorted apart, a gap is where the next first lies beyond the end of the same rank: as many ranges have ended by then as have begun.
    """
    if len(firsts) >= MANY:
        quick = _swept_at_once(firsts, ends)
        if quick is not None:
            return quick
    firsts.sort()
    ends.sort()
    out = [firsts[0]]
    for first, end in zip(islice(firsts, 1, None), ends, strict=False):
        if first > end:
            out.append(end)
            out.append(first)
    out.append(ends[-1])
    return tuple(out)


def _swept_at_once(firsts: list[int], ends: list[int]) -> Points | None:
    """Do the same with numpy; None where it is not installed or numbers are too large for it (IPv6)."""
    try:
        import numpy as np
    except ImportError:
        return None
    try:
        first, end = np.array(firsts, dtype=np.int64), np.array(ends, dtype=np.int64)
    except OverflowError:
        return None
    first.sort()
    end.sort()
    gaps = first[1:] > end[:-1]
    out = np.empty(2 * int(gaps.sum()) + 2, dtype=np.int64)
    out[0], out[-1] = first[0], end[-1]
    out[1:-1:2], out[2:-1:2] = end[:-1][gaps], first[1:][gaps]
    return tuple(out.tolist())


def intersection(a: Points, b: Points) -> Points:
    """Return a and b."""
    if not a or not b or a[-1] <= b[0] or b[-1] <= a[0]:
        return EMPTY
    if a == b:
        return a
    out: list[int] = []
    i = j = 0
    while i < len(a) and j < len(b):
        first, end = max(a[i], b[j]), min(a[i + 1], b[j + 1])
        if first < end:
            out.append(first)
            out.append(end)
        if a[i + 1] < b[j + 1]:
            i += 2
        else:
            j += 2
    return tuple(out)


def difference(a: Points, b: Points) -> Points:
    """Return a without b."""
    if not a or not b or a[-1] <= b[0] or b[-1] <= a[0]:
        return a
    if a == b:
        return EMPTY
    out: list[int] = []
    j = 0
    for first, end in ranges(a):
        while j < len(b) and b[j + 1] <= first:
            j += 2
        start, k = first, j
        while k < len(b) and b[k] < end:
            if start < b[k]:
                out.append(start)
                out.append(b[k])
            start = max(start, b[k + 1])
            k += 2
        if start < end:
            out.append(start)
            out.append(end)
    return tuple(out)


def contains(points: Points, value: int) -> bool:
    """Tell whether value is a member."""
    return bisect_right(points, value) % 2 == 1


def is_subset(a: Points, b: Points) -> bool:
    """Tell whether every member of a is in b."""
    return not difference(a, b)


def size(points: Points) -> int:
    """Return the number of members."""
    return sum(points[1::2]) - sum(points[::2])


def blocks(points: Points, width: int) -> Iterator[tuple[int, int]]:
    """Yield the minimal CIDR cover as `(network, prefix length)` in ascending order; width is 32 or 128 bits."""
    top = 1 << width
    for first, end in ranges(points):
        start = first
        while start < end:
            aligned = start & -start or top
            fits = 1 << ((end - start).bit_length() - 1)
            length = min(aligned, fits)
            yield start, width + 1 - length.bit_length()
            start += length
