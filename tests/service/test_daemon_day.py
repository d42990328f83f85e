"""A day of five-minute runs, with outsiders, failures and accidents: every drift is found in the run after it, told once, resolved once."""

from __future__ import annotations

import gc
import random
import resource
import sqlite3
from collections import Counter
from dataclasses import dataclass
from functools import partial

import pytest

from cloudsync.report.story import Deed, State, Story
from cloudsync.store.state import State as Store
from cloudsync.testing.memory_table import Rule
from tests.service.simulated import Simulated
from tests.service.small_world import World

DAY = 86400.0


def ssh_from(number: int) -> Rule:
    return Rule(f"198.51.100.{number}/32", "6/22-22")


def test_a_day_of_runs(world: World, sim_seed: int | None) -> None:
    """Two targets, sixty edits at random times: found by the next run, restored, told once, resolved once; and nothing piles up."""
    chosen = random.Random(7 if sim_seed is None else sim_seed)
    world.settings(("one", "two"))
    told: list[Told] = []
    day = Simulated(world, deliver=lambda _root, _loaded, story: told.append(short(story)), look_s=3600.0)
    made: list[tuple[float, str, int]] = []

    def edit(number: int) -> None:
        target = chosen.choice(("one", "two"))
        made.append((world.clock.now(), target, number))
        world.edit(target, ssh_from(number))

    for number in range(60):
        day.after(chosen.uniform(400, DAY - 400), partial(edit, number))
    objects: list[int] = []
    for hour in (6, 12, 18, 24):
        day.after(hour * 3600 - 100, lambda: objects.append(_objects()))
    day.run(DAY)
    assert len(made) == 60
    assert [line["exit"] for line in day.events("run.end")] == [0] * 288
    _told_once(told, made)
    assert all(world.clean(target, ssh_from(number)) for _, target, number in made)
    # What this test keeps: a line of log and a few values a run.
    assert objects[-1] - objects[0] < 60 * (288 - 72), objects


def _objects() -> int:
    gc.collect()
    return len(gc.get_objects())


@dataclass(frozen=True, slots=True)
class Told:
    """What of a story is looked at later; whole stories would hide what the program itself keeps."""

    at: float
    new: tuple[tuple[str, Deed], ...]
    resolved: tuple[str, ...]
    trend: tuple[tuple[int, int], ...]


def short(story: Story) -> Told:
    return Told(
        story.at,
        tuple((one.key, one.deed) for one in story.findings if one.state is State.NEW),
        tuple(one.key for one in story.findings if one.state is State.RESOLVED),
        tuple((one.found, one.findings) for one in story.trend if not one.label),
    )


def _told_once(told: list[Told], made: list[tuple[float, str, int]]) -> None:
    fresh: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    before = 0.0
    for one in told:
        due = [edit for edit in made if before <= edit[0] < one.at]
        assert len(one.new) == len(due), (one, due)
        assert all(deed is Deed.RESTORED for _, deed in one.new)
        fresh.update(key for key, _ in one.new)
        ended.update(one.resolved)
        before = one.at
    assert len(fresh) == len(made)
    assert set(fresh.values()) == {1}
    assert ended == fresh
    trend = next(one.trend for one in reversed(told) if one.trend)
    assert sum(found for found, _ in trend) == len(made)
    assert all(still == 0 for _, still in trend)


def test_a_day_with_nothing_to_do_writes_one_line_a_run(world: World) -> None:
    quiet = Simulated(world, look_s=3600.0)
    quiet.run(4000)
    writes = world.writes()
    quiet.run(7200)
    assert world.writes() == writes
    assert Counter(line["event"] for line in quiet.log) == {"config.read": 1, "run.end": 24}
    assert not any(story.newsworthy for story in quiet.stories[1:])


def test_a_failing_target_is_tried_less_often_and_the_other_as_ever(world: World) -> None:
    world.settings(("one", "two"))
    day = Simulated(world, look_s=3600.0)
    day.after(450, lambda: world.down.update(two="connection refused"))
    day.after(4 * 3600 + 100, world.down.clear)
    day.run(5 * 3600)
    runs = [line["targets"] for line in day.events("run.end")]
    assert len(runs) == 60
    reports = [{one.name for one in story.report.targets} for story in day.stories if story.report is not None]
    with_two = [number for number, names in enumerate(reports) if "two" in names]
    assert all("one" in names for names in reports)
    assert with_two[:8] == [0, 1, 2, 3, 5, 9, 15, 21]
    assert with_two[-1] == 59
    news = [(trouble.what, trouble.target) for story in day.stories for trouble in story.troubles if trouble.new]
    assert news == [("failed", "two"), ("overdue", "two"), ("recovered", "two")]


