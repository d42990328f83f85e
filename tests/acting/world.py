"""A small world that has to be brought in order, and whole runs over it: open state, read, recover, plan, apply, close."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from cloudsync.adapter import Method
from cloudsync.apply import ApplyResult, Options, Ports, apply, recover
from cloudsync.model.packets import PacketSet
from cloudsync.model.workload import PointId
from cloudsync.plan.journal import Journal, Op, OpenOp, OpState, Writer
from cloudsync.plan.values import Adoption, TargetPlan
from cloudsync.store.place import Place
from cloudsync.store.state import State
from cloudsync.testing.clock import SimulatedClock
from cloudsync.testing.memory import MemoryAdapter, MemoryPlatform
from cloudsync.testing.memory_table import NEW, Group, MemoryTable, Rule
from cloudsync.testing.plans import plan_to
from tests.acting.servers import Places, in_a_file

TCP = "6/{0}-{0}"
OFFICE = ("192.0.2.0/24", TCP.format(22))
WEB = ("0.0.0.0/0", TCP.format(443))
APP = ("10.0.0.0/8", TCP.format(8443))
OLD = ("10.0.0.0/8", TCP.format(8080))
FOREIGN = ("0.0.0.0/0", TCP.format(22))


def wanted(actual: MemoryTable) -> MemoryTable:
    """Return what is wanted: one new group for web and db each, the old group changed, foreign groups detached but left alone."""
    desired = actual
    for name, rules in (("cs-web", [WEB, APP]), ("cs-db", [OFFICE]), ("cs-app", [APP, OFFICE])):
        known = next((group for group in actual.groups.values() if group.name == name and group.owner == actual.owner), None)
        group = known or Group(NEW % f"mem/one/{name}", "mem/one", name, actual.owner)
        desired = desired.with_group(replace(group, rules=frozenset(Rule(*rule) for rule in rules)))
    by_name = {group.name: group.id for group in desired.groups.values() if group.owner == actual.owner}
    for spot in actual.spots.values():
        role = spot.id.rpartition("/")[2].rstrip("0123456789")
        desired = desired.with_spot(replace(spot, groups=(by_name[f"cs-{role}"],)))
    for group in actual.groups.values():
        if group.owner == actual.owner and group.name == "cs-gone":
            desired = desired.without_group(group.id)
    return desired


def make_platform() -> MemoryPlatform:
    """Return the world before: two web machines and a database in foreign groups, an app machine in an old group of ours."""
    platform = MemoryPlatform()
    legacy = platform.add_group("legacy", [FOREIGN, WEB])
    other = platform.add_group("other", [("10.9.0.0/16", TCP.format(5432)), OFFICE])
    ours = platform.add_group("cs-app", [APP, OLD], owner="test")
    platform.add_group("cs-gone", [OLD], owner="test")
    platform.add_point("web1", "10.0.0.1", [legacy])
    platform.add_point("web2", "10.0.0.2", [legacy, other])
    platform.add_point("db1", "10.0.1.1", [other])
    platform.add_point("app1", "10.0.2.1", [ours])
    return platform


@dataclass(slots=True)
class World:
    """A platform, a clock and a state that outlive single runs."""

    folder: Path
    platform: MemoryPlatform = field(default_factory=make_platform)
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    want: Callable[[MemoryTable], MemoryTable] = wanted
    method: Method = Method.SWAP
    options: Options = field(default_factory=lambda: Options("run", visible_s=30.0, call_s=20.0))
    numbers: count[int] = field(default_factory=lambda: count(1))
    places: Places = in_a_file
    place: Place = field(init=False)
    """Where the state is."""

    def __post_init__(self) -> None:
        self.place = self.places(self.folder)

    @property
    def adapter(self) -> MemoryAdapter:
        """The platform opened anew."""
        return MemoryAdapter(self.platform)

    def state(self, run: str = "") -> State:
        """Open the state, for writing when a run id is given."""
        return State(self.place, self.clock, writer=run)

    def plan(self, actual: MemoryTable | None = None) -> TargetPlan:
        """Return the plan from a reading (the true state when none is given)."""
        table = actual or self.platform.table("test")
        return plan_to(self.adapter, table, self.want(table), self.method)

    def run(self, options: Options | None = None) -> ApplyResult:
        """Make one whole run, as the pipeline does it."""
        run_id = f"run-{next(self.numbers)}"
        with self.state(run_id) as state:
            return self.run_with(Ports(state.journal, state.lease, self.clock), replace(options or self.options, run_id=run_id))

    def run_with(self, ports: Ports, options: Options) -> ApplyResult:
        """Make one run with these ports."""
        adapter = self.adapter
        snapshot = adapter.read()
        if recover("mem", adapter, snapshot.table, ports).waited:
            snapshot = adapter.read()
        return apply(self.plan(snapshot.table), adapter, snapshot.table, ports, options)

    def converged(self) -> bool:
        """Tell whether the true state is what is wanted."""
        table = self.platform.table("test")
        return self.want(table) == table

    def access(self) -> dict[PointId, PacketSet]:
        """Return what every point truly lets in."""
        return {point: access.inbound for point, access in self.adapter.decode(self.platform.table("test")).items()}

    def ops(self) -> tuple[OpenOp, ...]:
        """Return every op in the journal."""
        with self.state() as state:
            return tuple(op for op, _ in state.journal.ops())

    def audit(self) -> int:
        """Verify the audit chain and return its length."""
        with self.state() as state:
            return state.audit.check().lines


def assert_bijection(world: World) -> None:
    """Every write on the wire has its op, in the same order, and the journal tells what the platform did.

    An op without a write is one whose process died between the durable intent and the call; it has to end void.
    """
    calls = iter(world.platform.calls)
    call = next(calls, None)
    for op in world.ops():
        assert op.state in (OpState.DONE, OpState.FAILED, OpState.VOID), "an op was left open"
        if call is not None and op.op.step.payload == call.payload and (op.state is OpState.DONE) == call.applied:
            call = next(calls, None)
        else:
            assert op.state is OpState.VOID, f"{op.op.step.title} is {op.state.value} but was never sent"
    assert call is None, f"{call} was sent without an op, or its op tells something else"


class Killed(BaseException):
    """The process is gone: after it was raised once, every further effect raises it again."""


@dataclass(slots=True)
class DyingJournal:
    """A journal whose process dies at the n-th effect, before or after it took effect; from then on nothing works any more."""

    journal: Journal
    at: int
    after: bool
    effects: int = 0
    dead: bool = False

    def _effect(self) -> bool:
        """Count an effect; die before it when that is wanted. Return whether to die after it."""
        if self.dead:
            raise Killed
        self.effects += 1
        if self.effects == self.at and not self.after:
            self.dead = True
            raise Killed
        return self.effects == self.at

    def _end(self, *, last: bool) -> None:
        if last:
            self.dead = True
            raise Killed

    def intend(self, op: Op) -> int:
        """Make an op durable, or die."""
        last = self._effect()
        op_id = self.journal.intend(op)
        self._end(last=last)
        return op_id

    def settle(self, op_id: int, state: OpState, reason: str = "") -> None:
        """Record an outcome, or die."""
        last = self._effect()
        self.journal.settle(op_id, state, reason)
        self._end(last=last)

    def open_ops(self, target: str) -> tuple[OpenOp, ...]:
        """Return the open ops."""
        return self.journal.open_ops(target)

    def adopt(self, target: str, adoptions: Iterable[Adoption], writer: Writer) -> None:
        """Record adoptions, or die."""
        last = self._effect()
        self.journal.adopt(target, adoptions, writer)
        self._end(last=last)

    def held(self, target: str) -> str:
        """Return why writes are on hold."""
        return self.journal.held(target)
