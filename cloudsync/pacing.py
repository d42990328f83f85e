"""Client-side token buckets of this process, so that the platforms' own never run dry: adapters wait here before each call. PUBLIC.

All targets of a process that run on one clock and call one account share its buckets. Each call books the next free token when it asks,
so the order of asking is the order of sending and no target can starve another; waiting happens outside of the lock. Where several
processes share an account they may share the levels as well, through a `Ledger` that is kept elsewhere (`share`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import field
from typing import Protocol

from cloudsync.adapter import Clock
from cloudsync.model.bucket import BucketKey, Level, Limit, Tally
from cloudsync.model.quick import dataclass


class Ledger(Protocol):
    """Where levels are kept. Each call is atomic, and time is the keeper's own. Bookings never fail: they are for later."""

    def book(self, limit: Limit) -> float:
        """Take a token, ahead of its time if need be (the level may go below zero); return the seconds until the call may be sent."""

    def delay(self, limit: Limit) -> float:
        """Return the seconds until a token is there, without taking it."""

    def lower(self, limit: Limit, tokens: float) -> None:
        """Leave at most so many tokens; below zero, nobody calls until they have been refilled."""


@dataclass(slots=True)
class Levels:
    """The ledger of one process. Thread-safe."""

    clock: Clock
    _levels: dict[BucketKey, Level] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def book(self, limit: Limit) -> float:
        """See `Ledger`."""
        with self._lock:
            now = self.clock.monotonic()
            self._levels[limit.key], wait = self._level(limit, now).booked(limit.bucket, now)
            return wait

    def delay(self, limit: Limit) -> float:
        """See `Ledger`."""
        with self._lock:
            now = self.clock.monotonic()
            return self._level(limit, now).delay(limit.bucket, now)

    def lower(self, limit: Limit, tokens: float) -> None:
        """See `Ledger`."""
        with self._lock:
            now = self.clock.monotonic()
            self._levels[limit.key] = self._level(limit, now).lowered(limit.bucket, now, tokens)

    def _level(self, limit: Limit, now: float) -> Level:
        return self._levels.get(limit.key, Level(limit.bucket.size, now))


@dataclass(slots=True)
class Pacing:
    """Buckets on one clock, and what came of them: calls, waits, and how often the platforms said all the same that one came too fast."""

    clock: Clock
    ledger: Ledger
    _tallies: dict[BucketKey, Tally] = field(default_factory=dict)
    _told: dict[tuple[BucketKey, int], tuple[float, float]] = field(default_factory=dict)
    """When each thread asked how long it has to wait for a bucket (monotonic seconds), and what it was told: it waits with open eyes."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def delay(self, limit: Limit) -> float:
        """Return the seconds until a call may be sent, without booking it. Who is told to wait is taken to wait until it asks again."""
        wait = self.ledger.delay(limit)
        self._count(limit.key, Tally(waited_s=self._since(limit.key, wait)))
        return wait

    def take(self, limit: Limit) -> float:
        """Wait until one call may be sent; return the seconds waited."""
        wait = self.ledger.book(limit)
        self._count(limit.key, Tally(1, self._since(limit.key) + wait))
        if wait > 0:
            self.clock.sleep(wait)
        return wait

    def throttled(self, limit: Limit, wait_s: float = 0.0) -> None:
        """Empty a bucket, and for `wait_s` leave it empty: the platform has refused a call as too fast. It is counted."""
        self._count(limit.key, Tally(throttled=1))
        self.ledger.lower(limit, -wait_s * limit.bucket.refill)

    def left(self, limit: Limit, tokens: float) -> None:
        """Note how many calls the platform says are left."""
        self.ledger.lower(limit, tokens)

    def tallies(self) -> Mapping[BucketKey, Tally]:
        """Return what came of each bucket so far."""
        with self._lock:
            return dict(self._tallies)

    def _since(self, key: BucketKey, wait: float = 0.0) -> float:
        """Return how long this thread has waited since it asked last, at most what it was told; note what it is told now."""
        who, now = (key, threading.get_ident()), self.clock.monotonic()
        with self._lock:
            at, told = self._told.pop(who, (now, 0.0))
            if wait > 0:
                self._told[who] = (now, wait)
        return min(now - at, told)

    def _count(self, key: BucketKey, more: Tally) -> None:
        with self._lock:
            self._tallies[key] = self._tallies.get(key, Tally()) + more


_PACINGS: dict[int, Pacing] = {}
_SHARED: list[Ledger] = []
_LOCK = threading.Lock()


def pacing(clock: Clock) -> Pacing:
    """Return the process's buckets on a clock."""
    with _LOCK:
        # The pacing holds the clock, so its id is not given to another one meanwhile.
        known = _PACINGS.get(id(clock))
        if known is None:
            known = _PACINGS[id(clock)] = Pacing(clock, _SHARED[-1] if _SHARED else Levels(clock))
        return known


def share(ledger: Ledger | None) -> None:
    """Keep all levels in a ledger that other processes use too; with None, in this process again."""
    with _LOCK:
        _SHARED[:] = [] if ledger is None else [ledger]
        for known in _PACINGS.values():
            known.ledger = Levels(known.clock) if ledger is None else ledger
