"""Cron lines: five fields of digits, `*`, `/`, `,` and `-`, in UTC, with the meaning that crontab(5) gives them."""

from __future__ import annotations

from cloudsync.model.quick import dataclass

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_DAYS = {1: 31, 2: 29, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}


@dataclass(frozen=True, slots=True)
class Cron:
    """The values of each field, sorted; weekdays with Sunday = 0 alone.

    `either`: day and weekday are both restricted, and then a day that meets one of them is enough (crontab(5)).
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    either: bool


def parse(text: str) -> Cron:
    """Return what a line says. Raises ValueError with what is wrong, a line that never comes included."""
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"{len(parts)} fields, want {len(_FIELDS)}")
    found = [_field(part, *limits) for part, limits in zip(parts, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = found
    weekdays = tuple(sorted({day % 7 for day in weekdays}))
    # As crontab(5) has it: a field that begins with a star is not restricted, `*/2` included.
    either = not parts[2].startswith("*") and not parts[4].startswith("*")
    if not either and min(days) > max(_DAYS[month] for month in months):
        raise ValueError(f"there is no day {min(days)} in these months")
    return Cron(minutes, hours, days, months, weekdays, either)


def _field(text: str, name: str, least: int, most: int) -> tuple[int, ...]:
    found: set[int] = set()
    for item in text.split(","):
        span, slash, step = item.partition("/")
        first, dash, last = span.partition("-")
        try:
            every = int(step) if slash else 1
            low, high = (least, most) if span == "*" else (int(first), int(last if dash else first))
        except ValueError:
            raise ValueError(f"{name} '{item}' is no number, range or step") from None
        if slash and span != "*" and not dash:
            raise ValueError(f"{name} '{item}': a step needs a range, e.g. {first}-{most}/{step}")
        if not (least <= low <= high <= most and 1 <= every <= most):
            raise ValueError(f"{name} '{item}' is not within {least}-{most}")
        found.update(range(low, high + 1, every))
    return tuple(sorted(found))
