"""The lease: who may write, with a generation that only grows. Time is measured on the monotonic clock, so that no clock jump breaks it.

A run may write either anywhere, or to some targets alone while others write to the rest. Every lease has a row of its own, generations are
counted over all of them: whoever came last to a target, by either way, has the higher one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from socket import gethostname

from cloudsync.adapter import Clock
from cloudsync.model.codec import Json
from cloudsync.model.errors import BusyError, RefusedError
from cloudsync.model.quick import dataclass
from cloudsync.store import audit
from cloudsync.store.database import Database, Row, Transaction

LIFE_S = 300.0
"""A lease lives so long; its holder stops at half of that, which leaves the other half for clocks that run at different speeds."""
PART_LIFE_S = 20.0
"""The same for a run that may write to some targets alone: it is renewed from outside of the run, see `cloudsync.fleet.keeper`."""
WHOLE = "writer"
"""The lease on everything."""
_PART = "target/"


def part_name(target: str) -> str:
    """Return the name of the lease on one target."""
    return _PART + target


@dataclass(frozen=True, slots=True)
class Claim:
    """What a run wants to write to: everything, or with `targets` these alone."""

    run: str
    targets: tuple[str, ...] = ()
    life_s: float = LIFE_S

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of its leases, in one order, so that two claims never wait for each other."""
        return tuple(map(part_name, sorted(set(self.targets)))) or (WHOLE,)


class StoreLease:
    """The writer's lease in the state; implements the port of `cloudsync.plan.journal`."""

    def __init__(
        self, database: Database, clock: Clock, lock_lost: Callable[[], str], life_s: float = LIFE_S, targets: Iterable[str] = ()
    ) -> None:
        self._database, self._clock, self._lock_lost, self._life_s = database, clock, lock_lost, life_s
        self._names = Claim("", tuple(targets)).names
        self._generation = 0
        self._renewed = 0.0
        self.before: tuple[str, ...] = ()
        """The runs that held these leases before us."""

    @property
    def generation(self) -> int:
        """Our generation; 0 before `acquire`."""
        return self._generation

    @property
    def life_s(self) -> float:
        """How long it lives when nobody renews it."""
        return self._life_s

    @property
    def partial(self) -> bool:
        """Tell whether it is for some targets alone."""
        return self._names != (WHOLE,)

    def acquire(self, holder: str) -> None:
        """Become the writer. Raises BusyError while a writer on another machine may still be alive.

        The lock shows that nobody else writes on this machine, so that a dead run's lease is taken over at once.
        """
        host = gethostname()
        started = self._clock.monotonic()
        with self._database.transaction() as connection:
            now = self._clock.now()
            rows, longest = self._in_the_way(connection), LIFE_S if self.partial else self._life_s
            for row in rows:
                # A clock that was set back makes a lease look longer than any can be.
                if row["host"] != host and now < row["expires"] <= now + longest:
                    message = f"{row['holder']} on {row['host']} (pid {row['pid']}) holds the lease"
                    raise BusyError("PRE-LOCK", f"{message} for {row['expires'] - now:.0f} s more", "wait for it")
            newest = connection.execute("SELECT max(generation) AS generation FROM lease").fetchone()
            generation = ((newest["generation"] if newest is not None else None) or 0) + 1
            for name in self._names:
                connection.execute(
                    """INSERT INTO lease (name, holder, host, pid, generation, expires) VALUES (?, ?, ?, ?, ?, ?)
                        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, host = excluded.host, pid = excluded.pid,
                        generation = excluded.generation, expires = excluded.expires""",
                    (name, holder, host, os.getpid(), generation, now + self._life_s),
                )
            line: dict[str, Json] = {"run": holder, "generation": generation, "host": host, "pid": os.getpid()}
            if self.partial:
                line["targets"] = [name.removeprefix(_PART) for name in self._names]
            audit.append(connection, "writer", now, line)
        # Only a durable generation is ours: the next writer would count to the same number.
        self._generation, self._renewed = generation, started
        self.before = tuple(dict.fromkeys(str(row["holder"]) for row in rows if row["name"] in self._names))

    def _in_the_way(self, connection: Transaction) -> list[Row]:
        """Return the leases that ours must not stand beside."""
        if not self.partial:
            return list(connection.execute("SELECT * FROM lease ORDER BY name").fetchall())
        found: list[Row] = []
        for name in (WHOLE, *self._names):
            found += connection.execute("SELECT * FROM lease WHERE name = ?", (name,)).fetchall()
        return found

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
            newest = self._newest()
            if newest != self._generation:
                return f"a newer writer took over (generation {newest}, we are {self._generation})"
            if started - self._renewed > self._life_s / 8:
                return self._renew(started)
        except RefusedError as error:
            return str(error)
        return ""

    def _newest(self) -> int:
        """Return the highest generation of anybody who may write to something that we may write to."""
        if not self.partial:
            rows = [self._database.row("SELECT max(generation) AS generation FROM lease")]
        else:
            query = "SELECT max(generation) AS generation FROM lease WHERE name IN (?, ?)"
            rows = [self._database.row(query, WHOLE, name) for name in self._names]
        return max(int(row["generation"] or 0) if row is not None else 0 for row in rows)

    def _renew(self, started: float) -> str:
        with self._database.transaction() as connection:
            expires = self._clock.now() + self._life_s
            for name in self._names:
                values = (expires, name, self._generation)
                if not connection.execute("UPDATE lease SET expires = ? WHERE name = ? AND generation = ?", values).rowcount:
                    return "a newer writer took over"
        self._renewed = started
        return ""

    def release(self) -> None:
        """Let the next writer in at once; the generation stays."""
        if self._generation:
            with self._database.transaction() as connection:
                for name in self._names:
                    connection.execute("UPDATE lease SET expires = 0 WHERE name = ? AND generation = ?", (name, self._generation))
            self._generation = 0
