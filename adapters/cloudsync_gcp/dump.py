"""A table as JSON values, for plan files."""

from __future__ import annotations

from typing import Any

from cloudsync_gcp.payload import body
from cloudsync_gcp.table import GcpTable, Policy, Rule


def dump(table: GcpTable) -> dict[str, Any]:
    """Return everything in a table as JSON values, in one fixed order."""
    return {
        "owner": table.owner,
        "project": table.project,
        "rules": [_rule(table.rules[name]) for name in sorted(table.rules)],
        "networks": [
            {"key": one.key, "before": [_policy(each) for each in one.before], "after": [_policy(each) for each in one.after]}
            for _, one in sorted(table.networks.items())
        ],
        "interfaces": [
            {
                "point": nic.point,
                "vm": nic.vm,
                "network": nic.network,
                "primary": list(nic.primary.cidrs()),
                "inside": list(nic.inside.cidrs()),
                "public": list(nic.public.cidrs()),
                "tags": list(nic.tags),
                "account": nic.account,
            }
            for _, nic in sorted(table.nics.items())
        ],
        "limit": table.room.limit,
        "elsewhere": table.room.elsewhere,
        "incomplete": dict(sorted(table.incomplete.items())),
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {"name": rule.name, "unreadable": rule.unreadable, "raw": rule.rest} if rule.unreadable else body(rule)


def _policy(policy: Policy) -> dict[str, Any]:
    rules = [
        [
            *(one.priority, one.egress, one.action, list(one.peers), list(one.own), [list(spec) for spec in one.protocols]),
            *(one.unreadable, list(one.accounts)),
        ]
        for one in policy.rules
    ]
    return {"name": policy.name, "kind": policy.kind, "rules": rules}
