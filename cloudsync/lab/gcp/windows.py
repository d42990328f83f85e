"""Calls per minute and project: reads and writes apart, the count begins anew on the minute. Off until switched on."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..clock import LabClock

PER_MINUTE = 1500
METRICS = {True: "compute.googleapis.com/global_write_requests", False: "compute.googleapis.com/global_read_requests"}


@dataclass(slots=True)
class Windows:
    """The calls of this minute."""

    clock: LabClock
    enabled: bool = False
    scale: float = 1.0
    """The limit times this."""
    counts: dict[tuple[str, bool], tuple[int, int]] = field(default_factory=dict)
    """By project and writing: (minute, calls)."""

    @property
    def limit(self) -> int:
        """Calls per minute."""
        return max(1, int(PER_MINUTE * self.scale))

    def take(self, project: str, *, writing: bool, cost: int = 1) -> bool:
        """Count a call; False when there is no room for it in this minute."""
        if not self.enabled:
            return True
        minute = int(self.clock.now() // 60)
        begun, used = self.counts.get((project, writing), (minute, 0))
        if begun != minute:
            used = 0
        if used + cost > self.limit:
            return False
        self.counts[project, writing] = (minute, used + cost)
        return True

    def clear(self) -> None:
        """Begin anew."""
        self.counts.clear()
