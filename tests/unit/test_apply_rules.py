"""What an execution may and may not do: every check before every write, and what stops it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cloudsync.adapter import Seen, Step
from cloudsync.apply import FRESH_S, ApplyResult, ApplyStatus, Options, Ports, apply, bind, recover
from cloudsync.model.errors import AdapterError, RefusedError
from cloudsync.plan.journal import OpState
from cloudsync.store.records import Hold
from cloudsync.store.sqlite import SqliteDatabase
from cloudsync.store.state import State
from cloudsync.testing.memory import Fault, MemoryAdapter
from cloudsync.testing.memory_table import MemoryTable, Rule
from tests.acting.folders import tmp_path
from tests.acting.servers import Places
from tests.acting.world import World, assert_bijection

__all__ = ["tmp_path"]


@pytest.fixture
def world(tmp_path: Path, places: Places) -> World:
    return World(tmp_path, places=places)


@contextmanager
def ports(world: World, run: str = "run-x") -> Iterator[tuple[State, Ports]]:
    with world.state(run) as state:
        yield state, Ports(state.journal, state.lease, world.clock)


def execute(world: World, options: Options | None = None) -> ApplyResult:
    with ports(world) as (_, found):
        return world.run_with(found, options or world.options)


def edit_foreign(world: World) -> None:
    """Somebody adds a rule to a group that two machines carry."""
    key = next(key for key, group in world.platform.groups.items() if group.name == "legacy")
    group = world.platform.groups[key]
    world.platform.groups[key] = replace(group, rules=group.rules | {Rule("198.51.100.0/24", "6/25-25")})


# --- before each write -----------------------------------------------------------------------------------------------


def test_a_hold_set_at_any_moment_stops_before_the_next_write(tmp_path: Path) -> None:
    reference = World(tmp_path / "reference")
    total = reference.run().done
    for number in range(1, total + 1):
        world = World(tmp_path / str(number))
        with ports(world) as (state, found):

            def hold(at: int, number: int = number, state: State = state) -> None:
                if at == number:
                    state.records.hold(Hold("mem", "ann", "incident 7", 0.0))

            world.platform.after_write = hold
            result = world.run_with(found, world.options)
        if number < total:
            assert result.status is ApplyStatus.STOPPED
            assert result.message == "on hold: incident 7 (ann)"
        assert len(world.platform.calls) == number


def test_a_request_to_stop_is_heard_before_the_next_write(world: World) -> None:
    asked: list[int] = []
    world.platform.after_write = asked.append
    result = execute(world, Options("r", stop=lambda: len(asked) >= 3))
    assert (result.status, result.message, result.writes) == (ApplyStatus.STOPPED, "asked to stop", 3)
    assert world.run().status is ApplyStatus.DONE
    assert world.converged()


def test_a_newer_writer_stops_the_older_one_before_its_next_write(world: World) -> None:
    with ports(world) as (state, found):

        def usurp(number: int) -> None:
            if number == 2:
                with state._database.transaction() as connection:
                    connection.execute("UPDATE lease SET generation = generation + 1")

        world.platform.after_write = usurp
        result = world.run_with(found, world.options)
    assert result.status is ApplyStatus.STOPPED
    assert "a newer writer took over" in result.message
    assert len(world.platform.calls) == 2


def test_a_paused_process_does_not_write_when_it_wakes(world: World) -> None:
    world.platform.after_write = lambda number: world.clock.advance(3600 if number == 2 else 0)
    result = execute(world)
    assert result.status is ApplyStatus.STOPPED
    assert "paused for 3600 s" in result.message
    assert len(world.platform.calls) == 2


def test_without_a_durable_intent_nothing_is_sent(tmp_path: Path) -> None:
    world = World(tmp_path)
    with ports(world) as (state, found):
        filler = 0
        table = world.adapter.read().table
        assert isinstance(state._database, SqliteDatabase)
        state._database.limit_pages(1)
        while not full(state, filler):
            filler += 1
        with pytest.raises(RefusedError, match="PRE-JOURNAL"):
            apply(world.plan(table), world.adapter, table, found, world.options)
        state._database.limit_pages(1 << 20)
        assert len(state.journal.ops()) == len(world.platform.calls)
    assert world.run().status is ApplyStatus.DONE
    assert_bijection(world)


def full(state: State, number: int) -> bool:
    """Fill the disk a little more; tell whether that failed."""
    try:
        state.records.keep(f"filler {number}", "x" * 200)
    except RefusedError:
        return True
    return False


def test_adoptions_are_durable_before_the_first_write(world: World) -> None:
    seen: list[int] = []
    with ports(world) as (state, found):
        world.platform.before_write = lambda _: seen.append(len(state.records.originals("mem")))
        world.run_with(found, world.options)
        originals = state.records.originals("mem")
    assert set(seen) == {3}
    assert {point.rpartition("/")[2]: len(one.original) for point, one in originals.items()} == {"web1": 1, "web2": 2, "db1": 1}
    assert all(one.inbound for one in originals.values())


def test_no_write_while_an_earlier_one_is_not_settled(world: World) -> None:
    with ports(world) as (state, found):
        world.platform.faults = {1: Fault.LATE}
        first = world.run_with(found, Options("r", call_s=0.0, visible_s=0.0))
        assert first.status is ApplyStatus.FAILED
        (void,) = state.journal.ops()
        assert void[0].state is OpState.VOID
        with state._database.transaction() as connection:
            connection.execute("UPDATE op SET state = 'unknown'")
        table = world.adapter.read().table
        result = apply(world.plan(table), world.adapter, table, found, world.options)
    assert result.status is ApplyStatus.FAILED
    assert result.message.startswith("1 earlier writes are not settled yet, first: create group cs-")
    assert result.writes == 0


# --- reality moves ---------------------------------------------------------------------------------------------------


def test_a_change_between_plan_and_apply_stops_before_the_first_write(world: World) -> None:
    table = world.adapter.read().table
    plan = world.plan(table)
    edit_foreign(world)
    with ports(world) as (_, found):
        result = apply(plan, world.adapter, table, found, world.options)
    assert result.status is ApplyStatus.MOVED
    assert "before phase create" in result.message
    assert world.platform.calls == []


@pytest.mark.parametrize("when", ["before_write", "after_write"])
def test_a_human_edit_at_any_moment_is_noticed_or_mended_and_never_lost(tmp_path: Path, when: str) -> None:
    total = World(tmp_path / "reference").run().done
    noticed = 0
    for number in range(1, total + 1):
        world = World(tmp_path / str(number))

        def edit(at: int, number: int = number, world: World = world) -> None:
            if at == number:
                edit_foreign(world)

        setattr(world.platform, when, edit)
        first = world.run()
        noticed += first.status is ApplyStatus.MOVED
        world.run()
        assert world.run().writes == 0
        assert world.converged()
        legacy = next(group for group in world.platform.groups.values() if group.name == "legacy")
        assert Rule("198.51.100.0/24", "6/25-25") in legacy.rules, "a foreign rule was touched"
    assert noticed >= total - 3


def test_a_long_phase_looks_again_and_stops_where_somebody_was_faster(world: World) -> None:
    world.platform.after_write = lambda _: world.clock.advance(FRESH_S + 1)
    world.run(replace(world.options, visible_s=1000.0))
    other = World(world.folder / "other")
    moves = [number for number, call in enumerate(world.platform.calls, 1) if json.loads(call.payload)["call"] == "attach"]

    def slow(number: int) -> None:
        other.clock.advance(FRESH_S + 1)
        if number == moves[0]:
            spot = other.platform.spots[next(key for key in other.platform.spots if key.endswith("web2"))]
            target = json.loads(world.platform.calls[moves[-1] - 1].payload)["groups"]
            other.platform.spots[spot.id] = replace(spot, groups=tuple(target))

    other.platform.after_write = slow
    result = other.run()
    assert result.status is ApplyStatus.MOVED
    assert "web2" in result.step
    assert len(other.platform.calls) == moves[0] < moves[-1]


# --- outcomes --------------------------------------------------------------------------------------------------------


def test_a_refused_write_stops_the_target_and_says_why(world: World) -> None:
    world.platform.faults = {2: Fault.REFUSED}
    result = execute(world)
    assert (result.status, result.message, result.done, result.failed) == (ApplyStatus.FAILED, "Denied: not allowed", 1, 1)
    assert len(world.platform.calls) == 2


def test_throttling_backs_off_and_each_try_is_an_op_of_its_own(world: World) -> None:
    world.platform.faults = dict.fromkeys(range(2, 5), Fault.THROTTLED)
    with ports(world) as (state, found):
        result = world.run_with(found, world.options)
        attempts = [left.op.attempt for left, _ in state.journal.ops()][1:5]
    assert result.status is ApplyStatus.DONE
    assert attempts == [1, 2, 3, 4]
    assert world.clock.slept == [1.0, 2.0, 4.0]


def test_a_throttled_write_that_shows_all_the_same_is_not_sent_again(world: World) -> None:
    world.platform.faults = {3: Fault.THROTTLED}
    world.clock.on_sleep = lambda _: world.platform._take(world.platform.calls[2].payload, "g-x")
    result = execute(world)
    assert result.status is ApplyStatus.MOVED
    assert result.message == "was refused as too fast, yet a read shows a change"
    assert len(world.platform.calls) == 3


def test_throttling_without_end_gives_up(world: World) -> None:
    world.platform.faults = dict.fromkeys(range(1, 100), Fault.THROTTLED)
    result = execute(world, Options("r", throttles=2))
    assert (result.status, result.writes, result.failed) == (ApplyStatus.FAILED, 3, 1)


def test_a_created_object_whose_answer_was_lost_is_found_and_used(world: World) -> None:
    world.platform.faults = {1: Fault.LOST_AFTER}
    result = execute(world)
    assert result.status is ApplyStatus.DONE
    assert world.converged()
    assert (result.unknown, result.done) == (0, result.writes)


def test_a_write_that_lands_late_is_not_sent_again(world: World) -> None:
    world.platform.faults = {2: Fault.LATE}
    world.clock.on_sleep = lambda _: world.platform.arrive()
    result = execute(world)
    assert result.status is ApplyStatus.DONE
    assert world.converged()
    assert len({call.payload for call in world.platform.calls}) == len(world.platform.calls)


class BlindAdapter(MemoryAdapter):
    """A platform whose reads are denied."""

    def refresh(self, table: MemoryTable, steps: Iterable[Step], bindings: Mapping[str, str]) -> MemoryTable:
        """Fail, not to be repeated."""
        del table, steps, bindings
        raise AdapterError("mem", "refresh", "denied")


def test_reads_that_fail_for_good_end_the_target_as_failed(world: World) -> None:
    table = world.adapter.read().table
    blind = BlindAdapter(world.platform)
    with ports(world) as (_, found):
        result = apply(world.plan(table), blind, table, found, world.options)
    assert (result.status, result.message, result.writes) == (ApplyStatus.FAILED, "mem: refresh failed: denied", 0)


def test_a_read_that_fails_for_a_moment_is_repeated(world: World) -> None:
    world.platform.after_write = lambda _: world.platform.broken.update({"mem/one": "busy"})
    world.clock.on_sleep = lambda _: world.platform.broken.clear()
    assert execute(world).status is ApplyStatus.DONE


def test_an_exception_out_of_a_write_is_unknown_in_the_journal_and_raised(world: World) -> None:
    def explode(number: int) -> None:
        if number == 3:
            raise ZeroDivisionError

    world.platform.after_write = explode
    with pytest.raises(ZeroDivisionError):
        world.run()
    assert [(op.state, op.op.number) for op in world.ops()][-1] == (OpState.UNKNOWN, 3)
    world.platform.after_write = lambda _: None
    assert world.run().status is ApplyStatus.DONE
    assert world.converged()


# --- recovery --------------------------------------------------------------------------------------------------------


def test_recovery_waits_until_no_call_can_be_under_way(world: World) -> None:
    def die(number: int) -> None:
        if number == 2:
            raise KeyboardInterrupt

    world.platform.before_write = die
    with pytest.raises(KeyboardInterrupt):
        world.run()
    world.platform.before_write = lambda _: None
    world.clock.advance(5.0)
    with ports(world) as (state, found):
        recovered = recover("mem", world.adapter, world.adapter.read().table, found)
        assert (recovered.done, recovered.void, recovered.waited) == (0, 1, True)
        assert state.journal.open_ops("mem") == ()
    assert world.clock.slept == [15.0]


@pytest.mark.parametrize(("jump", "waits"), [(-86400.0, [20.0]), (86400.0, [])])
def test_recovery_survives_a_clock_that_was_set(world: World, jump: float, waits: list[float]) -> None:
    def die(number: int) -> None:
        if number == 2:
            raise KeyboardInterrupt

    world.platform.before_write = die
    with pytest.raises(KeyboardInterrupt):
        world.run()
    world.clock.jump(jump)
    with ports(world) as (_, found):
        recover("mem", world.adapter, world.adapter.read().table, found)
    assert world.clock.slept == waits


def test_progress_counts_every_step_once(world: World) -> None:
    told: list[tuple[int, int]] = []
    result = execute(world, Options("r", progress=lambda _what, done, of: told.append((done, of))))
    assert told == [(number, result.done) for number in range(1, result.done + 1)]


def test_an_empty_plan_reads_and_writes_nothing(world: World) -> None:
    world.run()
    table = world.adapter.read().table
    reads = world.platform.reads
    with ports(world) as (_, found):
        result = apply(world.plan(table), world.adapter, table, found, world.options)
    assert (result.status, result.reads, world.platform.reads) == (ApplyStatus.DONE, 0, reads)


def test_ids_are_put_into_payloads_by_key() -> None:
    adapter = MemoryAdapter(World(Path()).platform)
    phases = World(Path()).plan().phases
    step = next(step for phase in phases for step in phase.steps if "{new:mem/one/cs-web}" in step.payload)
    bound = bind(step, {"mem/one/cs-web": "g-9"})
    assert "{new:" not in bound.payload
    assert bound.object == step.object
    assert adapter.seen(adapter.read().table, bound, {}) is Seen.NO
    assert bind(step, {}) is step
