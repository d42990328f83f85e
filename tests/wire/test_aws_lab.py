"""The AWS adapter against the lab: an estate that really pages, lags, forgets answers and belongs to several accounts and Regions."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import pytest

from cloudsync.adapter import Effect, Seen, Snapshot, Status, Step, TargetSettings
from cloudsync.lab.pytest_plugin import Cloud, aws_lab, aws_lab_server, cloud_of
from cloudsync.lab.server import Lab
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync_aws.adapter import AwsAdapter
from cloudsync_aws.limits import WRITE_CALLS
from cloudsync_aws.table import Mark

__all__ = ["aws_lab", "aws_lab_server"]

TAGS = [{"Key": key, "Value": value} for key, value in Mark("acme", "c1").tags]
HTTPS = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}


@dataclass
class Shortened:
    """The real clock, with sleeps cut out: the lab's own clock does not matter here."""

    slept: float = 0.0

    def now(self) -> float:
        return time.time()  # noqa: TID251  a clock of the tests' own

    def monotonic(self) -> float:
        return time.monotonic() + self.slept

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


Open = Callable[..., AwsAdapter]


@pytest.fixture
def opened(aws_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Open:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", aws_lab.state.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", aws_lab.state.secret_access_key)

    def build(**options: Any) -> AwsAdapter:
        kept = {"account": aws_lab.state.account, "regions": [aws_lab.state.region], **options}
        target = TargetSettings("aws-prod", "aws", TargetMode.EXCLUSIVE, kept, Where("cloudsync.yaml"), aws_lab.endpoint)
        return AwsAdapter(target, "acme", Shortened())

    return build


@dataclass(frozen=True)
class Estate:
    """One VPC with an instance in a group of somebody's, and a group of ours."""

    cloud: Cloud
    vpc: str
    theirs: str
    ours: str
    instance: str
    eni: str


@pytest.fixture
def estate(aws_lab: Lab) -> Estate:
    cloud = cloud_of(aws_lab)
    vpc = cloud.vpc()
    theirs = cloud.group(vpc, "theirs")
    spec = [{"ResourceType": "security-group", "Tags": TAGS}]
    ours = cloud.ec2.create_security_group(GroupName="cs-acme-c1", Description="d", VpcId=vpc, TagSpecifications=spec)["GroupId"]
    nic = [{"DeviceIndex": 0, "SubnetId": cloud.subnet(vpc), "Groups": [theirs]}]
    made = cloud.ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, NetworkInterfaces=nic)["Instances"][0]
    return Estate(cloud, vpc, theirs, ours, made["InstanceId"], made["NetworkInterfaces"][0]["NetworkInterfaceId"])


def step(lab: Lab, call: str, made: str = "x", **arguments: Any) -> Step:
    scope = f"{lab.state.account}/{lab.state.region}"
    return Step(f"k/{call}", WRITE_CALLS[call], scope, made, call, Effect.NONE, json.dumps({"call": call, "args": arguments}))


def whys(snapshot: Snapshot) -> list[str]:
    return [scope.why for scope in snapshot.scopes]


def test_a_read_shows_the_estate_as_it_is(estate: Estate, opened: Open) -> None:
    snapshot = opened().read()
    assert snapshot.complete
    (found,) = snapshot.discovery.workloads
    (interface,) = found.interfaces
    assert (found.ref, interface.ref, interface.network) == (estate.instance, estate.eni, estate.vpc)
    assert snapshot.table.enis[estate.eni].groups == (estate.theirs,)
    assert snapshot.table.groups[estate.ours].mark == Mark("acme", "c1")
    assert snapshot.table.groups[estate.theirs].mark is None
    assert opened().read().digest == snapshot.digest


def test_the_small_estate_reads_whole_and_skips_what_belongs_to_services(aws_lab: Lab, opened: Open) -> None:
    aws_lab.control.reset(estate="small", seed=1)
    snapshot = opened().read()
    assert snapshot.complete
    points = {point.id: point for point in opened().points(snapshot.table)}
    assert len(points) == len(snapshot.table.enis)
    assert sum(1 for point in points.values() if "AWS service" in point.skipped) >= 2
    enforced = {interface.point for found in snapshot.discovery.workloads for interface in found.interfaces if interface.point}
    assert enforced == {identity for identity, point in points.items() if not point.skipped}
    assert len(snapshot.discovery.workloads) >= 35


