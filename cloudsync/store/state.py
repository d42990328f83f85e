"""Opening state: from `state:` of the settings to the tables, with every precondition checked before any platform is contacted."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from cloudsync.adapter import Clock
from cloudsync.store.audit import AuditTrail
from cloudsync.store.database import Database, Lock
from cloudsync.store.files import DirectoryLock
from cloudsync.store.findings import FindingTable
from cloudsync.store.fleet import FleetTable
from cloudsync.store.history import HistoryTable
from cloudsync.store.journal import JournalTable
from cloudsync.store.lease import LIFE_S, Claim, StoreLease
from cloudsync.store.limits import LimitTable
from cloudsync.store.place import Place
from cloudsync.store.records import Records


def open_database(place: Place) -> Database:
    """Open a file, or a session on a server; its tables are made or brought up. Raises RefusedError or BusyError."""
    if isinstance(place, Path):
        from cloudsync.store.sqlite import SqliteDatabase

        return SqliteDatabase(place)
    from cloudsync.store.postgres import PostgresDatabase

    return PostgresDatabase(place)


class State:
    """The open state of one deployment. With `writer` it holds the lock and the lease: only then may a platform be written to."""

    def __init__(self, place: Place, clock: Clock, *, writer: str | Claim = "", through: bool = False, life_s: float = LIFE_S) -> None:
        """Open a file, or a session on a server. `writer` is the run id of a run that may write; empty for verbs that only look.

        A claim is one that may write to its targets alone, while others write elsewhere; in a file it takes everything all the same.

        `through`: holds that a rollback or a release put are not in its way; those of people are.
        Raises BusyError (PRE-LOCK) or RefusedError (PRE-MODE, PRE-STATE, PRE-JOURNAL).
        """
        with ExitStack() as held:
            claim = writer if isinstance(writer, Claim) else Claim(writer, life_s=life_s)
            if isinstance(place, Path):
                claim = Claim(claim.run, life_s=claim.life_s)
            self._lock, self._database = self._opened(place, clock, held, claim)
            self.journal = JournalTable(self._database, clock, through=through)
            self.records = Records(self._database)
            self.findings = FindingTable(self._database)
            self.history = HistoryTable(self._database)
            self.fleet = FleetTable(self._database)
            self.limits = LimitTable(self._database)
            self.audit = AuditTrail(self._database, place.parent if isinstance(place, Path) else place.folder)
            self.lease = StoreLease(self._database, clock, self._lock.lost, claim.life_s, claim.targets)
            if claim.run:
                self.audit.sync()
                self.lease.acquire(claim.run)
            self._held = held.pop_all()

    @property
    def database(self) -> Database:
        """The database itself, for whoever takes all of it."""
        return self._database

    @staticmethod
    def _opened(place: Place, clock: Clock, held: ExitStack, claim: Claim) -> tuple[Lock, Database]:
        """Take the lock, for a writer, and open the database; what was taken goes back, last first, when `held` is closed."""
        if isinstance(place, Path):
            lock: Lock = DirectoryLock(place.with_name(place.name + ".lock"))
            held.callback(lock.release)
            if claim.run:
                lock.acquire(clock.now())
            database = open_database(place)
            held.callback(database.close)
            return lock, database
        from cloudsync.store.postgres import PostgresDatabase, ServerLock

        session = PostgresDatabase(place)
        held.callback(session.close)
        lock = ServerLock(session, claim.targets)
        held.callback(lock.release)
        if claim.run:
            lock.acquire(clock.now())
        return lock, session

    def close(self) -> None:
        """Give lease and lock back and bring the audit mirror up to date."""
        try:
            if self.lease.generation:
                self.lease.release()
                self.audit.sync()
        finally:
            self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
