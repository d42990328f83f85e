"""A run as JSON values; the shape is documented in docs/json.md and only ever grows within one schema version."""

from __future__ import annotations

import json
from typing import Any

from cloudsync.adapter import Origin, Step
from cloudsync.diff import Change
from cloudsync.guard.values import Refusal
from cloudsync.model.finding import Finding
from cloudsync.model.packets import PacketSet
from cloudsync.plan.document import target_digest
from cloudsync.plan.values import NO_GAP, Component, Gap, TargetPlan
from cloudsync.proof.drift import Drift
from cloudsync.proof.values import Stop
from cloudsync.report.ages import Aged, Ages
from cloudsync.report.moments import stamp
from cloudsync.report.story import Story, Tracked
from cloudsync.report.values import RunReport, TargetReport, Unchecked

Json = dict[str, Any]


def run_document(report: RunReport, story: Story | None = None) -> Json:
    """Return a whole run. With its story, each drift names the findings that it takes part in."""
    ages = Ages(story)
    return {
        "verb": report.verb,
        "run": report.run_id,
        "owner": report.owner,
        "policy": report.policy,
        "workloads": report.workloads,
        "not_checked": [_unchecked(one) for one in report.incomplete],
        "label_changes": [{"workload": note.workload, "change": note.text} for note in report.labels],
        "warnings": [_warning(one) for one in report.warnings],
        "targets": [target_document(target, ages) for target in report.targets],
    }


def _warning(one: Finding) -> Json:
    place = {"file": one.where.file, "line": one.where.line, "column": one.where.col}
    return {**place, "code": one.code, "severity": one.severity.value, "message": one.message, "hint": one.hint}


def target_document(target: TargetReport, ages: Ages) -> Json:
    """Return one target's part of a run."""
    applied = target.applied
    real = iter(ages.of(target.name, target.drift))
    return {
        "name": target.name,
        "mode": target.mode.value,
        "adapter": {"name": target.adapter[0], "version": target.adapter[1]},
        "exit": target.code,
        "error": target.error,
        "plan": _plan(target.plan) if target.plan is not None else None,
        "drift": [drift_document(one, next(real) if one.real else None) for one in target.drift],
        "refusals": [_refusal(one) for one in target.refusals],
        "approved": [{"guard": refused.guard, "who": yes.who, "because": yes.because} for refused, yes in target.overridden],
        "not_checked": [_unchecked(one) for one in target.unchecked],
        "applied": None
        if applied is None
        else {
            "status": applied.status,
            "done": applied.done,
            "failed": applied.failed,
            "unknown": applied.unknown,
            "message": applied.message,
        },
        "limits_s": round(target.limits_s, 1),
        "remaining": None if target.remaining is None else [drift_document(one) for one in target.remaining],
    }


def drift_document(one: Drift, aged: Aged | None = None) -> Json:
    """Return one drift finding. `aged`: its findings over time."""
    found = sorted((*aged.loud, *aged.accepted), key=lambda known: known.key) if aged is not None else []
    return {
        "kind": one.kind.name.lower().replace("_", "-"),
        "enforced": one.real,
        "severity": one.severity.value,
        "direction": one.direction,
        "text": one.text(),
        "packets": packets_document(one.packets),
        "labels": dict(one.labels.pairs),
        "workloads": list(one.workloads),
        "points": list(one.points),
        "rules": [
            {
                "object": entry.object,
                "name": entry.object_name,
                "native": entry.native,
                "id": entry.id,
                "in_our_object": entry.ours,
                "origins": [{"rule": origin.rule, "where": str(origin.where) if origin.where else ""} for origin in entry.origins],
            }
            for entry in one.entries
        ],
        "wanted_by": [origin_document(origin) for origin in one.wanted_by],
        "pending": aged is not None and aged.pending,
        "findings": [finding_document(known) for known in found],
    }


