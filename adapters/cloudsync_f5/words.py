"""The words of AFM as values: addresses with their route domain, ports, protocols, ICMP types, destinations. ValueError for what is none.

Spelling differs between versions (`10.0.0.0%1/24`, `10.0.0.0/24%1`, with or without `/32`), so addresses are compared as spans.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address, ip_network

from cloudsync.model import intervals
from cloudsync.model.address import AddressSet, Family, address_text
from cloudsync.model.quick import dataclass
from cloudsync.model.service import BLOCK, ICMP, ICMPV6, WITH_PORTS, ServiceRange, ServiceSet

ROUTE_DOMAIN_MOST = 65534

PROTOCOLS: dict[str, int] = {
    "icmp": 1,
    "igmp": 2,
    "ipencap": 4,
    "tcp": 6,
    "egp": 8,
    "udp": 17,
    "dccp": 33,
    "ipv6": 41,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "ipv6-icmp": 58,
    "eigrp": 88,
    "ospf": 89,
    "pim": 103,
    "vrrp": 112,
    "sctp": 132,
}
"""Names that a device shows in place of numbers; `any` is every protocol."""
_WORDS = {number: word for word, number in PROTOCOLS.items()}
ANY_PROTOCOL = -1
_SERVICE_PORTS = {"any": 0, "*": 0, "http": 80, "https": 443, "ssh": 22, "domain": 53, "smtp": 25, "ftp": 21, "ldap": 389, "ldaps": 636}


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Consecutive addresses of one family in one route domain, both ends included."""

    domain: int
    version: int
    first: int
    last: int

    @property
    def family(self) -> Family:
        """The address family."""
        return Family(self.version)

    def text(self) -> str:
        """Return the device's own spelling: one address, a prefix, or a range, with `%rd` outside route domain 0."""
        family = self.family
        first = _host(family, self.first, self.domain)
        if self.first == self.last:
            return first
        blocks = list(intervals.blocks((self.first, self.last + 1), family.width))
        if len(blocks) == 1:
            return f"{first}/{blocks[0][1]}"
        return f"{first}-{_host(family, self.last, self.domain)}"


def _host(family: Family, value: int, domain: int) -> str:
    return address_text(family, value) + (f"%{domain}" if domain else "")


def split_domain(text: str) -> tuple[str, int]:
    """Return an address and its route domain: `10.0.0.1%2` is (`10.0.0.1`, 2)."""
    plain, mark, domain = text.partition("%")
    if not mark:
        return plain, 0
    if not (domain.isascii() and domain.isdecimal() and int(domain) <= ROUTE_DOMAIN_MOST):
        raise ValueError(f"{text!r}: no route domain")
    return plain, int(domain)


_EVERY = {"any": "0.0.0.0/0", "any6": "::/0"}


@lru_cache(maxsize=65536)
def span(text: str) -> Span:
    """Return an entry of an address list: an address, a prefix or a range, each with or without `%rd`; host bits are cleared."""
    if "-" in text:
        low, _, high = text.partition("-")
        (first, domain), (last, other) = split_domain(low.strip()), split_domain(high.strip())
        one, two = ip_address(first), ip_address(last)
        if one.version != two.version or int(one) > int(two) or ("%" in high and other != domain):
            raise ValueError(f"{text!r} is no range of addresses")
        return Span(domain, one.version, int(one), int(two))
    head, slash, tail = text.partition("/")
    plain, domain = split_domain(head)
    if "%" in tail:
        tail, domain = split_domain(tail)
    network = ip_network(_EVERY.get(plain) or (f"{plain}/{tail}" if slash else plain), strict=False)
    return Span(domain, network.version, int(network.network_address), int(network.broadcast_address))


def spans(addresses: AddressSet, domain: int) -> frozenset[Span]:
    """Return the entries that say an address set in one route domain: its minimal cover in prefixes."""
    found: list[Span] = []
    for family, network, length in addresses.prefixes():
        found.append(Span(domain, int(family), network, network + (1 << (family.width - length)) - 1))
    return frozenset(found)


def addresses(entries: Iterable[Span], domain: int) -> AddressSet:
    """Return the addresses that entries match in one route domain."""
    sides: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
    for one in entries:
        if one.domain == domain:
            sides[one.version].append((one.first, one.last + 1))
    return AddressSet(intervals.from_ranges(sides[4]), intervals.from_ranges(sides[6]))


# --- services ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def ports(text: str) -> tuple[int, int]:
    """Return the ends of `443` or `8000-8099`, both included."""
    low, mark, high = str(text).partition("-")
    first = _SERVICE_PORTS[low] if low in _SERVICE_PORTS else int(low)
    last = first if not mark else int(high)
    if low in ("any", "*"):
        first, last = 0, 65535
    if not 0 <= first <= last <= 65535:
        raise ValueError(f"{text!r} is no port or range of ports")
    return first, last


def port_text(one: tuple[int, int]) -> str:
    """Return `443` or `8000-8099`."""
    return str(one[0]) if one[0] == one[1] else f"{one[0]}-{one[1]}"


