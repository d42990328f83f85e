"""Which lines of some files each test runs, by a trace function: small enough to read, and needed once per run."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol


class Trace(Protocol):
    """What Python calls for each event of a frame."""

    def __call__(self, frame: FrameType, event: str, argument: object) -> Trace | None:
        """Return who is to be told of the frame's further events."""


@contextmanager
def lines_run(files: frozenset[str]) -> Iterator[set[tuple[str, int]]]:
    """Collect (file, line) of everything that runs inside the block, in threads that it starts too."""
    seen: set[tuple[str, int]] = set()

    def inside(frame: FrameType, event: str, argument: object) -> Trace:
        del event, argument
        seen.add((frame.f_code.co_filename, frame.f_lineno))
        return inside

    def outside(frame: FrameType, event: str, argument: object) -> Trace | None:
        return inside(frame, event, argument) if frame.f_code.co_filename in files else None

    before = sys.gettrace()
    threading.settrace(outside)
    sys.settrace(outside)
    try:
        yield seen
    finally:
        sys.settrace(before)
        threading.settrace(None)
