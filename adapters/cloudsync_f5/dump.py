"""A table as JSON values for plan files, and its digest."""

from __future__ import annotations

import hashlib
from typing import Any

from cloudsync.adapter import Discovery
from cloudsync_f5 import words
from cloudsync_f5.payload import canonical
from cloudsync_f5.points import native_text
from cloudsync_f5.table import Ends, F5Table, Rule


def dump(table: F5Table) -> dict[str, Any]:
    """Return everything in a table as JSON values, in one fixed order."""
    return {
        "owner": table.owner,
        "scope": table.scope,
        "partition": table.partition,
        "policies": [
            {"path": path, "ours": one.mark is not None, "description": one.description, "rules": [_rule(rule) for rule in one.rules]}
            for path, one in sorted(table.policies.items())
        ],
        "rule_lists": [{"path": path, "rules": [_rule(rule) for rule in one.rules]} for path, one in sorted(table.rule_lists.items())],
        "lists": [
            {
                "path": path,
                "ours": one.mark is not None,
                "description": one.description,
                "addresses": [span.text() for span in sorted(one.spans)],
                "lists": sorted(one.lists),
                "odd": list(one.odd),
            }
            for path, one in sorted(table.lists.items())
        ],
        "port_lists": [
            {"path": path, "ports": [words.port_text(pair) for pair in sorted(one.ports)], "lists": sorted(one.lists)}
            for path, one in sorted(table.port_lists.items())
        ],
        "virtuals": [
            {
                "path": path,
                "route_domain": one.domain,
                "addresses": list(one.addresses.cidrs()),
                "peers": list(one.listener.peers.cidrs()),
                "services": one.listener.services.text(),
                "listens": [[run.protocol, run.first, run.last] for run in one.listener.services.ranges()],
                "enforced": one.enforced,
                "staged": one.staged,
                "snat": one.snat,
                "disabled": one.disabled,
                "skipped": one.skipped,
            }
            for path, one in sorted(table.virtuals.items())
        ],
        "route_domains": [[path, one.id, one.enforced, one.staged] for path, one in sorted(table.route_domains.items())],
        "global": [table.enforced, table.staged],
        "open_by_default": table.open_by_default,
        "active": table.active,
        "running": dict(sorted(table.running.items())),
        "group": table.group,
        "saves": table.saves,
        "held": list(table.held),
        "incomplete": table.incomplete,
    }


def _rule(rule: Rule) -> list[Any]:
    said = [native_text(rule), rule.enabled, rule.logged, rule.rule_list, rule.description, list(rule.odd), rule.rest]
    return [
        *said,
        rule.name,
        rule.action.value if rule.action is not None else "",
        _end(rule.source),
        _end(rule.destination),
        _native(rule),
    ]


def _end(ends: Ends) -> list[list[str]]:
    return [[span.text() for span in sorted(ends.spans)], sorted(ends.lists)]


def _native(rule: Rule) -> list[Any]:
    """Return protocol (-1 for any), ports, ICMP types with codes (-1 for any), and port lists."""
    native = rule.native
    return [native.protocol, [list(pair) for pair in native.ports], [list(pair) for pair in native.icmp], sorted(rule.port_lists)]


def digest(table: F5Table, discovery: Discovery) -> str:
    """Return the SHA-256 of everything that was read: the table, and who was found."""
    found = [
        [one.ref, one.name, list(map(list, one.tags)), [[each.ref, list(each.addresses.cidrs())] for each in one.interfaces]]
        for one in discovery.workloads
    ]
    scopes = [[one.scope, one.why] for one in discovery.scopes]
    return hashlib.sha256(canonical([dump(table), found, scopes]).encode()).hexdigest()
