"""The life of findings over runs: new, changed, ongoing, acknowledged, resolved; who fights back; what is news. Pure.

An episode begins with the run that first sees a finding and ends with the first whole reading that does not. It has one NEW (or begins
acknowledged) and one RESOLVED. What was restored and is back at the next reading is the same episode, with one return more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace

from cloudsync.model.quick import dataclass
from cloudsync.proof.drift import Severity
from cloudsync.report.sightings import CUT, RESTORABLE, Cause, Sighting
from cloudsync.report.story import Acknowledgement, Actor, Deed, State, Tracked

DAY_S = 86400.0
FLAPS = 3
"""So many returns within a day are a fight: somebody, or something, undoes what is restored."""
BACK_KEPT = 50
GROWS = 1.5
"""A finding at so many times the workloads of the run before is news; a fleet that breathes is none."""

RANKS = {one: number for number, one in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class Known:
    """A finding as the records hold it between runs."""

    tracked: Tracked
    """As it was told last."""
    back: tuple[float, ...] = ()
    """When it came back lately, UTC seconds, oldest first."""
    resolved: float | None = None
    """When its last episode ended; None while it is open."""
    accepted: Severity | None = None
    """How bad it was when it was first acknowledged: an acknowledgement covers nothing worse."""

    @property
    def restored(self) -> bool:
        """Tell whether we closed it in the run before and have not read since."""
        return self.resolved is None and self.tracked.deed is Deed.RESTORED


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was done about a target in this run. `deed` holds for every finding of it that was not restored."""

    deed: Deed = Deed.NOTHING
    why: str = ""
    converged: bool = False
    """Its plan was applied, and a reading afterwards found what it should."""
    whole: bool = True
    """It was read whole: what was not seen is not there."""
    remaining: frozenset[str] = frozenset()
    """Keys that a reading after the apply still shows."""


@dataclass(frozen=True, slots=True)
class Now:
    """What findings are judged with. Times are UTC seconds since the epoch."""

    at: float
    verdicts: Mapping[str, Verdict]
    """By target, for every target that this run looked at."""
    acknowledged: Mapping[str, Acknowledgement] = field(default_factory=dict)
    authors: Mapping[str, Actor] = field(default_factory=dict)
    """By key, where the platform tells."""


def advance(known: Iterable[Known], seen: Iterable[Sighting], now: Now) -> tuple[Known, ...]:
    """Return every finding of the targets looked at as it is to be told and recorded; what ended in an earlier run is left out."""
    before = {one.tracked.key: one for one in known if one.tracked.target in now.verdicts}
    found: list[Known] = []
    for sighting in seen:
        if sighting.cause is Cause.POLICY:
            continue
        old = before.get(sighting.key)
        is_open = old is not None and old.resolved is None
        if sighting.cause is Cause.ENROLMENT and not is_open and _restored(sighting, now):
            continue  # the first apply at a point closes what was open before anything was enforced there
        before.pop(sighting.key, None)
        found.append(_present(old, sighting, now))
    found.extend(_absent(old, now) for old in before.values() if old.resolved is None)
    return tuple(sorted(found, key=_order))


def _order(one: Known) -> tuple[bool, int, str, str]:
    tracked = one.tracked
    return tracked.state is State.RESOLVED, RANKS[tracked.severity], tracked.target, tracked.key


def _restored(sighting: Sighting, now: Now) -> bool:
    """Tell whether the apply of this run undid it: only what is ours to enforce, never what foreign rules do beside ours."""
    verdict = now.verdicts[sighting.target]
    return sighting.kind in RESTORABLE and verdict.converged and sighting.key not in verdict.remaining


