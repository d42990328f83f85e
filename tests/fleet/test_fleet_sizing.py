"""The arithmetic of docs/fleet.md against a simulation of the queue: targets spread over the interval, workers that take what is due."""

from __future__ import annotations

import heapq
import random
import re
from pathlib import Path

import pytest

from cloudsync.fleet.jobs import due_after
from cloudsync.fleet.sizing import CARE_S, JOB_S, Load, size
from cloudsync.settings.values import Schedule

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 12


def simulated(load: Load, workers: int, seed: int) -> tuple[float, float]:
    """Return the share of time that workers were busy, and the longest time that a target waited in the queue."""
    drawn = random.Random(seed)
    schedule = Schedule(every_s=int(load.every_s))
    end = load.every_s * ROUNDS
    due: list[tuple[float, str]] = []
    for number in range(load.targets):
        at = due_after(f"t{number}", schedule, 0.0)
        while at < end:
            due.append((-(-at // CARE_S) * CARE_S, f"t{number}"))  # the next look at the timetable puts it into the queue
            at = due_after(f"t{number}", schedule, at)
    free = [0.0] * workers
    busy = longest = 0.0
    for queued, _ in sorted(due):
        begins = max(queued, heapq.heappop(free))
        takes = JOB_S + load.run_s * drawn.uniform(0.5, 1.5) + (load.change_s if drawn.random() < load.changed_per_run else 0.0)
        heapq.heappush(free, begins + takes)
        busy += takes
        longest = max(longest, begins - queued)
    return busy / (workers * end), longest


LOADS = (
    Load(200, 300, 2.0),
    Load(1000, 300, 1.2, 0.02, 20.0),
    Load(50, 60, 3.0, 0.1, 5.0),
)


@pytest.mark.parametrize("load", LOADS, ids=str)
def test_as_many_workers_as_it_says_keep_the_timetable_and_are_as_busy_as_it_says(load: Load) -> None:
    found = size(load)
    busy, longest = simulated(load, found.workers, 1)
    assert busy == pytest.approx(found.busy, rel=0.1)
    assert found.busy <= 0.7
    assert longest < load.every_s / 2


@pytest.mark.parametrize("load", LOADS, ids=str)
def test_with_fewer_than_the_work_needs_the_queue_grows(load: Load) -> None:
    few = int(size(load, room=1.0).busy * size(load, room=1.0).workers * 0.8)
    if few:
        _, longest = simulated(load, few, 1)
        assert longest > load.every_s


def test_the_page_has_the_figures_that_it_computes() -> None:
    text = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
    row = r"^\| (\d[\d ]*) \| (\d+) s \| ([\d.]+) s \| (\d+) % \| (\d+) s \| (\d+) \| (\d+) % \| (\d+) \| (\d+) s \|$"
    rows = re.findall(row, text, re.MULTILINE)
    assert len(rows) >= 4
    for targets, every, run, changed, change, workers, busy, connections, whole in rows:
        found = size(Load(int(targets.replace(" ", "")), float(every), float(run), int(changed) / 100, float(change)))
        assert (found.workers, round(found.busy * 100), found.connections, round(found.round_s)) == tuple(
            map(int, (workers, busy, connections, whole))
        ), (targets, found)


def test_a_load_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="want targets"):
        size(Load(0, 300, 1.0))
