"""What a table lets through, point by point: the NSGs in series before each interface, platform defaults included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from functools import lru_cache

from cloudsync.adapter import Access, Entry, Hop, Origin, Point, Whose
from cloudsync.model import intervals
from cloudsync.model.address import ANYWHERE, AddressSet, Family, address_text
from cloudsync.model.packets import ALL_PACKETS, NO_PACKETS, Packet, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId
from cloudsync_azure.chain import Chain, Ground, Line, Members, chain
from cloudsync_azure.parse import canonical
from cloudsync_azure.table import AzureTable, Nic, Nsg, Rule, Side, asgs_of, mark_text, members

EVERYTHING = {Family.V4: PacketSet(v4=ALL_PACKETS.v4), Family.V6: PacketSet(v6=ALL_PACKETS.v6)}
Piece = tuple[tuple[tuple[str, int], ...], Family]
"""For one of a point's addresses: which rules of each NSG in series meet it."""


@lru_cache(maxsize=8192)
def _meet(sets: tuple[PacketSet, ...]) -> PacketSet:
    found = sets[0]
    for one in sets[1:]:
        found &= one
    return found


@lru_cache(maxsize=8192)
def _join(sets: tuple[PacketSet, ...]) -> PacketSet:
    return PacketSet.union_all(sets)


_PAIRS: dict[tuple[int, int], Access] = {}
PAIRS_MOST = 65536


def pair(inbound: PacketSet, outbound: PacketSet) -> Access:
    """Return the two as one; the same two objects give the same object. It holds them, so their ids are not given to others."""
    key = (id(inbound), id(outbound))
    found = _PAIRS.get(key)
    if found is None:
        if len(_PAIRS) >= PAIRS_MOST:
            _PAIRS.clear()
        found = _PAIRS[key] = Access(inbound, outbound)
    return found


@dataclass(slots=True)
class Reader:
    """Reads packets out of one table; ask it, it remembers."""

    table: AzureTable
    _chains: dict[tuple[str, bool, str], Chain] = field(default_factory=dict)
    _members: dict[str, AddressSet] | None = None
    _kept: dict[tuple[str, str], str] = field(default_factory=dict)
    _pieces: dict[tuple[PointId, bool], tuple[Piece, ...]] = field(default_factory=dict)
    _said: dict[tuple[tuple[Piece, ...], str, bool, Whose], PacketSet] = field(default_factory=dict)

    def chain(self, nsg: str, vnet: str, *, egress: bool) -> Chain:
        """Return one direction of an NSG as seen from a VNet."""
        key = (nsg, egress, vnet)
        found = self._chains.get(key)
        if found is None:
            rules = self.table.nsgs[nsg].rules
            ground = Ground(self.table.spaces.get(vnet, AddressSet()), self._of_asgs(asgs_of(rules)))
            found = self._chains[key] = chain(rules, egress=egress, ground=ground)
        return found

    def _of_asgs(self, wanted: frozenset[str]) -> Members:
        if not wanted:
            return ()
        if self._members is None:
            self._members = members(self.table)
        return tuple((one, self._members.get(one, AddressSet())) for one in sorted(wanted))

    def keepsake(self, nsg: Nsg, rule: Rule) -> str:
        """Return what is stored of a foreign rule; one text however many points it acts on."""
        return self._kept.setdefault((nsg.id, rule.name), keepsake(nsg, rule))

    def series(self, nic: Nic) -> tuple[str, ...]:
        """Return the NSGs before an interface that were read."""
        return tuple(one for one in self.table.series(nic) if one in self.table.nsgs)

    def pieces(self, nic: Nic, *, egress: bool) -> tuple[Piece, ...]:
        """Return how an interface's addresses are met: one piece for each kind of address, in a stable order."""
        key = (nic.point, egress)
        found = self._pieces.get(key)
        if found is None:
            chains = [(nsg, self.chain(nsg, nic.vnet, egress=egress)) for nsg in self.series(nic)]
            pieces: set[Piece] = set()
            for family in Family:
                for first, end in intervals.ranges(nic.private.family(family)):
                    pieces |= _cut(chains, family, first, end)
            found = self._pieces[key] = tuple(sorted(pieces))
        return found

    def masks(self, nic: Nic, nsg: str, *, egress: bool) -> int:
        """Return every rule of an NSG, as bits, that meets some address of an interface."""
        found = 0
        for met, _ in self.pieces(nic, egress=egress):
            for name, mask in met:
                found |= mask if name == nsg else 0
        return found

    def packets(self, nic: Nic, whose: Whose, *, egress: bool) -> PacketSet:
        """Return what an interface lets through in one direction: open where it is for any of its addresses."""
        pieces = self.pieces(nic, egress=egress)
        key = (pieces, nic.vnet, egress, whose)
        found = self._said.get(key)
        if found is None:
            sets = [self._piece(one, nic.vnet, whose, egress=egress) for one in pieces]
            found = self._said[key] = sets[0] if len(sets) == 1 else _join(tuple(dict.fromkeys(sets)))
        return found

    def _piece(self, piece: Piece, vnet: str, whose: Whose, *, egress: bool) -> PacketSet:
        met, family = piece
        sets: list[PacketSet] = []
        for nsg, mask in met:
            if whose is Whose.OURS and not self.table.nsgs[nsg].managed:
                continue
            line = self.chain(nsg, vnet, egress=egress)
            sets.append(line.packets(line.seen(mask, whose), family))
        if not sets:
            return NO_PACKETS if whose is Whose.OURS else EVERYTHING[family]
        return sets[0] if len(sets) == 1 else _meet(tuple(sets))

    def access(self, nic: Nic, whose: Whose) -> Access:
        """Return what an interface lets through."""
        return pair(self.packets(nic, whose, egress=False), self.packets(nic, whose, egress=True))


