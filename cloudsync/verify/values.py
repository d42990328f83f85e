"""What a verification says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """Why a plan is not accepted."""

    DIGEST = "digest"
    """The file was changed after it was written."""
    UNREADABLE = "unreadable"
    """A dump, a payload or a packet set does not say what it should, or the platform would refuse the call."""
    EXCESS = "excess"
    """The end state lets a packet through that is not wanted."""
    MISSING = "missing"
    """The end state cuts a packet that is wanted."""
    WANTED = "wanted"
    """What the file wants at a point is not what the policy says."""
    TOLD = "told"
    """What the file tells of a point before or after is not what its state and steps make of it."""
    EXPOSURE = "exposure"
    """A state on the way opens what neither the old nor the new state opens."""
    OUTAGE = "outage"
    """A state on the way cuts what both let through."""
    SERIES = "series"
    """A state on the way lets a flow through between two points that neither state of its whole way lets through."""
    PROBLEM = "problem"
    """The plan itself says that it cannot be carried out."""


@dataclass(frozen=True, slots=True)
class Objection:
    """One reason against a plan; `witness` is a packet in words where there is one."""

    target: str
    kind: Kind
    message: str
    point: str = ""
    witness: str = ""

    def text(self) -> str:
        """Return one line for people."""
        place = f"{self.target}: " if self.target else ""
        where = f"{self.point}: " if self.point else ""
        return f"{self.kind.value}: {place}{where}{self.witness + ' ' if self.witness else ''}{self.message}"


@dataclass(frozen=True, slots=True)
class Checked:
    """One target: what was checked, and what speaks against it."""

    target: str
    platform: str
    points: int
    """Points held to the policy."""
    steps: int
    states: int
    """Moments on the way that are covered: one per prefix of the steps."""
    objections: tuple[Objection, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The whole file."""

    targets: tuple[Checked, ...]
    objections: tuple[Objection, ...]
    policies: tuple[str, ...] = ()
    """Digests of the policies that the targets' plans were made from."""

    @property
    def accepted(self) -> bool:
        """Tell whether nothing speaks against the plan."""
        return not self.objections
