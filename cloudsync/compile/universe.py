"""Classes: workloads that the policy cannot tell apart, and the selectors that pick them, as bitmaps over classes.

A class is made by the labels of the keys that the policy mentions (and by name, for `workload NAME`). It does not depend on which rules
exist today, so adding a rule renames no class: see docs/decisions.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from operator import attrgetter

from cloudsync.compile import columns
from cloudsync.compile.columns import Columns
from cloudsync.model.address import ANYWHERE, AddressSet, globally_routable
from cloudsync.model.errors import RefusedError
from cloudsync.model.finding import Finding, Severity, Where
from cloudsync.model.intervals import Points, union_all
from cloudsync.model.mode import Egress, Mode
from cloudsync.model.service import ServiceSet
from cloudsync.model.workload import Domain, Labels, Workload, WorkloadId
from cloudsync.policy.values import (
    AllWorkloads,
    Base,
    Enforcement,
    LabelSelector,
    NamedWorkload,
    Policy,
    UnlabeledWorkloads,
    Who,
    WorkloadBase,
)

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
    postings: dict[tuple[str, str], Bits]
    names: dict[str, Bits]
    unlabeled: Bits
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
            found = Columns.of(*self._survey(domain, reached=reached))
            self._columns[domain, reached and self.apart] = found
        return found

    def _survey(self, domain: Domain, *, reached: bool) -> tuple[list[int], list[int], list[int]]:
        """Return the firsts and ends of all IPv4 ranges, class by class, and where each class begins. Each workload is looked at once."""
        firsts: list[int] = []
        ends: list[int] = []
        starts = [0]
        apart = six = False
        for group in self.classes:
            for workload in group.workloads:
                interfaces = workload.interfaces
                if len(interfaces) == 1:
                    (one,) = interfaces
                    four = one.addresses.v4
                    if len(four) == 2 and one.domain == domain and not one.addresses.v6 and not one.source_only:
                        firsts.append(four[0])
                        ends.append(four[1])
                        continue
                apart = apart or any(one.source_only for one in interfaces)
                six = six or any(one.addresses.v6 for one in interfaces)
                points = (workload.reached(domain) if reached else workload.addresses(domain)).v4
                firsts += points[::2]
                ends += points[1::2]
            starts.append(len(firsts))
        self._apart = apart
        if not six:
            self._six[domain, False] = self._six[domain, True] = ()
        return firsts, ends, starts

    def many(self, most: int) -> bool:
        """Tell whether there are so many workloads or more."""
        return sum(len(group.workloads) for group in self.classes) >= most

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


_by_id = attrgetter("id")


def used_keys(policy: Policy) -> frozenset[str]:
    """Return the label keys that any selector of the policy mentions: they alone can tell workloads apart."""
    keys: set[str] = set()
    for selector in _selectors(policy):
        if isinstance(selector, LabelSelector):
            keys.update(key for key, _ in selector.clauses)
    return frozenset(keys)


def _selectors(policy: Policy) -> Iterator[Base]:
    for rule in policy.rules:
        yield from (scope for scope in rule.scopes if scope is not None)
        for who in (*rule.sources, *rule.destinations):
            yield from (who.base, *who.excluded)
    for line in policy.enforcement:
        if line.scope is not None:
            yield line.scope
    for test in policy.tests:
        for who in (*test.sources, *test.destinations):
            yield from (who.base, *who.excluded)


_encoded = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode


@lru_cache(maxsize=1 << 16)
def _pair(pair: tuple[str, str]) -> str:
    return _encoded(pair)


def class_id(labels: Labels, name: str, *, unlabeled: bool, released: bool = False) -> str:
    """Return the stable id of a class: 10 hex digits of what makes it, as JSON; few labels are in many classes."""
    more = ',"released"' if released else ""
    made = f"[[{','.join(map(_pair, labels.pairs))}],{_encoded(name)},{_encoded(unlabeled)}{more}]"
    return hashlib.sha256(made.encode()).hexdigest()[:10]


Maker = tuple[tuple[tuple[str, str], ...], str, bool, bool]
"""What makes a class: its labels, the names it is picked by (one per line), whether it has no label at all, whether it is given back."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """What makes a class of a workload under one policy."""

    keys: frozenset[str]
    named: frozenset[str]
    """Names and native ids that the policy picks workloads by."""
    bare: bool
    """The policy speaks of unlabeled workloads."""
    released: frozenset[WorkloadId]

    @classmethod
    def of(cls, policy: Policy, released: frozenset[WorkloadId]) -> Grouping:
        """Return the grouping of a policy; `released` workloads are given back."""
        named = frozenset(base.name for base in _selectors(policy) if isinstance(base, NamedWorkload))
        bare = any(isinstance(base, UnlabeledWorkloads) for base in _selectors(policy))
        return cls(used_keys(policy), named, bare, released)

    def plain(self, workload: Workload) -> bool:
        """Tell whether labels alone decide on its class."""
        named, released = self.named, self.released
        return not (named and (workload.name in named or workload.ref in named)) and not (released and workload.id in released)

    def maker(self, workload: Workload) -> Maker:
        """Return what makes the class of a workload."""
        pairs = workload.labels.pairs
        called = "\n".join(sorted({workload.name, workload.ref} & self.named)) if self.named else ""
        kept = tuple([pair for pair in pairs if pair[0] in self.keys])
        return kept, called, self.bare and not pairs, workload.id in self.released

    def all(self, workloads: Iterable[Workload]) -> dict[Maker, list[Workload]]:
        """Return the workloads of each class, in any order. Most workloads share their very labels with others."""
        makers: dict[Maker, list[Workload]] = {}
        alike: dict[int, list[Workload]] = {}
        simple = not self.named and not self.released
        for workload in workloads:
            plain = simple or self.plain(workload)
            members = alike.get(id(workload.labels)) if plain else None
            if members is None:
                members = makers.setdefault(self.maker(workload), [])
                if plain:
                    alike[id(workload.labels)] = members
            members.append(workload)
        return makers


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
    grouping = Grouping.of(policy, released)
    found = [
        (made(policy, maker, tuple(sorted(members, key=_by_id)) if len(members) > 1 else tuple(members)), maker)
        for maker, members in grouping.all(workloads).items()
    ]
    found.sort(key=_id_of_first)
    postings: dict[tuple[str, str], list[int]] = {}
    names: dict[str, Bits] = {}
    picked_names: dict[str, list[Workload]] = {}
    unlabeled: list[int] = []
    for number, (group, (pairs, called, empty, _)) in enumerate(found):
        for pair in pairs:
            postings.setdefault(pair, []).append(number)
        if empty:
            unlabeled.append(number)
        for name in {group.workloads[0].name, group.workloads[0].ref} & grouping.named if called else ():
            names[name] = names.get(name, 0) | 1 << number
            picked_names.setdefault(name, []).extend(group.workloads)
    classes = tuple([group for group, _ in found])
    _all_apart(classes)
    universe = Universe(classes, {pair: _bits(numbers) for pair, numbers in postings.items()}, names, _bits(unlabeled))
    universe.findings.extend(_name_findings(policy, picked_names))
    return universe


def alone(group: Class, maker: Maker, grouping: Grouping, workload: Workload) -> Universe:
    """Return the universe of one class, of which `workload` is a member: what it picks tells which selectors pick the class."""
    names = dict.fromkeys({workload.name, workload.ref} & grouping.named, 1)
    return Universe((group,), dict.fromkeys(maker[0], 1), names, int(maker[2]))


def _id_of_first(found: tuple[Class, Maker]) -> str:
    return found[0].id


def _bits(numbers: list[int]) -> Bits:
    """Return the set of ascending numbers. Setting bit after bit in a number would copy it each time."""
    if not numbers:
        return 0
    octets = bytearray(numbers[-1] // 8 + 1)
    for number in numbers:
        octets[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(octets, "little")


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
