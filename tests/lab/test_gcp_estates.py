"""The estates: the same seed gives the same bytes, labels agree with the other platforms, addresses keep to their block."""

from __future__ import annotations

import ipaddress
import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cloudsync.lab.gcp.evidence import BEHAVIOURS
from cloudsync.lab.gcp.pytest_plugin import Wire
from cloudsync.lab.gcp.site import Site
from cloudsync.lab.kit.faults import Kind
from cloudsync.lab.kit.site import Site as AnySite

PAGE = Path(__file__).resolve().parents[2] / "docs" / "lab-gcp.md"
BLOCKS = (ipaddress.IPv4Network("10.40.0.0/16"), ipaddress.IPv4Network("10.41.0.0/16"))
WORDS = {
    "role": {"web", "app", "db", "lb", "jump", "cache"},
    "app": {"ordering", "payments", "crm", "billing", "search", "intranet"},
    "env": {"prod", "dev", "test"},
    "loc": {"gcp-euw1"},
}


def machines(site: Site) -> list[dict[str, Any]]:
    return [one for project in site.ask("state", None).values() for one in project["instances"].values()]


@pytest.mark.parametrize(("estate", "count"), [("empty", 0), ("small", 0), ("four", 12), ("medium", 98)])
def test_an_estate_is_the_same_every_time(gcp_site: Site, estate: str, count: int) -> None:
    texts = []
    for seed in (1, 1, 2):
        gcp_site.reset(estate, seed)
        texts.append(json.dumps(gcp_site.ask("state", None), sort_keys=True))
    assert texts[0] == texts[1] != texts[2]
    assert len(machines(gcp_site)) == count


@pytest.mark.parametrize("estate", ["four", "medium"])
def test_labels_and_addresses(gcp_site: Site, estate: str) -> None:
    gcp_site.reset(estate, 1)
    careful = 0
    for one in machines(gcp_site):
        for nic in one["networkInterfaces"]:
            address = ipaddress.IPv4Address(nic["networkIP"])
            assert any(address in block for block in BLOCKS), one["name"]
        labels = one.get("labels", {})
        careful += all(labels.get(key) in words for key, words in WORDS.items())
    assert careful >= 0.8 * len(machines(gcp_site))
    assert careful < len(machines(gcp_site)), "somebody is always careless"
    assert Counter(one["status"] for one in machines(gcp_site))["TERMINATED"] >= 1


@pytest.mark.parametrize("estate", ["four", "medium"])
def test_every_estate_has_rules_that_are_open_disabled_and_denying(gcp_site: Site, gcp: Wire, estate: str) -> None:
    gcp_site.reset(estate, 1)
    rules = gcp.get("global/firewalls")["items"]
    assert any(one.get("sourceRanges") == ["0.0.0.0/0"] and "allowed" in one for one in rules)
    assert any(one["disabled"] for one in rules)
    assert any("denied" in one for one in rules)
    assert any(one.get("sourceRanges") == ["::/0"] for one in rules)
    assert any(one.get("sourceTags") for one in rules)
    if estate == "medium":
        assert {one["priority"] for one in rules if one["name"].startswith("gke-")} == {999, 1000}


def test_building_leaves_no_calls_and_no_history(gcp_site: Site) -> None:
    gcp_site.reset("medium", 1)
    assert gcp_site.ask("calls", None) == {}
    assert gcp_site.ask("log", {"reads": True}) == []
    assert gcp_site.ask("history", None) == []


def test_a_thousand_rules_are_read_in_a_tenth_of_a_second(gcp_site: Site, gcp: Wire) -> None:
    gcp_site.ask("quotas", {"FIREWALLS": 2000})
    ranges = [f"10.0.{number}.0/24" for number in range(20)]
    for number in range(1000):
        body = {"name": f"r{number}", "sourceRanges": ranges, "allowed": [{"IPProtocol": "tcp"}]}
        gcp_site.ask("act", {"method": "POST", "path": "projects/acme-net/global/firewalls", "body": body})
    spent = []
    for _ in range(5):
        began = time.perf_counter()
        first = gcp.get("global/firewalls")
        gcp.get("global/firewalls", pageToken=first["nextPageToken"])
        spent.append(time.perf_counter() - began)
    print(f"1,000 rules of 20 blocks in two pages: {min(spent) * 1000:.0f} ms")
    assert min(spent) < 1.0, "ten times what it takes: this is no benchmark"


def shape(site: Site) -> AnySite:
    return site


def test_it_is_a_site_like_the_others(gcp_site: Site) -> None:
    assert shape(gcp_site).name == "gcp"
    assert set(gcp_site.section()) >= {"endpoint", "project", "access_token", "projects", "service_account_file"}
    json.dumps(gcp_site.section())


def junk(rng: random.Random, depth: int = 0) -> Any:
    """Something that may stand in a body."""
    scalars: list[Any] = [None, True, 0, -1, 2**70, 1.5, "", "a", "10.0.0.0/8", "\x00", "é", "9" * 300, "tcp", [], {}]
    if depth > 2 or rng.random() < 0.6:
        return rng.choice(scalars)
    if rng.random() < 0.5:
        return [junk(rng, depth + 1) for _ in range(rng.randrange(3))]
    keys = ["name", "network", "allowed", "denied", "IPProtocol", "ports", "priority", "match", "items", "fingerprint", "subnetwork", "x"]
    return {rng.choice(keys): junk(rng, depth + 1) for _ in range(rng.randrange(4))}


