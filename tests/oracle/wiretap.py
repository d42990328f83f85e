"""A proxy between the product and the lab: it counts calls, cuts them, and looks at the world after each one.

The product speaks to the tap as if it were the cloud; the tap forwards. A mutating call goes through alone, one at a time, so that the
worlds seen after each of them are all the worlds there were.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

READS = ("Describe", "Get", "List")
HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection", "content-length", "host"}


@dataclass(frozen=True)
class Cut:
    """Spoil the n-th mutating call (counted from 1). Kinds: see `KINDS`."""

    number: int
    kind: str


KINDS = ("reset_before", "reset_after", "error_500", "garbage_after", "throttle", "denied")
APPLIED = frozenset({"reset_after", "garbage_after"})


@dataclass
class Call:
    """One call as it went over the wire."""

    action: str
    form: dict[str, str]
    status: int
    region: str = ""

    @property
    def mutating(self) -> bool:
        return is_mutating(self.action)


def is_mutating(action: str) -> bool:
    """Tell whether an action changes anything, by its name as EC2 names actions."""
    return bool(action) and not action.startswith(READS) and action != "AssumeRole"


@dataclass
class Tap:
    """The running proxy. `seen` is called after every mutating call, before its answer goes back."""

    upstream: str
    endpoint: str = ""
    calls: list[Call] = field(default_factory=list)
    cut: Cut | None = None
    cuts: list[Cut] = field(default_factory=list)
    spoil_reads: Callable[[str, int], str | None] | None = None
    """Asked with (action, n-th call of that action); returns a kind of fault for a read, or None."""
    seen: Callable[[Call], None] | None = None
    before_write: Callable[[str, int], None] | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)
    writes: int = 0
    fired: list[Cut] = field(default_factory=list)
    per_action: Counter[str] = field(default_factory=Counter)

    def reset(self) -> None:
        """Forget everything counted, and every fault."""
        with self.lock:
            self.calls.clear()
            self.per_action.clear()
            self.fired.clear()
            self.cut, self.writes, self.seen, self.spoil_reads, self.before_write = None, 0, None, None, None
            self.cuts = []

    def mutating(self) -> list[Call]:
        """Return every call that could change something, cut ones included."""
        return [call for call in self.calls if call.mutating]

    def counts(self) -> dict[str, int]:
        """Return calls per action."""
        return dict(sorted(Counter(call.action for call in self.calls).items()))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def finish(self) -> None:
        """The client is gone: so is our way upstream."""
        super().finish()
        self.server.disconnect()

    def do_GET(self) -> None:
        self._pass("GET")

    def do_POST(self) -> None:
        self._pass("POST")

    def _pass(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        form = {key: values[0] for key, values in parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True).items()}
        action = form.get("Action", "")
        tap = self.server.tap
        if is_mutating(action):
            with tap.lock:
                tap.writes += 1
                number = tap.writes
                if tap.before_write is not None:
                    tap.before_write(action, number)
                cuts = [*tap.cuts, *([tap.cut] if tap.cut else [])]
                cut = next((one for one in cuts if one.number == number), None)
                if cut is not None:
                    tap.fired.append(cut)
                self._write(method, body, form, cut)
            return
        with tap.lock:
            tap.per_action[action] += 1
            kind = tap.spoil_reads(action, tap.per_action[action]) if tap.spoil_reads is not None else None
        if kind is not None:
            tap.calls.append(Call(action, form, 0))
            self._fault(kind)
            return
        status, headers, answer = self._forward(method, body)
        tap.calls.append(Call(action, form, status, self._region()))
        self._answer(status, headers, answer)

    def _write(self, method: str, body: bytes, form: dict[str, str], cut: Cut | None) -> None:
        tap, action = self.server.tap, form["Action"]
        if cut is not None and cut.kind not in APPLIED:
            tap.calls.append(Call(action, form, 0, self._region()))
            self._fault(cut.kind)
            return
        status, headers, answer = self._forward(method, body)
        call = Call(action, form, status, self._region())
        tap.calls.append(call)
        if tap.seen is not None:
            tap.seen(call)
        if cut is None:
            self._answer(status, headers, answer)
        else:
            self._fault(cut.kind)

    def _region(self) -> str:
        credential = self.headers.get("Authorization", "").partition("Credential=")[2]
        parts = credential.split("/")
        return parts[2] if len(parts) > 3 else ""

    def _fault(self, kind: str) -> None:
        match kind:
            case "reset_before" | "reset_after":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
                self.close_connection = True
                self.connection.close()
            case "error_500":
                self._answer(500, {"Content-Type": "text/xml"}, _error("InternalError", "An internal error has occurred"))
            case "throttle":
                self._answer(503, {"Content-Type": "text/xml"}, _error("RequestLimitExceeded", "Request limit exceeded."))
            case "denied":
                self._answer(
                    403, {"Content-Type": "text/xml"}, _error("UnauthorizedOperation", "You are not authorized to perform this operation.")
                )
            case "expired":
                self._answer(400, {"Content-Type": "text/xml"}, _error("RequestExpired", "Request has expired."))
            case "garbage_after":
                self._answer(200, {"Content-Type": "text/html"}, b"<html><body>gateway")
            case _:
                raise ValueError(kind)

    def _forward(self, method: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        upstream = urlsplit(self.server.tap.upstream)
        connection = self.server.connection(upstream.hostname or "127.0.0.1", upstream.port or 80)
        headers = {key: value for key, value in self.headers.items() if key.lower() not in HOP}
        try:
            connection.request(method, self.path, body=body, headers={**headers, "Content-Length": str(len(body))})
            answer = connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        return answer.status, dict(answer.getheaders()), data

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in headers.items():
            if key.lower() not in HOP and key.lower() not in ("server", "date"):
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _error(code: str, message: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error>'
        f"<Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>tap</RequestID></Response>"
    ).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, tap: Tap) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tap = tap
        self._local = threading.local()

    def connection(self, host: str, port: int) -> http.client.HTTPConnection:
        """Return this thread's own connection upstream."""
        found: http.client.HTTPConnection | None = getattr(self._local, "upstream", None)
        if found is None:
            found = self._local.upstream = http.client.HTTPConnection(host, port, timeout=120)
        return found

    def disconnect(self) -> None:
        """Close this thread's connection upstream."""
        found: http.client.HTTPConnection | None = getattr(self._local, "upstream", None)
        if found is not None:
            found.close()
            self._local.upstream = None

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is the client's affair."""


@contextmanager
def tapping(upstream: str) -> Iterator[Tap]:
    """Run a tap in front of `upstream` for the length of a `with`."""
    tap = Tap(upstream)
    server = _Server(tap)
    tap.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield tap
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