def protocol(text: object) -> int:
    """Return a protocol's number, ANY_PROTOCOL for `any`."""
    word = str(text)
    if word == "any":
        return ANY_PROTOCOL
    if word in PROTOCOLS:
        return PROTOCOLS[word]
    if word.isascii() and word.isdecimal() and int(word) <= 255:
        return int(word)
    raise ValueError(f"unknown protocol {text!r}")


def protocol_word(number: int) -> str:
    """Return how a device spells a protocol."""
    return "any" if number == ANY_PROTOCOL else _WORDS.get(number, str(number))


@lru_cache(maxsize=1024)
def icmp(text: str) -> tuple[int, int]:
    """Return type and code of `8` or `8:0`; code -1 is every code."""
    kind, mark, code = text.partition(":")
    found = (int(kind), int(code) if mark and code not in ("any", "*") else -1)
    if not (0 <= found[0] <= 255 and -1 <= found[1] <= 255):
        raise ValueError(f"{text!r} is no ICMP type")
    return found


def icmp_text(one: tuple[int, int]) -> str:
    """Return `8`, or `8:0` with a code."""
    return str(one[0]) if one[1] < 0 else f"{one[0]}:{one[1]}"


@dataclass(frozen=True, slots=True, order=True)
class Native:
    """What one rule says of services: a protocol (ANY_PROTOCOL for all) with ports, or ICMP types; none means all of the protocol."""

    protocol: int
    ports: tuple[tuple[int, int], ...] = ()
    icmp: tuple[tuple[int, int], ...] = ()


@lru_cache(maxsize=8192)
def services_of(native: Native) -> ServiceSet:
    """Return the services of a rule."""
    if native.protocol == ANY_PROTOCOL:
        if not native.ports:
            return ServiceSet((0, 256 * BLOCK))
        return ServiceSet.union_all(ServiceSet.ports(number, *one) for number in sorted(WITH_PORTS) for one in native.ports)
    if native.protocol in WITH_PORTS and native.ports:
        return ServiceSet.union_all(ServiceSet.ports(native.protocol, *one) for one in native.ports)
    if native.protocol in (ICMP, ICMPV6) and native.icmp:
        return ServiceSet.union_all(_icmp(native.protocol, *one) for one in native.icmp)
    return ServiceSet.protocol(native.protocol)


def _icmp(number: int, kind: int, code: int) -> ServiceSet:
    return ServiceSet.icmp(number, kind, None if code < 0 else code)


@lru_cache(maxsize=8192)
def natives(services: ServiceSet) -> tuple[Native, ...]:
    """Return what rules say a service set exactly: one per protocol, one alone for every protocol; ordered by number."""
    if services.points == (0, 256 * BLOCK):
        return (Native(ANY_PROTOCOL),)
    runs: dict[int, list[ServiceRange]] = {}
    for run in services.ranges():
        runs.setdefault(run.protocol, []).append(run)
    return tuple(_native(number, found) for number, found in sorted(runs.items()))


def _native(number: int, runs: list[ServiceRange]) -> Native:
    if any(run.whole for run in runs):
        return Native(number)
    if number in WITH_PORTS:
        return Native(number, tuple((run.first, run.last) for run in runs))
    types: list[tuple[int, int]] = []
    for run in runs:
        at = run.first
        while at <= run.last:
            if at % 256 == 0 and at + 255 <= run.last:
                types.append((at // 256, -1))
                at += 256
            else:
                types.append(divmod(at, 256))
                at += 1
    return Native(number, (), tuple(types))


# --- where a virtual server listens --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Destination:
    """Address and port of a virtual server; port 0 is every port."""

    address: Span
    port: int


_V6 = re.compile(r"(?P<host>[0-9a-fA-F.]*:[0-9a-fA-F:.]*?)(?:%(?P<rd>[0-9]+))?\.(?P<port>[\w*]+)")
_V4 = re.compile(r"(?P<host>[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+)(?:%(?P<rd>[0-9]+))?[:.](?P<port>[\w*]+)")


def destination(text: str, mask: str = "") -> Destination:
    """Return where a virtual server listens: `/Common/192.0.2.1%2:443`, `2001:db8::1.443`, `any:0`; `mask` widens it to a network."""
    bare = text.rpartition("/")[2]
    for word in ("any6", "any"):
        if bare.startswith(word):
            bare, mask = _EVERY[word].partition("/")[0] + bare.removeprefix(word), word
            break
    found = _V6.fullmatch(bare) or _V4.fullmatch(bare)
    if found is None:
        raise ValueError(f"{text!r} is no destination of a virtual server")
    first, last = ports(found["port"])
    host = found["host"] + (f"%{found['rd']}" if found["rd"] else "")
    length = _length(mask)
    return Destination(span(host if length is None else f"{host}/{length}"), 0 if first != last else first)


def _length(mask: str) -> int | None:
    if not mask or mask in ("none", "255.255.255.255") or mask.lower() == "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff":
        return None
    if mask in _EVERY:
        return 0
    value = int(ip_address(mask))
    width = 128 if ":" in mask else 32
    length = value.bit_count()
    if value != ((1 << length) - 1) << (width - length):
        raise ValueError(f"{mask!r} is no mask")
    return length
