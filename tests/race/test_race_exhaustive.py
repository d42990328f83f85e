"""T6: every order of the effects of two and three writers, pauses included: overlap of at most one call, and the next run mends it.

A writer takes the lease, reads, settles what is open, plans, and applies; each look at the lease, each entry in the journal, each read and
each call is an effect between which the others may come. All believe to hold the lock, as on several machines with clocks of their own.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

from cloudsync.adapter import Outcome, Step
from cloudsync.apply import ApplyStatus, Options, Ports, apply, recover
from cloudsync.model.errors import RefusedError
from cloudsync.plan.journal import Op, OpenOp, OpState, Writer
from cloudsync.plan.values import Adoption
from cloudsync.store.database import Database
from cloudsync.store.journal import JournalTable
from cloudsync.store.lease import StoreLease
from cloudsync.store.place import Place
from cloudsync.store.state import State, open_database
from cloudsync.testing.clock import SimulatedClock
from cloudsync.testing.memory import MemoryAdapter, MemoryPlatform
from cloudsync.testing.memory_table import NEW, Group, MemoryTable, Rule
from cloudsync.testing.plans import plan_to
from tests.acting.servers import Cluster, Places, in_a_file
from tests.acting.world import FOREIGN, OFFICE, WEB
from tests.race.explorer import Actor, Explored, explore
from tests.trust.budget import budget
from tests.trust.figures import record

RULES: dict[str, list[tuple[str, str]]] = {"A": [WEB], "B": [WEB, OFFICE], "C": [OFFICE]}
"""What each writer's policy lets in; they run in any order."""
PAUSE_S = 200.0
"""Longer than half a lease."""


def want(actual: MemoryTable, rules: list[tuple[str, str]]) -> MemoryTable:
    """Return a table in which every machine is in one group of ours with these rules."""
    known = next((group for group in actual.groups.values() if group.owner == actual.owner), None)
    group = known or Group(NEW % "mem/one/cs-web", "mem/one", "cs-web", actual.owner)
    desired = actual.with_group(replace(group, rules=frozenset(Rule(*rule) for rule in rules)))
    for spot in actual.spots.values():
        desired = desired.with_spot(replace(spot, groups=(group.id,)))
    return desired


@dataclass(slots=True)
class SeenJournal:
    """A journal whose every effect is a place where others may come between."""

    inner: JournalTable
    actor: Actor

    def intend(self, op: Op) -> int:
        """Make an op durable."""
        self.actor.stop_here()
        op_id = self.inner.intend(op)
        self.actor.observe(("intend", op.number, op.attempt))
        return op_id

    def settle(self, op_id: int, state: OpState, reason: str = "") -> None:
        """Record an outcome."""
        self.actor.stop_here()
        self.inner.settle(op_id, state, reason)
        self.actor.observe(("settle", state))

    def open_ops(self, target: str) -> tuple[OpenOp, ...]:
        """Return the open ops."""
        self.actor.stop_here()
        found = self.inner.open_ops(target)
        self.actor.observe([(one.op.run_id, one.op.number, one.op.attempt, one.state) for one in found])
        return found

    def adopt(self, target: str, adoptions: Iterable[Adoption], writer: Writer) -> None:
        """Record adoptions."""
        self.actor.stop_here()
        self.inner.adopt(target, adoptions, writer)

    def held(self, target: str) -> str:
        """Return why writes are on hold; nobody here puts a hold, so that nobody needs to come between."""
        return self.inner.held(target)


@dataclass(slots=True)
class SeenLease:
    """A lease that others may come before."""

    inner: StoreLease
    actor: Actor

    @property
    def generation(self) -> int:
        """The writer's number."""
        return self.inner.generation

    def lost(self) -> str:
        """Return why nothing may be written."""
        self.actor.stop_here()
        lost = self.inner.lost()
        self.actor.observe(("lost", bool(lost)))
        return lost


class SeenAdapter(MemoryAdapter):
    """A platform that others may come before, at every read and every call."""

    def __init__(self, platform: MemoryPlatform, actor: Actor, sent: list[str]) -> None:
        super().__init__(platform)
        self.actor, self.sent = actor, sent

    def refresh(self, table: MemoryTable, steps: Iterable[Step], bindings: Mapping[str, str]) -> MemoryTable:
        """Read."""
        self.actor.stop_here()
        found = super().refresh(table, steps, bindings)
        self.actor.observe(self.dump(found))
        return found

    def write(self, step: Step, bindings: Mapping[str, str]) -> Outcome:
        """Write."""
        self.actor.stop_here()
        self.sent.append(self.actor.name)
        found = super().write(step, bindings)
        self.actor.observe((found.status, found.code, sorted(found.created)))
        return found


