"""What runs remember of inventories: the last verified one per scope, who is missing, whose addresses came or went."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from cloudsync.adapter import Access, Discovery, Intent, ScopeState, TargetSettings
from cloudsync.compile.intent import Recorded
from cloudsync.inventory import values
from cloudsync.inventory.changes import with_last_good
from cloudsync.inventory.merge import STATIC_SCOPE
from cloudsync.inventory.values import Inventory, Why
from cloudsync.model.address import NOWHERE, AddressSet
from cloudsync.model.codec import packets_json, packets_of
from cloudsync.model.mode import Mode
from cloudsync.model.quick import dataclass
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
    scopes = tuple(_scopes(inventory, known, policy, owners))
    moved = [one for key, one in now.items() if _elsewhere(remembered.get(key), one)]
    left = [one for key, one in remembered.items() if _elsewhere(one, now.get(key))]
    relabelled = frozenset(key for key, one in now.items() if key not in remembered or remembered[key].labels != one.labels)
    moves = [now[key] for key in sorted(relabelled & remembered.keys())]
    if len(moves) <= at_most(FEW_PERCENT, len(remembered)):
        moved += moves
    churn = AddressSet.union_all(map(_addresses, (*moved, *left))) if known is not None else NOWHERE
    unread = waiting - _absent(inventory)
    unseen = AddressSet.union_all(_addresses(one) for one in inventory.workloads if one.id in unread)
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


def _scopes(inventory: Inventory, known: Inventory | None, policy: Policy, owners: Mapping[str, str]) -> Iterator[InventoryScope]:
    held = frozenset(one.id for one in inventory.held)
    present = _by_scope(one for one in inventory.workloads if one.id not in held)
    # Who was gone in the run before is not counted again: that run's guards have had their say.
    judged = _absent(known) if known is not None else frozenset()
    verified = _by_scope(one for one in known.workloads if one.id not in judged) if known is not None else {}
    read_before = {scope.scope for scope in known.scopes} if known is not None else set()
    for state in inventory.scopes:
        name, target = state.scope, owners.get(state.scope, "")
        now = {one.id: one for one in present.get(name, ())}
        if name not in read_before:
            yield InventoryScope(name, target, state.why, None, len(now))
            continue
        old = {one.id: one for one in verified.get(name, ())}
        gone = tuple(sorted(key for key in old if key not in now))
        lost = tuple(sorted(key for key, one in old.items() if key in now and _enforced(policy, one) and not _enforced(policy, now[key])))
        yield InventoryScope(name, target, state.why, len(old), len(now), gone, lost)


def _by_scope(workloads: Iterable[Workload]) -> dict[str, list[Workload]]:
    found: dict[str, list[Workload]] = {}
    for one in workloads:
        found.setdefault(one.scope, []).append(one)
    return found


def _enforced(policy: Policy, workload: Workload) -> bool:
    for line in policy.enforcement:
        if line.scope is None or _matches(line.scope, workload):
            return line.mode.enforced
    return False


def _matches(scope: LabelSelector, workload: Workload) -> bool:
    return all(workload.labels.get(key) in wanted for key, wanted in scope.clauses)


def _elsewhere(before: Workload | None, after: Workload | None) -> bool:
    """Tell whether a workload came, went or has other addresses; of targets that this run does not read both are the same value."""
    if before is None or after is None:
        return before is not after
    return before is not after and before.interfaces != after.interfaces and _addresses(before) != _addresses(after)


def _addresses(workload: Workload) -> AddressSet:
    return AddressSet.union_all(interface.addresses for interface in workload.interfaces)


@dataclass(frozen=True, slots=True)
class Verified:
    """A run's good news: these targets were planned without a refusal. owners: scope -> target."""

    targets: frozenset[str]
    owners: Mapping[str, str]
    run_id: str
    at: float


def remember(records: Records, inventory: Inventory, good: Verified, known: Inventory | None = None) -> None:
    """Keep the inventory of every scope that was read whole in a target without refusals; the static part goes with any.

    Of what is as it is remembered (`known`) only the date is written.
    """
    if not good.targets:
        return
    parts = {}
    now = _parts(inventory)
    for scope in inventory.scopes:
        owner = good.owners.get(scope.scope, "")
        if scope.complete and (not owner or owner in good.targets):
            parts[owner, scope.scope] = now[scope.scope]
    people = replace(now.get(STATIC_SCOPE, Inventory()), scopes=(ScopeState(STATIC_SCOPE),), held=())
    parts["", STATIC_SCOPE] = people
    verified = _parts(known) if known is not None else {}
    same = [key for key, part in parts.items() if verified.get(key[1]) == part]
    missing = records.verified_again(same, good.run_id, good.at)
    changed = [key for key in parts if key in missing or key not in frozenset(same)]
    records.verify([VerifiedScope(*key, values.document(parts[key]), good.at) for key in changed], good.run_id)


def _parts(inventory: Inventory) -> dict[str, Inventory]:
    """Return an inventory scope by scope."""
    members = _by_scope(inventory.workloads)
    held = {one.id: one for one in inventory.held}
    found: dict[str, Inventory] = {}
    for scope in inventory.scopes:
        mine = members.get(scope.scope, [])
        found[scope.scope] = Inventory(tuple(mine), (scope,), tuple(held[one.id] for one in mine if one.id in held))
    if STATIC_SCOPE not in found:
        found[STATIC_SCOPE] = Inventory(tuple(members.get(STATIC_SCOPE, ())), (ScopeState(STATIC_SCOPE),))
    return found
