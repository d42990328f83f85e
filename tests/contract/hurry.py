"""A clock for stages over servers that really run: time goes on by itself, and nobody waits."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass
class Hurry:
    """The real clock with every sleep cut out: what was slept counts as gone by."""

    slept: float = 0.0

    def now(self) -> float:
        return datetime.now(UTC).timestamp() + self.slept

    def monotonic(self) -> float:
        return time.monotonic() + self.slept

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
