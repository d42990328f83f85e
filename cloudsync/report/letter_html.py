"""A letter as HTML for mail clients: tables and inline styles, nothing loaded from anywhere, readable on a phone, light and dark. Pure."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from cloudsync.report.headline import Tone
from cloudsync.report.letter import Letter, weekday

if TYPE_CHECKING:
    from jinja2 import Environment

COLOURS = {Tone.BAD: "#b3261e", Tone.WARN: "#8a5a00", Tone.GOOD: "#1e6b3a"}
"""White text on them, and they on white, have a contrast of 4.5 and more."""
TREND_HEIGHT = 44


def html(letter: Letter) -> str:
    """Return the HTML part of a mail."""
    top = max(1, *(one.open or 0 for one in letter.trend)) if letter.trend else 1
    bars = [(one, round(TREND_HEIGHT * (one.open or 0) / top)) for one in letter.trend]
    return (
        _environment()
        .get_template("mail.html")
        .render(letter=letter, colours=COLOURS, bars=bars, weekday=weekday, week=len(letter.trend) < 10, height=TREND_HEIGHT)
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("cloudsync.report", "letters"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
