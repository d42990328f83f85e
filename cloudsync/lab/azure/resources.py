"""Calls on resources: to the handler of each, and reading."""

from __future__ import annotations

from ..kit.faults import Kind
from . import effective, machines, operations
from .children import child_call
from .errors import ArmError, Reply
from .listing import offset, page, paged
from .names import Path
from .turn import Turn, need, no, no_type, shown
from .world import Resource
from .writes import delete, patch, put


def handle(turn: Turn) -> Reply:
    """Carry a call on a resource, a child or a collection out."""
    path, method = turn.path, turn.call.method
    if path.types[0] == "virtualMachineScaleSets" and len(path.types) > 1:
        return scale_set(turn)
    if len(path.types) == 1:
        if path.is_collection:
            return _list(turn) if method == "GET" else no(turn)
        match method:
            case "GET" | "HEAD":
                return _get(turn)
            case "PUT":
                return put(turn)
            case "DELETE":
                return delete(turn)
            case "PATCH":
                return patch(turn)
        return no(turn)
    if turn.kind.word == "virtualMachines" and method == "POST" and len(path.names) == 1:
        return machines.power(turn.world, need(turn, path.parent), path.types[1])
    if turn.kind.word == "virtualMachines" and method == "GET" and path.types[1].lower() == "instanceview":
        return Reply(200, machines.instance_view(need(turn, path.parent)))
    if turn.kind.word == "networkInterfaces" and method == "POST" and path.types[1].lower() == effective.ACTION.lower():
        return effective.groups(turn.world, need(turn, path.parent))
    if turn.child is None or len(path.types) > 2:
        raise no_type(path, turn.call)
    return child_call(turn, turn.child)


def _get(turn: Turn) -> Reply:
    resource = need(turn, turn.path)
    operations.look(turn.world, resource)
    found = turn.world.find(turn.path.text)
    if found is None:
        return _gone(turn)
    if turn.fires(Kind.STALE) and found.before is not None:
        found = found.before
    document = shown(turn, found)
    if turn.kind.word == "virtualMachines" and "instanceview" in turn.call.query.get("$expand", "").lower():
        document["properties"]["instanceView"] = machines.instance_view(found)
    return Reply(200, document, {"ETag": found.etag})


def _gone(turn: Turn) -> Reply:
    need(turn, turn.path)
    return Reply(404)


def _list(turn: Turn) -> Reply:
    world, path = turn.world, turn.path
    for each in list(world.of_kind(turn.kind.name, path.subscription, path.group)):
        operations.look(world, each)
    found = list(world.of_kind(turn.kind.name, path.subscription, path.group))
    if turn.fires(Kind.STALE):
        found = [each.before or each for each in found]
    documents = [shown(turn, each) for each in _slice(turn, found)]
    if turn.kind.word == "virtualMachines" and turn.call.query.get("statusonly", "").lower() == "true":
        for each, document in zip(_slice(turn, found), documents, strict=True):
            document["properties"]["instanceView"] = machines.instance_view(each)
    return paged(turn.listing, documents, len(found))


def _slice(turn: Turn, found: list[Resource]) -> list[Resource]:
    first = offset(turn.call)
    return found[first : first + turn.world.switches.page_size]


def scale_set(turn: Turn) -> Reply:
    """Machines of a scale set; interfaces of it, or of one of its machines."""
    path = turn.path
    if turn.call.method != "GET" or path.types[-1] not in ("networkInterfaces", "virtualMachines"):
        return no(turn)
    top = need(turn, Path(path.subscription, path.group, path.provider, path.types[:1], path.names[:1]))
    if path.types[-1] == "virtualMachines":
        instances = machines.instances(turn.world, top)
        if path.is_collection:
            return page(turn.listing, instances)
        one = next((each for each in instances if each["instanceId"] == path.names[1]), None)
        if one is None:
            raise ArmError(404, "NotFound", f"Resource {path.text} not found.")
        return Reply(200, one)
    found = machines.instance_nics(turn.world, top)
    if len(path.types) == 3 and len(path.names) >= 2:
        found = [each for each in found if each.path.names[1] == path.names[1]]
    if len(path.names) == 3:
        nic = next((each for each in found if each.path.names[2].lower() == path.names[2].lower()), None)
        if nic is None:
            raise ArmError(404, "NotFound", f"Resource {path.text} not found.")
        return Reply(200, shown(turn, nic), {"ETag": nic.etag})
    return page(turn.listing, [shown(turn, each) for each in found])
