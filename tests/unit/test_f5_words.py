"""Spellings of a device: addresses with route domains, ports, protocols, destinations; and what is none of them."""

from __future__ import annotations

import pytest

from cloudsync.model.address import ANYWHERE, AddressSet, Family
from cloudsync.model.service import ANY_SERVICE, GRE, ICMP, SCTP, TCP, UDP, ServiceSet
from cloudsync_f5 import parse, words
from cloudsync_f5.table import Action
from cloudsync_f5.words import ANY_PROTOCOL, Native


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("10.0.0.0%1/24", "10.0.0.0/24%1"),
        ("10.0.0.1/32", "10.0.0.1"),
        ("10.0.0.7/24", "10.0.0.0/24"),
        ("2001:DB8::%7/32", "2001:db8::/32%7"),
        ("10.0.0.0-10.0.0.255", "10.0.0.0/24"),
        ("10.0.0.1%2-10.0.0.9%2", "10.0.0.1%2-10.0.0.9"),
        ("any", "0.0.0.0/0"),
        ("any6", "::/0"),
    ],
)
def test_two_spellings_of_the_same_addresses_are_equal_and_come_out_as_one(one: str, same: str) -> None:
    assert words.span(one) == words.span(same)
    assert words.span(words.span(one).text()) == words.span(one)


@pytest.mark.parametrize(
    "text", ["10.0.0.0/42", "10.300.0.0/8", "10.0.0.9-10.0.0.1", "10.0.0.1%x", "10.0.0.1%70000", "1.2.3.4-::1", "web", ""]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        words.span(text)


def test_the_same_addresses_in_two_route_domains_are_not_the_same() -> None:
    ten = AddressSet.of("10.0.0.0/8")
    assert words.spans(ten, 1) != words.spans(ten, 0)
    assert words.addresses(words.spans(ten, 1), 1) == ten
    assert not words.addresses(words.spans(ten, 1), 0)
    assert {one.text() for one in words.spans(ANYWHERE, 3)} == {"0.0.0.0%3/0", "::%3/0"}


@pytest.mark.parametrize(
    "services",
    [
        ANY_SERVICE,
        ServiceSet.ports(TCP, 443, 443),
        ServiceSet.ports(TCP, 22, 22) | ServiceSet.ports(TCP, 8000, 8099) | ServiceSet.ports(UDP, 53, 53),
        ServiceSet.protocol(GRE) | ServiceSet.ports(SCTP, 1, 2),
        ServiceSet.icmp(ICMP, 8) | ServiceSet.icmp(ICMP, 3, 4),
        ANY_SERVICE - ServiceSet.ports(TCP, 22, 22),
    ],
)
def test_services_become_rules_that_say_exactly_that(services: ServiceSet) -> None:
    found = words.natives(services)
    assert ServiceSet.union_all(words.services_of(one) for one in found) == services
    assert len({one.protocol for one in found}) == len(found), "one rule per protocol"


@pytest.mark.parametrize(
    ("text", "mask", "address", "port", "domain"),
    [
        ("/Common/192.0.2.10:443", "255.255.255.255", "192.0.2.10/32", 443, 0),
        ("/Common/192.0.2.10%2:https", "", "192.0.2.10/32", 443, 2),
        ("/Common/2001:db8::1.443", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8::1/128", 443, 0),
        ("/Tenant/2001:db8::1%4.any", "", "2001:db8::1/128", 0, 4),
        ("10.0.0.0:0", "255.255.255.0", "10.0.0.0/24", 0, 0),
        ("any:0", "any", "0.0.0.0/0", 0, 0),
        ("any6.0", "any6", "::/0", 0, 0),
    ],
)
def test_where_a_virtual_server_listens(text: str, mask: str, address: str, port: int, domain: int) -> None:
    found = words.destination(text, mask)
    assert (words.addresses((found.address,), domain), found.port) == (AddressSet.of(address), port)


@pytest.mark.parametrize("text", ["web", "10.0.0.1", "10.0.0.1:70000", "10.0.0.1%:443", ""])
def test_what_is_no_destination_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        words.destination(text)


def rule(**more: object) -> dict[str, object]:
    return {"name": "r", "action": "accept", "ipProtocol": "tcp", **more}


def test_a_rule_with_fifty_lists_on_each_side_is_read_whole() -> None:
    lists = [f"/Common/l{number}" for number in range(50)]
    found = parse.rule(rule(source={"addressLists": lists}, destination={"addressLists": lists}))
    assert found.source.lists == found.destination.lists == frozenset(lists)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"source": {"geo": [{"name": "US"}]}}, "countries"),
        ({"source": {"fqdns": [{"name": "a.example"}]}}, "names to resolve"),
        ({"source": {"vlans": ["/Common/v"]}}, "VLANs"),
        ({"source": {"identity": {"userLists": ["x"]}}}, "users"),
        ({"source": {"ports": [{"name": "1024"}]}}, "source ports"),
        ({"schedule": "/Common/nights"}, "hours (/Common/nights)"),
        ({"status": "scheduled"}, "hours"),
        ({"irule": "/Common/x"}, "an iRule (/Common/x)"),
        ({"action": "maybe"}, "action 'maybe'"),
    ],
)
def test_conditions_that_cannot_be_evaluated_are_named(more: dict[str, object], why: str) -> None:
    assert why in parse.rule(rule(**more)).odd


