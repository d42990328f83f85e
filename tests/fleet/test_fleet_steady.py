"""Fifty accounts on a schedule, two workers, nothing to do: what comes is what the arithmetic and the simulation of the queue say."""

from __future__ import annotations

import os
import threading
from itertools import pairwise
from pathlib import Path
from statistics import mean

import pytest

from cloudsync.clock import SystemClock
from cloudsync.fleet.sizing import CARE_S, JOB_S, POLL_S, Load, size
from tests.acting.servers import Cluster
from tests.fleet.estate import Ran, deployment, wait_for
from tests.fleet.test_fleet_sizing import simulated

ACCOUNTS, WORKERS, EVERY_S, ROUNDS = 50, 2, 30.0, 3
WANTED = {"6/443-443"}


def gaps(runs: list[Ran]) -> list[float]:
    """Return the seconds between two runs of an account that follow each other."""
    ends: dict[str, list[float]] = {}
    for one in sorted(runs, key=lambda ran: ran.at):
        ends.setdefault(one.account, []).append(one.at)
    return [after - before for times in ends.values() for before, after in pairwise(times)]


@pytest.mark.slow
def test_the_timetable_is_kept_as_the_arithmetic_says(tmp_path: Path, postgres: Cluster) -> None:
    with deployment(tmp_path, postgres, ACCOUNTS) as fleet:
        fleet.write(every=f"{EVERY_S:.0f}s")
        fleet.start(WORKERS)
        wait_for(lambda: not fleet.estate.converged(WANTED), 300)
        threading.Event().wait(EVERY_S)  # what was due at once at the start has found its place in the interval
        clock = SystemClock()
        began = clock.now()
        threading.Event().wait(ROUNDS * EVERY_S)
        ended = clock.now()
        assert fleet.end() == [0] * WORKERS, fleet.logs()
        runs = [one for one in fleet.runs() if began <= one.at < ended]
    load = Load(ACCOUNTS, EVERY_S, mean(one.seconds for one in runs))
    said = size(load)
    busy = sum(one.seconds + JOB_S for one in runs) / (WORKERS * (ended - began))
    expected, queued = simulated(load, WORKERS, 1)
    late = max(gaps(runs)) - EVERY_S
    print(f"{len(runs)} runs of {load.run_s:.3f} s in {ended - began:.0f} s; by the arithmetic {said.runs_per_s * (ended - began):.0f}")
    print(f"busy {busy:.0%}; by the arithmetic {said.busy * said.workers / WORKERS:.0%}, by the simulation {expected:.0%}")
    print(
        f"latest run {late:.1f} s after its turn; by the simulation {queued:.1f} s in the queue, {CARE_S + POLL_S:.0f} s until it is there"
    )
    print(f"load {os.getloadavg()}")
    assert len(runs) == pytest.approx(said.runs_per_s * (ended - began), rel=0.15)
    assert late <= queued + CARE_S + POLL_S + 10
