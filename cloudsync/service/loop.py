"""The daemon's loop: look at the config repository, make a run of what is due, wait. One thread, one run at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import Enum
from typing import Protocol

from cloudsync.adapter import Clock
from cloudsync.model.inert import inert
from cloudsync.model.quick import dataclass
from cloudsync.service.backoff import Backoff
from cloudsync.service.notify import Notify
from cloudsync.service.stopping import Stop
from cloudsync.service.timetable import Line, Spread, Timetable
from cloudsync.service.vitals import TargetFigures, Vitals
from cloudsync.settings.values import Settings

log = logging.getLogger("cloudsync.service")

LOOK_S = 30.0
"""How often the config repository is looked at, besides before every run."""
AGAIN_S, LATER_S = 15.0, 60.0
"""After so long a run is tried again that could not begin: the first time, and from then on."""
TICK_S = 0.5
FAILING = (1, 3, 5)
"""Exit codes of a target that is put off when they repeat: a bug, a policy that does not fit what is there, a platform."""


class End(Enum):
    """How a run ended, as far as the schedule minds."""

    RAN = "ran"
    BUSY = "busy"
    """Somebody else holds the lock: nothing was looked at."""
    BARRED = "barred"
    """The state, the clock or the input forbade it: nothing was looked at."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run."""

    end: End
    code: int
    targets: tuple[TargetFigures, ...] = ()
    seconds: float = 0.0


class Work(Protocol):
    """What is done, by those who know how."""

    @property
    def settings(self) -> Settings:
        """Of the version in force, with the targets of this daemon."""

    @property
    def troubles(self) -> Mapping[str, str]:
        """What keeps the newest version, the state or a target from being as it should, in words."""

    def look(self, *, insist: bool) -> bool:
        """Look for a new version of the config repository; tell whether another one is in force now. `insist`: somebody asked."""

    def run(self, targets: Iterable[str]) -> Outcome:
        """Make one run. Never raises what a run may meet."""


@dataclass(slots=True)
class Daemon:
    """The loop's parts."""

    work: Work
    clock: Clock
    stop: Stop
    vitals: Vitals
    notify: Notify
    spread: Spread
    look_s: float = LOOK_S
    backoff: Backoff = field(default_factory=Backoff)
    again: dict[str, float] = field(default_factory=dict)
    """Targets to try again, and when (monotonic seconds)."""
    barred: int = 0
    """Runs in a row that could not begin."""
    _told: float = float("-inf")

    def serve(self) -> None:
        """Go on until asked to stop."""
        table = Timetable(self.work.settings, self.clock, self.spread)
        looked = self.clock.monotonic()
        self.notify("READY=1", "STATUS=the first run begins")
        while not self.stop():
            self.pulse()
            late = self.clock.monotonic() - looked >= self.look_s
            if late or self.stop.reload or table.next <= self.clock.now():
                table, looked = self._look(table), self.clock.monotonic()
            self._run(self._due(table))
            self._pause(table, looked + self.look_s)
        self.notify("STOPPING=1", "STATUS=stopping")

    def pulse(self) -> None:
        """Show a sign of life, to whoever asks and to the service manager."""
        self.vitals.pulse()
        now = self.clock.monotonic()
        if self.notify.watchdog_s and now - self._told >= self.notify.watchdog_s / 4:
            self._told = now
            self.notify("WATCHDOG=1")

    def asked(self) -> bool:
        """Tell a run whether to stop; whoever asks is alive."""
        self.pulse()
        return self.stop()

    # --- the config repository ---------------------------------------------------------------------------------------

    def _look(self, table: Timetable) -> Timetable:
        """Return the timetable of the version in force, a new one when it is another."""
        insist, self.stop.reload = self.stop.reload, False
        if insist:
            self.notify("RELOADING=1", f"MONOTONIC_USEC={int(self.clock.monotonic() * 1e6)}")
        changed = self.work.look(insist=insist)
        if changed:
            old = {name for line in table.lines for name in line.targets}
            newer = Timetable(self.work.settings, self.clock, self.spread)
            newer.follow(table)
            for name in old - {target.name for target in self.work.settings.targets}:
                self.vitals.figures.forget(name)
                self.again.pop(name, None)
            table = newer
        elif insist:
            table.at_once()
        if changed or insist:
            self.backoff.forget()
        self._show()
        if insist:
            self.notify("READY=1")
        return table

    # --- runs --------------------------------------------------------------------------------------------------------

    def _due(self, table: Timetable) -> dict[str, float]:
        """Return the targets to run now, with how long until they are due again."""
        found: dict[str, float] = {}
        lines = table.due()
        if table.jumped:
            log.warning("clock.jumped", extra={"seconds": round(table.jumped, 1)})
            table.jumped = 0.0
        for one in table.missed:
            self.vitals.figures.missed.inc()
            log.warning("schedule.missed", extra={"targets": list(one.targets), "at": one.at})
        table.missed.clear()
        now = self.clock.monotonic()
        for line in lines:
            found |= {name: line.interval_s for name in line.targets if self.backoff.ready(name, now)}
        late = [name for name, at in self.again.items() if now >= at]
        found |= {name: _interval(table.lines, name) for name in late if name not in found}
        return found

    def _run(self, ready: Mapping[str, float]) -> None:
        for name in ready:
            self.again.pop(name, None)
        if not ready:
            return
        outcome = self.work.run(sorted(ready))
        now = self.clock.monotonic()
        if outcome.end is End.RAN:
            self.barred = 0
            self.vitals.started = True
            self.vitals.figures.ran(outcome.code, outcome.targets, seconds=outcome.seconds, at=self.clock.now())
            for one in outcome.targets:
                self._count(one, now, ready.get(one.name, 0.0))
        else:
            self.vitals.figures.runs.labels(str(outcome.code)).inc()
            # Tried again soon, for nothing was asked of any platform.
            soon = AGAIN_S if not self.barred else LATER_S
            self.again |= {name: now + min(soon, interval) for name, interval in ready.items()}
            self.barred += 1
        self._show()

    def _count(self, one: TargetFigures, now: float, interval_s: float) -> None:
        """Failures and bugs put a target off; a refusal waits for a person and costs no more than a run with nothing to do."""
        if one.code in FAILING:
            skipped = self.backoff.failed(one.name, now, interval_s)
            if skipped:
                log.warning("target.backoff", extra={"target": one.name, "seconds": round(skipped + interval_s)})
        else:
            self.backoff.good(one.name)
        self.vitals.figures.failures.labels(one.name).set(self.backoff.failures.get(one.name, 0))

    def _show(self) -> None:
        troubles = dict(self.work.troubles)
        self.vitals.troubles = troubles
        self.vitals.figures.config.set(0 if "config repository" in troubles else 1)
        self.vitals.figures.state.set(0 if "state" in troubles else 1)
        words = "; ".join(f"{what}: {why}" for what, why in sorted(troubles.items())) or "all is well"
        self.notify("STATUS=" + inert(words)[:400])

    def _pause(self, table: Timetable, look: float) -> None:
        """Wait until something is due; signals are noticed within a tick."""
        while not self.stop() and not self.stop.reload:
            now = self.clock.monotonic()
            left = min(table.next - self.clock.now(), look - now, *(at - now for at in self.again.values()))
            if left <= 0:
                return
            self.pulse()
            self.clock.sleep(min(left, TICK_S))


def _interval(lines: Iterable[Line], name: str) -> float:
    return next((line.interval_s for line in lines if name in line.targets), 0.0)
