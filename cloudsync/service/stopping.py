"""SIGTERM and SIGINT become a question that a run asks before every write; who does not get there in time is interrupted, then ended."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

GRACE_S = 6.0
"""So long a call under way may take to end by itself after the signal."""
LAST_S = 3.0
"""So long the interrupted run may take to write down what it knows. Together they stay under the 10 s that are promised."""
CUT = 5
"""Exit code of a process that had to be cut: the next run settles what was under way."""


class Stop:
    """Whether somebody asked. Signals only set it, so that it may be asked anywhere."""

    def __init__(self) -> None:
        self.asked = False
        self.cut = False
        self.reload = False
        """SIGHUP: read the config repository again. Taken back by whoever has done so."""

    def __call__(self) -> bool:
        """Tell whether to stop."""
        return self.asked

    def ask(self) -> None:
        """Ask for the end; from now on the time runs."""
        if not self.asked:
            self.asked = True
            signal.setitimer(signal.ITIMER_REAL, GRACE_S)

    def late(self) -> None:
        """The time is up: interrupt what is under way, and the next time end the process; the journal knows what was sent."""
        if self.cut:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os._exit(CUT)
        self.cut = True
        signal.setitimer(signal.ITIMER_REAL, LAST_S)
        raise KeyboardInterrupt


@contextmanager
def asked_to_stop(*, reload: bool = False) -> Iterator[Stop]:
    """Take SIGTERM and SIGINT as the wish to stop, while the block runs; with `reload` SIGHUP as the wish to read again.

    In the main thread alone; elsewhere nobody ever asks.
    """
    stop = Stop()

    def asked(_number: int, _frame: FrameType | None) -> None:
        stop.ask()

    def late(_number: int, _frame: FrameType | None) -> None:
        stop.late()

    def again(_number: int, _frame: FrameType | None) -> None:
        stop.reload = True

    handlers = {signal.SIGTERM: asked, signal.SIGINT: asked, signal.SIGALRM: late}
    if reload:
        handlers[signal.SIGHUP] = again
    before: dict[signal.Signals, Any] = {}
    try:
        for number, handler in handlers.items():
            before[number] = signal.signal(number, handler)
    except ValueError:  # not the main thread
        yield stop
        return
    try:
        yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
