"""The digest of a read: equal digests mean that nothing moved between two reads, in whatever process they were made."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from cloudsync.adapter import Discovery
from cloudsync_gcp.table import GcpTable


def digest(table: GcpTable, discovery: Discovery) -> str:
    """Return the SHA-256 of everything that was read, in hexadecimal."""
    state = sha256()
    for line in _lines(table, discovery):
        state.update(line.encode("utf-8", "surrogatepass"))
        state.update(b"\n")
    return state.hexdigest()


def _lines(table: GcpTable, discovery: Discovery) -> Iterator[str]:
    layout = table.layout
    yield repr((table.owner, table.project, table.room, sorted(table.taken), sorted(table.incomplete.items())))
    yield repr((layout.target, layout.tag_template, layout.shield, layout.never, layout.allow, layout.deny, layout.default_deny))
    yield repr((layout.outrank, layout.owns, layout.addresses_most, sorted(layout.adopt)))
    for name in sorted(table.rules):
        yield repr((table.rules[name], table.rules[name].id))
    for key in sorted(table.networks):
        yield repr(table.networks[key])
    for point in sorted(table.nics):
        yield repr(table.nics[point])
    yield repr(discovery)
