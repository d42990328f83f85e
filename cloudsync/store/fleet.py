"""What workers share beside the queue: who works, and how far the policy has come."""

from __future__ import annotations

import json
import os
from socket import gethostname

from cloudsync.model.codec import canonical
from cloudsync.model.quick import dataclass
from cloudsync.store.database import Database

POLICY = "fleet-policy"
"""The note under which the newest commit stands that a worker made a run with."""


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker, as it put itself on the roster. `id`: its number in the queue; `why`: what keeps it from work; `started`: UTC seconds."""

    id: int
    host: str
    pid: int
    program: str
    jobs: int
    """The newest version of jobs that it knows."""
    policy: str
    why: str
    started: float


class FleetTable:
    """The tables of a fleet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def greet(self, worker: int, program: str, jobs: int, started: float) -> None:
        """Put this process on the roster."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM worker WHERE host = ? AND pid = ?", (gethostname(), os.getpid()))
            connection.execute(
                """INSERT INTO worker (id, host, pid, program, jobs, policy, why, started) VALUES (?, ?, ?, ?, ?, '', '', ?)
                    ON CONFLICT (id) DO UPDATE SET host = excluded.host, pid = excluded.pid, started = excluded.started""",
                (worker, gethostname(), os.getpid(), program, jobs, started),
            )

    def stands(self, policy: str, why: str) -> None:
        """Note which commit this process has, and what keeps it from work."""
        row = self._database.row("SELECT policy, why FROM worker WHERE host = ? AND pid = ?", gethostname(), os.getpid())
        if row is None or (row["policy"], row["why"]) != (policy, why):
            with self._database.transaction() as connection:
                values = (policy, why, gethostname(), os.getpid())
                connection.execute("UPDATE worker SET policy = ?, why = ? WHERE host = ? AND pid = ?", values)

    def workers(self) -> tuple[WorkerRow, ...]:
        """Return the roster; whether somebody on it lives is known to the queue."""
        return tuple(
            WorkerRow(
                *(row["id"], row["host"], row["pid"], row["program"], row["jobs"]),
                *(row["policy"], row["why"], row["started"]),
            )
            for row in self._database.rows("SELECT * FROM worker ORDER BY host, pid, id")
        )

    def policy(self) -> str:
        """Return the newest commit that a run was made with, empty before the first."""
        row = self._database.row("SELECT document FROM note WHERE key = ?", POLICY)
        return str(json.loads(row["document"])) if row else ""

    def advance(self, before: str, after: str) -> bool:
        """Set the newest commit; false when somebody else did so since it was `before`."""
        with self._database.transaction() as connection:
            row = connection.execute("SELECT document FROM note WHERE key = ?", (POLICY,)).fetchone()
            if (str(json.loads(row["document"])) if row else "") != before:
                return False
            connection.execute(
                "INSERT INTO note (key, document) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET document = excluded.document",
                (POLICY, canonical(after)),
            )
        return True

    def due(self) -> dict[str, float]:
        """Return when targets are due by the queue's timetable. UTC seconds."""
        return {row["target"]: row["due"] for row in self._database.rows("SELECT target, due FROM turn")}
