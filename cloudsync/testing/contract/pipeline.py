"""From a policy to a changed platform, without a journal: the product's own deciding half, and a small executor that obeys its phases.

The executor sends each step once, keeps the barrier behind each phase, settles unknown outcomes by reading and stops at any doubt, as the
product does. It can die before or after any write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from datetime import UTC, datetime

from cloudsync.adapter import Adapter, Intent, Outcome, Phase, Problem, Seen, Snapshot, Status, Step, Table, Whose
from cloudsync.compile import arms, universe
from cloudsync.compile.allowed import Compiler
from cloudsync.compile.intent import Actual, Recorded, TargetScope
from cloudsync.compile.intent import build as build_intent
from cloudsync.inventory import merge
from cloudsync.inventory.labels import LabelSource, Pick
from cloudsync.inventory.rules import InventoryRules
from cloudsync.inventory.static import StaticInventory
from cloudsync.model.address import NOWHERE, AddressSet
from cloudsync.model.errors import AdapterError
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId
from cloudsync.plan.build import Before, Built, Case
from cloudsync.plan.build import build as build_plan
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.values import IdentityCheck
from cloudsync.policy.load import load_policy
from cloudsync.policy.values import Policy
from cloudsync.testing.contract.stage import Stage
from cloudsync.testing.contract.world import FULL, Enforcing, policy

OWNER = "contract"
LOOKS = 60
"""How often a step is looked for behind a phase. The stage's clock skips the waits."""
NOW = datetime(2027, 1, 15, tzinfo=UTC)
"""A policy is evaluated at one instant; the suite's rules never expire."""
RULES = InventoryRules((LabelSource("role", Pick.TAG, "role", Where("contract"), lower=True),))


