"""What the lab's projects hold in the beginning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..kit.faults import Json
from .api import Api
from .world import Project

HOST = "acme-net"


@dataclass(frozen=True, slots=True)
class Start:
    """A project that every estate has."""

    name: str
    number: str
    host: str | None = None


PROJECTS = (Start(HOST, "480100000001"), Start("acme-apps", "480100000002", HOST), Start("acme-other", "480100000003"))
"""The host project, its service project, and one that has nothing to do with them."""


def builder(name: str) -> Callable[[Api], None]:
    """Return what builds an estate."""
    known: dict[str, Callable[[Api], None]] = {"empty": empty, "small": empty}
    if name not in known:
        raise ValueError(f"no estate {name!r}; there are: {', '.join(sorted(known))}")
    return known[name]


def empty(api: Api) -> None:
    """Three projects, each with the network `default` that somebody has emptied of its rules."""
    for one in PROJECTS:
        api.world.projects[one.name] = Project(one.name, one.number, one.host, hosts=one.name == HOST)
        act(api, "POST", f"projects/{one.name}/global/networks", {"name": "default", "description": "Default network for the project"})


def act(api: Api, method: str, path: str, body: Json = None) -> Json:
    """Do something as a client would; it must succeed."""
    found = api.act({"method": method, "path": path, "body": body}, by="estate")
    if found["status"] != 200 or "error" in found["body"]:
        raise ValueError(f"{method} {path}: {found['body']}")
    return found["body"]
