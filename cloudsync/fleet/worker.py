"""One worker: takes jobs, one at a time, and does its share of what keeps the fleet going. It outlives a server that is started again."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import field
from typing import Protocol

from procrastinate import App

from cloudsync.fleet import queue
from cloudsync.fleet.jobs import CARE, Job, due_after, queues, read
from cloudsync.model.quick import dataclass
from cloudsync.settings.values import Schedule
from cloudsync.store.place import Server

log = logging.getLogger("cloudsync.worker")

AGAIN_S, LONGEST_S = 1.0, 15.0
"""A queue that cannot be reached is tried again after so long: the first time, and at most."""
TICK_S = 0.2
GRACE_S = 9.0
"""So long a run may take to come to a boundary after a signal."""


@dataclass(frozen=True, slots=True)
class Next:
    """What is to be done after a job. `put_off`: the jobs that go into the queue, and after how many seconds."""

    put_off: tuple[tuple[Job, float], ...] = ()
    leave: str = ""
    """Why this worker must not go on."""


class Work(Protocol):
    """What is done, by those who know how."""

    def schedules(self) -> Mapping[str, Schedule | None]:
        """Return the targets that the fleet is for, with their schedules."""

    def policy(self) -> str:
        """Return the commit that this worker has."""

    def do(self, job: Job) -> Next:
        """Do one job, in a thread. Never raises what a run may meet."""

    def greet(self, worker: int) -> None:
        """Put this worker on the roster, under its number in the queue."""


@dataclass(slots=True)
class Worker:
    """The parts of a worker."""

    server: Server
    work: Work
    stop: Callable[[], bool]
    left: str = ""
    _one: threading.Lock = field(default_factory=threading.Lock)
    _later: list[tuple[Job, float]] = field(default_factory=list)

    def serve(self) -> str:
        """Work until asked to stop; return why it stopped by itself, empty when it was asked. Raises RefusedError before the first job."""
        queue.prepare(self.server)
        return asyncio.run(self._serve())

    async def _serve(self) -> str:
        wait = AGAIN_S
        while not self.stop() and not self.left:
            started = asyncio.get_running_loop().time()
            try:
                async with queue.app(self.server).open_async() as app:
                    await self._work(app)
            except queue.LOST as error:
                log.warning("queue.lost", extra={"why": f"{type(error).__name__}: {error}"})
            if self.stop() or self.left:
                break
            wait = AGAIN_S if asyncio.get_running_loop().time() - started > LONGEST_S else min(2 * wait, LONGEST_S)
            await asyncio.sleep(wait)
        return self.left

    async def _work(self, app: App) -> None:
        """Take jobs until asked to stop, or until the queue is lost."""
        queue.register(app, self._do, lambda: self._tick(app))
        jobs, care = queue.loop(app, "targets", queues()), queue.loop(app, "care", (CARE,))
        running = [asyncio.create_task(one.run()) for one in (jobs, care)]
        watch = asyncio.create_task(self._watch(app, jobs))
        try:
            await asyncio.wait([*running, watch], return_when=asyncio.FIRST_COMPLETED)
        finally:
            jobs.stop()
            care.stop()
            watch.cancel()
            done, late = await asyncio.wait([*running, watch], timeout=GRACE_S)
            for one in late:
                one.cancel()
            await self._give_back(app)
        for one in done:
            error = None if one.cancelled() else one.exception()
            if error is not None:
                raise error

    async def _watch(self, app: App, jobs: queue.Loop) -> None:
        """Look after signals and what jobs left behind."""
        greeted: int | None = None
        while not self.stop() and not self.left:
            if jobs.worker_id is not None and jobs.worker_id != greeted:
                greeted = jobs.worker_id
                await asyncio.to_thread(self.work.greet, greeted)
            await self._give_back(app)
            await asyncio.sleep(TICK_S)

    async def _give_back(self, app: App) -> None:
        """Put back into the queue what could not be done now."""
        while self._later:
            job, after_s = self._later[0]
            await queue.put_off(app, job, after_s)
            self._later.pop(0)

    def _do(self, payload: dict[str, object]) -> None:
        with self._one:  # a job whose queue was lost may still be coming to its end
            if self.stop() or self.left:
                with suppress(ValueError):
                    self._later.append((read(payload), 0.0))
                return
            try:
                job = read(payload)
            except ValueError as error:
                log.warning("job.unknown", extra={"why": str(error)})
                return
            done = self.work.do(job)
            self._later.extend(done.put_off)
            self.left = done.leave

    async def _tick(self, app: App) -> None:
        """Give the jobs of dead workers to others, and put what is due into the queue."""
        revived = await queue.revive(app)
        if revived:
            log.warning("jobs.revived", extra={"jobs": revived})
        now, known = await queue.due(app)
        turns: dict[str, float] = {}
        for target, schedule in self.work.schedules().items():
            if schedule is not None and schedule.cron and target not in known:
                turns[target] = due_after(target, schedule, now)  # it may stand for a window in which changes are allowed
            elif known.get(target, now) <= now:
                await queue.put(app, Job((target,), self.work.policy()))
                turns[target] = due_after(target, schedule, now)
        if turns:
            await queue.note_due(app, turns)