@dataclass
class Tally:
    """What the orders of one setting came to."""

    overlap: Counter[int] = field(default_factory=Counter)
    """Calls of one writer after another took the lease: how often each number of them was seen."""
    wrong_end: int = 0
    """Ends that are not what the last writer wanted, before the next run."""
    mended: set[bytes] = field(default_factory=set)
    """Ends from which the next clean run was made."""


Plant = Callable[[StoreLease, JournalTable], None]
"""Changes a writer for the worse, or not."""


def _fenced(_lease: StoreLease, _journal: JournalTable) -> None:
    return None


@dataclass(frozen=True)
class Setting:
    """Who fights over what. `pauses`: how often time passes while a writer sleeps, at any moment."""

    names: str
    machines: int
    pauses: int = 0
    plant: Plant = _fenced


@dataclass
class Fight:
    """Several writers over one world, once."""

    place: Place
    setting: Setting
    tally: Tally
    platform: MemoryPlatform = field(default_factory=MemoryPlatform)
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    sent: list[str] = field(default_factory=list)
    takings: list[tuple[str, int]] = field(default_factory=list)
    """Who took the lease, and how many calls had been sent by then."""
    late: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for number in range(self.setting.machines):
            legacy = self.platform.add_group(f"legacy-{number}", [FOREIGN])
            self.platform.add_point(f"web{number}", f"10.0.0.{number + 1}", [legacy])
        self.actors: dict[str, Actor] = {name: Actor(name, self._write) for name in self.setting.names}
        self.actors |= {f"pause-{number}": Actor(f"pause-{number}", self._pause) for number in range(self.setting.pauses)}
        self._look = open_database(self.place)

    def _pause(self, actor: Actor) -> None:
        actor.stop_here()
        self.clock.advance(PAUSE_S)

    def _write(self, actor: Actor) -> None:
        actor.stop_here()
        with closing(open_database(self.place)) as database:
            try:
                self._run(actor, database)
            except RefusedError as error:
                actor.observe(("refused", error.code))

    def _run(self, actor: Actor, database: Database) -> None:
        lease = StoreLease(database, self.clock, lambda: "")
        journal = JournalTable(database, self.clock)
        lease.acquire(actor.name)
        self.setting.plant(lease, journal)
        self.takings.append((actor.name, len(self.sent)))
        actor.observe(("acquired", lease.generation))
        ports = Ports(SeenJournal(journal, actor), SeenLease(lease, actor), self.clock)
        adapter = SeenAdapter(self.platform, actor, self.sent)
        actor.stop_here()
        table = adapter.read().table
        actor.observe(adapter.dump(table))
        if recover("mem", adapter, table, ports).waited:
            table = adapter.read().table
            actor.observe(adapter.dump(table))
        options = Options(actor.name, visible_s=2.0, call_s=1.0)
        result = apply(plan_to(adapter, table, want(table, RULES[actor.name])), adapter, table, ports, options)
        actor.observe(("ended", result.status))

    # --- for the explorer --------------------------------------------------------------------------------------------

    def state(self) -> bytes:
        """Return a digest of what all share: the platform, the lease, the journal, the time."""
        said = [self._leases(), self._ops()]
        world = (sorted(self.platform.groups.items()), sorted(self.platform.spots.items()), self.platform._ids)
        return sha256(repr((said, world, self.clock.monotonic(), self.takings, self.sent)).encode()).digest()

    def ended(self) -> None:
        """Judge an end, and what the next clean run makes of it."""
        for actor in self.actors.values():
            if actor.failure is not None:
                raise AssertionError(f"{actor.name} failed") from actor.failure
        for (name, _), (_, at) in zip(self.takings, self.takings[1:], strict=False):
            self.tally.overlap[self.sent[at:].count(name)] += 1
        last = self.takings[-1][0]
        table = self.platform.table("test")
        if want(table, RULES[last]) != table:
            self.tally.wrong_end += 1
        left = [one for one in self._ops() if one[3] in ("intent", "unknown")]
        here = sha256(repr((sorted(self.platform.groups.items()), sorted(self.platform.spots.items()), left)).encode()).digest()
        if here not in self.tally.mended:
            self.tally.mended.add(here)
            self._mend()

    def _leases(self) -> list[tuple[object, ...]]:
        return [(one["holder"], one["generation"], one["expires"]) for one in self._look.rows("SELECT * FROM lease")]

    def _ops(self) -> list[tuple[object, ...]]:
        rows = self._look.rows("SELECT * FROM op ORDER BY run, number, attempt")
        return [(one["run"], one["number"], one["attempt"], one["state"], one["deadline"]) for one in rows]

    def _mend(self) -> None:
        adapter = MemoryAdapter(self.platform)
        for writes_allowed in (True, False):
            before = len(self.platform.calls)
            with State(self.place, self.clock, writer="mend") as state:
                ports = Ports(state.journal, state.lease, self.clock)
                table = adapter.read().table
                if recover("mem", adapter, table, ports).waited:
                    table = adapter.read().table
                plan = plan_to(adapter, table, want(table, RULES["B"]))
                result = apply(plan, adapter, table, ports, Options("mend", visible_s=2.0, call_s=1.0))
            assert result.status is ApplyStatus.DONE, result
            assert writes_allowed or len(self.platform.calls) == before, "the run after the next one wrote"
        with State(self.place, self.clock) as state:
            state.audit.check()
        table = self.platform.table("test")
        assert want(table, RULES["B"]) == table

    def close(self) -> None:
        """Put it away."""
        self._look.close()


