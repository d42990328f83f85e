"""The SQLite file: opened with care, written durably, its errors in our words."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cloudsync.model.errors import BusyError, RefusedError
from cloudsync.store.database import Row, Transaction
from cloudsync.store.files import make_private
from cloudsync.store.schema import APPLICATION, MIGRATIONS

ASIDE = "restore the newest copy, or move the state directory aside to start anew: ownership is found again from the marks"
BUSY_MS = 5000
CHECKED_BYTES = 64 << 20
"""Files up to this size are checked for damage each time they are opened (about 1 ms per MB)."""


class _SqliteTransaction:
    """Statements inside a transaction."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, query: str, values: Sequence[object] = (), /) -> sqlite3.Cursor:
        """Run a statement."""
        return self._connection.execute(query, values)

    def insert(self, query: str, values: Sequence[object], /) -> int:
        """Run an INSERT and return the new id."""
        made = self._connection.execute(query, values).lastrowid
        assert made is not None, "an INSERT has a row id"
        return made


class SqliteDatabase:
    """One open state file, behind the port. WAL and synchronous=FULL: a transaction that returned survives a power cut."""

    advice = ASIDE

    def __init__(self, path: Path) -> None:
        self.path = path
        self._one = threading.RLock()  # threads take turns
        make_private(path)
        with self._in_our_words():
            self._connection = sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
            self._connection.row_factory = sqlite3.Row
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise
        self._transaction = _SqliteTransaction(self._connection)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def limit_pages(self, pages: int) -> None:
        """Forbid the file to grow beyond so many pages; how tests fill a disk."""
        self._connection.execute(f"PRAGMA max_page_count = {int(pages)}")

    def rows(self, query: str, *values: object) -> Sequence[Row]:
        """Return the rows of a query."""
        with self._one, self._in_our_words():
            return self._connection.execute(query, values).fetchall()

    def row(self, query: str, *values: object) -> Row | None:
        """Return the first row of a query."""
        return next(iter(self.rows(query, *values)), None)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Run a block as one durable transaction: it took effect, and will after a power cut, exactly when this returns."""
        with self._one, self._in_our_words():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._transaction
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            name = getattr(error, "sqlite_errorname", "") or ""
            if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise BusyError("PRE-LOCK", f"{self.path} is locked by another process", "wait for it") from error
            if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
                raise RefusedError("PRE-STATE", f"{self.path}: {error}", ASIDE) from error
            raise RefusedError("PRE-JOURNAL", f"{self.path}: {error}", "nothing is written without a durable journal") from error
        except sqlite3.DatabaseError as error:
            raise RefusedError("PRE-STATE", f"{self.path}: {error}", ASIDE) from error

    def _prepare(self) -> None:
        run = self._connection.execute
        application = run("PRAGMA application_id").fetchone()[0]
        version = run("PRAGMA user_version").fetchone()[0]
        tables = run("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application != APPLICATION and (application or version or tables):
            raise RefusedError("PRE-STATE", f"{self.path} is a database of another program", "set `state:` to a file of its own")
        if version > len(MIGRATIONS):
            message = f"{self.path} has schema {version}, this program knows {len(MIGRATIONS)}"
            raise RefusedError("PRE-STATE", message, "use the newer program again")
        if self.path.stat().st_size <= CHECKED_BYTES:
            verdict = run("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise RefusedError("PRE-STATE", f"{self.path} is damaged: {verdict}", ASIDE)
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run("PRAGMA foreign_keys = ON")
        if version < len(MIGRATIONS):
            self._migrate(version)

    def _migrate(self, version: int) -> None:
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        version = run("PRAGMA user_version").fetchone()[0]
        for script in MIGRATIONS[version:]:
            for statement in script:
                run(statement)
        run(f"PRAGMA application_id = {APPLICATION}")
        run(f"PRAGMA user_version = {len(MIGRATIONS)}")
        run("COMMIT")
