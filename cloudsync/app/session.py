"""One run: the repository, the state, the platforms; plan, report, apply. The order of work is in `cloudsync.run`."""

from __future__ import annotations

import gc
import secrets
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

from cloudsync import registry, run
from cloudsync.adapter import Adapter, Clock, TargetSettings
from cloudsync.app import ledger, limits, looks, memory, past, rebuilt, terraform, together
from cloudsync.app.patience import Certain, Wakeful
from cloudsync.app.repository import Loaded, known, load, policy_name
from cloudsync.app.restores import Restored, capped
from cloudsync.app.whole import write_whole
from cloudsync.apply import ApplyResult, ApplyStatus, Execution, Options, Ports, recover
from cloudsync.clock import SystemClock, check_clock, day_of
from cloudsync.compile.pause import uncollected
from cloudsync.guard.values import Refusal
from cloudsync.inventory.changes import label_changes
from cloudsync.inventory.merge import build as build_inventory
from cloudsync.inventory.values import Inventory
from cloudsync.model.address import AddressSet
from cloudsync.model.codec import Json
from cloudsync.model.errors import AdapterError, BusyError, InputError, PolicyError, RefusedError
from cloudsync.model.finding import Finding, Severity, Where
from cloudsync.model.mode import TargetMode
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import WorkloadId
from cloudsync.plan import evidence
from cloudsync.plan.build import Built
from cloudsync.plan.document import dump as dump_plan
from cloudsync.plan.document import load as load_plan
from cloudsync.plan.document import plan_digest, target_digest
from cloudsync.plan.values import Component, Plan
from cloudsync.report.values import Applied, LabelNote, RunReport, TargetReport
from cloudsync.store.lease import PART_LIFE_S, Claim
from cloudsync.store.records import EVERY_TARGET, Ended, RunRecord
from cloudsync.store.state import State

Progress = Callable[[str, int, int], None]


@runtime_checkable
class CountsDown(Protocol):
    """A progress port that shows how long an activity still takes."""

    def __call__(self, what: str, done: int, of: int, /) -> None:
        """Show that `done` of `of` steps of an activity are finished."""

    def left(self, what: str, seconds: float) -> None:
        """Show that what is left of an activity waits for so many seconds at least."""


Stop = Callable[[], bool]
Release = Callable[[Inventory], frozenset[WorkloadId]]
"""Which workloads are given back in this run. Raises InputError for one that is not there."""


def _quiet(_what: str, _done: int, _of: int) -> None:
    return None


def _never() -> bool:
    return False


def _nobody(_inventory: Inventory) -> frozenset[WorkloadId]:
    return frozenset()


@dataclass(frozen=True, slots=True)
class Found:
    """A run up to the guards: nothing was written."""

    report: RunReport
    planned: tuple[run.Planned, ...]
    scene: run.World
    inventory: Inventory
    settled: run.Settled
    plan: Plan
    owners: Mapping[str, str]
    """Scope -> target."""
    known: Inventory | None = None
    """What was remembered before this run."""

    def only(self, names: Container[str]) -> Found:
        """Return the part of some targets; the others were read, and nothing is done about them."""
        planned = tuple(one for one in self.planned if one.reading.target.name in names)
        report = replace(self.report, targets=tuple(one for one in self.report.targets if one.name in names))
        plan = replace(self.plan, targets=tuple(one for one in self.plan.targets if one.target in names))
        return replace(self, planned=planned, report=report, plan=plan)

    def save(self, path: Path) -> None:
        """Write the plan file, whole or not at all, readable by its owner alone."""
        write_whole(path, dump_plan(self.plan, partial(evidence.document, self._evidence())).encode(), 0o600)

    def _evidence(self) -> evidence.Evidence:
        """Return what the plan file carries so that it can be checked again without any platform."""
        universe, found = self.scene.compiler.universe, []
        for one in self.planned:
            if one.built is not None and one.reading.adapter is not None:
                points = {point.id: point for point in one.reading.adapter.points(one.built.actual)}
                found.append(evidence.TargetEvidence(one.reading.adapter, one.built, points))
        return evidence.Evidence(self.scene.policy, universe, self.scene.released, self.settled.now, tuple(found))


