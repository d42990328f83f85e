"""Two versions of a policy, or two platforms, compared packet for packet: what one lets through and the other does not, for whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field

from cloudsync.adapter import Access, ClassPeer, Origin
from cloudsync.compile.allowed import Compiler, Direction
from cloudsync.compile.universe import Universe
from cloudsync.diff import Owners
from cloudsync.model.address import ANYWHERE, AddressSet
from cloudsync.model.mode import Egress, Mode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ANY_SERVICE, ServiceSet
from cloudsync.model.workload import Domain, Labels, PointId, Workload
from cloudsync.proof.words import Names, service_words

ALL = PacketSet.of(ANYWHERE, ANY_SERVICE)

# --- two versions of a policy ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stand:
    """How one version treats a group of workloads in one direction. None for the mode: they are not in its inventory."""

    mode: Mode | None
    labels: Labels
    allowed: PacketSet = NO_PACKETS
    denied: PacketSet = NO_PACKETS
    """What it surely cuts. What is neither allowed nor denied stays as the platform has it (modes other than full, egress left alone)."""

    @property
    def enforced(self) -> bool:
        """Tell whether it decides anything here."""
        return bool(self.denied)


@dataclass(frozen=True, slots=True)
class Shift:
    """The same change for some workloads in one direction, old version to new. `rules` are those that open, then those that closed."""

    direction: Direction
    before: Stand
    after: Stand
    workloads: tuple[str, ...]
    opens: PacketSet
    closes: PacketSet
    opens_words: tuple[str, ...]
    closes_words: tuple[str, ...]
    opened_by: tuple[Origin, ...] = ()
    """Rules of the new version that let through what opens."""
    let_by: tuple[Origin, ...] = ()
    """Rules of the old version that let through what closes."""

    @property
    def begins(self) -> bool:
        """Tell whether the policy did not decide here before, and does now."""
        return self.after.enforced and not self.before.enforced

    @property
    def ends(self) -> bool:
        """Tell whether the policy decided here before, and does not any more."""
        return self.before.enforced and not self.after.enforced


@dataclass(frozen=True, slots=True)
class _Seat:
    """Where the policy is asked: a class in one routing domain; -1 where a version has no such workload."""

    number: int
    domain: Domain


@dataclass(slots=True)
class _Version:
    compiler: Compiler
    _stands: dict[tuple[_Seat, Direction], Stand] = field(default_factory=dict)

    @property
    def universe(self) -> Universe:
        return self.compiler.universe

    def seats(self) -> dict[tuple[str, str], tuple[_Seat, Workload]]:
        """Return every interface by the workload's id and its own reference."""
        return {
            (workload.id, interface.ref): (_Seat(number, interface.domain), workload)
            for number, group in enumerate(self.universe.classes)
            for workload in group.workloads
            for interface in workload.interfaces
            if not interface.source_only
        }

    def stand(self, seat: _Seat, direction: Direction) -> Stand:
        """Return how this version treats a seat; computed once."""
        key = (seat, direction)
        if key not in self._stands:
            self._stands[key] = self._stand(seat, direction)
        return self._stands[key]

    def _stand(self, seat: _Seat, direction: Direction) -> Stand:
        if seat.number < 0:
            return Stand(None, Labels())
        group = self.universe.classes[seat.number]
        if not group.mode.enforced or (direction is Direction.OUT and group.egress is not Egress.ENFORCE):
            return Stand(group.mode, group.labels)
        found = self.compiler.allowed(seat.number, seat.domain, direction)
        if group.mode is Mode.SELECTIVE:
            return Stand(group.mode, group.labels, found.exact, (found.closed - found.exact) | found.never)
        return Stand(group.mode, group.labels, found.exact, ALL - found.exact)

    def behind(self, seat: _Seat, direction: Direction, packets: PacketSet) -> tuple[Origin, ...]:
        """Return the rules that let some of these packets through."""
        if seat.number < 0 or not packets:
            return ()
        of = self.universe.class_addresses if direction is Direction.IN else self.universe.class_reached
        numbers = {group.id: number for number, group in enumerate(self.universe.classes)}
        found: dict[Origin, None] = {}
        for term in self.compiler.allowed(seat.number, seat.domain, direction).terms:
            peers = of(numbers[term.peer.class_id], seat.domain) if isinstance(term.peer, ClassPeer) else term.peer.addresses
            if PacketSet.of(peers, term.services) & packets:
                found.update(dict.fromkeys(term.origins))
        return tuple(found)


def shifts(old: Compiler, new: Compiler) -> tuple[Shift, ...]:
    """Return what changes from one version of the policy to another, each over its own inventory; ordered by labels, then direction."""
    before, after = _Version(old), _Version(new)
    there, here = before.seats(), after.seats()
    groups: dict[tuple[_Seat, _Seat], list[Workload]] = {}
    for key in sorted(there.keys() | here.keys()):
        was, now = there.get(key), here.get(key)
        seat, workload = now or there[key]
        nowhere = _Seat(-1, seat.domain)
        pair = (was[0] if was else nowhere, now[0] if now else nowhere)
        groups.setdefault(pair, []).append(workload)
    names = (Names(before.universe), Names(after.universe))
    found = [one for pair, members in groups.items() for one in _shifted((before, after), pair, members, names)]
    return tuple(sorted(found, key=lambda one: (one.after.labels.pairs or one.before.labels.pairs, one.direction.value, one.workloads)))


