"""Network firewall policies, and what is effective in a network with the policies of organisation and vendor."""

from __future__ import annotations

from typing import Any

import pytest

from cloudsync.lab.gcp.pytest_plugin import Wire
from cloudsync.lab.gcp.site import Site

ALL = "global/firewallPolicies"
ONE = f"{ALL}/p"
MATCH = {"srcIpRanges": ["10.0.0.0/8"], "layer4Configs": [{"ipProtocol": "tcp", "ports": ["80"]}]}


def entry(priority: int, **more: Any) -> dict[str, Any]:
    return {"priority": priority, "direction": "INGRESS", "action": "allow", "match": MATCH, **more}


@pytest.fixture
def made(gcp: Wire) -> Wire:
    gcp.done("POST", ALL, {"name": "p", "description": "first", "rules": [entry(5)]})
    return gcp


def numbers(gcp: Wire, path: str = ONE) -> list[int]:
    return [one["priority"] for one in gcp.get(path)["rules"]]


def test_a_new_policy_has_the_four_predefined_rules_and_no_others(made: Wire) -> None:
    found = made.get(ONE)
    assert numbers(made) == [2147483644, 2147483645, 2147483646, 2147483647]
    assert {one["action"] for one in found["rules"]} == {"goto_next"}
    assert [(one["direction"], *one["match"].get("srcIpRanges", one["match"].get("destIpRanges"))) for one in found["rules"]] == [
        ("EGRESS", "::/0"),
        ("INGRESS", "::/0"),
        ("EGRESS", "0.0.0.0/0"),
        ("INGRESS", "0.0.0.0/0"),
    ]
    assert made.refusal("POST", ALL, {"name": "p"})[:2] == (409, "alreadyExists")
    assert made.refusal("POST", ALL, {"name": "No"})[:2] == (400, "invalid")
    assert made.get(f"{ALL}/{found['id']}") == found


def test_rules_by_priority(made: Wire) -> None:
    made.done("POST", f"{ONE}/addRule", entry(9))
    assert made.get(f"{ONE}/getRule", priority="9")["ruleTupleCount"] == 2
    assert made.refusal("POST", f"{ONE}/addRule", entry(9))[0] == 400
    made.done("POST", f"{ONE}/patchRule", {"action": "deny", "match": {"srcIpRanges": ["10.1.0.0/16"]}}, priority="9")
    found = made.get(f"{ONE}/getRule", priority="9")
    assert (found["action"], found["match"]) == ("deny", {**MATCH, "srcIpRanges": ["10.1.0.0/16"]})
    made.done("POST", f"{ONE}/addRule", entry(0), minPriority="9", maxPriority="20")
    assert numbers(made)[:2] == [9, 10]
    made.done("POST", f"{ONE}/removeRule", priority="9")
    assert numbers(made)[0] == 10


def test_a_rule_that_is_not_there_is_a_bad_request_without_a_list_as_recorded(made: Wire) -> None:
    status, body = made.send("GET", f"{ONE}/getRule", priority="9000")
    assert status == 400
    text = "Invalid value for field 'priority': '9000'. The firewall policy does not contain a rule at priority 9000."
    assert body == {"error": {"code": 400, "message": text}}


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("action maybe", entry(5, action="maybe")),
    ("no action", {"priority": 5, "direction": "INGRESS", "match": MATCH}),
    ("direction", entry(5, direction="UP")),
    ("priority", entry(-1)),
    ("no priority", {"direction": "INGRESS", "action": "allow", "match": MATCH}),
    ("reserved", entry(2147483645)),
    ("no protocols", entry(5, match={"srcIpRanges": ["10.0.0.0/8"]})),
    ("no source", entry(5, match={"layer4Configs": [{"ipProtocol": "tcp"}]})),
    ("no destination", entry(5, direction="EGRESS")),
    ("block", entry(5, match={**MATCH, "srcIpRanges": ["10.0.0.0/42"]})),
    ("protocol", entry(5, match={**MATCH, "layer4Configs": [{"ipProtocol": "300"}]})),
    ("no protocol", entry(5, match={**MATCH, "layer4Configs": [{"ports": ["80"]}]})),
    ("ports", entry(5, match={**MATCH, "layer4Configs": [{"ipProtocol": "tcp", "ports": ["70000"]}]})),
    ("ports of icmp", entry(5, match={**MATCH, "layer4Configs": [{"ipProtocol": "icmp", "ports": ["8"]}]})),
    ("unknown", entry(5, colour="red")),
    ("tags", entry(5, targetTags=["web"])),
]


@pytest.mark.parametrize("case", WRONG, ids=[each[0] for each in WRONG])
def test_nonsense_leaves_no_trace(made: Wire, case: tuple[str, dict[str, Any]]) -> None:
    before = made.get(ONE)
    assert made.refusal("POST", f"{ONE}/addRule", case[1])[0] == 400
    rules = [entry(1), case[1], *before["rules"]]
    if case[0] != "reserved":
        assert made.refusal("PATCH", ONE, {"rules": rules, "fingerprint": before["fingerprint"]})[0] == 400
    assert made.get(ONE) == before


def test_all_rules_at_once_under_the_fingerprint(made: Wire) -> None:
    before = made.get(ONE)
    rules = [entry(1), entry(2, action="deny"), *before["rules"]]
    for wrong in ({}, {"fingerprint": "AAAAAAAAAAA="}):
        assert made.refusal("PATCH", ONE, {"rules": rules, **wrong})[:2] == (412, "conditionNotMet")
    assert made.refusal("PATCH", ONE, {"rules": [*rules, entry(1)], "fingerprint": before["fingerprint"]})[0] == 400
    assert made.refusal("PATCH", ONE, {"rules": rules[:-1], "fingerprint": before["fingerprint"]})[0] == 400
    made.done("PATCH", ONE, {"rules": rules, "fingerprint": before["fingerprint"]})
    assert numbers(made)[:2] == [1, 2]
    assert made.get(ONE)["fingerprint"] != before["fingerprint"]
    assert made.refusal("PATCH", ONE, {"rules": rules, "fingerprint": before["fingerprint"]})[0] == 412


