"""A run as text for people: what happened and how bad first, then where, for whom, why, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync import __version__
from cloudsync.adapter import Step
from cloudsync.compile.universe import Universe
from cloudsync.diff import Change, Owners
from cloudsync.model.bucket import about
from cloudsync.model.mode import TargetMode
from cloudsync.model.workload import DEFAULT_DOMAIN
from cloudsync.plan.values import SHUT, TargetPlan
from cloudsync.proof.drift import Drift
from cloudsync.proof.words import Names
from cloudsync.report import together
from cloudsync.report.ages import Ages, accepted_lines
from cloudsync.report.origins import origins_text
from cloudsync.report.story import Story
from cloudsync.report.values import RunReport, TargetReport

Line = tuple[str, str]
"""A line and the colour of its meaning: `good`, `bad`, `warn`, `head`, `dim` or empty."""


WARNINGS_SHOWN = 20


def render(report: RunReport, story: Story | None = None) -> Iterator[Line]:
    """Yield the lines of a plan, an apply or a drift report. With the run's story, drift is told with its age and what is acknowledged."""
    ages = Ages(story)
    state = "complete" if not report.incomplete else f"INCOMPLETE ({_count(len(report.incomplete), 'scope')})"
    yield (
        f"cloudsync {report.verb}  {report.owner}  policy {report.policy}  inventory {state}, {_count(report.workloads, 'workload')}",
        "head",
    )
    for note in report.labels[:12]:
        yield f"  {note.workload}: {note.text}", "warn"
    if len(report.labels) > 12:
        yield f"  and {len(report.labels) - 12} more workloads came, went or changed their labels", "warn"
    yield from _warnings(report)
    for target in report.targets:
        yield "", ""
        yield from _target(report, target, ages)
    if report.verb != "drift":
        yield from together.paragraphs(target.plan for target in report.targets if target.plan is not None)
    yield "", ""
    yield from _summary(report, ages)


def _warnings(report: RunReport) -> Iterator[Line]:
    for finding in report.warnings[:WARNINGS_SHOWN]:
        yield f"  {finding}", "warn"
    if len(report.warnings) > WARNINGS_SHOWN:
        yield f"  and {len(report.warnings) - WARNINGS_SHOWN} more warnings; --json lists them all", "warn"


def _target(report: RunReport, target: TargetReport, ages: Ages) -> Iterator[Line]:
    name, version = target.adapter
    strange = f"  adapter {name} {version}" if version not in ("", __version__) else ""
    yield f"{target.name}  {target.mode.value}{strange}", "head"
    if target.error:
        yield f"  {target.error}", "bad"
    plan = target.plan
    if report.verb == "drift":
        yield from _drift(report, target, ages)
    elif plan is not None and report.universe is not None and report.owners is not None:
        yield from _changes(plan, report.universe, report.owners, _unread(target))
        if about(target.limits_s) and not plan.empty:
            yield f"  {about(target.limits_s)} at the platform's limits", "dim"
        yield from _shadow(target, ages)
    for refused in target.refusals if report.verb != "drift" else ():
        for number, line in enumerate(refused.text().splitlines()):
            yield f"  {line}", "bad" if number == 0 else ""
    for refused, yes in target.overridden:
        yield f"  {refused.guard} approved by {yes.who}: {yes.because}", "warn"
    if plan is not None:
        for problem_note in plan.notes:
            yield f"  note: {problem_note}", "dim"
    for unseen in target.unchecked:
        yield f"  not checked: {unseen.what}: {unseen.why}", "warn"
    if target.applied is not None:
        yield from _applied(target)


def own_rules_differ(target: TargetReport) -> bool:
    """Tell whether an apply would write although no packet differs that the policy speaks of: somebody edited rules of ours."""
    plan = target.plan
    return plan is not None and bool(plan.phases) and not plan.problems and not any(one.real for one in target.drift)


def _unread(target: TargetReport) -> str:
    """Return what follows a word of peace: nothing, or the scopes of which nothing is known."""
    scopes = [one.what.removeprefix("scope ") for one in target.unchecked if one.what.startswith("scope ")]
    return f" in what was read; nothing is known of {', '.join(scopes)}" if scopes else ""


