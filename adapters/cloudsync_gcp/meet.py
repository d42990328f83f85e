"""MEET: temporary denies hold every interface to what old and new share, a barrier, the way to the new table beneath them, a barrier, gone.

Used where a change could expose something on a path of several points. O - N is denied at the very top: before the new rules come every
interface is inside O, afterwards inside N, and the denies never touch what both allow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cloudsync.adapter import Origin, Phase
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync_gcp.chunks import divide
from cloudsync_gcp.decode import decode
from cloudsync_gcp.payload import description, stem
from cloudsync_gcp.spell import say
from cloudsync_gcp.steps import Change, delete, insert, merge
from cloudsync_gcp.table import GcpTable, Mark, Rule

MOVE = "move"
"""Class of temporary rules: no class of a policy is called so."""
TEMPORARY = Origin("temporary")


def meet(actual: GcpTable, desired: GcpTable) -> tuple[Phase, ...]:
    """Return the writes of MEET; empty where the temporary denies find no room under the project's quota."""
    ordinary = merge(actual, desired)
    shields = _shields(actual, desired)
    if not ordinary or not shields:
        return ordinary
    limit = desired.room.limit
    peak = len(actual.rules.keys() | desired.rules.keys()) + desired.room.elsewhere + len(shields)
    if limit is not None and peak > limit:
        return ()
    first = Phase("shield", tuple(insert(desired, rule, temporary=True) for rule in shields))
    last = Phase("unshield", tuple(delete(desired, rule, temporary=True) for rule in shields))
    return (first, *ordinary, last)


def _shields(actual: GcpTable, desired: GcpTable) -> list[Rule]:
    old, new = decode(actual), decode(desired)
    numbers = _numbers(actual, desired)
    groups: dict[tuple[str, bool, PacketSet], list[AddressSet]] = {}
    memo: dict[tuple[int, int, bool], PacketSet] = {}
    for point, nic in actual.nics.items():
        for egress in (False, True):
            key = (id(old[point]), id(new[point]), egress)
            if key not in memo:
                before, after = (one.outbound if egress else one.inbound for one in (old[point], new[point]))
                memo[key] = before - after if before is not after else NO_PACKETS
            if memo[key]:
                groups.setdefault((nic.network, egress, memo[key]), []).append(nic.inside)
    found: dict[str, Rule] = {}
    taken = actual.rules.keys() | desired.rules.keys() | actual.taken
    for (network, egress, packets), own in groups.items():
        number = min(actual.layout.shield, numbers.get((network, egress), actual.layout.shield))
        head = Rule("", network, egress, number, True, description=description(actual.owner, MOVE, (TEMPORARY.rule,)))
        head = replace(head, mark=Mark(actual.owner, MOVE, (TEMPORARY.rule,)), origins=(TEMPORARY,))
        for rule in _denying(head, packets, AddressSet.union_all(own), actual.layout.addresses_most):
            base = stem(rule, actual.owner)
            name, turn = base, 0
            while name in taken:
                turn += 1
                name = f"{base}-r{turn}"
            found[name] = replace(rule, name=name)
    return [found[name] for name in sorted(found)]


def _numbers(actual: GcpTable, desired: GcpTable) -> dict[tuple[str, bool], int]:
    """Return the smallest number that changes in each network and direction: the denies stand there at the latest."""
    change = Change.between(actual, desired)
    found: dict[tuple[str, bool], int] = {}
    for rule in (*change.on, *change.off):
        key = (rule.network, rule.egress)
        found[key] = min(rule.priority, found.get(key, rule.priority))
    return found


def _denying(head: Rule, packets: PacketSet, own: AddressSet, most: int) -> Iterator[Rule]:
    for peers, services in packets.products():
        family = Family.V4 if peers.v4 else Family.V6
        for protocols in say(services, family).parts:
            for part in divide(peers, (), most):
                for target in divide(own.only(family), (), most):
                    sources, destinations = (target, part) if head.egress else (part, target)
                    yield replace(head, protocols=protocols, sources=sources.cidrs(), destinations=destinations.cidrs())
