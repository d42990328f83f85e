"""What a table lets in, virtual server by virtual server: global context, route domain, virtual server, each the first rule that matches.

Contexts stand in series: a packet needs an accept, or no matching rule, in each; `accept-decisively` skips those that follow. What no
rule of a virtual server's policy matches falls to the device's default. A device sends what its virtual servers forward without asking any
policy, so outbound is everything, always.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from enum import Enum
from functools import lru_cache

from cloudsync.adapter import Access, Whose
from cloudsync.model import intervals
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet, Family
from cloudsync.model.firstmatch import decided
from cloudsync.model.packets import ALL_PACKETS, NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ServiceSet
from cloudsync.model.workload import PointId
from cloudsync_f5 import words
from cloudsync_f5.table import GLOBAL, Action, Ends, F5Table, Rule, Virtual

# Equal work is done once over all tables of a run, and equal results are one object: proofs compare a plan's states by identity first.


@dataclass(frozen=True, slots=True)
class Flat:
    """One rule, resolved in one route domain: who, where to, what, and what becomes of it."""

    action: Action
    source: AddressSet
    destination: AddressSet | None
    """None: whatever the destination is."""
    services: ServiceSet


@dataclass(frozen=True, slots=True)
class Passed:
    """What one context makes of packets: accepted (or left to the next), and accepted for good."""

    on: PacketSet = NO_PACKETS
    done: PacketSet = NO_PACKETS


@lru_cache(maxsize=8192)
def limit(peers: AddressSet, services: ServiceSet) -> PacketSet:
    """Return every packet that a listener takes in at all."""
    return PacketSet.of(peers, services)


@lru_cache(maxsize=8192)
def judge(flats: tuple[Flat, ...], packets: PacketSet, *, unmatched: bool) -> Passed:
    """Return what first-match rules make of packets; `unmatched` tells whether what no rule matches goes on."""
    services = packets.services()
    boxes = [(flat.action, limit(flat.source, common)) for flat in flats if flat.source and (common := flat.services & services)]
    found = decided(boxes)
    on, done = (found.get(action, NO_PACKETS) & packets for action in (Action.ACCEPT, Action.DECISIVELY))
    return Passed(on | (packets - PacketSet.union_all(found.values())) if unmatched else on, done)


@lru_cache(maxsize=8192)
def _access(inbound: PacketSet, outbound: PacketSet) -> Access:
    return Access(inbound, outbound)


@lru_cache(maxsize=8192)
def _series(first: Passed, second: Passed, third: Passed) -> PacketSet:
    """Return what passes three contexts, each of which was asked about what the one before let go on."""
    return PacketSet.union_all((first.done, second.done, third.done, third.on))


class Part(Enum):
    """Which rules of a policy are asked: those of our policy of a route domain are ours, or were taken over from somebody else's."""

    ALL = "all"
    OWN = "own"
    INHERITED = "inherited"

    def has(self, rule: Rule) -> bool:
        """Tell whether a rule belongs to the part."""
        return self is Part.ALL or rule.inherited is (self is Part.INHERITED)


_Key = tuple[str, int, Part]
"""Policy, route domain, and which of its rules."""


