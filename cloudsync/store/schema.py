"""The tables, as migrations: each entry leads from one version to the next and is never edited afterwards.

Times are UTC seconds since the epoch. Documents are canonical JSON text. Statements are written for SQLite, in what PostgreSQL takes
too once the types are translated: INTEGER, REAL, TEXT, `INTEGER PRIMARY KEY AUTOINCREMENT`, and nothing that only one of them knows.
"""

from __future__ import annotations

import re

APPLICATION = 0x636C7379
"""`clsy` in SQLite's application_id: tells our files from other programs'."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE lease (
            name TEXT PRIMARY KEY, holder TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL,
            generation INTEGER NOT NULL, expires REAL NOT NULL)""",
        """CREATE TABLE op (
            id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, generation INTEGER NOT NULL, target TEXT NOT NULL,
            digest TEXT NOT NULL, number INTEGER NOT NULL, attempt INTEGER NOT NULL, step TEXT NOT NULL, at REAL NOT NULL,
            deadline REAL NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', settled REAL)""",
        "CREATE INDEX op_open ON op (target) WHERE state IN ('intent', 'unknown')",
        """CREATE TABLE audit (
            n INTEGER PRIMARY KEY, line TEXT NOT NULL, hash TEXT NOT NULL)""",
        """CREATE TABLE run (
            id TEXT PRIMARY KEY, verb TEXT NOT NULL, generation INTEGER NOT NULL, policy TEXT NOT NULL, started REAL NOT NULL,
            ended REAL, exit_code INTEGER, summary TEXT NOT NULL DEFAULT '{}')""",
        """CREATE TABLE plan (
            digest TEXT NOT NULL, target TEXT NOT NULL, run TEXT NOT NULL, at REAL NOT NULL, document TEXT NOT NULL,
            PRIMARY KEY (digest))""",
        """CREATE TABLE approval (
            id INTEGER PRIMARY KEY AUTOINCREMENT, digest TEXT NOT NULL, target TEXT NOT NULL, guard TEXT NOT NULL, who TEXT NOT NULL,
            because TEXT NOT NULL, until REAL NOT NULL, names TEXT NOT NULL, created REAL NOT NULL)""",
        "CREATE TABLE hold (target TEXT PRIMARY KEY, who TEXT NOT NULL, because TEXT NOT NULL, at REAL NOT NULL)",
        """CREATE TABLE inventory (
            target TEXT NOT NULL, scope TEXT NOT NULL, document TEXT NOT NULL, run TEXT NOT NULL, at REAL NOT NULL,
            PRIMARY KEY (target, scope))""",
        """CREATE TABLE original (
            target TEXT NOT NULL, point TEXT NOT NULL, document TEXT NOT NULL, run TEXT NOT NULL, at REAL NOT NULL,
            PRIMARY KEY (target, point))""",
        """CREATE TABLE finding (
            target TEXT NOT NULL, key TEXT NOT NULL, document TEXT NOT NULL, first_seen REAL NOT NULL, last_seen REAL NOT NULL,
            gone REAL, PRIMARY KEY (target, key))""",
        "CREATE TABLE note (key TEXT PRIMARY KEY, document TEXT NOT NULL)",
    ),
    (
        # Nothing was ever kept in the first table of findings.
        "DROP TABLE finding",
        """CREATE TABLE finding (
            target TEXT NOT NULL, key TEXT NOT NULL, state TEXT NOT NULL, packets TEXT NOT NULL, first_seen REAL NOT NULL,
            last_seen REAL NOT NULL, seen INTEGER NOT NULL, returns INTEGER NOT NULL, document TEXT NOT NULL, back TEXT NOT NULL,
            resolved REAL, accepted TEXT NOT NULL, PRIMARY KEY (target, key))""",
        """CREATE TABLE health (
            target TEXT PRIMARY KEY, platform TEXT NOT NULL, mode TEXT NOT NULL, state TEXT NOT NULL, since REAL NOT NULL, good REAL,
            applied REAL, read REAL NOT NULL, first REAL NOT NULL, run TEXT NOT NULL, verb TEXT NOT NULL, why TEXT NOT NULL,
            codes TEXT NOT NULL, approve TEXT NOT NULL, overdue INTEGER NOT NULL)""",
        """CREATE TABLE mark (
            day TEXT NOT NULL, target TEXT NOT NULL, label TEXT NOT NULL, findings INTEGER NOT NULL, critical INTEGER NOT NULL,
            exposed INTEGER NOT NULL, enforced INTEGER NOT NULL, workloads INTEGER NOT NULL, found INTEGER NOT NULL,
            PRIMARY KEY (day, target, label))""",
        """CREATE TABLE restore (
            day TEXT NOT NULL, target TEXT NOT NULL, object TEXT NOT NULL, count INTEGER NOT NULL, at REAL NOT NULL,
            PRIMARY KEY (day, target, object))""",
    ),
    (
        # `commit_id` is empty where the files stood in no commit; `dirty`: they differed from it.
        """CREATE TABLE policy_version (
            digest TEXT NOT NULL, commit_id TEXT NOT NULL, dirty INTEGER NOT NULL, author TEXT NOT NULL, subject TEXT NOT NULL,
            first_used REAL NOT NULL, last_used REAL NOT NULL, PRIMARY KEY (digest, commit_id, dirty))""",
        "ALTER TABLE run ADD COLUMN commit_id TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE run ADD COLUMN dirty INTEGER NOT NULL DEFAULT 0",
        # A hold that a run put is not in the way of others of its kind.
        "ALTER TABLE hold ADD COLUMN run TEXT NOT NULL DEFAULT ''",
        """CREATE TABLE change (
            run TEXT NOT NULL, n INTEGER NOT NULL, at REAL NOT NULL, target TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (run, n))""",
        "CREATE INDEX change_at ON change (at)",
        "CREATE TABLE story (run TEXT PRIMARY KEY, at REAL NOT NULL, document TEXT NOT NULL)",
    ),
    (
        "CREATE INDEX op_run ON op (run)",
        "CREATE INDEX run_started ON run (started)",
    ),
    (
        # Several workers: how full the buckets of shared quotas are, when each target is due, and who works.
        """CREATE TABLE bucket (
            platform TEXT NOT NULL, account TEXT NOT NULL, region TEXT NOT NULL, api_class TEXT NOT NULL, capacity REAL NOT NULL,
            per_s REAL NOT NULL, tokens REAL NOT NULL, at REAL NOT NULL, PRIMARY KEY (platform, account, region, api_class))""",
        "CREATE TABLE turn (target TEXT PRIMARY KEY, due REAL NOT NULL)",
        """CREATE TABLE worker (
            id INTEGER PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL, program TEXT NOT NULL, jobs INTEGER NOT NULL,
            policy TEXT NOT NULL, why TEXT NOT NULL, started REAL NOT NULL)""",
    ),
    (
        """CREATE TABLE limited (
            day TEXT NOT NULL, platform TEXT NOT NULL, api_class TEXT NOT NULL, calls INTEGER NOT NULL, waited_s REAL NOT NULL,
            throttled INTEGER NOT NULL, PRIMARY KEY (day, platform, api_class))""",
    ),
)

_TYPES = {
    "INTEGER PRIMARY KEY AUTOINCREMENT": "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
    "INTEGER": "BIGINT",
    "REAL": "DOUBLE PRECISION",
    # Compared and sorted byte by byte, as in SQLite, whatever the language of the server.
    "TEXT": 'TEXT COLLATE "C"',
}
_TYPE = re.compile("|".join(rf"\b{name}\b" for name in _TYPES))


def for_postgres(statement: str) -> str:
    """Return a statement of a migration with the types of PostgreSQL, which are as wide as those of SQLite."""
    return _TYPE.sub(lambda found: _TYPES[found[0]], statement)
