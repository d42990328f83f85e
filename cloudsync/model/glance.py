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
    hint: str = ""
    """What the adapter wants to be told at the next look, as long as nothing of ours is written in between; empty for nothing."""


@runtime_checkable
class Glancing(Protocol):
    """An adapter that can leave out, at first, what only matters where something is to be done.

    The promise: a glance shows inventory, points and what they let through exactly as `read` does. Where the table that is wanted
    equals the glance's table and no problem is found, the rules are as the policy says. Everything else is decided after `completed`.
    """

    def glance(self, hint: str = "") -> Glance:
        """Look at the whole target with the fewest calls. A scope that fails or is cut short is Incomplete, as in `read`.

        `hint`: what the last look said, less than a day ago and with no write of ours since. The core keeps it: adapters remember nothing.
        """

    def completed(self, snapshot: Snapshot) -> Snapshot:
        """Return a glance's snapshot with all that was left out; a scope where that fails is Incomplete and holds nothing."""
