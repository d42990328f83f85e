"""Who gets through, told from native tables rule by rule as the vendors describe it: no code of the adapters' readers in here.

Each judge answers `rows(lens, table)`: for every enforcement point what it lets in and out, as bits of a lens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_network
from typing import Any

from cloudsync.model import intervals
from cloudsync.model.address import AddressSet, Family
from cloudsync_aws.table import AwsTable, Eni
from cloudsync_azure.table import AzureTable, Nsg, Side
from cloudsync_azure.table import Nic as AzureNic
from cloudsync_azure.table import Rule as AzureRule
from cloudsync_f5.table import Action, Ends, F5Table, Virtual
from cloudsync_f5.table import Rule as F5Rule
from cloudsync_gcp.table import GcpTable
from cloudsync_gcp.table import Nic as GcpNic
from cloudsync_gcp.table import Rule as GcpRule
from tests.sim.lens import ICMP, ICMPV6, Lens

Rows = dict[str, tuple[int, int]]
"""Point -> (let in, let out)."""
Ranges = tuple[tuple[int, int, int], ...]


@lru_cache(maxsize=65536)
def ranges_of(addresses: AddressSet) -> Ranges:
    """Return a set of addresses as `(version, first, last)`."""
    return tuple((int(family), first, end - 1) for family in Family for first, end in intervals.ranges(addresses.family(family)))


@lru_cache(maxsize=65536)
def network(text: str) -> Ranges:
    """Return a CIDR as ranges."""
    found = ip_network(text, strict=False)
    return ((found.version, int(found.network_address), int(found.broadcast_address)),)


def first_match(whole: int, rules: Iterable[tuple[int, bool]], *, unmatched: bool) -> int:
    """Return what rules `(packets, lets them through)` let through when the first that matches decides."""
    left, found = whole, 0
    for packets, opens in rules:
        hit = packets & left
        left &= ~hit
        if opens:
            found |= hit
    return found | left if unmatched else found


# --- AWS: the union of an interface's groups ---------------------------------------------------------------------------


@dataclass(slots=True)
class AwsJudge:
    """Security groups: whatever any group of an interface allows."""

    lens: Lens
    table: AwsTable
    _groups: dict[str, tuple[int, int]] = field(default_factory=dict)

    def group(self, key: str) -> tuple[int, int]:
        """Return what a group lets in and out."""
        found = self._groups.get(key)
        if found is None:
            sides = [0, 0]
            held = self.table.groups.get(key)
            for rule in held.rules if held is not None else ():
                ported = rule.protocol in (6, 17)
                spans: tuple[tuple[int, int], ...] | None = ((rule.first, rule.last),) if ported else None
                if rule.protocol in (ICMP, ICMPV6) and rule.first >= 0:
                    low = rule.first * 256 + max(rule.last, 0)
                    spans = ((low, low if rule.last >= 0 else low + 255),)
                services = self.lens.served(rule.protocol, spans)
                sides[rule.egress] |= self.lens.product(self.lens.peers(tuple(self._peer(rule.kind, rule.peer))), services)
            found = self._groups[key] = (sides[0], sides[1])
        return found

    def _peer(self, kind: str, peer: str) -> Iterator[tuple[int, int, int]]:
        if kind.startswith("cidr"):
            yield from network(peer)
        elif kind == "list":
            held = self.table.lists.get(peer)
            for entry in held.entries if held is not None else ():
                yield from network(entry)
        else:
            for eni in self.table.enis.values():
                if peer in eni.groups:
                    yield from ranges_of(eni.private)

    def row(self, eni: Eni) -> tuple[int, int]:
        """Return what an interface lets in and out."""
        sides = [self.group(key) for key in eni.groups]
        into = out = 0
        for one, other in sides:
            into |= one
            out |= other
        return into, out


def aws(lens: Lens, table: AwsTable) -> Rows:
    """Return what every interface lets through."""
    judge = AwsJudge(lens, table)
    return {eni.point: judge.row(eni) for eni in table.enis.values()}


# --- GCP: one list of rules by priority, denies first among equals ------------------------------------------------------


NAMED = {"icmp": ICMP, "ipip": 4, "tcp": 6, "udp": 17, "esp": 50, "ah": 51, "sctp": 132, "all": -1}


def _gcp_packets(lens: Lens, table: GcpTable, rule: GcpRule) -> int:
    services = 0
    for name, ports in rule.protocols:
        services |= lens.served(NAMED.get(name, int(name) if name.isdecimal() else -2), ports or None)
    texts = rule.destinations if rule.egress else rule.sources
    spans = [span for text in texts for span in network(text)]
    for nic in table.nics.values():
        if nic.network == rule.network and set(nic.tags) & set(rule.source_tags):
            spans += ranges_of(nic.primary)
    if not texts and not rule.source_tags and not rule.source_accounts:
        spans = [span for text in ("0.0.0.0/0",) for span in network(text)]
    return lens.product(lens.peers(tuple(spans)), services)


def _gcp_acts(rule: GcpRule, nic: GcpNic) -> frozenset[int]:
    """Return the families in which a rule acts on an interface."""
    if rule.network != nic.network or rule.disabled:
        return frozenset()
    if rule.target_tags and not set(rule.target_tags) & set(nic.tags):
        return frozenset()
    if rule.target_accounts and nic.account not in rule.target_accounts:
        return frozenset()
    own = rule.sources if rule.egress else rule.destinations
    return met(tuple(span for text in own for span in network(text)), ranges_of(nic.inside)) if own else frozenset({4, 6})


@lru_cache(maxsize=65536)
def met(spans: Ranges, own: Ranges) -> frozenset[int]:
    """Return the families of those own addresses (one per family) that lie in some ranges."""
    return frozenset(one[0] for one in own if any(one[0] == version and low <= one[1] <= high for version, low, high in spans))


def gcp(lens: Lens, table: GcpTable) -> Rows:
    """Return what every interface lets through. Drawn machines have one address per family, and rules name one family's own side."""
    listed = sorted(table.rules.values(), key=lambda one: (one.priority, not one.deny))
    packets = {rule.name: _gcp_packets(lens, table, rule) for rule in listed}
    found: Rows = {}
    for nic in table.nics.values():
        sides: tuple[list[tuple[int, bool]], list[tuple[int, bool]]] = ([], [])
        for rule in listed:
            families = _gcp_acts(rule, nic)
            if families:
                sides[rule.egress].append((packets[rule.name] & lens.of(families), not rule.deny))
        found[nic.point] = (first_match(lens.whole, sides[0], unmatched=False), first_match(lens.whole, sides[1], unmatched=True))
    return found


