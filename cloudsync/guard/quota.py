"""G-QUOTA: the largest size that any object reaches on the way fits its quota, with a reserve; known before the first write."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.guard.values import Refusal, counted, refusal
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.values import TargetPlan

CODE = "G-QUOTA"


def check(plan: TargetPlan, limits: GuardLimits) -> Iterator[Refusal]:
    """Refuse when a peak is over its quota less the reserve. Never overridable: raise the quota, or say less."""
    over: list[str] = []
    for peak in plan.peaks:
        room = usable(peak.quota, limits.quota_reserve)
        if peak.peak > room:
            blame = f"; rules: {', '.join(peak.rules)}" if peak.rules else ""
            over.append(f"{peak.object}: {peak.peak} {peak.what}, quota {peak.quota} leaves {room}{blame}")
    if over:
        message = f"{counted(len(over), 'object')} would be over their quota (less {limits.quota_reserve} % reserve)"
        yield refusal(plan, CODE, message, over)


def usable(quota: int, reserve: int) -> int:
    """Return how much of a quota a plan may use; the reserve is rounded down, so that a quota of 5 stays 5."""
    return quota - quota * reserve // 100
