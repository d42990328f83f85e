"""One simulated vendor of a lab: what the lab's process starts, resets, describes in lab.json, and ends."""

from __future__ import annotations

from typing import Protocol

from .faults import Json


class Site(Protocol):
    """A vendor on loopback. Its servers listen on 127.0.0.1 on ports of their own."""

    name: str
    """`gcp`, `azure` or `f5`: the key of lab.json, and the `site` of control requests."""

    def start(self) -> None:
        """Open the servers, in threads of their own."""

    def stop(self) -> None:
        """Close them; held calls are dropped."""

    def reset(self, estate: str, seed: int) -> None:
        """Empty the world, faults and counters, and build an estate; the same seed gives the same ids. ValueError for an unknown one."""

    def section(self) -> Json:
        """Return this vendor's part of lab.json."""

    def ask(self, verb: str, given: Json) -> Json:
        """Answer one control request: the gate's verbs and this vendor's own. KeyError for an unknown verb, ValueError for bad input."""

    def verbs(self) -> frozenset[str]:
        """Return every control verb there is."""
