"""State is private, durable, one run's at a time, and tells when it is damaged, foreign, old or full."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cloudsync.adapter import Effect, Step
from cloudsync.clock import SystemClock, check_clock
from cloudsync.guard.values import Approval, Refusal
from cloudsync.model.address import ANYWHERE
from cloudsync.model.errors import BusyError, RefusedError, SettingsError
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import ServiceSet
from cloudsync.model.workload import PointId
from cloudsync.plan.document import target_digest
from cloudsync.plan.journal import Op, OpState, Writer
from cloudsync.plan.values import Adoption
from cloudsync.store.audit import verify
from cloudsync.store.lease import StoreLease
from cloudsync.store.place import DEFAULT, Place, locate
from cloudsync.store.records import EVERY_TARGET, Ended, Hold, RunRecord, VerifiedScope
from cloudsync.store.sqlite import SqliteDatabase
from cloudsync.store.state import State, open_database
from cloudsync.testing.clock import SimulatedClock
from cloudsync.testing.plans import HARMLESS

STEP = Step("k", "Act", "mem/one", "o", "do it", Effect.GROWS, '{"a":1}', mark="m")
POINT = PointId("mem/one/web1")


def op(state: State, number: int = 1) -> Op:
    return Op("run-1", state.lease.generation, "mem", "d" * 64, number, 1, STEP, 10.0, 30.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db"


def mirror_of(place: Place) -> Path:
    return (place.parent if isinstance(place, Path) else place.folder) / "audit.jsonl"


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


# --- where and how ---------------------------------------------------------------------------------------------------


def test_the_state_url_names_a_file_in_or_out_of_the_repository(tmp_path: Path) -> None:
    assert locate(DEFAULT, tmp_path) == tmp_path / ".cloudsync" / "state.db"
    assert locate("sqlite:////var/lib/x/state.db", tmp_path) == Path("/var/lib/x/state.db")


@pytest.mark.parametrize(
    ("url", "words"),
    [("mysql://db/x", "is no state URL"), ("x.db", "is no state URL"), ("sqlite:///", "is no state URL")],
)
def test_another_state_url_is_a_finding(url: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=rf"BAD-STATE .*{words}"):
        locate(url, tmp_path)


def test_files_are_private_from_the_first_moment(path: Path, clock: SimulatedClock) -> None:
    with State(path, clock, writer="run-1"):
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert {"state.db", "state.db.lock", "audit.jsonl", "state.db-wal"} <= modes.keys()
    assert set(modes.values()) == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_wider_modes_are_refused(path: Path, clock: SimulatedClock) -> None:
    State(path, clock).close()
    path.chmod(0o644)
    with pytest.raises(RefusedError, match=r"PRE-MODE .*mode 0644, want 0600; chmod 600"):
        State(path, clock)
    path.chmod(0o600)
    path.parent.chmod(0o755)
    with pytest.raises(RefusedError, match=r"PRE-MODE .*mode 0755, want 0700"):
        State(path, clock)


def test_a_symlink_instead_of_the_file_is_refused(path: Path, clock: SimulatedClock, tmp_path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RefusedError, match=r"PRE-MODE .*no ordinary file"):
        State(path, clock)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_foreign_owner_is_refused(path: Path, clock: SimulatedClock) -> None:
    State(path, clock).close()
    os.chown(path, 12345, -1)
    with pytest.raises(RefusedError, match=r"PRE-MODE .*belongs to uid 12345"):
        State(path, clock)


def test_commits_are_durable_by_configuration(path: Path) -> None:
    database = SqliteDatabase(path)
    assert [row["synchronous"] for row in database.rows("PRAGMA synchronous")] == [2]
    assert [row["journal_mode"] for row in database.rows("PRAGMA journal_mode")] == ["wal"]
    database.close()


# --- damage ----------------------------------------------------------------------------------------------------------


def test_the_database_of_another_program_is_left_alone(path: Path, clock: SimulatedClock) -> None:
    path.parent.mkdir(mode=0o700)
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    path.chmod(0o600)
    before = path.read_bytes()
    with pytest.raises(RefusedError, match=r"PRE-STATE .*another program"):
        State(path, clock)
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused(path: Path, clock: SimulatedClock) -> None:
    State(path, clock).close()
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(RefusedError, match=r"PRE-STATE .*schema 99"):
        State(path, clock)


def opening(path: Path, clock: SimulatedClock) -> str:
    """Open and read everything; return the code of the refusal, empty when all is well."""
    try:
        with State(path, clock) as state:
            state.audit.check()
            return "" if len(state.journal.ops()) in (0, 39) else "lost ops"
    except RefusedError as error:
        return error.code


def test_garbage_is_refused_and_never_a_traceback_of_sqlite(path: Path, clock: SimulatedClock) -> None:
    with State(path, clock, writer="r") as state:
        for number in range(1, 40):
            state.journal.intend(op(state, number))
    whole = path.read_bytes()
    refused = 0
    for start in range(0, len(whole), 4096):
        damaged = bytearray(whole)
        damaged[start : start + 512] = bytes(byte ^ 0xFF for byte in damaged[start : start + 512])
        for content in (bytes(damaged), whole[:start]):
            path.write_bytes(content)
            code = opening(path, clock)
            assert code in ("", "PRE-STATE", "AUDIT")
            refused += bool(code)
    assert refused > len(whole) // 4096


def test_an_old_copy_put_back_is_noticed(path: Path, clock: SimulatedClock, tmp_path: Path) -> None:
    State(path, clock, writer="run-1").close()
    old = tmp_path / "old.db"
    shutil.copy(path, old)
    State(path, clock, writer="run-2").close()
    for leftover in path.parent.glob("state.db-*"):
        leftover.unlink()
    shutil.copy(old, path)
    with pytest.raises(RefusedError, match=r"PRE-STATE .*went backwards"):
        State(path, clock, writer="run-3")


def limit_pages(state: State, pages: int) -> None:
    assert isinstance(state._database, SqliteDatabase)
    state._database.limit_pages(pages)


def intend(state: State) -> str:
    """Journal one op; return the refusal, empty when it is durable."""
    try:
        state.journal.intend(op(state))
    except RefusedError as error:
        return str(error)
    return ""


def test_a_full_disk_means_no_intent_and_the_run_is_refused(path: Path, clock: SimulatedClock) -> None:
    with State(path, clock, writer="run-1") as state:
        limit_pages(state, 1)
        before = len(state.journal.ops())
        while not (refused := intend(state)):
            before += 1
        assert refused.startswith("PRE-JOURNAL")
        assert "full" in refused
        assert len(state.journal.ops()) == before
        assert len(state.journal.open_ops("mem")) == before
        limit_pages(state, 1 << 20)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, clock: SimulatedClock) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RefusedError, match="PRE-"):
        State(tmp_path / "file" / "state.db", clock)


# --- one at a time ---------------------------------------------------------------------------------------------------


def test_a_second_writer_is_told_who_holds_the_lock(place: Place, clock: SimulatedClock) -> None:
    with State(place, clock, writer="run-1"):
        program = "import pickle, sys; from cloudsync.clock import SystemClock; from cloudsync.store.state import State\n"
        program += "from cloudsync.model.errors import BusyError\n"
        program += "place = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
        program += "try: State(place, SystemClock(), writer='two')\nexcept BusyError as error: print(error); sys.exit(75)"
        words = [sys.executable, "-c", program, pickle.dumps(place).hex()]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 75, done.stderr
        assert f"pid {os.getpid()} on " in done.stdout
    State(place, SystemClock(), writer="run-2").close()


def test_a_dead_writer_on_this_machine_is_taken_over_at_once(place: Place, clock: SimulatedClock, request: pytest.FixtureRequest) -> None:
    state = State(place, clock, writer="dead")
    request.addfinalizer(state._database.close)
    generation = state.lease.generation
    state._lock.release()
    with State(place, clock, writer="next") as after:
        assert after.lease.generation == generation + 1
        assert "a newer writer took over" in state.lease.lost() or "the lock" in state.lease.lost()
        with pytest.raises(RefusedError, match="a newer writer took over"):
            state.journal.intend(Op("dead", generation, "mem", "d", 1, 1, STEP, 0.0, 0.0))


def change(place: Place, query: str, *values: object) -> None:
    """Change the state behind everybody's back."""
    with closing(open_database(place)) as database, database.transaction() as connection:
        connection.execute(query, values)


