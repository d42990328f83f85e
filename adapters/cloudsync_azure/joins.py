"""Writes about application security groups: made, joined, left, removed. Payloads, what they do to a table, and what shows them.

`{"call": "put_nic", "nic": id, "asgs": [ids], "expect": [ids]}` is a PUT of a whole interface of which only its application security groups
change, in all of its ipConfigurations alike: everything else is taken over from a read made just before, which must show the groups in
`expect`. `put_asg` creates a group with our mark, `delete_asg` removes one that nobody is in and no rule names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any

from cloudsync.adapter import Effect, Seen, Step
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId
from cloudsync_azure.limits import ASGS_PER_SEAT
from cloudsync_azure.parse import canonical
from cloudsync_azure.table import TAG_MANAGED, Asg, AzureTable, Nic, asgs_of

PUT_NIC, PUT_ASG, DELETE_ASG = "put_nic", "put_asg", "delete_asg"
CALLS = (DELETE_ASG, PUT_ASG, PUT_NIC)
ACTIONS = {
    PUT_NIC: "NetworkInterfaces_CreateOrUpdate",
    PUT_ASG: "ApplicationSecurityGroups_CreateOrUpdate",
    DELETE_ASG: "ApplicationSecurityGroups_Delete",
}


@dataclass(frozen=True, slots=True)
class Join:
    """One write, parsed. `object`: id of the interface or of the group."""

    call: str
    object: str
    asgs: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()
    location: str = ""
    owner: str = ""


def render(join: Join) -> str:
    """Return the payload of a write."""
    if join.call == PUT_NIC:
        return canonical({"call": join.call, "nic": join.object, "asgs": list(join.asgs), "expect": list(join.expect)})
    body: dict[str, Any] = {"call": join.call, "asg": join.object}
    if join.call == PUT_ASG:
        body |= {"location": join.location, "tags": {TAG_MANAGED: join.owner}}
    return canonical(body)


@lru_cache(maxsize=8192)
def read(payload: str) -> Join | None:
    """Return the write of a payload; None for one that is not about these groups. Raises ValueError for what is no payload."""
    body = json.loads(payload)
    call = body.get("call") if isinstance(body, dict) else None
    if call not in CALLS:
        return None
    if call == PUT_NIC:
        return Join(call, body["nic"], tuple(sorted(body["asgs"])), tuple(sorted(body["expect"])))
    return Join(call, body["asg"], location=body.get("location", ""), owner=body.get("tags", {}).get(TAG_MANAGED, ""))


# --- what they do ----------------------------------------------------------------------------------------------------


def after(table: AzureTable, joins: Iterable[Join]) -> AzureTable:
    """Return the table after several writes, in their order. Raises ValueError for one that Azure would refuse, or a plan that is wrong."""
    nics, asgs = dict(table.nics), dict(table.asgs)
    points = {nic.id: point for point, nic in nics.items()}
    homes = homes_of(table)
    for join in joins:
        if join.call == PUT_NIC:
            nic = nics[points[join.object]] if join.object in points else None
            if nic is None or nic.asgs != join.expect:
                raise ValueError(f"interface {_names([join.object])} is not as the step expects it")
            new = set(join.asgs) - set(nic.asgs)
            if not nic.seats or len(join.asgs) > ASGS_PER_SEAT or not new <= asgs.keys():
                raise ValueError(f"interface {nic.name} cannot join {_names(new)}")
            if any(homes.setdefault(one, {nic.vnet}) != {nic.vnet} for one in new):
                raise ValueError(f"interface {nic.name} would join a group of another VNet")
            nics[nic.point] = replace(nic, asgs=join.asgs)
            continue
        if (join.call == PUT_ASG) is (join.object in asgs):
            raise ValueError(f"application security group {_names([join.object])} is {'' if join.object in asgs else 'not '}there")
        if join.call == PUT_ASG:
            asgs[join.object] = Asg(join.object, join.location, join.owner)
        elif join.object in named(table) or any(join.object in nic.asgs for nic in nics.values()):
            raise ValueError(f"application security group {_names([join.object])} is in use")
        else:
            del asgs[join.object]
    return replace(table, nics=nics, asgs={key: asgs[key] for key in sorted(asgs)})


def homes_of(table: AzureTable) -> dict[str, set[str]]:
    """Return, by group, the VNets of everybody in it."""
    found: dict[str, set[str]] = {}
    for nic in table.nics.values():
        for one in nic.asgs:
            found.setdefault(one, set()).add(nic.vnet)
    return found


def interface(table: AzureTable, identity: str) -> Nic | None:
    """Return an interface by its id; None for one that is not there."""
    return next((nic for nic in table.nics.values() if nic.id == identity), None)


def named(table: AzureTable) -> frozenset[str]:
    """Return the groups that rules name."""
    return asgs_of(rule for nsg in table.nsgs.values() for rule in nsg.rules)


def seen(table: AzureTable, join: Join) -> Seen:
    """Tell whether a table shows a write's effect."""
    if join.call == PUT_NIC:
        nic = interface(table, join.object)
        if nic is None:
            return Seen.OTHER
        return Seen.YES if nic.asgs == join.asgs else Seen.NO if nic.asgs == join.expect else Seen.OTHER
    known = table.asgs.get(join.object)
    if join.call == PUT_ASG:
        return Seen.NO if known is None else Seen.YES if known == Asg(join.object, join.location, join.owner) else Seen.OTHER
    return Seen.YES if known is None else Seen.NO if known.owner == table.owner else Seen.OTHER