# --- Azure: the subnet's and the interface's group in series --------------------------------------------------------------


PLATFORM = "168.63.129.16/32"
NUMBERS = {"tcp": 6, "udp": 17, "esp": 50, "ah": 51}


@dataclass(slots=True)
class AzureJudge:
    """Rules by priority, then the six defaults."""

    lens: Lens
    table: AzureTable
    _sides: dict[tuple[str, bool, str, Ranges], int] = field(default_factory=dict)

    def row(self, nic: AzureNic) -> tuple[int, int]:
        """Return what an interface lets in and out."""
        into = out = self.lens.whole
        own = ranges_of(nic.private)
        for name in {self.table.subnets[one].nsg for one in nic.subnets if one in self.table.subnets} | {nic.nsg}:
            if name:
                into &= self.side(self.table.nsgs[name], nic.vnet, own, egress=False)
                out &= self.side(self.table.nsgs[name], nic.vnet, own, egress=True)
        return into, out

    def side(self, nsg: Nsg, vnet: str, own: Ranges, *, egress: bool) -> int:
        """Return what one group lets through in one direction, for an interface with these addresses."""
        key = (nsg.id, egress, vnet, own)
        found = self._sides.get(key)
        if found is None:
            rules = sorted((one for one in nsg.rules if one.egress is egress), key=lambda one: one.priority)
            listed = [(self._packets(one, vnet) & self.lens.of(self._about(one, vnet, own)), not one.deny) for one in rules]
            inside = self.lens.product(self.lens.peers(self._space(vnet)), (1 << self.lens.width) - 1)
            beyond = self._tag("internet", vnet) if egress else network(PLATFORM)
            rest = self.lens.product(self.lens.peers(tuple(beyond)), (1 << self.lens.width) - 1)
            found = self._sides[key] = first_match(self.lens.whole, [*listed, (inside, True), (rest, True)], unmatched=False)
        return found

    def _space(self, vnet: str) -> Ranges:
        return (*ranges_of(self.table.spaces.get(vnet, AddressSet())), *network(PLATFORM))

    def _tag(self, tag: str, vnet: str) -> Ranges:
        if tag == "virtualnetwork":
            return self._space(vnet)
        if tag == "azureloadbalancer":
            return network(PLATFORM)
        assert tag == "internet", tag
        return ranges_of(AddressSet.of("0.0.0.0/0", "::/0") - self.table.spaces.get(vnet, AddressSet()) - AddressSet.of(PLATFORM))

    def _ends(self, side: Side, vnet: str) -> Ranges:
        if side.asgs:
            return tuple(span for nic in self.table.nics.values() if set(nic.asgs) & set(side.asgs) for span in ranges_of(nic.private))
        return self._tag(side.tag, vnet) if side.tag else ranges_of(side.addresses)

    def _about(self, rule: AzureRule, vnet: str, own: Ranges) -> frozenset[int]:
        return met(self._ends(rule.own, vnet), own)

    def _packets(self, rule: AzureRule, vnet: str) -> int:
        word = rule.protocol.value.lower()
        everywhere = rule.ports == (0, 65536)
        spans = None if everywhere else tuple((first, end - 1) for first, end in intervals.ranges(rule.ports))
        if word == "icmp":
            services = self.lens.served(ICMP, None) | self.lens.served(ICMPV6, None)
        elif word == "*":
            services = self.lens.served(-1, None) if everywhere else self.lens.served(6, spans) | self.lens.served(17, spans)
        else:
            services = self.lens.served(NUMBERS[word], spans)
        return self.lens.product(self.lens.peers(self._ends(rule.peer, vnet)), services)