def foreign_lease(place: Place, expires: float) -> None:
    change(place, "UPDATE lease SET host = 'elsewhere', holder = 'run-9', expires = ?", expires)


def test_a_live_lease_of_another_machine_is_respected(place: Place, clock: SimulatedClock) -> None:
    State(place, clock, writer="run-1").close()
    foreign_lease(place, clock.now() + 100)
    with pytest.raises(BusyError, match=r"run-9 on elsewhere .* 100 s more"):
        State(place, clock, writer="run-2")
    clock.advance(101)
    State(place, clock, writer="run-2").close()


def test_a_lease_is_lost_by_a_pause_but_not_by_a_clock_jump(place: Place, clock: SimulatedClock) -> None:
    with State(place, clock, writer="run-1", life_s=100.0) as state:
        clock.jump(86400)
        assert state.lease.lost() == ""
        clock.jump(-2 * 86400)
        assert state.lease.lost() == ""
        for _ in range(10):
            clock.advance(20)
            assert state.lease.lost() == ""
        clock.advance(50)
        assert "paused for 50 s" in state.lease.lost()


def test_a_lock_file_taken_away_ends_the_right_to_write(path: Path, clock: SimulatedClock) -> None:
    with State(path, clock, writer="run-1") as state:
        path.with_name("state.db.lock").unlink()
        assert state.lease.lost() == "the lock file is gone"
        path.with_name("state.db.lock").touch()
        assert state.lease.lost() == "the lock file was replaced"


