"""A story as text for a terminal: what happened and how bad, what needs somebody, the findings, what is not known."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.model.inert import inert
from cloudsync.proof.drift import Severity
from cloudsync.report.headline import DONE, MEANT, Tone, counted, headline, subject, way
from cloudsync.report.moments import lasted, moment
from cloudsync.report.story import State, Story, TargetState, Tracked
from cloudsync.report.text import Line

TONES = {Tone.GOOD: "good", Tone.WARN: "warn", Tone.BAD: "bad"}
SHOWN = 6
"""How many names of workloads a finding lists; the page and --json have all."""
STATES = {"in sync": "good", "changed": "good", "drift": "warn", "refused": "bad", "failed": "bad"}


def lines(story: Story, now: float) -> Iterator[Line]:
    """Yield the lines of a story; `now` (UTC seconds since the epoch) says how old it is."""
    first = headline(story)
    yield first.whole, TONES[first.tone]
    age = "" if now - story.at < 60 else f", {lasted(now - story.at)} ago"
    yield f"cloudsync {story.verb}  {story.owner}  policy {story.policy}  {moment(story.at)}{age}", "dim"
    yield "", ""
    for target in story.targets:
        yield _target(target, story.at)
    for trouble in story.troubles:
        yield (
            f"  {trouble.what} {trouble.target} for {lasted(story.at - trouble.since)}: {trouble.why}",
            "good" if trouble.what == "recovered" else "bad",
        )
        if trouble.approve:
            yield f"      if that is right:  {trouble.approve}", ""
    if story.findings:
        yield "", ""
    for one in story.findings:
        yield from _finding(one, story.at)
    yield from _rest(story)


def text(story: Story, now: float) -> str:
    """Return the lines as one text without colours, inert as a terminal needs it."""
    return "".join(f"{inert(line)}\n" for line, _ in lines(story, now))


def _target(one: TargetState, at: float) -> Line:
    good = "never a good run" if one.good is None else "checked now" if at - one.good < 60 else f"last good run {lasted(at - one.good)} ago"
    detail = f": {one.detail}" if one.detail else ""
    return f"  {one.name}  {one.platform}  {one.mode}  {one.state}{detail}  ({good})", STATES.get(one.state, "warn")


def _finding(one: Tracked, at: float) -> Iterator[Line]:
    loud = one.severity in (Severity.CRITICAL, Severity.HIGH) and one.state not in (State.RESOLVED, State.ACKNOWLEDGED)
    colour = "good" if one.state is State.RESOLVED else "dim" if one.state is State.ACKNOWLEDGED else "bad" if loud else "warn"
    flapping = ", flapping" if one.flapping else ""
    yield f"[{one.severity.value}] {one.words} {way(one)} {subject(one)}: {MEANT[one.kind]}  ({one.state.value}{flapping})", colour
    shown = ", ".join(one.workloads[:SHOWN])
    more = f" and {len(one.workloads) - SHOWN} more" if len(one.workloads) > SHOWN else ""
    yield f"    {one.target}, for {lasted(at - one.first_seen)}: {shown}{more}", "dim"
    for native in one.natives[:3]:
        yield f"    because of {native}", "dim"
    if one.actor:
        yield f"    by {one.actor.who} at {moment(one.actor.at)}" + (f", {one.actor.how}" if one.actor.how else ""), "dim"
    if one.acknowledged:
        by = f" by {one.acknowledged.by}" if one.acknowledged.by else ""
        yield f"    accepted{by} until {moment(one.acknowledged.until)}: {one.acknowledged.because}", "dim"
    elif one.state is not State.RESOLVED:
        yield f"    {DONE[one.deed]}" + (f": {one.why}" if one.why else ""), ""
        if one.advice:
            yield f"    -> {one.advice}", "head"


def _rest(story: Story) -> Iterator[Line]:
    if story.expiring or story.unchecked:
        yield "", ""
    for rule in story.expiring:
        what = "its end opens what it forbids" if rule.protects else "its end closes what it allows"
        yield f"ends {moment(rule.until)}: {rule.rule} ({rule.where}): {what}", "warn" if rule.protects else ""
    for gap in story.unchecked:
        yield f"not checked: {gap.what}: {gap.why}", "warn"
    if story.audit_head:
        yield f"run {story.run_id}  audit {story.audit_head}  {counted(len(story.findings), 'finding')}", "dim"
