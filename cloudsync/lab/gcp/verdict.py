"""What happens to a packet, decided from the lab's own state in the vendor's order of evaluation.

Egress of the machine it leaves, then ingress of the machine it reaches. Each: hierarchical policies, the vendor's own policies, then VPC
rules and network policies in the order the network says, then the implied rule.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from ..kit.faults import Json
from .effective import network_policy
from .links import last
from .rule_text import PROTOCOLS, block_of, number_of, port_range
from .world import Object, Project, World, link_of

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
METADATA = frozenset({ipaddress.ip_address("169.254.169.254"), ipaddress.ip_address("fd20:ce::254")})
_WORDS = {**PROTOCOLS, "icmpv6": 58, "gre": 47}


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a flow."""

    src: Address
    dst: Address
    protocol: int
    port: int | None = None
    network: str | None = None
    """URL or name, when an address exists in several networks."""

    @staticmethod
    def of_json(given: Mapping[str, Json]) -> Packet:
        """Read {src, dst, protocol, port, network}; ICMP types do not matter to this vendor."""
        protocol = str(given["protocol"]).lower()
        number = _WORDS[protocol] if protocol in _WORDS else int(protocol)
        if not 0 <= number <= 255:
            raise ValueError(f"protocol {number}: want 0 to 255")
        port = given.get("port")
        if port is not None and not 0 <= int(port) <= 65535:
            raise ValueError(f"port {port}: want 0 to 65535")
        src, dst = ipaddress.ip_address(given["src"]), ipaddress.ip_address(given["dst"])
        if src.version != dst.version:
            raise ValueError(f"{src} and {dst} are not of one family")
        return Packet(src, dst, number, None if port is None else int(port), given.get("network"))


@dataclass(frozen=True, slots=True)
class Seat:
    """An interface that an address belongs to."""

    machine: Object
    nic: Object
    inside: Address
    """The address as the machine itself knows it: an external one is translated."""
    primary: bool
    """Is it the primary internal address? Tags and service accounts as sources know only these."""


@dataclass(frozen=True, slots=True)
class Side:
    """What one machine's firewall says."""

    allowed: bool
    by: str
    """Path of the rule, `policy/priority`, or `implied`."""
    machine: str
    layer: str
    """hierarchy | system | vpc | network | regional | implied | platform"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens."""

    egress: Side | None
    ingress: Side | None

    def as_json(self) -> dict[str, Json]:
        """`allowed` or `denied`, which rule decides, and both sides."""
        sides = [side for side in (self.egress, self.ingress) if side is not None]
        decides = next((side for side in sides if not side.allowed), sides[-1])
        return {
            "verdict": "allowed" if decides.allowed else "denied",
            "by": decides.by,
            "layer": decides.layer,
            "egress": _side(self.egress),
            "ingress": _side(self.ingress),
        }


def _side(side: Side | None) -> Json:
    return None if side is None else {"allowed": side.allowed, "by": side.by, "machine": side.machine, "layer": side.layer}


def decide(world: World, packet: Packet) -> Verdict:
    """Decide a packet. ValueError when neither end is a machine of the lab."""
    source, target = (_seat(world, address, packet.network) for address in (packet.src, packet.dst))
    if source is None and target is None:
        raise ValueError(f"neither {packet.src} nor {packet.dst} is a machine of this lab")
    egress = None if source is None else _decided(world, packet, "EGRESS", (source, target))
    ingress = None if target is None else _decided(world, packet, "INGRESS", (target, source))
    return Verdict(egress, ingress)


@lru_cache(maxsize=65536)
def _address(text: str) -> Address:
    return ipaddress.ip_address(text)


def addresses(nic: Object) -> Iterable[tuple[Address | ipaddress.IPv4Network, bool]]:
    """Yield what an interface answers to inside its network, and whether it is a primary address."""
    yield _address(nic["networkIP"]), True
    if "ipv6Address" in nic:
        yield _address(nic["ipv6Address"]), True
    for one in nic.get("ipv6AccessConfigs", []):
        yield _address(one["externalIpv6"]), True
    for one in nic.get("aliasIpRanges", []):
        yield ipaddress.IPv4Network(one["ipCidrRange"]), False


def _seat(world: World, address: Address, network: str | None) -> Seat | None:
    for project in world.projects.values():
        for _key, machine in sorted(project.tables["instances"].items()):
            for nic in machine["networkInterfaces"]:
                if network is not None and network not in (nic["network"], last(nic["network"])):
                    continue
                for held, primary in addresses(nic):
                    if held == address or (isinstance(held, ipaddress.IPv4Network) and address in held):
                        return Seat(machine, nic, address, primary)
                if any(one.get("natIP") == str(address) for one in nic.get("accessConfigs", [])):
                    return Seat(machine, nic, _address(nic["networkIP"]), primary=False)
    return None


