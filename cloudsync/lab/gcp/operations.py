"""Operations: accepted, running, done; how they are asked for, waited for, repeated, lost and stuck."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..kit.faults import Kind
from .call import Call
from .links import PUBLIC, Link
from .listing import Aggregate, aggregated, page_of
from .refusal import ComputeError, Extra, invalid, not_found, not_ready
from .world import REGIONS, ZONES, Object, Operation, Project

_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_ZERO = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Change:
    """A change to be made when the operation is done."""

    kind: str
    """insert, patch, update, delete, setTags..."""
    link: Link
    target_id: str
    effect: Callable[[], None]


def repeated(call: Call) -> Object | None:
    """Return the operation that this requestId began before, or None. A malformed id is refused."""
    wanted = call.query.get("requestId")
    if wanted is None:
        return None
    if not _UUID.fullmatch(wanted) or wanted == _ZERO:
        raise invalid("requestId", wanted, "Must be a valid UUID that is not the zero UUID.")
    settings, known = call.world.settings, call.project.requests
    found = known.get(wanted)
    if found is None or call.world.clock.now() - found[0] > settings.request_id_retention_s:
        return None
    if "error" in found[1].body and settings.failed_request_id == "forget":
        return None
    call.entry.notes["repeated"] = True
    return found[1].body


def running_on(project: Project, target: str) -> Operation | None:
    """Return the operation that is changing a resource just now."""
    return next((one for one in project.running.values() if one.target == target), None)


def ready(call: Call, link: Link) -> None:
    """Refuse a change of a resource that another operation is changing."""
    if running_on(call.project, link.path):
        raise not_ready(link.path)


def begin(call: Call, change: Change) -> Object:
    """Accept a change; return the operation as its caller sees it."""
    world, settings = call.world, call.world.settings
    running = len(call.project.running)
    if settings.concurrent_operations and running >= settings.concurrent_operations:
        raise _too_many(call.project.number)
    now, place = world.clock.now(), change.link.place
    serial = world.new_id()
    name = f"operation-{serial[:13]}-{serial[5:18]}"
    path = f"projects/{call.project.name}/{place}/operations/{name}"
    body: Object = {
        "kind": "compute#operation",
        "id": world.new_id(),
        "name": name,
        "operationType": change.kind,
        "targetLink": change.link.url,
        "targetId": change.target_id,
        "status": "PENDING" if settings.operation_pending_s > 0 else "RUNNING",
        "user": call.principal.email,
        "progress": 0,
        "insertTime": world.stamp(),
        "startTime": world.stamp(),
        "selfLink": PUBLIC + path,
    }
    if place != "global":
        word = place.partition("s/")[0]
        body[word] = f"{PUBLIC}projects/{call.project.name}/{place}"
    due = now + settings.operation_latency_s
    operation = Operation(body, path, change.link.path, due, call.entry, change.effect, now + settings.operation_pending_s)
    _spoil(call, operation)
    call.project.operations[name] = call.project.running[name] = operation
    if "requestId" in call.query:
        call.project.requests[call.query["requestId"]] = (now, operation)
    call.entry.notes |= {"operation": name, "marks": call.body.get("description")}
    return body


def _too_many(number: str) -> ComputeError:
    details = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED",
        "domain": "compute.googleapis.com",
        "metadata": {"consumer": f"projects/{number}"},
    }
    text = "Quota exceeded for the number of concurrent operations of this project."
    return ComputeError(403, "rateLimitExceeded", text, Extra("usageLimits", "PERMISSION_DENIED", (details,)))


def _spoil(call: Call, operation: Operation) -> None:
    """Obey the faults that are inside the operation."""
    stuck, lost, broken = (call.fault(kind) for kind in (Kind.OPERATION_STUCK, Kind.OPERATION_LOST, Kind.OPERATION_FAILED))
    if stuck is not None:
        operation.stuck = True
        if stuck.options.get("applied"):
            call.world.later(0.0, lambda: call.world.apply(operation))
    if lost is not None:
        operation.lost = True
        if not lost.options.get("applied", True):
            operation.effect = None
    if broken is not None:
        code = str(broken.options.get("code", "INTERNAL_ERROR"))
        text = str(
            broken.options.get("message", f"Internal error. Please try again or contact Google Support. (Code: '{operation.body['id']}')")
        )
        failure: Object = {"error": {"errors": [{"code": code, "message": text}]}}
        if broken.options.get("http_fields", True):
            failure |= {
                "httpErrorStatusCode": int(broken.options.get("status", 500)),
                "httpErrorMessage": str(broken.options.get("http_message", "INTERNAL SERVER ERROR")),
            }
        operation.failure = failure


def _shown(call: Call, operation: Operation) -> Object:
    now = call.world.clock.now()
    if not operation.done and operation.body["status"] == "PENDING" and now >= operation.running_from:
        operation.body = {**operation.body, "status": "RUNNING"}
    return operation.body


def _found(call: Call) -> Operation:
    place = call.link("operations", call.path["operation"])
    operation = call.project.operations.get(place.name)
    forgotten = call.world.clock.now() - call.world.settings.operation_retention_s
    if operation is None or operation.lost or operation.path != place.path or (operation.done_at or forgotten) < forgotten:
        raise not_found(place.path)
    return operation


def get(call: Call) -> Object:
    """Answer {global,zone,region}Operations.get and .wait; the waiting itself is done before the call is carried out."""
    return _shown(call, _found(call))


def seconds_to_wait(operations: Iterable[Operation], name: str, now: float) -> float | None:
    """How long `wait` would wait for an operation: None when it would not, infinity for one that is stuck."""
    found = next((one for one in operations if one.body["name"] == name), None)
    if found is None or found.lost or found.done:
        return None
    return float("inf") if found.stuck else max(0.0, found.due - now)


_SCOPES = Aggregate(
    "compute#operationAggregatedList",
    "operations",
    ("global", *(f"regions/{one}" for one in REGIONS), *(f"zones/{one}" for one in ZONES)),
    lambda row: row["selfLink"].removeprefix(PUBLIC).partition("/operations/")[0].partition("/")[2].partition("/")[2],
)


def aggregated_list(call: Call) -> Object:
    """Answer globalOperations.aggregatedList."""
    return aggregated(call, _SCOPES, {name: _shown(call, one) for name, one in call.project.operations.items() if not one.lost})


def list_all(call: Call) -> Object:
    """Answer {global,zone,region}Operations.list."""
    place = call.link("operations", "x").path.removesuffix("/x")
    rows = {name: _shown(call, one) for name, one in call.project.operations.items() if one.path.startswith(f"{place}/") and not one.lost}
    return page_of(call, "compute#operationList", place, rows)
