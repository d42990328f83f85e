"""The data plane of the Azure lab: which packets get through, which rule says so, and connections that are open."""

from __future__ import annotations

from typing import Any

import pytest

from cloudsync.lab.azure.pytest_plugin import Wire, rule
from cloudsync.lab.azure.site import Site

NSG, NIC, NET = "networkSecurityGroups", "networkInterfaces", "virtualNetworks"
A, B, FAR, OUT, PROBE = "10.50.0.4", "10.50.1.4", "10.51.0.4", "198.51.100.7", "168.63.129.16"


def configuration(azure: Wire, subnet: str, **properties: Any) -> Any:
    return {"name": "x", "properties": {"subnet": {"id": azure.path(NET, subnet)}, **properties}}


@pytest.fixture
def two(azure: Wire) -> Wire:
    """A in subnet a and B in subnet b, each with an NSG on the subnet and one on the interface; FAR in a network that is not peered."""
    for name in ("sub-a", "sub-b", "nic-a", "nic-b"):
        azure.done(azure.path(NSG, name), {})
    subnets = [
        {"name": each, "properties": {"addressPrefixes": blocks, "networkSecurityGroup": {"id": azure.path(NSG, f"sub-{each}")}}}
        for each, blocks in (("a", ["10.50.0.0/24", "fd00:50::/64"]), ("b", ["10.50.1.0/24"]))
    ]
    azure.done(azure.path(NET, "net"), {"addressSpace": {"addressPrefixes": ["10.50.0.0/16", "fd00:50::/48"]}, "subnets": subnets})
    azure.done(azure.path(NET, "far"), {
        "addressSpace": {"addressPrefixes": ["10.51.0.0/16"]}, "subnets": [{"name": "c", "properties": {"addressPrefix": "10.51.0.0/24"}}],
    })  # fmt: skip
    for name, subnet, group in (("a", "net/subnets/a", "nic-a"), ("b", "net/subnets/b", "nic-b"), ("c", "far/subnets/c", None)):
        extra = {} if group is None else {"networkSecurityGroup": {"id": azure.path(NSG, group)}}
        azure.done(azure.path(NIC, name), {"ipConfigurations": [configuration(azure, subnet)], **extra})
    return azure


def put(azure: Wire, group: str, *table: Any, **more: Any) -> None:
    azure.done(azure.path(NSG, group), {"securityRules": list(table), **more})


def ask(azure: Wire, src: str, dst: str, protocol: str = "tcp", port: int | None = 443, **more: Any) -> tuple[bool, str]:
    found = azure.site.ask("verdict", {"src": src, "dst": dst, "protocol": protocol, **({} if port is None else {"port": port}), **more})
    return found["allowed"], found["by"]["nsg"].rpartition("/")[2] + "/" + found["by"]["rule"] if found["by"] else "-"


def test_without_rules_the_network_lets_itself_in_and_nobody_else(two: Wire) -> None:
    assert ask(two, A, B) == (True, "nic-b/AllowVnetInBound")
    assert ask(two, A, OUT) == (True, "sub-a/AllowInternetOutBound")
    assert ask(two, OUT, B) == (False, "sub-b/DenyAllInBound")
    assert ask(two, PROBE, B) == (True, "nic-b/AllowVnetInBound")


def test_a_packet_passes_four_groups_in_their_order(two: Wire) -> None:
    found = two.site.ask("verdict", {"src": A, "dst": B, "protocol": "tcp", "port": 443})
    assert [(step["nsg"].rpartition("/")[2], step["direction"]) for step in found["steps"]] == [
        ("nic-a", "Outbound"), ("sub-a", "Outbound"), ("sub-b", "Inbound"), ("nic-b", "Inbound"),
    ]  # fmt: skip


@pytest.mark.parametrize("group", ["nic-a", "sub-a", "sub-b", "nic-b"])
def test_every_one_of_them_can_deny(two: Wire, group: str) -> None:
    put(two, group, rule("no", 100, access="Deny", direction="Outbound" if group.endswith("a") else "Inbound"))
    assert ask(two, A, B) == (False, f"{group}/no")


def test_an_allow_in_one_group_does_not_help_against_a_deny_in_the_other(two: Wire) -> None:
    put(two, "sub-b", rule("yes", 100, sourceAddressPrefix="*"))
    assert ask(two, OUT, B) == (False, "nic-b/DenyAllInBound")