def test_noise_is_no_difference() -> None:
    noise = {"kind": "k", "selfLink": "s", "generation": 7, "ruleNumber": 3, "iruleSampleRate": 1, "log": "no", "status": "enabled"}
    echoed = rule(**noise, source={"identity": {}}, destination={}, uuid="auto", labUnknown="x")
    assert parse.rule(echoed) == parse.rule(rule())


def test_a_rule_list_is_bound_by_its_path() -> None:
    found = parse.rule({"name": "r", "ruleList": "/Common/shared", "ruleListReference": {"link": "x"}})
    assert (found.rule_list, found.action) == ("/Common/shared", None)
    assert not found.odd


@pytest.mark.parametrize("raw", [{"items": "x"}, {"items": [1]}])
def test_a_collection_without_a_list_of_objects_is_refused(raw: dict[str, object]) -> None:
    with pytest.raises(parse.ParseError, match="items"):
        parse.items(raw)


def test_missing_items_are_none() -> None:
    assert parse.items({}) == []


def test_a_virtual_server_takes_in_its_family_its_filter_and_its_port_alone() -> None:
    found = parse.virtual({"name": "vs", "destination": "10.0.0.1:443", "ipProtocol": "tcp", "source": "192.0.2.0/24"}, "dg")
    assert found.listener.peers == AddressSet.of("192.0.2.0/24")
    assert found.listener.services == ServiceSet.ports(TCP, 443, 443)
    wide = parse.virtual({"name": "vs", "destination": "2001:db8::1.any"}, "dg")
    assert wide.listener.peers == ANYWHERE.only(Family.V6)
    assert wide.listener.services == ANY_SERVICE


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ({"name": "vs", "destination": "any:0", "mask": "any"}, "forwards for"),
        ({"name": "vs", "destination": "10.0.0.0:0", "mask": "255.255.0.0"}, "forwards for 10.0.0.0/16"),
        ({"name": "vs", "trafficMatchingCriteria": "/Common/t"}, "traffic matching criteria"),
    ],
)
def test_virtual_servers_without_an_address_of_their_own_are_skipped(raw: dict[str, object], why: str) -> None:
    found = parse.virtual(raw, "dg")
    assert why in found.skipped
    assert not found.addresses


def test_an_unmatched_protocol_word_is_refused() -> None:
    with pytest.raises(parse.ParseError, match="unknown protocol"):
        parse.rule(rule(ipProtocol="bogus"))


def test_actions_are_the_devices_own() -> None:
    assert {one.value for one in Action} == {"accept", "accept-decisively", "drop", "reject"}
    assert Native(ANY_PROTOCOL) == Native(-1)
