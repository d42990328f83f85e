"""The gate every call of a simulated vendor goes through: journal, faults before, the call itself, faults after."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from ..http import Answer, Cut
from .faults import Fault, Json, Kind, of_json
from .journal import Entry, Journal

HOLD_LIMIT_S = 120.0
RESET = Answer(0, b"", cut=Cut.RESET)

Perform = Callable[[Entry, tuple[Fault, ...]], Answer]
"""Carry the call out on the world (under the gate's lock): sets `applied`, `code`, `notes` of the entry; obeys the faults that are inside
the vendor (operations, pages, identity)."""


class Vendor(Protocol):
    """What the gate asks of the vendor it stands before."""

    def refuse(self, fault: Fault, entry: Entry) -> Answer:
        """Return the vendor's own answer for throttle, unavailable, error500, denied, expired, refused, redirect and lost."""

    def edit(self, call: Json) -> None:
        """Let a third party do something, past all faults; what is refused to them stays undone."""


@dataclass(slots=True)
class Hold:
    """A call that waits until somebody lets it go."""

    hold_id: int
    operation: str
    moment: str
    """before | after it took effect"""
    released: threading.Event = field(default_factory=threading.Event)
    drop: bool = False


@dataclass(slots=True)
class _Late:
    """A call whose client has been cut off already, to be carried out after so many further calls."""

    entry: Entry
    perform: Perform
    countdown: int


class _EndError(Exception):
    """Not an error: the answer that replaces every other."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(slots=True)
class Gate:
    """Journal, faults and lock of one vendor."""

    vendor: Vendor
    journal: Journal = field(default_factory=Journal)
    faults: list[Fault] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    holds: dict[int, Hold] = field(default_factory=dict)
    _late: list[_Late] = field(default_factory=list)
    _next_hold: int = 1

    def reset(self) -> None:
        """Forget faults, calls and what is late; held calls go on."""
        with self.lock:
            self.faults.clear()
            self._late.clear()
            self.journal.clear()
            self.journal.sequence = 0
        self.release(drop=False)

    def carry(self, entry: Entry, perform: Perform, *, page: int = 1) -> Answer:
        """Take one call; return what its client gets."""
        with self.lock:
            self.journal.begin(entry)
            self._tick()
            firing = tuple(
                fault
                for fault in self.faults
                if fault.counts(entry.operation, entry.scope, page, mutating=entry.mutating) and fault.meets()
            )
            entry.fault = ",".join(fault.kind.value for fault in firing) or None
        try:
            for fault in firing:
                self._before(fault, entry, perform)
            with self.lock:
                answer = perform(entry, firing)
            for fault in firing:
                answer = self._after(fault, entry, answer)
        except _EndError as ended:
            answer = ended.answer
        entry.status = answer.status
        return answer

    def _tick(self) -> None:
        for waiting in list(self._late):
            waiting.countdown -= 1
            if waiting.countdown <= 0:
                self._late.remove(waiting)
                waiting.perform(waiting.entry, ())

    def _before(self, fault: Fault, entry: Entry, perform: Perform) -> None:
        match fault.kind:
            case Kind.THROTTLE | Kind.UNAVAILABLE | Kind.ERROR500 | Kind.DENIED | Kind.EXPIRED | Kind.REFUSED | Kind.REDIRECT:
                raise _EndError(self.vendor.refuse(fault, entry))
            case Kind.RESET_BEFORE:
                raise _EndError(RESET)
            case Kind.LATE:
                with self.lock:
                    self._late.append(_Late(entry, perform, int(fault.options.get("after", 1))))
                raise _EndError(RESET)
            case Kind.HOLD_BEFORE:
                self._hold(entry, "before")
            case Kind.SLOW:
                time.sleep(float(fault.options.get("seconds", 1)))
            case Kind.EDIT:
                self._edit(fault)
            case _:
                pass

    def _after(self, fault: Fault, entry: Entry, answer: Answer) -> Answer:
        match fault.kind:
            case Kind.LOST:
                return self.vendor.refuse(fault, entry)
            case Kind.RESET_AFTER:
                return RESET
            case Kind.TRUNCATED:
                return replace(answer, cut=Cut.HALF)
            case Kind.GARBAGE:
                return replace(answer, body=answer.body[: len(answer.body) // 2])
            case Kind.HTML:
                return Answer(200, b"<html><body><h1>Please log in</h1></body></html>", {"Content-Type": "text/html"})
            case Kind.EMPTY:
                return replace(answer, status=200, body=json.dumps(fault.options.get("body", {})).encode())
            case Kind.HOLD_AFTER:
                self._hold(entry, "after")
            case Kind.EDIT_AFTER:
                self._edit(fault)
            case _:
                pass
        return answer

    def _edit(self, fault: Fault) -> None:
        with self.lock:
            self.vendor.edit(fault.options.get("call"))

    def _hold(self, entry: Entry, moment: str) -> None:
        with self.lock:
            hold = Hold(self._next_hold, entry.operation, moment)
            self._next_hold += 1
            self.holds[hold.hold_id] = hold
        hold.released.wait(HOLD_LIMIT_S)
        self.holds.pop(hold.hold_id, None)
        if hold.drop:
            raise _EndError(RESET)

    def release(self, *, drop: bool) -> int:
        """Let every held call go on, or cut its connection; return how many."""
        held = list(self.holds.values())
        for hold in held:
            hold.drop = drop
            hold.released.set()
        return len(held)

    # --- control verbs that are the same for every vendor ---------------------------------------------------------

    def ask(self, verb: str, given: Json) -> Json:
        """Answer the control verbs faults, calls, log, held and release. KeyError for any other."""
        with self.lock:
            match verb:
                case "faults":
                    if isinstance(given, list):
                        self.faults[:] = [of_json(each) for each in given]
                    elif given is not None:
                        self.faults.append(of_json(given))
                    return [each.as_json() for each in self.faults]
                case "calls":
                    counts = dict(self.journal.counts)
                    if given and given.get("clear"):
                        self.journal.clear()
                    return counts
                case "log":
                    wanted = given or {}
                    found = [
                        entry.as_json()
                        for entry in self.journal.entries
                        if (wanted.get("reads") or entry.mutating) and entry.sequence > int(wanted.get("after", 0))
                    ]
                    if wanted.get("clear"):
                        self.journal.clear()
                    return found
                case "held":
                    return [{"id": one.hold_id, "operation": one.operation, "moment": one.moment} for one in list(self.holds.values())]
        if verb == "release":
            return {"released": self.release(drop=bool((given or {}).get("drop")))}
        raise KeyError(verb)
