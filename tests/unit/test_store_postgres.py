"""State on a PostgreSQL server: where it may be, who may open it, and what is said when the server says no, or nothing at all."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest

from cloudsync.adapter import Effect, Step
from cloudsync.model.errors import BusyError, RefusedError, SettingsError
from cloudsync.plan.journal import Op
from cloudsync.store.place import Server, local_folder, locate
from cloudsync.store.schema import MIGRATIONS, for_postgres
from cloudsync.store.state import State
from cloudsync.testing.clock import SimulatedClock
from tests.acting.servers import Cluster, running

CLOCK = SimulatedClock()
STEP = Step("k", "Act", "mem/one", "o", "do it", Effect.GROWS, '{"a":1}', mark="m")
WRONG = "hunter2"
REMOTE = "postgresql://cloudsync@db.example.org/cloudsync"


@pytest.fixture
def server(postgres: Cluster, tmp_path: Path) -> Server:
    return postgres.place(tmp_path)


@pytest.fixture
def lonely() -> Iterator[Cluster]:
    """A server of one's own, to be harmed."""
    with running() as cluster:
        yield cluster


def op(state: State, number: int = 1) -> Op:
    return Op("run-1", state.lease.generation, "mem", "d" * 64, number, 1, STEP, 10.0, 30.0)


# --- where ------------------------------------------------------------------------------------------------------------


def test_across_the_network_the_server_has_to_show_who_it_is(tmp_path: Path) -> None:
    place = locate(REMOTE, tmp_path)
    assert isinstance(place, Server)
    assert place.url == REMOTE + "?sslmode=verify-full&sslrootcert=system"
    assert (place.schema, place.folder, str(place)) == ("cloudsync", tmp_path / ".cloudsync", REMOTE)
    own = locate(REMOTE + "?sslmode=verify-ca&sslrootcert=/etc/ca.pem&schema=two", tmp_path)
    assert isinstance(own, Server)
    assert own.url == REMOTE + "?sslmode=verify-ca&sslrootcert=%2Fetc%2Fca.pem"
    assert str(own) == REMOTE + " (schema two)"


@pytest.mark.parametrize("host", ["", "localhost", "127.0.0.1:5433", "[::1]:5432", "%2Frun%2Fpostgresql", "127.0.0.1,localhost"])
def test_on_this_machine_nothing_is_asked(host: str, tmp_path: Path) -> None:
    place = locate(f"postgresql://cloudsync@{host}/cloudsync", tmp_path)
    assert isinstance(place, Server)
    assert place.url == f"postgresql://cloudsync@{host}/cloudsync"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://cloudsync@db.example.org", "incomplete"),
        ("postgresql://cloudsync@db.example.org/", "incomplete"),
        ("postgresql://cloudsync:secret@db.example.org/x", "holds a password"),
        (REMOTE + "?password=secret", "'password' may not stand"),
        (REMOTE + "?options=-csynchronous_commit%3Doff", "'options' may not stand"),
        (REMOTE + "?sslmode=require", "sslmode=require does not verify"),
        (REMOTE + "?sslmode=disable", "sslmode=disable does not verify"),
        ("postgresql://cloudsync@localhost,db.example.org/x?sslmode=prefer", "does not verify"),
        ("postgresql:///x?host=db.example.org&sslmode=allow", "does not verify"),
        (REMOTE + "?schema=a;b", "is no name for a schema"),
        (REMOTE + "?schema=pg_x", "is no name for a schema"),
    ],
)
def test_another_server_is_a_finding_that_shows_no_secret(url: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=rf"BAD-STATE .*{words}") as caught:
        locate(url, tmp_path)
    assert "secret" not in str(caught.value)


def test_the_password_is_in_no_text_of_the_place(tmp_path: Path) -> None:
    place = locate(REMOTE, tmp_path, password=WRONG)
    assert isinstance(place, Server)
    assert place.password == WRONG
    assert WRONG not in repr(place) + str(place) + place.url


def test_what_stands_beside_the_state_is_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert local_folder("sqlite:////var/lib/x/state.db", tmp_path) == Path("/var/lib/x")
    assert local_folder(REMOTE, tmp_path) == tmp_path / ".cloudsync"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/cloudsync:/var/lib/other")
    assert local_folder(REMOTE, tmp_path) == Path("/var/lib/cloudsync")


