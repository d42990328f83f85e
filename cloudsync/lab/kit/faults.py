"""Faults per operation and n-th call, the same for every simulated vendor. A fault decides; the gate carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

Json: TypeAlias = Any
"""Whatever JSON can say."""


class Kind(Enum):
    """What goes wrong. The first block happens before the call takes effect, the second after it, the third inside the vendor."""

    THROTTLE = "throttle"
    UNAVAILABLE = "unavailable"
    ERROR500 = "error500"
    RESET_BEFORE = "reset_before"
    DENIED = "denied"
    EXPIRED = "expired"
    REFUSED = "refused"
    REDIRECT = "redirect"
    LATE = "late"
    HOLD_BEFORE = "hold_before"
    SLOW = "slow"
    EDIT = "edit"

    LOST = "lost"
    RESET_AFTER = "reset_after"
    TRUNCATED = "truncated"
    GARBAGE = "garbage"
    HTML = "html"
    EMPTY = "empty"
    HOLD_AFTER = "hold_after"
    EDIT_AFTER = "edit_after"

    OPERATION_STUCK = "operation_stuck"
    OPERATION_LOST = "operation_lost"
    OPERATION_FAILED = "operation_failed"
    PAGE_LOST = "page_lost"
    TOKEN_LOST = "token_lost"
    PAGE_REPEATED = "page_repeated"
    TOKEN_REPEATED = "token_repeated"
    UNREACHABLE = "unreachable"
    STALE = "stale"
    IDENTITY = "identity"


@dataclass(slots=True)
class Fault:
    """One fault: which calls it counts, from which of them on it fires, how often.

    The operation is a name, a pattern with `*`, or one of the words @read and @write.
    """

    operation: str
    kind: Kind
    nth: int = 1
    times: int = 1
    """0: for ever."""
    scope: str | None = None
    page: int | None = None
    options: dict[str, Json] = field(default_factory=dict)
    seen: int = 0
    fired: int = 0

    def counts(self, operation: str, scope: str, page: int, *, mutating: bool) -> bool:
        """Is this call one of those the fault counts?"""
        if self.scope not in (None, scope) or self.page not in (None, page):
            return False
        if self.operation in ("@read", "@write"):
            return mutating is (self.operation == "@write")
        return fnmatchcase(operation, self.operation)

    def meets(self) -> bool:
        """Count one call; True when the fault fires on it."""
        self.seen += 1
        fires = self.seen >= self.nth and (self.times == 0 or self.fired < self.times)
        if fires:
            self.fired += 1
        return fires

    @property
    def spent(self) -> bool:
        """Has it fired as often as it may?"""
        return self.times != 0 and self.fired >= self.times

    def as_json(self) -> dict[str, Json]:
        """What the control verb `faults` shows."""
        return {"operation": self.operation, "kind": self.kind.value, "seen": self.seen, "fired": self.fired, "spent": self.spent}


def of_text(spec: str) -> dict[str, Json]:
    """Read `OPERATION:KIND[:name=value,...]` as typed on a command line. ValueError says what is wrong with it."""
    found = spoken(spec, "operation")
    of_json(found)
    return found


def spoken(spec: str, name: str) -> dict[str, Json]:
    """Split `WHAT:KIND[:name=value,...]`; `name` is the key under which WHAT stands. ValueError where it has no such shape."""
    what, colon, rest = spec.partition(":")
    kind, _, options = rest.partition(":")
    if not what or not colon or not kind:
        shape = name.upper()
        raise ValueError(f"{spec!r}: want {shape}:KIND or {shape}:KIND:name=value,name=value")
    found: dict[str, Json] = {name: what, "kind": kind}
    for pair in filter(None, options.split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{spec!r}: {pair!r} is not name=value")
        found[key] = int(value) if value.lstrip("-").isdigit() and len(value) < 12 else value
    return found


_FIELDS = ("operation", "action", "kind", "nth", "times", "scope", "page")


def of_json(spec: Mapping[str, Json]) -> Fault:
    """Read one fault (`action` is another word for `operation`); what is not a common field is an option of its kind."""
    try:
        kind = Kind(str(spec.get("kind")))
    except ValueError:
        known = ", ".join(each.value for each in Kind)
        raise ValueError(f"unknown kind of fault {spec.get('kind')!r}: want one of {known}") from None
    page = spec.get("page")
    return Fault(
        str(spec.get("operation", spec.get("action", "*"))),
        kind,
        nth=int(spec.get("nth", 1)),
        times=int(spec.get("times", 1)),
        scope=spec.get("scope"),
        page=None if page is None else int(page),
        options={key: value for key, value in spec.items() if key not in _FIELDS},
    )
