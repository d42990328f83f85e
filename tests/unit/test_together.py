"""Several targets written together: barriers between stages, who waits for whom, and what a fault or a crash leaves behind."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import pytest

from cloudsync.app import together
from cloudsync.apply import ApplyResult, ApplyStatus, Execution, Options, Ports
from cloudsync.plan.build import Built
from cloudsync.plan.journal import OpState
from cloudsync.plan.values import Component, CourseMethod
from cloudsync.testing.clock import SimulatedClock
from cloudsync.testing.memory import Fault
from cloudsync.testing.ordered import OrderedPlatform
from cloudsync.testing.ordered_table import OrderedTable
from tests.acting import world as acting
from tests.acting.folders import tmp_path
from tests.oracle.courses import World, draw
from tests.oracle.interleave import Trip, open_at
from tests.trust.budget import budget

__all__ = ["tmp_path"]

SETTLE_S = 7.0


class CutError(BaseException):
    """The process dies."""


@dataclass(slots=True)
class Estate:
    """A world that is really written to: after every write, every single flow is looked at."""

    world: World
    folder: Path
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    writes: int = 0
    die_at: int = 0
    broken: list[str] = field(default_factory=list)
    settled: list[tuple[str, ...]] = field(default_factory=list)
    trips: tuple[Trip, ...] = ()
    old: Mapping[str, bool] = field(default_factory=dict)
    new: Mapping[str, bool] = field(default_factory=dict)
    runs: int = 0

    def __post_init__(self) -> None:
        self.trips = tuple(self.world.trips())
        for name, adapter in self.world.adapters.items():
            adapter.platform.lines = dict(self.world.old[name].lines)
            adapter.platform.spots = dict(self.world.old[name].spots)
            adapter.platform.after_write = self._looked
            adapter.platform.before_write = self._counted
        self.old, self.new = self._open(self.world.old), self._open(self.world.new)

    def _counted(self, _number: int) -> None:
        self.writes += 1
        if self.writes == self.die_at:
            raise CutError

    def _looked(self, _number: int) -> None:
        for name, now in self._open(self.tables()).items():
            if now and not (self.old[name] or self.new[name]):
                self.broken.append(f"exposed {name}")
            if not now and self.old[name] and self.new[name]:
                self.broken.append(f"cut {name}")

    def _open(self, tables: Mapping[str, OrderedTable]) -> dict[str, bool]:
        decoded = {name: self.world.adapters[name].decode(table) for name, table in tables.items()}
        return {trip.name: all(open_at(decoded[stop.target], stop) for stop in trip.stops) for trip in self.trips}

    def tables(self) -> dict[str, OrderedTable]:
        """Return what is really there."""
        return {name: adapter.platform.ordered("test") for name, adapter in self.world.adapters.items()}

    def plan(self) -> tuple[Built, ...]:
        """Plan from what is there now."""
        return World(self.world.hosts, self.world.adapters, self.tables(), self.world.new).charted()

    def run(self, unable: Mapping[str, str] | None = None) -> dict[str, ApplyResult]:
        """Plan and carry out everything; `unable`: targets that must not be written."""
        built = self.plan()
        self.runs += 1
        found: dict[str, ApplyResult] = {}
        with self._ports() as ports:
            done: set[Component] = set()
            for one in built:
                component = one.plan.component
                if component is not None and component not in done:
                    done.add(component)
                    found |= self._together(component, built, ports, unable or {})
                elif component is None and one.plan.target not in (unable or {}):
                    found[one.plan.target] = self._execution(one, ports).leg(0, len(one.plan.phases))
        return found

    def _together(self, component: Component, built: Iterable[Built], ports: Ports, unable: Mapping[str, str]) -> dict[str, ApplyResult]:
        inside = [one for one in built if one.plan.target in component.targets]
        running = {one.plan.target: self._execution(one, ports) for one in inside if one.plan.target not in unable}
        return together.run(component, running, unable, self._settle)

    def _settle(self, names: Iterable[str]) -> None:
        self.settled.append(tuple(names))
        self.clock.sleep(SETTLE_S)

    def _execution(self, built: Built, ports: Ports) -> Execution:
        return Execution(built.plan, self.world.adapters[built.plan.target], built.actual, ports, Options(f"run-{self.runs}"))

    @contextmanager
    def _ports(self) -> Iterator[Ports]:
        base = acting.World(self.folder, clock=self.clock)
        with base.state(f"run-{self.runs}") as state:
            for one in self.world.adapters:
                for left in state.journal.open_ops(one):
                    state.journal.settle(left.id, OpState.VOID, "looked up by the test")
            yield Ports(state.journal, state.lease, self.clock)

    @property
    def there(self) -> bool:
        """Tell whether everything is as wanted."""
        return self.tables() == dict(self.world.new)


def estate(seed: int, folder: Path) -> Estate:
    return Estate(draw(random.Random(seed)), folder)


@cache
def of_method(method: CourseMethod, most: int = 1) -> tuple[int, ...]:
    """Return seeds of worlds in which a component of several targets goes that way."""
    found: list[int] = []
    for seed in range(80):
        components = {one.plan.component for one in draw(random.Random(seed)).charted() if one.plan.component is not None}
        if any(one.method is method and len(one.targets) > 1 for one in components):
            found.append(seed)
        if len(found) == most:
            break
    return tuple(found)


METHODS = (CourseMethod.ORDER, CourseMethod.SHIELD, CourseMethod.MEET)


@pytest.mark.parametrize("method", METHODS)
def test_a_course_arrives_and_every_real_state_keeps_the_promises(method: CourseMethod, tmp_path: Path) -> None:
    for number, seed in enumerate(of_method(method, budget(1, 3, 3))):
        one = estate(seed, tmp_path / str(number))
        results = one.run()
        assert {result.status for result in results.values()} == {ApplyStatus.DONE}
        assert one.there
        assert not one.broken
        assert one.settled
        before = one.writes
        one.run()
        assert one.writes == before


@pytest.mark.parametrize("method", METHODS)
def test_a_refused_write_anywhere_stops_the_component_and_the_next_run_finishes(method: CourseMethod, tmp_path: Path) -> None:
    seed = of_method(method)[0]
    reference = estate(seed, tmp_path / "reference")
    reference.run()
    for nth in _boundaries(reference):
        one = estate(seed, tmp_path / str(nth))
        _fail(one, nth)
        results = one.run()
        statuses = [result.status for result in results.values()]
        assert statuses.count(ApplyStatus.FAILED) == 1
        assert set(statuses) <= {ApplyStatus.FAILED, ApplyStatus.WAITING, ApplyStatus.DONE}
        for result in results.values():
            if result.status is ApplyStatus.WAITING:
                assert "which ended failed" in result.message
        assert not one.broken
        one.run()
        assert not one.broken, (nth, one.broken[:3])
        assert one.there


def _boundaries(reference: Estate) -> range:
    """Return the writes at which something happens: every one of them at night."""
    step = budget(8, 1, 1)
    return range(step // 2 + 1, reference.writes + 1, step)


def _fail(one: Estate, nth: int) -> None:
    """Let the n-th write of the run, wherever it goes, be refused."""

    def counting(platform: OrderedPlatform) -> Callable[[int], None]:
        def count(number: int) -> None:
            one.writes += 1
            if one.writes == nth:
                platform.faults[number] = Fault.REFUSED

        return count

    for adapter in one.world.adapters.values():
        adapter.platform.before_write = counting(adapter.platform)


@pytest.mark.parametrize("method", METHODS)
def test_a_crash_anywhere_leaves_nothing_that_the_next_run_does_not_put_right(method: CourseMethod, tmp_path: Path) -> None:
    seed = of_method(method)[0]
    reference = estate(seed, tmp_path / "reference")
    reference.run()
    for nth in _boundaries(reference):
        one = replace(estate(seed, tmp_path / str(nth)), die_at=nth)
        with pytest.raises(CutError):
            one.run()
        assert not one.broken
        one.run()
        assert not one.broken, (nth, one.broken[:3])
        assert one.there


@pytest.mark.parametrize("method", METHODS)
def test_a_target_that_may_not_be_written_is_waited_for_and_nothing_is_exposed(method: CourseMethod, tmp_path: Path) -> None:
    seed = of_method(method)[0]
    component = next(
        found
        for one in draw(random.Random(seed)).charted()
        if (found := one.plan.component) is not None and found.method is method and len(found.targets) > 1
    )
    for number, refused in enumerate(component.targets):
        one = estate(seed, tmp_path / str(number))
        results = one.run({refused: "which was refused (G-CAP)"})
        assert refused not in results
        assert not one.broken
        last = max(at for at, stage in enumerate(component.stages) if stage.leg(refused))
        if last + 1 < len(component.stages):
            waiting = [result for result in results.values() if result.status is ApplyStatus.WAITING]
            assert waiting
            assert all(f"waits for {refused}, which was refused (G-CAP)" in result.message for result in waiting)
        again: dict[str, ApplyResult] = {}
        for _ in range(2):
            again = one.run({refused: "which was refused (G-CAP)"})
            assert not one.broken
        assert all(result.writes == 0 for result in again.values()), "it is not at rest while it waits"
        one.run()
        assert not one.broken
        assert one.there
