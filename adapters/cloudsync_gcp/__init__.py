"""The GCP adapter: VPC firewall rules in bands, named by their content. Importing it loads no SDK."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from cloudsync.adapter import Adapter, AdapterFactory, Clock, TargetSettings
from cloudsync.model.finding import Finding
from cloudsync_gcp.limits import PERMISSIONS


class GcpFactory:
    """What the entry point names. The SDK is loaded by `open` alone."""

    name = "gcp"

    permissions = PERMISSIONS
    """Every right that the adapter may need, with its reason."""

    example: Mapping[str, Any] = MappingProxyType({"project": "acme-prod", "networks": ["prod"]})

    def check(self, target: TargetSettings) -> tuple[Finding, ...]:
        """Return findings about a target's options beyond their structure."""
        from cloudsync_gcp.settings import check

        return check(target)

    def open(self, target: TargetSettings, owner: str, clock: Clock) -> Adapter:
        """Open a target. No call is made."""
        from cloudsync_gcp.adapter import GcpAdapter

        return GcpAdapter(target, owner, clock)

    def role(self, targets: Iterable[TargetSettings], *, owner: str, read_only: bool) -> str:
        """Return the least-privilege custom roles for these targets as YAML."""
        from cloudsync_gcp.roles import role
        from cloudsync_gcp.settings import GcpSettings

        return role([GcpSettings.of(target) for target in targets], owner=owner, read_only=read_only)


ADAPTER: AdapterFactory = GcpFactory()