def _changes(plan: TargetPlan, universe: Universe, owners: Owners, unread: str) -> Iterator[Line]:
    if plan.empty and not plan.problems:
        yield (f"  = nothing to do{unread}", "warn") if unread else ("  = in sync", "good")
        return
    names = Names(universe)
    enforced = {group.id for group in universe.classes if group.mode.enforced}
    held = {point.point for point in plan.points if point.ours_before != SHUT}
    for change in plan.changes:
        domain = owners.by_point[change.points[0]][2] if change.points[0] in owners.by_point else DEFAULT_DOMAIN
        inbound = change.direction == "inbound"
        yield f"  {_whom(change)}{'' if inbound else ', outbound'}", "head"
        if change.class_id not in enforced and held.isdisjoint(change.points):
            yield "    SIDE EFFECT: nothing is written there; foreign rules there refer to groups that members leave or join", "warn"
        elif change.class_id not in enforced:
            yield "    given back: not enforced any more, so what was there before comes back", "warn"
        yield from _parts("+", names.parts(change.opens, domain, inbound=inbound), "good")
        if change.origins:
            yield f"      because of {origins_text(change.origins, PARTS_SHOWN)}", "dim"
        yield from _parts("-", names.parts(change.closes, domain, inbound=inbound), "warn")
    yield f"  {calls(plan.steps)} · {_proven(plan)}", "dim"


PARTS_SHOWN = 6
"""How many parts of a change, and how many rules behind it, stand in the text; `--json` has them all."""


def _parts(sign: str, parts: list[str], colour: str) -> Iterator[Line]:
    note = "  (no new connections)" if sign == "-" else ""
    for part in parts[:PARTS_SHOWN]:
        yield f"    {sign} {part}{note}", colour
    if len(parts) > PARTS_SHOWN:
        yield f"    {sign} and {len(parts) - PARTS_SHOWN} more; --json lists them all{note}", colour


def _whom(change: Change) -> str:
    names = ", ".join(change.workloads[:4]) + (f" and {len(change.workloads) - 4} more" if len(change.workloads) > 4 else "")
    who = change.labels.text() if change.class_id else "(not in the inventory)"
    return f"{who}   {_count(len(change.workloads), 'workload')}: {names}"


def calls(steps: tuple[Step, ...]) -> str:
    """Return the writes of a plan by kind, e.g. `2 AuthorizeSecurityGroupIngress, 1 CreateSecurityGroup`."""
    counted: dict[str, int] = {}
    for step in steps:
        counted[step.action] = counted.get(step.action, 0) + 1
    return ", ".join(f"{count} {action}" for action, count in counted.items()) or "no write"


def _proven(plan: TargetPlan) -> str:
    if plan.replay is None or plan.certificate is None:
        return "not proven"
    if plan.method == "gap":
        return together.gap(plan.gap)
    if not plan.replay.safe:
        return f"NOT SAFE: {plan.replay.violations[0].text()}"
    method = plan.method.upper()
    return f"every step safe ({method}, {plan.replay.states} states), enforced = policy on {plan.certificate.points} points"


def _shadow(target: TargetReport, ages: Ages) -> Iterator[Line]:
    if target.plan is None or target.plan.mode.value == "exclusive":
        return
    aged = ages.of(target.name, target.drift)
    for one in aged:
        if one.loud or not one.accepted:
            yield f"  ! [{one.drift.severity.value}] {one.drift.text()}", "warn"
    yield from accepted_lines(aged)


def _drift(report: RunReport, target: TargetReport, ages: Ages) -> Iterator[Line]:
    if target.plan is None:
        return
    aged = ages.of(target.name, target.drift)
    watched = [one for one in target.drift if not one.real]
    if all(one.quiet for one in aged):
        unread = _unread(target)
        beyond = " beyond what is acknowledged" if aged else ""
        if own_rules_differ(target):
            words = "  ~ no packet differs that the policy speaks of, but rules are not as they should be: `cloudsync plan` lists them"
            yield words, "warn"
        else:
            yield f"  = no drift{beyond}{unread}", "warn" if unread else "good"
    for one in aged:
        yield from ages.lines(one)
    yield from accepted_lines(aged)
    if watched and not report.watched:
        whom = _count(len({name for one in watched for name in one.workloads}), "workload")
        words = f"  only watched (mode visibility): mode full would change {whom}; `cloudsync drift --watched` lists what"
        yield words, "dim"
    for seen in watched if report.watched else ():
        yield f"  [watched] {seen.text()}", "dim"


