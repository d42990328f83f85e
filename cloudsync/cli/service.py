"""Verbs that nobody watches: reconcile (one run, for cron and timers) and run (the daemon)."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cloudsync.cli.output import Output

if TYPE_CHECKING:
    from cloudsync.app.reconcile import Deliver


def options(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add a verb's options."""
    del verb
    parser.add_argument("--target", action="append", default=[], metavar="NAME", help="only this target (may be repeated)")
    parser.add_argument(
        "--log", choices=("json", "text"), help="form of the log on standard error; json, on a terminal text; --quiet: warnings only"
    )


def run(chosen: argparse.Namespace, output: Output) -> int:
    """Run one of the verbs."""
    return _reconcile(Path(chosen.repository), chosen, output)


def _reconcile(root: Path, chosen: argparse.Namespace, output: Output) -> int:
    from cloudsync import logs
    from cloudsync.app.reconcile import reconcile
    from cloudsync.app.session import Start
    from cloudsync.cli.show import show
    from cloudsync.service.stopping import asked_to_stop

    form = logs.Form(chosen.log or ("text" if sys.stderr.isatty() else "json"))
    level = logging.WARNING if output.quiet else logging.INFO
    with logs.written(sys.stderr, form, level=level), asked_to_stop() as stop:
        ran = reconcile(root, chosen.target, Start("reconcile", stop=stop), _delivery())
    if output.json:
        show(ran.report, output, ran.story)
    return ran.code


def _delivery() -> Deliver:
    from cloudsync.app.deliver import tell_people

    return tell_people
