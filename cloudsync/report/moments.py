"""Times in words for people: always UTC, and how long ago. Times are seconds since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = ((86400 * 7, "week"), (86400, "day"), (3600, "hour"), (60, "minute"))


def moment(at: float) -> str:
    """Return e.g. `2026-03-02 08:20 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def stamp(at: float) -> str:
    """Return e.g. `2026-03-02T08:20:00Z`, for machines."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def lasted(seconds: float) -> str:
    """Return a length of time in one figure, e.g. `3 days`; anything under a minute is `less than a minute`."""
    for size, unit in _UNITS:
        count = int(seconds // size)
        # Two weeks are weeks, ten days are days: a figure under two says too little.
        if count >= (2 if unit == "week" else 1):
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "less than a minute"