def azure(lens: Lens, table: AzureTable) -> Rows:
    """Return what every interface lets through. Drawn machines have one address per family."""
    judge = AzureJudge(lens, table)
    return {nic.point: judge.row(nic) for nic in table.nics.values()}


# --- F5: global, route domain, virtual server in series --------------------------------------------------------------------


@dataclass(slots=True)
class F5Judge:
    """First match in each context; `accept-decisively` skips those that follow. Outbound nothing is asked."""

    lens: Lens
    table: F5Table

    def row(self, virtual: Virtual) -> tuple[int, int]:
        """Return what a virtual server lets in and out."""
        services = sum(
            1 << at
            for at, (protocol, detail) in enumerate(self.lens.services)
            if intervals.contains(virtual.listener.services.points, protocol * 65536 + detail)
        )
        left = self.lens.product(self.lens.peers(ranges_of(virtual.listener.peers)), services)
        domain = next((one.enforced for one in self.table.route_domains.values() if one.id == virtual.domain), "")
        found = 0
        for policy, last in ((self.table.enforced, False), (domain, False), (virtual.enforced, True)):
            left, done = self._context(policy, virtual, left, unmatched=self.table.open_by_default or not last)
            found |= done
        return found | left, self.lens.whole

    def _context(self, policy: str, virtual: Virtual, packets: int, *, unmatched: bool) -> tuple[int, int]:
        held = self.table.policies.get(policy)
        left, on, done = packets, 0, 0
        for rule in self._flat(held.rules if held is not None else ()):
            hit = left & self._packets(rule, virtual)
            left &= ~hit
            on |= hit if rule.action is Action.ACCEPT else 0
            done |= hit if rule.action is Action.DECISIVELY else 0
        return (on | left if unmatched else on), done

    def _flat(self, rules: Iterable[F5Rule]) -> Iterator[F5Rule]:
        for rule in rules:
            if not rule.enabled:
                continue
            if rule.rule_list:
                inner = self.table.rule_lists.get(rule.rule_list)
                yield from self._flat(inner.rules if inner is not None else ())
            else:
                yield rule

    def _spans(self, ends: Ends, domain: int) -> Iterator[tuple[int, int, int]]:
        yield from ((one.version, one.first, one.last) for one in ends.spans if one.domain == domain)
        for path in ends.lists:
            held = self.table.lists.get(path)
            if held is not None:
                yield from self._spans(Ends(held.spans, held.lists), domain)

    def _packets(self, rule: F5Rule, virtual: Virtual) -> int:
        mine = ranges_of(virtual.addresses)
        if not rule.destination.any:
            spans = self._spans(rule.destination, virtual.domain)
            if not met(tuple(spans), mine):
                return 0
        native = rule.native
        ports: tuple[tuple[int, int], ...] | None = (
            *native.ports,
            *(pair for path in rule.port_lists for pair in self.table.port_lists[path].ports),
        ) or None
        if native.icmp:
            ports = tuple((kind * 256 + max(code, 0), kind * 256 + (code if code >= 0 else 255)) for kind, code in native.icmp)
        peers = (1 << len(self.lens.addresses)) - 1 if rule.source.any else self.lens.peers(tuple(self._spans(rule.source, virtual.domain)))
        return self.lens.product(peers, self.lens.served(native.protocol, ports))


def f5(lens: Lens, table: F5Table) -> Rows:
    """Return what every virtual server lets through."""
    judge = F5Judge(lens, table)
    return {virtual.point: judge.row(virtual) for virtual in table.virtuals.values()}


JUDGES: Mapping[str, Callable[[Lens, Any], Rows]] = {"aws": aws, "gcp": gcp, "azure": azure, "f5": f5}
"""Who answers for the tables of each platform."""
