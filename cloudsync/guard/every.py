"""All guards over all plans, before the first write of any target."""

from __future__ import annotations

from collections.abc import Iterable

from cloudsync.guard import affected, approval, cap, complete, identity, mgmt, problems, proof, quota, shrink, terraform
from cloudsync.guard import open as opening
from cloudsync.guard.values import Approval, Guard, Refusal
from cloudsync.model.quick import dataclass
from cloudsync.plan.values import TargetPlan

GUARDS: tuple[Guard, ...] = (
    identity.check,
    terraform.check,
    problems.check,
    complete.check,
    shrink.check,
    cap.check,
    affected.check,
    opening.check,
    mgmt.check,
    quota.check,
    proof.check,
)


@dataclass(frozen=True, slots=True)
class Checked:
    """What the guards said: `refusals` stop their targets, `overridden` are those that a stored approval covers."""

    refusals: tuple[Refusal, ...] = ()
    overridden: tuple[tuple[Refusal, Approval], ...] = ()

    def of(self, target: str) -> tuple[Refusal, ...]:
        """Return the refusals of one target; its plan may be written only when there is none."""
        return tuple(refused for refused in self.refusals if refused.target == target)


def check_all(plans: Iterable[TargetPlan], approvals: Iterable[Approval], now: float) -> Checked:
    """Run every guard over every plan, each under the plan's own limits. `now`: UTC seconds since the epoch, for expiry only."""
    given = tuple(approvals)
    refusals: list[Refusal] = []
    overridden: list[tuple[Refusal, Approval]] = []
    for plan in plans:
        for guard in GUARDS:
            for refused in guard(plan, plan.limits):
                yes = approval.holding(plan, refused, given, now)
                if yes is not None:
                    overridden.append((refused, yes))
                else:
                    refusals.append(refused)
                    refusals.extend(approval.check(plan, refused, given, now))
    return Checked(tuple(dict.fromkeys(refusals)), tuple(overridden))
