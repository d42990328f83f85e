"""What a table lets through, point by point: the union over the groups of an interface, references resolved to member addresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from functools import lru_cache

from cloudsync.adapter import Access, Entry, Hop, Point, Whose
from cloudsync.model.address import NOWHERE, AddressSet
from cloudsync.model.packets import NO_PACKETS, Packet, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ServiceRange, ServiceSet
from cloudsync.model.workload import PointId
from cloudsync_aws.fit import addresses_of, services_of
from cloudsync_aws.table import AwsTable, Eni, Group, PeerKind, RuleKey

# Equal work is done once over all tables of a run, and equal results are one object: proofs compare a plan's states by identity first.


@lru_cache(maxsize=2048)
def _boxes(boxes: tuple[tuple[AddressSet, ServiceSet], ...]) -> PacketSet:
    return PacketSet.union_all(PacketSet.of(peers, services) for peers, services in boxes)


@lru_cache(maxsize=2048)
def _join(sets: tuple[PacketSet, ...]) -> PacketSet:
    return PacketSet.union_all(sets)


@lru_cache(maxsize=2048)
def _access(inbound: PacketSet, outbound: PacketSet) -> Access:
    return Access(inbound, outbound)


@dataclass(slots=True)
class Reader:
    """Reads packets out of one table; ask it, it remembers."""

    table: AwsTable
    _members: dict[str, list[AddressSet]] | None = None
    _addresses: dict[str, AddressSet] = field(default_factory=dict)
    _packets: dict[tuple[str, bool], PacketSet] = field(default_factory=dict)
    _joined: dict[tuple[str, ...], Access] = field(default_factory=dict)

    def member_addresses(self, group: str) -> AddressSet:
        """Return what a reference to a group matches: private IPv4 and all IPv6 addresses of the interfaces that carry it."""
        found = self._addresses.get(group)
        if found is None:
            if self._members is None:
                self._members = _members(self.table)
            found = self._addresses[group] = AddressSet.union_all(self._members.get(group, ()))
        return found

    def peers(self, group: Group, key: RuleKey) -> AddressSet:
        """Return the addresses of an entry's peer. A reference over no (active) peering, or to nothing known, is stale: nobody."""
        if key.kind in (PeerKind.CIDR4.value, PeerKind.CIDR6.value):
            return addresses_of(key.peer)
        if key.kind == PeerKind.LIST.value:
            known = self.table.lists.get(key.peer)
            return NOWHERE if known is None else AddressSet.union_all(map(addresses_of, known.entries)).only(known.family)
        other = self.table.groups.get(key.peer)
        if other is None or (other.vpc != group.vpc and (group.vpc, other.vpc) not in self.table.peered):
            return NOWHERE
        return self.member_addresses(key.peer)

    def packets(self, group: Group, *, egress: bool) -> PacketSet:
        """Return what one group lets through in one direction."""
        found = self._packets.get((group.id, egress))
        if found is None:
            peers: dict[ServiceSet, list[AddressSet]] = {}
            for key in group.rules:
                if key.egress is egress:
                    peers.setdefault(services_of((key.protocol, key.first, key.last)), []).append(self.peers(group, key))
            boxes = tuple((AddressSet.union_all(peers[services]), services) for services in sorted(peers, key=lambda one: one.points))
            found = self._packets[group.id, egress] = _boxes(boxes) if boxes else NO_PACKETS
        return found

    def access(self, groups: tuple[str, ...]) -> Access:
        """Return what an interface with these groups lets through."""
        found = self._joined.get(groups)
        if found is None:
            known = [group for group in map(self.table.groups.get, groups) if group is not None]
            inbound, outbound = (
                _join(tuple(dict.fromkeys(self.packets(group, egress=egress) for group in known))) for egress in (False, True)
            )
            found = self._joined[groups] = _access(inbound, outbound)
        return found


def _members(table: AwsTable) -> dict[str, list[AddressSet]]:
    found: dict[str, list[AddressSet]] = {}
    override = table.members or {}
    for eni in table.enis.values():
        for group in override.get(eni.id, eni.groups):
            found.setdefault(group, []).append(eni.private)
    return found


