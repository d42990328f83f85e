"""From classes to what is wanted at each enforcement point of one target, the past that has to be kept included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cloudsync.adapter import Access, Allowed, ClassIntent, Intent, Point, PointIntent
from cloudsync.compile.allowed import Compiler, Direction
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet
from cloudsync.model.mode import Egress, Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ANY_SERVICE
from cloudsync.model.workload import Domain, PointId


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a point was before we took it over: native ids attached then, and the packets they let in and out.

    taken: we may have taken foreign rules of it away since (mode `full`), so that none of them is missing because a person meant it.
    """

    original: tuple[str, ...]
    inbound: PacketSet
    outbound: PacketSet
    taken: bool = False


@dataclass(frozen=True, slots=True)
class Actual:
    """What a read shows at the points of one target: everything, and the foreign part alone."""

    points: Mapping[PointId, Point]
    everything: Mapping[PointId, Access]
    foreign: Mapping[PointId, Access]


@dataclass(frozen=True, slots=True)
class TargetScope:
    """Which target an intent is for."""

    name: str
    owner: str
    mode: TargetMode
    incomplete: frozenset[str] = frozenset()
    quarantined: AddressSet = NOWHERE
    in_place: bool = False
    """Foreign rules stay where they are on this platform (`Capabilities.in_place`)."""


def past(point: PointId, actual: Actual, recorded: Mapping[PointId, Recorded]) -> Recorded:
    """Return what the point was before us: as recorded at adoption, else as it is now.

    Where the record is lost but our objects are already in place, all that is let through now is taken as the past: a lost
    state must not close anything.
    """
    known = recorded.get(point)
    if known is not None:
        return known
    found = actual.points.get(point)
    everything = actual.everything.get(point, Access())
    foreign = actual.foreign.get(point, Access())
    ours_alone = found is not None and bool(found.ours) and not found.foreign
    attached = () if found is None else found.keepsake or found.foreign
    return Recorded(attached, everything.inbound if ours_alone else foreign.inbound, everything.outbound)


@dataclass(frozen=True, slots=True)
class _Case:
    """Everything an intent is made from."""

    compiler: Compiler
    target: TargetScope
    actual: Actual
    recorded: Mapping[PointId, Recorded]


def build(compiler: Compiler, target: TargetScope, actual: Actual, recorded: Mapping[PointId, Recorded]) -> Intent:
    """Return the intent of one target. Points come in the order of their ids, classes in the order of the universe."""
    universe = compiler.universe
    case = _Case(compiler, target, actual, recorded)
    points: list[PointIntent] = []
    enforced: dict[Domain, set[int]] = {}
    for number, group in enumerate(universe.classes):
        for workload in group.workloads:
            if workload.target != target.name:
                continue
            for interface in workload.interfaces:
                if interface.point is None:
                    continue
                enforced.setdefault(interface.domain, set())
                if group.mode.enforced:
                    enforced[interface.domain].add(number)
                points.append(_point(case, number, interface.point, interface.domain))
    classes = tuple(
        _class(compiler, number, domain, enforced=number in enforced[domain])
        for domain in sorted(enforced)
        for number in range(len(universe.classes))
    )
    ordered = tuple(sorted(points, key=lambda point: point.point))
    return Intent(target.name, target.owner, target.mode, classes, ordered, target.incomplete, target.quarantined)


def _class(compiler: Compiler, number: int, domain: Domain, *, enforced: bool) -> ClassIntent:
    group = compiler.universe.classes[number]
    inbound = compiler.allowed(number, domain, Direction.IN) if enforced else Allowed()
    outbound = compiler.allowed(number, domain, Direction.OUT) if enforced and group.egress is Egress.ENFORCE else Allowed()
    addresses, reached = compiler.universe.class_addresses(number, domain), compiler.universe.class_reached(number, domain)
    apart = None if reached is addresses else reached
    return ClassIntent(group.id, domain, group.labels, group.mode, group.egress, addresses, inbound, outbound, apart)


