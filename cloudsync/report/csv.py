"""Findings as comma-separated values for spreadsheets (RFC 4180, UTF-8): one row each, no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
from io import StringIO

from cloudsync.model.inert import inert
from cloudsync.report.headline import DONE, MEANT
from cloudsync.report.moments import stamp
from cloudsync.report.story import State, Story, Tracked

COLUMNS = (
    *("severity", "state", "target", "direction", "packets", "meaning", "labels", "workloads", "workload_names", "native_rules"),
    *("first_seen", "last_seen", "runs", "returns", "cloudsync_did", "why", "what_to_do", "by", "by_at"),
    *("accepted_until", "accepted_because", "owners", "finding", "run"),
)
FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\N{FULLWIDTH EQUALS SIGN}",
    "\N{FULLWIDTH PLUS SIGN}",
    "\N{FULLWIDTH HYPHEN-MINUS}",
    "\N{FULLWIDTH COMMERCIAL AT}",
)
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection)."""


def table(story: Story) -> str:
    """Return the findings of a story, in its order, under one line of column names."""
    out = StringIO(newline="")
    # Every cell is quoted: a separator that another country's spreadsheet cuts at starts no new cell.
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for one in story.findings:
        writer.writerow([cell(value) for value in _row(story, one)])
    return out.getvalue()


def cell(value: str | int) -> str:
    """Return a value as text: control characters written out, and an apostrophe before what would be a formula."""
    if isinstance(value, int):
        return str(value)
    text = inert(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA) or value.startswith(("\t", "\r", "\n")) else text


def _row(story: Story, one: Tracked) -> tuple[str | int, ...]:
    accepted, actor = one.acknowledged, one.actor
    return (
        one.severity.value,
        one.state.value,
        one.target,
        one.direction,
        one.words,
        MEANT[one.kind],
        one.labels.text(),
        len(one.workloads),
        "; ".join(one.workloads),
        "; ".join(one.natives),
        stamp(one.first_seen),
        stamp(one.last_seen),
        one.seen,
        one.returns,
        "it is gone" if one.state is State.RESOLVED else DONE[one.deed],
        one.why,
        one.advice,
        actor.who if actor else "",
        stamp(actor.at) if actor else "",
        stamp(accepted.until) if accepted else "",
        accepted.because if accepted else "",
        "; ".join(one.owners),
        one.key,
        story.run_id,
    )
