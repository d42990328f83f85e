"""What a proof says, with a witness packet wherever it says no."""

from __future__ import annotations

from cloudsync.model.packets import Packet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId


@dataclass(frozen=True, slots=True)
class Difference:
    """One packet on which a point and its intent disagree. kind: `missing` (wanted, not let through), `excess` or `changed`."""

    point: PointId
    direction: str
    kind: str
    packet: Packet

    def text(self) -> str:
        """Return one line for people."""
        what = {"missing": "is wanted but would not pass", "excess": "would pass but is not wanted", "changed": "would change"}[self.kind]
        return f"{self.point} {self.direction}: {self.packet.text()} {what}"


@dataclass(frozen=True, slots=True)
class Certificate:
    """Whether the desired state, parsed back from the rendered requests, equals the intent packet for packet."""

    points: int
    """Enforcement points compared."""
    differences: tuple[Difference, ...] = ()
    reached: bool = True
    """Whether the rendered steps lead exactly to the desired table."""

    @property
    def holds(self) -> bool:
        """Tell whether enforced = policy on every point compared."""
        return self.reached and not self.differences


@dataclass(frozen=True, slots=True)
class Violation:
    """A state on the way that breaks a promise. kind: `exposure` (opens what neither old nor new opens) or `outage`."""

    kind: str
    phase: str
    step: str
    point: PointId
    direction: str
    packet: Packet

    def text(self) -> str:
        """Return one line for people."""
        what = "would be open although neither the old nor the new state opens it" if self.kind == "exposure" else "would be cut"
        return f"{self.kind} in phase {self.phase} ({self.step}): {self.point} {self.direction} {self.packet.text()} {what}"


@dataclass(frozen=True, slots=True)
class Replay:
    """The replay of a transition over every prefix of its steps; `states` counts the intermediate states that are covered."""

    states: int
    violations: tuple[Violation, ...] = ()

    @property
    def safe(self) -> bool:
        """Tell whether every state on the way lies between what old and new share and what either allows."""
        return not self.violations


# --- over several targets ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Leg:
    """A part of one target's phases: from phase `first` up to, not including, phase `end`."""

    target: str
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Stage:
    """Legs that may run in any order and at the same time; behind a stage every leg is confirmed by a read and settles before the next."""

    name: str
    legs: tuple[Leg, ...]
    why: str = ""
    """For people: what it is for."""

    def leg(self, target: str) -> Leg | None:
        """Return the part of one target."""
        return next((leg for leg in self.legs if leg.target == target), None)


@dataclass(frozen=True, slots=True)
class Stop:
    """One enforcement point on a flow's way."""

    target: str
    point: PointId
    direction: str


@dataclass(frozen=True, slots=True)
class PathViolation:
    """A state on the way at which a flow gets through that neither the old nor the new state of its whole path lets through."""

    stage: str
    target: str
    """Where the write stands that brings it about."""
    number: int
    """That write in the target's plan, counted from 1."""
    step: str
    flow: str
    """One such flow, in words."""
    stops: tuple[Stop, ...] = ()

    def text(self) -> str:
        """Return one line for people."""
        way = ", then ".join(f"{stop.point} {stop.direction} ({stop.target})" for stop in self.stops)
        where = f"exposure in stage {self.stage}, write {self.number} of {self.target} ({self.step})"
        return f"{where}: {self.flow} would get through by {way} although neither the old nor the new state lets it"


@dataclass(frozen=True, slots=True)
class PathReplay:
    """The replay of several targets' transitions over the paths that they share; `states` counts the prefixes that are covered."""

    states: int
    violations: tuple[PathViolation, ...] = ()

    @property
    def safe(self) -> bool:
        """Tell whether nothing gets through on the way that neither state lets through."""
        return not self.violations
