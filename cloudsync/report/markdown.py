"""A plan or a drift report as Markdown for a pull request (GitHub Flavored Markdown).

Whatever comes from outside stands in a code span: there no markup, link, image, mention or reference works, and HTML is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from cloudsync.model.inert import inert
from cloudsync.report.headline import DONE, MEANT, counted, headline, way
from cloudsync.report.made import LOOKING, made
from cloudsync.report.moments import lasted, moment
from cloudsync.report.story import Made, State, Story, Tracked
from cloudsync.report.text import calls
from cloudsync.report.values import RunReport, TargetReport

SHOWN = 40
"""How many changes, findings and refused objects are listed at most: a comment holds 65,536 characters."""
NAMES = 6
LONG = 400
"""Characters of one text from outside, at most."""


def markdown(story: Story) -> str:
    """Return the story: of a plan what it would change, of any other run what was found."""
    parts = _plan(story, story.report) if story.report is not None and story.verb == "plan" else _findings(story)
    return "\n".join((*_head(story), *parts, *_unchecked(story), *_foot(story))) + "\n"


def code(text: str, *, cell: bool = False) -> str:
    """Return a text as a code span that it cannot leave; in a table's cell its bars are escaped."""
    shown = inert(text).strip() or "(empty)"
    if len(shown) > LONG:
        shown = f"{shown[:LONG]}..."
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    span = f"{fence}{pad}{shown}{pad}{fence}"
    return span.replace("|", "\\|") if cell else span


def _head(story: Story) -> Iterator[str]:
    if story.verb == "plan" and story.report is not None:
        yield f"### cloudsync plan: {_sum(story.report)}"
    else:
        yield f"### cloudsync {inert(story.verb) if story.verb.isalpha() else ''}: {headline(story).whole}"
    workloads = f" · {counted(story.report.workloads, 'workload')}" if story.report else ""
    yield ""
    yield f"{code(story.owner)} · policy {code(story.policy)}{workloads} · {moment(story.at)}"
    yield ""
    if story.targets or story.report:
        yield from _targets(story)


def _sum(report: RunReport) -> str:
    plans = [one.plan for one in report.targets if one.plan is not None]
    changes = sum(len(plan.changes) for plan in plans)
    refused = sum(1 for one in report.targets if one.refusals)
    unread = sum(1 for one in report.targets if one.error)
    text = (
        f"{counted(changes, 'change')} on {counted(sum(1 for plan in plans if plan.changes), 'target')}" if changes else "nothing to change"
    )
    return text + (f", {refused} refused" if refused else "") + (f", {unread} not read" if unread else "")


def _targets(story: Story) -> Iterator[str]:
    if story.report is not None and story.verb == "plan":
        yield "| Target | Mode | Changes | Writes | Proof |"
        yield "| --- | --- | ---: | --- | --- |"
        for target in story.report.targets:
            yield "| " + " | ".join(_target(target)) + " |"
    else:
        yield "| Target | Platform | Mode | State | Last good run |"
        yield "| --- | --- | --- | --- | --- |"
        for one in story.targets:
            good = "never" if one.good is None else "this one" if story.at - one.good < 60 else f"{lasted(story.at - one.good)} ago"
            cells = (code(one.name, cell=True), code(one.platform, cell=True), code(one.mode, cell=True), code(one.state, cell=True), good)
            yield "| " + " | ".join(cells) + " |"
    yield ""


def _target(target: TargetReport) -> tuple[str, ...]:
    name, plan = code(target.name, cell=True), target.plan
    if plan is None:
        return name, target.mode.value, "?", "not read", code(target.error or "no plan", cell=True)
    if plan.certificate is None or plan.replay is None:
        proof = "not proven"
    elif plan.certificate.holds and plan.replay.safe:
        proof = f"enforced = policy on {counted(plan.certificate.points, 'point')}, every step safe"
    else:
        proof = "**does not hold**"
    return name, target.mode.value, str(len(plan.changes)), code(calls(plan.steps), cell=True), proof


# --- a plan ----------------------------------------------------------------------------------------------------------


