"""An inventory read column by column with numpy, in the order in which it comes: what lies side by side in memory is read side by side.

Only where there are many workloads. Without numpy, or for few, the same is asked of one workload after the other (`grouping`, `tables`).
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from itertools import chain, compress, islice, pairwise
from operator import attrgetter, itemgetter, le
from typing import TYPE_CHECKING

from cloudsync.model.address import globally_routable
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import Domain, Interface, Workload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cloudsync.compile.columns import Numbers
    from cloudsync.compile.grouping import Pairs

    Flags = NDArray[np.bool_]

ROW = (1 << 32) - 1
"""The lower half of a number that holds two: what to sort by above, a row below."""

_labels, _id, _name, _ref = (attrgetter(one) for one in ("labels", "id", "name", "ref"))
_interfaces, _addresses, _domain, _source_only = (attrgetter(one) for one in ("interfaces", "addresses", "domain", "source_only"))
_v4, _v6 = attrgetter("v4"), attrgetter("v6")


@dataclass(frozen=True, slots=True)
class Labelled:
    """Groups of workloads that have the same labels of some keys. A label is a pair of key and value, its number the place in `pairs`."""

    pairs: list[tuple[str, str]]
    groups: Numbers
    codes: Numbers
    """Group `groups[i]` has the label `codes[i]`: group by group, in each by key."""
    numbers: Numbers
    """The group of each workload."""
    unlabeled: int = -1
    """The group of those that have no label at all, where that was asked for."""

    def kept(self) -> list[Pairs]:
        """Return the labels of each group."""
        import numpy as np

        flat = list(map(self.pairs.__getitem__, self.codes.tolist()))
        bounds = np.cumsum(np.bincount(self.groups, minlength=int(self.numbers.max(initial=-1)) + 1)).tolist()
        return [tuple(flat[begin:end]) for begin, end in pairwise((0, *bounds))]

    def with_others(self, rows: list[int], numbers: list[int], labels: Sequence[Pairs]) -> Labelled:
        """Return it with more groups, which have these labels; `numbers`: the group of each workload in `rows`."""
        import numpy as np

        if not rows:
            return self
        known = {pair: code for code, pair in enumerate(self.pairs)}
        codes = [known.setdefault(pair, len(known)) for pairs in labels for pair in pairs]
        first = min(numbers)
        groups = [first + number for number, pairs in enumerate(labels) for _ in pairs]
        self.numbers[rows] = numbers
        owners, held = (np.concatenate((old, np.array(new, dtype=np.int64))) for old, new in ((self.groups, groups), (self.codes, codes)))
        return Labelled(list(known), owners, held, self.numbers, self.unlabeled)

    def renumbered(self, order: Sequence[int]) -> Labelled:
        """Return it with other numbers of groups: `order` names the old number of each new one."""
        import numpy as np

        new = np.empty(len(order), dtype=np.int64)
        new[np.array(order, dtype=np.int64)] = np.arange(len(order))
        return Labelled(self.pairs, new[self.groups], self.codes, new[self.numbers], -1)

    def by_label(self) -> dict[tuple[str, str], list[int]]:
        """Return the groups that have each label, ascending."""
        import numpy as np

        flat: list[int] = (np.sort(self.codes << 32 | self.groups) & ROW).tolist()
        bounds = np.cumsum(np.bincount(self.codes, minlength=len(self.pairs))).tolist()
        each = zip(self.pairs, pairwise((0, *bounds)), strict=True)
        return {pair: flat[begin:end] for pair, (begin, end) in each if begin < end}


def labelled(workloads: Sequence[Workload], without: list[int], keys: AbstractSet[str], *, bare: bool) -> Labelled:
    """Return workloads in groups by their labels of some keys; `bare`: those with no label at all are a group of their own.

    Workloads in the rows `without` are in no group yet. Labels that are one object are looked at once.
    """
    import numpy as np

    numbers = np.full(len(workloads), -1, dtype=np.int64)
    chosen = np.ones(len(workloads), dtype=np.bool_)
    chosen[without] = False
    labels = list(map(_labels, compress(workloads, chosen.tolist()) if without else workloads))
    _, which = np.unique(np.fromiter(map(id, labels), np.int64, len(labels)), return_inverse=True)
    each: list[Pairs] = [labels[at].pairs for at in _one_of(which).tolist()]
    sizes = np.fromiter(map(len, each), np.int64, len(each))
    known: dict[tuple[str, str], int] = {}
    codes = np.array([known.setdefault(pair, len(known)) for pair in chain.from_iterable(each)], dtype=np.int64)
    kept = np.array([key in keys for key, _ in known], dtype=np.bool_)[codes]
    rows, codes = np.repeat(np.arange(len(each)), sizes)[kept], codes[kept]
    groups = _alike(rows, codes, sizes == 0 if bare else np.zeros(len(each), dtype=np.bool_))
    shown = _one_of(groups)[groups[rows]] == rows
    numbers[chosen] = groups[which]
    unlabeled = int(groups[sizes == 0][0]) if bare and not sizes.all() else -1
    order = np.argsort(groups[rows[shown]], kind="stable")
    return Labelled(list(known), groups[rows[shown]][order], codes[shown][order], numbers, unlabeled)


def _one_of(groups: Numbers) -> Numbers:
    """Return a row of each group, any."""
    import numpy as np

    found = np.empty(int(groups.max(initial=-1)) + 1, dtype=np.int64)
    found[groups] = np.arange(len(groups))
    return found


def _alike(rows: Numbers, codes: Numbers, apart: Flags) -> Numbers:
    """Return which rows have the same codes, as numbers of groups; `apart`: flags in which they may differ too."""
    import numpy as np

    sizes = np.bincount(rows, minlength=len(apart))
    place = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    groups = apart.astype(np.int64)
    for at in range(int(sizes.max(initial=0))):
        here = np.flatnonzero(place == at)
        code = np.zeros(len(apart), dtype=np.int64)
        code[rows[here]] = codes[here] + 1
        _, groups = np.unique(groups << 32 | code, return_inverse=True)
    _, groups = np.unique(groups, return_inverse=True)
    return groups


def called(workloads: Sequence[Workload], names: AbstractSet[str], ids: AbstractSet[str]) -> list[int]:
    """Return the rows of workloads whose name or native id is one of `names`, or whose id is one of `ids`."""
    import numpy as np

    if not names and not ids:
        return []
    found = np.zeros(len(workloads), dtype=np.bool_)
    for of, wanted in ((_name, names), (_ref, names), (_id, ids)):
        if wanted:
            found |= np.fromiter(map(wanted.__contains__, map(of, workloads)), np.bool_, len(workloads))
    rows: list[int] = np.flatnonzero(found).tolist()
    return rows


def members(workloads: Sequence[Workload], numbers: Numbers, count: int) -> list[tuple[Workload, ...]]:
    """Return the workloads of each group ordered by id; `numbers`: the group of each workload."""
    import numpy as np

    every = np.empty(len(workloads), dtype=object)
    every[:] = workloads
    listed: list[Workload] = every[np.sort(numbers << 32 | np.arange(len(numbers))) & ROW].tolist()
    bounds = pairwise([0, *np.cumsum(np.bincount(numbers, minlength=count)).tolist()])
    ids = list(map(_id, workloads))
    if all(map(le, ids, islice(ids, 1, None))):
        return [tuple(listed[begin:end]) for begin, end in bounds]
    return [tuple(sorted(listed[begin:end], key=_id) if end - begin > 1 else listed[begin:end]) for begin, end in bounds]


def numbers(workloads: Sequence[Workload], groups: Sequence[tuple[Workload, ...]]) -> Numbers:
    """Return the number of each workload's group; every workload is in one, as the same object."""
    import numpy as np

    every = list(chain.from_iterable(groups))
    arrived, grouped = (np.argsort(np.fromiter(map(id, some), np.int64, len(every))) for some in (workloads, every))
    found = np.empty(len(every), dtype=np.int64)
    found[arrived] = np.repeat(np.arange(len(groups)), np.fromiter(map(len, groups), np.int64, len(groups)))[grouped]
    return found


