"""One call that was routed, and its answer to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..kit.faults import Fault, Kind
from ..kit.journal import Entry
from .links import Link, read
from .refusal import invalid
from .world import Object, Project, World


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls."""

    email: str
    permissions: tuple[str, ...] = ("*",)
    """Names or patterns with `*`."""
    projects: tuple[str, ...] = ("*",)
    expires: float | None = None
    """In the lab's time; None: never."""


@dataclass(slots=True)
class Call:
    """What a handler is given."""

    world: World
    project: Project
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Object
    principal: Principal
    entry: Entry
    faults: tuple[Fault, ...] = ()

    def fault(self, kind: Kind) -> Fault | None:
        """Return the fault of this kind that fires on this call."""
        return next((each for each in self.faults if each.kind is kind), None)

    def number(self, name: str, default: int, most: int) -> int:
        """Read a number of the query."""
        text = self.query.get(name)
        if text is None:
            return default
        if not text.isdecimal() or int(text) > most:
            raise invalid(name, text, f"Must be an integer between 0 and {most}.")
        return int(text)

    def flag(self, name: str) -> bool:
        """Read a truth value of the query."""
        return self.query.get(name, "false").lower() == "true"

    def link(self, kind: str, name: str) -> Link:
        """Name a resource of this call's project, in the zone or region of its path if there is one."""
        place = next((f"{word}s/{self.path[word]}" for word in ("zone", "region") if word in self.path), "global")
        return Link(self.project.name, place, kind, name)

    def read(self, text: str) -> Link | None:
        """Read how a client names a resource; a project's number counts as its name."""
        link = read(text, self.project.name)
        if link is None or link.project in self.world.projects:
            return link
        named = next((one.name for one in self.world.projects.values() if one.number == link.project), link.project)
        return replace(link, project=named)

    def table(self, kind: str) -> Mapping[str, Object]:
        """Return the resources of a kind as this call sees them: as they are, or (fault `stale`) as they were."""
        stale = self.fault(Kind.STALE)
        past = self.project.past
        if stale is None or not past:
            return self.project.tables[kind]
        back = min(int(stale.options.get("writes", 1)), len(past))
        return past[-back][kind]
