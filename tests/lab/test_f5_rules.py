"""Rules of a policy: their order, their places, the noise of the answers, and what a nested array does."""

from __future__ import annotations

from typing import Any

import pytest

from cloudsync.lab.f5.pytest_plugin import FIREWALL, Bigip, bigip, chain, f5_site, f5_site_server, rule
from cloudsync.lab.f5.site import Site

__all__ = ["f5_site", "f5_site_server"]

POLICY = f"{FIREWALL}/policy"
RULES = f"{POLICY}/p/rules"


@pytest.fixture
def device(f5_site: Site) -> Bigip:
    client = bigip(f5_site)
    client.ok("POST", f"{FIREWALL}/address-list", {"name": "a", "addresses": ["10.0.0.0/8"]})
    client.ok("POST", POLICY, {"name": "p"})
    return client


def order(device: Bigip) -> list[str]:
    return [each["name"] for each in device.ok("GET", RULES).get("items", [])]


def add(device: Bigip, name: str, **place: str) -> str:
    return device.code("POST", RULES, {"name": name, "action": "accept", **place})


def test_places(device: Bigip) -> None:
    assert add(device, "m", placeAfter="first") == "ok"
    assert add(device, "z", **{"place-after": "last"}) == "ok"
    assert add(device, "a", **{"place-before": "m"}) == "ok"
    assert add(device, "n", placeAfter="m") == "ok"
    assert add(device, "end", **{"place-before": "none"}) == "ok"
    assert add(device, "top", placeBefore="first") == "ok"
    assert order(device) == ["top", "a", "m", "n", "z", "end"]


@pytest.mark.parametrize(
    "place",
    [{}, {"placeAfter": "nobody"}, {"placeBefore": "nobody"}, {"placeAfter": "first", "placeBefore": "last"}, {"place_after": "first"}],
)
def test_a_rule_needs_one_place_that_exists(device: Bigip, place: dict[str, str]) -> None:
    assert add(device, "x", **place) != "ok"
    assert order(device) == []


@pytest.mark.parametrize("name", ["first", "last"])
def test_no_rule_is_called_like_a_place(device: Bigip, name: str) -> None:
    assert add(device, name, placeAfter="last") == "01071ad4"


def test_defaults_come_back_that_nobody_sent(device: Bigip) -> None:
    shown = device.ok("POST", RULES, {"name": "x", "action": "drop", "placeAfter": "last"})
    noise = {key: shown[key] for key in ("ipProtocol", "iruleSampleRate", "log", "status", "destination", "source")}
    assert noise == {
        "ipProtocol": "any",
        "iruleSampleRate": 1,
        "log": "no",
        "status": "enabled",
        "destination": {},
        "source": {"identity": {}},
    }
    assert (shown["name"], shown["fullPath"]) == ("x", "x")
    assert "partition" not in shown


def test_lists_have_references_beside_them_and_stay_plain_paths(device: Bigip) -> None:
    shown = device.ok("POST", RULES, {**rule("x", lists=["a"]), "placeAfter": "last"})
    assert shown["source"]["addressLists"] == ["/Common/a"]
    assert "~Common~a" in shown["source"]["addressListsReference"][0]["link"]


def test_a_patch_changes_what_it_names_and_an_empty_array_clears(device: Bigip) -> None:
    device.ok("POST", RULES, {**rule("x", protocol="tcp", source=["10.0.0.1"], lists=["/Common/a"], ports=["443"]), "placeAfter": "last"})
    changed = device.ok("PATCH", f"{RULES}/x", {"source": {"addresses": [{"name": "10.0.0.2"}]}})
    assert changed["source"]["addresses"] == [{"name": "10.0.0.2"}]
    assert changed["source"]["addressLists"] == ["/Common/a"]
    cleared = device.ok("PATCH", f"{RULES}/x", {"source": {"addresses": [], "addressLists": []}})
    assert cleared["source"] == {"identity": {}}
    put = device.ok("PUT", f"{RULES}/x", {"action": "reject", "ipProtocol": "udp"})
    assert (put["action"], put["destination"]) == ("reject", {})


def test_moving_and_removing(device: Bigip) -> None:
    device.ok("PATCH", f"{POLICY}/p", {"rules": chain(rule("a"), rule("b"), rule("c"))})
    device.ok("PATCH", f"{RULES}/a", {"placeAfter": "last"})
    assert order(device) == ["b", "c", "a"]
    device.ok("PATCH", f"{RULES}/c", {"place-before": "b"})
    device.ok("DELETE", f"{RULES}/b")
    assert order(device) == ["c", "a"]
    assert device.code("DELETE", f"{RULES}/b") == "01020036"
    assert device.code("GET", f"{RULES}/b") == "01020036"
    assert device.code("PATCH", f"{RULES}/b", {"log": "yes"}) == "01020036"


