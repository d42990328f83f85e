"""Packets and peers in words: how many are named, what is summed up, and where an honest word is the wide one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet, Family, globally_routable
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import ANY_SERVICE, ICMP, TCP, UDP, ServiceSet, possible
from cloudsync.model.workload import DEFAULT_DOMAIN, Domain, Interface, Workload
from cloudsync.proof.words import Names, reaches_internet, service_words
from tests.stories.estate import compiled, machine

POLICY = """version: 1
labels: {role: [web, db, lb]}
enforcement: {default: full}
rulesets:
  - {name: r, scope: all, owner: o, rules: [allow role=web to role=db on tcp/1]}
"""
THERE = Domain("there")


def port(number: int) -> ServiceSet:
    return ServiceSet.ports(TCP, number, number)


def names(*workloads: Workload) -> Names:
    return Names(compiled(POLICY, workloads).compiler.universe)


def peers(found: Names, *addresses: str, domain: Domain = DEFAULT_DOMAIN) -> str:
    return found.peers(AddressSet.of(*addresses), domain)


WEBS = [machine("aws", f"web-{number}", f"10.0.0.{number}", role="web") for number in range(5)]
BARE = [machine("aws", f"bare-{number}", f"10.0.1.{number}") for number in range(5)]


# --- peers -----------------------------------------------------------------------------------------------------------


def test_a_class_goes_by_its_labels_and_one_without_by_its_machines() -> None:
    found = names(*WEBS, *BARE)
    assert peers(found, "10.0.0.0/30", "10.0.0.4") == "role=web"
    assert peers(found, "10.0.1.0/30", "10.0.1.4") == "bare-0, bare-1, bare-2 and 2 more"
    assert peers(names(*WEBS, *BARE[:3]), "10.0.1.0", "10.0.1.1", "10.0.1.2") == "bare-0, bare-1, bare-2"


def test_a_part_of_a_class_goes_by_machines_up_to_three() -> None:
    found = names(*WEBS, *BARE)
    assert peers(found, "10.0.0.1") == "web-1"
    assert peers(found, "10.0.0.0", "10.0.0.1", "10.0.0.2") == "web-0, web-1, web-2"
    assert peers(found, "10.0.0.0/30") == "web-0, web-1, web-2 and 1 more"
    assert peers(found, "10.0.0.1", "10.0.1.1") == "bare-1, web-1", "whoever is named first hides nobody"


def test_some_addresses_of_everybody_are_said_to_be_some() -> None:
    two = [replace(one, interfaces=(replace(one.interfaces[0], addresses=AddressSet.of(f"10.0.0.{n}", f"10.9.0.{n}")),))
           for n, one in enumerate(WEBS[:2])]  # fmt: skip
    assert peers(names(*two), "10.9.0.0/31") == "role=web (some of their addresses)"
    bare = [replace(one, interfaces=(replace(one.interfaces[0], addresses=AddressSet.of(f"10.0.1.{n}", f"10.9.0.{n}")),))
            for n, one in enumerate(BARE[:2])]  # fmt: skip
    assert peers(names(*bare), "10.9.0.0/31") == "bare-0, bare-1"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("10.0.0.1", "fd00::1"), "role=web"),
        (("10.0.0.1",), "role=web"),
        (("fd00::1",), "role=web"),
    ],
)
def test_all_of_one_family_is_the_class(asked: tuple[str, ...], words: str) -> None:
    web = replace(WEBS[1], interfaces=(replace(WEBS[1].interfaces[0], addresses=AddressSet.of("10.0.0.1", "fd00::1")),))
    assert peers(names(web), *asked) == words


def test_three_peers_are_named_and_the_rest_is_counted() -> None:
    roles = [machine("aws", role, f"10.0.{number}.1", role=role) for number, role in enumerate(("web", "db", "lb"))]
    found = names(*roles)
    all_three = ("10.0.0.1", "10.0.1.1", "10.0.2.1")
    assert sorted(peers(found, *all_three).split(", ")) == ["role=db", "role=lb", "role=web"]
    assert peers(found, *all_three, "192.0.2.0/24").endswith(" and 1 more")
    assert peers(found, *all_three, "192.0.2.0/24").count(",") == 2
    assert peers(found, "192.0.2.0/24", "10.0.0.1") == "role=web, 192.0.2.0/24"
    assert found.peers(AddressSet.of("192.0.2.1", "192.0.2.3", "192.0.2.5", "192.0.2.7"), DEFAULT_DOMAIN, 2).count("192.0.2.") == 2
    assert found.peers(AddressSet.of("192.0.2.1", "192.0.2.3"), DEFAULT_DOMAIN) == "192.0.2.1, 192.0.2.3"


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        (("10.0.0.0/32",), "anywhere but 1 address"),
        (("10.0.0.0/31",), "anywhere but 2 addresses"),
        (("10.0.0.0/16",), "anywhere but 65536 addresses"),
        (("10.0.0.0/16", "2001:db8::/112"), "anywhere but 131072 addresses"),
        (("10.0.0.0/15",), "the internet and more"),
        (("10.0.0.0/16", "11.0.0.0/32"), "the internet and more"),
    ],
)
def test_anywhere_is_said_while_few_addresses_are_missing(missing: tuple[str, ...], words: str) -> None:
    assert names(*WEBS).peers(ANYWHERE - AddressSet.of(*missing), DEFAULT_DOMAIN) == words


def test_anywhere_in_one_family_says_which() -> None:
    found = names(*WEBS)
    assert peers(found, "0.0.0.0/0") == "anywhere (IPv4)"
    assert peers(found, "::/0") == "anywhere (IPv6)"
    assert found.peers(AddressSet.of("::/0") - AddressSet.of("::/127"), DEFAULT_DOMAIN) == "anywhere (IPv6) but 2 addresses"
    assert found.peers(NOWHERE, DEFAULT_DOMAIN) == ""


SNAT = Interface("snat", "net", AddressSet.of("10.5.0.1", "10.5.0.2", "8.8.8.8"), DEFAULT_DOMAIN, source_only=True, shared="bigip1")


def test_what_several_virtual_servers_open_connections_from_goes_by_the_device() -> None:
    lbs = [machine("f5", f"vs-{number}", f"10.4.0.{number}", role="lb") for number in range(2)]
    sharing = [replace(one, interfaces=(*one.interfaces, SNAT)) for one in lbs]
    found = names(*sharing)
    assert peers(found, "10.5.0.1", "10.5.0.2", "8.8.8.8") == "the SNAT and self addresses of bigip1"
    assert peers(found, "10.5.0.1") == "the SNAT and self addresses of bigip1 (some of them)"
    assert peers(found, "10.5.0.1", "10.5.0.2", "8.8.8.8", "192.0.2.1") == "the SNAT and self addresses of bigip1, 192.0.2.1"
    assert peers(found, "192.0.2.1") == "192.0.2.1"
    assert peers(found, "8.8.8.8", domain=THERE) == "the SNAT and self addresses of bigip1"
    own = [replace(one, interfaces=(*one.interfaces, replace(SNAT, shared="", addresses=AddressSet.of(f"10.6.0.{n}"))))
           for n, one in enumerate(reversed(lbs))]  # fmt: skip
    both = peers(names(*own), "10.6.0.0", "10.6.0.1")
    assert both == "the SNAT and self addresses of vs-0, the SNAT and self addresses of vs-1"


# --- packets ---------------------------------------------------------------------------------------------------------


def test_packets_are_told_widest_peers_first_three_at_most() -> None:
    found = names(*WEBS)
    parts = [("192.0.2.1", 1), ("192.0.2.8/30", 2), ("192.0.2.128/25", 3), ("198.51.100.0/24", 4)]
    packets = PacketSet.union_all(PacketSet.of(AddressSet.of(address), port(number)) for address, number in parts)
    told = ["tcp/4 from 198.51.100.0/24", "tcp/3 from 192.0.2.128/25", "tcp/2 from 192.0.2.8/30", "tcp/1 from 192.0.2.1"]
    assert found.parts(packets, DEFAULT_DOMAIN) == told
    assert found.packets(packets, DEFAULT_DOMAIN) == "; ".join(told[:3]) + "; and 1 more"
    assert found.packets(packets, DEFAULT_DOMAIN, most=4) == "; ".join(told)
    assert found.packets(packets, DEFAULT_DOMAIN, inbound=False, most=1) == "tcp/4 to 198.51.100.0/24; and 3 more"
    assert found.parts(packets, DEFAULT_DOMAIN, inbound=False)[3] == "tcp/1 to 192.0.2.1"


def test_peers_with_the_same_services_are_told_together() -> None:
    found = names(*WEBS)
    four = PacketSet.of(AddressSet.of("192.0.2.0/24"), port(1)) | PacketSet.of(AddressSet.of("2001:db8::/32"), port(1))
    assert len(found.parts(four, DEFAULT_DOMAIN)) == 1
    everything = PacketSet.of(ANYWHERE, ANY_SERVICE)
    assert found.packets(everything, DEFAULT_DOMAIN) == "any service from anywhere"
    natural = PacketSet.of(AddressSet.of("0.0.0.0/0"), possible(Family.V4)) | PacketSet.of(AddressSet.of("::/0"), possible(Family.V6))
    assert found.packets(natural, DEFAULT_DOMAIN) == "any service from anywhere"
    apart = PacketSet.of(AddressSet.of("192.0.2.1"), port(1)) | PacketSet.of(AddressSet.of("192.0.2.1"), port(2))
    assert found.packets(apart, DEFAULT_DOMAIN) == "tcp/1-2 from 192.0.2.1"
    pings = PacketSet.of(AddressSet.of("192.0.2.1"), ServiceSet.icmp(ICMP, 8) | port(1)) | PacketSet.of(AddressSet.of("192.0.2.3"), port(1))
    assert len(found.parts(pings, DEFAULT_DOMAIN)) <= 2


@pytest.mark.parametrize(
    ("services", "words"),
    [
        (possible(Family.V4), "any service"),
        (possible(Family.V6), "any service"),
        (ANY_SERVICE - port(1), "any service except tcp/1"),
        (possible(Family.V4) - port(1), "any service except tcp/1"),
        (possible(Family.V6) - port(1), "any service except tcp/1"),
        (ServiceSet.protocol(TCP), "tcp"),
        (ServiceSet.protocol(TCP) | ServiceSet.protocol(UDP), "tcp, udp"),
    ],
)
def test_services_are_said_by_what_is_there_or_by_what_is_missing(services: ServiceSet, words: str) -> None:
    assert service_words(services) == words


def ports(*numbers: int) -> ServiceSet:
    return ServiceSet.union_all(map(port, numbers))


def test_six_services_are_named_and_four_missing_ones() -> None:
    assert service_words(ports(1, 3, 5, 7, 9, 11)).count("tcp/") == 6
    assert service_words(ports(1, 3, 5, 7, 9, 11)) == service_words(ports(1, 3, 5, 7, 9, 11, 13)).replace(" and 1 more", "")
    assert service_words(ANY_SERVICE - ports(1, 3, 5, 7)).count("tcp/") == 4
    assert service_words(ANY_SERVICE - ports(1, 3, 5, 7, 9)) == service_words(ANY_SERVICE - ports(1, 3, 5, 7)) + " and 1 more"


# --- the internet ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("addresses", "reaches"),
    [
        (("0.0.0.0/1",), True),
        (("0.0.0.0/2",), False),
        (("2000::/3",), True),
        (("2000::/5",), False),
        (("10.0.0.0/8", "fc00::/7"), False),
        (("0.0.0.0/1", "2600::/16"), True),
        ((), False),
    ],
)
def test_more_than_half_of_a_family_is_the_internet(addresses: tuple[str, ...], reaches: bool) -> None:
    assert reaches_internet(AddressSet.of(*addresses)) is reaches


@pytest.mark.parametrize("family", Family)
def test_exactly_half_is_not_yet_the_internet(family: Family) -> None:
    spans = globally_routable().family(family)
    room = sum(spans[1::2]) - sum(spans[::2])
    assert room == globally_routable().only(family).size
    half: list[int] = []
    left = room // 2
    for first, end in zip(spans[::2], spans[1::2], strict=True):
        half += (first, min(end, first + left)) if left else ()
        left -= min(end - first, left)
    for points, reaches in ((tuple(half), False), ((*half[:-1], half[-1] + 1), True)):
        assert reaches_internet(AddressSet(points) if family is Family.V4 else AddressSet((), points)) is reaches
