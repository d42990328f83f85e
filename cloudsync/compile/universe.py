"""Classes: workloads that the policy cannot tell apart, and the selectors that pick them, as bitmaps over classes.

A class is made by the labels of the keys that the policy mentions (and by name, for `workload NAME`). It does not depend on which rules
exist today, so adding a rule renames no class: see docs/decisions.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import lru_cache
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING

from cloudsync.compile import columns
from cloudsync.compile.columns import Columns
from cloudsync.compile.grouping import Grouping, Maker
from cloudsync.compile.pause import uncollected
from cloudsync.model.address import ANYWHERE, AddressSet, globally_routable
from cloudsync.model.errors import RefusedError
from cloudsync.model.finding import Finding, Severity, Where
from cloudsync.model.intervals import Points, union_all
from cloudsync.model.mode import Egress, Mode
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ServiceSet
from cloudsync.model.workload import Domain, Labels, Workload, WorkloadId
from cloudsync.policy.values import (
    AllWorkloads,
    Enforcement,
    LabelSelector,
    NamedWorkload,
    Policy,
    UnlabeledWorkloads,
    Who,
    WorkloadBase,
)

if TYPE_CHECKING:
    from cloudsync.compile.columns import Numbers

MANY = 4096
"""From so many classes on numpy is worth its import; see `make bench`."""

Bits = int
"""A set of classes: bit n is class n."""


def members_of(bits: Bits) -> Iterator[int]:
    """Yield the numbers of the set bits, ascending.

    Searching the digits takes one pass; clearing bit after bit would copy the rest each time.
    """
    if bits.bit_length() >= MANY and columns.available():
        yield from columns.members(bits).tolist()
        return
    digits = bin(bits)[:1:-1]
    at = digits.find("1")
    while at >= 0:
        yield at
        at = digits.find("1", at + 1)


def bits_of(numbers: Sequence[int]) -> Bits:
    """Return the set of ascending numbers. Setting bit after bit in a number would copy it each time."""
    if not numbers:
        return 0
    octets = bytearray(numbers[-1] // 8 + 1)
    for number in numbers:
        octets[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(octets, "little")


class Postings(Mapping[tuple[str, str], Bits]):
    """The classes that have a label. Kept as numbers until somebody asks: of many labels of a large inventory no rule speaks."""

    __slots__ = ("_bits", "_numbers")

    def __init__(self, numbers: Mapping[tuple[str, str], Sequence[int]]) -> None:
        self._numbers = numbers
        self._bits: dict[tuple[str, str], Bits] = {}

    @classmethod
    def of(cls, makers: Iterable[Maker]) -> Postings:
        """Return the postings of classes made by `makers`, numbered as they come."""
        found: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for number, maker in enumerate(makers):
            for pair in maker[0]:
                found[pair].append(number)
        return cls(dict(found))

    def __getitem__(self, pair: tuple[str, str]) -> Bits:
        found = self._bits.get(pair)
        if found is None:
            found = self._bits[pair] = bits_of(self._numbers[pair])
        return found

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, pair: object) -> bool:
        return pair in self._numbers

    def many(self, pair: tuple[str, str]) -> int:
        """Return how many classes have a label."""
        return len(self._numbers.get(pair, ()))


@dataclass(frozen=True, slots=True)
class Arrived:
    """An inventory in the order in which it came, which is how it lies in memory, and the number of each workload's class."""

    workloads: Sequence[Workload]
    numbers: Numbers | None
    """None where nobody asked yet."""


@dataclass(frozen=True, slots=True)
class Class:
    """One class: its stable id, the labels that make it, its workloads ordered by id, and how far it is enforced."""

    id: str
    labels: Labels
    workloads: tuple[Workload, ...]
    mode: Mode
    egress: Egress
    selective: ServiceSet
    """Services that `selective` closes."""