@pytest.mark.parametrize(
    "bad",
    [
        rule("x", "maybe"),
        rule("x", protocol="tcp", ports=["70000"]),
        rule("x", protocol="any", ports=["443"]),
        rule("x", protocol="icmp", ports=["443"]),
        rule("x", protocol="tcp", icmp=[{"name": "8"}]),
        rule("x", protocol="icmp", icmp=[{"name": "300"}]),
        rule("x", source=["10.300.0.0/8"]),
        rule("x", lists=["/Common/none"]),
        rule("x", status="perhaps"),
        rule("x", log="maybe"),
        rule("x", irule_sample="1"),
        {"name": "x"},
        {"name": "x", "ruleList": "/Common/none"},
        {"name": "x", "action": "accept", "destination": {"vlans": ["/Common/x"]}},
        {"name": "x", "action": "accept", "source": "10.0.0.1"},
    ],
)
def test_a_bad_rule_spoils_the_whole_array(device: Bigip, bad: dict[str, Any]) -> None:
    device.ok("PATCH", f"{POLICY}/p", {"rules": chain(rule("good"))})
    assert device.code("PATCH", f"{POLICY}/p", {"rules": chain(rule("one"), bad, rule("two"))}) != "ok"
    assert order(device) == ["good"]
    assert device.code("POST", POLICY, {"name": "q", "rules": chain(rule("one"), bad)}) != "ok"
    assert device.code("GET", f"{POLICY}/q") == "01020036"


def test_icmp_types_and_numbers_of_protocols(device: Bigip) -> None:
    shown = device.ok("POST", RULES, {**rule("x", protocol="1", icmp=[{"name": "8:0"}, {"name": "3"}]), "placeAfter": "last"})
    assert (shown["ipProtocol"], [each["name"] for each in shown["icmp"]]) == ("icmp", ["8:0", "3"])
    assert device.ok("POST", RULES, {**rule("y", protocol="253"), "placeAfter": "last"})["ipProtocol"] == "253"


@pytest.mark.parametrize(("way", "left"), [("replaces", ["b", "c"]), ("merges", ["b", "c", "a"])])
def test_a_nested_patch_replaces_or_merges(f5_site: Site, device: Bigip, way: str, left: list[str]) -> None:
    f5_site.ask("settings", {"nested_patch": way})
    device.ok("PATCH", f"{POLICY}/p", {"rules": chain(rule("a", "drop"), rule("b", "drop"))})
    device.ok("PATCH", f"{POLICY}/p", {"rules": chain(rule("b"), rule("c"))})
    assert order(device) == left
    assert device.ok("GET", f"{RULES}/b")["action"] == "accept"


def test_the_order_of_unplaced_rules_is_nobodys_promise(f5_site: Site, device: Bigip) -> None:
    assert device.code("PATCH", f"{POLICY}/p", {"rules": [rule("a"), rule("b")]}) == "400"
    f5_site.ask("settings", {"nested_placement": "optional"})
    device.ok("PATCH", f"{POLICY}/p", {"rules": [rule("a"), rule("b")]})
    assert order(device) == ["b", "a"]


def test_the_same_name_twice_in_an_array(device: Bigip) -> None:
    assert device.code("PATCH", f"{POLICY}/p", {"rules": chain(rule("a"), rule("a"))}) == "01020066"


def test_expanding_shows_the_rules_in_order(device: Bigip) -> None:
    device.ok("PATCH", f"{POLICY}/p", {"rules": chain(rule("a"), rule("b"))})
    plain = device.ok("GET", f"{POLICY}/p")["rulesReference"]
    assert (plain["isSubcollection"], "items" in plain) == (True, False)
    for found in (
        device.ok("GET", f"{POLICY}/p?expandSubcollections=true"),
        device.ok("GET", f"{POLICY}?expandSubcollections=true")["items"][0],
    ):
        assert [each["name"] for each in found["rulesReference"]["items"]] == ["a", "b"]


def test_answers_may_carry_more_than_anybody_knows(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("settings", {"unknown_fields": True, "rule_numbers": True})
    device.ok("PATCH", f"{POLICY}/p", {"rules": chain(rule("a"), rule("b"))})
    found = device.ok("GET", f"{POLICY}/p?expandSubcollections=true")
    assert "labUnknown" in found
    assert [each["ruleNumber"] for each in found["rulesReference"]["items"]] == [1, 2]
    # What was read can be sent back: what a device adds by itself is ignored.
    again = {key: value for key, value in found["rulesReference"]["items"][0].items() if not key.startswith("labUnknown")}
    device.ok("PATCH", f"{RULES}/a", again)


def test_rule_lists_and_management_rules_have_rules_too(f5_site: Site, device: Bigip) -> None:
    device.ok("POST", f"{FIREWALL}/rule-list", {"name": "l", "rules": chain(rule("a"))})
    device.ok("POST", RULES, {"name": "l", "ruleList": "l", "placeAfter": "last"})
    shown = device.ok("GET", f"{RULES}/l")
    assert shown["ruleList"] == "/Common/l"
    assert not {"source", "destination"} & shown.keys()
    admin = bigip(f5_site, user="admin")
    admin.ok("PATCH", f"{FIREWALL}/management-ip-rules", {"rules": chain(rule("office", protocol="tcp", ports=["443"]))})
    admin.ok("POST", f"{FIREWALL}/management-ip-rules/rules", {**rule("rest", "drop"), "placeAfter": "last"})
    found = admin.ok("GET", f"{FIREWALL}/management-ip-rules?expandSubcollections=true")
    assert [each["name"] for each in found["rulesReference"]["items"]] == ["office", "rest"]


def test_fifty_lists_on_each_side(device: Bigip) -> None:
    for number in range(50):
        device.ok("POST", f"{FIREWALL}/address-list", {"name": f"l{number}", "addresses": [f"10.{number}.0.0/16"]})
    lists = [f"/Common/l{number}" for number in range(50)]
    body = {
        "name": "x",
        "action": "accept",
        "source": {"addressLists": lists},
        "destination": {"addressLists": lists},
        "placeAfter": "last",
    }
    shown = device.ok("POST", RULES, body)
    assert shown["source"]["addressLists"] == shown["destination"]["addressLists"] == lists
