"""Faults per action and n-th call. A fault decides; the shim carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase

from ..kit.faults import spoken
from .buckets import is_read
from .native import Json


class Kind(Enum):
    """What goes wrong. The first block happens before the call takes effect, the second after."""

    THROTTLE = "throttle"
    UNAVAILABLE = "unavailable"
    ERROR500 = "error500"
    RESET_BEFORE = "reset_before"
    DENIED = "denied"
    EXPIRED = "expired"
    REFUSED = "refused"
    HOLD_BEFORE = "hold_before"
    LATE = "late"
    SLOW = "slow"
    EDIT = "edit"
    QUOTA = "quota"
    IDENTITY = "identity"

    LOST = "lost"
    RESET_AFTER = "reset_after"
    TRUNCATED = "truncated"
    GARBAGE = "garbage"
    HTML = "html"
    HOLD_AFTER = "hold_after"
    EDIT_AFTER = "edit_after"
    HIDDEN = "hidden"
    STALE = "stale"
    PAGE_LOST = "page_lost"
    TOKEN_LOST = "token_lost"
    PAGE_REPEATED = "page_repeated"
    TOKEN_REPEATED = "token_repeated"


@dataclass(slots=True)
class Fault:
    """One fault: which calls it counts, from which of them on it fires, how often.

    The action is a name, a pattern with `*`, or one of the words @read and @write.
    """

    action: str
    kind: Kind
    nth: int = 1
    times: int = 1
    """0: for ever."""
    page: int | None = None
    account: str | None = None
    region: str | None = None
    options: dict[str, Json] = field(default_factory=dict)
    seen: int = 0
    fired: int = 0

    def counts(self, action: str, account: str, region: str, page: int) -> bool:
        """Is this call one of those the fault counts?"""
        return self._names(action) and self.account in (None, account) and self.region in (None, region) and self.page in (None, page)

    def _names(self, action: str) -> bool:
        if self.action in ("@read", "@write"):
            return is_read(action) is (self.action == "@read")
        return fnmatchcase(action, self.action)

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

    def option(self, name: str, default: Json = None) -> Json:
        """A further setting of this kind of fault."""
        return self.options.get(name, default)


_FIELDS = ("action", "kind", "nth", "times", "page", "account", "region")


def of_json(spec: Mapping[str, Json]) -> Fault:
    """Read one fault; what is not a common field is an option of its kind."""
    try:
        kind = Kind(str(spec.get("kind")))
    except ValueError:
        known = ", ".join(each.value for each in Kind)
        raise ValueError(f"unknown kind of fault {spec.get('kind')!r}: want one of {known}") from None
    page = spec.get("page")
    return Fault(
        str(spec.get("action", "*")),
        kind,
        nth=int(spec.get("nth", 1)),
        times=int(spec.get("times", 1)),
        page=None if page is None else int(page),
        account=spec.get("account") if kind is not Kind.IDENTITY else None,
        region=spec.get("region"),
        options={key: value for key, value in spec.items() if key not in _FIELDS or (key == "account" and kind is Kind.IDENTITY)},
    )


def of_text(spec: str) -> dict[str, Json]:
    """Read `ACTION:KIND[:name=value,...]` as typed on a command line."""
    found = spoken(spec, "action")
    of_json(found)
    return found


@dataclass(slots=True)
class Faults:
    """The faults in force."""

    plan: list[Fault] = field(default_factory=list)

    def firing(self, action: str, account: str, region: str, page: int) -> list[Fault]:
        """Count a call against every fault; return those that fire on it. Stale ones count when they are served."""
        return [
            fault for fault in self.plan if fault.kind is not Kind.STALE and fault.counts(action, account, region, page) and fault.meets()
        ]

    def stale(self, action: str, account: str, region: str) -> Fault | None:
        """A stale read that is still to be served for this action."""
        for fault in self.plan:
            if fault.kind is Kind.STALE and not fault.spent and fault.counts(action, account, region, fault.page or 1):
                return fault
        return None
