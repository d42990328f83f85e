"""The order of the pipeline, and the one fault wall per target.

settings, sources -> policy -> inventory -> intent -> encode -> diff -> plan -> proof -> guard -> apply -> read again -> report.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

from cloudsync import registry
from cloudsync.adapter import Access, Adapter, Discovery, Identity, ScopeState, Snapshot, TargetSettings, Whose
from cloudsync.compile import arms, universe
from cloudsync.compile.allowed import Compiler, Direction
from cloudsync.compile.behind import Behind
from cloudsync.compile.intent import Actual, Recorded, TargetScope, owed, wanted
from cloudsync.compile.intent import build as build_intent
from cloudsync.diff import Owners
from cloudsync.guard.every import check_all
from cloudsync.guard.values import Approval
from cloudsync.inventory.terraform_kinds import Owned
from cloudsync.inventory.values import Inventory
from cloudsync.model.address import NOWHERE, AddressSet
from cloudsync.model.errors import AdapterError, CloudsyncError, InputError, PolicyError
from cloudsync.model.finding import Finding, Severity
from cloudsync.model.glance import Glancing
from cloudsync.model.mode import TargetMode
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId, WorkloadId
from cloudsync.plan.build import Before, Built, Case, build
from cloudsync.plan.course import Site, chart
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.terraform import NO_OWNER, Ownership, ownership, with_owners
from cloudsync.plan.values import IdentityCheck, TargetPlan
from cloudsync.plan.weave import at_limits
from cloudsync.policy.values import Policy
from cloudsync.proof.certificate import Beyond
from cloudsync.proof.drift import Drift, Kind, Scene, find, with_ids
from cloudsync.report.values import LabelNote, RunReport, TargetReport, Unchecked

log = logging.getLogger("cloudsync.run")

Opener = Callable[[TargetSettings], Adapter]


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading one target: a snapshot, or why there is none."""

    target: TargetSettings
    adapter: Adapter | None = None
    identity: IdentityCheck = IdentityCheck("")
    snapshot: Snapshot | None = None
    error: str = ""
    bug: bool = False
    refused: str = ""
    glanced: bool = False
    """The snapshot is a first look (`cloudsync.model.glance`): enough to see that nothing is to do, and for nothing else."""
    hint: str = ""
    """What the next first look may be told."""

    @property
    def discovery(self) -> Discovery:
        """What was discovered; an unread target is one incomplete scope, so that nothing is concluded from its absence."""
        if self.snapshot is not None:
            return self.snapshot.discovery
        return Discovery(self.target.name, (), (ScopeState(self.target.name, self.error or "not read"),))


def read_all(targets: Iterable[TargetSettings], opener: Opener, hints: Mapping[str, str] | None = None) -> tuple[Reading, ...]:
    """Read every target, all at the same time; a failing one does not touch the others. In the order of the settings.

    `hints`: a first look is enough where an adapter has one, with its own hint by target; `plan_all` completes it where something is to do.
    """
    listed = list(targets)
    if len(listed) < 2:
        return tuple(_read(target, opener, hints) for target in listed)
    with ThreadPoolExecutor(max_workers=len(listed), thread_name_prefix="target") as pool:
        return tuple(pool.map(lambda target: _read(target, opener, hints), listed))


