"""Verbs that nobody watches: reconcile (one run, for cron and timers) and run (the daemon)."""

from __future__ import annotations

import argparse
import logging
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from cloudsync.cli.exits import Exit
from cloudsync.cli.output import COMMAND_LINE, Output

if TYPE_CHECKING:
    from cloudsync.app.reconcile import Deliver

log = logging.getLogger("cloudsync.service")


def options(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add a verb's options."""
    del verb
    parser.add_argument("--target", action="append", default=[], metavar="NAME", help="only this target (may be repeated)")
    parser.add_argument(
        "--log", choices=("json", "text"), help="form of the log on standard error; json, on a terminal text; --quiet: warnings only"
    )


def run(chosen: argparse.Namespace, output: Output) -> int:
    """Run one of the verbs."""
    root = Path(chosen.repository)
    return _reconcile(root, chosen, output) if chosen.verb == "reconcile" else _daemon(root, chosen, output)


def _reconcile(root: Path, chosen: argparse.Namespace, output: Output) -> int:
    from cloudsync.app.reconcile import reconcile
    from cloudsync.app.session import Start
    from cloudsync.cli.show import show
    from cloudsync.service.stopping import asked_to_stop

    with _logged(chosen, output), asked_to_stop() as stop:
        try:
            ran = reconcile(root, chosen.target, Start("reconcile", stop=stop), _delivery())
        except KeyboardInterrupt:
            return _cut()
    if output.json:
        show(ran.report, output, ran.story)
    return ran.code


def _daemon(root: Path, chosen: argparse.Namespace, output: Output) -> int:
    import random

    _installed()
    from cloudsync import __version__
    from cloudsync.app.daemon import People, worker
    from cloudsync.app.deliver import shout, tell_people
    from cloudsync.clock import SystemClock, check_clock
    from cloudsync.service.health import answering
    from cloudsync.service.loop import Daemon
    from cloudsync.service.notify import Notify
    from cloudsync.service.stopping import asked_to_stop
    from cloudsync.service.vitals import Vitals

    clock = SystemClock()
    check_clock(clock.now())
    with _logged(chosen, output), asked_to_stop(reload=True) as stop:
        work = worker(root, chosen.target, clock, People(tell_people, shout))
        vitals = Vitals(clock)
        daemon = Daemon(work, clock, stop, vitals, Notify(), random.uniform)
        work.stop, work.progress = daemon.asked, lambda _what, _done, _of: daemon.pulse()
        settings = work.settings
        with answering(settings.listen, vitals, settings.where) as address:
            targets = [one.name for one in settings.targets]
            log.info("service.start", extra={"version": __version__, "targets": targets, "listen": address})
            try:
                daemon.serve()
            except KeyboardInterrupt:
                return _cut()
        log.info("service.stop")
    return Exit.OK


def _installed() -> None:
    """Raise SettingsError where the daemon's libraries are no part of this installation."""
    from importlib.util import find_spec

    from cloudsync.model.errors import SettingsError
    from cloudsync.model.finding import Finding

    missing = [name for name in ("prometheus_client", "apscheduler") if find_spec(name) is None]
    if missing:
        hint = "install cloudsync[service]; `cloudsync reconcile` from a timer needs neither"
        raise SettingsError([Finding(COMMAND_LINE, "NOT-INSTALLED", f"the daemon needs {' and '.join(missing)}", hint)])


def _cut() -> Exit:
    """What was asked to stop did not come to a boundary in time."""
    log.error("run.cut", extra={"why": "a call was under way for too long after the signal; the next run reads back what came of it"})
    return Exit.FAILED


def _logged(chosen: argparse.Namespace, output: Output) -> AbstractContextManager[None]:
    from cloudsync import logs

    form = logs.Form(chosen.log or ("text" if sys.stderr.isatty() else "json"))
    return logs.written(sys.stderr, form, level=logging.WARNING if output.quiet else logging.INFO)


def _delivery() -> Deliver:
    from cloudsync.app.deliver import tell_people

    return tell_people
