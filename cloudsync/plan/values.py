"""The plan as a value: everything a guard, a person or the executor needs, and nothing that changes between two equal plans."""

from __future__ import annotations

from enum import Enum

from cloudsync.adapter import Access, Identity, Phase, Problem, Step
from cloudsync.diff import Change
from cloudsync.model.address import NOWHERE, AddressSet
from cloudsync.model.fidelity import Fidelity
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import Labels, PointId, WorkloadId
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.terraform import Touch
from cloudsync.proof.values import Certificate, PathReplay, Replay, Stage, Stop

SHUT = Access()
"""A point that lets nothing through."""


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
class TouchedPoint:
    """What one enforcement point lets in and out before and after: one for every point whose packets or own rules change.

    `ours_before` and `ours_after` are what our own objects alone let through there.
    """

    point: PointId
    workload: WorkloadId | None
    """None where the point belongs to no workload of the inventory."""
    name: str
    """The workload's name, for people."""
    labels: Labels
    scope: str
    network: str
    before: Access
    after: Access
    ours_before: Access = SHUT
    ours_after: Access = SHUT
    enforced: bool = True
    """Whether the policy enforces anything here after the plan (modes selective and full)."""
    rightful: Access | None = None
    """What the last good apply enforced here, where that is known. What differs from it was done by somebody else since, so taking it
    back is no news to the guards; None: everything that is open counts."""
    applied: Access | None = None
    """The same whether or not the platform can hold to it now: rules of ours that something foreign has come to cut count here."""
    sibling: Access | None = None
    """Set only for a workload that the last verified inventory of its scope lacks although an enforced member of the same class in
    the same network was in it: what such a member lets in and out today. A machine that joins its like is no news to the guards."""

    @property
    def base(self) -> Access:
        """What the guards compare the plan with: what was enforced by right, else what is there."""
        return self.before if self.rightful is None else self.rightful

    @property
    def owner(self) -> str:
        """What counts as one workload: its id, or the point itself."""
        return self.workload or self.point


@dataclass(frozen=True, slots=True)
class Adoption:
    """What a point had when we took it over, recorded before the first write so that it can be given back."""

    point: PointId
    original: tuple[str, ...]
    """Native ids of the objects attached to it, in stable order."""
    inbound: PacketSet = NO_PACKETS
    outbound: PacketSet = NO_PACKETS


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
    """A management flow that is open today and that some state on the way stops. `step` names the write, for people."""

    point: PointId
    flow: str
    step: str


@dataclass(frozen=True, slots=True)
class Gap:
    """What an order cuts that both the old and the new state allow: the most at once, at how many points, and for about how long."""

    packets: int = 0
    points: int = 0
    steps: int = 0
    """Writes from the first that may cut to the last that restores."""
    seconds: float = 0.0
    """An estimate from the platform's stated assumptions; no vendor gives a bound."""


NO_GAP = Gap()
NO_STOP = Stop("", PointId(""), "")


@dataclass(frozen=True, slots=True)
class Witness:
    """One flow of X: the old state of its whole path does not let it through, nor does the new one, but a moment between could."""

    flow: str
    """Addresses and services, e.g. `10.0.0.1 -> 10.0.0.2 tcp/22`."""
    source: str
    """Who opens it, for people: the workload's name, or its address."""
    destination: str
    service: str
    behind: str = ""
    """The pool member that a load balancer passes it on to."""
    closes: Stop = NO_STOP
    """Where it is let through now and will not be."""
    opens: Stop = NO_STOP
    """Where it is not let through now and will be."""


class CourseMethod(Enum):
    """How the targets of a component are kept from exposing something together."""

    ORDER = "order"
    """Whole targets one after another, so that everything that closes a flow of X has closed before anything opens it."""
    SHIELD = "shield"
    """Temporary denies, everyone's own way, then the denies go."""
    MEET = "meet"
    """Everybody shrinks to what old and new share, a barrier, then everybody grows."""
    GAP = "gap"
    """As MEET, but some target cannot shrink without cutting what both states allow: a person has to agree."""
    NONE = "none safe"
    """No order was found that exposes nothing."""


@dataclass(frozen=True, slots=True)
class Component:
    """Targets that share paths on which a moment between old and new could expose something, and what is done about it."""

    targets: tuple[str, ...]
    method: CourseMethod
    stages: tuple[Stage, ...]
    witnesses: tuple[Witness, ...] = ()
    """One per pair of targets, a few in all."""
    replay: PathReplay | None = None
    """Of the whole path; None when it was not run."""
    gap: Gap = NO_GAP

    def first(self, target: str) -> int:
        """Return the stage in which a target begins, from 0."""
        return next((number for number, stage in enumerate(self.stages) if stage.leg(target)), 0)


@dataclass(frozen=True, slots=True)
class Course:
    """What has to be done together over all targets of a run; a target that is in no component may run at any time."""

    components: tuple[Component, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """One target's plan. Equal inputs give equal plans; there is no time in it.

    `digest` (in `cloudsync.plan.document`) names it: a byte of difference in steps, order, method, limits or anything read is another one.
    """

    target: str
    mode: TargetMode
    owner: str
    identity: IdentityCheck
    limits: GuardLimits
    snapshot_digest: str
    desired_digest: str
    policy_digest: str
    scopes: tuple[str, ...] = ()
    """Scopes of this target."""
    method: str = "none"
    """How the phases were found, e.g. `swap`, `join`, `rounds`, `meet`; `none` when nothing is to be written."""
    phases: tuple[Phase, ...] = ()
    changes: tuple[Change, ...] = ()
    points: tuple[TouchedPoint, ...] = ()
    workloads: int = 0
    """Workloads of this target that have an enforcement point; what G-AFFECTED takes its share of."""
    churn: AddressSet = NOWHERE
    """Addresses of workloads that joined or left since the last verified inventory: a point whose packets differ only by such peers
    is not counted as affected."""
    rules: tuple[ScopeRules, ...] = ()
    peaks: tuple[Peak, ...] = ()
    inventory: tuple[InventoryScope, ...] = ()
    """Every scope of the whole inventory, other targets' included: removals here may depend on them."""
    unseen: AddressSet = NOWHERE
    """Addresses of workloads kept from the last verified reading because their scope was not read whole now."""
    adoptions: tuple[Adoption, ...] = ()
    certificate: Certificate | None = None
    """None when it was not computed."""
    replay: Replay | None = None
    """None when it was not run."""
    management_losses: tuple[ManagementLoss, ...] = ()
    problems: tuple[Problem, ...] = ()
    fidelity: tuple[Fidelity, ...] = ()
    notes: tuple[str, ...] = ()
    terraform: tuple[Touch, ...] = ()
    """What the steps would do to objects that Terraform owns."""
    component: Component | None = None
    """Set where other targets of the run have to be waited for, or its own steps stand in stages: see `Component`."""
    gap: Gap = NO_GAP
    """What its steps cut that both states allow."""

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
    """The plans of one run. `created` (UTC seconds since the epoch) is for people and not part of any digest."""

    targets: tuple[TargetPlan, ...]
    created: float = 0.0

    def target(self, name: str) -> TargetPlan | None:
        """Return the plan of one target."""
        return next((plan for plan in self.targets if plan.target == name), None)

    @property
    def course(self) -> Course:
        """What has to be done together over all targets."""
        return Course(tuple(dict.fromkeys(plan.component for plan in self.targets if plan.component is not None)))
