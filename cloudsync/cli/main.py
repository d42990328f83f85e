"""`cloudsync`: parse the command line, start one verb. Verbs are imported when they are called, so `--help` and `validate` stay quick."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from cloudsync import __version__
from cloudsync.cli.exits import Exit

VERBS: dict[str, tuple[str, str]] = {
    "init": ("files", "write a commented starter config repository"),
    "validate": ("files", "load and lint settings, policy and inventory; no network"),
    "test": ("files", "evaluate the policy's own tests, exactly"),
    "fmt": ("files", "rewrite rules as canonical sentences"),
    "schema": ("files", "print or write the JSON Schemas for editors"),
    "plan": ("converge", "show what would change, proven; -o FILE saves it"),
    "apply": ("converge", "converge, after showing the plan and asking"),
    "drift": ("converge", "report what differs from the policy; never writes"),
    "explain": ("explain", "why is this packet allowed or blocked"),
    "approve": ("approve", "approve one guard for one plan digest, with an expiry"),
    "hold": ("approve", "stop all writes of a target until lifted"),
    "unhold": ("approve", "lift a hold"),
    "history": ("history", "list runs and the changes they made"),
    "audit": ("history", "print or verify the audit chain"),
    "iam": ("platform", "print the least-privilege role of a platform"),
    "doctor": ("platform", "check credentials, permissions and limits without writing"),
    "lab": ("lab", "the simulated estate on loopback: up, down, env, fault, reset"),
}

EPILOG = """exit codes:
  0   nothing to do, or success
  1   unexpected error (a bug)
  2   changes or drift present (plan, drift)
  3   invalid input; nothing was contacted
  4   refused by a guard or a precondition
  5   a platform failed, or a partial run
  75  busy: another run holds the lock"""


class Parser(argparse.ArgumentParser):
    """argparse whose usage errors are invalid input: exit code 3."""

    def error(self, message: str) -> NoReturn:
        """Print the message with the usage and leave."""
        self.print_usage(sys.stderr)
        self.exit(Exit.INVALID, f"{self.prog}: {message}; try '{self.prog} --help'\n")


def _common() -> Parser:
    common = Parser(add_help=False)
    common.add_argument("-C", dest="repository", metavar="DIR", default=".", help="the config repository (default: the current folder)")
    common.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    common.add_argument("-q", "--quiet", action="store_true", help="print results only, no progress")
    return common


def parser(verb: str | None = None) -> Parser:
    """Return the parser; with a verb, only that verb gets its options (the others cost start-up time)."""
    top = Parser(
        prog="cloudsync",
        description="One label policy for the firewalls of several clouds: planned, proven, guarded, applied and reported.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"cloudsync {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    for name, (module, summary) in VERBS.items():
        if name == verb:
            sub = verbs.add_parser(name, help=summary, description=summary, parents=[_common()])
            import_module(f"cloudsync.cli.{module}").options(name, sub)
        else:
            verbs.add_parser(name, help=summary, add_help=False)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    verb = next((word for word in words if not word.startswith("-")), None)
    top = parser(verb if verb in VERBS else None)
    chosen = top.parse_args(words)
    if chosen.verb is None:
        top.print_help()
        return Exit.INVALID if words else Exit.OK
    from cloudsync.cli.wall import run

    module, _ = VERBS[chosen.verb]
    return run(import_module(f"cloudsync.cli.{module}").run, chosen)


if __name__ == "__main__":
    sys.exit(main())
