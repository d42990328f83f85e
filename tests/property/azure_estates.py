"""Random estates behind NSGs, random policies for them, and a reading of NSGs packet by packet that shares no code with the adapter's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, ip_address, ip_network
from random import Random

from cloudsync.adapter import Access, AddressPeer, Allowed, ClassIntent, ClassPeer, Intent, Origin, PointIntent, Term, Whose
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet, Family
from cloudsync.model.finding import Where
from cloudsync.model.mode import Egress, Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, Packet, PacketSet
from cloudsync.model.service import ANY_SERVICE, BLOCK, ICMP, ICMPV6, TCP, UDP, ServiceSet
from cloudsync.model.workload import Domain, Labels, PointId
from cloudsync_azure.decode import decode, points
from cloudsync_azure.parse import rule
from cloudsync_azure.payload import rule_json
from cloudsync_azure.settings import AzureSettings
from cloudsync_azure.table import AzureTable, Nic, Nsg, Rule, Subnet, order

DOMAIN = Domain("default")
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
SPACE = AddressSet.of("10.1.0.0/16", "fd00:1::/48")
PLAIN = AzureSettings(SUBSCRIPTION)
PEERS = (
    "*",
    "10.1.0.0/24",
    "10.0.0.0/8",
    "10.1.0.4",
    "10.1.1.0/25",
    "VirtualNetwork",
    "Internet",
    "AzureLoadBalancer",
    "Storage",
    "::/0",
    "fd00:1::/64",
)
PORTS = ("*", "22", "443", "80-90", "1000-2000")
SERVICES = (
    ANY_SERVICE,
    ServiceSet.ports(TCP, 22, 22),
    ServiceSet.ports(TCP, 443, 443) | ServiceSet.ports(UDP, 443, 443),
    ServiceSet.ports(TCP, 80, 85),
    ServiceSet.protocol(ICMP) | ServiceSet.protocol(ICMPV6),
)


def raw_rule(random: Random, name: str, priority: int, direction: str) -> dict[str, object]:
    """Return one rule as somebody wrote it, in any of the spellings."""
    source, destination = (
        random.choice(PEERS),
        random.choice(("*", "*", "10.1.0.0/24", "10.1.0.0/16", "VirtualNetwork", "10.1.0.5", "fd00:1::/64")),
    )
    if direction == "Outbound":
        source, destination = destination, source
    if ":" in source + destination and ("." in source or "." in destination):
        source, destination = "*", "*"
    protocol = random.choice(("Tcp", "TCP", "Udp", "*", "Icmp"))
    ports = "*" if protocol == "Icmp" else random.choice(PORTS)
    inner: dict[str, object] = {
        "protocol": protocol,
        "access": random.choice(("Allow", "Deny")),
        "priority": priority,
        "direction": direction,
        "sourcePortRange": "*",
        "destinationPortRange": ports,
        "sourceAddressPrefix": source,
        "destinationAddressPrefix": destination,
        "provisioningState": "Succeeded",
    }
    if random.random() < 0.3 and "." in source and "/" in source:
        del inner["sourceAddressPrefix"]
        inner["sourceAddressPrefixes"] = [source, "192.0.2.1"]
    if random.random() < 0.3:
        inner["destinationPortRanges"] = []
    return {"name": name, "properties": inner}


def foreign(random: Random, count: int, numbers: Iterable[int]) -> tuple[Rule, ...]:
    found: list[Rule] = []
    pool = list(numbers)
    for number in range(count):
        direction = random.choice(("Inbound", "Inbound", "Outbound"))
        found.append(
            rule(raw_rule(random, f"foreign-{number}-{random.randrange(1000)}", pool.pop(random.randrange(len(pool))), direction), "acme")
        )
    return tuple(sorted(found, key=order))


def nsg(name: str, rules: tuple[Rule, ...], *, managed: bool = True) -> Nsg:
    return Nsg(f"/nsg/{name}", name, "rg", "westeurope", rules, managed)


def estate(random: Random, *, where: str = "anywhere") -> AzureTable:
    """Return a table: three subnets, two with an NSG, some interfaces with one of their own. `where` foreign rules stand."""
    numbers = {"anywhere": range(100, 4097, 7), "below": range(4000, 4090), "above": range(100, 1000, 3)}[where]
    nsgs = {
        one.id: one
        for one in (
            nsg("one", foreign(random, random.randrange(6), numbers)),
            nsg("two", foreign(random, random.randrange(6), numbers)),
            nsg("nic", foreign(random, random.randrange(4), numbers), managed=random.random() < 0.5),
        )
    }
    subnets = {
        f"/subnet/{at}": Subnet(f"/subnet/{at}", "/vnet/a", AddressSet.of(f"10.1.{at}.0/24", f"fd00:1:0:{at}::/64"), group)
        for at, group in enumerate(("/nsg/one", "/nsg/two", ""))
    }
    nics: dict[PointId, Nic] = {}
    for number in range(random.randrange(2, 9)):
        at = random.choice((0, 0, 1, 2))
        private = AddressSet.of(f"10.1.{at}.{4 + number}")
        if random.random() < 0.3:
            private |= AddressSet.of(f"10.1.{at}.{104 + number}")
        if random.random() < 0.3:
            private |= AddressSet.of(f"fd00:1:0:{at}::{4 + number:x}")
        own = "/nsg/nic" if random.random() < 0.3 else ""
        point = PointId(f"sub/rg/nic-{number}")
        guarded = [group for group in (subnets[f"/subnet/{at}"].nsg, own) if group and nsgs[group].managed]
        skipped = "" if guarded else "no managed network security group stands before it"
        nics[point] = Nic(
            f"/nic/{number}", point, f"nic-{number}", f"/vm/{number}", "/vnet/a", (f"/subnet/{at}",), private, NOWHERE, own, (), skipped
        )
    return AzureTable("acme", SUBSCRIPTION, nsgs, nics, subnets, {"/vnet/a": SPACE})


# --- policies --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Past:
    """What was recorded of points at adoption."""

    original: dict[PointId, tuple[str, ...]]
    inbound: dict[PointId, PacketSet]

    @classmethod
    def of(cls, table: AzureTable) -> Past:
        access = decode(table, Whose.FOREIGN)
        return cls({one.id: one.keepsake for one in points(table)}, {point: one.inbound for point, one in access.items()})


MODES = (Mode.FULL, Mode.FULL, Mode.SELECTIVE, Mode.VISIBILITY)


def intent(random: Random, table: AzureTable, mode: TargetMode, past: Past, *, modes: tuple[Mode, ...] = MODES) -> Intent:
    """Return a random intent: classes over the interfaces, a few rules of each kind."""
    names = [f"class-{number}" for number in range(3)]
    members = {name: [nic for nic in table.nics.values() if names[int(nic.name[4:]) % 3] == name] for name in names}
    addresses = {name: AddressSet.union_all(nic.private | nic.public for nic in found) for name, found in members.items()}
    classes: dict[str, ClassIntent] = {}
    for name in names:
        chosen, egress = random.choice(modes), random.choice((Egress.LEAVE, Egress.LEAVE, Egress.ENFORCE))
        inbound = allowed(random, names, addresses, "in") if chosen.enforced else Allowed()
        outbound = allowed(random, names, addresses, "out") if chosen.enforced and egress is Egress.ENFORCE else Allowed()
        classes[name] = ClassIntent(name, DOMAIN, Labels(), chosen, egress, addresses[name], inbound, outbound)
    inside = {nic.point: name for name in names for nic in members[name] if not nic.skipped}
    return wish(table, mode, past, classes, inside)


def wish(table: AzureTable, mode: TargetMode, past: Past, classes: dict[str, ClassIntent], inside: dict[PointId, str]) -> Intent:
    """Return the intent of these classes. `inside`: the class of each point."""
    now = decode(table, Whose.FOREIGN)
    wishes = tuple(_point(classes[inside[point]], point, mode, past, now[point]) for point in sorted(inside))
    return Intent("azure", "acme", mode, tuple(classes.values()), wishes)


def _point(group: ClassIntent, point: PointId, mode: TargetMode, past: Past, now: Access) -> PointIntent:
    original = past.original.get(point, ())
    plain = PointIntent(point, group.class_id, DOMAIN, group.mode, group.egress, original=original)
    if not group.mode.enforced or mode is not TargetMode.EXCLUSIVE:
        return plain if not group.mode.enforced else replace(plain, original=())
    selective = group.mode is Mode.SELECTIVE
    closed = group.inbound.closed | group.inbound.never
    inbound, outbound = now.inbound, now.outbound
    kept_in = (past.inbound.get(point, inbound) & inbound) - closed if selective else NO_PACKETS
    if group.egress is Egress.LEAVE:
        kept_out = outbound
    else:
        kept_out = outbound - group.outbound.closed - group.outbound.never if selective else NO_PACKETS
    return replace(plain, kept_in=kept_in, kept_out=kept_out)


def allowed(random: Random, names: list[str], addresses: dict[str, AddressSet], way: str) -> Allowed:
    """Return random rules of all three kinds, with the sets that the compiler would give."""

    def terms(kind: str, count: int) -> tuple[Term, ...]:
        found: list[Term] = []
        for number in range(count):
            origin = (Origin(f"{way}-{kind}-{number}", Where("policy/p.yaml", number + 1)),)
            strangers = AddressPeer(AddressSet.of("192.0.2.0/24", "2001:db8::/32"))
            peers: list[ClassPeer | AddressPeer] = [*map(ClassPeer, names), AddressPeer(ANYWHERE), strangers]
            peer = random.choice(peers)
            found.append(Term(peer, random.choice(SERVICES), origin))
        return tuple(found)

    def packets(some: tuple[Term, ...]) -> PacketSet:
        return PacketSet.union_all(
            PacketSet.of(addresses[one.peer.class_id] if isinstance(one.peer, ClassPeer) else one.peer.addresses, one.services)
            for one in some
        )

    whole, never, closed = terms("allow", random.randrange(4)), terms("never", random.randrange(2)), terms("deny", random.randrange(2))
    exact = packets(whole) - packets(never)
    return Allowed((), exact, exact, packets(never), packets(closed), whole, never, closed)


# --- the other reading -----------------------------------------------------------------------------------------------


def passes(table: AzureTable, nic: Nic, packet: Packet, direction: str) -> bool:
    """Tell whether some address of an interface lets a packet through, rule by rule as Microsoft describes it."""
    version = packet.family.value
    own = [ip_address(first) if version == 4 else _six(first) for first, _ in _pairs(nic.private.family(packet.family))]
    groups = [table.subnets[nic.subnets[0]].nsg, nic.nsg]
    return any(all(_allows(table, table.nsgs[one], packet, str(mine), direction) for one in groups if one) for mine in own)


def _six(value: int) -> IPv6Address:
    return IPv6Address(value)


def _pairs(flips: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(zip(flips[::2], flips[1::2], strict=True))


def _allows(table: AzureTable, group: Nsg, packet: Packet, own: str, direction: str) -> bool:
    peer = str(_six(packet.peer)) if packet.family is Family.V6 else str(ip_address(packet.peer))
    source, destination = (own, peer) if direction == "Outbound" else (peer, own)
    for one in sorted(group.rules, key=lambda each: each.priority):
        inner = rule_json(one)["properties"]
        if inner["direction"] == direction and _hit(inner, packet, source, destination):
            return bool(inner["access"] == "Allow")
    if direction == "Inbound":
        return (_in("VirtualNetwork", source) and _in("VirtualNetwork", destination)) or _in("AzureLoadBalancer", source)
    return (_in("VirtualNetwork", source) and _in("VirtualNetwork", destination)) or _in("Internet", destination)


def _hit(inner: dict[str, object], packet: Packet, source: str, destination: str) -> bool:
    protocol = str(inner["protocol"]).lower()
    number = {"tcp": 6, "udp": 17, "icmp": 1 if packet.family is Family.V4 else 58}.get(protocol)
    if protocol != "*" and number != packet.protocol:
        return False
    texts = _texts(inner, "destinationPortRange", "destinationPortRanges")
    if packet.protocol in (6, 17):
        if not any(text == "*" or int(text.split("-")[0]) <= packet.detail <= int(text.split("-")[-1]) for text in texts):
            return False
    elif texts != ["*"]:
        return False
    return any(_in(text, source) for text in _texts(inner, "sourceAddressPrefix", "sourceAddressPrefixes")) and any(
        _in(text, destination) for text in _texts(inner, "destinationAddressPrefix", "destinationAddressPrefixes")
    )


def _texts(inner: dict[str, object], singular: str, plural: str) -> list[str]:
    one, many = inner.get(singular), inner.get(plural)
    return [*([str(one)] if one else []), *(map(str, many) if isinstance(many, list) else [])]


def _in(text: str, address: str) -> bool:
    match text:
        case "*":
            return True
        case "VirtualNetwork":
            return any(ip_address(address) in ip_network(one) for one in ("10.1.0.0/16", "fd00:1::/48", "168.63.129.16"))
        case "AzureLoadBalancer":
            return address == "168.63.129.16"
        case "Internet":
            return not _in("VirtualNetwork", address) and ip_address(address) not in ip_network("169.254.0.0/16")
        case "Storage":
            return False
    return ip_address(address) in ip_network(text)


def probes(random: Random, count: int) -> list[Packet]:
    """Return packets near what rules name."""
    four = (
        "10.1.0.4",
        "10.1.0.5",
        "10.1.1.7",
        "10.1.2.9",
        "10.9.0.1",
        "192.0.2.1",
        "198.51.100.7",
        "168.63.129.16",
        "8.8.8.8",
        "169.254.1.1",
    )
    six = ("fd00:1::5", "fd00:1:0:1::7", "2001:db8::1", "2600::1")
    services = [(TCP, 22), (TCP, 443), (UDP, 443), (TCP, 80), (TCP, 86), (TCP, 1500), (UDP, 53), (ICMP, 8 * 256), (47, 0), (132, 22)]
    found: list[Packet] = []
    for _ in range(count):
        family = random.choice((Family.V4, Family.V4, Family.V6))
        peer = int(ip_address(random.choice(four if family is Family.V4 else six)))
        protocol, detail = random.choice(services)
        if family is Family.V6 and protocol == ICMP:
            protocol, detail = ICMPV6, 128 * 256
        assert detail < BLOCK
        found.append(Packet(family, peer, protocol, detail))
    return found
