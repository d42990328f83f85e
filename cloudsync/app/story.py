"""From a run to what is told about it, and what is remembered for the next: `tell` at the end of a run, `retell` from the records.

A run that only looks records too, in one short transaction and without the writer's lease: what it saw is as true as what a writer saw.
It gives way when the state is busy or full, or when a later reading was told meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cloudsync.app import past
from cloudsync.app.repository import Loaded, policy_name
from cloudsync.app.restores import ground
from cloudsync.app.session import Found, Session
from cloudsync.app.standing import BAD, WRITING, Run, standing, state_of
from cloudsync.app.witness import Memory, authors
from cloudsync.clock import day_of
from cloudsync.model.codec import CodecError, from_json, to_json
from cloudsync.model.errors import BusyError, RefusedError
from cloudsync.model.fidelity import Fidelity, Verdict
from cloudsync.model.finding import Finding, Severity
from cloudsync.model.mode import TargetMode
from cloudsync.policy.acknowledged import lint
from cloudsync.policy.values import Action, Policy
from cloudsync.proof.drift import Severity as Grade
from cloudsync.report.lifecycle import RANKS, Known, Now, advance
from cloudsync.report.lifecycle import Verdict as Dealt
from cloudsync.report.made import made
from cloudsync.report.sightings import Ground, Sighting, judge, sightings
from cloudsync.report.story import Acknowledgement, Deed, Expiring, Mark, State, Story, Tracked, Trouble
from cloudsync.report.values import RunReport, TargetReport, Unchecked
from cloudsync.store.findings import MARKS_KEPT_S, FindingRow, HealthRow, MarkRow, Told
from cloudsync.store.state import State as Store

SOON = timedelta(days=14)
"""Rules that end sooner are told."""
TREND_S = 90 * 86400.0
"""How far back the days of a story go."""
LAST = "told"
"""The note under which the frame of the last story stands."""
OPEN = (State.NEW, State.CHANGED, State.ONGOING)


def tell(session: Session, found: Found, report: RunReport | None = None, *, record: bool = True) -> Story:
    """Write down what a run found and did, and return it as a story. `report`: with what was done; without it nothing was.

    Without `record` (`plan`) nothing is written down: what is told stays news for the next run.
    """
    report = found.report if report is None else report
    table = session.state.findings
    run = Run(session.run_id, report.verb, found.settled.now, session.clock.now())
    health = {one.target: one for one in table.health()}
    known = recalled(table.findings())
    seen, verdicts, behind = _seen(found, report, health)
    who = authors(session, found, seen, Memory(known, {name: row.first for name, row in health.items()}), run.at) if record else {}
    told = advance(known.values(), seen, Now(run.at, verdicts, acknowledged(session.loaded), who))
    tracked = tuple(one.tracked for one in told)
    settings = session.loaded.settings
    stand = standing(settings, report.targets, tracked, health, run)
    elsewhere = [one.tracked for one in known.values() if one.resolved is None and one.tracked.target not in verdicts]
    unchecked = (*report.incomplete, *(one for target in report.targets for one in target.unchecked))
    plans = [target.plan for target in report.targets if target.plan is not None]
    inexact = tuple(dict.fromkeys(one for plan in plans for one in plan.fidelity if one.verdict is not Verdict.EXACT))
    frame = {"run": run.id, "verb": run.verb, "at": run.at, "owner": report.owner, "policy": report.policy}
    if record:
        told_now = Told(
            run=run.id,
            at=run.at,
            findings=tuple(map(_row, told)),
            health=stand.rows,
            marks=tuple(_marks(found, report, seen, tracked, day_of(run.at))),
            restored=tuple(_restored(seen, tracked)),
            day=day_of(run.at),
            oldest_day=day_of(run.at - MARKS_KEPT_S),
            targets=tuple(target.name for target in settings.targets),
            frame={**frame, "unchecked": to_json(unchecked), "inexact": to_json(inexact)},
        )
        _write(session.state, told_now, run.verb)
    story = Story(
        run_id=run.id,
        verb=run.verb,
        at=run.at,
        owner=report.owner,
        policy=report.policy,
        report=report,
        targets=stand.states,
        findings=_ordered((*tracked, *map(_quiet, elsewhere))),
        troubles=stand.troubles,
        expiring=expiring(session.loaded.policy, run.at),
        unchecked=unchecked,
        audit_head=head(session.state),
        inexact=inexact,
        behind=behind,
        history=made(report, run.at) if run.verb in WRITING else (),
    )
    if not (story.newsworthy or story.history or story.troubles):
        return story  # weeks of counts are read only where somebody will look at them: a run with nothing to tell is quick
    if record:
        _keep(session.state, story)
    return replace(story, trend=trend(session.state, run.at), history=past.history(session.state) if record else story.history)


def _keep(state: Store, story: Story) -> None:
    """Keep a story for whoever wants to read it when other runs have followed."""
    with suppress(BusyError, RefusedError):
        state.history.keep_story(story.run_id, story.at, past.stored(story))


def _write(state: Store, told: Told, verb: str) -> None:
    if verb in WRITING:
        state.findings.tell(told)
    else:
        with suppress(BusyError, RefusedError):
            state.findings.tell(told)


def retell(state: Store, loaded: Loaded, now: float) -> Story | None:
    """Return the story of the last run as the records have it, None when no run has told one. `now`: UTC seconds since the epoch."""
    frame = state.records.note(LAST)
    if frame is None:
        return None
    health = {one.target: one for one in state.findings.health()}
    known = recalled(state.findings.findings())
    names = {target.name for target in loaded.settings.targets}
    fresh = [one.tracked for one in known.values() if one.tracked.target in names and _told_last(one, health.get(one.tracked.target))]
    troubles = tuple(
        Trouble(one.target, one.state, one.why, one.since, new=False, approve=one.approve)
        for one in health.values()
        if one.state in BAD and one.target in names
    )
    return Story(
        run_id=frame["run"],
        verb=frame["verb"],
        at=frame["at"],
        owner=loaded.settings.owner,
        policy=frame["policy"] or policy_name(loaded),
        report=None,
        targets=tuple(state_of(target, health.get(target.name)) for target in loaded.settings.targets),
        findings=_ordered(fresh),
        troubles=troubles,
        expiring=expiring(loaded.policy, now),
        unchecked=from_json(tuple[Unchecked, ...], frame["unchecked"]),
        trend=trend(state, now),
        audit_head=head(state),
        inexact=from_json(tuple[Fidelity, ...], frame["inexact"]),
        history=past.history(state),
    )


def earlier(state: Store, prefix: str, now: float) -> tuple[Story, ...]:
    """Return the stories that are kept of runs whose ids begin so, the latest first. Runs with nothing to tell left none."""
    found: list[Story] = []
    for _, document in state.history.stories(prefix):
        with suppress(CodecError):  # of an other version of this program
            story = from_json(Story, document)
            behind = tuple(one for one in past.history(state) if one.at <= story.at)
            found.append(replace(story, trend=trend(state, now), history=behind))
    return tuple(found)


def acknowledged(loaded: Loaded) -> dict[str, Acknowledgement]:
    """Return what the config repository acknowledges, by key; what has ended included."""
    return {one.finding: Acknowledgement(one.finding, one.until.timestamp(), one.because, one.by) for one in loaded.acknowledged}


def idle(loaded: Loaded, story: Story) -> tuple[Finding, ...]:
    """Return a warning for every acknowledgement that does nothing: it has ended, or there is no such finding any more."""
    names = tuple(target.name for target in loaded.settings.targets)
    found = list(lint(loaded.acknowledged, names, datetime.fromtimestamp(story.at, UTC)))
    told = {one.where for one in found}
    there = {one.key for one in story.findings if one.state is not State.RESOLVED}
    read = {one.name for one in story.report.targets if one.plan is not None} if story.report is not None else set()
    for one in loaded.acknowledged:
        if one.where not in told and one.finding not in there and one.target in read:
            message = f"there is no finding {one.finding} (any more)"
            found.append(Finding(one.where, "ACKNOWLEDGES-NOTHING", message, "take the line out", Severity.WARNING))
    return tuple(found)


def _told_last(one: Known, health: HealthRow | None) -> bool:
    return one.resolved is None or (health is not None and one.resolved >= health.read)


def _quiet(one: Tracked) -> Tracked:
    """Return a finding of a target that this run did not look at."""
    return replace(one, state=one.state if one.state is State.ACKNOWLEDGED else State.ONGOING, quiet=True, why="not read in this run")


def _ordered(found: Iterable[Tracked]) -> tuple[Tracked, ...]:
    return tuple(sorted(found, key=lambda one: (one.state is State.RESOLVED, RANKS[one.severity], one.target, one.key)))


# --- what was seen and done ------------------------------------------------------------------------------------------


Behind = dict[str, tuple[tuple[str, ...], ...]]


def _seen(found: Found, report: RunReport, health: Mapping[str, HealthRow]) -> tuple[tuple[Sighting, ...], dict[str, Dealt], Behind]:
    """Return the sightings of every target that was read, what was done about them, and which drift they are behind."""
    seen: list[Sighting] = []
    verdicts: dict[str, Dealt] = {}
    behind: Behind = {}
    for target in report.targets:
        if target.plan is None:
            verdicts[target.name] = Dealt(why=target.error, whole=False)
            continue
        base = ground(found.scene, found.settled, target, health.get(target.name))
        judged = judge(target.drift, base)
        seen.extend(judged.sightings)
        behind[target.name] = judged.behind
        verdicts[target.name] = _verdict(target, report.verb, base)
    return tuple(seen), verdicts, behind


def _verdict(target: TargetReport, verb: str, base: Ground) -> Dealt:
    whole = not any(one.what.startswith("scope ") for one in target.unchecked)
    if verb not in WRITING:
        return Dealt(whole=whole)
    applied = target.applied
    if target.refusals:
        guards = ", ".join(sorted({one.guard for one in target.refusals}))
        return Dealt(Deed.REFUSED, guards, whole=whole)
    if target.mode is TargetMode.OBSERVE:
        return Dealt(Deed.LEFT, "the target only observes", whole=whole)
    if applied is None:
        return Dealt(whole=whole)
    if applied.status not in ("done", "nothing"):
        return Dealt(Deed.FAILED, applied.message, whole=whole)
    left = f"the target is {target.mode.value}: rules that are not ours stay" if target.mode is TargetMode.ADDITIVE else ""
    converged = applied.status == "done" and target.remaining is not None
    remaining = frozenset(one.key for one in sightings(target.remaining or (), base))
    return Dealt(Deed.LEFT, left or "it cannot be closed from here", converged=converged, whole=whole, remaining=remaining)


def _restored(seen: Iterable[Sighting], told: Iterable[Tracked]) -> Iterator[tuple[str, str]]:
    """Yield target and object of everything that this run restored, each once."""
    objects = {one.key: one.objects for one in seen}
    pairs = (
        (one.target, name)
        for one in told
        if one.deed is Deed.RESTORED and one.state is not State.RESOLVED
        for name in objects.get(one.key, ())
    )
    yield from dict.fromkeys(pairs)


# --- records ---------------------------------------------------------------------------------------------------------


def recalled(rows: Iterable[FindingRow]) -> dict[str, Known]:
    """Return what the records know, by key. What an other version wrote and this one cannot read is forgotten: it will be new again."""
    found: dict[str, Known] = {}
    for row in rows:
        with suppress(CodecError):
            accepted = Grade(row.accepted) if row.accepted else None
            found[row.key] = Known(from_json(Tracked, row.document), row.back, row.resolved, accepted)
    return found


def _row(one: Known) -> FindingRow:
    tracked = one.tracked
    return FindingRow(
        target=tracked.target,
        key=tracked.key,
        state=tracked.state.value,
        packets=tracked.packets,
        first_seen=tracked.first_seen,
        last_seen=tracked.last_seen,
        seen=tracked.seen,
        returns=tracked.returns,
        document=to_json(tracked),
        back=one.back,
        resolved=one.resolved,
        accepted=one.accepted.value if one.accepted else "",
    )


def _marks(found: Found, report: RunReport, seen: Iterable[Sighting], told: Iterable[Tracked], day: str) -> Iterator[MarkRow]:
    """Yield the counts of every target that was read, as a whole and for each label that tells classes apart."""
    exposing = {one.key for one in seen if one.exposes}
    findings = list(told)
    for target in report.targets:
        if target.plan is None:
            continue
        labels: dict[str, list[int]] = {"": [0, 0]}
        for group in found.scene.compiler.universe.classes:
            count = sum(1 for one in group.workloads if one.target == target.name)
            if not count:
                continue
            for label in ("", *(f"{key}={value}" for key, value in group.labels.pairs)):
                row = labels.setdefault(label, [0, 0])
                row[0] += count if group.mode.enforced else 0
                row[1] += count
        mine = [one for one in findings if one.target == target.name and one.state is not State.RESOLVED]
        for label, (enforced, workloads) in sorted(labels.items()):
            here = [one for one in mine if not label or label in {f"{key}={value}" for key, value in one.labels.pairs}]
            still = [one for one in here if one.deed is not Deed.RESTORED]
            loud = [one for one in still if one.state in OPEN]
            critical = sum(one.severity is Grade.CRITICAL for one in loud)
            exposed = len({name for one in still if one.key in exposing for name in one.workloads})
            new = sum(one.state is State.NEW for one in here)
            yield MarkRow(day, target.name, label, len(loud), critical, exposed, enforced, workloads, new)


def trend(state: Store, now: float) -> tuple[Mark, ...]:
    """Return the days of the last weeks, oldest first."""
    return tuple(
        Mark(one.day, one.target, one.label, one.findings, one.critical, one.exposed, one.enforced, one.workloads, one.found)
        for one in state.findings.marks(day_of(now - TREND_S))
    )


def expiring(policy: Policy, now: float) -> tuple[Expiring, ...]:
    """Return the rules that end within `SOON`, first to end first."""
    at = datetime.fromtimestamp(now, UTC)
    owners = {one.name: one.owner for one in policy.rulesets}
    found = [
        Expiring(
            rule=rule.id,
            where=str(rule.where),
            until=rule.until.timestamp(),
            protects=rule.action is not Action.ALLOW,
            owner=rule.owner or owners.get(rule.ruleset, ""),
            written=rule.written,
        )
        for rule in policy.rules
        if rule.until is not None and at < rule.until <= at + SOON
    ]
    return tuple(sorted(found, key=lambda one: (one.until, one.rule)))


def head(state: Store) -> str:
    """Return the end of the audit chain as it is quoted: number of lines and hash of the last."""
    end = state.audit.head()
    return f"{end.lines}:{end.hash}" if end.lines else ""
