"""MEET: temporary rules hold every interface to what old and new share, a barrier, the way to the new table beneath them, a barrier, gone.

Used where a change could expose something on a path of several points. O - N is denied at the very top: before the new rules come every
interface is inside O, afterwards inside N, and the denies never touch what both allow. Where VMs change their tags, rules begin and end to
act on them, and they to be members, at moments of their own; there O and N is allowed and all else denied meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field

from cloudsync.adapter import Access, Phase, Step
from cloudsync.model.address import AddressSet
from cloudsync.model.packets import ALL_PACKETS, NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId
from cloudsync_gcp.bounds import affected
from cloudsync_gcp.decode import decode
from cloudsync_gcp.steps import Change, delete, insert, merge
from cloudsync_gcp.table import GcpTable, Rule
from cloudsync_gcp.temporary import head, named, saying


def meet(actual: GcpTable, desired: GcpTable) -> tuple[Phase, ...]:
    """Return the writes of MEET; empty where the temporary rules find no number, or no room under the project's quota."""
    ordinary = merge(actual, desired)
    if not ordinary:
        return ()
    change = Change.between(actual, desired)
    held = _Held(actual, desired, _numbers(change))
    held.hold(affected(actual, tuple(change.tags())) | affected(desired, tuple(change.tags())) if change.moved else frozenset())
    limit = desired.room.limit
    peak = len(actual.rules.keys() | desired.rules.keys()) + desired.room.elsewhere + len(held.allows) + len(held.denies)
    if held.cramped or (limit is not None and peak > limit - desired.room.reserve):
        return ()
    return (
        *_phase("hold", (insert(desired, rule) for rule in held.allows.values())),
        *_phase("shield", (insert(desired, rule) for rule in held.denies.values())),
        *ordinary,
        *_phase("unshield", (delete(desired, rule) for rule in held.denies.values())),
        *_phase("release", (delete(desired, rule) for rule in held.allows.values())),
    )


def _phase(name: str, steps: Iterable[Step]) -> tuple[Phase, ...]:
    found = tuple(sorted(steps, key=lambda step: step.key))
    return (Phase(name, found),) if found else ()


def _numbers(change: Change) -> dict[tuple[str, bool], int]:
    """Return the smallest number that changes in each network and direction: temporary rules stand above it."""
    found: dict[tuple[str, bool], int] = {}
    for rule in (*change.on, *change.off):
        key = (rule.network, rule.egress)
        found[key] = min(rule.priority, found.get(key, rule.priority))
    return found


@dataclass(slots=True)
class _Held:
    """The temporary rules of one change, by name."""

    actual: GcpTable
    desired: GcpTable
    numbers: dict[tuple[str, bool], int]
    allows: dict[str, Rule] = field(default_factory=dict)
    denies: dict[str, Rule] = field(default_factory=dict)
    cramped: bool = False
    """No number is left above what changes."""

    def hold(self, frozen: frozenset[PointId]) -> None:
        """Make the rules: for `frozen` points what old and new share and nothing else, elsewhere a deny of what goes."""
        old, new = decode(self.actual), decode(self.desired)
        groups: dict[tuple[str, bool, PacketSet, bool], list[AddressSet]] = {}
        memo: dict[tuple[int, int, bool, bool], PacketSet] = {}
        for point, nic in self.actual.nics.items():
            for egress in (False, True):
                key = (id(old[point]), id(new[point]), egress, point in frozen)
                if key not in memo:
                    memo[key] = _told(old[point], new[point], egress=egress, frozen=point in frozen)
                if memo[key] or point in frozen:
                    groups.setdefault((nic.network, egress, memo[key], point in frozen), []).append(nic.inside)
        for (network, egress, packets, freeze), own in groups.items():
            top = min(self.actual.layout.shield, self.numbers.get((network, egress), self.actual.layout.shield))
            sides = AddressSet.union_all(own)
            if freeze:
                self.cramped = self.cramped or top == 0
                self._add(self.allows, head(self.actual, network, max(0, top - 1), egress=egress, deny=False), packets, sides)
            self._add(self.denies, head(self.actual, network, top, egress=egress, deny=True), ALL_PACKETS if freeze else packets, sides)

    def _add(self, found: dict[str, Rule], first: Rule, packets: PacketSet, own: AddressSet) -> None:
        taken = self.actual.rules.keys() | self.desired.rules.keys() | self.actual.taken
        for rule in saying(first, packets, own, self.actual.layout.addresses_most):
            one = named(rule, self.actual.owner, taken)
            found[one.name] = one


def _told(old: Access, new: Access, *, egress: bool, frozen: bool) -> PacketSet:
    before, after = (one.outbound if egress else one.inbound for one in (old, new))
    if frozen:
        return before & after
    return before - after if before is not after else NO_PACKETS
