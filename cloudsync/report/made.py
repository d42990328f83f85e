"""The changes of a run in words: what opens and what closes, at whom, because of which rules of the policy."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.diff import Change
from cloudsync.model.workload import DEFAULT_DOMAIN
from cloudsync.proof.words import Names
from cloudsync.report.origins import origin_text
from cloudsync.report.story import Made
from cloudsync.report.values import RunReport

LOOKING = frozenset({"plan", "drift", "test", "explain"})
"""Verbs that bring nothing about."""


def made(report: RunReport, at: float) -> tuple[Made, ...]:
    """Return what a run planned (a verb that looks) or brought about (one that acts), in the order of targets and classes.

    A target's changes are brought about when all of its writes were done; those of a refused or failed one are left out.
    `at`: UTC seconds since the epoch.
    """
    return tuple(_made(report, at))


def _made(report: RunReport, at: float) -> Iterator[Made]:
    if report.universe is None or report.owners is None:
        return
    names = Names(report.universe)
    for target in report.targets:
        done = target.applied is not None and target.applied.status == "done"
        if target.plan is None or not (done or report.verb in LOOKING):
            continue
        for change in target.plan.changes:
            known = report.owners.by_point.get(change.points[0])
            domain = known[2] if known else DEFAULT_DOMAIN
            inbound = change.direction == "inbound"
            yield Made(
                run_id=report.run_id,
                at=at,
                target=target.name,
                direction=change.direction,
                labels=change.labels,
                workloads=change.workloads,
                opens=tuple(names.parts(change.opens, domain, inbound=inbound)),
                closes=tuple(names.parts(change.closes, domain, inbound=inbound)),
                rules=_rules(change),
                policy=report.policy,
            )


def _rules(change: Change) -> tuple[str, ...]:
    return tuple(map(origin_text, change.origins))
