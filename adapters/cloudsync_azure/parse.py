"""Resource Manager's answers as table values. Pure: the wire's dicts end here.

A shape that cannot be read raises ParseError, and nothing of the subscription counts as read then. A foreign *rule* that cannot be read is
kept with the reason in `unclear`: somebody else's mistake must not stop us, nor be guessed at.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from cloudsync.model import intervals
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet
from cloudsync.model.errors import AdapterError
from cloudsync.model.intervals import Points
from cloudsync.model.quick import dataclass
from cloudsync_azure.table import ALL_PORTS, TAG_MANAGED, Asg, Nsg, Protocol, Rule, Side, Subnet, order, tier_of

Raw = Mapping[str, Any]

_PROTOCOLS = {one.value.lower(): one for one in Protocol} | {"any": Protocol.ANY, "all": Protocol.ANY}
GONE = frozenset({"deleting"})


class ParseError(ValueError):
    """An answer has a shape that this adapter does not know."""


MALFORMED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What reading an answer raises, ParseError included, when it lacks a field or has another kind of value: nothing of it can be trusted."""


def reason(error: Exception) -> str:
    """Return why an answer cannot be trusted, for people."""
    return str(error) if isinstance(error, AdapterError | ParseError) else f"an answer lacks a field, or it is of another kind: {error!r}"


def canonical(value: object) -> str:
    """Return JSON with sorted keys and no spaces, ASCII only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def text(raw: Raw, key: str, what: str) -> str:
    """Return a text that every answer has. Raises ParseError."""
    value = raw.get(key)
    if not isinstance(value, str) or not value:
        raise ParseError(f"{what} has no {key}")
    return value


def properties(raw: Raw, what: str) -> Raw:
    """Return the properties of a resource. Raises ParseError."""
    value = raw.get("properties")
    if not isinstance(value, Mapping):
        raise ParseError(f"{what} has no properties")
    return value


def listed(raw: Raw, key: str, what: str) -> list[Raw]:
    """Return a list of objects; a missing one is empty, anything else is refused."""
    value = raw.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise ParseError(f"{what}: {key} is no list of objects")
    return value


def reference(raw: Raw, key: str) -> str:
    """Return the lower-case id that a reference names; empty for none."""
    value = raw.get(key)
    if value is None:
        return ""
    if not isinstance(value, Mapping) or not isinstance(value.get("id"), str):
        raise ParseError(f"{key} is no reference")
    return str(value["id"]).lower()


def tags(raw: Raw) -> tuple[tuple[str, str], ...]:
    """Return tags sorted by key."""
    return tuple(sorted((str(key), str(value)) for key, value in (raw.get("tags") or {}).items()))


def part(identity: str, kind: str) -> str:
    """Return what follows a segment of an id, e.g. the group after `resourceGroups`; empty where the segment is missing."""
    pieces = identity.split("/")
    for at, piece in enumerate(pieces[:-1]):
        if piece.lower() == kind.lower():
            return pieces[at + 1]
    return ""


# --- rules -----------------------------------------------------------------------------------------------------------


def rule(raw: Raw, owner: str) -> Rule:
    """Return one security rule, ours or foreign. Raises ParseError where not even its place can be told."""
    name = text(raw, "name", "a security rule")
    kept = {key: value for key, value in properties(raw, f"rule {name}").items() if key != "provisioningState"}
    priority = kept.get("priority")
    way = str(kept.get("direction", "")).lower()
    access = str(kept.get("access", "")).lower()
    if not isinstance(priority, int) or way not in ("inbound", "outbound") or access not in ("allow", "deny"):
        raise ParseError(f"rule {name} has priority {priority!r}, direction {kept.get('direction')!r}, access {kept.get('access')!r}")
    description = str(kept.get("description") or "")
    tier = tier_of(name, description, owner)
    unclear = ""
    try:
        protocol = _protocol(kept.get("protocol"))
        source, destination = _side(kept, "source"), _side(kept, "destination")
        ports, source_ports = _ports(kept, "destination"), _ports(kept, "source")
    except ParseError as error:
        unclear, tier = str(error), None
        protocol, source, destination, ports, source_ports = Protocol.ANY, Side(ANYWHERE), Side(ANYWHERE), ALL_PORTS, ALL_PORTS
    return Rule(
        name=name,
        egress=way == "outbound",
        priority=priority,
        deny=access == "deny",
        protocol=protocol,
        source=source,
        destination=destination,
        ports=ports,
        source_ports=source_ports,
        description=description,
        tier=tier,
        shape="" if tier is not None else _shape(name, kept),
        raw="" if tier is not None else canonical({"name": name, "properties": kept}),
        unclear=unclear,
    )


_WORDS = frozenset({"protocol", "access", "direction", "sourceAddressPrefix", "destinationAddressPrefix"})
"""Fields whose case Azure ignores, and sometimes changes when a rule is written again."""


def _shape(name: str, kept: Raw) -> str:
    """Return a rule's JSON in one spelling: lists that are empty are missing, words without their case, ids too."""
    inner: dict[str, Any] = {}
    for key, value in kept.items():
        if value in ([], None, ""):
            continue
        if key in _WORDS:
            inner[key] = str(value).lower()
        elif key.endswith("SecurityGroups") and isinstance(value, list):
            inner[key] = sorted(str(one.get("id")).lower() if isinstance(one, Mapping) else str(one) for one in value)
        else:
            inner[key] = value
    return canonical({"name": name, "properties": inner})


