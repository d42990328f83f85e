"""What runs remember of inventories: the last verified one per scope, who is missing, whose addresses came or went."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from cloudsync.adapter import Access, Discovery, Intent, ScopeState, TargetSettings
from cloudsync.compile.intent import Recorded
from cloudsync.inventory import values
from cloudsync.inventory.changes import with_last_good
from cloudsync.inventory.merge import STATIC_SCOPE
from cloudsync.inventory.values import Inventory, Why
from cloudsync.model.address import NOWHERE, AddressSet
from cloudsync.model.codec import packets_json, packets_of
from cloudsync.model.mode import Mode
from cloudsync.model.workload import PointId, Workload, WorkloadId
from cloudsync.plan.build import Before
from cloudsync.plan.limits import at_most
from cloudsync.plan.values import InventoryScope
from cloudsync.policy.values import LabelSelector, Policy
from cloudsync.store.records import Records, VerifiedScope

FEW_PERCENT = 1
"""Up to such a share of all machines (at least one) may move from class to class as if they left and others came."""


def recall(records: Records, targets: Iterable[TargetSettings]) -> Inventory | None:
    """Return the last verified inventory over all scopes of the settings' targets, None when there never was one."""
    named = {target.name for target in targets} | {""}
    parts = [_part(*one) for one in records.remembered() if one[0] in named]
    if not parts:
        return None
    workloads = sorted((workload for part in parts for workload in part.workloads), key=lambda one: one.id)
    scopes = tuple(sorted((scope for part in parts for scope in part.scopes), key=lambda one: one.scope))
    held = tuple(sorted((one for part in parts for one in part.held), key=lambda one: one.id))
    return Inventory(tuple(workloads), scopes, held)


_SMALL = 1 << 16
_KNOWN: dict[tuple[str, str], tuple[str, Inventory]] = {}
"""The last small inventory of each scope with the text it was read from: a worker meets those of all other targets in every run."""


def _part(target: str, scope: str, text: str) -> Inventory:
    known = _KNOWN.get((target, scope))
    if known is not None and known[0] == text:
        return known[1]
    found = values.load(text)
    if len(text) < _SMALL:
        _KNOWN[target, scope] = (text, found)
    return found


def with_memory(found: Inventory, known: Inventory | None, targets: Iterable[TargetSettings]) -> Inventory:
    """Return the inventory to act on; targets that this run leaves out keep their verified members, as unread scopes do."""
    chosen = {target.name for target in targets}
    if known is None:
        return found
    others = [workload for workload in known.workloads if workload.target and workload.target not in chosen]
    mine = replace(known, workloads=tuple(one for one in known.workloads if not one.target or one.target in chosen))
    merged = with_last_good(found, mine)
    workloads = sorted([*merged.workloads, *others], key=lambda one: one.id)
    return replace(merged, workloads=tuple(workloads))


def unread(discovery: Discovery, known: Inventory | None) -> Discovery:
    """Return the discovery of a target that could not be read at all, with every scope that is remembered of it as incomplete.

    Without this the scopes would look as if the settings no longer named them, and their workloads would be forgotten. Where scopes are
    remembered they stand for the target: a scope of its own name, which nobody ever read, would forbid every removal anywhere else.
    """
    if known is None:
        return discovery
    why = discovery.scopes[0].why
    scopes = sorted({one.scope for one in known.workloads if one.target == discovery.target})
    return replace(discovery, scopes=tuple(ScopeState(scope, why) for scope in scopes) or discovery.scopes)


def live(inventory: Inventory) -> Inventory:
    """Return the inventory without workloads that a complete run did not find: nothing new is opened for them."""
    absent = _absent(inventory)
    return replace(inventory, workloads=tuple(one for one in inventory.workloads if one.id not in absent)) if absent else inventory


def quarantined(inventory: Inventory) -> AddressSet:
    """Return the addresses of workloads that a complete run did not find, for the first time: entries for them alone stay."""
    absent = _absent(inventory)
    return AddressSet.union_all(_addresses(one) for one in inventory.workloads if one.id in absent)


def _absent(inventory: Inventory) -> frozenset[WorkloadId]:
    return frozenset(one.id for one in inventory.held if one.why is Why.ABSENT)


def before(inventory: Inventory, known: Inventory | None, policy: Policy, owners: Mapping[str, str]) -> Before:
    """Return what the guards compare with: who was verified last, and whose addresses came or went since. owners: scope -> target.

    A few machines whose labels changed count as gone from one class and come to another, as if they were others (decision 137).
    """
    remembered = {one.id: one for one in known.workloads} if known is not None else {}
    waiting = frozenset(one.id for one in inventory.held)
    now = {one.id: one for one in inventory.workloads if one.id not in waiting}
    scopes = tuple(_scope(inventory, known, policy, scope, owners.get(scope.scope, "")) for scope in inventory.scopes)
    moved = [one for key, one in now.items() if _elsewhere(remembered.get(key), one)]
    left = [one for key, one in remembered.items() if _elsewhere(one, now.get(key))]
    relabelled = frozenset(key for key, one in now.items() if key not in remembered or remembered[key].labels != one.labels)
    moves = [now[key] for key in sorted(relabelled & remembered.keys())]
    if len(moves) <= at_most(FEW_PERCENT, len(remembered)):
        moved += moves
    churn = AddressSet.union_all(map(_addresses, (*moved, *left))) if known is not None else NOWHERE
    unseen = AddressSet.union_all(_addresses(one) for one in inventory.workloads if one.id in waiting and one.id not in _absent(inventory))
    return Before(frozenset(remembered) if known is not None else None, churn, unseen, scopes, {}, relabelled)


