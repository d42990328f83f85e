"""Reachability from the raw Compute API: policies, VPC rules by number (deny before allow), implied rules, packet by packet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.oracle.four_ground import NOTHING, Json, Row, canonical, mask, within
from tests.oracle.gcp_cloud import Estate, Nic
from tests.oracle.reading import Address, Service

NUMBERS = {"ah": 51, "esp": 50, "icmp": 1, "ipip": 94, "sctp": 132, "tcp": 6, "udp": 17}
TOP = 500
"""The number of the never tier in the product's default band: an allow of somebody else below it outranks everything of ours."""
IPV6_ICMP = 58


@dataclass
class _Walk:
    """One packet after another at one address of an interface: `left` are services that nothing has decided yet."""

    left: int
    opened: int = 0
    cut: int = 0
    forced: int = 0
    denied: int = 0
    above: int = 0

    def decide(self, hit: int, *, allow: bool) -> int:
        """Let a rule decide what it names of what is left; return that."""
        mine = hit & self.left
        self.left &= ~mine
        if allow:
            self.opened |= mine
        return mine


class Reach:
    """One reading, asked what its interfaces let through."""

    def __init__(self, estate: Estate, services: Sequence[Service]) -> None:
        self.estate = estate
        self.services = tuple(services)
        self.nics = estate.nics()
        self._bits: dict[tuple[str, tuple[str, ...]], int] = {}
        self._rules: dict[tuple[str, str], list[Json]] = {}
        self._whose: dict[tuple[str, Address], Nic] = {}
        for nic in self.nics.values():
            for address in nic.primary:
                self._whose[nic.network, address] = nic

    def row(self, card: str, address: Address, *, inbound: bool) -> Row:
        """Return what becomes of every service between an interface and a peer."""
        nic = self.nics[card]
        mine = [one for one in nic.own if one.version == address.version]
        if not mine:
            return NOTHING
        walks = [self._walked(nic, one, address, inbound=inbound) for one in mine]
        some, every, found = 0, -1, Row()
        for walk in walks:
            some, every = some | walk.opened, every & walk.opened
            found = Row(
                cut=found.cut | walk.cut,
                forced=found.forced | walk.forced,
                denied=found.denied | walk.denied,
                above=found.above | walk.above,
            )
        return Row(some, every, self._existing(address), found.cut, found.forced, found.denied, found.above)

    def rules(self, card: str, *, inbound: bool) -> str:
        """Return everything that `row` depends on beside the peer."""
        nic = self.nics[card]
        bearers = sorted(
            (str(one), sorted(each.tags), sorted(each.accounts)) for (network, one), each in self._whose.items() if network == nic.network
        )
        direction = "INGRESS" if inbound else "EGRESS"
        rules = self._at(nic, direction)
        policies = self.estate.policies.get(nic.network, ())
        return canonical([sorted(map(str, nic.own)), sorted(nic.tags), sorted(nic.accounts), rules, list(policies), bearers, nic.network])

    def _existing(self, address: Address) -> int:
        return self.mask("over", (str(address.version),), lambda service: service.over(address))

    def mask(self, name: str, key: tuple[str, ...], hit: Callable[[Service], bool]) -> int:
        """Return services as bits, remembered under a key."""
        if (name, key) not in self._bits:
            self._bits[name, key] = mask(self.services, hit)
        return self._bits[name, key]

    # --- the order of evaluation ---------------------------------------------------------------------------------

    def _walked(self, nic: Nic, own: Address, peer: Address, *, inbound: bool) -> _Walk:
        direction = "INGRESS" if inbound else "EGRESS"
        ends = (peer, own) if inbound else (own, peer)
        walk = _Walk(self._existing(own))
        policies = self.estate.policies.get(nic.network, ())
        for kind in ("HIERARCHY", "SYSTEM"):
            for policy in policies:
                if policy.get("type") == kind:
                    self._by_policy(walk, policy, nic, direction, ends, above=True)
        network = self.estate.networks[nic.network]
        attached = [policy for policy in policies if policy.get("type") == "NETWORK"]
        before = network.get("networkFirewallPolicyEnforcementOrder") == "BEFORE_CLASSIC_FIREWALL"
        for policy in attached if before else ():
            self._by_policy(walk, policy, nic, direction, ends, above=True)
        self._by_rules(walk, nic, direction, ends)
        for policy in () if before else attached:
            self._by_policy(walk, policy, nic, direction, ends, above=False)
        if not inbound:
            walk.opened |= walk.left
        return walk

    def _by_rules(self, walk: _Walk, nic: Nic, direction: str, ends: tuple[Address, Address]) -> None:
        for rule in self._at(nic, direction):
            if not self._addressed(rule, ends):
                continue
            allow = "allowed" in rule
            hit = self._spoken(rule["allowed" if allow else "denied"])
            mine = walk.decide(hit, allow=allow)
            if self.estate.ours(rule):
                continue
            if not allow:
                walk.denied |= hit
            elif int(rule["priority"]) < TOP:
                walk.above |= mine

    def _at(self, nic: Nic, direction: str) -> list[Json]:
        key = (nic.ref, direction)
        if key not in self._rules:
            found = [
                rule
                for rule in self.estate.firewalls
                if rule["network"] == nic.network and rule["direction"] == direction and not rule.get("disabled") and _targets(rule, nic)
            ]
            self._rules[key] = sorted(found, key=lambda rule: (int(rule["priority"]), "allowed" in rule, rule["name"]))
        return self._rules[key]

    def _addressed(self, rule: Json, ends: tuple[Address, Address]) -> bool:
        source, destination = ends
        if rule.get("destinationRanges") and not within(destination, rule["destinationRanges"]):
            return False
        ranges, tags, accounts = (rule.get(name, ()) for name in ("sourceRanges", "sourceTags", "sourceServiceAccounts"))
        if not (ranges or tags or accounts) or within(source, ranges):
            return True
        bearer = self._whose.get((rule["network"], source))
        return bearer is not None and bool(bearer.tags & set(tags) or bearer.accounts & set(accounts))

    def _spoken(self, said: list[Json]) -> int:
        found = 0
        for one in said:
            name = str(one.get("IPProtocol") or one.get("ipProtocol")).lower()
            found |= self._speaks(name, tuple(map(str, one.get("ports", ()))))
        return found

    def _speaks(self, name: str, ports: tuple[str, ...]) -> int:
        number = None if name == "all" else NUMBERS[name] if name in NUMBERS else int(name)
        spans = [(int(text.partition("-")[0]), int(text.rpartition("-")[2])) for text in ports]
        return self.mask(
            name,
            ports,
            lambda service: number in (None, service.protocol) and (not spans or any(low <= service.port <= high for low, high in spans)),
        )

    def _by_policy(self, walk: _Walk, policy: Json, nic: Nic, direction: str, ends: tuple[Address, Address], *, above: bool) -> None:
        """Let a policy decide; `goto_next` sets packets aside for what comes after it."""
        passed = 0
        for rule in sorted(policy.get("rules", ()), key=lambda one: int(one["priority"])):
            if rule["direction"] != direction or rule.get("disabled") or not _policy_names(rule, nic, ends):
                continue
            hit = self._spoken(rule["match"]["layer4Configs"]) & walk.left
            if rule["action"] == "goto_next":
                passed |= hit
                walk.left &= ~hit
                continue
            mine = walk.decide(hit, allow=rule["action"] == "allow")
            if above and rule["action"] == "allow":
                walk.forced |= mine
            elif above:
                walk.cut |= mine
        walk.left |= passed


def _targets(rule: Json, nic: Nic) -> bool:
    if rule.get("targetTags"):
        return bool(nic.tags & set(rule["targetTags"]))
    if rule.get("targetServiceAccounts"):
        return bool(nic.accounts & set(rule["targetServiceAccounts"]))
    return True


def _policy_names(rule: Json, nic: Nic, ends: tuple[Address, Address]) -> bool:
    match = rule["match"]
    if rule.get("targetResources") and nic.network not in rule["targetResources"]:
        return False
    if rule.get("targetServiceAccounts") and not nic.accounts & set(rule["targetServiceAccounts"]):
        return False
    for name, address in (("srcIpRanges", ends[0]), ("destIpRanges", ends[1])):
        if match.get(name) and not within(address, match[name]):
            return False
    return not rule.get("targetSecureTags")
