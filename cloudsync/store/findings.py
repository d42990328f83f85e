"""What is remembered for people: findings over runs, how targets stand, restores a day, counts a day. Written in one transaction a run.

Rows are plain: what a finding says is the caller's own JSON. Times are UTC seconds since the epoch, days ISO dates in UTC.
"""

from __future__ import annotations

import json
from dataclasses import replace

from cloudsync.model.codec import Json, canonical
from cloudsync.model.quick import dataclass
from cloudsync.store.database import Database, Transaction

DAY_S = 86400.0
RESOLVED_KEPT_S = 90 * DAY_S
"""How long a finding that ended is remembered: a return after that is a new one."""
RESTORES_KEPT_S = 30 * DAY_S
MARKS_KEPT_S = 800 * DAY_S


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One finding: open while `resolved` is None. `back`: when it came back lately. `accepted`: how bad it was when acknowledged."""

    target: str
    key: str
    state: str
    packets: str
    first_seen: float
    last_seen: float
    seen: int
    returns: int
    document: Json
    back: tuple[float, ...] = ()
    resolved: float | None = None
    accepted: str = ""


@dataclass(frozen=True, slots=True)
class MarkRow:
    """Counts of one target and label on one day, at the last run of that day; `found` counts what was new on that day."""

    day: str
    target: str
    label: str
    findings: int
    critical: int
    exposed: int
    enforced: int
    workloads: int
    found: int = 0


@dataclass(frozen=True, slots=True)
class HealthRow:
    """How a target stands. `good`: its last good run; `applied`: its last good apply; `read`: when what was told last was read."""

    target: str
    platform: str
    mode: str
    state: str
    since: float
    good: float | None = None
    applied: float | None = None
    read: float = 0.0
    first: float = 0.0
    """When the first reading that was told of it was made."""
    run: str = ""
    verb: str = ""
    why: str = ""
    codes: tuple[str, ...] = ()
    """The guards that refuse, sorted: other ones are other news."""
    approve: str = ""
    """The command that approves, where one does."""
    overdue: bool = False
    """It was told that no good run happened for long."""


@dataclass(frozen=True, slots=True)
class RestoreRow:
    """How often one object was restored on one day."""

    day: str
    target: str
    object: str
    count: int
    at: float


@dataclass(frozen=True, slots=True)
class Told:
    """Everything one run adds to the records."""

    run: str
    at: float
    findings: tuple[FindingRow, ...] = ()
    health: tuple[HealthRow, ...] = ()
    marks: tuple[MarkRow, ...] = ()
    restored: tuple[tuple[str, str], ...] = ()
    """`(target, object)`, each counted once more on `day`."""
    day: str = ""
    oldest_day: str = ""
    """Marks before this day go."""
    targets: tuple[str, ...] = ()
    """All of the settings: what others left is dropped, except their days in the trend."""
    frame: Json = None
    """What else the last run is told again with; kept as the note `told`."""


class FindingTable:
    """The tables of `cloudsync.report.story`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def findings(self, *, ended: bool = True) -> tuple[FindingRow, ...]:
        """Return every finding on record, by target and key; `ended` False leaves out what was resolved."""
        every, still = "SELECT * FROM finding ORDER BY target, key", "SELECT * FROM finding WHERE resolved IS NULL ORDER BY target, key"
        return tuple(
            FindingRow(
                *(row["target"], row["key"], row["state"], row["packets"], row["first_seen"], row["last_seen"], row["seen"]),
                *(row["returns"], json.loads(row["document"]), tuple(json.loads(row["back"])), row["resolved"], row["accepted"]),
            )
            for row in self._database.rows(every if ended else still)
        )

    def health(self) -> tuple[HealthRow, ...]:
        """Return how every target stands, by name."""
        return tuple(
            HealthRow(
                *(row["target"], row["platform"], row["mode"], row["state"], row["since"], row["good"], row["applied"], row["read"]),
                *(row["first"], row["run"], row["verb"], row["why"], tuple(json.loads(row["codes"])), row["approve"], bool(row["overdue"])),
            )
            for row in self._database.rows("SELECT * FROM health ORDER BY target")
        )

    def marks(self, since: str = "") -> tuple[MarkRow, ...]:
        """Return the counts of every day from `since` on, by day, target and label."""
        return tuple(
            MarkRow(
                *(row["day"], row["target"], row["label"], row["findings"], row["critical"], row["exposed"]),
                *(row["enforced"], row["workloads"], row["found"]),
            )
            for row in self._database.rows("SELECT * FROM mark WHERE day >= ? ORDER BY day, target, label", since)
        )

    def restores(self, day: str) -> tuple[RestoreRow, ...]:
        """Return what was restored on a day, by target and object."""
        return tuple(
            RestoreRow(row["day"], row["target"], row["object"], row["count"], row["at"])
            for row in self._database.rows("SELECT * FROM restore WHERE day = ? ORDER BY target, object", day)
        )

    def tell(self, told: Told) -> frozenset[str]:
        """Write one run down, whole or not at all. Targets of which a later reading was told meanwhile are left out, and returned."""
        with self._database.transaction() as connection:
            known = {row["target"]: row["read"] for row in connection.execute("SELECT target, read FROM health").fetchall()}
            late = frozenset(one.target for one in told.health if known.get(one.target, one.read) > one.read)
            told = _without(told, late) if late else told
            _keep_findings(connection, told)
            _keep_health(connection, told)
            _keep_marks(connection, told)
            _keep_restores(connection, told)
            connection.execute(
                "INSERT INTO note (key, document) VALUES ('told', ?) ON CONFLICT (key) DO UPDATE SET document = excluded.document",
                (canonical(told.frame),),
            )
        return late


