"""When two lives have the same rest: what decides how a life goes on, as one digest, and what became of those that went on from there.

A life whose planned faults are over goes on without chance: what its platform holds, what the product wrote down and which calls the wire
saw decide everything. So the rest of a life is lived once for each such state, and every further life that comes to the same state takes
over what was found there. One in so many is lived to its end all the same: it has to come to the same verdict, word for word.
"""

from __future__ import annotations

import json
import pickle
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.wire.fault_stage import EVERY_S

CHECKED = 40
"""One in so many of those that come to a known state lives on all the same."""
_READ = {
    "op": "SELECT * FROM op",
    "run": "SELECT * FROM run ORDER BY started DESC LIMIT 1",
    "approval": "SELECT * FROM approval",
    "hold": "SELECT * FROM hold",
    "inventory": "SELECT * FROM inventory",
    "original": "SELECT * FROM original",
    "finding": "SELECT * FROM finding",
    "health": "SELECT * FROM health",
    "restore": "SELECT * FROM restore",
    "note": "SELECT * FROM note",
    "bucket": "SELECT * FROM bucket",
    "turn": "SELECT * FROM turn",
}
"""Tables that a run reads, and of runs the last one. The others are for people; the lease is free between two runs."""
_LEFT_OUT = frozenset({("run", "summary"), ("op", "reason"), ("health", "why"), ("run", "generation"), ("op", "generation")})
"""What a platform said in an error, and how many leases there were before."""
OLD = 2
"""After so many runs something is old: what waits longer than a life here waits for days."""
_CLOCKS = re.compile(
    r'"(?:creationTimestamp|insertTime|startTime|endTime|lastUpdateMicros|time|at|since|operationTime|live_tokens|saves)": ?'
    r'(?:"[^"]*"|[0-9.]+)'
)
_MOMENT = re.compile(r"\b18[0-9]{8}(?:\.[0-9]+)?\b")
"""A moment of the simulated clock, wherever a document has one."""
_WHY = re.compile(r'"(?:why|advice)": ?"(?:[^"\\]|\\.)*"')
_RUN = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{6}\b")


@dataclass(frozen=True)
class Tail:
    """What the rest of a life came to, from where its faults were over."""

    wrong: list[str]
    runs: int
    calls: int
    states: int


@dataclass(frozen=True)
class Known:
    """Rests of lives by the state they began in, for all processes of a campaign."""

    folder: Path

    @classmethod
    def within(cls, folder: Path) -> Known:
        """Begin without any, in a folder."""
        return cls(Path(tempfile.mkdtemp(prefix="known-", dir=folder)))

    def find(self, key: str) -> Tail | None:
        """Return what became of a life that went on from such a state."""
        try:
            found = pickle.loads((self.folder / key).read_bytes())  # noqa: S301  (our own file)
        except FileNotFoundError:
            return None
        assert isinstance(found, Tail)
        return found

    def after(self, key: str) -> list[Any] | None:
        """Return what became of second faults in the run after such a state: where and what they are, and the verdict."""
        try:
            found = pickle.loads((self.folder / f"{key}.after").read_bytes())  # noqa: S301  (our own file)
        except FileNotFoundError:
            return None
        assert isinstance(found, list)
        return found

    def keep_after(self, key: str, found: list[Any]) -> None:
        """Write down what became of them."""
        (self.folder / f"{key}.after").write_bytes(pickle.dumps(found))

    def keep(self, key: str, tail: Tail) -> None:
        """Write down what became of one."""
        (self.folder / key).write_bytes(pickle.dumps(tail))


def due(key: str, plan: object) -> bool:
    """Tell whether a life that comes to a known state has to live on all the same."""
    return int(sha256(f"{key} {plan}".encode()).hexdigest()[:8], 16) % CHECKED == 0


def platform(state: Any) -> str:
    """Return what a platform holds, as one text; when something was made does not count."""
    return _CLOCKS.sub("", json.dumps(state, sort_keys=True, default=str))


def written(root: Path, now: float) -> str:
    """Return what the product wrote down and reads again, as one text: its ages count in runs, its words about errors not at all."""
    connection = sqlite3.connect(f"file:{root / '.cloudsync' / 'state.db'}?mode=ro", uri=True)
    try:
        text = repr([(name, sorted(_rows(connection, name, now))) for name in _READ])
    finally:
        connection.close()
    last = max(_RUN.findall(text), default="")
    return _RUN.sub(lambda one: "the last run" if one[0] == last else "an earlier one", text)


def _rows(connection: sqlite3.Connection, name: str, now: float) -> Iterator[str]:
    found = connection.execute(_READ[name])
    columns = [column for column, *_ in found.description]
    for row in found:
        yield repr([_value(value, now) for column, value in zip(columns, row, strict=True) if (name, column) not in _LEFT_OUT])


def _value(value: Any, now: float) -> Any:
    if isinstance(value, float):
        return _age(value, now)
    if isinstance(value, str):
        return _MOMENT.sub(lambda one: f"{_age(float(one[0]), now)} runs", _WHY.sub("", _CLOCKS.sub("", value)))
    return value


def _age(moment: float, now: float) -> int:
    return min(round((now - moment) / EVERY_S), OLD)
