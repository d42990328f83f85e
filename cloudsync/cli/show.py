"""How a run's report reaches the screen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from cloudsync.cli.output import Output
from cloudsync.report.document import run_document
from cloudsync.report.story import Story
from cloudsync.report.text import render
from cloudsync.report.values import RunReport, TargetReport

if TYPE_CHECKING:
    from cloudsync.store.records import Hold

COLOURS = {"good": ("green",), "bad": ("red", "bold"), "warn": ("yellow",), "head": ("bold",), "dim": ("dim",), "": ()}


def show(report: RunReport, output: Output, story: Story | None = None, holds: Iterable[Hold] = ()) -> None:
    """Print a run: text for people, or one JSON document. With its story, drift is told with its age. `holds`: those that it put."""
    report = replace(report, targets=tuple(_placed(target, output) for target in report.targets))
    if output.json:
        from cloudsync.cli.approve import hold_document

        output.document("run", **run_document(report, story), holds=[hold_document(one) for one in holds])
        return
    for text, meaning in render(report, story):
        output.line(text, *COLOURS[meaning])


def _placed(target: TargetReport, output: Output) -> TargetReport:
    """Return a target whose approve commands work as printed, also for a repository that is not the current folder."""
    return replace(target, refusals=tuple(replace(one, approve=output.placed(one.approve)) for one in target.refusals))
