"""Simulated vendors without sockets: what the SDKs send to an address of a lab is answered by that lab in this process.

Below every vendor's SDK stands urllib3, and http.client below that. Their connections are given an end that is no socket but a call of
the lab's own server function, so that everything above (signing, parsing, pools, the meaning of a broken answer) is the real thing and a
run takes a few hundredths of a second. TLS is left out here; tests that open sockets have it.
"""

from __future__ import annotations

import http.client
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3.connection

from cloudsync.lab.http import Answer, Cut, Request, Server

App = Callable[[Request], Answer]


class UnansweredError(Exception):
    """The vendor never answers: the client's patience ends."""


@dataclass
class Loop:
    """Who answers at which port of this machine."""

    apps: dict[int, App] = field(default_factory=dict)

    def serve(self, url: str, app: App) -> None:
        """Answer at the port of a URL."""
        port = urlsplit(url).port
        assert port is not None
        self.apps[port] = app


class _End:
    """The client's end of a connection to a lab: takes one request, gives one answer."""

    def __init__(self, app: App) -> None:
        self._app, self._sent = app, bytearray()

    def sendall(self, data: bytes) -> None:
        """Take a part of the request."""
        self._sent += data

    def makefile(self, _mode: str = "rb", *_more: object) -> io.BufferedReader:
        """Give the answer to read."""
        return io.BufferedReader(_Reading(self._app, bytes(self._sent)))

    def settimeout(self, _seconds: float | None) -> None:
        """Nothing here takes time."""

    def setsockopt(self, *_words: object) -> None:
        """There is no socket."""

    def shutdown(self, _how: int) -> None:
        """There is no socket."""

    def close(self) -> None:
        """There is no socket."""


class _Reading(io.RawIOBase):
    """The bytes of an answer, or the error that comes instead of them."""

    def __init__(self, app: App, sent: bytes) -> None:
        super().__init__()
        self._app, self._sent = app, sent
        self._bytes: io.BytesIO | None = None

    def readable(self) -> bool:
        """It is read from."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read on; the first time the lab is asked."""
        if self._bytes is None:
            method, request = _request(self._sent)
            try:
                answer = self._app(request)
            except UnansweredError:
                raise TimeoutError("timed out") from None
            if answer.cut is Cut.RESET:
                raise ConnectionResetError(104, "Connection reset by peer")
            self._bytes = io.BytesIO(_wire(answer, method))
        return self._bytes.readinto(buffer)


def _request(sent: bytes) -> tuple[str, Request]:
    head, _, body = sent.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    path, _, query = target.partition("?")
    return method, Request(method, path, query, headers, _unchunked(body) if "chunked" in headers.get("transfer-encoding", "") else body)


def _unchunked(body: bytes) -> bytes:
    parts, rest = [], body
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size.split(b";")[0] or b"0", 16)
        if not length:
            break
        parts.append(rest[:length])
        rest = rest[length + 2 :]
    return b"".join(parts)


def _wire(answer: Answer, method: str) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {http.client.responses.get(answer.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    lines += [f"Content-Length: {len(answer.body)}", "Connection: close", "", ""]
    body = b"" if method == "HEAD" else answer.body
    return "\r\n".join(lines).encode("latin-1") + (body[: len(body) // 2] if answer.cut is Cut.HALF else body)


@contextmanager
def looped(loop: Loop) -> Iterator[None]:
    """Let HTTP clients of this process reach the labs of `loop` without sockets for the length of a `with`; others are reached as ever."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in (http.client.HTTPConnection, http.client.HTTPSConnection, urllib3.connection.HTTPConnection):
            patch.setattr(kind, "connect", _joining(loop, kind.connect))
        patch.setattr(urllib3.connection.HTTPSConnection, "connect", _joining(loop, urllib3.connection.HTTPSConnection.connect))
        yield


def _joining(loop: Loop, ordinary: Callable[[Any], None]) -> Callable[[Any], None]:
    def connect(self: Any) -> None:
        app = loop.apps.get(self.port or 0) if self.host == "127.0.0.1" else None
        if app is None:
            ordinary(self)
        else:
            self.sock, self.is_verified = _End(app), True

    return connect


@contextmanager
def unserved() -> Iterator[None]:
    """Let labs that start or stop in this `with` have their ports without answering there: a process with threads is not safely forked."""
    with pytest.MonkeyPatch.context() as patch:
        for verb in ("start", "shutdown"):
            patch.setattr(Server, verb, lambda _self: None)
        yield
