from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.model.address import ANYWHERE, AddressSet, Family
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import (
    ANY_SERVICE,
    GRE,
    ICMP,
    ICMPV6,
    SCTP,
    TCP,
    UDP,
    ServiceSet,
    possible,
)
from cloudsync_aws.fit import ALL, UNNAMED, Native, addresses_of, cidr_text, cover, say, services_of


@pytest.mark.parametrize(
    ("native", "services"),
    [
        (ALL, ANY_SERVICE),
        ((TCP, 22, 23), ServiceSet.ports(TCP, 22, 23)),
        ((UDP, 0, 65535), ServiceSet.protocol(UDP)),
        ((TCP, -1, -1), ServiceSet.protocol(TCP)),
        ((ICMP, -1, -1), ServiceSet.protocol(ICMP)),
        ((ICMP, 8, -1), ServiceSet.icmp(ICMP, 8)),
        ((ICMP, 3, 4), ServiceSet.icmp(ICMP, 3, 4)),
        ((ICMPV6, 128, 0), ServiceSet.icmp(ICMPV6, 128, 0)),
        ((GRE, -1, -1), ServiceSet.protocol(GRE)),
        ((SCTP, 80, 80), ServiceSet.protocol(SCTP)),
        ((89, -1, -1), ServiceSet.protocol(89)),
    ],
)
def test_an_entry_means_what_ec2_makes_of_it(native: Native, services: ServiceSet) -> None:
    assert services_of(native) == services


def test_everything_is_one_entry_in_each_family() -> None:
    assert say(ANY_SERVICE).natives == (ALL,)
    for family in Family:
        assert say(possible(family), family).natives == (ALL,)
    assert say(possible(Family.V4)).natives != (ALL,)


def test_any_service_minus_a_port_names_every_named_protocol_and_leaves_the_rest_out() -> None:
    said = say(ANY_SERVICE - ServiceSet.ports(TCP, 22, 22), Family.V4)
    assert said.natives == (
        (ICMP, -1, -1),
        (TCP, 0, 21),
        (TCP, 23, 65535),
        (UDP, 0, 65535),
        (GRE, -1, -1),
        (50, -1, -1),
        (51, -1, -1),
        (SCTP, -1, -1),
    )
    assert said.left == UNNAMED
    assert not said.lost


def test_a_few_unnamed_protocols_are_said_by_number() -> None:
    said = say(ServiceSet.protocol(89) | ServiceSet.protocol(112))
    assert said.natives == ((89, -1, -1), (112, -1, -1))
    assert not said.left


def test_sctp_ports_are_never_said_wider() -> None:
    said = say(ServiceSet.ports(SCTP, 80, 80) | ServiceSet.ports(TCP, 80, 80))
    assert said.natives == ((TCP, 80, 80),)
    assert said.lost == ServiceSet.ports(SCTP, 80, 80)


def test_icmp_ranges_are_cut_into_types_and_codes() -> None:
    services = ServiceSet.icmp(ICMP, 3) | ServiceSet.icmp(ICMP, 4, 0) | ServiceSet.icmp(ICMP, 4, 1)
    assert say(services).natives == ((ICMP, 3, -1), (ICMP, 4, 0), (ICMP, 4, 1))


def entries(packets: PacketSet) -> list[tuple[str, ServiceSet]]:
    return [(cidr_text(cidr), services) for cidr, services in cover(packets).items()]


def test_a_block_inside_a_wider_one_is_not_said_again() -> None:
    ssh = ServiceSet.ports(TCP, 22, 22)
    packets = PacketSet.of(ANYWHERE, ssh) | PacketSet.of(AddressSet.of("10.0.0.0/8"), ssh)
    assert entries(packets) == [("0.0.0.0/0", ssh), ("::/0", ssh)]


def test_a_hole_that_a_wider_block_fills_is_closed_but_nothing_is_stretched() -> None:
    ten, wide = AddressSet.of("10.0.0.0/8"), AddressSet.of("10.0.0.0/7")
    packets = PacketSet.of(ten, ServiceSet.ports(TCP, 1, 100)) | PacketSet.of(wide, ServiceSet.ports(TCP, 50, 50))
    assert entries(packets) == [("10.0.0.0/7", ServiceSet.ports(TCP, 50, 50)), ("10.0.0.0/8", ServiceSet.ports(TCP, 1, 100))]
    beside = PacketSet.of(ten, ServiceSet.ports(TCP, 80, 80)) | PacketSet.of(wide, ServiceSet.ports(TCP, 81, 90))
    assert entries(beside) == [("10.0.0.0/7", ServiceSet.ports(TCP, 81, 90)), ("10.0.0.0/8", ServiceSet.ports(TCP, 80, 80))]


def test_all_but_a_never_rule_keeps_one_entry_where_nothing_is_missing() -> None:
    packets = PacketSet.of(ANYWHERE, ANY_SERVICE) - PacketSet.of(AddressSet.of("128.0.0.0/1"), ServiceSet.ports(TCP, 22, 22))
    found = dict(entries(packets))
    assert say(found["0.0.0.0/1"], Family.V4).natives == (ALL,)
    assert say(found["::/0"], Family.V6).natives == (ALL,)


def test_adjacent_blocks_and_ports_merge() -> None:
    packets = PacketSet.union_all(
        PacketSet.of(AddressSet.of(f"10.0.{third}.0/24"), ServiceSet.ports(TCP, port, port)) for third in range(4) for port in (80, 81)
    )
    assert entries(packets) == [("10.0.0.0/22", ServiceSet.ports(TCP, 80, 81))]


SERVICES = st.sampled_from(
    [
        ServiceSet.ports(TCP, 1, 9),
        ServiceSet.ports(TCP, 5, 20),
        ServiceSet.protocol(TCP),
        ServiceSet.icmp(ICMP, 8),
        ServiceSet.protocol(89),
        ANY_SERVICE,
    ]
)
BLOCKS = st.sampled_from(["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "11.0.0.0/8", "10.1.2.3/32", "::/0", "2001:db8::/32"])
BOXES = st.lists(st.tuples(BLOCKS, SERVICES), max_size=6)


@settings(max_examples=200, deadline=None)
@given(BOXES, BOXES)
def test_a_cover_is_exact(plus: list[tuple[str, ServiceSet]], minus: list[tuple[str, ServiceSet]]) -> None:
    packets = PacketSet.union_all(PacketSet.of(addresses_of(cidr), services) for cidr, services in plus)
    packets -= PacketSet.union_all(PacketSet.of(addresses_of(cidr), services) for cidr, services in minus)
    assert PacketSet.union_all(PacketSet.of(addresses_of(cidr), services) for cidr, services in entries(packets)) == packets
    said = PacketSet.union_all(
        PacketSet.of(addresses_of(cidr_text(cidr)), services_of(native))
        for cidr, services in cover(packets).items()
        for native in say(services, cidr[0]).natives
    )
    assert said <= packets
    assert packets - said <= PacketSet.of(ANYWHERE, UNNAMED)