def _protocol(value: object) -> Protocol:
    found = _PROTOCOLS.get(str(value).lower())
    if found is None:
        raise ParseError(f"protocol {value!r} is not known")
    return found


def _several(kept: Raw, singular: str, plural: str) -> list[str]:
    many = kept.get(plural)
    if many is not None and not isinstance(many, list):
        raise ParseError(f"{plural} is no list")
    one = kept.get(singular)
    return [*([str(one)] if one else []), *map(str, many or ())]


def _side(kept: Raw, end: str) -> Side:
    """Return one side; singular and plural fields together. A side with neither is unreadable, never `any`."""
    words = _several(kept, f"{end}AddressPrefix", f"{end}AddressPrefixes")
    asgs = tuple(sorted(reference({"asg": one}, "asg") for one in kept.get(f"{end}ApplicationSecurityGroups") or ()))
    if asgs and words:
        raise ParseError(f"the {end} mixes application security groups and prefixes")
    if asgs:
        return Side(asgs=asgs)
    if not words:
        raise ParseError(f"the {end} has no address, tag or group")
    if any(word.lower() in ("*", "any") for word in words):
        return Side(ANYWHERE)
    found = [_addresses(word) for word in words]
    if any(addresses == NOWHERE for addresses in found):
        raise ParseError(f"the {end} has a range that ends before it begins")
    names = sorted({word.lower() for word, addresses in zip(words, found, strict=True) if addresses is None})
    if not names:
        return Side(AddressSet.union_all(one for one in found if one is not None))
    if len(names) > 1 or len(words) > 1:
        raise ParseError(f"the {end} mixes service tags and prefixes")
    return Side(tag=names[0])


@lru_cache(maxsize=65536)
def _addresses(word: str) -> AddressSet | None:
    """Return the addresses of a prefix, a bare address or a range; None for a word, which is a service tag. Host bits do not count."""
    if not word[:1].isdigit() and ":" not in word:
        return None
    try:
        if "-" in word:
            first, last = (ip_address(one.strip()) for one in word.split("-", 1))
            points = (int(first), int(last) + 1) if first.version == last.version and int(first) <= int(last) else ()
            return AddressSet(v4=points) if first.version == 4 else AddressSet(v6=points)
        return AddressSet.of(ip_network(word, strict=False))
    except ValueError as error:
        raise ParseError(f"{word!r} is no address") from error


def _ports(kept: Raw, end: str) -> Points:
    words = _several(kept, f"{end}PortRange", f"{end}PortRanges")
    if not words:
        raise ParseError(f"the rule has no {end} port")
    return intervals.from_ranges(_run(word) for word in words)


