"""What becomes of packets: contexts in series, first match, lists, families, domains, listeners. The lab's own truth."""

from __future__ import annotations

from typing import Any

import pytest

from cloudsync.lab.f5.pytest_plugin import FIREWALL, Bigip, bigip, chain, f5_site, f5_site_server, rule
from cloudsync.lab.f5.site import Site

__all__ = ["f5_site", "f5_site_server"]

POLICY, VIRTUAL = f"{FIREWALL}/policy", "/mgmt/tm/ltm/virtual"


@pytest.fixture
def device(f5_site: Site) -> Bigip:
    f5_site.ask("settings", {"compile_delay_s": 0})
    client = bigip(f5_site, user="admin")
    client.ok("POST", "/mgmt/tm/ltm/pool", {"name": "p", "members": ["10.40.0.11:443", "10.40.0.12:443"]})
    client.ok("POST", VIRTUAL, {"name": "v", "destination": "192.0.2.1:443", "ipProtocol": "tcp", "pool": "p"})
    return client


def ask(f5_site: Site, src: str = "198.51.100.1", dst: str = "192.0.2.1", **more: Any) -> Any:
    return f5_site.ask("verdict", {"src": src, "dst": dst, "protocol": "tcp", "port": 443, **more})


def why(found: Any) -> tuple[str, str, str]:
    return found["verdict"], found["context"], found["rule"]


def policy(device: Bigip, name: str, *rules: Any) -> None:
    device.ok("POST", POLICY, {"name": name, "rules": chain(*rules)})


def attach(device: Bigip, policy_name: str, path: str = f"{VIRTUAL}/v", way: str = "fwEnforcedPolicy") -> None:
    device.ok("PATCH", path, {way: policy_name})


def test_without_policies_everything_passes_and_goes_to_the_members(f5_site: Site, device: Bigip) -> None:
    found = ask(f5_site)
    assert why(found) == ("allowed", "virtual", "default")
    assert found["members"] == ["10.40.0.11:443", "10.40.0.12:443"]
    assert found["listener"] == "/Common/v"


@pytest.mark.parametrize(("way", "verdict"), [("accept", "allowed"), ("drop", "denied"), ("reject", "denied")])
def test_what_no_rule_matches_ends_as_the_mode_says(f5_site: Site, device: Bigip, way: str, verdict: str) -> None:
    f5_site.ask("settings", {"default_action": way})
    assert (ask(f5_site)["verdict"], ask(f5_site)["action"]) == (verdict, way)


def test_the_first_match_wins(f5_site: Site, device: Bigip) -> None:
    policy(device, "a", rule("off", "drop", status="disabled"), rule("one", source=["198.51.100.0/24"]), rule("rest", "drop"))
    attach(device, "a")
    assert why(ask(f5_site)) == ("allowed", "virtual", "one")
    assert why(ask(f5_site, "192.0.2.99")) == ("denied", "virtual", "rest")


def test_contexts_are_in_series(f5_site: Site, device: Bigip) -> None:
    policy(device, "good", rule("yes"))
    policy(device, "bad", rule("no", "reject"))
    device.ok("PATCH", f"{FIREWALL}/global-rules", {"enforcedPolicy": "good"})
    attach(device, "good", "/mgmt/tm/net/route-domain/0")
    attach(device, "bad")
    found = ask(f5_site)
    assert why(found) == ("denied", "virtual", "no")
    assert [(each["context"], each["action"]) for each in found["path"]] == [
        ("global", "accept"),
        ("route-domain", "accept"),
        ("virtual", "reject"),
    ]
    attach(device, "bad", "/mgmt/tm/net/route-domain/0")
    assert why(ask(f5_site)) == ("denied", "route-domain", "no")
    device.ok("PATCH", f"{FIREWALL}/global-rules", {"enforcedPolicy": "bad"})
    assert why(ask(f5_site)) == ("denied", "global", "no")


def test_accept_decisively_ends_all_contexts(f5_site: Site, device: Bigip) -> None:
    policy(device, "now", rule("yes", "accept-decisively", source=["198.51.100.1"]))
    policy(device, "bad", rule("no", "drop"))
    device.ok("PATCH", f"{FIREWALL}/global-rules", {"enforcedPolicy": "now"})
    attach(device, "bad")
    assert why(ask(f5_site)) == ("allowed", "global", "yes")
    assert why(ask(f5_site, "198.51.100.2")) == ("denied", "virtual", "no")


