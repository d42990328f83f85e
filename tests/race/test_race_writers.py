"""Two writers in every order: whoever lost the lease sends at most the one call it was about to send, and the next run mends it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from cloudsync.adapter import Outcome, Step
from cloudsync.apply import ApplyResult, ApplyStatus, Options, Ports, apply, recover
from cloudsync.model.errors import RefusedError
from cloudsync.plan.journal import Op, OpenOp, OpState, Writer
from cloudsync.plan.values import Adoption
from cloudsync.store.database import Database
from cloudsync.store.journal import JournalTable
from cloudsync.store.lease import StoreLease
from cloudsync.store.state import open_database
from cloudsync.testing.memory import MemoryAdapter, MemoryPlatform
from cloudsync.testing.memory_table import NEW, Group, MemoryTable, Rule
from cloudsync.testing.plans import plan_to
from tests.acting.servers import Places, share
from tests.acting.world import FOREIGN, OFFICE, WEB, World, assert_bijection

FOREVER = 10**9
PATIENCE_S = 20.0


class Turns:
    """Lets one of two threads run at a time: `plan` lists who runs, and for how many effects. Afterwards A, then B, to their ends.

    A thread that was let in keeps the floor until it asks for its next effect or leaves. So its last effect is over before the other
    begins, and no order depends on when the other thread happened to arrive.
    """

    def __init__(self, *plan: tuple[str, int], patience_s: float = PATIENCE_S) -> None:
        self._plan = deque([*plan, ("A", FOREVER), ("B", FOREVER)])
        self._patience_s = patience_s
        self._used = 0
        self._floor = ""
        self._left: set[str] = set()
        self._turn = threading.Condition()
        self.counts = {"A": 0, "B": 0}

    def next(self, name: str) -> None:
        """Stop before an effect until it is this thread's turn."""
        with self._turn:
            self._yield(name)
            assert self._turn.wait_for(lambda: self._free_for(name), self._patience_s), f"{name} waits for ever"
            self._floor = name
            self._used += 1
            self.counts[name] += 1

    def leave(self, name: str) -> None:
        """Say that a thread ended."""
        with self._turn:
            self._left.add(name)
            self._yield(name)

    def _yield(self, name: str) -> None:
        if self._floor == name:
            self._floor = ""
        self._turn.notify_all()

    def _free_for(self, name: str) -> bool:
        if self._floor:
            return False
        while self._plan and (self._used >= self._plan[0][1] or self._plan[0][0] in self._left):
            self._plan.popleft()
            self._used = 0
        return bool(self._plan) and self._plan[0][0] == name


@dataclass(slots=True)
class SteppedJournal:
    """A journal that waits for its turn before every effect."""

    inner: JournalTable
    name: str
    turns: Turns

    def intend(self, op: Op) -> int:
        """Make an op durable."""
        self.turns.next(self.name)
        return self.inner.intend(op)

    def settle(self, op_id: int, state: OpState, reason: str = "") -> None:
        """Record an outcome."""
        self.turns.next(self.name)
        self.inner.settle(op_id, state, reason)

    def open_ops(self, target: str) -> tuple[OpenOp, ...]:
        """Return the open ops."""
        self.turns.next(self.name)
        return self.inner.open_ops(target)

    def adopt(self, target: str, adoptions: Iterable[Adoption], writer: Writer) -> None:
        """Record adoptions."""
        self.turns.next(self.name)
        self.inner.adopt(target, adoptions, writer)

    def held(self, target: str) -> str:
        """Return why writes are on hold."""
        self.turns.next(self.name)
        return self.inner.held(target)


@dataclass(slots=True)
class SteppedLease:
    """A lease that waits for its turn before it is looked at."""

    inner: StoreLease
    name: str
    turns: Turns

    @property
    def generation(self) -> int:
        """The writer's number."""
        return self.inner.generation

    def lost(self) -> str:
        """Return why nothing may be written."""
        self.turns.next(self.name)
        return self.inner.lost()


