"""One target's plan: the actual table, what is wanted, the order between them, and everything the guards want to know. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import field, replace

from cloudsync import diff
from cloudsync.adapter import Access, Adapter, Effect, Encoding, Intent, Phase, Problem, Snapshot, Table, Whose
from cloudsync.compile.intent import Actual as ActualState
from cloudsync.compile.intent import Recorded, Wanted, owed, past, wanted
from cloudsync.compile.universe import Universe
from cloudsync.inventory.terraform_kinds import Owned
from cloudsync.model.address import NOWHERE, AddressSet
from cloudsync.model.fidelity import Verdict
from cloudsync.model.mode import Egress, Mode, TargetMode
from cloudsync.model.packets import PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ANY_SERVICE
from cloudsync.model.workload import Labels, PointId, WorkloadId
from cloudsync.plan.gap import cut
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.order import Order, choose
from cloudsync.plan.peaks import of_order
from cloudsync.plan.terraform import Way, ownership, touches
from cloudsync.plan.values import (
    NO_GAP,
    SHUT,
    Adoption,
    Component,
    Gap,
    IdentityCheck,
    InventoryScope,
    ManagementLoss,
    ScopeRules,
    TargetPlan,
    TouchedPoint,
)
from cloudsync.proof.certificate import Beyond, Decoded, certify
from cloudsync.proof.values import Replay


@dataclass(frozen=True, slots=True)
class Before:
    """What the last verified inventory says, for the guards: who is new, and whose addresses came or went."""

    workloads: frozenset[WorkloadId] | None = None
    """Ids of the last verified inventory; None when there never was one."""
    churn: AddressSet = NOWHERE
    unseen: AddressSet = NOWHERE
    scopes: tuple[InventoryScope, ...] = ()
    applied: Mapping[tuple[str, str], Access] = field(default_factory=dict)
    """What the last good apply enforced: (class id, domain) -> packets of the class."""
    relabelled: frozenset[WorkloadId] = frozenset()
    """Workloads whose labels are not what they were then."""


@dataclass(frozen=True, slots=True)
class Case:
    """Everything one target's plan is made from."""

    adapter: Adapter
    identity: IdentityCheck
    snapshot: Snapshot
    intent: Intent
    universe: Universe
    actual: ActualState
    recorded: Mapping[PointId, Recorded]
    limits: GuardLimits
    before: Before
    policy_digest: str
    terraform: tuple[Owned, ...] = ()
    """What Terraform owns, of all platforms."""
    encoding: Encoding | None = None
    """What the adapter makes of the intent, where that was asked already."""


@dataclass(frozen=True, slots=True)
class Built:
    """A plan with the tables it leads from and to; the tables are not part of the plan's document."""

    plan: TargetPlan
    actual: Table
    final: Table
    encoding: Encoding
    intent: Intent
    wanted: Mapping[PointId, Wanted] = field(default_factory=dict)
    """What the certificate holds each point to, before `beyond` is allowed for; empty where nothing could be planned."""
    beyond: Beyond = field(default_factory=Beyond)
    case: Case | None = None
    after: Mapping[PointId, Access] = field(default_factory=dict)
    """What every point lets through in the final table."""


def build(case: Case) -> Built:
    """Return one target's plan. Deterministic: equal inputs give equal plans."""
    adapter, snapshot, intent = case.adapter, case.snapshot, case.intent
    encoding = case.encoding or adapter.encode(intent, snapshot)
    blocked = any(problem.code != "NOTE" for problem in encoding.problems)
    desired = snapshot.table if blocked else encoding.table
    addresses = {point.id: point.addresses for point in case.actual.points.values()}
    order = choose(adapter, snapshot.table, desired, addresses, case.limits)
    final = order.final
    # Nothing to do: the state after is the state before, and what a read showed of it was decoded already.
    after = adapter.decode(final, Whose.ALL) if order.phases else case.actual.everything
    everything = wanted(intent)
    must = _held(case, owed(everything, case.actual.points) if adapter.capabilities.denies else everything)
    certificate = None
    beyond = Beyond.of(encoding)
    if not blocked:
        beside = [point for point, want in must.items() if want.ours_only]
        decoded = Decoded(after, adapter.decode(final, Whose.OURS, beside) if beside else {})
        certificate = certify(decoded, must, beyond, reached=final == desired)
    owners = diff.Owners.of(case.universe)
    moved = diff.point_changes(owners, case.actual.everything, after)
    touched = _touched(case, owners, moved, _Way(final, after, order.phases, beyond))
    adoptions = () if blocked else _adoptions(case, touched)
    plan = TargetPlan(
        target=intent.target,
        mode=intent.mode,
        owner=intent.owner,
        identity=case.identity,
        limits=case.limits,
        snapshot_digest=snapshot.digest,
        desired_digest=digest_of(adapter.dump(desired)) if order.phases else snapshot.digest,
        policy_digest=case.policy_digest,
        scopes=tuple(scope.scope for scope in snapshot.scopes),
        method=order.method or "none",
        phases=order.phases,
        changes=diff.changes(case.universe, owners, intent, moved),
        points=touched,
        workloads=len({point.point for point in intent.points}),
        churn=case.before.churn,
        rules=_rules(case, final, order.phases),
        inventory=case.before.scopes,
        unseen=case.before.unseen,
        adoptions=adoptions,
        certificate=certificate,
        replay=order.replay,
        peaks=of_order(adapter, snapshot.table, order.method, order.phases),
        gap=cut(adapter, snapshot.table, final, order.phases) if order.method == "gap" else NO_GAP,
        management_losses=losses(order.replay, case.limits.management),
        problems=(*encoding.problems, *_unfaithful(encoding), *_wayless(case, desired, order)),
        fidelity=encoding.fidelity,
        notes=encoding.notes,
        terraform=touches(adapter, Way(snapshot.table, final, order.phases), ownership(case.terraform, adapter)),
    )
    return Built(plan, snapshot.table, final, encoding, intent, {} if blocked else must, beyond, case, after)


