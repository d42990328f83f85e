"""Reading and writing resources and the children inside them: the same for every kind."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from dataclasses import replace as changed

from ..kit.faults import Fault, Json, Kind
from . import effective, machines, names, operations
from .calls import Call
from .errors import ArmError, Reply, bad
from .identity import Principal
from .kinds import CHILDREN, KINDS, Child
from .kinds import Kind as ResourceKind
from .names import Path
from .networks import accept_vnet, check_subnet_free
from .nsg import accept_nsg
from .permissions import check_links
from .shapes import cleaned
from .world import Operation, Resource, Status, World


@dataclass(frozen=True, slots=True)
class Listing:
    """A call on a collection."""

    world: World
    call: Call
    faults: tuple[Fault, ...]
    base: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One call on a resource, with all that its handler needs."""

    world: World
    call: Call
    path: Path
    principal: Principal | None
    faults: tuple[Fault, ...]
    base: str

    @property
    def kind(self) -> ResourceKind:
        """The kind of the top-level resource."""
        return KINDS[f"{self.path.provider}/{self.path.types[0]}"]

    @property
    def child(self) -> Child | None:
        """The kind inside it that is meant."""
        return CHILDREN.get((self.kind.name, self.path.types[1])) if len(self.path.types) > 1 else None

    @property
    def asked(self) -> operations.Asked:
        """For the URLs in the answer."""
        return operations.Asked(self.base, self.call.version)

    @property
    def listing(self) -> Listing:
        """For lists."""
        return Listing(self.world, self.call, self.faults, self.base)

    def fires(self, kind: Kind) -> Fault | None:
        """The fault of a kind that fires on this call."""
        return next((fault for fault in self.faults if fault.kind is kind), None)


def region(text: str) -> str:
    """A location as it is stored: `West Europe` is `westeurope`."""
    return text.replace(" ", "").lower()


def handle(turn: Turn) -> Reply:
    """Carry a call on a resource, a child or a collection out."""
    path, method = turn.path, turn.call.method
    if path.types[0] == "virtualMachineScaleSets" and len(path.types) > 1:
        return _scale_set(turn)
    if len(path.types) == 1:
        if path.is_collection:
            return _list(turn) if method == "GET" else _no(turn)
        match method:
            case "GET" | "HEAD":
                return _get(turn)
            case "PUT":
                return _put(turn)
            case "DELETE":
                return _delete(turn)
            case "PATCH":
                return _patch(turn)
        return _no(turn)
    if turn.kind.word == "virtualMachines" and method == "POST" and len(path.names) == 1:
        return machines.power(turn.world, _need(turn, path.parent), path.types[1])
    if turn.kind.word == "virtualMachines" and method == "GET" and path.types[1].lower() == "instanceview":
        return Reply(200, machines.instance_view(_need(turn, path.parent)))
    if turn.kind.word == "networkInterfaces" and method == "POST" and path.types[1].lower() == effective.ACTION.lower():
        return effective.groups(turn.world, _need(turn, path.parent))
    if turn.child is None or len(path.types) > 2:
        raise no_type(path, turn.call)
    return _child(turn, turn.child)


def _no(turn: Turn) -> Reply:
    raise ArmError(405, "MethodNotAllowed", f"The method {turn.call.method} is not allowed at {turn.call.raw_path}.")


def no_type(path: Path, call: Call) -> ArmError:
    """Return the refusal of a kind that is not served."""
    text = (
        f"The resource type could not be found in the namespace '{path.provider or 'Microsoft.Resources'}' for api version "
        f"'{call.version}'."
    )
    return ArmError(404, "InvalidResourceType", text)


def _need(turn: Turn, path: Path) -> Resource:
    found = turn.world.find(path.text)
    if found is None:
        what = f"{path.type_name}/{path.names[0]}"
        text = f"The Resource '{what}' under resource group '{path.group}' was not found."
        raise ArmError(404, "ResourceNotFound", text)
    return found


