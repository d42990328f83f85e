"""`cloudsync state copy`: a state that outgrew its file goes to a server, or back."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from cloudsync.cli.exits import Exit
from cloudsync.cli.output import COMMAND_LINE, Output

_REFERENCE = re.compile(r"(?:env|file|credential):\S+")


def options(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    del verb
    parser.add_argument("what", choices=("copy",), help="copy: all of it to a place that nobody has used; the old one is put on hold")
    parser.add_argument("--from", dest="source", default="", metavar="URL", help="where it is now (default: state: of cloudsync.yaml)")
    parser.add_argument("--to", dest="destination", default="", metavar="URL", help="where it goes (default: state: of cloudsync.yaml)")
    parser.add_argument(
        "--credential",
        type=_reference,
        metavar="REF",
        help="where the password of the server is that the settings do not name: env:NAME, file:PATH or credential:NAME",
    )


def _reference(text: str) -> str:
    if not _REFERENCE.fullmatch(text):
        raise argparse.ArgumentTypeError("want env:NAME, file:PATH or credential:NAME, never a password")
    return text


def run(chosen: argparse.Namespace, output: Output) -> int:
    """Copy, and say what to do next."""
    from cloudsync.app.moving import copy
    from cloudsync.model.errors import InputError
    from cloudsync.model.finding import Finding

    if not chosen.source and not chosen.destination:
        hint = "add --to URL, or, when cloudsync.yaml names the new place already, --from URL"
        raise InputError([Finding(COMMAND_LINE, "NEEDS-PLACE", "the settings name one place, a copy needs two", hint)])
    one, two, copied = copy(Path(chosen.repository), chosen.source, chosen.destination, chosen.credential or "")
    for table, count in copied.rows.items():
        if count:
            output.line(f"  {count:>9,} {table}")
    output.line(f"copied from {one} to {two}; audit head {copied.head.lines}:{copied.head.hash}", "bold")
    output.line("every target of the old state is on hold; name the new place as state: in cloudsync.yaml, then start runs again")
    output.document(
        "state", source=str(one), destination=str(two), rows=dict(copied.rows), audit_head=f"{copied.head.lines}:{copied.head.hash}"
    )
    return Exit.OK
