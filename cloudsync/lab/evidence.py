"""Why the lab behaves as it does: every behaviour with its evidence, and the share that is assumed.

`make evidence` prints the share per vendor; `python -m cloudsync.lab.evidence --table VENDOR` the table of its page in docs.
The list of AWS stands here, those of the other vendors beside their code.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from importlib import import_module


class Mark(Enum):
    """Where a behaviour is known from."""

    DOC = "doc"
    """The vendor's documentation or service model."""
    RECORDED = "rec"
    """An answer recorded from the real service."""
    MOTO = "mv"
    """A test of moto that its maintainers ran against the real service."""
    ISSUE = "issue"
    """A report by users or maintainers."""
    ASSUMED = "assumed"
    """Nobody has shown it to us."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One thing the lab does that moto does not."""

    row: str
    what: str
    mark: Mark


_D, _R, _M, _I, _A = Mark.DOC, Mark.RECORDED, Mark.MOTO, Mark.ISSUE, Mark.ASSUMED

BEHAVIOURS = (
    Behaviour("1", "host bits of a block are cleared; the canonical twin is a Duplicate", _D),
    Behaviour("2", "IPv6 text is compressed and lower case", _D),
    Behaviour("3", "Authorize adds all rules or none, with a duplicate and over the limit", _I),
    Behaviour("4", "Revoke removes all or none: InvalidPermission.NotFound", _D),
    Behaviour("4", "in a default VPC Revoke removes what matches and names the rest in UnknownIpPermissions", _D),
    Behaviour("4", "the text of InvalidPermission.NotFound", _A),
    Behaviour("5", "the same permission twice in a request: InvalidParameterValue", _I),
    Behaviour("6", "the text of InvalidPermission.Duplicate", _R),
    Behaviour("7", "a reference with another description is the same rule", _I),
    Behaviour("8", "the Authorize answer holds every rule added, with owner and ARN", _D),
    Behaviour("9", "descriptions of references and prefix lists are kept and shown", _D),
    Behaviour("10", "the Revoke answer holds RevokedSecurityGroupRules", _D),
    Behaviour("11", "empty IpPermissions: MissingParameter; a permission without source: InvalidParameterValue", _A),
    Behaviour("12", "tcp and udp need both ports", _M),
    Behaviour("12", "other protocols ignore ports; `all` is -1", _D),
    Behaviour("12", "an unknown filter is InvalidParameterValue; the filters moto lacks exist", _D),
    Behaviour("12", "a group is deleted by name in the default VPC", _D),
    Behaviour("13", "ICMP type -1 requires code -1", _D),
    Behaviour("13", "unknown protocols and impossible port ranges: InvalidParameterValue, and the texts", _A),
    Behaviour("14", "protocol 58 is shown as icmpv6", _A),
    Behaviour("15", "a block without or with a wrong length: `CIDR block ... is malformed`", _A),
    Behaviour("16", "group names and descriptions: length, character set, not sg-*, unique whatever the case", _D),
    Behaviour("16", "the text of the description error", _I),
    Behaviour("16", "the texts of the name errors and of InvalidGroup.Duplicate", _A),
    Behaviour("17", "rule descriptions: length, character set, text", _I),
    Behaviour("18", "unknown VpcId, wrong tag ResourceType, reserved `aws:` keys", _A),
    Behaviour("18", "text with a character that XML cannot carry: InvalidParameterValue", _A),
    Behaviour("19", "a reference into a VPC that is not peered: InvalidGroup.NotFound, and the text", _I),
    Behaviour("20", "a reference to another account's group over an active peering, shown with UserId", _D),
    Behaviour("20", "owner, VPC, connection and PeeringStatus in the pair", _R),
    Behaviour("21", "a rule with an unknown prefix list: InvalidPrefixListID.NotFound", _I),
    Behaviour("22", "a prefix list weighs MaxEntries, a vendor's list its table value", _D),
    Behaviour("22", "a prefix list weighs in its own family only (switchable to both)", _A),
    Behaviour("23", "four sums per group; a reference counts in both families", _D),
    Behaviour("24", "a group in use or referred to in its VPC: DependencyViolation", _D),
    Behaviour("24", "the default group: CannotDelete", _D),
    Behaviour("24", "a group referred to over a peering only can be deleted; the rule turns stale", _D),
    Behaviour("25", "the default group lets itself in", _R),
    Behaviour("26", "an interface's set: at least one group", _D),
    Behaviour("26", "over the quota: SecurityGroupsPerInterfaceLimitExceeded, and nothing changes", _I),
    Behaviour("26", "unknown groups and groups of other VPCs are refused; twins count once", _A),
    Behaviour("27", "the interface's set is the truth; an instance shows the set of its primary interface", _D),
    Behaviour("28", "ModifySecurityGroupRules: no twins, every kind of target, -1 without ports", _D),
    Behaviour("28", "the kind of target cannot change; one target exactly", _M),
    Behaviour("29", "descriptions by rule id work; an empty one removes", _D),
    Behaviour("29", "the description of a missing rule: InvalidPermission.NotFound", _A),
    Behaviour("30", "pages with MaxResults and opaque tokens for groups, rules, interfaces, instances, VPCs, peerings, lists", _D),
    Behaviour("30", "the code of a bad token", _A),
    Behaviour("31", "only unknown ids are named; malformed ids have their own code", _A),
    Behaviour("32", "a stale CurrentVersion: PrefixListVersionMismatch, and the text", _I),
    Behaviour("33", "over MaxEntries, wrong family, twins, absent entries are refused", _D),
    Behaviour("33", "the codes of these refusals", _A),
    Behaviour("33", "more than 100 changes; entries together with MaxEntries", _I),
    Behaviour("34", "a resize is checked in every referring group and may end modify-failed, MaxEntries as before", _D),
    Behaviour("35", "states are -in-progress first; a write meanwhile is IncorrectState", _I),
    Behaviour("35", "the state settles after one description of it (adjustable)", _A),
    Behaviour("35", "a list that rules name cannot be deleted", _A),
    Behaviour("36", "ClientToken makes CreateManagedPrefixList idempotent", _D),
    Behaviour("37", "stale groups, references, groups for a VPC, VPC associations, list associations, restore", _D),
    Behaviour("37", "Service Quotas; an increase is granted at once", _D),
    Behaviour("38", "a terminated instance has no interfaces: deleted, or available again", _D),
    Behaviour("39", "token buckets per API, account and Region; RequestLimitExceeded 503", _D),
    Behaviour("39", "a new resource is not visible for a while (fault `hidden`)", _I),
    Behaviour("39", "very large unpaginated reads are refused (off by default); the code", _A),
    Behaviour("40", "revoking ::/0 egress in a VPC without IPv6: InvalidPermission.NotFound", _D),
    Behaviour("41", "IAM: actions, ARNs, conditions on tags; UnauthorizedOperation 403", _D),
    Behaviour("41", "which resources each call needs", _A),
    Behaviour("42", "CloudTrail LookupEvents: one attribute, time range, pages of 50, the latest first", _D),
    Behaviour("42", "records of EC2 writes: userIdentity, resources, securityGroupRuleSet of an Authorize", _D),
    Behaviour("42", "a record is there at once", _A),
    Behaviour("-", "::/0 egress appears in groups with untouched egress when a VPC gets an IPv6 block", _I),
    Behaviour("-", "interfaces of NAT gateways have no groups and, like those of VPC endpoints, RequesterManaged", _R),
    Behaviour("-", "peerings are filtered", _D),
    Behaviour("-", "interfaces of services cannot be changed: OperationNotPermitted", _A),
    Behaviour("-", "subnets outside the default VPC give no public address by themselves", _D),
)


