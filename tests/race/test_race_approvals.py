"""Approvals that two runs use at the same time, at different targets: whoever comes between, neither loses the other's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

import pytest

from cloudsync.store.database import Database, Row, Transaction
from cloudsync.store.place import Place
from cloudsync.store.records import Records
from cloudsync.store.state import open_database

STATEMENTS = 4
"""More than a use of an approval asks of the database."""


@dataclass
class Interrupted:
    """A database before whose n-th statement or transaction somebody else comes by, once."""

    inner: Database
    left: int
    other: Callable[[], None]
    came: bool = False

    @property
    def advice(self) -> str:
        return self.inner.advice

    def close(self) -> None:
        self.inner.close()

    def rows(self, query: str, *values: object) -> Sequence[Row]:
        self._pass()
        return self.inner.rows(query, *values)

    def row(self, query: str, *values: object) -> Row | None:
        self._pass()
        return self.inner.row(query, *values)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        self._pass()
        with self.inner.transaction() as connection:
            yield connection

    def _pass(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.came = True
            self.other()


@pytest.mark.parametrize("number", range(1, STATEMENTS + 1))
def test_two_runs_that_use_an_approval_each_keep_both(place: Place, number: int) -> None:
    with closing(open_database(place)) as here, closing(open_database(place)) as there:
        meanwhile = Interrupted(here, number, lambda: Records(there).use("b" * 64, "run-b"))
        Records(meanwhile).use("a" * 64, "run-a")
        assert meanwhile.came or number > 1
        assert Records(here).used() == {"a" * 64, "b" * 64} if meanwhile.came else {"a" * 64}


def test_what_earlier_versions_noted_stays_used(place: Place) -> None:
    with closing(open_database(place)) as here:
        records = Records(here)
        records.keep("used-approvals", ["a" * 64])
        records.keep("used", 1)
        records.keep("used-approvalz", ["c" * 64])
        records.use("b" * 64, "run-b")
        assert records.used() == {"a" * 64, "b" * 64}
        with here.transaction() as connection:
            row = connection.execute("SELECT document FROM note WHERE key = ?", ("used-approvals",)).fetchone()
            assert row is not None
            assert json.loads(row["document"]) == ["a" * 64]


def test_more_than_any_list_would_hold_are_remembered(place: Place) -> None:
    with closing(open_database(place)) as here:
        digests = {f"{number:064x}" for number in range(300)}
        for digest in digests:
            Records(here).use(digest, "run")
        assert Records(here).used() == digests
