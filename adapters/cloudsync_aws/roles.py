"""The least-privilege IAM policy, generated from the permissions declared in `limits.py`. Pure.

Writes are held to objects that carry our owner tag and to the settings' account, Regions and VPCs. Patterns: "Example policies for working
with security groups" in the EC2 user guide, and the condition keys of the service authorization reference. Never tried against AWS itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cloudsync_aws.limits import PERMISSIONS
from cloudsync_aws.settings import AwsSettings
from cloudsync_aws.table import TAG_MANAGED, TAG_OWNER

_Statement = dict[str, Any]


def role(targets: Sequence[AwsSettings], *, owner: str, read_only: bool) -> str:
    """Return the IAM policy for these targets as JSON; the reading one is enough for plan, drift and observe."""
    writes = () if read_only else _writes(targets, owner)
    statements = [_read(), *(statement for statement in writes if statement["Action"])]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2) + "\n"


def partition(region: str) -> str:
    """Return the first part of every ARN in a Region."""
    return {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(region.rsplit("-", 2)[0], "aws")


def _read() -> _Statement:
    return {"Sid": "Read", "Effect": "Allow", "Resource": "*", "Action": [one.action for one in PERMISSIONS if not one.write]}


def _writes(targets: Sequence[AwsSettings], owner: str) -> Iterable[_Statement]:
    def arns(kind: str) -> list[str]:
        return _each(targets, lambda one, region: [f"arn:{partition(region)}:ec2:{region}:{one.account}:{kind}/*"])

    vpcs = _each(targets, _vpc_arns)
    creates = _actions("Create", "SecurityGroup")
    creates_list = _actions("Create", "ManagedPrefixList")
    tagged = {"StringEquals": {f"aws:RequestTag/{TAG_MANAGED}": "true", f"aws:RequestTag/{TAG_OWNER}": owner}}
    owned = {"StringEquals": {f"aws:ResourceTag/{TAG_OWNER}": owner}}
    rules = [*_actions("Authorize", ""), *_actions("Revoke", "")]
    descriptions = _actions("UpdateSecurityGroupRuleDescriptions", "")
    delete = _actions("Delete", "SecurityGroup")
    lists = [*_actions("Modify", "ManagedPrefixList"), *_actions("Delete", "ManagedPrefixList")]
    attach = _actions("ModifyNetworkInterfaceAttribute", "")
    making = sorted(name.removeprefix("ec2:") for name in (*creates, *creates_list, *rules) if not name.startswith("ec2:Revoke"))
    yield _allow("CreateTagged", creates, arns("security-group"), tagged)
    yield _allow("CreateInVpc", creates, vpcs)
    yield _allow("CreateListTagged", creates_list, arns("prefix-list"), tagged)
    yield _allow(
        "TagOnCreate",
        _actions("CreateTags", ""),
        [*arns("security-group"), *arns("security-group-rule"), *arns("prefix-list")],
        {"StringEquals": {"ec2:CreateAction": making}},
    )
    yield _allow("ManageOwned", [*rules, *descriptions, *delete], arns("security-group"), owned)
    yield _allow("Rules", rules, arns("security-group-rule"))
    yield _allow("ManageOwnedLists", lists, arns("prefix-list"), owned)
    yield _allow("AttachInterfaces", attach, arns("network-interface"), {"ArnLike": {"ec2:Vpc": vpcs}})
    yield _allow("AttachGroups", attach, arns("security-group"), {"ArnLike": {"ec2:Vpc": vpcs}})


def _actions(prefix: str, suffix: str) -> list[str]:
    return [one.action for one in PERMISSIONS if one.write and one.action.startswith(f"ec2:{prefix}") and one.action.endswith(suffix)]


def _allow(sid: str, actions: list[str], resources: list[str], condition: _Statement | None = None) -> _Statement:
    statement: _Statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return statement if condition is None else {**statement, "Condition": condition}


def _vpc_arns(one: AwsSettings, region: str) -> list[str]:
    start = f"arn:{partition(region)}:ec2:{region}:{one.account}:vpc/"
    return [f"{start}*"] if one.vpcs is None else [start + vpc for vpc in one.vpcs]


def _each(targets: Sequence[AwsSettings], of: Callable[[AwsSettings, str], list[str]]) -> list[str]:
    return sorted({arn for one in targets for region in one.regions for arn in of(one, region)})
