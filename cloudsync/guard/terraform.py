"""TERRAFORM: what Terraform owns is Terraform's; two tools that write one object undo each other's work for ever."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.guard.values import Refusal, counted, refusal
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.values import TargetPlan

CODE = "TERRAFORM"
NAMED = 5
"""How many addresses the message itself names."""


def check(plan: TargetPlan, limits: GuardLimits) -> Iterator[Refusal]:
    """Refuse a plan that would touch an object that a state names. Never overridable: change it there, or take it out of that state."""
    del limits
    if not plan.terraform:
        return
    addresses = list(dict.fromkeys(touch.address for touch in plan.terraform))
    named = ", ".join(addresses[:NAMED]) + (f" and {len(addresses) - NAMED} more" if len(addresses) > NAMED else "")
    message = f"would touch {counted(len(addresses), 'object')} that Terraform owns: {named}"
    yield refusal(plan, CODE, message, [f"{touch.address}: {touch.what}" for touch in plan.terraform])
