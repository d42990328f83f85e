"""Semantic changes: which packets open and close, at which points, for which workloads, because of which rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cloudsync.adapter import Access, ClassIntent, ClassPeer, Intent, Origin
from cloudsync.compile.universe import Universe
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import Domain, Labels, PointId, Workload


@dataclass(frozen=True, slots=True)
class PointChange:
    """What changes at one point. `workload` is None where the point belongs to no workload of the inventory."""

    point: PointId
    workload: Workload | None
    before: Access
    after: Access

    def opens(self, *, inbound: bool) -> PacketSet:
        """Return the packets that open in one direction."""
        return self.after.inbound - self.before.inbound if inbound else self.after.outbound - self.before.outbound

    def closes(self, *, inbound: bool) -> PacketSet:
        """Return the packets that close in one direction."""
        return self.before.inbound - self.after.inbound if inbound else self.before.outbound - self.after.outbound


@dataclass(frozen=True, slots=True)
class Change:
    """The same change at several points of one class: `opens` and `closes` as packets seen from them."""

    direction: str
    class_id: str
    labels: Labels
    points: tuple[PointId, ...]
    workloads: tuple[str, ...]
    opens: PacketSet
    closes: PacketSet
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Owners:
    """Who stands behind a point: its workload and class."""

    by_point: Mapping[PointId, tuple[int, Workload, Domain]]

    @classmethod
    def of(cls, universe: Universe) -> Owners:
        """Index every interface of a universe by its point."""
        found: dict[PointId, tuple[int, Workload, Domain]] = {}
        for number, group in enumerate(universe.classes):
            for workload in group.workloads:
                for interface in workload.interfaces:
                    if interface.point is not None:
                        found[interface.point] = (number, workload, interface.domain)
        return cls(found)


def point_changes(owners: Owners, before: Mapping[PointId, Access], after: Mapping[PointId, Access]) -> tuple[PointChange, ...]:
    """Return the points whose packets differ, ordered by id."""
    found: list[PointChange] = []
    for point in sorted(before.keys() | after.keys()):
        old, new = before.get(point, Access()), after.get(point, Access())
        if old != new:
            owner = owners.by_point.get(point)
            found.append(PointChange(point, owner[1] if owner else None, old, new))
    return tuple(found)


def changes(universe: Universe, owners: Owners, intent: Intent, points: Iterable[PointChange]) -> tuple[Change, ...]:
    """Group point changes that are alike: same class, direction, packets opened and closed. Ordered by class, then direction."""
    groups: dict[tuple[int, str, PacketSet, PacketSet], list[PointChange]] = {}
    memo: dict[tuple[int, int], tuple[tuple[str, PacketSet, PacketSet], ...]] = {}
    for change in points:
        owner = owners.by_point.get(change.point)
        number = owner[0] if owner else -1
        key = (id(change.before), id(change.after))
        if key not in memo:
            memo[key] = tuple(
                (name, change.opens(inbound=inbound), change.closes(inbound=inbound))
                for name, inbound in (("inbound", True), ("outbound", False))
            )
        for direction, opens, closes in memo[key]:
            if opens or closes:
                groups.setdefault((number, direction, opens, closes), []).append(change)
    by_class = {(group.class_id, group.domain): group for group in intent.classes}
    numbers = {group.id: number for number, group in enumerate(universe.classes)}
    found: list[Change] = []
    for (number, direction, opens, closes), members in sorted(groups.items(), key=lambda item: (item[0][0], item[0][1], item[1][0].point)):
        group = universe.classes[number] if number >= 0 else None
        origins: tuple[Origin, ...] = ()
        if group is not None and opens:
            wanted = by_class.get((group.id, owners.by_point[members[0].point][2]))
            if wanted is not None:
                origins = rules_behind(wanted, direction, opens, universe, numbers)
        names = tuple(dict.fromkeys(universe.called(change.workload) if change.workload else change.point for change in members))
        labels = group.labels if group else Labels()
        ids = tuple(change.point for change in members)
        found.append(Change(direction, group.id if group else "", labels, ids, names, opens, closes, origins))
    return tuple(found)


def rules_behind(
    wanted: ClassIntent, direction: str, opens: PacketSet, universe: Universe, numbers: Mapping[str, int]
) -> tuple[Origin, ...]:
    """Return the rules because of which a class lets some of these packets through, in policy order. `numbers`: of classes, by id."""
    inbound = direction == "inbound"
    of = universe.class_addresses if inbound else universe.class_reached
    found: dict[Origin, None] = {}
    for term in wanted.inbound.terms if inbound else wanted.outbound.terms:
        peer = term.peer
        addresses = of(numbers[peer.class_id], wanted.domain) if isinstance(peer, ClassPeer) else peer.addresses
        if not all(origin in found for origin in term.origins) and PacketSet.of(addresses, term.services) & opens != NO_PACKETS:
            found.update(dict.fromkeys(term.origins))
    return tuple(found)
