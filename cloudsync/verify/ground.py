"""What every platform's reader has in common: points, what they let through, and what the steps of a plan do to a state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from cloudsync.verify.space import Packets, Spans, UnreadableError

Json = Any
"""What `json.loads` returns: nothing is known of it until it was checked."""


class Whose(Enum):
    """Which objects count."""

    ALL = "all"
    OURS = "ours"
    FOREIGN = "foreign"
    """As if we had never been here."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What a point lets in and out."""

    inbound: Packets = 0
    outbound: Packets = 0

    def sides(self) -> tuple[tuple[str, Packets], tuple[str, Packets]]:
        """Return both directions by name."""
        return ("inbound", self.inbound), ("outbound", self.outbound)


@dataclass(frozen=True, slots=True)
class Place:
    """One enforcement point: its name for people, its own addresses, and why no policy is enforced there (empty when it is)."""

    name: str
    addresses: Spans
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Beyond:
    """What no table of ours decides at a point, inbound and outbound: packets that may be cut, and that may pass, whatever we write."""

    cut: tuple[Packets, Packets] = (0, 0)
    always: tuple[Packets, Packets] = (0, 0)


State = TypeVar("State")
Act = TypeVar("Act")


@dataclass(frozen=True, slots=True)
class Corners(Generic[State]):
    """States that bound every moment of a phase: what all of `low` let through passes, only what some of `high` does can."""

    low: tuple[State, ...]
    high: tuple[State, ...]


class Platform(Protocol[State, Act]):
    """One platform: how its dump and its payloads are read, and what its state lets through."""

    unfamilied: bool
    """Tables hold both families whatever addresses a point has (groups that only allow)."""

    def read(self, dump: Json) -> State:
        """Return the state of a dump. Raises UnreadableError."""

    def act(self, payload: Json, step: Mapping[str, Json]) -> Act:
        """Return what a payload does. Raises UnreadableError."""

    def after(self, state: State, acts: Iterable[Act]) -> State:
        """Return the state after acts in their order. Raises UnreadableError where the platform would refuse one."""

    def places(self, state: State) -> Mapping[str, Place]:
        """Return every point."""

    def passages(self, state: State, whose: Whose = Whose.ALL) -> Mapping[str, Passage]:
        """Return what every point lets through."""

    def unfinished(self, state: State) -> str:
        """Return what a plan that ends in a state leaves undone beside what decides about packets; empty for nothing."""

    def beyond(self, state: State, *, exclusive: bool) -> Mapping[str, Beyond]:
        """Return what no table of ours decides at every point. `exclusive`: no rule of somebody else's may stand in our way."""

    def corners(self, state: State, acts: Sequence[Act]) -> Corners[State]:
        """Return what bounds a phase whose acts take effect in any order."""


def mapping(value: Json, what: str) -> Mapping[str, Json]:
    """Return a JSON object, UnreadableError for anything else."""
    if not isinstance(value, dict):
        raise UnreadableError(f"{what} is no object")
    return value


def items(value: Json, what: str) -> list[Json]:
    """Return a JSON list, UnreadableError for anything else."""
    if not isinstance(value, list):
        raise UnreadableError(f"{what} is no list")
    return value


def text(value: Json, what: str) -> str:
    """Return a JSON text, UnreadableError for anything else."""
    if not isinstance(value, str):
        raise UnreadableError(f"{what} is no text")
    return value


def number(value: Json, what: str) -> int:
    """Return a JSON number, UnreadableError for anything else."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise UnreadableError(f"{what} is no number")
    return value


def texts(value: Json, what: str) -> tuple[str, ...]:
    """Return a JSON list of texts."""
    return tuple(text(one, what) for one in items(value, what))
