"""Writers of some targets alone, beside writers of others: leases per target, generations over all, and a fence at each target."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.adapter import Effect, Step
from cloudsync.model.errors import BusyError, RefusedError
from cloudsync.plan.journal import Op, Writer
from cloudsync.store.database import Database
from cloudsync.store.lease import LIFE_S, PART_LIFE_S, WHOLE, Claim, StoreLease, part_name
from cloudsync.store.state import State
from cloudsync.testing.clock import START, SimulatedClock
from tests.acting.folders import tmp_path

__all__ = ["tmp_path"]

STEP = Step("k", "Act", "mem/one", "sg-1", "do it", Effect.GROWS, "{}", mark="m")


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def state(tmp_path: Path, clock: SimulatedClock) -> Iterator[State]:
    with State(tmp_path / "state" / "state.db", clock) as one:
        yield one


def lease(state: State, clock: SimulatedClock, *targets: str, life_s: float = 80.0) -> StoreLease:
    return StoreLease(state._database, clock, str, life_s, targets)


def execute(state: State, query: str, *values: object) -> None:
    with state._database.transaction() as connection:
        connection.execute(query, values)


def elsewhere(state: State) -> None:
    """Let every lease be held on another machine."""
    execute(state, "UPDATE lease SET host = 'elsewhere', pid = 7")


def held(database: Database) -> dict[str, tuple[str, int, float]]:
    return {row["name"]: (row["holder"], row["generation"], row["expires"]) for row in database.rows("SELECT * FROM lease ORDER BY name")}


def op(target: str, generation: int) -> Op:
    return Op("run", generation, target, "d" * 64, 1, 1, STEP, 0.0, 1.0)


def test_a_claim_names_its_leases_in_one_order() -> None:
    assert Claim("r").names == (WHOLE,) == ("writer",)
    assert Claim("r", ("b", "a", "b")).names == ("target/a", "target/b") == (part_name("a"), part_name("b"))
    assert (Claim("r").life_s, Claim("r").targets, LIFE_S, PART_LIFE_S) == (LIFE_S, (), 300.0, 20.0)


def test_writers_of_different_targets_stand_beside_each_other(state: State, clock: SimulatedClock) -> None:
    first, second = lease(state, clock, "b", "a"), lease(state, clock, "c", life_s=40.0)
    first.acquire("run-1")
    elsewhere(state)
    second.acquire("run-2")
    assert (first.partial, second.partial, lease(state, clock).partial) == (True, True, False)
    assert (first.generation, second.generation, first.life_s) == (1, 2, 80.0)
    assert held(state._database) == {
        "target/a": ("run-1", 1, START + 80),
        "target/b": ("run-1", 1, START + 80),
        "target/c": ("run-2", 2, START + 40),
    }
    assert first.lost() == second.lost() == ""
    lines = [json.loads(line) for line in state.audit.lines()]
    assert [line.get("targets") for line in lines] == [["a", "b"], ["c"]]


@pytest.mark.parametrize(("mine", "theirs"), [(("a",), ("a", "b")), (("a",), ()), ((), ("a",)), ((), ())])
def test_who_would_write_to_the_same_waits_for_the_other_machine(
    state: State, clock: SimulatedClock, mine: tuple[str, ...], theirs: tuple[str, ...]
) -> None:
    lease(state, clock, *theirs).acquire("run-1")
    elsewhere(state)
    with pytest.raises(BusyError, match=r"^PRE-LOCK run-1 on elsewhere \(pid 7\) holds the lease for 80 s more; wait for it$"):
        lease(state, clock, *mine).acquire("run-2")
    clock.advance(80)
    follower = lease(state, clock, *mine)
    follower.acquire("run-2")
    assert follower.generation == 2


def test_on_this_machine_the_lock_decides_and_whoever_is_followed_is_remembered(state: State, clock: SimulatedClock) -> None:
    lease(state, clock, "a").acquire("run-1")
    lease(state, clock, "b").acquire("run-2")
    follower = lease(state, clock, "a", "b", "c")
    follower.acquire("run-3")
    assert follower.before == ("run-1", "run-2")
    whole = lease(state, clock)
    whole.acquire("run-4")
    assert (whole.before, whole.generation) == ((), 4)
    again = lease(state, clock)
    again.acquire("run-5")
    assert again.before == ("run-4",)


def test_a_newer_writer_of_the_same_target_by_either_way_ends_the_right_of_the_older(state: State, clock: SimulatedClock) -> None:
    part, whole = lease(state, clock, "a", "b"), lease(state, clock)
    part.acquire("run-1")
    whole.acquire("run-2")
    assert part.lost() == "a newer writer took over (generation 2, we are 1)"
    again = lease(state, clock, "b")
    again.acquire("run-3")
    assert whole.lost() == "a newer writer took over (generation 3, we are 2)"
    assert again.lost() == ""
    other = lease(state, clock, "z")
    other.acquire("run-4")
    assert again.lost() == "", "another target is no matter of ours"
    execute(state, "DELETE FROM lease")
    assert again.lost() == "a newer writer took over (generation 0, we are 3)"


def test_a_lease_on_several_targets_is_renewed_and_given_back_as_a_whole(state: State, clock: SimulatedClock) -> None:
    part = lease(state, clock, "a", "b")
    part.acquire("run-1")
    clock.advance(11)
    assert part.lost() == ""
    assert {expires for _, _, expires in held(state._database).values()} == {START + 91}
    part.release()
    assert {expires for _, _, expires in held(state._database).values()} == {0}
    part.acquire("run-2")
    execute(state, "UPDATE lease SET generation = 9, expires = 5 WHERE name = 'target/b'")
    assert part._renew(clock.monotonic()) == "a newer writer took over"
    part.release()
    assert held(state._database)["target/b"] == ("run-2", 9, 5)


@pytest.mark.parametrize(("left", "busy"), [(LIFE_S, True), (LIFE_S + 0.5, False)])
def test_a_part_gives_way_to_any_lease_that_can_be_alive(state: State, clock: SimulatedClock, left: float, *, busy: bool) -> None:
    """A lease on some targets is short; the one on everything that it meets may live longer."""
    lease(state, clock, life_s=LIFE_S).acquire("run-1")
    elsewhere(state)
    execute(state, "UPDATE lease SET expires = ?", START + left)
    part = lease(state, clock, "a", life_s=PART_LIFE_S)
    if busy:
        with pytest.raises(BusyError, match="300 s more"):
            part.acquire("run-2")
        return
    part.acquire("run-2")
    assert part.generation == 2


def test_the_journal_takes_intents_for_a_target_from_its_newest_writer_alone(state: State, clock: SimulatedClock) -> None:
    first, second = lease(state, clock, "a"), lease(state, clock, "b")
    first.acquire("run-1")
    second.acquire("run-2")
    assert state.journal.intend(op("a", 1)) < state.journal.intend(op("b", 2))
    for target, generation, newest in (("a", 2, 1), ("b", 1, 2), ("c", 2, 0), ("c", 0, 0)):
        with pytest.raises(RefusedError, match=f"^PRE-LOCK a newer writer took over: generation {newest}, we are {generation}$"):
            state.journal.intend(op(target, generation))
        with pytest.raises(RefusedError, match="a newer writer took over"):
            state.journal.adopt(target, (), Writer("run", generation, 0.0))
    whole = lease(state, clock)
    whole.acquire("run-3")
    state.journal.intend(op("c", 3))
    with pytest.raises(RefusedError, match="generation 3, we are 1"):
        state.journal.intend(op("a", 1))
    assert [left.op.target for left, _ in state.journal.ops()] == ["a", "b", "c"]