def _shifted(
    versions: tuple[_Version, _Version], pair: tuple[_Seat, _Seat], members: list[Workload], names: tuple[Names, Names]
) -> Iterator[Shift]:
    for direction in Direction:
        before, after = versions[0].stand(pair[0], direction), versions[1].stand(pair[1], direction)
        opens, closes = before.denied - after.denied, after.denied - before.denied
        if not opens and not closes and (before.mode is after.mode or direction is Direction.OUT):
            continue
        universe = versions[1].universe if pair[1].number >= 0 else versions[0].universe
        called = tuple(dict.fromkeys(universe.called(one) for one in members))
        inbound = direction is Direction.IN
        told = (opens if before.enforced else NO_PACKETS, closes if before.enforced else after.allowed)
        if before.enforced and not after.enforced:
            told = (NO_PACKETS, before.allowed)
        yield Shift(
            direction,
            before,
            after,
            called,
            opens,
            closes,
            tuple(names[1].parts(told[0], pair[1].domain, inbound=inbound)) if told[0] else (),
            tuple(names[0].parts(told[1], pair[0].domain, inbound=inbound)) if told[1] else (),
            versions[1].behind(pair[1], direction, opens & after.allowed),
            versions[0].behind(pair[0], direction, closes & before.allowed),
        )


# --- two platforms -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """What one target really lets through at its points."""

    target: str
    access: Mapping[PointId, Access]


@dataclass(frozen=True, slots=True)
class Unlike:
    """Workloads of one class that two targets treat differently: what each lets through alone, in words of peers.

    `among`: the target whose own members are not treated alike; empty when it is the two targets that differ.
    """

    direction: Direction
    labels: Labels
    workloads: tuple[tuple[str, ...], tuple[str, ...]]
    first: tuple[str, ...]
    second: tuple[str, ...]
    among: str = ""


@dataclass(frozen=True, slots=True)
class Likeness:
    """Two targets compared: classes that both have, those treated alike, and how the others differ."""

    shared: int
    alike: int
    unlike: tuple[Unlike, ...]


Reach = dict[str, ServiceSet]
"""What a point lets through, by peer in words: a class counts as let through where one of its addresses is."""


def likeness(universe: Universe, owners: Owners, first: Held, second: Held) -> Likeness:
    """Compare what two targets let through for the same labels, peer by peer: addresses of one workload differ from place to place."""
    reach = _Reaches(universe)
    sides = [_by_class(owners, held) for held in (first, second)]
    found: list[Unlike] = []
    shared = sorted(sides[0].keys() & sides[1].keys())
    alike = 0
    for number in shared:
        before = len(found)
        for direction in Direction:
            views = [
                [reach.of(held.access[point], owners.by_point[point][2], direction) for point in sides[at][number]]
                for at, held in enumerate((first, second))
            ]
            names = [tuple(dict.fromkeys(universe.called(owners.by_point[point][1]) for point in side[number])) for side in sides]
            found.extend(_unlike(universe.classes[number].labels, direction, (names[0], names[1]), views, (first.target, second.target)))
        alike += len(found) == before
    return Likeness(len(shared), alike, tuple(found))


def _by_class(owners: Owners, held: Held) -> dict[int, list[PointId]]:
    found: dict[int, list[PointId]] = {}
    for point in sorted(held.access):
        owner = owners.by_point.get(point)
        if owner is not None and owner[1].target == held.target:
            found.setdefault(owner[0], []).append(point)
    return found


@dataclass(slots=True)
class _Reaches:
    universe: Universe
    _memo: dict[tuple[PacketSet, Domain, Direction], Reach] = field(default_factory=dict)

    def of(self, access: Access, domain: Domain, direction: Direction) -> Reach:
        """Return who gets through on which services."""
        packets = access.inbound if direction is Direction.IN else access.outbound
        key = (packets, domain, direction)
        if key not in self._memo:
            self._memo[key] = dict(self._compute(packets, domain, direction))
        return self._memo[key]

    def _compute(self, packets: PacketSet, domain: Domain, direction: Direction) -> Iterator[tuple[str, ServiceSet]]:
        of = self.universe.class_addresses if direction is Direction.IN else self.universe.class_reached
        for number, group in enumerate(self.universe.classes):
            services = (packets & PacketSet.of(of(number, domain), ANY_SERVICE)).services()
            if services:
                yield group.labels.text() if group.labels else self.universe.called(group.workloads[0]), services
        names = Names(self.universe)
        rest = packets & PacketSet.of(self.universe.strangers(domain), ANY_SERVICE)
        merged: dict[ServiceSet, AddressSet] = {}
        for peers, services in rest.products():
            merged[services] = merged.get(services, AddressSet()) | peers
        for services, peers in merged.items():
            yield names.peers(peers, domain), services


def _unlike(
    labels: Labels,
    direction: Direction,
    names: tuple[tuple[str, ...], tuple[str, ...]],
    views: list[list[Reach]],
    targets: tuple[str, str],
) -> Iterator[Unlike]:
    for at in (0, 1):
        other = next((view for view in views[at] if view != views[at][0]), None)
        if other is not None:
            one = _only(views[at][0], other, direction), _only(other, views[at][0], direction)
            yield Unlike(direction, labels, names, *one, among=targets[at])
    if views[0][0] != views[1][0]:
        yield Unlike(direction, labels, names, _only(views[0][0], views[1][0], direction), _only(views[1][0], views[0][0], direction))


def _only(mine: Reach, theirs: Reach, direction: Direction) -> tuple[str, ...]:
    """Return what one lets through and the other does not, in words."""
    way = "from" if direction is Direction.IN else "to"
    grouped: dict[ServiceSet, list[str]] = {}
    for peer, services in mine.items():
        rest = services - theirs.get(peer, ServiceSet())
        if rest:
            grouped.setdefault(rest, []).append(peer)
    return tuple(f"{service_words(services)} {way} {_some(peers)}" for services, peers in grouped.items())


def _some(peers: list[str], most: int = 6) -> str:
    return ", ".join(peers[:most]) + (f" and {len(peers) - most} more" if len(peers) > most else "")