def steered(built: Built, order: Order, component: Component) -> Built:
    """Return a target's plan by another order, or the same one, as a part of what several targets do together."""
    case, plan = built.case, built.plan
    assert case is not None
    if order.phases == plan.phases:
        return replace(built, plan=replace(plan, component=component))
    way = Way(built.actual, built.final, order.phases)
    told = replace(
        plan,
        method=order.method,
        phases=order.phases,
        rules=_rules(case, built.final, order.phases),
        replay=order.replay,
        peaks=of_order(case.adapter, built.actual, order.method, order.phases),
        management_losses=losses(order.replay, case.limits.management),
        terraform=touches(case.adapter, way, ownership(case.terraform, case.adapter)),
        gap=_gap(case.adapter, built, order),
        component=component,
    )
    return replace(built, plan=told)


def _gap(adapter: Adapter, built: Built, order: Order) -> Gap:
    return cut(adapter, built.actual, built.final, order.phases) if order.method == "gap" else NO_GAP


def digest_of(document: object) -> str:
    """Return the SHA-256 of a JSON value in canonical form."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _held(case: Case, everything: dict[PointId, Wanted]) -> dict[PointId, Wanted]:
    """Leave out points that cannot be held to the policy in this run: skipped by the adapter, or in a scope that was not read whole."""
    partial = case.intent.incomplete
    held: dict[PointId, Wanted] = {}
    for name, want in everything.items():
        point = case.actual.points.get(name)
        if point is not None and not point.skipped and point.scope not in partial:
            held[name] = want
    return held


@dataclass(frozen=True, slots=True)
class _Way:
    """Where the steps lead: the final table, what its points let through, and the steps."""

    final: Table
    after: Mapping[PointId, Access]
    phases: tuple[Phase, ...]
    beyond: Beyond


def _touched(case: Case, owners: diff.Owners, moved: tuple[diff.PointChange, ...], way: _Way) -> tuple[TouchedPoint, ...]:
    changed = {change.point for change in moved}
    named = {point for phase in way.phases for step in phase.steps for point in step.points}
    names = sorted(changed | named)
    before_ours = case.adapter.decode(case.snapshot.table, Whose.OURS, names)
    after_ours = case.adapter.decode(way.final, Whose.OURS, names)
    enforced = {point.point for point in case.intent.points if point.mode.enforced}
    siblings = _siblings(case, owners)
    found: list[TouchedPoint] = []
    for name in names:
        owner = owners.by_point.get(name)
        point = case.actual.points.get(name)
        workload = owner[1] if owner else None
        network = point.network if point else ""
        right = _rightful(case, owners, name)
        is_new = workload is not None and case.before.workloads is not None and workload.id not in case.before.workloads
        found.append(
            TouchedPoint(
                point=name,
                workload=workload.id if workload else None,
                name=case.universe.called(workload) if workload else (point.name if point else name),
                labels=workload.labels if workload else Labels(),
                scope=point.scope if point else "",
                network=network,
                before=case.actual.everything.get(name, SHUT),
                after=way.after.get(name, SHUT),
                ours_before=before_ours.get(name, SHUT),
                ours_after=after_ours.get(name, SHUT),
                enforced=name in enforced,
                rightful=_possible(case, way.beyond, name, right),
                applied=right,
                sibling=siblings.get((owner[0], network)) if owner and is_new else None,
            )
        )
    return tuple(found)


def _siblings(case: Case, owners: diff.Owners) -> dict[tuple[int, str], Access]:
    """Return, per class and network, what an enforced member that was verified before lets through today."""
    known = case.before.workloads
    if known is None:
        return {}
    found: dict[tuple[int, str], Access] = {}
    for intent in case.intent.points:
        owner, point = owners.by_point.get(intent.point), case.actual.points.get(intent.point)
        if owner is not None and point is not None and intent.mode.enforced and owner[1].id in known and point.ours:
            found.setdefault((owner[0], point.network), case.actual.everything.get(intent.point, SHUT))
    return found


def _adoptions(case: Case, touched: tuple[TouchedPoint, ...]) -> tuple[Adoption, ...]:
    """Record every enforced point of an exclusive target that is not on record yet and is about to be written."""
    if case.intent.mode is not TargetMode.EXCLUSIVE:
        return ()
    names = {point.point for point in touched}
    found: list[Adoption] = []
    for intent in case.intent.points:
        point = case.actual.points.get(intent.point)
        if not intent.mode.enforced or point is None or intent.point in case.recorded or intent.point not in names or point.skipped:
            continue
        before = past(intent.point, case.actual, case.recorded)
        found.append(Adoption(intent.point, before.original, before.inbound, before.outbound))
    return tuple(found)


def _rules(case: Case, final: Table, phases: tuple[Phase, ...]) -> tuple[ScopeRules, ...]:
    """Count our rules and how many of them go.

    Rules that act nowhere are nobody's loss: those that a platform puts into a new object by itself, in this plan or in one that was
    interrupted before anything carried the object. Where a table has an order, rules are never edited: what changes is a new rule and an
    old one, so there only those that go without a successor are counted.
    """
    before, after = case.adapter.owned(case.snapshot.table), case.adapter.owned(final)
    steps = [step for phase in phases for step in phase.steps]
    born = {step.object for step in steps if not step.mark}
    carried = {native for point in case.actual.points.values() for native in point.ours}
    removed: dict[str, int] = {}
    for step in steps:
        acts = step.effect is not Effect.NONE or step.object in carried
        if acts and not step.temporary and step.object not in born:
            removed[step.scope] = removed.get(step.scope, 0) + step.removes
    if case.adapter.capabilities.denies:
        for step in steps:
            if step.scope in removed and not step.temporary:
                removed[step.scope] -= step.adds
    return tuple(
        ScopeRules(scope, before.get(scope, 0), after.get(scope, 0), max(0, removed.get(scope, 0))) for scope in sorted({*before, *after})
    )


def _rightful(case: Case, owners: diff.Owners, name: PointId) -> Access | None:
    """Return what the last good apply enforced at a point; None where that is not known, so that everything open there counts.

    What differs from it was done by somebody else since: taking it back is no news to the guards.
    """
    owner, found = owners.by_point.get(name), case.actual.points.get(name)
    if owner is None or found is None or not found.ours or owner[1].id in case.before.relabelled:
        return None
    group = case.universe.classes[owner[0]]
    applied = case.before.applied.get((group.id, owner[2]))
    if applied is None or not group.mode.enforced:
        return None
    if case.intent.mode is not TargetMode.EXCLUSIVE:
        foreign = case.actual.foreign.get(name, SHUT)
        return Access(applied.inbound | foreign.inbound, applied.outbound | foreign.outbound)
    kept = case.recorded.get(name)
    if kept is None:
        return None
    inbound = applied.inbound | kept.inbound if group.mode is Mode.SELECTIVE else applied.inbound
    return Access(inbound, kept.outbound if group.egress is Egress.LEAVE else applied.outbound)


def _possible(case: Case, beyond: Beyond, name: PointId, right: Access | None) -> Access | None:
    """Return what was enforced by right as it can be at one point: its families, without what cannot pass and with what always does."""
    if right is None or not case.adapter.capabilities.denies:
        return right
    want = Wanted(right, right, ours_only=False)
    want = beyond.held(name, owed({name: want}, case.actual.points)[name])
    always = beyond.forced.get(name, SHUT)
    return Access(want.least.inbound | always.inbound, want.least.outbound | always.outbound)


def losses(replay: Replay, management: AddressSet) -> tuple[ManagementLoss, ...]:
    """Return the management flows that some state on the way cuts although the old and the new state let them through."""
    protected = PacketSet.of(management, ANY_SERVICE)
    return tuple(
        ManagementLoss(one.point, one.packet.text(), one.step)
        for one in replay.violations
        if one.kind == "outage" and one.direction == "inbound" and one.packet in protected
    )


def _wayless(case: Case, desired: Table, order: Order) -> list[Problem]:
    """Return a problem where the table should change and no sequence of writes was found that leads there."""
    if order.phases or desired == case.snapshot.table:
        return []
    tried = ", ".join(method.value for method in case.adapter.capabilities.methods)
    message = f"the rules should change, but none of the ways to do it ({tried}) fits: too few free places, numbers or helpers"
    return [Problem("NO-WAY", message, "make room: fewer foreign rules in our numbers, or a higher limit")]


def _unfaithful(encoding: Encoding) -> list[Problem]:
    """Return a problem for every rule that a platform cannot say, or says too loosely without the rule accepting it."""
    told = {rule for problem in encoding.problems for rule in problem.rules}
    return [
        Problem("FIDELITY", f"rule {one.rule} on {one.target}: {one.verdict.value}: {one.reason}", rules=(one.rule,))
        for one in encoding.fidelity
        if one.rule not in told and (one.verdict is Verdict.CANNOT or (one.verdict is Verdict.LOOSER and not one.accepted))
    ]
