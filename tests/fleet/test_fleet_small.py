"""A few accounts and two workers on a server of their own: all converge, a killed worker's job goes to the other, nobody writes twice."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from tests.acting.servers import Cluster
from tests.fleet.estate import deployment, wait_for

WANTED = {"6/443-443"}
LONG_S = 60.0


def test_a_killed_workers_job_goes_to_another_and_nothing_is_doubled(tmp_path: Path, postgres: Cluster) -> None:
    with deployment(tmp_path, postgres, 5) as fleet:
        fleet.write()
        estate = fleet.estate
        caught, free = threading.Event(), threading.Event()
        seen: list[tuple[str, int]] = []

        def stop_at_the_third(account: str, pid: int, _payload: str) -> None:
            if len(estate.writes) >= 2 and not seen:
                seen.append((account, pid))
                caught.set()
                free.wait(LONG_S)

        estate.before = stop_at_the_third
        fleet.start(2)
        assert caught.wait(LONG_S), fleet.logs()
        account, pid = seen[0]
        killed = time.monotonic()
        lock_free = fleet.kill_and_see(pid, postgres.url())
        free.set()
        wait_for(lambda: any(who != pid and name == account and at > killed for name, who, at in estate.looks), 60)
        again = next(at for name, who, at in estate.looks if who != pid and name == account and at > killed) - killed
        print(f"lock free {lock_free:.3f} s, target running again {again:.1f} s after kill -9")
        wait_for(lambda: not estate.converged(WANTED), LONG_S)
        codes = fleet.end()
        assert codes == [0], fleet.logs()
        assert not estate.writers_overlap()
        assert not estate.doubled()
        assert not estate.rejected
        assert lock_free <= 1
        assert again <= 30
