"""What no policy of ours decides at a virtual server: ports it does not listen on, and what foreign policies do before its own is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cloudsync.adapter import Access, Intent
from cloudsync.model.packets import ALL_PACKETS, NO_PACKETS
from cloudsync.model.workload import PointId
from cloudsync_f5.decode import Passed, Reader, at, limit
from cloudsync_f5.table import F5Table, Virtual

EVERYTHING = Access(outbound=ALL_PACKETS)


@dataclass(slots=True)
class Beyond:
    """Per point: packets that cannot pass whatever we write, and packets that always do."""

    left_out: dict[PointId, Access] = field(default_factory=dict)
    forced: dict[PointId, Access] = field(default_factory=dict)


def beyond(table: F5Table, intent: Intent) -> Beyond:
    """Return both for every point of an intent; equal points share one value."""
    reader = Reader(table)
    memo: dict[tuple[object, ...], tuple[Access, Access]] = {}
    found = Beyond()
    for point in intent.points:
        virtual = at(table, point.point)
        if virtual is None:
            continue
        key = _key(reader, virtual)
        if key not in memo:
            first, second = reader.outer(virtual)
            always = first.done | second.done
            possible = second.on | always
            memo[key] = Access(ALL_PACKETS - possible), Access(always, ALL_PACKETS)
        found.left_out[point.point], found.forced[point.point] = memo[key]
    return found


def _key(reader: Reader, virtual: Virtual) -> tuple[object, ...]:
    table = reader.table
    contexts = (table.enforced, reader.domain_policy(virtual.domain))
    return (*(id(reader.picked(policy, virtual)) if policy else 0 for policy in contexts), virtual.listener, virtual.domain)


def notes(table: F5Table, desired: F5Table) -> Iterator[str]:
    """Yield what people should know: foreign policies that decide before ours, and objects that look like ours but are not."""
    reader = Reader(table)
    for policy, place in _outer(table, reader):
        cut, always = 0, 0
        for virtual in table.virtuals.values():
            packets = limit(virtual.listener.peers, virtual.listener.services)
            passed: Passed = reader.context(policy, virtual, packets) if _meets(reader, policy, virtual) else Passed(packets)
            cut += (packets - passed.on - passed.done) != NO_PACKETS
            always += passed.done != NO_PACKETS
        if cut or always:
            yield f"policy {policy} on {place} decides before ours: it cuts at {cut} virtual servers, and lets in for good at {always}"
    if not table.synced:
        yield f"the devices of the group do not agree: {table.sync_words}"
    stem = f"cs_{table.owner}_"
    for path, one in sorted(table.policies.items()):
        if one.mark is None and path.rpartition("/")[2].startswith(stem):
            yield f"policy {path} has a name of ours but not our mark: it counts as foreign and is left alone"
    for path, virtual in sorted(desired.virtuals.items()):
        held = table.policies.get(virtual.enforced)
        if virtual.staged and held is not None and held.mark is not None:
            yield f"virtual server {path} has a staged policy {virtual.staged}: it only counts, and is left alone"


def _outer(table: F5Table, reader: Reader) -> Iterator[tuple[str, str]]:
    if table.enforced:
        yield table.enforced, "the global context"
    for _, one in sorted(table.route_domains.items()):
        policy = reader.domain_policy(one.id)
        if policy:
            yield policy, f"route domain {one.id}"


def _meets(reader: Reader, policy: str, virtual: Virtual) -> bool:
    return policy in (reader.table.enforced, reader.domain_policy(virtual.domain))