VENDORS = ("aws", "azure", "f5", "gcp")


def of(vendor: str) -> tuple[Behaviour, ...]:
    """Return a vendor's behaviours."""
    if vendor == "aws":
        return BEHAVIOURS
    found: tuple[Behaviour, ...] = import_module(f"{__package__}.{vendor}.evidence").BEHAVIOURS
    return found


def table(behaviours: Iterable[Behaviour] = BEHAVIOURS) -> str:
    """Return the table of a vendor's page in docs."""
    lines = ["| row | behaviour | evidence |", "|---|---|---|"]
    lines += [f"| {each.row} | {each.what} | {each.mark.value} |" for each in behaviours]
    return "\n".join(lines)


def share(behaviours: Collection[Behaviour] = BEHAVIOURS) -> str:
    """Return how many behaviours rest on what."""
    counts = Counter(each.mark.value for each in behaviours)  # by value: run as a program, this module is another one than the lists'
    parts = ", ".join(f"{mark.value} {counts[mark.value]}" for mark in Mark if counts[mark.value])
    return f"{len(behaviours)} behaviours: {parts}; assumed {counts[Mark.ASSUMED.value] / len(behaviours):.0%}"


def main(arguments: list[str]) -> int:
    """Print the share of every vendor and of all together, or one table."""
    if "--table" in arguments:
        vendor = next((word for word in arguments if word in VENDORS), "aws")
        sys.stdout.write(table(of(vendor)) + "\n")
        return 0
    everything: list[Behaviour] = []
    for vendor in VENDORS:
        everything += of(vendor)
        sys.stdout.write(f"{vendor:<6} {share(of(vendor))}\n")
    sys.stdout.write(f"{'all':<6} {share(everything)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
