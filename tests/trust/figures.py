"""Figures of a campaign: each part appends what it measured; nobody types a figure by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

FILE = "CLOUDSYNC_FIGURES"
"""The environment variable that names the file; without it figures are only printed."""

Figure = int | float | str
Figures = dict[str, Figure]


def record(part: str, figures: Mapping[str, Figure]) -> None:
    """Write one line of figures of one part (e.g. `T1 aws`): printed, and appended to the file where one is named.

    Parts may run in several processes: a line is written by one call, so that lines never mix. A part recorded twice is summed up by
    whoever reads the file, see `summed`.
    """
    line = json.dumps({"part": part, **figures}, sort_keys=True)
    print(f"figures {line}")
    name = os.environ.get(FILE)
    if name:
        with Path(name).open("a", encoding="utf-8", buffering=1) as file:
            file.write(line + "\n")


def summed(lines: Iterable[str]) -> dict[str, Figures]:
    """Return the figures of every part, in order of its name; lines of the same part are put together, field by field.

    Counts and seconds add up. A field named `..._max` keeps the largest, `..._min` and `..._per_s` the smallest: a rate is the worst
    that was seen. Texts that differ are listed. Raises ValueError for a line that is no figure.
    """
    parts: dict[str, Figures] = {}
    for line in lines:
        if not line.strip():
            continue
        found = json.loads(line)
        part = parts.setdefault(str(found.pop("part")), {})
        for name, value in found.items():
            part[name] = _together(name, part[name], value) if name in part else value
    return {name: dict(sorted(parts[name].items())) for name in sorted(parts)}


def _together(name: str, one: Figure, two: Figure) -> Figure:
    if isinstance(one, str) or isinstance(two, str):
        return ", ".join(sorted({*str(one).split(", "), *str(two).split(", ")}))
    if name.endswith("_max"):
        return max(one, two)
    if name.endswith(("_min", "_per_s")):
        return min(one, two)
    return one + two
