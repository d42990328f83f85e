"""Token buckets in the shared state, so that all workers of an account draw from one quota: a ledger of `cloudsync.pacing`.

Time comes from the server alone. Each question is one statement: no row is held while anybody waits or calls. When the session breaks the
next question opens another one; until it can be asked nobody calls.
"""

from __future__ import annotations

import threading

from cloudsync.model.bucket import Limit
from cloudsync.model.errors import RefusedError
from cloudsync.store.place import Server
from cloudsync.store.postgres import PostgresDatabase


class SharedLevels:
    """The levels of all processes of a deployment. Every method raises RefusedError when the server cannot be asked."""

    def __init__(self, server: Server) -> None:
        """Nothing is opened before the first question."""
        self._server = server
        self._database: PostgresDatabase | None = None
        self._one = threading.Lock()

    def book(self, limit: Limit) -> float:
        """Take a token, ahead of its time if need be; return the seconds until the call may be sent."""
        return max(0.0, -self._level(limit, take=1.0) / limit.bucket.refill)

    def delay(self, limit: Limit) -> float:
        """Return the seconds until a token is there, without taking it."""
        return max(0.0, (1.0 - self._level(limit)) / limit.bucket.refill)

    def lower(self, limit: Limit, tokens: float) -> None:
        """Leave at most so many tokens."""
        self._level(limit, most=tokens)

    def close(self) -> None:
        """End the session."""
        with self._one:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _level(self, limit: Limit, *, take: float = 0.0, most: float | None = None) -> float:
        with self._one:
            try:
                if self._database is None:
                    self._database = PostgresDatabase(self._server)
                return self._database.draw(limit, take, limit.bucket.size if most is None else most)
            except RefusedError:
                if self._database is not None:
                    self._database.close()
                    self._database = None
                raise
