"""`cloudsync verify PLAN`: check a plan file again, by a reader that shares no code with what made it. Nothing is contacted."""

from __future__ import annotations

import argparse
from pathlib import Path

from cloudsync.cli.exits import Exit
from cloudsync.cli.output import Output
from cloudsync.model.errors import InputError
from cloudsync.model.finding import Finding, Where
from cloudsync.verify.values import Checked, Objection, Verdict

SHOWN_MOST = 20


def options(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    del verb
    parser.add_argument("plan", type=Path, metavar="PLAN", help="a plan file, made with `cloudsync plan -o FILE`")


def run(chosen: argparse.Namespace, output: Output) -> int:
    """Check a plan file; 0 when nothing speaks against it, 4 when something does, 3 when it is none."""
    from cloudsync.verify.check import verify
    from cloudsync.verify.document import NoPlanError

    path: Path = chosen.plan
    try:
        content = path.read_text(encoding="utf-8")
        verdict = verify(content)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError([_finding(path, "NO-PLAN", f"cannot be read: {error}")]) from error
    except NoPlanError as error:
        raise InputError([_finding(path, error.code, str(error))]) from error
    other = _other_policy(Path(chosen.repository), verdict)
    output.document(
        "verify",
        plan=str(path),
        accepted=verdict.accepted,
        policy=other,
        targets=[_target(one) for one in verdict.targets],
        objections=[_objection(one) for one in verdict.objections],
    )
    _tell(output, verdict, other)
    return Exit.OK if verdict.accepted else Exit.REFUSED


def _finding(path: Path, code: str, message: str) -> Finding:
    return Finding(Where(str(path)), code, message, "make one with `cloudsync plan -o FILE`")


def _other_policy(root: Path, verdict: Verdict) -> str:
    """Return how the plan's policy compares with the repository's: `same`, `other`, or `unknown` where there is no repository."""
    from cloudsync.app.repository import load

    if not (root / "cloudsync.yaml").is_file():
        return "unknown"
    try:
        digest = load(root).digest
    except InputError:
        return "unknown"
    return "same" if verdict.policies in ((), (digest,)) else "other"


def _tell(output: Output, verdict: Verdict, other: str) -> None:
    for one in verdict.objections[:SHOWN_MOST]:
        output.line(one.text(), "red")
    if len(verdict.objections) > SHOWN_MOST:
        output.line(f"and {len(verdict.objections) - SHOWN_MOST} more")
    for target in verdict.targets:
        points, steps, states = _count(target.points, "point"), _count(target.steps, "step"), _count(target.states, "state")
        output.line(f"{target.target} ({target.platform}): {points}, {steps}, {states} on the way")
    if other == "other":
        output.line("note: the policy in the repository is another one than the plan's", "yellow")
    points, steps, states = (sum(getattr(one, name) for one in verdict.targets) for name in ("points", "steps", "states"))
    word = "accepted" if verdict.accepted else "REFUSED"
    what = f"{_count(points, 'point')}, {_count(steps, 'step')}, {_count(states, 'state')} checked"
    output.line(f"{word}: {what}", "green" if verdict.accepted else "red", "bold")


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _target(one: Checked) -> dict[str, object]:
    return {
        "name": one.target,
        "platform": one.platform,
        "points": one.points,
        "steps": one.steps,
        "states": one.states,
        "accepted": not one.objections,
    }


def _objection(one: Objection) -> dict[str, str]:
    return {"target": one.target, "kind": one.kind.value, "point": one.point, "witness": one.witness, "message": one.message}