def test_pages_are_followed_to_the_end(aws_lab: Lab, estate: Estate, opened: Open) -> None:
    entries = [{"Cidr": f"10.9.{number}.0/24"} for number in range(150)]
    made = estate.cloud.ec2.create_managed_prefix_list(
        PrefixListName="long",
        AddressFamily="IPv4",
        MaxEntries=150,
        Entries=entries[:100],
        TagSpecifications=[{"ResourceType": "prefix-list", "Tags": TAGS}],
    )["PrefixList"]
    estate.cloud.settle(made["PrefixListId"])
    estate.cloud.ec2.modify_managed_prefix_list(PrefixListId=made["PrefixListId"], CurrentVersion=1, AddEntries=entries[100:])
    estate.cloud.settle(made["PrefixListId"])
    aws_lab.control.calls(clear=True)
    table = opened().read().table
    assert len(table.lists[made["PrefixListId"]].entries) == 150
    assert aws_lab.control.calls()["ec2:GetManagedPrefixListEntries"] == 2
    aws_lab.control.fault("GetManagedPrefixListEntries", "expired", page=2, times=0)
    assert "RequestExpired" in whys(opened().read())[0]


@pytest.mark.parametrize("kind", ["expired", "denied", "garbage", "html", "truncated", "error500", "reset_before"])
def test_a_page_that_fails_for_good_leaves_the_region_incomplete(kind: str, aws_lab: Lab, estate: Estate, opened: Open) -> None:
    aws_lab.control.fault("DescribeSecurityGroups", kind, times=0)
    snapshot = opened().read()
    assert whys(snapshot)[0] != ""
    assert not snapshot.table.groups


@pytest.mark.parametrize("kind", ["throttle", "error500", "reset_before", "lost", "truncated"])
def test_a_read_that_fails_once_is_read_again(kind: str, aws_lab: Lab, estate: Estate, opened: Open) -> None:
    aws_lab.control.fault("DescribeNetworkInterfaces", kind, times=1)
    assert opened().read().complete


def test_one_region_fails_and_the_other_does_not(aws_lab: Lab, estate: Estate, opened: Open) -> None:
    aws_lab.control.fault("DescribeInstances", "denied", region="eu-west-1", times=0)
    snapshot = opened(regions=[aws_lab.state.region, "eu-west-1"]).read()
    assert whys(snapshot)[0] == ""
    assert "UnauthorizedOperation" in whys(snapshot)[1]
    assert estate.eni in snapshot.table.enis


def test_a_role_is_assumed_into_another_account(aws_lab: Lab, opened: Open) -> None:
    other = aws_lab.state.accounts[1]
    adapter = opened(account=other.account, role_arn=other.role_arn, external_id="e1")
    assert adapter.identify().account == other.account
    assert "assumed-role" in adapter.identify().principal
    assert adapter.read().complete


def test_credentials_of_another_account_are_told(aws_lab: Lab, opened: Open) -> None:
    adapter = opened(account="999999999999")
    assert adapter.identify().account == aws_lab.state.account != adapter.expected_account()


def writes_of(estate: Estate) -> dict[str, dict[str, Any]]:
    """One write of each kind that would succeed, in an order in which all of them do."""
    return {
        "authorize_security_group_ingress": {"GroupId": estate.ours, "IpPermissions": [HTTPS]},
        "update_security_group_rule_descriptions_ingress": {"GroupId": estate.ours, "IpPermissions": [HTTPS]},
        "revoke_security_group_ingress": {"GroupId": estate.ours, "IpPermissions": [HTTPS]},
        "authorize_security_group_egress": {"GroupId": estate.ours, "IpPermissions": [HTTPS]},
        "update_security_group_rule_descriptions_egress": {"GroupId": estate.ours, "IpPermissions": [HTTPS]},
        "revoke_security_group_egress": {"GroupId": estate.ours, "IpPermissions": [HTTPS]},
        "modify_network_interface_attribute": {"NetworkInterfaceId": estate.eni, "Groups": [estate.ours, estate.theirs]},
        "create_security_group": {
            "GroupName": "cs-acme-c2",
            "Description": "d",
            "VpcId": estate.vpc,
            "TagSpecifications": marked("c2"),
        },
        "create_managed_prefix_list": {
            "PrefixListName": "cs-acme-list",
            "AddressFamily": "IPv4",
            "MaxEntries": 2,
            "TagSpecifications": [{"ResourceType": "prefix-list", "Tags": TAGS}],
        },
    }


