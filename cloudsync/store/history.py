"""What is kept of the past for people: versions of the policy, what every run opened and closed, stories of earlier runs, who writes now.

Rows are plain: what a change or a story says is the caller's own JSON. Times are UTC seconds since the epoch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from cloudsync.model.codec import Json, canonical
from cloudsync.model.quick import dataclass
from cloudsync.store.database import Database

STORIES_KEPT = 100
"""Stories of runs that had something to tell; the oldest go."""
CHANGES_KEPT_S = 800 * 86400.0
"""How long changes stand here; in the audit trail they stay."""


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A version of the config repository's files that runs were made with. `commit` is empty where they stood in none."""

    digest: str
    commit: str
    dirty: bool
    author: str
    subject: str
    first_used: float
    last_used: float


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One change that a run brought about; `n` counts within the run."""

    run: str
    n: int
    at: float
    target: str
    document: Json


@dataclass(frozen=True, slots=True)
class WriterRow:
    """Who holds the writer's lease, or held it when it was killed. `expires`: 0 when it was given back."""

    run: str
    host: str
    pid: int
    generation: int
    expires: float


class HistoryTable:
    """The tables behind `history`, `status`, `rollback` and reports of earlier runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def versions(self) -> tuple[PolicyVersion, ...]:
        """Return every version of the policy that was used, the latest used first."""
        return tuple(
            PolicyVersion(
                *(row["digest"], row["commit_id"], bool(row["dirty"]), row["author"], row["subject"]),
                *(row["first_used"], row["last_used"]),
            )
            for row in self._database.rows("SELECT * FROM policy_version ORDER BY last_used DESC, first_used DESC, digest, commit_id")
        )

    def changes(self, run: str = "", *, most: int = 1_000_000, since: float = 0.0) -> tuple[ChangeRow, ...]:
        """Return what one run changed, or all runs: the latest run first, within a run in the order of its plan."""
        if run:
            rows = self._database.rows("SELECT * FROM change WHERE run = ? ORDER BY n LIMIT ?", run, most)
        else:
            rows = self._database.rows("SELECT * FROM change WHERE at >= ? ORDER BY at DESC, run DESC, n LIMIT ?", since, most)
        return tuple(ChangeRow(row["run"], row["n"], row["at"], row["target"], json.loads(row["document"])) for row in rows)

    def changed(self, runs: Iterable[str]) -> frozenset[str]:
        """Return those of some runs that changed anything."""
        found = {row["run"] for row in self._database.rows("SELECT DISTINCT run FROM change")}
        return frozenset(found.intersection(runs))

    def keep_story(self, run: str, at: float, document: Json) -> None:
        """Keep the story of a run, so that it can be told again when others have followed."""
        with self._database.transaction() as connection:
            connection.execute(
                """INSERT INTO story (run, at, document) VALUES (?, ?, ?)
                    ON CONFLICT (run) DO UPDATE SET at = excluded.at, document = excluded.document""",
                (run, at, canonical(document)),
            )
            connection.execute(
                "DELETE FROM story WHERE run NOT IN (SELECT run FROM story ORDER BY at DESC, run DESC LIMIT ?)", (STORIES_KEPT,)
            )

    def stories(self, prefix: str) -> tuple[tuple[str, Json], ...]:
        """Return the stories of the runs whose ids begin so, the latest first."""
        rows = self._database.rows(
            "SELECT run, document FROM story WHERE substr(run, 1, ?) = ? ORDER BY at DESC, run DESC", len(prefix), prefix
        )
        return tuple((row["run"], json.loads(row["document"])) for row in rows)

    def writer(self) -> WriterRow | None:
        """Return who holds the writer's lease, or held it last; None when nobody ever did."""
        row = self._database.row("SELECT * FROM lease WHERE name = 'writer'")
        return WriterRow(row["holder"], row["host"], row["pid"], row["generation"], row["expires"]) if row else None
