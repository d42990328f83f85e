"""One unattended run: recover, plan, guard, apply, tell, deliver. It asks nobody and prints nothing; what happened is logged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from cloudsync import logs
from cloudsync.app import session
from cloudsync.app.grades import converged, graded
from cloudsync.app.repository import Loaded
from cloudsync.app.session import Session, Start
from cloudsync.app.story import tell
from cloudsync.model.errors import CloudsyncError
from cloudsync.model.exits import Exit
from cloudsync.model.quick import dataclass
from cloudsync.plan.journal import OpState
from cloudsync.report.story import State, Story, Trouble
from cloudsync.report.values import RunReport

log = logging.getLogger("cloudsync.reconcile")

Deliver = Callable[[Path, Loaded, Story], None]
"""Brings a story to people; what cannot be sent now waits in the spool."""
TOLD = "told-writes"
"""The note under which the last run stands that wrote something and told of it."""
RUNS_BACK = 10
Said = tuple[int, str, dict[str, Any]]
"""Level, event and fields of a line of log."""
_EVENTS = {State.NEW: "finding.new", State.CHANGED: "finding.changed", State.RESOLVED: "finding.resolved"}


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that came to its end."""

    code: Exit
    report: RunReport
    story: Story
    seconds: float


def reconcile(root: Path, names: Iterable[str], how: Start, deliver: Deliver, alarms: Iterable[Trouble] = ()) -> Ran:
    """Make one run. Raises InputError before anything is contacted, RefusedError and BusyError before anything is written.

    `alarms`: what else people have to be told, whatever the run finds.
    """
    how = replace(how, verb="reconcile", writer=True)
    with session.begin(root, names, how) as run, logs.running(run.run_id), how.guard(run):
        began = run.clock.monotonic()
        run.recover()
        alarms = (*alarms, *_untold(run))
        found = run.plan("reconcile")
        how.check(run, found)
        code, report = graded(run.apply(found), converged)
        run.finish(code, report)
        story = tell(run, found, report)
        story = replace(story, troubles=(*story.troubles, *alarms))
        if _writes(report):
            for name in _told_at(run):
                run.state.records.keep(name, run.run_id)
        loaded = run.loaded
        ran = Ran(code, report, story, run.clock.monotonic() - began)
        for level, event, fields in lines(ran):
            log.log(level, event, extra=fields)
    with logs.running(story.run_id):
        hand_over(root, loaded, story, deliver)
    return ran


def _untold(run: Session) -> Iterator[Trouble]:
    """Yield what has to be said when the last run that wrote was cut before it could tell: what it put right is not there to be found."""
    if run.state.lease.partial:  # others are at work at other targets; what counts is who was before us at ours
        earlier = [one for name in run.state.lease.before for one in run.state.records.runs(1, prefix=name)]
    else:
        earlier = list(run.state.records.runs(RUNS_BACK))
    last = next((one for one in earlier if one.verb == "reconcile" and one.id != run.run_id), None)
    if last is None or any(run.state.records.note(name) == last.id for name in (TOLD, *_told_at(run))):
        return
    if last.summary and not any(one.get("writes") for one in last.summary.values()):
        return  # the ordinary case; only a run that was killed has no summary
    done = sum(one.state is OpState.DONE for one, _ in run.state.journal.ops(last.id))
    if done:
        writes = f"{done} write{'' if done == 1 else 's'}"
        why = f"run {last.id} was cut after {writes}, before it could tell of them"
        title, advice = "a run was cut before it could tell what it did", f"look at what it did: cloudsync history {last.id}"
        yield Trouble("runs", "failed", why, last.started, title=title, advice=advice)


def _told_at(run: Session) -> tuple[str, ...]:
    """Return the notes for the run that wrote and told last: one for everything, or one for each target of a run beside others."""
    if not run.state.lease.partial:
        return (TOLD,)
    return tuple(f"{TOLD}/{target.name}" for target in run.targets)


def _writes(report: RunReport) -> int:
    return sum(one.applied.done for one in report.targets if one.applied is not None)


def hand_over(root: Path, loaded: Loaded, story: Story, deliver: Deliver) -> bool:
    """Deliver a story and tell whether it went well; whatever goes wrong there is no matter of the run."""
    why = ""
    try:
        deliver(root, loaded, story)
    except (CloudsyncError, OSError) as error:
        why = str(error)
    except Exception:
        log.exception("deliver.failed")
        return False
    if why:
        log.error("deliver.failed", extra={"why": why})
    return not why


def lines(ran: Ran) -> Iterator[Said]:
    """Yield what a run says in the log: its news, then one line that sums it up. Without news it is that one line."""
    story = ran.story
    for one in story.findings:
        if one.state in _EVENTS and not one.quiet:
            level = logging.INFO if one.state is State.RESOLVED else logging.WARNING
            said = {"target": one.target, "key": one.key, "severity": one.severity.value, "what": one.sentence, "deed": one.deed.value}
            yield level, _EVENTS[one.state], said | ({"why": one.why} if one.why else {})
    for trouble in story.troubles:
        if trouble.new:
            level = logging.INFO if trouble.what == "recovered" else logging.ERROR
            said = {"target": trouble.target, "why": trouble.why} | ({"approve": trouble.approve} if trouble.approve else {})
            yield level, f"target.{trouble.what}", said
    looked_at = {one.name for one in ran.report.targets}
    told: dict[str, Any] = {
        "verb": ran.report.verb,
        "exit": int(ran.code),
        "writes": _writes(ran.report),
        "open": len(story.open),
        "targets": {one.name: one.state for one in story.targets if one.name in looked_at},
        "workloads": ran.report.workloads,
        "policy": story.policy,
        "seconds": round(ran.seconds, 3),
    }
    level = logging.INFO if ran.code is Exit.OK else logging.ERROR
    yield level, "run.end", told
