"""G-PROOF: a plan that is not proven, or whose proof found harm, is not written."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.guard.values import About, Refusal, counted, refusal
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.values import TargetPlan

CODE = "G-PROOF"


def check(plan: TargetPlan, limits: GuardLimits) -> Iterator[Refusal]:
    """Refuse when certificate or replay did not run or found harm. Only an outage can be approved, by naming every packet it cuts."""
    del limits
    if plan.empty:
        return
    if plan.certificate is None:
        yield refusal(plan, CODE, "the certificate was not computed")
    elif not plan.certificate.holds:
        found = [difference.text() for difference in plan.certificate.differences]
        message = f"the certificate does not hold: {len(found)} differences" if found else "the steps do not lead to the desired state"
        yield refusal(plan, CODE, message, found)
    if plan.replay is None:
        yield refusal(plan, CODE, "the replay did not run")
        return
    exposed = [violation.text() for violation in plan.replay.violations if violation.kind != "outage"]
    if exposed:
        yield refusal(plan, CODE, f"{counted(len(exposed), 'state')} on the way would expose packets", exposed)
    cut = [violation for violation in plan.replay.violations if violation.kind == "outage"]
    if cut:
        witnesses = tuple(sorted({violation.packet.text() for violation in cut}))
        titles = [violation.text() for violation in cut]
        yield refusal(
            plan, CODE, f"{counted(len(cut), 'state')} on the way would cut packets", titles, about=About(approvable=True, names=witnesses)
        )
