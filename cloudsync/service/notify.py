"""What a service manager is told, by a datagram to the socket it names (sd_notify(3)); nothing where there is none."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


class Notify:
    """READY, RELOADING, STOPPING, STATUS and WATCHDOG."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        found = os.environ if environment is None else environment
        path = found.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        pid = found.get("WATCHDOG_PID", "")
        mine = not pid or pid == str(os.getpid())
        micros = found.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(micros) / 1e6 if mine and micros.isdecimal() and path else 0.0
        """Within so many seconds a sign of life is wanted; 0: none is."""

    def __call__(self, *words: str) -> None:
        """Send `NAME=value` lines. A manager that does not listen is no reason to stop."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as one:
            one.sendto("\n".join(words).encode(), self._address)
