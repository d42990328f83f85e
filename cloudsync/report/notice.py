"""News as JSON, for hooks: the content of the mails, findings in full. Pure; the form is described in docs/mail.md."""

from __future__ import annotations

from typing import Any

from cloudsync.model.inert import inert
from cloudsync.proof.drift import Severity
from cloudsync.report.headline import standing
from cloudsync.report.letter import letter
from cloudsync.report.letter_text import text
from cloudsync.report.mail import identity
from cloudsync.report.moments import stamp
from cloudsync.report.news import Item, News
from cloudsync.report.story import Story

SCHEMA = "cloudsync/1"
Json = Any
"""JSON values."""


def notice(story: Story, news: News, hook: str) -> tuple[str, dict[str, Json]]:
    """Return what a hook is told and the id it is known by; the same news have the same id."""
    written = letter(story, news)
    key = identity(story, news, f"hook {hook}")
    still = standing(story)
    return key, {
        "schema": SCHEMA,
        "kind": "notice",
        "id": key,
        "owner": inert(story.owner),
        "run": inert(story.run_id),
        "verb": story.verb,
        "at": stamp(story.at),
        "policy": inert(story.policy),
        "audit_head": inert(story.audit_head),
        "subject": written.subject,
        "tone": written.tone.value,
        "text": text(written),
        "digest": news.digest,
        "open": {one.value: sum(each.severity is one for each in still) for one in Severity},
        "findings": [_finding(one) for one in news.items],
        "troubles": [
            {"target": inert(one.target), "what": one.what, "why": inert(one.why), "since": stamp(one.since), "approve": inert(one.approve)}
            for one in news.troubles
        ],
        "expiring": [
            {
                "rule": inert(one.rule),
                "where": inert(one.where),
                "until": stamp(one.until),
                "protects": one.protects,
                "owner": inert(one.owner),
            }
            for one in news.expiring
        ],
        "applied": [
            {
                "target": inert(one.target),
                "direction": one.direction,
                "labels": {inert(key): inert(value) for key, value in one.labels.pairs},
                "workloads": list(map(inert, one.workloads)),
                "opens": list(map(inert, one.opens)),
                "closes": list(map(inert, one.closes)),
                "rules": list(map(inert, one.rules)),
            }
            for one in news.applied
        ],
        "not_checked": [{"what": inert(one.what), "why": inert(one.why)} for one in story.unchecked],
    }


def _finding(item: Item) -> dict[str, Json]:
    one = item.finding
    return {
        "key": inert(one.key),
        "what": item.what.value,
        "over": item.over,
        "state": one.state.value,
        "severity": one.severity.value,
        "kind": one.kind.name.lower().replace("_", "-"),
        "target": inert(one.target),
        "packets": inert(one.words),
        "sentence": inert(one.sentence),
        "direction": one.direction,
        "labels": {inert(key): inert(value) for key, value in one.labels.pairs},
        "workloads": list(map(inert, one.workloads)),
        "rules": list(map(inert, one.natives)),
        "owners": list(map(inert, one.owners)),
        "first_seen": stamp(one.first_seen),
        "last_seen": stamp(one.last_seen),
        "returns": one.returns,
        "deed": one.deed.value,
        "why": inert(one.why),
        "advice": inert(one.advice),
        "actor": {"who": inert(one.actor.who), "at": stamp(one.actor.at), "how": inert(one.actor.how)} if one.actor else None,
    }
