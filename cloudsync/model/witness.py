"""Who did it: what an adapter may offer beside its protocol, where the platform keeps an audit log that can be asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from cloudsync.model.quick import dataclass

Table = Any
"""The adapter's own native table."""
NativeRule = tuple[str, str]
"""A native rule as entries name it: `(object, native)`."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who made a native rule, as the platform's own audit log has it. `at`: UTC seconds since the epoch; `how`: the call."""

    who: str
    at: float
    how: str = ""


@runtime_checkable
class Witness(Protocol):
    """An adapter that can say who made a rule."""

    def authors(self, table: Table, rules: Iterable[NativeRule], since: float) -> Mapping[NativeRule, Author]:
        """Return who made each of these rules last; what the log does not tell is left out. `since`: UTC seconds since the epoch.

        Only reads, and asks little: such logs are slow. Raises AdapterError.
        """
