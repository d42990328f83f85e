"""Client-side token buckets, one for reads and one for writes per subscription, so that Azure's own never run dry.

Resource Manager and Microsoft.Network both throttle per subscription and region; Network's own limit on writes is the one that binds
(1,000 in 5 minutes). All adapters of one process that run on one clock share the buckets here.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from cloudsync.adapter import Clock
from cloudsync_azure.limits import READS, WRITES, Bucket


@dataclass(slots=True)
class Pacer:
    """The buckets of one subscription on one clock. Thread-safe; waiting happens outside the lock, first come first served."""

    clock: Clock
    _levels: dict[bool, tuple[float, float]] = field(default_factory=dict)
    """Whether it writes -> tokens (below zero when callers have booked ahead), and when that was."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, *, write: bool, pace: float) -> float:
        """Wait until a call may be sent at `pace` (0-1] of Azure's rate; return the seconds waited."""
        bucket = WRITES if write else READS
        with self._lock:
            tokens = self._refilled(bucket, write=write, pace=pace) - 1
            self._levels[write] = tokens, self.clock.monotonic()
        wait = max(0.0, -tokens / (bucket.refill * pace))
        if wait > 0:
            self.clock.sleep(wait)
        return wait

    def drain(self, *, write: bool, pace: float) -> None:
        """Empty a bucket: Azure has said that it is, or nearly."""
        with self._lock:
            tokens = self._refilled(WRITES if write else READS, write=write, pace=pace)
            self._levels[write] = min(tokens, 0.0), self.clock.monotonic()

    def _refilled(self, bucket: Bucket, *, write: bool, pace: float) -> float:
        now, size = self.clock.monotonic(), max(1.0, bucket.size * pace)
        tokens, at = self._levels.get(write, (size, now))
        return min(size, tokens + max(0.0, now - at) * bucket.refill * pace)


_SHARED: dict[tuple[int, str, str], Pacer] = {}
_SHARED_LOCK = threading.Lock()


def shared(clock: Clock, base: str, subscription: str) -> Pacer:
    """Return the process's pacer of one subscription (at one endpoint, on one clock)."""
    with _SHARED_LOCK:
        # The pacer holds the clock, so its id is not given to another one meanwhile.
        return _SHARED.setdefault((id(clock), base, subscription), Pacer(clock))