def test_a_staged_policy_only_says_what_it_would_do(f5_site: Site, device: Bigip) -> None:
    policy(device, "bad", rule("no", "drop"))
    attach(device, "bad", way="fwStagedPolicy")
    found = ask(f5_site)
    assert found["verdict"] == "allowed"
    assert [(each["policy"], each["rule"], each["action"]) for each in found["staged"]] == [("/Common/bad", "no", "drop")]


def test_lists_in_lists_ports_in_lists_and_rules_in_lists(f5_site: Site, device: Bigip) -> None:
    device.ok("POST", f"{FIREWALL}/address-list", {"name": "in", "addresses": ["198.51.100.1-198.51.100.9"]})
    device.ok("POST", f"{FIREWALL}/address-list", {"name": "out", "addressLists": ["/Common/in"], "addresses": ["2001:db8::/32"]})
    device.ok("POST", f"{FIREWALL}/port-list", {"name": "inner", "ports": ["440-450"]})
    device.ok("POST", f"{FIREWALL}/port-list", {"name": "ports", "ports": ["1"], "portLists": ["/Common/inner"]})
    inner = {**rule("x", protocol="tcp", lists=["/Common/out"]), "destination": {"portLists": ["/Common/ports"]}}
    device.ok("POST", f"{FIREWALL}/rule-list", {"name": "rules", "rules": chain(inner)})
    policy(device, "a", {"name": "unfold", "ruleList": "/Common/rules"}, rule("rest", "drop"))
    attach(device, "a")
    assert why(ask(f5_site)) == ("allowed", "virtual", "unfold/x")
    assert why(ask(f5_site, "198.51.100.10")) == ("denied", "virtual", "rest")


def test_protocols_ports_and_icmp(f5_site: Site, device: Bigip) -> None:
    device.ok("POST", VIRTUAL, {"name": "all", "destination": "192.0.2.2:0"})
    policy(
        device,
        "a",
        rule("ping", protocol="icmp", icmp=[{"name": "8"}]),
        rule("unreachable", protocol="icmp", icmp=[{"name": "3:4"}]),
        rule("dns", protocol="udp", ports=["53"]),
        {**rule("low", "reject", protocol="tcp"), "source": {"ports": [{"name": "1-1023"}]}},
        rule("web", protocol="tcp", ports=["80-90", "443"]),
        rule("rest", "drop"),
    )
    attach(device, "a", f"{VIRTUAL}/all")

    def decided(**more: Any) -> str:
        return str(ask(f5_site, dst="192.0.2.2", **more)["rule"])

    assert decided(protocol="icmp", icmp_type=8, icmp_code=0) == "ping"
    assert decided(protocol="icmp", icmp_type=0) == "rest"
    assert decided(protocol="icmp", icmp_type=3, icmp_code=4) == "unreachable"
    assert decided(protocol="icmp", icmp_type=3, icmp_code=1) == "rest"
    assert decided(protocol="udp", port=53) == "dns"
    assert decided(protocol="udp", port=54) == "rest"
    assert decided(port=90) == "web"
    assert decided(port=91) == "rest"
    assert decided(src_port=80) == "low"
    assert decided(protocol="gre") == "rest"


