"""Token buckets in the shared state: all workers of an account draw from the same quota. Time comes from the server alone."""

from __future__ import annotations

from dataclasses import dataclass

from cloudsync.store.fleet import Bucket
from cloudsync.store.place import Server
from cloudsync.store.postgres import PostgresDatabase


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a bucket answered: whether it may be done now, else after how many seconds to ask again (add a random part)."""

    granted: bool
    wait_s: float = 0.0


class SharedBuckets:
    """A session of its own for the buckets: each question is one statement, and no row is held while a call is made.

    A waiting worker holds nothing: several may be told the same time, so whoever waits adds a random part to it.
    """

    def __init__(self, server: Server) -> None:
        self._database = PostgresDatabase(server)

    def take(self, bucket: Bucket, tokens: float = 1.0) -> Drawn:
        """Draw from a bucket, which is full when nobody has used it yet. Raises RefusedError when the server cannot be asked.

        Raises ValueError for more tokens than it can ever hold.
        """
        if not 0 < tokens <= bucket.capacity or bucket.per_s <= 0:
            raise ValueError(f"{tokens:g} tokens of a bucket of {bucket.capacity:g}, {bucket.per_s:g} a second")
        return Drawn(*self._database.draw(bucket, tokens))

    def empty(self, bucket: Bucket) -> None:
        """Note that the platform said no: whatever we counted, there is nothing left."""
        self._database.drained(bucket)

    def close(self) -> None:
        """End the session."""
        self._database.close()