@dataclass(frozen=True, slots=True)
class Seen:
    """What one reading of all targets shows, with the policy compiled against it. `now`: UTC seconds since the epoch."""

    now: float
    readings: tuple[run.Reading, ...]
    inventory: Inventory
    scene: run.World
    owners: Mapping[str, str]
    """Scope -> target."""
    known: Inventory | None = None
    """What was remembered before this run."""


@dataclass(slots=True)
class Session:
    """An open run."""

    loaded: Loaded
    state: State
    targets: tuple[TargetSettings, ...]
    clock: Clock
    run_id: str
    progress: Progress = _quiet
    stop: Stop = _never
    """Asked before every write: true ends the run at the boundary it has reached."""
    release: Release = _nobody
    through: bool = False
    """Holds that a rollback or a release put are not in the way."""
    adapters: dict[str, Adapter] = field(default_factory=dict)
    finished: bool = False

    def look(self) -> Seen:
        """Read every target and compile the policy against what is there. Writes nowhere."""
        return self.see(self._read())

    def see(self, readings: tuple[run.Reading, ...]) -> Seen:
        """Compile the policy against what was read of the targets; of the others against what is remembered. Writes nowhere."""
        with uncollected():
            seen = self._see(readings)
        if not gc.isenabled():  # the program starts without it; what was loaded so far stays for the whole run
            gc.freeze()
            gc.enable()
        return seen

    def _see(self, readings: tuple[run.Reading, ...]) -> Seen:
        now = self.clock.now()
        known = memory.recall(self.state.records, self.loaded.settings.targets)
        discoveries = [one.discovery if one.snapshot else memory.unread(one.discovery, known) for one in readings]
        owners = {scope.scope: one.target for one in discoveries for scope in one.scopes}
        states = terraform.again(self.loaded.root, self.loaded.terraform)
        discoveries += terraform.discoveries(states, self._accounts(readings, known) if states else ())
        found = build_inventory(discoveries, self.loaded.static, self.loaded.settings.rules, self.loaded.policy, self.targets)
        inventory = memory.with_memory(found, known, self.targets)
        if not inventory.usable:
            raise PolicyError([*inventory.findings, *inventory.warnings])
        before = memory.before(inventory, known, self.loaded.policy, owners)
        before = replace(before, applied=memory.applied(self.state.records, self.targets))
        notes = tuple(LabelNote(change.name, change.text()) for change in label_changes(known, inventory)) if known else ()
        live = memory.live(inventory)
        scene = run.world(self.loaded.policy, live, now, before, self.release(live))
        scene = replace(scene, labels=notes, warnings=(*scene.warnings, *self._unguarded()), terraform=terraform.owned(states))
        return Seen(now, readings, inventory, scene, owners, known)

    def _accounts(self, readings: Iterable[run.Reading], known: Inventory | None) -> set[tuple[str, str]]:
        """Return platform and account of everything that targets read, or read last time: there the platform says who is there."""
        adapters = {target.name: target.adapter for target in self.loaded.settings.targets}
        found = {(one.target.adapter, one.identity.expected) for one in readings}
        found |= {(one.target.adapter, workload.account) for one in readings for workload in one.discovery.workloads}
        return found | {(adapters[one.target], one.account) for one in (known.workloads if known else ()) if one.target in adapters}

    def _unguarded(self) -> tuple[Finding, ...]:
        """Warn when nothing says where the operators come from: then no guard keeps their own way in open."""
        if self.loaded.settings.guards.management:
            return ()
        hint = "add the addresses you administer from: guards: {management: [...]}"
        message = "guards.management is empty: no guard keeps your own way in open"
        return (Finding(self.loaded.settings.where, "NO-MANAGEMENT", message, hint, Severity.WARNING),)

    def plan(self, verb: str, only: Callable[[], Container[str]] | None = None) -> Found:
        """Read everything, compile, plan, prove, ask the guards. Writes to no platform.

        `only`: asked after the reading which targets this run is about, the others stay as they are; without it all of them.
        """
        seen = self.see(self._read(looks.hints(self.state.records, self.targets, self.clock.now())))
        now, inventory, scene = seen.now, seen.inventory, seen.scene
        if verb == "plan":  # a person is looking: what `validate` would say of the rules belongs on the same screen
            from cloudsync.policy.lint import lint

            found = lint(self.loaded.policy, datetime.fromtimestamp(now, UTC), schedule_known=self.loaded.settings.schedule is not None)
            told = {(one.where, one.code) for one in scene.warnings}
            more = (one for one in found if one.severity is not Severity.NOTE and (one.where, one.code) not in told)
            scene = replace(scene, warnings=(*more, *scene.warnings))
        settled = self._settled(now, memory.quarantined(inventory))
        planned = run.plan_all(scene, seen.readings, settled, only() if only is not None else None)
        if verb == "drift":
            planned = tuple(map(run.named, planned))
        plan = Plan(tuple(one.plan for one in planned if one.plan is not None), now)
        self.loaded = known(self.loaded)
        report = run.guarded(planned, settled, scene, verb, policy_name(self.loaded))
        before = self._restored(now)
        report = replace(report, targets=tuple(capped(target, scene, settled, before) for target in report.targets))
        if verb != "drift":
            report = replace(report, targets=tuple(rebuilt.cautious(target, settled, self.state) for target in report.targets))
        for target in report.targets:
            refusals = (*target.refusals, *(refused for refused, _ in target.overridden))
            if target.plan is not None and refusals:
                self.state.records.save_refused(target_digest(target.plan), target.name, refusals, self.run_id, now)
        if verb != "drift":
            report = replace(report, targets=tuple(map(self._held, report.targets)))
        return Found(replace(report, run_id=self.run_id), planned, scene, inventory, settled, plan, seen.owners, seen.known)

    def _restored(self, now: float) -> Restored:
        table = self.state.findings
        counts = {(one.target, one.object): one.count for one in table.restores(day_of(now))}
        return Restored({one.target: one for one in table.health()}, counts, self.loaded.settings.max_restores)

    def _held(self, target: TargetReport) -> TargetReport:
        """Return a target with the no of a hold, when it has anything to write: refused by a person, not failed by a platform."""
        holds = (one for one in self.state.records.holds() if one.target in (target.name, EVERY_TARGET))
        hold = next((one for one in holds if not (self.through and one.run)), None)
        if hold is None or target.plan is None or target.plan.empty or target.mode is TargetMode.OBSERVE:
            return target
        since = datetime.fromtimestamp(hold.at, UTC).strftime("%Y-%m-%dT%H:%MZ")
        message = f"on hold since {since} by {hold.who}: {hold.because}"
        lift = "cloudsync unhold " + ("--all" if hold.target == EVERY_TARGET else hold.target)
        return replace(target, refusals=(*target.refusals, Refusal("HOLD", target.name, "", message, approve=lift)))

    def _read(self, hints: Mapping[str, str] | None = None) -> tuple[run.Reading, ...]:
        def opened(target: TargetSettings) -> Adapter:
            adapter = self.adapters.get(target.name)
            if adapter is None:
                adapter = registry.load(target.adapter).open(target, self.loaded.settings.owner, self.clock)
                self.adapters[target.name] = adapter
            return adapter

        self.progress("reading " + ", ".join(target.name for target in self.targets), 0, 1)
        return run.read_all(self.targets, opened, hints)

    def _settled(self, now: float, quarantined: AddressSet) -> run.Settled:
        recorded = {target.name: memory.recorded(self.state.records, target.name) for target in self.targets}
        used = self.state.records.used()  # such an approval has done its work and says nothing of later plans
        return run.Settled(
            owner=self.loaded.settings.owner,
            policy_digest=self.loaded.digest,
            limits=self.loaded.settings.guards,
            now=now,
            recorded=recorded,
            approvals=tuple(one for one in self.state.records.approvals() if one.digest not in used),
            quarantined=quarantined,
        )

    # --- apply -------------------------------------------------------------------------------------------------------

    def recover(self) -> bool:
        """Settle what an earlier run left open, by reading; tell whether anything was open. Nothing may be written before.

        A target that cannot be read now keeps its open writes, and is not written to while it has them; the others go on.
        """
        ports = Ports(self.state.journal, self.state.lease, Certain(self.clock, self.stop))
        found = False
        for target in self.targets:
            if not self.state.journal.open_ops(target.name):
                continue
            found = True
            adapter = registry.load(target.adapter).open(target, self.loaded.settings.owner, self.clock)
            with suppress(AdapterError):
                if adapter.identify().account == adapter.expected_account():
                    snapshot = adapter.read()
                    if snapshot.complete:
                        recover(target.name, adapter, snapshot.table, ports)
        return found

    def apply(self, found: Found) -> RunReport:
        """Execute every plan that no guard refused, target by target, then read again. Returns the report with what was done."""
        looks.keep(self.state.records, (one.reading for one in found.planned), self.clock.now())
        both = {report.name: (planned, report) for planned, report in zip(found.planned, found.report.targets, strict=True)}
        came: dict[str, tuple[TargetReport, bool]] = {}
        for name, (planned, report) in both.items():
            if name in came:
                continue
            component = report.plan.component if report.plan is not None else None
            if component is None:
                came[name] = self._apply_target(found, planned, report)
            else:
                came |= self._apply_together(found, component, {one: both[one] for one in component.targets})
        targets = [came[name][0] for name in both]
        verified = [name for name in both if came[name][1]]
        good = memory.Verified(frozenset(verified), found.owners, self.run_id, self.clock.now())
        memory.remember(self.state.records, found.inventory, good, found.known)
        return replace(found.report, targets=tuple(targets))

    def finish(self, code: int, report: RunReport) -> None:
        """Write down how the run ended; only for a run that may write."""
        now = self.clock.now()
        ended = Ended(int(code), summary(report), now, past.changes(report, now), past.approved(report))
        self.state.records.finish_run(self.run_id, ended)
        self.finished = True

    def looked(self, code: int, report: RunReport) -> None:
        """Write down a run that only looked; it gives way when the state is busy or full."""
        self.loaded = known(self.loaded)
        record = run_record(self, report.verb, 0)
        with suppress(BusyError, RefusedError):
            self.state.records.looked(replace(record, ended=record.started, exit_code=int(code), summary=summary(report)))

    def _apply_target(self, found: Found, planned: run.Planned, report: TargetReport) -> tuple[TargetReport, bool]:
        early = self._unwritten(found, planned, report)
        if early is not None:
            return early
        assert planned.built is not None
        result = self._execution(planned.built, report).leg(0, len(planned.built.plan.phases))
        return self._ended(found, planned, report, result)

    def _apply_together(
        self, found: Found, component: Component, members: Mapping[str, tuple[run.Planned, TargetReport]]
    ) -> dict[str, tuple[TargetReport, bool]]:
        """Execute what several targets do together, stage by stage."""
        came: dict[str, tuple[TargetReport, bool]] = {}
        unable: dict[str, str] = {}
        running: dict[str, Execution] = {}
        for name, (planned, report) in members.items():
            early = self._unwritten(found, planned, report)
            if early is not None:
                came[name], unable[name] = early, together.why_unwritten(report)
            elif planned.built is not None:
                running[name] = self._execution(planned.built, report)
        settles = {name: self.adapters[name].patience.settle_s for name in running}
        results = together.run(component, running, unable, lambda names: self._settle(max((settles[one] for one in names), default=0.0)))
        return came | {name: self._ended(found, *members[name], result) for name, result in results.items()}

    def _settle(self, seconds: float) -> None:
        if seconds:
            Wakeful(self.clock, self.stop).sleep(seconds)

    def _unwritten(self, found: Found, planned: run.Planned, report: TargetReport) -> tuple[TargetReport, bool] | None:
        """Return what came of a target that is not to be written, None for one that is."""
        if planned.built is None or report.refusals:
            return report, rebuilt.only_unknown(report)
        if report.mode is TargetMode.OBSERVE:
            return report, True  # its workloads are peers of the others', and are remembered like theirs
        if planned.built.plan.empty:
            memory.keep_applied(self.state.records, planned.built.intent)
            self._forget(planned, found)
            return replace(report, applied=Applied("nothing")), True
        return None

    def _execution(self, built: Built, report: TargetReport) -> Execution:
        adapter = self.adapters[report.name]
        patience = adapter.patience
        options = Options(
            run_id=self.run_id,
            settle_s=patience.settle_s,
            visible_s=patience.visible_s,
            call_s=patience.call_s,
            progress=lambda phase, done, of: self.progress(f"{report.name}: {phase}", done, of),
            left=lambda phase, seconds: self._left(f"{report.name}: {phase}", seconds),
            stop=self.stop,
        )
        ports = Ports(self.state.journal, self.state.lease, Wakeful(self.clock, self.stop))
        return Execution(built.plan, adapter, built.actual, ports, options)

    def _left(self, what: str, seconds: float) -> None:
        if isinstance(self.progress, CountsDown):
            self.progress.left(what, seconds)

    def _ended(self, found: Found, planned: run.Planned, report: TargetReport, result: ApplyResult) -> tuple[TargetReport, bool]:
        """Return a target's report after its execution, read again where that was whole."""
        assert planned.built is not None
        applied = _applied(result)
        if result.status is not ApplyStatus.DONE:
            return replace(report, applied=applied), False
        after = run.again(found.scene, planned, self._settled(found.settled.now, found.settled.quarantined))
        if after.built is None:
            return replace(report, applied=applied, error=f"applied, but it could not be read again: {after.error}"), False
        memory.keep_applied(self.state.records, planned.built.intent)
        self._forget(after, found)
        if report.overridden:
            self.state.records.use(target_digest(planned.built.plan), self.run_id)
        return replace(report, applied=applied, remaining=run.enforced_drift(after.drift)), True

    def _forget(self, planned: run.Planned, found: Found) -> None:
        """Drop the adoption records of points that have been given back: whoever takes them again records what is there then."""
        built, snapshot = planned.built, planned.reading.snapshot
        if built is None or snapshot is None or not built.plan.empty or built.plan.problems or not snapshot.complete:
            return
        name, adapter = planned.reading.target.name, planned.reading.adapter
        recorded = found.settled.recorded.get(name, {})
        free = {one.point for one in built.intent.points if not one.mode.enforced and one.point in recorded}
        if free and adapter is not None:
            carries = {one.id for one in adapter.points(snapshot.table) if one.ours or one.skipped}
            self.state.records.forget_originals(name, sorted(free - carries), self.clock.now())


