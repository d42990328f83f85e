"""Who may talk to whom: classes and well-known places against classes, with what differs from the policy marked. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Protocol

from cloudsync.adapter import AddressPeer, ClassPeer, Origin, Term
from cloudsync.compile.allowed import Compiler, Direction
from cloudsync.compile.universe import Universe
from cloudsync.diff import Owners
from cloudsync.model.address import AddressSet
from cloudsync.model.mode import Egress, Mode
from cloudsync.model.packets import PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import NO_SERVICE, ServiceSet
from cloudsync.model.workload import DEFAULT_DOMAIN, Domain, Labels, PointId
from cloudsync.proof.drift import Kind, Severity
from cloudsync.proof.words import reaches_internet

INTERNET, ELSEWHERE = "the internet", "other addresses"
"""Rows beside the classes and the IP lists of the policy."""


@dataclass(frozen=True, slots=True)
class Member:
    """One workload of a group."""

    name: str
    target: str
    """Empty: only the inventory files know it."""


@dataclass(frozen=True, slots=True)
class Group:
    """One class of workloads that the policy cannot tell apart, or (without members) a place outside: the internet, an IP list."""

    id: str
    labels: Labels
    name: str = ""
    """Set for a place outside."""
    mode: Mode | None = None
    egress: Egress | None = None
    members: tuple[Member, ...] = ()

    @property
    def outside(self) -> bool:
        """Tell whether this is no class of workloads."""
        return bool(self.name)

    def text(self) -> str:
        """Return its name for people."""
        return self.name or self.labels.text()


@dataclass(frozen=True, slots=True)
class Passage:
    """What the policy lets through from one group to another, because of which rules. `part`: not from every member's every address."""

    services: ServiceSet
    origins: tuple[Origin, ...]
    part: bool = False


@dataclass(frozen=True, slots=True)
class Breach:
    """What differs from the policy in one cell. `key` is the finding's, empty where it has none yet."""

    kind: Kind
    severity: Severity
    services: ServiceSet
    key: str = ""
    target: str = ""
    way: str = "inbound"
    """`inbound`: seen at the destination; `outbound`: at the source."""

    @property
    def foreign(self) -> bool:
        """Tell whether rules that are not ours, beside ours, are behind it."""
        return self.kind in (Kind.SHADOW, Kind.SHADOW_DENY)

    @property
    def opens(self) -> bool:
        """Tell whether more passes than should; else less does."""
        return self.kind in (Kind.EXCESS, Kind.SHADOW)


