"""A TLS server that is not the one that is wanted. It counts what clients send after the handshake: nothing may ever come."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from types import TracebackType
from typing import Self


class Stranger:
    """Listens on loopback in a thread of its own until it is closed."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.2)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="stranger", daemon=True)
        self.knocked = 0
        """Connections that were opened."""
        self.received = b""
        """What came over a connection that a client took for good."""

    @property
    def url(self) -> str:
        """Its address as an endpoint."""
        return f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join(5)
        self._listener.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                plain, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.knocked += 1
            plain.settimeout(2)
            with contextlib.suppress(OSError), plain, self._context.wrap_socket(plain, server_side=True) as connection:
                self.received += connection.recv(65536)