@dataclass(slots=True)
class Universe:
    """All classes of one inventory with what selectors pick. Ask it; it remembers what it computed."""

    classes: tuple[Class, ...]
    postings: Postings
    names: dict[str, Bits]
    unlabeled: Bits
    arrived: Arrived
    findings: list[Finding] = field(default_factory=list)
    _addresses: dict[tuple[int, Domain], AddressSet] = field(default_factory=dict)
    _reached: dict[tuple[int, Domain], AddressSet] = field(default_factory=dict)
    _unions: dict[tuple[Bits, Domain], AddressSet] = field(default_factory=dict)
    _apart: bool | None = None
    _strangers: dict[Domain, AddressSet] = field(default_factory=dict)
    _picked: dict[WorkloadBase, Bits] = field(default_factory=dict)
    _clauses: dict[tuple[str, tuple[str, ...]], Bits] = field(default_factory=dict)
    _everything: Bits = 0
    _columns: dict[tuple[Domain, bool], Columns] = field(default_factory=dict)
    _six: dict[tuple[Domain, bool], tuple[Points, ...]] = field(default_factory=dict)
    _bearers: Counter[str] = field(default_factory=Counter)

    @property
    def everything(self) -> Bits:
        """Every class."""
        if not self._everything:
            self._everything = (1 << len(self.classes)) - 1
        return self._everything

    def pick(self, base: WorkloadBase) -> Bits:
        """Return the classes that a workload selector picks, without any scope."""
        found = self._picked.get(base)
        if found is None:
            found = self._picked[base] = self._pick(base)
        return found

    def _pick(self, base: WorkloadBase) -> Bits:
        match base:
            case AllWorkloads():
                return self.everything
            case UnlabeledWorkloads():
                return self.unlabeled
            case NamedWorkload(name):
                return self.names.get(name, 0)
            case LabelSelector(clauses):
                if not clauses:
                    return self.everything
                picked = self._clause(*clauses[0])
                for key, values in clauses[1:]:
                    picked &= self._clause(key, values)
                return picked

    def _clause(self, key: str, values: tuple[str, ...]) -> Bits:
        if len(values) == 1:
            return self.postings.get((key, values[0]), 0)
        found = self._clauses.get((key, values))
        if found is None:
            found = 0
            for value in values:
                found |= self.postings.get((key, value), 0)
            self._clauses[key, values] = found
        return found

    def who(self, who: Who, scope: LabelSelector | None) -> Bits:
        """Return the classes of a WHO with a workload base under one scope."""
        assert isinstance(who.base, WorkloadBase)
        picked = self.pick(who.base)
        if scope is not None and not who.outside:
            picked &= self.pick(scope)
        for base in who.excluded:
            if isinstance(base, WorkloadBase):
                picked &= ~self.pick(base)
        return picked

    def class_addresses(self, number: int, domain: Domain) -> AddressSet:
        """Return all addresses of a class's workloads as seen from a domain: those that its packets come from."""
        key = (number, domain)
        found = self._addresses.get(key)
        if found is None:
            found = AddressSet.union_all(workload.addresses(domain) for workload in self.classes[number].workloads)
            self._addresses[key] = found
        return found

    def class_reached(self, number: int, domain: Domain) -> AddressSet:
        """Return the addresses at which a class's workloads are reached, as seen from a domain."""
        if not self.apart:
            return self.class_addresses(number, domain)
        key = (number, domain)
        found = self._reached.get(key)
        if found is None:
            plain = self.class_addresses(number, domain)
            reached = AddressSet.union_all(workload.reached(domain) for workload in self.classes[number].workloads)
            found = self._reached[key] = plain if reached == plain else reached
        return found

    def columns(self, domain: Domain, *, reached: bool = False) -> Columns:
        """Return the IPv4 addresses of all classes in arrays; needs numpy."""
        found = self._columns.get((domain, reached and self._apart is not False))
        if found is None:
            found = self._surveyed(domain, reached=reached)
            self._columns[domain, reached and self.apart] = found
        return found

    def _surveyed(self, domain: Domain, *, reached: bool) -> Columns:
        from cloudsync.compile import survey

        arrived, numbers = self.arrived.workloads, self.arrived.numbers
        if numbers is None:
            numbers = survey.numbers(arrived, [group.workloads for group in self.classes])
            self.arrived = Arrived(arrived, numbers)
        found = survey.ranges(arrived, domain, reached=reached)
        self._apart = found.apart
        if not found.six:
            self._six[domain, False] = self._six[domain, True] = ()
        return Columns.of(found.firsts, found.ends, numbers[found.owners], len(self.classes))

    def many(self, most: int) -> bool:
        """Tell whether there are so many workloads or more."""
        return len(self.classes) >= most or sum(len(group.workloads) for group in self.classes) >= most

    def six(self, domain: Domain, *, reached: bool = False) -> tuple[Points, ...]:
        """Return the IPv6 addresses of each class; nothing at all when there are none."""
        key = (domain, reached and self.apart)
        found = self._six.get(key)
        if found is None:
            every = (one for group in self.classes for workload in group.workloads for one in workload.interfaces)
            found = ()
            if any(one.addresses.v6 for one in every):
                of = Workload.reached if key[1] else Workload.addresses
                found = tuple(union_all(of(workload, domain).v6 for workload in group.workloads) for group in self.classes)
            self._six[key] = found
        return found

    def addresses(self, bits: Bits, domain: Domain) -> AddressSet:
        """Return all addresses of several classes as seen from a domain. Many rules name the same classes: computed once for each set."""
        key = (bits, domain)
        found = self._unions.get(key)
        if found is None:
            found = self._unions[key] = AddressSet.union_all(self.class_addresses(number, domain) for number in members_of(bits))
        return found

    def reached(self, bits: Bits, domain: Domain) -> AddressSet:
        """Return the addresses at which several classes are reached, as seen from a domain."""
        if not self.apart:
            return self.addresses(bits, domain)
        return AddressSet.union_all(self.class_reached(number, domain) for number in members_of(bits))

    @property
    def apart(self) -> bool:
        """Tell whether some workload opens connections from addresses at which it is not reached."""
        if self._apart is None:
            interfaces = (one for group in self.classes for workload in group.workloads for one in workload.interfaces)
            self._apart = any(one.source_only for one in interfaces)
        return self._apart

    def called(self, workload: Workload) -> str:
        """Return a workload's name for people; where several have it (members of a fleet usually do), with its target or its native id."""
        if not self._bearers:
            for group in self.classes:
                for one in group.workloads:
                    self._bearers.update((one.name, f"{one.target}/{one.name}"))
        native = workload.ref or workload.id
        if self._bearers[workload.name] < 2 or native == workload.name:
            return workload.name
        apart = workload.target and self._bearers[f"{workload.target}/{workload.name}"] < 2
        return f"{workload.name} [{workload.target if apart else native}]"

    def strangers(self, domain: Domain) -> AddressSet:
        """Return every address that no workload has, as seen from a domain."""
        found = self._strangers.get(domain)
        if found is None:
            found = self._strangers[domain] = ANYWHERE - self.addresses(self.everything, domain)
        return found

    def internet(self, domain: Domain) -> AddressSet:
        """Return the strangers that are globally routable."""
        return self.strangers(domain) & globally_routable()


