"""The port to the database: the SQL that SQLite and PostgreSQL share, in durable transactions, with errors in our words.

Statements are written once for both: `?` for values, `ON CONFLICT` for what may be there, no `rowid`, numbers for truth, no `%`. What
differs all the same is the matter of `cloudsync.store.sqlite` and `cloudsync.store.postgres`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

Cell: TypeAlias = Any
"""What a column holds: int, float, str or None; which of them, `cloudsync.store.schema` says."""


class Row(Protocol):
    """A row, by the names of its columns."""

    def __getitem__(self, name: str, /) -> Cell:
        """Return a column."""

    def keys(self) -> Iterable[str]:
        """Return the names."""


class Result(Protocol):
    """What a statement brought."""

    @property
    def rowcount(self) -> int:
        """How many rows it wrote."""

    def fetchone(self) -> Row | None:
        """Return the next row, None when there is none."""

    def fetchall(self) -> Sequence[Row]:
        """Return the rows that are left."""


class Transaction(Protocol):
    """A running transaction. Transactions that write come one after the other: each sees all that the ones before it wrote."""

    def execute(self, query: str, values: Sequence[object] = (), /) -> Result:
        """Run a statement."""

    def insert(self, query: str, values: Sequence[object], /) -> int:
        """Run an INSERT into a table that counts its `id` up, and return the new one."""


class Database(Protocol):
    """An open database. Every method raises BusyError PRE-LOCK while another process has it, or RefusedError.

    PRE-STATE: what is there is not what we left. PRE-JOURNAL: it cannot be reached, or says no, so that nothing may be written anywhere.
    """

    @property
    def advice(self) -> str:
        """What to do when what is there cannot be used."""

    def close(self) -> None:
        """Close it."""

    def rows(self, query: str, *values: object) -> Sequence[Row]:
        """Return the rows of a query."""

    def row(self, query: str, *values: object) -> Row | None:
        """Return the first row of a query."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Run a block as one durable transaction: it took effect, and will after a power cut, exactly when this returns."""


class Lock(Protocol):
    """Held by one run that writes at a time."""

    def acquire(self, now: float, /) -> None:
        """Take it or raise BusyError with its holder. `now`: UTC seconds since the epoch."""

    def lost(self) -> str:
        """Return why it is not ours any more; empty while it is."""

    def release(self) -> None:
        """Give it back."""