def affected(table: AzureTable, joins: Iterable[Join]) -> frozenset[PointId]:
    """Return the points behind NSGs that name a group whose members change."""
    changed = {one for join in joins if join.call == PUT_NIC for one in set(join.asgs) ^ set(join.expect)}
    near = {key for key, nsg in table.nsgs.items() if changed & asgs_of(nsg.rules)}
    if not near:
        return frozenset()
    return frozenset(nic.point for nic in table.nics.values() if not near.isdisjoint(table.series(nic)))


# --- steps -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Moves:
    """What differs between two tables in groups and their members."""

    created: tuple[Asg, ...] = ()
    removed: tuple[Asg, ...] = ()
    nics: tuple[tuple[Nic, Nic], ...] = ()
    """Interfaces before and after."""

    @classmethod
    def of(cls, actual: AzureTable, desired: AzureTable) -> Moves:
        """Return what differs. Raises ValueError for differences that are not ours to write."""
        created = tuple(one for key, one in desired.asgs.items() if key not in actual.asgs)
        removed = tuple(one for key, one in actual.asgs.items() if key not in desired.asgs)
        if any(one.owner != actual.owner for one in (*created, *removed)):
            raise ValueError("application security groups of others come and go by other hands")
        nics = tuple((old, desired.nics[key]) for key, old in sorted(actual.nics.items()) if old != desired.nics[key])
        if any(replace(new, asgs=old.asgs) != old for old, new in nics):
            raise ValueError("of interfaces only the groups that they have joined are ours to write")
        return cls(created, removed, nics)

    @property
    def changed(self) -> frozenset[str]:
        """The groups whose members change."""
        return frozenset(one for old, new in self.nics for one in set(old.asgs) ^ set(new.asgs))

    def create(self, table: AzureTable) -> list[Step]:
        """Return the steps that create groups."""
        return [_step(table, Join(PUT_ASG, one.id, location=one.location, owner=one.owner), "create", Effect.NONE) for one in self.created]

    def remove(self, table: AzureTable) -> list[Step]:
        """Return the steps that remove groups."""
        return [_step(table, Join(DELETE_ASG, one.id), "remove", Effect.NONE) for one in self.removed]

    def wide(self, actual: AzureTable) -> AzureTable:
        """Return the table in which everybody is in the groups of before and of after."""
        nics = {old.point: replace(old, asgs=tuple(sorted({*old.asgs, *new.asgs}))) for old, new in self.nics}
        return replace(actual, nics={**actual.nics, **nics}, asgs={**actual.asgs, **{one.id: one for one in self.created}})

    def put(self, begin: AzureTable, end: AzureTable, verb: str, *, felt: bool = True) -> list[Step]:
        """Return one PUT for every interface whose groups differ between two tables. `felt`: packets may be decided by those groups."""
        found: list[Step] = []
        for old, _ in self.nics:
            was, will = begin.nics[old.point], end.nics[old.point]
            if was.asgs != will.asgs:
                join = Join(PUT_NIC, old.id, will.asgs, was.asgs)
                step = _step(begin, join, verb, Effect.SWAPS if felt else Effect.NONE)
                found.append(replace(step, title=_title(was, will), points=(old.point,)))
        return found


def _step(table: AzureTable, join: Join, verb: str, effect: Effect) -> Step:
    title = f"{verb} application security group {join.object.rpartition('/')[2]}"
    return Step(f"{verb}/{join.object}", ACTIONS[join.call], table.scope, join.object, title, effect, render(join), mark=table.owner)


def _title(was: Nic, will: Nic) -> str:
    parts = [f"joins {_names(set(will.asgs) - set(was.asgs))}", f"leaves {_names(set(was.asgs) - set(will.asgs))}"]
    return f"interface {was.name} {' and '.join(one for one in parts if not one.endswith(' '))}"


def _names(asgs: Iterable[str]) -> str:
    return ", ".join(sorted(one.rpartition("/")[2] for one in asgs))
