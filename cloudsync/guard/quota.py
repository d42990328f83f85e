"""G-QUOTA: the largest size that any object reaches on the way fits its quota, with a reserve; known before the first write."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.guard.values import Refusal, counted, refusal
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.peaks import over, usable
from cloudsync.plan.values import TargetPlan

__all__ = ["CODE", "check", "usable"]

CODE = "G-QUOTA"


def check(plan: TargetPlan, limits: GuardLimits) -> Iterator[Refusal]:
    """Refuse when a peak is over its quota less the reserve. Never overridable: raise the quota, or say less."""
    found: list[str] = []
    for peak in over(plan.peaks, limits):
        blame = f"; rules: {', '.join(peak.rules)}" if peak.rules else ""
        room = usable(peak.quota, limits.quota_reserve)
        found.append(f"{peak.object}: {peak.peak} {peak.what}, quota {peak.quota} leaves {room}{blame}")
    if found:
        message = f"{counted(len(found), 'object')} would be over their quota (less {limits.quota_reserve} % reserve)"
        yield refusal(plan, CODE, message, found)
