"""The native table of the platform in memory: named groups of allow rules, attached to points; a point lets in the union of its groups.

Pure: how tables are encoded, decoded, compared and led to one another. Inbound only; it has no outbound control, as an F5 virtual server.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from ipaddress import ip_network

from cloudsync.adapter import (
    Access,
    Bounds,
    ClassIntent,
    Effect,
    Encoding,
    Intent,
    Method,
    Phase,
    PointIntent,
    Problem,
    Seen,
    Step,
    Whose,
)
from cloudsync.model.address import AddressSet
from cloudsync.model.codec import Json, addresses_of, canonical, services_json, services_of
from cloudsync.model.fidelity import Fidelity, Verdict
from cloudsync.model.mode import Accept, Mode, TargetMode
from cloudsync.model.packets import PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId

NEW = "{new:%s}"


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """One allow rule; `peer` is a CIDR or address range, `service` is `protocol/first-last` by number."""

    peer: str
    service: str

    def packets(self) -> PacketSet:
        """Return what it lets in."""
        peers = AddressSet.of(self.peer) if "/" in self.peer else addresses_of([self.peer])
        return PacketSet.of(peers, services_of([self.service]))


def plain(rule: Rule) -> Rule:
    """Return a rule in the one spelling that tables are compared in: lengths on every prefix, protocols by number."""
    peer, service = rule.peer, rule.service
    if "-" not in peer:
        peer = str(ip_network(peer))
    protocol, slash, run = service.partition("/")
    return Rule(peer, f"{_NUMBERS.get(protocol, protocol)}{slash}{run}")


_NUMBERS = {"icmp": "1", "tcp": "6", "udp": "17"}


@dataclass(frozen=True, slots=True)
class Group:
    """One group. `owner` is the mark, empty when it is nobody's we know."""

    id: str
    scope: str
    name: str
    owner: str
    rules: frozenset[Rule] = frozenset()


@dataclass(frozen=True, slots=True)
class Spot:
    """One enforcement point and the groups attached to it, sorted."""

    id: PointId
    scope: str
    network: str
    addresses: AddressSet
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MemoryTable:
    """Everything of one target. Mappings are never changed after they were made."""

    owner: str
    groups: Mapping[str, Group]
    spots: Mapping[PointId, Spot]

    def with_group(self, group: Group) -> MemoryTable:
        """Return the table with a group put in or replaced."""
        return replace(self, groups={**self.groups, group.id: group})

    def without_group(self, name: str) -> MemoryTable:
        """Return the table without a group."""
        return replace(self, groups={key: group for key, group in self.groups.items() if key != name})

    def with_spot(self, spot: Spot) -> MemoryTable:
        """Return the table with a point put in or replaced."""
        return replace(self, spots={**self.spots, spot.id: spot})


def boxes(packets: PacketSet) -> frozenset[Rule]:
    """Return rules that let in exactly these packets."""
    found: set[Rule] = set()
    for peers, services in packets.products():
        runs = services_json(services)
        found.update(Rule(cidr, run) for cidr in peers.cidrs() for run in runs)
    return frozenset(found)


def decode(table: MemoryTable, whose: Whose, points: Iterable[PointId] | None) -> dict[PointId, Access]:
    """Return what each point lets in."""
    memo: dict[tuple[str, ...], Access] = {}
    found: dict[PointId, Access] = {}
    for point in sorted(table.spots if points is None else set(points) & table.spots.keys()):
        names = tuple(name for name in table.spots[point].groups if name in table.groups and _meant(table, name, whose))
        if names not in memo:
            memo[names] = Access(PacketSet.union_all(rule.packets() for name in names for rule in sorted(table.groups[name].rules)))
        found[point] = memo[names]
    return found


def _meant(table: MemoryTable, name: str, whose: Whose) -> bool:
    ours = table.groups[name].owner == table.owner
    return whose is Whose.ALL or ours is (whose is Whose.OURS)


# --- what is wanted --------------------------------------------------------------------------------------------------


