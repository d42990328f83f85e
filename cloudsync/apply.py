"""Journalled execution of one target's plan: the only caller of `Adapter.write`.

Per write: everything that could forbid it is checked, the intent is made durable, the call is sent once, its outcome is recorded. A phase
ends when a read shows the effect of every step; only then does the next begin. Any doubt stops the target where it is: every prefix of
a plan is a safe place to stop, and the next run plans from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from enum import Enum
from itertools import zip_longest
from typing import assert_never

from cloudsync.adapter import Adapter, Clock, Effect, Outcome, Phase, Progress, Seen, Status, Step, Table
from cloudsync.model.bucket import about, delay
from cloudsync.model.errors import AdapterError
from cloudsync.model.quick import dataclass
from cloudsync.model.unshown import Unshowing
from cloudsync.plan.document import target_digest
from cloudsync.plan.journal import Journal, Lease, Op, OpState, Writer
from cloudsync.plan.values import TargetPlan
from cloudsync.plan.weave import NEW, at_limits, names, stages_of, waits_behind

FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 8.0
"""Waits between two looks grow from the first to the longest, doubling."""


TURN_S = 1.0
"""So often, in seconds, who waits for a limit looks whether it may still write."""
FRESH_S = 20.0
"""A phase that takes longer than this looks again before it goes on: most platforms have no compare-and-swap."""


def _never() -> bool:
    return False


def _quiet(_what: str, _done: int, _of: int) -> None:
    return None


def _untold(_what: str, _seconds: float) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Ports:
    """The effects that an execution may have, besides the platform's."""

    journal: Journal
    lease: Lease
    clock: Clock


@dataclass(frozen=True, slots=True)
class Options:
    """How patiently a plan is executed. `settle_s` is waited for what no read can show, the data plane."""

    run_id: str
    settle_s: float = 0.0
    visible_s: float = 120.0
    """How long a read may take to show a write that the platform confirmed; afterwards the target stops."""
    call_s: float = 60.0
    """How long an unanswered call may still take effect."""
    throttles: int = 4
    """How often a write that was refused for being too fast is tried again."""
    progress: Progress = _quiet
    left: Callable[[str, float], None] = _untold
    """Told after each step with its phase how many seconds the rest of that waits at least at the platform's limits."""
    stop: Callable[[], bool] = _never


class ApplyStatus(Enum):
    """How an execution ended."""

    DONE = "done"
    STOPPED = "stopped"
    """Asked to stop, on hold, or no longer the writer: nothing failed, the rest is for the next run."""
    FAILED = "failed"
    """A write failed, or its outcome could not be settled."""
    MOVED = "moved"
    """Somebody else changed what the plan was made for."""
    WAITING = "waiting"
    """Another target has to come first and did not: the rest is for the next run."""


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """What an execution came to. Counts are attempts: `writes` = done + failed + unknown (void ones count as unknown)."""

    status: ApplyStatus
    message: str = ""
    step: str = ""
    """Title of the step it stopped at."""
    done: int = 0
    failed: int = 0
    unknown: int = 0
    reads: int = 0
    writes: int = 0
    phases: int = 0
    """Phases completed, out of the plan's."""


class _Halt(Exception):  # noqa: N818  (not an error: the ordinary way out of nested loops, never leaves this module)
    def __init__(self, status: ApplyStatus, message: str, step: str = "") -> None:
        self.status, self.message, self.step = status, message, step
        super().__init__(message)


@dataclass(slots=True)
class _Run:
    """The moving parts of one execution."""

    plan: TargetPlan
    adapter: Adapter
    ports: Ports
    options: Options
    table: Table
    digest: str
    bindings: dict[str, str] = field(default_factory=dict)
    done: int = 0
    failed: int = 0
    unknown: int = 0
    reads: int = 0
    writes: int = 0
    phases: int = 0
    fresh: bool = False
    """Whether the table already covers what the next phase touches."""
    relied: dict[tuple[str, str], Step] = field(default_factory=dict)
    """What was put in place since something was last taken away, the latest by object and action."""
    unsettled: set[Effect] = field(default_factory=set)
    """What the phases since the last settle time did."""
    sent: int = 0
    """Steps finished, for progress."""


def apply(plan: TargetPlan, adapter: Adapter, table: Table, ports: Ports, options: Options) -> ApplyResult:
    """Execute a whole plan from the table it was made from. Never raises for the platform's failures: they end as a status.

    What the journal raises leaves this function: without a journal nothing is written. So do interrupts, after they were recorded.
    """
    return Execution(plan, adapter, table, ports, options).leg(0, len(plan.phases))


