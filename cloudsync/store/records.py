"""What runs leave behind for the next one and for people: runs, plans, approvals, holds, verified inventories, originals."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from cloudsync.guard.values import Approval, Refusal
from cloudsync.model.codec import Json, canonical, from_json, to_json
from cloudsync.model.errors import RefusedError
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId
from cloudsync.plan.values import Adoption
from cloudsync.store import audit
from cloudsync.store.database import Database
from cloudsync.store.history import CHANGES_KEPT_S

_KEEP_PLAN = """INSERT INTO plan (digest, target, run, at, document) VALUES (?, ?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE
    SET target = excluded.target, run = excluded.run, at = excluded.at, document = excluded.document"""
_KEEP_NOTE = "INSERT INTO note (key, document) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET document = excluded.document"
_USED, _USED_END, _USED_LIST = "used-approval/", "used-approval0", "used-approvals"
"""Notes of approvals that have done their work: what their keys begin with, what none reaches, and the list of earlier versions."""
PLANS_KEPT = 200
LOOKS_KEPT_S = 30 * 86400.0
"""How long a run that only looked is remembered."""
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
    commit: str = ""
    """The commit its files stand in; empty where they stand in none."""
    dirty: bool = False
    """They differed from that commit."""
    author: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended. `changes`: what it opened and closed, in order; `approved`: the refusals that a person's approval lifted."""

    exit_code: int
    summary: Json
    at: float
    changes: tuple[dict[str, Json], ...] = ()
    approved: tuple[dict[str, Json], ...] = ()


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
    """Nobody writes to a target (`*`: to any) until it is lifted. `run`: the rollback or release that put it, empty for a person's own."""

    target: str
    who: str
    because: str
    at: float
    run: str = ""


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
                "INSERT INTO run (id, verb, generation, policy, started, commit_id, dirty) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (record.id, record.verb, record.generation, record.policy, record.started, record.commit, int(record.dirty)),
            )
            connection.execute(
                """INSERT INTO policy_version (digest, commit_id, dirty, author, subject, first_used, last_used)
                    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (digest, commit_id, dirty) DO UPDATE SET last_used = excluded.last_used""",
                (
                    *(record.policy, record.commit, int(record.dirty), record.author, record.subject),
                    *(record.started, record.started),
                ),
            )
            commit: dict[str, Json] = {"commit": record.commit, "author": record.author} if record.commit else {}
            dirty: dict[str, Json] = {"dirty": True} if record.dirty else {}
            line: dict[str, Json] = {"run": record.id, "verb": record.verb, "policy": record.policy}
            audit.append(connection, "run", record.started, {**line, **commit, **dirty})

    def finish_run(self, run_id: str, ended: Ended) -> None:
        """Write down how a run ended: what it changed and which approvals it made use of stand in the audit trail before its end."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE run SET ended = ?, exit_code = ?, summary = ? WHERE id = ?",
                (ended.at, ended.exit_code, canonical(ended.summary), run_id),
            )
            for one in ended.approved:
                audit.append(connection, "approved", ended.at, {"run": run_id, **one})
            for number, change in enumerate(ended.changes, 1):
                values = (run_id, number, ended.at, change["target"], canonical(change))
                connection.execute("INSERT INTO change (run, n, at, target, document) VALUES (?, ?, ?, ?, ?)", values)
                audit.append(connection, "change", ended.at, {"run": run_id, **change})
            if ended.changes:
                connection.execute("DELETE FROM change WHERE at < ?", (ended.at - CHANGES_KEPT_S,))
            audit.append(connection, "end", ended.at, {"run": run_id, "exit": ended.exit_code})

    def looked(self, record: RunRecord) -> None:
        """Write down a run that only looked, when it is over; the oldest of that kind go. It is no line of the audit trail."""
        with self._database.transaction() as connection:
            connection.execute(
                """INSERT INTO run (id, verb, generation, policy, started, ended, exit_code, summary, commit_id, dirty)
                    VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?, ?)""",
                (
                    *(record.id, record.verb, record.policy, record.started, record.ended, record.exit_code),
                    *(canonical(record.summary), record.commit, int(record.dirty)),
                ),
            )
            connection.execute("DELETE FROM run WHERE generation = 0 AND started < ?", (record.started - LOOKS_KEPT_S,))

    def runs(self, most: int = 20, *, loud: bool = False, prefix: str = "") -> tuple[RunRecord, ...]:
        """Return the latest runs, newest first; those that only looked have generation 0.

        `loud` leaves out those, and runs that ended well without a write. `prefix`: of their ids.
        """
        rows = self._database.rows(
            """SELECT run.*, policy_version.author AS author, policy_version.subject AS subject FROM run LEFT JOIN policy_version
                ON policy_version.digest = run.policy AND policy_version.commit_id = run.commit_id AND policy_version.dirty = run.dirty
                WHERE substr(run.id, 1, ?) = ? AND (? = 0 OR (run.generation > 0
                    AND (run.exit_code IS NULL OR run.exit_code <> 0 OR EXISTS (SELECT 1 FROM op WHERE op.run = run.id))))
                ORDER BY run.started DESC, run.generation DESC, run.id DESC LIMIT ?""",
            *(len(prefix), prefix, int(loud), most),
        )
        return tuple(
            RunRecord(
                *(row["id"], row["verb"], row["generation"], row["policy"], row["started"], row["ended"], row["exit_code"]),
                *(json.loads(row["summary"]), row["commit_id"], bool(row["dirty"]), row["author"] or "", row["subject"] or ""),
            )
            for row in rows
        )

    def counted(self) -> int:
        """Return how many runs are on record."""
        row = self._database.row("SELECT count(*) AS runs FROM run")
        return int(row["runs"]) if row else 0

    def save_refused(self, digest: str, target: str, refusals: Iterable[Refusal], run_id: str, at: float) -> None:
        """Keep what the guards said of a plan under its digest, so that `approve` finds it; the oldest go.

        Only that: the plan itself is made again by whoever applies it, and may be large.
        """
        with self._database.transaction() as connection:
            values = (digest, target, run_id, at, canonical(to_json(tuple(refusals))))
            connection.execute(_KEEP_PLAN, values)
            connection.execute(
                "DELETE FROM plan WHERE digest NOT IN (SELECT digest FROM plan ORDER BY at DESC, digest LIMIT ?)", (PLANS_KEPT,)
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

    def use(self, digest: str, run_id: str) -> None:
        """Note that a plan was carried out by its approval, which has done its work with that.

        Each has a row of its own: runs at other targets that do the same at the same time lose nothing of it, nor it of theirs.
        """
        self.keep(_USED + digest, run_id)

    def used(self) -> frozenset[str]:
        """Return the digests of the plans that were; those noted in one list, as earlier versions did, included."""
        rows = self._database.rows("SELECT key, document FROM note WHERE key = ? OR (key > ? AND key < ?)", _USED_LIST, _USED, _USED_END)
        one_by_one = {row["key"].removeprefix(_USED) for row in rows if row["key"] != _USED_LIST}
        return frozenset(one_by_one.union(*(json.loads(row["document"]) for row in rows if row["key"] == _USED_LIST)))

    def hold(self, *holds: Hold) -> None:
        """Stop all writes to targets from the next op on."""
        with self._database.transaction() as connection:
            for hold in holds:
                connection.execute(
                    """INSERT INTO hold (target, who, because, at, run) VALUES (?, ?, ?, ?, ?) ON CONFLICT (target) DO UPDATE
                        SET who = excluded.who, because = excluded.because, at = excluded.at, run = excluded.run""",
                    (hold.target, hold.who, hold.because, hold.at, hold.run),
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
            Hold(row["target"], row["who"], row["because"], row["at"], row["run"])
            for row in self._database.rows("SELECT * FROM hold ORDER BY target")
        )

    # --- inventories and originals -----------------------------------------------------------------------------------

    def verified(self) -> tuple[VerifiedScope, ...]:
        """Return the last verified inventory of every scope, by target and scope."""
        rows = self._database.rows("SELECT * FROM inventory ORDER BY target, scope")
        return tuple(VerifiedScope(row["target"], row["scope"], json.loads(row["document"]), row["at"]) for row in rows)

    def remembered(self) -> tuple[tuple[str, str, str], ...]:
        """Return target, scope and document of the same, the document as the text that is stored: who knows it already need not read it."""
        rows = self._database.rows("SELECT target, scope, document FROM inventory ORDER BY target, scope")
        return tuple((row["target"], row["scope"], row["document"]) for row in rows)

    def has_verified(self, target: str) -> bool:
        """Tell whether any scope of a target was ever verified."""
        return self._database.row("SELECT scope FROM inventory WHERE target = ? LIMIT 1", target) is not None

    def verify(self, scopes: Iterable[VerifiedScope], run_id: str) -> None:
        """Replace the verified inventory of these scopes; only for scopes read whole that no guard refused."""
        with self._database.transaction() as connection:
            for scope in scopes:
                connection.execute(
                    """INSERT INTO inventory (target, scope, document, run, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (target, scope) DO UPDATE
                        SET document = excluded.document, run = excluded.run, at = excluded.at""",
                    (scope.target, scope.scope, canonical(scope.document), run_id, scope.at),
                )

    def verified_again(self, scopes: Iterable[tuple[str, str]], run_id: str, at: float) -> frozenset[tuple[str, str]]:
        """Give the verified inventory of these scopes, by target and scope, a new date; return those of which there is none."""
        missing = set()
        with self._database.transaction() as connection:
            for key in scopes:
                if not connection.execute(
                    "UPDATE inventory SET run = ?, at = ? WHERE target = ? AND scope = ?", (run_id, at, *key)
                ).rowcount:
                    missing.add(key)
        return frozenset(missing)

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
            connection.execute(_KEEP_NOTE, (key, canonical(document)))
