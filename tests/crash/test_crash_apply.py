"""Whatever cuts a run, wherever: the next clean run arrives, nothing was exposed or cut on the way, and the journal matches the wire."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from cloudsync.adapter import Method
from cloudsync.apply import ApplyStatus, Options, Ports
from cloudsync.model.packets import PacketSet
from cloudsync.model.workload import PointId
from cloudsync.testing.memory import Fault
from tests.acting.servers import Places, share
from tests.acting.world import DyingJournal, Killed, World, assert_bijection

METHODS = (Method.SWAP, Method.JOIN)


def watch(world: World) -> list[dict[PointId, PacketSet]]:
    """Collect the true state after every write."""
    states = [world.access()]
    world.platform.after_write = lambda _number: states.append(world.access())
    return states


def assert_between(states: list[dict[PointId, PacketSet]], new: dict[PointId, PacketSet]) -> None:
    """Every state lies between what old and new share and what either allows, at every point."""
    old = states[0]
    for number, state in enumerate(states):
        for point, packets in state.items():
            assert packets <= old[point] | new[point], f"write {number} exposes {point}"
            assert old[point] & new[point] <= packets, f"write {number} cuts {point}"


def clean(folder: Path, method: Method, places: Places) -> tuple[World, int]:
    """Return a world brought in order by one clean run, and how many writes that took."""
    world = World(folder, places=places, method=method)
    result = world.run()
    assert result.status is ApplyStatus.DONE, result
    assert world.converged()
    return world, len(world.platform.calls)


@pytest.mark.parametrize("method", METHODS)
def test_a_clean_run_arrives_and_the_second_writes_nothing(tmp_path: Path, places: Places, method: Method) -> None:
    world = World(tmp_path, method=method, places=places)
    states = watch(world)
    assert world.run().status is ApplyStatus.DONE
    assert world.converged()
    assert_between(states, world.access())
    written = len(world.platform.calls)
    assert world.run().writes == 0
    assert len(world.platform.calls) == written
    assert_bijection(world)
    assert world.audit() > 2 * written


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fault", list(Fault))
def test_every_fault_at_every_write_is_mended_by_the_next_run(tmp_path: Path, places: Places, method: Method, fault: Fault) -> None:
    reference, writes = clean(tmp_path / "clean", method, places)
    for number in range(1, writes + 1):
        world = World(tmp_path / str(number), method=method, places=places)
        world.platform.faults = {number: fault}
        states = watch(world)
        first = world.run()
        assert (first.status is ApplyStatus.DONE) == (fault in (Fault.THROTTLED, Fault.LOST_AFTER)), first
        world.platform.arrive()
        world.run()
        last = world.run()
        assert last.status is ApplyStatus.DONE, (number, last)
        assert last.writes == 0
        assert world.converged(), number
        assert_between(states, reference.access())
        if fault is not Fault.LATE:
            assert_bijection(world)
        world.audit()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("after", [False, True])
def test_a_process_that_dies_at_any_journal_effect_is_recovered(tmp_path: Path, places: Places, method: Method, *, after: bool) -> None:
    reference, _ = clean(tmp_path / "clean", method, places)
    for at in range(1, 100):
        world = World(tmp_path / f"{at}", method=method, places=places)
        states = watch(world)
        died = False
        with world.state("dying") as state, contextlib.suppress(Killed):
            journal = DyingJournal(state.journal, at, after=after)
            died = True
            world.run_with(Ports(journal, state.lease, world.clock), world.options)
            died = False
        if not died:
            break
        assert world.run().status is ApplyStatus.DONE
        assert world.converged(), at
        assert_between(states, reference.access())
        assert_bijection(world)
    else:
        pytest.fail("the run never got through")
    assert at > 10


@pytest.mark.parametrize("after", [False, True])
def test_an_interrupt_inside_a_write_is_recorded_and_raised(tmp_path: Path, places: Places, *, after: bool) -> None:
    _, writes = clean(tmp_path / "clean", Method.SWAP, places)

    def interrupt(number: int) -> None:
        if number == bad:
            raise KeyboardInterrupt

    for bad in range(1, writes + 1):
        world = World(tmp_path / str(bad), places=places)
        if after:
            world.platform.after_write = interrupt
        else:
            world.platform.before_write = interrupt
        with pytest.raises(KeyboardInterrupt):
            world.run()
        assert [op.state.value for op in world.ops()][-1] == "unknown"
        world.platform.before_write = world.platform.after_write = lambda _number: None
        assert world.run().status is ApplyStatus.DONE
        assert world.converged()


def test_two_faults_in_one_run_are_mended_too(tmp_path: Path, places: Places) -> None:
    _, writes = clean(tmp_path / "clean", Method.SWAP, places)
    kinds = (Fault.LOST_AFTER, Fault.LOST_BEFORE, Fault.THROTTLED)
    case = 0
    for first in range(1, writes):
        for second in range(first + 1, writes + 1):
            case += 1
            if case % share(places, 5):
                continue
            world = World(tmp_path / f"{first}-{second}", places=places)
            world.platform.faults = {first: kinds[case % 3], second: kinds[(case // 3) % 3]}
            for _ in range(3):
                world.run()
            last = world.run()
            assert last.status is ApplyStatus.DONE
            assert last.writes == 0
            assert world.converged()
            assert_bijection(world)


@pytest.mark.parametrize("lag", [1, 3, 7])
def test_reads_that_lag_are_waited_for_and_nothing_is_sent_twice(tmp_path: Path, places: Places, lag: int) -> None:
    world = World(tmp_path, method=Method.JOIN, places=places)
    world.platform.lag = lag
    result = world.run()
    assert result.status is ApplyStatus.DONE, result
    assert world.converged()
    payloads = [call.payload for call in world.platform.calls]
    assert len(payloads) == len(set(payloads)) == result.done


def test_a_read_that_never_shows_a_write_stops_the_target(tmp_path: Path, places: Places) -> None:
    world = World(tmp_path, places=places)
    world.platform.lag = 10_000
    result = world.run()
    assert result.status is ApplyStatus.FAILED
    assert result.phases == 0
    assert "does not show it after 30 s" in result.message
    assert sum(world.clock.slept) <= 30


@pytest.mark.parametrize(("method", "before"), [(Method.SWAP, ["attach", "revoke"]), (Method.JOIN, ["detach"])])
def test_settle_time_is_waited_only_where_order_matters_to_the_data_plane(
    tmp_path: Path, places: Places, method: Method, before: list[str]
) -> None:
    world = World(tmp_path, method=method, places=places)
    written: list[int] = []
    world.clock.on_sleep = lambda _: written.append(len(world.platform.calls))
    world.run(Options("r", settle_s=2.0))
    assert world.clock.slept == [2.0] * len(before)
    calls = [json.loads(call.payload) for call in world.platform.calls]
    attaches = [number for number, call in enumerate(calls) if call["call"] == "attach"]
    first = {
        "attach": attaches[0],
        "detach": attaches[len(attaches) // 2],
        "revoke": next(number for number, call in enumerate(calls) if call["call"] == "revoke"),
    }
    assert written == [first[name] for name in before]
    assert world.converged()