class Execution:
    """One target's plan under way, leg by leg: between two legs it keeps what it knows and writes nothing, while others take their turn."""

    def __init__(self, plan: TargetPlan, adapter: Adapter, table: Table, ports: Ports, options: Options) -> None:
        self._run = _Run(plan, adapter, ports, options, table, target_digest(plan))
        self._began = False

    def leg(self, first: int, end: int) -> ApplyResult:
        """Execute the phases from `first` up to, not including, `end`, and confirm them by a read. Counts are of all legs so far.

        Never raises for the platform's failures. After a leg that did not end DONE no other may follow.
        """
        run = self._run
        try:
            if not run.plan.empty:
                self._begin()
                stages = stages_of(run.plan.phases[first:end], woven=run.adapter.capabilities.woven)
                for (phase, count), after in zip_longest(stages, stages[1:]):
                    _phase(run, phase, after[0].steps if after else ())
                    run.phases += count
        except _Halt as halt:
            return _result(run, halt.status, halt.message, halt.step)
        except AdapterError as error:
            return _result(run, ApplyStatus.FAILED, str(error), "")
        return _result(run, ApplyStatus.DONE, "", "")

    def rested(self) -> None:
        """Note that everything written so far has settled, and that time has passed: the next leg looks again before it writes."""
        self._run.unsettled.clear()
        self._run.fresh = False

    def waits(self, message: str) -> ApplyResult:
        """Return what it came to when its next leg must not begin because of what became of another target."""
        return _result(self._run, ApplyStatus.WAITING, message, "")

    def _begin(self) -> None:
        """Before the first write: nothing may be open from earlier, and what is taken over is recorded."""
        run = self._run
        if self._began:
            return
        _forbid_open(run)
        plan, ports = run.plan, run.ports
        if plan.adoptions:
            _may_write(run, "")
            ports.journal.adopt(plan.target, plan.adoptions, Writer(run.options.run_id, ports.lease.generation, ports.clock.now()))
        self._began = True


def _result(run: _Run, status: ApplyStatus, message: str, step: str) -> ApplyResult:
    return ApplyResult(status, message, step, run.done, run.failed, run.unknown, run.reads, run.writes, run.phases)


def _forbid_open(run: _Run) -> None:
    left = run.ports.journal.open_ops(run.plan.target)
    if left:
        raise _Halt(ApplyStatus.FAILED, f"{len(left)} earlier writes are not settled yet, first: {left[0].op.step.title}")


# --- one phase -------------------------------------------------------------------------------------------------------


def _phase(run: _Run, phase: Phase, following: tuple[Step, ...]) -> None:
    """Let earlier phases settle, check that nothing moved, send every step, then wait until a read shows them all."""
    _settle(run, phase)
    if not run.fresh:
        _unmoved(run, phase)
    _standing(run, phase)
    before, looked = run.table, run.ports.clock.monotonic()
    made, told = _Made(before, {step.object: step for step in phase.steps if not step.mark}), _told(run, phase)
    for at, (step, rest) in enumerate(zip(phase.steps, waits_behind(run.adapter, phase), strict=True)):
        made.ready(run, step)
        if run.ports.clock.monotonic() - looked > FRESH_S:
            _still_to_do(run, phase.steps[at:])
            looked = run.ports.clock.monotonic()
        _step(run, step)
        run.sent += 1
        run.options.progress(told, run.sent, len(run.plan.steps))
        run.options.left(told, rest)
    _barrier(run, phase, made.end(run, phase.steps), following)


def _told(run: _Run, phase: Phase) -> str:
    """Return a phase's name for people, with how long it takes at least where the platform's limits bind."""
    least = about(at_limits(run.adapter, (phase,)))
    return f"{phase.name}, {least} at the platform's limits" if least else phase.name


