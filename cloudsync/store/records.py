"""What runs leave behind for the next one and for people: runs, plans, approvals, holds, verified inventories, originals."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cloudsync.guard.values import Approval, Refusal
from cloudsync.model.codec import Json, canonical, from_json, to_json
from cloudsync.model.errors import RefusedError
from cloudsync.model.workload import PointId
from cloudsync.plan.values import Adoption
from cloudsync.store import audit
from cloudsync.store.database import Database

PLANS_KEPT = 200
EVERY_TARGET = "*"
"""The target of a hold on everything."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run. `ended` and `exit_code` are None while it runs, and for ever when it was killed. Times are UTC seconds."""

    id: str
    verb: str
    generation: int
    policy: str
    started: float
    ended: float | None
    exit_code: int | None
    summary: Json


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A plan that guards refused: its whole digest and what they said, overridden refusals included."""

    digest: str
    target: str
    run: str
    at: float
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class Hold:
    """Nobody writes to a target (`*`: to any) until it is lifted."""

    target: str
    who: str
    because: str
    at: float


@dataclass(frozen=True, slots=True)
class VerifiedScope:
    """The last inventory of a scope that was read whole and passed the guards; `document` is the caller's own JSON."""

    target: str
    scope: str
    document: Json
    at: float


class Records:
    """The tables beside the journal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- runs and plans ----------------------------------------------------------------------------------------------

    def start_run(self, record: RunRecord) -> None:
        """Write down that a run began; the first durable write of a run, so that a full disk is found before any contact."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO run (id, verb, generation, policy, started) VALUES (?, ?, ?, ?, ?)",
                (record.id, record.verb, record.generation, record.policy, record.started),
            )
            audit.append(connection, "run", record.started, {"run": record.id, "verb": record.verb, "policy": record.policy})

    def finish_run(self, run_id: str, exit_code: int, summary: Json, at: float) -> None:
        """Write down how a run ended."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE run SET ended = ?, exit_code = ?, summary = ? WHERE id = ?", (at, exit_code, canonical(summary), run_id)
            )
            audit.append(connection, "end", at, {"run": run_id, "exit": exit_code})

    def runs(self, most: int = 20) -> tuple[RunRecord, ...]:
        """Return the latest runs, newest first."""
        rows = self._database.rows("SELECT * FROM run ORDER BY started DESC, rowid DESC LIMIT ?", most)
        return tuple(
            RunRecord(
                *(row["id"], row["verb"], row["generation"], row["policy"], row["started"], row["ended"], row["exit_code"]),
                json.loads(row["summary"]),
            )
            for row in rows
        )

    def save_refused(self, digest: str, target: str, refusals: Iterable[Refusal], run_id: str, at: float) -> None:
        """Keep what the guards said of a plan under its digest, so that `approve` finds it; the oldest go.

        Only that: the plan itself is made again by whoever applies it, and may be large.
        """
        with self._database.transaction() as connection:
            values = (digest, target, run_id, at, canonical(to_json(tuple(refusals))))
            connection.execute("INSERT OR REPLACE INTO plan (digest, target, run, at, document) VALUES (?, ?, ?, ?, ?)", values)
            connection.execute(
                "DELETE FROM plan WHERE rowid NOT IN (SELECT rowid FROM plan ORDER BY at DESC, rowid DESC LIMIT ?)", (PLANS_KEPT,)
            )

    def find_plan(self, prefix: str) -> StoredPlan:
        """Return the plan whose digest begins so. Raises RefusedError NO-PLAN when none or several do."""
        rows = (
            self._database.rows("SELECT * FROM plan WHERE substr(digest, 1, ?) = ? LIMIT 2", len(prefix), prefix.lower()) if prefix else []
        )
        if len(rows) != 1:
            why = "several plans begin so" if rows else "no such plan is stored"
            raise RefusedError("NO-PLAN", f"{prefix!r}: {why}", "give more digits, or plan again")
        row = rows[0]
        refusals = from_json(tuple[Refusal, ...], json.loads(row["document"]))
        return StoredPlan(row["digest"], row["target"], row["run"], row["at"], refusals)

    # --- approvals and holds -----------------------------------------------------------------------------------------

    def approve(self, approval: Approval) -> None:
        """Store an override."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO approval (digest, target, guard, who, because, until, names, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(approval.digest, approval.target, approval.guard, approval.who, approval.because, approval.until),
                    *(canonical(list(approval.names)), approval.created),
                ),
            )
            audit.append(connection, "approve", approval.created, to_json(approval))

    def approvals(self) -> tuple[Approval, ...]:
        """Return every approval ever given, oldest first; whether one holds is the guards' business."""
        return tuple(
            Approval(
                *(row["digest"], row["target"], row["guard"], row["who"], row["because"], row["until"]),
                *(tuple(json.loads(row["names"])), row["created"]),
            )
            for row in self._database.rows("SELECT * FROM approval ORDER BY id")
        )

    def hold(self, hold: Hold) -> None:
        """Stop all writes to a target from the next op on."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO hold (target, who, because, at) VALUES (?, ?, ?, ?)", (hold.target, hold.who, hold.because, hold.at)
            )
            audit.append(connection, "hold", hold.at, to_json(hold))

    def unhold(self, target: str, who: str, at: float) -> bool:
        """Lift a hold; tell whether there was one."""
        with self._database.transaction() as connection:
            lifted = connection.execute("DELETE FROM hold WHERE target = ?", (target,)).rowcount > 0
            if lifted:
                audit.append(connection, "unhold", at, {"target": target, "who": who})
        return lifted

    def holds(self) -> tuple[Hold, ...]:
        """Return the holds in force, by target."""
        return tuple(
            Hold(row["target"], row["who"], row["because"], row["at"]) for row in self._database.rows("SELECT * FROM hold ORDER BY target")
        )

    # --- inventories and originals -----------------------------------------------------------------------------------

    def verified(self) -> tuple[VerifiedScope, ...]:
        """Return the last verified inventory of every scope, by target and scope."""
        rows = self._database.rows("SELECT * FROM inventory ORDER BY target, scope")
        return tuple(VerifiedScope(row["target"], row["scope"], json.loads(row["document"]), row["at"]) for row in rows)

    def verify(self, scopes: Iterable[VerifiedScope], run_id: str) -> None:
        """Replace the verified inventory of these scopes; only for scopes read whole that no guard refused."""
        with self._database.transaction() as connection:
            for scope in scopes:
                connection.execute(
                    "INSERT OR REPLACE INTO inventory (target, scope, document, run, at) VALUES (?, ?, ?, ?, ?)",
                    (scope.target, scope.scope, canonical(scope.document), run_id, scope.at),
                )

    def originals(self, target: str) -> Mapping[PointId, Adoption]:
        """Return what each adopted point of a target had when it was adopted."""
        rows = self._database.rows("SELECT document FROM original WHERE target = ? ORDER BY point", target)
        found = [from_json(Adoption, json.loads(row["document"])) for row in rows]
        return {adoption.point: adoption for adoption in found}

    def forget_originals(self, target: str, points: Iterable[PointId], at: float) -> None:
        """Drop the records of points that were given back."""
        with self._database.transaction() as connection:
            for point in points:
                if connection.execute("DELETE FROM original WHERE target = ? AND point = ?", (target, point)).rowcount:
                    audit.append(connection, "release", at, {"target": target, "point": point})

    # --- notes -------------------------------------------------------------------------------------------------------

    def note(self, key: str) -> Json:
        """Return a small document kept under a key, None when there is none."""
        row = self._database.row("SELECT document FROM note WHERE key = ?", key)
        return json.loads(row["document"]) if row else None

    def keep(self, key: str, document: Json) -> None:
        """Keep a small document under a key."""
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO note (key, document) VALUES (?, ?)", (key, canonical(document)))
