"""Token buckets and windows as vendors publish them. Off until they are switched on."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..clock import LabClock


@dataclass(frozen=True, slots=True)
class Size:
    """How many calls at once, and how many more per second."""

    capacity: float
    refill: float


@dataclass(slots=True)
class Buckets:
    """Buckets by key, made full when first asked for."""

    clock: LabClock
    enabled: bool = False
    scale: float = 1.0
    """Capacity and refill times this."""
    _levels: dict[tuple[str, ...], tuple[float, float]] = field(default_factory=dict)

    def take(self, key: tuple[str, ...], size: Size) -> float | None:
        """Take a token: None when there was one, else the seconds until there is."""
        if not self.enabled:
            return None
        now = self.clock.now()
        most, refill = size.capacity * self.scale, size.refill * self.scale
        level, then = self._levels.get(key, (most, now))
        level = min(most, level + (now - then) * refill)
        if level < 1:
            self._levels[key] = (level, now)
            return (1 - level) / refill
        self._levels[key] = (level - 1, now)
        return None

    def level(self, key: tuple[str, ...], size: Size) -> int:
        """Whole tokens left."""
        now = self.clock.now()
        level, then = self._levels.get(key, (size.capacity * self.scale, now))
        return int(min(size.capacity * self.scale, level + (now - then) * size.refill * self.scale))

    def refill(self) -> None:
        """Fill all."""
        self._levels.clear()