def finding_document(one: Tracked) -> Json:
    """Return a finding over time."""
    yes = one.acknowledged
    return {
        "key": one.key,
        "state": one.state.value,
        "severity": one.severity.value,
        "first_seen": stamp(one.first_seen),
        "last_seen": stamp(one.last_seen),
        "seen": one.seen,
        "returns": one.returns,
        "flapping": one.flapping,
        "acknowledged": None if yes is None else {"until": stamp(yes.until), "because": yes.because, "by": yes.by},
        "actor": None if one.actor is None else {"who": one.actor.who, "at": stamp(one.actor.at), "how": one.actor.how},
        "owners": list(one.owners),
    }


def packets_document(packets: PacketSet) -> list[Json]:
    """Return a packet set as disjoint boxes of peers and services; `size` is the number of packets."""
    return [
        {"peers": list(peers.cidrs()), "services": [run.text() for run in services.ranges()], "size": PacketSet.of(peers, services).size}
        for peers, services in packets.products()
    ]


def origin_document(origin: Origin) -> Json:
    """Return a rule with its place in the policy."""
    return {"rule": origin.rule, "where": str(origin.where) if origin.where else ""}


def _plan(plan: TargetPlan) -> Json:
    certificate, replay = plan.certificate, plan.replay
    return {
        "digest": target_digest(plan),
        "method": plan.method,
        "changes": [_change(one) for one in plan.changes],
        "phases": [{"name": phase.name, "steps": [_step(step) for step in phase.steps]} for phase in plan.phases],
        "certificate": None
        if certificate is None
        else {"holds": certificate.holds, "points": certificate.points, "differences": [one.text() for one in certificate.differences]},
        "replay": None
        if replay is None
        else {"safe": replay.safe, "states": replay.states, "violations": [one.text() for one in replay.violations]},
        "fidelity": [
            {"rule": one.rule, "verdict": one.verdict.value, "reason": one.reason, "accepted": one.accepted} for one in plan.fidelity
        ],
        "problems": [{"code": one.code, "message": one.message, "hint": one.hint, "rules": list(one.rules)} for one in plan.problems],
        "notes": list(plan.notes),
        "together": None if plan.component is None else _component(plan.component),
        "gap": None if plan.gap == NO_GAP else _gap(plan.gap),
    }


def _component(one: Component) -> Json:
    """Return what several targets do together; the same at each of them."""
    whole = one.replay
    return {
        "targets": list(one.targets),
        "method": one.method.value,
        "stages": [
            {
                "name": stage.name,
                "why": stage.why,
                "legs": [{"target": leg.target, "first": leg.first, "end": leg.end} for leg in stage.legs],
            }
            for stage in one.stages
        ],
        "witnesses": [
            {
                "flow": flow.flow,
                "source": flow.source,
                "destination": flow.destination,
                "service": flow.service,
                "behind": flow.behind,
                "closes": _stop(flow.closes),
                "opens": _stop(flow.opens),
            }
            for flow in one.witnesses
        ],
        "replay": None
        if whole is None
        else {"safe": whole.safe, "states": whole.states, "violations": [found.text() for found in whole.violations]},
        "gap": None if one.gap == NO_GAP else _gap(one.gap),
    }


def _stop(stop: Stop) -> Json:
    return {"target": stop.target, "point": stop.point, "direction": stop.direction}


def _gap(gap: Gap) -> Json:
    return {"packets": gap.packets, "points": gap.points, "writes": gap.steps, "seconds": gap.seconds}


def _change(one: Change) -> Json:
    return {
        "direction": one.direction,
        "labels": dict(one.labels.pairs),
        "workloads": list(one.workloads),
        "points": list(one.points),
        "opens": packets_document(one.opens),
        "closes": packets_document(one.closes),
        "rules": [origin_document(origin) for origin in one.origins],
    }


def _step(step: Step) -> Json:
    return {
        "key": step.key,
        "action": step.action,
        "scope": step.scope,
        "object": step.object,
        "title": step.title,
        "effect": step.effect.value,
        "request": json.loads(step.payload),
        "rules": [origin_document(origin) for origin in step.origins],
    }


def _refusal(one: Refusal) -> Json:
    return {
        "guard": one.guard,
        "scope": one.scope,
        "message": one.message,
        "objects": list(one.objects),
        "more": one.more,
        "approve": one.approve,
    }


def _unchecked(one: Unchecked) -> Json:
    return {"what": one.what, "why": one.why}
