"""What happened on the wire of one simulated vendor: the truth for counting calls, and for joining writes with the world's state."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from .faults import Json


@dataclass(slots=True)
class Entry:
    """One call, in the order of arrival."""

    operation: str
    scope: str
    mutating: bool
    body: Json = None
    """What was sent; None for reads. Never a credential."""
    path: str = ""
    sequence: int = 0
    status: int = 0
    """HTTP status that the client was meant to get; 0 while running."""
    code: str | None = None
    """The vendor's error code of the answer."""
    applied: bool = False
    """Did it take effect, whatever the client was told?"""
    fault: str | None = None
    by: str = "client"
    notes: dict[str, Json] = field(default_factory=dict)
    """What else a vendor's tests want to know: marks the object carried at that moment, transaction, token."""

    def as_json(self) -> dict[str, Json]:
        """All fields."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Journal:
    """Counters of all calls, and entries of all of them up to a bound."""

    entries: list[Entry] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    sequence: int = 0
    most: int = 200_000

    def begin(self, entry: Entry) -> Entry:
        """Count a call and keep its entry."""
        self.sequence += 1
        entry.sequence = self.sequence
        if entry.by == "client":
            self.counts[entry.operation] += 1
        if len(self.entries) < self.most:
            self.entries.append(entry)
        return entry

    def clear(self) -> None:
        """Begin anew; the sequence goes on."""
        self.entries.clear()
        self.counts.clear()
