"""What a first look at a target may leave out: its own hint, kept until we write there, and never for longer than a day."""

from __future__ import annotations

from collections.abc import Iterable

from cloudsync.adapter import TargetSettings
from cloudsync.model.codec import Json
from cloudsync.run import Reading
from cloudsync.store.records import Records

LIFE_S = 86_400
"""Somebody else may have made what a look leaves out: it is looked for again after so many seconds."""


def hints(records: Records, targets: Iterable[TargetSettings], now: float) -> dict[str, str]:
    """Return the hints that still hold, by target. `now`: UTC seconds since the epoch."""
    found = {target.name: _hint(records.note(_key(target.name)), now) for target in targets}
    return {name: hint for name, hint in found.items() if hint}


def keep(records: Records, readings: Iterable[Reading], now: float) -> None:
    """Keep the hints of targets where nothing is to do, and forget those of all others, before anything is written there."""
    for one in readings:
        name = one.target.name
        known, hint = records.note(_key(name)), one.hint if one.glanced else ""
        if hint and _hint(known, now) != hint:
            records.keep(_key(name), {"at": int(now), "hint": hint})
        elif known is not None and not hint:
            records.keep(_key(name), None)


def _key(target: str) -> str:
    return f"look {target}"


def _hint(known: Json, now: float) -> str:
    if not isinstance(known, dict):
        return ""
    at, hint = known.get("at"), known.get("hint")
    return hint if isinstance(at, int) and isinstance(hint, str) and 0 <= now - at < LIFE_S else ""
