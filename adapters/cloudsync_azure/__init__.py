"""The Azure adapter: network security groups of one subscription. Importing it loads no SDK."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cloudsync.adapter import Adapter, AdapterFactory, Clock, TargetSettings
from cloudsync.model.finding import Finding
from cloudsync_azure.limits import PERMISSIONS


class AzureFactory:
    """What the entry point names. The SDK is loaded by `open` alone."""

    name = "azure"

    permissions = PERMISSIONS
    """Every right that the adapter may need, with its reason."""

    example: Mapping[str, Any] = {"subscription": "00000000-0000-0000-0000-000000000000", "resource_groups": ["prod-net"]}
    """Options of a target that stands for any."""

    def check(self, target: TargetSettings) -> tuple[Finding, ...]:
        """Return findings about a target's options beyond their structure."""
        from cloudsync_azure.settings import check

        return check(target)

    def open(self, target: TargetSettings, owner: str, clock: Clock) -> Adapter:
        """Open a target. No call is made."""
        from cloudsync_azure.adapter import AzureAdapter

        return AzureAdapter(target, owner, clock)

    def role(self, targets: Iterable[TargetSettings], *, owner: str, read_only: bool) -> str:
        """Return the least-privilege custom role for these targets as JSON."""
        from cloudsync_azure.roles import role
        from cloudsync_azure.settings import AzureSettings

        return role([AzureSettings.of(target) for target in targets], owner=owner, read_only=read_only)


ADAPTER: AdapterFactory = AzureFactory()