def _cut(chains: list[tuple[str, Chain]], family: Family, first: int, end: int) -> set[Piece]:
    """Return the pieces of one range of addresses. A block (pods of a cluster) may be met by rules in several ways."""
    if end - first == 1:
        return {(tuple((nsg, next(iter(one.masks(family, first, end)))) for nsg, one in chains), family)}
    borders = {first} | {place for _, one in chains for place in one.borders(family, first, end)}
    return {(tuple((nsg, next(iter(one.masks(family, place, place + 1)))) for nsg, one in chains), family) for place in sorted(borders)}


def chosen(table: AzureTable, points: Iterable[PointId] | None) -> Iterator[Nic]:
    """Yield the interfaces of some points (unknown points left out), or all; in the order of point ids."""
    for point in sorted(table.nics if points is None else set(points)):
        nic = table.nics.get(point)
        if nic is not None:
            yield nic


def decode(table: AzureTable, whose: Whose = Whose.ALL, points: Iterable[PointId] | None = None) -> dict[PointId, Access]:
    """Return what each point lets in and out; points that the same rules meet share one value."""
    reader = Reader(table)
    return {nic.point: reader.access(nic, whose) for nic in chosen(table, points)}


# --- points ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Attached:
    ours: tuple[str, ...]
    foreign: tuple[str, ...]
    keepsake: tuple[str, ...]


def keepsake(nsg: Nsg, rule: Rule) -> str:
    """Return what is stored of a foreign rule, so that it can be given back byte for byte."""
    return f'{{"nsg":{canonical(nsg.id)},"rule":{rule.raw}}}'


def points(table: AzureTable) -> tuple[Point, ...]:
    """Return every enforcement point, skipped ones included, ordered by id."""
    reader = Reader(table)
    memo: dict[tuple[tuple[Piece, ...], tuple[Piece, ...], str], _Attached] = {}
    found: list[Point] = []
    for nic in chosen(table, None):
        key = (reader.pieces(nic, egress=False), reader.pieces(nic, egress=True), nic.vnet)
        if key not in memo:
            memo[key] = _attached(reader, nic)
        one = memo[key]
        name = nic.holder.rpartition("/")[2] or nic.name
        found.append(
            Point(nic.point, table.scope, nic.vnet, name, nic.private | nic.public, one.ours, one.foreign, nic.skipped, one.keepsake)
        )
    return tuple(found)


def _attached(reader: Reader, nic: Nic) -> _Attached:
    ours: list[str] = []
    foreign: list[str] = []
    kept: list[str] = []
    for name in reader.series(nic):
        nsg = reader.table.nsgs[name]
        for egress in (False, True):
            line = reader.chain(name, nic.vnet, egress=egress)
            mask = reader.masks(nic, name, egress=egress) & line.custom
            if mask & line.ours:
                ours.append(nsg.short)
            if mask & ~line.ours:
                foreign.append(nsg.short)
            if nsg.managed:
                kept.extend(reader.keepsake(nsg, one.rule) for one in line.picked(mask & ~line.ours))
    return _Attached(tuple(dict.fromkeys(ours)), tuple(dict.fromkeys(foreign)), tuple(kept))


# --- for people ------------------------------------------------------------------------------------------------------


