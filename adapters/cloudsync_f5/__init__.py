"""The F5 adapter: AFM policies on virtual servers of BIG-IP device groups. Importing it loads no SDK."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from cloudsync.adapter import Adapter, AdapterFactory, Clock, TargetSettings
from cloudsync.model.finding import Finding
from cloudsync_f5.limits import PERMISSIONS


class F5Factory:
    """What the entry point names. The SDK is loaded by the first call alone."""

    name = "f5"

    permissions = PERMISSIONS
    """Every right that the adapter may need, with its reason."""

    example: Mapping[str, Any] = MappingProxyType(
        {"hosts": ["bigip1.acme.example", "bigip2.acme.example"], "device_group": "dg-dc1", "partition": "Common"}
    )
    """Options of a target that stands for any: for documents that are generated where no target is configured."""

    def check(self, target: TargetSettings) -> tuple[Finding, ...]:
        """Return findings about a target's options beyond their structure."""
        from cloudsync_f5.settings import check

        return check(target)

    def open(self, target: TargetSettings, owner: str, clock: Clock) -> Adapter:
        """Open a target. No call is made."""
        from cloudsync_f5.adapter import F5Adapter

        return F5Adapter(target, owner, clock)

    def role(self, targets: Iterable[TargetSettings], *, owner: str, read_only: bool) -> str:
        """Return the least-privilege role for these targets: what to create on each device, as JSON with tmsh lines."""
        from cloudsync_f5.roles import role
        from cloudsync_f5.settings import F5Settings

        return role([F5Settings.of(target) for target in targets], owner=owner, read_only=read_only)


ADAPTER: AdapterFactory = F5Factory()