def test_changes_of_one_policy_do_not_overlap(gcp_site: Site, made: Wire) -> None:
    gcp_site.ask("clock", {"mode": "manual"})
    gcp_site.ask("settings", {"operation_latency_s": 5.0})
    assert made.send("POST", f"{ONE}/addRule", entry(1))[0] == 200
    assert made.refusal("POST", f"{ONE}/addRule", entry(2))[:2] == (400, "resourceNotReady")
    gcp_site.ask("clock", {"advance": 5})
    assert made.send("POST", f"{ONE}/addRule", entry(2))[0] == 200


def test_one_policy_per_network(made: Wire) -> None:
    made.done("POST", ALL, {"name": "q"})
    target = {"attachmentTarget": "global/networks/default"}
    made.done("POST", f"{ONE}/addAssociation", {"name": "a", **target})
    assert made.get("global/networks/default")["firewallPolicy"].endswith("/firewallPolicies/p")
    assert made.refusal("POST", f"{ALL}/q/addAssociation", {"name": "b", **target})[0] == 400
    made.done("POST", f"{ALL}/q/addAssociation", {"name": "b", **target}, replaceExistingAssociation="true")
    assert made.get(ONE)["associations"] == []
    assert made.get(f"{ALL}/q/getAssociation", name="b")["attachmentTarget"].endswith("/networks/default")
    assert made.refusal("GET", f"{ONE}/getAssociation", name="a")[0] == 400
    assert made.refusal("POST", f"{ONE}/addAssociation", {"name": "c", "attachmentTarget": "global/networks/x"})[0] == 404
    status, operation = made.send("DELETE", f"{ALL}/q")
    assert (status, operation["error"]["code"]) == (400, 400)
    made.done("POST", f"{ALL}/q/removeAssociation", name="b")
    assert "firewallPolicy" not in made.get("global/networks/default")
    made.done("DELETE", f"{ALL}/q")


def test_rules_are_copied(made: Wire) -> None:
    made.done("POST", ALL, {"name": "q"})
    made.done("POST", f"{ONE}/addRule", entry(7))
    made.done("POST", f"{ALL}/q/cloneRules", sourceFirewallPolicy="global/firewallPolicies/p")
    assert numbers(made, f"{ALL}/q") == numbers(made)
    assert made.refusal("POST", f"{ALL}/q/cloneRules", sourceFirewallPolicy="global/firewallPolicies/x")[0] == 404
    assert made.refusal("POST", f"{ALL}/q/cloneRules")[0] == 400


def test_what_is_effective_in_a_network(gcp_site: Site, made: Wire) -> None:
    tcp = {"allowed": [{"IPProtocol": "tcp"}]}
    made.done("POST", "global/networks", {"name": "other"})
    made.done("POST", "global/firewalls", {"name": "a", **tcp, "disabled": True})
    made.done("POST", "global/firewalls", {"name": "b", **tcp, "network": "global/networks/other"})
    made.done("POST", f"{ONE}/addAssociation", {"name": "x", "attachmentTarget": "global/networks/default"})
    gcp_site.ask(
        "policies", {"hierarchy": [{"name": "77", "shortName": "org", "rules": [entry(1)]}], "system": [{"name": "gke", "rules": []}]}
    )
    found = made.get("global/networks/default/getEffectiveFirewalls")
    assert set(found) == {"firewalls", "firewallPolicys"}
    assert [one["name"] for one in found["firewalls"]] == ["a"]
    assert [(one["type"], one["name"]) for one in found["firewallPolicys"]] == [("HIERARCHY", "77"), ("SYSTEM", "gke"), ("NETWORK", "p")]
    other = made.get("global/networks/other/getEffectiveFirewalls")
    assert [one["type"] for one in other["firewallPolicys"]] == ["HIERARCHY", "SYSTEM"]


def test_what_is_effective_for_a_machine(gcp_site: Site, gcp: Wire) -> None:
    gcp_site.reset("four", 1)
    path = "zones/europe-west1-b/instances/ordering-db-1/getEffectiveFirewalls"
    names = [one["name"] for one in gcp.get(path, networkInterface="nic0")["firewalls"]]
    assert "prod-db-from-app" in names
    assert "prod-db-reporting" in names, "disabled rules are listed"
    assert "prod-web-open" not in names, "it targets others"
    assert "dev-anything" not in names
    assert gcp.refusal("GET", path, networkInterface="nic1")[0] == 400
    assert gcp.refusal("GET", path)[0] == 400
    network = "https://www.googleapis.com/compute/v1/projects/acme-net/global/networks/prod"
    gcp_site.ask("policies", {"regional": {"europe-west1": [{"name": "r", "network": network, "rules": []}]}, "system": [{"name": "s"}]})
    kinds = [one["type"] for one in gcp.get(path, networkInterface="nic0")["firewallPolicys"]]
    assert kinds == ["SYSTEM_GLOBAL", "NETWORK_REGIONAL"]


def test_a_network_without_anything_still_has_one_of_the_keys(gcp: Wire) -> None:
    assert gcp.get("global/networks/default/getEffectiveFirewalls") == {"firewalls": []}
