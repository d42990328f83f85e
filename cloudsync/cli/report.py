"""`cloudsync report` and `cloudsync map`: what was found, in the form that somebody needs it in."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from cloudsync.cli.output import COMMAND_LINE, SCHEMA, Output
from cloudsync.cli.progress import Bars

if TYPE_CHECKING:
    from cloudsync.app.picture import Picture

FORMATS = ("text", "json", "md", "html", "csv")
MAILS = Path("mail")
"""The folder of mails that are only looked at."""
MODE = 0o600
"""A report names what is open: it is for its owner, who may hand it on."""


def options(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add a verb's options."""
    parser.add_argument("-o", dest="file", type=Path, metavar="FILE", help="write it to this file, whole or not at all")
    parser.add_argument("--target", action="append", default=[], metavar="NAME", help="with --live: only this target (may be repeated)")
    if verb == "map":
        parser.add_argument("--live", action="store_const", const="drift", default="", help="read the platforms now; records what it finds")
        return
    parser.add_argument("--format", choices=FORMATS, default="", help="how to write it (default: text)")
    parser.add_argument("--run", default="", metavar="ID", help="tell this run, by the first letters of its id, not the last one")
    parser.add_argument(
        "--live", choices=("plan", "drift"), default="", help="read the platforms now: what would change, or what differs from the policy"
    )
    parser.add_argument(
        "--mail", action="store_true", help="mail it, by the settings of mail: one to all of `to`, one to each owner concerned"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="with --mail: send nothing, write the mails as .eml files into the folder of -o (default: mail)",
    )


def run(chosen: argparse.Namespace, output: Output) -> int:
    """Run one of the verbs."""
    from cloudsync.app.whole import check_writable, write_whole

    _check(chosen)
    if chosen.verb == "report" and chosen.mail:
        return _mailed(chosen, _picture(chosen, output), output)
    if chosen.file is not None:
        check_writable(chosen.file)
    form = "html" if chosen.verb == "map" else chosen.format or ("json" if output.json else "text")
    # Asked for as a form or by the option that every verb has, it is the same document.
    output.json = output.json or (form == "json" and chosen.file is None)
    picture = _picture(chosen, output)
    if chosen.file is not None:
        write_whole(chosen.file, _written(chosen.verb, form, picture).encode(), MODE)
        output.line(f"wrote {chosen.file}")
    if output.json:
        _document(chosen.verb, picture, output)
    elif chosen.file is None and form == "text":
        _told(picture, output)
    elif chosen.file is None:
        output.raw(_written(chosen.verb, form, picture))
    return picture.code


def _check(chosen: argparse.Namespace) -> None:
    """Refuse what cannot be meant. Raises InputError."""
    from cloudsync.model.errors import InputError
    from cloudsync.model.finding import Finding

    if chosen.target and not chosen.live:
        hint = "add --live, or leave --target out"
        raise InputError([Finding(COMMAND_LINE, "NOT-LIVE", "--target chooses what to read, and nothing is read without --live", hint)])
    if chosen.verb == "report" and chosen.dry_run and not chosen.mail:
        raise InputError([Finding(COMMAND_LINE, "NOT-MAIL", "--dry-run writes the mails that --mail would send", "add --mail")])
    if chosen.verb == "report" and chosen.run and chosen.live:
        raise InputError(
            [Finding(COMMAND_LINE, "LIVE-RUN", "--run names a run of the records, --live makes a new one", "give one of the two")]
        )


def _mailed(chosen: argparse.Namespace, picture: Picture, output: Output) -> int:
    """Mail the report, or write the mails down."""
    from cloudsync.app.deliver import report_mails
    from cloudsync.app.repository import load
    from cloudsync.cli.telling import said

    root = Path(chosen.repository)
    paths, came = report_mails(root, load(root), picture.story, folder=(chosen.file or MAILS) if chosen.dry_run else None)
    for path in paths:
        output.line(f"wrote {path}")
    if not paths:
        if not came.queued:
            output.line("this report was mailed before; a new run makes a new one")
        said(came, output)
    output.document(
        "mail", files=list(map(str, paths)), queued=came.queued, sent=came.sent, waiting=came.waiting, problems=list(came.problems)
    )
    return picture.code


def _picture(chosen: argparse.Namespace, output: Output) -> Picture:
    from cloudsync.app import picture

    root = Path(chosen.repository)
    if chosen.live:
        with Bars(output) as bars:
            return picture.seen(root, chosen.target, chosen.live, bars)
    return picture.mapped(root) if chosen.verb == "map" else picture.recorded(root, chosen.run)


def _written(verb: str, form: str, picture: Picture) -> str:
    story = picture.story
    match form:
        case "html":
            from cloudsync.report.html import map_page, page

            return map_page(story) if verb == "map" else page(story)
        case "md":
            from cloudsync.report.markdown import markdown

            return markdown(story)
        case "csv":
            from cloudsync.report.csv import table

            return table(story)
        case "json":
            from cloudsync.report.story_document import story_document

            return json.dumps({"schema": SCHEMA, "kind": "report", **story_document(story)}, indent=2, ensure_ascii=True) + "\n"
        case _:
            from cloudsync.report.told import text

            return text(story, picture.now)


def _document(verb: str, picture: Picture, output: Output) -> None:
    from cloudsync.report.moments import stamp
    from cloudsync.report.story_document import matrix_document, story_document

    story = picture.story
    if verb == "map":
        assert story.matrix is not None
        output.document("map", owner=story.owner, policy=story.policy, at=stamp(story.at), matrix=matrix_document(story.matrix))
    else:
        output.document("report", **story_document(story))


def _told(picture: Picture, output: Output) -> None:
    from cloudsync.cli.show import COLOURS
    from cloudsync.report.told import lines

    for text, meaning in lines(picture.story, picture.now):
        output.line(text, *COLOURS[meaning])
