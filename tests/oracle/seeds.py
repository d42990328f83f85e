"""Which seeds a simulation runs: a fixed few by default, `make sim SEED=7 N=100` for others."""

from __future__ import annotations

import os
from collections.abc import Iterable

COUNT = "CLOUDSYNC_SIM_N"
"""Environment: how many seeds to run from the one that was asked for."""


def seeds(asked: int | None, fixed: Iterable[int]) -> list[int]:
    """Return the seeds to run."""
    if asked is None:
        return list(fixed)
    return list(range(asked, asked + int(os.environ.get(COUNT, "1"))))