@dataclass(frozen=True, slots=True)
class Ranges:
    """IPv4 ranges `firsts` to `ends` (exclusive) of the workloads with the rows `owners`, in no order."""

    firsts: Numbers
    ends: Numbers
    owners: Numbers
    apart: bool
    """Some workload opens connections from addresses at which it is not reached."""
    six: bool
    """Some workload has IPv6 addresses."""


def ranges(workloads: Sequence[Workload], domain: Domain, *, reached: bool) -> Ranges:
    """Return the IPv4 addresses of workloads as seen from a domain: where they are reached, or where their packets come from.

    What has one interface is read in columns; the rest, and ranges that are partly globally routable, workload by workload.
    """
    import numpy as np

    seats = list(map(_interfaces, workloads))
    count = np.fromiter(map(len, seats), np.int64, len(seats))
    alone = count == 1
    single: list[Interface] = list(map(itemgetter(0), seats if bool(alone.all()) else compress(seats, alone.tolist())))
    rest = [] if len(single) == len(seats) else [one for seat in compress(seats, (~alone).tolist()) for one in seat]
    addresses = list(map(_addresses, single))
    apart = any(map(_source_only, chain(single, rest)))
    six = any(map(_v6, addresses)) or any(one.addresses.v6 for one in rest)
    fours = list(map(_v4, addresses))
    points = np.fromiter(chain.from_iterable(fours), np.int64)
    at = np.repeat(np.arange(len(single)), np.fromiter(map(len, fours), np.int64, len(fours)) // 2)
    firsts, ends = points[::2], points[1::2]
    rows = np.flatnonzero(alone)
    here = np.fromiter(map(domain.__eq__, map(_domain, single)), np.bool_, len(single))
    kept, odd = np.ones(len(at), dtype=np.bool_), ~alone
    if not here.all():
        inside, whole = _routable(firsts, ends)
        kept = here[at] | inside
        odd[rows[at[~here[at] & ~whole]]] = True
    if reached and apart:
        kept &= ~np.fromiter(map(_source_only, single), np.bool_, len(single))[at]
    owners = rows[at]
    if odd.any():
        kept &= ~odd[owners]
    looked = _one_by_one(workloads, np.flatnonzero(odd).tolist(), domain, reached=reached)
    parts = zip((firsts[kept], ends[kept], owners[kept]), looked, strict=True)
    first, end, owner = (np.concatenate((many, np.array(few, dtype=np.int64))) for many, few in parts)
    return Ranges(first, end, owner, apart, six)


def _routable(firsts: Numbers, ends: Numbers) -> tuple[Flags, Flags]:
    """Tell of each range whether its first address is globally routable, and whether the rest is as the first."""
    import numpy as np

    flips = np.array(globally_routable().v4, dtype=np.int64)
    at = np.searchsorted(flips, firsts, side="right")
    return at % 2 == 1, at == np.searchsorted(flips, ends - 1, side="right")


def _one_by_one(
    workloads: Sequence[Workload], rows: Sequence[int], domain: Domain, *, reached: bool
) -> tuple[list[int], list[int], list[int]]:
    firsts: list[int] = []
    ends: list[int] = []
    owners: list[int] = []
    of = Workload.reached if reached else Workload.addresses
    for row in rows:
        points = of(workloads[row], domain).v4
        firsts += points[::2]
        ends += points[1::2]
        owners += [row] * (len(points) // 2)
    return firsts, ends, owners
