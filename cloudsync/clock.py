"""The real clock. Everything else takes a Clock, so that a test can own time."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from cloudsync.model.errors import RefusedError

EARLIEST = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
"""Before this program existed: a clock that shows less is wrong, and leases, expiries and reports with it."""


class SystemClock:
    """The machine's time."""

    def now(self) -> float:
        """UTC seconds since the epoch."""
        return datetime.now(UTC).timestamp()

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean something."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def check_clock(now: float) -> None:
    """Raise RefusedError PRE-CLOCK when the time cannot be true. `now`: UTC seconds since the epoch."""
    if now < EARLIEST:
        shown = datetime.fromtimestamp(max(now, 0.0), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        raise RefusedError("PRE-CLOCK", f"the clock shows {shown}, before the build date", "set the clock, e.g. start the NTP client")


def day_of(at: float) -> str:
    """Return the UTC day of a time (seconds since the epoch), e.g. `2026-03-02`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
