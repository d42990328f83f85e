"""`cloudsync export terraform`: what we manage, for people who hand it over to Terraform or look at it there."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cloudsync.cli.exits import Exit
from cloudsync.cli.output import COMMAND_LINE, Output
from cloudsync.cli.progress import Bars

if TYPE_CHECKING:
    from cloudsync.report.terraform import Module

MODE = 0o600


def options(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    del verb
    parser.add_argument("form", choices=("terraform",), help="what to write: import blocks and resources as .tf.json")
    parser.add_argument(
        "-o", dest="folder", type=Path, metavar="DIR", help="write one folder for each provider configuration below this one"
    )
    parser.add_argument("--target", action="append", default=[], metavar="NAME", help="only this target (may be repeated)")


def run(chosen: argparse.Namespace, output: Output) -> int:
    """Read the platforms and write the files."""
    from cloudsync.app.export import terraform
    from cloudsync.app.whole import writing

    if chosen.folder is not None:
        with writing(chosen.folder):
            chosen.folder.mkdir(parents=True, exist_ok=True)
    with Bars(output) as bars:
        modules, left_out = terraform(Path(chosen.repository), chosen.target, bars)
    if chosen.folder is not None:
        _write(chosen.folder, modules, output)
    elif not output.json:
        _print(modules, output)
    for words in left_out:
        output.note(words)
    output.document(
        "export",
        files=[{"path": _path(one), "imports": one.imports, "content": one.text} for one in modules],
        left_out=list(left_out),
    )
    return Exit.OK


def _path(one: Module) -> str:
    from cloudsync.report.terraform import FILE

    return f"{one.folder}/{FILE}"


def _write(folder: Path, modules: tuple[Module, ...], output: Output) -> None:
    from cloudsync.app.whole import write_whole, writing

    for one in modules:
        path = folder / _path(one)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, one.text.encode(), MODE)
        output.line(f"wrote {path}: {one.imports} objects to import")
    if not modules:
        output.line("nothing of ours is there")


def _print(modules: tuple[Module, ...], output: Output) -> None:
    from cloudsync.model.errors import InputError
    from cloudsync.model.finding import Finding

    if len(modules) > 1:
        message = f"{len(modules)} provider configurations do not fit into one file: {', '.join(one.folder for one in modules)}"
        raise InputError([Finding(COMMAND_LINE, "NEEDS-FOLDER", message, "add -o DIR, or choose with --target")])
    for one in modules:
        output.raw(one.text)
    if not modules:
        output.note("nothing of ours is there")
