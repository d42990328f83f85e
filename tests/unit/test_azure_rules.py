"""Rules as Azure stores and takes them: every spelling reads the same, what we write is what it takes, nothing empty becomes any."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cloudsync.model.address import ANYWHERE, AddressSet, Family
from cloudsync.model.service import ANY_SERVICE, GRE, ICMP, TCP, ServiceSet
from cloudsync_azure import parse
from cloudsync_azure.fit import peer_side, say
from cloudsync_azure.parse import ParseError, rule
from cloudsync_azure.payload import rule_json
from cloudsync_azure.simulate import complaints
from cloudsync_azure.table import Nsg, Protocol, Rule, Side, Tier, owner_of, tier_of

PLAIN: dict[str, Any] = {
    "protocol": "Tcp",
    "access": "Allow",
    "priority": 200,
    "direction": "Inbound",
    "sourcePortRange": "*",
    "destinationPortRange": "443",
    "sourceAddressPrefix": "10.0.0.0/8",
    "destinationAddressPrefix": "*",
}


def read(name: str = "web", /, **more: Any) -> Rule:
    inner = {key: value for key, value in {**PLAIN, **more}.items() if value is not None}
    return rule({"name": name, "properties": inner}, "acme")


def meaning(one: Rule) -> Rule:
    return replace(one, shape="")


@pytest.mark.parametrize(
    "other",
    [
        {"sourceAddressPrefix": None, "sourceAddressPrefixes": ["10.0.0.0/8"]},
        {"sourceAddressPrefix": None, "sourceAddressPrefixes": ["10.128.0.0/9", "10.0.0.0/9"]},
        {"sourceAddressPrefixes": [], "destinationPortRanges": []},
        {"destinationPortRange": None, "destinationPortRanges": ["443"]},
        {"protocol": "TCP"},
        {"access": "allow", "direction": "INBOUND"},
        {"destinationAddressPrefix": "Any", "sourcePortRange": "0-65535"},
        {"provisioningState": "Updating"},
        {"sourceAddressPrefix": "10.1.2.3/8"},
    ],
    ids=["plural", "split", "empty lists", "ports", "TCP", "case", "any", "state", "host bits"],
)
def test_every_spelling_of_a_rule_is_the_same_rule(other: dict[str, Any]) -> None:
    assert meaning(read(**other)) == meaning(read())


def test_foreign_rules_are_told_apart_in_everything_but_their_spelling() -> None:
    assert read(protocol="TCP") == read(destinationPortRanges=[]) == read(provisioningState="Updating") == read()
    assert read(protocol="TCP").raw != read().raw, "sent and given back exactly as it was read"
    assert read(futureField=1) != read()
    assert read(description="other") != read()


def test_tags_and_groups_fold_their_case() -> None:
    assert read(sourceAddressPrefix="INTERNET").source == read(sourceAddressPrefix="Internet").source == Side(tag="internet")
    asg = "/subscriptions/S/resourcegroups/rg/providers/Microsoft.Network/applicationSecurityGroups/web"
    some = [read(sourceAddressPrefix=None, sourceApplicationSecurityGroups=[{"id": text}]).source for text in (asg, asg.upper())]
    assert some[0] == some[1]
    assert some[0].asgs == (asg.lower(),)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"sourceAddressPrefix": None}, "the source has no address, tag or group"),
        ({"sourceAddressPrefix": None, "sourceAddressPrefixes": []}, "the source has no address, tag or group"),
        ({"destinationPortRange": None}, "the rule has no destination port"),
        ({"protocol": "Sctp"}, "protocol 'Sctp' is not known"),
        ({"sourceAddressPrefix": "10.0.0.0/42"}, "'10.0.0.0/42' is no address"),
        ({"destinationPortRange": "70000"}, "'70000' is no port"),
        ({"sourceAddressPrefix": None, "sourceAddressPrefixes": ["Internet", "10.0.0.0/8"]}, "the source mixes service tags and prefixes"),
        ({"sourceAddressPrefix": "10.0.0.9-10.0.0.1"}, "the source has a range that ends before it begins"),
    ],
)
def test_a_rule_that_cannot_be_read_is_kept_and_never_any(more: dict[str, Any], why: str) -> None:
    found = read(**more)
    assert (found.unclear, found.ours) == (why, False)
    assert rule_json(found)["name"] == "web"


@pytest.mark.parametrize("more", [{"priority": None}, {"direction": "Sideways"}, {"access": "Maybe"}, {"priority": "100"}])
def test_a_rule_without_a_place_makes_the_whole_read_incomplete(more: dict[str, Any]) -> None:
    with pytest.raises(ParseError, match="rule web has priority"):
        read(**more)


def test_an_absent_rule_table_is_not_an_empty_one() -> None:
    with pytest.raises(ParseError, match="shows no securityRules"):
        parse.nsg({"id": "/subscriptions/s/resourceGroups/rg/x/n", "name": "n", "properties": {}}, "acme")


# --- what we write ---------------------------------------------------------------------------------------------------


OWN = Side(AddressSet.of("10.1.0.4"))


def ours(source: Side, **more: Any) -> Rule:
    destination = OWN
    text = "cloudsync/acme: web#1"
    return Rule(
        "cs-acme-a-web-1-0123456789ab", False, 1500, False, Protocol.TCP, source, destination, description=text, tier=Tier.ALLOW, **more
    )


def test_one_word_goes_into_the_singular_field_and_tags_never_into_a_list() -> None:
    any_ = rule_json(ours(Side(ANYWHERE)))["properties"]
    assert (any_["sourceAddressPrefix"], any_["sourcePortRange"], any_["destinationAddressPrefix"]) == ("*", "*", "10.1.0.4/32")
    assert "sourceAddressPrefixes" not in any_
    tag = rule_json(ours(Side(tag="azureloadbalancer")))["properties"]
    assert tag["sourceAddressPrefix"] == "AzureLoadBalancer"
    many = rule_json(ours(Side(AddressSet.of("10.9.0.0/16", "10.7.0.1")), ports=(80, 81, 8000, 8010)))["properties"]
    assert many["sourceAddressPrefixes"] == ["10.7.0.1/32", "10.9.0.0/16"]
    assert many["destinationPortRanges"] == ["80", "8000-8009"]
    assert "sourceAddressPrefix" not in many


def test_what_is_written_reads_back_as_it_was_meant() -> None:
    for source in (Side(ANYWHERE), Side(tag="azureloadbalancer"), Side(AddressSet.of("10.9.0.0/16", "10.7.0.1"))):
        assert rule(rule_json(ours(source)), "acme") == ours(source)


def test_ipv6_anybody_is_a_prefix_and_nobody_is_no_rule() -> None:
    six = peer_side(ANYWHERE, Family.V6)
    assert six is not None
    assert rule_json(ours(six))["properties"]["sourceAddressPrefix"] == "::/0"
    assert peer_side(AddressSet.of("10.0.0.0/8"), Family.V6) is None
    assert peer_side(AddressSet(), Family.V4) is None


def test_tcp_and_udp_are_two_rules_and_unnamed_protocols_are_lost() -> None:
    both = ServiceSet.ports(TCP, 443, 443) | ServiceSet.ports(17, 443, 443)
    assert [word.value for word, _ in say(both, Family.V4, 200).words] == ["Tcp", "Udp"]
    assert say(ANY_SERVICE, Family.V6, 200).words == ((Protocol.ANY, (0, 65536)),)
    assert say(ServiceSet.protocol(GRE), Family.V4, 200).lost == ServiceSet.protocol(GRE)
    typed = say(ServiceSet.icmp(ICMP, 8), Family.V4, 200)
    assert (typed.words, bool(typed.typed)) == (((Protocol.ICMP, (0, 65536)),), True)
    many = ServiceSet.union_all(ServiceSet.ports(TCP, port, port) for port in range(0, 1000, 2))
    assert [len(ports) // 2 for _, ports in say(many, Family.V4, 200).words] == [200, 200, 100]


def test_the_mark_is_name_and_description_together() -> None:
    name, text = "cs-acme-a-web-0123456789ab", "cloudsync/acme: web"
    assert tier_of(name, text, "acme") is Tier.ALLOW
    assert tier_of(name, "by hand", "acme") is None
    assert tier_of("web", text, "acme") is None
    assert owner_of("cs-acme-two-a-web-0123456789ab", "cloudsync/acme-two: web") == "acme-two"
    assert tier_of("cs-acme-two-a-web-0123456789ab", "cloudsync/acme-two: web", "acme") is None


def test_what_azure_would_refuse_is_found_before_it_is_sent() -> None:
    one = ours(Side(ANYWHERE))
    twin = replace(one, name=one.name + "-2")
    assert list(complaints((one, twin))) == [f"rules {one.name} and {twin.name} have the same priority 1500"]
    assert list(complaints((one, replace(one, name=one.name.upper(), priority=1501))))
    assert list(complaints((replace(one, priority=99),))) == [f"rule {one.name} has priority 99"]
    assert list(complaints((replace(one, description="x" * 141),)))
    mixed = ours(Side(AddressSet.of("2001:db8::/32")))
    assert list(complaints((mixed,))) == [f"rule {mixed.name} mixes address families"]
    assert list(complaints((ours(Side()),))) == [f"rule {one.name} has a side with nobody on it"]
    assert list(complaints((replace(one, protocol=Protocol.ICMP, ports=(22, 23)),)))


def test_a_rule_named_like_a_default_is_a_custom_rule() -> None:
    found = parse.nsg(
        {"id": "/s/n", "name": "n", "properties": {"securityRules": [{"name": "AllowVnetInBound", "properties": PLAIN}]}}, "acme"
    )
    assert [one.name for one in found.rules] == ["AllowVnetInBound"]
    assert isinstance(found, Nsg)