def _present(old: Known | None, sighting: Sighting, now: Now) -> Known:
    verdict = now.verdicts[sighting.target]
    was = old.tracked if old is not None and old.resolved is None else None
    returned = old is not None and (was is None or old.restored)
    back = ((*old.back, now.at) if returned else old.back)[-BACK_KEPT:] if old is not None else ()
    fights = flapping(back, now.at)
    fought = old is not None and old.tracked.flapping
    yes = _holding(old, sighting, now)
    escalated = fights and not fought
    state = _state(was, sighting, acknowledged=yes is not None, escalated=escalated)
    minor = state is State.CHANGED and not escalated and was is not None and _minor(was, sighting)
    restored = _restored(sighting, now)
    deed = Deed.RESTORED if restored else verdict.deed
    actor = now.authors.get(sighting.key) or (was.actor if was is not None and not returned else None)
    tracked = Tracked(
        key=sighting.key,
        target=sighting.target,
        kind=sighting.kind,
        severity=min(sighting.severity, Severity.HIGH, key=RANKS.__getitem__) if fights else sighting.severity,
        state=state,
        words=sighting.words,
        sentence=sighting.sentence,
        direction=sighting.direction,
        labels=sighting.labels,
        workloads=sighting.workloads,
        points=sighting.points,
        packets=sighting.packets,
        first_seen=was.first_seen if was is not None else now.at,
        last_seen=now.at,
        seen=was.seen + 1 if was is not None else 1,
        returns=old.tracked.returns + int(returned) if old is not None else 0,
        deed=deed,
        why="" if restored else verdict.why,
        advice=_advice(sighting, deed, fights=fights),
        actor=actor,
        acknowledged=yes,
        owners=sighting.owners,
        natives=sighting.natives,
        content=sighting.content,
        flapping=fights,
        quiet=(fights and fought) or minor,
    )
    accepted = (old.accepted if was is not None and old is not None else None) or sighting.severity
    return Known(tracked, back, None, accepted if yes else None)


def _state(was: Tracked | None, sighting: Sighting, *, acknowledged: bool, escalated: bool) -> State:
    if acknowledged:
        return State.ACKNOWLEDGED
    if was is None:
        return State.NEW
    same = (was.packets, was.workloads) == (sighting.packets, sighting.workloads)
    return State.ONGOING if same and was.state is not State.ACKNOWLEDGED and not escalated else State.CHANGED


def _minor(was: Tracked, sighting: Sighting) -> bool:
    """Tell whether a change is no news: the same words and severity, and not many more workloads. Fleets breathe all day."""
    grown = len(sighting.workloads) > len(was.workloads) * GROWS
    same = was.words == sighting.words and (was.severity is sighting.severity or was.flapping)
    return same and not grown and was.state is not State.ACKNOWLEDGED


def _holding(old: Known | None, sighting: Sighting, now: Now) -> Acknowledgement | None:
    """Return the acknowledgement in force: not expired, and given for nothing milder than this."""
    yes = now.acknowledged.get(sighting.key)
    if yes is None or yes.until <= now.at:
        return None
    accepted = old.accepted if old is not None and old.resolved is None else None
    return None if accepted is not None and RANKS[sighting.severity] < RANKS[accepted] else yes


def _absent(old: Known, now: Now) -> Known:
    was = old.tracked
    if not now.verdicts[was.target].whole:
        waiting = State.ACKNOWLEDGED if was.state is State.ACKNOWLEDGED else State.ONGOING
        return replace(old, tracked=replace(was, state=waiting, quiet=True, why="not read in this run"))
    told_before = was.deed is Deed.RESTORED or was.state is State.ACKNOWLEDGED or was.flapping
    gone = replace(was, state=State.RESOLVED, quiet=told_before, why="", advice="", acknowledged=None)
    return Known(gone, old.back, now.at, None)


def flapping(back: Iterable[float], at: float) -> bool:
    """Tell whether something came back so often within a day that it is a fight."""
    return sum(1 for one in back if one > at - DAY_S) >= FLAPS


def _advice(sighting: Sighting, deed: Deed, *, fights: bool) -> str:
    if fights:
        return "find out who, or which other tool, keeps changing this; then change it there, or change the policy"
    match deed:
        case Deed.RESTORED:
            return ""
        case Deed.REFUSED:
            return "see why the run was refused: approve it, or correct the policy"
        case Deed.FAILED:
            return "the next run tries again; see what the platform said"
        case Deed.NOTHING if sighting.kind in CUT or sighting.natives:
            return "apply the policy, or acknowledge this with a reason and an end"
        case _ if sighting.kind in CUT:
            return "open it on the platform, or correct the policy"
        case _:
            return "close it on the platform, allow it in the policy, or acknowledge it with a reason and an end"