class SteppedAdapter(MemoryAdapter):
    """A platform that waits for the writer's turn before every call, and remembers who sent what."""

    def __init__(self, platform: MemoryPlatform, name: str, turns: Turns, sent: list[str]) -> None:
        super().__init__(platform)
        self.name, self.turns, self.sent = name, turns, sent

    def refresh(self, table: MemoryTable, steps: Iterable[Step], bindings: Mapping[str, str]) -> MemoryTable:
        """Read."""
        self.turns.next(self.name)
        return super().refresh(table, steps, bindings)

    def write(self, step: Step, bindings: Mapping[str, str]) -> Outcome:
        """Write."""
        self.turns.next(self.name)
        self.sent.append(self.name)
        return super().write(step, bindings)


def want_web(actual: MemoryTable) -> MemoryTable:
    """The older policy: one group with HTTPS for everybody."""
    return _want(actual, [WEB])


def want_office(actual: MemoryTable) -> MemoryTable:
    """The newer policy: HTTPS for everybody and SSH for the office."""
    return _want(actual, [WEB, OFFICE])


def _want(actual: MemoryTable, rules: list[tuple[str, str]]) -> MemoryTable:
    known = next((group for group in actual.groups.values() if group.owner == actual.owner), None)
    group = known or Group(NEW % "mem/one/cs-web", "mem/one", "cs-web", actual.owner)
    desired = actual.with_group(replace(group, rules=frozenset(Rule(*rule) for rule in rules)))
    for spot in actual.spots.values():
        desired = desired.with_spot(replace(spot, groups=(group.id,)))
    return desired


def small_platform() -> MemoryPlatform:
    """One machine in one foreign group."""
    platform = MemoryPlatform()
    platform.add_point("web1", "10.0.0.1", [platform.add_group("legacy", [FOREIGN])])
    return platform


