"""`cloudsync`: parse the command line, start one verb. Verbs are imported when they are called, so `--help` and `validate` stay quick."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

from cloudsync import __version__
from cloudsync.cli.exits import Exit

VERBS: dict[str, tuple[str, str]] = {
    "init": ("files", "write a commented starter config repository"),
    "validate": ("files", "load and lint settings, policy and inventory; no network"),
    "test": ("files", "evaluate the policy's own tests, exactly"),
    "fmt": ("files", "rewrite rules as canonical sentences"),
    "schema": ("files", "print or write the JSON Schemas for editors"),
    "plan": ("converge", "show what would change, proven; -o FILE saves it"),
    "verify": ("verify", "check a plan file again, by an independent reader; no network"),
    "apply": ("converge", "converge, after showing the plan and asking"),
    "drift": ("converge", "report what differs from the policy; never writes"),
    "diff": ("diff", "what differs in packets: two versions of the policy, policy and reality, two platforms"),
    "reconcile": ("service", "one unattended run, for cron and timers; never asks"),
    "run": ("service", "the daemon: runs on a schedule, reloads, reports, answers about its health"),
    "worker": ("worker", "one of several machines: takes jobs from the queue in the shared state"),
    "report": ("report", "tell the last run again: text, JSON, Markdown, HTML page, CSV"),
    "map": ("report", "who may talk to whom, as one HTML page"),
    "explain": ("explain", "why is this packet allowed or blocked"),
    "approve": ("approve", "approve one guard for one plan digest, with an expiry"),
    "hold": ("approve", "stop all writes of a target until lifted"),
    "unhold": ("approve", "lift a hold"),
    "rollback": ("back", "the policy of an earlier commit or run, as a guarded plan; puts the targets on hold"),
    "release": ("back", "give enforcement points back as they were before"),
    "status": ("status", "how the targets stand: last good runs, findings, holds, what is next"),
    "history": ("history", "list runs and the changes they made"),
    "audit": ("history", "print or verify the audit chain"),
    "state": ("state", "copy the state to another place, e.g. from a file to a PostgreSQL server"),
    "export": ("export", "what is ours as Terraform import blocks, or the policy as tables of addresses"),
    "iam": ("platform", "print the least-privilege role of a platform"),
    "doctor": ("platform", "check credentials, permissions and limits without writing"),
    "lab": ("lab", "the simulated estate on loopback: up, down, env, fault, reset"),
}

EPILOG = """exit codes:
  0   nothing to do, or success
  1   unexpected error (a bug)
  2   changes, differences or drift present (plan, diff, drift)
  3   invalid input; nothing was contacted
  4   refused by a guard or a precondition
  5   a platform failed, or a partial run
  75  busy: another run holds the lock"""


class Parser(argparse.ArgumentParser):
    """argparse whose usage errors are invalid input: exit code 3. An option is never guessed from its first letters."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - whatever argparse takes
        super().__init__(*args, **{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Print the usage, what is wrong with it, what may have been meant, and leave."""
        self.print_usage(sys.stderr)
        self.exit(Exit.INVALID, f"{self.prog}: {message}; try '{self.prog} --help'\n")

    def unknown(self, words: Sequence[str]) -> NoReturn:
        """Leave because of words that mean nothing here."""
        from cloudsync.policy.words import nearest

        word = words[0].partition("=")[0]
        known = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
        meant = nearest(word, known) if word.startswith("--") else ""
        what = f"no option '{word}'" if word.startswith("-") else f"'{word}' is one word too many"
        self.error(what + (f", did you mean '{meant}'" if meant else ""))


class Overview(argparse.RawDescriptionHelpFormatter):
    """argparse's own, which forgets that verbs are indented: a long one would stand on a line of its own."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog)
        self._action_max_length = max(map(len, VERBS)) + 4


def overview() -> Parser:
    """Return the parser of a command line without a verb."""
    top = Parser(
        prog="cloudsync",
        description="One label policy for the firewalls of several clouds: planned, proven, guarded, applied and reported.",
        epilog=EPILOG,
        formatter_class=Overview,
    )
    top.add_argument("--version", action="version", version=f"cloudsync {__version__}")
    verbs = top.add_subparsers(metavar="VERB", title="verbs")
    for name, (_, summary) in VERBS.items():
        verbs.add_parser(name, help=summary, add_help=False)
    return top


def parser(verb: str) -> Parser:
    """Return the parser of one verb; the others are not even built, they cost start-up time."""
    module, summary = VERBS[verb]
    one = Parser(prog=f"cloudsync {verb}", description=summary)
    one.add_argument("-C", dest="repository", metavar="DIR", default=".", help="the config repository (default: the current folder)")
    one.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    one.add_argument("-q", "--quiet", action="store_true", help="print results only, no progress")
    one.set_defaults(verb=verb)
    import_module(f"cloudsync.cli.{module}").options(verb, one)
    return one


def verb_first(words: Sequence[str]) -> list[str]:
    """Return the words with the verb moved before the options that every verb takes: `cloudsync -C DIR plan` is a habit from git."""
    front: list[str] = []
    rest = list(words)
    while rest and (rest[0] in ("--json", "-q", "--quiet") or rest[0].startswith("-C")):
        front.append(rest.pop(0))
        if front[-1] == "-C" and rest:
            front.append(rest.pop(0))
    return [*rest[:1], *front, *rest[1:]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    words = verb_first(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0].startswith("-"):
        return _without_verb(words)
    verb = words[0]
    if verb not in VERBS:
        _no_such_verb(verb)
    one = parser(verb)
    chosen, left = one.parse_known_args(words[1:])
    if left:
        one.unknown(left)
    from cloudsync.cli.wall import run

    module, _ = VERBS[verb]
    return run(import_module(f"cloudsync.cli.{module}").run, chosen)


def _without_verb(words: Sequence[str]) -> int:
    top = overview()
    _, left = top.parse_known_args(words)
    if left:
        top.unknown(left)
    top.print_help()
    return Exit.INVALID if words else Exit.OK


def _no_such_verb(word: str) -> NoReturn:
    from cloudsync.model.inert import inert
    from cloudsync.policy.words import nearest

    meant = nearest(word, VERBS)
    hint = f"did you mean '{meant}'" if meant else f"there are: {', '.join(VERBS)}"
    print(f"cloudsync: no verb '{inert(word)}'; {hint}; try 'cloudsync --help'", file=sys.stderr)
    raise SystemExit(int(Exit.INVALID))


def entry() -> NoReturn:
    """Run as a program: without collecting garbage while it starts, and without taking the interpreter down piece by piece at the end.

    Both cost a run with nothing to do a third of its time (decision 013). Everything durable was closed by its own `with`.
    """
    gc.disable()
    if not sys.warnoptions:  # what a library tells its programmers is not for whoever uses a program
        warnings.simplefilter("ignore")
    try:
        code = main()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(bool(leaving.code))
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # whoever read us may be gone
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    entry()
