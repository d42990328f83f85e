"""Objects of a BIG-IP over the wire: made, read, changed, deleted, and refused without a trace."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from cloudsync.lab.f5.pytest_plugin import FIREWALL, Bigip, bigip, chain, f5_site, f5_site_server, rule
from cloudsync.lab.f5.site import Site

__all__ = ["f5_site", "f5_site_server"]

LISTS = f"{FIREWALL}/address-list"
VIRTUAL = "/mgmt/tm/ltm/virtual"


@pytest.fixture
def device(f5_site: Site) -> Bigip:
    return bigip(f5_site, user="admin")


def names(found: Any, key: str = "addresses") -> list[str]:
    return [each["name"] for each in found[key]]


def test_an_address_list_is_made_read_changed_and_deleted(device: Bigip) -> None:
    made = device.ok("POST", LISTS, {"name": "a", "description": "x", "addresses": [{"name": "10.0.0.1", "description": "one"}]})
    assert made["kind"] == "tm:security:firewall:address-list:address-liststate"
    assert (made["partition"], made["fullPath"]) == ("Common", "/Common/a")
    assert made["addresses"] == [{"name": "10.0.0.1", "description": "one"}]
    assert device.ok("GET", f"{LISTS}/a") == device.ok("GET", f"{LISTS}/~Common~a")
    changed = device.ok("PATCH", f"{LISTS}/~Common~a", {"addresses": ["10.0.0.2", {"name": "10.0.0.3"}]})
    assert names(changed) == ["10.0.0.2", "10.0.0.3"]  # the whole array is replaced
    assert changed["description"] == "x"
    assert changed["generation"] > made["generation"]
    assert device.send("DELETE", f"{LISTS}/~Common~a").body is None
    assert device.code("GET", f"{LISTS}/~Common~a") == "01020036"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("10.1.0.0/16", "10.1.0.0/16"),
        ("10.2.0.0/255.255.0.0", "10.2.0.0/16"),
        ("10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9"),
        ("10.0.0.0%1/24", "10.0.0.0%1/24"),
        ("10.0.0.0/24%1", "10.0.0.0%1/24"),
        ("10.0.0.1%0", "10.0.0.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("2001:db8::%1/32", "2001:db8::%1/32"),
        ("2001:db8::1-2001:db8::9", "2001:db8::1-2001:db8::9"),
    ],
)
def test_addresses_are_shown_in_one_way(device: Bigip, sent: str, shown: str) -> None:
    device.ok("POST", "/mgmt/tm/net/route-domain", {"name": "one", "id": 1})
    assert names(device.ok("POST", LISTS, {"name": "a", "addresses": [{"name": sent}]})) == [shown]


NONSENSE = [
    "10.0.0.0/42", "10.300.0.0/8", "10.0.0.1/8", "10.0.0.9-10.0.0.1", "10.0.0.1-2001:db8::1", "2001:db8::/129", "10.0.0.1%x",
    "10.0.0.1%99999", "web", "", "10.0.0",
]  # fmt: skip


@pytest.mark.parametrize("text", NONSENSE)
def test_an_address_that_is_none_is_refused_without_a_trace(f5_site: Site, device: Bigip, text: str) -> None:
    before = f5_site.ask("state", None)
    reply = device.send("POST", LISTS, {"name": "a", "addresses": [{"name": "10.9.9.9"}, {"name": text}]})
    assert reply.status == 400
    assert reply.body["apiError"] == 26214401
    assert reply.body["errorStack"] == []
    assert f5_site.ask("state", None) == before


@pytest.mark.parametrize(
    ("collection", "body", "code"),
    [
        (LISTS, {"name": "a"}, "01071a7f"),
        (LISTS, {"name": "a", "addresses": []}, "01071a7f"),
        (LISTS, {"addresses": ["10.0.0.1"]}, "400"),
        (LISTS, {"name": "a/b", "addresses": ["10.0.0.1"]}, "400"),
        (LISTS, {"name": "a", "colour": "red", "addresses": ["10.0.0.1"]}, "400"),
        (LISTS, {"name": "a", "partition": "nowhere", "addresses": ["10.0.0.1"]}, "01020036"),
        (LISTS, {"name": "a", "subPath": "nowhere", "addresses": ["10.0.0.1"]}, "01020036"),
        (LISTS, {"name": "a", "addressLists": ["/Common/none"]}, "01020036"),
        (LISTS, {"name": "a", "addresses": ["10.0.0.1%9"]}, "01020036"),
        (LISTS, [], "400"),
        (f"{FIREWALL}/port-list", {"name": "a", "ports": [{"name": "70000"}]}, "400"),
        (f"{FIREWALL}/port-list", {"name": "a", "ports": [{"name": "90-80"}]}, "400"),
        (f"{FIREWALL}/policy", {"name": "a", "rules": chain(rule("x", "maybe"))}, "400"),
        (f"{FIREWALL}/policy", {"name": "a", "rules": chain(rule("x", protocol="icmpv6"))}, "400"),
        (f"{FIREWALL}/policy", {"name": "a", "rules": chain(rule("x", lists=["/Common/none"]))}, "01020036"),
        (VIRTUAL, {"name": "v"}, "400"),
        (VIRTUAL, {"name": "v", "destination": "192.0.2.1"}, "400"),
        (VIRTUAL, {"name": "v", "destination": "192.0.2.1:70000"}, "400"),
        (VIRTUAL, {"name": "v", "destination": "192.0.2.1%9:80"}, "01020036"),
        (VIRTUAL, {"name": "v", "destination": "192.0.2.1:80", "pool": "none_such"}, "01020036"),
        (VIRTUAL, {"name": "v", "destination": "192.0.2.1:80", "fwEnforcedPolicy": "none_such"}, "01020036"),
        (VIRTUAL, {"name": "v", "destination": "192.0.2.1:80", "sourceAddressTranslation": {"type": "snat"}}, "01070318"),
        (VIRTUAL, {"name": "v", "destination": "192.0.2.1:80", "sourceAddressTranslation": {"type": "magic"}}, "400"),
        (VIRTUAL, {"name": "v", "destination": "192.0.2.1:80", "profiles": ["/Common/none_such"]}, "01020036"),
        ("/mgmt/tm/ltm/node", {"name": "n"}, "400"),
        ("/mgmt/tm/ltm/pool", {"name": "p", "members": ["10.300.0.1:80"]}, "400"),
        ("/mgmt/tm/ltm/snatpool", {"name": "p", "members": ["10.300.0.1"]}, "400"),
        ("/mgmt/tm/net/self", {"name": "s", "address": "10.0.0.1", "vlan": "x"}, "400"),
        ("/mgmt/tm/net/self", {"name": "s", "address": "10.0.0.1/24", "vlan": "none_such"}, "01020036"),
        ("/mgmt/tm/net/vlan", {"name": "v", "tag": 5000}, "400"),
        ("/mgmt/tm/net/route-domain", {"name": "r", "id": 70000}, "400"),
        ("/mgmt/tm/net/route-domain", {"name": "r", "id": 0}, "01070587"),
        ("/mgmt/tm/sys/provision", {"name": "new"}, "405"),
    ],
)
def test_nonsense_is_refused_without_a_trace(f5_site: Site, device: Bigip, collection: str, body: Any, code: str) -> None:
    before = f5_site.ask("state", None)
    assert device.code("POST", collection, body) == code
    assert f5_site.ask("state", None) == before


def test_broken_json_and_unknown_paths(device: Bigip) -> None:
    assert device.code("POST", LISTS, b"{") == "400"
    unknown = device.send("GET", "/mgmt/tm/security/nothing")
    assert (unknown.status, unknown.body["kind"]) == (404, ":resterrorresponse")
    assert device.send("GET", "/elsewhere").status == 404


def test_the_same_name_twice(device: Bigip) -> None:
    device.ok("POST", LISTS, {"name": "a", "addresses": ["10.0.0.1"]})
    twice = device.send("POST", LISTS, {"name": "a", "addresses": ["10.0.0.1"]})
    assert (twice.status, twice.body["message"]) == (
        409,
        "01020066:3: The requested IP address list (/Common/a) already exists in partition Common.",
    )


def test_net_and_security_lists_share_their_names(device: Bigip) -> None:
    device.ok("POST", "/mgmt/tm/net/address-list", {"name": "a", "addresses": ["10.0.0.1"]})
    assert device.code("POST", LISTS, {"name": "a", "addresses": ["10.0.0.1"]}) == "01020066"


def test_lists_in_lists_but_not_in_themselves(device: Bigip) -> None:
    device.ok("POST", LISTS, {"name": "a", "addresses": ["10.0.0.1"]})
    outer = device.ok("POST", LISTS, {"name": "b", "addressLists": ["/Common/a"], "geo": ["US:California"], "fqdns": ["www.example.com"]})
    assert [{key: each[key] for key in ("name", "partition")} for each in outer["addressLists"]] == [{"name": "a", "partition": "Common"}]
    assert names(outer, "geo") == ["US:California"]
    assert device.code("PATCH", f"{LISTS}/a", {"addressLists": ["/Common/b"]}) == "400"


def test_folders_and_partitions(device: Bigip) -> None:
    device.ok("POST", "/mgmt/tm/sys/folder", {"name": "cloudsync", "partition": "Common"})
    made = device.ok("POST", LISTS, {"name": "a", "subPath": "cloudsync", "addresses": ["10.0.0.1"]})
    assert (made["fullPath"], made["subPath"]) == ("/Common/cloudsync/a", "cloudsync")
    assert device.ok("GET", f"{LISTS}/~Common~cloudsync~a")["name"] == "a"
    device.ok("POST", "/mgmt/tm/auth/partition", {"name": "apart"})
    device.ok("POST", LISTS, {"name": "own", "partition": "apart", "addresses": ["10.0.0.1"], "addressLists": ["/Common/cloudsync/a"]})
    assert device.code("POST", LISTS, {"name": "wrong", "addressLists": ["/apart/own"]}) == "01070726"
    assert [each["name"] for each in device.ok("GET", f"{LISTS}?$filter=partition eq apart")["items"]] == ["own"]
    assert device.code("DELETE", "/mgmt/tm/auth/partition/apart") == "01070829"
    assert device.ok("PATCH", "/mgmt/tm/sys/folder/~apart", {"description": "x"})["fullPath"] == "/apart"
    device.ok("DELETE", f"{LISTS}/~apart~own")
    device.ok("DELETE", "/mgmt/tm/auth/partition/apart")
    assert device.code("GET", "/mgmt/tm/sys/folder/~apart") == "01020036"


def test_another_partition_may_be_allowed(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("settings", {"cross_partition": "allow"})
    device.ok("POST", "/mgmt/tm/auth/partition", {"name": "apart"})
    device.ok("POST", LISTS, {"name": "own", "partition": "apart", "addresses": ["10.0.0.1"]})
    device.ok("POST", LISTS, {"name": "right", "addressLists": ["/apart/own"]})


def test_nothing_goes_while_somebody_needs_it(device: Bigip) -> None:
    device.ok("POST", LISTS, {"name": "a", "addresses": ["10.0.0.1"]})
    device.ok("POST", f"{FIREWALL}/port-list", {"name": "p", "ports": ["443"]})
    device.ok("POST", f"{FIREWALL}/rule-list", {"name": "l", "rules": chain(rule("x", lists=["/Common/a"]))})
    body = {"ipProtocol": "tcp", "destination": {"portLists": ["/Common/p"]}}
    policy = {"name": "pol", "rules": chain({"name": "l", "ruleList": "/Common/l"}, {"name": "y", "action": "drop", **body})}
    device.ok("POST", f"{FIREWALL}/policy", policy)
    device.ok("POST", VIRTUAL, {"name": "v", "destination": "192.0.2.1:80", "fwStagedPolicy": "pol"})
    for path in (f"{LISTS}/a", f"{FIREWALL}/port-list/p", f"{FIREWALL}/rule-list/l", f"{FIREWALL}/policy/pol"):
        assert device.code("DELETE", path) == "01070830"
    device.ok("PATCH", f"{VIRTUAL}/v", {"fwStagedPolicy": "none"})
    for path in (f"{FIREWALL}/policy/pol", f"{FIREWALL}/rule-list/l", f"{LISTS}/a", f"{FIREWALL}/port-list/p"):
        device.ok("DELETE", path)


def test_a_virtual_server_is_filled_in(device: Bigip) -> None:
    device.ok("POST", "/mgmt/tm/ltm/pool", {"name": "p", "members": [{"name": "10.40.0.1:8080"}, "/Common/10.40.0.2:8080"]})
    device.ok("POST", "/mgmt/tm/ltm/snatpool", {"name": "s", "members": ["10.60.1.9"]})
    made = device.ok(
        "POST",
        VIRTUAL,
        {
            "name": "v",
            "destination": "192.0.2.1:https",
            "ipProtocol": "tcp",
            "pool": "p",
            "sourceAddressTranslation": {"type": "snat", "pool": "s"},
            "metadata": [{"name": "role", "value": "lb"}],
        },
    )
    assert made["destination"] == "/Common/192.0.2.1:443"
    assert (made["mask"], made["source"], made["enabled"]) == ("255.255.255.255", "0.0.0.0/0", True)
    assert made["pool"] == "/Common/p"
    assert made["sourceAddressTranslation"]["pool"] == "/Common/s"
    assert made["metadata"] == [{"name": "role", "persist": "true", "value": "lb"}]
    assert made["vlansDisabled"] is True
    assert device.ok("GET", "/mgmt/tm/ltm/virtual-address/192.0.2.1")["address"] == "192.0.2.1"
    assert device.ok("GET", "/mgmt/tm/ltm/node/10.40.0.2")["address"] == "10.40.0.2"
    members = device.ok("GET", "/mgmt/tm/ltm/pool/p/members")["items"]
    assert [each["fullPath"] for each in members] == ["/Common/10.40.0.1:8080", "/Common/10.40.0.2:8080"]
    assert device.code("DELETE", "/mgmt/tm/ltm/pool/p") == "01070830"
    assert device.code("DELETE", "/mgmt/tm/ltm/node/10.40.0.2") == "01070110"
    device.ok("DELETE", f"{VIRTUAL}/v")
    assert device.code("GET", "/mgmt/tm/ltm/virtual-address/192.0.2.1") == "01020036"


def test_ipv6_and_route_domains_in_destinations(device: Bigip) -> None:
    device.ok("POST", "/mgmt/tm/net/route-domain", {"name": "two", "id": 2})
    six = device.ok("POST", VIRTUAL, {"name": "six", "destination": "/Common/2001:DB8::1.443"})
    assert (six["destination"], six["source"]) == ("/Common/2001:db8::1.443", "::/0")
    far = device.ok("POST", VIRTUAL, {"name": "far", "destination": "192.0.2.1%2:80"})
    assert far["destination"] == "/Common/192.0.2.1%2:80"
    assert device.code("DELETE", "/mgmt/tm/net/route-domain/0") == "01070975"


def test_two_virtual_servers_cannot_listen_on_the_same(device: Bigip) -> None:
    device.ok("POST", VIRTUAL, {"name": "v", "destination": "192.0.2.1:80"})
    assert device.code("POST", VIRTUAL, {"name": "w", "destination": "192.0.2.1:80"}) == "01070333"


def test_a_put_that_does_not_say_disabled_enables(device: Bigip) -> None:
    made = device.ok("POST", VIRTUAL, {"name": "v", "destination": "192.0.2.1:80", "disabled": True, "description": "x"})
    assert made["disabled"] is True
    assert "enabled" not in made
    assert device.ok("PATCH", f"{VIRTUAL}/v", {"description": "y"})["disabled"] is True
    assert device.ok("PATCH", f"{VIRTUAL}/v", {"disabled": False})["enabled"] is True
    assert "enabled" not in device.ok("PATCH", f"{VIRTUAL}/v", {"disabled": True})
    put = device.ok("PUT", f"{VIRTUAL}/v", {"destination": "192.0.2.1:80"})
    assert put["enabled"] is True
    assert "description" not in put


def test_policies_hang_on_virtual_self_route_domain_and_global(device: Bigip) -> None:
    device.ok("POST", f"{FIREWALL}/policy", {"name": "p"})
    device.ok("POST", "/mgmt/tm/net/vlan", {"name": "x", "tag": 10})
    device.ok("POST", "/mgmt/tm/net/self", {"name": "s", "address": "10.60.0.1/24", "vlan": "x"})
    device.ok("POST", VIRTUAL, {"name": "v", "destination": "192.0.2.1:80"})
    both = {"fwEnforcedPolicy": "/Common/p", "fwStagedPolicy": "p"}
    for path in (f"{VIRTUAL}/v", "/mgmt/tm/net/self/s", "/mgmt/tm/net/route-domain/0"):
        shown = device.ok("PATCH", path, both)
        assert (shown["fwEnforcedPolicy"], shown["fwStagedPolicy"]) == ("/Common/p", "/Common/p")
        assert "fwEnforcedPolicyReference" in shown
        gone = device.ok("PATCH", path, {"fwEnforcedPolicy": "none", "fwStagedPolicy": ""})
        assert not {"fwEnforcedPolicy", "fwStagedPolicy"} & gone.keys()
    assert device.ok("PATCH", f"{FIREWALL}/global-rules", {"enforcedPolicy": "p"})["enforcedPolicy"] == "/Common/p"
    assert device.code("DELETE", f"{FIREWALL}/policy/p") == "01070830"
    assert "enforcedPolicy" not in device.ok("PATCH", f"{FIREWALL}/global-rules", {"enforcedPolicy": "none"})


def test_pages_follow_each_other_to_the_end(device: Bigip) -> None:
    for number in range(7):
        device.ok("POST", LISTS, {"name": f"a{number}", "addresses": ["10.0.0.1"]})
    seen, path = [], f"{LISTS}?$top=3&$select=name"
    while path:
        page = device.ok("GET", path)
        seen += [each["name"] for each in page["items"]]
        assert all(set(each) == {"name"} for each in page["items"])
        assert (page["totalItems"], page["totalPages"]) == (7, 3)
        path = page.get("nextLink", "").removeprefix("https://localhost")
    assert seen == [f"a{number}" for number in range(7)]
    assert device.code("GET", f"{LISTS}?$top=x") == "400"
    assert device.code("GET", f"{LISTS}?$filter=name eq a1") == "400"


PAGED = ("ltm/profile/fastl4", "ltm/profile/tcp", "ltm/rule", "ltm/virtual", "auth/user", "cm/device", "net/route-domain", "sys/provision")


@pytest.mark.parametrize("collection", PAGED)
def test_every_collection_ends(device: Bigip, collection: str) -> None:
    whole = device.ok("GET", f"/mgmt/tm/{collection}")["items"]
    assert device.ok("GET", f"/mgmt/tm/{collection}?$top=1&$skip=0").get("items", []) == whole[:1]
    assert device.ok("GET", f"/mgmt/tm/{collection}?$top=10&$skip=1000").get("items", []) == []


@pytest.mark.parametrize("path", ["ltm/profile/none_such", "ltm/virtual/none_such/stats", "cm/device/none_such", "auth/user/none_such"])
def test_what_is_not_there_is_not_found(device: Bigip, path: str) -> None:
    assert device.code("GET", f"/mgmt/tm/{path}") == "01020036"


@pytest.mark.parametrize("query", ["$top=-1", "$top=\u00b2", "$skip=x", "$filter=", "$select=,", "$top=1&$skip=\u00b2"])
def test_odd_queries_are_answered(device: Bigip, query: str) -> None:
    assert device.send("GET", f"{LISTS}?{quote(query, safe='$=&')}").status in (200, 400)


@pytest.mark.parametrize("way", ["list", "missing"])
def test_an_empty_collection(f5_site: Site, device: Bigip, way: str) -> None:
    f5_site.ask("settings", {"empty_items": way})
    found = device.ok("GET", LISTS)
    assert found.get("items", "missing") == ([] if way == "list" else "missing")


def test_addresses_come_back_sorted_whatever_was_sent(f5_site: Site, device: Bigip) -> None:
    sent = ["10.9.0.1", "10.10.0.1", "10.1.0.1/32"]
    assert names(device.ok("POST", LISTS, {"name": "a", "addresses": sent})) == ["10.1.0.1/32", "10.10.0.1", "10.9.0.1"]
    f5_site.ask("settings", {"sorted_addresses": False, "drop_full_length": True})
    assert names(device.ok("GET", f"{LISTS}/a")) == ["10.9.0.1", "10.10.0.1", "10.1.0.1"]


@pytest.mark.parametrize(("way", "shown"), [("clear", "10.0.0.0/8"), ("keep", "10.0.0.1/8")])
def test_host_bits_may_be_cleared_or_kept(f5_site: Site, device: Bigip, way: str, shown: str) -> None:
    f5_site.ask("settings", {"host_bits": way})
    assert names(device.ok("POST", LISTS, {"name": "a", "addresses": ["10.0.0.1/8"]})) == [shown]


def test_a_device_without_afm_has_no_firewall(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("provision", {"module": "afm", "level": "none"})
    assert {each["name"]: each["level"] for each in device.ok("GET", "/mgmt/tm/sys/provision")["items"]}["afm"] == "none"
    assert device.code("GET", LISTS) == "01071a8f"
    assert device.code("POST", f"{FIREWALL}/policy", {"name": "p"}) == "01071a8f"


def test_members_and_nodes_one_by_one(device: Bigip) -> None:
    device.ok("POST", "/mgmt/tm/ltm/pool", {"name": "p"})
    made = device.ok("POST", "/mgmt/tm/ltm/pool/p/members", {"name": "10.40.0.9:80"})
    assert made["address"] == "10.40.0.9"
    one = "/mgmt/tm/ltm/pool/p/members/~Common~10.40.0.9:80"
    assert device.ok("PATCH", one, {"session": "user-disabled"})["session"] == "user-disabled"
    assert device.code("POST", "/mgmt/tm/ltm/pool/p/members", {"name": "10.40.0.9:80"}) == "01020066"
    device.ok("DELETE", one)
    assert device.ok("GET", "/mgmt/tm/ltm/pool/p?expandSubcollections=true")["membersReference"]["items"] == []
    device.ok("DELETE", "/mgmt/tm/ltm/node/10.40.0.9")


def test_an_address_that_somebody_made_stays(device: Bigip) -> None:
    device.ok("POST", "/mgmt/tm/ltm/virtual-address", {"name": "192.0.2.1", "autoDelete": "false", "icmpEcho": "disabled"})
    device.ok("POST", VIRTUAL, {"name": "v", "destination": "192.0.2.1:80"})
    assert device.code("DELETE", "/mgmt/tm/ltm/virtual-address/192.0.2.1") != "ok"
    device.ok("DELETE", f"{VIRTUAL}/v")
    assert device.ok("GET", "/mgmt/tm/ltm/virtual-address/192.0.2.1")["icmpEcho"] == "disabled"


def test_a_read_may_be_too_large(f5_site: Site, device: Bigip) -> None:
    for number in range(5):
        device.ok("POST", f"{FIREWALL}/policy", {"name": f"p{number}"})
    f5_site.ask("settings", {"largest_expanded_read": 3})
    whole = device.send("GET", f"{FIREWALL}/policy?expandSubcollections=true")
    assert (whole.status, whole.body["message"]) == (500, "AsyncContext timeout")
    assert len(device.ok("GET", f"{FIREWALL}/policy?expandSubcollections=true&$top=3")["items"]) == 3
    assert len(device.ok("GET", f"{FIREWALL}/policy")["items"]) == 5


def test_a_body_may_be_too_large(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("settings", {"largest_body": 1000})
    assert device.send("POST", f"{FIREWALL}/policy", {"name": "p", "description": "x" * 1000}).status == 500
    assert device.ok("GET", f"{FIREWALL}/policy")["items"] == []


def test_readers_and_writers_at_once(f5_site: Site, device: Bigip) -> None:
    def work(number: int) -> None:
        device.ok("POST", LISTS, {"name": f"a{number}", "addresses": ["10.0.0.1"]})
        assert f"a{number}" in [each["name"] for each in device.ok("GET", LISTS)["items"]]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(40))) == [None] * 40
    generations = [each["generation"] for each in device.ok("GET", LISTS)["items"]]
    assert len(set(generations)) == 40


def test_a_thousand_rules_are_read_in_no_time(f5_site: Site, device: Bigip) -> None:
    device.ok("POST", LISTS, {"name": "a", "addresses": [f"10.0.{number}.0/24" for number in range(50)]})
    rules = chain(*(rule(f"r{number}", protocol="tcp", lists=["/Common/a"], ports=["443"]) for number in range(1000)))
    device.ok("POST", f"{FIREWALL}/policy", {"name": "p", "rules": rules})
    found = device.ok("GET", f"{FIREWALL}/policy?expandSubcollections=true")["items"][0]["rulesReference"]["items"]
    assert [each["name"] for each in found] == [f"r{number}" for number in range(1000)]
    assert f5_site.ask("calls", None)["GET security/firewall/policy"] == 1