@dataclass(slots=True)
class _Made:
    """What a phase creates and fills at once: nothing is filled, or named, that a read has not shown."""

    before: Table
    """The table before the phase, with what has been shown of the new objects as it was shown first."""
    unseen: dict[str, Step]
    woven: bool = False

    def ready(self, run: _Run, step: Step) -> None:
        """Before a step that names new objects: wait until a read shows everything that this phase has created so far."""
        if step.mark and not names(step).isdisjoint(self.unseen):
            self.woven = True
            self._look(run)

    def _look(self, run: _Run) -> None:
        new = {key: step for key, step in self.unseen.items() if key in run.bindings}
        steps = _bound(run, new.values())
        latest = self.before

        def shown() -> bool:
            nonlocal latest
            run.reads += 1
            latest = run.adapter.refresh(self.before, steps, run.bindings)
            return all(run.adapter.seen(latest, step, run.bindings) is Seen.YES for step in steps)

        if not _poll(run, shown, run.options.visible_s):
            missing = next((step for step in steps if run.adapter.seen(latest, step, run.bindings) is not Seen.YES), steps[0])
            raise _Halt(ApplyStatus.FAILED, f"a read does not show it after {run.options.visible_s:g} s", missing.title)
        self.before = latest
        for key in new:
            del self.unseen[key]

    def end(self, run: _Run, steps: tuple[Step, ...]) -> Table | None:
        """Return the table that all other steps started from; None when it is not known, as some ids are the platform's."""
        if self.woven and self.unseen:
            self._look(run)
        return self.before if self.woven or all(step.mark for step in steps) else None


def _settle(run: _Run, phase: Phase) -> None:
    """Wait for what no read can show, the data plane, where the order of two phases matters there.

    Taking away must find everything in force that was put in place before it, and adding must find gone what was taken away before it
    (what MEET stands on). Adding after adding, or taking after taking, needs no wait: whatever lags, the state lies between both ends.
    """
    effects = {step.effect for step in phase.steps}
    matter = frozenset().union(*(_AFTER[effect] for effect in effects))
    if run.options.settle_s and run.unsettled & matter:
        run.ports.clock.sleep(run.options.settle_s)
        run.unsettled.clear()
        run.fresh = False
    run.unsettled |= effects


_AFTER: dict[Effect, frozenset[Effect]] = {
    Effect.NONE: frozenset(),
    Effect.GROWS: frozenset({Effect.SHRINKS, Effect.SWAPS}),
    Effect.SHRINKS: frozenset({Effect.NONE, Effect.GROWS, Effect.SWAPS}),
    Effect.SWAPS: frozenset(Effect),
}
"""What has to be in force before a phase of each effect begins. NONE before SHRINKS: the new object that takes over was filled then."""


def _unmoved(run: _Run, phase: Phase) -> None:
    """Read again what the phase touches; reads may lag behind our own writes, so a difference gets time to vanish."""
    steps = _bound(run, phase.steps)
    limit = run.options.visible_s if run.phases else 0.0

    def same() -> bool:
        return bool(_refresh(run, steps) == run.table)

    if not _poll(run, same, limit):
        raise _Halt(ApplyStatus.MOVED, f"reality moved before phase {phase.name}: somebody changed what the plan was made for")


def _standing(run: _Run, phase: Phase) -> None:
    """Before something is taken away: read again what was put in its place by earlier phases, however long ago they were confirmed."""
    if run.relied and any(step.effect in _TAKING for step in phase.steps):
        steps = _bound(run, run.relied.values())

        def stands() -> bool:
            table = _refresh(run, steps)
            return all(run.adapter.seen(table, step, run.bindings) is Seen.YES for step in steps)

        if not _poll(run, stands, run.options.visible_s):
            raise _Halt(ApplyStatus.MOVED, f"reality moved before phase {phase.name}: somebody changed what this run has written")
        run.relied.clear()
    run.relied.update({(step.object, step.action): step for step in phase.steps if step.effect is not Effect.SHRINKS})


_TAKING = frozenset({Effect.SHRINKS, Effect.SWAPS})


def _still_to_do(run: _Run, steps: tuple[Step, ...]) -> None:
    """In the middle of a long phase: read again and stop when a step to come is not in the state it was planned for."""
    bound = _bound(run, steps)
    table = _refresh(run, bound)
    for step in bound:
        if step.mark and run.adapter.seen(table, step, run.bindings) is not Seen.NO:
            raise _Halt(ApplyStatus.MOVED, "reality moved: somebody changed what is to be written", step.title)


