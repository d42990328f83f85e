"""The fault layer between the SDKs and a lab: it numbers every call of a run, spoils some of them, and watches every write.

The n-th call of a run is the same call every time (see `fault_inline`), so that a number is a boundary: before and after that call.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from cloudsync.lab.http import Answer, Cut, Request
from tests.oracle.four_ground import Json
from tests.wire.fault_loop import App, UnansweredError
from tests.wire.fault_stage import Sent, sent


class Kind(Enum):
    """What goes wrong at one call."""

    RESET_BEFORE = "reset_before"
    TIMEOUT_BEFORE = "timeout_before"
    ERROR_500 = "error500"
    UNAVAILABLE = "unavailable"
    BAD_GATEWAY = "bad_gateway"
    THROTTLE = "throttle"
    DENIED = "denied"
    EXPIRED = "expired"
    LOGIN_PAGE = "login_page"
    QUOTA = "quota"

    RESET_AFTER = "reset_after"
    TIMEOUT_AFTER = "timeout_after"
    LOST = "lost"
    BAD_GATEWAY_AFTER = "bad_gateway_after"
    CUT_SHORT = "cut_short"
    GARBLED = "garbled"
    EMPTY = "empty"
    LATE = "late"

    OPERATION_STUCK = "operation_stuck"
    OPERATION_LOST = "operation_lost"
    OPERATION_FAILED = "operation_failed"

    STALE = "stale"
    STALER = "staler"
    PAGE_LOST = "page_lost"
    CURSOR_LOST = "token_lost"
    PAGE_REPEATED = "page_repeated"
    CURSOR_REPEATED = "token_repeated"
    UNKNOWN_FIELD = "unknown_field"
    IDENTITY = "identity"

    EXPIRED_FROM_HERE = "expired_from_here"
    DENIED_FROM_HERE = "denied_from_here"
    DOWN_FROM_HERE = "down_from_here"
    THROTTLED_FROM_HERE = "throttled_from_here"


LASTING: dict[Kind, Kind] = {
    Kind.EXPIRED_FROM_HERE: Kind.EXPIRED,
    Kind.DENIED_FROM_HERE: Kind.DENIED,
    Kind.DOWN_FROM_HERE: Kind.RESET_BEFORE,
    Kind.THROTTLED_FROM_HERE: Kind.THROTTLE,
}
"""Faults that stay until the run ends; a denial, for writes alone."""
INSIDE = frozenset({Kind.OPERATION_STUCK, Kind.OPERATION_LOST, Kind.OPERATION_FAILED})
PAGED = frozenset({Kind.PAGE_LOST, Kind.CURSOR_LOST, Kind.PAGE_REPEATED, Kind.CURSOR_REPEATED})
STALE = frozenset({Kind.STALE, Kind.STALER})
"""Answers from the past, which has to be kept for them."""
LIES = PAGED | STALE | {Kind.EMPTY}
"""Answers that look whole and are not true: no client can know that at once."""
_VENDOR = {kind.value for kind in (*INSIDE, *PAGED, Kind.ERROR_500, Kind.UNAVAILABLE, Kind.DENIED, Kind.EXPIRED, Kind.LOST, Kind.IDENTITY)}
_QUOTA: dict[str, Json] = {
    "aws": {"code": "RulesPerSecurityGroupLimitExceeded", "message": "The maximum number of rules per security group has been reached."},
    "gcp": {"status": 403, "code": "quotaExceeded", "message": "Quota 'FIREWALLS' exceeded."},
    "azure": {"status": 400, "code": "MaximumNumberOfSecurityRulesReached", "message": "Too many security rules."},
    "f5": {"status": 400, "message": "01070734:3: Configuration error: too many objects"},
}
_HTML = b"<html><body><h1>%s</h1></body></html>"
_TEXT = {"Content-Type": "text/html"}
LATE_AFTER = 2
"""A call that nobody answered takes effect when the second call after it arrives."""


@dataclass
class Call:
    """One call as it was numbered."""

    number: int
    sent: Sent
    path: str
    body: bytes
    kind: Kind | None = None
    op: int = 0
    """The journal's op that it was made for."""
    applied: bool = False
    refused: bool = False
    """The vendor surely said no."""
    several: bool = False
    """Its answer is one page of several."""


