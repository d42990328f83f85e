"""What bounds a phase: tables below and above every state while its steps take effect in any order; and whom steps may touch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field, replace

from cloudsync.adapter import Bounds, Effect, Step
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId
from cloudsync_aws import payload as wire
from cloudsync_aws.simulate import simulate_all
from cloudsync_aws.table import AwsTable


def bounds(table: AwsTable, steps: tuple[Step, ...]) -> Bounds:
    """Return tables that bound every state of a phase.

    EC2's groups only allow, so what adds can only raise and what removes can only lower. An interface whose groups are swapped has its
    old or its new groups, both as seen by itself and as a member that others refer to, and these two may lag behind each other. What a
    point lets in from one member depends on that member and on the point alone (no two have an address in common), so a packet is decided
    as in one of four corners: own groups old or new, members old or new.
    """
    silent = [step for step in steps if step.effect is Effect.NONE]
    grows = [step for step in steps if step.effect is Effect.GROWS]
    shrinks = [step for step in steps if step.effect is Effect.SHRINKS]
    swaps = [step for step in steps if step.effect is Effect.SWAPS]
    low = simulate_all(table, (*silent, *shrinks))
    high = simulate_all(table, (*silent, *grows))
    if not swaps:
        return Bounds((low,), (high,))
    return Bounds(_corners(low, swaps), _corners(high, swaps))


def _corners(table: AwsTable, swaps: list[Step]) -> tuple[AwsTable, ...]:
    before = dict(table.members or {})
    after = dict(before)
    for step in swaps:
        args = wire.parse(step.payload).args
        eni = table.enis[args["NetworkInterfaceId"]]
        before[eni.id] = eni.groups
        after[eni.id] = tuple(sorted(args["Groups"]))
    moved = simulate_all(table, swaps)
    return tuple(replace(own, members=members) for own in (table, moved) for members in (before, after))


@dataclass(slots=True)
class _Touched:
    """What steps touch: groups whose rules change, groups whose members change, lists, interfaces."""

    rules: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)
    lists: set[str] = field(default_factory=set)
    enis: set[str] = field(default_factory=set)


def _touched(table: AwsTable, steps: Iterable[Step]) -> _Touched:
    found = _Touched()
    for step in steps:
        if step.effect is Effect.NONE:
            continue
        args = wire.parse(step.payload).args
        if "NetworkInterfaceId" in args:
            key = args["NetworkInterfaceId"]
            found.enis.add(key)
            found.members.update(args["Groups"])
            if key in table.enis:
                found.members.update(table.enis[key].groups)
        elif "GroupId" in args:
            found.rules.add(args["GroupId"])
        elif "PrefixListId" in args:
            found.lists.add(args["PrefixListId"])
    return found


def affected(table: AwsTable, steps: tuple[Step, ...]) -> frozenset[PointId]:
    """Return the points whose packets these steps may change: those that carry a touched group, refer to a group whose members change,
    or use a touched prefix list. Groups that come and go unseen (nobody carries them) affect nobody.
    """
    touched = _touched(table, steps)
    peers = touched.members | touched.lists
    groups = set(touched.rules)
    if peers:
        groups.update(group.id for group in table.groups.values() if any(rule.peer in peers for rule in group.rules))
    return frozenset(eni.point for eni in table.enis.values() if eni.id in touched.enis or not groups.isdisjoint(eni.groups))
