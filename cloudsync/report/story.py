"""What is told to people over time: findings with their state, what was done, who did it, how it went over weeks. Pure values.

Every renderer (terminal, Markdown, HTML, CSV, mail, webhook) takes one `Story`, so that all of them say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import Enum

from cloudsync.model.fidelity import Fidelity
from cloudsync.model.packets import PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import Labels, PointId
from cloudsync.proof.drift import Kind, Severity
from cloudsync.report.matrix import Matrix
from cloudsync.report.values import RunReport, Unchecked


class State(Enum):
    """Where a finding stands; the order is loudest first."""

    NEW = "new"
    CHANGED = "changed"
    """Its packets or its workloads are others than in the run before."""
    ONGOING = "ongoing"
    ACKNOWLEDGED = "acknowledged"
    """Somebody has accepted it until a date; it is counted, not shouted."""
    RESOLVED = "resolved"


class Deed(Enum):
    """What cloudsync did about a finding in this run."""

    NOTHING = "nothing"
    """A run that only looks."""
    RESTORED = "restored"
    LEFT = "left"
    """The target's mode forbids to touch it (observe, additive), or Terraform owns it."""
    REFUSED = "refused"
    """A guard, a hold or the cap on restores said no."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who caused a change, as far as the platform tells."""

    who: str
    """e.g. `jdoe@acme.example`, `arn:aws:iam::1111:user/jdoe`"""
    at: float
    """UTC seconds since the epoch."""
    how: str = ""
    """The call, e.g. `AuthorizeSecurityGroupIngress (CloudTrail)`."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A finding accepted by a person, in the config repository."""

    key: str
    until: float
    because: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class Tracked:
    """One finding over time. `key` is stable over runs: target, class, direction, kind and the native rules behind it."""

    key: str
    target: str
    kind: Kind
    severity: Severity
    state: State
    words: str
    """The packets, e.g. `tcp/22 from the internet`."""
    sentence: str
    """All of it for people: what, at whom, because of which native rule."""
    direction: str
    labels: Labels
    workloads: tuple[str, ...]
    points: tuple[PointId, ...]
    packets: str
    """Digest of the packets: another one is another state of the same finding."""
    first_seen: float
    last_seen: float
    seen: int = 1
    """In how many runs in a row it was there."""
    returns: int = 0
    """How often it came back after it was resolved: a high number is somebody, or something, who fights."""
    deed: Deed = Deed.NOTHING
    why: str = ""
    """Why it was left or refused, e.g. `target is additive`, `G-MGMT`, `restored 5 times today, not again before tomorrow`."""
    advice: str = ""
    """What a person should do now."""
    actor: Actor | None = None
    acknowledged: Acknowledgement | None = None
    owners: tuple[str, ...] = ()
    """Owners of the rulesets concerned, for routing."""
    natives: tuple[str, ...] = ()
    """The native rules behind it, in words."""
    content: PacketSet | None = None
    """The packets themselves, as seen from the points; None where the records no longer have them."""
    flapping: bool = False
    """It came back so often within a day that somebody, or something, fights."""
    quiet: bool = False
    """Its state is no news: told before as restored or acknowledged, or one more round of a fight that was told as such."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A target that did not go well: refused, failed or recovered. `since`: of the state it is in, UTC seconds."""

    target: str
    what: str
    """`refused`, `failed`, `recovered`, or `overdue` (no good run for long)."""
    why: str
    since: float
    new: bool = True
    approve: str = ""
    """The command that approves it, where one does."""
    title: str = ""
    """What is the matter, where it is not what stands for `what` at a target: `the config repository cannot be used`."""
    advice: str = ""
    """What a person should do, where it is not what one does about `what` at a target."""


@dataclass(frozen=True, slots=True)
class Expiring:
    """A rule that ends soon. `protects`: its end opens access."""

    rule: str
    where: str
    until: float
    protects: bool
    owner: str = ""
    written: str = ""
    """The name that does not follow its position: what is told already goes by it. Empty where that is `rule`."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One day of one target and label group: counts at its last run."""

    day: str
    """ISO date, UTC."""
    target: str
    label: str
    """`key=value`, or empty for the whole target."""
    findings: int
    critical: int
    exposed: int
    """Workloads open to the internet or anywhere beyond the policy."""
    enforced: int
    workloads: int
    found: int = 0
    """Findings that were new on that day: what was restored at once is in no count of what is open."""


@dataclass(frozen=True, slots=True)
class TargetState:
    """How a target stands: `good` is the time of its last good run, None when there was none."""

    name: str
    platform: str
    mode: str
    state: str
    """`in sync`, `drift`, `changed`, `refused`, `failed`, `never run`"""
    good: float | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """One change that a run brought about at one class, in words of packets. A run's changes follow each other, the latest run first."""

    run_id: str
    at: float
    target: str
    direction: str
    labels: Labels
    workloads: tuple[str, ...]
    opens: tuple[str, ...]
    closes: tuple[str, ...]
    rules: tuple[str, ...] = ()
    """The policy rules behind it, `rule (file:line)`."""
    policy: str = ""
    """The policy's version in words: commit, author and subject, or a digest."""


@dataclass(frozen=True, slots=True)
class Story:
    """One run as told to people, with what came before it."""

    run_id: str
    verb: str
    at: float
    owner: str
    policy: str
    report: RunReport | None
    """The run itself; None when the story is told again from the records."""
    targets: tuple[TargetState, ...]
    findings: tuple[Tracked, ...]
    """Worst first; resolved ones of this run last."""
    troubles: tuple[Trouble, ...] = ()
    expiring: tuple[Expiring, ...] = ()
    unchecked: tuple[Unchecked, ...] = ()
    trend: tuple[Mark, ...] = ()
    audit_head: str = ""
    history: tuple[Made, ...] = ()
    """What earlier runs opened and closed, and this one; the latest first."""
    matrix: Matrix | None = None
    """Who may talk to whom; None where nobody worked it out."""
    inexact: tuple[Fidelity, ...] = ()
    """Rules that a platform cannot say exactly."""
    behind: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    """By target, for each drift of the report in its order: the keys of the findings that it takes part in. Without any it is only what
    the next apply of a changed policy brings about."""

    @property
    def open(self) -> tuple[Tracked, ...]:
        """Findings that are there and that nobody has acknowledged."""
        return tuple(one for one in self.findings if one.state in (State.NEW, State.CHANGED, State.ONGOING))

    @property
    def newsworthy(self) -> bool:
        """Tell whether anything happened that a person has not been told yet."""
        fresh = any(one.state in (State.NEW, State.CHANGED, State.RESOLVED) and not one.quiet for one in self.findings)
        return fresh or any(one.new for one in self.troubles)
