"""The data plane: does a packet get through, and which rule said so. Written from the vendor's description alone."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from ..kit.faults import Json
from . import names
from .rules import DEFAULT_RULES
from .tags import BLOCKS, PROBE
from .world import Resource, World

PROTOCOLS = ("tcp", "udp", "icmp", "esp", "ah")
_LINK_LOCAL = "169.254.0.0/16"


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet; ports only for tcp and udp."""

    source: str
    destination: str
    protocol: str
    port: int | None
    source_port: int | None


@dataclass(frozen=True, slots=True)
class _End:
    """One end that is an interface here."""

    interface: Resource
    vnet: Resource
    subnet: Json


def flow_from(given: Json) -> Packet:
    """Read {src, dst, protocol, port?, source_port?}; ICMP types do not matter to an NSG. ValueError for nonsense."""
    protocol = str(given["protocol"]).lower().replace("icmpv6", "icmp")
    if protocol not in PROTOCOLS and not protocol.isdigit():
        raise ValueError(f"protocol {protocol!r}: want one of {', '.join(PROTOCOLS)} or a number")
    source, destination = (str(ipaddress.ip_address(given[name])) for name in ("src", "dst"))
    port = int(given["port"]) if protocol in ("tcp", "udp") else None
    source_port = int(given.get("source_port", 49152)) if protocol in ("tcp", "udp") else None
    return Packet(source, destination, protocol, port, source_port)


def verdict(world: World, packet: Packet) -> Json:
    """Follow a packet: outbound at its source (interface, then subnet), inbound at its destination (subnet, then interface)."""
    source, destination = _end(world, packet.source, packet.destination), _end(world, packet.destination, packet.source)
    steps: list[Json] = []
    for end, direction in ((source, "Outbound"), (destination, "Inbound")):
        if end is None:
            continue
        groups = [end.interface.properties.get("networkSecurityGroup"), end.subnet["properties"].get("networkSecurityGroup")]
        for wanted in groups if direction == "Outbound" else reversed(groups):
            group = world.find(wanted["id"]) if wanted else None
            if group is None:
                continue
            rule = _deciding(world, group, packet, direction, end)
            step = {"nsg": group.id, "direction": direction, "rule": rule["name"], "access": rule["properties"]["access"]}
            steps.append({**step, "priority": rule["properties"]["priority"]})
            if step["access"].lower() == "deny":
                return {"allowed": False, "by": step, "steps": steps, "routed": _routed(world, source, destination)}
    return {"allowed": True, "by": steps[-1] if steps else None, "steps": steps, "routed": _routed(world, source, destination)}


def _end(world: World, address: str, other: str) -> _End | None:
    """The interface with an address; where two networks use the same one, that in the network of the other end."""
    found: list[_End] = []
    for each in world.resources.values():
        if each.path.types[-1] != "networkInterfaces":
            continue
        for configuration in each.properties.get("ipConfigurations", ()):
            if configuration["properties"]["privateIPAddress"] == address:
                home, _, name = configuration["properties"]["subnet"]["id"].rpartition("/subnets/")
                vnet = world.find(home)
                if vnet is not None:
                    subnet = next(one for one in vnet.properties["subnets"] if one["name"].lower() == name.lower())
                    found.append(_End(each, vnet, subnet))
    if len(found) > 1:
        near = [one for one in found if _inside(other, _space(world, one.vnet))]
        return (near or found)[0]
    return found[0] if found else None


def _routed(world: World, source: _End | None, destination: _End | None) -> bool:
    """Two networks that are not peered do not reach each other by private addresses."""
    if source is None or destination is None or source.vnet is destination.vnet:
        return True
    return any(names.key(each.id) == names.key(destination.vnet.id) for each in _peers(world, source.vnet))


def _peers(world: World, vnet: Resource) -> list[Resource]:
    found: list[Resource] = []
    for each in vnet.properties.get("virtualNetworkPeerings", ()):
        remote = world.find(each["properties"]["remoteVirtualNetwork"]["id"])
        if remote is None or not each["properties"].get("allowVirtualNetworkAccess", True):
            continue
        back = remote.properties.get("virtualNetworkPeerings", ())
        if any(names.key(one["properties"]["remoteVirtualNetwork"]["id"]) == names.key(vnet.id) for one in back):
            found.append(remote)
    return found