def _plan(story: Story, report: RunReport) -> Iterator[str]:
    for target in report.targets:
        for refused in target.refusals:
            yield f"> **REFUSED {code(refused.guard)}** {code(refused.target)}: {code(refused.message)}"
            for name in refused.objects[:SHOWN]:
                yield f"> - {code(name)}"
            if refused.more:
                yield f"> - and {refused.more} more"
            if refused.approve:
                yield f"> - if that is right: {code(refused.approve)}"
            yield ""
        for refused, yes in target.overridden:
            yield f"> {code(refused.guard)} approved by {code(yes.who)}: {code(yes.because)}"
            yield ""
    rows = made(report, story.at)
    for number, one in enumerate(rows[:SHOWN]):
        if not number or rows[number - 1].target != one.target:
            yield f"#### {code(one.target)}"
            yield ""
        yield from _change(one)
    if len(rows) > SHOWN:
        yield f"- and {len(rows) - SHOWN} more changes"
    if rows:
        yield ""


def _change(one: Made) -> Iterator[str]:
    outbound = "" if one.direction == "inbound" else ", outbound"
    yield f"- {code(one.labels.text())} ({counted(len(one.workloads), 'workload')}: {_names(one.workloads)}){outbound}"
    for words in one.opens[:NAMES]:
        yield f"  - opens {code(words)}"
    for words in one.closes[:NAMES]:
        yield f"  - closes {code(words)}"
    more = max(0, len(one.opens) - NAMES) + max(0, len(one.closes) - NAMES)
    if more:
        yield f"  - and {more} more"
    if one.rules:
        yield f"  - because of {_names(one.rules)}"


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(code(name) for name in listed[:NAMES]) + (f" and {len(listed) - NAMES} more" if len(listed) > NAMES else "")


# --- findings --------------------------------------------------------------------------------------------------------


def _findings(story: Story) -> Iterator[str]:
    for trouble in story.troubles:
        yield f"> **{code(trouble.what)}** {code(trouble.target)} for {lasted(story.at - trouble.since)}: {code(trouble.why)}"
        if trouble.approve:
            yield f"> - if that is right: {code(trouble.approve)}"
        yield ""
    live = [one for one in story.findings if one.state is not State.RESOLVED]
    for one in live[:SHOWN]:
        yield from _finding(story, one)
    if len(live) > SHOWN:
        yield f"- and {len(live) - SHOWN} more findings"
    resolved = len(story.findings) - len(live)
    if resolved:
        yield f"- {counted(resolved, 'finding')} resolved"
    if story.findings:
        yield ""


def _finding(story: Story, one: Tracked) -> Iterator[str]:
    what = f"{code(one.words)} {way(one)} {counted(len(one.workloads), 'workload')} {code(one.labels.text())}"
    how = f"{MEANT[one.kind]}, for {lasted(story.at - one.first_seen)}"
    yield f"- **{one.severity.value}**, {one.state.value}: {what} on {code(one.target)}: {how}"
    yield f"  - at {_names(one.workloads)}"
    if one.natives:
        yield f"  - native rules: {_names(one.natives)}"
    if one.actor:
        yield f"  - by {code(one.actor.who)} at {moment(one.actor.at)}"
    if one.acknowledged:
        yield f"  - accepted until {moment(one.acknowledged.until)}: {code(one.acknowledged.because)}"
    else:
        yield f"  - cloudsync: {DONE[one.deed]}" + (f" ({code(one.why)})" if one.why else "")
    if one.advice:
        yield f"  - to do: {code(one.advice)}"


def _unchecked(story: Story) -> Iterator[str]:
    if story.unchecked:
        yield "<details><summary>Not checked</summary>"
        yield ""
        for gap in story.unchecked[:SHOWN]:
            yield f"- {code(gap.what)}: {code(gap.why)}"
        if len(story.unchecked) > SHOWN:
            yield f"- and {len(story.unchecked) - SHOWN} more"
        yield ""
        yield "</details>"
        yield ""


def _foot(story: Story) -> Iterator[str]:
    verb = "this plan changes nothing by itself" if story.verb in LOOKING else "times are UTC"
    head = f" · audit {code(story.audit_head)}" if story.audit_head else ""
    yield f"run {code(story.run_id)}{head} · {verb}"