@dataclass(slots=True)
class Reader:
    """Reads packets out of one table; ask it, it remembers."""

    table: F5Table
    _lists: dict[tuple[str, int], AddressSet] = field(default_factory=dict)
    _ports: dict[str, frozenset[tuple[int, int]]] = field(default_factory=dict)
    _flats: dict[_Key, tuple[Flat, ...]] = field(default_factory=dict)
    _aimed: dict[_Key, tuple[tuple[AddressSet, frozenset[int]], ...]] = field(default_factory=dict)
    _picked: dict[tuple[_Key, tuple[int, ...]], tuple[Flat, ...]] = field(default_factory=dict)
    _reached: dict[tuple[str, int], AddressSet] = field(default_factory=dict)
    _domains: dict[int, str] | None = None

    def addresses(self, path: str, domain: int, seen: frozenset[str] = frozenset()) -> AddressSet:
        """Return the addresses of a list in one route domain, nested lists included; what is not there holds nobody."""
        known = self._lists.get((path, domain))
        if known is not None:
            return known
        held = self.table.lists.get(path)
        if held is None or path in seen:
            return NOWHERE
        parts = [words.addresses(held.spans, domain)]
        parts += [self.addresses(inner, domain, seen | {path}) for inner in sorted(held.lists)]
        found = AddressSet.union_all(parts)
        if not seen:
            self._lists[path, domain] = found
        return found

    def end(self, ends: Ends, domain: int) -> AddressSet:
        """Return the addresses of one end of a rule in one route domain."""
        if ends.any:
            return ANYWHERE
        return AddressSet.union_all((words.addresses(ends.spans, domain), *(self.addresses(path, domain) for path in sorted(ends.lists))))

    def ports(self, path: str, seen: frozenset[str] = frozenset()) -> frozenset[tuple[int, int]]:
        """Return the ports of a list, nested lists included."""
        known = self._ports.get(path)
        if known is not None:
            return known
        held = self.table.port_lists.get(path)
        if held is None or path in seen:
            return frozenset()
        found = held.ports.union(*(self.ports(inner, seen | {path}) for inner in held.lists))
        if not seen:
            self._ports[path] = found
        return found

    def services(self, rule: Rule) -> ServiceSet:
        """Return the services of a rule, port lists resolved."""
        if not rule.port_lists:
            return words.services_of(rule.native)
        every = sorted({*rule.native.ports, *(pair for path in rule.port_lists for pair in self.ports(path))})
        if not every:
            return ServiceSet()
        return words.services_of(words.Native(rule.native.protocol, tuple(every), rule.native.icmp))

    def rules(self, rules: Iterable[Rule], seen: frozenset[str] = frozenset()) -> Iterator[Rule]:
        """Yield rules that count, those of rule lists in their place."""
        for rule in rules:
            if not rule.enabled:
                continue
            if not rule.rule_list:
                yield rule
            elif rule.rule_list in self.table.rule_lists and rule.rule_list not in seen:
                yield from self.rules(self.table.rule_lists[rule.rule_list].rules, seen | {rule.rule_list})

    def flat(self, rule: Rule, domain: int) -> Flat | None:
        """Return a rule resolved. One that cannot be evaluated counts as wide as it can be: it opens all it may open, and cuts nothing."""
        if rule.action is None or (rule.odd and not rule.action.opens):
            return None
        listed = {*rule.source.lists, *rule.destination.lists}
        if not rule.action.opens and any(self.odd_list(path) for path in listed):
            return None
        source = self.end(rule.source, domain)
        if rule.odd and rule.source.any is False and any(word in rule.odd for word in ("countries", "names to resolve")):
            source = ANYWHERE
        if any(self.odd_list(path) for path in rule.source.lists):
            source = ANYWHERE
        destination = None if rule.destination.any else self.end(rule.destination, domain)
        return Flat(rule.action, source, destination, self.services(rule))

    def odd_list(self, path: str, seen: frozenset[str] = frozenset()) -> bool:
        """Tell whether a list holds what cannot be evaluated (names to resolve, countries)."""
        held = self.table.lists.get(path)
        if held is None or path in seen:
            return False
        return bool(held.odd) or any(self.odd_list(inner, seen | {path}) for inner in held.lists)

    def flats(self, policy: str, domain: int, part: Part = Part.ALL) -> tuple[Flat, ...]:
        """Return the rules of a policy, resolved in one route domain, in their order."""
        found = self._flats.get((policy, domain, part))
        if found is None:
            held = self.table.policies.get(policy)
            every = [] if held is None else [self.flat(rule, domain) for rule in self.rules(filter(part.has, held.rules))]
            found = self._flats[policy, domain, part] = tuple(flat for flat in every if flat is not None)
        return found

    def picked(self, policy: str, virtual: Virtual, part: Part = Part.ALL) -> tuple[Flat, ...]:
        """Return the rules of a policy that are about a virtual server's address; equal answers are one object."""
        name = (policy, virtual.domain, part)
        flats = self.flats(*name)
        aimed = self._aimed.get(name)
        if aimed is None:
            groups: dict[AddressSet, set[int]] = {}
            for at, flat in enumerate(flats):
                if flat.destination is not None:
                    groups.setdefault(flat.destination, set()).add(at)
            aimed = self._aimed[name] = tuple((destination, frozenset(places)) for destination, places in groups.items())
        if not aimed:
            return flats
        away = tuple(number for number, (destination, _) in enumerate(aimed) if not meets(destination, virtual.addresses))
        found = self._picked.get((name, away))
        if found is None:
            gone = frozenset().union(*(aimed[number][1] for number in away))
            found = self._picked[name, away] = tuple(flat for at, flat in enumerate(flats) if at not in gone)
        return found

    def covers(self, policy: str, virtual: Virtual) -> bool:
        """Tell whether a policy of ours on a route domain speaks of a virtual server."""
        if not self.table.ours(policy):
            return False
        name = (policy, virtual.domain)
        if name not in self._reached:
            ends = {rule.destination for rule in self.table.policies[policy].rules if not rule.inherited and not rule.destination.any}
            self._reached[name] = AddressSet.union_all(self.end(one, virtual.domain) for one in ends)
        return meets(self._reached[name], virtual.addresses)

    def domain_policy(self, domain: int) -> str:
        """Return the enforced policy of a route domain; empty for none."""
        if self._domains is None:
            self._domains = {
                one.id: self.table.running.get(one.context, one.enforced) for _, one in sorted(self.table.route_domains.items())
            }
        return self._domains.get(domain, "")

    def outer(self, virtual: Virtual) -> tuple[Passed, Passed]:
        """Return what the global context and the route domain make of the packets that a virtual server takes in."""
        packets = limit(virtual.listener.peers, virtual.listener.services)
        first = self.context(self.table.running.get(GLOBAL, self.table.enforced), virtual, packets)
        return first, self.context(self.domain_policy(virtual.domain), virtual, first.on)

    def context(self, policy: str, virtual: Virtual, packets: PacketSet, part: Part = Part.ALL) -> Passed:
        """Return what one of the outer contexts makes of packets: without a policy, and without a match, they go on."""
        return judge(self.picked(policy, virtual, part), packets, unmatched=True) if policy else Passed(packets)

    def last(self, policy: str, virtual: Virtual, packets: PacketSet) -> Passed:
        """Return what a policy on a virtual server, or none, makes of packets: the device's default decides what no rule matches."""
        opens = self.table.open_by_default
        if not policy:
            return Passed(packets if opens else NO_PACKETS)
        return judge(self.picked(policy, virtual), packets, unmatched=opens)

    def attached(self, virtual: Virtual) -> str:
        """Return the policy that packets meet at a virtual server now."""
        return self.table.running.get(virtual.path, virtual.enforced)

    def inbound(self, virtual: Virtual, whose: Whose) -> PacketSet:
        """Return what gets in at a virtual server: in reality, without our policies, or by ours alone over a closed default."""
        if whose is Whose.OURS:
            return self._ours(virtual)
        inner, outer, part = self.attached(virtual), self.domain_policy(virtual.domain), Part.ALL
        if whose is Whose.FOREIGN:
            inner = "" if self.table.ours(inner) else inner
            part = Part.INHERITED if self.table.ours(outer) else part
        packets = limit(virtual.listener.peers, virtual.listener.services)
        first = self.context(self.table.running.get(GLOBAL, self.table.enforced), virtual, packets)
        second = self.context(outer, virtual, first.on, part)
        return _series(Passed(done=first.done), Passed(done=second.done), self.last(inner, virtual, second.on))

    def _ours(self, virtual: Virtual) -> PacketSet:
        """Return what our policies let in by their own rules; of two in series (on the way from one place to the other) what both do."""
        inner, outer = self.attached(virtual), self.domain_policy(virtual.domain)
        asked = [(inner, Part.ALL)] if self.table.ours(inner) else []
        asked += [(outer, Part.OWN)] if self.covers(outer, virtual) else []
        if not asked:
            return NO_PACKETS
        left = limit(virtual.listener.peers, virtual.listener.services)
        for policy, part in asked:
            passed = judge(self.picked(policy, virtual, part), left, unmatched=False)
            left = passed.on | passed.done
        return left


