"""How everything stands, from the records alone: targets, open findings, holds, who writes now, when the next run is due."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from socket import gethostname

from cloudsync.app import ledger
from cloudsync.app.repository import Loaded, load, policy_name
from cloudsync.app.standing import overdue_after, state_of
from cloudsync.app.story import OPEN, head, recalled
from cloudsync.clock import SystemClock, day_of
from cloudsync.fleet.standing import FleetStanding, standing
from cloudsync.model.errors import InputError
from cloudsync.model.exits import Exit, worst
from cloudsync.model.quick import dataclass
from cloudsync.proof.drift import Severity
from cloudsync.report.story import State, TargetState
from cloudsync.settings.values import Schedule, Settings
from cloudsync.store.findings import HealthRow
from cloudsync.store.history import WriterRow
from cloudsync.store.limits import LimitRow
from cloudsync.store.place import Server
from cloudsync.store.records import EVERY_TARGET, Hold, RunRecord
from cloudsync.store.state import State as Store


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """How one target stands. Times are UTC seconds since the epoch, None where there is none."""

    standing: TargetState
    since: float | None
    """Since when it stands so."""
    read: float | None
    """When it was looked at last."""
    overdue: bool
    findings: dict[str, int]
    """Open findings by severity, worst first; what is acknowledged is not among them."""
    acknowledged: int
    hold: Hold | None
    due: float | None
    """When the next run is due by its schedule."""
    code: Exit


@dataclass(frozen=True, slots=True)
class Status:
    """Everything at once. `policy`: what stands in the folder now; `broken`: why it cannot be used."""

    now: float
    owner: str
    policy: str
    broken: str
    targets: tuple[TargetStatus, ...]
    writer: WriterRow | None
    """Who is at work now."""
    last: RunRecord | None
    """The last run that could write."""
    audit_head: str
    code: Exit
    fleet: FleetStanding | None = None
    """Workers and queue, where several machines share the work."""
    limits: tuple[LimitRow, ...] = ()
    """What the platforms' limits did to the runs of this day (UTC)."""


def status(root: Path) -> Status:
    """Return how everything stands. Nothing is contacted, and nothing is written. Raises InputError for broken settings alone."""
    settings = ledger.read_settings(root)
    loaded, broken = _policy(root)
    now = SystemClock().now()
    with ledger.looked_at(root, settings) as state:
        targets = _targets(settings, state, now)
        writer = at_work(state.history.writer(), now) if state is not None else None
        writers = (one for one in state.records.runs(1000) if one.generation) if state is not None else iter(())
        last = next(writers, None)
        audit = head(state) if state is not None else ""
        limits = state.limits.of(day_of(now)) if state is not None else ()
    place = ledger.where(root, settings)
    fleet = standing(place) if isinstance(place, Server) and state is not None else None
    codes = [one.code for one in targets] + ([Exit.REFUSED] if broken else [])
    policy = policy_name(loaded) if loaded is not None else ""
    return Status(now, settings.owner, policy, broken, targets, writer, last, audit, worst(codes), fleet, limits)


def _policy(root: Path) -> tuple[Loaded | None, str]:
    try:
        return load(root), ""
    except InputError as error:
        return None, f"{error.findings[0]} (cloudsync validate lists all)"


def _targets(settings: Settings, state: Store | None, now: float) -> tuple[TargetStatus, ...]:
    health = {one.target: one for one in state.findings.health()} if state is not None else {}
    known = list(recalled(state.findings.findings(ended=False)).values()) if state is not None else []
    holds = {one.target: one for one in state.records.holds()} if state is not None else {}
    found: list[TargetStatus] = []
    for target in settings.targets:
        row = health.get(target.name)
        mine = [one.tracked for one in known if one.tracked.target == target.name]
        loud = [one for one in mine if one.state in OPEN]
        counts = {grade.value: sum(one.severity is grade for one in loud) for grade in Severity}
        hold = holds.get(target.name) or holds.get(EVERY_TARGET)
        late = row is not None and _late(row, settings, now)
        found.append(
            TargetStatus(
                standing=state_of(target, row),
                since=row.since if row is not None else None,
                read=row.read if row is not None else None,
                overdue=late,
                findings={name: count for name, count in counts.items() if count},
                acknowledged=sum(one.state is State.ACKNOWLEDGED for one in mine),
                hold=hold,
                due=_due(settings.schedule_of(target.name), row),
                code=_code(row, open_findings=bool(loud), held=hold is not None, late=late),
            )
        )
    return tuple(found)


def _late(row: HealthRow, settings: Settings, now: float) -> bool:
    return row.overdue or now - (row.good if row.good is not None else row.since) > overdue_after(settings, row.target)


def _code(row: HealthRow | None, *, open_findings: bool, held: bool, late: bool) -> Exit:
    """Return what a target comes to: a refusal needs a person, so it goes before a failure; nothing known is no good news."""
    if held or (row is not None and row.state == "refused"):
        return Exit.REFUSED
    if row is None or late or row.state == "failed":
        return Exit.FAILED
    return Exit.CHANGES if open_findings or row.state == "drift" else Exit.OK


def _due(schedule: Schedule | None, row: HealthRow | None) -> float | None:
    """Return when the next run is due, counted from the last reading; None without a schedule or a reading."""
    if schedule is None or row is None:
        return None
    if schedule.every_s:
        return row.read + schedule.every_s
    from cloudsync.service.timetable import CronLine  # with the daemon's own libraries, which other verbs do not need

    return CronLine(schedule.cron).after(row.read)


def at_work(writer: WriterRow | None, now: float) -> WriterRow | None:
    """Return who writes now; a lease that its holder did not give back counts only while the holder lives, as far as can be told."""
    if writer is None or not writer.expires:
        return None
    if writer.host != gethostname():
        return writer if writer.expires > now else None
    try:
        os.kill(writer.pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return writer  # somebody else's, but there
    return writer


def said(counts: dict[str, int], words: Iterable[str] = ()) -> str:
    """Return counts in words, e.g. `1 critical, 2 high`."""
    return ", ".join((*(f"{count} {name}" for name, count in counts.items()), *words))
