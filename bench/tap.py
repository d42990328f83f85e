"""A door before a server on loopback: passes bytes both ways, and remembers when the first one came."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Tap:
    there: tuple[str, int]
    first: float | None = None
    """When the first byte came, on the clock of `time.perf_counter`; None: not yet."""
    first_cpu_s: float = 0.0
    """What the watched process had computed by then, on all its threads."""
    pid: int = 0
    connections: int = 0
    _server: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0), backlog=64))

    @property
    def port(self) -> int:
        return int(self._server.getsockname()[1])

    def forget(self) -> None:
        self.first, self.first_cpu_s, self.connections = None, 0.0, 0

    def watch(self, pid: int) -> None:
        """Measure this process."""
        self.pid = pid

    def serve(self) -> None:
        """Accept until the door is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self.connections += 1
                threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _pass(self, client: socket.socket) -> None:
        with client, socket.create_connection(self.there) as server:
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=self._back, args=(server, client), daemon=True)
            back.start()
            with suppress(OSError):
                while piece := client.recv(65536):
                    if self.first is None:
                        self.first = time.perf_counter()
                        self.first_cpu_s = cpu_s(self.pid)
                    server.sendall(piece)
                server.shutdown(socket.SHUT_WR)
            back.join()

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while piece := server.recv(65536):
                client.sendall(piece)
            client.shutdown(socket.SHUT_WR)


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of all threads of a process, in the kernel's nanoseconds; 0 where the kernel does not tell."""
    try:
        return sum(int(one.read_text(encoding="ascii").split()[0]) for one in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


@contextmanager
def tapped(host: str, port: int) -> Iterator[Tap]:
    """Open a door before a server, and close it at the end."""
    tap = Tap((host, port))
    threading.Thread(target=tap.serve, daemon=True).start()
    try:
        yield tap
    finally:
        tap.close()