def test_the_lock_held_by_somebody_else_delays_runs_and_loses_nothing(world: World) -> None:
    day = Simulated(world, look_s=3600.0)
    held: list[Store] = []
    day.after(400, lambda: held.append(Store(world.root / ".cloudsync" / "state.db", world.clock, writer="another")))
    day.after(500, world.edit)
    day.after(1000, lambda: held.pop().close())
    day.run(1250)
    ends = day.events("run.end")
    assert 5 <= len(day.events("run.busy")) <= 9
    assert len(ends) == 4
    assert [line["event"] for line in day.log if line["event"].startswith("finding")] == ["finding.new"]
    assert world.clean()


def test_a_full_disk_writes_nothing_anywhere_and_is_over_when_there_is_room(world: World) -> None:
    """Files may not grow any more: what the kernel then says is a full disk to everything that writes."""
    day = Simulated(world, look_s=3600.0)
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    day.after(400, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, most[1])))
    day.after(500, world.edit)
    day.after(1150, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, most))
    writes: list[int] = []
    day.after(1149, lambda: writes.append(world.writes()))
    try:
        day.run(1600)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert writes == [6]
    assert world.clean()
    assert {line["what"] for line in day.events("run.barred")} == {"state"}
    assert len(day.events("finding.new")) == 1


def test_a_locked_database_delays_a_run_and_loses_nothing(world: World) -> None:
    day = Simulated(world, look_s=3600.0)
    held: list[sqlite3.Connection] = []

    def lock() -> None:
        held.append(sqlite3.connect(world.root / ".cloudsync" / "state.db", isolation_level=None))
        held[0].execute("BEGIN EXCLUSIVE")

    day.after(590, lock)
    day.after(595, world.edit)
    day.after(605, lambda: held.pop().close())
    day.run(1000)
    assert len(day.events("run.busy")) == 1
    assert len(day.events("finding.new")) == 1
    assert len(day.events("run.end")) == 4
    assert world.clean()


def test_a_state_that_cannot_be_used_is_told_once_writes_nothing_and_recovers(world: World) -> None:
    day = Simulated(world, look_s=3600.0)
    state = world.root / ".cloudsync"
    day.after(400, lambda: state.chmod(0o755))
    day.after(500, world.edit)
    writes: list[int] = []
    day.after(1100, lambda: writes.append(world.writes()))
    day.after(1150, lambda: state.chmod(0o700))
    before = 6
    day.run(1600)
    assert writes == [before]
    assert world.clean()
    news = [(trouble.what, trouble.target) for story in day.stories for trouble in story.troubles if trouble.new]
    assert news == [("failed", "state"), ("recovered", "state")]
    assert sum(one.state is State.NEW and not one.quiet for story in day.stories for one in story.findings) == 1
    assert day.vitals is not None
    assert day.vitals.complaints == ()


def test_nothing_at_all_possible_for_long_sounds_the_dead_mans_alarm_once(world: World) -> None:
    day = Simulated(world, look_s=3600.0)
    state = world.root / ".cloudsync"
    day.after(400, lambda: state.chmod(0o755))
    day.after(7200, lambda: state.chmod(0o700))
    day.run(8000)
    news = [(trouble.what, trouble.target) for story in day.stories for trouble in story.troubles if trouble.new]
    assert news[:2] == [("failed", "state"), ("overdue", "all targets")]
    assert Counter(news)[("overdue", "all targets")] == 1
    assert ("recovered", "state") in news


@pytest.mark.parametrize("jump", [-7 * DAY, -3600.0, 3600.0, 7 * DAY])
def test_a_clock_that_jumps_loses_no_run_and_doubles_none(world: World, jump: float) -> None:
    day = Simulated(world, look_s=3600.0)
    day.after(700, lambda: world.clock.jump(jump))
    day.after(800, world.edit)
    day.run(3000)
    assert len(day.events("clock.jumped")) == 1
    ends = len(day.events("run.end"))
    assert ends == (10 if jump < 0 else 11), "set forward, what looks late is made up for once"
    assert world.clean()
    assert len(day.events("finding.new")) == 1


def test_two_targets_on_their_own_schedules(world: World) -> None:
    world.settings(("one", 'two, schedule: {cron: "30 * * * *"}'))
    day = Simulated(world, look_s=3600.0)
    day.run(3 * 3600)
    reports = [sorted(one.name for one in story.report.targets) for story in day.stories if story.report is not None]
    assert reports.count(["one"]) + reports.count(["one", "two"]) == 36
    assert sum("two" in names for names in reports) == 3
