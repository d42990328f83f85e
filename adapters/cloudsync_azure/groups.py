"""Which classes are written as application security groups (`asgs: on`), and which interfaces are in them. Pure.

A side of a rule names one group of ours at most: Azure ignores a rule as a whole once any of its groups is empty. With one group to a side
nobody is left whom that rule was about; with two, the machines of the other group would lose it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from cloudsync.adapter import ClassIntent, ClassPeer, Intent
from cloudsync.model.address import AddressSet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import Domain, PointId
from cloudsync_azure.fit import Findings
from cloudsync_azure.limits import ASGS_PER_SEAT, SEATS_PER_ASG
from cloudsync_azure.parse import part
from cloudsync_azure.payload import content_digest
from cloudsync_azure.settings import AzureSettings
from cloudsync_azure.table import Asg, AzureTable, Nic, Nsg, asgs_of

ClassKey = tuple[str, Domain]
SPARE = 2
"""Groups of ours that an interface is in at the most: while its class changes, the old one and the new one."""


@dataclass(frozen=True, slots=True)
class Group:
    """One class that can be written as a group: everybody in it is an interface of one VNet that may join."""

    asg: Asg
    vnet: str
    points: frozenset[PointId]


@dataclass(frozen=True, slots=True)
class Groups:
    """The classes that can be written as groups, each as seen from one domain."""

    by_class: Mapping[ClassKey, Group]

    @classmethod
    def of(cls, intent: Intent, table: AzureTable, settings: AzureSettings, findings: Findings) -> Groups:
        """Return every class that can be: all it is in a domain are enforced interfaces of one VNet of this target."""
        if not settings.asgs:
            return cls({})
        found: dict[ClassKey, Group] = {}
        inside: dict[ClassKey, list[PointId]] = {}
        joined: dict[str, set[PointId]] = {}
        for point in intent.points:
            inside.setdefault((point.class_id, point.domain), []).append(point.point)
        for nic in table.nics.values():
            for one in nic.asgs:
                joined.setdefault(one, set()).add(nic.point)
        for group in sorted(intent.classes, key=lambda one: (one.class_id, one.domain)):
            key = (group.class_id, group.domain)
            nics = [table.nics[point] for point in inside.get(key, ()) if point in table.nics]
            if not group.mode.enforced or not nics or len(nics) != len(inside[key]) or not _whole(group, nics, table):
                continue
            asg = _asg(group, nics[0], table, settings)
            made = Group(asg, nics[0].vnet, frozenset(nic.point for nic in nics))
            # Nobody's entries move while machines are missing for the first time: a group that is not in use yet waits.
            waits = bool(intent.quarantined) and not joined.get(asg.id)
            if not waits and _free(made, table, joined.get(asg.id, set()), findings):
                found[key] = made
        return cls(_as_many(found, table, settings, findings))

    def near(self, nsg: Nsg, nics: Iterable[Nic], classes: Iterable[ClassIntent], most: int) -> Mapping[ClassKey, Group]:
        """Return the groups that rules of an NSG may name: of the one VNet behind it, and no more than Azure takes, those in use first."""
        vnets = {nic.vnet for nic in nics}
        if not self.by_class or len(vnets) != 1:
            return {}
        wanted = {key for one in classes for key in _named(one)}
        found = {key: group for key, group in self.by_class.items() if group.vnet in vnets and key in wanted}
        now = asgs_of(rule for rule in nsg.rules if rule.ours)
        room = max(0, most - len(asgs_of(rule for rule in nsg.rules if not rule.ours)))
        kept = sorted({group.asg.id for group in found.values()}, key=lambda one: (one not in now, one))[:room]
        return {key: group for key, group in found.items() if group.asg.id in kept}

    def joined(self, table: AzureTable) -> AzureTable:
        """Return the table with everybody in the group of the class: what a table of rules is judged on before it is known who is named."""
        return self.settled(table, {group.asg.id for group in self.by_class.values()})

    def settled(self, table: AzureTable, named: Iterable[str]) -> AzureTable:
        """Return the table with the groups that rules name, everybody of their classes in them, and nobody in any other group of ours."""
        kept = set(named)
        wanted = {group.asg.id: group for group in self.by_class.values() if group.asg.id in kept}
        ours = {one.id for one in table.asgs.values() if one.owner == table.owner}
        if not wanted and not ours:
            return table
        goal = {point: one for one, group in wanted.items() for point in group.points}
        nics = {point: _member(nic, ours | wanted.keys(), goal.get(point)) for point, nic in table.nics.items()}
        asgs = {key: one for key, one in table.asgs.items() if key not in ours or key in kept}
        asgs |= {key: group.asg for key, group in wanted.items() if key not in asgs}
        return replace(table, nics=nics, asgs={key: asgs[key] for key in sorted(asgs)})


def leftovers(table: AzureTable) -> int:
    """Return how many interfaces are in groups that carry our name: with `asgs: off` again, nothing names those any more."""
    return sum(1 for nic in table.nics.values() if any(_named_ours(one, table.owner) for one in nic.asgs))


def unseen(table: AzureTable) -> frozenset[str]:
    """Return the groups of ours in which no interface is seen."""
    seen = {one for nic in table.nics.values() for one in nic.asgs}
    return frozenset(one.id for one in table.asgs.values() if one.owner == table.owner and one.id not in seen)


def _named_ours(asg: str, owner: str) -> bool:
    return asg.rpartition("/")[2].startswith(f"cs-{owner}-")


def _named(one: ClassIntent) -> Iterator[ClassKey]:
    """Yield a class and every class that its rules name."""
    yield one.class_id, one.domain
    for allowed in (one.inbound, one.outbound):
        for term in (*allowed.whole, *allowed.terms, *allowed.never_terms, *allowed.closed_terms):
            if isinstance(term.peer, ClassPeer):
                yield term.peer.class_id, one.domain


def _whole(group: ClassIntent, nics: list[Nic], table: AzureTable) -> bool:
    """Tell whether these interfaces are all that the class is, and can be in one group."""
    ours = {one.id for one in table.asgs.values() if one.owner == table.owner}
    first = nics[0]
    for nic in nics:
        alone = nic.seats and not nic.skipped and (nic.vnet, nic.location) == (first.vnet, first.location)
        if not alone or len(set(nic.asgs) - ours) + SPARE > ASGS_PER_SEAT:
            return False
    private = AddressSet.union_all(nic.private for nic in nics)
    same = bool(private) and private == group.addresses == group.destinations
    return same and sum(nic.seats for nic in nics) <= SEATS_PER_ASG


def _asg(group: ClassIntent, nic: Nic, table: AzureTable, settings: AzureSettings) -> Asg:
    """Return the group of a class in a VNet: its name goes by these two alone, so that it is the same whoever is in it."""
    home = part(nic.vnet, "resourceGroups")
    names = settings.resource_groups
    folder = home if names is None or home in names else names[0]
    name = f"cs-{table.owner}-{group.class_id}-{content_digest([nic.vnet, group.domain])[:6]}"
    kind = "providers/microsoft.network/applicationsecuritygroups"
    return Asg(f"/subscriptions/{settings.subscription}/resourcegroups/{folder}/{kind}/{name}".lower(), nic.location, table.owner)


def _free(group: Group, table: AzureTable, joined: set[PointId], findings: Findings) -> bool:
    """Tell whether the group's name is ours or nobody's, and nobody is in it whom we cannot take out."""
    name = group.asg.id.rpartition("/")[2]
    known = table.asgs.get(group.asg.id)
    if known is not None and known != group.asg:
        findings.note(f"{name}: somebody else's application security group has that name; its class is written by its addresses")
        return False
    strangers = sorted(table.nics[one].name for one in joined - group.points if not table.nics[one].seats)
    if strangers:
        findings.note(f"{name}: {strangers[0]} is in it and cannot be taken out; its class is written by its addresses")
    return not strangers


def _as_many(found: dict[ClassKey, Group], table: AzureTable, settings: AzureSettings, findings: Findings) -> dict[ClassKey, Group]:
    """Leave out groups beyond the region's limit; those that are there already stay."""
    foreign: dict[str, int] = {}
    for one in table.asgs.values():
        if one.owner != table.owner:
            foreign[one.location] = foreign.get(one.location, 0) + 1
    kept: dict[ClassKey, Group] = {}
    used = dict(foreign)
    for key, group in sorted(found.items(), key=lambda pair: (pair[1].asg.id not in table.asgs, pair[1].asg.id)):
        place = group.asg.location
        if used.get(place, 0) < settings.quotas.asgs:
            kept[key] = group
            used[place] = used.get(place, 0) + 1
    if len(kept) < len(found):
        most = f"the region takes {settings.quotas.asgs} application security groups"
        findings.note(f"{len(found) - len(kept)} classes are written by their addresses: {most}")
    return kept


def _member(nic: Nic, ours: set[str], goal: str | None) -> Nic:
    """Return an interface in one group of ours, or in none; what it has joined of others stays."""
    if not nic.seats:
        return nic
    asgs = tuple(sorted({one for one in nic.asgs if one not in ours} | ({goal} if goal else set())))
    return nic if asgs == nic.asgs else replace(nic, asgs=asgs)