def test_state_in_a_file_loads_nothing_of_the_server(tmp_path: Path) -> None:
    program = "import sys; from pathlib import Path; from cloudsync.clock import SystemClock; from cloudsync.store.state import State\n"
    program += "with State(Path(sys.argv[1]), SystemClock(), writer='r') as state: state.audit.check()\n"
    program += "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'psycopg', 'psycopg_binary', 'sqlalchemy', 'asyncio'}))"
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "s" / "state.db")], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


# --- who --------------------------------------------------------------------------------------------------------------


def by_password(postgres: Cluster, server: Server, password: str) -> Server:
    return replace(server, url=postgres.loopback(), password=password)


def test_the_password_opens_it_and_a_wrong_one_does_not(postgres: Cluster, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    State(by_password(postgres, server, postgres.password), CLOCK, writer="r").close()
    for wrong, words in ((WRONG, "password authentication failed"), ("", "no password supplied")):
        with pytest.raises(RefusedError, match=rf"PRE-JOURNAL .*{words}") as caught:
            State(by_password(postgres, server, wrong), CLOCK)
        assert WRONG not in str(caught.value)


def test_a_password_file_opens_it_too(postgres: Cluster, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "pgpass"
    file.touch(mode=0o600)
    file.write_text(f"127.0.0.1:{postgres.port}:*:cloudsync:{postgres.password}\n")
    State(replace(server, url=postgres.loopback(f"?passfile={file}")), CLOCK).close()


def test_a_role_without_rights_is_refused_and_leaves_nothing(postgres: Cluster, server: Server) -> None:
    postgres.sql("DROP ROLE IF EXISTS nobody_here")
    postgres.sql("CREATE ROLE nobody_here LOGIN")
    theirs = replace(server, url=server.url.replace("cloudsync@", "nobody_here@"))
    with pytest.raises(RefusedError, match=r"PRE-JOURNAL .*permission denied"):
        State(theirs, CLOCK)
    assert not server.exists()
    State(server, CLOCK, writer="r").close()
    with pytest.raises(RefusedError, match=r"PRE-JOURNAL .*permission denied"):
        State(theirs, CLOCK)


def test_a_role_that_may_only_read_looks_and_leaves_nothing(postgres: Cluster, server: Server) -> None:
    State(server, CLOCK, writer="r").close()
    postgres.sql("DROP ROLE IF EXISTS looker")
    rights = [f"GRANT USAGE ON SCHEMA {server.schema} TO looker", f"GRANT SELECT ON ALL TABLES IN SCHEMA {server.schema} TO looker"]
    postgres.sql("CREATE ROLE looker LOGIN", *rights)
    with State(replace(server, url=server.url.replace("cloudsync@", "looker@")), CLOCK) as state:
        assert state.audit.head().lines == 1
        with pytest.raises(RefusedError, match=r"PRE-JOURNAL .*permission denied for table note"):
            state.records.keep("a", 1)
    postgres.sql("DROP OWNED BY looker", "DROP ROLE looker")


# --- what is there ----------------------------------------------------------------------------------------------------


def test_a_server_or_a_database_that_is_not_there_is_refused_quickly(postgres: Cluster, server: Server) -> None:
    for url, words in (
        ("postgresql://cloudsync@127.0.0.1:9/x", "Connection refused"),
        ("postgresql:///x?host=/nowhere", "No such file"),
        (postgres.url("nothing"), 'database "nothing" does not exist'),
    ):
        for use in (lambda place: State(place, CLOCK, writer="r"), Server.exists):
            with pytest.raises(RefusedError, match=rf"PRE-JOURNAL .*{words}"):
                use(replace(server, url=url))


def test_nothing_is_there_until_a_run_was(server: Server) -> None:
    assert not server.exists()
    State(server, CLOCK).close()
    assert server.exists()


def test_the_tables_of_another_program_are_left_alone(postgres: Cluster, server: Server) -> None:
    postgres.sql(f"CREATE SCHEMA {server.schema}; CREATE TABLE {server.schema}.op (theirs TEXT)")
    with pytest.raises(RefusedError, match=r"PRE-STATE .*another program"):
        State(server, CLOCK, writer="r")
    assert not server.exists()


def test_a_newer_schema_is_refused(postgres: Cluster, server: Server) -> None:
    State(server, CLOCK).close()
    postgres.sql("UPDATE cloudsync_schema SET version = 99", schema=server.schema)
    with pytest.raises(RefusedError, match=rf"PRE-STATE .*schema 99, this program knows {len(MIGRATIONS)}"):
        State(server, CLOCK)


def test_a_lost_table_is_refused(postgres: Cluster, server: Server) -> None:
    State(server, CLOCK, writer="r").close()
    postgres.sql(f"DROP TABLE {server.schema}.lease")
    with pytest.raises(RefusedError, match=r"PRE-STATE .*lease.* does not exist; restore the newest backup"):
        State(server, CLOCK, writer="s")


def test_a_schema_of_before_is_migrated_and_keeps_what_it_holds(postgres: Cluster, server: Server) -> None:
    tables = ["CREATE TABLE cloudsync_schema (application BIGINT PRIMARY KEY, version BIGINT NOT NULL)", *map(for_postgres, MIGRATIONS[0])]
    rows = ["INSERT INTO cloudsync_schema VALUES (x'636c7379'::bigint, 1)", "INSERT INTO note VALUES ('kept', '1')"]
    postgres.sql(f"CREATE SCHEMA {server.schema}", *tables, *rows, schema=server.schema)
    with State(server, CLOCK) as state:
        assert state.records.note("kept") == 1
        assert state.findings.findings() == ()
    State(server, CLOCK).close()


def test_two_that_open_it_first_make_the_tables_once(server: Server) -> None:
    told: list[str] = []

    def look() -> None:
        with State(server, CLOCK) as state:
            told.append(f"{state.audit.head().lines}")

    threads = [threading.Thread(target=look) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert told == ["0"] * 4


def test_columns_are_as_wide_as_in_sqlite_and_text_is_compared_byte_by_byte(server: Server) -> None:
    with State(server, CLOCK) as state:
        kinds = state._database.rows(
            "SELECT DISTINCT data_type AS kind, collation_name AS words FROM information_schema.columns WHERE table_schema = ?",
            server.schema,
        )
        assert {(row["kind"], row["words"]) for row in kinds} == {("bigint", None), ("double precision", None), ("text", "C")}
        for name in ("b", "B", "a", "Z", "ä", "_"):
            state.records.keep(name, name)
        names = [row["key"] for row in state._database.rows("SELECT key FROM note ORDER BY key")]
        assert names == sorted(names) != sorted(names, key=str.lower)


def test_what_a_server_cannot_keep_as_text_does_not_stop_a_run(server: Server) -> None:
    with State(server, CLOCK) as state:
        state.records.keep("a\0b", "c\0d")
        assert state.records.note("a\0b") == "c\0d"


# --- durable ----------------------------------------------------------------------------------------------------------


def test_commits_are_durable_whatever_the_role_says(postgres: Cluster, server: Server) -> None:
    postgres.sql("DROP ROLE IF EXISTS hasty")
    postgres.sql("CREATE ROLE hasty LOGIN SUPERUSER; ALTER ROLE hasty SET synchronous_commit = off")
    hasty = replace(server, url=server.url.replace("cloudsync@", "hasty@"))
    with State(hasty, CLOCK) as state:
        assert [row["synchronous_commit"] for row in state._database.rows("SHOW synchronous_commit")] == ["on"]
    postgres.sql("ALTER ROLE hasty SET synchronous_commit = remote_apply")
    with State(hasty, CLOCK) as state:
        assert [row["synchronous_commit"] for row in state._database.rows("SHOW synchronous_commit")] == ["remote_apply"]


def test_a_server_that_forgets_or_only_follows_is_refused(lonely: Cluster, tmp_path: Path) -> None:
    server = lonely.place(tmp_path)
    State(server, CLOCK, writer="r").close()
    lonely.sql("ALTER SYSTEM SET fsync = off")
    lonely.sql("SELECT pg_reload_conf()")
    with pytest.raises(RefusedError, match=r"PRE-JOURNAL .*fsync = off"):
        State(server, CLOCK).close()
    lonely.stop()
    (lonely.data / "standby.signal").touch()
    lonely.start()
    with pytest.raises(RefusedError, match=r"PRE-JOURNAL .*is a standby"):
        State(server, CLOCK)


def test_a_transaction_that_the_server_gave_up_is_no_success(server: Server) -> None:
    with State(server, CLOCK) as state, pytest.raises(RefusedError, match=r"PRE-JOURNAL .*rolled back"):
        give_up(state)


def give_up(state: State) -> None:
    """Swallow the error of a statement, and go on as if nothing had been."""
    with state._database.transaction() as transaction, suppress(Exception):
        transaction.execute("SELECT 1 / 0")


def test_an_old_copy_put_back_is_noticed(postgres: Cluster, server: Server) -> None:
    State(server, CLOCK, writer="run-1").close()
    State(server, CLOCK, writer="run-2").close()
    postgres.sql("DELETE FROM audit WHERE n > 1", schema=server.schema)
    with pytest.raises(RefusedError, match=r"PRE-STATE audit.jsonl knows 2 events, .*went backwards; restore the newest backup"):
        State(server, CLOCK, writer="run-3")


@contextmanager
def full(postgres: Cluster) -> Iterator[str]:
    """Make a database on a disk of its own that is nearly full; return its name. Skips where no disk can be mounted."""
    disk = postgres.folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small disk here")
    try:
        os.chown(disk, postgres.owner, -1)
        postgres.sql(f"CREATE TABLESPACE small LOCATION '{disk}'")
        postgres.sql("CREATE DATABASE small TABLESPACE small")
        yield "small"
    finally:
        if postgres.alive():
            postgres.stop()
        subprocess.run(["umount", disk], check=True)


def fill(state: State) -> tuple[int, str]:
    """Journal ops until one is refused; return how many were durable, and the refusal."""
    before = 0
    try:
        while True:
            state.journal.intend(op(state, before + 1))
            before += 1
    except RefusedError as error:
        return before, str(error)


def test_a_full_disk_means_no_intent_and_the_run_is_refused(lonely: Cluster, tmp_path: Path) -> None:
    with full(lonely) as database:
        server = lonely.place(tmp_path, database=database)
        with State(server, CLOCK, writer="run-1") as state:
            lonely.sql("CREATE TABLE ballast AS SELECT repeat(md5(n::text), 30) FROM generate_series(1, 4000) n", database=database)
            count, refused = fill(state)
            assert refused.startswith("PRE-JOURNAL")
            assert "No space left" in refused
            assert len(state.journal.open_ops("mem")) == count
            lonely.sql("DROP TABLE ballast", database=database)


# --- one at a time, and in time ---------------------------------------------------------------------------------------


def test_who_has_the_database_is_named_when_others_cannot_wait(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudsync.store.postgres.BUSY_MS", 50)
    with State(server, CLOCK) as one, State(server, CLOCK) as other, one._database.transaction():
        with pytest.raises(BusyError, match=rf"PRE-LOCK .*is locked by pid {os.getpid()} on {gethostname()[:20]}"):
            other.records.keep("a", 1)
        assert other.records.note("a") is None


def test_a_writer_whose_lock_went_to_another_session_stops(server: Server) -> None:
    with State(server, CLOCK, writer="run-1") as state:
        assert state.lease.lost() == ""
        state._database.rows("SELECT pg_advisory_unlock_all()")  # what a pooler does when it lends the session to somebody else
        assert state.lease.lost() == "the server gave the lock away"


def test_a_statement_that_takes_too_long_is_ended_by_the_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudsync.store.postgres.STATEMENT_MS", 100)
    with State(server, CLOCK) as state:
        with pytest.raises(RefusedError, match=r"PRE-JOURNAL .*statement timeout"):
            state._database.rows("SELECT pg_sleep(60)")
        assert state.records.note("a") is None


def test_a_server_that_says_nothing_is_not_waited_for(server: Server, postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    state = State(server, CLOCK, writer="run-1")
    pid = state._database.rows("SELECT pg_backend_pid() AS pid")[0]["pid"]
    assert pid in postgres.processes()
    monkeypatch.setattr("cloudsync.store.postgres.ANSWER_S", 0.3)
    os.kill(pid, signal.SIGSTOP)
    try:
        assert "no answer" in state.lease.lost()
        with pytest.raises(RefusedError, match=r"PRE-JOURNAL .*connection is closed"):
            state.close()
    finally:
        os.kill(pid, signal.SIGCONT)


def dawdle(state: State) -> None:
    """Write two notes in one transaction, and fall asleep between them until the server has had enough."""
    database: Any = state._database
    with database.transaction() as slow:
        slow.execute("INSERT INTO note (key, document) VALUES ('slow', '1')")
        assert select.select([database._connection.fileno()], [], [], 30)[0]
        slow.execute("INSERT INTO note (key, document) VALUES ('slower', '1')")


def test_a_process_that_sleeps_in_a_transaction_blocks_nobody_for_long(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudsync.store.postgres.IDLE_MS", 100)
    state = State(server, CLOCK)
    with pytest.raises(RefusedError, match=r"PRE-JOURNAL .*(idle-in-transaction|connection)"):
        dawdle(state)
    state.close()
    with State(server, CLOCK) as other:
        assert other.records.note("slow") is None