def applied(records: Records, targets: Iterable[TargetSettings]) -> dict[tuple[str, str], Access]:
    """Return what the last good applies enforced, per class and domain. A target's note goes when one of its applies did not end well."""
    found: dict[tuple[str, str], Access] = {}
    for target in targets:
        for class_id, domain, inbound, outbound in records.note(f"applied/{target.name}") or ():
            found[class_id, domain] = Access(packets_of(inbound), packets_of(outbound))
    return found


def keep_applied(records: Records, intent: Intent) -> None:
    """Remember what a good apply enforces, per class and domain."""
    enforced = {(point.class_id, point.domain) for point in intent.points if point.mode.enforced}
    rows = [
        [group.class_id, group.domain, packets_json(group.inbound.loosest), packets_json(group.outbound.loosest)]
        for group in intent.classes
        if (group.class_id, group.domain) in enforced
    ]
    records.keep(f"applied/{intent.target}", rows)
    records.keep(f"selective/{intent.target}", sorted(one.point for one in intent.points if one.mode is Mode.SELECTIVE))


def recorded(records: Records, target: str) -> dict[PointId, Recorded]:
    """Return what each adopted point of a target was before us; unless the last good apply held it in `selective`, we may have taken it."""
    left = frozenset(records.note(f"selective/{target}") or ())
    return {point: Recorded(one.original, one.inbound, one.outbound, point not in left) for point, one in records.originals(target).items()}


def _scope(inventory: Inventory, known: Inventory | None, policy: Policy, state: ScopeState, target: str) -> InventoryScope:
    name, why = state.scope, state.why
    held = frozenset(one.id for one in inventory.held)
    now = {one.id: one for one in inventory.workloads if one.scope == name and one.id not in held}
    if known is None or not any(scope.scope == name for scope in known.scopes):
        return InventoryScope(name, target, why, None, len(now))
    judged = frozenset(
        one.id for one in known.held if one.why is Why.ABSENT
    )  # gone in the run before: that run's guards have had their say
    old = {one.id: one for one in known.workloads if one.scope == name and one.id not in judged}
    gone = tuple(sorted(key for key in old if key not in now))
    lost = tuple(sorted(key for key, one in old.items() if key in now and _enforced(policy, one) and not _enforced(policy, now[key])))
    return InventoryScope(name, target, why, len(old), len(now), gone, lost)


def _enforced(policy: Policy, workload: Workload) -> bool:
    for line in policy.enforcement:
        if line.scope is None or _matches(line.scope, workload):
            return line.mode.enforced
    return False


def _matches(scope: LabelSelector, workload: Workload) -> bool:
    return all(workload.labels.get(key) in wanted for key, wanted in scope.clauses)


def _elsewhere(before: Workload | None, after: Workload | None) -> bool:
    """Tell whether a workload came, went or has other addresses; of targets that this run does not read both are the same value."""
    return before is not after and (before is None or after is None or _addresses(before) != _addresses(after))


def _addresses(workload: Workload) -> AddressSet:
    return AddressSet.union_all(interface.addresses for interface in workload.interfaces)


@dataclass(frozen=True, slots=True)
class Verified:
    """A run's good news: these targets were planned without a refusal. owners: scope -> target."""

    targets: frozenset[str]
    owners: Mapping[str, str]
    run_id: str
    at: float


def remember(records: Records, inventory: Inventory, good: Verified) -> None:
    """Keep the inventory of every scope that was read whole in a target without refusals; the static part goes with any."""
    if not good.targets:
        return
    absent = {one.id: one for one in inventory.held}
    kept: list[VerifiedScope] = []
    for scope in inventory.scopes:
        members = tuple(one for one in inventory.workloads if one.scope == scope.scope)
        owner = good.owners.get(scope.scope, "")
        if not scope.complete or (owner and owner not in good.targets):
            continue
        held = tuple(absent[one.id] for one in members if one.id in absent)
        part = Inventory(members, (scope,), held)
        kept.append(VerifiedScope(owner, scope.scope, json.loads(values.dump(part)), good.at))
    people = tuple(one for one in inventory.workloads if one.scope == STATIC_SCOPE)
    static = Inventory(people, (ScopeState(STATIC_SCOPE),))
    kept.append(VerifiedScope("", STATIC_SCOPE, json.loads(values.dump(static)), good.at))
    records.verify(kept, good.run_id)
