"""What is looked at in a drawn world: a list of addresses and a list of services, and sets of packets over them as bits of one integer.

The lists hold every boundary class of the worlds that `tests.sim.estate` draws, so that two states that differ anywhere differ here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address
Service = tuple[int, int]
"""Protocol number, and port, or type * 256 + code of ICMP."""
TCP, UDP, ICMP, GRE, ICMPV6 = 6, 17, 1, 47, 58
SERVICES: tuple[Service, ...] = (
    (TCP, 22),
    (TCP, 23),
    (TCP, 443),
    (TCP, 444),
    (TCP, 5432),
    (TCP, 8443),
    (UDP, 53),
    (ICMP, 8 * 256),
    (ICMPV6, 128 * 256),
    (GRE, 0),
)
OUTSIDERS = (
    "192.0.2.10",
    "192.0.2.200",
    "198.51.100.7",
    "8.8.8.8",
    "10.9.9.9",
    "168.63.129.16",
    "2001:db8:10::7",
    "2600::1",
)
"""Who comes from outside: the office (two parts of it), a partner, strangers of both families, a private stranger, Azure's platform."""


@dataclass(slots=True)
class Lens:
    """Addresses and services; the packet of address `i` and service `j` is bit `i * len(services) + j`."""

    addresses: tuple[Address, ...]
    services: tuple[Service, ...] = SERVICES
    place: dict[Address, int] = field(default_factory=dict)
    _products: dict[tuple[int, int], int] = field(default_factory=dict)
    _family: dict[int, int] = field(default_factory=dict)
    _families: dict[frozenset[int], int] = field(default_factory=dict)
    _peers: dict[tuple[tuple[int, int, int], ...], int] = field(default_factory=dict)
    _values: tuple[tuple[int, int], ...] = ()
    width: int = 0
    """How many services there are."""

    def __post_init__(self) -> None:
        self.place = {one: at for at, one in enumerate(self.addresses)}
        self.width = len(self.services)
        self._values = tuple((one.version, int(one)) for one in self.addresses)
        for version, foreign in ((4, ICMPV6), (6, ICMP)):
            self._family[version] = sum(1 << at for at, (protocol, _) in enumerate(self.services) if protocol != foreign)

    @classmethod
    def over(cls, own: Iterable[Address]) -> Lens:
        """Return a lens over some machines' addresses and everybody outside."""
        return cls((*sorted(set(own), key=lambda one: (one.version, int(one))), *map(ip_address, OUTSIDERS)))

    @property
    def whole(self) -> int:
        """Every packet."""
        return (1 << len(self.addresses) * self.width) - 1

    def peers(self, networks: Sequence[tuple[int, int, int]]) -> int:
        """Return the addresses, as bits by place, that lie in ranges `(version, first, last)`."""
        key = tuple(networks)
        known = self._peers.get(key)
        if known is not None:
            return known
        found = 0
        for version, first, last in key:
            for at, (family, value) in enumerate(self._values):
                if family == version and first <= value <= last:
                    found |= 1 << at
        self._peers[key] = found
        return found

    def served(self, protocol: int, ranges: Sequence[tuple[int, int]] | None) -> int:
        """Return the services of one protocol (-1: of all) at some ports or types, ends included; None: at all of them."""
        found = 0
        for at, (number, detail) in enumerate(self.services):
            if protocol in (-1, number) and (ranges is None or any(first <= detail <= last for first, last in ranges)):
                found |= 1 << at
        return found

    def product(self, peers: int, services: int) -> int:
        """Return the packets of some addresses on some services, each family with its own ICMP."""
        key = (peers, services)
        found = self._products.get(key)
        if found is None:
            found = 0
            for at, address in enumerate(self.addresses):
                if peers >> at & 1:
                    found |= (services & self._family[address.version]) << at * self.width
            self._products[key] = found
        return found

    def row(self, packets: int, address: Address) -> int:
        """Return the services of the packets with one address."""
        return packets >> self.place[address] * self.width & ((1 << self.width) - 1)

    def of(self, families: frozenset[int]) -> int:
        """Return every packet of some address families."""
        found = self._families.get(families)
        if found is None:
            block = (1 << self.width) - 1
            found = sum(block << at * self.width for at, address in enumerate(self.addresses) if address.version in families)
            self._families[families] = found
        return found

    def words(self, packets: int) -> str:
        """Return the first packets of a set, for people."""
        said = []
        for at, address in enumerate(self.addresses):
            bits = packets >> at * self.width & ((1 << self.width) - 1)
            said += [f"{address} {protocol}/{detail}" for n, (protocol, detail) in enumerate(self.services) if bits >> n & 1]
        return ", ".join(said[:4]) + (f" and {len(said) - 4} more" if len(said) > 4 else "")