def _read(target: TargetSettings, opener: Opener, hints: Mapping[str, str] | None) -> Reading:
    reading = Reading(target)
    try:
        adapter = opener(target)
        expected = adapter.expected_account()
        reading = replace(reading, adapter=adapter, identity=IdentityCheck(expected))
        look = adapter.glance(hints.get(target.name, "")) if hints is not None and isinstance(adapter, Glancing) else None
        # Answers that prove the account need no question for it; whatever else they show, the platform has the word.
        proven = look is not None and look.account == expected
        got = Identity(adapter.capabilities.platform, expected, "") if proven else adapter.identify()
        identity = IdentityCheck(expected, got)
        reading = replace(reading, identity=identity)
        if not identity.good:
            nothing = "nothing was read or written" if look is None else "nothing was written, and nothing that was read is used"
            refused = f"G-IDENTITY expected account {expected}, got {got.account}; {nothing}"
            return replace(reading, refused=refused, error=refused)
        if look is None:
            return replace(reading, snapshot=adapter.read())
        return replace(reading, snapshot=look.snapshot, glanced=True, hint=look.hint)
    except AdapterError as error:
        return replace(reading, identity=replace(reading.identity, why=error.reason), error=str(error))
    except InputError:
        raise
    except CloudsyncError as error:
        return replace(reading, error=str(error))
    except Exception as error:
        log.exception("target.read", extra={"target": target.name})
        return replace(reading, error=f"unexpected {type(error).__name__}: {error}", bug=True)


@dataclass(frozen=True, slots=True)
class World:
    """Everything one run decides from: the inventory, its classes, and what rules resolve to."""

    policy: Policy
    inventory: Inventory
    compiler: Compiler
    owners: Owners
    before: Before
    labels: tuple[LabelNote, ...] = ()
    warnings: tuple[Finding, ...] = ()
    terraform: tuple[Owned, ...] = ()
    """What Terraform owns."""
    released: frozenset[WorkloadId] = frozenset()
    """Workloads that are given back whatever the policy says."""


def world(policy: Policy, inventory: Inventory, now: float, before: Before, released: frozenset[WorkloadId] = frozenset()) -> World:
    """Compile a policy against an inventory. Raises PolicyError where the two do not fit, e.g. an ambiguous name.

    `released`: workloads that are given back whatever the policy says.
    """
    classes = universe.build(policy, inventory.workloads, released)
    errors = [one for one in classes.findings if one.severity is Severity.ERROR]
    if errors:
        raise PolicyError(errors)
    resolved = arms.resolve(classes, policy, datetime.fromtimestamp(now, UTC))
    warnings = (*classes.findings, *arms.empty_selectors(classes, policy))
    return World(policy, inventory, Compiler(classes, resolved), Owners.of(classes), before, warnings=warnings, released=released)


@dataclass(frozen=True, slots=True)
class Settled:
    """What a run knows beside the inputs: adoption records, approvals, limits, the policy's digest, the owner, the time."""

    owner: str
    policy_digest: str
    limits: GuardLimits
    now: float
    recorded: Mapping[str, Mapping[PointId, Recorded]]
    approvals: tuple[Approval, ...] = ()
    quarantined: AddressSet = NOWHERE


@dataclass(frozen=True, slots=True)
class Planned:
    """One target planned: what was read, the plan, what drifted, and what could not be looked at."""

    reading: Reading
    built: Built | None = None
    drift: tuple[Drift, ...] = ()
    unchecked: tuple[Unchecked, ...] = ()
    error: str = ""
    bug: bool = False
    terraform: Ownership = NO_OWNER

    @property
    def plan(self) -> TargetPlan | None:
        """The plan, None when there is none."""
        return self.built.plan if self.built else None


def plan_all(scene: World, readings: Iterable[Reading], settled: Settled, written: Container[str] | None = None) -> tuple[Planned, ...]:
    """Plan every target that was read; a mistake in one stops that one alone. Then chart what they have to do together.

    `written`: the targets that will be written in this run, None for all; the others stay as they are.
    """
    planned = tuple(_plan(scene, reading, settled) for reading in readings)
    return _charted(scene, planned, lambda name: written is None or name in written)


def _charted(scene: World, planned: tuple[Planned, ...], written: Callable[[str], bool]) -> tuple[Planned, ...]:
    """Return the plans with the order between targets; a mistake of ours there stops them all: no order is known to be safe."""
    sites = [
        Site(one.built, written(one.reading.target.name) and one.reading.target.mode is not TargetMode.OBSERVE)
        for one in planned
        if one.built is not None
    ]
    try:
        charted = {one.plan.target: one for one in chart(sites, scene.compiler.universe)}
    except Exception as error:
        log.exception("course.chart")
        return tuple(replace(one, built=None, bug=True, error=f"unexpected {type(error).__name__}: {error}") for one in planned)
    return tuple(replace(one, built=charted[one.built.plan.target]) if one.built is not None else one for one in planned)


