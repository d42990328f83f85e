"""One worker's share, job by job, over platforms in memory: what belongs to others, and whose policy counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.app.fleet import BEHIND_S, Fleet, fleet
from cloudsync.app.ledger import opened
from cloudsync.fleet import jobs
from cloudsync.fleet.jobs import Job, due_after, queues, read
from cloudsync.fleet.worker import Next
from cloudsync.model.errors import SettingsError
from cloudsync.settings.values import Schedule
from tests.acting.servers import Cluster
from tests.service.small_world import MORE, POLICY, World, small_world


@pytest.fixture
def state(postgres: Cluster) -> str:
    return f"state: {postgres.url(query=f'&schema=jobs_{next(postgres.schemas)}')}\n"


def working(world: World) -> Fleet:
    made, _ = fleet(world.root, (), world.clock, world.deliver, lambda: False)
    return made


def test_what_opens_towards_another_target_is_planned_with_it(tmp_path: Path, state: str) -> None:
    with small_world(tmp_path) as world:
        world.settings(("one", "two"), more=state)
        world.write("policy/all.yaml", POLICY)
        world.commit("policy")
        worker = working(world)
        worker._egress["small"] = True  # as if what leaves a machine were decided there, too
        assert worker.do(Job(("one",))) == Next()
        assert world.writes("one")
        found = worker.do(Job(("two",)))
        assert [(one.targets, after) for one, after in found.put_off] == [(("one", "two"), 0.0)]
        assert not world.writes("two")
        assert worker.do(found.put_off[0][0]) == Next()
        assert world.writes("two")
        writes = world.writes("one"), world.writes("two")
        assert [worker.do(Job((name,))) for name in ("one", "two")] == [Next(), Next()]
        assert (world.writes("one"), world.writes("two")) == writes


def test_the_line_of_a_run_names_the_targets_that_it_looked_at_however_many_there_are(
    tmp_path: Path, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    with small_world(tmp_path) as world, caplog.at_level("INFO", "cloudsync.reconcile"):
        world.settings(("one", "two", "three"), more=state)
        world.write("policy/all.yaml", POLICY)
        world.commit("policy")
        worker = working(world)
        for name in ("one", "two"):
            caplog.clear()
            assert worker.do(Job((name,))) == Next()
            (end,) = (record for record in caplog.records if record.getMessage() == "run.end")
            assert list(vars(end)["targets"]) == [name]


def test_a_worker_that_is_behind_writes_nothing_until_it_is_pulled(tmp_path: Path, state: str) -> None:
    with small_world(tmp_path) as world:
        world.settings(more=state)
        world.write("policy/all.yaml", POLICY)
        world.commit("policy")
        old = working(world)
        assert old.do(Job(("one",))) == Next()
        world.write("policy/all.yaml", POLICY + MORE)
        newest = world.commit("more")
        new = working(world)
        assert new.do(Job(("one",))) == Next()
        writes = world.writes()
        old.seen = newest  # it has not been pulled
        assert old.do(Job(("one",))).put_off == ((Job(("one",)), BEHIND_S),)
        assert world.writes() == writes
        old.seen = ""
        assert old.do(Job(("one",))) == Next()
        assert world.writes() == writes
        with opened(world.root, new.settings) as kept:
            assert kept.fleet.advance(newest, "f" * 40)
        assert new.do(Job(("one",))).put_off
        assert world.writes() == writes


def test_workers_need_a_server_and_commits(tmp_path: Path, state: str) -> None:
    with small_world(tmp_path) as world:
        world.settings()
        world.write("policy/all.yaml", POLICY)
        with pytest.raises(SettingsError, match="NO-SERVER"):
            working(world)
        world.settings(more=state)
        with pytest.raises(SettingsError, match="NO-COMMITS"):
            working(world)


def test_a_job_comes_back_as_it_was_and_one_of_a_newer_program_is_never_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(("two", "one"), "abc", 3)
    assert read(job.payload()) == job
    assert (job.lock, Job(("one",)).lock) == ("one+two", "one")
    assert job.payload()["version"] == jobs.VERSION
    for wrong in (job.payload() | {"version": jobs.VERSION + 1}, job.payload() | {"version": None}, job.payload() | {"targets": []}):
        with pytest.raises(ValueError, match="job"):
            read(wrong)
    monkeypatch.setattr(jobs, "VERSION", 2)
    assert queues() == ("targets-1", "targets-2")


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1, max_size=8), st.integers(30, 86400), st.floats(0, 4e9))
def test_a_turn_comes_after_the_last_one_and_within_the_interval(target: str, every: int, now: float) -> None:
    first = due_after(target, Schedule(every_s=every), now)
    second = due_after(target, Schedule(every_s=every), first)
    assert now < first <= now + every + 1e-3
    assert second == pytest.approx(first + every, abs=1e-3)
