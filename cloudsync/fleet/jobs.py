"""What stands in the queue: one reconcile of one target, or of several that have to change together; and when each is due."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from cloudsync.model.quick import dataclass
from cloudsync.service.timetable import DEFAULT, CronLine
from cloudsync.settings.values import Schedule

VERSION = 1
"""Of jobs as they are written here. A worker takes those of its own version and of earlier ones: see `queues`."""
CARE = "care"
"""The queue of what keeps the others going: what is due, and jobs whose worker died."""


@dataclass(frozen=True, slots=True)
class Job:
    """One reconcile. `policy`: the commit that whoever asked for it had, empty when that does not matter."""

    targets: tuple[str, ...]
    policy: str = ""
    tries: int = 0
    """How often it was put off."""

    @property
    def lock(self) -> str:
        """Return what no two running jobs share: the name of the only target; several have a lock of their own (decision 161)."""
        return "+".join(sorted(self.targets))

    def payload(self) -> dict[str, Any]:
        """Return it as it stands in the queue."""
        return {"version": VERSION, "targets": list(self.targets), "policy": self.policy, "tries": self.tries}


def queue(version: int = VERSION) -> str:
    """Return the queue of jobs of one version: a program that does not know a version never sees its jobs."""
    return f"targets-{version}"


def queues() -> tuple[str, ...]:
    """Return the queues that this program can work on, oldest jobs first."""
    return tuple(queue(version) for version in range(1, VERSION + 1))


def read(payload: Mapping[str, object]) -> Job:
    """Return a job from the queue. Raises ValueError for one that this program does not know."""
    version, targets, tries = payload.get("version"), payload.get("targets"), payload.get("tries")
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise ValueError(f"job version {version!r}, this program knows 1 to {VERSION}")
    if not isinstance(targets, list) or not targets or not all(isinstance(one, str) for one in targets):
        raise ValueError("a job without targets")
    return Job(tuple(targets), str(payload.get("policy", "")), tries if isinstance(tries, int) else 0)


def spread(target: str, width_s: float) -> float:
    """Return a target's own place in an interval, always the same: a thousand targets are not due in the same second."""
    return int.from_bytes(sha256(target.encode()).digest()[:6], "big") / float(1 << 48) * width_s


def due_after(target: str, schedule: Schedule | None, now: float) -> float:
    """Return when a target is due next after `now`. UTC seconds since the epoch."""
    said = schedule or DEFAULT
    if said.cron:
        return CronLine(said.cron).after(now) + spread(target, said.jitter_s)
    place = spread(target, said.every_s)
    found = ((now - place) // said.every_s + 1) * said.every_s + place
    return found if found > now else found + said.every_s  # what was rounded must not be due again at once