# --- documents --------------------------------------------------------------------------------------------------------


def shown(turn: Turn, resource: Resource) -> Json:
    """A resource as an answer holds it."""
    return document_of(turn.world, resource, turn.call.version)


def document_of(world: World, resource: Resource, version: str) -> Json:
    """A resource as an answer of a version holds it."""
    kind = KINDS.get(resource.kind) or KINDS["Microsoft.Network/networkInterfaces"]
    found: Json = {"name": resource.path.names[-1], "id": resource.id}
    if kind.provider == names.NETWORK:
        found["etag"] = resource.etag
    found |= {"type": resource.kind, "location": resource.location}
    if resource.tags or resource.hidden.get("tags_given"):
        found["tags"] = resource.tags
    return {**found, **resource.extra, "properties": kind.show(world, resource, version)}


def _get(turn: Turn) -> Reply:
    resource = _need(turn, turn.path)
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
    _need(turn, turn.path)
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
    return _paged(turn.listing, documents, len(found))


def _slice(turn: Turn, found: list[Resource]) -> list[Resource]:
    first = _offset(turn.call)
    return found[first : first + turn.world.switches.page_size]


# --- pages ------------------------------------------------------------------------------------------------------------


def page(listing: Listing, documents: list[Json]) -> Reply:
    """One page of a list that is at hand whole."""
    first = _offset(listing.call)
    return _paged(listing, documents[first : first + listing.world.switches.page_size], len(documents))


def _offset(call: Call) -> int:
    text = call.query.get("$skiptoken", "")
    if not text:
        return 0
    try:
        return int(base64.urlsafe_b64decode(text.encode()).decode().removeprefix("next:"))
    except (ValueError, binascii.Error):
        raise bad("InvalidSkipToken", f"The skip token '{text}' is invalid.") from None


def page_number(world: World, call: Call) -> int:
    """Which page a call asks for, from 1 on."""
    try:
        return _offset(call) // max(1, world.switches.page_size) + 1
    except ArmError:
        return 1


def _paged(listing: Listing, documents: list[Json], total: int) -> Reply:
    world, call = listing.world, listing.call
    first, size = _offset(call), world.switches.page_size
    following = first + size if first + size < total else None
    kinds = {fault.kind for fault in listing.faults}
    if Kind.PAGE_LOST in kinds:
        documents = []
    if Kind.TOKEN_LOST in kinds:
        following = None
    if Kind.PAGE_REPEATED in kinds and following is None:
        following = 0
    if Kind.TOKEN_REPEATED in kinds:
        following = first
    answer: Json = {"value": documents}
    if following is not None:
        token = base64.urlsafe_b64encode(f"next:{following}".encode()).decode()
        origin = world.switches.next_link_base or listing.base
        answer["nextLink"] = f"{origin}{call.raw_path}?api-version={call.version}&$skiptoken={token}"
    return Reply(200, answer)


# --- writes -----------------------------------------------------------------------------------------------------------


def _before_write(turn: Turn, resource: Resource | None) -> None:
    """Refuse a write because of If-Match, a managed policy, or an operation that runs."""
    world = turn.world
    wanted = turn.call.headers.get("if-match")
    if wanted and world.switches.if_match == "honour" and wanted != "*" and (resource is None or resource.etag != wanted):
        held = "no resource" if resource is None else resource.etag
        text = (
            f"Precondition failed: etag mismatch. Etag provided in if-match header {wanted} does not match etag {held} of resource "
            f"{turn.path.text} in NRP data store."
        )
        raise ArmError(412, "PreconditionFailed", text)
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


