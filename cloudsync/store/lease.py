"""The lease: who may write, with a generation that only grows. Time is measured on the monotonic clock, so that no clock jump breaks it."""

from __future__ import annotations

import os
from collections.abc import Callable
from socket import gethostname

from cloudsync.adapter import Clock
from cloudsync.model.errors import BusyError, RefusedError
from cloudsync.store import audit
from cloudsync.store.database import Database

LIFE_S = 300.0
"""A lease lives so long; its holder stops at half of that, which leaves the other half for clocks that run at different speeds."""


class StoreLease:
    """The writer's lease in the state; implements the port of `cloudsync.plan.journal`."""

    def __init__(self, database: Database, clock: Clock, lock_lost: Callable[[], str], life_s: float = LIFE_S) -> None:
        self._database, self._clock, self._lock_lost, self._life_s = database, clock, lock_lost, life_s
        self._generation = 0
        self._renewed = 0.0

    @property
    def generation(self) -> int:
        """Our generation; 0 before `acquire`."""
        return self._generation

    def acquire(self, holder: str) -> None:
        """Become the writer. Raises BusyError while a writer on another machine may still be alive.

        The lock shows that nobody else writes on this machine, so that a dead run's lease is taken over at once.
        """
        host = gethostname()
        started = self._clock.monotonic()
        with self._database.transaction() as connection:
            now = self._clock.now()
            row = connection.execute("SELECT * FROM lease WHERE name = 'writer'").fetchone()
            if row is not None and row["host"] != host and now < row["expires"] <= now + self._life_s:
                message = f"{row['holder']} on {row['host']} (pid {row['pid']}) holds the lease"
                raise BusyError("PRE-LOCK", f"{message} for {row['expires'] - now:.0f} s more", "wait for it")
            generation = (row["generation"] if row is not None else 0) + 1
            connection.execute(
                """INSERT INTO lease (name, holder, host, pid, generation, expires) VALUES ('writer', ?, ?, ?, ?, ?)
                    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, host = excluded.host, pid = excluded.pid,
                    generation = excluded.generation, expires = excluded.expires""",
                (holder, host, os.getpid(), generation, now + self._life_s),
            )
            audit.append(connection, "writer", now, {"run": holder, "generation": generation, "host": host, "pid": os.getpid()})
        # Only a durable generation is ours: the next writer would count to the same number.
        self._generation, self._renewed = generation, started

    def lost(self) -> str:
        """Return why nothing may be written any more; renews the lease while it is surely ours."""
        if not self._generation:
            return "no lease was taken"
        reason = self._lock_lost()
        if reason:
            return reason
        started = self._clock.monotonic()
        if started - self._renewed >= self._life_s / 2:
            return f"paused for {started - self._renewed:.0f} s, longer than half the lease"
        try:
            row = self._database.row("SELECT generation FROM lease WHERE name = 'writer'")
            if row is None or row["generation"] != self._generation:
                return f"a newer writer took over (generation {row['generation'] if row else 0}, we are {self._generation})"
            if started - self._renewed > self._life_s / 8:
                return self._renew(started)
        except RefusedError as error:
            return str(error)
        return ""

    def _renew(self, started: float) -> str:
        with self._database.transaction() as connection:
            expires = self._clock.now() + self._life_s
            changed = connection.execute(
                "UPDATE lease SET expires = ? WHERE name = 'writer' AND generation = ?", (expires, self._generation)
            ).rowcount
        if not changed:
            return "a newer writer took over"
        self._renewed = started
        return ""

    def release(self) -> None:
        """Let the next writer in at once; the generation stays."""
        if self._generation:
            with self._database.transaction() as connection:
                connection.execute("UPDATE lease SET expires = 0 WHERE name = 'writer' AND generation = ?", (self._generation,))
            self._generation = 0
