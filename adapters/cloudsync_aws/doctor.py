"""What `doctor` asks EC2: who we are, whether the clocks agree, what is allowed, how much room is left. Nothing is written.

Rights to write are asked for by DryRun, with arguments that would change nothing even if they were carried out. Rights that only a real
object of ours could show are left open until there is one, and said to be.
"""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from cloudsync.adapter import Check, Clock
from cloudsync.model.errors import AdapterError
from cloudsync_aws import parse
from cloudsync_aws import read as reading
from cloudsync_aws.client import CallFailedError, Client, Sdk
from cloudsync_aws.limits import QUOTA_CODES, WRITE_CALLS
from cloudsync_aws.payload import Accounts, permissions, tag_specification
from cloudsync_aws.quota import sums
from cloudsync_aws.table import Eni, Group, Mark, PeerKind, Quotas, RuleKey

SKEW_MAX_S = 300
"""AWS refuses requests whose signature is older or younger than this."""
NEARLY = 0.8


def checks(client: Client, target: str, owner: str, clock: Clock) -> tuple[Check, ...]:
    """Return every check, the failing ones included; the first failure does not end the rest, but for the identity."""
    identity = tuple(_identity(client, target, clock))
    if not all(check.ok for check in identity):
        return identity
    regions = (check for region in client.settings.regions for check in _region(client, owner, region))
    return (*identity, *regions)


def _identity(client: Client, target: str, clock: Clock) -> Iterator[Check]:
    wanted = client.settings.account
    try:
        answer = client.read(client.settings.regions[0], "get_caller_identity")
    except AdapterError as failure:
        yield Check(f"{target}: credentials", ok=False, detail=str(failure), hint="check the profile, the role and its trust policy")
        return
    right = answer.get("Account") == wanted
    hint = "" if right else "use credentials of that account, or correct `account` in the settings"
    yield Check(f"{target}: identity", right, f"{answer.get('Arn')} of account {answer.get('Account')}, settings say {wanted}", hint)
    date = ((answer.get("ResponseMetadata") or {}).get("HTTPHeaders") or {}).get("date")
    if date:
        skew = abs(parsedate_to_datetime(date).timestamp() - clock.now())
        hint = "" if skew < SKEW_MAX_S else "set this machine's clock; AWS refuses signatures that are 5 minutes off"
        yield Check(f"{target}: clock", skew < SKEW_MAX_S, f"{skew:.0f} s off AWS", hint)


def _region(client: Client, owner: str, region: str) -> Iterator[Check]:
    scope = client.settings.scope(region)
    try:
        found = reading.whole(client, owner, region)
    except (AdapterError, *parse.MALFORMED) as failure:
        yield Check(f"{scope}: read", ok=False, detail=parse.reason(failure), hint="grant what `cloudsync iam aws --read-only` prints")
        return
    detail = f"{len(found.workloads)} workloads, {len(found.groups)} groups, {len(found.enis)} interfaces, {len(found.rest.vpcs)} VPCs"
    yield Check(f"{scope}: read", ok=True, detail=detail)
    yield from _rights(client, owner, region, found)
    yield from _room(client, region, found)


def _rights(client: Client, owner: str, region: str, found: reading.RegionRead) -> Iterator[Check]:
    probes = _probes(owner, found, client.settings.vpcs)
    for method, action in WRITE_CALLS.items():
        name = f"{client.settings.scope(region)}: ec2:{action}"
        if method not in probes:
            yield Check(name, ok=True, detail="not tried: nothing of ours is there yet to try it on")
            continue
        allowed, words = client.allowed(region, method, probes[method])
        yield Check(name, allowed, "allowed" if allowed else words, "" if allowed else "grant what `cloudsync iam aws` prints")


