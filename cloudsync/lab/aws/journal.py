"""What happened on the wire: the truth for counting calls."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from .native import Json


@dataclass(slots=True)
class Entry:
    """One call, in the order of arrival."""

    sequence: int
    service: str
    action: str
    account: str
    region: str
    mutating: bool
    params: dict[str, str]
    """Empty for reads."""
    status: int = 0
    """HTTP status that the client was meant to get; 0 while running."""
    code: str | None = None
    """Error code of the answer."""
    applied: bool = False
    """Did it take effect, whatever the client was told?"""
    fault: str | None = None
    by: str = "client"
    targets: dict[str, dict[str, str]] = field(default_factory=dict)
    """Tags of the groups, lists and interfaces it wrote to, as they were at that moment."""
    who: str = ""
    """ARN of the caller."""
    key: str = ""
    """Its access key id."""
    at: float = 0.0
    """When it came: UTC seconds since the epoch, by the lab's clock."""
    made: list[dict[str, Json]] = field(default_factory=list)
    """The rules that an Authorize answered."""

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
        """Count a call and keep its entry; the oldest read goes when there are too many."""
        self.sequence += 1
        entry.sequence = self.sequence
        if entry.by == "client":
            self.counts[f"{entry.service}:{entry.action}"] += 1
        if len(self.entries) < self.most:
            self.entries.append(entry)
        return entry

    def clear(self) -> None:
        """Begin anew; the sequence goes on."""
        self.entries.clear()
        self.counts.clear()