def drift_lines(one: Drift) -> Iterator[Line]:
    """Yield one finding: the sentence, then the workloads."""
    colour = "bad" if one.severity.value in ("critical", "high") else "warn"
    yield f"  [{one.severity.value}] {one.text()}", colour
    shown = ", ".join(one.workloads[:6])
    yield f"      at {shown}" + (f" and {len(one.workloads) - 6} more" if len(one.workloads) > 6 else ""), "dim"


def _applied(target: TargetReport) -> Iterator[Line]:
    applied = target.applied
    assert applied is not None
    what = f"{_count(applied.done, 'write')} done" + (f", {applied.failed} failed" if applied.failed else "")
    what += f", {applied.unknown} of unknown outcome" if applied.unknown else ""
    colour = "good" if applied.status in ("done", "nothing") else "bad"
    yield f"  {applied.status}: {what}" + (f"; {applied.message}" if applied.message else ""), colour
    if target.remaining is not None:
        if target.remaining:
            yield f"  read again: {_count(len(target.remaining), 'finding')} remain", "bad"
            for one in target.remaining[:10]:
                yield from drift_lines(one)
        elif target.mode is TargetMode.ADDITIVE:
            yield "  read again: our rules say the policy; what foreign rules beside them do is told by `cloudsync drift`", "good"
        else:
            yield "  read again: enforced = policy, no drift", "good"


def _summary(report: RunReport, ages: Ages) -> Iterator[Line]:
    for gap in report.incomplete:
        yield f"not checked: {gap.what}: {gap.why.removeprefix(f'{gap.what}: ')}", "warn"
    plans = [target.plan for target in report.targets if target.plan is not None]
    steps = sum(len(plan.steps) for plan in plans)
    refused = sum(1 for target in report.targets if target.refusals)
    failed = sum(1 for target in report.targets if target.error)
    if report.verb == "drift":
        aged = [one for target in report.targets for one in ages.of(target.name, target.drift)]
        by: dict[str, int] = {}
        for one in aged:
            if not one.quiet:
                by[one.drift.severity.value] = by.get(one.drift.severity.value, 0) + 1
        accepted = len({one.key for drift in aged for one in drift.accepted})
        read = len(report.targets) - failed
        differ = sum(1 for target in report.targets if own_rules_differ(target))
        nothing = "no packet differs, but rules are not as they should be" if differ else "no drift" if read else "nothing was checked"
        counts = ", ".join(f"{count} {name}" for name, count in by.items()) or nothing
        unread = f"; {_count(failed, 'target')} could not be read: nothing is known of {'it' if failed == 1 else 'them'}" if failed else ""
        if not failed and report.incomplete:
            unread = f"; {_count(len(report.incomplete), 'scope')} could not be read: nothing is known there"
        counts += f", {accepted} acknowledged" if accepted else ""
        yield (f"{counts} on {_count(read, 'target')}" if read else counts) + unread, "bad" if unread else "head"
        return
    yield from _proof(report)
    tail = (f", {refused} refused" if refused else "") + (f", {failed} not read" if failed else "")
    if report.verb == "plan":
        yield f"{_count(steps, 'write')} on {_count(len(report.targets), 'target')}{tail}", "head"
    else:
        done_count = sum(target.applied.done for target in report.targets if target.applied)
        yield f"{_count(done_count, 'write')} done on {_count(len(report.targets), 'target')}{tail}", "head"


def _proof(report: RunReport) -> Iterator[Line]:
    """Say what was proven of the plans, and as enforced only what an apply brought about and found again."""
    for done in (True, False):
        certificates = [one.plan.certificate for one in report.targets if one.plan and one.plan.certificate and _enforces(one) is done]
        points = sum(one.points for one in certificates)
        differing = sum(len(one.differences) for one in certificates)
        if certificates:
            words = "enforced" if done else "would be enforced"
            yield f"Proof: {words} = policy on {points - differing} of {_count(points, 'point')}.", "bad" if differing else "good"


def _enforces(target: TargetReport) -> bool:
    return target.applied is not None and target.applied.status in ("done", "nothing") and not target.remaining and not target.error


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