def test_who_only_looks_has_no_lease(place: Place, clock: SimulatedClock) -> None:
    with State(place, clock) as state:
        assert state.lease.lost() == "no lease was taken"
        with pytest.raises(RefusedError, match="newer writer"):
            state.journal.intend(op(state))


def take_leases_until_refused(lease: StoreLease) -> str:
    """Acquire and release again and again; return the refusal."""
    while True:
        try:
            lease.acquire("run-2")
        except RefusedError as error:
            return str(error)
        lease.release()


def test_a_lease_that_could_not_be_made_durable_gives_no_right(path: Path, clock: SimulatedClock) -> None:
    """Whoever comes next counts to the same generation; the one who was refused must not take it for his own."""
    with State(path, clock, writer="run-1") as state:
        state.lease.release()
        limit_pages(state, 1)
        refused = take_leases_until_refused(state.lease)
        assert refused.startswith("PRE-JOURNAL")
        assert "full" in refused
        limit_pages(state, 1 << 20)
        other = StoreLease(state._database, clock, str)
        other.acquire("run-3")
        assert other.lost() == ""
        assert state.lease.lost() == "no lease was taken"


def test_a_clock_in_1970_is_refused() -> None:
    with pytest.raises(RefusedError, match="PRE-CLOCK the clock shows 1970-01-01T00:00:05Z, before the build date"):
        check_clock(5.0)
    check_clock(SystemClock().now())


# --- journal and audit -----------------------------------------------------------------------------------------------


def test_an_op_is_open_until_it_is_settled(place: Place, clock: SimulatedClock) -> None:
    with State(place, clock, writer="run-1") as state:
        first, second = state.journal.intend(op(state, 1)), state.journal.intend(op(state, 2))
        state.journal.settle(first, OpState.UNKNOWN, "reset")
        assert [(left.id, left.state, left.op.step) for left in state.journal.open_ops("mem")] == [
            (first, OpState.UNKNOWN, STEP),
            (second, OpState.INTENT, STEP),
        ]
        state.journal.settle(first, OpState.DONE, "seen")
        state.journal.settle(second, OpState.VOID)
        assert state.journal.open_ops("mem") == ()
        with pytest.raises(AssertionError, match="no op 99"):
            state.journal.settle(99, OpState.FAILED)
    with State(place, clock) as again:
        assert [(left.state, why) for left, why in again.journal.ops("run-1")] == [(OpState.DONE, "seen"), (OpState.VOID, "")]


