"""G-PROOF: a plan that is not proven, or whose proof found harm, is not written."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.guard.values import About, Refusal, counted, refusal
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.values import NO_GAP, TargetPlan

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
        message = f"{counted(len(cut), 'state')} on the way would cut packets" + _gap(plan)
        yield refusal(plan, CODE, message, titles, about=About(approvable=True, names=witnesses))
    yield from _together(plan)


def _gap(plan: TargetPlan) -> str:
    """Return how short the shortest cut is, where it was looked for."""
    one = plan.gap
    if one == NO_GAP:
        return ""
    amount = (
        f"{counted(one.packets, 'packet')} at {counted(one.points, 'point')} for about {one.seconds:.0f} s ({counted(one.steps, 'write')})"
    )
    return f" that the old and the new state allow; no order avoids it, this one is the shortest gap: {amount}"


def _together(plan: TargetPlan) -> Iterator[Refusal]:
    """Refuse what is not safe together with the targets that share its paths; an exposure is never approvable."""
    component = plan.component
    if component is None:
        return
    others = ", ".join(name for name in component.targets if name != plan.target)
    whole = f"of {plan.target}" + (f" together with {others}" if others else "")
    if component.replay is None:
        yield refusal(plan, CODE, f"the replay {whole} did not run")
    elif component.replay.violations:
        found = [violation.text() for violation in component.replay.violations]
        yield refusal(plan, CODE, f"{counted(len(found), 'state')} on the way {whole} would expose flows", found)
