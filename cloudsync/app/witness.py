"""Who did it: asks the platform's audit log about findings that are new, where the adapter can. Never a reason for a run to fail."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from cloudsync.app.session import Found, Session
from cloudsync.model.errors import AdapterError
from cloudsync.model.witness import NativeRule, Witness
from cloudsync.report.lifecycle import Known
from cloudsync.report.sightings import Cause, Sighting
from cloudsync.report.story import Actor

log = logging.getLogger("cloudsync.witness")

LOOK_BACK_S = 90 * 86400.0
"""How far back audit logs are asked: what CloudTrail keeps."""
TRIES = 6
"""In so many runs a finding without an author is asked about: audit logs are minutes late."""


def authors(session: Session, found: Found, seen: Iterable[Sighting], known: Mapping[str, Known], now: float) -> dict[str, Actor]:
    """Return who made the rules behind findings that are new or whose author is not known yet, by key. `now`: UTC seconds."""
    wanted: dict[str, dict[str, NativeRule]] = {}
    for one in seen:
        if one.rule is not None and one.cause is not Cause.POLICY and _unknown(known.get(one.key)):
            wanted.setdefault(one.target, {})[one.key] = one.rule
    told: dict[str, Actor] = {}
    for planned in found.planned:
        target, snapshot = planned.reading.target.name, planned.reading.snapshot
        witness: object = session.adapters.get(target)
        rules = wanted.get(target)
        if not rules or snapshot is None or not isinstance(witness, Witness):
            continue
        try:
            made = witness.authors(snapshot.table, tuple(dict.fromkeys(rules.values())), now - LOOK_BACK_S)
        except AdapterError as error:
            log.info("authors.unread", extra={"target": target, "reason": str(error)})
            continue
        told |= {key: Actor(made[rule].who, made[rule].at, made[rule].how) for key, rule in rules.items() if rule in made}
    return told


def _unknown(known: Known | None) -> bool:
    """Tell whether an author is worth asking for: a new finding, one that is back, or one that was new lately."""
    if known is None or known.resolved is not None or known.restored:
        return True
    return known.tracked.actor is None and known.tracked.seen < TRIES
