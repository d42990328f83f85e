"""Faults, buckets, the clock and the journal of the AWS lab."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError
from botocore.parsers import ResponseParserError

from cloudsync.lab.control import ControlError
from cloudsync.lab.pytest_plugin import Cloud, cloud_of, tcp
from cloudsync.lab.server import Lab

HTTPS = tcp(443, v4=("10.0.0.0/8",))


@pytest.fixture
def group(cloud: Cloud) -> str:
    return cloud.group(cloud.vpc())


def authorize(cloud: Cloud, group: str) -> Any:
    return cloud.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[HTTPS])


def is_in(cloud: Cloud, group: str) -> bool:
    return bool(cloud.shown(group)["IpPermissions"])


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("throttle", "RequestLimitExceeded"),
        ("unavailable", "Unavailable"),
        ("error500", "InternalError"),
        ("denied", "UnauthorizedOperation"),
        ("expired", "RequestExpired"),
        ("refused", "InvalidParameterValue"),
    ],
)
def test_a_refusal_before_the_call_changes_nothing(kind: str, code: str, aws_lab: Lab, cloud: Cloud, group: str) -> None:
    aws_lab.control.fault("AuthorizeSecurityGroupIngress", kind)
    with pytest.raises(ClientError) as caught:
        authorize(cloud, group)
    assert caught.value.response["Error"]["Code"] == code
    assert not is_in(cloud, group)
    authorize(cloud, group)
    assert is_in(cloud, group)


def test_a_reset_before_the_call_changes_nothing(aws_lab: Lab, cloud: Cloud, group: str) -> None:
    aws_lab.control.fault("AuthorizeSecurityGroupIngress", "reset_before")
    with pytest.raises(ConnectionClosedError):
        authorize(cloud, group)
    assert not is_in(cloud, group)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("lost", ClientError),
        ("reset_after", ConnectionClosedError),
        ("truncated", ResponseParserError),
        ("garbage", ResponseParserError),
        ("html", (ResponseParserError, ClientError)),
    ],
)
def test_a_call_whose_answer_is_lost_has_taken_effect(kind: str, error: Any, aws_lab: Lab, cloud: Cloud, group: str) -> None:
    aws_lab.control.fault("AuthorizeSecurityGroupIngress", kind)
    with pytest.raises(error):
        authorize(cloud, group)
    assert is_in(cloud, group)
    last = aws_lab.control.log()[-1]
    assert (last["action"], last["applied"], last["fault"]) == ("AuthorizeSecurityGroupIngress", True, kind)


def test_an_sdk_that_sends_again_makes_an_error_of_a_success(aws_lab: Lab, group: str) -> None:
    again = cloud_of(aws_lab)
    again.client("ec2", attempts=2)
    aws_lab.control.fault("AuthorizeSecurityGroupIngress", "lost")
    assert again.code(again.ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[HTTPS]) == "InvalidPermission.Duplicate"
    assert aws_lab.control.calls()["ec2:AuthorizeSecurityGroupIngress"] == 2


def test_a_late_call_takes_effect_after_its_client_gave_up(aws_lab: Lab, cloud: Cloud, group: str) -> None:
    aws_lab.control.fault("AuthorizeSecurityGroupIngress", "late", after=2)
    with pytest.raises(ConnectionClosedError):
        authorize(cloud, group)
    assert [is_in(cloud, group) for _ in range(3)] == [False, True, True]


def test_the_nth_call_and_how_often(aws_lab: Lab, cloud: Cloud) -> None:
    aws_lab.control.fault("DescribeVpcs", "throttle", nth=2, times=2)
    codes = [cloud.code(cloud.ec2.describe_vpcs) for _ in range(4)]
    assert codes == ["ok", "RequestLimitExceeded", "RequestLimitExceeded", "ok"]


def test_reads_allowed_and_writes_denied(aws_lab: Lab, cloud: Cloud, group: str) -> None:
    aws_lab.control.fault("@write", "denied", times=0)
    assert cloud.code(cloud.ec2.describe_security_groups) == "ok"
    assert cloud.code(cloud.ec2.delete_security_group, GroupId=group) == "UnauthorizedOperation"
    assert cloud.code(cloud.ec2.create_vpc, CidrBlock="10.9.0.0/16") == "UnauthorizedOperation"


def test_credentials_expire_on_a_page_and_stay_expired(aws_lab: Lab, cloud: Cloud) -> None:
    vpc = cloud.vpc()
    for number in range(12):
        cloud.group(vpc, f"g{number}")
    aws_lab.control.fault("DescribeSecurityGroups", "expired", page=2, times=0)
    first = cloud.ec2.describe_security_groups(MaxResults=5)
    assert cloud.code(cloud.ec2.describe_security_groups, MaxResults=5, NextToken=first["NextToken"]) == "RequestExpired"


def paged(cloud: Cloud, size: int = 5) -> tuple[list[str], int]:
    """The ids seen by a client that follows tokens without checking them, at most ten pages; and the pages."""
    seen: list[str] = []
    token: dict[str, str] = {}
    for page in range(1, 11):
        answer = cloud.ec2.describe_security_groups(MaxResults=size, **token)
        seen += [each["GroupId"] for each in answer["SecurityGroups"]]
        if "NextToken" not in answer:
            return seen, page
        token = {"NextToken": answer["NextToken"]}
    return seen, 10


def test_pages_get_lost_and_repeated(aws_lab: Lab, cloud: Cloud) -> None:
    vpc = cloud.vpc()
    for number in range(11):
        cloud.group(vpc, f"g{number}")
    whole, pages = paged(cloud)
    assert (len(whole), pages) == (13, 3)
    outcomes = {}
    for kind in ("page_lost", "token_lost", "page_repeated"):
        aws_lab.control.ask("faults", [{"action": "DescribeSecurityGroups", "kind": kind, "page": 2}])
        seen, pages = paged(cloud)
        outcomes[kind] = (len(seen), len(set(seen)), pages)
    assert outcomes == {"page_lost": (8, 8, 3), "token_lost": (10, 10, 2), "page_repeated": (13, 8, 3)}
    aws_lab.control.ask("faults", [{"action": "DescribeSecurityGroups", "kind": "token_repeated", "page": 2}])
    with pytest.raises(BotoCoreError, match="same next token"):
        list(cloud.ec2.get_paginator("describe_security_groups").paginate(PaginationConfig={"PageSize": 5}))


@pytest.mark.parametrize("kind", ["page_lost", "token_lost", "page_repeated", "token_repeated"])
def test_what_happens_to_pages_happens_to_no_answer_without_a_list(aws_lab: Lab, cloud: Cloud, kind: str) -> None:
    vpc = cloud.vpc()
    group = cloud.group(vpc)
    aws_lab.control.fault("*", kind, times=3)
    authorize(cloud, group)
    cloud.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[HTTPS])
    cloud.ec2.delete_security_group(GroupId=group)


def test_a_stale_read_is_one_write_old(aws_lab: Lab, cloud: Cloud, group: str) -> None:
    assert not is_in(cloud, group)
    aws_lab.control.fault("DescribeSecurityGroups", "stale", times=2)
    authorize(cloud, group)
    assert [is_in(cloud, group) for _ in range(3)] == [False, False, True]


def test_a_new_group_is_not_visible_at_once(aws_lab: Lab, cloud: Cloud) -> None:
    vpc = cloud.vpc()
    aws_lab.control.fault("CreateSecurityGroup", "hidden", reads=3)
    made = cloud.group(vpc)
    assert cloud.code(cloud.ec2.describe_security_groups, GroupIds=[made]) == "InvalidGroup.NotFound"
    found = cloud.ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"]
    assert [each["GroupName"] for each in found] == ["default"]
    assert cloud.code(cloud.ec2.authorize_security_group_ingress, GroupId=made, IpPermissions=[HTTPS]) == "InvalidGroup.NotFound"
    assert cloud.code(cloud.ec2.authorize_security_group_ingress, GroupId=made, IpPermissions=[HTTPS]) == "ok"


def test_somebody_edits_between_a_read_and_a_write(aws_lab: Lab, cloud: Cloud, group: str) -> None:
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    call = {"Action": "AuthorizeSecurityGroupIngress", "GroupId": group, "IpPermissions": [rule]}
    aws_lab.control.fault("AuthorizeSecurityGroupIngress", "edit", call=call)
    authorize(cloud, group)
    assert sorted(each["FromPort"] for each in cloud.rules(group)) == [22, 443]
    assert [each["by"] for each in aws_lab.control.log()][-2:] == ["client", "third party"]
    assert aws_lab.control.calls()["ec2:AuthorizeSecurityGroupIngress"] == 1


def test_another_identity(aws_lab: Lab, cloud: Cloud) -> None:
    aws_lab.control.fault("GetCallerIdentity", "identity", account="999999999999")
    sts = cloud.client("sts")
    assert [sts.get_caller_identity()["Account"] for _ in range(2)] == ["999999999999", aws_lab.state.account]


def test_a_quota_falls_in_the_middle(aws_lab: Lab, cloud: Cloud, group: str) -> None:
    aws_lab.control.fault("AuthorizeSecurityGroupIngress", "quota", nth=2, name="rules_per_group", value=1)
    authorize(cloud, group)
    more = [tcp(80, v4=("10.0.0.0/8",))]
    assert cloud.code(cloud.ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=more) == "RulesPerSecurityGroupLimitExceeded"


@pytest.mark.parametrize(("kind", "inside"), [("hold_before", 0), ("hold_after", 1)])
def test_a_call_is_held_until_its_client_is_gone(kind: str, inside: int, aws_lab: Lab, cloud: Cloud, group: str) -> None:
    aws_lab.control.fault("AuthorizeSecurityGroupIngress", kind)
    ended: list[str] = []

    def client() -> None:
        try:
            authorize(cloud_of(aws_lab), group)
        except ConnectionClosedError:
            ended.append("cut")

    thread = threading.Thread(target=client)
    thread.start()
    deadline = time.monotonic() + 20
    while not aws_lab.control.ask("held") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [each["action"] for each in aws_lab.control.ask("held")] == ["AuthorizeSecurityGroupIngress"]
    aws_lab.control.ask("release", {"drop": True})
    thread.join(20)
    assert ended == ["cut"]
    assert is_in(cloud, group) == bool(inside)


def test_buckets_run_on_the_labs_clock(aws_lab: Lab, cloud: Cloud, group: str) -> None:
    aws_lab.control.ask("clock", {"mode": "manual"})
    aws_lab.control.ask("buckets", {"enabled": True})
    wanted = {"GroupId": group, "IpPermissions": [HTTPS]}
    codes = [cloud.code(cloud.ec2.revoke_security_group_ingress, **wanted) for _ in range(52)]
    assert codes == ["InvalidPermission.NotFound"] * 50 + ["RequestLimitExceeded"] * 2
    assert cloud.code(cloud.ec2.revoke_security_group_egress, **wanted) == "InvalidPermission.NotFound", "each action has its own bucket"
    aws_lab.control.ask("clock", {"advance": 0.4})
    again = [cloud.code(cloud.ec2.revoke_security_group_ingress, **wanted) for _ in range(3)]
    assert again == ["InvalidPermission.NotFound"] * 2 + ["RequestLimitExceeded"]


def test_large_unpaged_reads_can_be_refused(aws_lab: Lab, cloud: Cloud) -> None:
    vpc = cloud.vpc()
    subnet = cloud.subnet(vpc)
    for _ in range(3):
        cloud.ec2.create_network_interface(SubnetId=subnet)
    aws_lab.control.ask("settings", {"unpaged_limit": 2})
    assert cloud.code(cloud.ec2.describe_network_interfaces) == "OperationNotPermitted"
    assert cloud.code(cloud.ec2.describe_network_interfaces, MaxResults=5) == "ok"
    aws_lab.control.ask("settings", {"unpaged_limit": None})


def test_of_racing_calls_one_wins(aws_lab: Lab, group: str) -> None:
    outcomes: list[str] = []

    def racer() -> None:
        one = cloud_of(aws_lab)
        outcomes.append(one.code(one.ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[HTTPS]))

    threads = [threading.Thread(target=racer) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["InvalidPermission.Duplicate"] * 5 + ["ok"]


def test_requests_that_are_not_ec2s_are_refused_in_its_format(aws_lab: Lab) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    asked = urllib.request.Request(aws_lab.endpoint, data=b"Action=MakeCoffee&Version=2016-11-15")
    with pytest.raises(urllib.error.HTTPError) as caught:
        opener.open(asked, timeout=20)
    with caught.value as answer:
        assert (answer.status, b"<Code>InvalidAction</Code>" in answer.read()) == (400, True)
    with opener.open(f"{aws_lab.endpoint}/?Action=DescribeVpcs&Version=2016-11-15", timeout=20) as unsigned:
        assert b"172.31.0.0/16" in unsigned.read()


def test_dry_run_tells_and_does_nothing(cloud: Cloud, group: str) -> None:
    with pytest.raises(ClientError) as caught:
        cloud.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[HTTPS], DryRun=True)
    assert caught.value.response["Error"]["Code"] == "DryRunOperation"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert not is_in(cloud, group)


def test_the_journal_holds_writes_with_the_marks_of_their_targets(aws_lab: Lab, cloud: Cloud) -> None:
    tags = [{"ResourceType": "security-group", "Tags": [{"Key": "owner", "Value": "me"}]}]
    made = cloud.ec2.create_security_group(GroupName="x", Description="x", VpcId=cloud.vpc(), TagSpecifications=tags)["GroupId"]
    authorize(cloud, made)
    cloud.code(cloud.ec2.delete_security_group, GroupId="sg-0123456789abcdef0")
    found = aws_lab.control.log()
    assert [each["action"] for each in found] == [
        "CreateVpc",
        "CreateSecurityGroup",
        "AuthorizeSecurityGroupIngress",
        "DeleteSecurityGroup",
    ]
    assert found[2]["targets"] == {made: {"owner": "me"}}
    assert found[2]["params"]["IpPermissions.1.FromPort"] == "443"
    assert [(each["applied"], each["code"]) for each in found[2:]] == [(True, None), (False, "InvalidGroup.NotFound")]
    assert [each["sequence"] for each in found] == sorted(each["sequence"] for each in found)


def test_control_says_what_it_does_not_know(aws_lab: Lab) -> None:
    with pytest.raises(ControlError, match="unknown kind of fault 'sloth'"):
        aws_lab.control.fault("DescribeVpcs", "sloth")
    with pytest.raises(ControlError, match="no control verb 'magic'"):
        aws_lab.control.ask("magic")
    with pytest.raises(ControlError, match="no estate 'huge'"):
        aws_lab.control.reset(estate="huge")
