"""Drift in packets: what is open that should not be, what is cut that should be open, at which workloads, because of which native rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from enum import Enum

from cloudsync.adapter import Access, Adapter, ClassIntent, Entry, Origin, Table
from cloudsync.compile.behind import NOTHING_KNOWN, Behind
from cloudsync.compile.intent import Wanted
from cloudsync.compile.universe import Universe
from cloudsync.diff import Owners, rules_behind
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ANY_SERVICE, TCP, ServiceSet
from cloudsync.model.workload import Domain, Labels, PointId
from cloudsync.proof.words import Names, reaches_internet


class Kind(Enum):
    """What kind of difference it is."""

    EXCESS = "not in the policy"
    MISSING = "wanted, but not let through"
    SHADOW = "not in the policy, beside what ours allow (shadow allow)"
    SHADOW_DENY = "wanted and allowed by ours, but cut by rules that are not ours (shadow deny)"
    WOULD_BLOCK = "would be blocked in mode full"
    WOULD_OPEN = "would be opened in mode full"


class Severity(Enum):
    """How bad it is, by what it opens; the order is worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Drift:
    """One finding: the same packets at the same class, in words of packets, with the native rules behind it."""

    target: str
    kind: Kind
    severity: Severity
    direction: str
    packets: PacketSet
    points: tuple[PointId, ...]
    workloads: tuple[str, ...]
    labels: Labels
    words: str
    """The packets, e.g. `tcp/22 from the internet`."""
    entries: tuple[Entry, ...]
    container: str = "group"
    """What people call the object that a rule of the platform stands in."""
    wanted_by: tuple[Origin, ...] = ()
    """The rules of the policy that want what is missing."""

    @property
    def real(self) -> bool:
        """Tell whether reality differs from what is to be enforced; a watched workload (visibility) only shows what would be."""
        return self.kind not in (Kind.WOULD_BLOCK, Kind.WOULD_OPEN)

    def text(self) -> str:
        """Return the sentence for people; what is wrong first, whose rule it is last."""
        count = len(self.workloads)
        whom = f"{count} workload{'' if count == 1 else 's'} {self.labels.text()}"
        way = "to" if self.direction == "inbound" else "sent by"
        by = "; ".join(_blamed(entry, self.container) for entry in self.entries[:3])
        if len(self.entries) > 3:
            by += f"; and {len(self.entries) - 3} more rules"
        verb = "let in by" if self.direction == "inbound" else "let out by"
        if self.kind in (Kind.MISSING, Kind.SHADOW_DENY):
            verb = "cut by"
        return f"{self.words} {way} {whom}: {self.kind.value}" + (f", {verb} {by}" if by else "")


def _blamed(entry: Entry, container: str) -> str:
    """Return a native rule in words. A rule that the policy does not want is not ours, even inside an object of ours."""
    named = f" ({entry.object})" if entry.object != entry.object_name else ""
    place = f"our {container} {entry.object_name}" if entry.ours else f"{entry.object_name}{named}"
    whose = f"not ours ({entry.owner})" if entry.owner else "not ours"
    return f"{entry.id + ' ' if entry.id else ''}'{entry.native}' in {place}, {whose}"


def with_ids(found: Iterable[Drift], ids: Mapping[tuple[str, str], str]) -> tuple[Drift, ...]:
    """Return drift whose blamed rules carry the platform's own ids."""
    return tuple(
        replace(one, entries=tuple(replace(entry, id=ids.get((entry.object, entry.native), "")) for entry in one.entries)) for one in found
    )


SENSITIVE = ServiceSet.union_all(
    ServiceSet.ports(TCP, first, last)
    for first, last in (
        (22, 23),
        (135, 139),
        (445, 445),
        (1433, 1434),
        (1521, 1521),
        (2375, 2376),
        (2379, 2380),
        (3306, 3306),
        (3389, 3389),
        (5432, 5432),
        (5900, 5901),
        (5985, 5986),
        (6379, 6379),
        (6443, 6443),
        (9200, 9300),
        (10250, 10250),
        (11211, 11211),
        (27017, 27019),
    )
)
"""Remote administration and databases: open to the internet they are critical."""


def severity(packets: PacketSet, kind: Kind) -> Severity:
    """Grade by what is open: administration or databases to the internet worst, small private openings least."""
    if kind in (Kind.MISSING, Kind.SHADOW_DENY, Kind.WOULD_OPEN):
        return Severity.LOW if kind is Kind.WOULD_OPEN else Severity.MEDIUM
    worst = Severity.LOW
    for peers, services in packets.products():
        if reaches_internet(peers):
            worst = min(worst, Severity.CRITICAL if services & SENSITIVE or services == ANY_SERVICE else Severity.HIGH, key=_rank)
        elif peers.size > 1 << 16:
            worst = min(worst, Severity.MEDIUM, key=_rank)
    return worst


def _rank(one: Severity) -> int:
    return list(Severity).index(one)


@dataclass(frozen=True, slots=True)
class Scene:
    """What drift is looked for in: one target's table and what it lets through, with what is wanted of each point."""

    target: str
    mode: TargetMode
    adapter: Adapter
    table: Table
    access: Mapping[PointId, Access]
    wanted: Mapping[PointId, Wanted]
    universe: Universe
    owners: Owners
    would: Mapping[PointId, Access]
    """For points that are only watched (visibility): what mode full would let through."""
    ours: Mapping[PointId, Access] = field(default_factory=dict)
    """What our rules let through by themselves, on a platform whose foreign rules can cut it."""
    behind: Behind = NOTHING_KNOWN
    classes: tuple[ClassIntent, ...] = ()