def encode(intent: Intent, table: MemoryTable, quota: int) -> Encoding:
    """Return the desired table: one group per scope, class and kept packets, found again by name and mark."""
    classes = {group.class_id: group for group in intent.classes}
    wanted = MemoryTable(table.owner, dict(table.groups), dict(table.spots))
    problems: list[Problem] = []
    used: set[str] = set()
    for point in intent.points:
        spot = table.spots.get(point.point)
        if spot is None or spot.scope in intent.incomplete:
            continue
        foreign = tuple(name for name in spot.groups if name in table.groups and table.groups[name].owner != table.owner)
        if not point.mode.enforced:
            back = tuple(name for name in point.original if name in table.groups) if intent.mode is TargetMode.EXCLUSIVE else ()
            ours = set(spot.groups) - set(foreign)
            wanted = wanted.with_spot(replace(spot, groups=tuple(sorted({*foreign, *back})) if ours else spot.groups))
            continue
        group = _group(point, classes[point.class_id], spot, table)
        group = replace(group, rules=group.rules | _quarantined(table, group.id, intent.quarantined))
        taken = next(
            (one for one in table.groups.values() if (one.name, one.scope) == (group.name, group.scope) and one.id != group.id), None
        )
        if taken is not None:
            message = f"group {taken.id} has the name {group.name} and not our mark"
            problems.append(Problem("NAME-TAKEN", message, "delete it, or give it back its mark", points=(point.point,)))
        if len(group.rules) > quota:
            problems.append(Problem("G-QUOTA", f"group {group.name} needs {len(group.rules)} rules, quota {quota}", points=(point.point,)))
        wanted = wanted.with_group(group)
        used.add(group.id)
        kept = foreign if intent.mode is not TargetMode.EXCLUSIVE else ()
        wanted = wanted.with_spot(replace(spot, groups=tuple(sorted({*kept, group.id}))))
    carried = {name for spot in wanted.spots.values() for name in spot.groups}
    for name, group in table.groups.items():
        if group.owner == table.owner and name not in used and name not in carried and group.scope not in intent.incomplete:
            wanted = wanted.without_group(name)
    return Encoding(wanted, tuple(_fidelity(intent)), tuple(problems), {}, notes=())


def _quarantined(table: MemoryTable, name: str, quarantined: AddressSet) -> frozenset[Rule]:
    """Return the rules of a group that are for quarantined addresses alone: they stay as they are."""
    group = table.groups.get(name)
    return frozenset(rule for rule in group.rules if rule.packets().peers() <= quarantined) if group and quarantined else frozenset()


def _fidelity(intent: Intent) -> Iterator[Fidelity]:
    """Yield how exactly each rule can be said, ordered by rule: nothing is enforced outbound, and no process is known."""
    found: dict[str, Fidelity] = {}
    inbound = [term for group in intent.classes for term in group.inbound.terms]
    outbound = [term for group in intent.classes for term in group.outbound.terms]
    for term in (*inbound, *outbound):
        for origin in term.origins:
            rule, target = origin.rule, intent.target
            said = found.setdefault(rule, Fidelity(rule, target, Verdict.EXACT))
            if any(term is one for one in outbound):
                found[rule] = Fidelity(rule, target, Verdict.CANNOT, "nothing is enforced outbound here")
            elif term.process and said.verdict is not Verdict.CANNOT:
                found[rule] = Fidelity(rule, target, Verdict.LOOSER, "no process is known here", Accept.PORT_ONLY in term.accept)
    yield from (found[rule] for rule in sorted(found))


def _group(point: PointIntent, group: ClassIntent, spot: Spot, table: MemoryTable) -> Group:
    packets = group.inbound.exact
    if point.mode is Mode.SELECTIVE and point.kept_in is not None:
        packets |= point.kept_in
    kept = canonical([point.class_id, sorted(map(str, boxes(point.kept_in))) if point.kept_in else []])
    name = f"cs-{table.owner}-{sha256(kept.encode()).hexdigest()[:10]}"
    for known in table.groups.values():
        if known.name == name and known.scope == spot.scope and known.owner == table.owner:
            return replace(known, rules=boxes(packets))
    return Group(NEW % f"{spot.scope}/{name}", spot.scope, name, table.owner, boxes(packets))


