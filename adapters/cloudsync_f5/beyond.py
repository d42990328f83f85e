"""What no policy of ours decides at a virtual server: ports it does not listen on, and what foreign policies do before or behind ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field

from cloudsync.adapter import Access, Intent
from cloudsync.model.packets import ALL_PACKETS, NO_PACKETS
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId
from cloudsync_f5.decode import Reader, at, limit
from cloudsync_f5.table import GLOBAL, F5Table, Virtual

EVERYTHING = Access(outbound=ALL_PACKETS)


@dataclass(slots=True)
class Beyond:
    """Per point: packets that cannot pass whatever we write, and packets that always do."""

    left_out: dict[PointId, Access] = field(default_factory=dict)
    forced: dict[PointId, Access] = field(default_factory=dict)


def beyond(table: F5Table, intent: Intent, left: Mapping[int, str] | None) -> Beyond:
    """Return both for every point of an intent; equal points share one value.

    `left`: the foreign policies that route domains will carry beside us; None where nothing is written, so that all stay as they are.
    """
    reader = Reader(table)
    held = table.held_domains() if left is not None else {}
    memo: dict[tuple[object, ...], tuple[Access, Access]] = {}
    found = Beyond()
    for point in intent.points:
        virtual = at(table, point.point)
        if virtual is None:
            continue
        beside = reader.domain_policy(virtual.domain) if left is None else left.get(virtual.domain, "")
        inner = _beside_ours(table, virtual) if virtual.domain in held else None
        key = _key(reader, virtual, beside, inner)
        if key not in memo:
            memo[key] = _outside(reader, virtual, beside, inner)
        found.left_out[point.point], found.forced[point.point] = memo[key]
    return found


def _beside_ours(table: F5Table, virtual: Virtual) -> str:
    """Return the foreign policy on a virtual server, which stays where ours is on its route domain."""
    return "" if table.ours(virtual.enforced) else virtual.enforced


def _outside(reader: Reader, virtual: Virtual, beside: str, inner: str | None) -> tuple[Access, Access]:
    packets = limit(virtual.listener.peers, virtual.listener.services)
    first = reader.context(reader.table.running.get(GLOBAL, reader.table.enforced), virtual, packets)
    if inner is None:
        second = reader.context(beside, virtual, first.on)
        always = first.done | second.done
        possible = second.on | always
    else:
        last = reader.last(inner, virtual, first.on)
        always = first.done
        possible = last.on | last.done | always
    return Access(ALL_PACKETS - possible), Access(always, ALL_PACKETS)


def _key(reader: Reader, virtual: Virtual, beside: str, inner: str | None) -> tuple[object, ...]:
    contexts = (reader.table.running.get(GLOBAL, reader.table.enforced), beside, inner or "")
    picked = tuple(id(reader.picked(policy, virtual)) if policy else 0 for policy in contexts)
    return (*picked, inner is None, virtual.listener, virtual.domain)


def notes(table: F5Table, desired: F5Table, left: Mapping[int, str]) -> Iterator[str]:
    """Yield what people should know: foreign policies that decide beside ours, and objects that look like ours but are not."""
    reader = Reader(table)
    outer = [(table.enforced, "the global context", tuple(table.virtuals.values()))] if table.enforced else []
    for number, policy in sorted(left.items()):
        inside = tuple(one for one in table.virtuals.values() if one.domain == number)
        outer += [(policy, f"route domain {number}", inside)] if policy else []
    for policy, place, virtuals in outer:
        cut, always = _reach(reader, policy, virtuals)
        if cut or always:
            yield f"policy {policy} on {place} decides before ours: it cuts at {cut} virtual servers, and lets in for good at {always}"
    yield from _in_series(table, desired)
    if table.unfollowed:
        yield f"where virtual servers forward to is not known: {table.unfollowed}"
    if not table.synced:
        yield f"the devices of the group do not agree: {table.sync_words}"
    stem = f"cs_{table.owner}_"
    for path, one in sorted(table.policies.items()):
        if one.mark is None and path.rpartition("/")[2].startswith(stem):
            yield f"policy {path} has a name of ours but not our mark: it counts as foreign and is left alone"
    for domain in sorted(desired.route_domains.values(), key=lambda one: one.path):
        if domain.staged and table.ours(table.route_domains[domain.path].enforced):
            yield f"route domain {domain.path} has a staged policy {domain.staged}: it only counts, and is left alone"
    for path, virtual in sorted(desired.virtuals.items()):
        if virtual.staged and table.ours(table.virtuals[path].enforced):
            yield f"virtual server {path} has a staged policy {virtual.staged}: it only counts, and is left alone"


def _reach(reader: Reader, policy: str, virtuals: Iterable[Virtual]) -> tuple[int, int]:
    """Return at how many virtual servers a policy cuts something, and at how many it lets something in for good."""
    cut = always = 0
    for virtual in virtuals:
        packets = limit(virtual.listener.peers, virtual.listener.services)
        passed = reader.context(policy, virtual, packets)
        cut += (packets - passed.on - passed.done) != NO_PACKETS
        always += passed.done != NO_PACKETS
    return cut, always


def _in_series(table: F5Table, desired: F5Table) -> Iterator[str]:
    """Yield the foreign policies on virtual servers that stay behind ours on their route domain."""
    found: dict[tuple[int, str], int] = {}
    held = {number for number, one in desired.held_domains().items() if desired.ours(one.enforced)}
    for virtual in table.virtuals.values():
        if virtual.domain in held and (beside := _beside_ours(table, virtual)):
            found[virtual.domain, beside] = found.get((virtual.domain, beside), 0) + 1
    for (number, policy), count in sorted(found.items()):
        yield f"policy {policy} on {count} virtual servers of route domain {number} is asked behind ours: what it cuts stays cut"