def _space(world: World, vnet: Resource) -> list[str]:
    """The service tag VirtualNetwork as a network sees it."""
    found: list[str] = []
    for each in (vnet, *_peers(world, vnet)):
        found += each.properties["addressSpace"]["addressPrefixes"]
        found += world.gateway_prefixes.get(names.key(each.id), ())
    if world.switches.load_balancer_probes:
        found.append(f"{PROBE}/32")
    return found


def _inside(address: str, blocks: list[str] | tuple[str, ...]) -> bool:
    one = ipaddress.ip_address(address)
    return any(one in ipaddress.ip_network(block, strict=False) for block in blocks)


def rules_in_force(world: World, group: Resource) -> list[Json]:
    """The rules the data plane uses now: those of the last operation that succeeded, or those before while it lags."""
    key = names.key(group.id)
    settled = group.settled
    if key in world.lag_s and world.clock.now() < group.settled_at + world.lag_s[key]:
        settled = world.older.get(key)
    own = settled.get("securityRules", []) if settled else []
    return sorted(own, key=lambda rule: int(rule["properties"]["priority"])) + list(DEFAULT_RULES)


def _deciding(world: World, group: Resource, packet: Packet, direction: str, end: _End) -> Json:
    space = _space(world, end.vnet)
    for rule in rules_in_force(world, group):
        properties = rule["properties"]
        if properties["direction"].lower() != direction.lower():
            continue
        if _matches(world, properties, packet, space):
            return rule
    raise AssertionError("the last default rule matches everything")


def _matches(world: World, properties: Json, packet: Packet, space: list[str]) -> bool:
    if not _protocol_matches(world, properties["protocol"].lower(), packet):
        return False
    sides = (("source", packet.source, packet.source_port), ("destination", packet.destination, packet.port))
    if not _asgs_alive(world, properties):
        return False
    return all(
        _address_matches(world, properties, side, address, space) and _port_matches(properties, side, port) for side, address, port in sides
    )


def _protocol_matches(world: World, wanted: str, packet: Packet) -> bool:
    if wanted == "*":
        return True
    if wanted == "icmp" and ":" in packet.source and not world.switches.icmp_covers_v6:
        return False
    return wanted == packet.protocol


def _port_matches(properties: Json, side: str, port: int | None) -> bool:
    one = properties.get(f"{side}PortRange")
    for text in ([one] if one else []) + list(properties.get(f"{side}PortRanges", ())):
        if text == "*":
            return True
        first, _, last = text.partition("-")
        if port is not None and int(first) <= port <= int(last or first):
            return True
        if port is None and (int(first), int(last or first)) == (0, 65535):
            return True
    return False


def _address_matches(world: World, properties: Json, side: str, address: str, space: list[str]) -> bool:
    for each in properties.get(f"{side}ApplicationSecurityGroups", ()):
        if address in _members(world, each["id"]):
            return True
    one = properties.get(f"{side}AddressPrefix")
    texts = ([one] if one else []) + list(properties.get(f"{side}AddressPrefixes", ()))
    return any(_covers(text, address, space) for text in texts)


def _covers(text: str, address: str, space: list[str]) -> bool:
    match text.lower():
        case "*":
            return True
        case "virtualnetwork":
            return _inside(address, space)
        case "internet":
            return not _inside(address, [*space, f"{PROBE}/32", _LINK_LOCAL])
        case word if word[0].isalpha() and ":" not in word and "/" not in word and not word.replace(".", "").isdigit():
            return _inside(address, BLOCKS.get(word.partition(".")[0], ()))
    return ipaddress.ip_address(address) in ipaddress.ip_network(text, strict=False)


def _members(world: World, asg: str) -> set[str]:
    found: set[str] = set()
    for each in world.of_kind("Microsoft.Network/networkInterfaces"):
        for configuration in each.properties.get("ipConfigurations", ()):
            joined = configuration["properties"].get("applicationSecurityGroups", ())
            if any(names.key(one["id"]) == names.key(asg) for one in joined):
                found.add(configuration["properties"]["privateIPAddress"])
    return found


def _asgs_alive(world: World, properties: Json) -> bool:
    """A rule that names an ASG without members does nothing at all."""
    for side in ("source", "destination"):
        for each in properties.get(f"{side}ApplicationSecurityGroups", ()):
            if not _members(world, each["id"]):
                return False
    return True
