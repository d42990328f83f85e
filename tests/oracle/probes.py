"""Which packets are looked at: every address and every service at which anything in sight could change its mind, and its neighbours."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from tests.oracle.cloud import Estate
from tests.oracle.language import Book
from tests.oracle.reading import Address, Machine, Service

ALWAYS = ("0.0.0.0", "8.8.8.8", "9.255.255.255", "10.0.0.0", "127.0.0.1", "192.0.0.9", "192.0.2.1", "223.255.255.255", "255.255.255.255")
ALWAYS6 = (
    "::",
    "::1",
    "2000::",
    "2001:4860::8888",
    "2001:db8::1",
    "3fff::1",
    "64:ff9b::1",
    "fe80::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
)


def around(address: Address) -> set[Address]:
    """Return an address with its two neighbours of the same family."""
    kind = type(address)
    top = 2**32 - 1 if address.version == 4 else 2**128 - 1
    return {kind(value) for value in range(max(0, int(address) - 1), min(top, int(address) + 1) + 1)}


def edges(text: str) -> set[Address]:
    """Return the first and last address of a CIDR, a range or a single address, with neighbours."""
    body = text.removeprefix("!")
    if "-" in body:
        ends = [ip_address(part.strip()) for part in body.split("-")]
    else:
        network = ip_network(body, strict=False)
        ends = [network.network_address, network.broadcast_address]
    return set().union(*(around(one) for one in ends))


def addresses(book: Book, machines: Iterable[Machine], estates: Iterable[Estate]) -> list[Address]:
    """Return every address worth asking about, ordered."""
    found: set[Address] = {ip_address(text) for text in (*ALWAYS, *ALWAYS6)}
    for machine in machines:
        for card in machine.cards:
            for one in card.addresses:
                found |= around(one)
    for entries in book.lists.values():
        for entry in entries:
            found |= edges(entry)
    for estate in estates:
        for raw in estate.cards.values():
            found.update(ip_address(one["PrivateIpAddress"]) for one in raw.get("PrivateIpAddresses", ()))
        for entries in estate.lists.values():
            for entry in entries[:50]:
                found |= edges(entry)
        for group in estate.groups.values():
            for permission in (*group["IpPermissions"], *group["IpPermissionsEgress"]):
                for one in permission.get("IpRanges", ())[:80]:
                    found |= edges(one["CidrIp"])
                for one in permission.get("Ipv6Ranges", ())[:80]:
                    found |= edges(one["CidrIpv6"])
    return sorted(found, key=lambda one: (one.version, int(one)))


def services(book: Book, estates: Iterable[Estate]) -> list[Service]:
    """Return every service worth asking about, ordered."""
    found = {Service(1, kind, code) for kind in (0, 3, 7, 8, 9, 255) for code in (0, 1, 255)}
    found |= {Service(58, kind, code) for kind in (1, 2, 3, 127, 128, 129) for code in (0, 1)}
    found |= {Service(number) for number in (0, 2, 47, 50, 51, 89, 255)}
    ports = {6: {0, 1, 65535}, 17: {0, 65535}, 132: {0, 80, 65535}}
    atoms = [atom for many in book.services.values() for atom in many]
    for chapter in book.chapters:
        for rule in chapter.rules:
            atoms += [atom for what in rule.services for atom in what.atoms]
    for atom in atoms:
        if atom.protocol in ports and not atom.whole:
            ports[atom.protocol] |= {atom.low - 1, atom.low, atom.high, atom.high + 1}
    for estate in estates:
        for group in estate.groups.values():
            for permission in (*group["IpPermissions"], *group["IpPermissionsEgress"]):
                number = {"tcp": 6, "udp": 17}.get(permission["IpProtocol"])
                if number is not None:
                    low, high = permission["FromPort"], permission["ToPort"]
                    ports[number] |= {low - 1, low, high, high + 1}
    found |= {Service(protocol, one) for protocol, many in ports.items() for one in many if 0 <= one <= 65535}
    return sorted(found)
