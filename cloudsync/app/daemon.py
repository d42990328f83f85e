"""What the daemon does between its waits: which version of the config repository is in force, runs, and what is told where none is made."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import field, replace
from pathlib import Path

from cloudsync.adapter import Clock
from cloudsync.app import ledger
from cloudsync.app.reconcile import Deliver, Ran, hand_over, reconcile
from cloudsync.app.session import Start
from cloudsync.app.standing import clock_text, overdue_after
from cloudsync.app.story import retell
from cloudsync.app.versions import Version, Versions
from cloudsync.model.errors import BusyError, CloudsyncError, InputError, RefusedError, SettingsError
from cloudsync.model.exits import Exit
from cloudsync.model.finding import Finding
from cloudsync.model.quick import dataclass
from cloudsync.report.story import Story, Trouble
from cloudsync.service.loop import End, Outcome
from cloudsync.service.vitals import TargetFigures
from cloudsync.settings.values import Settings

log = logging.getLogger("cloudsync.daemon")

REPOSITORY, STATE, RUNS, ALL = "config repository", "state", "runs", "all targets"
"""What troubles concern that are no target's; with these names no target can be."""
_WORDS = {
    REPOSITORY: (
        "the newest version of the config repository cannot be used",
        "mend it and commit; `cloudsync validate` says what is wrong",
    ),
    STATE: ("the state cannot be used, so nothing is written anywhere", "do what the reason says; runs begin again by themselves"),
    RUNS: ("runs end before they have looked at every target", "the log of the daemon says more"),
    ALL: ("no run could be made for long", "see what keeps runs from beginning: the log of the daemon says it"),
}
_OVER = {
    REPOSITORY: "the newest version of the config repository is in force",
    STATE: "the state can be used again",
    RUNS: "runs go through again",
    ALL: "runs are made again",
}
IN_FORCE = "in-force"
"""The note under which the version stands that runs are made with."""


