"""How the fleet stands, from its tables alone: who works, at what, how much waits. Needs no more than the way to the server."""

from __future__ import annotations

from typing import Any

from cloudsync.model.errors import RefusedError
from cloudsync.model.quick import dataclass
from cloudsync.store.place import Server

SCHEMA_MAX = 57
"""Of the state's schema, so that the queue's has a name, too."""
DEAD_S = 10.0
"""A worker that has not said for so long that it lives is taken for dead."""
_WORKERS = """SELECT w.id, w.host, w.pid, w.program, w.policy, w.why, w.started,
        extract(epoch FROM clock_timestamp() - p.last_heartbeat)::float8 AS silent_s, j.args AS job
    FROM worker w JOIN procrastinate_workers p ON p.id = w.id
    LEFT JOIN procrastinate_jobs j ON j.worker_id = w.id AND j.status = 'doing' ORDER BY w.host, w.pid, w.id"""
_DEPTH = """SELECT count(*) FILTER (WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now())) AS waiting,
        count(*) FILTER (WHERE status = 'todo' AND scheduled_at > now()) AS later, count(*) FILTER (WHERE status = 'doing') AS running
    FROM procrastinate_jobs WHERE queue_name LIKE 'targets-%'"""
_LATE = "SELECT greatest(0, max(extract(epoch FROM clock_timestamp())::float8 - due)) AS behind_s FROM turn"


@dataclass(frozen=True, slots=True)
class WorkerStanding:
    """One worker. `silent_s`: seconds since it last said that it lives; `targets`: of the job it is at; `why`: what keeps it from work."""

    host: str
    pid: int
    program: str
    policy: str
    why: str
    silent_s: float
    targets: tuple[str, ...] = ()

    @property
    def alive(self) -> bool:
        """Tell whether it counts as alive."""
        return self.silent_s < DEAD_S


@dataclass(frozen=True, slots=True)
class FleetStanding:
    """All workers and the queue. `waiting`: jobs that could run now; `later`: put off; `running`: at work, or their worker died."""

    workers: tuple[WorkerStanding, ...]
    waiting: int
    later: int
    running: int
    behind_s: float
    """How long the target that is due for longest has been due without a job in the queue; 0 while the timetable is kept."""


def schema(server: Server) -> str:
    """Return the schema of the queue. Raises RefusedError where the state's leaves no room for a name."""
    if len(server.schema) > SCHEMA_MAX:
        raise RefusedError("PRE-STATE", f"schema {server.schema} is longer than {SCHEMA_MAX}", "name a shorter one: ?schema=NAME")
    return f"{server.schema}_queue"


def options(server: Server) -> dict[str, Any]:
    """Return how to connect beside the URL: the tables of the queue are found first, then those of the state."""
    path = f"-c search_path={schema(server)},{server.schema}"
    words: dict[str, Any] = {"options": path, "application_name": "cloudsync queue"}
    if "connect_timeout=" not in server.url:
        words["connect_timeout"] = 10
    return words | ({"password": server.password} if server.password else {})


def standing(server: Server) -> FleetStanding | None:
    """Return how the fleet stands, None where no worker ever was. Raises RefusedError when the server cannot be asked."""
    import psycopg
    from psycopg.rows import dict_row

    try:
        with psycopg.connect(server.url, row_factory=dict_row, **options(server)) as connection:
            row = connection.execute("SELECT to_regclass(%s) AS there", (f"{schema(server)}.procrastinate_jobs",)).fetchone()
            if row is None or row["there"] is None:
                return None
            workers = connection.execute(_WORKERS).fetchall()
            depth = connection.execute(_DEPTH).fetchone()
            late = connection.execute(_LATE).fetchone()
    except psycopg.Error as error:
        raise RefusedError("PRE-JOURNAL", f"{server}: {' '.join(str(error).split())}", "the queue stands beside the state") from error
    assert depth is not None, "an aggregate has one row"
    assert late is not None, "an aggregate has one row"
    found = (
        WorkerStanding(
            *(one["host"], one["pid"], one["program"], one["policy"], one["why"], max(0.0, one["silent_s"])),
            tuple((one["job"] or {}).get("targets", ())),
        )
        for one in workers
    )
    return FleetStanding(tuple(found), depth["waiting"], depth["later"], depth["running"], float(late["behind_s"] or 0.0))
