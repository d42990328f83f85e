"""A clock for stages over servers that really run: time goes on by itself, and nobody waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


def _nothing(_seconds: float) -> None:
    return None


@dataclass
class Hurry:
    """The real clock with every sleep cut out: what was slept counts as gone by. `told` lets a simulated platform's clock go along."""

    slept: float = 0.0
    told: Callable[[float], object] = _nothing

    def now(self) -> float:
        return datetime.now(UTC).timestamp() + self.slept

    def monotonic(self) -> float:
        return time.monotonic() + self.slept

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.told(seconds)
