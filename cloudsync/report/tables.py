"""Tables of addresses as a document that other firewalls' tools can read: JSON, byte-stable, lists first.

The text is laid out as `json.dumps(indent=1)` would; with an indent the standard library encodes value by value in Python, and
a large policy has millions of prefixes.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii

from cloudsync.compile.tables import ClassTable, Row, Tables
from cloudsync.policy.values import Policy

FORMAT, VERSION = "cloudsync-tables", 1
NOTE = "rows are read from the top, the first that fits decides; what no row fits is cut where closed is true, else it stays as it is"


def tables_text(found: Tables, policy: Policy) -> str:
    """Return the document of one routing domain, ending in a newline. Rules stand with their place in the policy."""
    rules = {rule.id: {"where": str(rule.where), "sentence": rule.text} for rule in policy.rules}
    named = {row.rule for table in found.classes for row in (*table.inbound, *(table.outbound or ()))}
    head = {
        "format": FORMAT,
        "version": VERSION,
        "note": NOTE,
        "domain": found.domain,
        "rules": {name: rules[name] for name in sorted(named & rules.keys())},
    }
    text = json.dumps(head, indent=1, ensure_ascii=True).removesuffix("\n}")
    lists = _laid([f"{_quoted(name)}: {_listed(found.lists[name])}" for name in sorted(found.lists)], "{}", 1)
    rows: dict[int, str] = {}
    classes = _laid([_class(one, rows) for one in found.classes], "[]", 1)
    return f'{text},\n "lists": {lists},\n "classes": {classes}\n}}\n'


_quoted = encode_basestring_ascii


def _laid(inside: list[str], ends: str, depth: int) -> str:
    """Return an array or an object from the text of what is in it; `ends`: its brackets, `depth`: how far it is indented."""
    if not inside:
        return ends
    line = "\n" + " " * depth
    return f"{ends[0]}{line} {f',{line} '.join(inside)}{line}{ends[1]}"


def _listed(prefixes: tuple[str, ...]) -> str:
    """Return an array of prefixes, which have nothing to escape."""
    return '[\n   "' + '",\n   "'.join(prefixes) + '"\n  ]' if prefixes else "[]"


def _class(one: ClassTable, rows: dict[int, str]) -> str:
    """Return a class; `rows`: the text of rows that were written before, by identity, since many classes have the same."""
    labels = _laid([f"{_quoted(key)}: {_quoted(value)}" for key, value in one.labels.pairs], "{}", 3)
    inside = (
        f'"class": {_quoted(one.class_id)}',
        f'"labels": {labels}',
        f'"mode": {_quoted(one.mode.value)}',
        f'"closed": {"true" if one.closed else "false"}',
        f'"addresses": {_quoted(one.addresses)}',
        f'"inbound": {_rows(one.inbound, rows)}',
        f'"outbound": {"null" if one.outbound is None else _rows(one.outbound, rows)}',
    )
    return _laid(list(inside), "{}", 2)


def _rows(rows: tuple[Row, ...], known: dict[int, str]) -> str:
    if not rows:
        return "[]"
    found = known.get(id(rows))
    if found is None:
        found = known[id(rows)] = _laid([_row(row) for row in rows], "[]", 3)
    return found


def _row(row: Row) -> str:
    said = (("action", "allow" if row.allows else "deny"), ("peers", row.peers), ("services", row.services), ("rule", row.rule))
    return _laid([f'"{key}": {_quoted(value)}' for key, value in said], "{}", 4)
