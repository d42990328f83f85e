"""Who did it: asks the platform's audit log about findings that are new, where the adapter can. Never a reason for a run to fail."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from cloudsync import run
from cloudsync.app.session import Found, Session
from cloudsync.model.errors import AdapterError
from cloudsync.model.quick import dataclass
from cloudsync.model.witness import NativeRule, Witness
from cloudsync.report.lifecycle import Known
from cloudsync.report.sightings import Cause, Sighting
from cloudsync.report.story import Actor

log = logging.getLogger("cloudsync.witness")

LOOK_BACK_S = 7 * 86400.0
"""How far back audit logs are asked, from when a finding was seen first: longer than runs lie apart."""
TRIES = 6
"""In so many runs a finding without an author is asked about: audit logs are minutes late."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the records know before the run: findings by key, and when each target was read first. UTC seconds since the epoch."""

    known: Mapping[str, Known]
    first: Mapping[str, float]


def authors(session: Session, found: Found, seen: Iterable[Sighting], memory: Memory, now: float) -> dict[str, Actor]:
    """Return who made the rules behind findings that are new or whose author is not known yet, by key. `now`: UTC seconds.

    What was there when a target was read first may be years old: nobody is asked about that.
    """
    wanted: dict[str, dict[str, NativeRule]] = {}
    since = now
    for one in seen:
        was = memory.known.get(one.key)
        if one.rule is None or one.cause is Cause.POLICY or one.target not in memory.first or not _unknown(was):
            continue
        begun = was.tracked.first_seen if was is not None and was.resolved is None else now
        if begun > memory.first[one.target]:
            wanted.setdefault(one.target, {})[one.key] = one.rule
            since = min(since, begun)
    told: dict[str, Actor] = {}
    for planned in found.planned:
        told |= _asked(session, planned, wanted.get(planned.reading.target.name, {}), since - LOOK_BACK_S)
    return told


def _asked(session: Session, planned: run.Planned, rules: Mapping[str, NativeRule], since: float) -> dict[str, Actor]:
    target, snapshot = planned.reading.target.name, planned.reading.snapshot
    witness: object = session.adapters.get(target)
    if not rules or snapshot is None or not isinstance(witness, Witness):
        return {}
    try:
        made = witness.authors(snapshot.table, tuple(dict.fromkeys(rules.values())), since)
    except AdapterError as error:
        log.info("authors.unread", extra={"target": target, "reason": str(error)})
        return {}
    return {key: Actor(made[rule].who, made[rule].at, made[rule].how) for key, rule in rules.items() if rule in made}


def _unknown(known: Known | None) -> bool:
    """Tell whether an author is worth asking for: a new finding, one that is back, or one that was new lately."""
    if known is None or known.resolved is not None or known.restored:
        return True
    return known.tracked.actor is None and known.tracked.seen < TRIES
