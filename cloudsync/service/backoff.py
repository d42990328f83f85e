"""Targets that keep failing are tried less and less often, up to a limit; the others go on as they do."""

from __future__ import annotations

from dataclasses import field

from cloudsync.model.quick import dataclass

LONGEST_S = 1800.0
"""However long a target has failed, it is tried this often."""


@dataclass(slots=True)
class Backoff:
    """Failures in a row per target, and until when (monotonic seconds) each is left alone."""

    failures: dict[str, int] = field(default_factory=dict)
    until: dict[str, float] = field(default_factory=dict)

    def ready(self, target: str, now: float) -> bool:
        """Tell whether a target may be tried."""
        return now >= self.until.get(target, now)

    def good(self, target: str) -> None:
        """Forget the failures of a target."""
        self.failures.pop(target, None)
        self.until.pop(target, None)

    def failed(self, target: str, now: float, interval_s: float) -> float:
        """Count a failure and return for how long the target is left alone: twice as long each time, at first not at all."""
        count = self.failures[target] = self.failures.get(target, 0) + 1
        skipped = min(interval_s * float(1 << (min(count, 20) - 1)), max(LONGEST_S, interval_s)) - interval_s
        # Half an interval early, so that jitter does not put the try off by one more.
        self.until[target] = now + skipped + interval_s / 2 if skipped > 0 else now
        return skipped

    def forget(self) -> None:
        """Try all again: somebody mended something."""
        self.failures.clear()
        self.until.clear()
