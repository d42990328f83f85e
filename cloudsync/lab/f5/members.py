"""Members of pools, and the nodes they make."""

from __future__ import annotations

from collections.abc import Callable

from ..kit.faults import Json
from . import words
from .config import Config, Object
from .refusal import bad_property, exists, not_found
from .schema import MEMBER, NODE
from .settings import Settings
from .values import camel, read

Members = tuple[Object, ...]


def address_paths(value: Json) -> list[str]:
    """Read the addresses of a SNAT pool."""
    return [address_path(each) for each in (value if isinstance(value, list) else [value])]


def address_path(text: Json) -> str:
    """`10.60.2.9` or `/Common/10.60.2.9` -> `/Common/10.60.2.9`. 400 for what is no address."""
    head, _, bare = str(text).rpartition("/")
    try:
        return f"{head or '/Common'}/{words.entry(bare).text}"
    except ValueError:
        raise bad_property("members", str(text)) from None


def add(held: Members, given: dict[str, Json], settings: Settings, partition: str) -> Members:
    """Return the members with one more."""
    made = _made(given, settings, partition)
    if any(each["name"] == made["name"] for each in held):
        raise exists("Pool Member", made["name"], partition)
    return (*held, made)


def change(held: Members, name: str, given: dict[str, Json], settings: Settings) -> Members:
    """Return the members with one changed."""
    at = _index(held, name)
    fresh = {key: value for key, value in read(MEMBER, given, settings, "Common").items() if key != "address"}
    return (*held[:at], {key: value for key, value in {**held[at], **fresh}.items() if value is not None}, *held[at + 1 :])


def remove(held: Members, name: str) -> Members:
    """Return the members without one."""
    at = _index(held, name)
    return (*held[:at], *held[at + 1 :])


def nested(bodies: Json, settings: Settings, partition: str) -> Members:
    """Return the members that an array of them says: all of them, whatever was there before."""
    held: Members = ()
    for body in bodies if isinstance(bodies, list) else [bodies]:
        held = add(held, camel(body) if isinstance(body, dict) else {"name": str(body)}, settings, partition)
    return held


def _made(given: dict[str, Json], settings: Settings, partition: str) -> Object:
    name = str(given.get("name", ""))
    head, _, bare = name.rpartition("/")
    try:
        found = words.member(bare)
    except ValueError:
        raise bad_property("members", name) from None
    own = head.strip("/") or str(given.get("partition") or partition)
    sent = {key: value for key, value in read(MEMBER, given, settings, partition).items() if value is not None}
    return {"name": bare, "partition": own, **sent, "address": sent.get("address", found.host)}


def _index(held: Members, name: str) -> int:
    bare = name.rpartition("/")[2]
    for number, each in enumerate(held):
        if each["name"] == bare:
            return number
    raise not_found("Pool Member", name)


def make_nodes(draft: Config, held: Members, generation: Callable[[], int]) -> None:
    """Every address of a member is a node."""
    for each in held:
        path = f"/{each['partition']}/{each['address']}"
        if path not in draft.objects[NODE]:
            draft.objects[NODE][path] = {
                "name": each["address"],
                "partition": each["partition"],
                "address": each["address"],
                "ephemeral": "false",
                "generation": generation(),
            }
