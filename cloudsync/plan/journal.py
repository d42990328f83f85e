"""The port between whoever executes a plan and whoever keeps its journal: one entry per write, durable before the write is sent."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Protocol

from cloudsync.adapter import Step
from cloudsync.model.quick import dataclass
from cloudsync.plan.values import Adoption


class OpState(Enum):
    """What became of a write. INTENT and UNKNOWN are open: a read has to settle them before anything else is written."""

    INTENT = "intent"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    VOID = "void"
    """It was never applied, as a read showed after the call's deadline."""


@dataclass(frozen=True, slots=True)
class Op:
    """One attempt at one step, as it stands in the journal before it is sent. A second attempt is another op."""

    run_id: str
    generation: int
    target: str
    plan_digest: str
    number: int
    """Position of the step in the plan, counted from 1."""
    attempt: int
    step: Step
    """With every id bound: exactly what is sent."""
    at: float
    """UTC seconds since the epoch."""
    deadline: float
    """UTC seconds; later than this an unanswered call is not expected to take effect any more."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes down, and when."""

    run_id: str
    generation: int
    at: float
    """UTC seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class OpenOp:
    """An op whose outcome nobody knows yet."""

    id: int
    op: Op
    state: OpState


class Journal(Protocol):
    """Where ops are written down. Every method raises when its effect is not durable; then nothing may be sent."""

    def intend(self, op: Op) -> int:
        """Make an op durable and return its id."""

    def settle(self, op_id: int, state: OpState, reason: str = "") -> None:
        """Record what became of an op."""

    def open_ops(self, target: str) -> tuple[OpenOp, ...]:
        """Return the ops of a target that are not settled, oldest first."""

    def adopt(self, target: str, adoptions: Iterable[Adoption], writer: Writer) -> None:
        """Make adoption records durable, unless a newer writer exists; a point that has a record keeps its first one."""

    def held(self, target: str) -> str:
        """Return why writes to a target are on hold, empty when they are not."""


class Lease(Protocol):
    """The right to write. `lost` is asked before each write and renews the lease while it is surely ours."""

    @property
    def generation(self) -> int:
        """The number of this writer; a newer writer has a higher one."""

    def lost(self) -> str:
        """Return why nothing may be written any more, empty while the lease is ours."""
