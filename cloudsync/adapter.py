"""The adapter protocol and its values: everything a platform adapter shares with the core. PUBLIC.

An adapter keeps no memory between calls, never diffs on its own account, never retries a write. `read`, `refresh` and `write` have effects;
all else is pure. The native table is a value of the adapter's own that the core only hands back, compares and digests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Protocol

from cloudsync.model.address import NOWHERE, AddressSet
from cloudsync.model.fidelity import Fidelity
from cloudsync.model.finding import Finding, Where
from cloudsync.model.mode import Accept, Egress, Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, Packet, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ServiceSet
from cloudsync.model.target import TargetSettings as TargetSettings  # noqa: PLC0414 - part of this protocol, but cheap to import alone
from cloudsync.model.workload import Domain, Forward, Labels, PointId

Table = Any
"""A platform's native state or desired state; a frozen value of the adapter's own, compared with `==`."""


# --- who, and what is there ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the credentials are; compared with the settings before anything read is trusted."""

    platform: str
    account: str
    principal: str


@dataclass(frozen=True, slots=True)
class FoundInterface:
    """One interface of a discovered workload. `skipped` says why no policy is enforced here; empty when it can be."""

    ref: str
    network: str
    addresses: AddressSet
    point: PointId | None
    skipped: str = ""
    source_only: bool = False
    """Connections are opened from these addresses, but none arrive for this workload (SNAT and self addresses of a load balancer)."""
    shared: str = ""
    """Workloads whose interfaces carry the same non-empty word may have the same addresses (virtual servers of one device)."""
    forwards: tuple[Forward, ...] = ()
    """Where flows that arrive here go on to (a virtual server and its pool members)."""


@dataclass(frozen=True, slots=True)
class Found:
    """One workload as the platform tells it, before labels are mapped."""

    ref: str
    name: str
    account: str
    scope: str
    tags: tuple[tuple[str, str], ...]
    interfaces: tuple[FoundInterface, ...]


@dataclass(frozen=True, slots=True)
class ScopeState:
    """Whether one scope (e.g. `aws-prod/us-east-1`) was read whole; `why` is empty exactly when it was."""

    scope: str
    why: str = ""

    @property
    def complete(self) -> bool:
        """Tell whether the scope was read whole: only then may anything be removed."""
        return not self.why


