"""The least-privilege account on a device, generated from the permissions declared in `limits.py`. Pure.

F5 has coarse built-in roles: `firewall-manager` may edit firewall objects, but no document says whether it may attach, save and
synchronise; a role of one's own over REST paths is possible (RBAC of iControl REST: roles and resource groups
below `/mgmt/shared/authz`). So both are printed: a built-in role to begin with, and the resource groups that say it exactly. Never tried
against a device.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from cloudsync_f5.limits import PERMISSIONS
from cloudsync_f5.settings import F5Settings

READER, WRITER = "auditor", "resource-admin"
"""Built-in roles that are known to be enough."""


def role(targets: Sequence[F5Settings], *, owner: str, read_only: bool) -> str:
    """Return what to create on each device, as JSON: resource groups and a role over REST paths, and the tmsh lines of the user."""
    name = f"cloudsync-{owner}-{'read' if read_only else 'write'}"
    builtin = READER if read_only else WRITER
    chosen = [one for one in PERMISSIONS if not read_only or not one.write]
    document: dict[str, Any] = {
        "devices": sorted({host for target in targets for host in target.hosts}),
        "resourceGroup": {"name": name, "resources": [_resource(one.action) for one in chosen]},
        "role": {"name": name, "userReferences": [{"link": f"https://localhost/mgmt/shared/authz/users/{name}"}]},
        "tmsh": [
            f"create auth user {name} partition-access add {{ all-partitions {{ role {builtin} }} }} shell none prompt-for-password",
            "save sys config",
        ],
        "why": {one.action: one.why for one in chosen},
    }
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"


def _resource(action: str) -> dict[str, str]:
    method, _, path = action.partition(" ")
    return {"restMethod": method, "resourceMask": path if method == "POST" and path.count("/") < 5 else f"{path}/**"}
