"""G-IDENTITY: whoever answers is who the settings name, or nothing is trusted and nothing is written."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.guard.values import Refusal, refusal
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.values import TargetPlan

CODE = "G-IDENTITY"


def check(plan: TargetPlan, limits: GuardLimits) -> Iterator[Refusal]:
    """Refuse when identity differs from the settings or could not be read. Never overridable."""
    del limits
    identity = plan.identity
    if identity.got is None:
        yield refusal(plan, CODE, f"expected {identity.expected}, identity could not be read: {identity.why or 'no answer'}")
    elif not identity.good:
        yield refusal(plan, CODE, f"expected {identity.expected}, got {identity.got.account} ({identity.got.principal})")
