"""Exit codes; the same everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class Exit(IntEnum):
    """What a run came to, as its exit code."""

    OK = 0
    BUG = 1
    CHANGES = 2
    INVALID = 3
    REFUSED = 4
    FAILED = 5
    BUSY = 75


_ORDER = (Exit.BUG, Exit.INVALID, Exit.REFUSED, Exit.FAILED, Exit.CHANGES, Exit.OK)
"""Over several targets the first present wins: a policy that a platform cannot say and a refusal need a person, a failure is retried."""


def worst(codes: Iterable[Exit]) -> Exit:
    """Return the code of a run over several targets."""
    present = set(codes)
    return next((code for code in _ORDER if code in present), Exit.OK)
