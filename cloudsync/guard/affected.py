"""G-AFFECTED: one rule can carry all traffic, so workloads are counted, not only rules."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.adapter import Access
from cloudsync.guard.values import About, Refusal, refusal, share, titled
from cloudsync.model.address import AddressSet
from cloudsync.model.packets import PacketSet
from cloudsync.plan.limits import GuardLimits, at_most
from cloudsync.plan.values import TargetPlan

CODE = "G-AFFECTED"


def check(plan: TargetPlan, limits: GuardLimits) -> Iterator[Refusal]:
    """Refuse when the packets of too many workloads change.

    Machines that come and go are not counted: neither one that joins its like, nor peers whose packets differ only by such machines'
    addresses. Otherwise every growing group would need an approval. Nor is taking back what others changed since the last good apply.
    """
    if limits.max_affected_workloads >= 100:
        return  # no limit was wanted; neighbours that are no workloads of ours would count beyond all of them
    names: dict[str, str] = {}
    seen: dict[tuple[Access, Access], bool] = {}
    for point in plan.points:
        if point.sibling is None:
            key = (point.base, point.after)
            if key not in seen:
                seen[key] = _differs(point.base, point.after, plan.churn)
            if seen[key]:
                names.setdefault(point.owner, titled(point))
    limit = at_most(limits.max_affected_workloads, plan.workloads)
    if len(names) > limit:
        message = f"would change the packets of {len(names)} of {plan.workloads} workloads"
        message += f" ({share(len(names), plan.workloads)}, limit {limits.max_affected_workloads} % = {limit})"
        yield refusal(plan, CODE, message, sorted(names.values()), about=About(approvable=True))


def _differs(before: Access, after: Access, churn: AddressSet) -> bool:
    return any(_beyond(old, new, churn) for old, new in ((before.inbound, after.inbound), (before.outbound, after.outbound)))


def _beyond(old: PacketSet, new: PacketSet, churn: AddressSet) -> bool:
    if old == new:
        return False
    return any(not difference.peers() <= churn for difference in (old - new, new - old))