@dataclass(slots=True)
class Worker:
    """The work of `cloudsync.service.loop`. `version` is in force; `before` was, until the first run with `version` goes well."""

    root: Path
    versions: Versions
    version: Version
    clock: Clock
    deliver: Deliver
    shout: Deliver
    """The same without the state."""
    names: tuple[str, ...] = ()
    stop: Callable[[], bool] = lambda: False
    progress: Callable[[str, int, int], None] = lambda _what, _done, _of: None
    before: Version | None = None
    seen: str = ""
    """The newest version looked at, good or not."""
    resting: str = ""
    """A folder's newest stamps, until a second look finds them again."""
    troubled: dict[str, Trouble] = field(default_factory=dict)
    ran: float = 0.0
    """When a run ended last, monotonic seconds; runs that could not begin do not count."""
    noted: str = ""
    unsaid: Story | None = None
    """The alarm that reached nobody yet."""
    alarms: int = 0

    @property
    def settings(self) -> Settings:
        """Of the version in force, with the targets of this daemon."""
        found = self.version.loaded.settings
        return replace(found, targets=tuple(one for one in found.targets if not self.names or one.name in self.names))

    @property
    def troubles(self) -> Mapping[str, str]:
        """What is not as it should be, beside what runs tell of targets."""
        return {what: one.why for what, one in self.troubled.items()}

    # --- versions ----------------------------------------------------------------------------------------------------

    def look(self, *, insist: bool) -> bool:
        """Look for a new version; tell whether another one is in force now."""
        newest = self.versions.newest()
        if not newest or (newest == self.seen and not (insist and REPOSITORY in self.troubled)):
            return False
        if not self.versions.commits and not insist and newest != self.resting:
            self.resting = newest  # somebody may be writing; wait until a second look finds the same
            return False
        self.seen = newest
        try:
            found = self.versions.load(newest)
            _check(found, self.names)
        except InputError as error:
            self.broken(newest, error)
            return False
        self._well(REPOSITORY)
        if found.loaded.digest == self.version.loaded.digest and found.loaded.acknowledged == self.version.loaded.acknowledged:
            self.version = found  # a commit that touches nothing of ours
            return False
        log.info("config.changed", extra={"policy": found.words, "before": self.version.words})
        self.before, self.version = self.version, found
        return True

    def broken(self, newest: str, error: InputError) -> None:
        """Note that a version cannot be used; the one in force stays."""
        first = [str(one) for one in error.findings[:3]]
        why = f"{newest[:10]} cannot be used, {self.version.words} stays in force: {'; '.join(first)}"
        log.error("config.broken", extra={"findings": [str(one) for one in error.findings], "in_force": self.version.words})
        self._ill(REPOSITORY, why)

    # --- runs --------------------------------------------------------------------------------------------------------

    def run(self, targets: Iterable[str]) -> Outcome:
        """Make one run; what keeps it from beginning becomes a trouble that people are told of once."""
        names = tuple(targets)
        try:
            return self._run(names)
        except BusyError as error:
            log.warning("run.busy", extra={"why": error.message})
            self._overdue()
            return Outcome(End.BUSY, Exit.BUSY)
        except (RefusedError, OSError) as error:  # what the system refuses here is a file of ours: platforms have errors of their own
            self._barred(STATE, str(error))
            return Outcome(End.BARRED, Exit.REFUSED)
        except CloudsyncError as error:
            self._barred(RUNS, str(error))
            return Outcome(End.RAN, Exit.FAILED, _all(names, Exit.FAILED))
        except Exception as error:
            log.exception("run.failed")
            self._barred(RUNS, f"{type(error).__name__}: {error}; the log has the traceback")
            return Outcome(End.RAN, Exit.BUG, _all(names, Exit.BUG))

    def _run(self, names: tuple[str, ...]) -> Outcome:
        how = Start("reconcile", progress=self.progress, loaded=self.version.loaded, clock=self.clock, stop=self.stop)
        alarms = tuple(replace(one, new=False) for one in self.troubled.values() if one.target == REPOSITORY)
        try:
            ran = reconcile(self.root, names, how, self.deliver, alarms)
        except InputError as error:  # it can be read, but does not fit what is there
            if self.before is None:
                self._barred(RUNS, "; ".join(str(one) for one in error.findings[:3]))
                return Outcome(End.RAN, Exit.INVALID, _all(names, Exit.INVALID))
            broken, self.version, self.before = self.version, self.before, None
            self.broken(broken.id, error)
            known = {target.name for target in self.settings.targets}
            return self._run(tuple(name for name in names if name in known))
        self.before = None
        self.ran = self.clock.monotonic()
        self._well(STATE, RUNS, ALL)
        self._note()
        return Outcome(End.RAN, int(ran.code), tuple(_figures(ran)), ran.seconds)

    def _note(self) -> None:
        """Write down which version is in force, for a start when the newest one is broken."""
        if self.noted != self.version.id:
            with suppress(RefusedError), ledger.opened(self.root, self.version.loaded.settings) as state:
                state.records.keep(IN_FORCE, self.version.id)
                self.noted = self.version.id

    # --- troubles ----------------------------------------------------------------------------------------------------

    def _barred(self, what: str, why: str) -> None:
        log.error("run.barred", extra={"what": what, "why": why})
        self._ill(what, why)
        self._overdue()

    def _ill(self, what: str, why: str, kind: str = "failed") -> None:
        """Tell people of a trouble, once."""
        old = self.troubled.get(what)
        if old is not None and old.why == why:
            self._say()
            return
        since = self.clock.now() if old is None else old.since
        title, advice = _WORDS[what]
        self.troubled[what] = Trouble(what, kind, why, since, title=title, advice=advice)
        self._alarm(self.troubled[what])

    def _well(self, *names: str) -> None:
        over = [(what, self.troubled.pop(what)) for what in names if what in self.troubled]
        for what, old in over:
            log.info("trouble.over", extra={"what": what, "was": old.why})
        if over:
            now = self.clock.now()
            told = (Trouble(what, "recovered", f"{old.why} (since {clock_text(old.since)})", now, title=_OVER[what]) for what, old in over)
            self._alarm(*told)

    def _overdue(self) -> None:
        """Sound the dead man's alarm when nothing could even begin for long; what runs find overdue they tell themselves."""
        settings = self.settings
        limit = min(overdue_after(settings, target.name) for target in settings.targets)
        if self.clock.monotonic() - self.ran > limit and ALL not in self.troubled:
            log.error("run.overdue", extra={"seconds": round(self.clock.monotonic() - self.ran)})
            self._ill(ALL, f"no run could be made for {limit / 60:.0f} minutes", "overdue")

    def _alarm(self, *troubles: Trouble) -> None:
        """Tell people at once: with the story of the last run, or, where the state has none to give or to keep, with the trouble alone."""
        loaded, now = self.version.loaded, self.clock.now()
        bare = Story("", "run", now, loaded.settings.owner, self.version.words, None, (), (), troubles)
        self.unsaid = bare
        with suppress(CloudsyncError, OSError):
            with ledger.looked_at(self.root, loaded.settings) as state:
                told = retell(state, loaded, now) if state is not None else None
            if told is not None:
                findings = tuple(replace(one, quiet=True) for one in told.findings)
                known = tuple(replace(one, new=False) for one in told.troubles)
                self.alarms += 1
                name = f"alarm-{int(now):x}-{self.alarms}"
                whole = replace(told, run_id=name, verb="run", at=now, findings=findings, troubles=(*known, *troubles))
                self.deliver(self.root, loaded, whole)
                self.unsaid = None
        self._say()

    def _say(self) -> None:
        """Try again to tell what could not be told."""
        story = self.unsaid
        if story is not None and hand_over(self.root, self.version.loaded, story, self.shout):
            self.unsaid = None


