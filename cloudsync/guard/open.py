"""G-OPEN: a new opening to any source needs a person's yes."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.guard.values import About, Refusal, counted, refusal, titled
from cloudsync.model import intervals
from cloudsync.model.address import Family, globally_routable
from cloudsync.model.intervals import Points
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.service import ServiceSet
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.values import TargetPlan

CODE = "G-OPEN"
ANY_SOURCE = {Family.V4: 1 << 24, Family.V6: 1 << 112}
"""From this many globally routable peers on (an IPv4 /8, an IPv6 /16) an opening counts as one to any source: `internet` and `anywhere`
lie far above, nobody's own networks or partner lists come near. Judged by packets, so that no spelling gets around it."""


def check(plan: TargetPlan, limits: GuardLimits) -> Iterator[Refusal]:
    """Refuse when packets from any source to a workload pass after and did not before."""
    if limits.open_to_internet:
        return
    memo: dict[tuple[PacketSet, PacketSet, PacketSet], str] = {}
    opened: dict[str, str] = {}
    for point in plan.points:
        familiar = point.sibling.inbound if point.sibling else NO_PACKETS
        familiar |= point.rightful.inbound if point.rightful else NO_PACKETS
        key = (point.before.inbound, point.after.inbound, familiar)
        if key not in memo:
            memo[key] = wide(point.after.inbound - point.before.inbound - familiar).text()
        if memo[key]:
            opened.setdefault(point.owner, f"{memo[key]}: {titled(point)}")
    if opened:
        message = f"opens {counted(len(opened), 'workload')} to any source"
        yield refusal(plan, CODE, message, sorted(opened.values()), about=About(approvable=True))


def wide(packets: PacketSet) -> ServiceSet:
    """Return the services that any source may use."""
    spans: list[tuple[int, int]] = []
    known: dict[tuple[Family, Points], bool] = {}
    for family in Family:
        public = globally_routable().family(family)
        for first, end, peers in packets.bands(family):
            key = (family, peers)
            if key not in known:
                known[key] = intervals.size(intervals.intersection(peers, public)) >= ANY_SOURCE[family]
            if known[key]:
                spans.append((first, end))
    return ServiceSet(intervals.from_ranges(spans))
