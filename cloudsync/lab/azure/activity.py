"""The Activity Log of a subscription: one event for each write that was accepted, and the list of them.

Events are there at once; the real log is minutes late and has one more for the begin of a write and for one that was refused.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from urllib.parse import quote

from ..kit.faults import Json
from .calls import Call
from .errors import ArmError, Reply, bad
from .identity import Principal
from .listing import Listing, page
from .names import Path
from .permissions import action_of
from .world import Status, World

ADMINISTRATOR = "admin@lab.example"
_TERM = re.compile(r"(?P<field>\w+) (?P<op>ge|le|eq) '?(?P<value>[^']+)'?")
_FIELDS = {"resourcegroupname": "resourceGroupName", "resourceuri": "resourceId", "correlationid": "correlationId"}
_STATUS = {Status.RUNNING: "Accepted", Status.SUCCEEDED: "Succeeded", Status.FAILED: "Failed", Status.CANCELED: "Failed"}
_OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"


def is_log(path: Path) -> bool:
    """Does a path mean the log?"""
    words = (path.provider or "", *path.types, *path.names)
    return [each.lower() for each in words] == ["microsoft.insights", "eventtypes", "values", "management"]


def record(world: World, call: Call, reply: Reply, caller: Principal | str) -> None:
    """Keep the event of a write that was accepted. `caller`: a principal, or the name of a user."""
    if call.path is None or call.method in ("GET", "HEAD") or reply.status >= 300 or reply.status == 204:
        return
    action = action_of(call.method, call.path) or ""
    name = caller if isinstance(caller, str) else caller.client_id
    claims = {} if isinstance(caller, str) else {"appid": caller.client_id, _OBJECT_ID: caller.object_id}
    number, path = str(uuid.uuid5(uuid.NAMESPACE_URL, f"activity/{len(world.activity)}")), call.path
    world.activity.append({
        "authorization": {"action": action, "scope": path.text},
        "caller": name,
        "channels": "Operation",
        "claims": claims,
        "correlationId": number,
        "eventDataId": number,
        "eventName": {"value": "EndRequest", "localizedValue": "End request"},
        "category": {"value": "Administrative", "localizedValue": "Administrative"},
        "level": "Informational",
        "resourceGroupName": path.group or "",
        "resourceProviderName": {"value": path.provider or "", "localizedValue": path.provider or ""},
        "resourceId": path.text,
        "operationId": reply.headers.get("Azure-AsyncOperation", "").partition("?")[0].rpartition("/")[2],
        "operationName": {"value": action, "localizedValue": action},
        "eventTimestamp": world.clock.utc().isoformat(timespec="microseconds").replace("+00:00", "0Z"),
        "subscriptionId": path.subscription,
    })  # fmt: skip


def listed(listing: Listing, path: Path) -> Reply:
    """Answer ActivityLogs_List: the latest first. ArmError for a filter that is none."""
    wanted = listing.call.query.get("$filter", "")
    terms = [_term(text) for text in re.split(r"\s+and\s+", wanted.strip())]
    if not any((field, op) == ("eventtimestamp", "ge") for field, op, _ in terms):
        raise _wrong("The start time of the filter is missing.")
    found = [
        _shown(listing.world, event)
        for event in reversed(listing.world.activity)
        if event["subscriptionId"].lower() == path.subscription.lower() and all(_fits(event, *term) for term in terms)
    ]
    reply = page(listing, found)
    if "nextLink" in reply.document:
        reply.document["nextLink"] += f"&$filter={quote(wanted)}"
    return reply


def _shown(world: World, event: Json) -> Json:
    """An event with how its operation stands by now."""
    operation = world.operations.get(event["operationId"])
    word = "Succeeded" if operation is None else _STATUS[operation.status]
    return {**event, "status": {"value": word, "localizedValue": word}}


def _term(text: str) -> tuple[str, str, str]:
    term = _TERM.fullmatch(text)
    field = term["field"].lower() if term else ""
    if term is None or (field != "eventtimestamp" if term["op"] != "eq" else field not in _FIELDS):
        raise _wrong(f"The filter '{text}' is not supported.")
    if field == "eventtimestamp":
        _moment(term["value"])
    return field, term["op"], term["value"]


def _fits(event: Json, field: str, operator: str, value: str) -> bool:
    if field != "eventtimestamp":
        return str(event[_FIELDS[field]]).lower() == value.lower()
    at, limit = _moment(event["eventTimestamp"]), _moment(value)
    return at >= limit if operator == "ge" else at <= limit


def _moment(text: str) -> dt.datetime:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise _wrong(f"'{text}' is no time.") from None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def _wrong(text: str) -> ArmError:
    return bad("BadRequest", text)