def _all(names: Iterable[str], code: Exit) -> tuple[TargetFigures, ...]:
    return tuple(TargetFigures(name, int(code), "failed", None, 0) for name in names)


def _figures(ran: Ran) -> Iterable[TargetFigures]:
    states = {one.name: one for one in ran.story.targets}
    for target in ran.report.targets:
        counts: dict[str, int] = {}
        for one in ran.story.open:
            if one.target == target.name:
                counts[one.severity.value] = counts.get(one.severity.value, 0) + 1
        state = states[target.name]
        writes = target.applied.done if target.applied is not None else 0
        yield TargetFigures(target.name, int(target.code or 0), state.state, state.good, writes, counts)


def _check(version: Version, names: tuple[str, ...]) -> None:
    """Raise SettingsError when a version names no target that this daemon is for."""
    if not version.loaded.targets(names):
        raise SettingsError([Finding(version.loaded.settings.where, "NO-TARGETS", "no target is configured", "add one under targets:")])


@dataclass(frozen=True, slots=True)
class People:
    """How to reach them: with the state, and without."""

    deliver: Deliver
    shout: Deliver


def worker(root: Path, names: Iterable[str], clock: Clock, people: People) -> Worker:
    """Return the worker with the newest version in force; with the last good one, and an alarm, where the newest is broken.

    Raises InputError where there is no version that could be used.
    """
    versions, chosen = Versions(root), tuple(names)
    newest = versions.newest()
    try:
        version = versions.load(newest)
        _check(version, chosen)
    except InputError as error:
        last = _last_good(root, versions, newest, chosen)
        if last is None:
            raise
        made = Worker(root, versions, last, clock, people.deliver, people.shout, chosen, seen=newest, ran=clock.monotonic())
        made.broken(newest, error)
        return made
    log.info("config.read", extra={"policy": version.words, "commits": versions.commits})
    return Worker(root, versions, version, clock, people.deliver, people.shout, chosen, seen=newest, ran=clock.monotonic())


def _last_good(root: Path, versions: Versions, newest: str, names: tuple[str, ...]) -> Version | None:
    """Return the version that was in force last; where nobody noted one, the newest earlier commit that can be used."""
    for commit in versions.earlier(newest):
        found = _usable(versions, commit, names)
        if found is None:
            continue
        noted = ""
        with suppress(CloudsyncError), ledger.looked_at(root, found.loaded.settings) as state:
            noted = str(state.records.note(IN_FORCE) or "") if state is not None else ""
        return (_usable(versions, noted, names) if noted and noted != commit else None) or found
    return None


def _usable(versions: Versions, commit: str, names: tuple[str, ...]) -> Version | None:
    try:
        found = versions.load(commit)
        _check(found, names)
    except InputError:
        return None
    return found
