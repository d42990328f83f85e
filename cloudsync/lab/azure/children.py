"""Reading and writing what lives inside a resource: security rules, subnets, peerings."""

from __future__ import annotations

from ..kit.faults import Json, Kind
from . import operations
from .errors import ArmError, Reply
from .kinds import Child
from .listing import page
from .networks import accept_vnet, check_subnet_free
from .nsg import accept_nsg
from .permissions import check_links
from .shapes import cleaned
from .turn import Turn, need, no, shown
from .world import Resource, World
from .writes import before_write, check_references, commit


def child_call(turn: Turn, child: Child) -> Reply:
    """Carry a call on a child or a collection of children out."""
    parent = need(turn, turn.path.parent)
    method = turn.call.method
    if method in ("GET", "HEAD"):
        return _child_read(turn, parent, child)
    if turn.path.is_collection or child.word in ("defaultSecurityRules", "ipConfigurations"):
        return no(turn)
    if method == "PUT":
        return _child_put(turn, parent, child)
    return _child_delete(turn, parent, child) if method == "DELETE" else no(turn)


def _child_read(turn: Turn, parent: Resource, child: Child) -> Reply:
    operations.look(turn.world, parent)
    if turn.fires(Kind.STALE) and parent.before is not None:
        parent = parent.before
    items = shown(turn, parent)["properties"][child.word]
    if turn.path.is_collection:
        return page(turn.listing, items)
    found = next((each for each in items if each["name"].lower() == turn.path.names[1].lower()), None)
    if found is None:
        raise ArmError(404, "NotFound", f"Resource {turn.path.text} not found.")
    return Reply(200, found, {"ETag": parent.etag})


def _child_put(turn: Turn, parent: Resource, child: Child) -> Reply:
    world = turn.world
    document = turn.call.document()
    check_links(turn.principal, turn.path, document)
    check_references(turn, document)
    items = parent.properties.get(child.word, [])
    place = next((number for number, each in enumerate(items) if each["name"].lower() == turn.path.names[1].lower()), None)
    before_write(turn, parent)
    name = items[place]["name"] if place is not None else turn.path.names[1]
    cleaned(child.singular, {**document, "name": name}, strict=world.switches.read_only_fields == "refuse")
    item = {"name": name, "properties": document.get("properties") or {}}
    kept = [*items, item] if place is None else [*items[:place], item, *items[place + 1 :]]
    draft = _changed_parent(parent)
    _accept_child(world, draft, {**parent.properties, child.word: kept}, parent, name)
    operation = commit(turn, draft, parent)
    answer = next(each for each in shown(turn, draft)["properties"][child.word] if each["name"] == name)
    headers = operations.headers(world, operation, turn.asked, child.long_wait)
    return Reply(201 if place is None else 200, answer, headers)


def _changed_parent(parent: Resource) -> Resource:
    return Resource(parent.path, parent.location, dict(parent.tags), extra=parent.extra, hidden=dict(parent.hidden))


def _accept_child(world: World, draft: Resource, properties: Json, old: Resource, fresh: str) -> None:
    if draft.path.types == ("networkSecurityGroups",):
        accept_nsg(world, draft, properties, old, fresh)
    else:
        accept_vnet(world, draft, properties, old, fresh)


def _child_delete(turn: Turn, parent: Resource, child: Child) -> Reply:
    world = turn.world
    items = parent.properties.get(child.word, [])
    kept = [each for each in items if each["name"].lower() != turn.path.names[1].lower()]
    if len(kept) == len(items):
        return Reply(204)
    before_write(turn, parent)
    if child.word == "subnets":
        check_subnet_free(world, turn.path.text)
    draft = _changed_parent(parent)
    draft.properties = {**parent.properties, child.word: kept}
    operation = commit(turn, draft, parent)
    return Reply(202, None, operations.headers(world, operation, turn.asked, "10", result=True))