def _without(told: Told, targets: frozenset[str]) -> Told:
    return replace(
        told,
        findings=tuple(one for one in told.findings if one.target not in targets),
        health=tuple(one for one in told.health if one.target not in targets),
        marks=tuple(one for one in told.marks if one.target not in targets),
        restored=tuple(pair for pair in told.restored if pair[0] not in targets),
    )


def _keep_findings(connection: Transaction, told: Told) -> None:
    for one in told.findings:
        connection.execute(
            """INSERT INTO finding (target, key, state, packets, first_seen, last_seen, seen, returns, document, back, resolved, accepted)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (target, key) DO UPDATE SET state = excluded.state, packets = excluded.packets,
                first_seen = excluded.first_seen, last_seen = excluded.last_seen, seen = excluded.seen, returns = excluded.returns,
                document = excluded.document, back = excluded.back, resolved = excluded.resolved, accepted = excluded.accepted""",
            (
                *(one.target, one.key, one.state, one.packets, one.first_seen, one.last_seen, one.seen),
                *(one.returns, canonical(one.document), canonical(list(one.back)), one.resolved, one.accepted),
            ),
        )
    connection.execute("DELETE FROM finding WHERE resolved < ?", (told.at - RESOLVED_KEPT_S,))


def _keep_health(connection: Transaction, told: Told) -> None:
    for one in told.health:
        connection.execute(
            """INSERT INTO health (target, platform, mode, state, since, good, applied, read, first, run, verb, why, codes, approve,
                overdue) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (target) DO UPDATE SET platform = excluded.platform, mode = excluded.mode, state = excluded.state,
                since = excluded.since, good = excluded.good, applied = excluded.applied, read = excluded.read, first = excluded.first,
                run = excluded.run,
                verb = excluded.verb, why = excluded.why, codes = excluded.codes, approve = excluded.approve, overdue = excluded.overdue""",
            (
                *(one.target, one.platform, one.mode, one.state, one.since, one.good, one.applied, one.read, one.first),
                *(one.run, one.verb, one.why, canonical(list(one.codes)), one.approve, int(one.overdue)),
            ),
        )
    known = {row["target"] for row in connection.execute("SELECT target FROM health").fetchall()}
    if told.targets:
        for target in sorted(known.difference(told.targets)):
            connection.execute("DELETE FROM health WHERE target = ?", (target,))
            connection.execute("DELETE FROM finding WHERE target = ?", (target,))


def _keep_marks(connection: Transaction, told: Told) -> None:
    for one in told.marks:
        connection.execute(
            """INSERT INTO mark (day, target, label, findings, critical, exposed, enforced, workloads, found)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (day, target, label) DO UPDATE SET findings = excluded.findings, critical = excluded.critical,
                exposed = excluded.exposed, enforced = excluded.enforced, workloads = excluded.workloads,
                found = mark.found + excluded.found""",
            (one.day, one.target, one.label, one.findings, one.critical, one.exposed, one.enforced, one.workloads, one.found),
        )
    connection.execute("DELETE FROM mark WHERE day < ?", (told.oldest_day,))


def _keep_restores(connection: Transaction, told: Told) -> None:
    for target, name in told.restored:
        connection.execute(
            """INSERT INTO restore (day, target, object, count, at) VALUES (?, ?, ?, 1, ?)
                ON CONFLICT (day, target, object) DO UPDATE SET count = restore.count + 1, at = excluded.at""",
            (told.day, target, name, told.at),
        )
    connection.execute("DELETE FROM restore WHERE at < ?", (told.at - RESTORES_KEPT_S,))
