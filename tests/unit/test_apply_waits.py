"""What an execution waits for, how long, how often it looks, and in which words it stops."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from cloudsync.adapter import Effect, Outcome, Seen, Status, Step
from cloudsync.apply import FRESH_S, ApplyResult, ApplyStatus, Execution, Options, apply, recover
from cloudsync.model.errors import AdapterError
from cloudsync.model.workload import PointId
from cloudsync.plan.document import target_digest
from cloudsync.plan.journal import Op, OpState, Writer
from cloudsync.plan.values import Adoption, TargetPlan
from cloudsync.testing.clock import START
from cloudsync.testing.memory_table import MemoryTable
from tests.acting.script import ScriptAdapter, Stage, plan_of, step, table_of

RUN = Options("run-1", visible_s=30.0, call_s=20.0)
LOST = Outcome(Status.UNKNOWN, "Timeout", "no answer")
FAST = Outcome(Status.FAILED, "Slow", "down", throttled=True)
GRADUAL = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0]


def run(stage: Stage, plan: TargetPlan, options: Options = RUN) -> ApplyResult:
    return apply(plan, stage.adapter, stage.table, stage.ports, options)


def test_patience_is_ample_unless_the_adapter_says_otherwise() -> None:
    assert Options("r") == Options("r", settle_s=0.0, visible_s=120.0, call_s=60.0, throttles=4)
    assert not Options("r").stop()
    assert FRESH_S == 20.0


def test_how_an_execution_ended_is_said_in_these_words() -> None:
    assert [one.value for one in ApplyStatus] == ["done", "stopped", "failed", "moved", "waiting"]


def test_a_whole_plan_counts_what_it_did() -> None:
    stage, told = Stage(), list[tuple[str, int, int]]()
    plan = plan_of([step("a"), step("b")], [], [step("c")])
    result = run(stage, plan, Options("run-1", progress=lambda name, done, of: told.append((name, done, of))))
    assert result == ApplyResult(ApplyStatus.DONE, done=3, reads=3, writes=3, phases=2)
    assert told == [("phase 1", 1, 3), ("phase 1", 2, 3), ("phase 3", 3, 3)]
    assert [one.key for one in stage.adapter.written] == ["a", "b", "c"]
    assert (stage.clock.slept, stage.journal.adopted) == ([], [])


def test_each_op_says_where_in_the_plan_it_stands_and_until_when_it_may_land() -> None:
    stage = Stage()
    plan = plan_of([step("a"), step("b")])
    run(stage, plan)
    digest = target_digest(plan)
    assert [one.op for one in stage.journal.ops] == [
        Op("run-1", 5, "mem", digest, number, 1, step(name), START, START + 20.0) for number, name in ((1, "a"), (2, "b"))
    ]
    assert stage.journal.words == [(1, OpState.DONE, ""), (2, OpState.DONE, "")]


# --- settle time -----------------------------------------------------------------------------------------------------

WAITS = {
    (Effect.NONE, Effect.SHRINKS),
    (Effect.NONE, Effect.SWAPS),
    (Effect.GROWS, Effect.SHRINKS),
    (Effect.GROWS, Effect.SWAPS),
    (Effect.SHRINKS, Effect.GROWS),
    (Effect.SHRINKS, Effect.SWAPS),
    (Effect.SWAPS, Effect.GROWS),
    (Effect.SWAPS, Effect.SHRINKS),
    (Effect.SWAPS, Effect.SWAPS),
}


@pytest.mark.parametrize("first", Effect)
@pytest.mark.parametrize("second", Effect)
def test_the_data_plane_gets_its_time_between_two_phases_whose_order_matters(first: Effect, second: Effect) -> None:
    stage = Stage()
    plan = plan_of([step("a", first)], [step("b", second)])
    assert run(stage, plan, Options("run-1", settle_s=7.0)).status is ApplyStatus.DONE
    assert stage.clock.slept == ([7.0] if (first, second) in WAITS else [])
    at_once = Stage()
    assert run(at_once, plan).status is ApplyStatus.DONE
    relies = second in (Effect.SHRINKS, Effect.SWAPS) and first is not Effect.SHRINKS
    assert (at_once.clock.slept, len(at_once.adapter.reads)) == ([], 4 if relies else 3)


def test_what_settled_is_not_waited_for_again_and_what_did_not_is_not_forgotten() -> None:
    stage = Stage()
    grows, swaps, shrinks = (step(name, effect) for name, effect in (("a", Effect.GROWS), ("b", Effect.GROWS), ("c", Effect.SHRINKS)))
    run(stage, plan_of([grows], [swaps], [step("n", Effect.NONE)], [shrinks], [step("d", Effect.SHRINKS)]), Options("r", settle_s=7.0))
    assert stage.clock.slept == [7.0]


def test_after_waiting_reality_is_looked_at_again() -> None:
    stage = Stage()
    stage.clock.on_sleep = lambda _: stage.adapter.world.add("somebody")
    result = run(stage, plan_of([step("a")], [step("b", Effect.SHRINKS)]), Options("r", settle_s=7.0, visible_s=0.0))
    assert (result.status, result.phases, result.writes) == (ApplyStatus.MOVED, 1, 1)
    assert result.message == "reality moved before phase phase 2: somebody changed what the plan was made for"
    assert result.step == ""


# --- looking ---------------------------------------------------------------------------------------------------------


def test_one_read_confirms_a_phase_and_prepares_the_next() -> None:
    stage = Stage()
    run(stage, plan_of([step("a")], [step("b")], [step("c")]))
    assert stage.adapter.reads == [("a",), ("a", "b"), ("b", "c"), ("c",)]


def test_after_a_creation_the_next_phase_is_read_by_itself_with_the_new_ids() -> None:
    stage = Stage()
    stage.adapter.outcomes = {1: Outcome(Status.DONE, created=(("o-new", "sg-7"),))}
    stage.adapter.world.add("new")  # created objects are found by `seen` alone
    result = run(stage, plan_of([step("new", mark="")], [step("b", payload='{"in":"{new:o-new}"}')]))
    assert result.status is ApplyStatus.DONE
    assert stage.adapter.reads == [("new",), ("new",), ("b",), ("b",)]
    assert stage.adapter.written[1].payload == '{"in":"sg-7"}'


def test_of_a_phase_that_creates_beside_other_steps_only_the_steps_themselves_are_looked_for() -> None:
    stage = Stage()
    stage.adapter.after_write = lambda _: stage.adapter.world.add("its-id-is-the-platforms")
    result = run(stage, plan_of([step("new", mark=""), step("b")], [step("c")]))
    assert result.status is ApplyStatus.DONE
    assert stage.adapter.reads == [("new", "b"), ("new", "b"), ("c",), ("c",)]


def test_before_the_first_phase_a_difference_stops_at_once_and_later_it_gets_time_to_vanish() -> None:
    stage = Stage()
    plan = plan_of([step("a")])
    result = apply(plan, stage.adapter, table_of(["other"]), stage.ports, RUN)
    assert result.message == "reality moved before phase phase 1: somebody changed what the plan was made for"
    assert (result.status, result.reads, result.writes, stage.clock.slept) == (ApplyStatus.MOVED, 1, 0, [])
    stage = Stage()
    lag = [True, True, False]  # a read that lags behind: it differs when settled, then once more, then no longer

    def show(_: float) -> None:
        (stage.adapter.world.add if lag.pop(0) else stage.adapter.world.discard)("lag")

    stage.clock.on_sleep = show
    result = run(stage, plan_of([step("a")], [step("b", Effect.SHRINKS)]), Options("r", settle_s=7.0, visible_s=30.0))
    assert (result.status, stage.clock.slept) == (ApplyStatus.DONE, [7.0, 0.25, 0.5])


def test_waits_grow_from_a_quarter_of_a_second_to_eight_and_end_in_time() -> None:
    stage = Stage()
    stage.adapter.forced["a"] = Seen.NO
    result = run(stage, plan_of([step("b"), step("a")]))
    assert stage.clock.slept == [*GRADUAL, 8.0]
    assert result == ApplyResult(ApplyStatus.FAILED, "a read does not show it after 30 s", "do a", done=2, writes=2, reads=9, phases=0)


def test_an_object_in_a_third_state_is_somebody_elses_work() -> None:
    stage = Stage()
    stage.adapter.forced["a"] = Seen.OTHER
    result = run(stage, plan_of([step("b"), step("a")]), Options("r", visible_s=0.0))
    assert (result.status, result.step) == (ApplyStatus.MOVED, "do a")
    assert result.message == "a read shows neither the state before nor after it"
    alone = Stage()
    alone.adapter.forced["a"] = Seen.OTHER
    assert run(alone, plan_of([step("a")]), Options("r", visible_s=0.0)).step == "do a"


def test_what_changed_beside_the_steps_of_a_phase_stops_behind_it() -> None:
    stage = Stage()
    stage.adapter.after_write = lambda _: stage.adapter.world.add("somebody")
    result = run(stage, plan_of([step("a")], [step("b")]))
    assert (result.status, result.writes, result.phases) == (ApplyStatus.MOVED, 1, 0)
    assert result.message == "reality moved during phase phase 1: somebody changed the same objects"


@pytest.mark.parametrize(("pause", "looks"), [(10.0, []), (20.0, [("c",)]), (20.1, [("b", "c"), ("c",)])])
def test_a_long_phase_looks_again_at_what_is_still_to_do(pause: float, looks: list[tuple[str, ...]]) -> None:
    stage = Stage()
    stage.clock.advance(1000.0)
    stage.adapter.after_write = lambda _: stage.clock.advance(pause)
    result = run(stage, plan_of([step("a"), step("b"), step("c")]))
    assert result.status is ApplyStatus.DONE
    assert stage.adapter.reads[1:-1] == looks


def test_a_step_that_somebody_did_meanwhile_is_not_sent() -> None:
    stage = Stage()

    def slow(_: int) -> None:
        stage.clock.advance(FRESH_S + 1)
        stage.adapter.world.add("c")

    stage.adapter.after_write = slow
    result = run(stage, plan_of([step("a"), step("b"), step("c")]))
    assert (result.status, result.writes, result.step) == (ApplyStatus.MOVED, 1, "do c")
    assert result.message == "reality moved: somebody changed what is to be written"


def test_a_creation_to_come_has_no_state_to_compare() -> None:
    stage = Stage()
    stage.adapter.after_write = lambda _: stage.clock.advance(FRESH_S + 1)
    stage.adapter.forced["new"] = Seen.YES
    assert run(stage, plan_of([step("a"), step("new", mark="")])).writes == 2


# --- outcomes --------------------------------------------------------------------------------------------------------


def test_an_unanswered_write_that_a_read_shows_is_done() -> None:
    stage = Stage()
    stage.adapter.outcomes = {1: LOST}
    stage.clock.on_sleep = lambda _: stage.adapter.world.add("a")
    result = run(stage, plan_of([step("a")]))
    assert result == ApplyResult(ApplyStatus.DONE, done=1, reads=4, writes=1, phases=1)
    assert stage.journal.words == [(1, OpState.UNKNOWN, "Timeout no answer"), (1, OpState.DONE, "a read shows it")]


@pytest.mark.parametrize("told", [(("o-new", "sg-7"),), ()])
def test_an_unanswered_creation_is_bound_to_what_was_made(told: tuple[tuple[str, str], ...]) -> None:
    stage = Stage()
    stage.adapter.outcomes = {1: Outcome(Status.UNKNOWN, created=told)}
    stage.adapter.made = (("o-new", "sg-8"),)
    stage.adapter.forced["new"] = Seen.YES
    assert run(stage, plan_of([step("new", mark="")], [step("b", payload="{new:o-new}")])).status is ApplyStatus.DONE
    assert stage.adapter.written[1].payload == ("sg-7" if told else "sg-8")


def test_an_unanswered_write_that_no_read_shows_in_its_time_is_void_and_left_to_the_next_run() -> None:
    stage = Stage()
    stage.adapter.outcomes = {1: LOST}
    result = run(stage, plan_of([step("a"), step("b")]))
    assert result == ApplyResult(
        ApplyStatus.FAILED, "outcome unknown (Timeout no answer); it was not applied", "do a", unknown=1, reads=8, writes=1
    )
    assert stage.clock.slept == [*GRADUAL[:5], 8.0]
    assert stage.journal.words == [
        (1, OpState.UNKNOWN, "Timeout no answer"),
        (1, OpState.VOID, "a read after the deadline does not show it"),
    ]


def test_an_unanswered_write_to_an_object_in_a_third_state_stays_open() -> None:
    stage = Stage()
    stage.adapter.outcomes = {1: LOST}
    stage.adapter.forced["a"] = Seen.OTHER
    result = run(stage, plan_of([step("a")]))
    assert (result.status, result.step, result.unknown) == (ApplyStatus.MOVED, "do a", 1)
    assert result.message == "outcome unknown (Timeout no answer) and the object is in neither state"
    assert stage.journal.words == [(1, OpState.UNKNOWN, "Timeout no answer")]


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [("Denied", "no", "Denied: no"), ("", "no", "no"), ("Denied", "", "Denied"), ("Denied", "why?", "Denied: why?")],
)
def test_a_refused_write_ends_the_target_in_the_platforms_words(code: str, reason: str, words: str) -> None:
    stage = Stage()
    stage.adapter.outcomes = {2: Outcome(Status.FAILED, code, reason)}
    result = run(stage, plan_of([step("a"), step("b"), step("c")]))
    assert result == ApplyResult(ApplyStatus.FAILED, words, "do b", done=1, failed=1, writes=2, reads=1)
    assert stage.journal.words[-1] == (2, OpState.FAILED, f"{code} {reason}".strip())


def test_a_throttled_write_backs_off_to_half_a_minute_and_gives_up_after_its_tries() -> None:
    stage = Stage()
    stage.adapter.outcomes = dict.fromkeys(range(1, 20), FAST)
    result = run(stage, plan_of([step("a")]), Options("r", throttles=7))
    assert stage.clock.slept == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 32.0]
    assert result == ApplyResult(ApplyStatus.FAILED, "Slow: down", "do a", failed=1, writes=8, reads=8)
    assert [one.op.attempt for one in stage.journal.ops] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert {one.op.number for one in stage.journal.ops} == {1}


def test_a_throttled_write_that_shows_all_the_same_is_somebody_elses_work() -> None:
    stage = Stage()
    stage.adapter.outcomes = {1: FAST}
    stage.clock.on_sleep = lambda _: stage.adapter.world.add("a")
    result = run(stage, plan_of([step("a")]))
    assert (result.status, result.step, result.writes) == (ApplyStatus.MOVED, "do a", 1)
    assert result.message == "was refused as too fast, yet a read shows a change"


def test_an_interrupt_is_recorded_before_it_goes_on() -> None:
    stage = Stage()

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    stage.adapter.after_write = interrupt
    with pytest.raises(KeyboardInterrupt):
        run(stage, plan_of([step("a")]))
    assert stage.journal.words == [(1, OpState.UNKNOWN, "interrupted by KeyboardInterrupt")]
    execution = Execution(plan_of([step("b")]), stage.adapter, stage.table, Stage().ports, RUN)
    with pytest.raises(KeyboardInterrupt):
        execution.leg(0, 1)
    assert execution.waits("interrupted") == ApplyResult(ApplyStatus.WAITING, "interrupted", unknown=1, reads=1)


# --- reads that fail -------------------------------------------------------------------------------------------------


def test_a_read_that_fails_for_good_ends_the_target_at_once() -> None:
    stage = Stage()
    stage.adapter.after_write = lambda _: stage.adapter.trouble.append(AdapterError("mem", "list", "denied"))
    result = run(stage, plan_of([step("a")]))
    assert result == ApplyResult(ApplyStatus.FAILED, "mem: list failed: denied", done=1, reads=2, writes=1)
    assert stage.clock.slept == []


def test_a_second_look_that_fails_ends_the_target() -> None:
    stage = Stage()

    def slow(_: int) -> None:
        stage.clock.advance(FRESH_S + 1)
        stage.adapter.trouble.append(AdapterError("mem", "list", "busy", retryable=True))

    stage.adapter.after_write = slow
    result = run(stage, plan_of([step("a"), step("b")]))
    assert result == ApplyResult(ApplyStatus.FAILED, "mem: list failed: busy", done=1, reads=2, writes=1)


def test_a_read_that_fails_for_a_moment_is_repeated_as_long_as_there_is_time() -> None:
    stage, busy = Stage(), AdapterError("mem", "list", "busy", retryable=True)
    stage.adapter.after_write = lambda _: stage.adapter.trouble.extend([busy] * 3)
    assert run(stage, plan_of([step("a")])).status is ApplyStatus.DONE
    assert stage.clock.slept == GRADUAL[:3]
    stage = Stage()
    stage.adapter.after_write = lambda _: stage.adapter.trouble.extend([busy] * 99)
    result = run(stage, plan_of([step("a")]), Options("r", visible_s=0.75))
    assert (result.status, result.message) == (ApplyStatus.FAILED, "mem: list failed: busy")
    assert stage.clock.slept == [0.25, 0.5]


# --- what forbids a write --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reason", "words"), [("the lock is gone", "no longer the writer: the lock is gone"), ("", "asked to stop")])
def test_whoever_lost_the_right_to_write_stops_while_waiting_too(reason: str, words: str) -> None:
    stage, asked = Stage(), list[bool]()
    stage.adapter.forced["a"] = Seen.NO

    def lose(_: float) -> None:
        stage.lease.reason = reason
        asked.append(True)

    stage.clock.on_sleep = lose
    result = run(stage, plan_of([step("a")]), Options("r", visible_s=30.0, stop=lambda: bool(asked)))
    assert (result.status, result.message, stage.clock.slept) == (ApplyStatus.STOPPED, words, [0.25])


@pytest.mark.parametrize("forbidding", ["lease", "hold", "stop"])
def test_what_forbids_a_write_is_asked_before_each_one_and_names_the_step(forbidding: str) -> None:
    stage, asked = Stage(), list[bool]()

    def forbid(_: int) -> None:
        stage.lease.reason = "the lock is gone" if forbidding == "lease" else ""
        stage.journal.hold = "incident (ann)" if forbidding == "hold" else ""
        asked.extend([True] if forbidding == "stop" else [])

    stage.adapter.after_write = forbid
    result = run(stage, plan_of([step("a"), step("b")]), Options("r", stop=lambda: bool(asked)))
    words = {"lease": "no longer the writer: the lock is gone", "hold": "on hold: incident (ann)", "stop": "asked to stop"}
    assert result == ApplyResult(ApplyStatus.STOPPED, words[forbidding], "do b", done=1, writes=1, reads=1)
    assert len(stage.journal.ops) == 1, "no intent either"


def test_nothing_is_written_while_an_earlier_op_is_open() -> None:
    stage = Stage()
    stage.journal.intend(Op("run-0", 4, "mem", "d", 1, 1, step("old"), 0.0, 1.0))
    stage.journal.intend(Op("run-0", 4, "mem", "d", 2, 1, step("older"), 0.0, 1.0))
    result = run(stage, plan_of([step("a")], adoptions=(Adoption(PointId("p"), ()),)))
    assert result == ApplyResult(ApplyStatus.FAILED, "2 earlier writes are not settled yet, first: do old")
    assert stage.journal.adopted == []


def test_adoptions_are_recorded_once_by_whoever_may_write() -> None:
    adoptions = (Adoption(PointId("p"), ("sg-1",)),)
    stage = Stage()
    assert run(stage, plan_of([step("a")], adoptions=adoptions)).status is ApplyStatus.DONE
    assert stage.journal.adopted == [("mem", adoptions, Writer("run-1", 5, START))]
    held = Stage()
    held.journal.hold = "incident (ann)"
    result = run(held, plan_of([step("a")], adoptions=adoptions))
    assert (result.status, result.step, held.journal.adopted) == (ApplyStatus.STOPPED, "", [])
    empty = Stage()
    assert run(empty, plan_of(adoptions=adoptions)) == ApplyResult(ApplyStatus.DONE)
    assert empty.journal.adopted == []


# --- legs ------------------------------------------------------------------------------------------------------------


def test_a_plan_in_legs_does_what_it_does_in_one_go_and_adopts_once() -> None:
    stage = Stage()
    plan = plan_of([step("a")], [step("b")], [step("c")], adoptions=(Adoption(PointId("p"), ()),))
    execution = Execution(plan, stage.adapter, stage.table, stage.ports, RUN)
    first, second = execution.leg(0, 1), execution.leg(1, 3)
    assert (first.done, first.phases, second.done, second.phases) == (1, 1, 3, 3)
    assert second.status is ApplyStatus.DONE
    assert len(stage.journal.adopted) == 1
    assert execution.waits("gcp has to come first") == ApplyResult(
        ApplyStatus.WAITING, "gcp has to come first", done=3, reads=second.reads, writes=3, phases=3
    )


def test_after_a_rest_a_leg_looks_before_it_writes_and_waits_for_nothing_that_settled() -> None:
    stage = Stage()
    plan = plan_of([step("a")], [step("b", Effect.SHRINKS)])
    execution = Execution(plan, stage.adapter, stage.table, stage.ports, Options("r", settle_s=7.0))
    execution.leg(0, 1)
    execution.rested()
    looked = len(stage.adapter.reads)
    assert execution.leg(1, 2).status is ApplyStatus.DONE
    assert stage.clock.slept == []
    assert stage.adapter.reads[looked:] == [("b",), ("a",), ("b",)]


@pytest.mark.parametrize(("taking", "stops"), [(Effect.SHRINKS, True), (Effect.SWAPS, True), (Effect.GROWS, False), (Effect.NONE, False)])
def test_before_something_is_taken_away_what_was_put_in_its_place_has_to_stand(taking: Effect, *, stops: bool) -> None:
    stage = Stage()
    execution = Execution(plan_of([step("a")], [step("b", taking)]), stage.adapter, stage.table, stage.ports, RUN)
    execution.leg(0, 1)
    stage.adapter.forced["a"] = Seen.NO
    result = execution.leg(1, 2)
    assert result.status is (ApplyStatus.MOVED if stops else ApplyStatus.DONE)
    assert result.writes == (1 if stops else 2)
    assert bool(stage.clock.slept) is stops, "a read that lags behind gets its time"
    if stops:
        assert result.message == "reality moved before phase phase 2: somebody changed what this run has written"


def test_one_step_that_takes_is_enough_to_ask_and_one_that_is_gone_to_stop() -> None:
    stage = Stage()
    plan = plan_of([step("a"), step("d")], [step("b", Effect.SHRINKS), step("c")])
    execution = Execution(plan, stage.adapter, stage.table, stage.ports, RUN)
    execution.leg(0, 1)
    stage.adapter.forced["a"] = Seen.NO
    result = execution.leg(1, 2)
    assert (result.status, result.writes) == (ApplyStatus.MOVED, 2)


def test_what_stood_is_asked_for_once_and_what_was_taken_away_never() -> None:
    stage = Stage()
    first, second, third = (step(name, Effect.SHRINKS) for name in "bcd")
    run(stage, plan_of([step("a")], [first], [second], [step("e")], [third]))
    assert stage.adapter.reads == [("a",), ("a", "b"), ("a",), ("b", "c"), ("c", "e"), ("e", "d"), ("e",), ("d",)]


def test_a_leg_without_steps_touches_nothing() -> None:
    stage = Stage()
    plan = plan_of([], [step("b")])
    execution = Execution(plan, stage.adapter, stage.table, stage.ports, RUN)
    assert execution.leg(0, 1) == ApplyResult(ApplyStatus.DONE)
    assert stage.adapter.reads == []


# --- after a crash ---------------------------------------------------------------------------------------------------


def interrupted(stage: Stage, *names: str, deadline: float = START + 10.0) -> list[Step]:
    steps = [step(name) for name in names]
    for number, one in enumerate(steps, 1):
        stage.journal.intend(Op("run-0", 4, "mem", "d", number, 1, one, deadline - 20.0, deadline))
    return steps


def test_an_op_that_a_read_shows_is_done_without_waiting() -> None:
    stage = Stage()
    interrupted(stage, "a")
    stage.adapter.world.add("a")
    found = recover("mem", stage.adapter, stage.table, stage.ports)
    assert (found.done, found.void, found.waited, stage.clock.slept) == (1, 0, False, [])
    assert stage.journal.words == [(1, OpState.DONE, "found applied after an interruption")]


class Saving(ScriptAdapter):
    """A platform on which no read shows whether something was saved: once asked, it takes it to be so."""

    def unshown(self, one: Step) -> bool:
        return one.key == "save"

    def seen(self, table: MemoryTable, step: Step, bindings: Mapping[str, str]) -> Seen:
        return Seen.YES if step.key == "save" else super().seen(table, step, bindings)


def test_an_op_that_no_read_can_ever_show_is_not_called_done() -> None:
    stage = Stage(adapter=Saving())
    interrupted(stage, "save", "a")
    stage.adapter.world.add("a")
    found = recover("mem", stage.adapter, stage.table, stage.ports)
    assert (found.done, found.void, found.waited) == (1, 1, True)
    assert stage.journal.words == [
        (1, OpState.VOID, "no read can show whether it was applied"),
        (2, OpState.DONE, "found applied after an interruption"),
    ]


def test_an_op_that_no_read_shows_is_void_only_after_its_deadline() -> None:
    stage = Stage()
    interrupted(stage, "a", "b", "c")
    stage.clock.on_sleep = lambda _: stage.adapter.world.add("a")
    stage.adapter.forced["c"] = Seen.OTHER
    found = recover("mem", stage.adapter, stage.table, stage.ports)
    assert (found.done, found.void, found.waited) == (1, 2, True)
    assert stage.clock.slept == [10.0]
    assert stage.adapter.reads == [("a",)]
    assert stage.journal.words == [
        (1, OpState.DONE, "found applied after an interruption"),
        (2, OpState.VOID, "found not applied after an interruption"),
        (3, OpState.VOID, "the object is in another state now"),
    ]


def test_a_moment_before_the_deadline_is_waited_for() -> None:
    stage = Stage()
    interrupted(stage, "a", deadline=START + 0.5)
    assert recover("mem", stage.adapter, stage.table, stage.ports).waited
    assert (stage.clock.slept, stage.adapter.reads) == ([0.5], [("a",)])


def test_at_the_deadline_nothing_is_waited_for() -> None:
    stage = Stage()
    interrupted(stage, "a", deadline=START)
    found = recover("mem", stage.adapter, stage.table, stage.ports)
    assert (found.void, found.waited, stage.adapter.reads) == (1, False, [])
    assert recover("mem", stage.adapter, stage.table, stage.ports) == type(found)()


def test_a_clock_that_was_set_back_keeps_nobody_longer_than_a_call_lives() -> None:
    stage = Stage()
    interrupted(stage, "a", deadline=START + 10_000.0)
    assert recover("mem", stage.adapter, stage.table, stage.ports).void == 1
    assert stage.clock.slept == [20.0]
