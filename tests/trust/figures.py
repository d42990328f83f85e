"""Figures of a campaign: each part appends what it measured; nobody types a figure by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

FILE = "CLOUDSYNC_FIGURES"
"""The environment variable that names the file; without it figures are only printed."""

Figure = int | float | str


def record(part: str, figures: Mapping[str, Figure]) -> None:
    """Write one line of figures of one part (e.g. `T1 aws`): printed, and appended to the file where one is named.

    Parts may run in several processes: a line is written by one call, so that lines never mix. A part recorded twice is summed up by
    whoever reads the file.
    """
    line = json.dumps({"part": part, **figures}, sort_keys=True)
    print(f"figures {line}")
    name = os.environ.get(FILE)
    if name:
        with Path(name).open("a", encoding="utf-8", buffering=1) as file:
            file.write(line + "\n")
