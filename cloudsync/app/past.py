"""What runs leave for their history: the packets they opened and closed in words, and the approvals that they made use of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from cloudsync.model.codec import CodecError, Json, from_json, to_json
from cloudsync.model.workload import Labels
from cloudsync.plan.document import target_digest
from cloudsync.report.made import made
from cloudsync.report.story import Made, Story
from cloudsync.report.values import RunReport
from cloudsync.store.history import ChangeRow
from cloudsync.store.state import State

SHOWN = 200
"""So many changes of earlier runs go into a story."""
NAMED = 50
"""So many workloads of a change are named; how many there were stands beside them."""


def changes(report: RunReport, at: float) -> tuple[dict[str, Json], ...]:
    """Return what a run brought about, as it is kept. `at`: UTC seconds since the epoch."""
    return tuple(
        {
            "target": one.target,
            "direction": one.direction,
            "labels": to_json(one.labels),
            "workloads": list(one.workloads[:NAMED]),
            "count": len(one.workloads),
            "opens": list(one.opens),
            "closes": list(one.closes),
            "rules": list(one.rules),
            "policy": one.policy,
        }
        for one in made(report, at)
    )


def approved(report: RunReport) -> tuple[dict[str, Json], ...]:
    """Return the refusals that approvals lifted in plans that were carried out."""
    return tuple(
        {"target": target.name, "guard": refused.guard, "who": yes.who, "because": yes.because, "plan": target_digest(target.plan)}
        for target in report.targets
        if target.plan is not None and target.applied is not None and not target.refusals
        for refused, yes in target.overridden
    )


def told(rows: Iterable[ChangeRow]) -> tuple[Made, ...]:
    """Return kept changes as values; what another version wrote and this one cannot read is left out."""
    found: list[Made] = []
    for row in rows:
        try:
            found.append(_told(row))
        except (CodecError, KeyError, TypeError):
            continue
    return tuple(found)


def _told(row: ChangeRow) -> Made:
    given = row.document
    assert isinstance(given, dict), "changes are kept as objects"
    names = from_json(tuple[str, ...], given["workloads"])
    more = int(given["count"]) - len(names)
    return Made(
        run_id=row.run,
        at=row.at,
        target=row.target,
        direction=str(given["direction"]),
        labels=from_json(Labels, given["labels"]),
        workloads=(*names, *((f"and {more} more",) if more else ())),
        opens=from_json(tuple[str, ...], given["opens"]),
        closes=from_json(tuple[str, ...], given["closes"]),
        rules=from_json(tuple[str, ...], given["rules"]),
        policy=str(given["policy"]),
    )


def history(state: State) -> tuple[Made, ...]:
    """Return the changes of the last runs that made any, the latest first."""
    return told(state.history.changes(most=SHOWN))


def stored(story: Story) -> Json:
    """Return a story as it is kept: without what belongs to the day it is read on (matrix, trend, history) or to the run alone."""
    return to_json(replace(story, report=None, matrix=None, trend=(), history=(), behind={}))
