"""A first look that costs less than a read: what an adapter may offer beside its protocol, for runs that mostly find nothing to do."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from cloudsync.model.quick import dataclass

Snapshot = Any
"""A `cloudsync.adapter.Snapshot`."""


@dataclass(frozen=True, slots=True)
class Glance:
    """What a first look shows. `account`: whose objects these are, proven by the answers themselves; empty where they prove nothing."""

    snapshot: Snapshot
    account: str


@runtime_checkable
class Glancing(Protocol):
    """An adapter that can leave out, at first, what only matters where something is to be done.

    The promise: a glance shows inventory, points and what they let through exactly as `read` does. Where the table that is wanted
    equals the glance's table and no problem is found, the rules are as the policy says. Everything else is decided after `completed`.
    """

    def glance(self) -> Glance:
        """Look at the whole target with the fewest calls. A scope that fails or is cut short is Incomplete, as in `read`."""

    def completed(self, snapshot: Snapshot) -> Snapshot:
        """Return a glance's snapshot with all that was left out; a scope where that fails is Incomplete and holds nothing."""
