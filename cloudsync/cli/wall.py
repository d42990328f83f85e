"""The outer wall of every verb: what goes wrong becomes a clear message and the right exit code, never a traceback on the terminal."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cloudsync.cli.exits import Exit
from cloudsync.cli.output import Output
from cloudsync.model.errors import AdapterError, BusyError, InputError, RefusedError

Verb = Callable[[argparse.Namespace, Output], int]


def run(verb: Verb, chosen: argparse.Namespace) -> int:
    """Run a verb inside the wall."""
    output = Output(json=chosen.json, quiet=chosen.quiet, repository=chosen.repository)
    try:
        with _ended_politely():
            return int(verb(chosen, output))
    except InputError as error:
        output.findings(error.findings)
        return Exit.INVALID
    except BusyError as error:
        output.error(str(error), code=error.code, hint=error.hint)
        return Exit.BUSY
    except RefusedError as error:
        output.error(str(error), code=error.code, hint=error.hint)
        return Exit.REFUSED
    except AdapterError as error:
        output.error(str(error), code="PLATFORM")
        return Exit.FAILED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except KeyboardInterrupt:
        output.error("interrupted; what was in flight is read back by the next run", code="INTERRUPTED")
        return Exit.FAILED
    except Exception as error:  # noqa: BLE001 - the one outer wall: a bug gets a file, not a screen full of frames
        output.bug(error)
        return Exit.BUG


@contextmanager
def _ended_politely() -> Iterator[None]:
    """Take a SIGTERM (systemd, a shutdown, a job's timeout) as an interrupt: the call in flight is journalled, the locks are given back."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread: signals are somebody else's business
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
