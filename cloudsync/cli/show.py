"""How a run's report reaches the screen."""

from __future__ import annotations

from dataclasses import replace

from cloudsync.cli.output import Output
from cloudsync.report.document import run_document
from cloudsync.report.story import Story
from cloudsync.report.text import render
from cloudsync.report.values import RunReport, TargetReport

COLOURS = {"good": ("green",), "bad": ("red", "bold"), "warn": ("yellow",), "head": ("bold",), "dim": ("dim",), "": ()}


def show(report: RunReport, output: Output, story: Story | None = None) -> None:
    """Print a run: text for people, or one JSON document. With its story, drift is told with its age."""
    report = replace(report, targets=tuple(_placed(target, output) for target in report.targets))
    if output.json:
        output.document("run", **run_document(report, story))
        return
    for text, meaning in render(report, story):
        output.line(text, *COLOURS[meaning])


def _placed(target: TargetReport, output: Output) -> TargetReport:
    """Return a target whose approve commands work as printed, also for a repository that is not the current folder."""
    return replace(target, refusals=tuple(replace(one, approve=output.placed(one.approve)) for one in target.refusals))
