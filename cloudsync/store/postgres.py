"""State on a PostgreSQL server, shared by several machines; imported only where the settings name one.

One session per open state. It never connects again by itself: when it breaks, the lock it held is gone, and whoever wrote has to stop.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from socket import gethostname
from typing import TypeVar

from cloudsync.model.bucket import Limit
from cloudsync.model.errors import BusyError, RefusedError
from cloudsync.model.quick import dataclass
from cloudsync.store.database import Cell, Row, Transaction
from cloudsync.store.place import SCHEMA, Server
from cloudsync.store.schema import APPLICATION, MIGRATIONS, for_postgres

try:
    import psycopg
    from psycopg.abc import PQGen
    from psycopg.rows import DictRow, dict_row
except ImportError as error:
    raise RefusedError(
        "PRE-STATE", f"state on a server needs psycopg, which cannot be loaded: {error}", "pip install 'cloudsync[postgres]'"
    ) from error

VERSION = "cloudsync_schema"
"""The table with one row: the version of the others. It also tells our schemas from other programs'."""
CONNECT_S = 10
BUSY_MS = 5000
"""How long a statement waits for a lock."""
TURN_MS = 1000
"""How long a run waits for the writer's lock: the server needs a moment to notice that a client was killed."""
STATEMENT_MS = 30_000
IDLE_MS = 60_000
"""A transaction that says nothing for so long is ended by the server, so that a paused process blocks nobody."""
ANSWER_S = 45.0
"""How long we wait for any answer; longer than all of the above, for a server that is not there to keep its own times."""
TICK_S = 0.1
KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 30_000}
_TURNS, _WRITER = APPLICATION, APPLICATION + 1
"""The upper halves of our advisory locks; the lower half is the schema's oid."""
_BUSY = frozenset(["55P03", "40001", "40P01"])
_NOT_OURS = ("XX001", "XX002", "42", "22P05", "23")
"""Damage, tables or columns that are not as we made them, text that the server cannot keep, and rows that contradict each other;
https://www.postgresql.org/docs/current/errcodes-appendix.html. 42501 is a right that we lack."""
_SETTINGS = """SELECT set_config('search_path', %s, false), set_config('statement_timeout', %s, false),
    set_config('lock_timeout', %s, false), set_config('idle_in_transaction_session_timeout', %s, false),
    set_config('client_min_messages', 'warning', false), set_config('synchronous_commit',
        CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)"""