def test_the_lowest_priority_wins(two: Wire) -> None:
    put(two, "nic-b", rule("deny", 101, access="Deny"), rule("allow", 100))
    assert ask(two, A, B) == (True, "nic-b/allow")
    put(two, "nic-b", rule("allow", 101), rule("deny", 100, access="Deny"))
    assert ask(two, A, B) == (False, "nic-b/deny")


def test_protocols(two: Wire) -> None:
    put(two, "nic-b", rule("tcp", 100, access="Deny"))
    assert ask(two, A, B, "udp") == (True, "nic-b/AllowVnetInBound")
    put(two, "nic-b", rule("icmp", 100, access="Deny", protocol="Icmp", destinationPortRange="*"))
    assert ask(two, A, B, "icmp", None) == (False, "nic-b/icmp")
    assert ask(two, A, B, "esp", None) == (True, "nic-b/AllowVnetInBound")
    put(two, "nic-b", rule("all", 100, access="Deny", protocol="*", destinationPortRange="*"))
    assert ask(two, A, B, "47", None) == (False, "nic-b/all")


def test_icmp_meets_no_rule_with_ports(two: Wire) -> None:
    put(two, "nic-b", rule("icmp", 100, access="Deny", protocol="*", destinationPortRange="0-1024"))
    assert ask(two, A, B, "icmp", None)[0]


def test_whether_icmp_covers_version_6_is_a_switch(two: Wire) -> None:
    six = {"ipConfigurations": [
        configuration(two, "net/subnets/a"),
        {**configuration(two, "net/subnets/a", privateIPAddressVersion="IPv6"), "name": "six"},
    ]}  # fmt: skip
    two.done(two.path(NIC, "a"), {**six, "networkSecurityGroup": {"id": two.path(NSG, "nic-a")}})
    put(two, "nic-a", rule("icmp", 100, protocol="Icmp", sourceAddressPrefix="*", destinationPortRange="*"))
    put(two, "sub-a", rule("icmp", 100, protocol="Icmp", sourceAddressPrefix="*", destinationPortRange="*"))
    assert ask(two, "2001:db8::1", "fd00:50::4", "icmp", None) == (True, "nic-a/icmp")
    two.site.ask("settings", {"icmp_covers_v6": False})
    assert ask(two, "2001:db8::1", "fd00:50::4", "icmp", None) == (False, "sub-a/DenyAllInBound")


@pytest.mark.parametrize(("port", "hit"), [(79, False), (80, True), (88, True), (89, False), (8443, True), (8444, False)])
def test_ports_are_ranges_and_lists(two: Wire, port: int, *, hit: bool) -> None:
    put(two, "nic-b", rule("p", 100, access="Deny", destinationPortRange=None, destinationPortRanges=["80-88", "8443"]))
    assert ask(two, A, B, port=port)[0] is not hit


def test_source_ports_count(two: Wire) -> None:
    put(two, "nic-b", rule("p", 100, access="Deny", sourcePortRange="1024-2048"))
    assert ask(two, A, B, source_port=1500) == (False, "nic-b/p")
    assert ask(two, A, B, source_port=3000)[0]


def test_the_tag_virtual_network_grows_with_peers_and_gateways(two: Wire) -> None:
    assert ask(two, FAR, B) == (False, "sub-b/DenyAllInBound")
    assert not two.site.ask("verdict", {"src": FAR, "dst": B, "protocol": "tcp", "port": 1})["routed"]
    for one, other in (("net", "far"), ("far", "net")):
        remote = {"remoteVirtualNetwork": {"id": two.path(NET, other)}}
        two.done(two.path(NET, f"{one}/virtualNetworkPeerings/p"), remote, location=None)
    assert ask(two, FAR, B) == (True, "nic-b/AllowVnetInBound")
    assert ask(two, "172.16.5.5", B) == (False, "sub-b/DenyAllInBound")
    two.site.ask("gateway", {"id": two.path(NET, "far"), "prefixes": ["172.16.0.0/16"]})
    assert ask(two, "172.16.5.5", B) == (True, "nic-b/AllowVnetInBound")


