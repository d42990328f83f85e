"""A table as JSON values for plan files, and its digest."""

from __future__ import annotations

import hashlib
from typing import Any

from cloudsync_aws.decode import native_text
from cloudsync_aws.payload import canonical
from cloudsync_aws.table import AwsTable, Mark


def dump(table: AwsTable) -> dict[str, Any]:
    """Return everything in a table as JSON values, in one fixed order."""
    return {
        "owner": table.owner,
        "groups": [
            {
                "id": group.id,
                "scope": group.scope,
                "vpc": group.vpc,
                "name": group.name,
                "mark": _mark(group.mark),
                "tags": [list(tag) for tag in group.tags],
                "rules": [
                    [native_text(key), key.kind, group.rules[key], key.egress, key.protocol, key.first, key.last, key.peer]
                    for key in sorted(group.rules)
                ],
            }
            for _, group in sorted(table.groups.items())
        ],
        "interfaces": [
            {
                "id": eni.id,
                "scope": eni.scope,
                "vpc": eni.vpc,
                "instance": eni.instance,
                "private": list(eni.private.cidrs()),
                "public": list(eni.public.cidrs()),
                "groups": list(eni.groups),
                "skipped": eni.skipped,
            }
            for _, eni in sorted(table.enis.items())
        ],
        "lists": [
            {
                "id": one.id,
                "scope": one.scope,
                "name": one.name,
                "family": one.family.value,
                "weight": one.weight,
                "version": one.version,
                "state": one.state,
                "mark": _mark(one.mark),
                "entries": [[cidr, one.entries[cidr]] for cidr in sorted(one.entries)],
            }
            for _, one in sorted(table.lists.items())
        ],
        "vpcs": [[vpc.id, vpc.scope, list(vpc.cidrs), vpc.ipv6, vpc.is_default] for _, vpc in sorted(table.vpcs.items())],
        "peered": [list(pair) for pair in sorted(table.peered)],
        "incomplete": dict(sorted(table.incomplete.items())),
    }


def _mark(mark: Mark | None) -> str:
    return mark.text if mark is not None else ""


def digest(table: AwsTable) -> str:
    """Return the SHA-256 of a table's dump: equal digests, equal readings."""
    return hashlib.sha256(canonical(dump(table)).encode()).hexdigest()
