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
    parser.add_argument(
        "form",
        choices=("terraform", "tables"),
        help="what to write: terraform: what is ours as import blocks and resources (.tf.json); "
        "tables: the policy as lists of addresses and rows, for other firewalls (JSON)",
    )
    parser.add_argument(
        "-o",
        dest="folder",
        type=Path,
        metavar="DIR",
        help="write below this folder: one for each provider configuration, or routing domain",
    )
    parser.add_argument("--target", action="append", default=[], metavar="NAME", help="only this target (may be repeated)")


def run(chosen: argparse.Namespace, output: Output) -> int:
    """Read the platforms and write the files."""
    from cloudsync.app.export import terraform
    from cloudsync.app.whole import writing

    if chosen.folder is not None:
        with writing(chosen.folder):
            chosen.folder.mkdir(parents=True, exist_ok=True)
    if chosen.form == "tables":
        return _tables(chosen, output)
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


def _tables(chosen: argparse.Namespace, output: Output) -> int:
    from cloudsync.app.export import tables
    from cloudsync.app.whole import write_whole
    from cloudsync.model.errors import InputError
    from cloudsync.model.finding import Finding

    with Bars(output) as bars:
        found = tables(Path(chosen.repository), chosen.target, bars)
    if chosen.folder is not None:
        for domain, text in found:
            path = chosen.folder / f"{domain}.json"
            write_whole(path, text.encode(), MODE)
            output.line(f"wrote {path}")
    elif len(found) > 1 and not output.json:
        message = f"{len(found)} routing domains do not fit into one document: {', '.join(domain for domain, _ in found)}"
        raise InputError([Finding(COMMAND_LINE, "NEEDS-FOLDER", message, "add -o DIR")])
    elif not output.json:
        for _, text in found:
            output.raw(text)
    output.document("export", files=[{"path": f"{domain}.json", "imports": 0, "content": text} for domain, text in found], left_out=[])
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
