"""One of several machines that share the work."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from cloudsync.cli.exits import Exit
from cloudsync.cli.output import Output

log = logging.getLogger("cloudsync.worker")

GRACE_S = 9.5
"""So long a run may take to come to a boundary after SIGTERM; the journal knows what was under way."""


def options(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    del verb
    parser.add_argument("--target", action="append", default=[], metavar="NAME", help="put only this target into the queue (repeatable)")
    parser.add_argument(
        "--log", choices=("json", "text"), help="form of the log on standard error; json, on a terminal text; --quiet: warnings only"
    )


def run(chosen: argparse.Namespace, output: Output) -> int:
    """Work until asked to stop."""
    from cloudsync import __version__, logs
    from cloudsync.app.deliver import tell_people
    from cloudsync.app.fleet import fleet
    from cloudsync.clock import SystemClock, check_clock
    from cloudsync.fleet.worker import Worker
    from cloudsync.pacing import share
    from cloudsync.store.buckets import SharedLevels

    clock = SystemClock()
    check_clock(clock.now())
    form = logs.Form(chosen.log or ("text" if sys.stderr.isatty() else "json"))
    with logs.written(sys.stderr, form, level=logging.WARNING if output.quiet else logging.INFO), _asked() as stop:
        work, place = fleet(Path(chosen.repository), chosen.target, clock, tell_people, stop.is_set)
        share(SharedLevels(place))  # a quota belongs to an account, not to a process
        worker = Worker(place, work, stop.is_set)
        log.info("worker.start", extra={"version": __version__, "targets": len(work.settings.targets), "policy": work.version.words})
        why = worker.serve()
        log.info("worker.stop", extra={"why": why or "asked to"})
    return Exit.REFUSED if why else Exit.OK


@contextmanager
def _asked() -> Iterator[threading.Event]:
    """Take SIGTERM and SIGINT as the wish to stop; who has not come to an end by then is ended."""
    stop = threading.Event()

    def asked(_number: int, _frame: FrameType | None) -> None:
        if not stop.is_set():
            stop.set()
            signal.setitimer(signal.ITIMER_REAL, GRACE_S)

    def late(_number: int, _frame: FrameType | None) -> None:
        os._exit(int(Exit.FAILED))

    handlers = {signal.SIGTERM: asked, signal.SIGINT: asked, signal.SIGALRM: late}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
