"""What is fuzzed, as a value. It imports nothing of the product: that has to wait until coverage is looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """One parser. `run` takes any bytes; `seeds` are what it really reads, `words` what that is made of."""

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    words: tuple[bytes, ...]
