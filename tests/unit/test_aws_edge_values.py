"""Settings, limits, roles, pacing and parsing of the AWS adapter: values in, values out, nothing contacted."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cloudsync.adapter import TargetSettings
from cloudsync.clock import SystemClock
from cloudsync.model.address import AddressSet
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync_aws import ADAPTER, parse
from cloudsync_aws.limits import BUCKETS, PERMISSIONS, READ_CALLS, WRITE_CALLS, aws_list_weight, bucket
from cloudsync_aws.roles import partition
from cloudsync_aws.settings import AwsSettings
from cloudsync_aws.table import Quotas, RuleKey

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "adapters" / "cloudsync_aws"
SCOPE = "111122223333/us-east-1"
GOOD: dict[str, Any] = {"account": "111122223333", "regions": ["us-east-1"]}
EXAMPLE: dict[str, Any] = {**GOOD, "vpcs": "all"}


def target(endpoint: str = "", **options: Any) -> TargetSettings:
    return TargetSettings("aws-prod", "aws", TargetMode.EXCLUSIVE, {**GOOD, **options}, Where("cloudsync.yaml", 4, 5), endpoint)


# --- settings --------------------------------------------------------------------------------------------------------


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"account": 111122223333}, "AWS-ACCOUNT"),
    ({"account": "1111"}, "AWS-ACCOUNT"),
    ({"regions": []}, "AWS-REGIONS"),
    ({"regions": "us-east-1"}, "AWS-REGIONS"),
    ({"regions": ["us-east-1", "us-east-1"]}, "AWS-REGIONS"),
    ({"regions": ["useast1"]}, "AWS-REGION"),
    ({"vpcs": []}, "AWS-VPCS"),
    ({"vpcs": "most"}, "AWS-VPCS"),
    ({"vpcs": ["subnet-12345678"]}, "AWS-VPC"),
    ({"role_arn": "web"}, "AWS-ROLE"),
    ({"role_arn": "arn:aws:iam::999999999999:role/sync"}, "AWS-ROLE"),
    ({"external_id": "x1"}, "AWS-ROLE"),
    ({"pace": 0}, "AWS-PACE"),
    ({"pace": 1.5}, "AWS-PACE"),
    ({"settle": "soon"}, "AWS-WAIT"),
    ({"max_wait": "2h"}, "AWS-WAIT"),
    ({"quotas": {"rules": 60}}, "AWS-QUOTA"),
    ({"quotas": {"rules_per_group": 200, "groups_per_eni": 6}}, "AWS-QUOTA"),
    ({"endpoint": "http://ec2.example.com"}, "BAD-ENDPOINT"),
]


@pytest.mark.parametrize(("options", "code"), WRONG, ids=[f"{code}-{number}" for number, (_, code) in enumerate(WRONG)])
def test_wrong_options_give_a_finding_where_the_target_stands(options: dict[str, Any], code: str) -> None:
    found = ADAPTER.check(target(**options))
    assert [one.code for one in found] == [code]
    assert found[0].where == Where("cloudsync.yaml", 4, 5)
    assert found[0].hint


@pytest.mark.parametrize("endpoint", ["", "https://ec2.us-east-1.amazonaws.com", "http://127.0.0.1:5000", "http://[::1]:5000"])
def test_right_options_give_none(endpoint: str) -> None:
    full = {"vpcs": ["vpc-0123456789abcdef0"], "role_arn": "arn:aws:iam::111122223333:role/a/sync", "external_id": "x1", "pace": 1}
    assert ADAPTER.check(target(endpoint, **full, settle="0s", max_wait="1h", quotas={"rules_per_group": 200, "groups_per_eni": 5})) == ()


def test_settings_have_defaults_and_units() -> None:
    settings = AwsSettings.of(target(settle="2m", quotas={"rules_per_group": 50}))
    assert (settings.vpcs, settings.pace, settings.settle, settings.max_wait) == (None, 0.8, 120.0, 120.0)
    assert settings.limits({"rules_per_group": 90, "groups_per_eni": 7}) == Quotas(rules_per_group=50, groups_per_eni=7)
    assert settings.scope("us-east-1") == SCOPE


@pytest.mark.parametrize(
    ("endpoint", "options", "waits"),
    [
        ("", {}, (5.0, 120.0, 75.0)),
        ("", {"settle": "0s", "max_wait": "3m"}, (0.0, 180.0, 75.0)),
        ("http://127.0.0.1:5000", {}, (0.0, 120.0, 3.0)),
        ("http://127.0.0.1:5000", {"settle": "2s"}, (2.0, 120.0, 3.0)),
        ("https://localhost:8443", {}, (5.0, 120.0, 75.0)),
    ],
)
def test_only_a_simulated_cloud_needs_no_time_to_settle(endpoint: str, options: dict[str, Any], waits: tuple[float, ...]) -> None:
    patience = AwsSettings.of(target(endpoint, **options)).patience()
    assert (patience.settle_s, patience.visible_s, patience.call_s) == waits


def test_an_endpoint_of_the_environment_counts_for_patience_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:5000")
    assert ADAPTER.open(target(), "acme", SystemClock()).patience.settle_s == 0
    assert ADAPTER.open(target("https://ec2.example"), "acme", SystemClock()).patience.settle_s == 5
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert ADAPTER.open(target(), "acme", SystemClock()).patience.settle_s == 5


def test_the_schema_takes_every_setting_and_no_other() -> None:
    schema = json.loads((PACKAGE / "settings.schema.json").read_text("utf-8"))
    names = {field.name for field in fields(AwsSettings)} - {"endpoint"}
    assert set(schema["properties"]) == names
    assert set(schema["properties"]["quotas"]["properties"]) == {field.name for field in fields(Quotas)}
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    "options", [options for options, code in WRONG if code not in {"AWS-ROLE", "BAD-ENDPOINT"} and "quotas" not in options]
)
def test_what_the_schema_refuses_the_check_refuses_too(options: dict[str, Any]) -> None:
    schema = json.loads((PACKAGE / "settings.schema.json").read_text("utf-8"))
    refused = not jsonschema.Draft202012Validator(schema).is_valid({**GOOD, **options})
    # A Region that stands twice and a wait of two hours are beyond what the schema can say.
    assert refused or options in ({"regions": ["us-east-1", "us-east-1"]}, {"max_wait": "2h"})
    assert jsonschema.Draft202012Validator(schema).is_valid(GOOD)


# --- start-up --------------------------------------------------------------------------------------------------------


def test_importing_the_adapter_loads_no_sdk() -> None:
    heavy = {"boto3", "botocore", "pydantic", "yaml", "urllib3"}
    code = f"import sys, cloudsync_aws; print(sorted({{m.partition('.')[0] for m in sys.modules}} & {heavy}))"
    path = f"{ROOT}:{ROOT / 'adapters'}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": path})
    assert done.stdout.strip() == "[]"


# --- calls and rights ------------------------------------------------------------------------------------------------


def called() -> set[str]:
    """Return every SDK method that the adapter's source names as text, outside the tables that list them."""
    known = READ_CALLS | WRITE_CALLS
    found: set[str] = set()
    for path in PACKAGE.glob("*.py"):
        if path.name == "limits.py":
            continue
        found |= {
            node.value for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Constant) and node.value in known
        }
    return found


