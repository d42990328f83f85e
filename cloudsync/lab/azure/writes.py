"""Writing resources: what comes before, the write itself, and the operation it begins."""

from __future__ import annotations

from dataclasses import replace as changed

from ..kit.faults import Json
from . import names, operations
from .errors import ArmError, Reply, bad
from .permissions import check_links, references
from .shapes import cleaned
from .turn import Turn, need, no, shown
from .world import Operation, Resource, Status, World


def region(text: str) -> str:
    """A location as it is stored: `West Europe` is `westeurope`."""
    return text.replace(" ", "").lower()


def before_write(turn: Turn, resource: Resource | None) -> None:
    """Refuse a write because of If-Match, a managed policy, or an operation that runs."""
    world = turn.world
    wanted = turn.call.headers.get("if-match")
    if wanted and world.switches.if_match == "honour" and wanted != "*" and (resource is None or resource.etag != wanted):
        held = "no resource" if resource is None else resource.etag
        text = f"Etag provided in if-match header {wanted} does not match etag {held} of resource {turn.path.text} in NRP data store."
        detail = {"code": "PreconditionFailedEtagMismatch", "message": text}
        raise ArmError(412, "PreconditionFailed", "Precondition failed.", details=[detail])
    if turn.call.headers.get("if-none-match") == "*" and resource is not None:
        raise ArmError(412, "PreconditionFailed", f"Precondition failed: resource {resource.id} exists already.")
    if resource is None:
        return
    refused = world.refusals.get(names.key(resource.id))
    if refused is not None and turn.principal is not None:
        raise ArmError(int(refused.get("status", 403)), str(refused["code"]), str(refused.get("message", refused["code"])))
    if resource.running is not None:
        _second_writer(turn, resource, world.operations[resource.running])


def _second_writer(turn: Turn, resource: Resource, running: Operation) -> None:
    match turn.world.switches.second_writer:
        case "conflict":
            text = (
                "Another operation on this or dependent resource is in progress. To retrieve status of the operation use uri: "
                f"{turn.base}/subscriptions/{running.subscription}/providers/Microsoft.Network/locations/{resource.location}/operations/"
                f"{running.operation_id}?api-version={turn.call.version}."
            )
            raise ArmError(409, "AnotherOperationInProgress", text)
        case "retryable":
            text = (
                f"Operation PutNetworkResourceOperation ({running.operation_id}) is updating resource {resource.id}. "
                "The call can be retried in 1 seconds."
            )
            detail = {"code": "RetryableErrorDueToAnotherOperation", "message": text}
            raise ArmError(429, "RetryableError", "A retryable error occurred.", details=[detail], headers={"Retry-After": "1"})
        case _:
            operations.supersede(turn.world, resource)


def check_references(turn: Turn, document: Json) -> None:
    """Refuse a write that refers to an NSG or a network on which an operation runs."""
    for wanted in references(document):
        found = turn.world.find(wanted.partition("/subnets/")[0])
        if found is not None and found.running is not None and names.key(found.id) != names.key(turn.path.text):
            text = (
                f"Cannot proceed with operation because resource {found.id} used by resource {turn.path.text} is not in Succeeded state. "
                f"Resource is in {found.state} state and the last operation that updated/is updating the resource is "
                f"PutNetworkResourceOperation."
            )
            detail = {"code": "ReferencedResourceNotProvisioned", "message": text}
            raise ArmError(429, "RetryableError", "A retryable error occurred.", details=[detail], headers={"Retry-After": "1"})


