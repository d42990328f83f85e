"""Prefix lists: addresses that several groups of a scope use are kept once, so that a change of them is one write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace

from cloudsync.model.address import AddressSet, Family
from cloudsync.model.intervals import Points
from cloudsync.model.quick import dataclass
from cloudsync_aws.content import Need, Piece, Side
from cloudsync_aws.payload import placeholder
from cloudsync_aws.place import digest
from cloudsync_aws.quota import quotas, sums
from cloudsync_aws.table import AwsTable, Mark, PrefixList

LIST_FROM = 5
"""Addresses become a list from this many CIDRs of one family on: below, a list costs more calls than it saves."""
USERS_FROM = 2
"""Groups that use the same addresses before a list is made; a list that exists is kept while one group uses it."""


@dataclass(frozen=True, slots=True)
class ListKey:
    """Addresses of one family under one name: what a list is made of."""

    scope: str
    name: str
    family: Family
    points: Points


@dataclass(slots=True)
class Lists:
    """Prefix lists wanted: those of the snapshot that stay as they are are not in here."""

    wanted: dict[str, PrefixList] = field(default_factory=dict)
    ids: dict[ListKey, str] = field(default_factory=dict)

    def apply(self, side: Side, scope: str) -> None:
        """Move what is kept in lists from a side's addresses to references to lists."""
        pieces: list[Piece] = []
        for piece in side.pieces:
            rest = piece.addresses
            for family in Family:
                found = self.ids.get(ListKey(scope, piece.name, family, piece.addresses.family(family))) if piece.name else None
                if found is not None:
                    side.lists.setdefault(found, []).append(Need(piece.services, piece.origins))
                    rest -= piece.addresses.only(family)
                    side.listed.append(Piece(piece.addresses.only(family), piece.services, piece.origins))
            if rest:
                pieces.append(piece if rest is piece.addresses else replace(piece, addresses=rest, name=""))
        side.pieces = pieces


def choose(sides: Iterable[tuple[str, tuple[Side, Side]]], table: AwsTable) -> Lists:
    """Decide which addresses are kept in lists, per scope; `sides` are `(scope, directions)` of every slot."""
    users: dict[ListKey, int] = {}
    for scope, pair in sides:
        mine = {
            ListKey(scope, piece.name, family, piece.addresses.family(family))
            for side in pair
            for piece in side.pieces
            if piece.name
            for family in Family
            if piece.addresses.family(family)
        }
        for key in mine:
            users[key] = users.get(key, 0) + 1
    known = _known(table)
    tags = _tags(users)
    lists = Lists()
    heavy = dict(table.lists)
    count = {scope: sum(1 for one in table.lists.values() if one.scope == scope and not one.aws) for scope in {key.scope for key in users}}
    for key in sorted(users, key=lambda one: (one.scope, tags[one])):
        cidrs = _cidrs(key)
        limit = quotas(table, key.scope)
        there = known.get((key.scope, tags[key]))
        peak = len(cidrs) if there is None else max(there.weight, len(there.entries.keys() | set(cidrs)))
        fits = len(cidrs) >= LIST_FROM and peak <= min(limit.rules_per_group, limit.entries_per_list)
        if not fits or (there is None and (users[key] < USERS_FROM or count[key.scope] >= limit.lists_per_region)):
            continue
        one = _list(table, key, tags[key], there)
        if there is None:
            count[key.scope] += 1
        elif peak > there.weight and not _widens(table, heavy, replace(there, weight=peak)):
            continue
        lists.wanted[one.id] = one
        lists.ids[key] = one.id
    return lists


def _widens(table: AwsTable, heavy: dict[str, PrefixList], wide: PrefixList) -> bool:
    """Widen a list in `heavy` if every group that uses it today has room for that, and tell so: EC2 refuses the resize otherwise."""
    trial = {**heavy, wide.id: wide}
    for group in table.groups.values():
        if any(rule.peer == wide.id for rule in group.rules) and sums(group.rules, trial).most > quotas(table, group.scope).rules_per_group:
            return False
    heavy[wide.id] = wide
    return True


def _cidrs(key: ListKey) -> tuple[str, ...]:
    addresses = AddressSet(v4=key.points) if key.family is Family.V4 else AddressSet(v6=key.points)
    return addresses.cidrs()


def _tags(users: Mapping[ListKey, int]) -> dict[ListKey, str]:
    """Name every candidate: by the policy's name where that is unique in its scope, so that new contents change the list in place."""
    same: dict[tuple[str, str, Family], list[ListKey]] = {}
    for key in users:
        same.setdefault((key.scope, key.name, key.family), []).append(key)
    found: dict[ListKey, str] = {}
    for (_, name, family), keys in same.items():
        for key in keys:
            unique = len(keys) == 1 and name != "addresses"
            found[key] = f"list-{digest(name if unique else [name, key.points])}-v{family.value}"
    return found


def _known(table: AwsTable) -> dict[tuple[str, str], PrefixList]:
    found: dict[tuple[str, str], PrefixList] = {}
    for one in sorted(table.lists.values(), key=lambda each: each.id):
        if one.mark is not None:
            found.setdefault((one.scope, one.mark.class_id), one)
    return found


def _list(table: AwsTable, key: ListKey, tag: str, there: PrefixList | None) -> PrefixList:
    cidrs = _cidrs(key)
    if there is not None:
        entries = {cidr: there.entries.get(cidr, "") for cidr in cidrs}
        return replace(there, weight=len(cidrs), entries=entries)
    name = f"cs-{digest(table.owner)}-{tag}"
    mark = Mark(table.owner, tag)
    new = placeholder(f"pl/{key.scope}/{tag}")
    return PrefixList(new, key.scope, name, key.family, len(cidrs), 1, "create-complete", dict.fromkeys(cidrs, ""), mark)
