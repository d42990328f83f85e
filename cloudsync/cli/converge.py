"""Verbs that look at platforms: plan, apply, drift."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cloudsync.cli.exits import Exit
from cloudsync.cli.output import Output
from cloudsync.cli.progress import Bars
from cloudsync.cli.show import show
from cloudsync.cli.telling import tell_people

if TYPE_CHECKING:
    from cloudsync.report.ages import Ages
    from cloudsync.report.values import TargetReport


def options(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add a verb's options."""
    parser.add_argument("--target", action="append", default=[], metavar="NAME", help="only this target (may be repeated)")
    if verb == "drift":
        parser.add_argument("--watched", action="store_true", help="list what mode full would change at workloads in mode visibility")
    if verb == "plan":
        parser.add_argument("-o", dest="file", type=Path, metavar="FILE", help="save the plan for `cloudsync apply FILE`")
    if verb == "apply":
        parser.add_argument("plan", nargs="?", type=Path, metavar="PLAN", help="a saved plan: applied only if all is still as it was")
        parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def run(chosen: argparse.Namespace, output: Output) -> int:
    """Run one of the verbs."""
    root = Path(chosen.repository)
    with Bars(output) as bars:
        match chosen.verb:
            case "plan":
                return _plan(root, chosen, output, bars)
            case "drift":
                return _drift(root, chosen, output, bars)
            case _:
                return _apply(root, chosen, output, bars)


def _plan(root: Path, chosen: argparse.Namespace, output: Output, bars: Bars) -> int:
    from cloudsync.app import session
    from cloudsync.app.grades import graded, planned
    from cloudsync.app.story import idle, tell
    from cloudsync.app.whole import check_writable

    if chosen.file is not None:
        check_writable(chosen.file)
    with session.start(root, chosen.target, verb="plan", progress=bars) as run:
        found = run.plan("plan")
        if chosen.file is not None:
            found.save(chosen.file)
        story = tell(run, found, record=False)
        warnings = (*found.report.warnings, *idle(run.loaded, story))
    bars.stop()
    code, report = graded(replace(found.report, warnings=warnings), planned)
    show(report, output, story)
    if chosen.file is not None:
        output.line(f"Apply exactly this with: {output.command('apply', str(chosen.file))}")
    return code


def _drift(root: Path, chosen: argparse.Namespace, output: Output, bars: Bars) -> int:
    from cloudsync.app import session
    from cloudsync.app.grades import graded
    from cloudsync.app.story import idle, tell
    from cloudsync.report.ages import Ages

    with session.start(root, chosen.target, verb="drift", progress=bars) as run:
        found = run.plan("drift")
        story = tell(run, found)
        warnings = (*found.report.warnings, *idle(run.loaded, story))
        ages = Ages(story)
        code, report = graded(replace(found.report, warnings=warnings, watched=chosen.watched), lambda target: drifted(target, ages))
        run.looked(code, report)
    bars.stop()
    show(report, output, story)
    tell_people(root, run.loaded, story, output)
    return code


def _apply(root: Path, chosen: argparse.Namespace, output: Output, bars: Bars) -> int:
    from cloudsync.app import session
    from cloudsync.app.grades import converged, graded
    from cloudsync.app.story import tell

    saved = session.read_saved(chosen.plan) if chosen.plan is not None else None
    with session.start(root, chosen.target, verb="apply", writer=True, progress=bars) as run:
        run.recover()
        found = run.plan("apply")
        if saved is not None:
            session.check_saved(found, saved, chosen.plan)
        ready = [one for one in found.report.targets if one.plan is not None and not one.plan.empty and not one.refusals]
        if ready and not chosen.yes:
            bars.stop()
            if not output.json:  # there is nobody to ask then, and one document is printed, not two
                show(replace(found.report, verb="plan"), output)
            if not agreed(output, sum(len(one.plan.steps) for one in ready if one.plan is not None)):
                output.line("nothing was written")
                run.finish(Exit.OK, found.report)
                return Exit.OK
        code, report = graded(run.apply(found), converged)
        run.finish(code, report)
        story = tell(run, found, report)
    bars.stop()
    show(report, output, story)
    tell_people(root, run.loaded, story, output)
    return code


def agreed(output: Output, writes: int) -> bool:
    """Ask a person; without a terminal there is nobody to ask, and nothing is written."""
    if output.json or not sys.stdin.isatty():
        from cloudsync.model.errors import RefusedError

        raise RefusedError(
            "G-APPROVAL", f"{writes} writes are planned and there is no terminal to ask at", "look at the plan, then use --yes"
        )
    try:
        answer = input(f"Send these {writes} writes? Only 'yes' does: ")
    except EOFError:
        return False
    return answer.strip().lower() == "yes"


def drifted(target: TargetReport, ages: Ages) -> Exit:
    """Grade a target of a run that only looks."""
    from cloudsync.app.grades import unread
    from cloudsync.report.text import own_rules_differ

    if target.bug:
        return Exit.BUG
    if target.refused:
        return Exit.REFUSED
    if target.error or unread(target):
        return Exit.FAILED
    if any(not one.quiet for one in ages.of(target.name, target.drift)) or own_rules_differ(target):
        return Exit.CHANGES
    return Exit.OK
