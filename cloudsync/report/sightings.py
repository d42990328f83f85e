"""Drift of one reading as sightings: one for each native rule at each class, under a key that stays the same over runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from enum import Enum
from hashlib import sha256

from cloudsync.adapter import Access, Entry
from cloudsync.compile.intent import Recorded
from cloudsync.compile.universe import Universe
from cloudsync.diff import Owners
from cloudsync.model.codec import canonical, digest, packets_json
from cloudsync.model.mode import Egress, Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import DEFAULT_DOMAIN, Domain, Labels, PointId, WorkloadId
from cloudsync.policy.values import Policy, WorkloadBase
from cloudsync.proof.drift import Drift, Kind, Severity, severity
from cloudsync.proof.words import Names, reaches_internet

CUT = (Kind.MISSING, Kind.SHADOW_DENY)
"""Kinds that are about packets which should pass and do not."""

RESTORABLE = (Kind.EXCESS, Kind.MISSING)
"""Kinds that an apply undoes; what foreign rules do beside ours stays."""


class Cause(Enum):
    """Why reality differs from the policy."""

    SOMEBODY = "somebody"
    """What the last good apply enforced is not there any more, or something beside it is."""
    POLICY = "policy"
    """The policy changed since the last good apply: no news, the next apply brings it about."""
    ENROLMENT = "enrolment"
    """Nothing was enforced here so far, so that nobody can be said to have changed it."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One finding as one reading shows it."""

    key: str
    target: str
    kind: Kind
    severity: Severity
    direction: str
    labels: Labels
    points: tuple[PointId, ...]
    workloads: tuple[str, ...]
    packets: str
    """Digest of the packets."""
    words: str
    sentence: str
    objects: tuple[str, ...]
    """What is restored when this is: the native object, or the points that lost something."""
    natives: tuple[str, ...] = ()
    cause: Cause = Cause.SOMEBODY
    content: PacketSet = NO_PACKETS
    rule: tuple[str, str] | None = None
    """The native rule behind it as the adapter names it: `(object, native)`."""
    exposes: bool = False
    """It lets the internet in."""
    owners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ground:
    """What sightings of one target are judged by.

    `applied`: what the last good apply enforced per class id and domain, None where nothing ever was (or nothing may be: observe).
    `verified` and `relabelled`: whose labels were known and whose differ since, as the guards see it.
    """

    target: str
    mode: TargetMode
    universe: Universe
    owners: Owners
    policy: Policy
    applied: Mapping[tuple[str, str], Access] | None = None
    recorded: Mapping[PointId, Recorded] = field(default_factory=dict)
    verified: frozenset[WorkloadId] | None = None
    relabelled: frozenset[WorkloadId] = frozenset()


@dataclass(slots=True)
class _Part:
    """What one key gathers: the same rule at the same class may stand in several drifts, with other packets at each."""

    drift: Drift
    entry: Entry | None
    cause: Cause
    number: int
    domain: Domain
    packets: PacketSet
    points: dict[PointId, None]


@dataclass(frozen=True, slots=True)
class Judged:
    """Drift judged: the sightings, worst first, and for each drift in its order the keys of those that it takes part in.

    Without any key a drift is only what the next apply of a changed policy brings about.
    """

    sightings: tuple[Sighting, ...]
    behind: tuple[tuple[str, ...], ...]


def sightings(drift: Iterable[Drift], ground: Ground) -> tuple[Sighting, ...]:
    """Return the sightings of a target, worst first. What is only watched (visibility) is none."""
    return judge(drift, ground).sightings


def judge(drift: Iterable[Drift], ground: Ground) -> Judged:
    """Return the sightings of a target and which drift they are behind."""
    parts: dict[str, _Part] = {}
    behind: list[tuple[str, ...]] = []
    for one in drift:
        mine = tuple(_parts(one, ground)) if one.real else ()
        behind.append(tuple(dict.fromkeys(key for key, part in mine if part.cause is not Cause.POLICY)))
        for key, part in mine:
            known = parts.setdefault(key, part)
            if known is not part:
                known.packets |= part.packets
                known.points.update(part.points)
                known.cause = Cause.SOMEBODY if Cause.SOMEBODY in (known.cause, part.cause) else known.cause
    names, routed = Names(ground.universe), Routing(ground.policy, ground.universe)
    found = [_sighting(key, part, ground, names, routed) for key, part in parts.items()]
    ranks = list(Severity)
    ordered = sorted(found, key=lambda one: (ranks.index(one.severity), one.kind.value, one.labels.pairs, one.direction, one.key))
    return Judged(tuple(ordered), tuple(behind))


def _parts(one: Drift, ground: Ground) -> Iterator[tuple[str, _Part]]:
    """Yield a drift's parts by key: for each cause what each native rule does, and what no rule explains."""
    for cause, packets, points in _causes(one, ground):
        number, _, domain = ground.owners.by_point[points[0]]
        left = packets
        for entry in one.entries:
            mine = packets & entry.packets
            at = tuple(point for point in points if point in entry.points) if entry.points else points
            if mine and at:
                left -= mine
                yield _keyed(ground, _Part(one, entry, cause, number, domain, mine, dict.fromkeys(at)))
        if left:
            yield _keyed(ground, _Part(one, None, cause, number, domain, left, dict.fromkeys(points)))