@dataclass
class Tap:
    """Stands before every server of one platform. Nothing is numbered or spoilt before it is armed."""

    name: str
    armed: bool = False
    plan: dict[int, Kind] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    number: int = 0
    lasting: Kind | None = None
    fired: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Breaches that only the wire shows."""
    inject: Callable[[list[Json]], None] = lambda _faults: None
    """Puts faults of the lab's own in place."""
    changed: Callable[[Call], bool] = lambda _call: False
    """Looks at the world after a call; true when it is another one than before."""
    root: Path = Path()
    """The repository whose journal is watched."""
    journal: sqlite3.Connection | None = None
    late: list[tuple[int, App, Request, Call]] = field(default_factory=list)
    pasts: list[_Past] = field(default_factory=list)
    apps: list[App] = field(default_factory=list)
    """The servers it stands before."""
    away: Callable[[int, Request], Answer] | None = None
    """Takes every call to the process that has the labs, where they are in another one."""
    remember: bool = False
    """Keep the world of before each write, for answers from the past."""
    before: Callable[[int], None] = lambda _number: None
    """Told of the number of every call before anything becomes of it."""

    def wrap(self, app: App) -> App:
        """Stand before one server."""
        self.apps.append(app)
        number = len(self.apps) - 1
        return lambda request: self.take(number, request)

    def take(self, number: int, request: Request) -> Answer:
        """Take one call to a server."""
        if self.away is not None:
            return self.away(number, request)
        return self._take(self.apps[number], request) if self.armed else self.apps[number](request)

    def end_run(self) -> None:
        """A run is over: what lasted is over too."""
        self.lasting = None
        self.inject([])

    def forget_pasts(self) -> None:
        """Let the processes go that keep worlds of the past."""
        for past in self.pasts:
            past.close()
        self.pasts.clear()

    # --- one call ----------------------------------------------------------------------------------------------------

    def _take(self, app: App, request: Request) -> Answer:
        self.number += 1
        self._arrive()
        self.before(self.number)
        asked = sent(self.name, request)
        call = Call(self.number, asked, request.path, request.body, self._kind(asked))
        self.calls.append(call)
        if asked.writes:
            self._journalled(call)
            if self.remember:
                for past in self.pasts[:-1]:
                    past.close()
                self.pasts = [*self.pasts[-1:], _Past(app)]
        if call.kind is not None:
            self.fired.append(call.number)
        return self._carried(app, request, call)

    def _kind(self, asked: Sent) -> Kind | None:
        found = self.plan.get(self.number)
        if found in LASTING:
            self.lasting = found
        if self.lasting is None or (self.lasting is Kind.DENIED_FROM_HERE and not asked.writes):
            return None if found in LASTING else found
        return LASTING[self.lasting]

    def _arrive(self) -> None:
        for one in [one for one in self.late if one[0] <= self.number]:
            self.late.remove(one)
            self._forward(one[1], one[2], one[3])

    def hurry(self) -> None:
        """Let what is late arrive now."""
        self.number += LATE_AFTER
        self._arrive()
        self.number -= LATE_AFTER

    def _forward(self, app: App, request: Request, call: Call) -> Answer:
        answer = app(request)
        armed, self.armed = self.armed, False
        try:
            if (call.sent.writes or "peration" in request.path) and self.changed(call):
                call.applied = True
        finally:
            self.armed = armed
        return answer

    def _carried(self, app: App, request: Request, call: Call) -> Answer:
        kind = call.kind
        match kind:
            case Kind.RESET_BEFORE:
                return Answer(0, b"", cut=Cut.RESET)
            case Kind.TIMEOUT_BEFORE:
                raise UnansweredError
            case Kind.LATE:
                self.late.append((self.number + LATE_AFTER, app, request, call))
                raise UnansweredError
            case Kind.BAD_GATEWAY:
                return Answer(502, _HTML % b"502 Bad Gateway", _TEXT)
            case Kind.LOGIN_PAGE:
                return Answer(200, _HTML % b"Please log in", _TEXT)
            case Kind.STALE | Kind.STALER:
                return self._past(kind, app, request)
            case _:
                return self._answered(kind, app, request, call)

    def _answered(self, kind: Kind | None, app: App, request: Request, call: Call) -> Answer:
        fault = self._fault(kind)
        if fault is not None:
            self.inject([fault])
        answer = self._forward(app, request, call)
        if fault is not None:
            self.inject([])
        call.refused = 400 <= answer.status < 500 and answer.status not in (408, 429)
        call.several = call.sent.listing and any(word in answer.body for word in (b"nextToken>", b"nextPageToken", b"nextLink"))
        match kind:
            case Kind.RESET_AFTER:
                return Answer(0, b"", cut=Cut.RESET)
            case Kind.TIMEOUT_AFTER:
                raise UnansweredError
            case Kind.BAD_GATEWAY_AFTER:
                return Answer(502, _HTML % b"502 Bad Gateway", _TEXT)
            case Kind.CUT_SHORT:
                return Answer(answer.status, answer.body, answer.headers, Cut.HALF)
            case Kind.GARBLED:
                return Answer(answer.status, answer.body[: len(answer.body) // 2], answer.headers)
            case Kind.EMPTY:
                return Answer(200, b"" if self.name == "aws" else b"{}", answer.headers)
            case Kind.UNKNOWN_FIELD:
                return Answer(answer.status, _with_unknown(answer.body), answer.headers)
            case _:
                return answer

    def _fault(self, kind: Kind | None) -> Json | None:
        if kind is None:
            return None
        if kind is Kind.THROTTLE:
            return {"operation": "*", "kind": "throttle", "retry_after": 2}
        if kind is Kind.QUOTA:
            return {"operation": "*", "kind": "refused", **_QUOTA[self.name]}
        return {"operation": "*", "kind": kind.value} if kind.value in _VENDOR else None

    def _past(self, kind: Kind, app: App, request: Request) -> Answer:
        if not self.pasts:
            return app(request)
        return self.pasts[0 if kind is Kind.STALER else -1].ask(request)

    # --- the journal -------------------------------------------------------------------------------------------------

    def _journalled(self, call: Call) -> None:
        """Every write on the wire stands in the journal as an intent that is durable by now, and is sent once."""
        rows: list[Any] = []
        with suppress(sqlite3.OperationalError):
            if self.journal is None:
                self.journal = sqlite3.connect(f"file:{self.root / '.cloudsync' / 'state.db'}?mode=ro", uri=True)
            rows = self.journal.execute("SELECT id FROM op WHERE state = 'intent' ORDER BY id").fetchall()
        if len(rows) != 1:
            self.wrong.append(f"call {call.number} {call.sent.operation} was sent with {len(rows)} open intents in the journal")
            return
        call.op = int(rows[0][0])
        for one in self.calls[:-1]:
            same = (one.op, one.sent.operation, one.path, one.body) == (call.op, call.sent.operation, call.path, call.body)
            if same and not one.refused and not _harmless(call.sent.operation):
                self.wrong.append(f"call {call.number} {call.sent.operation} {call.path} was sent twice for one op")


def _harmless(operation: str) -> bool:
    """Commands that may be given again at any time: save the configuration, bring the peer in step."""
    return operation in ("POST tm/sys/config", "POST tm/cm")


def _with_unknown(body: bytes) -> bytes:
    """Return an answer with what no version known to us has: a further field in every object, of a further word."""
    if body.startswith(b"<"):
        return body.replace(b"</item>", b"<labNovelty>novel-word</labNovelty></item>")
    return body.replace(b'{"', b'{"labNovelty": "NOVEL_WORD", "')


def _close_all_but(kept: int) -> None:
    os.closerange(3, kept)
    os.closerange(kept + 1, 4096)


class _Past:
    """The world as it was before a write, kept by a process of its own that answers reads from it."""

    def __init__(self, app: App) -> None:
        self._ours, theirs = Pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _close_all_but(theirs.fileno())  # locks and files of the product are not ours to hold
            try:
                while True:
                    asked = theirs.recv()
                    if os.fork() == 0:  # nothing that one life asks is left for the next
                        theirs.send(app(asked))
                        os._exit(0)
                    os.wait()
            finally:
                os._exit(0)
        theirs.close()
        self._owner = os.getpid()

    def ask(self, request: Request) -> Answer:
        """Let the past answer."""
        self._ours.send(request)
        answer = self._ours.recv()
        assert isinstance(answer, Answer)
        return answer

    def close(self) -> None:
        """Let it go."""
        self._ours.close()
        if os.getpid() == self._owner:  # a life that parted from another one only forgets it
            os.waitpid(self._pid, 0)
