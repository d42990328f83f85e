"""Verbs that take back: rollback (the policy of an earlier commit), release (enforcement points as they were before us).

Each is one guarded run like `apply`; what it changed stays so, because it puts the targets on hold.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cloudsync.cli.exits import Exit
from cloudsync.cli.output import COMMAND_LINE, Output
from cloudsync.cli.progress import Bars
from cloudsync.model.quick import dataclass

if TYPE_CHECKING:
    from cloudsync.app.release import Chooser
    from cloudsync.app.session import Found, Start
    from cloudsync.store.records import Hold


def options(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add a verb's options."""
    if verb == "rollback":
        parser.add_argument(
            "version", metavar="COMMIT|RUN", help="a commit of the config repository, or a run by the first letters of its id"
        )
        parser.add_argument("--target", action="append", default=[], metavar="NAME", help="only this target (may be repeated)")
    else:
        parser.add_argument("point", nargs="*", metavar="POINT", help="a workload by name or native id, or one of its enforcement points")
        parser.add_argument("--target", action="append", default=[], metavar="NAME", help="everything in this target (may be repeated)")
        parser.add_argument(
            "--label", action="append", default=[], metavar="KEY=VALUE", help="with --target: only workloads with this label"
        )
        parser.add_argument(
            "--hold",
            action="store_true",
            help="also what the policy still enforces; its targets are put on hold, so that it stays given back",
        )
    parser.add_argument("--because", default="", metavar="TEXT", help="why; it stands in the hold and in the audit trail")
    parser.add_argument("--by", default="", metavar="NAME", help="who (default: your login name)")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def run(chosen: argparse.Namespace, output: Output) -> int:
    """Run one of the verbs."""
    root = Path(chosen.repository)
    with Bars(output) as bars:
        return _rollback(root, chosen, output, bars) if chosen.verb == "rollback" else _release(root, chosen, output, bars)


@dataclass(frozen=True, slots=True)
class Way:
    """How a run takes back. `because`: of the holds that it puts, none where it is empty; `undo`: what ends that for good."""

    verb: str
    targets: tuple[str, ...]
    who: str
    because: str
    undo: str


@dataclass(frozen=True, slots=True)
class Asked:
    """How a person is asked: not at all with `yes`."""

    yes: bool
    output: Output
    bars: Bars


def _rollback(root: Path, chosen: argparse.Namespace, output: Output, bars: Bars) -> int:
    from cloudsync.app.rollback import find
    from cloudsync.app.session import Start
    from cloudsync.cli.approve import who

    earlier = find(root, chosen.version)
    output.note(f"back to {earlier.words}")
    why = " ".join(chosen.because.split())
    because = f"rollback to {earlier.words}" + (f": {why}" if why else "")
    undo = "revert the newer commits in the config repository first: the hold keeps them from coming back"
    way = Way("rollback", tuple(chosen.target), who(chosen.by), because if earlier.newer else "", undo)
    how = Start("rollback", writer=True, loaded=earlier.loaded, through=True)
    return _carried_out(root, way, how, Asked(chosen.yes, output, bars))


def _release(root: Path, chosen: argparse.Namespace, output: Output, bars: Bars) -> int:
    from cloudsync.app.release import Chooser, Wish, labels_of
    from cloudsync.app.repository import load
    from cloudsync.app.session import Start
    from cloudsync.cli.approve import who

    _check(chosen)
    loaded = load(root)
    loaded.targets(chosen.target)  # an unknown one is a finding before anything is contacted
    wish = Wish(tuple(chosen.point), tuple(chosen.target), labels_of(chosen.label, loaded.policy))
    chooser = Chooser(wish, loaded.policy, chosen.hold)
    why = " ".join(chosen.because.split())
    because = f"release of {wish.words}" + (f": {why}" if why else "") if chosen.hold else ""
    undo = "put them in mode visibility or idle in the policy first: otherwise the next run takes them again"
    way = Way("release", tuple(chosen.target), who(chosen.by), because, undo)
    how = Start("release", writer=True, loaded=loaded, release=chooser, through=True)
    return _carried_out(root, way, how, Asked(chosen.yes, output, bars), chooser)


def _check(chosen: argparse.Namespace) -> None:
    """Refuse what cannot be meant. Raises InputError."""
    from cloudsync.model.errors import InputError
    from cloudsync.model.finding import Finding

    if not chosen.point and not chosen.target:
        hint = "--label chooses in a whole target: add --target NAME" if chosen.label else "--target NAME is everything in it"
        raise InputError([Finding(COMMAND_LINE, "WHICH-POINT", "say what: POINT, or --target NAME", hint)])
    if chosen.point and chosen.label:
        hint = "give --target NAME --label KEY=VALUE, or names"
        raise InputError([Finding(COMMAND_LINE, "WHICH-POINT", "--label chooses in a whole target, POINT is one workload", hint)])


def _carried_out(root: Path, way: Way, how: Start, asked: Asked, chooser: Chooser | None = None) -> int:
    """Plan, show, ask, hold, apply, tell."""
    from cloudsync.app import holding, session
    from cloudsync.app.grades import converged, graded
    from cloudsync.app.story import tell
    from cloudsync.cli.show import show
    from cloudsync.cli.telling import tell_people

    output, bars = asked.output, asked.bars
    with session.begin(root, way.targets, replace(how, progress=bars)) as work:
        work.recover()
        found = work.plan(way.verb, chooser.targets if chooser is not None else None)
        if chooser is not None:
            found = found.only(chooser.targets())
        if not asked.yes and not _agreed(found, output, bars):
            output.line("nothing was written")
            work.finish(Exit.OK, found.report)
            return Exit.OK
        held = holding.put(work, found, way.who, way.because) if way.because else None
        done = work.apply(found)
        holds = holding.settle(work, held, done) if held is not None else ()
        code, report = graded(done, converged)
        work.finish(code, report)
        story = tell(work, found, report)
    bars.stop()
    show(report, output, story, holds)
    _tell_holds(way, holds, output)
    tell_people(root, work.loaded, story, output)
    return code


def _agreed(found: Found, output: Output, bars: Bars) -> bool:
    """Show the plan and ask; without a write there is nothing to ask."""
    from cloudsync.cli.converge import agreed
    from cloudsync.cli.show import show

    plans = [one.plan for one in found.report.targets if one.plan is not None and not one.refusals]
    writes = sum(len(plan.steps) for plan in plans)
    if not writes:
        return True
    bars.stop()
    if not output.json:  # there is nobody to ask then, and one document is printed, not two
        show(replace(found.report, verb="plan"), output)
    return agreed(output, writes)


def _tell_holds(way: Way, holds: Sequence[Hold], output: Output) -> None:
    """Say what stays so, and how it ends."""
    if not holds:
        return
    names = [one.target for one in holds]
    output.line()
    output.line(f"ON HOLD {', '.join(names)}: {holds[0].because}", "yellow")
    output.line(f"No run writes there until it is lifted. {way.undo[0].upper()}{way.undo[1:]}.")
    for name in names:
        output.line(f"then: {output.command('unhold', name)}")
