"""After the state was lost, nothing is taken away in the first run (G-STATE): what is ours is found by its marks, who was there is not.

Who is missing for the first time, and what was read whole before, only the state knows; one run later it knows again.
"""

from __future__ import annotations

from dataclasses import replace

from cloudsync import run
from cloudsync.adapter import Access
from cloudsync.guard import approval
from cloudsync.guard.values import About, counted, refusal, titled
from cloudsync.model.mode import TargetMode
from cloudsync.plan.values import TargetPlan
from cloudsync.report.values import TargetReport
from cloudsync.store.state import State

CODE = "G-STATE"


def knows(state: State, target: str) -> bool:
    """Tell whether the state has ever seen a target: read it whole without a refusal, or written to it."""
    return state.journal.wrote(target) or state.records.has_verified(target)


def cautious(target: TargetReport, settled: run.Settled, state: State) -> TargetReport:
    """Return a target with a refusal when its plan takes away what rules of ours give, and the state has never seen the target."""
    plan = target.plan
    if plan is None or plan.empty or target.mode is TargetMode.OBSERVE or knows(state, target.name):
        return target
    taken = _taken(plan)
    if not taken:
        return target
    message = "the state has never seen this target, but rules of ours stand there: it was lost, or moved. Access would close at "
    message += f"{counted(len(taken), 'point')}: not in this run; the next apply goes by what this one has seen"
    refused = refusal(plan, CODE, message, taken, about=About(approvable=True))
    yes = approval.holding(plan, refused, settled.approvals, settled.now)
    if yes is not None:
        return replace(target, overridden=(*target.overridden, (refused, yes)))
    return replace(target, refusals=(*target.refusals, refused, *approval.check(plan, refused, settled.approvals, settled.now)))


def only_unknown(target: TargetReport) -> bool:
    """Tell whether nothing but the lost state speaks against a target: then what was read now is what the next run goes by."""
    return bool(target.refusals) and all(refused.guard == CODE for refused in target.refusals)


def _taken(plan: TargetPlan) -> tuple[str, ...]:
    """Return, in words, the points where rules of ours let something through that they would not let through any more."""
    return tuple(titled(point) for point in plan.points if _less(point.ours_before, point.ours_after))


def _less(before: Access, after: Access) -> bool:
    return not (before.inbound <= after.inbound and before.outbound <= after.outbound)
