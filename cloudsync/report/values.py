"""What a run found in one target, ready to be rendered."""

from __future__ import annotations

from cloudsync.compile.universe import Universe
from cloudsync.diff import Owners
from cloudsync.guard.values import Approval, Refusal
from cloudsync.model.finding import Finding
from cloudsync.model.mode import TargetMode
from cloudsync.model.quick import dataclass
from cloudsync.plan.values import TargetPlan
from cloudsync.proof.drift import Drift


@dataclass(frozen=True, slots=True)
class Unchecked:
    """What was not looked at and why: a scope, an interface, a target."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply did: `status` is done, nothing, stopped, moved, waiting or failed."""

    status: str
    done: int = 0
    failed: int = 0
    unknown: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class TargetReport:
    """One target's part of a run. `plan` is None when the target could not be read at all; `error` then says why."""

    name: str
    mode: TargetMode
    plan: TargetPlan | None = None
    drift: tuple[Drift, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    overridden: tuple[tuple[Refusal, Approval], ...] = ()
    unchecked: tuple[Unchecked, ...] = ()
    error: str = ""
    bug: bool = False
    """The error is a mistake of ours, not the platform's."""
    refused: str = ""
    """A precondition's no before anything was planned, e.g. the wrong account."""
    code: str = ""
    """Its own exit code."""
    applied: Applied | None = None
    remaining: tuple[Drift, ...] | None = None
    """Drift after an apply; None when nothing was applied or it could not be read again."""
    adapter: tuple[str, str] = ("", "")
    """The name of the adapter that looked and wrote, and the version of the package that it came from."""
    limits_s: float = 0.0
    """Seconds that the plan's writes take at least at the platform's limits, at this target's pace; 0 where none bind."""


@dataclass(frozen=True, slots=True)
class LabelNote:
    """One workload that came, went, or changed its labels: a change of access, whoever made it."""

    workload: str
    text: str


@dataclass(frozen=True, slots=True)
class RunReport:
    """Everything of one run. `universe` and `owners` are None when no target could be read."""

    verb: str
    owner: str
    policy: str
    """The policy's version in words: commit, author and subject, or a digest."""
    workloads: int
    incomplete: tuple[Unchecked, ...]
    targets: tuple[TargetReport, ...]
    universe: Universe | None = None
    owners: Owners | None = None
    labels: tuple[LabelNote, ...] = ()
    warnings: tuple[Finding, ...] = ()
    """What the workloads of the day make of policy and settings: selectors that pick nobody, tags that give no label."""
    run_id: str = ""
    watched: bool = False
    """Whether to list what mode full would change at workloads that are only watched."""
