"""The estates of the pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..kit.faults import Json


class Act(Protocol):
    """One request by whoever built the estate."""

    def __call__(self, unit: str, method: str, path: str, body: Json = None, *, by: str = "third party") -> Json:
        """Carry it out."""


def _empty(_act: Act) -> None:
    """Nothing but what a device brings."""


_BUILDERS: dict[str, Callable[[Act], None]] = {"empty": _empty, "small": _empty}


def builder(name: str) -> Callable[[Act], None]:
    """What builds an estate; ValueError for an unknown one."""
    if name not in _BUILDERS:
        raise ValueError(f"no estate {name!r}: there are {', '.join(sorted(_BUILDERS))}")
    return _BUILDERS[name]
