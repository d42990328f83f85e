"""The journal of writes in the state; implements the port of `cloudsync.plan.journal`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256

from cloudsync.adapter import Clock, Step
from cloudsync.model.codec import canonical, from_json, to_json
from cloudsync.model.errors import RefusedError
from cloudsync.model.quick import dataclass
from cloudsync.plan.journal import Op, OpenOp, OpState, Writer
from cloudsync.plan.values import Adoption
from cloudsync.store import audit
from cloudsync.store.database import Database, Row, Transaction
from cloudsync.store.lease import WHOLE, part_name

_OPEN = (OpState.INTENT, OpState.UNKNOWN)


class JournalTable:
    """Ops. Each op and its audit line become durable in one transaction."""

    def __init__(self, database: Database, clock: Clock, *, through: bool = False) -> None:
        self._database, self._clock, self._through = database, clock, through

    def intend(self, op: Op) -> int:
        """Make an op durable. Raises RefusedError when a newer writer exists (the intent itself is fenced) or the disk says no."""
        with self._database.transaction() as connection:
            _fence(connection, _Claim(op.target, op.generation))
            op_id = connection.insert(
                "INSERT INTO op (run, generation, target, digest, number, attempt, step, at, deadline, state)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'intent')",
                (
                    *(op.run_id, op.generation, op.target, op.plan_digest, op.number, op.attempt),
                    *(canonical(to_json(op.step)), op.at, op.deadline),
                ),
            )
            line = {
                "op": op_id,
                "run": op.run_id,
                "generation": op.generation,
                "target": op.target,
                "plan": op.plan_digest,
                "number": op.number,
                "attempt": op.attempt,
                "request": sha256(op.step.payload.encode()).hexdigest(),
                **{name: getattr(op.step, name) for name in ("key", "action", "scope", "object", "mark", "temporary", "title")},
            }
            audit.append(connection, "intent", op.at, line)
        return op_id

    def settle(self, op_id: int, state: OpState, reason: str = "") -> None:
        """Record what became of an op.

        A writer that was taken for dead may come back late to an op that the next one settled by reading: then only the platform's own
        word, DONE, outranks what was concluded (VOID). Either way the line stands in the audit trail.
        """
        with self._database.transaction() as connection:
            now = self._clock.now()
            row = connection.execute("SELECT state FROM op WHERE id = ?", (op_id,)).fetchone()
            assert row is not None, f"there is no op {op_id}"
            before = OpState(row["state"])
            if before in _OPEN or (before is OpState.VOID and state is OpState.DONE):
                values = (state.value, reason, now, op_id)
                connection.execute("UPDATE op SET state = ?, reason = ?, settled = ? WHERE id = ?", values)
            late = {} if before in _OPEN else {"late": before.value}
            audit.append(connection, "outcome", now, {"op": op_id, "state": state.value, "reason": reason, **late})

    def open_ops(self, target: str) -> tuple[OpenOp, ...]:
        """Return the ops of a target that are not settled, oldest first."""
        rows = self._database.rows("SELECT * FROM op WHERE target = ? AND state IN ('intent', 'unknown') ORDER BY id", target)
        return tuple(OpenOp(row["id"], _op(row), OpState(row["state"])) for row in rows)

    def wrote(self, target: str) -> bool:
        """Tell whether any op of a target stands here."""
        return self._database.row("SELECT id FROM op WHERE target = ? LIMIT 1", target) is not None

    def ops(self, run_id: str | None = None) -> tuple[tuple[OpenOp, str], ...]:
        """Return every op of a run (of all runs: None) with the reason of its state, oldest first."""
        rows = self._database.rows("SELECT * FROM op WHERE CAST(? AS TEXT) IS NULL OR run = ? ORDER BY id", run_id, run_id)
        return tuple((OpenOp(row["id"], _op(row), OpState(row["state"])), row["reason"]) for row in rows)

    def adopt(self, target: str, adoptions: Iterable[Adoption], writer: Writer) -> None:
        """Make adoption records durable; a point that has a record keeps its first one. Raises RefusedError when a newer writer exists."""
        with self._database.transaction() as connection:
            _fence(connection, _Claim(target, writer.generation))
            for adoption in adoptions:
                document = canonical(to_json(adoption))
                added = connection.execute(
                    "INSERT INTO original (target, point, document, run, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (target, adoption.point, document, writer.run_id, writer.at),
                ).rowcount
                if added:
                    line = {"run": writer.run_id, "target": target, "point": adoption.point, "original": list(adoption.original)}
                    audit.append(connection, "adopt", writer.at, line)

    def held(self, target: str) -> str:
        """Return why writes to a target are on hold, empty when they are not."""
        query = "SELECT * FROM hold WHERE target IN (?, '*') AND (run = '' OR ? = 0) ORDER BY target LIMIT 1"
        row = self._database.row(query, target, int(self._through))
        return f"{row['because']} ({row['who']})" if row else ""


@dataclass(frozen=True, slots=True)
class _Claim:
    """A target that somebody is about to write to, and by which generation."""

    target: str
    generation: int


def _fence(connection: Transaction, claim: _Claim) -> None:
    query = "SELECT max(generation) AS generation FROM lease WHERE name IN (?, ?)"
    row = connection.execute(query, (WHOLE, part_name(claim.target))).fetchone()
    newest = (row["generation"] if row else None) or 0
    if not newest or newest != claim.generation:
        raise RefusedError("PRE-LOCK", f"a newer writer took over: generation {newest}, we are {claim.generation}")


def _op(row: Row) -> Op:
    step = from_json(Step, json.loads(row["step"]))
    return Op(
        *(row["run"], row["generation"], row["target"], row["digest"], row["number"], row["attempt"]),
        *(step, row["at"], row["deadline"]),
    )