@pytest.mark.parametrize("kind", ["lost", "truncated", "reset_before"])
def test_a_write_whose_answer_is_lost_is_unknown_and_a_look_tells(kind: str, aws_lab: Lab, estate: Estate, opened: Open) -> None:
    adapter = opened()
    applied = kind != "reset_before"
    for call, arguments in writes_of(estate).items():
        one = step(aws_lab, call, **arguments)
        before = adapter.read().table
        aws_lab.control.calls(clear=True)
        aws_lab.control.fault(one.action, kind)
        outcome = adapter.write(one, {})
        assert outcome.status is Status.UNKNOWN, call
        assert {name: count for name, count in aws_lab.control.calls().items() if "Describe" not in name} == {f"ec2:{one.action}": 1}, call
        if call.startswith("update_"):
            continue  # the description says the same before and after
        after = adapter.refresh(before, [one], {})
        assert adapter.seen(after, one, {}) is (Seen.YES if applied else Seen.NO), call
        if not applied:
            assert adapter.write(one, {}).status is Status.DONE, call


def test_a_write_is_one_call_and_a_refresh_shows_it(aws_lab: Lab, estate: Estate, opened: Open) -> None:
    adapter = opened()
    table = adapter.read().table
    for call, arguments in writes_of(estate).items():
        one = step(aws_lab, call, **arguments)
        aws_lab.control.calls(clear=True)
        outcome = adapter.write(one, {})
        assert outcome.status is Status.DONE, call
        assert aws_lab.control.calls() == {f"ec2:{one.action}": 1}
        assert bool(outcome.created) is call.startswith("create_")
        table = adapter.refresh(table, [one], dict(outcome.created))
        assert adapter.seen(table, one, dict(outcome.created)) is Seen.YES, call
    assert {one.id: one for one in adapter.read().table.groups.values()} == dict(table.groups)
    assert adapter.read().table.enis == table.enis


def test_rules_are_named_by_the_platforms_own_ids(estate: Estate, opened: Open) -> None:
    estate.cloud.ingress(estate.theirs, HTTPS)
    adapter = opened()
    table = adapter.read().table
    blamed = [entry for entry in adapter.entries(table) if entry.direction == "inbound"]
    numbers = adapter.rule_ids(table, blamed)
    (shown,) = estate.cloud.rules(estate.theirs)
    assert [numbers[entry.object, entry.native] for entry in blamed] == [shown["SecurityGroupRuleId"]]


def test_a_new_group_that_no_read_shows_yet_is_not_seen_and_nothing_fails(aws_lab: Lab, estate: Estate, opened: Open) -> None:
    adapter = opened()
    table = adapter.read().table
    one = step(aws_lab, "create_security_group", **writes_of(estate)["create_security_group"] | {"TagSpecifications": marked("c9")})
    aws_lab.control.fault("CreateSecurityGroup", "hidden", reads=2)
    created = dict(adapter.write(one, {}).created)
    first = adapter.refresh(table, [one], created)
    assert adapter.seen(first, one, created) is Seen.NO
    for _ in range(3):
        first = adapter.refresh(first, [one], created)
    assert adapter.seen(first, one, created) is Seen.YES


def marked(class_id: str) -> list[dict[str, Any]]:
    tags = [{"Key": key, "Value": value} for key, value in Mark("acme", class_id).tags]
    return [{"ResourceType": "security-group", "Tags": tags}]


def test_a_stale_read_after_a_write_shows_the_old_state_and_then_the_new(aws_lab: Lab, estate: Estate, opened: Open) -> None:
    adapter = opened()
    table = adapter.read().table
    one = step(aws_lab, "authorize_security_group_ingress", GroupId=estate.ours, IpPermissions=[HTTPS])
    aws_lab.control.fault("DescribeSecurityGroups", "stale", times=1)
    adapter.read()
    assert adapter.write(one, {}).status is Status.DONE
    shown = [adapter.seen(adapter.refresh(table, [one], {}), one, {}) for _ in range(3)]
    assert shown[-1] is Seen.YES


def test_a_throttled_write_has_failed_and_says_so(aws_lab: Lab, estate: Estate, opened: Open) -> None:
    aws_lab.control.fault("AuthorizeSecurityGroupIngress", "throttle")
    outcome = opened().write(step(aws_lab, "authorize_security_group_ingress", GroupId=estate.ours, IpPermissions=[HTTPS]), {})
    assert (outcome.status, outcome.code, outcome.throttled) == (Status.FAILED, "RequestLimitExceeded", True)
    assert not estate.cloud.rules(estate.ours)