def _keyed(ground: Ground, part: _Part) -> tuple[str, _Part]:
    one, entry = part.drift, part.entry
    group = ground.universe.classes[part.number]
    place = [entry.object, entry.native] if entry else []
    # A class is told by its labels, not by its id: that one also depends on which keys the policy mentions.
    who = [f"{key}={value}" for key, value in group.labels.pairs] or [group.id]
    told = [one.kind.name, one.direction, who, "" if part.domain == DEFAULT_DOMAIN else part.domain, place, part.cause is Cause.POLICY]
    return f"{one.target}/{sha256(canonical(told).encode()).hexdigest()[:12]}", part


def _causes(one: Drift, ground: Ground) -> Iterator[tuple[Cause, PacketSet, tuple[PointId, ...]]]:
    """Split a drift by who is behind it; points that are alike stay together."""
    split: dict[tuple[Cause, PacketSet], list[PointId]] = {}
    for point in one.points:
        for cause, packets in _judged(one, point, ground):
            if packets:
                split.setdefault((cause, packets), []).append(point)
    for (cause, packets), points in split.items():
        yield cause, packets, tuple(points)


def _judged(one: Drift, point: PointId, ground: Ground) -> Iterator[tuple[Cause, PacketSet]]:
    number, workload, domain = ground.owners.by_point[point]
    group = ground.universe.classes[number]
    if ground.mode is TargetMode.OBSERVE:
        yield Cause.SOMEBODY, one.packets
        return
    right = None if ground.applied is None else ground.applied.get((group.id, domain))
    is_new = ground.verified is not None and workload.id not in ground.verified
    if right is None or is_new or workload.id in ground.relabelled:
        yield Cause.ENROLMENT, one.packets
        return
    inbound = one.direction == "inbound"
    allowed = right.inbound if inbound else right.outbound
    if one.kind not in CUT:
        yield Cause.SOMEBODY, one.packets - allowed
        yield Cause.POLICY, one.packets & allowed
        return
    kept = ground.recorded.get(point)
    if kept is not None and (group.mode is Mode.SELECTIVE or (not inbound and group.egress is Egress.LEAVE)):
        allowed |= kept.inbound if inbound else kept.outbound
    yield Cause.SOMEBODY, one.packets & allowed
    yield Cause.POLICY, one.packets - allowed


def _sighting(key: str, part: _Part, ground: Ground, names: Names, routed: Routing) -> Sighting:
    one, entry, points = part.drift, part.entry, tuple(sorted(part.points))
    workloads = tuple(dict.fromkeys(ground.universe.called(ground.owners.by_point[point][1]) for point in points))
    inbound = one.direction == "inbound"
    whole = part.packets == one.packets
    words = one.words if whole else names.packets(part.packets, part.domain, inbound=inbound)
    told = replace(one, packets=part.packets, points=points, workloads=workloads, words=words, entries=(entry,) if entry else ())
    opens = one.kind not in CUT
    return Sighting(
        key=key,
        target=one.target,
        kind=one.kind,
        severity=one.severity if whole else severity(part.packets, one.kind),
        direction=one.direction,
        labels=one.labels,
        points=points,
        workloads=workloads,
        packets=digest(packets_json(part.packets)),
        words=words,
        sentence=told.text(),
        objects=(entry.object,) if entry else tuple(points),
        natives=(_native(entry),) if entry else (),
        cause=part.cause,
        content=part.packets,
        rule=(entry.object, entry.native) if entry else None,
        exposes=opens and inbound and exposed(part.packets),
        owners=routed.owners(part.number, inbound=inbound),
    )


def _native(entry: Entry) -> str:
    """Return a native rule in words, with the other tool that owns it."""
    return f"{entry.native} in {entry.object_name}" + (f", {entry.owner}" if entry.owner else "")


def exposed(packets: PacketSet) -> bool:
    """Tell whether packets come from the internet at large."""
    return packets != NO_PACKETS and any(reaches_internet(peers) for peers, _ in packets.products())


@dataclass(slots=True)
class Routing:
    """Whom a finding concerns: the owners of the rulesets that say something about its class."""

    policy: Policy
    universe: Universe
    _memo: dict[tuple[int, bool], tuple[str, ...]] = field(default_factory=dict)

    def owners(self, number: int, *, inbound: bool) -> tuple[str, ...]:
        """Return the owners of rules with this class at the end that is enforced, in policy order."""
        key = (number, inbound)
        if key not in self._memo:
            self._memo[key] = tuple(dict.fromkeys(self._owners(number, inbound=inbound)))
        return self._memo[key]

    def _owners(self, number: int, *, inbound: bool) -> Iterator[str]:
        rulesets = {one.name: one.owner for one in self.policy.rulesets}
        for rule in self.policy.rules:
            owner = rule.owner or rulesets.get(rule.ruleset, "")
            ends = [who for who in (rule.destinations if inbound else rule.sources) if isinstance(who.base, WorkloadBase)]
            if owner and any(self.universe.who(who, scope) >> number & 1 for who in ends for scope in rule.scopes):
                yield owner
