"""How targets stand after a run, and what is news about that: refused, failed, recovered, overdue. Decides from values alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from cloudsync.model.quick import dataclass
from cloudsync.model.target import TargetSettings
from cloudsync.report.story import Deed, State, TargetState, Tracked, Trouble
from cloudsync.report.values import TargetReport
from cloudsync.settings.values import Settings
from cloudsync.store.findings import HealthRow

WRITING = frozenset({"apply", "reconcile", "rollback", "release"})
"""Verbs whose runs act on what they find; others only look, and take nothing back that such a run said."""
MISSED = 6
"""A target is overdue when so many intervals passed without a good run."""
UNSCHEDULED_S = 86400.0
"""The same without an interval to count by."""
BAD = ("refused", "failed")


@dataclass(frozen=True, slots=True)
class Standing:
    """How every target of the settings stands, what is to be recorded of it, and what is news."""

    rows: tuple[HealthRow, ...]
    states: tuple[TargetState, ...]
    troubles: tuple[Trouble, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to at one target. `good`: it was read whole, and nothing that was to be done is left undone."""

    state: str
    good: bool
    why: str = ""
    codes: tuple[str, ...] = ()
    approve: str = ""
    applied: bool = False
    neutral: bool = False
    """It was asked to stop: neither good nor bad."""


@dataclass(frozen=True, slots=True)
class Run:
    """Which run it was. `read`: when it began to read; UTC seconds since the epoch."""

    id: str
    verb: str
    read: float
    at: float


def standing(
    settings: Settings, reports: Iterable[TargetReport], told: Iterable[Tracked], health: Mapping[str, HealthRow], run: Run
) -> Standing:
    """Return how all targets stand; those that this run left out stand as they did, overdue perhaps."""
    by_name = {one.name: one for one in reports}
    findings = tuple(told)
    rows: list[HealthRow] = []
    states: list[TargetState] = []
    troubles: list[Trouble] = []
    for target in settings.targets:
        old, report = health.get(target.name), by_name.get(target.name)
        row = old
        if report is not None:
            outcome = judged(report, [one for one in findings if one.target == target.name], run.verb)
            wrote = report.applied is not None and report.applied.done > 0
            # After its writes a run has read again: nobody who looked meanwhile knows better.
            row = _row(target, old, outcome, replace(run, read=run.at) if wrote else run)
            troubles += _troubles(old, row, outcome, run)
        if row is not None:
            row, late = _overdue(row, overdue_after(settings, target.name), run.at)
            troubles += late
            if row != old:
                rows.append(row)
        states.append(state_of(target, row))
    return Standing(tuple(rows), tuple(states), tuple(troubles))


def state_of(target: TargetSettings, row: HealthRow | None) -> TargetState:
    """Return how a target stands, from its record."""
    if row is None:
        return TargetState(target.name, target.adapter, target.mode.value, "never run", None)
    return TargetState(target.name, target.adapter, target.mode.value, row.state, row.good, row.why)


def overdue_after(settings: Settings, target: str = "") -> float:
    """Return after how many seconds without a good run a target is overdue; a cron line has no interval to count by.

    Without a target: by the schedule of all that have none of their own.
    """
    schedule = settings.schedule_of(target)
    return float(schedule.every_s * MISSED) if schedule is not None and schedule.every_s else UNSCHEDULED_S


def judged(report: TargetReport, findings: Iterable[Tracked], verb: str) -> Outcome:
    """Return what a run came to at one target."""
    acts = verb in WRITING
    applied = report.applied if acts else None
    unread = [one for one in report.unchecked if one.what.startswith("scope ")]
    if report.refused:
        return Outcome("refused", good=False, why=report.refused, codes=(report.refused.partition(" ")[0],))
    if report.error:
        return Outcome("failed", good=False, why=report.error)
    if acts and report.refusals:
        first = report.refusals[0]
        more = len(report.refusals) - 1
        why = f"{first.guard}: {first.message}" + (f" (and {more} more)" if more else "")
        approve = next((one.approve for one in report.refusals if one.approve), "")
        return Outcome("refused", good=False, why=why, codes=tuple(sorted({one.guard for one in report.refusals})), approve=approve)
    if applied is not None and applied.status == "stopped":
        return Outcome("drift", good=False, why=applied.message, neutral=True)
    if applied is not None and applied.status not in ("done", "nothing"):
        return Outcome("failed", good=False, why=f"{applied.status}: {applied.message}")
    if acts and report.remaining:
        return Outcome("failed", good=False, why=f"applied, but {len(report.remaining)} differences remain")
    if unread:
        return Outcome("failed", good=False, why=f"{unread[0].what}: {unread[0].why}")
    still = any(one.state in (State.NEW, State.CHANGED, State.ONGOING) and one.deed is not Deed.RESTORED for one in findings)
    changed = applied is not None and applied.done > 0
    return Outcome("drift" if still else "changed" if changed else "in sync", good=True, applied=applied is not None)


def _row(target: TargetSettings, old: HealthRow | None, outcome: Outcome, run: Run) -> HealthRow:
    fresh = HealthRow(
        target.name, target.adapter, target.mode.value, outcome.state, run.at, read=run.read, first=run.at, run=run.id, verb=run.verb
    )
    if old is None:
        good, applied = (run.at if outcome.good else None), (run.at if outcome.applied else None)
        return replace(fresh, good=good, applied=applied, why=outcome.why, codes=outcome.codes, approve=outcome.approve)
    looked = replace(old, platform=target.adapter, mode=target.mode.value, read=run.read)
    sticks = old.state in BAD and old.verb in WRITING and run.verb not in WRITING
    if sticks or outcome.neutral:
        return looked  # looking, or being stopped, takes nothing back
    since = old.since if old.state == outcome.state else run.at
    good = run.at if outcome.good else old.good
    applied = run.at if outcome.applied else old.applied
    overdue = old.overdue and not outcome.good
    fresh = replace(fresh, first=old.first, why=outcome.why, codes=outcome.codes, approve=outcome.approve)
    return replace(fresh, since=since, good=good, applied=applied, overdue=overdue)


def _troubles(old: HealthRow | None, row: HealthRow, outcome: Outcome, run: Run) -> Iterator[Trouble]:
    if row.state in BAD:
        same = old is not None and old.state == row.state and old.codes == row.codes
        yield Trouble(row.target, row.state, row.why, row.since, new=not same, approve=row.approve)
    elif old is not None and outcome.good and (old.state in BAD or old.overdue):
        was = f"was {old.state} since {clock_text(old.since)}: {old.why}" if old.state in BAD else "runs are good again"
        yield Trouble(row.target, "recovered", was, run.at)


def _overdue(row: HealthRow, limit: float, at: float) -> tuple[HealthRow, tuple[Trouble, ...]]:
    last = row.good if row.good is not None else row.since
    if at - last <= limit:
        return row, ()
    why = f"no good run since {clock_text(row.good)}" if row.good is not None else f"no good run yet, first tried {clock_text(row.since)}"
    return replace(row, overdue=True), (Trouble(row.target, "overdue", why, last, new=not row.overdue),)


def clock_text(at: float) -> str:
    """Return a time for people, UTC to the minute."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%MZ")