def test_both_families_and_names_and_countries(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("settings", {"geo": {"US": ["203.0.113.0/24"]}, "fqdns": {"www.example.com": ["192.0.2.77"]}})
    device.ok("POST", VIRTUAL, {"name": "six", "destination": "2001:db8::1.443", "ipProtocol": "tcp"})
    rules = (
        {"name": "home", "action": "drop", "source": {"geo": [{"name": "US"}]}},
        {"name": "name", "action": "drop", "source": {"fqdns": [{"name": "www.example.com"}]}},
        rule("four", "reject", source=["0.0.0.0/0"]),
        rule("six", source=["2001:db8::/32"]),
        rule("rest", "drop"),
    )
    policy(device, "a", *rules)
    attach(device, "a")
    attach(device, "a", f"{VIRTUAL}/six")
    assert ask(f5_site)["rule"] == "four"
    assert ask(f5_site, "203.0.113.7")["rule"] == "home"
    f5_site.ask("settings", {"geo": {"US": ["198.51.100.0/24"]}})
    assert ask(f5_site, "203.0.113.7")["rule"] == "four"
    assert ask(f5_site, "192.0.2.77")["rule"] == "name"
    assert ask(f5_site, "2001:db8::9", "2001:db8::1")["rule"] == "six"
    assert ask(f5_site, "2001:db9::9", "2001:db8::1")["rule"] == "rest"


def test_route_domains_keep_equal_addresses_apart(f5_site: Site, device: Bigip) -> None:
    device.ok("POST", "/mgmt/tm/net/route-domain", {"name": "two", "id": 2})
    device.ok("POST", VIRTUAL, {"name": "far", "destination": "192.0.2.1%2:443", "ipProtocol": "tcp"})
    policy(device, "near", rule("a", "drop", source=["198.51.100.1"]))
    policy(device, "far", rule("b", "reject", source=["198.51.100.1%2"]))
    attach(device, "near")
    attach(device, "near", f"{VIRTUAL}/far")
    assert why(ask(f5_site)) == ("denied", "virtual", "a")
    assert why(ask(f5_site, "198.51.100.1%2", "192.0.2.1%2")) == ("allowed", "virtual", "default")
    attach(device, "far", "/mgmt/tm/net/route-domain/two")
    assert why(ask(f5_site, "198.51.100.1%2", "192.0.2.1%2")) == ("denied", "route-domain", "b")


def test_the_most_specific_listener_takes_the_packet(f5_site: Site, device: Bigip) -> None:
    device.ok("POST", VIRTUAL, {"name": "net", "destination": "192.0.2.0:0", "mask": "255.255.255.0"})
    device.ok("POST", VIRTUAL, {"name": "some", "destination": "192.0.2.1:443", "ipProtocol": "tcp", "source": "198.51.100.0/24"})
    assert ask(f5_site)["listener"] == "/Common/some"
    assert ask(f5_site, "203.0.113.1")["listener"] == "/Common/v"
    assert ask(f5_site, port=80)["listener"] == "/Common/net"
    device.ok("PATCH", f"{VIRTUAL}/v", {"disabled": True})
    assert ask(f5_site, "203.0.113.1")["listener"] == "/Common/net"
    device.ok("PATCH", f"{VIRTUAL}/net", {"reject": True})
    assert why(ask(f5_site, "203.0.113.1")) == ("denied", "listener", "reject virtual server")


def test_vlans_of_virtual_servers_and_rules(f5_site: Site, device: Bigip) -> None:
    for tag, name in ((10, "in"), (20, "out")):
        device.ok("POST", "/mgmt/tm/net/vlan", {"name": name, "tag": tag})
    assert ask(f5_site, vlan="/Common/in")["listener"] == "/Common/v"  # listening everywhere is the default
    device.ok("PATCH", f"{VIRTUAL}/v", {"vlans": ["/Common/out"], "vlansDisabled": True})
    assert ask(f5_site, vlan="/Common/in")["listener"] == "/Common/v"
    assert ask(f5_site, vlan="/Common/out")["listener"] == ""
    device.ok("PATCH", f"{VIRTUAL}/v", {"vlans": ["/Common/in"], "vlansEnabled": True})
    policy(device, "a", {"name": "x", "action": "drop", "source": {"vlans": ["/Common/in"]}})
    attach(device, "a")
    assert why(ask(f5_site, vlan="/Common/in")) == ("denied", "virtual", "x")
    assert why(ask(f5_site, vlan="/Common/out")) == ("denied", "listener", "no listener")


def test_self_addresses_have_a_policy_and_a_lock(f5_site: Site, device: Bigip) -> None:
    device.ok("POST", "/mgmt/tm/net/vlan", {"name": "x", "tag": 10})
    body = {"name": "s", "address": "10.60.0.1/24", "vlan": "x", "allowService": ["default", "tcp:8000"]}
    device.ok("POST", "/mgmt/tm/net/self", body)
    assert why(ask(f5_site, dst="10.60.0.1")) == ("allowed", "self", "default")
    assert why(ask(f5_site, dst="10.60.0.1", port=8000))[0] == "allowed"
    assert why(ask(f5_site, dst="10.60.0.1", port=8001)) == ("denied", "listener", "port lockdown")
    policy(device, "a", rule("no", "drop"))
    attach(device, "a", "/mgmt/tm/net/self/s")
    assert why(ask(f5_site, dst="10.60.0.1")) == ("denied", "self", "no")


def test_the_management_port_has_its_own_rules_only(f5_site: Site, device: Bigip) -> None:
    policy(device, "bad", rule("no", "drop"))
    device.ok("PATCH", f"{FIREWALL}/global-rules", {"enforcedPolicy": "bad"})
    assert why(ask(f5_site, dst="10.60.250.11")) == ("allowed", "management", "default")
    rules = chain(rule("office", protocol="tcp", source=["198.51.100.0/24"], ports=["443"]), rule("rest", "drop"))
    device.ok("PATCH", f"{FIREWALL}/management-ip-rules", {"rules": rules})
    assert why(ask(f5_site, dst="10.60.250.11")) == ("allowed", "management", "office")
    assert why(ask(f5_site, "203.0.113.1", "10.60.250.11")) == ("denied", "management", "rest")


def test_a_virtual_address_answers_pings(f5_site: Site, device: Bigip) -> None:
    ping: dict[str, Any] = {"protocol": "icmp", "icmp_type": 8}
    assert why(ask(f5_site, **ping)) == ("allowed", "route-domain", "default")
    assert ask(f5_site, protocol="icmp", icmp_type=13)["context"] == "listener"
    policy(device, "quiet", rule("no", "drop", protocol="icmp"))
    attach(device, "quiet", "/mgmt/tm/net/route-domain/0")
    assert why(ask(f5_site, **ping)) == ("denied", "route-domain", "no")
    attach(device, "none", "/mgmt/tm/net/route-domain/0")
    device.ok("PATCH", "/mgmt/tm/ltm/virtual-address/192.0.2.1", {"icmpEcho": "disabled"})
    assert why(ask(f5_site, **ping)) == ("denied", "listener", "no listener")


def test_the_default_is_a_variable_of_the_device(f5_site: Site, device: Bigip) -> None:
    path = "/mgmt/tm/sys/db/tm.fw.defaultaction"
    assert device.ok("GET", path)["value"] == "accept"
    assert device.code("PATCH", path, {"value": "maybe"}) == "400"
    assert device.ok("PATCH", path, {"value": "drop"})["value"] == "drop"
    assert why(ask(f5_site)) == ("denied", "virtual", "default")
    assert [each["value"] for each in device.ok("GET", "/mgmt/tm/sys/db")["items"]] == ["drop"]
    assert device.code("GET", "/mgmt/tm/sys/db/none.such") == "01020036"


def test_nobody_listens(f5_site: Site, device: Bigip) -> None:
    assert why(ask(f5_site, dst="192.0.2.200")) == ("denied", "listener", "no listener")
    assert why(ask(f5_site, port=80)) == ("denied", "listener", "no listener")


def test_where_connections_to_members_come_from(f5_site: Site, device: Bigip) -> None:
    device.ok("POST", "/mgmt/tm/net/vlan", {"name": "x", "tag": 10})
    for number, address in enumerate(("10.60.0.1/24", "10.60.1.1/24", "2001:db8:60::1/64")):
        device.ok("POST", "/mgmt/tm/net/self", {"name": f"s{number}", "address": address, "vlan": "x"})
    device.ok("POST", "/mgmt/tm/ltm/snatpool", {"name": "sp", "members": ["10.60.1.9", "10.60.1.8"]})
    assert ask(f5_site)["forwarded_from"] == []
    device.ok("PATCH", f"{VIRTUAL}/v", {"sourceAddressTranslation": {"type": "automap"}})
    assert ask(f5_site)["forwarded_from"] == ["10.60.0.1", "10.60.1.1"]
    device.ok("PATCH", f"{VIRTUAL}/v", {"sourceAddressTranslation": {"type": "snat", "pool": "sp"}})
    assert ask(f5_site)["forwarded_from"] == ["10.60.1.8", "10.60.1.9"]


def test_members_that_people_took_out_get_no_connections(f5_site: Site, device: Bigip) -> None:
    members = "/mgmt/tm/ltm/pool/p/members"
    for number, body in ((3, {"session": "user-disabled"}), (4, {"state": "user-down"}), (5, {"state": "down"})):
        device.ok("POST", members, {"name": f"10.40.0.1{number}:443"})
        device.ok("PATCH", f"{members}/~Common~10.40.0.1{number}:443", body)
    assert ask(f5_site)["members"] == ["10.40.0.11:443", "10.40.0.12:443", "10.40.0.15:443"]


@pytest.mark.parametrize("bad", [{"src": "x"}, {"protocol": "any"}, {"protocol": "maybe"}])
def test_a_packet_that_cannot_be(f5_site: Site, bad: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        f5_site.ask("verdict", {"src": "10.0.0.1", "dst": "10.0.0.2", **bad})


def test_many_packets_at_once(f5_site: Site, device: Bigip) -> None:
    packets = [{"src": "198.51.100.1", "dst": "192.0.2.1", "port": 443}, {"src": "198.51.100.1", "dst": "192.0.2.9", "port": 443}]
    assert [each["verdict"] for each in f5_site.ask("verdict", packets)] == ["allowed", "denied"]