@dataclass(frozen=True, slots=True)
class Discovery:
    """Everything `discover` found in one target, workloads ordered by ref."""

    target: str
    workloads: tuple[Found, ...]
    scopes: tuple[ScopeState, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """One enforcement point of a table. `ours` and `foreign` are native object ids attached to it, in stable order."""

    id: PointId
    scope: str
    network: str
    name: str
    addresses: AddressSet
    ours: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    skipped: str = ""
    keepsake: tuple[str, ...] = ()
    """What is stored when the point is adopted, so that it can be given back: `foreign` unless a platform needs more than ids."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One read of a target: discovery and native table come from the same read, so that they agree."""

    target: str
    discovery: Discovery
    table: Table
    scopes: tuple[ScopeState, ...]
    digest: str
    """Covers everything that was read; another reading with the same digest means nothing moved."""

    @property
    def complete(self) -> bool:
        """Tell whether every scope was read whole."""
        return all(scope.complete for scope in self.scopes)


# --- what is wanted --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """What an entry comes from: a rule with its place in the policy, or a reason of ours such as `kept` (where None).

    `rule` is for people and may follow the rule's position; `written` is what it is called where it is written, empty for `rule` itself.
    """

    rule: str
    where: Where | None = None
    written: str = ""

    @property
    def native(self) -> str:
        """Return the name for descriptions and native names, and for every order of what is written: it does not follow the position."""
        return self.written or self.rule

    @property
    def plumbing(self) -> bool:
        """Tell whether the reason is that the platform itself must get through (`Capabilities.always_open`), whatever the policy says."""
        return self.rule == "platform" and self.where is None


@dataclass(frozen=True, slots=True)
class ClassPeer:
    """Peer: every workload of one class (all of its addresses as seen from the enforcing domain)."""

    class_id: str


@dataclass(frozen=True, slots=True)
class AddressPeer:
    """Peer: addresses. `name` is the IP list they come from unchanged, else empty. `internet`: an exact complement of the inventory."""

    addresses: AddressSet
    name: str = ""
    internet: bool = False


@dataclass(frozen=True, slots=True)
class Term:
    """One allowed piece: these peers on these services, because of these rules. Never rules are already taken out of it."""

    peer: ClassPeer | AddressPeer
    services: ServiceSet
    origins: tuple[Origin, ...]
    accept: frozenset[Accept] = frozenset()
    process: str = ""
    logged: bool = False
    """The rule wants what it lets through (or cuts) to be logged."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """One direction of a class. `terms` cover `exact` exactly; `loosest` is what rules accept by name at most, never rules still out.

    `never` is what never rules forbid, `closed` what deny rules and the selective services close (used for `selective` only).
    Platforms with an order may say it in tiers: `whole` (allow rules before never rules are taken out) under `never_terms`, above
    `closed_terms`: what `whole` says minus what `never_terms` say is `exact`.
    """

    terms: tuple[Term, ...] = ()
    exact: PacketSet = NO_PACKETS
    loosest: PacketSet = NO_PACKETS
    never: PacketSet = NO_PACKETS
    closed: PacketSet = NO_PACKETS
    whole: tuple[Term, ...] = ()
    never_terms: tuple[Term, ...] = ()
    closed_terms: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True)
class ClassIntent:
    """What is wanted for one class of workloads that the policy cannot tell apart, as seen from one routing domain.

    The id is stable: it depends on the labels that make the class, not on its members, nor on the order of rules.
    """

    class_id: str
    domain: Domain
    labels: Labels
    mode: Mode
    egress: Egress
    addresses: AddressSet
    """All addresses of all its members as sources, as seen from `domain`."""
    inbound: Allowed = Allowed()
    outbound: Allowed = Allowed()
    """Empty unless egress is enforced."""
    reached: AddressSet | None = None
    """Its members' addresses as destinations, where those differ from `addresses` (a load balancer's virtual server)."""

    @property
    def destinations(self) -> AddressSet:
        """Return all addresses of all its members as destinations."""
        return self.addresses if self.reached is None else self.reached


@dataclass(frozen=True, slots=True)
class PointIntent:
    """What is wanted at one enforcement point: its class, plus what is kept of the past there.

    kept_in: packets beside the class's that stay open (`selective`: L - D - S - N). kept_out: the former outbound packets (`leave`).
    None means: as foreign objects have it, nothing of it is to be rendered (additive targets).
    original: native ids to give back when the point is no longer enforced (recorded at adoption), else empty. was_out: what went out at
    adoption, where foreign rules stay in place and egress is left alone: outbound packets end as they are now, or as they were then.
    """

    point: PointId
    class_id: str
    domain: Domain
    mode: Mode
    egress: Egress
    kept_in: PacketSet | None = None
    kept_out: PacketSet | None = None
    original: tuple[str, ...] = ()
    was_out: PacketSet | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """Everything wanted of one target. `classes` holds every class of the inventory in every domain of the target's points (peers too)."""

    target: str
    owner: str
    mode: TargetMode
    classes: tuple[ClassIntent, ...]
    points: tuple[PointIntent, ...]
    incomplete: frozenset[str] = frozenset()
    """Scopes that were not read whole: nothing there may be removed or detached."""
    quarantined: AddressSet = NOWHERE
    """Addresses of workloads that this complete run did not find for the first time: entries for them alone stay, none is added."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a desired table cannot be built or must not be written: code (e.g. G-QUOTA, FIDELITY), message with numbers, rules to blame."""

    code: str
    message: str
    hint: str = ""
    rules: tuple[str, ...] = ()
    points: tuple[PointId, ...] = ()


@dataclass(frozen=True, slots=True)
class Access:
    """What a point really lets in and out, as packets seen from it."""

    inbound: PacketSet = NO_PACKETS
    outbound: PacketSet = NO_PACKETS


@dataclass(frozen=True, slots=True)
class Encoding:
    """A desired table with what the encoder has to say about it.

    left_out: packets that cannot pass whatever is written here: of unnamed protocols, to ports that nobody listens on, or cut by objects
    beyond our reach (a hierarchical policy). forced: packets that pass whatever is written here: let through by objects beyond our reach.
    plumbing: packets of the platform itself (health probes) that rules of ours keep open although no rule of the policy says so.
    """

    table: Table
    fidelity: tuple[Fidelity, ...] = ()
    problems: tuple[Problem, ...] = ()
    left_out: Mapping[PointId, Access] | None = None
    notes: tuple[str, ...] = ()
    forced: Mapping[PointId, Access] | None = None
    plumbing: Mapping[PointId, Access] | None = None


