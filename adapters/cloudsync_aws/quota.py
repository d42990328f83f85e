"""How EC2 counts: four sums per group (direction x family), interfaces' slots, and what a step needs of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from cloudsync.model.quick import dataclass
from cloudsync.model.size import Size
from cloudsync_aws.table import AwsTable, PeerKind, PrefixList, Quotas, RuleKey

RULES_CODE, SLOTS_CODE, GROUPS_CODE = "L-0EA8095F", "L-2AFB9258", "L-E79EC296"
"""Service Quotas' codes: rules per group, groups per interface, groups per Region."""


@dataclass(frozen=True, slots=True)
class Sums:
    """The four sums of a group: entries per direction and family, weighted as EC2 weighs them."""

    in_v4: int = 0
    in_v6: int = 0
    out_v4: int = 0
    out_v6: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.in_v4 + other.in_v4, self.in_v6 + other.in_v6, self.out_v4 + other.out_v4, self.out_v6 + other.out_v6)

    @property
    def most(self) -> int:
        """The largest of the four, which the quota bounds."""
        return max(self.in_v4, self.in_v6, self.out_v4, self.out_v6)

    def text(self) -> str:
        """Return e.g. `in-v4 61, in-v6 3, out-v4 1, out-v6 1`."""
        return f"in-v4 {self.in_v4}, in-v6 {self.in_v6}, out-v4 {self.out_v4}, out-v6 {self.out_v6}"


NOTHING = Sums()


def weight(key: RuleKey, lists: Mapping[str, PrefixList]) -> Sums:
    """Return what one entry adds. A prefix list is counted in both families: EC2 does not say, and both is the safe side."""
    v4 = v6 = 1
    if key.kind == PeerKind.CIDR4.value:
        v6 = 0
    elif key.kind == PeerKind.CIDR6.value:
        v4 = 0
    elif key.kind == PeerKind.LIST.value:
        known = lists.get(key.peer)
        v4 = v6 = known.weight if known is not None else 1
    return Sums(out_v4=v4, out_v6=v6) if key.egress else Sums(in_v4=v4, in_v6=v6)


def sums(keys: Iterable[RuleKey], lists: Mapping[str, PrefixList]) -> Sums:
    """Return the four sums of a set of entries."""
    totals = [0, 0, 0, 0]
    for key in keys:
        one = weight(key, lists)
        totals[0] += one.in_v4
        totals[1] += one.in_v6
        totals[2] += one.out_v4
        totals[3] += one.out_v6
    return Sums(*totals)


def list_peak(old: PrefixList, new: PrefixList) -> int:
    """Return the MaxEntries a list needs while old and new entries are in it together."""
    return max(old.weight, new.weight, len(old.entries.keys() | new.entries.keys()))


def heavier(actual: Mapping[str, PrefixList], desired: Mapping[str, PrefixList]) -> dict[str, PrefixList]:
    """Return every list at the weight it has at the peak of a change."""
    found = dict(actual)
    for key, one in desired.items():
        known = actual.get(key)
        found[key] = one if known is None else replace(one, weight=list_peak(known, one))
    return found


def quotas(table: AwsTable, scope: str) -> Quotas:
    """Return the limits of a scope, EC2's defaults where none were read."""
    return table.quotas.get(scope) or Quotas()


@dataclass(frozen=True, slots=True)
class Peak:
    """The most one group holds while a change is under way, beside its quota."""

    group: str
    name: str
    before: Sums
    peak: Sums
    after: Sums
    quota: int


def peaks(actual: AwsTable, desired: AwsTable) -> tuple[Peak, ...]:
    """Return the peak (old and new together) of every group of ours that changes, ordered by id."""
    lists = heavier(actual.lists, desired.lists)
    found: list[Peak] = []
    for key, group in sorted(desired.groups.items()):
        old = actual.groups.get(key)
        before = old.rules if old is not None else {}
        if group.mark is None or before.keys() == group.rules.keys():
            continue
        peak = sums(before.keys() | group.rules.keys(), lists)
        limit = quotas(desired, group.scope).rules_per_group
        found.append(Peak(key, group.name, sums(before, actual.lists), peak, sums(group.rules, desired.lists), limit))
    return tuple(found)


def sizes(table: AwsTable) -> Iterator[Size]:
    """Yield how full every group and every interface is, beside its quota."""
    for key, group in sorted(table.groups.items()):
        limit = quotas(table, group.scope).rules_per_group
        yield Size(key, "rules of one direction and family", sums(group.rules, table.lists).most, limit)
    for key, eni in sorted(table.enis.items()):
        yield Size(key, "groups", len(eni.groups), quotas(table, eni.scope).groups_per_eni)
