"""What the platforms' limits did to a run, kept for `status`: only where calls had to wait or were refused as too fast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from cloudsync.adapter import Clock
from cloudsync.clock import day_of
from cloudsync.model.bucket import BucketKey, Tally
from cloudsync.model.errors import BusyError, RefusedError
from cloudsync.pacing import pacing
from cloudsync.store.state import State

LEAST_S = 0.5
"""Waits of less in a whole run nobody needs to be told of."""
KEPT_S = 30 * 86400.0


@contextmanager
def noted(state: State, clock: Clock) -> Iterator[None]:
    """Write down what comes of calls during the block, however it ends; it gives way when the state is busy or full."""
    before = pacing(clock).tallies()
    try:
        yield
    finally:
        more = _since(before, pacing(clock).tallies())
        if more:
            with suppress(BusyError, RefusedError):
                state.limits.add(day_of(clock.now()), day_of(clock.now() - KEPT_S), more)


def _since(before: Mapping[BucketKey, Tally], after: Mapping[BucketKey, Tally]) -> dict[tuple[str, str], Tally]:
    found: dict[tuple[str, str], Tally] = {}
    for key, tally in after.items():
        name = (key.platform, key.api_class)
        found[name] = found.get(name, Tally()) + (tally - before.get(key, Tally()))
    return {name: one for name, one in found.items() if one.waited_s >= LEAST_S or one.throttled}
