"""Tables of addresses as a document that other firewalls' tools can read: JSON, byte-stable, lists first."""

from __future__ import annotations

import json
from typing import Any

from cloudsync.compile.tables import ClassTable, Row, Tables
from cloudsync.policy.values import Policy

FORMAT, VERSION = "cloudsync-tables", 1
NOTE = "rows are read from the top, the first that fits decides; what no row fits is cut where closed is true, else it stays as it is"


def tables_text(found: Tables, policy: Policy) -> str:
    """Return the document of one routing domain, ending in a newline. Rules stand with their place in the policy."""
    rules = {rule.id: {"where": str(rule.where), "sentence": rule.text} for rule in policy.rules}
    named = {row.rule for table in found.classes for row in (*table.inbound, *(table.outbound or ()))}
    document = {
        "format": FORMAT,
        "version": VERSION,
        "note": NOTE,
        "domain": found.domain,
        "rules": {name: rules[name] for name in sorted(named & rules.keys())},
        "lists": {name: list(found.lists[name]) for name in sorted(found.lists)},
        "classes": [_class(one) for one in found.classes],
    }
    return json.dumps(document, indent=1, ensure_ascii=True) + "\n"


def _class(one: ClassTable) -> dict[str, Any]:
    return {
        "class": one.class_id,
        "labels": dict(one.labels.pairs),
        "mode": one.mode.value,
        "closed": one.closed,
        "addresses": one.addresses,
        "inbound": [_row(row) for row in one.inbound],
        "outbound": None if one.outbound is None else [_row(row) for row in one.outbound],
    }


def _row(row: Row) -> dict[str, str]:
    return {"action": "allow" if row.allows else "deny", "peers": row.peers, "services": row.services, "rule": row.rule}