class Whose(Enum):
    """Which objects of a table a decoding looks at."""

    ALL = "all"
    OURS = "ours"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Entry:
    """One native rule, for people: where it stands, what it lets through, whose it is, which policy rules it comes from."""

    object: str
    object_name: str
    native: str
    direction: str
    packets: PacketSet
    ours: bool
    points: tuple[PointId, ...]
    origins: tuple[Origin, ...] = ()
    note: str = ""
    id: str = ""
    """The platform's own id of the rule, where a report asked for it."""
    denies: bool = False
    """The rule cuts these packets; rules that let them through say False."""
    owner: str = ""
    """Which other tool owns it, in words; filled in by the core, never by an adapter."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One decision on the way of a packet through a point: where it is taken, what it says, and which rule or default says so."""

    where: str
    """For people, e.g. `subnet NSG web-nsg` or `hierarchical policy 1234`."""
    verdict: str
    """`allow`, `deny`, or `pass` when the next hop decides."""
    rule: str
    """The deciding native rule in words, or the default."""
    ours: bool = False
    origins: tuple[Origin, ...] = ()


# --- the way there ---------------------------------------------------------------------------------------------------


class Effect(Enum):
    """What a step may do to any point's packets: GROWS only adds, SHRINKS only removes, SWAPS either, NONE neither."""

    NONE = "none"
    GROWS = "grows"
    SHRINKS = "shrinks"
    SWAPS = "swaps"


@dataclass(frozen=True, slots=True)
class Step:
    """One write, rendered: `payload` is the canonical JSON of exactly what is sent (ids not known yet stand as `{new:KEY}`)."""

    key: str
    """Unique and stable within a plan, e.g. `authorize-ingress/sg-0ab`."""
    action: str
    """The platform's name of the call, e.g. `AuthorizeSecurityGroupIngress`; also the key of its token bucket."""
    scope: str
    object: str
    """Native id, or the key of an object that an earlier step creates."""
    title: str
    """One line for people."""
    effect: Effect
    payload: str
    adds: int = 0
    """Native rules added."""
    removes: int = 0
    """Native rules removed."""
    points: tuple[PointId, ...] = ()
    """Points attached, moved or detached by this very step."""
    origins: tuple[Origin, ...] = ()
    temporary: bool = False
    mark: str = ""
    """The ownership mark the object must carry at that moment; empty where the step creates it."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Steps that may take effect in any order; a barrier (confirmed by a read, plus settle time) stands behind each phase."""

    name: str
    steps: tuple[Step, ...]


class Method(Enum):
    """How a platform's steps are ordered; the planner takes the first whose every prefix is proven safe.

    SWAP: one atomic replacement per point between adding and removing. JOIN: add everything, then remove. MERGE: in a table with an
    order, insert what is new from the top, then delete what is old from the bottom, in batches of one action. TWO_BAND: the same with
    nothing kept, into the free half of the numbers. SHIELD: temporary deny rules on top against what only a moment between would open,
    then any of the others, then the shields go. MEET: shrink to what old and new share (held by temporary helpers), barrier, then grow.
    """

    SWAP = "swap"
    JOIN = "join"
    MERGE = "merge"
    TWO_BAND = "two-band"
    SHIELD = "shield"
    MEET = "meet"


@dataclass(frozen=True, slots=True)
class Bounds:
    """While a phase takes effect in any order: what all of `lower` let through passes, and only what one of `upper` lets through does."""

    lower: tuple[Table, ...]
    upper: tuple[Table, ...]


class Status(Enum):
    """The three outcomes of a write."""

    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a write came to. `created` binds keys of new objects to native ids. `code` and `reason` are the platform's words."""

    status: Status
    code: str = ""
    reason: str = ""
    created: tuple[tuple[str, str], ...] = ()
    throttled: bool = False


class Seen(Enum):
    """Whether a read shows a step's effect."""

    YES = "yes"
    NO = "no"
    OTHER = "other"
    """Neither the state before nor the state after: somebody else was here."""


