"""The AWS adapter: security groups, prefix lists, network interfaces. Importing it loads no SDK."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from cloudsync.adapter import Adapter, AdapterFactory, Clock, TargetSettings
from cloudsync.model.finding import Finding
from cloudsync_aws.limits import PERMISSIONS


class AwsFactory:
    """What the entry point names. The SDK is loaded by `open` alone."""

    name = "aws"

    permissions = PERMISSIONS
    """Every right that the adapter may need, with its reason."""

    example: Mapping[str, Any] = MappingProxyType({"account": "111122223333", "regions": ["us-east-1"], "vpcs": "all"})

    def check(self, target: TargetSettings) -> tuple[Finding, ...]:
        """Return findings about a target's options beyond their structure."""
        from cloudsync_aws.settings import check

        return check(target)

    def open(self, target: TargetSettings, owner: str, clock: Clock) -> Adapter:
        """Open a target. No call is made."""
        from cloudsync_aws.adapter import AwsAdapter

        return AwsAdapter(target, owner, clock)

    def role(self, targets: Iterable[TargetSettings], *, owner: str, read_only: bool) -> str:
        """Return the least-privilege IAM policy for these targets as JSON."""
        from cloudsync_aws.roles import role
        from cloudsync_aws.settings import AwsSettings

        return role([AwsSettings.of(target) for target in targets], owner=owner, read_only=read_only)


ADAPTER: AdapterFactory = AwsFactory()
