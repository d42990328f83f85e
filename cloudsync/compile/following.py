"""Tables of addresses that follow an inventory: one workload changes, and what does not depend on it stays as it is.

`Following` answers as `tables` would from nothing, byte for byte. Where a change reaches further than it can follow (IPv6, load balancers,
addresses of strangers) it does compile from nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field
from datetime import datetime
from operator import attrgetter

from cloudsync.compile import arms, columns
from cloudsync.compile.allowed import Compiler
from cloudsync.compile.grouping import Grouping, Maker
from cloudsync.compile.pause import uncollected
from cloudsync.compile.tables import ClassTable, Row, Tables, list_id, tables
from cloudsync.compile.universe import Class, Universe, alone, build, made, members_of
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet
from cloudsync.model.mode import Egress, Mode
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import Domain, Workload, WorkloadId
from cloudsync.policy.values import Action, Internet, LabelSelector, Policy, Rule, Strangers, Who, WorkloadBase

_class_id, _place = attrgetter("class_id"), attrgetter("place")
_ORDER = (Action.NEVER, Action.ALLOW, Action.DENY)


@dataclass(slots=True)
class _End:
    """One end that rules name, under one scope: which classes it is, and the list of its addresses (None: not made yet)."""

    whos: tuple[Who, ...]
    scope: LabelSelector | None
    classes: int
    addresses: AddressSet
    """Those of its addresses that come from no class."""
    members: list[int] = field(default_factory=list)
    """The numbers of its classes."""
    text: tuple[str, ...] | None = None
    id: str = ""
    owns: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    """Arms whose own end it is, inbound and outbound."""
    peers: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))


@dataclass(slots=True)
class _Arm:
    rule: Rule
    ends: tuple[int, int]
    """Source and destination: the peer and the own end inbound, the other way round outbound."""
    services: str
    place: int
    """Where its rows stand among others: never rules, then what is allowed, then what is closed."""
    rows: list[Row | None] = field(default_factory=lambda: [None, None])
    """The last rows made of it, inbound and outbound."""


class Following:
    """The tables of one policy in one routing domain, kept up with an inventory."""

    def __init__(
        self, policy: Policy, workloads: Iterable[Workload], now: datetime, domain: Domain, released: frozenset[WorkloadId] = frozenset()
    ) -> None:
        self._policy, self._now, self._domain = policy, now, domain
        self._grouping = Grouping.of(policy, released)
        self._workloads = {workload.id: workload for workload in workloads}
        self._steady = not any(
            who.excluded and any(isinstance(base, WorkloadBase) for base in who.excluded) for who in _address_whos(policy)
        )
        self._strange = any(isinstance(base, Strangers | Internet) for who in _address_whos(policy) for base in (who.base, *who.excluded))
        self._closing = any(line.egress is Egress.ENFORCE for line in policy.enforcement)
        self.followed = 0
        """How many changes were followed without compiling from nothing."""
        self.tables = self._anew()

    def change(self, before: Workload | None, after: Workload | None) -> Tables:
        """Return the tables after a workload came (`before` None), went (`after` None) or changed; it keeps its id."""
        assert before is None or after is None or before.id == after.id
        if before is not None:
            known = self._workloads.pop(before.id)
            assert known == before
        if after is not None:
            self._workloads[after.id] = after
        self.tables = self._followed(before, after) or self._anew()
        return self.tables

    def _anew(self) -> Tables:
        with uncollected():
            return self._from_nothing()

    def _from_nothing(self) -> Tables:
        """Compile from nothing, and prepare to follow where that is possible."""
        workloads = list(self._workloads.values())
        universe = build(self._policy, workloads, self._grouping.released)
        self._quick = self._steady and columns.available() and bool(workloads)
        if self._quick:
            self._columns = universe.columns(self._domain)
            self._quick = not universe.apart and not universe.six(self._domain)
        if not self._quick:
            return tables(Compiler(universe, arms.resolve(universe, self._policy, self._now)), self._domain)
        self._classes: list[Class] = list(universe.classes)
        self._sizes = [len(group.workloads) for group in self._classes]
        self._numbers = {self._grouping.maker(group.workloads[0]): number for number, group in enumerate(self._classes)}
        self._ids = {group.id for group in self._classes}
        self._survey(universe)
        self._uses: Counter[str] = Counter()
        self._lists: dict[str, tuple[str, ...]] = {}
        self._stale: list[str] = []
        every = range(len(self._classes))
        self._make(self._named_by(every))
        own = dict(zip(every, self._columns.own(every), strict=True))
        self._order = [self._table(number, self._put(own[number])) for number in every if self._classes[number].mode.enforced]
        for table in self._order:
            self._count(table)
        return self._frozen()

    def _survey(self, universe: Universe) -> None:
        """Find the distinct ends of all rules in force, and what picks whom."""
        self._ends: list[_End] = []
        self._arms: list[_Arm] = []
        self._candidates: dict[tuple[str, str], list[int]] = {}
        self._doubtful: list[int] = []
        known: dict[tuple[tuple[Who, ...], LabelSelector | None], int] = {}
        rarity = universe.postings.many
        said: dict[object, str] = {}

        def end(whos: tuple[Who, ...], scope: LabelSelector | None) -> int:
            at = known.get((whos, scope))
            if at is None:
                at = known[whos, scope] = len(self._ends)
                found = arms.end(universe, whos, scope)
                fixed = NOWHERE
                for who in found.addresses:
                    fixed |= arms.who_addresses(universe, who, self._domain)
                self._ends.append(_End(whos, scope, found.classes, fixed))
                self._index(at, rarity)
            return at

        most = sum(len(rule.scopes) for rule in self._policy.rules)
        for rule in self._policy.rules:
            if rule.until is not None and rule.until <= self._now:
                continue
            services = said.get(rule.services) or said.setdefault(rule.services, rule.services.text())
            for scope in rule.scopes:
                source, destination = end(rule.sources, scope), end(rule.destinations, scope)
                at = len(self._arms)
                self._arms.append(_Arm(rule, (source, destination), services, _ORDER.index(rule.action) * most + at))
                for outward, (peer, own) in enumerate(((source, destination), (destination, source))):
                    self._ends[own].owns[outward].append(at)
                    self._ends[peer].peers[outward].append(at)
        self._picked: list[list[int]] = [[] for _ in self._classes]
        self._concerned: tuple[dict[int, list[_Arm]], dict[int, list[_Arm]]] = ({}, {})
        for at, one in enumerate(self._ends):
            one.members = list(members_of(one.classes))
            for number in one.members:
                self._picked[number].append(at)

    def _index(self, at: int, rarity: Callable[[tuple[str, str]], int]) -> None:
        """Note by which labels a new class may be of an end: by its rarest clause."""
        for who in self._ends[at].whos:
            base = who.base
            if isinstance(base, LabelSelector) and base.clauses:
                key, values = min(base.clauses, key=lambda clause: sum(rarity((clause[0], value)) for value in clause[1]))
                for value in values:
                    self._candidates.setdefault((key, value), []).append(at)
            elif isinstance(base, WorkloadBase):
                self._doubtful.append(at)

    def _followed(self, before: Workload | None, after: Workload | None) -> Tables | None:
        """Return the tables after a change, or None where it cannot be followed."""
        if not self._quick or not all(one is None or _simple(one) for one in (before, after)):
            return None
        was, now = (() if one is None else one.addresses(self._domain).v4 for one in (before, after))
        if was != now and self._strange:
            return None
        old = None if before is None else self._numbers[self._grouping.maker(before)]
        new = None if after is None else self._number(after)
        if after is not None and new is None:
            return None
        here, there = (frozenset[int]() if one is None else frozenset(self._picked[one]) for one in (old, new))
        dirty = here ^ there if was == now else here | there
        if any(self._ends[at].addresses for at in dirty):
            return None
        if old is not None:
            self._columns = self._columns.without(old, was)
            self._sizes[old] -= 1
        if new is not None:
            self._columns = self._columns.joined(new, now)
            self._sizes[new] += 1
        self._replace(dirty, sorted({one for one in (old, new) if one is not None}))
        self.followed += 1
        return self._frozen()

    def _number(self, workload: Workload) -> int | None:
        """Return the number of a workload's class, a new one if need be; None where its id is taken."""
        maker: Maker = self._grouping.maker(workload)
        number = self._numbers.get(maker)
        if number is not None:
            return number
        group = made(self._policy, maker)
        if group.id in self._ids:
            return None
        number = self._numbers[maker] = len(self._classes)
        self._ids.add(group.id)
        self._classes.append(group)
        self._sizes.append(0)
        self._columns = self._columns.grown()
        single = alone(group, maker, self._grouping, workload)
        candidates = {at for pair in maker[0] for at in self._candidates.get(pair, ())}
        picked = [
            at for at in sorted(candidates.union(self._doubtful)) if arms.end(single, self._ends[at].whos, self._ends[at].scope).classes
        ]
        for at in picked:
            self._ends[at].classes |= 1 << number
            self._ends[at].members.append(number)
        self._picked.append(picked)
        return number

    def _replace(self, dirty: Iterable[int], own: Sequence[int]) -> None:
        """Make the tables anew that name changed ends, and those of the changed classes."""
        numbers = set(own)
        for at in dirty:
            end = self._ends[at]
            end.text, end.id = None, ""
            for own_end in {self._arms[arm].ends[1] for arm in end.peers[False]}:
                numbers.update(self._ends[own_end].members)
            if self._closing:
                for own_end in {self._arms[arm].ends[0] for arm in end.peers[True]}:
                    numbers.update(filter(self._outward, self._ends[own_end].members))
        numbers = {number for number in numbers if self._classes[number].mode.enforced}
        self._make(self._named_by(numbers))
        texts = dict(zip(own, self._columns.own(own), strict=True))
        for number in sorted(numbers):
            identity = self._classes[number].id
            at = bisect_left(self._order, identity, key=_class_id)
            stale = self._order[at] if at < len(self._order) and self._order[at].class_id == identity else None
            if not self._sizes[number]:
                if stale is not None:
                    self._stale.extend(_names(stale))
                    del self._order[at]
                continue
            text = texts.get(number)
            table = self._table(number, stale.addresses if text is None and stale is not None else self._put(text or ()))
            if stale is None:
                self._count(table)
                self._order.insert(at, table)
            else:
                self._recount(stale, table)
                self._order[at] = table
        self._drop()

    def _outward(self, number: int) -> bool:
        return self._classes[number].egress is Egress.ENFORCE

    def _arms_of(self, number: int, *, outward: bool) -> list[_Arm]:
        """Return the arms that concern a class, in the order of their rows; which ends pick a class never changes."""
        known = self._concerned[outward]
        found = known.get(number)
        if found is None:
            found = known[number] = [self._arms[arm] for at in self._picked[number] for arm in self._ends[at].owns[outward]]
            found.sort(key=_place)
        return found

    def _named_by(self, numbers: Iterable[int]) -> dict[int, None]:
        """Return the ends without a list that rows of these classes name."""
        found: dict[int, None] = {}
        for number in numbers:
            if not self._classes[number].mode.enforced or not self._sizes[number]:
                continue
            for outward in (False, True) if self._outward(number) else (False,):
                for arm in self._arms_of(number, outward=outward):
                    at = arm.ends[outward]
                    if self._ends[at].text is None:
                        found[at] = None
        return found

    def _make(self, needed: Iterable[int]) -> None:
        """Make the lists of ends."""
        ends = [self._ends[at] for at in needed]
        of_classes = [end for end in ends if end.classes]
        for end, text in zip(of_classes, self._columns.lists([end.classes for end in of_classes]), strict=True):
            end.text = text
        for end in ends:
            if end.addresses:
                end.text = (AddressSet.of(*(end.text or ())) | end.addresses).cidrs()
            end.text = end.text or ()
            end.id = list_id(end.text) if end.text else ""

    def _table(self, number: int, own: str) -> ClassTable:
        group = self._classes[number]
        inbound = tuple(self._rows(number, outward=False))
        outbound = tuple(self._rows(number, outward=True)) if self._outward(number) else None
        return ClassTable(group.id, group.labels, group.mode, own, inbound, outbound, group.mode is Mode.FULL)

    def _rows(self, number: int, *, outward: bool) -> Iterator[Row]:
        for arm in self._arms_of(number, outward=outward):
            end = self._ends[arm.ends[outward]]
            if not end.text:
                continue
            row = arm.rows[outward]
            if row is None or row.peers != end.id:
                row = arm.rows[outward] = Row(arm.rule.action is Action.ALLOW, end.id, arm.services, arm.rule.id)
            self._lists.setdefault(end.id, end.text)
            yield row
        selective = self._classes[number].selective
        if selective:
            yield Row(allows=False, peers=self._put(ANYWHERE.cidrs()), services=selective.text(), rule="selective")

    def _put(self, text: tuple[str, ...]) -> str:
        known = list_id(text)
        self._lists.setdefault(known, text)
        return known

    def _count(self, table: ClassTable) -> None:
        """Note that a table names its lists."""
        self._uses.update(_names(table))

    def _recount(self, stale: ClassTable, table: ClassTable) -> None:
        """Note that a table took the place of another; most of their rows are the same."""
        if len(stale.inbound) != len(table.inbound) or table.outbound or stale.outbound:
            self._count(table)
            self._stale.extend(_names(stale))
            return
        pairs = [(old.peers, new.peers) for old, new in zip(stale.inbound, table.inbound, strict=True) if old is not new]
        for old, new in (*pairs, (stale.addresses, table.addresses)):
            self._uses[new] += 1
            self._stale.append(old)

    def _drop(self) -> None:
        """Take away the lists that nobody names any longer."""
        for name in self._stale:
            self._uses[name] -= 1
            if not self._uses[name]:
                del self._uses[name], self._lists[name]
        self._stale.clear()

    def _frozen(self) -> Tables:
        return Tables(self._domain, dict(self._lists), tuple(self._order))


def _names(table: ClassTable) -> Iterator[str]:
    """Yield the id of each list that a table names, as often as it does."""
    yield table.addresses
    for row in (*table.inbound, *(table.outbound or ())):
        yield row.peers


def _address_whos(policy: Policy) -> Iterator[Who]:
    for rule in policy.rules:
        for who in (*rule.sources, *rule.destinations):
            if not isinstance(who.base, WorkloadBase):
                yield who


def _simple(workload: Workload) -> bool:
    return not any(one.source_only or one.addresses.v6 for one in workload.interfaces)
