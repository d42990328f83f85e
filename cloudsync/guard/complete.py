"""G-COMPLETE: nothing is removed on the word of a reading that is not whole."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.adapter import Effect, Step
from cloudsync.guard.values import About, Refusal, counted, refusal
from cloudsync.model.address import ANYWHERE
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import ANY_SERVICE
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.values import TargetPlan, TouchedPoint

CODE = "G-COMPLETE"


def check(plan: TargetPlan, limits: GuardLimits) -> Iterator[Refusal]:
    """Refuse removals in a scope that was not read whole, and removals elsewhere that depend on one. Never overridable."""
    del limits
    partial = {scope.scope: scope.why_incomplete for scope in plan.inventory if not scope.complete and scope.target == plan.target}
    for scope in sorted(partial):
        steps = [step.title for step in removals(plan) if step.scope == scope]
        points = [_title(point) for point in plan.points if point.scope == scope and _closes(point)]
        if steps or points:
            message = f"{counted(len(steps or points), 'removal')} in a scope that was not read whole ({partial[scope]})"
            yield refusal(plan, CODE, message, steps or points, about=About(scope))
    yield from _dependent(plan, set(partial))


def removals(plan: TargetPlan) -> Iterator[Step]:
    """Yield the steps that may take something away from anybody; taking from an object that this plan creates does not count."""
    created = {step.object for step in plan.steps if not step.mark}
    for step in plan.steps:
        takes = step.effect in (Effect.SHRINKS, Effect.SWAPS) or step.removes or step.action.startswith("Delete")
        if takes and (step.object not in created or step.effect in (Effect.SHRINKS, Effect.SWAPS)):
            yield step


def _dependent(plan: TargetPlan, judged: set[str]) -> Iterator[Refusal]:
    """Refuse closing packets of peers that nobody has seen in this run, unless somebody else opened them since the last good apply."""
    unknown = sorted(scope.scope for scope in plan.inventory if not scope.complete and scope.verified is None)
    peers = ANYWHERE if unknown else plan.unseen
    if not peers:
        return
    unseen = PacketSet.of(peers, ANY_SERVICE)
    elsewhere = [point for point in plan.points if point.scope not in judged]
    lost = [point for point in elsewhere if _rightfully_closed(point) & unseen]
    if lost:
        why = f"scope {', '.join(unknown)} was never read whole" if unknown else "the peers were not seen in this run"
        yield refusal(plan, CODE, f"access would close at {len(lost)} points, but {why}", map(_title, lost))


def _rightfully_closed(point: TouchedPoint) -> PacketSet:
    """Return what closes of what was open by right: taking back what others opened leads to the last verified state."""
    closed_in, closed_out = _closed_in(point), _closed_out(point)
    if point.rightful is not None:
        closed_in, closed_out = closed_in & point.rightful.inbound, closed_out & point.rightful.outbound
    return closed_in | closed_out


def _closed_in(point: TouchedPoint) -> PacketSet:
    return point.before.inbound - point.after.inbound


def _closed_out(point: TouchedPoint) -> PacketSet:
    return point.before.outbound - point.after.outbound


def _closes(point: TouchedPoint) -> bool:
    return bool(_closed_in(point) or _closed_out(point))


def _title(point: TouchedPoint) -> str:
    return f"{point.name} ({point.point})"
