"""What is kept of the past: versions of the policy, changes, approvals used, stories, looks; and holds that a run put."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from cloudsync.store.history import CHANGES_KEPT_S, STORIES_KEPT, PolicyVersion
from cloudsync.store.place import Place
from cloudsync.store.records import LOOKS_KEPT_S, Ended, Hold, RunRecord
from cloudsync.store.state import State
from cloudsync.testing.clock import START, SimulatedClock

RUN = RunRecord("r1", "apply", 1, "d" * 64, START, None, None, {}, "c" * 40, dirty=False, author="Ada", subject="start")
CHANGE = {"target": "aws", "opens": ["tcp/22 from office"], "closes": []}


@pytest.fixture
def state(place: Place) -> Iterator[State]:
    with State(place, SimulatedClock(), writer="w") as one:
        yield one


def lines(state: State, event: str) -> list[dict[str, object]]:
    return [one for one in map(json.loads, state.audit.lines()) if one["event"] == event]


def test_a_version_of_the_policy_is_kept_with_its_first_and_last_use(state: State) -> None:
    state.records.start_run(RUN)
    state.records.start_run(replace(RUN, id="r2", started=START + 60))
    state.records.start_run(replace(RUN, id="r3", started=START + 90, dirty=True))
    state.records.start_run(replace(RUN, id="r4", started=START + 99, policy="e" * 64, commit="", author="", subject=""))
    assert state.history.versions() == (
        PolicyVersion("e" * 64, "", dirty=False, author="", subject="", first_used=START + 99, last_used=START + 99),
        PolicyVersion("d" * 64, "c" * 40, dirty=True, author="Ada", subject="start", first_used=START + 90, last_used=START + 90),
        PolicyVersion("d" * 64, "c" * 40, dirty=False, author="Ada", subject="start", first_used=START, last_used=START + 60),
    )
    assert [(one.id, one.commit, one.dirty, one.author) for one in state.records.runs()] == [
        ("r4", "", False, ""),
        ("r3", "c" * 40, True, "Ada"),
        ("r2", "c" * 40, False, "Ada"),
        ("r1", "c" * 40, False, "Ada"),
    ]
    first, *_, last = lines(state, "run")
    assert (first["commit"], first["author"], "dirty" in first) == ("c" * 40, "Ada", False)
    assert "commit" not in last


def test_the_end_of_a_run_keeps_its_changes_and_the_approvals_it_used_before_its_own_line(state: State) -> None:
    state.records.start_run(RUN)
    used = {"target": "aws", "guard": "G-CAP", "who": "jo", "because": "x", "plan": "p"}
    state.records.finish_run("r1", Ended(0, {"aws": {"writes": 1}}, START + 5, (CHANGE, {**CHANGE, "target": "gcp"}), (used,)))
    first, second = state.history.changes("r1")
    assert (first.run, first.n, first.at, first.target, first.document) == ("r1", 1, START + 5, "aws", CHANGE)
    assert (second.n, second.target) == (2, "gcp")
    assert [one["event"] for one in map(json.loads, state.audit.lines())][-4:] == ["approved", "change", "change", "end"]
    assert lines(state, "approved")[0]["guard"] == "G-CAP"
    state.audit.check()


def test_changes_of_all_runs_come_latest_first_and_the_oldest_go(state: State) -> None:
    for number, at in enumerate((START, START + 100, START + CHANGES_KEPT_S + 50)):
        run = replace(RUN, id=f"r{number}", started=at)
        state.records.start_run(run)
        state.records.finish_run(run.id, Ended(0, {}, at, (CHANGE, CHANGE)))
    assert [(one.run, one.n) for one in state.history.changes()] == [("r2", 1), ("r2", 2), ("r1", 1), ("r1", 2)]
    assert [one.run for one in state.history.changes(most=1)] == ["r2"]
    assert [one.run for one in state.history.changes(since=START + 200)] == ["r2", "r2"]
    assert len(lines(state, "change")) == 6, "in the trail they stay"


def test_quiet_runs_and_looks_are_told_apart(state: State) -> None:
    for number, code in enumerate((0, 4, None)):
        state.records.start_run(replace(RUN, id=f"r{number}", started=START + number))
        if code is not None:
            state.records.finish_run(f"r{number}", Ended(code, {}, START + number))
    before = len(state.audit.lines())
    state.records.looked(replace(RUN, id="x1", verb="drift", started=START + 9, ended=START + 9, exit_code=2, summary={"aws": {}}))
    assert len(state.audit.lines()) == before
    assert [one.id for one in state.records.runs()] == ["x1", "r2", "r1", "r0"]
    assert [one.id for one in state.records.runs(loud=True)] == ["r2", "r1"]
    assert [one.id for one in state.records.runs(prefix="r", most=2)] == ["r2", "r1"]
    assert [one.id for one in state.records.runs(prefix="x")] == ["x1"]
    assert state.records.counted() == 4
    look = state.records.runs(1)[0]
    assert (look.generation, look.exit_code, look.ended, look.summary) == (0, 2, START + 9, {"aws": {}})


def test_old_looks_go_and_runs_stay(state: State) -> None:
    state.records.start_run(RUN)
    for number, at in enumerate((START, START + LOOKS_KEPT_S + 1)):
        state.records.looked(replace(RUN, id=f"x{number}", verb="drift", started=at, ended=at, exit_code=0))
    assert [one.id for one in state.records.runs()] == ["x1", "r1"]


def test_stories_are_found_by_the_first_letters_of_their_run_and_the_oldest_go(state: State) -> None:
    for number in range(STORIES_KEPT + 3):
        state.history.keep_story(f"run-{number:03}", START + number, {"n": number})
    assert state.history.stories("run-000") == ()
    assert state.history.stories("run-003") == (("run-003", {"n": 3}),)
    assert [name for name, _ in state.history.stories("run-01")] == [f"run-01{digit}" for digit in range(9, -1, -1)]
    state.history.keep_story("run-010", START + 500, {"n": "again"})
    assert state.history.stories("run-010") == (("run-010", {"n": "again"}),)
    assert state.history.stories("run-01%") == ()


def test_who_writes_is_told_while_the_lease_is_held(place: Place) -> None:
    with State(place, SimulatedClock()) as before:
        assert before.history.writer() is None
    with State(place, SimulatedClock(), writer="w1") as state:
        now = state.history.writer()
        assert now is not None
        assert (now.run, now.generation) == ("w1", state.lease.generation)
        assert now.expires > START
    with State(place, SimulatedClock()) as after:
        gone = after.history.writer()
        assert gone is not None
        assert gone.expires == 0


def test_a_hold_that_a_run_put_is_in_the_way_of_others_only(place: Place) -> None:
    with State(place, SimulatedClock()) as state:
        state.records.hold(Hold("aws", "jo", "rollback to c0ffee", START, "r1"), Hold("gcp", "ann", "storm", START))
        assert [(one.target, one.run) for one in state.records.holds()] == [("aws", "r1"), ("gcp", "")]
        assert state.journal.held("aws") == "rollback to c0ffee (jo)"
        assert len(lines(state, "hold")) == 2
    with State(place, SimulatedClock(), through=True) as state:
        assert state.journal.held("aws") == ""
        assert state.journal.held("gcp") == "storm (ann)", "a person's own is in everybody's way"