def test_an_intent_of_an_older_writer_is_refused_by_the_journal_itself(place: Place, clock: SimulatedClock) -> None:
    with State(place, clock, writer="run-1") as state:
        change(place, "UPDATE lease SET generation = generation + 1")
        with pytest.raises(RefusedError, match="a newer writer took over: generation 2, we are 1"):
            state.journal.intend(op(state))
        assert state.journal.ops("run-1") == ()
        with pytest.raises(RefusedError, match="a newer writer took over"):
            state.journal.adopt("mem", [Adoption(POINT, ("sg-1",))], Writer("run-1", 1, 1.0))
        assert state.records.originals("mem") == {}


@pytest.mark.parametrize(
    ("concluded", "late", "stands"),
    [
        (OpState.VOID, OpState.DONE, OpState.DONE),
        (OpState.VOID, OpState.FAILED, OpState.VOID),
        (OpState.VOID, OpState.UNKNOWN, OpState.VOID),
        (OpState.DONE, OpState.VOID, OpState.DONE),
        (OpState.DONE, OpState.FAILED, OpState.DONE),
    ],
)
def test_a_late_word_counts_only_when_it_is_the_platforms(
    place: Place, clock: SimulatedClock, concluded: OpState, late: OpState, stands: OpState
) -> None:
    with State(place, clock, writer="run-1") as state:
        op_id = state.journal.intend(op(state))
        state.journal.settle(op_id, concluded)
        state.journal.settle(op_id, late)
        assert [left.state for left, _ in state.journal.ops()] == [stands]
        assert json.loads(state.audit.lines()[-1])["late"] == concluded.value


def test_every_line_follows_from_the_one_before_and_is_mirrored(place: Place, clock: SimulatedClock) -> None:
    with State(place, clock, writer="run-1") as state:
        state.journal.settle(state.journal.intend(op(state)), OpState.DONE)
        head = state.audit.check()
        lines = state.audit.lines()
    assert [json.loads(line)["event"] for line in lines] == ["writer", "intent", "outcome"]
    mirror = mirror_of(place).read_text().splitlines()
    assert mirror == lines
    assert verify(mirror) == head


@pytest.mark.parametrize(
    "harm",
    [
        lambda lines: lines[:1] + lines[2:],
        lambda lines: [*lines[:1], lines[1].replace("do it", "do that"), *lines[2:]],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: lines[1:],
        lambda lines: [*lines, "{}"],
        lambda lines: [*lines[:2], "no json"],
    ],
)
def test_an_edited_trail_is_found_out(place: Place, clock: SimulatedClock, harm: Callable[[list[str]], list[str]]) -> None:
    with State(place, clock, writer="run-1") as state:
        state.journal.settle(state.journal.intend(op(state)), OpState.DONE)
    mirror = mirror_of(place)
    mirror.write_text("".join(line + "\n" for line in harm(mirror.read_text().splitlines())))
    with State(place, clock) as state, pytest.raises(RefusedError, match="AUDIT"):
        state.audit.check()


def test_a_torn_end_of_the_mirror_is_mended(place: Place, clock: SimulatedClock) -> None:
    State(place, clock, writer="run-1").close()
    mirror = mirror_of(place)
    mirror.write_bytes(mirror.read_bytes() + b'{"at":1,"eve')
    State(place, clock, writer="run-2").close()
    assert verify(mirror.read_text().splitlines()).lines == 2


# --- records ---------------------------------------------------------------------------------------------------------


