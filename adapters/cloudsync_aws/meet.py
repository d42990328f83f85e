"""MEET: shrink every interface to what old and new share, a barrier, then grow. For changes that JOIN could expose in series.

While interfaces shrink, helper groups hold what old and new share, as fixed addresses: then nothing that both allow depends on the order
in which groups, members and entries go. Helpers are groups of their own, so dropping one never drops an entry that is wanted.
"""

from __future__ import annotations

from dataclasses import field, replace

from cloudsync.adapter import Access, Effect, Phase, Step
from cloudsync.model.packets import PacketSet
from cloudsync.model.quick import dataclass
from cloudsync_aws.calls import Attacher, Caller
from cloudsync_aws.content import Entries, Piece, Side, entries
from cloudsync_aws.decode import decode, is_ours
from cloudsync_aws.pack import Room, pack
from cloudsync_aws.payload import placeholder
from cloudsync_aws.place import digest, group_name
from cloudsync_aws.quota import heavier, quotas, sums
from cloudsync_aws.simulate import default_egress
from cloudsync_aws.steps import Change, filling, phases
from cloudsync_aws.table import AwsTable, Eni, Group, Mark, RuleKey

HELPER = "move-"
"""Helpers carry this before their hash as their class: no class of a policy is called so."""


@dataclass(slots=True)
class _Helpers:
    """Helper groups by VPC and content, and who needs which."""

    groups: dict[str, Group] = field(default_factory=dict)
    of_eni: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Way:
    """An interface on its way: its groups before, with the helper, shrunk, grown, and at the end."""

    eni: Eni
    held: tuple[str, ...]
    shrunk: tuple[str, ...]
    grown: tuple[str, ...]
    new: tuple[str, ...]


def meet(actual: AwsTable, desired: AwsTable) -> tuple[Phase, ...]:
    """Return the writes of MEET; empty where helpers find no slot or no room under the quotas."""
    change = Change(actual, desired)
    helpers = _helpers(actual, desired)
    if helpers is None:
        return ()
    ways = list(_ways(actual, desired, helpers))
    if any(max(len(way.held), len(way.grown)) > quotas(actual, way.eni.scope).groups_per_eni for way in ways):
        return ()
    if not _grown_fit(actual, desired):
        return ()
    caller = Caller.of(actual, desired, replace(desired, groups=helpers.groups))
    made = tuple(caller.create_group(group, temporary=True) for group in helpers.groups.values())
    fresh = [(default_egress(desired.vpcs.get(group.vpc)), group) for group in helpers.groups.values()]
    held_strip, held_fill = filling(caller, desired, fresh, temporary=True)
    removed = change.list_changes(grow=False, meet=True)
    added = change.list_changes(grow=True, meet=True)
    tied, rest = _split(change.revoke())
    create, (strip, fill) = change.create(), change.fill()
    return phases(
        ("create", (*made, *create[1])),
        ("strip", (*held_strip[1], *strip[1])),
        ("fill", (*held_fill[1], *fill[1])),
        ("hold", _moves(change.attacher, ways, "held", "hold")),
        ("shrink-move", _moves(change.attacher, ways, "shrunk", "shrink")),
        ("shrink", (*rest, *(removed[0] if removed else ()))),
        *((f"shrink-{number}", found) for number, found in enumerate(removed[1:], 2)),
        change.resize(grow=True, meet=True),
        ("grow", (*change.authorize(), *(added[0] if added else ()))),
        *((f"grow-{number}", found) for number, found in enumerate(added[1:], 2)),
        ("grow-move", _moves(change.attacher, ways, "grown", "grow")),
        ("let-go", _moves(change.attacher, ways, "new", "let-go")),
        ("describe", (*tied, *change.describe(), *change.resize(grow=False, meet=True)[1])),
        ("delete", (*(caller.delete_group(one, temporary=True) for one in helpers.groups.values()), *_deletions(change))),
        ("delete-lists", tuple(change.caller.delete_list(one) for one in change.gone_lists)),
    )


def _deletions(change: Change) -> tuple[Step, ...]:
    return tuple(change.caller.delete_group(group) for group in change.gone)


def _split(revokes: tuple[Step, ...]) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """Part the removals that only untie groups about to be deleted from those that take packets away."""
    return tuple(step for step in revokes if step.effect is Effect.NONE), tuple(step for step in revokes if step.effect is not Effect.NONE)


