"""Carry out the faults that fire on a call, around the call itself (row 39 and the list below the table)."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..http import Answer, Cut
from .faults import Fault, Kind
from .journal import Entry
from .native import Native
from .refusal import Refusal
from .wire import Fragment, Value

if TYPE_CHECKING:
    from .shim import Asked, Shim

HOLD_LIMIT_S = 120.0
_DENIED = "You are not authorized to perform this operation."
_REMEMBERED_READS = 64


class Dropped(Exception):  # noqa: N818 (not an error: the answer that replaces every other)
    """The call ends here with this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


RESET = Answer(0, b"", cut=Cut.RESET)


@dataclass(slots=True)
class Hold:
    """A call that waits until somebody lets it go."""

    hold_id: int
    action: str
    moment: str
    """before | after it took effect"""
    released: threading.Event = field(default_factory=threading.Event)
    drop: bool = False


@dataclass(slots=True)
class Late:
    """A call whose client has already been cut off, to be applied after so many further calls."""

    asked: Asked
    entry: Entry
    countdown: int


@dataclass(slots=True)
class Carrier:
    """The faults' hands."""

    shim: Shim
    holds: dict[int, Hold] = field(default_factory=dict)
    late: list[Late] = field(default_factory=list)
    pages: dict[tuple[str, str, str], int] = field(default_factory=dict)
    last_page: dict[tuple[str, str, str], dict[str, Value]] = field(default_factory=dict)
    reads: dict[tuple[str, ...], Asked] = field(default_factory=dict)
    frozen: dict[tuple[str, ...], Answer] = field(default_factory=dict)
    _next_hold: int = 1

    def reset(self) -> None:
        """Forget everything; held calls go on."""
        for hold in self.holds.values():
            hold.released.set()
        self.late.clear()
        self.pages.clear()
        self.last_page.clear()
        self.reads.clear()
        self.frozen.clear()

    # --- the way of one call ----------------------------------------------------------------------------

    def tick(self, asked: Asked) -> None:
        """A call arrives: late ones may take effect before it."""
        del asked
        for waiting in list(self.late):
            waiting.countdown -= 1
            if waiting.countdown <= 0:
                self.late.remove(waiting)
                self.shim.perform(waiting.asked, waiting.entry)

    def carry(self, asked: Asked, entry: Entry) -> Answer:
        """Faults before, the call, faults after."""
        with self.shim.lock:
            firing = self.shim.faults.firing(asked.action, asked.account, asked.region, self._page_of(asked))
        entry.fault = ",".join(fault.kind.value for fault in firing) or None
        for fault in firing:
            asked = self._before(fault, asked, entry)
        if asked.service == "ec2" and not self.shim.buckets.take(asked.account, asked.region, asked.action, asked.form):
            entry.code = "RequestLimitExceeded"
            return self.shim.refuse(Refusal("RequestLimitExceeded", "Request limit exceeded.", 503), entry)
        with self.shim.lock:
            stale = self._stale(asked, entry)
            if stale is not None:
                return stale
            self._remember(asked)
            answer, values = self.shim.perform(asked, entry)
        for fault in firing:
            answer = self._after(fault, asked, entry, (answer, values))
        if values is not None and not asked.mutating:
            self.last_page[self._key(asked)] = values
        return answer

    def _key(self, asked: Asked) -> tuple[str, str, str]:
        return asked.action, asked.account, asked.region

    def _page_of(self, asked: Asked) -> int:
        key = self._key(asked)
        page = self.pages.get(key, 0) + 1 if "NextToken" in asked.flat else 1
        self.pages[key] = page
        return page

    # --- before --------------------------------------------------------------------------------------------

    def _before(self, fault: Fault, asked: Asked, entry: Entry) -> Asked:
        refusal = _refusal_of(fault, asked)
        if refusal is not None:
            entry.code = refusal.code
            raise Dropped(self.shim.refuse(refusal, entry))
        match fault.kind:
            case Kind.RESET_BEFORE:
                raise Dropped(RESET)
            case Kind.LATE:
                with self.shim.lock:
                    self.late.append(Late(asked, entry, int(fault.option("after", 1))))
                raise Dropped(RESET)
            case Kind.HOLD_BEFORE:
                self._hold(asked, "before")
            case Kind.SLOW:
                time.sleep(float(fault.option("seconds", 1)))
            case Kind.EDIT:
                self._edit(fault, asked)
            case Kind.QUOTA:
                book = self.shim.world.of(asked.call)
                book.quotas.change(str(fault.option("name")), int(fault.option("value", 0)))
            case Kind.IDENTITY:
                return replace(asked, account=str(fault.option("account", "999999999999")))
            case _:
                pass
        return asked

    def _edit(self, fault: Fault, asked: Asked) -> None:
        """Somebody else changes something; what the vendor refuses them stays undone."""
        wanted = dict(fault.option("call") or {})
        action = str(wanted.pop("Action"))
        try:
            self.shim.act(action, wanted, account=asked.account, region=asked.region, by="third party")
        except Refusal:
            return

    def _hold(self, asked: Asked, moment: str) -> None:
        with self.shim.lock:
            hold = Hold(self._next_hold, asked.action, moment)
            self._next_hold += 1
            self.holds[hold.hold_id] = hold
        hold.released.wait(HOLD_LIMIT_S)
        self.holds.pop(hold.hold_id, None)
        if hold.drop:
            raise Dropped(RESET)

    def release(self, *, drop: bool) -> int:
        """Let every held call go on, or cut its connection; return how many."""
        held = list(self.holds.values())
        for hold in held:
            hold.drop = drop
            hold.released.set()
        return len(held)

    # --- stale reads -------------------------------------------------------------------------------------------

    def _stale(self, asked: Asked, entry: Entry) -> Answer | None:
        if asked.mutating:
            return None
        fault = self.shim.faults.stale(asked.action, asked.account, asked.region)
        frozen = self.frozen.get(_body_key(asked)) if fault is not None else None
        if fault is None or frozen is None or not fault.meets():
            return None
        entry.fault = Kind.STALE.value
        return frozen

    def _remember(self, asked: Asked) -> None:
        """Keep the latest reads, and ask them again just before a write, so that a stale answer is one write old."""
        if asked.service != "ec2":
            return
        if not asked.mutating:
            self.reads.pop(_body_key(asked), None)
            self.reads[_body_key(asked)] = asked
            if len(self.reads) > _REMEMBERED_READS:
                del self.reads[next(iter(self.reads))]
            return
        for key, read in self.reads.items():
            if self.shim.faults.stale(read.action, read.account, read.region) is not None:
                unseen = Entry(0, "ec2", read.action, read.account, read.region, False, {}, by="lab")
                self.frozen[key] = self.shim.perform(read, unseen)[0]

    # --- after ----------------------------------------------------------------------------------------------

    def _after(self, fault: Fault, asked: Asked, entry: Entry, result: tuple[Answer, dict[str, Value] | None]) -> Answer:
        answer, values = result
        match fault.kind:
            case Kind.LOST:
                return self.shim.refuse(Refusal("InternalError", "An internal error has occurred", 500), entry)
            case Kind.RESET_AFTER:
                raise Dropped(RESET)
            case Kind.TRUNCATED:
                return replace(answer, cut=Cut.HALF)
            case Kind.GARBAGE:
                return replace(answer, body=answer.body[: len(answer.body) // 2])
            case Kind.HTML:
                return Answer(502, b"<html><body><h1>502 Bad Gateway</h1></body></html>", {"Content-Type": "text/html"})
            case Kind.HOLD_AFTER:
                self._hold(asked, "after")
            case Kind.EDIT_AFTER:
                self._edit(fault, asked)
            case Kind.HIDDEN:
                self._hide(fault, asked, answer)
            case Kind.PAGE_LOST | Kind.TOKEN_LOST | Kind.PAGE_REPEATED | Kind.TOKEN_REPEATED if values is not None:
                return self.shim.render(asked, entry, self._bent(fault.kind, asked, values))
            case _:
                pass
        return answer

    def _hide(self, fault: Fault, asked: Asked, answer: Answer) -> None:
        found = re.search(rb"<(?:groupId|prefixListId|networkInterfaceId|instanceId)>([^<]+)<", answer.body)
        if found is not None and answer.status == 200:
            self.shim.world.of(asked.call).hidden[found[1].decode()] = int(fault.option("reads", 1))

    def _bent(self, kind: Kind, asked: Asked, values: dict[str, Value]) -> dict[str, Value]:
        bent = dict(values)
        name = next((name for name in values if name.endswith(("Set", "Info"))), None)
        if name is None:
            return bent  # no list: nothing of it comes in pages
        match kind:
            case Kind.PAGE_LOST:
                bent[name] = Fragment("")
            case Kind.TOKEN_LOST:
                bent["nextToken"] = None
            case Kind.PAGE_REPEATED:
                before = self.last_page.get(self._key(asked))
                bent[name] = values[name] if before is None else before[name]
            case _:
                bent["nextToken"] = asked.flat.get("NextToken") or values.get("nextToken")
        return bent


def _body_key(asked: Asked) -> tuple[str, ...]:
    pairs = sorted((name, value) for name, value in asked.flat.items())
    return (asked.account, asked.region, *(f"{name}={value}" for name, value in pairs))


def _refusal_of(fault: Fault, asked: Asked) -> Refusal | None:
    option: Native = fault.option
    match fault.kind:
        case Kind.THROTTLE:
            return Refusal("RequestLimitExceeded", "Request limit exceeded.", 503)
        case Kind.UNAVAILABLE:
            return Refusal("Unavailable", "The service is unavailable. Please try again shortly.", 503)
        case Kind.ERROR500:
            return Refusal("InternalError", "An internal error has occurred", 500)
        case Kind.DENIED:
            return Refusal("UnauthorizedOperation", f"{_DENIED} (action {asked.action})", 403)
        case Kind.EXPIRED:
            return Refusal(str(option("code", "RequestExpired")), "Request has expired.", int(option("status", 400)))
        case Kind.REFUSED:
            return Refusal(
                str(option("code", "InvalidParameterValue")), str(option("message", "refused by the lab")), int(option("status", 400))
            )
        case _:
            return None
