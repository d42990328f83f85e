"""G-MGMT: what is open to the operators stays open; we never saw off the branch we sit on."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.guard.values import About, Refusal, refusal
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import ANY_SERVICE
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.values import TargetPlan

CODE = "G-MGMT"


def check(plan: TargetPlan, limits: GuardLimits) -> Iterator[Refusal]:
    """Refuse when a management flow that is open today would not be after the plan, or not at some moment on the way."""
    if limits.management:
        protected = PacketSet.of(limits.management, ANY_SERVICE)
        memo: dict[tuple[PacketSet, PacketSet], PacketSet] = {}
        lost: dict[str, PacketSet] = {}
        for point in plan.points:
            key = (point.before.inbound, point.after.inbound)
            if key not in memo:
                memo[key] = (point.before.inbound & protected) - point.after.inbound
            if memo[key]:
                lost[f"{point.name} ({point.point})"] = memo[key]
        if lost:
            flow = PacketSet.union_all(lost.values()).text(SERVICES_NAMED)
            message = f"{len(lost)} points would no longer be open to management: {flow}"
            titles = [f"{name}: {lost[name].text()}" for name in sorted(lost)]
            yield refusal(plan, CODE, message, titles, about=About(approvable=True, names=(flow,)))
    if plan.management_losses:
        flows = tuple(sorted({loss.flow for loss in plan.management_losses}))
        titles = [f"{loss.point} during {loss.step}: {loss.flow}" for loss in plan.management_losses]
        yield refusal(
            plan, CODE, f"{len(titles)} management flows would be cut on the way", titles, about=About(approvable=True, names=flows)
        )


SERVICES_NAMED = 20
"""How many parts of a lost flow an approval must repeat."""
