"""What EC2 can say, how much of it, how fast, and which right each call needs: data beside the code that uses it.

Sources: the EC2 user guide (quotas, request throttling, prefix list weights) and the service authorization reference.
"""

from __future__ import annotations

import re

from cloudsync.adapter import Capabilities, Permission
from cloudsync.model.bucket import Bucket

CAPABILITIES = Capabilities(
    platform="aws",
    denies=False,
    egress=True,
    icmp_types=True,
    processes=False,
    rule_logging=False,
    always_open=(
        "the VPC's DNS resolver: security groups do not filter it",
        "the instance metadata service: no security group is known to filter it",
    ),
    woven=True,
)


READ_BUCKET = Bucket(100, 20)
MUTATING_BUCKET = Bucket(50, 5)
OTHER_SERVICE_BUCKET = Bucket(10, 5)
"""Service Quotas and STS publish no figure; this is ours and modest."""

BUCKETS: dict[str, Bucket] = {
    "DescribeSecurityGroupReferences": Bucket(20, 5),
    "DescribeStaleSecurityGroups": Bucket(20, 5),
    "ModifyNetworkInterfaceAttribute": Bucket(100, 5),
    "CreateTags": Bucket(100, 10),
    "DeleteTags": Bucket(100, 10),
    "GetServiceQuota": OTHER_SERVICE_BUCKET,
    "GetCallerIdentity": OTHER_SERVICE_BUCKET,
    "AssumeRole": OTHER_SERVICE_BUCKET,
    "LookupEvents": Bucket(2, 2),
}


def bucket(action: str) -> Bucket:
    """Return EC2's token bucket of one API action (each action of one account and Region has its own)."""
    known = BUCKETS.get(action)
    if known is not None:
        return known
    return READ_BUCKET if action.startswith(("Describe", "Get")) else MUTATING_BUCKET


PAGE_SIZE: dict[str, int] = {
    "DescribeSecurityGroups": 1000,
    "DescribeNetworkInterfaces": 1000,
    "DescribeInstances": 1000,
    "DescribeVpcs": 1000,
    "DescribeVpcPeeringConnections": 1000,
    "DescribeSecurityGroupRules": 1000,
    "DescribeManagedPrefixLists": 100,
    "GetManagedPrefixListEntries": 100,
}
"""`MaxResults` of each paged call: the most EC2 takes."""

PAGES_MAX = 10_000
"""Pages of one read before it counts as endless: ten million objects."""

FILTER_VALUES_MAX = 200
"""Values that one filter may carry."""

QUOTA_CODES: dict[str, str] = {
    "rules_per_group": "L-0EA8095F",
    "groups_per_eni": "L-2AFB9258",
    "groups_per_region": "L-E79EC296",
}
"""Field of `Quotas` -> code in Service Quotas (service `vpc`)."""

_AWS_LIST_WEIGHTS: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(r"\.(s3|dynamodb)$"), 1),
    (re.compile(r"\.vpc-lattice$"), 10),
    (re.compile(r"\.cloudfront\.origin-facing$"), 55),
    (re.compile(r"\.groundstation$"), 5),
)


def aws_list_weight(name: str, entries: int) -> int:
    """Return how many rules a list of AWS's own counts as: the published figure, for lists not in the table their number of entries."""
    return next((weight for pattern, weight in _AWS_LIST_WEIGHTS if pattern.search(name)), max(1, entries))


# --- calls and rights ------------------------------------------------------------------------------------------------