def entries(table: AzureTable, points: Iterable[PointId] | None = None) -> tuple[Entry, ...]:
    """Return every rule of the NSGs before these points, ours, foreign and default, by NSG and in the order of evaluation.

    A rule's packets are those that it really decides: what rules above it decide is not its doing.
    """
    reader = Reader(table)
    met: dict[tuple[str, bool, str], dict[int, list[PointId]]] = {}
    for nic in chosen(table, points):
        for nsg in reader.series(nic):
            for egress in (False, True):
                mask = reader.masks(nic, nsg, egress=egress)
                met.setdefault((nsg, egress, nic.vnet), {}).setdefault(mask, []).append(nic.point)
    found: dict[tuple[str, bool, int, str], _Met] = {}
    for (name, egress, vnet), by_mask in sorted(met.items()):
        line = reader.chain(name, vnet, egress=egress)
        for mask, on in by_mask.items():
            for at, packets in line.effective(mask).items():
                one = line.lines[at]
                key = (name, egress, one.rule.priority, one.rule.name)
                known = found.setdefault(key, _Met(table.nsgs[name], one))
                known.points.extend(on)
                known.packets.append(packets)
    return tuple(found[key].entry(table.owner) for key in sorted(found))


@dataclass(slots=True)
class _Met:
    """One rule with the points it acts on and what it decides there."""

    nsg: Nsg
    line: Line
    points: list[PointId] = field(default_factory=list)
    packets: list[PacketSet] = field(default_factory=list)

    def entry(self, owner: str) -> Entry:
        """Return it for people."""
        rule = self.line.rule
        stored = next((one for one in self.nsg.rules if one.name == rule.name and one.egress is rule.egress), rule)
        return Entry(
            object=self.nsg.short,
            object_name=self.nsg.name,
            native=native_text(rule),
            direction="outbound" if rule.egress else "inbound",
            packets=PacketSet.union_all(self.packets),
            ours=rule.ours,
            points=tuple(sorted(set(self.points))),
            origins=stored.origins or origins_of(rule, owner),
            note=self.line.uncertain,
            denies=rule.deny,
        )


def origins_of(rule: Rule, owner: str) -> tuple[Origin, ...]:
    """Return the policy rules that a description of ours names."""
    if not rule.ours:
        return ()
    return tuple(Origin(one) for one in rule.description.removeprefix(mark_text(owner)).split(", ") if one and not one.endswith("..."))


def native_text(rule: Rule) -> str:
    """Return a rule for people, e.g. `310 allow-web: Allow Tcp 443 from Internet to 10.0.0.4`."""
    raw = "?" if rule.unclear else f"{rule.protocol.value} {_ports(rule)} from {_said(rule.source)} to {_said(rule.destination)}"
    return f"{rule.priority} {rule.name}: {'Deny' if rule.deny else 'Allow'} {raw}"


def _ports(rule: Rule) -> str:
    words = [str(first) if first + 1 == end else f"{first}-{end - 1}" for first, end in intervals.ranges(rule.ports)]
    return "any port" if rule.ports == (0, 65536) else ",".join(words[:6]) + (",..." if len(words) > 6 else "")


def _said(side: Side) -> str:
    if side.asgs:
        return ", ".join(one.rpartition("/")[2] for one in side.asgs)
    return side.tag or ("*" if side.addresses == ANYWHERE else side.addresses.text())


def walk(table: AzureTable, point: PointId, direction: str, packet: Packet) -> tuple[Hop, ...]:
    """Return how a packet fares at an interface: inbound the subnet's NSG first, outbound the interface's; all of them must let it through.

    Of several addresses the first is followed to which the packet gets through, else the first.
    """
    nic = table.nics.get(point)
    if nic is None:
        return ()
    reader = Reader(table)
    ways = [
        _way(reader, nic, direction, packet, address)
        for address in (first for first, _ in intervals.ranges(nic.private.family(packet.family)))
    ]
    if not ways:
        return (Hop(f"interface {nic.name}", "deny", f"it has no IPv{packet.family.value} address"),)
    return next((way for way in ways if way[-1].verdict == "allow"), ways[0])


def _way(reader: Reader, nic: Nic, direction: str, packet: Packet, address: int) -> tuple[Hop, ...]:
    egress = direction == "outbound"
    series = reader.series(nic)
    hops: list[Hop] = []
    for name in reversed(series) if egress else series:
        nsg = reader.table.nsgs[name]
        line = reader.chain(name, nic.vnet, egress=egress)
        (mask,) = line.masks(packet.family, address, address + 1)
        hit = next(one for one in line.picked(mask) if packet in one.packets and not (one.uncertain and one.rule.deny))
        place = "interface" if name == nic.nsg and len(series) > 1 else "subnet" if name != nic.nsg else "interface"
        where = f"{place} NSG {nsg.name}, at {address_text(packet.family, address)}"
        words = f"{native_text(hit.rule)}{'' if hit.rule.priority <= 4096 else ' (default)'}"
        hops.append(Hop(where, "deny" if hit.rule.deny else "pass", words, hit.rule.ours, origins_of(hit.rule, reader.table.owner)))
        if hit.rule.deny:
            return tuple(hops)
    if not hops:
        return (Hop(f"interface {nic.name}", "allow", "no network security group stands before it: everything passes"),)
    last = hops[-1]
    return (*hops[:-1], Hop(last.where, "allow", last.rule, last.ours, last.origins))