def _helpers(actual: AwsTable, desired: AwsTable) -> _Helpers | None:
    """Return the helpers that hold what old and new share wherever the shrunk state alone would not; None when one finds no room."""
    shrunk = _shrunk(actual, desired)
    old, new, middle = decode(actual), decode(desired), decode(shrunk)
    found = _Helpers()
    memo: dict[tuple[int, int, int], tuple[PacketSet, PacketSet] | None] = {}
    keys: dict[tuple[str, PacketSet, PacketSet], tuple[str, ...]] = {}
    for key, eni in sorted(actual.enis.items()):
        before, after, least = old[eni.point], new[eni.point], middle[eni.point]
        at = (id(before), id(after), id(least))
        if at not in memo:
            memo[at] = _shared(before, after, least)
        shared = memo[at]
        if eni.skipped or (eni == desired.enis[key] and not any(is_ours(actual, group) for group in eni.groups)):
            continue
        if shared is None and shrunk.enis[key].groups:
            continue
        inbound, outbound = shared or (before.inbound & after.inbound, before.outbound & after.outbound)
        known = keys.get((eni.vpc, inbound, outbound))
        if known is None:
            made = _made(actual, eni, inbound, outbound)
            if made is None:
                return None
            found.groups.update((group.id, group) for group in made)
            known = keys[eni.vpc, inbound, outbound] = tuple(group.id for group in made)
        found.of_eni[key] = known
    return found


def _shared(before: Access, after: Access, least: Access) -> tuple[PacketSet, PacketSet] | None:
    inbound, outbound = before.inbound & after.inbound, before.outbound & after.outbound
    return None if inbound <= least.inbound and outbound <= least.outbound else (inbound, outbound)


def _shrunk(actual: AwsTable, desired: AwsTable) -> AwsTable:
    """Return the table with only what old and new have in common: entries, lists and attachments."""
    groups: dict[str, Group] = {}
    for key, group in actual.groups.items():
        new = desired.groups.get(key)
        groups[key] = (
            group if new is None else replace(group, rules={rule: text for rule, text in group.rules.items() if rule in new.rules})
        )
    lists = dict(actual.lists)
    for key, one in actual.lists.items():
        other = desired.lists.get(key)
        if other is not None:
            lists[key] = replace(one, entries={cidr: text for cidr, text in one.entries.items() if cidr in other.entries})
    enis = {
        key: replace(eni, groups=tuple(group for group in eni.groups if group in desired.enis[key].groups))
        for key, eni in actual.enis.items()
    }
    return replace(actual, groups=groups, lists=lists, enis=enis)


def _made(table: AwsTable, eni: Eni, inbound: PacketSet, outbound: PacketSet) -> list[Group] | None:
    """Return the helpers that hold these packets, None when they need more groups than an interface can ever carry."""
    rules: set[RuleKey] = set()
    for egress, packets in ((False, inbound), (True, outbound)):
        side = Side(egress, pieces=[Piece(addresses, services, ()) for addresses, services in packets.products()])
        said: Entries = entries(side)
        said_whole = not said.left and not said.lost
        assert said_whole, "what two states of groups share can be said in groups"
        rules.update(said.rules)
    limit = quotas(table, eni.scope)
    packed = pack(rules, {}, Room(limit.rules_per_group, limit.groups_per_eni, {}))
    if packed.over or packed.tight:
        return None
    tag = HELPER + digest([eni.vpc, inbound.v4, inbound.v6, outbound.v4, outbound.v6])
    names = {group.name for group in table.groups.values() if group.vpc == eni.vpc}
    found: list[Group] = []
    for number, keys in packed.shards.items():
        mark = Mark(table.owner, tag, number)
        new = placeholder(f"sg/{eni.scope}/{eni.vpc}/{tag}/{number}")
        found.append(Group(new, eni.scope, eni.vpc, group_name(mark, names), dict.fromkeys(keys, ""), mark, mark.tags))
    return found


def _ways(actual: AwsTable, desired: AwsTable, helpers: _Helpers) -> list[_Way]:
    found: list[_Way] = []
    for key, eni in sorted(actual.enis.items()):
        new = desired.enis[key].groups
        extra = helpers.of_eni.get(key, ())
        if not extra and new == eni.groups:
            continue
        kept = [group for group in eni.groups if group in new]
        found.append(
            _Way(
                eni,
                tuple(sorted({*eni.groups, *extra})),
                tuple(sorted({*kept, *extra})),
                tuple(sorted({*new, *extra})),
                new,
            )
        )
    return found


def _moves(attacher: Attacher, ways: list[_Way], to: str, phase: str) -> tuple[Step, ...]:
    before = {"held": "eni", "shrunk": "held", "grown": "shrunk", "new": "grown"}[to]
    found: list[Step] = []
    for way in ways:
        old: tuple[str, ...] = way.eni.groups if before == "eni" else getattr(way, before)
        new: tuple[str, ...] = getattr(way, to)
        if old != new:
            found.append(attacher.step(way.eni, old, new, phase, temporary=to in ("held", "shrunk")))
    return tuple(found)


def _grown_fit(actual: AwsTable, desired: AwsTable) -> bool:
    """Tell whether every group's end state fits: on the way it holds less than either end."""
    lists = heavier(actual.lists, desired.lists)
    return all(
        sums(group.rules, lists).most <= quotas(desired, group.scope).rules_per_group
        for group in desired.groups.values()
        if group.mark is not None
    )