def test_every_call_has_its_right_and_every_right_its_call() -> None:
    actions = {action for action in (READ_CALLS | WRITE_CALLS).values() if action != "GetCallerIdentity"}
    named = {one.action.partition(":")[2] for one in PERMISSIONS}
    assert named - {"CreateTags"} == actions
    assert {one.action.partition(":")[2] for one in PERMISSIONS if one.write} - {"CreateTags"} == set(WRITE_CALLS.values())
    assert set(READ_CALLS) <= called()
    assert set(BUCKETS) >= {"ModifyNetworkInterfaceAttribute", "GetServiceQuota"}
    assert bucket("DescribeInstances").refill == 20
    assert bucket("RevokeSecurityGroupEgress").refill == 5


def test_calls_carry_the_names_that_the_sdk_gives_them() -> None:
    session = pytest.importorskip("botocore.session").Session()
    session.set_credentials("a", "b")
    services = {"get_caller_identity": "sts", "get_service_quota": "service-quotas", "lookup_events": "cloudtrail"}
    for method, action in (READ_CALLS | WRITE_CALLS).items():
        client = session.create_client(services.get(method, "ec2"), region_name="us-east-1")
        assert client.meta.method_to_api_mapping[method] == action


@pytest.mark.parametrize(("name", "read_only"), [("aws-read.json", True), ("aws-full.json", False)])
def test_the_committed_roles_are_the_generated_ones(name: str, read_only: bool) -> None:
    path = ROOT / "config" / "iam" / name
    assert path.read_text("utf-8") == ADAPTER.role([target(**EXAMPLE)], owner="acme-prod", read_only=read_only)


