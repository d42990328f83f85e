"""What the platforms' limits did to the runs of each day: a row for each class of calls, which every run adds to."""

from __future__ import annotations

from collections.abc import Mapping

from cloudsync.model.bucket import Tally
from cloudsync.model.quick import dataclass
from cloudsync.store.database import Database

_ADD = """INSERT INTO limited (day, platform, api_class, calls, waited_s, throttled) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (day, platform, api_class) DO UPDATE SET calls = limited.calls + excluded.calls,
    waited_s = limited.waited_s + excluded.waited_s, throttled = limited.throttled + excluded.throttled"""


@dataclass(frozen=True, slots=True)
class LimitRow:
    """What the calls of one class came to on one day, in runs that had to wait or were refused as too fast."""

    day: str
    platform: str
    api_class: str
    tally: Tally


class LimitTable:
    """The table; days are ISO dates in UTC."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, day: str, oldest: str, more: Mapping[tuple[str, str], Tally]) -> None:
        """Add what came of a run, by platform and class of calls, whoever adds to the same rows meanwhile. Days before `oldest` go."""
        with self._database.transaction() as connection:
            for (platform, api_class), one in sorted(more.items()):
                connection.execute(_ADD, (day, platform, api_class, one.calls, one.waited_s, one.throttled))
            connection.execute("DELETE FROM limited WHERE day < ?", (oldest,))

    def of(self, day: str) -> tuple[LimitRow, ...]:
        """Return what is on record of a day, by platform and class of calls."""
        return tuple(
            LimitRow(day, row["platform"], row["api_class"], Tally(row["calls"], row["waited_s"], row["throttled"]))
            for row in self._database.rows("SELECT * FROM limited WHERE day = ? ORDER BY platform, api_class", day)
        )
