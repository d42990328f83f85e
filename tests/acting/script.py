"""A platform that is nothing but a set of steps that took effect, a journal in memory and a lease: for what `apply` does between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from cloudsync.adapter import Effect, Outcome, Phase, Seen, Status, Step
from cloudsync.apply import Ports
from cloudsync.model.errors import AdapterError
from cloudsync.plan.journal import Op, OpenOp, OpState, Writer
from cloudsync.plan.values import Adoption, TargetPlan
from cloudsync.testing.clock import SimulatedClock
from cloudsync.testing.memory import MemoryAdapter, MemoryPlatform
from cloudsync.testing.memory_table import MemoryTable
from cloudsync.testing.plans import HARMLESS

DONE = Outcome(Status.DONE)


def step(name: str, effect: Effect = Effect.GROWS, mark: str = "m", payload: str = "{}") -> Step:
    """Return a step that is known by its name; without a mark it creates its object."""
    return Step(name, "Act", "mem/one", f"o-{name}", f"do {name}", effect, payload, mark=mark)


def plan_of(*phases: Iterable[Step], adoptions: tuple[Adoption, ...] = ()) -> TargetPlan:
    """Return a plan of phases called `phase 1`, `phase 2` and so on."""
    found = tuple(Phase(f"phase {number}", tuple(steps)) for number, steps in enumerate(phases, 1))
    return replace(HARMLESS, phases=found, adoptions=adoptions)


def table_of(names: Iterable[str]) -> MemoryTable:
    """Return the table in which some steps have taken effect."""
    return MemoryTable(" ".join(sorted(names)), {}, {})


@dataclass(slots=True)
class MemoryJournal:
    """The journal's port, kept in lists."""

    ops: list[OpenOp] = field(default_factory=list)
    words: list[tuple[int, OpState, str]] = field(default_factory=list)
    adopted: list[tuple[str, tuple[Adoption, ...], Writer]] = field(default_factory=list)
    hold: str = ""

    def intend(self, op: Op) -> int:
        """Keep an op."""
        self.ops.append(OpenOp(len(self.ops) + 1, op, OpState.INTENT))
        return len(self.ops)

    def settle(self, op_id: int, state: OpState, reason: str = "") -> None:
        """Keep what became of an op."""
        self.words.append((op_id, state, reason))
        self.ops[op_id - 1] = replace(self.ops[op_id - 1], state=state)

    def open_ops(self, target: str) -> tuple[OpenOp, ...]:
        """Return what is not settled."""
        return tuple(one for one in self.ops if one.op.target == target and one.state in (OpState.INTENT, OpState.UNKNOWN))

    def adopt(self, target: str, adoptions: Iterable[Adoption], writer: Writer) -> None:
        """Keep adoptions."""
        self.adopted.append((target, tuple(adoptions), writer))

    def held(self, target: str) -> str:
        """Return why writes are on hold."""
        return self.hold if target == "mem" else ""


@dataclass(slots=True)
class MemoryLease:
    """The lease's port; `reason` is why it is lost."""

    generation: int = 5
    reason: str = ""

    def lost(self) -> str:
        """Return why nothing may be written."""
        return self.reason


class ScriptAdapter(MemoryAdapter):
    """Steps take effect when they are written, unless `outcomes` says otherwise for the n-th write (from 1)."""

    def __init__(self) -> None:
        super().__init__(MemoryPlatform())
        self.world: set[str] = set()
        self.outcomes: dict[int, Outcome] = {}
        self.written: list[Step] = []
        self.reads: list[tuple[str, ...]] = []
        """The keys of the steps that each read was for."""
        self.forced: dict[str, Seen] = {}
        self.trouble: list[AdapterError] = []
        """What the next reads fail with."""
        self.after_write: Callable[[int], None] = lambda _number: None
        self.made: tuple[tuple[str, str], ...] = ()
        """What a read says that a creating step made."""

    def write(self, step: Step, bindings: Mapping[str, str]) -> Outcome:
        """Take effect, or what the script says."""
        del bindings
        self.written.append(step)
        outcome = self.outcomes.get(len(self.written), DONE)
        if outcome.status is Status.DONE:
            self.world.add(step.key)
        self.after_write(len(self.written))
        return outcome

    def refresh(self, table: MemoryTable, steps: Iterable[Step], bindings: Mapping[str, str]) -> MemoryTable:
        """Return what took effect."""
        del table, bindings
        self.reads.append(tuple(one.key for one in steps))
        if self.trouble:
            raise self.trouble.pop(0)
        return table_of(self.world)

    def seen(self, table: MemoryTable, step: Step, bindings: Mapping[str, str]) -> Seen:
        """Tell whether a step took effect, or what the script says."""
        del bindings
        return self.forced.get(step.key, Seen.YES if step.key in table.owner.split() else Seen.NO)

    def simulate(self, table: MemoryTable, *steps: Step) -> MemoryTable:
        """Return the table after some steps."""
        return table_of({*table.owner.split(), *(one.key for one in steps)})

    def created(self, table: MemoryTable, step: Step) -> tuple[tuple[str, str], ...]:
        """Return what a creating step made."""
        del table
        return tuple((key, native) for key, native in self.made if key == step.object)


@dataclass(slots=True)
class Stage:
    """Everything that `apply` needs, to be looked at afterwards."""

    adapter: ScriptAdapter = field(default_factory=ScriptAdapter)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    lease: MemoryLease = field(default_factory=MemoryLease)
    clock: SimulatedClock = field(default_factory=SimulatedClock)

    @property
    def ports(self) -> Ports:
        """The effects that an execution may have."""
        return Ports(self.journal, self.lease, self.clock)

    @property
    def table(self) -> MemoryTable:
        """What there is now."""
        return table_of(self.adapter.world)