def _plan(scene: World, reading: Reading, settled: Settled) -> Planned:
    if reading.snapshot is None or reading.adapter is None:
        return Planned(reading, error=reading.error, bug=reading.bug)
    try:
        return _plan_read(scene, reading, reading.adapter, reading.snapshot, settled)
    except CloudsyncError as error:
        return Planned(reading, error=str(error))
    except Exception as error:
        log.exception("target.plan", extra={"target": reading.target.name})
        return Planned(reading, error=f"unexpected {type(error).__name__}: {error}", bug=True)


def _plan_read(scene: World, reading: Reading, adapter: Adapter, snapshot: Snapshot, settled: Settled) -> Planned:
    target = reading.target
    recorded = settled.recorded.get(target.name, {})
    actual = observe(adapter, snapshot)
    incomplete = frozenset(scope.scope for scope in snapshot.scopes if not scope.complete)
    scope = TargetScope(target.name, settled.owner, target.mode, incomplete, settled.quarantined, adapter.capabilities.in_place)
    intent = build_intent(scene.compiler, scope, actual, recorded)
    encoding = adapter.encode(intent, snapshot)
    if reading.glanced and (encoding.problems or encoding.table != snapshot.table):
        whole = _completed(reading, adapter, snapshot)
        return _plan_read(scene, whole[0], adapter, whole[1], settled)
    case = Case(
        adapter=adapter,
        identity=reading.identity,
        snapshot=snapshot,
        intent=intent,
        universe=scene.compiler.universe,
        actual=actual,
        recorded=recorded,
        limits=settled.limits,
        before=scene.before,
        policy_digest=settled.policy_digest,
        terraform=scene.terraform,
        encoding=encoding,
    )
    built = build(case)
    everything = wanted(intent)
    if adapter.capabilities.denies:
        everything = owed(everything, actual.points)
    beyond = Beyond.of(built.encoding)
    held = {
        point: beyond.held(point, want) for point, want in everything.items() if point in actual.points and not actual.points[point].skipped
    }
    drift = find(
        Scene(
            target=target.name,
            mode=target.mode,
            adapter=adapter,
            table=snapshot.table,
            access=actual.everything,
            wanted=held,
            universe=scene.compiler.universe,
            owners=scene.owners,
            would=watched(scene, target.name, actual, beyond),
            ours=adapter.decode(snapshot.table, Whose.OURS) if adapter.capabilities.denies else {},
            behind=Behind.of(scene.policy.rules),
            classes=intent.classes,
        )
    )
    owned = ownership(scene.terraform, adapter)
    return Planned(reading, built, with_owners(drift, owned), tuple(_unchecked(actual, snapshot)), terraform=owned)


def _completed(reading: Reading, adapter: Adapter, glance: Snapshot) -> tuple[Reading, Snapshot]:
    """Return a reading with what its first look left out; whoever is about to write is asked who they are in any case."""
    assert isinstance(adapter, Glancing)
    identity = IdentityCheck(reading.identity.expected, adapter.identify())
    snapshot: Snapshot = adapter.completed(glance)
    return replace(reading, identity=identity, snapshot=snapshot, glanced=False), snapshot


def observe(adapter: Adapter, snapshot: Snapshot) -> Actual:
    """Return what a snapshot shows at every point."""
    points = {point.id: point for point in adapter.points(snapshot.table)}
    return Actual(points, adapter.decode(snapshot.table, Whose.ALL), adapter.decode(snapshot.table, Whose.FOREIGN))