@dataclass(slots=True)
class Duel:
    """A and B over one world; both believe that they hold the lock, as two machines would."""

    world: World
    turns: Turns
    sent: list[str] = field(default_factory=list)
    taken: dict[str, int] = field(default_factory=dict)
    """How many calls had been sent when a writer took the lease."""
    generations: dict[str, int] = field(default_factory=dict)
    results: dict[str, ApplyResult | BaseException] = field(default_factory=dict)
    claims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """To which targets alone a writer wants to write; without any, to all."""

    def fight(self) -> None:
        """Run both to their ends."""
        threads = [threading.Thread(target=self._write, args=(name,), name=name, daemon=True) for name in ("A", "B")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()

    def late(self) -> int:
        """Return how many calls A sent after B took the lease. Raises AssertionError unless A took it once, before B."""
        assert self.generations == {"A": 1, "B": 2}
        return self.sent[self.taken["B"] :].count("A")

    def _write(self, name: str) -> None:
        try:
            self.turns.next(name)
            with closing(open_database(self.world.place)) as database:
                self.results[name] = self._run(name, database, self._lock(name, database))
        except (RefusedError, AssertionError) as error:
            self.results[name] = error
        finally:
            self.turns.leave(name)

    def _lock(self, name: str, database: Database) -> Callable[[], str]:
        """Return what says why a writer's lock is lost; here both hold it for ever."""
        del name, database
        return lambda: ""

    def _run(self, name: str, database: Database, lock_lost: Callable[[], str]) -> ApplyResult:
        lease = StoreLease(database, self.world.clock, lock_lost, targets=self.claims.get(name, ()))
        lease.acquire(name)
        self.taken[name], self.generations[name] = len(self.sent), lease.generation
        journal = JournalTable(database, self.world.clock)
        ports = Ports(SteppedJournal(journal, name, self.turns), SteppedLease(lease, name, self.turns), self.world.clock)
        adapter = SteppedAdapter(self.world.platform, name, self.turns, self.sent)
        self.turns.next(name)
        table = adapter.read().table
        if recover("mem", adapter, table, ports).waited:
            table = adapter.read().table
        want = want_web if name == "A" else want_office
        options = Options(name, visible_s=2.0, call_s=1.0)
        return apply(plan_to(adapter, table, want(table)), adapter, table, ports, options)


def make_world(folder: Path, places: Places) -> World:
    world = World(folder, places=places, platform=small_platform(), want=want_office)
    world.state().close()
    return world


def fight(folder: Path, places: Places, *plan: tuple[str, int]) -> Duel:
    """Make one duel, check it, then let the next clean run mend what is left."""
    return fought(Duel(make_world(folder, places), Turns(*plan)), plan)


def fought(duel: Duel, plan: tuple[tuple[str, int], ...]) -> Duel:
    """Let two fight, check what came of it, then let the next clean run mend what is left."""
    duel.fight()
    for name, result in duel.results.items():
        assert not isinstance(result, AssertionError), (plan, name, result)
    world = duel.world
    last = world.run()
    assert last.status is ApplyStatus.DONE, (plan, last)
    assert world.converged(), plan
    assert world.run().writes == 0
    world.audit()
    return duel


def effects(folder: Path, places: Places) -> int:
    """Count the effects of one writer alone."""
    turns = Turns(("A", FOREVER))
    duel = Duel(make_world(folder, places), turns)
    duel.fight()
    return turns.counts["A"]


def test_no_thread_is_let_in_before_the_effect_of_the_other_is_over() -> None:
    turns = Turns(("A", 1), ("B", 1), patience_s=0.0)
    turns.next("A")
    with pytest.raises(AssertionError, match="B waits"):
        turns.next("B")
    with pytest.raises(AssertionError, match="A waits"):
        turns.next("A")
    turns.next("B")
    turns.leave("B")
    turns.next("A")
    assert turns.counts == {"A": 2, "B": 1}


def test_one_writer_after_the_other_is_no_race(tmp_path: Path, places: Places) -> None:
    duel = fight(tmp_path, places, ("A", FOREVER), ("B", FOREVER))
    assert [type(result) for result in duel.results.values()] == [ApplyResult, ApplyResult]
    assert all(isinstance(result, ApplyResult) and result.status is ApplyStatus.DONE for result in duel.results.values())
    assert_bijection(duel.world)


def test_a_writer_paused_at_any_effect_wakes_after_another_finished(tmp_path: Path, places: Places) -> None:
    total = effects(tmp_path / "alone", places)
    late = 0
    for pause in range(1, total):
        duel = fight(tmp_path / str(pause), places, ("A", pause), ("B", FOREVER))
        after = duel.late()
        assert after <= 1
        late += after
        result = duel.results["A"]
        assert not isinstance(result, ApplyResult) or result.status is not ApplyStatus.DONE or pause >= total - 2
    print(f"{total - 1} pauses, {late} calls in flight after the lease was lost")
    assert 0 < late < total


@pytest.mark.parametrize("part", range(3))
def test_two_writers_that_interrupt_each_other_anywhere(tmp_path: Path, places: Places, part: int) -> None:
    total = effects(tmp_path / "alone", places)
    case = 0
    for first in range(1, total):
        for second in range(1, total):
            if (first + second) % 9 == part * 3:
                case += 1
                if case % share(places, 4):
                    continue
                duel = fight(tmp_path / f"{first}-{second}", places, ("A", first), ("B", second), ("A", FOREVER), ("B", FOREVER))
                assert duel.late() <= 1, (first, second)
    assert case > 30


@pytest.mark.slow
def test_two_writers_in_every_order_of_three_interruptions(tmp_path: Path, places: Places) -> None:
    total = effects(tmp_path / "alone", places)
    case = 0
    for first in range(1, total):
        for second in range(1, total):
            for third in range(1, total - first, 2):
                case += 1
                if case % share(places, 20):
                    continue
                plan = (("A", first), ("B", second), ("A", third), ("B", FOREVER), ("A", FOREVER))
                duel = fight(tmp_path / f"{first}-{second}-{third}", places, *plan)
                assert duel.late() <= 1, plan