# --- capabilities ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Permission:
    """One right and why it is needed; `write` ones are absent from the reading role."""

    action: str
    why: str
    write: bool = False


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a platform can say and do."""

    platform: str
    denies: bool
    egress: bool
    icmp_types: bool
    processes: bool
    rule_logging: bool
    always_open: tuple[str, ...] = ()
    methods: tuple[Method, ...] = (Method.SWAP, Method.JOIN, Method.MEET)
    """In the order in which they are tried."""
    in_place: bool = False
    """Foreign rules can stay where they are beside ours, above or below them."""
    container: str = "group"
    """What people call the object that rules stand in."""
    woven: bool = False
    """New objects may be filled while others are still being created (`cloudsync.plan.weave`)."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things are assumed to take on a target, in seconds. These are stated assumptions, not bounds that a vendor gives."""

    settle_s: float = 5.0
    """From a read that shows a change until the data plane has it."""
    visible_s: float = 120.0
    """From a confirmed write until reads show it."""
    call_s: float = 60.0
    """How long a call that was never answered may still take effect."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of `doctor`: what was tried, whether it is well, what to do if not."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


class Clock(Protocol):
    """Time as a port. `now` is UTC seconds since the epoch; `monotonic` never goes back."""

    def now(self) -> float:
        """Return UTC seconds since the epoch."""

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences mean something."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


Progress = Callable[[str, int, int], None]
"""`(what, done, of)`; called from any thread."""


class Adapter(Protocol):
    """A platform, opened for one target. See the module docstring for what may have effects."""

    capabilities: Capabilities
    patience: Patience

    def identify(self) -> Identity:
        """Ask who we are. Raises AdapterError."""

    def expected_account(self) -> str:
        """Return the account the settings name, for comparison with `identify`."""

    def read(self) -> Snapshot:
        """Read the whole target in bulk. A scope that fails or is cut short is Incomplete in the snapshot, never silently short."""

    def refresh(self, table: Table, steps: Iterable[Step], bindings: Mapping[str, str]) -> Table:
        """Read again just what these steps touch and return the table with it replaced. Raises AdapterError."""

    def points(self, table: Table) -> tuple[Point, ...]:
        """Return every enforcement point, skipped ones included, ordered by id."""

    def decode(self, table: Table, whose: Whose = Whose.ALL, points: Iterable[PointId] | None = None) -> Mapping[PointId, Access]:
        """Return what each point lets in and out."""

    def entries(self, table: Table, points: Iterable[PointId] | None = None) -> tuple[Entry, ...]:
        """Return the native rules that act on these points, ours and foreign, in a stable order."""

    def walk(self, table: Table, point: PointId, direction: str, packet: Packet) -> tuple[Hop, ...]:
        """Return how a packet fares at a point (`inbound` or `outbound`), hop by hop in the platform's order of evaluation."""

    def owned(self, table: Table) -> Mapping[str, int]:
        """Return how many native rules of our own each scope holds."""

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        """Return the desired table: foreign objects copied as they are, ours as wanted, stable where nothing changed."""

    def steps(self, actual: Table, desired: Table, method: Method) -> tuple[Phase, ...]:
        """Return the smallest safe writes from actual to desired, in phases; empty when equal."""

    def shield(self, table: Table, packets: Mapping[PointId, Access]) -> Table:
        """Return a table with temporary deny rules of ours above everything else that cut these packets at these points.

        They never cut anything else, at no point; what a platform cannot cut exactly stays uncut (a foreign allow stands above, no place
        is free, there are no denies). The caller decodes to see what they do. `steps` leads to such a table and away from it, its steps
        are marked temporary, and `encode` knows a shield that was left behind as a rule of ours that is not wanted.
        """

    def simulate(self, table: Table, *steps: Step) -> Table:
        """Parse the steps' payloads back and return the table as it would be after them: proof works on what is really sent."""

    def bounds(self, table: Table, steps: tuple[Step, ...]) -> Bounds:
        """Return tables that bound every state while these steps take effect in any order."""

    def affected(self, table: Table, steps: tuple[Step, ...]) -> frozenset[PointId]:
        """Return the points whose packets these steps may change, members of referred objects included."""

    def seen(self, table: Table, step: Step, bindings: Mapping[str, str]) -> Seen:
        """Tell whether a (refreshed) table shows the step's effect."""

    def created(self, table: Table, step: Step) -> tuple[tuple[str, str], ...]:
        """Return the key and native id of what a creating step made, found by its mark; empty when a (refreshed) table does not show it."""

    def write(self, step: Step, bindings: Mapping[str, str]) -> Outcome:
        """Send one step, once. Never raises for an answer of the platform: that is FAILED; every doubt is UNKNOWN."""

    def dump(self, table: Table) -> Any:  # noqa: ANN401 - JSON values
        """Return a table as JSON values, for plan files."""

    def rule_ids(self, table: Table, entries: Iterable[Entry]) -> Mapping[tuple[str, str], str]:
        """Return the platform's own ids of native rules by `(object, native)`, for reports. Raises AdapterError."""

    def doctor(self) -> tuple[Check, ...]:
        """Check credentials, permissions and limits without writing."""


class AdapterFactory(Protocol):
    """What the entry point `cloudsync.adapters` names: cheap to import, loads no SDK."""

    name: str
    permissions: tuple[Permission, ...]
    example: Mapping[str, Any]
    """Options of a target that stands for any: for documents that are generated where no target is configured."""

    def check(self, target: TargetSettings) -> tuple[Finding, ...]:
        """Return findings about a target's options beyond its schema."""

    def open(self, target: TargetSettings, owner: str, clock: Clock) -> Adapter:
        """Open a target; the SDK is imported here. No call is made."""

    def role(self, targets: Iterable[TargetSettings], *, owner: str, read_only: bool) -> str:
        """Return the least-privilege role as the platform's own document, generated from `permissions`."""
