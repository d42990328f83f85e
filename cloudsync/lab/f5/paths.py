"""Which object a path below /mgmt/tm names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from .refusal import unregistered
from .schema import PARTITION, RESOURCES


@dataclass(frozen=True, slots=True)
class Target:
    """A collection, perhaps an object of it, perhaps its parts, perhaps one of these."""

    collection: str
    path: str | None = None
    """None: the whole collection. Empty: the single object of its kind."""
    sub: str = ""
    part: str = ""

    @property
    def operation(self) -> str:
        """As the journal and faults call it."""
        return f"{self.collection}/{self.sub}" if self.sub else self.collection


@lru_cache(maxsize=8192)
def target(path: str) -> Target:
    """`ltm/virtual/~Common~x` -> the virtual server; 404 for a path nobody serves."""
    parts = [unquote(each) for each in path.split("/") if each]
    for depth in (3, 2):
        collection = "/".join(parts[:depth])
        resource = RESOURCES.get(collection)
        if resource is None:
            continue
        rest = parts[depth:]
        if resource.single:
            return _parts(path, collection, "", rest)
        if not rest:
            return Target(collection)
        if not resource.partitioned or collection == PARTITION:
            at = rest[0].replace("~", "/")
        else:
            at = rest[0].replace("~", "/") if rest[0].startswith("~") else f"/Common/{rest[0]}"
        return _parts(path, collection, at, rest[1:])
    raise unregistered(f"/tm/{path}")


def _parts(path: str, collection: str, at: str, rest: list[str]) -> Target:
    if not rest:
        return Target(collection, at)
    if rest[0] != RESOURCES[collection].sub or len(rest) > 2:
        raise unregistered(f"/tm/{path}")
    name = rest[1].replace("~", "/") if len(rest) > 1 else ""
    return Target(collection, at, rest[0], name)
