"""Token buckets as values: how many calls a platform takes at once and per second, and what that means for calls that are still to come.

State and time go in, a wait comes out: no clock, no lock. `cloudsync.pacing` holds the levels of a process.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

from cloudsync.model.errors import AdapterError
from cloudsync.model.quick import dataclass

SLACK_S = 0.5
"""By so much, in seconds, one call may reach the platform sooner after it was sent than an earlier one did (a connection that had to be
opened first): what refills in that time is never drawn upon, or two calls sent in time would arrive in the same instant."""

_NOTHING = 1e-9
"""What sums of times are wrong by: a wait for less would never end."""


@dataclass(frozen=True, slots=True, order=True)
class BucketKey:
    """Whose bucket: calls of one class of one account in one region draw from it, whichever target or process they come from."""

    platform: str
    account: str
    region: str
    api_class: str
    """What the platform counts together: one action at EC2, all writes at Azure and Google."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket: `size` calls at once, `refill` calls a second after that."""

    size: float
    refill: float

    def __post_init__(self) -> None:
        if not (self.size >= 1 and self.refill > 0):
            raise ValueError(f"bucket of {self.size:g} refilled at {self.refill:g}/s: want a size of at least 1 and a refill above 0")

    def paced(self, pace: float) -> Bucket:
        """Return the share of it that we allow ourselves: `pace` (0-1] of both, less what SLACK_S keeps back."""
        refill = self.refill * pace
        return Bucket(max(1.0, self.size * pace - refill * SLACK_S), refill)


@dataclass(frozen=True, slots=True)
class Level:
    """Tokens in a bucket at a moment of a clock that never goes back; below zero when calls have been booked ahead."""

    tokens: float
    at: float

    def refilled(self, bucket: Bucket, now: float) -> Level:
        """Return the level at a later moment."""
        return Level(min(bucket.size, self.tokens + max(0.0, now - self.at) * bucket.refill), now)

    def booked(self, bucket: Bucket, now: float) -> tuple[Level, float]:
        """Take a token, ahead of its time if need be; return the level then and the seconds until the call may be sent."""
        level = self.refilled(bucket, now)
        tokens = level.tokens - 1
        return Level(tokens, now), max(0.0, -tokens / bucket.refill)

    def delay(self, bucket: Bucket, now: float) -> float:
        """Return the seconds until a token is there, without taking it."""
        missing = 1 - self.refilled(bucket, now).tokens
        return missing / bucket.refill if missing > _NOTHING else 0.0

    def lowered(self, bucket: Bucket, now: float, tokens: float) -> Level:
        """Return the level with at most so many tokens in it: the platform has said how many there are."""
        return Level(min(self.refilled(bucket, now).tokens, tokens), now)


@dataclass(frozen=True, slots=True)
class Tally:
    """What calls that draw from a bucket came to.

    `waited_s`: seconds that they waited for their tokens; `throttled`: how often the platform said all the same that one came too fast.
    """

    calls: int = 0
    waited_s: float = 0.0
    throttled: int = 0

    def __add__(self, other: Tally) -> Tally:
        """Return both together."""
        return Tally(self.calls + other.calls, self.waited_s + other.waited_s, self.throttled + other.throttled)

    def __sub__(self, earlier: Tally) -> Tally:
        """Return what came since an earlier count."""
        return Tally(self.calls - earlier.calls, self.waited_s - earlier.waited_s, self.throttled - earlier.throttled)


@dataclass(frozen=True, slots=True)
class Limit:
    """A bucket and whose it is, at the pace of a target."""

    key: BucketKey
    bucket: Bucket


Step = Any
"""`cloudsync.adapter.Step`, which stands above this module."""


@runtime_checkable
class Paced(Protocol):
    """An adapter that says which bucket each write draws from. It waits for that bucket itself; who asks before waits with open eyes."""

    def limit(self, step: Step) -> Limit | None:
        """Return the limit of a step's call at this target; None where the platform has none. Pure."""

    def delay(self, step: Step) -> float:
        """Return the seconds until a step's call may be sent under its limit, without booking it."""


def delay(adapter: object, step: Step) -> float:
    """Return the seconds until a step's call may be sent: to be waited while nothing is promised yet."""
    return 0.0 if limit_of(adapter, step) is None or not isinstance(adapter, Paced) else adapter.delay(step)


def limit_of(adapter: object, step: Step) -> Limit | None:
    """Return the limit of a step; None where the adapter knows none, or where the step is none of its own."""
    if not isinstance(adapter, Paced):
        return None
    try:
        return adapter.limit(step)
    except AdapterError:
        return None


def seconds(stages: Iterable[Iterable[Limit | None]]) -> float:
    """Return how long calls take at least at their limits, from full buckets: those of one stage side by side, stage after stage.

    Time on the wire and waits between stages are not in it.
    """
    now = 0.0
    levels: dict[BucketKey, Level] = {}
    for stage in stages:
        end = now
        for limit in stage:
            if limit is not None:
                level, wait = levels.get(limit.key, Level(limit.bucket.size, now)).booked(limit.bucket, now)
                levels[limit.key] = level
                end = max(end, now + wait)
        now = end
    return now


def behind(limits: Iterable[Limit | None]) -> tuple[float, ...]:
    """Return, for each of some calls that are sent one after the other, how long those behind it still wait at least; from full buckets."""
    now = 0.0
    levels: dict[BucketKey, Level] = {}
    sent: list[float] = []
    for limit in limits:
        if limit is not None:
            levels[limit.key], wait = levels.get(limit.key, Level(limit.bucket.size, 0.0)).booked(limit.bucket, now)
            now += wait
        sent.append(now)
    return tuple(now - at for at in sent)


def about(duration_s: float) -> str:
    """Return a duration for people: `about 40 s`, `about 4 min`; empty below five seconds, which nobody needs to be told."""
    if duration_s < 5:
        return ""
    if duration_s < 90:
        return f"about {5 * round(duration_s / 5)} s"
    if duration_s < 5400:
        return f"about {round(duration_s / 60)} min"
    return f"about {duration_s / 3600:.1f} h"


def countdown(duration_s: float) -> str:
    """Return for people what is left of a duration, as `about 2 min 10 s`; empty below five seconds."""
    if duration_s < 90:
        return about(duration_s)
    if duration_s < 3600:
        minutes, tens = divmod(round(duration_s / 10), 6)
        return f"about {minutes} min" + (f" {10 * tens} s" if tens else "")
    hours, minutes = divmod(round(duration_s / 60), 60)
    return f"about {hours} h {minutes} min"
