"""Every recorded answer of Azure parses, and says the same after it was parsed: nothing is lost, nothing invented, nothing rewritten."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from cloudsync.adapter import AddressPeer, Allowed, ClassIntent, Intent, Method, Origin, PointIntent, Term
from cloudsync.model.address import AddressSet
from cloudsync.model.finding import Where
from cloudsync.model.mode import Egress, Mode, TargetMode
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import TCP, ServiceSet
from cloudsync.model.workload import Domain, Labels, PointId
from cloudsync_azure import parse
from cloudsync_azure import payload as wire
from cloudsync_azure.encode import encode
from cloudsync_azure.payload import rule_json
from cloudsync_azure.settings import AzureSettings
from cloudsync_azure.simulate import simulate
from cloudsync_azure.steps import steps
from cloudsync_azure.table import AzureTable, Nic, Nsg, Rule, Subnet, Tier
from cloudsync_azure.write import whole_body

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("CLOUDSYNC_SHARED", ROOT.parent / "shared"))
FOLDER = SHARED / "recordings" / "azure"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
PLAIN = AzureSettings(SUBSCRIPTION)

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recordings at {FOLDER}; set CLOUDSYNC_SHARED")


def bodies() -> Iterator[tuple[str, Any]]:
    """Yield every recorded JSON answer with its file's name."""
    for path in sorted(FOLDER.glob("java/*.json")):
        for one in json.loads(path.read_text("utf-8-sig"))["networkCallRecords"]:
            yield from _parsed(path.name, (one.get("Response") or {}).get("Body"))
    for path in sorted(FOLDER.glob("net/*.json")):
        for one in json.loads(path.read_text("utf-8-sig"))["Entries"]:
            yield from _parsed(path.name, one.get("ResponseBody"))
    for one in json.loads((FOLDER / "xplat_parsed.json").read_text("utf-8")):
        yield from _parsed(one["file"], one.get("body"))


