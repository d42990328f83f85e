"""What the proofs found: the certificate of the desired table, and the replay of every prefix of the steps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from cloudsync.model.workload import PointId


@dataclass(frozen=True, slots=True)
class Difference:
    """One point where the decoded table and the intent differ; `witness` is one such packet in words."""

    point: PointId
    direction: str
    witness: str
    expected: bool
    """Whether the intent lets the witness through (then the table does not)."""


@dataclass(frozen=True, slots=True)
class CertificateResult:
    """Whether the rendered requests, parsed back, say exactly what the policy says."""

    ran: bool = False
    points: int = 0
    differing: tuple[Difference, ...] = ()

    @property
    def good(self) -> bool:
        """Tell whether the certificate was computed and found no difference."""
        return self.ran and not self.differing


class Harm(Enum):
    """What a state between two writes does that neither end of the plan does."""

    EXPOSURE = "exposure"
    """Lets a packet through that neither the old nor the new state lets through."""
    OUTAGE = "outage"
    """Stops a packet that both the old and the new state let through."""
    LOCKOUT = "lockout"
    """Stops a management flow that was open."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One harmful state on the way. `step` counts from 1 in plan order; `witness` is one packet with the points on its path, in words."""

    harm: Harm
    step: int
    step_key: str
    witness: str
    points: tuple[PointId, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The replay of the concrete steps on the model; `states` is how many intermediate states were checked."""

    ran: bool = False
    states: int = 0
    violations: tuple[Violation, ...] = ()
