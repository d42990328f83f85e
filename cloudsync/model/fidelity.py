"""Fidelity: how exactly a platform can say what a rule of the policy says."""

from __future__ import annotations

from enum import Enum

from cloudsync.model.quick import dataclass


class Verdict(Enum):
    """How exactly a platform can say a rule."""

    EXACT = "exact"
    STRICTER = "stricter"
    LOOSER = "looser"
    CANNOT = "cannot"


@dataclass(frozen=True, slots=True, order=True)
class Fidelity:
    """One rule on one target. STRICTER is stated; LOOSER needs the rule's acceptance; CANNOT is refused."""

    rule: str
    target: str
    verdict: Verdict
    reason: str = ""
    accepted: bool = False
