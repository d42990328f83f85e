"""Client-side token buckets, one per account, Region and API action, so that EC2's own never run dry.

EC2 throttles each action of an account and Region by a token bucket (EC2 API developer guide, "Request throttling"). All adapters of one
process that run on one clock share the buckets here; other processes and people draw from the same ones at EC2, hence `pace` below 1.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from cloudsync.adapter import Clock
from cloudsync_aws.limits import Bucket, bucket


@dataclass(slots=True)
class _Level:
    """Tokens in a bucket at a moment of the monotonic clock; below zero when callers have booked ahead."""

    tokens: float
    at: float


@dataclass(slots=True)
class Pacer:
    """Buckets of one account and Region on one clock. Thread-safe; waiting happens outside the lock, first come first served."""

    clock: Clock
    _levels: dict[str, _Level] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, action: str, pace: float) -> float:
        """Wait until `action` may be sent at `pace` (0-1] of EC2's rate; return the seconds waited."""
        wait = self._book(action, pace)
        if wait > 0:
            self.clock.sleep(wait)
        return wait

    def drain(self, action: str, pace: float) -> None:
        """Empty the bucket: EC2 has said that it is."""
        with self._lock:
            level = self._refilled(action, bucket(action), pace)
            level.tokens = min(level.tokens, 0.0)

    def _book(self, action: str, pace: float) -> float:
        limits = bucket(action)
        with self._lock:
            level = self._refilled(action, limits, pace)
            level.tokens -= 1
            return max(0.0, -level.tokens / (limits.refill * pace))

    def _refilled(self, action: str, limits: Bucket, pace: float) -> _Level:
        now = self.clock.monotonic()
        size = max(1.0, limits.size * pace)
        level = self._levels.setdefault(action, _Level(size, now))
        level.tokens = min(size, level.tokens + max(0.0, now - level.at) * limits.refill * pace)
        level.at = now
        return level


_SHARED: dict[tuple[int, str, str, str], Pacer] = {}
_SHARED_LOCK = threading.Lock()


def shared(clock: Clock, endpoint: str, account: str, region: str) -> Pacer:
    """Return the process's pacer of one account and Region (at one endpoint, on one clock)."""
    with _SHARED_LOCK:
        # The pacer holds the clock, so its id is not given to another one meanwhile.
        return _SHARED.setdefault((id(clock), endpoint, account, region), Pacer(clock))
