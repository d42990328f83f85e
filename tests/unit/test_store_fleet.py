"""What workers share: locks and leases per target, the newest policy, buckets."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from cloudsync.model.bucket import Bucket, BucketKey, Limit
from cloudsync.model.errors import BusyError, RefusedError
from cloudsync.store.buckets import SharedLevels
from cloudsync.store.lease import PART_LIFE_S, Claim
from cloudsync.store.place import Server
from cloudsync.store.state import State
from cloudsync.testing.clock import SimulatedClock
from tests.acting.servers import Cluster

ONE, TWO, BOTH = Claim("run-1", ("one",), PART_LIFE_S), Claim("run-2", ("two",), PART_LIFE_S), Claim("run-3", ("two", "one"), PART_LIFE_S)


@pytest.fixture
def server(postgres: Cluster, tmp_path: Path) -> Server:
    return postgres.place(tmp_path)


def test_runs_at_different_targets_go_on_beside_each_other(server: Server) -> None:
    clock = SimulatedClock()
    with State(server, clock, writer=ONE) as one, State(server, clock, writer=TWO) as two:
        assert (one.lease.lost(), two.lease.lost()) == ("", "")
        assert one.lease.generation < two.lease.generation


@pytest.mark.parametrize("second", [ONE, BOTH, "run-4"])
def test_nobody_is_beside_a_run_at_a_target_of_theirs(server: Server, second: Claim | str) -> None:
    clock = SimulatedClock()
    with State(server, clock, writer=ONE) as one:
        with pytest.raises(BusyError, match="another run holds"):
            State(server, clock, writer=second)
        assert one.lease.lost() == ""
    with State(server, clock, writer=second) as later:
        assert later.lease.lost() == ""


def test_a_run_that_may_write_everywhere_keeps_all_others_out(server: Server) -> None:
    clock = SimulatedClock()
    with State(server, clock, writer="run-1"), pytest.raises(BusyError, match="another run holds"):
        State(server, clock, writer=ONE)


def test_an_overtaken_run_may_not_even_write_down_an_intent_and_others_may(server: Server, postgres: Cluster) -> None:
    clock = SimulatedClock()
    with State(server, clock, writer=ONE) as one, State(server, clock, writer=TWO) as two:
        postgres.sql("UPDATE lease SET generation = 99 WHERE name = 'target/one'", schema=server.schema)
        assert "newer writer" in one.lease.lost()
        assert two.lease.lost() == ""
        postgres.sql("UPDATE lease SET generation = 98 WHERE name = 'target/one'", schema=server.schema)
        postgres.sql("INSERT INTO lease VALUES ('writer', 'x', 'y', 1, 100, 0)", schema=server.schema)
        assert "newer writer" in one.lease.lost()
        assert "newer writer" in two.lease.lost()


def test_a_lock_that_went_away_ends_the_right_to_write(server: Server, postgres: Cluster) -> None:
    taken: list[str] = []
    with suppress(RefusedError), State(server, SimulatedClock(), writer=ONE) as one:  # it cannot be given back any more
        query = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'"
        postgres.sql(query)
        assert one.lease.lost()
        with State(server, SimulatedClock(), writer=ONE) as other:
            taken.append(other.lease.lost())
        taken.append(one.lease.lost())
    assert taken[0] == "" != taken[1]


def test_a_lease_of_another_machine_is_waited_for_and_not_longer(server: Server) -> None:
    clock = SimulatedClock()
    State(server, clock, writer=ONE).close()
    with State(server, clock) as state, state._database.transaction() as connection:
        connection.execute("UPDATE lease SET host = 'elsewhere', expires = ?", (clock.now() + PART_LIFE_S,))
    with pytest.raises(BusyError, match="holds the lease"):
        State(server, clock, writer=ONE)
    State(server, clock, writer=TWO).close()
    clock.sleep(PART_LIFE_S + 1)
    State(server, clock, writer=ONE).close()


def test_who_was_there_before_is_known(server: Server) -> None:
    clock = SimulatedClock()
    State(server, clock, writer=ONE).close()
    State(server, clock, writer=TWO).close()
    with State(server, clock, writer=BOTH) as both:
        assert both.lease.before == ("run-1", "run-2")


def test_in_a_file_there_is_one_writer_as_ever(tmp_path: Path) -> None:
    place, clock = tmp_path / "state" / "state.db", SimulatedClock()
    with State(place, clock, writer=ONE), pytest.raises(BusyError):
        State(place, clock, writer=TWO)


def test_the_newest_policy_is_set_by_whoever_knows_the_last_one(server: Server) -> None:
    with State(server, SimulatedClock()) as state:
        assert state.fleet.policy() == ""
        assert state.fleet.advance("", "a")
        assert not state.fleet.advance("", "b")
        assert state.fleet.advance("a", "b")
        assert state.fleet.policy() == "b"


def limit(account: str) -> Limit:
    return Limit(BucketKey("aws", account, "eu-1", "mutating"), Bucket(5.0, 0.001))


def test_all_sessions_draw_from_the_same_bucket(server: Server, postgres: Cluster) -> None:
    first, second = SharedLevels(server), SharedLevels(server)
    try:
        assert [one.book(limit("1")) for one in (first, second, first, second, first)] == [0.0] * 5
        assert 900 < second.delay(limit("1")) <= 1000
        assert 900 < second.book(limit("1")) <= 1000
        assert 1900 < first.book(limit("1")) <= 2000
        assert first.book(limit("2")) == 0.0
        first.lower(limit("2"), -1.0)
        assert 1900 < second.delay(limit("2")) <= 2000
        postgres.sql("UPDATE bucket SET at = at - 3000", schema=server.schema)
        assert second.delay(limit("2")) == 0.0
        first.lower(limit("3"), 0.0)
        assert 900 < second.delay(limit("3")) <= 1000
    finally:
        first.close()
        second.close()


def test_an_older_program_refuses_a_newer_schema(server: Server, postgres: Cluster) -> None:
    State(server, SimulatedClock()).close()
    postgres.sql("UPDATE cloudsync_schema SET version = version + 1", schema=server.schema)
    with pytest.raises(RefusedError, match="this program knows"):
        State(server, SimulatedClock())