def test_runs_plans_and_approvals_are_found_again(place: Place, clock: SimulatedClock) -> None:
    with State(place, clock, writer="run-1") as state:
        records = state.records
        records.start_run(RunRecord("run-1", "apply", 1, "4f1c2a9", clock.now(), None, None, {}))
        digest = target_digest(HARMLESS)
        said = (Refusal("G-CAP", "mem", "mem/one", "would remove 3 of 4 rules", ("a", "b"), 1, "cloudsync approve ...", ("flow",)),)
        records.save_refused(digest, "mem", said, "run-1", clock.now())
        records.save_refused(target_digest(replace(HARMLESS, target="other")), "other", said, "run-1", clock.now())
        found = records.find_plan(digest[:16])
        assert (found.digest, found.target, found.run) == (digest, "mem", "run-1")
        assert found.refusals == said
        for prefix, why in (("", "no such plan"), ("zz", "no such plan")):
            with pytest.raises(RefusedError, match=rf"NO-PLAN .*{why}"):
                records.find_plan(prefix)
        given = Approval(digest, "mem", "G-CAP", "ann", "checked", clock.now() + 60, ("flow",), clock.now())
        records.approve(given)
        assert records.approvals() == (given,)
        records.finish_run("run-1", Ended(4, {"refused": 1}, clock.now() + 5))
        assert [(run.id, run.exit_code, run.summary) for run in records.runs()] == [("run-1", 4, {"refused": 1})]


def test_a_hold_on_one_or_on_every_target(place: Place, clock: SimulatedClock) -> None:
    with State(place, clock) as state:
        state.records.hold(Hold("mem", "ann", "audit", clock.now()))
        assert state.journal.held("mem") == "audit (ann)"
        assert state.journal.held("other") == ""
        state.records.hold(Hold(EVERY_TARGET, "bob", "incident", clock.now()))
        assert state.journal.held("other") == "incident (bob)"
        assert [hold.target for hold in state.records.holds()] == ["*", "mem"]
        assert state.records.unhold("*", "bob", clock.now())
        assert not state.records.unhold("*", "bob", clock.now())
        assert state.journal.held("other") == ""


def test_the_first_original_of_a_point_is_kept(place: Place, clock: SimulatedClock) -> None:
    first = Adoption(POINT, ("sg-1", "sg-2"), PacketSet.of(ANYWHERE, ServiceSet.ports(6, 22, 22)))
    with State(place, clock, writer="r") as state:
        generation = state.lease.generation
        state.journal.adopt("mem", [first], Writer("r", generation, 1.0))
        state.journal.adopt("mem", [Adoption(POINT, ("cs-1",))], Writer("r", generation, 2.0))
        assert state.records.originals("mem") == {POINT: first}
        assert state.records.originals("other") == {}
        state.records.forget_originals("mem", [POINT], 3.0)
        assert state.records.originals("mem") == {}


def test_verified_inventories_are_replaced_scope_by_scope(place: Place, clock: SimulatedClock) -> None:
    with State(place, clock) as state:
        one, two = VerifiedScope("mem", "a", ["i-1"], 1.0), VerifiedScope("mem", "b", ["i-2"], 1.0)
        state.records.verify([one, two], "r")
        state.records.verify([replace(one, document=["i-3"], at=2.0)], "r")
        assert [(scope.scope, scope.document, scope.at) for scope in state.records.verified()] == [("a", ["i-3"], 2.0), ("b", ["i-2"], 1.0)]
        assert state.records.verified_again([("mem", "b"), ("mem", "c"), ("other", "a")], "r2", 3.0) == {("mem", "c"), ("other", "a")}
        assert [(scope.document, scope.at) for scope in state.records.verified()] == [(["i-3"], 2.0), (["i-2"], 3.0)]


def test_small_notes_are_kept(place: Place, clock: SimulatedClock) -> None:
    with State(place, clock) as state:
        assert state.records.note("mail") is None
        state.records.keep("mail", {"sent": 1})
        state.records.keep("mail", {"sent": 2})
        assert state.records.note("mail") == {"sent": 2}
