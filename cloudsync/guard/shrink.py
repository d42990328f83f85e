"""G-SHRINK: an inventory that lost much since it was last verified is doubted, however successful its reading looked."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.guard.values import About, Refusal, refusal, share
from cloudsync.plan.limits import GuardLimits, at_most
from cloudsync.plan.values import TargetPlan

CODE = "G-SHRINK"


def check(plan: TargetPlan, limits: GuardLimits) -> Iterator[Refusal]:
    """Refuse when too many verified workloads of any scope are gone or lost their policy, or a scope became empty.

    Checked for plans without steps too: only a reading that passes here may become the next verified one.
    """
    for scope in plan.inventory:
        if not scope.complete or not scope.verified:
            continue
        lost = (*scope.gone, *scope.lost_policy)
        limit = at_most(limits.max_gone_workloads, scope.verified)
        if not scope.now:
            message = f"all {scope.verified} verified workloads are gone; a scope is never emptied unasked"
        elif len(lost) > limit:
            message = f"{len(lost)} of {scope.verified} verified workloads are gone or lost their policy"
            message += f" ({share(len(lost), scope.verified)}, limit {limits.max_gone_workloads} % = {limit})"
        else:
            continue
        yield refusal(plan, CODE, message, lost, about=About(scope.scope, approvable=True))
