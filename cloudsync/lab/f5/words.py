"""The words of AFM and LTM: addresses with route domains, ports, protocols, destinations. ValueError for what a device refuses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from .protocols import PROTOCOLS, WORDS

Ip = IPv4Address | IPv6Address

WITH_PORTS = frozenset({6, 17, 132})
EVERY_ADDRESS = {4: str(IPv4Address(0)), 6: str(IPv6Address(0))}
"""What `any` and `any6` stand for, by family."""
SERVICES = {"http": 80, "https": 443, "ssh": 22, "domain": 53, "smtp": 25, "ftp": 21, "ldap": 389, "ldaps": 636, "any": 0, "*": 0}


@dataclass(frozen=True, slots=True)
class Span:
    """Addresses of one family in one route domain, both ends included."""

    version: int
    first: int
    last: int
    domain: int

    def holds(self, address: Ip, domain: int) -> bool:
        """Is it one of them?"""
        return address.version == self.version and self.domain == domain and self.first <= int(address) <= self.last


@dataclass(frozen=True, slots=True)
class Entry:
    """One address of a list or a rule: as the device shows it, and what it means."""

    text: str
    span: Span


def split_domain(text: str) -> tuple[str, int]:
    """`10.0.0.1%2` -> (`10.0.0.1`, 2)."""
    plain, mark, domain = text.partition("%")
    if mark and not (domain.isdecimal() and int(domain) <= 65534):
        raise ValueError(text)
    return plain, int(domain) if mark else 0


def is_address(text: str) -> bool:
    """Is it one address, with or without a route domain?"""
    try:
        ip_address(split_domain(text)[0])
    except ValueError:
        return False
    return True


@lru_cache(maxsize=65536)
def entry(text: str, host_bits: str = "refuse") -> Entry:
    """Read an address, a prefix or a range, each with or without `%rd`; `host_bits` is refuse, clear or keep."""
    if "-" in text:
        return _range(text)
    if "/" not in text:
        plain, domain = split_domain(text)
        address = ip_address(plain)
        return Entry(_shown(str(address), domain), Span(address.version, int(address), int(address), domain))
    head, _, tail = text.partition("/")
    plain, domain = split_domain(head)
    if "%" in tail:  # 10.0.0.0/24%1 is written by some and read by all
        tail, domain = split_domain(tail)
    network = ip_network(f"{plain}/{tail}", strict=host_bits == "refuse")
    shown = network.network_address if host_bits != "keep" else ip_address(plain)
    span = Span(network.version, int(network.network_address), int(network.broadcast_address), domain)
    return Entry(f"{_shown(str(shown), domain)}/{network.prefixlen}", span)


def _range(text: str) -> Entry:
    low, _, high = text.partition("-")
    (first, domain), (last, second) = split_domain(low.strip()), split_domain(high.strip())
    one, two = ip_address(first), ip_address(last)
    if one.version != two.version or int(one) > int(two) or ("%" in high and second != domain):
        raise ValueError(text)
    return Entry(f"{_shown(str(one), domain)}-{_shown(str(two), domain)}", Span(one.version, int(one), int(two), domain))


def _shown(address: str, domain: int) -> str:
    return f"{address}%{domain}" if domain else address


@lru_cache(maxsize=8192)
def ports(text: str) -> tuple[int, int]:
    """`443`, `8000-8099`; both ends included."""
    low, mark, high = text.partition("-")
    first = SERVICES.get(low, -1) if not low.isdecimal() else int(low)
    last = first if not mark else int(high)
    if not 0 <= first <= last <= 65535:
        raise ValueError(text)
    return first, last


def protocol(text: str) -> int | None:
    """The number of a protocol; None for any. ValueError for a word that is none."""
    if text in PROTOCOLS:
        return PROTOCOLS[text]
    if text.isdecimal() and int(text) <= 255:
        return int(text)
    raise ValueError(text)


def protocol_word(text: str) -> str:
    """Return the device's own word for a protocol: a number that has a name is shown by its name."""
    number = protocol(text)
    return WORDS.get(number, str(number))


@lru_cache(maxsize=1024)
def icmp(text: str) -> tuple[int, int | None]:
    """`8` or `8:0`: type, and code when one is given."""
    kind, mark, code = text.partition(":")
    found = (int(kind), int(code) if mark else None)
    if not (0 <= found[0] <= 255 and (found[1] is None or 0 <= found[1] <= 255)):
        raise ValueError(text)
    return found


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a virtual server listens; port 0 is every port."""

    address: Ip
    domain: int
    port: int

    @property
    def host(self) -> str:
        """The address as names of virtual addresses show it."""
        return _shown(str(self.address), self.domain)

    @property
    def text(self) -> str:
        """As the device shows it, without the partition: IPv6 parts the port with a dot."""
        return f"{self.host}{'.' if self.address.version == 6 else ':'}{self.port or ('any' if self.address.version == 6 else 0)}"


@lru_cache(maxsize=8192)
def destination(text: str) -> Destination:
    """`/Common/192.0.2.1:443`, `192.0.2.1%2:https`, `2001:db8::1.443`, `any:0`."""
    bare = text.rpartition("/")[2]
    if bare.startswith("any6"):
        bare = EVERY_ADDRESS[6] + bare.removeprefix("any6")
    elif bare.startswith("any"):
        bare = EVERY_ADDRESS[4] + bare.removeprefix("any")
    found = re.fullmatch(r"(?P<host>[0-9a-fA-F.]*:[0-9a-fA-F:.]*?)(?:%(?P<rd>\d+))?\.(?P<port>\w+)", bare) or re.fullmatch(
        r"(?P<host>\d+\.\d+\.\d+\.\d+)(?:%(?P<rd>\d+))?[:.](?P<port>\w+|\*)", bare
    )
    if found is None:
        raise ValueError(text)
    port, last = ports(found["port"])
    if port != last:
        raise ValueError(text)
    return Destination(ip_address(found["host"]), int(found["rd"] or 0), port)


def member(name: str) -> Destination:
    """Read a pool member: `10.40.1.10:8080`, also with a partition in front."""
    return destination(name)
