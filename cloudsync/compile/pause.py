"""A compile makes millions of values and hardly a cycle among them: who looks for cycles meanwhile finds none and takes as long again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

MANY = 10_000
"""From so many new values on they are moved to the old ones by hand."""


@contextmanager
def uncollected() -> Iterator[None]:
    """Do without the collector of cycles, and have it as it was afterwards. What is in no cycle is freed at once, as ever.

    Many values that came meanwhile count as old: they are looked through when all others are, not at once and twice (decision 143).
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            if gc.get_count()[0] >= MANY:
                gc.freeze()
                gc.unfreeze()
            gc.enable()
