"""Waiting that ends when a run is asked to stop. Adapters keep the plain clock: what they wait for is a call of theirs under way."""

from __future__ import annotations

from collections.abc import Callable

from cloudsync.adapter import Clock
from cloudsync.model.errors import AdapterError
from cloudsync.model.quick import dataclass

SLICE_S = 0.5
"""So soon a wait notices that it is to end."""


@dataclass(frozen=True, slots=True)
class Wakeful:
    """A clock whose sleep ends early when asked to stop: for an executor, which asks for itself before every write."""

    clock: Clock
    stop: Callable[[], bool]

    def now(self) -> float:
        """UTC seconds since the epoch."""
        return self.clock.now()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self.clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, in slices."""
        while seconds > 0 and not self.stop():
            self.clock.sleep(min(seconds, SLICE_S))
            seconds -= SLICE_S


class Certain(Wakeful):
    """The same for whoever concludes something from having waited: a wait that was cut short is an error, not a short wait."""

    __slots__ = ()

    def sleep(self, seconds: float) -> None:
        """Wait. Raises AdapterError when asked to stop."""
        super().sleep(seconds)
        if self.stop():
            raise AdapterError("this run", "wait", "asked to stop")