def watched(scene: World, target: str, actual: Actual, beyond: Beyond) -> dict[PointId, Access]:
    """Return, for the points of workloads in mode visibility, what mode full would let through."""
    found: dict[PointId, Access] = {}
    for number, group in enumerate(scene.compiler.universe.classes):
        if group.mode.value != "visibility":
            continue
        for workload in group.workloads:
            for interface in workload.interfaces:
                if workload.target == target and interface.point is not None and interface.point in actual.points:
                    allowed = scene.compiler.allowed(number, interface.domain, Direction.IN)
                    unsaid = beyond.left_out.get(interface.point)
                    found[interface.point] = Access(allowed.exact - unsaid.inbound if unsaid else allowed.exact)
    return found


def _unchecked(actual: Actual, snapshot: Snapshot) -> Iterable[Unchecked]:
    for scope in snapshot.scopes:
        if not scope.complete:
            yield Unchecked(f"scope {scope.scope}", f"not read whole: {scope.why}")
    for point in actual.points.values():
        if point.skipped:
            yield Unchecked(f"interface {point.name}", point.skipped)


def guarded(planned: Iterable[Planned], settled: Settled, scene: World, verb: str, policy: str) -> RunReport:
    """Run all guards over all plans and return the report of a run that has written nothing yet."""
    listed = list(planned)
    plans = [one.plan for one in listed if one.plan is not None and one.reading.target.mode is not TargetMode.OBSERVE]
    checked = check_all(plans, settled.approvals, settled.now)
    targets: list[TargetReport] = []
    for one in listed:
        name = one.reading.target.name
        targets.append(
            TargetReport(
                name=name,
                mode=one.reading.target.mode,
                plan=one.plan,
                drift=one.drift,
                refusals=checked.of(name),
                overridden=tuple(pair for pair in checked.overridden if pair[0].target == name),
                unchecked=one.unchecked,
                error=one.error,
                bug=one.bug,
                refused=one.reading.refused,
                adapter=(one.reading.target.adapter, registry.version(one.reading.target.adapter)),
                limits_s=0.0 if one.plan is None or one.reading.adapter is None else at_limits(one.reading.adapter, one.plan.phases),
            )
        )
    incomplete = tuple(Unchecked(scope.scope, scope.why) for scope in scene.inventory.scopes if not scope.complete)
    return RunReport(
        verb=verb,
        owner=settled.owner,
        policy=policy,
        workloads=len(scene.inventory.workloads),
        incomplete=incomplete,
        targets=tuple(targets),
        universe=scene.compiler.universe,
        owners=scene.owners,
        labels=scene.labels,
        warnings=tuple(dict.fromkeys((*scene.inventory.warnings, *scene.warnings))),
    )


def again(scene: World, planned: Planned, settled: Settled) -> Planned:
    """Read a target again after an apply and compare it with the policy: drift must be empty for what was applied."""
    return _plan(scene, _read(planned.reading.target, lambda _: _opened(planned), {}), settled)


def _opened(planned: Planned) -> Adapter:
    assert planned.reading.adapter is not None
    return planned.reading.adapter


def named(planned: Planned) -> Planned:
    """Return a target's drift with the platform's own ids of the rules to blame; as it was where they cannot be read."""
    adapter, snapshot = planned.reading.adapter, planned.reading.snapshot
    blamed = [entry for one in planned.drift if one.real for entry in one.entries]
    if adapter is None or snapshot is None or not blamed:
        return planned
    try:
        found = with_ids(planned.drift, adapter.rule_ids(snapshot.table, blamed))
        return replace(planned, drift=with_owners(found, planned.terraform))
    except AdapterError as error:
        return replace(planned, unchecked=(*planned.unchecked, Unchecked("ids of native rules", str(error))))


def enforced_drift(found: Iterable[Drift]) -> tuple[Drift, ...]:
    """Return the drift that an apply should have removed: not what foreign rules do beside ours, nor what is only watched."""
    return tuple(one for one in found if one.kind in (Kind.EXCESS, Kind.MISSING))
