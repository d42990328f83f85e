"""What the journal, the audit trail and the lease write down: every field, in the words that an operator will read later."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from socket import gethostname

import pytest

from cloudsync.adapter import Effect, Step
from cloudsync.model.errors import BusyError, RefusedError
from cloudsync.model.workload import PointId
from cloudsync.plan.journal import Op, OpState, Writer
from cloudsync.plan.values import Adoption
from cloudsync.store import audit
from cloudsync.store.audit import GENESIS, Head, verify
from cloudsync.store.journal import JournalTable
from cloudsync.store.lease import LIFE_S, StoreLease
from cloudsync.store.records import Hold
from cloudsync.store.state import State
from cloudsync.testing.clock import START, SimulatedClock
from tests.acting.folders import tmp_path

__all__ = ["tmp_path"]

STEP = Step("k", "Act", "mem/one", "sg-1", "do it", Effect.GROWS, '{"a":1}', mark="m", temporary=True)


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def state(tmp_path: Path, clock: SimulatedClock) -> Iterator[State]:
    with State(tmp_path / "state" / "state.db", clock, writer="run-1") as one:
        yield one
        one.audit.mirror.unlink(missing_ok=True)  # closing compares the two, and some tests have put them at odds


def op(state: State, target: str = "mem") -> Op:
    return Op("run-1", state.lease.generation, target, "d" * 64, 7, 2, STEP, 10.25, 30.5)


def told(state: State) -> list[dict[str, object]]:
    return [json.loads(line) for line in state.audit.lines()]


def execute(state: State, query: str, *values: object) -> None:
    with state._database.transaction() as connection:
        connection.execute(query, values)


# --- the journal -----------------------------------------------------------------------------------------------------


def test_an_op_is_read_back_as_it_was_written(state: State) -> None:
    first, second = op(state), replace(op(state), number=8, attempt=3)
    ids = [state.journal.intend(one) for one in (first, second)]
    assert [(left.id, left.op, left.state) for left in state.journal.open_ops("mem")] == [
        (ids[0], first, OpState.INTENT),
        (ids[1], second, OpState.INTENT),
    ]
    assert [(left.id, left.op, why) for left, why in state.journal.ops()] == [(ids[0], first, ""), (ids[1], second, "")]


def test_the_audit_line_of_an_intent_says_who_wants_to_send_what_to_which_object(state: State) -> None:
    op_id = state.journal.intend(op(state))
    line = told(state)[-1]
    assert {key: value for key, value in line.items() if key != "prev"} == {
        "n": 2,
        "at": 10.25,
        "event": "intent",
        "op": op_id,
        "run": "run-1",
        "generation": 1,
        "target": "mem",
        "plan": "d" * 64,
        "number": 7,
        "attempt": 2,
        "request": sha256(b'{"a":1}').hexdigest(),
        "key": "k",
        "action": "Act",
        "scope": "mem/one",
        "object": "sg-1",
        "mark": "m",
        "temporary": True,
        "title": "do it",
    }


def test_the_audit_line_of_an_outcome_says_what_came_of_it_and_when(state: State, clock: SimulatedClock) -> None:
    op_id = state.journal.intend(op(state))
    clock.advance(5)
    state.journal.settle(op_id, OpState.FAILED, "denied")
    line = told(state)[-1]
    assert {key: value for key, value in line.items() if key != "prev"} == {
        "n": 3,
        "at": START + 5,
        "event": "outcome",
        "op": op_id,
        "state": "failed",
        "reason": "denied",
    }
    (row,) = state._database.rows("SELECT state, reason, settled FROM op")
    assert (row["state"], row["reason"], row["settled"]) == ("failed", "denied", START + 5)


def test_a_late_word_stands_in_the_trail_and_changes_no_settled_op_but_for_the_platforms_own(state: State) -> None:
    op_id = state.journal.intend(op(state))
    state.journal.settle(op_id, OpState.VOID, "not there")
    state.journal.settle(op_id, OpState.FAILED, "too late")
    assert [(left.state, why) for left, why in state.journal.ops()] == [(OpState.VOID, "not there")]
    state.journal.settle(op_id, OpState.DONE, "there after all")
    assert [(left.state, why) for left, why in state.journal.ops()] == [(OpState.DONE, "there after all")]
    assert [line.get("late") for line in told(state)[-3:]] == [None, "void", "void"]


def test_what_the_platform_said_is_settled_for_good(state: State) -> None:
    op_id = state.journal.intend(op(state))
    state.journal.settle(op_id, OpState.FAILED, "denied")
    state.journal.settle(op_id, OpState.DONE, "it was not")
    assert [(left.state, why) for left, why in state.journal.ops()] == [(OpState.FAILED, "denied")]


def test_open_ops_are_those_of_the_target_that_nobody_settled(state: State) -> None:
    mine, other, unknown, done = (state.journal.intend(op(state, target)) for target in ("mem", "far", "mem", "mem"))
    state.journal.settle(unknown, OpState.UNKNOWN, "reset")
    state.journal.settle(done, OpState.DONE)
    assert [(left.id, left.state) for left in state.journal.open_ops("mem")] == [(mine, OpState.INTENT), (unknown, OpState.UNKNOWN)]
    assert [left.id for left in state.journal.open_ops("far")] == [other]
    assert [state.journal.wrote(target) for target in ("mem", "far", "never")] == [True, True, False]


def test_the_ops_of_one_run_or_of_all(state: State) -> None:
    first = state.journal.intend(op(state))
    second = state.journal.intend(replace(op(state), run_id="run-0"))
    assert [left.id for left, _ in state.journal.ops()] == [first, second]
    assert [left.id for left, _ in state.journal.ops("run-0")] == [second]
    assert state.journal.ops("run-9") == ()


def test_only_the_newest_writer_may_intend_or_adopt(state: State) -> None:
    for generation in (0, 2):
        with pytest.raises(RefusedError, match=f"a newer writer took over: generation 1, we are {generation}"):
            state.journal.intend(replace(op(state), generation=generation))
        with pytest.raises(RefusedError, match="PRE-LOCK a newer writer took over"):
            state.journal.adopt("mem", [Adoption(PointId("p"), ("sg-1",))], Writer("r", generation, 1.0))
    execute(state, "DELETE FROM lease")
    with pytest.raises(RefusedError, match="a newer writer took over: generation 0, we are 1"):
        state.journal.intend(op(state))
    assert state.journal.ops() == ()
    assert [line["event"] for line in told(state)] == ["writer"], "what was refused leaves no line either"


def test_an_adoption_is_recorded_and_told_once_per_point(state: State) -> None:
    writer = Writer("run-1", state.lease.generation, 12.5)
    two = [Adoption(PointId(name), (f"sg-{name}", "sg-0")) for name in "ab"]
    state.journal.adopt("mem", two, writer)
    state.journal.adopt("mem", [Adoption(PointId("b"), ("sg-9",)), Adoption(PointId("c"), ())], replace(writer, run_id="run-2", at=13.0))
    state.journal.adopt("far", two[:1], writer)
    assert {point: one.original for point, one in state.records.originals("mem").items()} == {
        "a": ("sg-a", "sg-0"),
        "b": ("sg-b", "sg-0"),
        "c": (),
    }
    lines = [line for line in told(state) if line["event"] == "adopt"]
    assert [(line["run"], line["target"], line["point"], line["original"], line["at"]) for line in lines] == [
        ("run-1", "mem", "a", ["sg-a", "sg-0"], 12.5),
        ("run-1", "mem", "b", ["sg-b", "sg-0"], 12.5),
        ("run-2", "mem", "c", [], 13.0),
        ("run-1", "far", "a", ["sg-a", "sg-0"], 12.5),
    ]


def test_a_hold_of_a_rollback_does_not_stop_the_rollback_itself(tmp_path: Path, clock: SimulatedClock) -> None:
    place = tmp_path / "state" / "state.db"
    with State(place, clock) as state:
        state.records.hold(Hold("mem", "rollback", "went back", 0.0, "run-7"))
        assert state.journal.held("mem") == "went back (rollback)"
        assert JournalTable(state._database, clock).held("mem") == "went back (rollback)"
    with State(place, clock, through=True) as state:
        assert state.journal.held("mem") == ""
        state.records.hold(Hold("mem", "ann", "incident", 0.0))
        assert state.journal.held("mem") == "incident (ann)"
        assert state.journal.held("far") == ""


# --- the trail -------------------------------------------------------------------------------------------------------


def trail(count: int) -> list[str]:
    """A chain as it is written, without a database."""
    lines: list[str] = []
    before = GENESIS
    for number in range(1, count + 1):
        lines.append(json.dumps({"at": 1.5, "event": "e", "n": number, "prev": before}, sort_keys=True, separators=(",", ":")))
        before = sha256(lines[-1].encode()).hexdigest()
    return lines


def test_the_head_of_a_chain_counts_its_lines_and_names_the_last() -> None:
    assert verify([]) == Head(0, "0" * 64)
    lines = trail(3)
    assert verify(lines) == verify(f"{line}\n" for line in lines) == Head(3, sha256(lines[2].encode()).hexdigest())


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (1, "[]"),
        (1, '{"n": 1}'),
        (1, json.dumps({"n": 2, "prev": GENESIS}, separators=(",", ":"))),
        (1, json.dumps({"n": 1, "prev": "1" * 64}, separators=(",", ":"))),
        (1, json.dumps({"prev": GENESIS, "n": 1}, separators=(",", ":"))),
        (2, trail(1)[0]),
        (2, f"{trail(2)[1]} "),
    ],
)
def test_a_line_that_does_not_follow_is_named(number: int, line: str) -> None:
    with pytest.raises(RefusedError) as caught:
        verify([*trail(number - 1), line])
    assert str(caught.value) == f"AUDIT line {number} does not follow from line {number - 1}: the trail was edited"


@pytest.mark.parametrize("line", ["no json", f"{trail(3)[2]}?", ""])
def test_a_line_that_is_no_json_is_named(line: str) -> None:
    with pytest.raises(RefusedError) as caught:
        verify([*trail(2), line])
    assert str(caught.value) == "AUDIT line 3 is no JSON"


def test_times_are_written_in_milliseconds_and_the_head_is_the_last_line(state: State) -> None:
    with state._database.transaction() as connection:
        audit.append(connection, "test", 1.23456, {"a": 1})
    last = state.audit.lines()[-1]
    assert json.loads(last) | {"prev": ""} == {"a": 1, "at": 1.235, "event": "test", "n": 2, "prev": ""}
    assert state.audit.head() == Head(2, sha256(last.encode()).hexdigest()) == state.audit.check()


def test_an_empty_trail_has_the_head_of_nothing(tmp_path: Path, clock: SimulatedClock) -> None:
    with State(tmp_path / "state" / "state.db", clock) as state:
        assert state.audit.head() == Head()
        assert state.audit.check() == Head()


def append(state: State, count: int) -> None:
    for number in range(count):
        with state._database.transaction() as connection:
            audit.append(connection, "test", 1.0, {"number": number})


def test_the_mirror_gets_what_it_lacks_and_nothing_twice(state: State) -> None:
    for count in (0, 0, 3, 0):
        append(state, count)
        state.audit.sync()
        assert state.audit.check() == state.audit.head()
        assert state.audit.mirror.read_text(encoding="utf-8").splitlines() == state.audit.lines()
    append(state, 1)
    state.audit.sync()
    assert state.audit.mirror.read_text(encoding="utf-8").splitlines() == state.audit.lines()
    assert state.audit.mirror.stat().st_mode & 0o777 == 0o600


def test_the_mirror_is_whole_when_it_is_made_durable(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    durable: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _file: durable.append(state.audit.mirror.read_text(encoding="utf-8")))
    append(state, 2)
    state.audit.sync()
    assert durable == ["".join(f"{line}\n" for line in state.audit.lines())]


def test_a_mirror_that_ends_in_a_torn_line_loses_only_that(state: State) -> None:
    append(state, 2)
    state.audit.sync()
    whole = state.audit.mirror.read_bytes()
    with state.audit.mirror.open("ab") as file:
        file.write(b'{"n":4')
    state.audit.sync()
    assert state.audit.mirror.read_bytes() == whole
    state.audit.mirror.write_bytes(b'{"torn')
    state.audit.sync()
    assert state.audit.mirror.read_bytes() == whole


def test_a_long_mirror_is_read_from_its_end(state: State) -> None:
    append(state, 1)
    state.audit.sync()
    short = state.audit.mirror.read_bytes()
    state.audit.mirror.write_bytes(b"x" * (1 << 20) + b"\n" + short + b"torn")
    state.audit.sync()
    assert state.audit.mirror.read_bytes() == b"x" * (1 << 20) + b"\n" + short


@pytest.mark.parametrize("line", [b"no json\n", b'{"m":1}\n', b"[]\n", b'{"n":null}\n', b"\xff\n"])
def test_a_mirror_whose_last_line_says_nothing_is_damaged(state: State, line: bytes) -> None:
    state.audit.mirror.write_bytes(line)
    with pytest.raises(RefusedError) as caught:
        state.audit.sync()
    assert str(caught.value) == f"PRE-STATE {state.audit.mirror}: the last line is damaged; {state._database.advice}"


def test_a_state_older_than_its_mirror_went_backwards(state: State) -> None:
    append(state, 2)
    state.audit.sync()
    execute(state, "DELETE FROM audit WHERE n = 3")
    with pytest.raises(RefusedError, match=r"^PRE-STATE audit\.jsonl knows 3 events, the state does not: it went backwards") as caught:
        state.audit.sync()
    assert state._database.advice in str(caught.value)
    append(state, 1)
    execute(state, "UPDATE audit SET line = 'another' WHERE n = 3")
    with pytest.raises(RefusedError, match="went backwards"):
        state.audit.sync()


def test_a_mirror_that_tells_another_story_is_found_out_even_where_both_chains_hold(state: State) -> None:
    append(state, 2)
    state.audit.sync()
    state.audit.mirror.write_text("".join(f"{line}\n" for line in trail(2)), encoding="utf-8")
    with pytest.raises(RefusedError) as caught:
        state.audit.check()
    assert str(caught.value) == "AUDIT audit.jsonl and the state tell different stories from line 2 on"
    state.audit.mirror.write_text("".join(f"{line}\n" for line in trail(9)), encoding="utf-8")
    with pytest.raises(RefusedError, match="different stories from line 9 on"):
        state.audit.check()
    state.audit.mirror.unlink()
    assert state.audit.check().lines == 3
    state.audit.mirror.touch()
    assert state.audit.check().lines == 3


# --- the lease -------------------------------------------------------------------------------------------------------


def lease_row(state: State) -> dict[str, object]:
    (row,) = state._database.rows("SELECT * FROM lease")
    return {name: row[name] for name in ("name", "holder", "host", "pid", "generation", "expires")}


def test_a_lease_says_who_holds_it_and_until_when(state: State) -> None:
    assert lease_row(state) == {
        "name": "writer",
        "holder": "run-1",
        "host": gethostname(),
        "pid": os.getpid(),
        "generation": 1,
        "expires": START + LIFE_S,
    }
    line = told(state)[0]
    assert {key: line[key] for key in ("event", "at", "run", "generation", "host", "pid")} == {
        "event": "writer",
        "at": START,
        "run": "run-1",
        "generation": 1,
        "host": gethostname(),
        "pid": os.getpid(),
    }


def test_the_next_writer_counts_on_and_takes_everything_over(state: State, clock: SimulatedClock) -> None:
    execute(state, "UPDATE lease SET pid = 1")
    clock.advance(10)
    following = StoreLease(state._database, clock, str)
    following.acquire("run-2")
    assert following.generation == 2
    row = lease_row(state)
    assert (row["holder"], row["pid"], row["generation"], row["expires"]) == ("run-2", os.getpid(), 2, START + 10 + LIFE_S)
    assert state.lease.lost() == "a newer writer took over (generation 2, we are 1)"
    execute(state, "DELETE FROM lease")
    assert following.lost() == "a newer writer took over (generation 0, we are 2)"


@pytest.mark.parametrize(("left", "busy"), [(0.0, False), (1.0, True), (100.0, True), (100.5, False)])
def test_another_machines_lease_counts_while_it_can_be_alive(state: State, clock: SimulatedClock, left: float, *, busy: bool) -> None:
    """One that ends later than any lease lives was written by a clock that is wrong: it would lock everybody out for ever."""
    execute(state, "UPDATE lease SET host = 'elsewhere', pid = 77, expires = ?", clock.now() + left)
    following = StoreLease(state._database, clock, str, life_s=100.0)
    if not busy:
        following.acquire("run-2")
        assert following.generation == 2
        return
    with pytest.raises(BusyError) as caught:
        following.acquire("run-2")
    assert str(caught.value) == f"PRE-LOCK run-1 on elsewhere (pid 77) holds the lease for {left:.0f} s more; wait for it"
    assert following.generation == 0


def test_the_right_to_write_ends_at_half_the_lease_and_with_the_lock(state: State, clock: SimulatedClock) -> None:
    reasons: list[str] = [""]
    lease = StoreLease(state._database, clock, lambda: reasons[0], life_s=80.0)
    assert lease.lost() == "no lease was taken"
    lease.acquire("run-2")
    clock.advance(39.0)
    assert lease.lost() == ""
    clock.advance(40.0)
    assert lease.lost() == "paused for 40 s, longer than half the lease"
    lease.acquire("run-3")
    reasons[0] = "the lock is gone"
    assert lease.lost() == "the lock is gone"


def test_a_lease_is_renewed_after_an_eighth_of_its_life(state: State, clock: SimulatedClock) -> None:
    lease = StoreLease(state._database, clock, str, life_s=80.0)
    lease.acquire("run-2")
    expiries = []
    for pause in (10.0, 1.0, 10.0, 1.0):
        clock.advance(pause)
        assert lease.lost() == ""
        expiries.append(lease_row(state)["expires"])
    assert expiries == [START + 80, START + 91, START + 91, START + 102]


def test_a_lease_given_back_lets_the_next_one_in_and_keeps_counting(state: State, clock: SimulatedClock) -> None:
    state.lease.release()
    assert (lease_row(state)["expires"], lease_row(state)["generation"], state.lease.generation) == (0, 1, 0)
    assert state.lease.lost() == "no lease was taken"
    following = StoreLease(state._database, clock, str)
    following.acquire("run-2")
    assert following.generation == 2
    state.lease.release()
    assert lease_row(state)["expires"] == START + LIFE_S, "who holds nothing gives nothing back"


def test_a_lease_that_cannot_be_read_gives_no_right(state: State) -> None:
    execute(state, "DROP TABLE lease")
    assert state.lease.lost().startswith("PRE-")
    execute(state, "CREATE TABLE lease (name TEXT, generation INTEGER, expires REAL)")  # closing wants to give it back


def test_a_lease_that_somebody_else_took_is_neither_renewed_nor_given_back(state: State, clock: SimulatedClock) -> None:
    lease = StoreLease(state._database, clock, str, life_s=80.0)
    lease.acquire("run-2")
    execute(state, "UPDATE lease SET generation = 9, expires = 1.0")
    clock.advance(20.0)
    assert lease._renew(clock.monotonic()) == "a newer writer took over"
    lease.release()
    assert lease_row(state)["expires"] == 1.0