def test_no_write_is_granted_without_our_owner_or_our_place() -> None:
    role = json.loads(ADAPTER.role([target(vpcs=["vpc-0123456789abcdef0"])], owner="acme", read_only=False))
    writes = {one.action for one in PERMISSIONS if one.write}
    granted: set[str] = set()
    for statement in role["Statement"]:
        if statement["Sid"] == "Read":
            assert not writes & set(statement["Action"])
            continue
        granted |= set(statement["Action"])
        assert "*" not in statement["Resource"]
        assert all(arn.startswith("arn:aws:ec2:us-east-1:111122223333:") for arn in statement["Resource"])
        text = json.dumps(statement.get("Condition", {}))
        assert '"acme"' in text or "vpc-0123456789abcdef0" in json.dumps(statement) or statement["Sid"] in {"TagOnCreate", "Rules"}
    assert granted == writes
    reading = json.loads(ADAPTER.role([target()], owner="acme", read_only=True))
    assert [statement["Sid"] for statement in reading["Statement"]] == ["Read"]


def test_arns_follow_the_partition() -> None:
    assert [partition(region) for region in ("us-east-1", "cn-north-1", "us-gov-west-1")] == ["aws", "aws-cn", "aws-us-gov"]


def test_aws_own_lists_weigh_what_aws_publishes() -> None:
    assert aws_list_weight("com.amazonaws.eu-west-1.s3", 9) == 1
    assert aws_list_weight("com.amazonaws.global.cloudfront.origin-facing", 9) == 55
    assert aws_list_weight("com.amazonaws.global.ipv6.cloudfront.origin-facing", 9) == 55
    assert aws_list_weight("com.amazonaws.us-east-1.vpc-lattice", 3) == 10
    assert aws_list_weight("com.amazonaws.us-east-1.something-new", 9) == 9


# --- parsing ---------------------------------------------------------------------------------------------------------


def permission(protocol: str, first: int | None = None, last: int | None = None, **peers: Any) -> dict[str, Any]:
    ports = {} if first is None else {"FromPort": first, "ToPort": last}
    return {"IpProtocol": protocol, **ports, **(peers or {"IpRanges": [{"CidrIp": "10.0.0.0/8"}]})}


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (permission("-1"), (-1, -1, -1, "cidr4", "10.0.0.0/8")),
        (permission("tcp", 22, 22), (6, 22, 22, "cidr4", "10.0.0.0/8")),
        (permission("udp"), (17, 0, 65535, "cidr4", "10.0.0.0/8")),
        (permission("icmp", 8, -1), (1, 8, -1, "cidr4", "10.0.0.0/8")),
        (permission("58", -1, -1), (58, -1, -1, "cidr4", "10.0.0.0/8")),
        (permission("50", 1, 2), (50, -1, -1, "cidr4", "10.0.0.0/8")),
        (permission("tcp", 1, 2, IpRanges=[{"CidrIp": "10.0.0.5/24"}]), (6, 1, 2, "cidr4", "10.0.0.0/24")),
        (permission("tcp", 1, 2, Ipv6Ranges=[{"CidrIpv6": "2001:0DB8:0:0::1/64"}]), (6, 1, 2, "cidr6", "2001:db8::/64")),
        (permission("tcp", 1, 2, UserIdGroupPairs=[{"GroupId": "sg-1", "UserId": "9"}]), (6, 1, 2, "group", "sg-1")),
        (permission("tcp", 1, 2, PrefixListIds=[{"PrefixListId": "pl-1"}]), (6, 1, 2, "list", "pl-1")),
    ],
)
def test_rules_have_ec2s_identity(raw: dict[str, Any], rule: tuple[Any, ...]) -> None:
    assert parse.rules(raw, egress=False) == [(RuleKey(False, *rule), "")]


