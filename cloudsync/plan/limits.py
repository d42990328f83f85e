"""How much a plan may change before a person has to say yes. Part of the digest: another limit is another plan."""

from __future__ import annotations

from cloudsync.model.address import NOWHERE, AddressSet
from cloudsync.model.quick import dataclass


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """Settings `guards:`. Percentages are whole numbers of a hundred; a limit is never below one object, none lets a scope be emptied."""

    max_gone_workloads: int = 30
    """Share of a scope's last verified workloads that may be gone or have lost their policy (G-SHRINK)."""
    max_removed_rules: int = 30
    """Share of a scope's own rules that may be removed (G-CAP)."""
    max_affected_workloads: int = 10
    """Share of a target's workloads whose packets may change (G-AFFECTED)."""
    open_to_internet: bool = False
    """True only for `open_to_internet: allow`: a new opening to any source then needs no approval (G-OPEN)."""
    management: AddressSet = NOWHERE
    """Where the operators come from: what is open to them must stay open (G-MGMT)."""
    quota_reserve: int = 5
    """Share of every quota that stays free (G-QUOTA)."""

    def __post_init__(self) -> None:
        for name in ("max_gone_workloads", "max_removed_rules", "max_affected_workloads", "quota_reserve"):
            value = getattr(self, name)
            if not 0 <= value <= 100:
                raise ValueError(f"{name} {value}: want 0-100")


def at_most(percent: int, of: int) -> int:
    """Return how many of `of` objects a share allows: at least one, rounded down."""
    return max(1, of * percent // 100)
