"""What drift is judged by, and the cap on restores: one object is put right so often a day, then a person has to look (G-FLAP)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cloudsync import run
from cloudsync.guard import approval
from cloudsync.guard.values import About, counted, refusal
from cloudsync.model.mode import TargetMode
from cloudsync.model.quick import dataclass
from cloudsync.report.sightings import RESTORABLE, Cause, Ground, Sighting, sightings
from cloudsync.report.values import TargetReport
from cloudsync.store.findings import HealthRow

CODE = "G-FLAP"


@dataclass(frozen=True, slots=True)
class Restored:
    """What the records say before a run: how targets stand, how often each object of a target was restored today, and the cap."""

    health: Mapping[str, HealthRow]
    counts: Mapping[tuple[str, str], int]
    most: int


def ground(scene: run.World, settled: run.Settled, target: TargetReport, row: HealthRow | None) -> Ground:
    """Return what the drift of a target is judged by. `row`: how it stood before this run."""
    applied_before = row is not None and row.applied is not None
    return Ground(
        target=target.name,
        mode=target.mode,
        universe=scene.compiler.universe,
        owners=scene.owners,
        policy=scene.policy,
        applied=scene.before.applied if applied_before else None,
        recorded=settled.recorded.get(target.name, {}),
        verified=scene.before.workloads,
        relabelled=scene.before.relabelled,
    )


def capped(target: TargetReport, scene: run.World, settled: run.Settled, before: Restored) -> TargetReport:
    """Return a target with a refusal when its plan would put an object right that was put right often enough today.

    A plan is applied whole or not at all, so the whole target waits: for a person's approval, for the other side to stop, or for the
    next day (UTC).
    """
    plan = target.plan
    counts = {name: count for (owner, name), count in before.counts.items() if owner == target.name}
    if plan is None or plan.empty or target.mode is TargetMode.OBSERVE or max(counts.values(), default=0) < before.most:
        return target
    seen = sightings(target.drift, ground(scene, settled, target, before.health.get(target.name)))
    worn = _worn(seen, counts, before.most)
    if not worn:
        return target
    midnight = datetime.fromtimestamp(settled.now, UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    message = f"{counted(len(worn), 'object')} restored {before.most} times today (limit {before.most}), not again before "
    message += f"{midnight:%Y-%m-%dT%H:%MZ}: somebody, or something, keeps changing what this would put right"
    refused = refusal(plan, CODE, message, worn, about=About(approvable=True))
    yes = approval.holding(plan, refused, settled.approvals, settled.now)
    if yes is not None:
        return replace(target, overridden=(*target.overridden, (refused, yes)))
    return replace(target, refusals=(*target.refusals, refused, *approval.check(plan, refused, settled.approvals, settled.now)))


def _worn(seen: Iterable[Sighting], counts: Mapping[str, int], most: int) -> tuple[str, ...]:
    """Return, in words, the objects that are changed again although they were restored as often as they may be."""
    found: dict[str, str] = {}
    for one in seen:
        if one.cause is Cause.SOMEBODY and one.kind in RESTORABLE:
            for name in one.objects:
                if counts.get(name, 0) >= most:
                    found.setdefault(name, f"{name}: {one.words} at {', '.join(one.workloads[:3])}")
    return tuple(found.values())