def _run(word: str) -> tuple[int, int]:
    if word in ("*", "Any", "any"):
        return 0, 65536
    first, dash, last = word.partition("-")
    low, high = first.strip(), last.strip() if dash else first.strip()
    if not (low.isascii() and low.isdigit() and high.isascii() and high.isdigit()) or not int(low) <= int(high) <= 65535:
        raise ParseError(f"{word!r} is no port")
    return int(low), int(high) + 1


# --- groups, networks, interfaces ------------------------------------------------------------------------------------


def nsg(raw: Raw, owner: str) -> Nsg:
    """Return one network security group; `managed` by its tag alone, the settings may add to that."""
    identity = text(raw, "id", "a network security group")
    kept = properties(raw, identity)
    if not isinstance(kept.get("securityRules"), list):
        # An absent list reads like an empty one; a table without its rules must never look empty.
        raise ParseError(f"{identity} shows no securityRules")
    flush = kept.get("flushConnection")
    owners = tuple(sorted(value for key, value in tags(raw) if key.lower() == TAG_MANAGED))
    return Nsg(
        id=identity.lower(),
        name=text(raw, "name", identity),
        group=part(identity, "resourceGroups"),
        location=str(raw.get("location") or ""),
        rules=tuple(sorted((rule(one, owner) for one in listed(kept, "securityRules", identity)), key=order)),
        managed=owner in owners,
        flush=flush if isinstance(flush, bool) else None,
        etag=str(raw.get("etag") or ""),
        state=str(kept.get("provisioningState") or "Succeeded"),
        others=tuple(one for one in owners if one != owner),
    )


@dataclass(frozen=True, slots=True)
class Network:
    """One VNet as read: its own blocks, whom it is peered with, and its subnets with the ids of what sits in them."""

    id: str
    blocks: AddressSet
    peers: tuple[tuple[str, AddressSet], ...]
    """Connected peerings: the other VNet's id, and its blocks as the peering shows them."""
    subnets: tuple[Subnet, ...]
    seats: Mapping[str, tuple[str, ...]]
    """Subnet id -> lower-case ids of the ipConfigurations in it."""


def network(raw: Raw) -> Network:
    """Return one virtual network."""
    identity = text(raw, "id", "a virtual network").lower()
    kept = properties(raw, identity)
    peers: list[tuple[str, AddressSet]] = []
    for one in listed(kept, "virtualNetworkPeerings", identity):
        peering = properties(one, f"a peering of {identity}")
        if str(peering.get("peeringState", "")).lower() == "connected" and peering.get("allowVirtualNetworkAccess", True):
            shown = peering.get("remoteVirtualNetworkAddressSpace") or peering.get("remoteAddressSpace") or {}
            peers.append((reference(peering, "remoteVirtualNetwork"), _blocks(shown.get("addressPrefixes"))))
    subnets: list[Subnet] = []
    seats: dict[str, tuple[str, ...]] = {}
    for one in listed(kept, "subnets", identity):
        name = text(one, "id", f"a subnet of {identity}").lower()
        inner = properties(one, name)
        prefixes = _blocks([*(inner.get("addressPrefixes") or ()), *filter(None, [inner.get("addressPrefix")])])
        subnets.append(Subnet(name, identity, prefixes, reference(inner, "networkSecurityGroup")))
        seats[name] = tuple(sorted(text(seat, "id", name).lower() for seat in listed(inner, "ipConfigurations", name)))
    return Network(identity, _blocks((kept.get("addressSpace") or {}).get("addressPrefixes")), tuple(peers), tuple(subnets), seats)


