"""A whole state from one place to another: nothing is lost, nothing doubled, and only one of the two is written with afterwards."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest

from cloudsync.model.errors import BusyError, RefusedError
from cloudsync.plan.journal import OpState
from cloudsync.store import audit, postgres
from cloudsync.store.database import Database
from cloudsync.store.lease import Claim
from cloudsync.store.place import Place, Server
from cloudsync.store.records import EVERY_TARGET, Hold
from cloudsync.store.state import State, open_database
from cloudsync.store.transfer import OF_THE_QUEUE, TABLES, WHO, transfer
from cloudsync.testing.clock import SimulatedClock
from tests.acting.servers import Cluster
from tests.acting.world import World

WAYS = list(product(("sqlite", "postgresql"), repeat=2))


def place(kind: str, folder: Path, request: pytest.FixtureRequest) -> Place:
    if kind == "sqlite":
        return folder / "state" / "state.db"
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.place(folder)


@pytest.fixture
def used(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    """A state after two runs that wrote, with notes of people in it."""
    kind = getattr(request, "param", "sqlite")
    world = World(tmp_path / "old", places=lambda folder: place(kind, folder, request))
    world.run()
    with world.state() as state:
        state.records.hold(Hold("other", "ann", "café \N{SNOWMAN}", world.clock.now()))
        state.records.keep("used-approval/x", "run")
        state.fleet.greet(7, "1.0", 1, world.clock.now())
    return world


def content(database: Database) -> dict[str, list[dict[str, object]]]:
    """Return every row by table, in an order that both databases have."""
    found: dict[str, list[dict[str, object]]] = {}
    for table in TABLES:
        rows = database.rows("SELECT * FROM TABLE_".replace("TABLE_", table))
        columns = list(rows[0].keys()) if rows else []
        found[table] = sorted(
            ({column: row[column] for column in columns} for row in rows), key=lambda row: json.dumps(row, sort_keys=True)
        )
    return found


def rows_of(where: Place) -> dict[str, list[dict[str, object]]]:
    with closing(open_database(where)) as database:
        return content(database)


@pytest.mark.parametrize(("used", "kind"), WAYS, indirect=["used"], ids=str)
def test_everything_comes_there_and_the_next_run_goes_on_from_it(
    used: World, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    new = place(kind, tmp_path / "new", request)
    before = rows_of(used.place)
    copied = transfer(used.place, new, used.clock, "copy-1")
    there, here = rows_of(new), rows_of(used.place)
    assert there["worker"] == []
    for table in set(TABLES) - OF_THE_QUEUE - {"audit", "lease"}:
        assert there[table] == before[table], table
        assert copied.rows[table] == len(before[table]), table
    assert copied.rows["audit"] == copied.head.lines == len(before["audit"]) + 3, "a writer took it, held it, and let go of it"
    assert {row["who"] for row in here["hold"]} == {WHO, "ann"}
    assert {row["expires"] for row in there["lease"]} == {0.0}
    with State(new, used.clock) as state:
        assert state.audit.check() == copied.head
        assert set(state.audit.lines()[: len(before["audit"])]) == {row["line"] for row in before["audit"]}
        highest = max(one.id for one, _ in state.journal.ops())
    used.place = new
    used.platform.add_point("web9", "10.0.0.9", [])
    assert used.run().writes > 0
    used.audit()
    with State(new, used.clock) as state:
        assert max(one.id for one, _ in state.journal.ops()) > highest
        assert {one.state for one, _ in state.journal.ops()} == {OpState.DONE}


def test_the_old_state_lets_nobody_write_until_a_person_lifts_the_hold(used: World, tmp_path: Path) -> None:
    new = tmp_path / "new" / "state" / "state.db"
    transfer(used.place, new, used.clock, "copy-1")
    with State(used.place, used.clock) as old:
        (hold,) = (one for one in old.records.holds() if one.target == EVERY_TARGET)
        assert (hold.who, hold.because) == (WHO, f"the state went to {new}")
        assert old.journal.held("mem") == f"the state went to {new} ({WHO})"
    with State(new, used.clock) as state:
        assert [one.target for one in state.records.holds()] == ["other"]
        assert json.loads(state.audit.lines()[-1])["event"] == "unhold"


def test_what_a_person_held_stays_held_on_both_sides(used: World, tmp_path: Path) -> None:
    with used.state() as state:
        state.records.hold(Hold(EVERY_TARGET, "ann", "freeze", 1.0))
    new = tmp_path / "new" / "state" / "state.db"
    transfer(used.place, new, used.clock, "copy-1")
    for where in (used.place, new):
        with State(where, used.clock) as state:
            assert {one.target: one.who for one in state.records.holds()} == {EVERY_TARGET: "ann", "other": "ann"}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_place_that_was_used_a_place_that_is_not_there_and_the_same_place_are_refused(
    used: World, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    new = place(kind, tmp_path / "new", request)
    with State(new, used.clock) as state:
        state.records.keep("x", 1)
    before = rows_of(used.place), rows_of(new)
    with pytest.raises(RefusedError, match=r"PRE-STATE .*is not empty, rows stand in note"):
        transfer(used.place, new, used.clock, "copy-1")
    with pytest.raises(RefusedError, match="where it goes to"):
        transfer(used.place, used.place, used.clock, "copy-1")
    with pytest.raises(RefusedError, match="there is no state"):
        transfer(tmp_path / "nowhere" / "state.db", new, used.clock, "copy-1")
    assert not (tmp_path / "nowhere").exists()
    assert (rows_of(used.place), rows_of(new)) == before


@pytest.mark.parametrize("used", ["sqlite", "postgresql"], indirect=True)
def test_a_source_that_somebody_writes_with_is_refused(used: World, tmp_path: Path) -> None:
    new = tmp_path / "new" / "state" / "state.db"
    claims = [Claim("run"), *([Claim("run", ("mem",))] if isinstance(used.place, Server) else [])]
    for claim in claims:
        with State(used.place, used.clock, writer=claim), pytest.raises(BusyError, match="PRE-LOCK"):
            transfer(used.place, new, used.clock, "copy-1")
    assert transfer(used.place, new, used.clock, "copy-1").rows["op"]


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make the check of the chain fail once the rows stand in the new place."""
    asked: list[str] = []

    def no(lines: object) -> audit.Head:
        asked.append("x")
        raise RefusedError("AUDIT", "line 1 was edited")

    monkeypatch.setattr(audit, "verify", no)
    return asked


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_copy_that_does_not_hold_leaves_nothing_and_the_old_state_in_use(
    used: World, kind: str, tmp_path: Path, request: pytest.FixtureRequest, refusing: list[str]
) -> None:
    new = place(kind, tmp_path / "new", request)
    with pytest.raises(RefusedError, match="AUDIT"):
        transfer(used.place, new, used.clock, "copy-1")
    assert refusing
    assert not any(rows_of(new).values())
    with State(used.place, used.clock) as old:
        assert [one.target for one in old.records.holds()] == ["other"]