def _parsed(name: str, body: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            return
    yield name, body


def resources(kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Return every recorded resource of a kind, alone or in a list; old answers have no type, so its id decides."""
    pattern = re.compile(rf"/providers/Microsoft\.Network/{kind}$", re.IGNORECASE)
    listed = [(name, one) for name, body in bodies() if isinstance(body, dict) for one in (body.get("value") or [body])]
    return [
        (name, one)
        for name, one in listed
        if isinstance(one, dict)
        and "properties" in one
        and pattern.search(str(one.get("id", "")))
        and one["properties"].get("provisioningState")
    ]


def spelled(inner: dict[str, Any]) -> tuple[Any, ...]:
    """Flatten a recorded rule without the parser: words without case, lists and single values as one set."""

    def side(end: str) -> frozenset[str]:
        one, many = inner.get(f"{end}AddressPrefix"), inner.get(f"{end}AddressPrefixes") or []
        words = {str(word).lower() for word in [*([one] if one else []), *many]}
        return frozenset({each["id"].lower() for each in inner.get(f"{end}ApplicationSecurityGroups") or ()} or map(_network, words))

    def ports(end: str) -> frozenset[int]:
        one, many = inner.get(f"{end}PortRange"), inner.get(f"{end}PortRanges") or []
        found: set[int] = set()
        for word in [*([one] if one else []), *many]:
            first, _, last = word.partition("-")
            found.update(range(65536) if word == "*" else range(int(first), int(last or first) + 1))
        return frozenset(found)

    fixed = (inner["direction"].lower(), inner["priority"], inner["access"].lower(), inner["protocol"].lower())
    return (*fixed, side("source"), side("destination"), ports("source"), ports("destination"))


def _network(word: str) -> str:
    return str(ip_network(word, strict=False)) if word[0].isdigit() or ":" in word else word


def test_every_group_and_rule_says_the_same_after_parsing() -> None:
    seen = Counter[str]()
    for name, raw in resources("networkSecurityGroups/[^/]+"):
        found = parse.nsg(raw, "acme")
        shown = {one["name"]: one["properties"] for one in raw["properties"]["securityRules"]}
        assert {one.name for one in found.rules} == set(shown), name
        for one in found.rules:
            assert (one.unclear, one.ours) == ("", False), (name, one.name, one.unclear)
            exact = {key: value for key, value in shown[one.name].items() if key != "provisioningState"}
            assert rule_json(one) == {"name": one.name, "properties": exact}, "sent as it was read"
            rendered = rule_json(replace(one, tier=None, shape="", raw=parse.canonical(rule_json(_as_ours(one)))))
            assert spelled(rendered["properties"]) == spelled(shown[one.name]), (name, one.name)
            seen["rules"] += 1
        seen["groups"] += 1
    assert seen["groups"] > 40
    assert seen["rules"] > 100


def _as_ours(one: Rule) -> Rule:
    return replace(one, tier=Tier.ALLOW)


def test_single_rules_parse_too() -> None:
    some = resources("networkSecurityGroups/[^/]+/securityRules/[^/]+")
    assert len(some) > 15
    assert all(not parse.rule(raw, "acme").unclear for _, raw in some)


def test_every_interface_network_and_group_member_parses() -> None:
    nics = resources("networkInterfaces/[^/]+")
    for name, raw in nics:
        found = parse.interface(raw)
        for each in raw["properties"].get("ipConfigurations", ()):
            if each["properties"].get("privateIPAddress"):
                assert ip_address(each["properties"]["privateIPAddress"]) in found.private, name
        assert found.nsg == (raw["properties"].get("networkSecurityGroup") or {}).get("id", "").lower()
    networks = [parse.network(raw) for _, raw in resources("virtualNetworks/[^/]+")]
    assert len(nics) > 30
    assert networks
    assert all(one.blocks and one.subnets for one in networks if one.subnets)


def test_adopting_a_recorded_group_writes_nothing_foreign() -> None:
    """In observe nothing changes; in additive our rules come beside, and every foreign rule is sent exactly as it was read."""
    groups = [(raw, parse.nsg(raw, "acme")) for _, raw in resources("networkSecurityGroups/[^/]+")]
    for raw, nsg in groups:
        table = around(replace(nsg, managed=True))
        assert encode(wish(TargetMode.OBSERVE), table, PLAIN).table == table
        encoding = encode(wish(TargetMode.ADDITIVE), table, PLAIN)
        assert not encoding.problems
        phases = steps(table, encoding.table, Method.SWAP, PLAIN)
        assert simulate(table, [step for phase in phases for step in phase.steps]) == encoding.table
        for phase in phases:
            for step in phase.steps:
                body = whole_body(raw, wire.read(step.payload))
                sent = {one["name"]: one["properties"] for one in body["properties"]["securityRules"] if not one["name"].startswith("cs-")}
                shown = {one["name"]: one["properties"] for one in raw["properties"]["securityRules"]}
                assert sent == {key: {k: v for k, v in inner.items() if k != "provisioningState"} for key, inner in shown.items()}
                assert (body["location"], body.get("tags")) == (raw["location"], raw.get("tags"))
        assert encode(wish(TargetMode.ADDITIVE), encoding.table, PLAIN).table == encoding.table
    assert len(groups) > 40


POINT = PointId("s/g/n")
DOMAIN = Domain("default")


def around(nsg: Nsg) -> AzureTable:
    subnet = Subnet("/net", "/vnet", AddressSet.of("10.1.0.0/24"), nsg.id)
    nic = Nic("/nic", POINT, "n", "/vm", "/vnet", ("/net",), AddressSet.of("10.1.0.4"))
    return AzureTable("acme", SUBSCRIPTION, {nsg.id: nsg}, {POINT: nic}, {"/net": subnet}, {"/vnet": AddressSet.of("10.1.0.0/16")})


def wish(mode: TargetMode) -> Intent:
    term = Term(AddressPeer(AddressSet.of("192.0.2.0/24")), ServiceSet.ports(TCP, 443, 443), (Origin("web#1", Where("policy/p.yaml")),))
    packets = PacketSet.of(AddressSet.of("192.0.2.0/24"), term.services)
    allowed = Allowed((term,), packets, packets, whole=(term,))
    group = ClassIntent("web", DOMAIN, Labels(), Mode.FULL, Egress.LEAVE, AddressSet.of("10.1.0.4"), allowed)
    return Intent("az", "acme", mode, (group,), (PointIntent(POINT, "web", DOMAIN, Mode.FULL, Egress.LEAVE),))
