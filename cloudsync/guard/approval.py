"""G-APPROVAL: an override holds for one guard, one digest and a limited time; anything else is no approval."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloudsync.guard.values import DIGITS, Approval, Refusal, refusal
from cloudsync.plan.document import target_digest
from cloudsync.plan.values import TargetPlan

CODE = "G-APPROVAL"
LONGEST_S = 7 * 86400.0
"""Longest life of an approval; 24 hours are the default."""


def holding(plan: TargetPlan, refused: Refusal, approvals: Iterable[Approval], now: float) -> Approval | None:
    """Return the approval that overrides a refusal, if there is one."""
    if not refused.approve:
        return None
    digest = target_digest(plan)
    for approval in approvals:
        meant = approval.guard == refused.guard and approval.target == plan.target and approval.digest == digest
        if meant and approval.created <= now < approval.until and set(refused.must_name) <= set(approval.names):
            return approval
    return None


def check(plan: TargetPlan, refused: Refusal, approvals: Iterable[Approval], now: float) -> Iterator[Refusal]:
    """Say why the approvals that were given for a refused guard do not hold."""
    digest = target_digest(plan)
    for approval in approvals:
        if approval.guard != refused.guard or approval.target != plan.target:
            continue
        if approval.digest != digest:
            why = f"is for plan {approval.digest[:DIGITS]}, this is {digest[:DIGITS]}: something moved since"
        elif now >= approval.until:
            why = "has expired"
        elif now < approval.created:
            why = "was given in the future: check the clock"
        elif not refused.approve:
            why = "is void: nothing overrides this refusal"
        else:
            why = f"does not name {', '.join(sorted(set(refused.must_name) - set(approval.names)))}"
        yield refusal(plan, CODE, f"the approval of {approval.guard} by {approval.who} {why}")


def moved(plan: TargetPlan, fresh: TargetPlan) -> Iterator[Refusal]:
    """Refuse a stored plan when planning again from a fresh reading gives another one."""
    if target_digest(plan) != target_digest(fresh):
        what = "the reading" if plan.snapshot_digest != fresh.snapshot_digest else "the plan"
        yield refusal(
            plan, CODE, f"{what} moved since the plan was made: {target_digest(plan)[:DIGITS]} is {target_digest(fresh)[:DIGITS]} now"
        )
