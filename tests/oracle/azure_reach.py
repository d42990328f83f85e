"""Reachability from raw NSGs: subnet and interface in series, rules by priority, the six default rules, service tags and ASGs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.oracle.azure_cloud import Estate, Nic, texts
from tests.oracle.four_ground import NOTHING, Json, Row, canonical, host, mask, within
from tests.oracle.reading import Address, Service

PROBE = host("168.63.129.16")
NUMBERS = {"tcp": (6,), "udp": (17,), "icmp": (1, 58), "esp": (50,), "ah": (51,), "*": ()}
TAGS = {
    "azureloadbalancer": ("168.63.129.16/32",),
    "storage": ("198.18.0.0/20",),
    "sql": ("198.18.16.0/20",),
    "azurecloud": ("198.18.0.0/16",),
}
"""What stands behind the service tags that estates use."""
DEFAULTS = (
    ("Inbound", "VirtualNetwork", "VirtualNetwork", "Allow", 65000),
    ("Inbound", "AzureLoadBalancer", "*", "Allow", 65001),
    ("Inbound", "*", "*", "Deny", 65500),
    ("Outbound", "VirtualNetwork", "VirtualNetwork", "Allow", 65000),
    ("Outbound", "*", "Internet", "Allow", 65001),
    ("Outbound", "*", "*", "Deny", 65500),
)


@dataclass(frozen=True)
class _Said:
    """What one NSG says to the packets of one pair."""

    opened: int
    denied: int
    above: int


class Reach:
    """One reading, asked what its interfaces let through."""

    def __init__(self, estate: Estate, services: Sequence[Service]) -> None:
        self.estate = estate
        self.services = tuple(services)
        self.nics = estate.interfaces()
        self._bits: dict[tuple[str, tuple[str, ...]], int] = {}
        self._tables: dict[tuple[str, str], list[Json]] = {}
        self._asgs: dict[str, frozenset[Address]] = {}

    def row(self, card: str, address: Address, *, inbound: bool) -> Row:
        """Return what becomes of every service between an interface and a peer."""
        nic = self.nics[card]
        existing = mask(self.services, lambda service: service.over(address))
        some, every, cut, denied, above, any_end = 0, -1, 0, 0, 0, False
        for own, subnet_nsg in nic.ends:
            if own.version != address.version:
                continue
            any_end = True
            ends = (address, own) if inbound else (own, address)
            opened, mine = existing, existing
            for nsg in (subnet_nsg, nic.nsg):
                if not nsg:
                    continue
                said = self._said(nsg, nic, ends, inbound=inbound)
                opened &= said.opened
                if self.estate.ruled(nsg):
                    denied |= said.denied
                    mine &= said.above
                else:
                    cut |= existing & ~said.opened
                    mine &= said.opened
            some, every, above = some | opened, every & opened, above | mine
        if not any_end:
            return NOTHING
        forced = existing if address == PROBE else 0
        return Row(some, every, existing, cut, forced, denied, above)

    def rules(self, card: str, *, inbound: bool) -> str:
        """Return everything that `row` depends on beside the peer."""
        nic = self.nics[card]
        direction = "Inbound" if inbound else "Outbound"
        groups = [(str(own), self._table(nsg, direction) if nsg else None) for own, nsg in nic.ends]
        members = {name: sorted(map(str, self._members(name))) for name in self._named_asgs(nic)}
        return canonical([groups, self._table(nic.nsg, direction) if nic.nsg else None, self._space(nic.vnet), members])

    # --- one NSG --------------------------------------------------------------------------------------------------

    def _said(self, nsg: str, nic: Nic, ends: tuple[Address, Address], *, inbound: bool) -> _Said:
        left = mask(self.services, lambda _service: True)
        opened = denied = above = 0
        for rule in self._table(nsg, "Inbound" if inbound else "Outbound"):
            properties = rule["properties"]
            if not self._addressed(properties, nic, ends):
                continue
            hit = self._spoken(properties)
            allow = properties["access"].lower() == "allow"
            foreign = not rule.get("default") and not self.estate.ours(rule)
            mine = hit & left
            left &= ~hit
            if allow:
                opened |= mine
                above |= mine if foreign and int(properties["priority"]) < self.estate.top else 0
            elif foreign:
                denied |= hit
        return _Said(opened, denied, above)

    def _table(self, nsg: str, direction: str) -> list[Json]:
        if (nsg, direction) not in self._tables:
            raw = self.estate.nsgs[nsg]["properties"].get("securityRules", ())
            mine = [rule for rule in raw if rule["properties"]["direction"].lower() == direction.lower()]
            found = sorted(mine, key=lambda rule: int(rule["properties"]["priority"]))
            self._tables[nsg, direction] = found + [_default(*one) for one in DEFAULTS if one[0] == direction]
        return self._tables[nsg, direction]

    def _spoken(self, properties: Json) -> int:
        protocol = str(properties["protocol"]).lower()
        ports = tuple(texts(properties, "destination", "PortRange", "PortRanges"))
        key = (protocol, ports)
        if key not in self._bits:
            numbers = NUMBERS[protocol]
            whole = any(text in ("*", "0-65535") for text in ports)
            spans = [(int(text.partition("-")[0]), int(text.rpartition("-")[2])) for text in ports if text != "*"]
            self._bits[key] = mask(
                self.services,
                lambda service: (
                    (not numbers or service.protocol in numbers)
                    and (whole or (service.protocol in (6, 17) and any(low <= service.port <= high for low, high in spans)))
                ),
            )
        return self._bits[key]

    def _addressed(self, properties: Json, nic: Nic, ends: tuple[Address, Address]) -> bool:
        groups = [
            [str(one["id"]).lower() for one in properties.get(f"{side}ApplicationSecurityGroups", ())] for side in ("source", "destination")
        ]
        if any(not self._members(one) for many in groups for one in many):
            return False  # a rule that names an empty ASG does nothing at all
        for side, address, many in zip(("source", "destination"), ends, groups, strict=True):
            blocks = texts(properties, side, "AddressPrefix", "AddressPrefixes")
            if not any(address in self._members(one) for one in many) and not any(self._covers(text, address, nic) for text in blocks):
                return False
        return True

    def _covers(self, text: str, address: Address, nic: Nic) -> bool:
        word = text.lower()
        if word == "*":
            return True
        if word == "virtualnetwork":
            return within(address, self._space(nic.vnet))
        if word == "internet":
            return not within(address, [*self._space(nic.vnet), "169.254.0.0/16"])
        if word in TAGS:
            return within(address, TAGS[word])
        return within(address, [text])

    def _space(self, vnet: str) -> list[str]:
        """Return what the tag VirtualNetwork stands for: this network, those peered with it both ways, and the probes' address."""
        mine = self.estate.vnets[vnet]
        found = list(mine["properties"]["addressSpace"]["addressPrefixes"])
        for one in mine["properties"].get("virtualNetworkPeerings", ()):
            there = str(one["properties"]["remoteVirtualNetwork"]["id"]).lower()
            back = self.estate.vnets.get(there, {}).get("properties", {}).get("virtualNetworkPeerings", ())
            mutual = any(str(each["properties"]["remoteVirtualNetwork"]["id"]).lower() == vnet for each in back)
            if mutual and one["properties"].get("allowVirtualNetworkAccess", True):
                found += self.estate.vnets[there]["properties"]["addressSpace"]["addressPrefixes"]
        return [*found, f"{PROBE}/32"]

    def _members(self, asg: str) -> frozenset[Address]:
        if asg not in self._asgs:
            self._asgs[asg] = frozenset(address for nic in self.nics.values() if asg in nic.asgs for address in nic.own)
        return self._asgs[asg]

    def _named_asgs(self, nic: Nic) -> set[str]:
        found: set[str] = set()
        for nsg in {nic.nsg, *(one for _, one in nic.ends)} - {""}:
            for direction in ("Inbound", "Outbound"):
                for rule in self._table(nsg, direction):
                    for side in ("source", "destination"):
                        many = rule["properties"].get(f"{side}ApplicationSecurityGroups", ())
                        found |= {str(one["id"]).lower() for one in many}
        return found


def _default(direction: str, source: str, destination: str, access: str, priority: int) -> Json:
    properties = {
        "direction": direction,
        "protocol": "*",
        "access": access,
        "priority": priority,
        "sourceAddressPrefix": source,
        "destinationAddressPrefix": destination,
        "destinationPortRange": "*",
    }
    return {"name": "default", "default": True, "properties": properties}
