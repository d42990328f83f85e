"""Classes: workloads that the policy cannot tell apart, and the selectors that pick them, as bitmaps over classes.

A class is made by the labels of the keys that the policy mentions (and by name, for `workload NAME`). It does not depend on which rules
exist today, so adding a rule renames no class: see docs/decisions.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from cloudsync.model.address import ANYWHERE, AddressSet, globally_routable
from cloudsync.model.finding import Finding, Severity, Where
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

Bits = int
"""A set of classes: bit n is class n."""


def members_of(bits: Bits) -> Iterator[int]:
    """Yield the numbers of the set bits, ascending.

    Searching the digits takes one pass; clearing bit after bit would copy the rest each time.
    """
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
    _bearers: Counter[str] = field(default_factory=Counter)

    @property
    def everything(self) -> Bits:
        """Every class."""
        return (1 << len(self.classes)) - 1

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
                picked = self.everything
                for key, values in clauses:
                    union = 0
                    for value in values:
                        union |= self.postings.get((key, value), 0)
                    picked &= union
                return picked

    def who(self, who: Who, scope: LabelSelector | None) -> Bits:
        """Return the classes of a WHO with a workload base under one scope."""
        inside = self.everything if scope is None or who.outside else self.pick(scope)
        assert isinstance(who.base, WorkloadBase)
        picked = self.pick(who.base) & inside
        for base in who.excluded:
            if isinstance(base, WorkloadBase):
                picked &= ~(self.pick(base) & inside)
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


def class_id(labels: Labels, name: str, *, unlabeled: bool, released: bool = False) -> str:
    """Return the stable id of a class: 10 hex digits of what makes it."""
    made = [labels.pairs, name, unlabeled, *(["released"] if released else [])]
    text = json.dumps(made, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def build(policy: Policy, workloads: Sequence[Workload], released: frozenset[WorkloadId] = frozenset()) -> Universe:
    """Partition an inventory into classes. An ambiguous `workload NAME` is a finding of the universe.

    `released` workloads are given back: they are classes of their own, idle whatever the policy says, and peers as ever.
    """
    keys = used_keys(policy)
    selectors = set(_selectors(policy))
    named = {base.name for base in selectors if isinstance(base, NamedWorkload)}
    bare = any(isinstance(base, UnlabeledWorkloads) for base in selectors)
    picked_names: dict[str, list[Workload]] = {name: [] for name in named}
    makers: dict[tuple[Labels, str, bool, bool], list[Workload]] = {}
    alike: dict[int, list[Workload]] = {}
    """The same lists again, found by the very labels, which most workloads share with others; few of them are named or given back."""
    for workload in sorted(workloads, key=_by_id):
        apart = bool(released) and workload.id in released
        if not apart and not (named and (workload.name in named or workload.ref in named)):
            known = alike.get(id(workload.labels))
            if known is not None:
                known.append(workload)
                continue
        called = sorted({workload.name, workload.ref} & named)
        for name in called:
            picked_names[name].append(workload)
        labels = Labels(tuple(pair for pair in workload.labels.pairs if pair[0] in keys))
        members = makers.setdefault((labels, "\n".join(called), bare and not workload.labels, apart), [])
        members.append(workload)
        if not called and not apart:
            alike[id(workload.labels)] = members
    ordered = sorted(
        (class_id(labels, name, unlabeled=empty, released=back), labels, empty, back, found)
        for (labels, name, empty, back), found in makers.items()
    )
    classes: list[Class] = []
    postings: dict[tuple[str, str], Bits] = {}
    names: dict[str, Bits] = {}
    unlabeled = 0
    for number, (identity, labels, empty, back, found) in enumerate(ordered):
        line = enforcement(policy, labels)
        mode = Mode.IDLE if back else line.mode
        classes.append(Class(identity, labels, tuple(found), mode, line.egress, line.services))
        for pair in labels.pairs:
            postings[pair] = postings.get(pair, 0) | 1 << number
        unlabeled |= (1 << number) if empty else 0
        for name in {found[0].name, found[0].ref} & named:
            names[name] = names.get(name, 0) | 1 << number
    universe = Universe(tuple(classes), postings, names, unlabeled)
    universe.findings.extend(_name_findings(policy, picked_names))
    return universe


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
        found = picked.get(name, [])
        if len(found) > 1:
            listed = ", ".join(workload.id for workload in found[:5])
            message = f"{what}: workload '{name}' is ambiguous: {len(found)} workloads have this name"
            yield Finding(where, "AMBIGUOUS-WORKLOAD", message, f"use the native id of one of {listed}", Severity.ERROR)
