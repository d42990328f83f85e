"""What a table lets through at each interface: policies, VPC rules and implied rules, walked in Google's order of evaluation.

Order (VPC docs, "Firewall policy rule evaluation order"): hierarchical policies, system policies, then network firewall policies and
VPC rules in the order that the network names, then the implied rules: ingress closed, egress open. A VPC rule that matches ends it.
An interface with several own addresses counts as open where any of them is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field, replace
from functools import lru_cache

from cloudsync.adapter import Access, Point, Whose
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.firstmatch import decided
from cloudsync.model.packets import ALL_PACKETS, NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ServiceSet
from cloudsync.model.workload import PointId
from cloudsync_gcp.match import Matcher, Members, Side, by_network
from cloudsync_gcp.spell import addresses_of, services_of
from cloudsync_gcp.table import GcpTable, Network, Nic, Policy, PolicyRule, Rule

Run = tuple[str, PacketSet]
"""Neighbouring rules of one action, as the packets any of them matches."""
FAMILY_PACKETS = {Family.V4: PacketSet(v4=ALL_PACKETS.v4), Family.V6: PacketSet(v6=ALL_PACKETS.v6)}

# Equal work is done once over all tables of a run, and equal results are one object: proofs compare a plan's states by identity first.


@lru_cache(maxsize=8192)
def _box(peers: AddressSet, services: ServiceSet) -> PacketSet:
    return PacketSet.of(peers, services)


@lru_cache(maxsize=8192)
def _union(sets: tuple[PacketSet, ...]) -> PacketSet:
    return PacketSet.union_all(sets)


@lru_cache(maxsize=8192)
def _fold(runs: tuple[Run, ...], after: PacketSet) -> PacketSet:
    """Return what passes a list of runs, first match, where `after` is what passes when none of them matches."""
    found = decided(runs)
    passed = found.pop("allow", NO_PACKETS)
    stopped = found.pop("deny", NO_PACKETS)
    return passed | (after - PacketSet.union_all((passed, stopped))) if after else passed


@lru_cache(maxsize=4096)
def _access(inbound: PacketSet, outbound: PacketSet) -> Access:
    return Access(inbound, outbound)


def runs_of(pairs: Iterable[Run]) -> tuple[Run, ...]:
    """Return actions with packets, in order, neighbours of one action joined."""
    found: list[tuple[str, list[PacketSet]]] = []
    for action, packets in pairs:
        if not packets:
            continue
        if found and found[-1][0] == action:
            found[-1][1].append(packets)
        else:
            found.append((action, [packets]))
    return tuple((action, _union(tuple(dict.fromkeys(sets)))) for action, sets in found)


@dataclass(slots=True)
class Reader:
    """Reads packets out of one table; ask it, it remembers."""

    table: GcpTable
    whose: Whose = Whose.ALL
    open_rules: bool | None = None
    """None: the rules as they are. True or False: as if the VPC rules let through everything, or nothing."""
    _members: Members | None = None
    _matchers: dict[tuple[str, bool], Matcher] = field(default_factory=dict)
    _packets: dict[int, PacketSet] = field(default_factory=dict)
    _sides: dict[tuple[object, ...], PacketSet] = field(default_factory=dict)
    _parts: dict[tuple[object, ...], PacketSet] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._members = Members(self.table)
        for key, rules in by_network(self.table).items():
            self._matchers[key] = Matcher([rule for rule in rules if self._looked_at(rule)], egress=key[1])

    def _looked_at(self, rule: Rule) -> bool:
        if self.whose is Whose.FOREIGN:
            # As if we had never been here: what we switched off is on.
            return rule.mark is None and not rule.unreadable and (rule.active or rule.off_by(self.table.owner))
        return rule.active and (self.whose is Whose.ALL or rule.mark is not None)

    def packets(self, rule: Rule) -> PacketSet:
        """Return the packets a rule matches, seen from an interface it acts on."""
        found = self._packets.get(id(rule))
        if found is None:
            assert self._members is not None
            peers = addresses_of(rule.destinations if rule.egress else rule.sources)
            if rule.source_tags or rule.source_accounts:
                peers |= self._members.of(rule)
            found = self._packets[id(rule)] = _box(peers, services_of(rule.protocols))
        return found

    def side(self, nic: Nic, *, egress: bool) -> Side:
        """Return what acts on an interface in one direction."""
        return self._matchers[nic.network, egress].side(nic)

    def rules(self, nic: Nic, *, egress: bool) -> tuple[Rule, ...]:
        """Return the rules that act on any own address of an interface, in the order of evaluation."""
        matcher = self._matchers[nic.network, egress]
        return tuple(_picked(matcher.rules, matcher.side(nic).any))

    def access(self, nic: Nic) -> Access:
        """Return what an interface lets in and out."""
        return _access(self._direction(nic, egress=False), self._direction(nic, egress=True))

    def _direction(self, nic: Nic, *, egress: bool) -> PacketSet:
        network = self.table.networks[nic.network]
        if _looks_at_own(network, egress=egress):
            # Policies that tell own addresses apart: each of them is looked at alone.
            each = (replace(nic, inside=AddressSet.of(cidr)) for cidr in nic.inside.cidrs())
            return _union(tuple(dict.fromkeys(self._decided(one, network, egress=egress) for one in each)))
        return self._decided(nic, network, egress=egress)

    def _decided(self, nic: Nic, network: Network, *, egress: bool) -> PacketSet:
        side = self.side(nic, egress=egress)
        key = (network.key, egress, side, self._told_apart(nic, network, egress=egress))
        found = self._sides.get(key)
        if found is None:
            parts = [self._part(nic, family, bits, egress=egress) for family, every in _families(side) for bits in sorted(every)]
            found = self._sides[key] = _union(tuple(dict.fromkeys(parts)))
        return found

    def _told_apart(self, nic: Nic, network: Network, *, egress: bool) -> tuple[str, AddressSet]:
        """Return what the policies of a network tell interfaces apart by."""
        account = nic.account if _looks_at_account(network, egress=egress) else ""
        return account, nic.inside if _looks_at_own(network, egress=egress) else AddressSet()

    def _part(self, nic: Nic, family: Family, bits: int, *, egress: bool) -> PacketSet:
        network = self.table.networks[nic.network]
        key = (network.key, egress, family, bits, self._told_apart(nic, network, egress=egress))
        found = self._parts.get(key)
        if found is not None:
            return found
        if self.whose is Whose.OURS:
            found = self._rules_say(network, family, bits, NO_PACKETS, egress=egress)
        else:
            everything = FAMILY_PACKETS[family]
            passed = self._through(network.after, nic, family, everything if egress else NO_PACKETS, egress=egress)
            if self.open_rules is None:
                passed = self._rules_say(network, family, bits, passed, egress=egress)
            else:
                passed = everything if self.open_rules else NO_PACKETS
            found = self._through(network.before, nic, family, passed, egress=egress)
        self._parts[key] = found
        return found

    def _rules_say(self, network: Network, family: Family, bits: int, after: PacketSet, *, egress: bool) -> PacketSet:
        rules = _picked(self._matchers[network.key, egress].rules, bits)
        return _fold(runs_of(("deny" if rule.deny else "allow", self._only(rule, family)) for rule in rules), after)

    def _only(self, rule: Rule, family: Family) -> PacketSet:
        packets = self.packets(rule)
        return PacketSet(v4=packets.v4) if family is Family.V4 else PacketSet(v6=packets.v6)

    def _through(self, policies: tuple[Policy, ...], nic: Nic, family: Family, after: PacketSet, *, egress: bool) -> PacketSet:
        for policy in reversed(policies):
            after = _fold(runs_of(policy_runs(policy, nic, family, egress=egress)), after)
        return after


def policy_runs(policy: Policy, nic: Nic, family: Family, *, egress: bool) -> Iterator[Run]:
    """Yield the action and packets of each rule of a policy that acts on an interface. Unreadable ones are left out."""
    for rule in policy.rules:
        if rule.egress is egress and not rule.unreadable and acts_on(rule, nic, family):
            packets = _box(addresses_of(rule.peers).only(family), services_of(rule.protocols))
            yield rule.action, packets


def acts_on(rule: PolicyRule, nic: Nic, family: Family) -> bool:
    """Tell whether a policy's rule is meant for an interface (by account and own addresses)."""
    if rule.accounts and nic.account not in rule.accounts:
        return False
    return not rule.own or bool(addresses_of(rule.own).only(family) & nic.inside)