@pytest.mark.parametrize(
    "raw",
    [permission("foo"), permission("300"), permission("tcp", 90, 80), permission("icmp", -1, 5), permission("tcp", 1, 2, IpRanges=[{}])],
)
def test_a_rule_of_unknown_shape_is_never_guessed(raw: dict[str, Any]) -> None:
    with pytest.raises(parse.ParseError):
        parse.rules(raw, egress=False)


def test_only_our_own_mark_makes_a_group_ours() -> None:
    ours = {"cloudsync:managed": "true", "cloudsync:owner": "acme", "cloudsync:class": "c1", "cloudsync:shard": "2"}

    def group(tags: dict[str, str]) -> Any:
        raw = {"GroupId": "sg-1", "GroupName": "g", "VpcId": "vpc-1", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        return parse.group(raw, SCOPE, "acme").mark

    assert (group(ours).class_id, group(ours).shard) == ("c1", 2)
    assert group({**ours, "cloudsync:owner": "other"}) is None
    assert group({**ours, "cloudsync:managed": "yes"}) is None
    assert group({**ours, "cloudsync:shard": "x"}) is None
    assert group({key: value for key, value in ours.items() if key != "cloudsync:class"}) is None


ENI: dict[str, Any] = {
    "NetworkInterfaceId": "eni-1",
    "VpcId": "vpc-1",
    "InterfaceType": "interface",
    "RequesterManaged": False,
    "Attachment": {"InstanceId": "i-1", "DeviceIndex": 0},
    "Groups": [{"GroupId": "sg-2"}, {"GroupId": "sg-1"}],
    "PrivateIpAddress": "10.0.0.4",
    "PrivateIpAddresses": [
        {"PrivateIpAddress": "10.0.0.4", "Association": {"PublicIp": "198.51.100.7"}},
        {"PrivateIpAddress": "10.0.0.5", "Association": {"PublicIp": "198.51.100.8"}},
    ],
    "Ipv6Addresses": [{"Ipv6Address": "2001:db8::4"}],
    "Ipv4Prefixes": [{"Ipv4Prefix": "10.0.1.0/28"}],
}


def instance(state: str = "running", **more: Any) -> parse.Instance:
    raw = {"InstanceId": "i-1", "VpcId": "vpc-1", "State": {"Name": state}, "NetworkInterfaces": [ENI], **more}
    return parse.instance(raw)


def test_an_interface_has_all_its_addresses() -> None:
    eni = parse.eni(ENI, SCOPE, {"i-1": instance()})
    assert eni.private == AddressSet.of("10.0.0.4", "10.0.0.5", "2001:db8::4", "10.0.1.0/28")
    assert eni.public == AddressSet.of("198.51.100.7", "198.51.100.8")
    assert eni.groups == ("sg-1", "sg-2")
    assert (eni.skipped, eni.point) == ("", f"{SCOPE}/eni-1")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"RequesterManaged": True, "Description": "ELB app/x"}, "ELB app/x"),
        ({"InterfaceType": "lambda"}, "lambda"),
        ({"InterfaceType": "branch"}, "branch"),
        ({"Attachment": None}, "no instance"),
        ({"Attachment": {"InstanceId": "i-9"}}, "i-9 is not in the inventory"),
        ({"Groups": []}, "no security group"),
    ],
)
def test_interfaces_that_are_not_ours_to_manage_are_skipped_with_the_reason(change: dict[str, Any], why: str) -> None:
    assert why in parse.eni({**ENI, **change}, SCOPE, {"i-1": instance()}).skipped


