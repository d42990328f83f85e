"""How large native objects are: what an adapter may offer beside its protocol, so that temporary rules are counted against quotas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

from cloudsync.model.quick import dataclass

Table = Any
"""The adapter's own native table."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much of what its platform limits a native object holds. `what`: the counted sum, e.g. `inbound IPv4 rules`."""

    object: str
    what: str
    holds: int
    limit: int


@runtime_checkable
class Measured(Protocol):
    """An adapter that says sizes."""

    def sizes(self, table: Table) -> Iterable[Size]:
        """Return the size of every object of a table that has a limit; pure, the same object and sum under the same names."""
