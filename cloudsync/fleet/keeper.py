"""Keeps the lease of a run alive while the run reads and computes; a run that stands still as a whole stands still here, too."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Kept(Protocol):
    """A lease that lives for so many seconds after it was last looked at."""

    @property
    def life_s(self) -> float:
        """How long."""

    def lost(self) -> str:
        """Return why it is lost; renews it while it is ours."""


@contextmanager
def kept(lease: Kept) -> Iterator[None]:
    """Renew a lease until the block ends. Whether it is lost is asked by whoever writes, before each write."""
    over = threading.Event()

    def keep() -> None:
        while not over.wait(lease.life_s / 6):
            if lease.lost():
                return

    thread = threading.Thread(target=keep, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