def _put(turn: Turn) -> Reply:
    world, kind, path = turn.world, turn.kind, turn.path
    document = turn.call.document()
    strict = world.switches.read_only_fields == "refuse"
    head = {name: value for name, value in document.items() if name != "properties"}
    cleaned(
        kind.shape or "Resource", {name: value for name, value in head.items() if kind.shape or name in ("location", "tags")}, strict=strict
    )
    if path.group is None:
        return _no(turn)
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
    _before_write(turn, old)
    draft = Resource(path, where, dict(document.get("tags") or {}), hidden=dict(old.hidden) if old is not None else {})
    draft.hidden["tags_given"] = document.get("tags") is not None
    draft.extra = {name: value for name, value in head.items() if name in ("sku", "zones", "identity", "plan", "extendedLocation")}
    given = document.get("properties")
    _accept(turn, draft, {} if given is None else given, old)
    operation = _commit(turn, draft, old)
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


def _commit(turn: Turn, draft: Resource, old: Resource | None) -> Operation:
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


def _patch(turn: Turn) -> Reply:
    resource = _need(turn, turn.path)
    _before_write(turn, resource)
    tags = turn.call.document().get("tags")
    if not isinstance(tags, dict) or not all(isinstance(each, str) for each in tags.values()):
        raise bad("InvalidRequestFormat", "Cannot parse the request.", {"code": "InvalidJson", "message": "tags must map names to texts."})
    resource.before = changed(resource, before=None)
    resource.tags = dict(tags)
    resource.hidden["tags_given"] = True
    resource.etag = turn.world.etag()
    return Reply(200, shown(turn, resource))


def _delete(turn: Turn) -> Reply:
    world = turn.world
    resource = world.find(turn.path.text)
    if resource is None:
        return Reply(204)
    _before_write(turn, resource)
    turn.kind.check_delete(world, resource)
    resource.state = "Deleting"
    operation = operations.begin(world, resource, None, turn.faults)
    carried = resource.properties.get("networkSecurityGroup") if resource.path.types == ("networkInterfaces",) else None
    if carried:
        world.touch(carried["id"])
    if not turn.kind.long:
        operations.end(world, operation)
    return Reply(202, None, operations.headers(world, operation, turn.asked, "10", result=True))


# --- children ---------------------------------------------------------------------------------------------------------


def _child(turn: Turn, child: Child) -> Reply:
    parent = _need(turn, turn.path.parent)
    method = turn.call.method
    if method in ("GET", "HEAD"):
        return _child_read(turn, parent, child)
    if turn.path.is_collection or child.word in ("defaultSecurityRules", "ipConfigurations"):
        return _no(turn)
    if method == "PUT":
        return _child_put(turn, parent, child)
    return _child_delete(turn, parent, child) if method == "DELETE" else _no(turn)


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
    items = parent.properties.get(child.word, [])
    place = next((number for number, each in enumerate(items) if each["name"].lower() == turn.path.names[1].lower()), None)
    _before_write(turn, parent)
    name = items[place]["name"] if place is not None else turn.path.names[1]
    cleaned(child.singular, {**document, "name": name}, strict=world.switches.read_only_fields == "refuse")
    item = {"name": name, "properties": document.get("properties") or {}}
    kept = [*items, item] if place is None else [*items[:place], item, *items[place + 1 :]]
    draft = _changed_parent(parent)
    _accept_child(world, draft, {**parent.properties, child.word: kept}, parent, name)
    operation = _commit(turn, draft, parent)
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
    _before_write(turn, parent)
    if child.word == "subnets":
        check_subnet_free(world, turn.path.text)
    draft = _changed_parent(parent)
    draft.properties = {**parent.properties, child.word: kept}
    operation = _commit(turn, draft, parent)
    return Reply(202, None, operations.headers(world, operation, turn.asked, "10", result=True))


# --- scale sets -------------------------------------------------------------------------------------------------------


def _scale_set(turn: Turn) -> Reply:
    """Machines of a scale set; interfaces of it, or of one of its machines."""
    path = turn.path
    if turn.call.method != "GET" or path.types[-1] not in ("networkInterfaces", "virtualMachines"):
        return _no(turn)
    top = _need(turn, Path(path.subscription, path.group, path.provider, path.types[:1], path.names[:1]))
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
