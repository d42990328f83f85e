"""A story and its matrix as JSON values; the shape is documented in docs/json.md and only ever grows within one schema version."""

from __future__ import annotations

from typing import Any

from cloudsync.adapter import Origin
from cloudsync.report.document import finding_document, packets_document
from cloudsync.report.headline import MEANT, headline
from cloudsync.report.matrix import Breach, Cell, Group, Matrix, Passage
from cloudsync.report.moments import stamp
from cloudsync.report.story import Made, Mark, Story, Tracked

Json = dict[str, Any]


def story_document(story: Story) -> Json:
    """Return everything that a report tells."""
    first = headline(story)
    return {
        "run": story.run_id,
        "verb": story.verb,
        "at": stamp(story.at),
        "owner": story.owner,
        "policy": story.policy,
        "headline": first.whole,
        "tone": first.tone.value,
        "targets": [
            {
                "name": one.name,
                "platform": one.platform,
                "mode": one.mode,
                "state": one.state,
                "last_good": None if one.good is None else stamp(one.good),
                "detail": one.detail,
            }
            for one in story.targets
        ],
        "findings": [told_finding(one) for one in story.findings],
        "troubles": [
            {"target": one.target, "what": one.what, "why": one.why, "since": stamp(one.since), "new": one.new, "approve": one.approve}
            for one in story.troubles
        ],
        "expiring": [
            {"rule": one.rule, "where": one.where, "until": stamp(one.until), "protects": one.protects, "owner": one.owner}
            for one in story.expiring
        ],
        "not_checked": [{"what": one.what, "why": one.why} for one in story.unchecked],
        "inexact": [
            {"rule": one.rule, "target": one.target, "verdict": one.verdict.value, "reason": one.reason, "accepted": one.accepted}
            for one in story.inexact
        ],
        "trend": [_mark(one) for one in story.trend],
        "history": [made_document(one) for one in story.history],
        "audit_head": story.audit_head,
        "matrix": None if story.matrix is None else matrix_document(story.matrix),
    }


def told_finding(one: Tracked) -> Json:
    """Return a finding with all that is told of it."""
    return {
        **finding_document(one),
        "target": one.target,
        "kind": one.kind.name.lower().replace("_", "-"),
        "meaning": MEANT[one.kind],
        "direction": one.direction,
        "words": one.words,
        "sentence": one.sentence,
        "labels": dict(one.labels.pairs),
        "workloads": list(one.workloads),
        "points": list(one.points),
        "natives": list(one.natives),
        "packets": None if one.content is None else packets_document(one.content),
        "digest": one.packets,
        "deed": one.deed.value,
        "why": one.why,
        "advice": one.advice,
        "actor": None if one.actor is None else {"who": one.actor.who, "at": stamp(one.actor.at), "how": one.actor.how},
        "quiet": one.quiet,
    }


def _mark(one: Mark) -> Json:
    return {
        "day": one.day,
        "target": one.target,
        "label": one.label,
        "findings": one.findings,
        "critical": one.critical,
        "exposed": one.exposed,
        "enforced": one.enforced,
        "workloads": one.workloads,
        "found": one.found,
    }


def made_document(one: Made) -> Json:
    """Return a change that a run brought about."""
    return {
        "run": one.run_id,
        "at": stamp(one.at),
        "policy": one.policy,
        "target": one.target,
        "direction": one.direction,
        "labels": dict(one.labels.pairs),
        "workloads": list(one.workloads),
        "opens": list(one.opens),
        "closes": list(one.closes),
        "rules": list(one.rules),
    }


def matrix_document(matrix: Matrix) -> Json:
    """Return who may talk to whom; `source` and `destination` of a cell are indexes of `groups`."""
    return {
        "inventory": matrix.inventory,
        "groups": [_group(one) for one in matrix.groups],
        "cells": [_cell(one) for one in matrix.cells],
    }


def _group(one: Group) -> Json:
    return {
        "id": one.id,
        "outside": one.name,
        "labels": dict(one.labels.pairs),
        "mode": one.mode.value if one.mode else "",
        "egress": one.egress.value if one.egress else "",
        "workloads": [{"name": member.name, "target": member.target} for member in one.members],
    }


def _cell(one: Cell) -> Json:
    return {
        "source": one.source,
        "destination": one.destination,
        "allowed": [_passage(passage) for passage in one.passages],
        "differs": [_breach(breach) for breach in one.breaches],
    }


def _passage(one: Passage) -> Json:
    return {"services": list(one.services.parts()), "rules": [_origin(origin) for origin in one.origins], "part": one.part}


def _origin(one: Origin) -> Json:
    return {"rule": one.rule, "where": str(one.where) if one.where else ""}


def _breach(one: Breach) -> Json:
    return {
        "kind": one.kind.name.lower().replace("_", "-"),
        "severity": one.severity.value,
        "services": list(one.services.parts()),
        "target": one.target,
        "direction": one.way,
        "finding": one.key,
    }