def _point(case: _Case, number: int, point: PointId, domain: Domain) -> PointIntent:
    compiler = case.compiler
    group = compiler.universe.classes[number]
    if not group.mode.enforced:
        known = case.recorded.get(point)
        return PointIntent(point, group.id, domain, group.mode, group.egress, original=known.original if known else ())
    if case.target.mode is not TargetMode.EXCLUSIVE:
        return PointIntent(point, group.id, domain, group.mode, group.egress)
    before = past(point, case.actual, case.recorded)
    selective = group.mode is Mode.SELECTIVE
    inbound = compiler.allowed(number, domain, Direction.IN)
    kept_in = before.inbound - inbound.closed - inbound.never if selective else NO_PACKETS
    if selective and case.target.in_place and not before.taken:
        # What stood there stays as far as it still stands: whoever took one of those rules away since then meant it.
        kept_in &= case.actual.foreign.get(point, Access()).inbound
    if group.egress is Egress.LEAVE and case.target.in_place:
        kept_out = case.actual.foreign.get(point, Access()).outbound
    elif group.egress is Egress.LEAVE:
        kept_out = before.outbound
    elif selective:
        outbound = compiler.allowed(number, domain, Direction.OUT)
        kept_out = before.outbound - outbound.closed - outbound.never
    else:
        kept_out = NO_PACKETS
    was_out = before.outbound if group.egress is Egress.LEAVE and case.target.in_place else None
    return PointIntent(point, group.id, domain, group.mode, group.egress, kept_in, kept_out, before.original, was_out)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The packets a point must at least and may at most let through; `ours_only` when foreign objects stay beside ours (additive)."""

    least: Access
    most: Access
    ours_only: bool


def wanted(intent: Intent) -> dict[PointId, Wanted]:
    """Return what the certificate holds each enforced point to."""
    classes = {(group.class_id, group.domain): group for group in intent.classes}
    tolerated = PacketSet.of(intent.quarantined, ANY_SERVICE)
    found: dict[PointId, Wanted] = {}
    memo: dict[tuple[object, ...], Wanted] = {}
    for point in intent.points:
        if not point.mode.enforced:
            continue
        key = (point.class_id, point.domain, point.kept_in, point.kept_out, point.was_out)
        if key not in memo:
            memo[key] = _wanted(classes[point.class_id, point.domain], point, tolerated)
        found[point.point] = memo[key]
    return found


def owed(everything: Mapping[PointId, Wanted], points: Mapping[PointId, Point]) -> dict[PointId, Wanted]:
    """Return what is wanted without the family in which a point has no address: no packet of it can be.

    For platforms whose rules name their targets; groups hold both families whatever their members have. Equal points share one value.
    """
    found: dict[PointId, Wanted] = {}
    memo: dict[tuple[int, bool, bool], Wanted] = {}
    for name, want in everything.items():
        point = points.get(name)
        if point is None:
            found[name] = want
            continue
        four, six = bool(point.addresses.v4), bool(point.addresses.v6)
        key = (id(want), four, six)
        if key not in memo:
            real = PacketSet.of(AddressSet(ANYWHERE.v4 if four else (), ANYWHERE.v6 if six else ()), ANY_SERVICE)
            least = Access(want.least.inbound & real, want.least.outbound & real)
            memo[key] = want if four and six else replace(want, least=least)
        found[name] = memo[key]
    return found


def _wanted(group: ClassIntent, point: PointIntent, tolerated: PacketSet) -> Wanted:
    kept_in, kept_out = point.kept_in or NO_PACKETS, point.kept_out or NO_PACKETS
    enforce = group.egress is Egress.ENFORCE
    was_out = kept_out if point.was_out is None else point.was_out
    least_out = (group.outbound.exact | kept_out) if enforce else kept_out & was_out
    most_out = (group.outbound.loosest | kept_out) if enforce else kept_out | was_out
    return Wanted(
        Access(group.inbound.exact | kept_in, least_out),
        Access(group.inbound.loosest | kept_in | tolerated, most_out | tolerated),
        ours_only=point.kept_in is None,
    )