def test_a_denied_write_has_failed(aws_lab: Lab, estate: Estate, opened: Open) -> None:
    aws_lab.control.fault("DeleteSecurityGroup", "denied")
    outcome = opened().write(step(aws_lab, "delete_security_group", GroupId=estate.ours), {})
    assert (outcome.status, outcome.code) == (Status.FAILED, "UnauthorizedOperation")


def test_a_revoke_in_a_default_vpc_that_finds_nothing_is_unknown(aws_lab: Lab, opened: Open) -> None:
    cloud = cloud_of(aws_lab)
    group = cloud.group(cloud.default_vpc(), "in-default")
    outcome = opened().write(step(aws_lab, "revoke_security_group_ingress", GroupId=group, IpPermissions=[HTTPS]), {})
    assert (outcome.status, outcome.code) == (Status.UNKNOWN, "UnknownIpPermissions")


def test_an_interface_that_somebody_else_changed_is_shown_as_it_is(aws_lab: Lab, estate: Estate, opened: Open) -> None:
    adapter = opened()
    table = adapter.read().table
    other = estate.cloud.group(estate.vpc, "somebody")
    estate.cloud.ec2.modify_network_interface_attribute(NetworkInterfaceId=estate.eni, Groups=[other])
    one = step(aws_lab, "modify_network_interface_attribute", NetworkInterfaceId=estate.eni, Groups=[estate.ours, estate.theirs])
    after = adapter.refresh(table, [one], {})
    assert after.enis[estate.eni].groups == (other,)
    assert after.enis[estate.eni].skipped == ""


def test_a_terminated_instance_is_no_workload_and_a_stopped_one_is(estate: Estate, opened: Open) -> None:
    estate.cloud.ec2.stop_instances(InstanceIds=[estate.instance])
    assert [found.ref for found in opened().read().discovery.workloads] == [estate.instance]
    estate.cloud.ec2.terminate_instances(InstanceIds=[estate.instance])
    assert opened().read().discovery.workloads == ()


def test_every_address_of_an_instance_is_found(estate: Estate, opened: Open) -> None:
    allocated = estate.cloud.ec2.allocate_address(Domain="vpc")
    estate.cloud.ec2.associate_address(AllocationId=allocated["AllocationId"], NetworkInterfaceId=estate.eni)
    (found,) = opened().read().discovery.workloads
    assert ip_address(allocated["PublicIp"]) in found.interfaces[0].addresses


def test_quotas_come_from_the_account(aws_lab: Lab, opened: Open) -> None:
    aws_lab.control.ask("quotas", {"rules_per_group": 100})
    assert opened().read().table.quotas[f"{aws_lab.state.account}/{aws_lab.state.region}"].rules_per_group == 100


def test_doctor_asks_for_every_right_and_changes_nothing(aws_lab: Lab, estate: Estate, opened: Open) -> None:
    estate.cloud.ingress(estate.ours, HTTPS)
    before = opened().read().digest
    checks = {check.name.rpartition(": ")[2]: check for check in opened().doctor()}
    assert all(check.ok for check in checks.values()), checks
    assert {name for name in checks if name.startswith("ec2:")} == {f"ec2:{action}" for action in WRITE_CALLS.values()}
    assert checks["ec2:AuthorizeSecurityGroupIngress"].detail == "allowed"
    assert "not tried" in checks["ec2:DeleteSecurityGroup"].detail
    assert opened().read().digest == before


def test_doctor_names_what_is_missing(aws_lab: Lab, estate: Estate, opened: Open) -> None:
    aws_lab.control.fault("CreateSecurityGroup", "denied", times=0)
    checks = {check.name.rpartition(": ")[2]: check for check in opened().doctor()}
    assert not checks["ec2:CreateSecurityGroup"].ok
    assert "iam aws" in checks["ec2:CreateSecurityGroup"].hint
    aws_lab.control.fault("DescribeVpcs", "denied", times=0)
    assert not {check.name.rpartition(": ")[2]: check for check in opened().doctor()}["read"].ok


def test_doctor_stops_at_another_accounts_credentials(opened: Open) -> None:
    checks = opened(account="999999999999").doctor()
    assert [check.ok for check in checks] == [False, True]
