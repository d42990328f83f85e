"""A thousand accounts, four workers; workers and the database server are killed in the middle. CLOUDSYNC_FLEET=N for another size."""

from __future__ import annotations

import os
import random
import resource
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import pytest

from cloudsync.fleet.sizing import Load, size
from tests.acting.servers import Cluster, running
from tests.fleet.estate import Deployment, deployment, wait_for
from tests.trust.figures import record

ACCOUNTS = int(os.environ.get("CLOUDSYNC_FLEET", "1000"))
WORKERS, SEED = 4, 7
WANTED = {"6/443-443"}
LONG_S = 3600.0
WRITES = 3
"""A group, its rule, the machine into it: the least for one account."""
SHARES = (0.15, 0.4, 0.7)
"""When so much is written a worker is killed; in the middle the server, too."""


@dataclass(frozen=True, slots=True)
class Killed:
    """A worker that was killed in a run."""

    account: str
    pid: int
    at: float
    """Monotonic seconds."""
    free_s: float
    """After so long the server had given its locks back."""


def processor_s() -> float:
    """Return the processor time of all children that ended so far, and of theirs; the server is none of them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def killed_in_a_run(fleet: Deployment, cluster: Cluster, drawn: random.Random) -> Killed:
    """Kill a worker that is about to write."""
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
    account, pid = seen[0]
    at = time.monotonic()
    free_s = fleet.kill_and_see(pid, cluster.url())
    free.set()
    estate.before = lambda _account, _pid, _payload: None
    fleet.start()
    return Killed(account, pid, at, free_s)


def live(fleet: Deployment, cluster: Cluster) -> tuple[list[Killed], float]:
    """Run the fleet until all accounts are as wanted; return who was killed, and how long it took."""
    drawn, estate, died = random.Random(SEED), fleet.estate, list[Killed]()
    began = time.monotonic()
    fleet.start(WORKERS)

    def reached(share: float) -> None:
        wait_for(lambda: len(estate.writes) >= share * WRITES * ACCOUNTS, LONG_S)

    for share in SHARES:
        reached(share)
        if share == SHARES[1]:
            cluster.kill()
            cluster.start()
        died.append(killed_in_a_run(fleet, cluster, drawn))
    wait_for(lambda: not estate.converged(WANTED), LONG_S)
    seconds = time.monotonic() - began
    # What the last one had sent may have been all that was missing: its job comes back all the same.
    wait_for(lambda: all(estate.looked_by_others(one.account, one.pid, one.at) < LONG_S for one in died), 60)
    return died, seconds


@pytest.mark.slow
def test_a_thousand_accounts_converge_whoever_is_killed(tmp_path: Path) -> None:
    with running() as cluster, deployment(tmp_path, cluster, ACCOUNTS) as fleet:
        fleet.write(every="6h")
        before = processor_s()
        died, seconds = live(fleet, cluster)
        codes = fleet.end()
        each = (processor_s() - before) / len(fleet.runs())
        estate, lasted = fleet.estate, [one.seconds for one in fleet.runs()]
        again = [estate.looked_by_others(one.account, one.pid, one.at) for one in died]
        payloads = Counter((one.account, one.payload) for one in estate.writes if one.applied)
        load = Load(ACCOUNTS, 3600.0, mean(lasted))
        predicted = len(lasted) / WORKERS * load.mean_s
        record(
            "T4 fleet",
            {
                "accounts": ACCOUNTS,
                "writes": len(estate.writes),
                "killed": len(died),
                "two_writers": len(estate.writers_overlap()),
                "doubled": len(estate.doubled()) + sum(count > 1 for count in payloads.values()),
                "not_converged": len(estate.converged(WANTED)),
            },
        )
        print(f"all converged after {seconds:.0f} s: {WORKERS} workers, {len(lasted)} runs of {mean(lasted):.3f} s")
        print(f"each with {1000 * each:.0f} ms of processor, the starts of workers included, the server's part not")
        print(f"by the arithmetic: {predicted:.0f} s without kills, a killed worker's target again within {size(load).crash_s:.0f} s")
        print(f"target of a killed worker running again after {', '.join(f'{one:.1f}' for one in again)} s")
        print(f"its lock free after {', '.join(f'{one.free_s:.3f}' for one in died)} s; load {os.getloadavg()}")
        assert codes == [0] * WORKERS, fleet.logs()
        assert not estate.writers_overlap()
        assert not estate.doubled()
        assert not estate.rejected
        assert all(count == 1 for count in payloads.values())
        assert all(one <= 30 for one in again)
        assert all(one.free_s <= 1 for one in died)
