"""The audit chain: JSON lines, each carrying the hash of the one before, kept in the state and mirrored in a file of this machine.

Whoever edits a line breaks every later one; whoever cuts the end off is found out by the head that stands in every report.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from cloudsync.model.codec import Json, canonical
from cloudsync.model.errors import RefusedError
from cloudsync.model.quick import dataclass
from cloudsync.store.database import Database, Transaction
from cloudsync.store.files import make_private

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: how many lines, and the hash of the last."""

    lines: int = 0
    hash: str = GENESIS


def append(connection: Transaction, event: str, at: float, what: dict[str, Json]) -> None:
    """Add one line inside a running transaction, so that a change and its line become durable together."""
    last = connection.execute("SELECT n, hash FROM audit ORDER BY n DESC LIMIT 1").fetchone()
    number, before = (last["n"] + 1, last["hash"]) if last else (1, GENESIS)
    line = canonical({**what, "n": number, "at": round(at, 3), "event": event, "prev": before})
    connection.execute("INSERT INTO audit (n, line, hash) VALUES (?, ?, ?)", (number, line, sha256(line.encode()).hexdigest()))


def verify(lines: Iterable[str]) -> Head:
    """Return the head of a chain. Raises RefusedError AUDIT with the first line that does not follow from the one before."""
    head = Head()
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\n")
        try:
            entry = json.loads(text)
        except ValueError as error:
            raise RefusedError("AUDIT", f"line {number} is no JSON") from error
        if not isinstance(entry, dict) or canonical(entry) != text or entry.get("n") != number or entry.get("prev") != head.hash:
            raise RefusedError("AUDIT", f"line {number} does not follow from line {number - 1}: the trail was edited")
        head = Head(number, sha256(text.encode()).hexdigest())
    return head


class AuditTrail:
    """The chain of one state and its mirror, `audit.jsonl` beside the state file, or in the local folder when the state is on a server."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self.mirror = folder / "audit.jsonl"

    def head(self) -> Head:
        """Return the end of the chain."""
        row = self._database.row("SELECT n, hash FROM audit ORDER BY n DESC LIMIT 1")
        return Head(row["n"], row["hash"]) if row else Head()

    def lines(self) -> list[str]:
        """Return every line, oldest first."""
        return [row["line"] for row in self._database.rows("SELECT line FROM audit ORDER BY n")]

    def check(self) -> Head:
        """Verify the chain in the state and the mirror; raises RefusedError AUDIT."""
        head = verify(self.lines())
        if self.mirror.exists():
            with self.mirror.open(encoding="utf-8") as file:
                mirrored = verify(file)
            row = self._database.row("SELECT hash FROM audit WHERE n = ?", mirrored.lines)
            if mirrored.lines and (row is None or row["hash"] != mirrored.hash):
                raise RefusedError("AUDIT", f"{self.mirror.name} and the state tell different stories from line {mirrored.lines} on")
        return head

    def sync(self) -> None:
        """Append to the mirror what it lacks. Raises RefusedError PRE-STATE when the state is older than the mirror (an old copy)."""
        make_private(self.mirror)
        with self.mirror.open("a", encoding="utf-8") as file:
            # Runs at other targets may be made on this machine at the same time; the lock goes with the file.
            fcntl.flock(file, fcntl.LOCK_EX)
            number, text = _last_line(self.mirror, self._database.advice)
            row = self._database.row("SELECT line FROM audit WHERE n = ?", number)
            if number and (row is None or row["line"] != text):
                message = f"{self.mirror.name} knows {number} events, the state does not: it went backwards"
                raise RefusedError("PRE-STATE", message, self._database.advice)
            missing = self._database.rows("SELECT line FROM audit WHERE n > ? ORDER BY n", number)
            if missing:
                file.writelines(row["line"] + "\n" for row in missing)
                file.flush()
                os.fsync(file.fileno())


def _last_line(path: Path, advice: str) -> tuple[int, str]:
    """Return number and text of the last whole line; a torn end, as a crash leaves it, is cut off."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - (1 << 20))
        file.seek(start)
        tail = file.read()
        whole = tail[: tail.rfind(b"\n") + 1]
        if len(whole) != len(tail):
            file.truncate(start + len(whole))
    lines = whole.splitlines()
    if not lines:
        return 0, ""
    try:
        text = lines[-1].decode()
        return int(json.loads(text)["n"]), text
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedError("PRE-STATE", f"{path}: the last line is damaged", advice) from error