_by_id = _class_id = attrgetter("id")


_encoded = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode


@lru_cache(maxsize=1 << 16)
def _pair(pair: tuple[str, str]) -> str:
    return _encoded(pair)


def class_id(labels: Labels, name: str, *, unlabeled: bool, released: bool = False) -> str:
    """Return the stable id of a class: 10 hex digits of what makes it, as JSON; few labels are in many classes."""
    made = f"[[{','.join(map(_pair, labels.pairs))}],{_beside_labels(name, unlabeled=unlabeled, released=released)}]"
    return hashlib.sha256(made.encode()).hexdigest()[:10]


@lru_cache
def _beside_labels(name: str, *, unlabeled: bool, released: bool) -> str:
    return f"{_encoded(name)},{_encoded(unlabeled)}" + (',"released"' if released else "")


def made(policy: Policy, maker: Maker, workloads: tuple[Workload, ...] = ()) -> Class:
    """Return the class of a maker."""
    pairs, called, empty, back = maker
    labels = Labels(pairs)
    line = enforcement(policy, labels)
    identity = class_id(labels, called, unlabeled=empty, released=back)
    return Class(identity, labels, workloads, Mode.IDLE if back else line.mode, line.egress, line.services)


def build(policy: Policy, workloads: Sequence[Workload], released: frozenset[WorkloadId] = frozenset()) -> Universe:
    """Partition an inventory into classes. An ambiguous `workload NAME` is a finding of the universe.

    `released` workloads are given back: they are classes of their own, idle whatever the policy says, and peers as ever.
    """
    with uncollected():
        return _build(policy, workloads, released)


