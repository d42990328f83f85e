"""G-MGMT: what is open to the operators stays open; we never saw off the branch we sit on."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.guard.values import About, Refusal, counted, refusal
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.service import ANY_SERVICE
from cloudsync.model.workload import PointId
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.values import TargetPlan

CODE = "G-MGMT"


def check(plan: TargetPlan, limits: GuardLimits) -> Iterator[Refusal]:
    """Refuse when a management flow that is open today would not be after the plan, or not at some moment on the way.

    A machine that joins its like loses what none of them has: a launch template's ssh to the world would else stop every growing fleet.
    """
    lost = _lost(plan, limits)
    if lost:
        flow = PacketSet.union_all(lost.values()).text(PARTS_NAMED)
        names = {point.point: point.name for point in plan.points}
        titles = [f"{names[point]} ({point}): {lost[point].text()}" for point in sorted(lost)]
        message = f"{counted(len(lost), 'point')} would no longer be open to management: {flow}"
        yield refusal(plan, CODE, message, titles, about=About(approvable=True, names=(flow,)))
    cut = [loss for loss in plan.management_losses if loss.point not in lost]
    if cut:
        flows = tuple(sorted({loss.flow for loss in cut}))
        titles = [f"{loss.point} during {loss.step}: {loss.flow}" for loss in cut]
        message = f"{counted(len(titles), 'management flow')} would be cut on the way"
        yield refusal(plan, CODE, message, titles, about=About(approvable=True, names=flows))


def _lost(plan: TargetPlan, limits: GuardLimits) -> dict[PointId, PacketSet]:
    if not limits.management:
        return {}
    protected = PacketSet.of(limits.management, ANY_SERVICE)
    memo: dict[tuple[PacketSet, PacketSet, PacketSet], PacketSet] = {}
    lost: dict[PointId, PacketSet] = {}
    for point in plan.points:
        # What rules of ours let in by right counts whatever else stands there now: a foreign deny that they may not outrank takes nothing
        # away. What somebody put into a rule of ours since is none of it, and is taken back without a question.
        ours = point.ours_before.inbound & point.applied.inbound if point.applied is not None else NO_PACKETS
        enforced = point.base.inbound | ours
        rightful = enforced if point.sibling is None else enforced & point.sibling.inbound
        key = (point.before.inbound, point.after.inbound, rightful)
        if key not in memo:
            memo[key] = (point.before.inbound & rightful & protected) - point.after.inbound
        if memo[key]:
            lost[point.point] = memo[key]
    return lost


PARTS_NAMED = 20
"""How many parts of a lost flow an approval must repeat."""
