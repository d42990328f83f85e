"""The AWS keys of a target in cloudsync.yaml, as one frozen value. The structure stands in `settings.schema.json`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit

from cloudsync.adapter import Patience, TargetSettings
from cloudsync.model.endpoint import complaints
from cloudsync.model.finding import Finding
from cloudsync.model.quick import dataclass
from cloudsync_aws.table import Quotas

_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}")
_VPC = re.compile(r"vpc-[0-9a-f]{8,17}")
_DURATION = re.compile(r"([0-9]{1,5})([smh])")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}):role/[\w+=,.@/-]+")
CALL_S, LAB_CALL_S = 75.0, 3.0
"""How long a call that was never answered may still take effect, in seconds: longer than the client waits for an answer.
A simulated cloud on this machine loses none for long."""
DEFAULT_SETTLE, LAB_SETTLE = "5s", "0s"
"""A simulated cloud has no hosts that a change must reach."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
LONGEST_WAIT_S = 3600
RULES_TIMES_GROUPS_MAX = 1000
"""EC2 refuses quotas whose product (rules per group x groups per interface) is greater."""


@dataclass(frozen=True, slots=True)
class AwsSettings:
    """One AWS target: one account, some Regions. All times are seconds."""

    account: str
    """Twelve digits; compared with who we really are before anything read is trusted."""
    regions: tuple[str, ...]
    vpcs: tuple[str, ...] | None = None
    """VPC ids, or None for all VPCs of the Regions."""
    profile: str = ""
    """Profile of the AWS configuration; empty for the default chain (environment, profile, instance role)."""
    role_arn: str = ""
    """Role to assume with those credentials."""
    external_id: str = ""
    pace: float = 0.8
    """Share (0-1] of EC2's published request rates that we use."""
    quotas: Mapping[str, int] | None = None
    """Limits to take instead of asking Service Quotas; fields of `Quotas`. An empty mapping means EC2's defaults."""
    settle: float = 5.0
    """How long a change is assumed to take to reach the hosts (EC2 gives no bound)."""
    max_wait: float = 120.0
    """How long a read may take to show a write before its outcome counts as unknown."""
    endpoint: str = ""

    @classmethod
    def of(cls, target: TargetSettings) -> AwsSettings:
        """Return the settings of a target whose structure was checked."""
        options = target.options
        vpcs = options.get("vpcs", "all")
        quotas = options.get("quotas")
        return cls(
            account=str(options["account"]),
            regions=tuple(options["regions"]),
            vpcs=None if vpcs == "all" else tuple(vpcs),
            profile=options.get("profile", ""),
            role_arn=options.get("role_arn", ""),
            external_id=options.get("external_id", ""),
            pace=float(options.get("pace", 0.8)),
            quotas=None if quotas is None else dict(quotas),
            settle=seconds(options.get("settle", LAB_SETTLE if simulated(target.endpoint) else DEFAULT_SETTLE)),
            max_wait=seconds(options.get("max_wait", "2m")),
            endpoint=target.endpoint,
        )

    def patience(self) -> Patience:
        """Return how long things may take."""
        return Patience(self.settle, self.max_wait, LAB_CALL_S if simulated(self.endpoint) else CALL_S)

    def scope(self, region: str) -> str:
        """Return the unit of completeness, `<account>/<region>`."""
        return f"{self.account}/{region}"

    def limits(self, read: Mapping[str, int]) -> Quotas:
        """Return EC2's defaults, overlaid with what was read and then with what the settings say."""
        return Quotas(**{**dict(read), **dict(self.quotas or {})})


def check(target: TargetSettings) -> tuple[Finding, ...]:
    """Return what is wrong with a target's options beyond their structure."""
    return tuple(Finding(target.where, code, f"target {target.name}: {text}", hint) for code, text, hint in _wrong(target))