@dataclass(frozen=True, slots=True)
class Cell:
    """From the row's group to the column's; both are indexes of `Matrix.groups`."""

    source: int
    destination: int
    passages: tuple[Passage, ...] = ()
    breaches: tuple[Breach, ...] = ()

    @property
    def services(self) -> ServiceSet:
        """Everything that the policy lets through."""
        return ServiceSet.union_all(one.services for one in self.passages)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Groups in order of their labels, places outside first; cells that hold something, by source and destination."""

    groups: tuple[Group, ...]
    cells: tuple[Cell, ...]
    inventory: str = ""
    """Where the workloads come from, in words."""


class Deviation(Protocol):
    """A drift finding, of a run or of the records, as far as the matrix shows it."""

    @property
    def kind(self) -> Kind:
        """What kind of difference."""

    @property
    def severity(self) -> Severity:
        """How bad."""

    @property
    def direction(self) -> str:
        """`inbound` or `outbound`."""

    @property
    def points(self) -> tuple[PointId, ...]:
        """Where."""

    @property
    def target(self) -> str:
        """At which target."""


Deviating = tuple[Deviation, PacketSet, str]
"""A finding, its packets as seen from its points, and its key (or empty)."""


def build(compiler: Compiler, owners: Owners, deviating: Iterable[Deviating] = (), inventory: str = "") -> Matrix:
    """Return the matrix of what a policy lets into every class, with the deviations marked where they are."""
    return _Builder(compiler, owners).build(deviating, inventory)


@dataclass(slots=True)
class _Place:
    """One cell in the making."""

    services: dict[Origin, ServiceSet] = field(default_factory=dict)
    part: set[Origin] = field(default_factory=set)
    breaches: list[Breach] = field(default_factory=list)


@dataclass(slots=True)
class _Builder:
    compiler: Compiler
    owners: Owners
    places: dict[tuple[str, str], _Place] = field(default_factory=dict)
    outside: set[str] = field(default_factory=set)
    _split: dict[tuple[AddressSet, Domain, str, bool], tuple[tuple[str, bool], ...]] = field(default_factory=dict)

    @property
    def universe(self) -> Universe:
        return self.compiler.universe

    def build(self, deviating: Iterable[Deviating], inventory: str) -> Matrix:
        for number, group in enumerate(self.universe.classes):
            domains = {one.domain for workload in group.workloads for one in workload.interfaces} or {DEFAULT_DOMAIN}
            for domain in sorted(domains):
                self._allowed(number, domain)
        for one, packets, key in deviating:
            self._breach(one, packets, key)
        groups = (*(Group(name, Labels(), name) for name in sorted(self.outside, key=_outside_first)), *self._classes())
        at = {group.id: number for number, group in enumerate(groups)}
        cells = [_cell(at[source], at[destination], place) for (source, destination), place in self.places.items()]
        return Matrix(groups, tuple(sorted(cells, key=lambda cell: (cell.destination, cell.source))), inventory)

    def _classes(self) -> Iterator[Group]:
        for group in sorted(self.universe.classes, key=lambda one: (one.labels.pairs, one.id)):
            members = tuple(Member(self.universe.called(workload), workload.target) for workload in group.workloads)
            # A class without labels that the policy names is told by its only workload.
            yield Group(group.id, group.labels, "", group.mode, group.egress, members)

    def _allowed(self, number: int, domain: Domain) -> None:
        group = self.universe.classes[number]
        for term in self.compiler.allowed(number, domain, Direction.IN).terms:
            for source, part in self._ends(term, domain, inbound=True):
                self._passage((source, group.id), term, part=part)
        if group.egress is Egress.ENFORCE:
            # What goes to workloads is told at the destination; only places outside are told here.
            for term in self.compiler.allowed(number, domain, Direction.OUT).terms:
                for there, part in self._ends(term, domain, inbound=False):
                    if there in self.outside:
                        self._passage((group.id, there), term, part=part)

    def _passage(self, way: tuple[str, str], term: Term, *, part: bool) -> None:
        place = self.places.setdefault(way, _Place())
        for origin in term.origins:
            place.services[origin] = place.services.get(origin, NO_SERVICE) | term.services
            if part:
                place.part.add(origin)

    def _ends(self, term: Term, domain: Domain, *, inbound: bool) -> tuple[tuple[str, bool], ...]:
        match term.peer:
            case ClassPeer(class_id):
                return ((class_id, False),)
            case AddressPeer(addresses, name, _):
                return self._peers(addresses, domain, name, inbound=inbound)

    def _peers(self, addresses: AddressSet, domain: Domain, name: str = "", *, inbound: bool) -> tuple[tuple[str, bool], ...]:
        """Split addresses into groups: `(id, whether only a part of the group is meant)`."""
        key = (addresses, domain, name, inbound)
        if key not in self._split:
            found: list[tuple[str, bool]] = []
            for number, group in enumerate(self.universe.classes):
                whole = self.universe.class_addresses(number, domain) if inbound else self.universe.class_reached(number, domain)
                if seen := whole & addresses:
                    found.append((group.id, seen != whole))
            if rest := addresses & self.universe.strangers(domain):
                outside = f"iplist {name}" if name else INTERNET if reaches_internet(rest) else ELSEWHERE
                self.outside.add(outside)
                found.append((outside, False))
            self._split[key] = tuple(found)
        return self._split[key]

    def _breach(self, one: Deviation, packets: PacketSet, key: str) -> None:
        for number, domain in sorted({self.owners.by_point[point][::2] for point in one.points if point in self.owners.by_point}):
            here = self.universe.classes[number].id
            found: dict[str, ServiceSet] = {}
            for peers, services in packets.products():
                for there, _ in self._peers(peers, domain, inbound=one.direction == "inbound"):
                    found[there] = found.get(there, NO_SERVICE) | services
            for there, services in found.items():
                way = (there, here) if one.direction == "inbound" else (here, there)
                breach = Breach(one.kind, one.severity, services, key, one.target, one.direction)
                self.places.setdefault(way, _Place()).breaches.append(breach)


def _cell(source: int, destination: int, place: _Place) -> Cell:
    """Join rules that let the same services through."""
    joined: dict[tuple[ServiceSet, bool], list[Origin]] = {}
    for origin, services in place.services.items():
        joined.setdefault((services, origin in place.part), []).append(origin)
    passages = tuple(Passage(services, tuple(sorted(origins)), part) for (services, part), origins in joined.items())
    return Cell(source, destination, passages, tuple(dict.fromkeys(place.breaches)))


def _outside_first(name: str) -> tuple[bool, str]:
    return name != INTERNET, name
