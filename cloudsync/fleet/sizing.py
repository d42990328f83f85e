"""How many workers a deployment needs: plain arithmetic, which tests compare with a simulation of the queue. Pure."""

from __future__ import annotations

from math import ceil

from cloudsync.fleet.standing import DEAD_S
from cloudsync.model.quick import dataclass

CARE_S = 5.0
"""How often what is due goes into the queue, and jobs of dead workers to others."""
POLL_S = 2.0
JOB_S = 0.1
"""What a job takes beside its run, which the log does not count: the queue, a session for the state, git, handing news over."""
ROOM = 0.7
"""The share of their time that workers should be busy: with more, one slow account makes the others late."""
CONNECTIONS = 5
"""To PostgreSQL, for each worker: four of the queue, one of the run."""


@dataclass(frozen=True, slots=True)
class Load:
    """What has to be done. Seconds are measured, with `cloudsync history` or the log's `run.end`, at a target like most of the others."""

    targets: int
    every_s: float
    """The interval of the schedule."""
    run_s: float
    """A run that finds nothing to do."""
    changed_per_run: float = 0.0
    """The share of runs that write."""
    change_s: float = 0.0
    """How much longer those take; with a quota that many share, this is mostly waiting for it."""
    calls: int = 0
    """Calls to the platform in a run with nothing to do: lists, one for each page."""

    @property
    def mean_s(self) -> float:
        """Return how long a run keeps its worker on average."""
        return JOB_S + self.run_s + self.changed_per_run * self.change_s


@dataclass(frozen=True, slots=True)
class Size:
    """What that needs."""

    workers: int
    busy: float
    """The share of their time that they work."""
    runs_per_s: float
    connections: int
    calls_per_s: float
    round_s: float
    """How long it takes when every target is due at once: the first start, a new policy after a stop."""
    crash_s: float
    """How long after a worker was killed its target is run again, at worst, with a worker free."""


def size(load: Load, *, room: float = ROOM) -> Size:
    """Return what a load needs so that workers are busy for a share of at most `room` of their time. Raises ValueError for no load."""
    if load.targets < 1 or load.every_s <= 0 or load.mean_s <= JOB_S or not 0 < room <= 1:
        raise ValueError("want targets, an interval, a time of a run, and room between 0 and 1")
    runs_per_s = load.targets / load.every_s
    needed = runs_per_s * load.mean_s
    workers = max(1, ceil(needed / room - 1e-9))
    return Size(
        workers=workers,
        busy=needed / workers,
        runs_per_s=runs_per_s,
        connections=workers * CONNECTIONS,
        calls_per_s=runs_per_s * load.calls,
        round_s=ceil(load.targets / workers) * load.mean_s,
        crash_s=DEAD_S + CARE_S + POLL_S,
    )