def _looks_at_account(network: Network, *, egress: bool) -> bool:
    return any(rule.accounts for policy in (*network.before, *network.after) for rule in policy.rules if rule.egress is egress)


def _looks_at_own(network: Network, *, egress: bool) -> bool:
    return any(rule.own for policy in (*network.before, *network.after) for rule in policy.rules if rule.egress is egress)


def _families(side: Side) -> tuple[tuple[Family, frozenset[int]], ...]:
    return ((Family.V4, side.v4), (Family.V6, side.v6))


def _picked(rules: tuple[Rule, ...], bits: int) -> Iterator[Rule]:
    while bits:
        low = bits & -bits
        yield rules[low.bit_length() - 1]
        bits ^= low


def chosen(table: GcpTable, points: Iterable[PointId] | None) -> Iterator[Nic]:
    """Yield the interfaces of some points (unknown ones left out), or all; in the order of points."""
    for point in sorted(table.nics if points is None else set(points)):
        nic = table.nics.get(point)
        if nic is not None:
            yield nic


def decode(table: GcpTable, whose: Whose = Whose.ALL, points: Iterable[PointId] | None = None) -> dict[PointId, Access]:
    """Return what each point lets in and out; points on which the same rules act share one value."""
    reader = Reader(table, whose)
    return {nic.point: reader.access(nic) for nic in chosen(table, points)}


