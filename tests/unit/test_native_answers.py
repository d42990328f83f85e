"""What each platform says in its own words, read: both ends of a range, both families, what is switched off, and whose a rule is."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from cloudsync.model import intervals
from cloudsync.model.address import AddressSet
from cloudsync_aws import parse as aws
from cloudsync_aws.table import TAG_CLASS, TAG_MANAGED, TAG_OWNER
from cloudsync_aws.table import mark_of as aws_mark
from cloudsync_azure import parse as azure
from cloudsync_azure.table import Tier, mark_text, tier_of
from cloudsync_f5 import parse as f5
from cloudsync_f5 import words
from cloudsync_f5.table import Mark as F5Mark
from cloudsync_f5.table import mark_of as f5_mark
from cloudsync_gcp import parse as gcp
from cloudsync_gcp.table import mark_of as gcp_mark
from cloudsync_gcp.table import owner_in_names

GCP_RULE: dict[str, Any] = {"name": "x", "network": "projects/p/global/networks/n", "sourceRanges": ["10.0.0.0/8"], "selfLink": "x"}
AZURE_RULE: dict[str, Any] = {
    "priority": 200,
    "direction": "Inbound",
    "access": "Allow",
    "protocol": "Tcp",
    "sourceAddressPrefix": "10.0.0.0/8",
    "sourcePortRange": "*",
    "destinationAddressPrefix": "*",
}


def test_a_range_of_ports_has_both_its_ends_and_no_more() -> None:
    permission = {"IpProtocol": "tcp", "FromPort": 8000, "ToPort": 8002, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    [(key, _)] = aws.rules(permission, egress=False)
    assert (key.first, key.last) == (8000, 8002)
    rule = azure.rule({"name": "x", "properties": {**AZURE_RULE, "destinationPortRange": "8000-8002"}}, "acme")
    assert list(intervals.ranges(rule.ports)) == [(8000, 8003)]
    assert gcp.rule({**GCP_RULE, "allowed": [{"IPProtocol": "tcp", "ports": ["8000-8002"]}]}, "acme").protocols == (
        ("tcp", ((8000, 8002),)),
    )
    assert words.ports("8000-8002") == (8000, 8002)


@pytest.mark.parametrize("theirs", ["akme", "acm", "acmee", "acme-prod", "ACME"])
def test_what_another_deployment_marked_is_not_ours(theirs: str) -> None:
    name, gcp_text = f"cs-{owner_in_names(theirs)}-{'0' * 20}", f"cloudsync:v1 owner={theirs} class=c rules=r#1. Managed by cloudsync"
    found = (
        aws_mark({TAG_MANAGED: "true", TAG_OWNER: theirs, TAG_CLASS: "c"}, "acme"),
        gcp_mark(name, gcp_text, "acme"),
        tier_of(f"cs-{theirs}-{Tier.ALLOW.value}-0123456789", mark_text(theirs) + "r#1", "acme"),
        f5_mark(F5Mark(theirs.lower() if theirs != "ACME" else "akme", "id", "0a").text, "acme"),
    )
    assert found == (None,) * 4
    assert gcp_mark(name, gcp_text, theirs) is not None


def test_what_comes_in_is_not_what_goes_out() -> None:
    peer = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    groups = [aws.group({"GroupId": "sg-1", key: [peer]}, "a/r", "acme") for key in ("IpPermissions", "IpPermissionsEgress")]
    assert [[rule.egress for rule in group.rules] for group in groups] == [[False], [True]]
    allowed = {**GCP_RULE, "allowed": [{"IPProtocol": "tcp"}], "sourceRanges": []}
    assert [gcp.rule({**allowed, "direction": way}, "acme").egress for way in ("INGRESS", "EGRESS")] == [False, True]
    rules = [{"name": "x", "properties": {**AZURE_RULE, "destinationPortRange": "*", "direction": way}} for way in ("Inbound", "Outbound")]
    assert [azure.rule(raw, "acme").egress for raw in rules] == [False, True]


def test_what_is_switched_off_is_read_as_off() -> None:
    allowed = {**GCP_RULE, "allowed": [{"IPProtocol": "tcp"}]}
    assert [gcp.rule({**allowed, "disabled": off}, "acme").disabled for off in (True, False)] == [True, False]
    rule = {"name": "r", "action": "accept", "ipProtocol": "tcp"}
    assert [f5.rule({**rule, "status": status}).enabled for status in ("enabled", "disabled")] == [True, False]


def test_an_interface_has_its_addresses_of_both_families() -> None:
    four, six = "10.0.0.4", "2001:db8::4"
    wanted = AddressSet.of(ip_address(four), ip_address(six))
    private, _ = aws.addresses({"PrivateIpAddresses": [{"PrivateIpAddress": four}], "Ipv6Addresses": [{"Ipv6Address": six}]})
    assert private == wanted
    assert gcp.addresses({"networkIP": four, "ipv6Address": six}, "vm")[0] == wanted
    seats = [{"id": f"c{number}", "properties": {"privateIPAddress": one}} for number, one in enumerate((four, six))]
    assert azure.interface({"id": "/x", "name": "x", "properties": {"ipConfigurations": seats}}).private == wanted


def test_a_policy_of_a_device_without_its_rules_is_no_empty_one() -> None:
    with pytest.raises(f5.ParseError, match="without its rules"):
        f5.policy({"name": "p", "partition": "Common"}, "acme")
    assert f5.policy({"name": "p", "partition": "Common", "rulesReference": {"items": []}}, "acme").rules == ()


def test_an_address_keeps_its_route_domain() -> None:
    assert words.split_domain("10.0.0.1%2") == ("10.0.0.1", 2)
    assert words.span("10.0.0.1%2") != words.span("10.0.0.1")
