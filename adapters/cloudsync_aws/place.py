"""Which groups each interface is to carry: one class group per VPC, class and kept past; foreign groups by the target's mode."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import field

from cloudsync.adapter import ClassIntent, Intent, PointIntent
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import Domain, PointId
from cloudsync_aws.payload import canonical, placeholder
from cloudsync_aws.table import AwsTable, Eni, Group, Mark

NAME_MOST = 255
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")


NO_MARK = Mark("", "")


@dataclass(frozen=True, slots=True)
class SlotKey:
    """What makes a class group: interfaces that agree in all of this share one."""

    scope: str
    vpc: str
    class_id: str
    domain: Domain
    kept_in: PacketSet
    kept_out: PacketSet


@dataclass(slots=True)
class Slot:
    """One class group with its shards, and the interfaces that carry them."""

    key: SlotKey
    group: ClassIntent
    enis: list[Eni] = field(default_factory=list)
    foreign_most: int = 0
    """The most foreign groups that stay on one of its interfaces."""
    mark: Mark = NO_MARK
    main: str = ""
    """Id of the class group, or its placeholder: what others refer to."""

    @property
    def points(self) -> tuple[PointId, ...]:
        """Its enforcement points, ordered."""
        return tuple(sorted(eni.point for eni in self.enis))


@dataclass(slots=True)
class Placement:
    """Slots in one fixed order, and what interfaces carry afterwards (shards not yet counted in)."""

    slots: list[Slot] = field(default_factory=list)
    carried: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def frozen_scopes(intent: Intent, table: AwsTable) -> frozenset[str]:
    """Return the scopes that were not read whole: there, desired is what is."""
    return intent.incomplete | frozenset(table.incomplete)


def place(intent: Intent, table: AwsTable) -> Placement:
    """Return the slots of an intent and the groups of every interface it speaks of. What was not read whole stays as it is."""
    placement = Placement()
    frozen = frozen_scopes(intent, table)
    classes = {(group.class_id, group.domain): group for group in intent.classes}
    slots: dict[SlotKey, Slot] = {}
    released: list[tuple[Eni, PointIntent]] = []
    for point in intent.points:
        eni = table.enis.get(point.point.rpartition("/")[2])
        if eni is None or eni.point != point.point or eni.skipped:
            if point.mode.enforced:
                why = eni.skipped if eni is not None else "it is not in this read"
                placement.notes.append(f"{point.point}: nothing is enforced here: {why}")
            continue
        if eni.scope in frozen:
            continue
        if not point.mode.enforced:
            released.append((eni, point))
            continue
        key = SlotKey(eni.scope, eni.vpc, point.class_id, point.domain, point.kept_in or NO_PACKETS, point.kept_out or NO_PACKETS)
        slot = slots.get(key)
        if slot is None:
            slot = slots[key] = Slot(key, classes[point.class_id, point.domain])
        slot.enis.append(eni)
    placement.slots = sorted(slots.values(), key=lambda one: (one.key.scope, one.key.vpc, one.key.class_id, one.enis[0].id))
    _identify(placement.slots, table)
    additive = intent.mode is not TargetMode.EXCLUSIVE
    for slot in placement.slots:
        for eni in slot.enis:
            foreign = [key for key in eni.groups if not _ours(table, key)] if additive else []
            slot.foreign_most = max(slot.foreign_most, len(foreign))
            placement.carried[eni.id] = tuple(sorted((*foreign, slot.main)))
    for eni, point in released:
        _release(placement, table, eni, point, additive=additive)
    return placement


def _ours(table: AwsTable, key: str) -> bool:
    group = table.groups.get(key)
    return group is not None and group.mark is not None


def _release(placement: Placement, table: AwsTable, eni: Eni, point: PointIntent, *, additive: bool) -> None:
    """Take our groups off a point that is not enforced (any more); what others attached stays, what was there before us comes back."""
    foreign = [key for key in eni.groups if not _ours(table, key)]
    if len(foreign) == len(eni.groups):
        return
    known = [key for key in point.original if key in table.groups and table.groups[key].vpc == eni.vpc and not _ours(table, key)]
    back = foreign if additive and foreign else sorted({*foreign, *known})
    if not back:
        gone = ", ".join(point.original) or "nothing recorded"
        placement.notes.append(f"{point.point}: no longer enforced, but it keeps our group: no other is left to carry (before us: {gone})")
        return
    placement.carried[eni.id] = tuple(sorted(back))


# --- identity ------------------------------------------------------------------------------------------------------------


def _identify(slots: list[Slot], table: AwsTable) -> None:
    """Give every slot its group: by mark first, then by the members of a group whose kept past changed; else a new one."""
    marked: dict[tuple[str, str], list[Group]] = {}
    for group in sorted(table.groups.values(), key=lambda one: one.id):
        if group.mark is not None and group.mark.shard == 0:
            marked.setdefault((group.vpc, group.mark.base), []).append(group)
    claimed: set[str] = set()
    for exact in (True, False):
        for slot in slots:
            if slot.main:
                continue
            carried = _counts(slot.enis)
            tag = _tag(slot.key)
            found = [
                group
                for group in marked.get((slot.key.vpc, slot.key.class_id), ())
                if group.id not in claimed and (group.mark is not None and group.mark.class_id == tag if exact else group.id in carried)
            ]
            if found:
                best = max(found, key=lambda group: carried.get(group.id, 0))
                claimed.add(best.id)
                assert best.mark is not None
                slot.main, slot.mark = best.id, best.mark
    taken = {(table.groups[key].vpc, table.groups[key].mark) for key in claimed}
    for slot in slots:
        if not slot.main:
            slot.mark = _free_mark(slot, table.owner, taken)
            slot.main = placeholder(group_key(slot.key, slot.mark))
            taken.add((slot.key.vpc, slot.mark))


def _free_mark(slot: Slot, owner: str, taken: Iterable[tuple[str, Mark | None]]) -> Mark:
    known = set(taken)
    tag, turn = _tag(slot.key), 1
    while (slot.key.vpc, Mark(owner, tag)) in known:
        turn += 1
        tag = f"{slot.key.class_id}.{digest([_tag(slot.key), turn])}"
    return Mark(owner, tag)


def _counts(enis: Iterable[Eni]) -> dict[str, int]:
    found: dict[str, int] = {}
    for eni in enis:
        for key in eni.groups:
            found[key] = found.get(key, 0) + 1
    return found


def _tag(key: SlotKey) -> str:
    if not key.kept_in and not key.kept_out:
        return key.class_id
    return f"{key.class_id}.{digest([key.kept_in.v4, key.kept_in.v6, key.kept_out.v4, key.kept_out.v6])}"


def digest(value: object) -> str:
    """Return 8 hex digits of a value; only ever part of a name, never an identity."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:8]


def group_key(key: SlotKey, mark: Mark) -> str:
    """Return the plan's key of a group to be created."""
    return f"sg/{key.scope}/{key.vpc}/{mark.class_id}/{mark.shard}"


def group_name(mark: Mark, taken: Iterable[str]) -> str:
    """Return `cs-<owner>-<class>[-s<shard>]` in EC2's characters, free in its VPC. EC2 compares names without case."""
    lower = {name.lower() for name in taken}
    owner = _NOT_IN_NAMES.sub("-", mark.owner)[:80]
    if owner != mark.owner:
        owner += f"-{digest(mark.owner)}"
    tag = _NOT_IN_NAMES.sub("-", mark.class_id)[:80]
    if tag != mark.class_id:
        tag += f"-{digest(mark.class_id)}"
    stem = f"cs-{owner}-{tag}" + (f"-s{mark.shard}" if mark.shard else "")
    name, turn = stem, 1
    while name.lower() in lower:
        turn += 1
        name = f"{stem}-{turn}"
    assert len(name) <= NAME_MOST
    return name