def _wrong(target: TargetSettings) -> Iterator[tuple[str, str, str]]:
    options = target.options
    account = options.get("account", "")
    if not isinstance(account, str) or not _ACCOUNT.fullmatch(account):
        yield "AWS-ACCOUNT", f"account {account!r} is not twelve digits", 'write it in quotes: account: "111122223333"'
    yield from _wrong_regions(options.get("regions"))
    yield from _wrong_vpcs(options.get("vpcs", "all"))
    yield from _wrong_role(options)
    yield from _wrong_numbers(options)
    if target.endpoint and not endpoint_allowed(target.endpoint):
        yield "BAD-ENDPOINT", f"endpoint {target.endpoint} is neither https nor on this machine", "plain http is for the lab on loopback"


def _wrong_regions(regions: object) -> Iterator[tuple[str, str, str]]:
    if not isinstance(regions, list | tuple) or not regions:
        yield "AWS-REGIONS", "regions is missing or empty", "name at least one: regions: [us-east-1]"
        return
    for region in regions:
        if not isinstance(region, str) or not _REGION.fullmatch(region):
            yield "AWS-REGION", f"{region!r} is no Region", "write it as AWS does, e.g. us-east-1"
    if len(set(map(str, regions))) != len(regions):
        yield "AWS-REGIONS", "a Region stands twice", "name each Region once"


def _wrong_vpcs(vpcs: object) -> Iterator[tuple[str, str, str]]:
    if vpcs == "all":
        return
    if not isinstance(vpcs, list | tuple) or not vpcs:
        yield "AWS-VPCS", "vpcs is neither 'all' nor a list of VPC ids", "write vpcs: all, or vpcs: [vpc-0ab...]"
        return
    for vpc in vpcs:
        if not isinstance(vpc, str) or not _VPC.fullmatch(vpc):
            yield "AWS-VPC", f"{vpc!r} is no VPC id", "write the id, e.g. vpc-0123456789abcdef0"


def _wrong_role(options: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    arn = options.get("role_arn", "")
    match = _ROLE.fullmatch(arn) if isinstance(arn, str) else None
    if arn and match is None:
        yield "AWS-ROLE", f"role_arn {arn!r} is no role", "write arn:aws:iam::111122223333:role/NAME"
    if match is not None and match[1] != options.get("account"):
        yield "AWS-ROLE", f"role_arn is of account {match[1]}, not of {options.get('account')}", "a target is one account"
    if options.get("external_id") and not arn:
        yield "AWS-ROLE", "external_id without role_arn has no use", "add role_arn, or drop external_id"


def _wrong_numbers(options: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    pace = options.get("pace", 0.8)
    if not _number(pace) or not 0 < pace <= 1:
        yield "AWS-PACE", f"pace {pace!r} is not above 0 and at most 1", "0.8 leaves a fifth of the request rate to others"
    for name in ("settle", "max_wait"):
        value = options.get(name, "1s")
        if not isinstance(value, str) or not _DURATION.fullmatch(value) or seconds(value) > LONGEST_WAIT_S:
            yield "AWS-WAIT", f"{name} {value!r} is no time of at most an hour", f"write {name}: 30s"
    quotas = options.get("quotas") or {}
    known = {field.name for field in fields(Quotas)}
    for name, value in quotas.items():
        if name not in known or not isinstance(value, int) or isinstance(value, bool) or value < 0:
            yield "AWS-QUOTA", f"quota {name}: {value!r} is not known or no number", f"known: {', '.join(sorted(known))}"
            return
    limits = Quotas(**quotas)
    if quotas and limits.rules_per_group * limits.groups_per_eni > RULES_TIMES_GROUPS_MAX:
        yield (
            "AWS-QUOTA",
            f"{limits.rules_per_group} rules per group x {limits.groups_per_eni} groups per interface: more than {RULES_TIMES_GROUPS_MAX}",
            "EC2 never grants that; write what Service Quotas shows",
        )


def seconds(text: str) -> float:
    """Return the seconds of `5s`, `2m` or `1h` (ValueError otherwise)."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r}: want a number with s, m or h")
    return float(int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]])


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def simulated(url: str) -> bool:
    """Tell whether an endpoint is a simulated cloud: plain http on this machine. AWS never speaks that: a tunnel to it is https."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in LOOPBACK


def endpoint_allowed(url: str) -> bool:
    """Tell whether requests may go to a URL: https to any server's address, plain http to this machine alone, link-local never."""
    return not any(complaints(url))