def fight(folder: Path, places: Places, setting: Setting, most: int) -> tuple[Explored, Tally]:
    """Explore the fights of some writers, at most so many orders."""
    tally, numbers = Tally(), count()
    with State(in_a_file(folder / "fresh"), SimulatedClock()):
        pass

    def make() -> Fight:
        here = folder / f"{next(numbers)}"
        place = places(here)
        if isinstance(place, Path):
            shutil.copytree(folder / "fresh", here)
        else:
            State(place, SimulatedClock()).close()
        return Fight(place, setting, tally)

    return explore(make, most), tally


def figures(found: Explored, tally: Tally) -> dict[str, int]:
    """Return the figures of an exploration that got here: an end that the next run does not put right raises."""
    return {
        "interleavings": found.whole,
        "orders": found.orders,
        "states": found.states,
        "not_followed": found.left,
        "overlap_max": max(tally.overlap, default=0),
        "wrong_before_next_run": tally.wrong_end,
        "wrong_end": 0,
        "mended": len(tally.mended),
    }


def must_hold(found: Explored, tally: Tally) -> None:
    """At most one call of a writer goes out after another took the lease. (That the next run mends every end was seen on the way.)"""
    assert found.whole > 0
    assert max(tally.overlap) <= 1, tally.overlap


TWO = Setting("AB", 1)


def test_two_writers_in_every_order(tmp_path: Path) -> None:
    found, tally = fight(tmp_path, in_a_file, TWO, budget(250, 100_000, 100_000))
    must_hold(found, tally)
    assert tally.overlap[1], "no call was in flight when the lease was lost: the orders that matter were not tried"
    record("T6 two writers", figures(found, tally))


@pytest.mark.parametrize(
    ("name", "setting", "orders"),
    [
        ("two writers and a pause", Setting("AB", 1, pauses=1), (60, 4000, 40_000)),
        ("two writers, ten ops each", Setting("AB", 8), (25, 1500, 100_000)),
        ("three writers", Setting("ABC", 1), (60, 4000, 60_000)),
        ("three writers and two pauses", Setting("ABC", 1, pauses=2), (0, 2000, 30_000)),
    ],
)
def test_more_writers_more_ops_and_pauses(tmp_path: Path, name: str, setting: Setting, orders: tuple[int, int, int]) -> None:
    most = budget(*orders)
    if not most:
        pytest.skip("for a night and a release")
    found, tally = fight(tmp_path, in_a_file, setting, most)
    must_hold(found, tally)
    record(f"T6 {name}", figures(found, tally))


def test_two_writers_over_a_server(tmp_path: Path, postgres: Cluster) -> None:
    found, tally = fight(tmp_path, postgres.place, TWO, budget(6, 120, 4000))
    assert max(tally.overlap, default=0) <= 1
    record("T6 two writers, PostgreSQL", figures(found, tally))


# --- would it be seen? ------------------------------------------------------------------------------------------------


def blind(lease: StoreLease, _journal: JournalTable) -> None:
    """Let a writer never find out that it lost the lease."""
    vars(lease)["lost"] = lambda: ""


def test_without_the_look_at_the_lease_only_the_fence_of_the_journal_is_left(tmp_path: Path) -> None:
    found, tally = fight(tmp_path, in_a_file, replace(TWO, plant=blind), budget(120, 4000, 100_000))
    must_hold(found, tally)


def test_without_any_fence_writers_overwrite_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudsync.store.journal._fence", lambda _connection, _generation: None)
    _, tally = fight(tmp_path, in_a_file, replace(TWO, plant=blind), 120)
    assert max(tally.overlap) > 1
    record("T6 control: no fence", {"controls": 1, "control_overlap": max(tally.overlap), "control_wrong": tally.wrong_end})
