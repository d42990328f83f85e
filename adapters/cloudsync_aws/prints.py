"""The digest of a read: equal digests mean that nothing moved between two reads, in whatever process they were made."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from cloudsync.adapter import Discovery
from cloudsync_aws.table import AwsTable, Group


def digest(table: AwsTable, discovery: Discovery) -> str:
    """Return the SHA-256 of everything that was read, in hexadecimal."""
    state = sha256()
    for line in _lines(table, discovery):
        state.update(line.encode("utf-8", "surrogatepass"))
        state.update(b"\n")
    return state.hexdigest()


def _lines(table: AwsTable, discovery: Discovery) -> Iterator[str]:
    yield repr(table.owner)
    for identity in sorted(table.groups):
        yield _group(table.groups[identity])
    for enis in (table.enis, table.vpcs, table.quotas, table.incomplete):
        yield repr([(identity, enis[identity]) for identity in sorted(enis)])
    for identity in sorted(table.lists):
        one = table.lists[identity]
        yield repr((one.id, one.scope, one.name, int(one.family), one.weight, one.version, one.mark, one.aws))
        yield repr(sorted(one.entries.items()))
    yield repr(sorted(table.peered))
    yield repr(discovery)


def _group(group: Group) -> str:
    # The fields by hand: a repr of every rule would be a tenth of a large read.
    rules = [(r.egress, r.protocol, r.first, r.last, r.kind, r.peer, text) for r, text in sorted(group.rules.items())]
    return repr((group.id, group.scope, group.vpc, group.name, group.mark, group.tags, group.is_default, rules))
