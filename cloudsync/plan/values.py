"""The plan as a value: everything a guard, a person or the executor needs, and nothing that changes between two equal plans."""

from __future__ import annotations

from dataclasses import dataclass

from cloudsync.adapter import Fidelity, Identity, Method, Phase, Problem, Step
from cloudsync.diff.values import Adoption, Change, Direction, PointChange
from cloudsync.model.address import NOWHERE, AddressSet
from cloudsync.model.mode import TargetMode
from cloudsync.model.workload import WorkloadId
from cloudsync.plan.limits import GuardLimits
from cloudsync.proof.values import CertificateResult, Difference, Harm, ReplayResult, Violation

__all__ = [
    "Adoption",
    "CertificateResult",
    "Change",
    "Difference",
    "Direction",
    "GuardLimits",
    "Harm",
    "IdentityCheck",
    "InventoryScope",
    "ManagementLoss",
    "Peak",
    "Plan",
    "PointChange",
    "ReplayResult",
    "ScopeRules",
    "TargetPlan",
    "Violation",
]


@dataclass(frozen=True, slots=True)
class IdentityCheck:
    """Who the settings expect and who answered; `got` is None when identity could not be read, and `why` says why."""

    expected: str
    got: Identity | None = None
    why: str = ""

    @property
    def good(self) -> bool:
        """Tell whether the account that answered is the expected one."""
        return self.got is not None and self.got.account == self.expected


@dataclass(frozen=True, slots=True)
class InventoryScope:
    """One scope of the inventory (any target's): whether it was read whole, and how it compares with its last verified reading."""

    scope: str
    target: str
    why_incomplete: str = ""
    """Empty exactly when the scope was read whole."""
    verified: int | None = None
    """Workloads at the last verified reading; None when there never was one."""
    now: int = 0
    gone: tuple[WorkloadId, ...] = ()
    """Verified workloads that are no longer there."""
    lost_policy: tuple[WorkloadId, ...] = ()
    """Verified workloads that are there, were enforced, and are not any more because their labels changed."""

    @property
    def complete(self) -> bool:
        """Tell whether the scope was read whole."""
        return not self.why_incomplete


@dataclass(frozen=True, slots=True)
class ScopeRules:
    """Our own native rules in one scope of the target: how many before and after, and how many of them go."""

    scope: str
    owned_before: int
    owned_after: int
    removed: int


@dataclass(frozen=True, slots=True)
class Peak:
    """The largest size that a native object reaches on the way. `what` is the counted sum, e.g. `inbound IPv4 rules`."""

    object: str
    what: str
    peak: int
    quota: int
    rules: tuple[str, ...] = ()
    """Policy rules to blame, largest first."""


@dataclass(frozen=True, slots=True)
class ManagementLoss:
    """A management flow that is open today and that some state on the way stops. `step` counts from 1."""

    point: str
    flow: str
    step: int


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """One target's plan. Equal inputs give equal plans; there is no time in it.

    `digest` (see `cloudsync.plan.document`) names it: a byte of difference in steps, order, method, limits or anything read is another plan.
    """

    target: str
    mode: TargetMode
    owner: str
    snapshot_digest: str
    desired_digest: str
    policy_digest: str
    identity: IdentityCheck
    limits: GuardLimits
    scopes: tuple[str, ...] = ()
    """Scopes of this target."""
    phases: tuple[Phase, ...] = ()
    method: Method | None = None
    changes: tuple[Change, ...] = ()
    points: tuple[PointChange, ...] = ()
    workloads: int = 0
    """Workloads of this target that have an enforcement point; what G-AFFECTED takes its share of."""
    churn: AddressSet = NOWHERE
    """Addresses of workloads that joined or left since the last verified inventory: a peer set that differs only by them is not
    counted as an affected workload."""
    rules: tuple[ScopeRules, ...] = ()
    peaks: tuple[Peak, ...] = ()
    inventory: tuple[InventoryScope, ...] = ()
    """Every scope of the whole inventory, other targets' included: removals here may depend on them."""
    unseen: AddressSet = NOWHERE
    """Addresses of workloads kept from the last verified reading because their scope was not read whole now."""
    adoptions: tuple[Adoption, ...] = ()
    certificate: CertificateResult = CertificateResult()
    replay: ReplayResult = ReplayResult()
    management_losses: tuple[ManagementLoss, ...] = ()
    problems: tuple[Problem, ...] = ()
    fidelity: tuple[Fidelity, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step in plan order."""
        return tuple(step for phase in self.phases for step in phase.steps)

    @property
    def empty(self) -> bool:
        """Tell whether nothing is to be written."""
        return not any(phase.steps for phase in self.phases)


@dataclass(frozen=True, slots=True)
class Plan:
    """The plans of one run. `created` (UTC seconds since the epoch) is for people and not part of the digest."""

    targets: tuple[TargetPlan, ...]
    created: float = 0.0

    def target(self, name: str) -> TargetPlan | None:
        """Return the plan of one target."""
        return next((plan for plan in self.targets if plan.target == name), None)