NOTHING = Access()


def find(scene: Scene) -> tuple[Drift, ...]:
    """Return all drift of a target, worst first, then by class."""
    groups: dict[tuple[int, Domain, Kind, str, PacketSet], list[PointId]] = {}
    memo: dict[tuple[int, int, int], tuple[tuple[Kind, str, PacketSet], ...]] = {}
    hold: list[object] = []
    for point, access in sorted(scene.access.items()):
        want, would = scene.wanted.get(point), scene.would.get(point)
        owner = scene.owners.by_point.get(point)
        if owner is None or (want is None and would is None):
            continue
        ours = scene.ours.get(point, NOTHING)
        key = (id(access), id(want if want is not None else would), id(ours))
        if key not in memo:
            hold.append((access, want, would, ours))
            memo[key] = tuple(_differences(access, want, would, ours))
        for kind, direction, packets in memo[key]:
            groups.setdefault((owner[0], owner[2], kind, direction, packets), []).append(point)
    names = Names(scene.universe)
    rules = _Rules(scene)
    found = [replace(_drift(scene, names, key, tuple(points)), wanted_by=rules.behind(*key)) for key, points in groups.items()]
    return tuple(
        sorted(found, key=lambda one: (not one.real, _rank(one.severity), one.kind.value, one.labels.pairs, one.direction, one.points))
    )


def _differences(access: Access, want: Wanted | None, would: Access | None, ours: Access) -> Iterator[tuple[Kind, str, PacketSet]]:
    if want is None:
        assert would is not None
        yield from _some(Kind.WOULD_BLOCK, "inbound", access.inbound - would.inbound)
        yield from _some(Kind.WOULD_OPEN, "inbound", would.inbound - access.inbound)
        return
    excess = Kind.SHADOW if want.ours_only else Kind.EXCESS
    yield from _some(excess, "inbound", access.inbound - want.most.inbound)
    missing = want.least.inbound - access.inbound
    if want.ours_only and missing:
        yield from _some(Kind.SHADOW_DENY, "inbound", missing & ours.inbound)
        missing -= ours.inbound
    yield from _some(Kind.MISSING, "inbound", missing)
    if want.ours_only:
        missing = want.least.outbound - access.outbound
        yield from _some(Kind.SHADOW_DENY, "outbound", missing & ours.outbound)
    else:
        yield from _some(excess, "outbound", access.outbound - want.most.outbound)
        yield from _some(Kind.MISSING, "outbound", want.least.outbound - access.outbound)


def _some(kind: Kind, direction: str, packets: PacketSet) -> Iterator[tuple[Kind, str, PacketSet]]:
    if packets:
        yield kind, direction, packets


class _Rules:
    """Finds the rules that want what is missing; most runs ask for none."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._wanted: dict[tuple[str, Domain], ClassIntent] = {}
        self._numbers: dict[str, int] = {}

    def behind(self, number: int, domain: Domain, kind: Kind, direction: str, packets: PacketSet) -> tuple[Origin, ...]:
        """Return the rules of the policy because of which a class is to let packets through."""
        if kind not in (Kind.MISSING, Kind.SHADOW_DENY):
            return ()
        universe = self.scene.universe
        if not self._numbers:
            self._wanted = {(group.class_id, group.domain): group for group in self.scene.classes}
            self._numbers = {group.id: at for at, group in enumerate(universe.classes)}
        wanted = self._wanted.get((universe.classes[number].id, domain))
        return () if wanted is None else rules_behind(wanted, direction, packets, universe, self._numbers)


def _drift(scene: Scene, names: Names, key: tuple[int, Domain, Kind, str, PacketSet], points: tuple[PointId, ...]) -> Drift:
    number, domain, kind, direction, packets = key
    group = scene.universe.classes[number]
    workloads = tuple(dict.fromkeys(scene.universe.called(scene.owners.by_point[point][1]) for point in points))
    cut = kind in (Kind.MISSING, Kind.SHADOW_DENY)
    entries: tuple[Entry, ...] = ()
    if kind is not Kind.WOULD_OPEN and (not cut or scene.adapter.capabilities.denies):
        known = (entry for entry in scene.adapter.entries(scene.table, points) if entry.denies is cut and not (cut and entry.ours))
        entries = tuple(replace(one, origins=scene.behind.today(one.origins)) for one in _behind(known, direction, packets))
    words = names.packets(packets, domain, inbound=direction == "inbound")
    labels = group.labels
    container = scene.adapter.capabilities.container
    return Drift(scene.target, kind, severity(packets, kind), direction, packets, points, workloads, labels, words, entries, container)


def _behind(entries: Iterable[Entry], direction: str, packets: PacketSet) -> Iterator[Entry]:
    """Yield the native rules that let some of the packets through, foreign ones first."""
    hit = [entry for entry in entries if entry.direction == direction and entry.packets & packets != NO_PACKETS]
    yield from sorted(hit, key=lambda entry: entry.ours)