PERMISSIONS: tuple[Permission, ...] = (
    Permission("ec2:DescribeVpcs", "IPv6 blocks, and how revokes answer in a default VPC"),
    Permission("ec2:DescribeInstances", "workloads, their tags and addresses"),
    Permission("ec2:DescribeNetworkInterfaces", "which groups each interface really carries"),
    Permission("ec2:DescribeSecurityGroups", "the rules of our groups and of all others"),
    Permission("ec2:DescribeSecurityGroupRules", "the ids of the rules that a drift report blames"),
    Permission("ec2:DescribeManagedPrefixLists", "prefix lists that rules refer to, and our own"),
    Permission("ec2:GetManagedPrefixListEntries", "the addresses in those lists"),
    Permission("ec2:DescribeVpcPeeringConnections", "across which VPCs a group may be referred to"),
    Permission("servicequotas:GetServiceQuota", "the limits of this account, so that a plan never runs into one"),
    Permission("cloudtrail:LookupEvents", "who made a rule that a report blames; without it reports do not say"),
    Permission("ec2:CreateSecurityGroup", "one group per class and VPC", write=True),
    Permission("ec2:CreateTags", "the ownership mark, in the very call that creates an object", write=True),
    Permission("ec2:AuthorizeSecurityGroupIngress", "add inbound rules to our groups", write=True),
    Permission("ec2:AuthorizeSecurityGroupEgress", "add outbound rules to our groups", write=True),
    Permission("ec2:RevokeSecurityGroupIngress", "take inbound rules from our groups", write=True),
    Permission("ec2:RevokeSecurityGroupEgress", "take outbound rules from our groups, the default one of a new group too", write=True),
    Permission("ec2:UpdateSecurityGroupRuleDescriptionsIngress", "keep the policy rule's name on each inbound rule", write=True),
    Permission("ec2:UpdateSecurityGroupRuleDescriptionsEgress", "keep the policy rule's name on each outbound rule", write=True),
    Permission("ec2:DeleteSecurityGroup", "remove our groups that nothing uses any more", write=True),
    Permission("ec2:ModifyNetworkInterfaceAttribute", "attach and detach groups", write=True),
    Permission("ec2:CreateManagedPrefixList", "IP lists that several groups share", write=True),
    Permission("ec2:ModifyManagedPrefixList", "change such a list in one versioned call", write=True),
    Permission("ec2:DeleteManagedPrefixList", "remove our lists that nothing uses any more", write=True),
)
"""`sts:GetCallerIdentity` needs no grant. `ec2:CreateTags` is a right of creating calls; it is never called by itself."""

READ_CALLS: dict[str, str] = {
    "describe_vpcs": "DescribeVpcs",
    "describe_instances": "DescribeInstances",
    "describe_network_interfaces": "DescribeNetworkInterfaces",
    "describe_security_groups": "DescribeSecurityGroups",
    "describe_security_group_rules": "DescribeSecurityGroupRules",
    "describe_managed_prefix_lists": "DescribeManagedPrefixLists",
    "get_managed_prefix_list_entries": "GetManagedPrefixListEntries",
    "describe_vpc_peering_connections": "DescribeVpcPeeringConnections",
    "get_service_quota": "GetServiceQuota",
    "get_caller_identity": "GetCallerIdentity",
    "lookup_events": "LookupEvents",
}
"""Method of the SDK -> API action: every call that only reads."""

WRITE_CALLS: dict[str, str] = {
    "create_security_group": "CreateSecurityGroup",
    "authorize_security_group_ingress": "AuthorizeSecurityGroupIngress",
    "authorize_security_group_egress": "AuthorizeSecurityGroupEgress",
    "revoke_security_group_ingress": "RevokeSecurityGroupIngress",
    "revoke_security_group_egress": "RevokeSecurityGroupEgress",
    "update_security_group_rule_descriptions_ingress": "UpdateSecurityGroupRuleDescriptionsIngress",
    "update_security_group_rule_descriptions_egress": "UpdateSecurityGroupRuleDescriptionsEgress",
    "delete_security_group": "DeleteSecurityGroup",
    "modify_network_interface_attribute": "ModifyNetworkInterfaceAttribute",
    "create_managed_prefix_list": "CreateManagedPrefixList",
    "modify_managed_prefix_list": "ModifyManagedPrefixList",
    "delete_managed_prefix_list": "DeleteManagedPrefixList",
}
"""Method of the SDK -> API action: every call that writes. A step that names another one is refused unsent."""

# --- what answers mean -----------------------------------------------------------------------------------------------

THROTTLED_CODES = frozenset({"RequestLimitExceeded", "Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException"})
"""EC2 says so before it applies anything."""

LOOK_CODES = frozenset(
    {
        "InvalidPermission.Duplicate",
        "InvalidPermission.NotFound",
        "InvalidGroup.Duplicate",
        "InvalidGroup.NotFound",
        "InvalidNetworkInterfaceID.NotFound",
        "InvalidPrefixListID.NotFound",
        "InvalidPrefixListId.NotFound",
        "PrefixListVersionMismatch",
    }
)
"""Refusals that may be the echo of a call that was applied after all, or of a read that lags: only a look can tell."""

AUTH_CODES = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""The credentials are wrong or no longer valid: trying again is of no use."""
