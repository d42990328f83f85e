"""A whole state from one place to another, a file to a server or back: all rows or none, checked, and one of the two is used afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from cloudsync.adapter import Clock
from cloudsync.model.codec import to_json
from cloudsync.model.errors import CloudsyncError, RefusedError
from cloudsync.model.quick import dataclass
from cloudsync.store import audit
from cloudsync.store.audit import AuditTrail, Head
from cloudsync.store.database import Row, Transaction
from cloudsync.store.lease import Claim
from cloudsync.store.place import Place, Server
from cloudsync.store.records import EVERY_TARGET, Hold
from cloudsync.store.schema import MIGRATIONS
from cloudsync.store.state import State

TABLES = tuple(dict.fromkeys(name for script in MIGRATIONS for one in script for name in re.findall(r"^CREATE TABLE (\w+)", one)))
"""Of a state."""
OF_THE_QUEUE = frozenset({"worker", "turn"})
"""Who works, and when targets are due next: of the fleet's queue, which stays where it is."""
_COUNTED = ("op", "approval")
"""Whose ids the database counts up."""
_CELLS, _ROWS = 3000, 200
"""Of one statement, at most."""
_PATIENT = "SELECT set_config('idle_in_transaction_session_timeout', '0', true), set_config('statement_timeout', '0', true)"
"""To a server: while one side is read or checked the other says nothing, as long as that takes; until the end of the transaction."""
WHO = "cloudsync state copy"


@dataclass(frozen=True, slots=True)
class Copied:
    """What stands at the new place: how many rows by table, and the end of the audit chain."""

    rows: Mapping[str, int]
    head: Head


def transfer(source: Place, destination: Place, clock: Clock, run: str) -> Copied:
    """Copy a state, and put whoever goes on with the old one on hold, all targets of it. `run`: the id under which the old one is leased.

    Raises BusyError PRE-LOCK while somebody writes there. Raises RefusedError: PRE-STATE where there is no source, where the destination is
    not empty, or where not every row came there; AUDIT where the chain does not hold. In the destination is nothing then.
    """
    if source == destination:
        raise RefusedError("PRE-STATE", f"{source} is where the state comes from and where it goes to", "name two places")
    if not source.exists():
        raise RefusedError("PRE-STATE", f"there is no state at {source}", "the settings, or --from, name another place")
    with State(destination, clock) as new:
        _refuse_used(new.database.rows, destination)
        with State(source, clock, writer=Claim(run)) as old:
            # Where this machine has a mirror of the audit trail at the new place already it has to be of this state.
            AuditTrail(old.database, new.audit.mirror.parent).sync()
            found = _copied(old, new, Hold(EVERY_TARGET, WHO, f"the state went to {destination}", clock.now()), (source, destination))
        new.audit.sync()
    return found


def _copied(old: State, new: State, hold: Hold, places: tuple[Place, Place]) -> Copied:
    """Copy in one transaction of each: nobody leaves a note in the old one meanwhile, and it is on hold before the new one counts."""
    source, destination = places
    try:
        with new.database.transaction() as there, old.database.transaction() as here:
            for place, side in ((source, here), (destination, there)):
                if isinstance(place, Server):
                    side.execute(_PATIENT)
            _refuse_used(lambda query: there.execute(query).fetchall(), destination)
            _put_on_hold(here, hold)
            rows = {table: here.execute(_of(table, "SELECT * FROM {table}")).fetchall() for table in TABLES if table not in OF_THE_QUEUE}
            for table, found in rows.items():
                _insert(there, table, found)
            _check(_counts(there), {table: len(found) for table, found in rows.items()})
            if isinstance(destination, Server):
                _count_on(there)
            head = _begin(there, hold)
            return Copied(_counts(there), head)
    except BaseException:
        with suppress(CloudsyncError):
            if any(one == hold for one in old.records.holds()):
                old.records.unhold(hold.target, WHO, hold.at)
        raise


def _refuse_used(ask: Callable[[str], Sequence[Row]], destination: Place) -> None:
    used = [table for table in TABLES if ask(_of(table, "SELECT * FROM {table} LIMIT 1"))]
    if used:
        hint = "name a file, or a schema (?schema=NAME), that nobody has used"
        raise RefusedError("PRE-STATE", f"{destination} is not empty, rows stand in {', '.join(used)}", hint)


def _of(table: str, query: str) -> str:
    """Return a query about one of our tables."""
    assert table in TABLES
    return query.replace("{table}", table)


def _put_on_hold(here: Transaction, hold: Hold) -> None:
    """Stop writes at all targets; a person's own hold on them stays as it is."""
    values = (hold.target, hold.who, hold.because, hold.at, hold.run)
    query = "INSERT INTO hold (target, who, because, at, run) VALUES (?, ?, ?, ?, ?) ON CONFLICT (target) DO NOTHING"
    if here.execute(query, values).rowcount:
        audit.append(here, "hold", hold.at, to_json(hold))


def _insert(there: Transaction, table: str, rows: Sequence[Row]) -> None:
    if not rows:
        return
    columns = tuple(rows[0].keys())
    most = max(1, min(_ROWS, _CELLS // len(columns)))
    one = f"({', '.join('?' * len(columns))})"
    for begin in range(0, len(rows), most):
        part = rows[begin : begin + most]
        query = _of(table, "INSERT INTO {table} (COLUMNS) VALUES ").replace("COLUMNS", ", ".join(columns)) + ", ".join([one] * len(part))
        there.execute(query, [row[column] for row in part for column in columns])


def _counts(there: Transaction) -> dict[str, int]:
    rows = {table: there.execute(_of(table, "SELECT count(*) AS rows FROM {table}")).fetchone() for table in TABLES}
    return {table: int(row["rows"]) for table, row in rows.items() if row is not None}


def _check(got: Mapping[str, int], wanted: Mapping[str, int]) -> None:
    for table, count in wanted.items():
        if got[table] != count:
            raise RefusedError("PRE-STATE", f"of {count} rows of {table} {got[table]} came to the new place", "nothing was kept; try again")


def _count_on(there: Transaction) -> None:
    """Have a server count ids on from the highest; a file does so by itself."""
    for table in _COUNTED:
        there.execute(_of(table, "SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"))


def _begin(there: Transaction, hold: Hold) -> Head:
    """Let writers in at the new place, and return the end of its audit trail, every line of which follows from the one before."""
    there.execute("UPDATE lease SET expires = 0")
    if there.execute("DELETE FROM hold WHERE target = ? AND who = ? AND at = ?", (hold.target, hold.who, hold.at)).rowcount:
        audit.append(there, "unhold", hold.at, {"target": hold.target, "who": WHO})
    return audit.verify(row["line"] for row in there.execute("SELECT line FROM audit ORDER BY n").fetchall())
