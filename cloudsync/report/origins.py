"""Rules of the policy behind what is shown, in words."""

from __future__ import annotations

from collections.abc import Sequence

from cloudsync.adapter import Origin
from cloudsync.compile.behind import counted
from cloudsync.model.naming import naming


def origin_text(origin: Origin) -> str:
    """Return `rule (file:line)`; where a description names a rule that is not there now, its name and that."""
    if origin.where:
        return f"{origin.rule} ({origin.where.file}:{origin.where.line})"
    if naming(origin.rule) is None:
        return origin.rule
    return f"{origin.rule} ({'as numbered when it was written' if counted(origin) else 'not in the policy now'})"


def origins_text(origins: Sequence[Origin], most: int) -> str:
    """Return several, of which at most so many are named."""
    more = len(origins) - most
    return ", ".join(map(origin_text, origins[:most])) + (f" and {more} more rules" if more > 0 else "")
