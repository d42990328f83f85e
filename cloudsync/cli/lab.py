"""`cloudsync lab`: the simulated estate on loopback."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from cloudsync.cli.output import Output

ACTIONS = (
    ("up", "start the lab; writes DIR/lab.json"),
    ("down", "end it"),
    ("env", "print the shell exports that a real client needs"),
    ("fault", "make calls fail on purpose, or show what is set"),
    ("reset", "remove all faults and build the estate again"),
)


def options(_verb: str, parser: argparse.ArgumentParser) -> None:
    """Add the options of `lab`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in ACTIONS:
        sub = actions.add_parser(name, help=text, description=text)
        sub.add_argument("--dir", required=True, type=Path, metavar="DIR", help="the lab's folder")
        sub.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document instead of text")
        if name == "up":
            sub.add_argument(
                "--estate",
                default="small",
                help="small (AWS alone, the default), four (a dozen workloads per platform), medium (about 400) or empty",
            )
            sub.add_argument("--background", action="store_true", help="return when it is ready")
            sub.add_argument("--port", type=int, default=None, help="loopback port (default: a free one)")
            sub.add_argument("--seed", type=int, default=1, help="seed of the estate (default: 1)")
            sub.add_argument("--idle-limit", type=float, default=12 * 3600.0, metavar="SECONDS", help="end after so long without a request")
        if name == "env":
            sub.add_argument("--account", default=None, help="act in this account (default: the first)")
        if name == "fault":
            sub.add_argument("spec", nargs="*", metavar="SPEC", help="ACTION:KIND[:name=value,...]; see docs/lab.md")
        if name == "reset":
            sub.add_argument("--estate", default=None, help="build another estate")
            sub.add_argument("--faults-only", action="store_true", help="keep the cloud, remove the faults")


def run(chosen: argparse.Namespace, output: Output) -> int:
    """Run one action of the lab."""
    if not output.json:
        return _act(chosen, output.line)
    said: list[str] = []
    code = _act(chosen, said.append)
    output.document("lab", action=chosen.action, said=said)
    return code


def _act(chosen: argparse.Namespace, say: Callable[[str], None]) -> int:
    from cloudsync.lab import commands

    match chosen.action:
        case "up":
            wanted = commands.Options(port=chosen.port or 0, seed=chosen.seed, idle_limit_s=chosen.idle_limit)
            return commands.up(chosen.dir, chosen.estate, say=say, background=chosen.background, options=wanted)
        case "down":
            return commands.down(chosen.dir, say=say)
        case "env":
            return commands.env(chosen.dir, say=say, account=chosen.account)
        case "fault":
            return commands.fault(chosen.dir, chosen.spec, say=say)
        case _:
            return commands.reset(chosen.dir, say=say, estate=chosen.estate, faults_only=chosen.faults_only)