def meets(some: AddressSet, own: AddressSet) -> bool:
    """Tell whether a set of addresses, which may be large, holds one of a few."""
    for family in Family:
        points = some.family(family)
        for first, end in intervals.ranges(own.family(family)):
            if intervals.contains(points, first) or (end - first > 1 and intervals.intersection(points, (first, end))):
                return True
    return False


def chosen(table: F5Table, points: Iterable[PointId] | None) -> Iterator[Virtual]:
    """Yield the virtual servers of some points (unknown points left out), or all; in the order of point ids."""
    if points is None:
        yield from sorted(table.virtuals.values(), key=lambda one: one.point)
        return
    for point in sorted(set(points)):
        virtual = at(table, point)
        if virtual is not None:
            yield virtual


def at(table: F5Table, point: PointId) -> Virtual | None:
    """Return the virtual server of a point; None when there is none."""
    return table.virtuals.get(point.removeprefix(table.scope)) if point.startswith(f"{table.scope}/") else None


def decode(table: F5Table, whose: Whose = Whose.ALL, points: Iterable[PointId] | None = None) -> dict[PointId, Access]:
    """Return what each point lets in and out; points that the same rules decide share one value."""
    reader = Reader(table)
    outbound = NO_PACKETS if whose is Whose.OURS else ALL_PACKETS
    memo: dict[tuple[object, ...], Access] = {}
    found: dict[PointId, Access] = {}
    for virtual in chosen(table, points):
        key = _key(reader, virtual)
        if key not in memo:
            memo[key] = _access(reader.inbound(virtual, whose), outbound)
        found[virtual.point] = memo[key]
    return found


def _key(reader: Reader, virtual: Virtual) -> tuple[object, ...]:
    """Return what decides at a virtual server, by identity where that is cheaper: the reader keeps it alive."""
    contexts = (reader.table.running.get(GLOBAL, reader.table.enforced), reader.domain_policy(virtual.domain), reader.attached(virtual))
    picked = tuple(id(reader.picked(policy, virtual)) if policy else 0 for policy in contexts)
    return (*contexts, *picked, virtual.domain, virtual.listener)
