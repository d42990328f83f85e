"""The queue in the deployment's own database, beside its state, by procrastinate; imported by `cloudsync worker` alone.

It has a schema of its own, `<schema>_queue`. What it promises is only that work is not forgotten: that nobody else writes is the matter of
the lease and the locks, which do not trust it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from cloudsync.fleet.jobs import CARE, Job, queue
from cloudsync.fleet.standing import options, schema
from cloudsync.model.errors import RefusedError
from cloudsync.store.place import Server

try:
    import procrastinate
    import psycopg
    from procrastinate import exceptions
    from procrastinate.jobs import Job as Queued
    from procrastinate.jobs import Status
    from procrastinate.worker import Worker as Taker
except ImportError as error:
    raise RefusedError("PRE-STATE", f"workers need procrastinate: {error}", "pip install 'cloudsync[postgres]'") from error

if TYPE_CHECKING:
    from procrastinate.types import TimeDeltaParams

HEARTBEAT_S, STALLED_S = 3.0, 10.0
"""A worker says that it lives so often; when it has not for so long its job is given to another."""
POLL_S = 2.0
CARE_CRON = "* * * * * */5"
"""Every five seconds, the sixth field (procrastinate reads lines with croniter): what is due, and whose worker died."""
KEPT_HOURS = 24
RECONCILE, TICK = "cloudsync.reconcile", "cloudsync.tick"
_LOCK = 0x636C7152
Made = Callable[[dict[str, object]], None]
"""What does a job's work. Runs in a thread."""
LOST = (exceptions.ProcrastinateException, psycopg.Error, OSError)
"""What a server that went away is known by."""


class Loop(Protocol):
    """What takes jobs out of some queues, one at a time."""

    @property
    def worker_id(self) -> int | None:
        """Its number, once it has begun."""

    async def run(self) -> None:
        """Take jobs until stopped."""

    def stop(self) -> None:
        """Take no more."""


def loop(queue_app: procrastinate.App, name: str, queues: Iterable[str]) -> Loop:
    """Return a loop over some queues."""
    made = Taker(
        queue_app,
        queues=list(queues),
        name=name,
        install_signal_handlers=False,
        fetch_job_polling_interval=POLL_S,
        update_heartbeat_interval=HEARTBEAT_S,
        stalled_worker_timeout=3 * STALLED_S,
        delete_jobs="always",
    )
    return cast("Loop", made)


def app(server: Server, *, most: int = 4) -> procrastinate.App:
    """Return the queue, not opened yet."""
    connector = procrastinate.PsycopgConnector(conninfo=server.url, kwargs=options(server), min_size=1, max_size=most, timeout=20)
    return procrastinate.App(connector=connector, periodic_defaults={"max_delay": 15})


def prepare(server: Server) -> None:
    """Make the queue's tables where they are not; whoever comes at the same time waits. Raises RefusedError."""
    name = schema(server)
    try:
        with psycopg.connect(server.url, **options(server)) as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            row = connection.execute("SELECT to_regclass(%s)", (f"{name}.procrastinate_jobs",)).fetchone()
            if row is None or row[0] is None:
                connection.execute(psycopg.sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(psycopg.sql.Identifier(name)))
                connection.execute("SELECT set_config('search_path', %s, true)", (name,))
                connection.execute(procrastinate.schema.SchemaManager.get_schema())
    except psycopg.Error as error:
        raise RefusedError("PRE-JOURNAL", f"{server}: {' '.join(str(error).split())}", "the queue stands beside the state") from error


async def put(queue_app: procrastinate.App, job: Job, *, after_s: float = 0.0) -> bool:
    """Put a job into the queue; False when one at the same targets waits there already, which is as good."""
    later: TimeDeltaParams | None = {"milliseconds": round(after_s * 1000)} if after_s else None
    deferrer = queue_app.configure_task(
        RECONCILE, queue=queue(), lock=job.lock, queueing_lock=job.lock, schedule_in=later, allow_unknown=True
    )
    try:
        await deferrer.defer_async(**job.payload())
    except exceptions.AlreadyEnqueued:
        return False
    return True


async def put_off(queue_app: procrastinate.App, job: Job, after_s: float) -> bool:
    """Put a job back that could not be done now."""
    return await put(queue_app, replace(job, tries=job.tries + 1), after_s=after_s)


async def revive(queue_app: procrastinate.App) -> int:
    """Give jobs whose worker died to the others; return how many there were."""
    found: Iterable[Queued] = await queue_app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_S)
    count = 0
    for one in found:
        count += 1
        try:
            await queue_app.job_manager.retry_job(one)
        except exceptions.ConnectorException:
            # Another one for the same targets waits already: it does the work as soon as this one is out of its way.
            await queue_app.job_manager.finish_job(one, Status.FAILED, delete_job=True)
    return count


async def due(queue_app: procrastinate.App) -> tuple[float, dict[str, float]]:
    """Return the server's time, and when targets are due as far as anybody noted it."""
    clock = await queue_app.connector.execute_query_one_async("SELECT extract(epoch FROM clock_timestamp())::float8 AS now")
    rows = await queue_app.connector.execute_query_all_async("SELECT target, due FROM turn")
    return float(clock["now"]), {str(row["target"]): float(row["due"]) for row in rows}


async def note_due(queue_app: procrastinate.App, turns: dict[str, float]) -> None:
    """Note when targets are due next."""
    query = """INSERT INTO turn (target, due) SELECT key, value::float8 FROM json_each_text(%(turns)s::json)
        ON CONFLICT (target) DO UPDATE SET due = excluded.due"""
    await queue_app.connector.execute_query_async(query, turns=json.dumps(turns))


def register(queue_app: procrastinate.App, work: Made, tick: Callable[[], Any]) -> None:
    """Name what jobs do. `tick` is a coroutine function."""

    @queue_app.task(name=RECONCILE, pass_context=False)
    def reconcile(**payload: object) -> None:
        work(payload)

    @queue_app.periodic(cron=CARE_CRON)
    @queue_app.task(name=TICK, queue=CARE, queueing_lock=TICK)
    async def care(timestamp: int) -> None:
        del timestamp
        await tick()