@pytest.mark.parametrize(
    ("state", "kept"),
    [("running", True), ("stopped", True), ("stopping", True), ("pending", True), ("shutting-down", False), ("terminated", False)],
)
def test_stopped_machines_are_workloads_and_terminated_ones_are_none(state: str, kept: bool) -> None:
    one = instance(state)
    assert one.alive is kept
    assert (parse.eni(ENI, SCOPE, {"i-1": one}).skipped == "") is kept


def test_a_vpc_outside_the_settings_is_seen_but_not_managed() -> None:
    assert "not in the settings" in parse.eni(ENI, SCOPE, {"i-1": instance()}, ["vpc-2"]).skipped


def test_a_workload_has_the_interfaces_of_both_reads() -> None:
    second = {**ENI, "NetworkInterfaceId": "eni-2", "Attachment": {"InstanceId": "i-1", "DeviceIndex": 1}}
    holder = instance(NetworkInterfaces=[second, ENI], Tags=[{"Key": "Name", "Value": "web-1"}])
    third = {**ENI, "NetworkInterfaceId": "eni-3", "PrivateIpAddress": "10.0.0.9", "PrivateIpAddresses": [], "Ipv4Prefixes": []}
    known = {"i-1": holder}
    found = parse.found(holder, "111122223333", SCOPE, [parse.eni(ENI, SCOPE, known), parse.eni(third, SCOPE, known)])
    assert found.name == "web-1"
    assert [(one.ref, one.point is not None) for one in found.interfaces] == [("eni-1", True), ("eni-2", False), ("eni-3", True)]
    assert "does not show it yet" in found.interfaces[1].skipped
    assert ip_address("10.0.0.9") in found.interfaces[2].addresses


def test_a_workload_without_a_name_goes_by_its_id() -> None:
    assert instance().name == "i-1"
    assert instance(Tags=[{"Key": "Name", "Value": ""}]).name == "i-1"


@pytest.mark.parametrize(
    ("code", "region", "pairs"), [("active", "us-east-1", 2), ("pending-acceptance", "us-east-1", 0), ("active", "eu-west-1", 0)]
)
def test_only_active_peerings_within_the_region_carry_references(code: str, region: str, pairs: int) -> None:
    raw = {
        "Status": {"Code": code},
        "RequesterVpcInfo": {"VpcId": "vpc-1", "Region": "us-east-1"},
        "AccepterVpcInfo": {"VpcId": "vpc-2", "Region": region},
    }
    assert len(parse.peerings([raw], "us-east-1")) == pairs


def test_a_vpc_knows_its_ipv6_blocks_that_are_there_now() -> None:
    def vpc(state: str) -> Any:
        six = [{"Ipv6CidrBlock": "2001:DB8::/56", "Ipv6CidrBlockState": {"State": state}}]
        return parse.vpc({"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16", "IsDefault": True, "Ipv6CidrBlockAssociationSet": six}, SCOPE)

    assert (vpc("associated").ipv6, vpc("associated").cidrs) == (True, ("10.0.0.0/16", "2001:db8::/56"))
    assert (vpc("disassociated").ipv6, vpc("disassociated").is_default) == (False, True)


def test_a_customers_list_weighs_its_maximum_and_aws_own_what_the_table_says() -> None:
    raw = {
        "PrefixListId": "pl-1",
        "AddressFamily": "IPv6",
        "PrefixListName": "l",
        "MaxEntries": 20,
        "Version": 3,
        "State": "create-complete",
    }
    one = parse.prefix_list(raw, [{"Cidr": "2001:DB8::/32", "Description": "d"}], SCOPE, "acme")
    assert (one.weight, one.version, dict(one.entries), one.aws) == (20, 3, {"2001:db8::/32": "d"}, False)
    s3 = {"PrefixListId": "pl-2", "AddressFamily": "IPv4", "PrefixListName": "com.amazonaws.us-east-1.s3", "OwnerId": "AWS"}
    assert parse.prefix_list(s3, [{"Cidr": f"198.51.{n}.0/24"} for n in range(9)], SCOPE, "acme").weight == 1
    with pytest.raises(parse.ParseError):
        parse.prefix_list({**raw, "AddressFamily": "IPv9"}, [], SCOPE, "acme")
