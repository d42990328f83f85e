"""From actual to desired in EC2's calls: one per group and direction, one per interface, in phases whose every order is safe.

SWAP: create, strip, fill, resize, authorize, move (one atomic replacement per interface), revoke, describe, delete.
JOIN: the same with attach (old and new groups together), swap (where they do not fit together) and detach instead of move.
MEET: see `meet`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import assert_never

from cloudsync.adapter import Effect, Method, Phase, Step
from cloudsync_aws import payload as wire
from cloudsync_aws.calls import Attacher, Caller
from cloudsync_aws.quota import list_peak, quotas, sums
from cloudsync_aws.simulate import default_egress
from cloudsync_aws.table import AwsTable, Eni, Group, PrefixList, RuleKey


def steps(actual: AwsTable, desired: AwsTable, method: Method) -> tuple[Phase, ...]:
    """Return the smallest safe writes from actual to desired; empty when equal, or when helpers of MEET do not fit the quotas."""
    match method:
        case Method.SWAP:
            return swap(actual, desired)
        case Method.JOIN:
            return join(actual, desired)
        case Method.MEET:
            from cloudsync_aws.meet import meet

            return meet(actual, desired)
        case Method.MERGE | Method.TWO_BAND | Method.SHIELD:
            return ()  # groups have no order
        case _:
            assert_never(method)


def swap(actual: AwsTable, desired: AwsTable) -> tuple[Phase, ...]:
    """Return the writes with one atomic replacement per interface between adding and removing."""
    change = Change(actual, desired)
    move = tuple(change.attacher.step(eni, eni.groups, new, "move") for eni, new in change.moves())
    return phases(*change.before(), ("move", move), *change.after())


def join(actual: AwsTable, desired: AwsTable) -> tuple[Phase, ...]:
    """Return the writes that add everything first and remove afterwards.

    Where old and new groups do not fit one interface, as many of the new ones as fit are attached, the class group (what others refer
    to) first; the rest comes in one replacement, while everybody else holds old and new side by side.
    """
    change = Change(actual, desired)
    attach: list[Step] = []
    swapped: list[Step] = []
    detach: list[Step] = []
    for eni, new in change.moves():
        room = quotas(actual, eni.scope).groups_per_eni - len(eni.groups)
        added = sorted((key for key in new if key not in eni.groups), key=lambda key: (_shard(desired, key), key))
        middle = tuple(sorted((*eni.groups, *added[: max(0, room)])))
        if middle != eni.groups:
            attach.append(change.attacher.step(eni, eni.groups, middle, "attach"))
        if middle != new:
            last, name = (swapped, "swap") if len(added) > room else (detach, "detach")
            last.append(change.attacher.step(eni, middle, new, name))
    moves = (("attach", tuple(attach)), ("swap", tuple(swapped)), ("detach", tuple(detach)))
    return phases(*change.before(), *moves, *change.after())


def _shard(table: AwsTable, key: str) -> int:
    group = table.groups.get(key)
    return group.mark.shard if group is not None and group.mark is not None else 0


def phases(*named: tuple[str, tuple[Step, ...]]) -> tuple[Phase, ...]:
    """Return the phases that have steps."""
    return tuple(Phase(name, found) for name, found in named if found)


Named = tuple[str, tuple[Step, ...]]


class Change:
    """The difference of two tables of one target, as calls. Raises ValueError if anything differs that is not ours to write."""

    def __init__(self, actual: AwsTable, desired: AwsTable) -> None:
        self.actual, self.desired = actual, desired
        self.caller, self.attacher = Caller.of(actual, desired), Attacher(actual.owner)
        self.new = [group for key, group in sorted(desired.groups.items()) if key not in actual.groups]
        self.gone = [group for key, group in sorted(actual.groups.items()) if key not in desired.groups]
        self.changed = [
            (actual.groups[key], group)
            for key, group in sorted(desired.groups.items())
            if key in actual.groups and actual.groups[key].rules != group.rules
        ]
        carried = {key for eni in actual.enis.values() for key in eni.groups}
        self.live = [(old, new) for old, new in self.changed if old.id in carried]
        """Groups that somebody carries: their entries change in an order that is safe. All others change before anybody carries them."""
        self.new_lists = [one for key, one in sorted(desired.lists.items()) if key not in actual.lists]
        self.gone_lists = [one for key, one in sorted(actual.lists.items()) if key not in desired.lists]
        self.changed_lists = [
            (actual.lists[key], one) for key, one in sorted(desired.lists.items()) if key in actual.lists and actual.lists[key] != one
        ]
        self._check()

    def _check(self) -> None:
        touched: list[Group | PrefixList] = [*self.new, *self.gone, *(old for old, _ in self.changed)]
        touched += [*self.new_lists, *self.gone_lists, *(old for old, _ in self.changed_lists)]
        foreign = sorted(one.id for one in touched if one.mark is None)
        if foreign:
            raise ValueError(f"{', '.join(foreign)}: not ours to write")
        for old, new in self.changed:
            if replace(new, rules=old.rules) != old:
                raise ValueError(f"{old.id}: name, VPC, mark and tags of a group do not change")
        if self.actual.enis.keys() != self.desired.enis.keys():
            raise ValueError("interfaces come and go by other hands")

    def moves(self) -> list[tuple[Eni, tuple[str, ...]]]:
        """Return the interfaces whose groups change, with the groups they get."""
        return [
            (self.actual.enis[key], eni.groups)
            for key, eni in sorted(self.desired.enis.items())
            if self.actual.enis[key].groups != eni.groups
        ]

    def before(self) -> list[Named]:
        """Return what only adds: nothing that is let through today depends on it."""
        grow = self.list_changes(grow=True)
        first, *later = grow or [()]
        chained = [(f"authorize-{number}", found) for number, found in enumerate(later, 2)]
        return [self.create(), *self.fill(), self.resize(grow=True), ("authorize", (*self.authorize(), *first)), *chained]

    def after(self) -> list[Named]:
        """Return what removes, and what nobody feels."""
        shrink = self.list_changes(grow=False)
        first, *later = shrink or [()]
        chained = [(f"revoke-{number}", found) for number, found in enumerate(later, 2)]
        return [
            ("revoke", (*self.revoke(), *first)),
            *chained,
            ("describe", (*self.describe(), *self.resize(grow=False)[1])),
            ("delete", tuple(self.caller.delete_group(group) for group in self.gone)),
            ("delete-lists", tuple(self.caller.delete_list(one) for one in self.gone_lists)),
        ]

    def create(self) -> Named:
        """Return the creation of lists and groups, tags included."""
        made = [self.caller.create_list(one) for one in self.new_lists]
        return "create", (*made, *(self.caller.create_group(group) for group in self.new))

    def fill(self) -> tuple[Named, Named]:
        """Return what groups hold that nobody carries yet: new ones, and those that a run cut short has left behind."""
        fresh = [(default_egress(self.desired.vpcs.get(group.vpc)), group) for group in self.new]
        idle = [(tuple(old.rules), new) for old, new in self.changed if (old, new) not in self.live]
        return filling(self.caller, self.desired, (*fresh, *idle))

    def authorize(self) -> tuple[Step, ...]:
        """Return the additions to groups that exist."""
        found: list[Step] = []
        for old, new in self.live:
            added = {key: text for key, text in new.rules.items() if key not in old.rules}
            found.extend(self.caller.authorize(new, added, Effect.GROWS))
        return tuple(found)

    def revoke(self) -> tuple[Step, ...]:
        """Return the removals from groups that stay, and of references that would keep groups and lists from being deleted."""
        found: list[Step] = []
        for old, new in self.live:
            found.extend(self.caller.revoke(old, [key for key in old.rules if key not in new.rules], Effect.SHRINKS))
        gone = {group.id for group in self.gone} | {one.id for one in self.gone_lists}
        for group in self.gone:
            ties = [key for key in group.rules if key.peer in gone and key.peer != group.id]
            found.extend(self.caller.revoke(group, ties, Effect.NONE))
        return tuple(found)

    def describe(self) -> tuple[Step, ...]:
        """Return changes of descriptions alone."""
        found: list[Step] = []
        for old, new in self.changed:
            texts = {key: text for key, text in new.rules.items() if key in old.rules and old.rules[key] != text}
            found.extend(self.caller.describe(new, texts))
        return tuple(found)

    def resize(self, *, grow: bool, meet: bool = False) -> Named:
        """Return changes of MaxEntries: up before entries come (old and new together, unless `meet`), down after they went."""
        found: list[Step] = []
        for old, new in self.changed_lists:
            top = max(old.weight, new.weight) if meet else list_peak(old, new)
            start, end = (old.weight, top) if grow else (top, new.weight)
            if start != end:
                found.append(self.caller.resize_list(replace(old, weight=start), end))
        return "resize", tuple(found)

    def list_changes(self, *, grow: bool, meet: bool = False) -> list[tuple[Step, ...]]:
        """Return changes of entries, in rounds: EC2 takes 100 at a time, and each is a version that the next builds on.

        Additions come first, except with `meet`, where removals do.
        """
        rounds: list[list[Step]] = []
        for old, new in self._list_pairs(grow=grow):
            version = old.version
            if grow is meet:
                first, second = (old, new) if meet else (new, old)
                version += len(chunks([cidr for cidr in first.entries if cidr not in second.entries]))
            source, other = (new.entries, old.entries) if grow else (old.entries, new.entries)
            for number, chunk in enumerate(chunks([cidr for cidr in sorted(source) if cidr not in other])):
                if number == len(rounds):
                    rounds.append([])
                rounds[number].append(self.caller.change_list(old, chunk, version + number, grow=grow))
        return [tuple(one) for one in rounds]

    def _list_pairs(self, *, grow: bool) -> list[tuple[PrefixList, PrefixList]]:
        if not grow:
            return self.changed_lists
        fresh = [(replace(one, entries=dict(first_entries(one))), one) for one in self.new_lists]
        return [*self.changed_lists, *fresh]


def filling(
    caller: Caller, desired: AwsTable, groups: Iterable[tuple[Collection[RuleKey], Group]], *, temporary: bool = False
) -> tuple[Named, Named]:
    """Return what takes entries out of and puts entries into groups that nobody carries; each comes with the entries it has.

    Removals go in a phase before only where old and new entries would not fit side by side: a phase costs a barrier.
    """
    first: list[Step] = []
    found: list[Step] = []
    for given, group in groups:
        surplus = [key for key in given if key not in group.rules]
        missing = {key: text for key, text in group.rules.items() if key not in given}
        peak = sums({*group.rules, *given}, desired.lists)
        tight = peak.most > quotas(desired, group.scope).rules_per_group
        (first if tight else found).extend(caller.revoke(group, surplus, Effect.NONE, temporary=temporary))
        found.extend(caller.authorize(group, missing, Effect.NONE, temporary=temporary))
    return ("strip", tuple(first)), ("fill", tuple(found))


def first_entries(one: PrefixList) -> list[tuple[str, str]]:
    """Return the entries that go into the creating call."""
    return sorted(one.entries.items())[: wire.ENTRIES_PER_CALL]


def chunks(cidrs: Iterable[str]) -> list[list[str]]:
    """Return what fits one call each."""
    todo = list(cidrs)
    return [todo[at : at + wire.ENTRIES_PER_CALL] for at in range(0, len(todo), wire.ENTRIES_PER_CALL)]
