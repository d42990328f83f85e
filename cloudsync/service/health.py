"""/healthz, /readyz and /metrics over HTTP, on a port of this machine or a unix socket. Reading only, nothing secret, no request bodies."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from cloudsync.model.endpoint import is_loopback
from cloudsync.model.errors import SettingsError
from cloudsync.model.finding import Finding, Where
from cloudsync.model.inert import inert
from cloudsync.service.vitals import Vitals
from cloudsync.settings.values import FILE, Listen

PATIENCE_S = 5.0
"""Whoever does not finish a request within this is let go."""
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    vitals: Vitals

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever goes away in the middle is no news."""

    def server_bind(self) -> None:
        """Bind without asking a name server for our own name."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", 0


class _Socket(_Server):
    address_family = socket.AF_UNIX

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(("", 0), _Handler)

    def server_bind(self) -> None:
        """Bind to the path."""
        self.socket.bind(self.path)
        self.server_name, self.server_port = "localhost", 0


class _Six(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    timeout = PATIENCE_S
    server: _Server

    def do_GET(self) -> None:
        """Answer."""
        # A name that leads a browser here from elsewhere (DNS rebinding) is not one of ours.
        host = self.headers.get("Host", "localhost")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if self.server.address_family != socket.AF_UNIX and not is_loopback(name.lower()):
            self._say(403, "this is for this machine")
            return
        vitals = self.server.vitals
        match self.path.partition("?")[0]:
            case "/healthz":
                self._say(200 if vitals.alive else 503, "ok" if vitals.alive else "the loop hangs")
            case "/readyz":
                wrong = vitals.complaints
                self._say(503 if wrong else 200, "\n".join(wrong) or "ok")
            case "/metrics":
                self._send(200, vitals.figures.text(), _METRICS)
            case _:
                self._say(404, "there are /healthz, /readyz and /metrics")

    def do_HEAD(self) -> None:
        """Answer without the content."""
        self.do_GET()

    def _say(self, code: int, text: str) -> None:
        lines = "".join(inert(line) + "\n" for line in text.split("\n"))  # asked with curl, on a terminal
        self._send(code, lines.encode("utf-8", "backslashreplace"), "text/plain; charset=utf-8")

    def _send(self, code: int, content: bytes, kind: str) -> None:
        self.send_response_only(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Questions about health are no news."""


@contextmanager
def answering(listen: Listen, vitals: Vitals, where: Where | None = None) -> Iterator[str]:
    """Answer while the block runs; yields the address. Raises SettingsError where nothing can listen."""
    if not listen.host and not listen.socket:
        yield ""
        return
    try:
        server = _opened(listen)
    except OSError as error:
        place = listen.socket or f"{listen.host}:{listen.port}"
        hint = "another process may listen there; choose another place, or none: service: {listen: ...}"
        raise SettingsError([Finding(where or Where(FILE), "CANNOT-LISTEN", f"{place}: {error.strerror or error}", hint)]) from error
    server.vitals = vitals
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, name="health", daemon=True)
    thread.start()
    try:
        yield f"unix:{listen.socket}" if listen.socket else f"{listen.host}:{server.server_address[1]!s}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE_S)
        if listen.socket:
            with suppress(OSError):
                Path(listen.socket).unlink()


def _opened(listen: Listen) -> _Server:
    if not listen.socket:
        kind = _Six if ":" in listen.host else _Server
        return kind((listen.host, listen.port), _Handler)
    _take_away(Path(listen.socket))
    before = os.umask(0o117)
    try:
        return _Socket(listen.socket)
    finally:
        os.umask(before)


def _take_away(path: Path) -> None:
    """Remove the socket that a killed daemon left; one that answers is somebody's."""
    if not path.exists() or not stat.S_ISSOCK(path.lstat().st_mode):
        return
    with socket.socket(socket.AF_UNIX) as one:
        try:
            one.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
