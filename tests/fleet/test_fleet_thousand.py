"""A thousand accounts, four workers; workers and the database server are killed in the middle. CLOUDSYNC_FLEET=N for another size."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.acting.servers import running
from tests.fleet.estate import Deployment, deployment, wait_for
from tests.trust.figures import record

ACCOUNTS = int(os.environ.get("CLOUDSYNC_FLEET", "1000"))
WORKERS, SEED = 4, 7
WANTED = {"6/443-443"}
LONG_S = 3600.0
WRITES = 3
"""A group, its rule, the machine into it: the least for one account."""


def killed_in_a_run(fleet: Deployment, drawn: random.Random) -> tuple[str, int, float]:
    """Kill a worker that is about to write; return the account, the process and when."""
    estate = fleet.estate
    caught, free = threading.Event(), threading.Event()
    seen: list[tuple[str, int]] = []
    first = len(estate.writes) + drawn.randrange(6)

    def stop(account: str, pid: int, _payload: str) -> None:
        if seen or len(estate.writes) < first:
            return
        seen.append((account, pid))
        caught.set()
        free.wait(60)

    estate.before = stop
    assert caught.wait(120), fleet.logs()
    fleet.kill(seen[0][1])
    when = time.monotonic()
    free.set()
    estate.before = lambda _account, _pid, _payload: None
    fleet.start()
    return (*seen[0], when)


@pytest.mark.slow
def test_a_thousand_accounts_converge_whoever_is_killed(tmp_path: Path) -> None:
    drawn = random.Random(SEED)
    with running() as cluster, deployment(tmp_path, cluster, ACCOUNTS) as fleet:
        fleet.write(every="6h")
        estate = fleet.estate
        began = time.monotonic()
        fleet.start(WORKERS)
        died: list[tuple[str, int, float]] = []

        def reached(share: float) -> None:
            wait_for(lambda: len(estate.writes) >= share * WRITES * ACCOUNTS, LONG_S)

        for share in (0.15, 0.4, 0.7):
            reached(share)
            if share == 0.4:
                cluster.kill()
                cluster.start()
            died.append(killed_in_a_run(fleet, drawn))
        wait_for(lambda: not estate.converged(WANTED), LONG_S)
        seconds = time.monotonic() - began
        # What the last one had sent may have been all that was missing: its job comes back all the same.
        wait_for(lambda: all(estate.looked_by_others(*one) < LONG_S for one in died), 60)
        codes = fleet.end()
        again = [fleet.estate.looked_by_others(*one) for one in died]
        payloads = Counter((one.account, one.payload) for one in estate.writes if one.applied)
        figures = {
            "accounts": ACCOUNTS,
            "writes": len(estate.writes),
            "killed": len(died),
            "two_writers": len(estate.writers_overlap()),
            "doubled": len(estate.doubled()) + sum(count > 1 for count in payloads.values()),
            "not_converged": len(estate.converged(WANTED)),
        }
        record("T4 fleet", figures)
        print(f"{figures} in {seconds:.0f} s; targets of killed workers running again after {', '.join(f'{one:.1f}' for one in again)} s")
        assert codes == [0] * WORKERS, fleet.logs()
        assert not estate.writers_overlap()
        assert not estate.doubled()
        assert not estate.rejected
        assert all(count == 1 for count in payloads.values())
        assert all(one <= 30 for one in again)
