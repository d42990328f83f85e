"""The least-privilege custom role, generated from the permissions declared in `limits.py`. Pure.

For `az role definition create --role-definition FILE`. Azure has no condition on tags for these actions, so the role is held to scopes:
the subscription, because lists of a subscription are read there. Assign the writing role to the resource groups of the settings instead
where reading is granted apart.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from cloudsync_azure.limits import ASG_PERMISSIONS, PERMISSIONS
from cloudsync_azure.settings import AzureSettings


def role(targets: Sequence[AzureSettings], *, owner: str, read_only: bool) -> str:
    """Return the role definition for these targets as JSON; the reading one is enough for plan, drift and observe."""
    kind = "reader" if read_only else "enforcer"
    rights = (*PERMISSIONS, *(ASG_PERMISSIONS if any(one.asgs for one in targets) else ()))
    document = {
        "Name": f"cloudsync {owner} {kind}",
        "IsCustom": True,
        "Description": "Reads machines and network security groups." if read_only else "Reads machines, writes network security groups.",
        "Actions": [one.action for one in rights if not (read_only and one.write)],
        "NotActions": [],
        "AssignableScopes": sorted({f"/subscriptions/{one.subscription}" for one in targets}),
    }
    return json.dumps(document, indent=2) + "\n"
