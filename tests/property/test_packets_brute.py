"""PacketSet, AddressSet, ServiceSet and the interval arithmetic under them, against plain Python sets over a small universe.

The universe is a grid: every address and service boundary that the generator may draw, and one point on each side of it. An operation that
is right on every cell of the grid is right everywhere between, because no drawn set has a boundary there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.model import intervals
from cloudsync.model.address import ANYWHERE, AddressSet, Family
from cloudsync.model.packets import ALL_PACKETS, NO_PACKETS, Packet, PacketSet
from cloudsync.model.service import ANY_SERVICE, BLOCK, ICMP, ICMPV6, NAMED_PROTOCOLS, TCP, UDP, ServiceSet, possible

V4_EDGES = (0, 1, 7, 8, 0x0A000000, 0x0A000100, 0x7FFFFFFF, 0x80000000, (1 << 32) - 1, 1 << 32)
V6_EDGES = (0, 1, 0x20010DB8 << 96, (0x20010DB8 << 96) + 256, (1 << 127) - 1, 1 << 127, (1 << 128) - 1, 1 << 128)
SERVICE_EDGES = tuple(
    sorted(
        {
            0,
            ICMP * BLOCK,
            ICMP * BLOCK + 8 * 256,
            ICMP * BLOCK + 9 * 256,
            2 * BLOCK,
            TCP * BLOCK,
            TCP * BLOCK + 22,
            TCP * BLOCK + 23,
            (TCP + 1) * BLOCK - 1,
            (TCP + 1) * BLOCK,
            UDP * BLOCK,
            UDP * BLOCK + 53,
            (UDP + 1) * BLOCK,
            ICMPV6 * BLOCK,
            ICMPV6 * BLOCK + 128 * 256,
            (ICMPV6 + 1) * BLOCK,
            256 * BLOCK,
        }
    )
)

Cell = tuple[Family, int, int]
"""Family, number of the address cell, number of the service cell."""


def edges(family: Family) -> tuple[int, ...]:
    return V4_EDGES if family is Family.V4 else V6_EDGES


def feasible(family: Family, service: int) -> bool:
    """What POLICY calls packets that cannot be: ICMP over IPv6 and ICMPv6 over IPv4."""
    protocol = SERVICE_EDGES[service] // BLOCK
    return not (protocol == ICMPV6 if family is Family.V4 else protocol == ICMP)


EVERY_CELL = frozenset(
    (family, a, s) for family in Family for a in range(len(edges(family)) - 1) for s in range(len(SERVICE_EDGES) - 1) if feasible(family, s)
)


@dataclass(frozen=True)
class Box:
    """A product of cells, drawn by the generator; the oracle knows nothing but cells."""

    v4: frozenset[int]
    v6: frozenset[int]
    services: frozenset[int]

    def cells(self) -> frozenset[Cell]:
        return frozenset(
            (family, a, s)
            for family, cells in ((Family.V4, self.v4), (Family.V6, self.v6))
            for a in cells
            for s in self.services
            if feasible(family, s)
        )

    def addresses(self) -> AddressSet:
        four = intervals.from_ranges((V4_EDGES[n], V4_EDGES[n + 1]) for n in self.v4)
        return AddressSet(four, intervals.from_ranges((V6_EDGES[n], V6_EDGES[n + 1]) for n in self.v6))

    def service_set(self) -> ServiceSet:
        return ServiceSet(intervals.from_ranges((SERVICE_EDGES[n], SERVICE_EDGES[n + 1]) for n in self.services))

    def packets(self) -> PacketSet:
        return PacketSet.of(self.addresses(), self.service_set())


def subsets(size: int) -> st.SearchStrategy[frozenset[int]]:
    return st.frozensets(st.integers(0, size - 1), max_size=size)


boxes = st.builds(Box, subsets(len(V4_EDGES) - 1), subsets(len(V6_EDGES) - 1), subsets(len(SERVICE_EDGES) - 1))
unions = st.lists(boxes, max_size=4)


def cells_of(packets: PacketSet) -> frozenset[Cell]:
    """Read a PacketSet back by asking for one packet at each end of every cell; both ends must agree."""
    found = set()
    for family in Family:
        for a, (low, high) in enumerate(pairwise(edges(family))):
            for s, (first, end) in enumerate(pairwise(SERVICE_EDGES)):
                answers = {
                    Packet(family, peer, at // BLOCK, at % BLOCK) in packets
                    for peer in (low, (low + high) // 2, high - 1)
                    for at in (first, end - 1)
                    if feasible(family, s)
                }
                assert len(answers) <= 1, (family, low, first)
                if answers == {True}:
                    found.add((family, a, s))
    return frozenset(found)


def packets_of(drawn: list[Box]) -> PacketSet:
    return PacketSet.union_all(box.packets() for box in drawn)


def cells_in(drawn: list[Box]) -> frozenset[Cell]:
    return frozenset().union(*(box.cells() for box in drawn))


def assert_canonical(packets: PacketSet) -> None:
    """Bands ascend, none is empty, neighbours differ, and points are strictly increasing: one form per set."""
    for family in Family:
        bands = packets.bands(family)
        for first, end, points in bands:
            assert first < end
            assert points
            assert len(points) % 2 == 0
            assert all(a < b for a, b in pairwise(points))
        for (_, end, points), (first, _, following) in pairwise(bands):
            assert end < first or (end == first and points != following)


@given(unions, unions)
@settings(max_examples=120)
def test_set_operations_equal_plain_sets(left: list[Box], right: list[Box]) -> None:
    a, b = packets_of(left), packets_of(right)
    x, y = cells_in(left), cells_in(right)
    assert cells_of(a) == x
    for result, expected in ((a | b, x | y), (a & b, x & y), (a - b, x - y), (ALL_PACKETS - a, EVERY_CELL - x)):
        assert cells_of(result) == expected
        assert_canonical(result)
        assert bool(result) == bool(expected)
    assert (a <= b) == (x <= y)
    assert (a == b) == (x == y)


@given(st.lists(boxes, max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=80)
def test_one_set_has_one_form_whatever_built_it(drawn: list[Box], shuffle: Callable[..., None]) -> None:
    straight = packets_of(drawn)
    turned = list(drawn)
    shuffle.shuffle(turned)  # type: ignore[attr-defined]
    folded = NO_PACKETS
    for box in turned:
        folded = folded | box.packets()
    scattered = PacketSet.union_all(
        PacketSet.of(AddressSet(v4=box.addresses().v4), box.service_set())
        | PacketSet.of(AddressSet(v6=box.addresses().v6), box.service_set())
        for box in turned
    )
    assert straight == folded == scattered
    assert hash(straight) == hash(folded)
    assert ALL_PACKETS - (ALL_PACKETS - straight) == straight


@given(unions)
@settings(max_examples=80)
def test_size_witness_products_services_and_peers(drawn: list[Box]) -> None:
    packets, cells = packets_of(drawn), cells_in(drawn)
    assert packets.size == sum(_cell_size(*cell) for cell in cells)
    witness = packets.witness()
    assert (witness is None) == (not cells)
    if witness is not None:
        family, a, s = min(cells, key=lambda cell: (cell[0], cell[2], cell[1]))
        assert witness == Packet(family, edges(family)[a], SERVICE_EDGES[s] // BLOCK, SERVICE_EDGES[s] % BLOCK)
        assert witness in packets
    parts = [PacketSet.of(peers, services) for peers, services in packets.products()]
    assert PacketSet.union_all(parts) == packets
    assert sum(part.size for part in parts) == packets.size, "the boxes of products() are disjoint"
    assert set(_service_cells(packets.services())) == {s for _, _, s in cells}
    some = ServiceSet((TCP * BLOCK + 22, TCP * BLOCK + 23))
    at = SERVICE_EDGES.index(TCP * BLOCK + 22)
    assert packets.peers(some) == AddressSet(
        intervals.from_ranges((V4_EDGES[a], V4_EDGES[a + 1]) for f, a, s in cells if f is Family.V4 and s == at),
        intervals.from_ranges((V6_EDGES[a], V6_EDGES[a + 1]) for f, a, s in cells if f is Family.V6 and s == at),
    )


def _cell_size(family: Family, a: int, s: int) -> int:
    low, high = edges(family)[a], edges(family)[a + 1]
    services = 0
    for protocol in range(256):
        first, end = max(SERVICE_EDGES[s], protocol * BLOCK), min(SERVICE_EDGES[s + 1], (protocol + 1) * BLOCK)
        if first < end and not (protocol == ICMPV6 if family is Family.V4 else protocol == ICMP):
            services += end - first if protocol in {1, 6, 17, 58, 132} else 1
    return (high - low) * services


def _service_cells(services: ServiceSet) -> list[int]:
    return [n for n in range(len(SERVICE_EDGES) - 1) if intervals.contains(services.points, SERVICE_EDGES[n])]


small = st.frozensets(st.integers(0, 24))


def points(members: frozenset[int]) -> intervals.Points:
    return intervals.from_ranges((n, n + 1) for n in members)


@given(small, small, st.integers(-1, 26))
def test_intervals_equal_plain_sets(a: frozenset[int], b: frozenset[int], value: int) -> None:
    p, q = points(a), points(b)
    assert intervals.union(p, q) == points(a | b)
    assert intervals.union_all([p, q, p]) == points(a | b)
    assert intervals.intersection(p, q) == points(a & b)
    assert intervals.difference(p, q) == points(a - b)
    assert intervals.is_subset(p, q) == (a <= b)
    assert intervals.contains(p, value) == (value in a)
    assert intervals.size(p) == len(a)
    assert {n for first, end in intervals.ranges(p) for n in range(first, end)} == a


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=8))
def test_ranges_in_any_order_make_one_form(drawn: list[tuple[int, int]]) -> None:
    members = frozenset(n for first, end in drawn for n in range(first, end))
    made = intervals.from_ranges(drawn)
    assert made == points(members)
    assert all(a < b for a, b in pairwise(made))


@given(st.frozensets(st.integers(0, 255)), st.booleans())
def test_cidr_cover_is_exact_and_minimal(members: frozenset[int], at_the_top: bool) -> None:
    base = (1 << 32) - 256 if at_the_top else 0
    cover = list(intervals.blocks(points(frozenset(base + n for n in members)), 32))
    covered: list[int] = []
    for network, length in cover:
        size = 1 << (32 - length)
        assert network % size == 0
        covered.extend(range(network, network + size))
    assert sorted(covered) == sorted(base + n for n in members)
    assert len(covered) == len(set(covered))
    assert len(cover) == _fewest(frozenset(members), 0, 256)


def _fewest(members: frozenset[int], start: int, size: int) -> int:
    """Fewest aligned blocks by the definition: a block is whole, or its halves are solved apart."""
    inside = sum(1 for n in members if start <= n < start + size)
    if inside in (0, size):
        return 1 if inside else 0
    return _fewest(members, start, size // 2) + _fewest(members, start + size // 2, size // 2)


@given(
    st.lists(
        st.tuples(st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "255.255.255.255/32", "::/0", "2001:db8::/32"])), max_size=5
    )
)
def test_addresses_from_text_are_the_networks_themselves(drawn: list[tuple[str]]) -> None:
    made = AddressSet.of(*(text for (text,) in drawn))
    for probe in ("10.0.0.0", "10.1.2.3", "11.0.0.0", "255.255.255.255", "2001:db8::1", "2001:db9::"):
        network = ip_network(probe)
        expected = any(network.version == ip_network(text).version and network.network_address in ip_network(text) for (text,) in drawn)
        assert (network.network_address in made) == expected
    assert AddressSet.of(*made.cidrs()) == made


def test_impossible_packets_never_exist() -> None:
    icmp, icmpv6 = ServiceSet.protocol(ICMP), ServiceSet.protocol(ICMPV6)
    assert not PacketSet.of(AddressSet(v6=ANYWHERE.v6), icmp)
    assert not PacketSet.of(AddressSet(v4=ANYWHERE.v4), icmpv6)
    assert possible(Family.V4) | possible(Family.V6) == ANY_SERVICE


def test_text_says_any_service_for_a_whole_family() -> None:
    assert ALL_PACKETS.text() == "any service from anywhere"
    assert PacketSet.of(AddressSet.of("10.0.0.0/8"), ANY_SERVICE).text() == "any service from 10.0.0.0/8"
    assert PacketSet.of(AddressSet.of("2001:db8::/32"), ANY_SERVICE).text() == "any service from 2001:db8::/32"
    ping = ServiceSet.icmp(ICMP, 8) | ServiceSet.icmp(ICMPV6, 128)
    assert PacketSet.of(ANYWHERE, ping).text() == "icmp/echo-request, icmpv6/echo-request from anywhere"
    ssh = ServiceSet.ports(TCP, 22, 22)
    assert PacketSet.of(ANYWHERE, ANY_SERVICE - ssh).text() == "any service except tcp/22 from anywhere"
    assert PacketSet.of(AddressSet.of("10.0.0.1"), ssh | ping).text() == "icmp/echo-request, tcp/22 from 10.0.0.1"
    assert NO_PACKETS.text() == "nothing"


def test_text_folds_protocols_without_a_name() -> None:
    others = ANY_SERVICE - NAMED_PROTOCOLS
    assert others.text() == "other protocols"
    assert (others | ServiceSet.protocol(TCP)).text() == "tcp, other protocols"
    assert (ServiceSet.protocol(2) | ServiceSet.protocol(3) | ServiceSet.protocol(200)).text() == "protocols 2-3, 200"
    assert PacketSet.of(ANYWHERE, NAMED_PROTOCOLS).text() == "any service except other protocols from anywhere"
