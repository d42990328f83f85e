"""A clock that moves only when somebody sleeps or a test says so."""

from __future__ import annotations

from collections.abc import Callable

START = 1_800_000_000.0
"""An ordinary day: 2027-01-15T08:00:00Z."""


class SimulatedClock:
    """Time as a number. `slept` lists every wait; `on_sleep` lets the world go on while somebody waits."""

    def __init__(self, now: float = START) -> None:
        self._now = now
        self._monotonic = 0.0
        self.slept: list[float] = []
        self.on_sleep: Callable[[float], None] = lambda _seconds: None

    def now(self) -> float:
        """UTC seconds since the epoch."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        assert seconds >= 0, "nobody sleeps backwards"
        self.slept.append(seconds)
        self.advance(seconds)
        self.on_sleep(seconds)

    def advance(self, seconds: float) -> None:
        """Let both times pass without anybody sleeping."""
        self._now += seconds
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back; monotonic time does not notice."""
        self._now += seconds
