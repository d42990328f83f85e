"""Which rules contain which, for every inventory: containment that is decided from the words alone, never from who happens to exist.

What is said to be contained is; what is not said may still be (sound, not complete). Two packets' worlds are kept apart: an arm is one
source, one destination and one scope of a rule; it opens something inbound at destination workloads, and outbound at source workloads.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from operator import itemgetter

from cloudsync.model import intervals
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet, globally_routable
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ServiceSet
from cloudsync.policy.values import (
    AllWorkloads,
    Anywhere,
    Base,
    Internet,
    IpList,
    LabelSelector,
    NamedWorkload,
    Rule,
    Strangers,
    UnlabeledWorkloads,
    Who,
    WorkloadBase,
)

Clauses = tuple[tuple[str, frozenset[str]], ...]


@dataclass(frozen=True, slots=True)
class Region:
    """Workloads of every inventory that have these labels, this name (empty: any), and no label at all where `bare`."""

    clauses: Clauses = ()
    name: str = ""
    bare: bool = False
    nobody: bool = False

    def __and__(self, other: Region) -> Region:
        """Return those in both. Two names may mean one workload (name and native id), so only equal names join."""
        clauses = dict(self.clauses)
        for key, values in other.clauses:
            clauses[key] = clauses[key] & values if key in clauses else values
        nobody = self.nobody or other.nobody or not all(clauses.values()) or (bool(clauses) and (self.bare or other.bare))
        return Region(tuple(sorted(clauses.items())), self.name or other.name, self.bare or other.bare, nobody)

    def __le__(self, other: Region) -> bool:
        """Tell whether every workload here is there too, in every inventory."""
        if self.nobody:
            return True
        if other.nobody or (other.name and other.name != self.name) or (other.bare and not self.bare):
            return False
        own = dict(self.clauses)
        return all(key in own and own[key] <= values for key, values in other.clauses)


def region_of(base: WorkloadBase | None) -> Region:
    """Return the region of a selector; None is a scope `all`."""
    match base:
        case LabelSelector(clauses):
            return Region(tuple((key, frozenset(values)) for key, values in clauses), nobody=not all(values for _, values in clauses))
        case UnlabeledWorkloads():
            return Region(bare=True)
        case NamedWorkload(name):
            return Region(name=name)
        case AllWorkloads() | None:
            return Region()


@dataclass(frozen=True, slots=True)
class Reach:
    """One WHO under one scope: workloads (a region minus regions) or addresses."""

    who: Who
    region: Region | None
    """None for an address selector."""
    minus: tuple[Region, ...] = ()
    """Exceptions that pick workloads."""

    @property
    def empty(self) -> bool:
        """Tell whether it is empty in every inventory."""
        if self.region is None:
            return not _most(self.who)
        return self.region.nobody or any(self.region <= region for region in self.minus)

    def __le__(self, other: Reach) -> bool:
        """Tell whether everything here is there too, in every inventory; workloads count as their addresses in an address selector."""
        if self.region is not None and other.region is not None:
            own = self.region
            return own <= other.region and all(
                any((own & less) <= mine for mine in self.minus) or _apart(own, less) for less in other.minus
            )
        if self.region is not None:
            return _least(other.who) == ANYWHERE
        return other.region is None and _addresses_within(self, other)


def _apart(a: Region, b: Region) -> bool:
    return (a & b).nobody


def reach(who: Who, scope: LabelSelector | None) -> Reach:
    """Return a WHO as one scope leaves it."""
    minus = tuple(region_of(base) for base in who.excluded if isinstance(base, WorkloadBase))
    if not isinstance(who.base, WorkloadBase):
        return Reach(who, None, minus)
    region = region_of(who.base)
    return Reach(who, region if who.outside else region & region_of(scope), minus)


def _most(who: Who) -> AddressSet:
    """Return addresses that contain an address selector in every inventory."""
    match who.base:
        case IpList(_, addresses):
            found = addresses
        case Internet():
            found = globally_routable()
        case _:
            found = ANYWHERE
    for base in who.excluded:
        if isinstance(base, IpList):
            found -= base.addresses
        elif isinstance(base, Anywhere):
            found = NOWHERE
    return found


def _least(who: Who) -> AddressSet:
    """Return addresses that an address selector contains in every inventory."""
    match who.base:
        case IpList(_, addresses):
            found = addresses
        case Anywhere():
            found = ANYWHERE
        case _:
            return NOWHERE
    for base in who.excluded:
        match base:
            case IpList(_, addresses):
                found -= addresses
            case Internet():
                found -= globally_routable()
            case _:
                return NOWHERE
    return found


def _addresses_within(a: Reach, b: Reach) -> bool:
    if _most(a.who) <= _least(b.who):
        return True
    return _base_within(a.who.base, b.who.base) and all(_left_out(a, less) for less in b.who.excluded)


def _base_within(a: Base, b: Base) -> bool:
    match a, b:
        case (_, Anywhere()) | (Strangers(), Strangers()) | (Internet(), Strangers() | Internet()):
            return True
        case IpList(_, own), IpList(_, other):
            return own <= other
        case Internet(), IpList(_, other):
            return globally_routable() <= other
        case _, IpList(_, other):
            return other == ANYWHERE
        case _:
            return False


def _left_out(a: Reach, less: Base) -> bool:
    """Tell whether `a` holds nothing of an exception of the other side."""
    for mine in a.who.excluded:
        if isinstance(less, WorkloadBase):
            if isinstance(mine, Anywhere) or (isinstance(mine, WorkloadBase) and region_of(less) <= region_of(mine)):
                return True
        elif not isinstance(mine, WorkloadBase) and _base_within(less, mine):
            return True
    if isinstance(less, WorkloadBase):
        return isinstance(a.who.base, Strangers | Internet)
    return isinstance(less, IpList) and not _most(a.who) & less.addresses


@dataclass(frozen=True, slots=True)
class Arm:
    """One source, one destination, one scope of a rule."""

    number: int
    rule: Rule
    source: Reach
    destination: Reach

    @property
    def inbound(self) -> bool:
        """Tell whether it concerns destination workloads."""
        return self.destination.region is not None

    @property
    def outbound(self) -> bool:
        """Tell whether it concerns source workloads."""
        return self.source.region is not None


def arms(number: int, rule: Rule) -> Iterator[Arm]:
    """Yield the arms of a rule that can match in some inventory."""
    seen: set[tuple[Reach, Reach]] = set()
    for scope in rule.scopes:
        destinations = [one for one in (reach(who, scope) for who in rule.destinations) if not one.empty]
        for who in rule.sources:
            source = reach(who, scope)
            if source.empty:
                continue
            for destination in destinations:
                if (source, destination) not in seen:
                    seen.add((source, destination))
                    yield Arm(number, rule, source, destination)


Posted = dict[tuple[int, ...], list[tuple[int, "Arm"]]]
"""Arms in their order, each with its number in it, by the flip points of their rules' services."""


