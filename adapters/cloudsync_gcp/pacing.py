"""Client-side token buckets, one for reads and one for writes of each project, so that Google's own windows never run out.

Google counts reads and writes of a project a minute at a time (compute API, "Rate quotas"). All adapters of one process that run on one
clock share the buckets here; other people draw from the same windows, hence `pace` below 1.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from cloudsync.adapter import Clock
from cloudsync_gcp.limits import BURST, PER_MINUTE


@dataclass(slots=True)
class _Level:
    """Tokens at a moment of the monotonic clock; below zero when callers have booked ahead."""

    tokens: float
    at: float


@dataclass(slots=True)
class Pacer:
    """The buckets of one project on one clock. Thread-safe; waiting happens outside the lock, first come first served."""

    clock: Clock
    _levels: dict[str, _Level] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, kind: str, pace: float) -> float:
        """Wait until a call of a kind (`read` or `write`) may be sent at `pace` (0-1] of Google's rate; return the seconds waited."""
        rate = PER_MINUTE / 60 * pace
        with self._lock:
            now = self.clock.monotonic()
            level = self._levels.setdefault(kind, _Level(float(BURST), now))
            level.tokens = min(float(BURST), level.tokens + max(0.0, now - level.at) * rate) - 1
            level.at = now
            wait = max(0.0, -level.tokens / rate)
        if wait > 0:
            self.clock.sleep(wait)
        return wait

    def minute(self) -> float:
        """Return the seconds to the next minute, when Google's windows begin anew."""
        return 60.0 - self.clock.now() % 60.0


_SHARED: dict[tuple[int, str, str], Pacer] = {}
_SHARED_LOCK = threading.Lock()


def shared(clock: Clock, endpoint: str, project: str) -> Pacer:
    """Return the process's pacer of one project (at one endpoint, on one clock)."""
    with _SHARED_LOCK:
        # The pacer holds the clock, so its id is not given to another one meanwhile.
        return _SHARED.setdefault((id(clock), endpoint, project), Pacer(clock))