class KilledError(Exception):
    """The process is gone, before or after one write."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A plan with everything it was made from."""

    adapter: Adapter
    snapshot: Snapshot
    intent: Intent
    built: Built

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step of the plan, in order."""
        return self.built.plan.steps

    @property
    def refusals(self) -> tuple[Problem, ...]:
        """Why the plan must not be carried out: what the adapter or the proof found wrong."""
        found = [problem for problem in self.built.plan.problems if problem.code != "NOTE"]
        certificate, replay = self.built.plan.certificate, self.built.plan.replay
        if certificate is not None and not found:
            found.extend(Problem("CERTIFICATE", one.text()) for one in certificate.differences[:3])
            if not certificate.reached:
                found.append(Problem("CERTIFICATE", "the rendered steps do not lead to the desired table"))
        if replay is not None:
            found.extend(Problem("REPLAY", one.text()) for one in replay.violations[:3])
        return tuple(found)


@dataclass(slots=True)
class Ran:
    """What came of one run. status: done, refused (before the first write) or stopped."""

    decided: Decided
    status: str = "done"
    words: str = ""
    sent: list[tuple[Step, Outcome]] = field(default_factory=list)

    def __str__(self) -> str:
        sent = "; ".join(f"{step.title}: {outcome.status.value} {outcome.code}".strip() for step, outcome in self.sent)
        return f"{self.status}: {self.words or 'no reason'} (sent: {sent or 'nothing'})"


def _nothing(_step: Step) -> None:
    return None


@dataclass(slots=True)
class Runs:
    """Runs over one stage, one after the other, with the memory that the product keeps between them: what was adopted."""

    stage: Stage
    mode: TargetMode = TargetMode.EXCLUSIVE
    owner: str = OWNER
    recorded: dict[PointId, Recorded] = field(default_factory=dict)
    after_write: Callable[[Step], None] = _nothing
    """Called after each write, before its effect is looked for."""

    def open(self) -> Adapter:
        """Open the platform as a new process would."""
        return self.stage.open(self.stage.target(self.mode), self.owner)

    def decide(self, text: str, adapter: Adapter | None = None) -> Decided:
        """Read the platform and plan."""
        adapter = adapter or self.open()
        return self.decide_from(text, adapter, adapter.read())

    def decide_from(self, text: str, adapter: Adapter, snapshot: Snapshot, *, quarantined: AddressSet = NOWHERE) -> Decided:
        """Plan from a snapshot. `quarantined`: addresses of machines that it misses for the first time."""
        wanted = parsed(text)
        actual = Actual(
            {point.id: point for point in adapter.points(snapshot.table)},
            adapter.decode(snapshot.table, Whose.ALL),
            adapter.decode(snapshot.table, Whose.FOREIGN),
        )
        inventory = merge.build([snapshot.discovery], StaticInventory(), RULES, wanted, [self.stage.target(self.mode)])
        assert inventory.usable, f"the stage's world is no inventory: {[str(one) for one in inventory.findings]}"
        classes = universe.build(wanted, inventory.workloads)
        compiler = Compiler(classes, arms.resolve(classes, wanted, NOW))
        incomplete = frozenset(scope.scope for scope in snapshot.scopes if not scope.complete)
        scope = TargetScope(snapshot.target, self.owner, self.mode, incomplete, quarantined)
        intent = build_intent(compiler, scope, actual, self.recorded)
        identity = IdentityCheck(adapter.expected_account(), adapter.identify())
        case = Case(adapter, identity, snapshot, intent, classes, actual, self.recorded, GuardLimits(), Before(), "contract")
        try:
            return Decided(adapter, snapshot, intent, build_plan(case))
        except ValueError as error:
            raise AssertionError(f"planning fails: {error}") from error

    def run(self, *rules: str, enforcing: Enforcing = FULL, die_at: int = 0, dies_after: bool = False) -> Ran:
        """Plan for a policy of these rules, and carry it out unless it has to be refused. Raises KilledError at write `die_at` (from 1)."""
        return self.carry_out(self.decide(policy(rules, enforcing)), die_at=die_at, dies_after=dies_after)

    def carry_out(self, decided: Decided, *, die_at: int = 0, dies_after: bool = False) -> Ran:
        """Carry a plan out unless it has to be refused. Raises KilledError at write `die_at` (from 1)."""
        ran = Ran(decided)
        if decided.refusals:
            first = decided.refusals[0]
            ran.status, ran.words = "refused", f"{first.code} {first.message}"
            return ran
        for adoption in decided.built.plan.adoptions:
            self.recorded.setdefault(adoption.point, Recorded(adoption.original, adoption.inbound, adoption.outbound))
        try:
            _Execution(self, ran, die_at, dies_after).carry_out()
        except _StopError as stop:
            ran.status, ran.words = "stopped", str(stop)
        return ran

    def converge(self, *rules: str, enforcing: Enforcing = FULL) -> Ran:
        """Run, and fail unless all of it was done."""
        ran = self.run(*rules, enforcing=enforcing)
        assert ran.status == "done", f"a run that nothing disturbs is not done: {ran}"
        return ran


def parsed(text: str) -> Policy:
    """Return the policy of one file."""
    loaded, findings = load_policy([("contract.yaml", text.encode())])
    assert loaded is not None, "\n".join(map(str, findings))
    return loaded


class _StopError(Exception):
    """The ordinary way out of a run that has to stop."""


def bound(step: Step, bindings: Mapping[str, str]) -> Step:
    """Return a step whose payload names native ids instead of `{new:KEY}`, as far as they are known."""
    payload = step.payload
    for key, native in bindings.items():
        payload = payload.replace("{new:" + key + "}", native)
    return replace(step, payload=payload)


@dataclass(slots=True)
class _Execution:
    """One plan on its way."""

    runs: Runs
    ran: Ran
    die_at: int
    dies_after: bool
    bindings: dict[str, str] = field(default_factory=dict)
    table: Table = None

    @property
    def adapter(self) -> Adapter:
        return self.ran.decided.adapter

    def carry_out(self) -> None:
        self.table = self.ran.decided.snapshot.table
        for number, phase in enumerate(phase for phase in self.ran.decided.built.plan.phases if phase.steps):
            self._unmoved(phase, first=not number)
            for step in phase.steps:
                self._send(step)
            self._barrier(phase)

    def _steps(self, phase: Phase) -> tuple[Step, ...]:
        return tuple(bound(step, self.bindings) for step in phase.steps)

    def _unmoved(self, phase: Phase, *, first: bool) -> None:
        self.runs.stage.clock.sleep(self.adapter.patience.settle_s)
        for shown in self._looks(self._steps(phase), 1 if first else LOOKS):
            if shown == self.table:
                return
        raise _StopError(f"what phase {phase.name} touches is not as it was planned for")

    def _send(self, step: Step) -> None:
        number = len(self.ran.sent) + 1
        if number == self.die_at and not self.dies_after:
            raise KilledError
        whole = bound(step, self.bindings)
        outcome = self.adapter.write(whole, self.bindings)
        self.ran.sent.append((step, outcome))
        self.runs.after_write(step)
        if number == self.die_at:
            raise KilledError
        if outcome.status is Status.FAILED:
            raise _StopError(f"{step.title}: {outcome.code} {outcome.reason}")
        self.bindings.update(outcome.created)
        if outcome.status is Status.UNKNOWN:
            self._settle(whole)

    def _settle(self, step: Step) -> None:
        for shown in self._looks((step,), 5):
            if self.adapter.seen(shown, step, self.bindings) is Seen.YES:
                if not step.mark:
                    self.bindings.update(self.adapter.created(shown, step))
                return
        raise _StopError(f"{step.title}: outcome unknown, and no read shows it")

    def _barrier(self, phase: Phase) -> None:
        steps = self._steps(phase)
        missing = steps[0].title
        for shown in self._looks(steps, LOOKS):
            late = [step.title for step in steps if self.adapter.seen(shown, step, self.bindings) is not Seen.YES]
            if not late:
                self.table = shown
                return
            missing = late[0]
        raise _StopError(f"no read shows it: {missing}")

    def _looks(self, steps: tuple[Step, ...], most: int) -> Iterator[Table]:
        for number in range(most):
            if number:
                self.runs.stage.clock.sleep(1.0)
            try:
                yield self.adapter.refresh(self.table, steps, self.bindings)
            except AdapterError as error:
                if not error.retryable:
                    raise _StopError(str(error)) from error
