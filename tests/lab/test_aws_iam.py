"""Row 41: a caller with policies is held to actions, resources and conditions; moto looks at action names only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cloudsync.lab.pytest_plugin import Cloud, cloud_of, tcp
from cloudsync.lab.server import Lab

TAGGED = [{"ResourceType": "security-group", "Tags": [{"Key": "managed", "Value": "yes"}]}]
GROUPS = "arn:aws:ec2:us-east-1:111122223333:security-group/*"
ROLE: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": "ec2:CreateSecurityGroup",
            "Resource": GROUPS,
            "Condition": {"StringEquals": {"aws:RequestTag/managed": "yes"}},
        },
        {"Effect": "Allow", "Action": "ec2:CreateSecurityGroup", "Resource": "arn:aws:ec2:*:*:vpc/*"},
        {
            "Effect": "Allow",
            "Action": "ec2:CreateTags",
            "Resource": GROUPS,
            "Condition": {"StringEquals": {"ec2:CreateAction": ["CreateSecurityGroup"]}},
        },
        {
            "Effect": "Allow",
            "Action": ["ec2:AuthorizeSecurityGroup*", "ec2:DeleteSecurityGroup"],
            "Resource": [GROUPS],
            "Condition": {"StringEquals": {"aws:ResourceTag/managed": "yes"}},
        },
        {"Effect": "Deny", "Action": "ec2:DeleteSecurityGroup", "Resource": "*"},
    ],
}


@pytest.fixture
def bound(aws_lab: Lab) -> Cloud:
    admin = cloud_of(aws_lab)
    iam = admin.client("iam")
    iam.create_role(RoleName="bound", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}))
    iam.put_role_policy(RoleName="bound", PolicyName="bound", PolicyDocument=json.dumps(ROLE))
    role = "arn:aws:iam::111122223333:role/bound"
    keys = admin.client("sts").assume_role(RoleArn=role, RoleSessionName="x")["Credentials"]
    return Cloud(aws_lab.endpoint, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])


def test_conditions_on_tags_decide(cloud: Cloud, bound: Cloud) -> None:
    vpc = cloud.vpc()
    create = bound.ec2.create_security_group
    assert bound.code(create, GroupName="a", Description="a", VpcId=vpc) == "UnauthorizedOperation"
    made = create(GroupName="a", Description="a", VpcId=vpc, TagSpecifications=TAGGED)["GroupId"]
    foreign = cloud.group(vpc, "foreign")
    rules = [tcp(22, v4=("10.0.0.0/8",))]
    authorize = bound.ec2.authorize_security_group_ingress
    assert bound.code(authorize, GroupId=made, IpPermissions=rules) == "ok"
    assert bound.code(authorize, GroupId=foreign, IpPermissions=rules) == "UnauthorizedOperation"
    assert cloud.shown(foreign)["IpPermissions"] == []
    tag = [{"Key": "managed", "Value": "yes"}]
    assert bound.code(bound.ec2.create_tags, Resources=[foreign], Tags=tag) == "UnauthorizedOperation"


def test_a_deny_wins_and_a_dry_run_tells(cloud: Cloud, bound: Cloud) -> None:
    vpc = cloud.vpc()
    made = bound.ec2.create_security_group(GroupName="a", Description="a", VpcId=vpc, TagSpecifications=TAGGED)["GroupId"]
    assert bound.code(bound.ec2.delete_security_group, GroupId=made) == "UnauthorizedOperation"
    assert bound.code(bound.ec2.delete_security_group, GroupId=made, DryRun=True) == "UnauthorizedOperation"
    permissions = [tcp(22, v4=("10.0.0.0/8",))]
    dry = bound.code(bound.ec2.authorize_security_group_ingress, GroupId=made, IpPermissions=permissions, DryRun=True)
    assert dry == "DryRunOperation"
    assert bound.code(bound.ec2.describe_instances) == "ok"
    assert bound.code(bound.ec2.terminate_instances, InstanceIds=["i-0123456789abcdef0"]) == "UnauthorizedOperation"