def summary(report: RunReport) -> dict[str, Json]:
    """Return what a run did at each target, in short."""
    return {
        target.name: {
            "writes": target.applied.done if target.applied else 0,
            "status": target.applied.status if target.applied else "",
            "refused": [refusal.guard for refusal in target.refusals],
            "error": target.error,
        }
        for target in report.targets
    }


def run_record(session: Session, verb: str, generation: int) -> RunRecord:
    """Return the record of a run that begins now, with the version of the policy that it is made with."""
    revision = session.loaded.revision
    found = RunRecord(session.run_id, verb, generation, session.loaded.digest, session.clock.now(), None, None, {})
    if revision is None:
        return found
    return replace(found, commit=revision.commit, dirty=revision.dirty, author=revision.author, subject=revision.subject)


def _applied(result: ApplyResult) -> Applied:
    message = result.message + (f" ({result.step})" if result.step else "")
    return Applied(result.status.value, result.done, result.failed, result.unknown, message)


Check = Callable[[Session, Found], None]
Guard = Callable[[Session], AbstractContextManager[object]]


def _fine(_run: Session, _found: Found) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Start:
    """How a run is started. `loaded`, `clock`: instead of the files as they stand, and of the machine's time."""

    verb: str
    writer: bool = False
    progress: Progress = _quiet
    loaded: Loaded | None = None
    clock: Clock | None = None
    stop: Stop = _never
    release: Release = _nobody
    through: bool = False
    beside: bool = False
    """Others may write at the other targets meanwhile: a worker's run. Where the state is a file nobody may."""
    check: Check = _fine
    """A last look at what is planned, before anything is written; raises what keeps the run from writing."""
    guard: Guard = nullcontext
    """What has to be around everything between the lease and its end."""