def chosen(table: AwsTable, points: Iterable[PointId] | None) -> Iterator[Eni]:
    """Yield the interfaces of some points (unknown points left out), or all; in the order of point ids."""
    if points is None:
        yield from sorted(table.enis.values(), key=lambda eni: eni.point)
        return
    for point in sorted(set(points)):
        eni = table.enis.get(point.rpartition("/")[2])
        if eni is not None and eni.point == point:
            yield eni


def is_ours(table: AwsTable, group: str) -> bool:
    """Tell whether a group carries our mark."""
    known = table.groups.get(group)
    return known is not None and known.mark is not None


def decode(table: AwsTable, whose: Whose = Whose.ALL, points: Iterable[PointId] | None = None) -> dict[PointId, Access]:
    """Return what each point lets in and out; points whose groups are the same share one value."""
    reader = Reader(table)
    found: dict[PointId, Access] = {}
    picked: dict[tuple[str, ...], tuple[str, ...]] = {}
    for eni in chosen(table, points):
        groups = eni.groups
        if whose is not Whose.ALL:
            if groups not in picked:
                picked[groups] = tuple(group for group in groups if is_ours(table, group) is (whose is Whose.OURS))
            groups = picked[groups]
        found[eni.point] = reader.access(groups)
    return found


def points(table: AwsTable) -> tuple[Point, ...]:
    """Return every enforcement point, skipped ones included, ordered by id."""
    found: list[Point] = []
    split: dict[tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for eni in chosen(table, None):
        if eni.groups not in split:
            ours = tuple(group for group in eni.groups if is_ours(table, group))
            split[eni.groups] = (ours, tuple(group for group in eni.groups if group not in ours))
        ours, foreign = split[eni.groups]
        addresses = eni.private | eni.public
        found.append(Point(eni.point, eni.scope, eni.vpc, eni.instance or eni.id, addresses, ours, foreign, eni.skipped))
    return tuple(found)


def entries(table: AwsTable, points: Iterable[PointId] | None = None) -> tuple[Entry, ...]:
    """Return the entries of every group on these points, ours and foreign, ordered by group and identity."""
    carried: dict[str, list[PointId]] = {}
    for eni in chosen(table, points):
        for attached in eni.groups:
            carried.setdefault(attached, []).append(eni.point)
    reader = Reader(table)
    found: list[Entry] = []
    for group in sorted((table.groups[key] for key in carried if key in table.groups), key=lambda one: one.id):
        on = tuple(carried[group.id])
        for rule in sorted(group.rules):
            services = services_of((rule.protocol, rule.first, rule.last))
            packets = _boxes(((reader.peers(group, rule), services),))
            found.append(
                Entry(
                    group.id,
                    group.name,
                    native_text(rule),
                    "outbound" if rule.egress else "inbound",
                    packets,
                    group.mark is not None,
                    on,
                    group.origins.get(rule, ()),
                    group.rules[rule],
                )
            )
    return tuple(found)


def native_text(key: RuleKey) -> str:
    """Return an entry for people, e.g. `ingress tcp/443 from 10.0.0.0/8`."""
    services = services_of((key.protocol, key.first, key.last))
    said = "all" if key.protocol == -1 else ", ".join(ServiceRange.text(run) for run in services.ranges())
    return f"{'egress' if key.egress else 'ingress'} {said} {'to' if key.egress else 'from'} {key.peer}"


def walk(table: AwsTable, point: PointId, direction: str, packet: Packet) -> tuple[Hop, ...]:
    """Return what decides a packet at an interface: the groups are one union, so the first entry that lets it through, or none."""
    where = f"security groups of {point.rpartition('/')[2]}"
    hit = [entry for entry in entries(table, (point,)) if entry.direction == direction and packet in entry.packets]
    if not hit:
        return (Hop(where, "deny", "no entry of any group lets it through"),)
    first = min(hit, key=lambda entry: not entry.ours)
    return (Hop(where, "allow", f"{first.native} in {first.object_name} ({first.object})", first.ours, first.origins),)