def put(turn: Turn) -> Reply:
    """Create a resource or replace it whole."""
    world, kind, path = turn.world, turn.kind, turn.path
    document = turn.call.document()
    strict = world.switches.read_only_fields == "refuse"
    head = {name: value for name, value in document.items() if name != "properties"}
    cleaned(
        kind.shape or "Resource", {name: value for name, value in head.items() if kind.shape or name in ("location", "tags")}, strict=strict
    )
    if path.group is None:
        return no(turn)
    old = world.find(path.text)
    if not document.get("location"):
        raise bad("LocationRequired", "The location property is required for this definition.")
    where = region(str(document["location"]))
    if old is not None and old.location != where:
        text = (
            f"The resource '{path.names[0]}' already exists in location '{old.location}' in resource group '{path.group}'. "
            "A resource with the "
            f"same name cannot be created in location '{where}'. Please select a new resource name."
        )
        raise ArmError(409, "InvalidResourceLocation", text)
    check_links(turn.principal, path, document)
    check_references(turn, document)
    before_write(turn, old)
    draft = Resource(path, where, dict(document.get("tags") or {}), hidden=dict(old.hidden) if old is not None else {})
    draft.hidden["tags_given"] = document.get("tags") is not None
    draft.extra = {name: value for name, value in head.items() if name in ("sku", "zones", "identity", "plan", "extendedLocation")}
    given = document.get("properties")
    _accept(turn, draft, {} if given is None else given, old)
    operation = commit(turn, draft, old)
    headers = operations.headers(world, operation, turn.asked, kind.put_wait if old is None else None)
    return Reply(200 if old is not None else 201, shown(turn, draft), headers)


def _accept(turn: Turn, draft: Resource, given: Json, old: Resource | None) -> None:
    """Let a kind take a request. Those without a table of fields find out themselves that something is not of the type they need."""
    try:
        turn.kind.accept(turn.world, draft, given, old)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        if turn.kind.shape:
            raise
        raise bad("InvalidParameter", "The request content was invalid.") from None


def commit(turn: Turn, draft: Resource, old: Resource | None) -> Operation:
    """Put the new state of a resource in place and begin its operation."""
    world = turn.world
    draft.etag = world.etag()
    if old is not None:
        draft.before = changed(old, before=None)
        draft.settled, draft.settled_at = old.settled, old.settled_at
        if world.find(old.id) is old:
            draft.running = old.running
    world.add(draft)
    operation = operations.begin(world, draft, draft.properties, turn.faults)
    if turn.kind.long:
        draft.state = "Creating" if turn.kind.provider == names.COMPUTE and old is None else "Updating"
    else:
        operation.status, draft.running = Status.SUCCEEDED, None
        draft.settled, draft.state = draft.properties, "Succeeded"
    _touch_groups(world, draft, old)
    return operation


def _touch_groups(world: World, draft: Resource, old: Resource | None) -> None:
    """A network whose subnets carry other NSGs than before gives those a new ETag."""
    if draft.path.types != ("virtualNetworks",):
        return
    before = _carried(old) if old is not None else {}
    now = _carried(draft)
    for subnet in {**before, **now}:
        if before.get(subnet) != now.get(subnet):
            for group in (before.get(subnet), now.get(subnet)):
                if group is not None:
                    world.touch(group)


def _carried(vnet: Resource) -> dict[str, str]:
    return {
        each["name"]: each["properties"]["networkSecurityGroup"]["id"]
        for each in vnet.properties.get("subnets", ())
        if "networkSecurityGroup" in each["properties"]
    }


def patch(turn: Turn) -> Reply:
    """Replace the tags."""
    resource = need(turn, turn.path)
    before_write(turn, resource)
    tags = turn.call.document().get("tags")
    if not isinstance(tags, dict) or not all(isinstance(each, str) for each in tags.values()):
        raise bad("InvalidRequestFormat", "Cannot parse the request.", {"code": "InvalidJson", "message": "tags must map names to texts."})
    resource.before = changed(resource, before=None)
    resource.tags = dict(tags)
    resource.hidden["tags_given"] = True
    resource.etag = turn.world.etag()
    return Reply(200, shown(turn, resource))


def delete(turn: Turn) -> Reply:
    """Begin to remove a resource; 204 when there is none."""
    world = turn.world
    resource = world.find(turn.path.text)
    if resource is None:
        return Reply(204)
    before_write(turn, resource)
    turn.kind.check_delete(world, resource)
    resource.state = "Deleting"
    operation = operations.begin(world, resource, None, turn.faults)
    carried = resource.properties.get("networkSecurityGroup") if resource.path.types == ("networkInterfaces",) else None
    if carried:
        world.touch(carried["id"])
    if not turn.kind.long:
        operations.end(world, operation)
    return Reply(202, None, operations.headers(world, operation, turn.asked, "10", result=True))
