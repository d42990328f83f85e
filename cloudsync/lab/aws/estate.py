"""Seeded estates: what stands in the cloud before anybody comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from . import estate_labelled, estate_small

if TYPE_CHECKING:
    from .shim import Shim

ESTATES: Mapping[str, Callable[[Shim], None]] = {
    "empty": lambda _shim: None,
    "small": estate_small.build,
    "four": estate_labelled.build_four,
    "medium": estate_labelled.build_medium,
}


def build(shim: Shim, name: str) -> None:
    """Build one estate; ValueError for a name that is none."""
    if name not in ESTATES:
        raise ValueError(f"no estate {name!r}; there are: {', '.join(sorted(ESTATES))}")
    ESTATES[name](shim)
