"""What a plan file carries so that it can be checked again without any platform: the policy, the inventory, each target's native state.

Beside them stands what every held point must and may let through, and the parts of it that do not follow from the policy: what is kept of
the past, and what the platform itself decides. Packet sets stand in the file's pool. The reader is `cloudsync.verify`, which shares no
code with this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from cloudsync.adapter import Access, Adapter, Point, PointIntent
from cloudsync.compile.intent import Wanted
from cloudsync.compile.universe import Universe
from cloudsync.model.codec import Json, Pool, addresses_json, canonical, services_json
from cloudsync.model.packets import PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import Interface, PointId, Workload, WorkloadId
from cloudsync.plan.build import Built
from cloudsync.policy.values import Base, Enforcement, IpList, LabelSelector, NamedWorkload, Policy, Rule, Who


@dataclass(frozen=True, slots=True)
class TargetEvidence:
    """One target's plan with everything it was made from."""

    adapter: Adapter
    built: Built
    points: Mapping[PointId, Point]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a plan file carries beside the plan. `now`: UTC seconds since the epoch, when `until` was looked at."""

    policy: Policy
    universe: Universe
    released: frozenset[WorkloadId]
    now: float
    targets: tuple[TargetEvidence, ...]


def document(evidence: Evidence, pool: Pool) -> Json:
    """Return the evidence as JSON values, packet sets by their number in the pool."""
    workloads = sorted((one for group in evidence.universe.classes for one in group.workloads), key=lambda one: one.id)
    return {
        "now": datetime.fromtimestamp(int(evidence.now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "rules": [_rule(one) for one in evidence.policy.rules],
        "enforcement": [_enforcement(one) for one in evidence.policy.enforcement],
        "workloads": [_workload(one) for one in workloads],
        "released": sorted(evidence.released),
        "targets": {one.built.plan.target: _target(one, pool) for one in evidence.targets},
    }


# --- the policy ------------------------------------------------------------------------------------------------------


def _rule(rule: Rule) -> Json:
    return {
        "id": rule.id,
        "action": rule.action.value,
        "from": [_who(one) for one in rule.sources],
        "to": [_who(one) for one in rule.destinations],
        "services": services_json(rule.services),
        "scopes": [None if one is None else _clauses(one) for one in rule.scopes],
        "until": None if rule.until is None else rule.until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "accept": sorted(one.value for one in rule.accept),
        "text": rule.text,
    }


def _enforcement(line: Enforcement) -> Json:
    scope = None if line.scope is None else _clauses(line.scope)
    return {"scope": scope, "mode": line.mode.value, "egress": line.egress.value, "services": services_json(line.services)}


def _who(who: Who) -> Json:
    return {"base": _base(who.base), "except": [_base(one) for one in who.excluded], "outside": who.outside}


def _base(base: Base) -> Json:
    match base:
        case LabelSelector():
            return {"labels": _clauses(base)}
        case NamedWorkload(name):
            return {"workload": name}
        case IpList(name, addresses):
            return {"iplist": name, "addresses": addresses_json(addresses)}
        case _:
            return {"word": _WORDS[type(base).__name__]}


_WORDS = {
    "AllWorkloads": "all workloads",
    "UnlabeledWorkloads": "unlabeled workloads",
    "Anywhere": "anywhere",
    "Strangers": "strangers",
    "Internet": "internet",
}


def _clauses(selector: LabelSelector) -> Json:
    return [[key, list(values)] for key, values in selector.clauses]


# --- the inventory ---------------------------------------------------------------------------------------------------


def _workload(one: Workload) -> Json:
    return {
        "id": one.id,
        "name": one.name,
        "ref": one.ref,
        "target": one.target,
        "labels": dict(one.labels.pairs),
        "interfaces": [_interface(each) for each in one.interfaces],
    }


def _interface(one: Interface) -> Json:
    return {
        "addresses": addresses_json(one.addresses),
        "domain": one.domain,
        "point": one.point,
        "source_only": one.source_only,
    }


# --- one target ------------------------------------------------------------------------------------------------------


def _target(one: TargetEvidence, pool: Pool) -> Json:
    built = one.built
    table = one.adapter.dump(built.actual)
    points = {intent.point: intent for intent in built.intent.points}
    return {
        "platform": one.adapter.capabilities.platform,
        "table": table,
        "end": _changed(table, one.adapter.dump(built.final)),
        "points": [_held(points[name], built, pool) for name in sorted(built.wanted)],
        "skipped": sorted(name for name, point in one.points.items() if point.skipped),
        "incomplete": sorted(built.intent.incomplete),
        "scopes": _scopes(one.points.values()),
        "quarantined": addresses_json(built.intent.quarantined),
    }


def _changed(old: Json, new: Json) -> Json:
    """Return what differs between two dumps, top field by top field: what goes (by place or key) and what comes; anything else whole."""
    found: dict[str, Json] = {}
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key), new.get(key)
        if was == now:
            continue
        if isinstance(was, list) and isinstance(now, list):
            before, after = [canonical(one) for one in was], [canonical(one) for one in now]
            stays, known = set(after), set(before)
            gone = [at for at, one in enumerate(before) if one not in stays]
            found[key] = {"gone": gone, "new": [one for one, text in zip(now, after, strict=True) if text not in known]}
        elif isinstance(was, dict) and isinstance(now, dict):
            found[key] = {
                "gone": sorted(was.keys() - now.keys()),
                "new": {name: one for name, one in now.items() if was.get(name) != one},
            }
        else:
            found[key] = {"whole": now}
    return found


def _scopes(points: Iterable[Point]) -> Json:
    """Return the points of each scope."""
    found: dict[str, list[str]] = {}
    for point in points:
        found.setdefault(point.scope, []).append(point.id)
    return {scope: sorted(names) for scope, names in sorted(found.items())}


def _held(intent: PointIntent, built: Built, pool: Pool) -> Json:
    name, want = intent.point, built.wanted[intent.point]
    held = built.beyond.held(name, want)
    found: dict[str, Json] = {
        "point": name,
        "ours_only": want.ours_only,
        "least": _pair(held.least, pool),
        "most": _pair(held.most, pool),
    }
    beside = _beside(want, held)
    kept = {"kept_in": intent.kept_in, "kept_out": intent.kept_out, "was_out": intent.was_out}
    found |= {key: pool.number(packets) for key, packets in kept.items() if packets is not None}
    found |= {key: _pair(access, pool) for key, access in beside.items() if access != Access()}
    return found


def _beside(want: Wanted, held: Wanted) -> dict[str, Access]:
    """Return what a platform decides itself, as far as that is not wanted anyway: what is not owed, what is owed to it, what passes."""
    found: dict[str, Access] = {}
    for key, more, less in (("left_out", want.least, held.least), ("plumbing", held.least, want.least)):
        found[key] = Access(more.inbound - less.inbound, more.outbound - less.outbound)
    known = Access(want.most.inbound | found["plumbing"].inbound, want.most.outbound | found["plumbing"].outbound)
    found["forced"] = Access(held.most.inbound - known.inbound, held.most.outbound - known.outbound)
    return found


def _pair(access: Access, pool: Pool) -> Json:
    return [_number(access.inbound, pool), _number(access.outbound, pool)]


def _number(packets: PacketSet, pool: Pool) -> int:
    return pool.number(packets)