def test_a_deny_of_everything_stops_probes_unless_an_allow_stands_above(two: Wire) -> None:
    deny = rule("deny", 4096, access="Deny", protocol="*", sourceAddressPrefix="*", destinationPortRange="*")
    put(two, "nic-b", deny)
    assert ask(two, PROBE, B) == (False, "nic-b/deny")
    probes = rule("probes", 4090, protocol="*", sourceAddressPrefix="AzureLoadBalancer", destinationPortRange="*")
    put(two, "nic-b", deny, probes)
    assert ask(two, PROBE, B) == (True, "nic-b/probes")
    assert ask(two, A, B) == (False, "nic-b/deny")
    put(
        two,
        "nic-b",
        deny,
        probes,
        rule("never", 1000, access="Deny", protocol="*", sourceAddressPrefix="0.0.0.0/0", destinationPortRange="*"),
    )
    assert ask(two, PROBE, B) == (False, "nic-b/never")


def test_tags_in_any_case(two: Wire) -> None:
    table = rule("net", 100, sourceAddressPrefix="INTERNET")
    put(two, "nic-b", table)
    put(two, "sub-b", table)
    assert ask(two, OUT, B) == (True, "nic-b/net")
    assert ask(two, A, B) == (True, "nic-b/AllowVnetInBound")


def test_asgs_and_the_empty_one_that_kills_its_rule(two: Wire) -> None:
    for name in ("members", "nobody"):
        two.done(two.path("applicationSecurityGroups", name), {})
    ids = {name: {"id": two.path("applicationSecurityGroups", name)} for name in ("members", "nobody")}
    joined = {"ipConfigurations": [configuration(two, "net/subnets/a", applicationSecurityGroups=[ids["members"]])]}
    two.done(two.path(NIC, "a"), {**joined, "networkSecurityGroup": {"id": two.path(NSG, "nic-a")}})

    def deny(*groups: str) -> Any:
        return rule("asg", 100, access="Deny", sourceAddressPrefix=None, sourceApplicationSecurityGroups=[ids[name] for name in groups])

    put(two, "nic-b", deny("members"))
    assert ask(two, A, B) == (False, "nic-b/asg")
    put(two, "nic-b", deny("members", "nobody"))
    assert ask(two, A, B) == (True, "nic-b/AllowVnetInBound")


def test_interfaces_without_any_group_let_everything_through(two: Wire) -> None:
    assert ask(two, OUT, FAR) == (True, "-")


def test_rules_count_when_the_operation_has_ended_and_not_before(two: Wire) -> None:
    two.put(two.path(NSG, "nic-b"), {"securityRules": [rule("deny", 100, access="Deny")]})
    assert ask(two, A, B)[0]
    two.site.ask("finish", None)
    assert ask(two, A, B) == (False, "nic-b/deny")


def test_a_data_plane_may_lag(two: Wire) -> None:
    two.site.ask("clock", {"mode": "manual"})
    two.site.ask("lag", {"id": two.path(NSG, "nic-b"), "seconds": 30})
    put(two, "nic-b", rule("deny", 100, access="Deny"))
    assert ask(two, A, B)[0]
    two.site.ask("clock", {"advance": 30})
    assert ask(two, A, B) == (False, "nic-b/deny")


def test_open_connections_go_on_unless_the_group_flushes(two: Wire) -> None:
    flow = {"src": A, "dst": B, "protocol": "tcp", "port": 443}
    assert two.site.ask("connect", flow)["allowed"]
    put(two, "nic-b", rule("deny", 100, access="Deny"))
    assert not two.site.ask("connect", flow)["allowed"]
    assert [(each["alive"], each["would_open"]) for each in two.site.ask("flows", None)] == [(True, False)]
    put(two, "nic-b", rule("deny", 100, access="Deny"), flushConnection=True)
    assert [each["alive"] for each in two.site.ask("flows", None)] == [False]
    put(two, "nic-b")
    assert [(each["alive"], each["would_open"]) for each in two.site.ask("flows", None)] == [(False, True)]


@pytest.mark.parametrize("given", [
    {"src": "10.300.0.1", "dst": B, "protocol": "tcp", "port": 1}, {"src": A, "dst": B, "protocol": "smoke"},
    {"src": A, "dst": B, "protocol": "tcp"},
])  # fmt: skip
def test_nonsense_is_no_packet(azure_site: Site, given: Any) -> None:
    with pytest.raises((ValueError, KeyError)):
        azure_site.ask("verdict", given)
