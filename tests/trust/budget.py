"""How much of a campaign runs: a change gets minutes, a night gets hours, a release gets everything. And from which seed it draws."""

from __future__ import annotations

import os
from enum import Enum

SEED = "CLOUDSYNC_SEED"
"""The environment variable that names the seed of a campaign; without it every campaign draws the same cases each time."""


class Budget(Enum):
    """The three sizes of a campaign, chosen by the environment variable CLOUDSYNC_TRUST."""

    CHANGE = "change"
    NIGHT = "night"
    RELEASE = "release"

    @classmethod
    def now(cls) -> Budget:
        """Return the budget of this run; `change` unless the environment says otherwise. Raises ValueError for another word."""
        return cls(os.environ.get("CLOUDSYNC_TRUST", cls.CHANGE.value))


def budget(change: int, night: int, release: int) -> int:
    """Return the number that belongs to this run's budget."""
    return {Budget.CHANGE: change, Budget.NIGHT: night, Budget.RELEASE: release}[Budget.now()]


def seed() -> int:
    """Return the seed of this run: 1 unless the environment says otherwise. Raises ValueError for what is no number."""
    return int(os.environ.get(SEED, "1"))
