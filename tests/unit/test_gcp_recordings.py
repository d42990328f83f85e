"""Recorded traffic of Compute Engine: all of it parses, says the same after it was parsed, and is left alone when it is adopted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from cloudsync.adapter import ClassIntent, Intent, Method, PointIntent
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.mode import Egress, Mode, TargetMode
from cloudsync.model.packets import Packet
from cloudsync.model.workload import DEFAULT_DOMAIN, Labels, PointId
from cloudsync_gcp import parse
from cloudsync_gcp.decode import decode
from cloudsync_gcp.encode import encode
from cloudsync_gcp.explain import walk
from cloudsync_gcp.payload import body
from cloudsync_gcp.spell import services_of, united
from cloudsync_gcp.steps import steps
from cloudsync_gcp.table import GcpTable, Network, Nic

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("CLOUDSYNC_SHARED", ROOT.parent / "shared"))
FOLDER = SHARED / "recordings" / "gcp"
OWNER = "acme"
Json = dict[str, Any]

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recordings at {FOLDER}; set CLOUDSYNC_SHARED")


def documents() -> Iterator[tuple[str, Any]]:
    """Yield every recorded body, those inside text logs included."""
    for path in sorted(FOLDER.rglob("*.json")):
        recorded = json.loads(path.read_text("utf-8"))
        yield str(path.relative_to(FOLDER)), recorded.get("body", recorded)
    for path in sorted(FOLDER.rglob("*.log")):
        text, decoder, at = path.read_text("utf-8"), json.JSONDecoder(), 0
        while (at := text.find("\n{", at)) >= 0:
            try:
                found, length = decoder.raw_decode(text[at + 1 :])
            except ValueError:
                at += 1
                continue
            yield str(path.relative_to(FOLDER)), found
            at += length


def objects(value: Any, kind: str) -> Iterator[Json]:
    if isinstance(value, dict):
        if value.get("kind") == kind:
            yield value
        for inner in value.values():
            yield from objects(inner, kind)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner, kind)


def every(kind: str) -> list[tuple[str, Json]]:
    return [(name, one) for name, document in documents() for one in objects(document, kind)]


def spelled(raw: Json) -> dict[str, Any]:
    """Say what a raw rule says, without the parser: sets of plain values."""
    entries: dict[str, set[tuple[int, int]]] = {}
    for one in raw.get("allowed") or raw.get("denied") or ():
        name = {"6": "tcp", "17": "udp", "1": "icmp"}.get(one["IPProtocol"].lower(), one["IPProtocol"].lower())
        pairs = [port.partition("-") for port in one.get("ports") or ()]
        entries.setdefault(name, set()).update((int(first), int(last or first)) for first, _, last in pairs)
    ingress = raw.get("direction", "INGRESS") == "INGRESS"
    return {
        "name": raw["name"],
        "network": raw["network"][raw["network"].index("projects/") :],
        "ingress": ingress,
        "denies": "denied" in raw,
        "priority": raw.get("priority", 1000),
        "disabled": raw.get("disabled", False),
        "protocols": {name: frozenset(port for first, last in ports for port in range(first, last + 1)) for name, ports in entries.items()},
        "sources": frozenset(ip_network(one, strict=False) for one in raw.get("sourceRanges") or ()),
        "destinations": frozenset(ip_network(one, strict=False) for one in raw.get("destinationRanges") or ()),
        "tags": (frozenset(raw.get("sourceTags") or ()), frozenset(raw.get("targetTags") or ())),
        "accounts": (frozenset(raw.get("sourceServiceAccounts") or ()), frozenset(raw.get("targetServiceAccounts") or ())),
        "log": bool((raw.get("logConfig") or {}).get("enable")),
        "description": raw.get("description") or "",
    }


def answered(name: str, raw: Json) -> bool:
    """Leave out requests, which lack what the service fills in."""
    return "id" in raw and "_http_old" not in name


def test_every_rule_says_the_same_after_it_was_parsed_and_rendered() -> None:
    seen = 0
    for name, raw in every("compute#firewall"):
        if not answered(name, raw):
            continue
        rule = parse.rule(raw, OWNER)
        assert not rule.unreadable, (name, rule)
        assert rule.mark is None
        assert spelled(body(rule)) == spelled(raw), name
        assert parse.rule(body(rule), OWNER) == rule
        seen += 1
    assert seen >= 25


def test_every_policy_that_was_recorded_can_be_read() -> None:
    for name, document in documents():
        if not isinstance(document, dict) or not ("firewallPolicys" in document or "firewalls" in document):
            continue
        key = "projects/p/global/networks/n"
        network = parse.network({"selfLink": f"https://x/{key}"}, document)
        unreadable = [rule for policy in network.before for rule in policy.rules if rule.unreadable]
        assert not unreadable, (name, unreadable)


def test_every_machine_parses_stopped_ones_too() -> None:
    found = every("compute#instance")
    for name, raw in found:
        networks = {}
        for one in raw["networkInterfaces"]:
            key = parse.path_of(one["network"], "networks")
            networks[key] = Network(key, "p/n")
        workload = parse.found(raw, networks)
        assert workload is not None, name
        shown = {raw_nic["networkIP"] for raw_nic in raw["networkInterfaces"]}
        addresses = AddressSet.union_all(interface.addresses for interface in workload.interfaces)
        assert all(ip_address(one) in addresses for one in shown), name
        assert dict(workload.tags) == raw.get("labels", {})
    assert len(found) >= 5


def demo(*without: int) -> GcpTable:
    """Return the vendor's own demo project: VPC allows under a hierarchical policy, some of its rules left out."""
    raw = json.loads((FOLDER / "gcpdiag/vpc2/compute-network-default.json").read_text("utf-8"))
    effective = json.loads((FOLDER / "gcpdiag/vpc2/compute-effective-firewalls-default.json").read_text("utf-8"))
    for policy in effective["firewallPolicys"]:
        policy["rules"] = [rule for rule in policy["rules"] if rule["priority"] not in without]
    network = parse.network(raw, effective)
    rules = parse.by_name(parse.rule(one, OWNER) for one in effective["firewalls"])
    point = PointId(f"{network.scope}/p/z/vm/nic0")
    nic = Nic(point, network.scope, network.key, "projects/p/zones/z/instances/vm", *(AddressSet.of("10.128.0.5/32"),) * 2)
    return GcpTable(OWNER, "gcpdiag-vpc2-runbook", rules, {point: nic}, {network.key: network})