@contextmanager
def start(root: Path, names: Iterable[str], *, verb: str, writer: bool = False, progress: Progress = _quiet) -> Iterator[Session]:
    """Open a run: load the repository (InputError), check the clock, open the state (RefusedError, BusyError), choose the targets."""
    with begin(root, names, Start(verb, writer, progress)) as session:
        yield session


@contextmanager
def begin(root: Path, names: Iterable[str], how: Start) -> Iterator[Session]:
    """Open a run as `start` does, from what is given."""
    loaded = how.loaded or load(root)
    targets = loaded.targets(names)
    if not targets:
        raise InputError(_no_target(loaded))
    clock = how.clock or SystemClock()
    check_clock(clock.now())
    run_id = f"{int(clock.now()):x}-{secrets.token_hex(3)}"
    place = ledger.where(root, loaded.settings)
    claim = Claim(run_id, tuple(one.name for one in targets), PART_LIFE_S) if how.beside else Claim(run_id)
    with State(place, clock, writer=claim if how.writer else "", through=how.through) as state:
        session = Session(loaded, state, targets, clock, run_id, how.progress, how.stop, how.release, how.through)
        if not how.writer:
            yield session
            return
        loaded = session.loaded = known(loaded)
        state.records.start_run(run_record(session, how.verb, state.lease.generation))
        try:
            with limits.noted(state, clock):
                yield session
        except BaseException as error:
            if not session.finished:
                # A run that stops is over; only one that was killed has no end in the history.
                with suppress(RefusedError):  # what stopped it may be the state itself; that is to be told then
                    state.records.finish_run(run_id, Ended(_code_of(error), {}, clock.now()))
            raise