# --- the way there ---------------------------------------------------------------------------------------------------


def steps(actual: MemoryTable, desired: MemoryTable, method: Method) -> tuple[Phase, ...]:
    """Return create, authorize, move (or attach and detach), revoke, delete; nothing for MEET, there are no helpers here."""
    if method is Method.MEET:
        return ()
    grown = [desired.groups[name] for name in sorted(desired.groups)]
    creates = [_create(group) for group in grown if group.id not in actual.groups]
    adds = [step for group in grown for step in _rules_step("authorize", group, group.rules - _rules(actual, group.id))]
    removes = [step for group in grown for step in _rules_step("revoke", group, _rules(actual, group.id) - group.rules)]
    gone = [actual.groups[name] for name in sorted(actual.groups.keys() - desired.groups.keys())]
    moved = [(actual.spots[key], desired.spots[key]) for key in sorted(actual.spots) if actual.spots[key] != desired.spots[key]]
    phases = [("create", creates), ("authorize", adds)]
    if method is Method.SWAP:
        phases.append(("move", [_move(old, new.groups, Effect.SWAPS) for old, new in moved]))
    else:
        both = [(old, new, tuple(sorted({*old.groups, *new.groups}))) for old, new in moved]
        phases.append(("attach", [_move(old, wide, Effect.GROWS) for old, _, wide in both if wide != old.groups]))
        phases.append(("detach", [_move(old, new.groups, Effect.SHRINKS) for old, new, wide in both if wide != new.groups]))
    phases.extend([("revoke", removes), ("delete", [_delete(group) for group in gone])])
    return tuple(Phase(name, tuple(found)) for name, found in phases if found)


def _rules(table: MemoryTable, name: str) -> frozenset[Rule]:
    return table.groups[name].rules if name in table.groups else frozenset()


def _create(group: Group) -> Step:
    key = group.id.removeprefix("{new:").removesuffix("}")
    payload = canonical({"call": "create", "scope": group.scope, "name": group.name, "owner": group.owner})
    return Step(f"create/{key}", "Create", group.scope, key, f"create group {group.name}", Effect.NONE, payload)


def _rules_step(call: str, group: Group, rules: frozenset[Rule]) -> Iterator[Step]:
    if not rules:
        return
    listed = [[rule.peer, rule.service] for rule in sorted(rules)]
    payload = canonical({"call": call, "group": group.id, "rules": listed})
    grows = call == "authorize"
    yield Step(
        key=f"{call}/{group.id}",
        action=call.capitalize(),
        scope=group.scope,
        object=group.id,
        title=f"{call} {len(rules)} rules of {group.name}",
        effect=Effect.GROWS if grows else Effect.SHRINKS,
        payload=payload,
        adds=len(rules) if grows else 0,
        removes=0 if grows else len(rules),
        mark=group.owner,
    )


def _move(spot: Spot, groups: tuple[str, ...], effect: Effect) -> Step:
    payload = canonical({"call": "attach", "point": spot.id, "groups": list(groups)})
    title = f"set the groups of {spot.id} to {', '.join(groups)}"
    return Step(f"{effect.value}/{spot.id}", "Attach", spot.scope, spot.id, title, effect, payload, points=(spot.id,), mark="point")


def _delete(group: Group) -> Step:
    payload = canonical({"call": "delete", "group": group.id})
    gone = len(group.rules)
    title = f"delete group {group.name}"
    return Step(f"delete/{group.id}", "Delete", group.scope, group.id, title, Effect.NONE, payload, removes=gone, mark=group.owner)


class RejectedError(ValueError):
    """The platform does not accept a call; `code` is its word for it."""

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        super().__init__(reason)


