"""What is remembered for people: findings, how targets stand, restores and counts; whole or not at all, and never older than known."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloudsync.model.errors import RefusedError
from cloudsync.store.findings import RESOLVED_KEPT_S, RESTORES_KEPT_S, FindingRow, HealthRow, MarkRow, Told
from cloudsync.store.place import Place
from cloudsync.store.schema import APPLICATION, MIGRATIONS
from cloudsync.store.sqlite import SqliteDatabase
from cloudsync.store.state import State
from cloudsync.testing.clock import START, SimulatedClock

FINDING = FindingRow("aws", "aws/1", "new", "p", START, START, 1, 0, {"key": "aws/1"}, (START,), None, "high")
HEALTH = HealthRow("aws", "aws", "exclusive", "in sync", START, START, None, START, START, "r1", "apply", "", ("G-CAP", "G-OPEN"))
MARK = MarkRow("2027-01-15", "aws", "", 2, 1, 3, 4, 5, 1)
TOLD = Told("r1", START, (FINDING,), (HEALTH,), (MARK,), (("aws", "sg-1"),), "2027-01-15", "2024-01-01", ("aws", "gcp"), {"run": "r1"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db"


@pytest.fixture
def state(place: Place) -> Iterator[State]:
    with State(place, SimulatedClock()) as one:
        yield one


def test_what_was_told_is_read_back_as_it_was(state: State) -> None:
    assert state.findings.tell(TOLD) == frozenset()
    assert state.findings.findings() == (FINDING,)
    assert state.findings.health() == (HEALTH,)
    assert state.findings.marks() == (MARK,)
    assert [(one.target, one.object, one.count) for one in state.findings.restores("2027-01-15")] == [("aws", "sg-1", 1)]
    assert state.records.note("told") == {"run": "r1"}


def test_the_next_run_replaces_counts_but_adds_up_what_was_new_and_restored(state: State) -> None:
    state.findings.tell(TOLD)
    later = replace(FINDING, state="ongoing", seen=2, last_seen=START + 300)
    more = replace(TOLD, findings=(later,), health=(replace(HEALTH, read=START + 300),), marks=(replace(MARK, findings=0, found=2),))
    state.findings.tell(more)
    assert state.findings.findings() == (later,)
    assert [(one.findings, one.found) for one in state.findings.marks()] == [(0, 3)]
    assert [one.count for one in state.findings.restores("2027-01-15")] == [2]
    assert state.findings.restores("2027-01-16") == ()


def test_an_older_reading_of_a_target_is_left_out_and_the_others_are_not(state: State) -> None:
    state.findings.tell(TOLD)
    old = replace(HEALTH, read=START - 1, state="drift")
    other = replace(HEALTH, target="gcp")
    told = replace(TOLD, findings=(replace(FINDING, state="resolved"), replace(FINDING, target="gcp", key="gcp/1")), health=(old, other))
    assert state.findings.tell(told) == {"aws"}
    assert [(one.key, one.state) for one in state.findings.findings()] == [("aws/1", "new"), ("gcp/1", "new")]
    assert state.findings.health() == (HEALTH, other)
    assert [one.count for one in state.findings.restores("2027-01-15")] == [1]


def test_what_ended_long_ago_goes(state: State) -> None:
    ended = replace(FINDING, key="aws/2", resolved=START)
    state.findings.tell(replace(TOLD, findings=(FINDING, ended)))
    assert [one.key for one in state.findings.findings(ended=False)] == ["aws/1"]
    for at, kept in ((START + RESOLVED_KEPT_S, 2), (START + RESOLVED_KEPT_S + 1, 1)):
        state.findings.tell(replace(TOLD, at=at, findings=(), restored=(), health=(replace(HEALTH, read=at),)))
        assert len(state.findings.findings()) == kept
    assert START + RESTORES_KEPT_S < START + RESOLVED_KEPT_S
    assert state.findings.restores("2027-01-15") == ()
    state.findings.tell(replace(TOLD, marks=(), oldest_day="2027-01-16", health=()))
    assert state.findings.marks() == ()


def test_a_target_that_left_the_settings_is_forgotten_but_its_days_stay(state: State) -> None:
    state.findings.tell(TOLD)
    state.findings.tell(replace(TOLD, findings=(), health=(), marks=(), restored=(), targets=("gcp",)))
    assert state.findings.findings() == ()
    assert state.findings.health() == ()
    assert state.findings.marks() == (MARK,)


def test_a_run_is_told_whole_or_not_at_all(path: Path) -> None:
    with State(path, SimulatedClock()) as state:
        state.findings.tell(TOLD)
        assert isinstance(state._database, SqliteDatabase)
        pages = state._database.rows("PRAGMA page_count")[0]["page_count"]
        state._database.limit_pages(pages + 4)
        large = [replace(FINDING, key=f"aws/{number}", document={"words": "x" * 2000}) for number in range(50)]
        with pytest.raises(RefusedError, match="PRE-JOURNAL"):
            state.findings.tell(replace(TOLD, findings=(replace(FINDING, state="changed"), *large)))
        assert state.findings.findings() == (FINDING,)
        assert state.findings.marks() == (MARK,)


def test_a_state_of_before_is_migrated_and_keeps_what_it_holds(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    with sqlite3.connect(path) as old:
        for statement in MIGRATIONS[0]:
            old.execute(statement)
        old.execute("INSERT INTO note (key, document) VALUES ('kept', '1')")
        old.execute(f"PRAGMA application_id = {APPLICATION}")
        old.execute("PRAGMA user_version = 1")
    old.close()
    path.chmod(0o600)
    with State(path, SimulatedClock()) as state:
        assert state.records.note("kept") == 1
        state.findings.tell(TOLD)
        assert state.findings.findings() == (FINDING,)