def _barrier(run: _Run, phase: Phase, before: Table | None, following: tuple[Step, ...]) -> None:
    """Wait until a read shows every step of the phase. The same read also covers what the next phase touches, so as not to read twice."""
    steps = _bound(run, phase.steps)
    ahead = () if any(not step.mark for step in steps) else _bound(run, following)
    latest = run.table

    def shown() -> bool:
        nonlocal latest
        latest = _refresh(run, (*steps, *ahead))
        verdicts = [run.adapter.seen(latest, step, run.bindings) for step in steps]
        return all(verdict is Seen.YES for verdict in verdicts)

    if not _poll(run, shown, run.options.visible_s):
        missing = next((step for step in steps if run.adapter.seen(latest, step, run.bindings) is not Seen.YES), steps[0])
        other = run.adapter.seen(latest, missing, run.bindings) is Seen.OTHER
        words = "shows neither the state before nor after it" if other else f"does not show it after {run.options.visible_s:g} s"
        raise _Halt(ApplyStatus.MOVED if other else ApplyStatus.FAILED, f"a read {words}", missing.title)
    if not _expected(run, steps, before, latest):
        raise _Halt(ApplyStatus.MOVED, f"reality moved during phase {phase.name}: somebody changed the same objects")
    run.table, run.fresh = latest, bool(ahead)
    if before is not None:  # the model confirms the table: what it shows no more, a step of ours has replaced
        run.relied = {
            key: step for key, step in run.relied.items() if run.adapter.seen(latest, bind(step, run.bindings), run.bindings) is Seen.YES
        }


def _expected(run: _Run, steps: tuple[Step, ...], before: Table | None, latest: Table) -> bool:
    """Tell whether the phase led where the model says. Of mere creations `seen` alone can tell: ids are the platform's."""
    if before is None:
        return True
    return bool(run.adapter.simulate(before, *(step for step in steps if step.mark)) == latest)


def _bound(run: _Run, steps: Iterable[Step]) -> tuple[Step, ...]:
    return tuple(bind(step, run.bindings) for step in steps)


def bind(step: Step, bindings: Mapping[str, str]) -> Step:
    """Return a step whose payload names native ids instead of `{new:KEY}`, as far as they are known."""
    payload = NEW.sub(lambda found: bindings.get(found[1], found[0]), step.payload)
    return step if payload == step.payload else replace(step, payload=payload)


# --- one step --------------------------------------------------------------------------------------------------------


def _step(run: _Run, step: Step) -> None:
    """Send one step; a refusal for being too fast is tried again, as a new op, once a read shows that nothing happened."""
    bound = bind(step, run.bindings)
    wait, attempt = FIRST_WAIT_S * 4, 0
    while True:
        attempt += 1
        op_id, outcome = _send(run, bound, attempt)
        match outcome.status:
            case Status.DONE:
                run.done += 1
                run.bindings.update(outcome.created)
                return
            case Status.UNKNOWN:
                _look(run, bound, op_id, outcome)
                return
            case Status.FAILED:
                if not outcome.throttled or attempt > run.options.throttles:
                    run.failed += 1
                    raise _Halt(ApplyStatus.FAILED, f"{outcome.code}: {outcome.reason}".strip(": "), step.title)
                run.ports.clock.sleep(wait)
                wait = min(2 * wait, 4 * LONGEST_WAIT_S)
                if _shown(run, bound) is not Seen.NO:
                    raise _Halt(ApplyStatus.MOVED, "was refused as too fast, yet a read shows a change", step.title)
            case _:
                assert_never(outcome.status)


def _send(run: _Run, step: Step, attempt: int) -> tuple[int, Outcome]:
    """Journal the intent, send once, journal the outcome; whatever leaves the call as an exception is an unknown outcome."""
    _turn(run, step)
    _may_write(run, step.title)
    clock, journal = run.ports.clock, run.ports.journal
    now = clock.now()
    number = run.sent + 1
    generation = run.ports.lease.generation
    deadline = now + run.options.call_s
    op_id = journal.intend(
        Op(run.options.run_id, generation, run.plan.target, run.digest, number, attempt, step, now, deadline),
    )
    try:
        outcome = run.adapter.write(step, run.bindings)
    except BaseException as error:
        run.unknown += 1
        journal.settle(op_id, OpState.UNKNOWN, f"interrupted by {type(error).__name__}")
        raise
    run.writes += 1
    words = f"{outcome.code} {outcome.reason}".strip()
    journal.settle(op_id, _STATES[outcome.status], words)
    return op_id, outcome


_STATES = {Status.DONE: OpState.DONE, Status.FAILED: OpState.FAILED, Status.UNKNOWN: OpState.UNKNOWN}


def _turn(run: _Run, step: Step) -> None:
    """Wait for the platform's limit while nothing is promised yet: a lost lease or a hold is noticed, and no intent grows old unsent."""
    while (wait := delay(run.adapter, step)) > 0:
        _may_write(run, step.title)
        run.ports.clock.sleep(min(wait, TURN_S))