def after(table: MemoryTable, payload: str, new_id: str = "") -> MemoryTable:
    """Return the table after a call, all or nothing. Raises RejectedError for what a real platform would not accept."""
    call = json.loads(payload)
    match call["call"]:
        case "create":
            if any(group.name == call["name"] and group.scope == call["scope"] for group in table.groups.values()):
                raise RejectedError("Duplicate", f"group {call['name']} exists")
            made = new_id or NEW % f"{call['scope']}/{call['name']}"
            return table.with_group(Group(made, call["scope"], call["name"], call["owner"]))
        case "authorize" | "revoke":
            return _with_rules(table, call)
        case "attach":
            names, spot = tuple(call["groups"]), table.spots.get(PointId(call["point"]))
            missing = [name for name in names if name not in table.groups]
            if spot is None or missing:
                raise RejectedError("NotFound", f"{missing or call['point']} does not exist")
            return table.with_spot(replace(spot, groups=tuple(sorted(names))))
        case _:
            if call["group"] not in table.groups:
                raise RejectedError("NotFound", f"group {call['group']} does not exist")
            if any(call["group"] in spot.groups for spot in table.spots.values()):
                raise RejectedError("InUse", f"group {call['group']} is attached")
            return table.without_group(call["group"])


def _with_rules(table: MemoryTable, call: Json) -> MemoryTable:
    group = table.groups.get(call["group"])
    if group is None:
        raise RejectedError("NotFound", f"group {call['group']} does not exist")
    rules = frozenset(Rule(peer, service) for peer, service in call["rules"])
    if call["call"] == "authorize":
        if rules & group.rules:
            raise RejectedError("Duplicate", "a rule exists")
        return table.with_group(replace(group, rules=group.rules | rules))
    if rules - group.rules:
        raise RejectedError("NotFound", "a rule does not exist")
    return table.with_group(replace(group, rules=group.rules - rules))


def affected(table: MemoryTable, found: Iterable[Step]) -> frozenset[PointId]:
    """Return the points whose packets these steps may change."""
    points: set[PointId] = set()
    for step in found:
        call = json.loads(step.payload)
        if call["call"] == "attach":
            points.add(PointId(call["point"]))
        elif call["call"] in ("authorize", "revoke"):
            points.update(key for key, spot in table.spots.items() if call["group"] in spot.groups)
    return frozenset(points)


def bounds(table: MemoryTable, found: tuple[Step, ...]) -> Bounds:
    """Return the corners of a phase: nothing refers to anything here, so each point is as before or as after, or between."""
    last = table
    for step in found:
        last = after(last, step.payload)
    effects = {step.effect for step in found} - {Effect.NONE}
    if effects <= {Effect.GROWS}:
        return Bounds((table,), (last,))
    if effects <= {Effect.SHRINKS}:
        return Bounds((last,), (table,))
    return Bounds((table, last), (table, last))


def seen(table: MemoryTable, step: Step) -> Seen:
    """Tell whether a table shows a step's effect."""
    call = json.loads(step.payload)
    match call["call"]:
        case "create":
            found = any(group.name == call["name"] and group.scope == call["scope"] for group in table.groups.values())
            return Seen.YES if found else Seen.NO
        case "attach":
            spot = table.spots.get(PointId(call["point"]))
            if spot is None:
                return Seen.OTHER
            return Seen.YES if spot.groups == tuple(sorted(call["groups"])) else Seen.NO
        case "delete":
            return Seen.NO if call["group"] in table.groups else Seen.YES
        case _:
            return _seen_rules(table, call)


def _seen_rules(table: MemoryTable, call: Json) -> Seen:
    group = table.groups.get(call["group"])
    rules = {Rule(peer, service) for peer, service in call["rules"]}
    if group is None:
        return Seen.NO if call["call"] == "authorize" else Seen.YES
    present = rules & group.rules
    wanted = rules if call["call"] == "authorize" else set()
    if present == wanted:
        return Seen.YES
    return Seen.NO if present == (rules - wanted) else Seen.OTHER


def made(table: MemoryTable, step: Step) -> tuple[str, ...]:
    """Return the id of the group that a creating step made, as a table shows it."""
    call = json.loads(step.payload)
    wanted = (call.get("name"), call.get("scope"), call.get("owner"))
    return tuple(name for name, group in sorted(table.groups.items()) if (group.name, group.scope, group.owner) == wanted)[:1]
