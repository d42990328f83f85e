"""What the settings say of one target. Part of the adapter protocol, by itself because checking settings needs nothing else of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.model.quick import dataclass


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """One target of cloudsync.yaml; `options` are the adapter's own keys, structure already checked against its schema."""

    name: str
    adapter: str
    mode: TargetMode
    options: Mapping[str, Any]
    where: Where
    endpoint: str = ""
    outrank: bool = False
    """Additive targets: may our allows stand above foreign denies?"""