def _code_of(error: BaseException) -> int:
    """Return the exit code that the command line gives to what stopped a run."""
    match error:
        case InputError():
            return 3
        case BusyError():
            return 75
        case RefusedError():
            return 4
        case AdapterError() | KeyboardInterrupt():
            return 5
        case _:
            return 1


def read_saved(path: Path) -> Plan:
    """Return the plan of a file. Raises InputError when it cannot be read; nothing was contacted then."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or str(error)) if isinstance(error, OSError) else "it is no text"
        raise InputError(
            [Finding(Where(str(path)), "NO-PLAN", f"cannot be read: {why}", "make one with `cloudsync plan -o FILE`")]
        ) from error
    return load_plan(text, str(path))


def check_saved(found: Found, saved: Plan, path: Path) -> None:
    """Compare a saved plan with the one just made. Raises RefusedError G-APPROVAL with what differs; nothing was written."""
    if plan_digest(saved) == plan_digest(found.plan):
        return
    moved: list[str] = []
    for plan in found.plan.targets:
        old = saved.target(plan.target)
        if old is None:
            moved.append(f"{plan.target}: not in the saved plan")
        elif target_digest(old) != target_digest(plan):
            reasons = [
                words
                for words, one, two in (
                    ("the policy or the settings changed", old.policy_digest, plan.policy_digest),
                    ("what the platform holds changed", old.snapshot_digest, plan.snapshot_digest),
                    ("the guards' limits changed", old.limits, plan.limits),
                )
                if one != two
            ]
            moved.append(f"{plan.target}: {', '.join(reasons) or 'the steps differ'}")
    moved += [f"{old.target}: not among the targets of this run" for old in saved.targets if found.plan.target(old.target) is None]
    hint = "look at the new plan: cloudsync plan -o FILE"
    raise RefusedError("G-APPROVAL", f"reality moved since {path} was made: {'; '.join(moved)}; nothing was written", hint)


def _no_target(loaded: Loaded) -> list[Finding]:
    return [Finding(loaded.settings.where, "NO-TARGETS", "no target is configured", "add one under targets: in cloudsync.yaml")]
