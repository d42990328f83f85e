"""Two writers of one target on a server, each for that target alone or for all: leases, the server's locks, sessions that are cut off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cloudsync.apply import ApplyResult, ApplyStatus
from cloudsync.model.errors import BusyError, RefusedError
from cloudsync.store.database import Database
from cloudsync.store.postgres import PostgresDatabase, ServerLock
from tests.acting.servers import Cluster
from tests.race.test_race_writers import FOREVER, Duel, Turns, fought, make_world

ONE = ("mem",)
WAYS = {"both for it alone": {"A": ONE, "B": ONE}, "the second for all": {"A": ONE}, "the first for all": {"B": ONE}}
"""Which targets each of the two claims."""


def duel(folder: Path, postgres: Cluster, plan: tuple[tuple[str, int], ...], claims: dict[str, tuple[str, ...]]) -> Duel:
    return fought(Duel(make_world(folder, postgres.place), Turns(*plan), claims=claims), plan)


def effects(folder: Path, postgres: Cluster) -> int:
    """Count the effects of one writer alone."""
    alone = Duel(make_world(folder, postgres.place), Turns(("A", FOREVER)), claims={"A": ONE, "B": ONE})
    alone.fight()
    return alone.turns.counts["A"]


@pytest.mark.parametrize("claims", WAYS.values(), ids=WAYS)
def test_whoever_was_overtaken_at_its_target_sends_no_more_than_the_call_it_was_in(
    tmp_path: Path, postgres: Cluster, claims: dict[str, tuple[str, ...]]
) -> None:
    total = effects(tmp_path / "alone", postgres)
    late = 0
    for pause in range(1, total):
        plan = (("A", pause), ("B", FOREVER))
        one = duel(tmp_path / str(pause), postgres, plan, claims)
        assert one.late() <= 1, plan
        late += one.late()
        result = one.results["A"]
        assert not isinstance(result, ApplyResult) or result.status is not ApplyStatus.DONE or pause >= total - 2
    assert 0 < late < total


@dataclass(slots=True)
class CutOff(Duel):
    """A duel with the server's locks. When B comes A holds them, until its session is ended, as by a network that broke."""

    cluster: Cluster | None = None
    sessions: dict[str, int] = field(default_factory=dict)
    kept_out: str = ""
    """What B heard before A was cut off."""

    def _lock(self, name: str, database: Database) -> Callable[[], str]:
        assert isinstance(database, PostgresDatabase)
        assert self.cluster is not None
        row = database.row("SELECT pg_backend_pid() AS pid")
        assert row is not None
        self.sessions[name] = int(row["pid"])
        lock = ServerLock(database, self.claims.get(name, ()))
        if name == "B" and "A" not in self.results:
            with pytest.raises(BusyError) as busy:
                lock.acquire(0.0)
            self.kept_out = busy.value.message
            self.cluster.sql(f"SELECT pg_terminate_backend({self.sessions['A']}, 10000)")
        lock.acquire(0.0)
        return lock.lost


@pytest.mark.parametrize("claims", WAYS.values(), ids=WAYS)
def test_whose_session_was_cut_off_writes_nothing_more_and_the_next_gets_in_at_once(
    tmp_path: Path, postgres: Cluster, claims: dict[str, tuple[str, ...]]
) -> None:
    total = effects(tmp_path / "alone", postgres)
    late = 0
    for pause in range(2, total, 5):
        plan = (("A", pause), ("B", FOREVER))
        one = CutOff(make_world(tmp_path / str(pause), postgres.place), Turns(*plan), claims=claims, cluster=postgres)
        fought(one, plan)
        assert "another run holds" in one.kept_out
        assert one.late() <= 1, plan
        late += one.late()
        result = one.results["A"]
        assert isinstance(result, RefusedError) or (isinstance(result, ApplyResult) and result.status is not ApplyStatus.DONE), (
            plan,
            result,
        )
    assert late < total
