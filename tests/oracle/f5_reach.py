"""Reachability from raw AFM objects: global, route domain and virtual server in series, first match in each, listeners before all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from tests.oracle.f5_cloud import PREDEFINED, Estate, covered, listens, ref, rules_of, span
from tests.oracle.four_ground import NOTHING, Json, Row, canonical, mask, within
from tests.oracle.reading import Address, Service


@dataclass(frozen=True)
class _Said:
    """What one context says: accepted and on to the next, accepted for good, denied by a rule; the rest met no rule."""

    accepted: int = 0
    decisive: int = 0
    dropped: int = 0
    named: int = 0
    """Matched by any drop or reject rule, first or not."""


class Reach:
    """One reading, asked what its virtual servers let in."""

    def __init__(self, estate: Estate, services: Sequence[Service]) -> None:
        self.estate = estate
        self.services = tuple(services)
        self.virtuals = {ref(path): virtual for path, virtual in estate.virtuals.items()}
        self._bits: dict[tuple[object, ...], int] = {}
        self._every = (1 << len(self.services)) - 1

    def row(self, card: str, address: Address, *, inbound: bool) -> Row:
        """Return what becomes of every service between a virtual server and a peer. Nothing stands in the way of what it opens."""
        virtual = self.virtuals.get(card)
        if virtual is None:
            return NOTHING
        where, _ = listens(virtual)
        if where.address.version != address.version:
            return NOTHING
        existing = mask(self.services, lambda service: service.over(address))
        if not inbound:
            return Row(existing, existing, existing)
        low, high = covered(virtual)
        some, every, cut, forced, there = 0, -1, 0, 0, 0
        for number in range(low, high + 1):
            own = type(where.address)(number)
            mine = self._arriving(virtual, own, address) & existing
            there |= mine
            left = {"cut": 0, "forced": 0}
            opened = self._through(virtual, own, address, mine, left)
            some, every = some | opened, every & (opened | ~mine)
            cut, forced = cut | left["cut"], forced | left["forced"]
        return Row(some & there, every & there, there, cut, forced)

    def rules(self, card: str, *, inbound: bool) -> str:
        """Return everything that `row` depends on beside the peer."""
        virtual = self.virtuals.get(card)
        if virtual is None or not inbound:
            return f"{card} {inbound}"
        estate = self.estate
        names = [estate.globals.get("enforcedPolicy"), self._of_domain(virtual), virtual.get("fwEnforcedPolicy")]
        policies = [rules_of(estate.policies[name]) if name else None for name in names]
        others = [[one["destination"], one.get("mask"), one.get("ipProtocol"), "disabled" in one] for one in estate.virtuals.values()]
        lists = [[path, one.get("addresses"), one.get("addressLists")] for path, one in estate.address_lists.items()]
        return canonical([card, virtual.get("source"), policies, others, lists, estate.default])

    def _of_domain(self, virtual: Json) -> str:
        where, _ = listens(virtual)
        return str(self.estate.domains[where.domain].get("fwEnforcedPolicy") or "")

    # --- who listens ----------------------------------------------------------------------------------------------

    def _arriving(self, virtual: Json, own: Address, peer: Address) -> int:
        """Return the services that this virtual server takes, and no more specific one."""
        mine = self._taken(virtual, own, peer)
        for other in self.estate.virtuals.values():
            if other is not virtual and self._rank(other) > self._rank(virtual):
                mine &= ~self._taken(other, own, peer)
        return mine

    def _rank(self, virtual: Json) -> tuple[int, int, int, int]:
        low, high = covered(virtual)
        source = _block(virtual)
        _, port = listens(virtual)
        return (low - high, source.prefixlen, int(port != 0), int(virtual.get("ipProtocol", "any") != "any"))

    def _taken(self, virtual: Json, own: Address, peer: Address) -> int:
        where, port = listens(virtual)
        low, high = covered(virtual)
        source = _block(virtual)
        if "disabled" in virtual or where.address.version != own.version or not low <= int(own) <= high or peer not in source:
            return 0
        number = PREDEFINED[virtual.get("ipProtocol", "any")]
        key = ("listener", number, port)
        if key not in self._bits:
            self._bits[key] = mask(
                self.services,
                lambda service: (
                    number in (None, service.protocol) and (port == 0 or (service.protocol in (6, 17, 132) and service.port == port))
                ),
            )
        return self._bits[key]

    # --- three contexts -------------------------------------------------------------------------------------------

    def _through(self, virtual: Json, own: Address, peer: Address, mine: int, left: dict[str, int]) -> int:
        where, _ = listens(virtual)
        going, done = mine, 0
        for policy in (self.estate.globals.get("enforcedPolicy"), self._of_domain(virtual)):
            said = self._said(policy, own, peer, where.domain) if policy else _Said()
            left["cut"] |= going & said.dropped
            left["forced"] |= going & said.decisive
            done |= going & said.decisive
            going &= ~(said.dropped | said.decisive)
        policy = virtual.get("fwEnforcedPolicy")
        said = self._said(policy, own, peer, where.domain) if policy else _Said()
        rest = going & ~(said.accepted | said.decisive | said.dropped)
        unmatched = rest if self.estate.default == "accept" else 0
        return done | (going & (said.accepted | said.decisive)) | unmatched

    def _said(self, policy: str, own: Address, peer: Address, domain: int) -> _Said:
        found = {"accept": 0, "accept-decisively": 0, "drop": 0, "reject": 0}
        left, named = self._every, 0
        for rule in self._flat(rules_of(self.estate.policies[policy])):
            if not self._names(rule.get("source", {}), peer, domain) or not self._names(rule.get("destination", {}), own, domain):
                continue
            hit = self._spoken(rule)
            found[rule["action"]] |= hit & left
            named |= hit if rule["action"] in ("drop", "reject") else 0
            left &= ~hit
        return _Said(found["accept"], found["accept-decisively"], found["drop"] | found["reject"], named)

    def _flat(self, rules: list[Json]) -> Iterator[Json]:
        for rule in rules:
            if rule.get("status", "enabled") == "disabled":
                continue
            if "ruleList" in rule:
                yield from self._flat(rules_of(self.estate.rule_lists[rule["ruleList"]]))
            else:
                yield rule

    def _names(self, side: Json, address: Address, domain: int) -> bool:
        if not side.get("addresses") and not side.get("addressLists"):
            return True
        if _held(side.get("addresses", ()), address, domain):
            return True
        return any(self._in_list(path, address, domain) for path in side.get("addressLists", ()))

    def _in_list(self, path: str, address: Address, domain: int) -> bool:
        held = self.estate.address_lists[path]
        if _held(held.get("addresses", ()), address, domain):
            return True
        inner = [f"/{one.get('partition', 'Common')}/{one['name']}" for one in held.get("addressLists", ())]
        return any(self._in_list(one, address, domain) for one in inner)

    def _spoken(self, rule: Json) -> int:
        there = rule.get("destination", {})
        texts = [one["name"] for one in there.get("ports", ())]
        for path in there.get("portLists", ()):
            texts += [one["name"] for one in self.estate.port_lists[path].get("ports", ())]
        kinds = tuple(sorted(one["name"] for one in rule.get("icmp", ())))
        key = (str(rule.get("ipProtocol", "any")), tuple(sorted(texts)), kinds)
        if key not in self._bits:
            word = str(rule.get("ipProtocol", "any"))
            number = PREDEFINED[word] if word in PREDEFINED else int(word)
            spans = [span(text) for text in texts]
            self._bits[key] = mask(self.services, lambda service: _hits(service, number, spans, kinds))
        return self._bits[key]


def _block(virtual: Json) -> IPv4Network | IPv6Network:
    return ip_network(re.sub(r"%\d+", "", virtual["source"]))


def _hits(service: Service, number: int | None, spans: list[tuple[int, int]], kinds: tuple[str, ...]) -> bool:
    if number not in (None, service.protocol):
        return False
    if kinds:
        return service.protocol in (1, 58) and any(_kind(text, service) for text in kinds)
    return not spans or (service.protocol in (6, 17, 132) and any(low <= service.port <= high for low, high in spans))


def _kind(text: str, service: Service) -> bool:
    kind, _, code = text.partition(":")
    return int(kind) == service.port and (code in ("", "any") or int(code) == service.code)


def _held(entries: Sequence[Json], address: Address, domain: int) -> bool:
    for one in entries:
        text = one["name"]
        if {int(number) for number in re.findall(r"%(\d+)", text)} != ({domain} if domain else set()):
            continue
        ends = re.sub(r"%\d+", "", text).split("-")
        if len(ends) == 2:
            low, high = (ip_address(part) for part in ends)
            if low.version == address.version and int(low) <= int(address) <= int(high):
                return True
        elif within(address, ends):
            return True
    return False
