"""What the lab says happens to packets: the vendor's order of evaluation, on cases worked out by hand and on a recorded network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cloudsync.lab.gcp.pytest_plugin import Wire
from cloudsync.lab.gcp.site import Site

SUBNETS = "regions/europe-west1/subnetworks"
ACCOUNT = "web@acme-net.iam.gserviceaccount.com"


@pytest.fixture
def pair(gcp: Wire) -> Wire:
    """Two machines in one network, one in another; web has a second address and an external one."""
    for name, number in (("n", 80), ("o", 90)):
        gcp.done("POST", "global/networks", {"name": name, "autoCreateSubnetworks": False})
        pods = [{"rangeName": "pods", "ipCidrRange": f"10.{number + 1}.0.0/16"}]
        subnet = {"name": name, "network": f"global/networks/{name}", "ipCidrRange": f"10.{number}.0.0/24", "secondaryIpRanges": pods}
        gcp.done("POST", SUBNETS, {**subnet, "stackType": "IPV4_IPV6", "ipv6AccessType": "EXTERNAL"})
    nic = {
        "networkIP": "10.80.0.10",
        "stackType": "IPV4_IPV6",
        "aliasIpRanges": [{"ipCidrRange": "10.81.0.0/28", "subnetworkRangeName": "pods"}],
        "accessConfigs": [{"natIP": "203.0.113.200"}],
    }
    launch(gcp, "web", "n", nic, tags={"items": ["web"]}, serviceAccounts=[{"email": ACCOUNT}])
    launch(gcp, "db", "n", {"networkIP": "10.80.0.20", "stackType": "IPV4_IPV6"}, tags={"items": ["db"]})
    launch(gcp, "far", "o", {"networkIP": "10.90.0.10"}, tags={"items": ["web"]})
    return gcp


def launch(gcp: Wire, name: str, network: str, nic: dict[str, Any], **more: Any) -> None:
    body = {"name": name, "networkInterfaces": [{"subnetwork": f"{SUBNETS}/{network}", **nic}], **more}
    gcp.done("POST", "zones/europe-west1-b/instances", body)


def rule(gcp: Wire, name: str, priority: int = 1000, *, deny: str = "", allow: str = "", **more: Any) -> None:
    protocol, _, ports = (deny or allow).partition("/")
    spoken = [{"IPProtocol": protocol, **({"ports": ports.split(",")} if ports else {})}]
    body = {"name": name, "network": "global/networks/n", "priority": priority, "denied" if deny else "allowed": spoken, **more}
    gcp.done("POST", "global/firewalls", body)


def verdict(site: Site, src: str, dst: str, protocol: str = "tcp", port: int | None = 80) -> tuple[str, str]:
    found = site.ask("verdict", {"src": src, "dst": dst, "protocol": protocol, "port": port})
    return found["verdict"], found["by"].rpartition("firewalls/")[2]


WEB, DB, FAR = "10.80.0.10", "10.80.0.20", "10.90.0.10"


def test_the_implied_rules(gcp_site: Site, pair: Wire) -> None:
    assert verdict(gcp_site, "8.8.8.8", DB) == ("denied", "implied")
    assert verdict(gcp_site, DB, "8.8.8.8") == ("allowed", "implied")
    found = gcp_site.ask("verdict", {"src": WEB, "dst": DB, "protocol": "tcp", "port": 80})
    assert (found["egress"]["allowed"], found["ingress"]["allowed"], found["verdict"]) == (True, False, "denied")


def test_small_numbers_first_and_deny_before_allow_at_equal_ones(gcp_site: Site, pair: Wire) -> None:
    rule(pair, "allow", 1000, allow="tcp/80")
    assert verdict(gcp_site, "8.8.8.8", DB) == ("allowed", "allow")
    rule(pair, "deny", 1000, deny="tcp")
    assert verdict(gcp_site, "8.8.8.8", DB) == ("denied", "deny")
    rule(pair, "first", 999, allow="all", sourceRanges=["8.8.0.0/16"])
    assert verdict(gcp_site, "8.8.8.8", DB) == ("allowed", "first")
    assert verdict(gcp_site, "9.9.9.9", DB) == ("denied", "deny")
    pair.done("PATCH", "global/firewalls/deny", {"disabled": True})
    assert verdict(gcp_site, "9.9.9.9", DB) == ("allowed", "allow")
    assert verdict(gcp_site, "9.9.9.9", FAR) == ("denied", "implied")


def test_protocols_and_ports(gcp_site: Site, pair: Wire) -> None:
    rule(pair, "a", allow="tcp/80,443-445")
    rule(pair, "b", allow="icmp")
    rule(pair, "c", allow="47")
    rule(pair, "d", allow="17", sourceRanges=["9.0.0.0/8"])
    for protocol, port, said in (
        ("tcp", 80, "allowed"), ("tcp", 81, "denied"), ("tcp", 444, "allowed"), ("tcp", 446, "denied"), ("6", 443, "allowed"),
        ("udp", 80, "denied"), ("icmp", None, "allowed"), ("gre", None, "allowed"), ("esp", None, "denied"),
    ):  # fmt: skip
        assert verdict(gcp_site, "8.8.8.8", DB, protocol, port)[0] == said, (protocol, port)
    assert verdict(gcp_site, "9.9.9.9", DB, "udp", 53)[0] == "allowed"


def test_targets_and_destinations(gcp_site: Site, pair: Wire) -> None:
    rule(pair, "tag", allow="tcp/80", targetTags=["web", "other"])
    rule(pair, "account", allow="tcp/81", targetServiceAccounts=[ACCOUNT])
    rule(pair, "address", allow="tcp/82", destinationRanges=[f"{DB}/32"])
    assert [verdict(gcp_site, "8.8.8.8", host, port=port)[0] for port in (80, 81, 82) for host in (WEB, DB)] == [
        "allowed", "denied", "allowed", "denied", "denied", "allowed",
    ]  # fmt: skip


def test_source_tags_know_primary_addresses_of_their_own_network_alone(gcp_site: Site, pair: Wire) -> None:
    rule(pair, "tag", allow="tcp/80", sourceTags=["web"], targetTags=["db"])
    assert verdict(gcp_site, WEB, DB) == ("allowed", "tag")
    assert verdict(gcp_site, "10.81.0.3", DB)[0] == "denied", "an alias address bears no tag"
    assert verdict(gcp_site, "203.0.113.200", DB)[0] == "denied", "nor does an external one"
    assert verdict(gcp_site, FAR, DB)[0] == "denied", "nor a machine of another network"
    rule(pair, "account", allow="tcp/81", sourceServiceAccounts=[ACCOUNT])
    assert verdict(gcp_site, WEB, DB, port=81) == ("allowed", "account")
    assert verdict(gcp_site, FAR, DB, port=81)[0] == "denied"
    rule(pair, "either", allow="tcp/82", sourceTags=["web"], sourceRanges=["8.8.8.8/32"])
    assert [verdict(gcp_site, src, DB, port=82)[0] for src in (WEB, "8.8.8.8", "9.9.9.9")] == ["allowed", "allowed", "denied"]


def test_tags_that_change_change_the_verdict(gcp_site: Site, pair: Wire) -> None:
    rule(pair, "tag", allow="tcp/80", sourceTags=["web"])
    path = "zones/europe-west1-b/instances/web"
    pair.done("POST", f"{path}/setTags", {"items": [], "fingerprint": pair.get(path)["tags"]["fingerprint"]})
    assert verdict(gcp_site, WEB, DB)[0] == "denied"


def test_egress_comes_first(gcp_site: Site, pair: Wire) -> None:
    rule(pair, "in", allow="all")
    assert verdict(gcp_site, WEB, DB) == ("allowed", "in")
    rule(pair, "out", deny="tcp/80", direction="EGRESS", destinationRanges=["10.80.0.0/24"], targetTags=["web"])
    assert verdict(gcp_site, WEB, DB) == ("denied", "out")
    assert verdict(gcp_site, DB, WEB)[0] == "allowed"
    rule(pair, "source", 900, allow="tcp/80", direction="EGRESS", destinationRanges=["0.0.0.0/0"], sourceRanges=[f"{WEB}/32"])
    assert verdict(gcp_site, WEB, DB) == ("allowed", "in")


def test_one_rule_is_of_one_family(gcp_site: Site, pair: Wire) -> None:
    rule(pair, "four", allow="tcp/80", sourceRanges=["0.0.0.0/0"])
    six = pair.get("zones/europe-west1-b/instances/db")["networkInterfaces"][0]["ipv6AccessConfigs"][0]["externalIpv6"]
    assert verdict(gcp_site, "2001:db8:99::1", six) == ("denied", "implied")
    rule(pair, "six", allow="tcp/80", sourceRanges=["::/0"])
    assert verdict(gcp_site, "2001:db8:99::1", six) == ("allowed", "six")
    with pytest.raises(ValueError, match="one family"):
        verdict(gcp_site, "8.8.8.8", six)


def test_an_external_address_is_translated(gcp_site: Site, pair: Wire) -> None:
    rule(pair, "inside", allow="tcp/80", destinationRanges=[f"{WEB}/32"])
    assert verdict(gcp_site, "8.8.8.8", "203.0.113.200") == ("allowed", "inside")


def test_what_the_platform_decides_itself(gcp_site: Site, pair: Wire) -> None:
    rule(pair, "out", deny="all", direction="EGRESS")
    assert verdict(gcp_site, WEB, "169.254.169.254") == ("allowed", "platform")
    assert verdict(gcp_site, WEB, "8.8.8.8") == ("denied", "out")
    pair.done("DELETE", "global/firewalls/out")
    assert verdict(gcp_site, WEB, "8.8.8.8", port=25)[0] == "allowed"
    gcp_site.ask("settings", {"smtp_blocked": True})
    assert verdict(gcp_site, WEB, "8.8.8.8", port=25) == ("denied", "platform")


def policy_rule(action: str, priority: int = 1, **match: Any) -> dict[str, Any]:
    found = {"srcIpRanges": ["0.0.0.0/0"], "layer4Configs": [{"ipProtocol": "tcp"}], **match}
    return {"priority": priority, "direction": "INGRESS", "action": action, "match": found}


def test_hierarchical_policies_come_first_and_may_pass_on(gcp_site: Site, pair: Wire) -> None:
    rule(pair, "vpc", allow="tcp/80")
    org = {"name": "1", "shortName": "org", "rules": [policy_rule("goto_next", 1, srcIpRanges=["8.0.0.0/8"]), policy_rule("deny", 2)]}
    folder = {"name": "2", "shortName": "folder", "rules": [policy_rule("deny", 1, srcIpRanges=["8.9.0.0/16"])]}
    gcp_site.ask("policies", {"hierarchy": [org, folder]})
    assert verdict(gcp_site, "9.9.9.9", DB) == ("denied", "org/2")
    assert verdict(gcp_site, "8.8.8.8", DB) == ("allowed", "vpc")
    assert verdict(gcp_site, "8.9.8.9", DB) == ("denied", "folder/1")
    gcp_site.ask("policies", {"hierarchy": [], "system": [{"name": "gke", "rules": [policy_rule("deny")]}]})
    assert verdict(gcp_site, "8.8.8.8", DB) == ("denied", "gke/1")


def test_a_policy_rule_may_be_meant_for_others(gcp_site: Site, pair: Wire) -> None:
    rule(pair, "vpc", allow="tcp/80")
    other = "https://www.googleapis.com/compute/v1/projects/acme-net/global/networks/o"
    for more in ({"targetResources": [other]}, {"targetServiceAccounts": [ACCOUNT]}, {"targetSecureTags": [{"name": "tagValues/1"}]}):
        gcp_site.ask("policies", {"hierarchy": [{"name": "1", "rules": [{**policy_rule("deny"), **more}]}]})
        assert verdict(gcp_site, "8.8.8.8", DB) == ("allowed", "vpc")
    gcp_site.ask("policies", {"hierarchy": [{"name": "1", "rules": [policy_rule("deny", srcFqdns=["a.example"])]}]})
    assert verdict(gcp_site, "8.8.8.8", DB) == ("allowed", "vpc")


def test_network_policies_before_and_after_the_vpc_rules(gcp_site: Site, pair: Wire) -> None:
    pair.done("POST", "global/firewallPolicies", {"name": "p"})
    pair.done("POST", "global/firewallPolicies/p/addRule", policy_rule("allow", 5))
    pair.done("POST", "global/firewallPolicies/p/addAssociation", {"name": "x", "attachmentTarget": "global/networks/n"})
    assert verdict(gcp_site, "8.8.8.8", DB) == ("allowed", "p/5")
    rule(pair, "vpc", 65534, deny="tcp/80")
    assert verdict(gcp_site, "8.8.8.8", DB) == ("denied", "vpc"), "any VPC rule that matches ends it"
    assert verdict(gcp_site, "8.8.8.8", DB, port=81) == ("allowed", "p/5")
    pair.done("PATCH", "global/networks/n", {"networkFirewallPolicyEnforcementOrder": "BEFORE_CLASSIC_FIREWALL"})
    assert verdict(gcp_site, "8.8.8.8", DB) == ("allowed", "p/5")
    network = "https://www.googleapis.com/compute/v1/projects/acme-net/global/networks/n"
    regional = {"name": "r", "network": network, "rules": [policy_rule("deny", 1, layer4Configs=[{"ipProtocol": "udp"}])]}
    gcp_site.ask("policies", {"regional": {"europe-west1": [regional]}})
    assert verdict(gcp_site, "8.8.8.8", DB, "udp", 53) == ("denied", "r/1")


def test_packets_may_learn_of_a_rule_later(gcp_site: Site, pair: Wire) -> None:
    gcp_site.ask("clock", {"mode": "manual"})
    gcp_site.ask("settings", {"propagation_s": 5.0, "tag_propagation_s": 60.0})
    rule(pair, "range", allow="tcp/80")
    rule(pair, "tag", allow="tcp/81", sourceTags=["web"])
    assert [verdict(gcp_site, WEB, DB, port=port)[0] for port in (80, 81)] == ["denied", "denied"]
    gcp_site.ask("clock", {"advance": 5})
    assert [verdict(gcp_site, WEB, DB, port=port)[0] for port in (80, 81)] == ["allowed", "denied"]
    gcp_site.ask("clock", {"advance": 55})
    assert [verdict(gcp_site, WEB, DB, port=port)[0] for port in (80, 81)] == ["allowed", "allowed"]
    pair.done("DELETE", "global/firewalls/tag")
    assert verdict(gcp_site, WEB, DB, port=81)[0] == "allowed"
    gcp_site.ask("clock", {"advance": 60})
    assert verdict(gcp_site, WEB, DB, port=81)[0] == "denied"


def test_the_recorded_network_with_a_policy_above_it(gcp_site: Site, gcp: Wire, shared: Path) -> None:
    path = shared / "recordings" / "gcp" / "gcpdiag" / "vpc2" / "compute-effective-firewalls-default.json"
    recorded = json.loads(path.read_text("utf-8"))
    launch_default = {"name": "m", "networkInterfaces": [{"network": "global/networks/default", "networkIP": "10.128.0.9"}]}
    gcp.done("POST", "zones/europe-west1-b/instances", launch_default)
    for each in recorded["firewalls"]:
        gcp.done("POST", "global/firewalls", {**each, "network": "global/networks/default"})
    gcp_site.ask("policies", {"hierarchy": recorded["firewallPolicys"]})
    assert gcp.get("global/networks/default/getEffectiveFirewalls")["firewallPolicys"] == recorded["firewallPolicys"]
    # As it was recorded, rules 487 and 488 pass everything on before 700 can deny; whom they target was perhaps cut out of the recording.
    assert verdict(gcp_site, "8.8.8.8", "10.128.0.9", port=22) == ("allowed", "default-allow-ssh")
    (policy,) = recorded["firewallPolicys"]
    strict = {**policy, "rules": [each for each in policy["rules"] if each["priority"] not in (487, 488)]}
    gcp_site.ask("policies", {"hierarchy": [strict]})
    assert verdict(gcp_site, "8.8.8.8", "10.128.0.9", port=22) == ("denied", "default-firewall-policy/700")
    assert verdict(gcp_site, "35.235.240.7", "10.128.0.9", port=22) == ("allowed", "default-firewall-policy/600")
    assert verdict(gcp_site, "10.1.1.1", "10.128.0.9", port=22) == ("allowed", "default-allow-ssh")
    assert verdict(gcp_site, "10.1.1.1", "10.128.0.9", port=80) == ("denied", "implied")
    assert verdict(gcp_site, "10.128.0.1", "10.128.0.9", port=80) == ("allowed", "default-allow-internal")
