"""The estates this Azure can be filled with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..kit.faults import Json


class Builder(Protocol):
    """Who carries the estate's calls out."""

    def act_ok(self, method: str, path: str, body: Json = None) -> Json:
        """One request, which must work."""


def _nothing(_builder: Builder, _group: str) -> None:
    """The estate that is empty."""


ESTATES: dict[str, Callable[[Builder, str], None]] = {"empty": _nothing, "small": _nothing}


def build(builder: Builder, estate: str, group: str) -> None:
    """Build an estate in a resource group. ValueError for an unknown one."""
    if estate not in ESTATES:
        raise ValueError(f"no estate {estate!r}: want one of {', '.join(ESTATES)}")
    ESTATES[estate](builder, group)
