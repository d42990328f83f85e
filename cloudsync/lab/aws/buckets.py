"""Token buckets per API, account and region (row 39). Off until they are switched on."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..clock import LabClock
from .wire import Form


@dataclass(frozen=True, slots=True)
class Size:
    """How many calls at once, and how many more per second."""

    capacity: float
    refill: float


READS = Size(100, 20)
HEAVY_READS = Size(50, 10)
WRITES = Size(50, 5)
_NAMED = {
    "ModifyNetworkInterfaceAttribute": Size(100, 5),
    "CreateTags": Size(100, 10),
    "DeleteTags": Size(100, 10),
    "DescribeSecurityGroupReferences": Size(20, 5),
    "DescribeStaleSecurityGroups": Size(20, 5),
}
_HEAVY = frozenset({"DescribeInstances", "DescribeNetworkInterfaces", "DescribeSecurityGroups"})
_IDS = ("InstanceId", "NetworkInterfaceId", "GroupId", "Filter", "MaxResults", "NextToken")


def size_of(action: str, form: Form) -> Size:
    """The bucket of a call; the three large reads are dearer when they neither page nor filter."""
    if action in _NAMED:
        return _NAMED[action]
    if action in _HEAVY and not any(form.has(name) for name in _IDS):
        return HEAVY_READS
    return READS if is_read(action) else WRITES


def is_read(action: str) -> bool:
    """Does an action leave everything as it is?"""
    return action.startswith(("Describe", "Get", "List", "Search"))


@dataclass(slots=True)
class Buckets:
    """All buckets of the lab."""

    clock: LabClock
    enabled: bool = False
    scale: float = 1.0
    """Capacity and refill times this."""
    _levels: dict[tuple[str, str, str, Size], tuple[float, float]] = field(default_factory=dict)

    def take(self, account: str, region: str, action: str, form: Form) -> bool:
        """Take a token; False when the bucket is empty."""
        if not self.enabled:
            return True
        size = size_of(action, form)
        key = (account, region, action, size)
        now = self.clock.now()
        level, since = self._levels.get(key, (size.capacity * self.scale, now))
        level = min(size.capacity * self.scale, level + (now - since) * size.refill * self.scale)
        if level < 1 - 1e-9:
            self._levels[key] = (level, now)
            return False
        self._levels[key] = (level - 1, now)
        return True

    def refill(self) -> None:
        """Fill every bucket."""
        self._levels.clear()