def beyond(table: GcpTable, points: Iterable[PointId]) -> dict[PointId, tuple[Access, Access]]:
    """Return (cut, forced) of points: what cannot pass and what passes whatever the VPC rules say.

    Cut by a policy before them, or in a family in which the interface has no address; let through by a policy before them.
    """
    readers: tuple[Reader, Reader] | None = None
    found: dict[PointId, tuple[Access, Access]] = {}
    for nic in chosen(table, points):
        if not table.networks[nic.network].before:
            found[nic.point] = _families_cut(frozenset(family for family in Family if nic.inside.family(family)))
            continue
        readers = readers or (Reader(table, open_rules=False), Reader(table, open_rules=True))
        least, most = (reader.access(nic) for reader in readers)
        cut = _access(_without(ALL_PACKETS, most.inbound), _without(ALL_PACKETS, most.outbound))
        found[nic.point] = (cut, least)
    return found


@lru_cache(maxsize=4)
def _families_cut(own: frozenset[Family]) -> tuple[Access, Access]:
    missing = PacketSet(() if Family.V4 in own else ALL_PACKETS.v4, () if Family.V6 in own else ALL_PACKETS.v6)
    return _access(missing, missing), _access(NO_PACKETS, NO_PACKETS)


@lru_cache(maxsize=1024)
def _without(one: PacketSet, other: PacketSet) -> PacketSet:
    return one - other


# --- points --------------------------------------------------------------------------------------------------------------


def points(table: GcpTable) -> tuple[Point, ...]:
    """Return every enforcement point, skipped ones included, ordered by id.

    `ours` and `foreign` are the names of the rules that act on it in either direction; those we switched off are among the foreign.
    """
    matchers = {
        key: Matcher([rule for rule in rules if not rule.disabled or rule.off_by(table.owner)], egress=key[1])
        for key, rules in by_network(table).items()
    }
    split: dict[tuple[str, int, int], tuple[tuple[str, ...], tuple[str, ...], str]] = {}
    found: list[Point] = []
    for nic in chosen(table, None):
        inward, outward = matchers[nic.network, False], matchers[nic.network, True]
        key = (nic.network, inward.side(nic).any, outward.side(nic).any)
        if key not in split:
            rules = [*_picked(inward.rules, key[1]), *_picked(outward.rules, key[2])]
            ours = tuple(sorted(rule.name for rule in rules if rule.mark is not None))
            foreign = tuple(sorted(rule.name for rule in rules if rule.mark is None))
            split[key] = (ours, foreign, _unknown(table, rules))
        ours, foreign, skipped = split[key]
        skipped = skipped or _unknown_policy(table.networks[nic.network], nic)
        found.append(Point(nic.point, nic.scope, nic.network, nic.vm_name, nic.inside | nic.public, ours, foreign, skipped))
    return tuple(found)


def _unknown(table: GcpTable, rules: Iterable[Rule]) -> str:
    """Say which rule above our tiers cannot be read: what such an interface lets through is not known exactly."""
    last = table.layout.default_deny if table.layout.owns else table.layout.deny
    for rule in rules:
        if rule.unreadable and rule.priority <= last:
            return f"firewall rule {rule.name} acts on it at {rule.priority}, above ours, and cannot be read: {rule.unreadable}"
    return ""


def _unknown_policy(network: Network, nic: Nic) -> str:
    for policy in network.before:
        for rule in policy.rules:
            if rule.unreadable and (not rule.accounts or nic.account in rule.accounts):
                return f"rule {rule.priority} of {policy.title} decides before ours and cannot be read: {rule.unreadable}"
    return ""
