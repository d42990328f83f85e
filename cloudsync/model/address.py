"""Addresses of both families as exact sets: 0.0.0.0/0 and ::/0 are two universes that never mix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from cloudsync.model import intervals
from cloudsync.model.intervals import Points
from cloudsync.model.quick import dataclass

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


class Family(IntEnum):
    """An address family; the value is the IP version."""

    V4 = 4
    V6 = 6

    @property
    def width(self) -> int:
        """Number of bits of an address."""
        return 32 if self is Family.V4 else 128


def address_text(family: Family, value: int) -> str:
    """Return the usual text of one address."""
    if family is Family.V6:
        return str(IPv6Address(value))
    return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"


_NUMBERS = {str(number): number for number in range(256)}


def plain_v4(text: object) -> int | None:
    """Return the IPv4 address of four decimal numbers without leading zeros; None for every other text, addresses among them."""
    octets = text.split(".") if isinstance(text, str) else ()
    if len(octets) != 4:
        return None
    try:
        first, second, third, fourth = map(_NUMBERS.__getitem__, octets)
    except KeyError:
        return None
    return first << 24 | second << 16 | third << 8 | fourth


def plain_prefix(text: object) -> tuple[int, int] | None:
    """Return network and length of an IPv4 prefix in canonical text; None for every other text, prefixes with host bits among them."""
    base, _, size = text.partition("/") if isinstance(text, str) else ("", "", "")
    value, length = plain_v4(base), _NUMBERS.get(size, 33)
    if value is None or length > 32 or value & ((1 << (32 - length)) - 1):
        return None
    return value, length


def prefix_text(family: Family, value: int, length: int) -> str:
    """Return `address/length` in canonical text (RFC 5952 for IPv6)."""
    return f"{address_text(family, value)}/{length}"


def _single(item: object) -> int | None:
    """Return one IPv4 address as a number, None for whatever else: most of an inventory, and a network of one costs five times as much."""
    if isinstance(item, str):
        return plain_v4(item)  # another family, or a mistake, is for `ip_network` to read and to word
    return int(item) if isinstance(item, IPv4Address) else None


@dataclass(frozen=True, slots=True)
class AddressSet:
    """A set of addresses; `v4` and `v6` are flip points (see `intervals`), so equal sets are equal values."""

    v4: Points = ()
    v6: Points = ()

    @classmethod
    def of(cls, *networks: Network | Address | str) -> AddressSet:
        """Return the union of networks and single addresses; text must have no host bits (ValueError)."""
        four: list[tuple[int, int]] = []
        six: list[tuple[int, int]] = []
        for item in networks:
            alone = _single(item)
            if alone is not None:
                four.append((alone, alone + 1))
                continue
            plain = plain_prefix(item)
            if plain is not None:
                four.append((plain[0], plain[0] + (1 << (32 - plain[1]))))
                continue
            network = item if isinstance(item, IPv4Network | IPv6Network) else ip_network(item)
            first = int(network.network_address)
            (four if network.version == 4 else six).append((first, first + network.num_addresses))
        return cls(intervals.from_ranges(four), intervals.from_ranges(six))

    @classmethod
    def union_all(cls, sets: Iterable[AddressSet]) -> AddressSet:
        """Return the union of many sets with one sort."""
        kept = list(sets)
        return cls(intervals.union_all(s.v4 for s in kept), intervals.union_all(s.v6 for s in kept))

    def family(self, family: Family) -> Points:
        """Return the flip points of one family."""
        return self.v4 if family is Family.V4 else self.v6

    def only(self, family: Family) -> AddressSet:
        """Return the members of one family."""
        return AddressSet(v4=self.v4) if family is Family.V4 else AddressSet(v6=self.v6)

    def __or__(self, other: AddressSet) -> AddressSet:
        return AddressSet(intervals.union(self.v4, other.v4), intervals.union(self.v6, other.v6))

    def __and__(self, other: AddressSet) -> AddressSet:
        return AddressSet(intervals.intersection(self.v4, other.v4), intervals.intersection(self.v6, other.v6))

    def __sub__(self, other: AddressSet) -> AddressSet:
        return AddressSet(intervals.difference(self.v4, other.v4), intervals.difference(self.v6, other.v6))

    def __bool__(self) -> bool:
        return bool(self.v4 or self.v6)

    def __le__(self, other: AddressSet) -> bool:
        return not self - other

    def __contains__(self, address: Address) -> bool:
        return intervals.contains(self.v4 if address.version == 4 else self.v6, int(address))

    @property
    def size(self) -> int:
        """Number of addresses, both families together."""
        return intervals.size(self.v4) + intervals.size(self.v6)

    def prefixes(self) -> Iterator[tuple[Family, int, int]]:
        """Yield the minimal CIDR cover as `(family, network, length)`, IPv4 first, ascending."""
        for value, length in intervals.blocks(self.v4, 32):
            yield Family.V4, value, length
        for value, length in intervals.blocks(self.v6, 128):
            yield Family.V6, value, length

    def cidrs(self) -> tuple[str, ...]:
        """Return the minimal CIDR cover as canonical text, IPv4 first, ascending."""
        return (*_cidrs_v4(self.v4), *(prefix_text(Family.V6, value, length) for value, length in intervals.blocks(self.v6, 128)))

    def text(self, most: int = 4) -> str:
        """Return a short text for people: up to `most` prefixes, then how many more."""
        if self == ANYWHERE:
            return "anywhere"
        shown: list[str] = []
        more = 0
        for family, value, length in self.prefixes():
            if len(shown) == most:
                more += 1
            else:
                shown.append(address_text(family, value) if length == family.width else prefix_text(family, value, length))
        return ", ".join(shown) + (f" and {more} more" if more else "")


def _cidrs_v4(points: Points) -> Iterator[str]:
    """Yield the CIDR cover of IPv4 as text. Most of it are single addresses, and there may be a million of them."""
    octet = _OCTETS
    for first, end in intervals.ranges(points):
        for value, length in ((first, 32),) if end - first == 1 else intervals.blocks((first, end), 32):
            yield f"{octet[value >> 24]}.{octet[value >> 16 & 255]}.{octet[value >> 8 & 255]}.{octet[value & 255]}/{length}"


_OCTETS = tuple(map(str, range(256)))

NOWHERE = AddressSet()
ANYWHERE = AddressSet((0, 1 << 32), (0, 1 << 128))

_NOT_GLOBAL_V4 = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
_GLOBAL_V4_AFTER_ALL = ("192.0.0.9/32", "192.0.0.10/32")
_NOT_GLOBAL_V6 = ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
_GLOBAL_V6_AFTER_ALL = (
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:1::3/128",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:20::/28",
    "2001:30::/28",
    "64:ff9b::/96",
)


@cache
def globally_routable() -> AddressSet:
    """Return the frozen table of globally routable addresses (the policy language, section 4; not a library's opinion)."""
    four = (AddressSet.of("0.0.0.0/0") - AddressSet.of(*_NOT_GLOBAL_V4)) | AddressSet.of(*_GLOBAL_V4_AFTER_ALL)
    six = (AddressSet.of("2000::/3") - AddressSet.of(*_NOT_GLOBAL_V6)) | AddressSet.of(*_GLOBAL_V6_AFTER_ALL)
    return four | six
