"""Long-running operations: begun by a write, ended by looks at them and by time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ..kit.faults import Fault, Json, Kind
from . import flows, names
from .errors import ArmError, Reply
from .names import Path
from .world import Operation, Resource, Status, World


@dataclass(frozen=True, slots=True)
class Asked:
    """How a client asked: at which origin, in which api-version."""

    base: str
    version: str


def begin(world: World, resource: Resource, goal: Json, faults: tuple[Fault, ...]) -> Operation:
    """Start an operation on a resource that has its new state already."""
    switches = world.switches
    operation = Operation(
        world.guid(),
        resource.path.subscription,
        resource.path.provider or names.NETWORK,
        resource.location,
        names.key(resource.id),
        world.clock.now(),
        switches.operation_polls,
        switches.operation_seconds,
        goal,
    )
    for fault in faults:
        match fault.kind:
            case Kind.OPERATION_STUCK:
                operation.stuck = True
                if fault.options.get("applies"):
                    resource.settled, resource.settled_at = goal, world.clock.now()
            case Kind.OPERATION_LOST:
                operation.lost = True
            case Kind.OPERATION_FAILED:
                code = str(fault.options.get("code", "InternalServerError"))
                message = str(fault.options.get("message", "An error occurred."))
                operation.fails_with = {"code": code, "message": message, "details": []}
            case _:
                pass
    world.operations[operation.operation_id] = operation
    world.running.add(operation.operation_id)
    resource.running = operation.operation_id
    return operation


def headers(world: World, operation: Operation, asked: Asked, wait: str | None, *, result: bool = False) -> dict[str, str]:
    """The headers of an answer that starts an operation. `result`: with the URL of its result, as after a DELETE."""
    origin = world.switches.operation_base or asked.base
    where = f"{origin}/subscriptions/{operation.subscription}/providers/{operation.provider}/locations/{operation.location}"
    found = {"Azure-AsyncOperation": f"{where}/operations/{operation.operation_id}?api-version={asked.version}"}
    if result:
        found["Location"] = f"{where}/operationResults/{operation.operation_id}?api-version={asked.version}"
    return found | retry_after(world, wait)


def retry_after(world: World, recorded: str | None) -> dict[str, str]:
    """The header Retry-After as the switch says."""
    match world.switches.retry_after:
        case "none":
            return {}
        case "recorded":
            return {} if recorded is None else {"Retry-After": recorded}
        case seconds:
            return {"Retry-After": seconds}


def look(world: World, resource: Resource) -> None:
    """Somebody reads a resource; what runs on it comes nearer to its end."""
    if resource.running is not None:
        operation = world.operations[resource.running]
        operation.looks += 1
        _maybe_end(world, operation)


def settle(world: World) -> None:
    """End what has run for longer than anything may."""
    for operation in _running(world):
        if world.clock.now() >= operation.started + world.switches.operation_limit_s and not operation.stuck:
            end(world, operation)


def _running(world: World) -> list[Operation]:
    """The operations that run, in the order they began; those that have ended are forgotten on the way."""
    if not world.running:
        return []
    found = [each for name, each in world.operations.items() if name in world.running]
    world.running = {each.operation_id for each in found if each.status is Status.RUNNING}
    return [each for each in found if each.status is Status.RUNNING]


def finish_all(world: World, *, but: Collection[str] = (), stuck: bool = False) -> None:
    """End everything now, except the operations of these ids, and what is stuck unless that is meant too."""
    for operation in _running(world):
        if operation.operation_id not in but and (stuck or not operation.stuck):
            end(world, operation)


def _maybe_end(world: World, operation: Operation) -> None:
    waited = world.clock.now() >= operation.started + operation.seconds
    if operation.status is Status.RUNNING and not operation.stuck and waited and operation.looks > operation.polls:
        end(world, operation)


def end(world: World, operation: Operation) -> None:
    """Carry an operation's goal out, or its failure."""
    resource = world.resources.get(operation.target)
    if resource is not None:
        resource.running = None
    if operation.fails_with is not None:
        operation.status, operation.error = Status.FAILED, operation.fails_with
        if resource is not None:
            resource.state = "Failed"
            if world.switches.failed_keeps == "old" and resource.settled is not None:
                resource.properties = resource.settled
                world.version += 1
            resource.etag = world.etag()
        return
    operation.status = Status.SUCCEEDED
    if resource is None:
        return
    if operation.goal is None:
        world.remove(resource)
        return
    resource.properties = operation.goal
    resource.state = "Succeeded"
    resource.etag = world.etag()
    world.older[operation.target] = resource.settled
    resource.settled, resource.settled_at = operation.goal, world.clock.now()
    world.version += 1
    flows.recheck(world, resource)


def supersede(world: World, resource: Resource) -> None:
    """A newer write takes the place of the running one."""
    if resource.running is not None:
        operation = world.operations[resource.running]
        operation.status = Status.CANCELED
        message = f"Operation was canceled. It was superseded by another operation on {resource.id}."
        operation.error = {
            "code": "Canceled",
            "message": message,
            "details": [{"code": "CanceledAndSupersededDueToAnotherOperation", "message": message}],
        }
        resource.running = None


def poll(world: World, path: Path) -> Reply:
    """Answer a look at an operation or at its result."""
    operation = world.operations.get(path.names[-1])
    if operation is None or operation.lost or operation.subscription.lower() != path.subscription.lower():
        raise ArmError(404, "OperationNotFound", f"The operation '{path.names[-1]}' was not found.")
    operation.looks += 1
    _maybe_end(world, operation)
    result = path.types[-1] == "operationResults"
    if operation.status is Status.RUNNING:
        wait = retry_after(world, "10")
        return Reply(202, None, wait) if result else Reply(200, {"status": "InProgress"}, wait)
    if result:
        return Reply(204)
    document: Json = {"status": operation.status.value}
    if operation.error is not None:
        document["error"] = operation.error
    return Reply(200, document)