@pytest.mark.parametrize(
    ("peer", "port", "verdict", "by"),
    [
        ("8.8.8.8", 22, "deny", "ingress 700 deny"),  # default-allow-ssh says yes, and is never asked
        ("35.235.240.1", 22, "allow", "ingress 600 allow"),  # IAP
        ("10.128.0.9", 22, "allow", "ingress 65534 allow"),  # passed on by the policy
        ("10.128.0.9", 4444, "allow", "default-allow-internal"),
        ("172.16.0.1", 4444, "deny", "implied deny ingress"),
        ("169.254.169.254", 443, "deny", "implied deny ingress"),
    ],
)
def test_a_hierarchical_policy_decides_before_the_rules_of_the_network(peer: str, port: int, verdict: str, by: str) -> None:
    worked = demo(487, 488)  # as recorded, these two pass everything on; see below
    (point,) = worked.nics
    packet = Packet(Family.V4, int(ip_address(peer)), 6, port)
    assert (packet in decode(worked)[point].inbound) is (verdict == "allow")
    hops = walk(worked, point, "inbound", packet)
    assert hops[-1].verdict == verdict
    assert by in hops[-1].rule


def test_as_recorded_a_rule_passes_everything_on_before_the_policy_denies_anything() -> None:
    worked = demo()
    (point,) = worked.nics
    packet = Packet(Family.V4, int(ip_address("8.8.8.8")), 6, 22)
    assert packet in decode(worked)[point].inbound
    hops = walk(worked, point, "inbound", packet)
    assert [hop.verdict for hop in hops] == ["pass", "allow"]
    assert "487 goto_next" in hops[0].rule


@pytest.mark.parametrize("mode", [TargetMode.OBSERVE, TargetMode.ADDITIVE])
@pytest.mark.parametrize("enforced", [Mode.VISIBILITY, Mode.FULL])
def test_adopting_a_recorded_estate_writes_nothing_foreign(mode: TargetMode, enforced: Mode) -> None:
    worked = demo()
    (point,) = worked.nics
    group = ClassIntent("c1", DEFAULT_DOMAIN, Labels.of({"role": "web"}), enforced, Egress.LEAVE, AddressSet.of("10.128.0.5/32"))
    wish = Intent("gcp", OWNER, mode, (group,), (PointIntent(point, "c1", DEFAULT_DOMAIN, enforced, Egress.LEAVE),))
    encoding = encode(wish, worked)
    assert all(encoding.table.rules[name] == rule for name, rule in worked.rules.items())
    written = [step for phase in steps(worked, encoding.table, Method.MERGE) for step in phase.steps]
    assert all(step.object.startswith("cs-acme-") and step.action == "compute.firewalls.insert" for step in written)
    assert bool(written) is (mode is TargetMode.ADDITIVE and enforced is Mode.FULL)


def test_what_other_tools_send_says_the_same_as_what_comes_back() -> None:
    """A full object with an explicit `[]` for every cleared list, as Terraform patches, is the same rule."""
    for _, raw in every("compute#firewall"):
        if "id" not in raw:
            continue
        padded = raw | {key: raw.get(key) or [] for key in ("sourceTags", "targetTags", "sourceServiceAccounts", "targetServiceAccounts")}
        assert parse.rule(padded, OWNER) == parse.rule(raw, OWNER)


def test_the_spelling_of_protocols_does_not_matter() -> None:
    assert united([("TCP", ["80-80", "443"]), ("6", ["81"])]) == united([("tcp", ["80-81", "443"])])
    assert services_of(united([("tcp", [])])) == services_of(united([("tcp", ["0-65535"])])) != services_of(united([("tcp", ["1-65535"])]))
    assert replace(Nic(PointId("p"), "s", "n", "v"), fingerprint="x") == Nic(PointId("p"), "s", "n", "v")