_KEYS = 0xFFFF_FFFF
_TAKE = {False: "SELECT pg_advisory_lock(%s)", True: "SELECT pg_advisory_lock_shared(%s)"}
_GIVE_BACK = {False: "SELECT pg_advisory_unlock(%s)", True: "SELECT pg_advisory_unlock_shared(%s)"}
_MODE = {False: "ExclusiveLock", True: "ShareLock"}
_HOLDER = """SELECT a.application_name AS name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.classid = %s AND l.objid = %s
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
_DRAW = """INSERT INTO bucket AS k (platform, account, region, api_class, capacity, per_s, tokens, at)
    VALUES (%(platform)s, %(account)s, %(region)s, %(api_class)s, %(size)s, %(refill)s,
        least(%(size)s::float8, %(most)s::float8) - %(take)s::float8, extract(epoch FROM clock_timestamp()))
    ON CONFLICT (platform, account, region, api_class) DO UPDATE SET
        tokens = least(excluded.capacity, %(most)s::float8,
            k.tokens + excluded.per_s * greatest(0, extract(epoch FROM clock_timestamp())::float8 - k.at)) - %(take)s::float8,
        at = greatest(k.at, extract(epoch FROM clock_timestamp())::float8), capacity = excluded.capacity, per_s = excluded.per_s
    RETURNING tokens"""
"""The row is locked before the values are computed: whoever waited for it sees the moment when it came to its turn."""
T = TypeVar("T")


class _Connection(psycopg.Connection[DictRow]):
    """A connection that gives up on a server which does not answer."""

    def wait(self, gen: PQGen[T], interval: float = TICK_S, timeout: float | None = None) -> T:
        """Wait for an answer. Raises OperationalError, and the connection is of no more use, when none comes for long."""
        limit = ANSWER_S if timeout is None else min(timeout, ANSWER_S)
        try:
            return super().wait(_patient(gen, int(limit / interval)), interval)
        except _SilentError as error:
            self.close()
            raise psycopg.OperationalError(f"no answer for {limit:.0f} s") from error


class _SilentError(Exception):
    """Nobody answered."""


def _patient(gen: PQGen[T], ticks: int) -> PQGen[T]:
    """Run what waits for a socket. Raises _SilentError when nothing came for so many intervals of waiting."""
    silent = 0
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            silent = 0 if ready else silent + 1
            if silent > ticks:
                raise _SilentError
            wanted = gen.send(ready)
    except StopIteration as done:
        answer: T = done.value
        return answer


@dataclass(frozen=True, slots=True)
class Held:
    """An advisory lock. `target`: empty for the one on the whole schema."""

    key: int
    target: str
    shared: bool = False


class PostgresDatabase:
    """One session; the port `cloudsync.store.database`. A transaction that returned is on the server's disk. Threads take turns."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.advice = (
            f"restore the newest backup, or start anew with another ?schema= and {server.folder / 'audit.jsonl'} moved aside: "
            "ownership is found again from the marks"
        )
        self._one = threading.RLock()
        self._warnings: list[str] = []
        with self._in_our_words():
            self._connection = _connect(server)
            self._connection.add_notice_handler(lambda said: self._warnings.append(said.message_primary or ""))
            try:
                self._space = self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """End the session."""
        self._connection.close()

    def rows(self, query: str, *values: object) -> Sequence[Row]:
        """Return the rows of a query."""
        with self._one, self._in_our_words():
            return _run(self._connection, query, values).fetchall()

    def row(self, query: str, *values: object) -> Row | None:
        """Return the first row of a query."""
        return next(iter(self.rows(query, *values)), None)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Run a block as one durable transaction: it took effect, and will after a power cut, exactly when this returns."""
        with self._one, self._in_our_words():
            try:
                self._begin(_key(_TURNS, self._space))
                yield _PostgresTransaction(self._connection)
                self._commit()
            except BaseException:
                with suppress(psycopg.Error):
                    self._connection.execute("ROLLBACK")
                raise

    # --- the writer's lock -------------------------------------------------------------------------------------------

    def locks(self, targets: Iterable[str] = ()) -> tuple[Held, ...]:
        """Return the locks of a run that may write to some targets alone, or, without any, everywhere; in the order to take them in.

        The first is shared by all of the former and belongs to one of the latter, so that neither is ever beside the other.
        """
        found = [Held(_key(_WRITER, self._space), "", shared=bool(tuple(targets)))]
        with self._one, self._in_our_words():
            for target in sorted(set(targets)):
                row = self._connection.execute("SELECT hashtextextended(%s, %s) AS key", (target, self._space)).fetchone()
                assert row is not None, "a SELECT without FROM has one row"
                found.append(Held(int(row["key"]), target))
        return tuple(found)

    def take(self, lock: Held) -> None:
        """Take a lock for this session. Raises BusyError with its holder."""
        what = f"target {lock.target} of {{place}}" if lock.target else "{place}"
        with self._one, self._in_our_words(f"another run holds {what}: {{holder}}", lock.key):
            try:
                self._connection.execute("SELECT set_config('lock_timeout', %s, false)", (str(TURN_MS),))
                self._connection.execute(_TAKE[lock.shared], (lock.key,))
            finally:
                with suppress(psycopg.Error):
                    self._connection.execute("SELECT set_config('lock_timeout', %s, false)", (str(BUSY_MS),))

    def holds(self, *locks: Held) -> bool:
        """Tell whether this session holds some locks. It asks the server: a pooler in between may have changed sessions."""
        query = _HOLDER + " AND l.pid = pg_backend_pid() AND l.mode = %s"
        with self._one, self._in_our_words():
            wanted = ((*_halves(one.key), _MODE[one.shared]) for one in locks)
            return all(self._connection.execute(query, values).fetchone() is not None for values in wanted)

    def give_back(self, lock: Held) -> None:
        """Give a lock back; when the server cannot be told, it has noticed."""
        with self._one, suppress(psycopg.Error):
            self._connection.execute(_GIVE_BACK[lock.shared], (lock.key,))

    # --- quotas that are shared --------------------------------------------------------------------------------------

    def draw(self, limit: Limit, take: float, most: float) -> float:
        """Refill a bucket, leave at most `most` in it and take some out; return what is left, below zero when it was booked ahead."""
        with self._one, self._in_our_words():
            key, bucket = limit.key, limit.bucket
            name = {"platform": key.platform, "account": key.account, "region": key.region, "api_class": key.api_class}
            row = self._connection.execute(
                _DRAW, {**name, "size": bucket.size, "refill": bucket.refill, "take": take, "most": most}
            ).fetchone()
            assert row is not None, "what was written is returned"
            return float(row["tokens"])

    # --- inside ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _in_our_words(self, busy: str = "{place} is locked by {holder}", lock: int | None = None) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            state = error.sqlstate or ""
            words = f"{self.server}: {_words(error)}"
            if state in _BUSY:
                raise BusyError("PRE-LOCK", busy.format(place=self.server, holder=self._holder(lock)), "wait for it") from error
            if state.startswith(_NOT_OURS) and state != "42501":
                raise RefusedError("PRE-STATE", words, self.advice) from error
            raise RefusedError("PRE-JOURNAL", words, "nothing is written without a durable journal") from error

    def _holder(self, lock: int | None) -> str:
        try:
            found = self._connection.execute(_HOLDER, _halves(_key(_TURNS, self._space) if lock is None else lock)).fetchall()
        except (psycopg.Error, AttributeError):  # not so far that the schema was known
            found = []
        names = [str(row["name"]).removeprefix("cloudsync ") for row in found if row["name"]]
        return names[0] if names else "another process"

    def _begin(self, key: int) -> None:
        """Begin a transaction in its turn: what others committed before is seen by every statement after the lock."""
        self._connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
        self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (key,))

    def _commit(self) -> None:
        self._warnings.clear()
        done = self._connection.execute("COMMIT").statusmessage
        if done != "COMMIT":
            raise psycopg.OperationalError("the transaction was rolled back")
        if self._warnings:
            # The server stopped waiting for a standby that it is set up to wait for.
            raise psycopg.OperationalError(self._warnings[0])

    def _prepare(self) -> int:
        """Check and bring up the tables; return the oid of their schema."""
        self._connection.execute(_SETTINGS, (self.server.schema, str(STATEMENT_MS), str(BUSY_MS), str(IDLE_MS)))
        self._check_server()
        version = _version(self._connection, self.server)
        if version < len(MIGRATIONS):
            self._migrate()
        row = self._connection.execute("SELECT oid FROM pg_namespace WHERE nspname = %s", (self.server.schema,)).fetchone()
        assert row is not None, "the schema was made"
        return int(row["oid"])

    def _check_server(self) -> None:
        row = self._connection.execute(
            "SELECT current_setting('server_encoding') AS encoding, current_setting('fsync') AS fsync, pg_is_in_recovery() AS standby"
        ).fetchone()
        assert row is not None, "a SELECT without FROM has one row"
        if row["encoding"] != "UTF8":
            raise RefusedError("PRE-STATE", f"{self.server} keeps text as {row['encoding']}", "make the database with encoding UTF8")
        if row["standby"]:
            raise RefusedError("PRE-JOURNAL", f"{self.server} is a standby and takes no writes", "name the primary in `state:`")
        if row["fsync"] != "on":
            raise RefusedError("PRE-JOURNAL", f"{self.server} runs with fsync = off: it may forget what it confirmed", "set fsync = on")

    def _migrate(self) -> None:
        run = self._connection.execute
        self._begin(_key(_TURNS, 0))
        version = _version(self._connection, self.server)
        if version < 0:
            run(f"CREATE SCHEMA {self.server.schema}")
        if version <= 0:
            run(f"CREATE TABLE IF NOT EXISTS {self.server.schema}.{VERSION} (application BIGINT PRIMARY KEY, version BIGINT NOT NULL)")
        for script in MIGRATIONS[max(version, 0) :]:
            for statement in script:
                _run(self._connection, for_postgres(statement), ())
        values = (APPLICATION, len(MIGRATIONS))
        run(
            "INSERT INTO cloudsync_schema VALUES (%s, %s) ON CONFLICT (application) DO UPDATE SET version = excluded.version",
            values,
        )
        self._commit()


class _PostgresTransaction:
    """Statements inside a transaction."""

    __slots__ = ("_connection",)

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def execute(self, query: str, values: Sequence[object] = (), /) -> psycopg.Cursor[DictRow]:
        """Run a statement."""
        return _run(self._connection, query, values)

    def insert(self, query: str, values: Sequence[object], /) -> int:
        """Run an INSERT and return the new id."""
        row = _run(self._connection, query + " RETURNING id", values).fetchone()
        assert row is not None, "an INSERT has a row id"
        return int(row["id"])


class ServerLock:
    """One run that writes per schema, or per target, by advisory locks: the server drops them when the session ends, however it ends."""

    def __init__(self, database: PostgresDatabase, targets: Iterable[str] = ()) -> None:
        self._database, self._targets = database, tuple(targets)
        self._taken: list[Held] = []

    def acquire(self, _now: float, /) -> None:
        """Take the locks, all or none, or raise BusyError with the holder of one."""
        try:
            for lock in self._database.locks(self._targets):
                self._database.take(lock)
                self._taken.append(lock)
        except BaseException:
            self.release()
            raise

    def lost(self) -> str:
        """Return why a lock is not ours any more; empty while all are."""
        if not self._taken:
            return "the lock was released"
        try:
            return "" if self._database.holds(*self._taken) else "the server gave the lock away"
        except RefusedError as error:
            return error.message

    def release(self) -> None:
        """Give the locks back, the last one first."""
        while self._taken:
            self._database.give_back(self._taken.pop())


def is_there(server: Server) -> bool:
    """Tell whether our tables are there. Raises RefusedError PRE-JOURNAL when the server cannot be asked."""
    try:
        with _connect(server) as connection:
            row = connection.execute("SELECT to_regclass(%s) AS there", (f"{server.schema}.{VERSION}",)).fetchone()
            return row is not None and row["there"] is not None
    except psycopg.Error as error:
        raise RefusedError("PRE-JOURNAL", f"{server}: {_words(error)}", "nothing is written without a durable journal") from error


def _connect(server: Server) -> _Connection:
    wanted: dict[str, Cell] = {
        **KEEPALIVE,
        "application_name": f"cloudsync pid {os.getpid()} on {gethostname()}"[:63],
        "client_encoding": "utf8",
    }
    if server.password:
        wanted["password"] = server.password
    if "connect_timeout=" not in server.url:
        wanted["connect_timeout"] = CONNECT_S
    # Statements are not kept on the server: they are few, and a table may get a column from a newer program meanwhile.
    return _Connection.connect(server.url, autocommit=True, prepare_threshold=None, row_factory=dict_row, **wanted)


def _version(connection: _Connection, server: Server) -> int:
    """Return the version of the tables: 0 in an empty schema, -1 without one. Raises RefusedError for others' or newer ones."""
    query = "SELECT oid, has_schema_privilege(oid, 'USAGE') AS open FROM pg_namespace WHERE nspname = %s"
    space = connection.execute(query, (server.schema,)).fetchone()
    if space is None:
        return -1
    if not space["open"]:  # its tables would look as if they were not there
        raise RefusedError("PRE-JOURNAL", f"{server}: permission denied for schema {server.schema}", "grant it to the role of the URL")
    there = connection.execute("SELECT relname FROM pg_class WHERE relnamespace = %s", (space["oid"],)).fetchall()
    names = {row["relname"] for row in there}
    if not names:
        return 0
    row = None
    if VERSION in names:
        row = connection.execute("SELECT version FROM cloudsync_schema WHERE application = %s", (APPLICATION,)).fetchone()
    if row is None:
        hint = "name another one: ?schema=NAME" if server.schema == SCHEMA else f"name another one, or leave it to {SCHEMA}"
        raise RefusedError("PRE-STATE", f"{server}: the schema holds tables of another program", hint)
    version = int(row["version"])
    if version > len(MIGRATIONS):
        message = f"{server} has schema {version}, this program knows {len(MIGRATIONS)}"
        raise RefusedError("PRE-STATE", message, "use the newer program again")
    return version


def _key(upper: int, lower: int) -> int:
    return upper << 32 | lower


def _halves(key: int) -> tuple[int, int]:
    """Return the two numbers that the server shows for the key of a lock."""
    return key >> 32 & _KEYS, key & _KEYS


@lru_cache(maxsize=256)
def _translated(query: str) -> bytes:
    assert "%" not in query, "the statements of both databases hold no percent sign"
    return query.replace("?", "%s").encode()


def _run(connection: _Connection, query: str, values: Sequence[object]) -> psycopg.Cursor[DictRow]:
    return connection.execute(_translated(query), tuple(map(_value, values)))


def _value(value: object) -> object:
    """Return a value as the server takes it: its text cannot hold NUL, which no name or reason of ours does on purpose."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def _words(error: psycopg.Error) -> str:
    """Return the first line of what the server, or the way to it, said."""
    text = error.diag.message_primary or str(error)
    return " ".join(text.split("\n", 1)[0].split()) or type(error).__name__
