"""G-CAP: one run removes only so many of our own rules, and never the last one of a scope or a point unasked."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.guard.values import About, Refusal, counted, refusal, share
from cloudsync.plan.limits import GuardLimits, at_most
from cloudsync.plan.values import TargetPlan, TouchedPoint

CODE = "G-CAP"


def check(plan: TargetPlan, limits: GuardLimits) -> Iterator[Refusal]:
    """Refuse too many removals of own rules in a scope, emptying a scope, and taking the last own rule of a point."""
    for rules in plan.rules:
        limit = at_most(limits.max_removed_rules, rules.owned_before)
        titles = [step.title for step in plan.steps if step.removes and step.scope == rules.scope]
        if rules.removed and not rules.owned_after:
            message = f"would remove all {rules.owned_before} of our rules; a scope is never emptied unasked"
        elif rules.removed > limit:
            message = f"would remove {rules.removed} of {rules.owned_before} of our rules"
            message += f" ({share(rules.removed, rules.owned_before)}, limit {limits.max_removed_rules} % = {limit})"
        else:
            continue
        yield refusal(plan, CODE, message, titles, about=About(rules.scope, approvable=True))
    bare = [point for point in plan.points if point.enforced and _loses_last(point)]
    if bare:
        titles = [f"{point.name} ({point.point})" for point in bare]
        yield refusal(plan, CODE, f"{counted(len(bare), 'point')} would lose the last rule of ours", titles, about=About(approvable=True))


def _loses_last(point: TouchedPoint) -> bool:
    """Tell whether nothing of ours is left in a direction; what somebody put into our objects since the last good apply is not ours."""
    before, right = point.ours_before, point.rightful
    inbound = before.inbound if right is None else before.inbound & right.inbound
    outbound = before.outbound if right is None else before.outbound & right.outbound
    return bool((inbound and not point.ours_after.inbound) or (outbound and not point.ours_after.outbound))