def _may_write(run: _Run, step: str) -> None:
    """Stop unless at this moment everything still permits a write."""
    lost = run.ports.lease.lost()
    if lost:
        raise _Halt(ApplyStatus.STOPPED, f"no longer the writer: {lost}", step)
    held = run.ports.journal.held(run.plan.target)
    if held:
        raise _Halt(ApplyStatus.STOPPED, f"on hold: {held}", step)
    if run.options.stop():
        raise _Halt(ApplyStatus.STOPPED, "asked to stop", step)


def _look(run: _Run, step: Step, op_id: int, outcome: Outcome) -> None:
    """Settle an unknown outcome by reading. Never sends again: what did not happen is left to the next run."""
    verdict = Seen.NO

    def decided() -> bool:
        nonlocal verdict
        verdict = _shown(run, step)
        return verdict is not Seen.NO

    run.unknown += 1
    words = f"{outcome.code} {outcome.reason}".strip()
    _poll(run, decided, run.options.call_s)
    if verdict is Seen.OTHER:
        raise _Halt(ApplyStatus.MOVED, f"outcome unknown ({words}) and the object is in neither state", step.title)
    if verdict is Seen.NO:
        run.ports.journal.settle(op_id, OpState.VOID, "a read after the deadline does not show it")
        raise _Halt(ApplyStatus.FAILED, f"outcome unknown ({words}); it was not applied", step.title)
    run.ports.journal.settle(op_id, OpState.DONE, "a read shows it")
    run.done += 1
    run.unknown -= 1
    if not step.mark:
        run.bindings.update(outcome.created or run.adapter.created(_refresh(run, (step,)), step))


def _shown(run: _Run, step: Step) -> Seen:
    return run.adapter.seen(_refresh(run, (step,)), step, run.bindings)


def _refresh(run: _Run, steps: tuple[Step, ...]) -> Table:
    run.reads += 1
    return run.adapter.refresh(run.table, steps, run.bindings)


def _poll(run: _Run, test: Callable[[], bool], limit_s: float) -> bool:
    """Repeat a look until it holds or time is up; waits grow. A read that cannot be repeated ends the target."""
    clock = run.ports.clock
    end = clock.monotonic() + limit_s
    wait = FIRST_WAIT_S
    while True:
        trouble: AdapterError | None = None
        try:
            if test():
                return True
        except AdapterError as error:
            trouble = error
        late = clock.monotonic() + wait > end
        if trouble is not None and (late or not trouble.retryable):
            raise _Halt(ApplyStatus.FAILED, str(trouble)) from trouble
        if late:
            return False
        lost = run.ports.lease.lost()
        if lost:
            raise _Halt(ApplyStatus.STOPPED, f"no longer the writer: {lost}")
        if run.options.stop():
            raise _Halt(ApplyStatus.STOPPED, "asked to stop")
        clock.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT_S)


# --- after a crash ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recovered:
    """What became of the ops that an earlier run left open. When `waited` is true the target has to be read again."""

    done: int = 0
    void: int = 0
    waited: bool = False


def recover(target: str, adapter: Adapter, table: Table, ports: Ports) -> Recovered:
    """Settle every open op of a target by what a fresh read shows, waiting until no call can be under way any more.

    `table` is that fresh read. Raises AdapterError when a second look fails; then the ops stay open and nothing may be written.
    """
    done = void = 0
    waited = False
    for left in ports.journal.open_ops(target):
        step = left.op.step
        unshown = isinstance(adapter, Unshowing) and adapter.unshown(step)
        verdict = Seen.NO if unshown else adapter.seen(table, step, {})
        remaining = left.op.deadline - ports.clock.now()
        if verdict is not Seen.YES and remaining > 0:
            # A clock that was set back must not keep us waiting longer than a call may live.
            ports.clock.sleep(min(remaining, left.op.deadline - left.op.at))
            waited = True
            verdict = Seen.NO if unshown else adapter.seen(adapter.refresh(table, (step,), {}), step, {})
        if verdict is Seen.YES:
            done += 1
            ports.journal.settle(left.id, OpState.DONE, "found applied after an interruption")
        else:
            void += 1
            words = "found not applied after an interruption" if verdict is Seen.NO else "the object is in another state now"
            ports.journal.settle(left.id, OpState.VOID, "no read can show whether it was applied" if unshown else words)
    return Recovered(done, void, waited)
