"""The least-privilege custom roles, generated from the permissions declared in `limits.py`. Pure; never tried against Google itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cloudsync.adapter import Permission
from cloudsync_gcp.limits import PERMISSIONS
from cloudsync_gcp.settings import GcpSettings

TAGS = frozenset({"compute.instances.get", "compute.instances.setTags", "compute.zoneOperations.get"})
"""What only managed tags need, in the projects that hold the VMs."""
MACHINES = frozenset({"compute.instances.list"})


def role(targets: Sequence[GcpSettings], *, owner: str, read_only: bool) -> str:
    """Return one custom role per project as YAML documents; the reading ones are enough for plan, drift and observe."""
    projects = sorted({project for target in targets for project in target.projects})
    return "---\n".join(_document(project, wanted(targets, project, read_only=read_only), owner) for project in projects)


def _document(project: str, permissions: Sequence[Permission], owner: str) -> str:
    name = f"cloudsync_{re.sub(r'[^a-z0-9]', '_', owner.lower())}"
    writes = any(one.write for one in permissions)
    lines = [
        f"# gcloud iam roles create {name} --project={project} --file=THIS-FILE",
        f"title: cloudsync {owner} in {project}",
        f"description: {'Reads firewall rules and VMs, and writes rules' if writes else 'Reads firewall rules and VMs'} for cloudsync",
        "stage: GA",
        "includedPermissions:",
        *(f"- {one.action}  # {one.why}" for one in permissions),
    ]
    return "".join(f"{line}\n" for line in lines)


def wanted(targets: Sequence[GcpSettings], project: str, *, read_only: bool) -> tuple[Permission, ...]:
    """Return the permissions that some targets need in one project, in the order declared."""
    names: set[str] = set()
    for target in targets:
        tagging = TAGS if target.layout.target == "managed-tags" and not read_only else frozenset()
        if project == target.project:
            names |= {one.action for one in PERMISSIONS if one.action not in TAGS and not (read_only and one.write)} | tagging
        elif project in target.service_projects:
            names |= MACHINES | tagging
    return tuple(one for one in PERMISSIONS if one.action in names)
