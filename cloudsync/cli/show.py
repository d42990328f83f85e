"""How a run's report reaches the screen."""

from __future__ import annotations

from cloudsync.cli.output import Output
from cloudsync.report.document import run_document
from cloudsync.report.text import render
from cloudsync.report.values import RunReport

COLOURS = {"good": ("green",), "bad": ("red", "bold"), "warn": ("yellow",), "head": ("bold",), "dim": ("dim",), "": ()}


def show(report: RunReport, output: Output) -> None:
    """Print a run: text for people, or one JSON document."""
    if output.json:
        output.document("run", **run_document(report))
        return
    for text, meaning in render(report):
        output.line(text, *COLOURS[meaning])
