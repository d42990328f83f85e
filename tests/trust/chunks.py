"""Long campaigns in pieces: what a piece came to is kept, so that a campaign that was cut goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from tests.trust.figures import Figures, record

FOLDER = "CLOUDSYNC_PIECES"
"""The environment variable that names a folder for one commit, budget and seed; without it nothing is kept."""


def piece(name: str, work: Callable[[], dict[str, Figures]]) -> None:
    """Do a piece of a campaign and record its figures, part by part; take those of a cut campaign over where there are any."""
    folder = os.environ.get(FOLDER)
    file = Path(folder) / f"{name}.json" if folder else None
    if file is not None and file.is_file():
        found: dict[str, Figures] = json.loads(file.read_text(encoding="utf-8"))
    else:
        found = work()
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            new = file.with_suffix(".new")
            new.write_text(json.dumps(found), encoding="utf-8")
            new.replace(file)
    for part, figures in found.items():
        record(part, figures)
