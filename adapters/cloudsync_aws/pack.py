"""Entries into groups under their quota: an entry stays where it is, new ones go where old and new fit together, then into shards."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field

from cloudsync.model.quick import dataclass
from cloudsync_aws.quota import NOTHING, Sums, sums, weight
from cloudsync_aws.table import PeerKind, PrefixList, RuleKey


@dataclass(slots=True)
class _Shard:
    now: frozenset[RuleKey]
    rules: list[RuleKey] = field(default_factory=list)
    final: Sums = NOTHING
    peak: Sums = NOTHING
    idle: bool = False
    """Whether nobody carries the group: then what it holds now goes before anything comes."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Entries per shard number. `over`: entries that found no room in any; `tight`: entries that fit only after others are gone."""

    shards: Mapping[int, tuple[RuleKey, ...]]
    over: tuple[RuleKey, ...] = ()
    tight: tuple[RuleKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Room:
    """The limits of a packing: entries per sum and group, and groups in all; `lists` weigh what they weigh at the peak."""

    entries: int
    groups: int
    lists: Mapping[str, PrefixList]
    idle: frozenset[int] = frozenset()
    """Shards that nobody carries yet."""


def pack(wanted: Collection[RuleKey], now: Mapping[int, Collection[RuleKey]], room: Room) -> Packed:
    """Assign every wanted entry to a shard; `now` is what the groups hold, by shard number. Stable and deterministic.

    References come first, so that they are in the class group as long as it has room: it is attached before its shards where an
    interface cannot hold old and new groups together, and then nobody's membership is missed in between.
    """
    total = sums(wanted, room.lists)
    if total.most > room.entries * room.groups:
        return Packed({0: tuple(sorted(wanted))}, over=tuple(sorted(wanted)))
    shards = {
        number: _Shard(frozenset(rules), peak=NOTHING if number in room.idle else sums(rules, room.lists), idle=number in room.idle)
        for number, rules in sorted(now.items())
    }
    shards.setdefault(0, _Shard(frozenset()))
    shards = dict(sorted(shards.items()))
    homeless: list[RuleKey] = []
    for key in sorted(wanted):
        home = next((shard for shard in _open(shards, room) if key in shard.now), None)
        if home is None or not _put(home, key, room, peak=False):
            homeless.append(key)
    over: list[RuleKey] = []
    tight: list[RuleKey] = []
    for key in sorted(homeless, key=lambda one: one.kind != PeerKind.GROUP.value):
        if any(_put(shard, key, room, peak=True) for shard in _open(shards, room)) or _put_new(shards, key, room):
            continue
        if any(_put(shard, key, room, peak=False) for shard in _open(shards, room)):
            tight.append(key)
            continue
        over.append(key)
        shards[0].rules.append(key)
    return Packed({number: tuple(shard.rules) for number, shard in shards.items()}, tuple(over), tuple(tight))


def _open(shards: Mapping[int, _Shard], room: Room) -> list[_Shard]:
    """Return the shards that may take an entry: those in use, and the others while an interface has a slot for one more."""
    used = [shard for number, shard in shards.items() if shard.rules or not number]
    return list(shards.values()) if len(used) < room.groups else used


def _put_new(shards: dict[int, _Shard], key: RuleKey, room: Room) -> bool:
    used = sum(1 for number, shard in shards.items() if shard.rules or not number)
    number = next(free for free in range(len(shards) + 1) if free not in shards)
    fresh = _Shard(frozenset())
    if used >= room.groups or not _put(fresh, key, room, peak=True):
        return False
    shards[number] = fresh
    return True


def _put(shard: _Shard, key: RuleKey, room: Room, *, peak: bool) -> bool:
    one = weight(key, room.lists)
    final = shard.final + one
    if not _fits(final, one, room.entries):
        return False
    if shard.idle or key not in shard.now:
        top = shard.peak + one
        if peak and not _fits(top, one, room.entries):
            return False
        shard.peak = top
    shard.final = final
    shard.rules.append(key)
    return True


def _fits(total: Sums, one: Sums, most: int) -> bool:
    """Tell whether the sums that an entry adds to stay within the quota."""
    pairs = ((total.in_v4, one.in_v4), (total.in_v6, one.in_v6), (total.out_v4, one.out_v4), (total.out_v6, one.out_v6))
    return all(have <= most for have, add in pairs if add)
