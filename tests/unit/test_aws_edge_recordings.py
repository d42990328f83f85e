"""Every recorded answer of EC2 parses, and says the same after it was parsed: nothing is lost, nothing invented."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from cloudsync_aws import parse
from cloudsync_aws.table import PeerKind, RuleKey

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("CLOUDSYNC_SHARED", ROOT.parent / "shared"))
FOLDER = SHARED / "recordings" / "aws"
SCOPE = "111122223333/us-east-1"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recordings at {FOLDER}; set CLOUDSYNC_SHARED")


def answers() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every recorded answer with its file's name: parsed ones of real accounts, and the vendor's samples."""
    for path in sorted(FOLDER.glob("cloud-custodian/*/ec2.*.json")):
        recorded = json.loads(path.read_text("utf-8"))
        if recorded["status_code"] == 200:
            yield f"{path.parent.name}/{path.name}", recorded["data"]
    for path in sorted(FOLDER.glob("botocore/*.json")):
        yield path.name, json.loads(path.read_text("utf-8"))
    for path in sorted(FOLDER.glob("aws-cli/describe-*.json")):
        for block in json.loads(path.read_text("utf-8")):
            if isinstance(block, dict):
                yield path.name, block


def elements(member: str) -> list[tuple[str, dict[str, Any]]]:
    return [(name, one) for name, answer in answers() for one in answer.get(member) or () if isinstance(one, dict)]


def spelled(raw: dict[str, Any]) -> Counter[tuple[Any, ...]]:
    """Flatten a recorded group's permissions without the parser: (egress, protocol, from, to, peer, description)."""
    found: Counter[tuple[Any, ...]] = Counter()
    for egress, direction in ((False, "IpPermissions"), (True, "IpPermissionsEgress")):
        for one in raw.get(direction, ()):
            head = (egress, one["IpProtocol"], one.get("FromPort"), one.get("ToPort"))
            for plural, singular in (("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6")):
                for peer in one.get(plural, ()):
                    found[*head, str(ip_network(peer[singular], strict=False)), peer.get("Description") or ""] += 1
            for plural, singular in (("UserIdGroupPairs", "GroupId"), ("PrefixListIds", "PrefixListId")):
                for peer in one.get(plural, ()):
                    found[*head, peer[singular], peer.get("Description") or ""] += 1
    return found


def written(rule: RuleKey, text: str) -> tuple[Any, ...]:
    """Spell a parsed rule as EC2 does: protocol names, no ports for all protocols."""
    protocol = {-1: "-1", 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}.get(rule.protocol, str(rule.protocol))
    ports = (rule.first, rule.last) if rule.protocol in {1, 6, 17, 58} else (None, None)
    return (rule.egress, protocol, *ports, rule.peer, text)


def test_every_group_says_the_same_after_parsing() -> None:
    groups = elements("SecurityGroups")
    for name, raw in groups:
        if "GroupId" not in raw:
            continue
        parsed = parse.group(raw, SCOPE, "acme")
        assert Counter(written(rule, text) for rule, text in parsed.rules.items()) == spelled(raw), name
        assert (parsed.id, parsed.name, parsed.mark) == (raw["GroupId"], raw["GroupName"], None), name
        assert list(parsed.rules) == sorted(parsed.rules), name
    assert len(groups) > 120


def test_every_interface_parses_and_those_of_services_are_never_ours() -> None:
    kinds: Counter[str] = Counter()
    for name, raw in elements("NetworkInterfaces"):
        attached = (raw.get("Attachment") or {}).get("InstanceId", "")
        known = {attached: parse.Instance(attached, attached, raw.get("VpcId", ""), True, (), ())} if attached else {}
        eni = parse.eni(raw, SCOPE, known)
        kind = raw.get("InterfaceType", "interface")
        ours = not raw.get("RequesterManaged") and kind == "interface" and bool(attached) and bool(raw.get("Groups"))
        assert (eni.skipped == "") is ours, name
        assert set(eni.groups) == {one["GroupId"] for one in raw.get("Groups") or ()}, name
        for one in raw.get("PrivateIpAddresses") or ():
            assert ip_network(one["PrivateIpAddress"]).network_address in eni.private, name
            public = (one.get("Association") or {}).get("PublicIp")
            assert public is None or ip_network(public).network_address in eni.public, name
        kinds["ours" if ours else "skipped"] += 1
    assert kinds["ours"] > 5
    assert kinds["skipped"] > 20


def test_every_instance_parses_with_its_interfaces_in_device_order() -> None:
    seen = 0
    for name, raw in elements("Reservations"):
        for shown, one in zip(raw.get("Instances") or (), parse.reservation(raw), strict=True):
            places = {
                part["NetworkInterfaceId"]: (part.get("Attachment") or {}).get("DeviceIndex", 0) for part in shown["NetworkInterfaces"]
            }
            order = [places[part.id] for part in one.interfaces]
            assert order == sorted(order), name
            assert set(places) == {part.id for part in one.interfaces}, name
            found = parse.found(one, "111122223333", SCOPE, ())
            assert found.ref == shown["InstanceId"]
            assert [part.ref for part in found.interfaces] == [part.id for part in one.interfaces], name
            seen += 1
    assert seen >= 13


def test_every_network_peering_and_prefix_list_parses() -> None:
    vpcs = [parse.vpc(raw, SCOPE) for name, raw in elements("Vpcs") if "custodian" not in name]
    assert any(vpc.is_default for vpc in vpcs)
    assert all(vpc.cidrs for vpc in vpcs)
    peered = parse.peerings([raw for _, raw in elements("VpcPeeringConnections")], "us-east-1")
    assert ("vpc-7af45101", "vpc-0202e27b") in peered
    lists = [parse.prefix_list(raw, (), SCOPE, "acme") for _, raw in elements("PrefixLists") if "AddressFamily" in raw]
    assert {one.name for one in lists if one.aws} >= {"com.amazonaws.us-east-1.s3", "com.amazonaws.us-east-1.dynamodb"}
    assert all(one.weight == 1 for one in lists if one.aws and one.name.endswith((".s3", ".dynamodb")))


def test_each_kind_of_peer_but_ipv6_was_recorded() -> None:
    kinds = {rule.kind for _, raw in elements("SecurityGroups") if "GroupId" in raw for rule in parse.group(raw, SCOPE, "acme").rules}
    assert kinds == {kind.value for kind in PeerKind if kind is not PeerKind.CIDR6}


def test_numbered_rules_have_the_identity_of_their_permissions() -> None:
    samples = elements("SecurityGroupRules")
    for name, raw in samples:
        group, number, rule = parse.numbered_rule(raw)
        assert (group, number, rule.egress) == (raw["GroupId"], raw["SecurityGroupRuleId"], raw["IsEgress"]), name
        if raw["IpProtocol"] == "tcp":
            assert (rule.first, rule.last) == (raw["FromPort"], raw["ToPort"]), name
    assert samples