STRINGS = (
    "", "a", "A", "10.0.0.0/8", "10.0.0.0/33", "10.70.0.0/24", "::/0", "::1%1", "fd20:40::/48", "x@y", "0", "80-70", "99999", "-1", "tcp",
    "all", "300", "\u0661", "global/networks/default", "projects/x/global/networks/y", "regions/europe-west1/subnetworks/default",
    "IPV4_IPV6", "EXTERNAL", "INGRESS", "EGRESS", "allow", "goto_next", "\x00", "é", "9" * 300,
)  # fmt: skip


def plausible(rng: random.Random, key: str) -> Any:
    """Something of the right form that may say anything."""
    some = [rng.choice(STRINGS) for _ in range(rng.randrange(3))]
    word = rng.choice(STRINGS)
    match key:
        case "allowed" | "denied":
            return [{"IPProtocol": word, "ports": some}]
        case "match":
            return {"srcIpRanges": some, "destIpRanges": some[:1], "layer4Configs": [{"ipProtocol": word, "ports": some}]}
        case "networkInterfaces":
            alias = [{"ipCidrRange": word, "subnetworkRangeName": each} for each in some]
            nic = {"network": word, "networkIP": rng.choice(STRINGS), "aliasIpRanges": alias, "ipv6Address": rng.choice(STRINGS)}
            return [{**nic, "subnetwork": rng.choice(STRINGS), "accessConfigs": [{"natIP": word}]}]
        case "secondaryIpRanges":
            return [{"rangeName": "r", "ipCidrRange": each} for each in some] or [{}]
        case "tags":
            return {"items": some, "fingerprint": "AAAA"}
        case "labels":
            return dict.fromkeys(some, word)
        case "routingConfig":
            return {"routingMode": rng.choice(["REGIONAL", "GLOBAL", word])}
        case "rules":
            return [{"priority": 1, "match": plausible(rng, "match"), "action": word, "direction": word}]
        case "priority" | "mtu":
            return rng.choice([0, -1, 65535, 70000, 2147483647])
        case "enableUlaInternalIpv6" | "autoCreateSubnetworks":
            return rng.random() < 0.5
    return some if key in ("sourceRanges", "destinationRanges", "sourceTags", "items") else word


ROUNDS = 120
BODIES: dict[str, list[str]] = {
    "global/firewalls": [
        "allowed",
        "denied",
        "sourceRanges",
        "destinationRanges",
        "sourceTags",
        "priority",
        "network",
        "direction",
        "logConfig",
    ],
    "global/networks": ["autoCreateSubnetworks", "routingConfig", "internalIpv6Range", "enableUlaInternalIpv6", "mtu"],
    "regions/europe-west1/subnetworks": ["network", "ipCidrRange", "secondaryIpRanges", "stackType", "ipv6AccessType"],
    "zones/europe-west1-b/instances": ["networkInterfaces", "tags", "labels", "metadata", "machineType", "serviceAccounts", "disks"],
    "global/firewallPolicies": ["description", "rules", "shortName", "displayName"],
    "global/firewallPolicies/p/addRule": ["priority", "match", "action", "direction"],
    "global/firewallPolicies/p/addAssociation": ["attachmentTarget"],
    "zones/europe-west1-b/instances/m/setTags": ["items", "fingerprint"],
    "zones/europe-west1-b/instances/m/setLabels": ["labels", "labelFingerprint"],
}


@pytest.mark.parametrize("path", list(BODIES))
def test_no_body_makes_the_lab_fall_over(gcp_site: Site, gcp: Wire, path: str) -> None:
    gcp_site.ask("quotas", {"NETWORKS": 10**6, "NETWORK_FIREWALL_POLICIES": 10**6, "FIREWALLS": 10**6})
    gcp.done("POST", "global/firewallPolicies", {"name": "p"})
    gcp.done("POST", "zones/europe-west1-b/instances", {"name": "m", "networkInterfaces": [{"network": "global/networks/default"}]})
    rng = random.Random(path)
    good = {
        "network": "global/networks/default", "networkInterfaces": [{"network": "global/networks/default"}], "ipCidrRange": "10.70.0.0/24",
        "allowed": [{"IPProtocol": "tcp"}], "match": {"srcIpRanges": ["10.0.0.0/8"], "layer4Configs": [{"ipProtocol": "tcp"}]},
        "action": "allow", "direction": "INGRESS", "priority": 1,
    }  # fmt: skip
    seen: Counter[int] = Counter()
    for number in range(ROUNDS):
        body: Any = {"name": f"n{number}", **{key: good[key] for key in BODIES[path] if key in good}}
        for _ in range(rng.randrange(1, 3)):
            key = rng.choice(BODIES[path])
            body[key] = junk(rng) if rng.random() < 0.1 else plausible(rng, key)
        status, _answer = gcp.send("POST", path, junk(rng) if rng.random() < 0.05 else body)
        seen[status] += 1
    assert set(seen) <= {200, 400, 403, 404, 409, 412, 413}, seen
    assert gcp.get("global/firewalls")["kind"] == "compute#firewallList"


def test_every_behaviour_has_evidence_and_is_said_once() -> None:
    assert len({each.what for each in BEHAVIOURS}) == len(BEHAVIOURS) > 60
    assert all(each.row and each.what for each in BEHAVIOURS)


def test_the_page_names_every_verb_switch_and_fault(gcp_site: Site) -> None:
    page = PAGE.read_text("utf-8")
    words = {*gcp_site.verbs(), *gcp_site.ask("settings", None), *gcp_site.section(), *(kind.value for kind in Kind)}
    assert [word for word in sorted(words) if word not in page] == []