class Index:
    """Arms that may contain another, found by one label value of their inner end and by their services instead of by trying all of them."""

    def __init__(self, every: Iterable[Arm]) -> None:
        self.posted: dict[tuple[str, str], Posted] = {}
        self.general: Posted = {}
        kept = list(every)
        spread: dict[tuple[str, str], int] = {}
        for arm in kept:
            for key, values in _inner(arm):
                for value in values:
                    spread[key, value] = spread.get((key, value), 0) + 1
        for number, arm in enumerate(kept):
            clauses, services = _inner(arm), arm.rule.services.points
            if not clauses:
                self.general.setdefault(services, []).append((number, arm))
                continue
            key, values = min(clauses, key=lambda clause: (sum(spread[clause[0], value] for value in clause[1]), clause[0]))
            for value in values:
                self.posted.setdefault((key, value), {}).setdefault(services, []).append((number, arm))

    def candidates(self, arm: Arm, services: ServiceSet) -> Iterator[Arm]:
        """Yield every arm that can contain this one on some of the services, and some that do not."""
        yield from _meeting(self.general, services)
        for key, values in _inner(arm):
            yield from _meeting(self.posted.get((key, min(values)), {}), services)


def _meeting(posted: Posted, services: ServiceSet) -> Iterator[Arm]:
    found = [arms for points, arms in posted.items() if intervals.meet(points, services.points)]
    for _, arm in found[0] if len(found) == 1 else heapq.merge(*found, key=itemgetter(0)):
        yield arm


def _inner(arm: Arm) -> Clauses:
    """Return the label clauses that the inner end of any containing arm must allow."""
    region = arm.destination.region if arm.destination.region is not None else arm.source.region
    return () if region is None else region.clauses


@dataclass(frozen=True, slots=True)
class Covered:
    """The rules that contain a rule, in the order of the files, with their numbers."""

    by: tuple[Rule, ...]
    numbers: tuple[int, ...]


def covering(parts: Iterable[Arm], services: ServiceSet, index: Index, *, both_ways: bool) -> Covered | None:
    """Return the rules that together contain all parts of a rule on all services; None when that cannot be shown.

    `both_ways` asks for what is opened outbound too; otherwise that end decides which a policy test asks: the destination if it is
    workloads, else the source.
    """
    used: dict[int, Rule] = {}
    for arm in parts:
        left = services
        for other in index.candidates(arm, services):
            if not left.meets(other.rule.services) or not contains(other, arm, both_ways=both_ways):
                continue
            left -= other.rule.services
            used[other.number] = other.rule
            if not left:
                break
        if left:
            return None
    numbers = tuple(sorted(used))
    return Covered(tuple(used[number] for number in numbers), numbers) if used else None


def contains(other: Arm, arm: Arm, *, both_ways: bool) -> bool:
    """Tell whether another rule's arm contains this one, services apart."""
    if both_ways and arm.rule.logged and not other.rule.logged:
        return False
    if other.number == arm.number or not _lives_as_long(other.rule, arm.rule) or other.rule.process not in ("", arm.rule.process):
        return False
    inbound, outbound = arm.inbound, arm.outbound and (both_ways or not arm.inbound)
    if (inbound and not other.inbound) or (outbound and not other.outbound):
        return False
    return arm.destination <= other.destination and arm.source <= other.source


def _lives_as_long(other: Rule, rule: Rule) -> bool:
    return other.until is None or (rule.until is not None and rule.until <= other.until)
