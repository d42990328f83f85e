"""Holds that a rollback or a release puts on what it changed, so that the next run does not bring the newer policy back."""

from __future__ import annotations

from cloudsync.app.session import Found, Session
from cloudsync.model.mode import TargetMode
from cloudsync.model.quick import dataclass
from cloudsync.report.values import RunReport, TargetReport
from cloudsync.store.records import Hold


@dataclass(frozen=True, slots=True)
class Held:
    """The holds of one run, put before its first write: a run that is cut short leaves them in force."""

    holds: tuple[Hold, ...]
    before: tuple[Hold, ...]


def put(session: Session, found: Found, who: str, because: str) -> Held:
    """Put every target of a run on hold that the run may write to; it is not stopped by them itself."""
    before = session.state.records.holds()
    now = session.clock.now()
    names = [one.name for one in found.report.targets if _ready(one)]
    by_people = {one.target for one in before if not one.run}
    holds = tuple(Hold(name, who, because, now, session.run_id) for name in names if name not in by_people)
    if holds:
        session.state.records.hold(*holds)
    return Held(holds, before)


def settle(session: Session, held: Held, report: RunReport) -> tuple[Hold, ...]:
    """Lift the holds on targets where nothing came of it; what was held before stays so. Returns those that stand."""
    earlier = {one.target: one for one in held.before}
    stand: list[Hold] = []
    for one in held.holds:
        target = next(target for target in report.targets if target.name == one.target)
        if _came(target):
            stand.append(one)
        elif one.target in earlier:
            session.state.records.hold(earlier[one.target])
        else:
            session.state.records.unhold(one.target, one.who, session.clock.now())
    return tuple(stand)


def _ready(target: TargetReport) -> bool:
    return target.plan is not None and not target.refusals and target.mode is not TargetMode.OBSERVE


def _came(target: TargetReport) -> bool:
    """Tell whether a target is as it was meant to be, or on the way there."""
    applied = target.applied
    return applied is not None and (applied.status in ("done", "nothing") or applied.done > 0 or applied.unknown > 0)
