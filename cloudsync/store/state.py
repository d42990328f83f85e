"""Opening state: from `state:` of the settings to the tables, with every precondition checked before any platform is contacted."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from cloudsync.adapter import Clock
from cloudsync.model.errors import SettingsError
from cloudsync.model.finding import Finding, Where
from cloudsync.store.audit import AuditTrail
from cloudsync.store.database import Database
from cloudsync.store.files import DirectoryLock
from cloudsync.store.findings import FindingTable
from cloudsync.store.history import HistoryTable
from cloudsync.store.journal import JournalTable
from cloudsync.store.lease import LIFE_S, StoreLease
from cloudsync.store.records import Records

DEFAULT = "sqlite:///.cloudsync/state.db"
_SCHEME = "sqlite:///"


def state_path(url: str, root: Path, where: Where | None = None) -> Path:
    """Return the state file of a `state:` setting; relative paths are relative to the repository. Raises SettingsError."""
    place = where or Where("cloudsync.yaml")
    if url.startswith(("postgresql:", "postgres:")):
        hint = f"use {DEFAULT} or sqlite:////absolute/path, on one machine"
        raise SettingsError([Finding(place, "BAD-STATE", "state in PostgreSQL is not available yet", hint)])
    path = url.removeprefix(_SCHEME)
    if not url.startswith(_SCHEME) or not path or path.endswith("/"):
        raise SettingsError([Finding(place, "BAD-STATE", f"{url!r} is no state URL", f"want e.g. {DEFAULT}")])
    return root / path


class State:
    """The open state of one deployment. With `writer` it holds the lock and the lease: only then may a platform be written to."""

    def __init__(self, path: Path, clock: Clock, *, writer: str = "", through: bool = False, life_s: float = LIFE_S) -> None:
        """Open the file. `writer` is the run id of a run that may write; empty for verbs that only look or leave a note.

        `through`: holds that a rollback or a release put are not in its way; those of people are.
        Raises BusyError (PRE-LOCK) or RefusedError (PRE-MODE, PRE-STATE, PRE-JOURNAL).
        """
        self.path = path
        self._lock = DirectoryLock(path.with_name(path.name + ".lock"))
        if writer:
            self._lock.acquire(clock.now())
        try:
            self._database = Database(path)
            self.journal = JournalTable(self._database, clock, through=through)
            self.records = Records(self._database)
            self.findings = FindingTable(self._database)
            self.history = HistoryTable(self._database)
            self.audit = AuditTrail(self._database)
            self.lease = StoreLease(self._database, clock, self._lock.lost, life_s)
            if writer:
                self.audit.sync()
                self.lease.acquire(writer)
        except BaseException:
            self._lock.release()
            raise

    def close(self) -> None:
        """Give lease and lock back and bring the audit mirror up to date."""
        try:
            if self.lease.generation:
                self.lease.release()
                self.audit.sync()
        finally:
            self._database.close()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