def _build(policy: Policy, workloads: Sequence[Workload], released: frozenset[WorkloadId]) -> Universe:
    grouping = Grouping.of(policy, released)
    parts = grouping.parts(workloads)
    found = [made(policy, maker, members) for maker, members in zip(parts.makers, parts.members, strict=True)]
    order = sorted(range(len(found)), key=list(map(_class_id, found)).__getitem__)
    classes = tuple([found[at] for at in order])
    _all_apart(classes)
    makers = [parts.makers[at] for at in order]
    arrays = parts.arrays and parts.arrays.renumbered(order)
    names: dict[str, Bits] = {}
    picked_names: dict[str, list[Workload]] = {}
    for number in [number for number, maker in enumerate(makers) if maker[1]] if grouping.named else ():
        group = classes[number]
        for name in {group.workloads[0].name, group.workloads[0].ref} & grouping.named:
            names[name] = names.get(name, 0) | 1 << number
            picked_names.setdefault(name, []).extend(group.workloads)
    unlabeled = bits_of([number for number, maker in enumerate(makers) if maker[2]]) if grouping.bare else 0
    postings = Postings.of(makers) if arrays is None else Postings(arrays.by_label())
    arrived = Arrived(tuple(workloads), None if arrays is None else arrays.numbers)
    universe = Universe(classes, postings, names, unlabeled, arrived)
    universe.findings.extend(_name_findings(policy, picked_names))
    return universe


def alone(group: Class, maker: Maker, grouping: Grouping, workload: Workload) -> Universe:
    """Return the universe of one class, of which `workload` is a member: what it picks tells which selectors pick the class."""
    names = dict.fromkeys({workload.name, workload.ref} & grouping.named, 1)
    return Universe((group,), Postings.of([maker]), names, int(maker[2]), Arrived(group.workloads, None))


def _all_apart(classes: Sequence[Class]) -> None:
    """Raise RefusedError when two classes have one id: objects on platforms are named by it."""
    for one, other in pairwise(classes):
        if one.id == other.id:
            what = f"[{one.labels.text()}] and [{other.labels.text()}]"
            raise RefusedError("CLASS-ID", f"the classes {what} have the same id {one.id}", "rename a label value of one of them")


def enforcement(policy: Policy, labels: Labels) -> Enforcement:
    """Return the line of the enforcement table that holds for a workload with these labels."""
    for line in policy.enforcement:
        if line.scope is None or all(labels.get(key) in values for key, values in line.scope.clauses):
            return line
    raise AssertionError("the enforcement table ends with its default")


def _name_findings(policy: Policy, picked: dict[str, list[Workload]]) -> Iterator[Finding]:
    places: dict[str, tuple[Where, str]] = {}
    for rule in policy.rules:
        for who in (*rule.sources, *rule.destinations):
            for base in (who.base, *who.excluded):
                if isinstance(base, NamedWorkload):
                    places.setdefault(base.name, (rule.where, f"rule {rule.id}"))
    for test in policy.tests:
        for who in (*test.sources, *test.destinations):
            for base in (who.base, *who.excluded):
                if isinstance(base, NamedWorkload):
                    places.setdefault(base.name, (test.where, "test"))
    for name, (where, what) in sorted(places.items()):
        found = sorted(picked.get(name, ()), key=_by_id)
        if len(found) > 1:
            listed = ", ".join(workload.id for workload in found[:5])
            message = f"{what}: workload '{name}' is ambiguous: {len(found)} workloads have this name"
            yield Finding(where, "AMBIGUOUS-WORKLOAD", message, f"use the native id of one of {listed}", Severity.ERROR)