def _probes(owner: str, found: reading.RegionRead, vpcs: tuple[str, ...] | None) -> dict[str, dict[str, Sdk]]:
    probes: dict[str, dict[str, Sdk]] = {}
    tags = Mark(owner, "doctor").tags
    vpc = next((vpc for vpc in found.rest.vpcs if vpcs is None or vpc in vpcs), None)
    if vpc is not None:
        spec = tag_specification("security-group", tags)
        probes["create_security_group"] = {"GroupName": "cs-doctor", "Description": "probe", "VpcId": vpc, "TagSpecifications": spec}
    probes["create_managed_prefix_list"] = {
        "PrefixListName": "cs-doctor",
        "AddressFamily": "IPv4",
        "MaxEntries": 1,
        "TagSpecifications": tag_specification("prefix-list", tags),
    }
    ours = next((group for group in found.groups.values() if group.mark is not None), None)
    if ours is not None:
        probes |= _group_probes(ours)
    eni = next((one for one in found.enis.values() if not one.skipped), None)
    if eni is not None:
        probes["modify_network_interface_attribute"] = _as_it_is(eni)
    return probes


def _as_it_is(eni: Eni) -> dict[str, Sdk]:
    return {"NetworkInterfaceId": eni.id, "Groups": list(eni.groups)}


def _group_probes(group: Group) -> dict[str, dict[str, Sdk]]:
    """Probes on a group of ours. Deletion is not among them: only DryRun itself would stand between the probe and the group."""
    probes: dict[str, dict[str, Sdk]] = {}
    own = Accounts(group.scope.partition("/")[0])
    for egress, word in ((False, "ingress"), (True, "egress")):
        there = next((rule for rule in group.rules if rule.egress is egress and rule.kind == PeerKind.CIDR4.value), None)
        if there is None:
            continue
        same = {"GroupId": group.id, "IpPermissions": permissions({there: group.rules[there]}, own)}
        # Authorising what is there is a duplicate; revoking waits for a rule that is not there: an address nobody uses (RFC 5737).
        probes[f"authorize_security_group_{word}"] = same
        probes[f"update_security_group_rule_descriptions_{word}"] = same
        absent = RuleKey(egress, 253, -1, -1, PeerKind.CIDR4.value, "192.0.2.255/32")
        probes[f"revoke_security_group_{word}"] = {"GroupId": group.id, "IpPermissions": permissions({absent: ""}, own)}
    return probes


# --- limits ----------------------------------------------------------------------------------------------------------


def _room(client: Client, region: str, found: reading.RegionRead) -> Iterator[Check]:
    scope = client.settings.scope(region)
    quotas = found.rest.quotas
    yield _quota_source(client, region, quotas)
    fullest = max(
        ((sums(group.rules, found.lists).most, group) for group in found.groups.values() if group.mark is not None),
        key=lambda pair: (pair[0], pair[1].id),
        default=None,
    )
    if fullest is not None:
        yield _use(f"{scope}: rules per group", fullest[0], quotas.rules_per_group, fullest[1].id)
    widest = max((one for one in found.enis.values() if not one.skipped), key=lambda one: (len(one.groups), one.id), default=None)
    if widest is not None:
        yield _use(f"{scope}: groups per interface", len(widest.groups), quotas.groups_per_eni, widest.id)
    yield _use(f"{scope}: groups per Region", len(found.groups), quotas.groups_per_region, region)


def _use(name: str, used: int, limit: int, where: str) -> Check:
    hint = "" if used <= limit * NEARLY else "ask AWS for a higher quota before a plan needs it"
    return Check(name, used <= limit, f"{used} of {limit} ({where})", hint)


def _quota_source(client: Client, region: str, quotas: Quotas) -> Check:
    name = f"{client.settings.scope(region)}: limits"
    if client.settings.quotas is not None:
        return Check(name, ok=True, detail=f"from the settings: {quotas.rules_per_group} rules, {quotas.groups_per_eni} groups")
    code = QUOTA_CODES["rules_per_group"]
    try:
        client.read(region, "get_service_quota", ServiceCode="vpc", QuotaCode=code)
    except CallFailedError as failure:
        hint = "grant servicequotas:GetServiceQuota, or write `quotas:` in the settings"
        return Check(name, ok=False, detail=f"EC2's defaults are assumed; {failure}", hint=hint)
    return Check(name, ok=True, detail=f"from Service Quotas: {quotas.rules_per_group} rules, {quotas.groups_per_eni} groups")