def _decided(world: World, packet: Packet, direction: str, ends: tuple[Seat, Seat | None]) -> Side:
    seat, peer = ends
    path = link_of(seat.machine["selfLink"]).path
    if direction == "EGRESS" and packet.dst in METADATA:
        return Side(True, "platform", path, "platform")
    if direction == "EGRESS" and world.settings.smtp_blocked and packet.port == 25 and packet.dst.is_global:
        return Side(False, "platform", path, "platform")
    link = link_of(seat.nic["network"])
    project, network = world.project(link.project), world.find(link)
    seen = replace(packet, src=seat.inside) if direction == "EGRESS" else replace(packet, dst=seat.inside)
    flow = _Flow(world, seen, direction, seat, peer)
    for layer, policy in _layers(world, project, network, last(seat.machine["zone"]).rpartition("-")[0]):
        found = flow.vpc(path) if policy is None else flow.policy(policy, layer, path)
        if found is not None:
            return found
    return Side(direction == "EGRESS", "implied", path, "implied")


def _layers(world: World, project: Project, network: Object, region: str) -> Iterable[tuple[str, Object | None]]:
    """Yield what is asked in turn; None stands for the VPC rules."""
    for policy in project.hierarchy:
        yield "hierarchy", policy
    for policy in project.system:
        yield "system", policy
    attached = network_policy(world, project, network["selfLink"])
    policies = [("network", attached)] if attached is not None else []
    policies += [("regional", one) for one in project.regional.get(region, []) if one.get("network") == network["selfLink"]]
    if network.get("networkFirewallPolicyEnforcementOrder") == "BEFORE_CLASSIC_FIREWALL":
        yield from policies
        yield "vpc", None
    else:
        yield "vpc", None
        yield from policies


@dataclass(frozen=True, slots=True)
class _Flow:
    """A packet at one machine."""

    world: World
    packet: Packet
    direction: str
    seat: Seat
    peer: Seat | None

    def vpc(self, path: str) -> Side | None:
        """The first VPC rule that matches: smallest number, deny before allow."""
        for name, rule in self.world.packets.ordered(self.seat.nic["network"], self.direction):
            if self._matches(rule):
                return Side("allowed" in rule, name, path, "vpc")
        return None

    def _matches(self, rule: Object) -> bool:
        if not _bears(self.seat, rule.get("targetTags"), rule.get("targetServiceAccounts"), none=True):
            return False
        if not any(self._speaks_of(one["IPProtocol"], one.get("ports")) for one in rule.get("allowed") or rule.get("denied") or []):
            return False
        if rule.get("destinationRanges") and not _within(self.packet.dst, rule["destinationRanges"]):
            return False
        tags, accounts, ranges = rule.get("sourceTags"), rule.get("sourceServiceAccounts"), rule.get("sourceRanges")
        if not (tags or accounts or ranges):
            return True
        if ranges and _within(self.packet.src, ranges):
            return True
        near = self.peer is not None and self.peer.primary and self.peer.nic["network"] == rule["network"]
        return near and self.peer is not None and _bears(self.peer, tags, accounts, none=False)

    def _speaks_of(self, protocol: str, ports: list[str] | None) -> bool:
        number = number_of(protocol)
        if number is not None and number != self.packet.protocol:
            return False
        if not ports:
            return True
        found = [port_range(text) for text in ports]
        return self.packet.port is not None and any(one is not None and one[0] <= self.packet.port <= one[1] for one in found)

    def policy(self, policy: Object, layer: str, path: str) -> Side | None:
        """The first rule of a policy that matches; None when it passes the packet on."""
        for rule in sorted(policy.get("rules", []), key=lambda one: int(one["priority"])):
            if rule["direction"] == self.direction and not rule.get("disabled") and self._matched_by(rule):
                if rule["action"] == "goto_next":
                    return None
                name = policy.get("shortName") or policy.get("name", "")
                return Side(rule["action"] != "deny", f"{name}/{rule['priority']}", path, layer)
        return None

    def _matched_by(self, rule: Object) -> bool:
        match = rule["match"]
        known = {"srcIpRanges", "destIpRanges", "layer4Configs"}
        if any(match.get(name) for name in match if name not in known) or rule.get("targetSecureTags"):
            return False  # names, countries, secure tags: nothing here bears any
        targets = rule.get("targetResources")
        if targets and self.seat.nic["network"] not in targets:
            return False
        if not _bears(self.seat, None, rule.get("targetServiceAccounts"), none=True):
            return False
        if match.get("srcIpRanges") and not _within(self.packet.src, match["srcIpRanges"]):
            return False
        if match.get("destIpRanges") and not _within(self.packet.dst, match["destIpRanges"]):
            return False
        return any(self._speaks_of(one["ipProtocol"], one.get("ports")) for one in match["layer4Configs"])


def _bears(seat: Seat, tags: list[str] | None, accounts: list[str] | None, *, none: bool) -> bool:
    """Has a machine one of these tags or accounts? `none` is the answer when nothing is asked for."""
    if tags:
        return bool(set(tags) & set(seat.machine["tags"].get("items", [])))
    if accounts:
        return bool(set(accounts) & {one.get("email") for one in seat.machine.get("serviceAccounts", [])})
    return none


def _within(address: Address, ranges: list[str]) -> bool:
    return any(block is not None and address in block for block in map(block_of, ranges))