def _blocks(raw: Iterable[str] | None) -> AddressSet:
    try:
        return AddressSet.of(*(ip_network(one, strict=False) for one in raw or ()))
    except ValueError as error:
        raise ParseError(str(error)) from error


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface as read, before it is known which machines and groups there are."""

    id: str
    name: str
    holder: str
    endpoint: bool
    """Belongs to a private endpoint or another service of Azure's."""
    nsg: str
    subnets: tuple[str, ...]
    private: AddressSet
    public: tuple[str, ...]
    """Ids of public addresses."""
    asgs: tuple[str, ...]
    tags: tuple[tuple[str, str], ...]
    seats: tuple[str, ...]
    location: str = ""
    alike: bool = True
    """All its ipConfigurations have joined the same application security groups."""


def interface(raw: Raw) -> Interface:
    """Return one network interface."""
    identity = text(raw, "id", "a network interface")
    kept = properties(raw, identity)
    private, public, subnets, joined, seats = NOWHERE, [], [], list[frozenset[str]](), []
    for one in listed(kept, "ipConfigurations", identity):
        inner = properties(one, f"an ipConfiguration of {identity}")
        seats.append(str(one.get("id") or "").lower())
        subnets.append(reference(inner, "subnet"))
        joined.append(frozenset(reference({"asg": each}, "asg") for each in inner.get("applicationSecurityGroups") or ()))
        if inner.get("privateIPAddress"):
            private |= _held(str(inner["privateIPAddress"]), inner.get("privateIPAddressPrefixLength"), identity)
        if inner.get("publicIPAddress"):
            public.append(reference(inner, "publicIPAddress"))
    return Interface(
        id=identity.lower(),
        name=text(raw, "name", identity),
        holder=reference(kept, "virtualMachine"),
        endpoint=bool(kept.get("privateEndpoint") or kept.get("privateLinkService")),
        nsg=reference(kept, "networkSecurityGroup"),
        subnets=tuple(sorted(dict.fromkeys(one for one in subnets if one))),
        private=private,
        public=tuple(sorted(public)),
        asgs=tuple(sorted(frozenset().union(*joined))),
        tags=tags(raw),
        seats=tuple(seats),
        location=str(raw.get("location") or ""),
        alike=len(set(joined)) == 1,
    )


def asg(raw: Raw, owner: str) -> Asg:
    """Return one application security group; it is ours when its tag names our owner and its name begins with it."""
    identity = text(raw, "id", "an application security group")
    marked = owner in [value for key, value in tags(raw) if key.lower() == TAG_MANAGED]
    mine = marked and text(raw, "name", identity).lower().startswith(f"cs-{owner}-")
    return Asg(identity.lower(), str(raw.get("location") or ""), owner if mine else "")


def _held(address: str, length: object, identity: str) -> AddressSet:
    try:
        if isinstance(length, int):
            return AddressSet.of(ip_network(f"{address.partition('/')[0]}/{length}", strict=False))
        return AddressSet.of(ip_network(address, strict=False))
    except ValueError as error:
        raise ParseError(f"{identity}: {address!r} is no address") from error


def public_address(raw: Raw) -> tuple[str, IPv4Address | IPv6Address | None]:
    """Return the id of a public address and the address itself; None while it has none."""
    identity = text(raw, "id", "a public address").lower()
    shown = properties(raw, identity).get("ipAddress")
    try:
        return identity, ip_address(shown) if shown else None
    except ValueError as error:
        raise ParseError(f"{identity}: {shown!r} is no address") from error


@dataclass(frozen=True, slots=True)
class Machine:
    """What the inventory keeps of one virtual machine, or of one uniform scale set."""

    id: str
    name: str
    group: str
    tags: tuple[tuple[str, str], ...]
    alive: bool = True
    uniform: bool = False


def machine(raw: Raw) -> Machine:
    """Return one virtual machine or scale set."""
    identity = text(raw, "id", "a machine")
    kept = properties(raw, identity)
    alive = str(kept.get("provisioningState", "")).lower() not in GONE
    # Scale sets made before there was a choice are uniform and do not say so.
    uniform = str(kept.get("orchestrationMode") or "Uniform").lower() == "uniform"
    return Machine(identity.lower(), text(raw, "name", identity), part(identity, "resourceGroups"), tags(raw), alive, uniform)