@pytest.mark.parametrize(("used", "kind"), [("sqlite", "postgresql"), ("postgresql", "sqlite")], indirect=["used"])
def test_no_server_ends_a_copy_because_the_other_side_takes_its_time(
    used: World, kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "IDLE_MS", 2000)
    check = audit.verify

    def slowly(lines: Iterable[str]) -> audit.Head:
        threading.Event().wait(3.0)
        return check(lines)

    monkeypatch.setattr(audit, "verify", slowly)
    assert transfer(used.place, place(kind, tmp_path / "new", request), used.clock, "copy-1").rows["op"]


def test_a_mirror_of_another_trail_at_the_new_place_is_refused(used: World, tmp_path: Path) -> None:
    new = tmp_path / "new" / "state" / "state.db"
    with State(tmp_path / "new" / "state" / "third.db", SimulatedClock(), writer="other"):
        pass
    with pytest.raises(RefusedError, match="PRE-STATE"):
        transfer(used.place, new, used.clock, "copy-1")
    assert not any(rows_of(new).values())


def test_going_back_on_the_same_machine_is_refused(used: World, tmp_path: Path) -> None:
    """The mirror beside both has heard of the move."""
    new = used.folder / "state" / "newer.db"
    transfer(used.place, new, used.clock, "copy-1")
    with pytest.raises(RefusedError, match="went backwards"):
        used.run()
    used.place = new
    assert used.run().writes == 0
    assert tmp_path.is_dir()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_tables_are_all_that_there_are(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with closing(open_database(place(kind, tmp_path, request))) as database:
        if kind == "sqlite":
            rows = database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
            names = {str(row["name"]) for row in rows if not str(row["name"]).startswith("sqlite_")}
        else:
            rows = database.rows("SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema()")
            names = {str(row["name"]) for row in rows} - {"cloudsync_schema"}
        assert names == set(TABLES)
