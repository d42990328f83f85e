"""When targets are due: intervals and cron lines in UTC, spread by jitter, missed ones made up for once at most.

Times are UTC seconds since the epoch. Targets with the same schedule are due together, so that one run sees all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Protocol

from cloudsync.adapter import Clock
from cloudsync.model.quick import dataclass
from cloudsync.settings.cron import parse
from cloudsync.settings.values import Schedule, Settings

DEFAULT = Schedule(every_s=300)
"""Where the settings say nothing."""
GRACE_S = 300.0
"""A cron line that is later than this is let go by: it may stand for a window in which changes are allowed. Intervals never are."""
JUMP_S = 2.0
"""A clock that moved by more than this against the monotonic one was set."""
Spread = Callable[[float, float], float]
"""A random number between two."""


class Trigger(Protocol):
    """When a schedule comes next."""

    def after(self, moment: float) -> float:
        """Return the first time later than a moment."""


@dataclass(frozen=True, slots=True)
class Every:
    """From a start on, every so many seconds."""

    start: float
    every_s: float

    def after(self, moment: float) -> float:
        """Return the first time later than a moment."""
        if moment < self.start:
            return self.start
        return self.start + ((moment - self.start) // self.every_s + 1) * self.every_s


class CronLine:
    """A cron line by APScheduler's trigger, which is given what crontab(5) means: its own weekdays begin on Monday, and it wants day and
    weekday both.
    """

    def __init__(self, text: str) -> None:
        from apscheduler.triggers.cron import CronTrigger

        said = parse(text)
        fields: dict[str, Any] = {"minute": _listed(said.minutes), "hour": _listed(said.hours), "month": _listed(said.months)}
        names = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
        days, weekdays = {"day": _listed(said.days)}, {"day_of_week": ",".join(names[day] for day in said.weekdays)}
        wanted = (days, weekdays) if said.either else (days | weekdays,)
        self._triggers = [CronTrigger(**fields, **one, second="0", timezone=UTC) for one in wanted]

    def after(self, moment: float) -> float:
        """Return the first time later than a moment."""
        later = datetime.fromtimestamp(int(moment) + 1, UTC)
        found = [trigger.get_next_fire_time(None, later) for trigger in self._triggers]
        return min(float(one.timestamp()) for one in found if one is not None)


def _listed(values: Iterable[int]) -> str:
    return ",".join(map(str, values))


@dataclass(slots=True)
class Line:
    """Targets that are due together. `nominal` is the next time by the schedule, `due` the same with its delay."""

    schedule: Schedule
    targets: tuple[str, ...]
    trigger: Trigger
    nominal: float
    due: float

    @property
    def interval_s(self) -> float:
        """How far the next time lies from the one after it."""
        return self.trigger.after(self.nominal) - self.nominal


@dataclass(frozen=True, slots=True)
class Missed:
    """A cron line whose time went by."""

    targets: tuple[str, ...]
    at: float


class Timetable:
    """What is due, and when the next is."""

    def __init__(self, settings: Settings, clock: Clock, spread: Spread) -> None:
        self._clock, self._spread = clock, spread
        self._offset = clock.now() - clock.monotonic()
        self.missed: list[Missed] = []
        """Taken out by whoever tells them."""
        self.jumped = 0.0
        """By how much the clock was set last, until somebody takes note."""
        self.lines = [self._line(schedule, targets) for schedule, targets in _together(settings).items()]

    def _line(self, schedule: Schedule, targets: tuple[str, ...]) -> Line:
        now = self._clock.now()
        if schedule.cron:
            trigger: Trigger = CronLine(schedule.cron)
            nominal = trigger.after(now)
        else:
            trigger, nominal = Every(now, schedule.every_s), now  # whoever starts looks at once
        return Line(schedule, targets, trigger, nominal, nominal)

    @property
    def next(self) -> float:
        """When the next target is due."""
        self._notice_jump()
        return min(line.due for line in self.lines)

    def at_once(self) -> None:
        """Make everything due that is not bound to times of its own: the policy changed, or somebody asked for it."""
        now = self._clock.now()
        for line in self.lines:
            if not line.schedule.cron:
                line.nominal, line.due = now, now
                line.trigger = Every(now, line.schedule.every_s)

    def follow(self, old: Timetable) -> None:
        """Take over the cron lines' next times, so that none is lost while the settings are read again."""
        known = {line.schedule: line for line in old.lines}
        for line in self.lines:
            before = known.get(line.schedule)
            if line.schedule.cron and before is not None:
                line.nominal, line.due = before.nominal, before.due

    def due(self) -> tuple[Line, ...]:
        """Return what is due now and set its next time. However often it was missed, it is due once."""
        self._notice_jump()
        now = self._clock.now()
        found: list[Line] = []
        for line in self.lines:
            if line.due > now:
                continue
            latest = self._latest(line, now)
            if line.schedule.cron and now - latest > GRACE_S + line.schedule.jitter_s:
                self.missed.append(Missed(line.targets, latest))
            else:
                found.append(line)
            line.nominal = line.trigger.after(now)
            line.due = line.nominal + (self._spread(0.0, line.schedule.jitter_s) if line.schedule.jitter_s else 0.0)
        return tuple(found)

    @staticmethod
    def _latest(line: Line, now: float) -> float:
        """Return the last time of a cron line that is not later than now; of an interval any that has passed."""
        latest = line.nominal
        while line.schedule.cron and (following := line.trigger.after(latest)) <= now:
            latest = following
        return latest

    def _notice_jump(self) -> None:
        """Where the clock was set back, intervals keep their distance, cron lines follow the new time; set forward, all are just late."""
        offset = self._clock.now() - self._clock.monotonic()
        jump = offset - self._offset
        if abs(jump) < JUMP_S:
            return
        self._offset, self.jumped = offset, jump
        if jump > 0:
            return
        now = self._clock.now()
        for line in self.lines:
            if line.schedule.cron:
                line.nominal = line.due = line.trigger.after(now)
            else:
                line.nominal, line.due = line.nominal + jump, line.due + jump
                line.trigger = Every(line.nominal, line.schedule.every_s)


def _together(settings: Settings) -> dict[Schedule, tuple[str, ...]]:
    found: dict[Schedule, tuple[str, ...]] = {}
    for target in settings.targets:
        schedule = settings.schedule_of(target.name) or DEFAULT
        found[schedule] = (*found.get(schedule, ()), target.name)
    return found
