"""One write: look, send once, wait for the operation. Azure has no compare-and-swap on NSGs that is proven; see docs/decisions/070."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from cloudsync.adapter import Outcome, Status, Step
from cloudsync_azure import joins, parse
from cloudsync_azure import payload as wire
from cloudsync_azure.client import Answer, CallFailedError, Client, error_of
from cloudsync_azure.limits import MOVED_CODE, NETWORK_VERSION, SUPERSEDED_CODES
from cloudsync_azure.members import Ready, prepared
from cloudsync_azure.parse import ParseError, Raw
from cloudsync_azure.read import raw_object
from cloudsync_azure.simulate import BUSY_STATES
from cloudsync_azure.table import Nsg

READ_ONLY = frozenset(
    {"provisioningState", "resourceGuid", "defaultSecurityRules", "subnets", "networkInterfaces", "flowLogs", "securityRules"},
)
"""Properties that a PUT leaves out, or replaces; all others are carried over as they were read just before."""


def write(client: Client, owner: str, step: Step) -> Outcome:
    """Send one step, once. FAILED when surely nothing was written, UNKNOWN in every doubt."""
    try:
        join = joins.read(step.payload)
        ready = _rules(client, owner, step) if join is None else prepared(raw_object(client, join.object), join, owner)
    except (ParseError, ValueError, KeyError) as error:
        return Outcome(Status.FAILED, "NotSent", str(error))
    except CallFailedError as failure:
        return Outcome(Status.FAILED, failure.code or "NotSent", failure.words, throttled=failure.throttled)
    if isinstance(ready, Outcome):
        return ready
    try:
        answer = client.write(ready.method, ready.path, NETWORK_VERSION, body=ready.body, etag=ready.etag)
    except CallFailedError as failure:
        return _outcome(failure)
    return _waited(client, answer)


def _rules(client: Client, owner: str, step: Step) -> Ready | Outcome:
    """Return the call that writes rules, or why it is not sent."""
    request = wire.read(step.payload)
    raw = raw_object(client, request.nsg)
    if raw is None:
        return Outcome(Status.FAILED, "ResourceNotFound", f"{request.nsg} is gone")
    nsg = parse.nsg(raw, owner)
    return _moved(nsg, request) or _call(request, raw, nsg.etag)


def _moved(nsg: Nsg, request: wire.Request) -> Outcome | None:
    """Return why nothing is sent: the rules are not what the plan saw, or somebody's operation runs."""
    if nsg.state.lower() in BUSY_STATES:
        return Outcome(Status.FAILED, "AnotherOperationInProgress", f"{nsg.name} is {nsg.state}", throttled=True)
    if request.call == wire.PUT_NSG:
        same = wire.digest(nsg) == request.expect
    else:
        name = request.name or str(request.rules[0]["name"])
        known = next((one for one in nsg.rules if one.name.lower() == name.lower()), None)
        same = request.expect == ("" if known is None else wire.rule_digest(known))
    return None if same else Outcome(Status.FAILED, MOVED_CODE, f"somebody has changed {nsg.name} since the plan was made")


def _call(request: wire.Request, raw: Raw, etag: str) -> Ready:
    if request.call == wire.PUT_NSG:
        return Ready("PUT", request.nsg, whole_body(raw, request), etag)
    # A rule carries the ETag of its NSG.
    name = request.name or str(request.rules[0]["name"])
    path = f"{request.nsg}/securityRules/{quote(name, safe='')}"
    return Ready("DELETE", path, None, etag) if request.call == wire.DELETE_RULE else Ready("PUT", path, request.rules[0], etag)


def whole_body(raw: Raw, request: wire.Request) -> dict[str, Any]:
    """Return the body of a whole PUT: the rules of the step, everything else as it was read just before. What is left out is cleared."""
    kept = {key: value for key, value in raw["properties"].items() if key not in READ_ONLY}
    if request.flush is not None:
        kept["flushConnection"] = request.flush
    body: dict[str, Any] = {key: value for key, value in raw.items() if key not in ("id", "name", "type", "etag", "properties")}
    body["properties"] = {**kept, "securityRules": list(request.rules)}
    return body


def _waited(client: Client, answer: Answer) -> Outcome:
    """Wait for the operation that an answer started; without one the state in the answer's body decides."""
    url = answer.headers.get("azure-asyncoperation") or (answer.headers.get("location") if answer.status == 202 else "")
    if not url:
        state = _state(answer.document)
        if answer.status == 202 or state.lower() in BUSY_STATES:
            return Outcome(Status.UNKNOWN, "NoOperation", "the answer names no operation to wait for")
        return Outcome(Status.DONE)
    try:
        status, error = client.poll(url)
    except CallFailedError as failure:
        return Outcome(Status.UNKNOWN, failure.code or "PollLost", failure.words)
    if status == "succeeded":
        return Outcome(Status.DONE)
    code, words = error_of({"error": error} if error else {})
    # Canceled means that a newer write has won, failed that this one has: what is there now only a read can tell.
    known = code in SUPERSEDED_CODES or status == "canceled"
    return Outcome(Status.UNKNOWN, code or status, words or ("a newer write took its place" if known else "the operation failed"))


def _state(document: object) -> str:
    inner = document.get("properties") if isinstance(document, Mapping) else None
    return str(inner.get("provisioningState") or "") if isinstance(inner, Mapping) else ""


def _outcome(failure: CallFailedError) -> Outcome:
    """Read a refusal of the write itself."""
    if not failure.answered:
        return Outcome(Status.UNKNOWN, failure.code, failure.words, throttled=failure.throttled)
    if failure.status == 412:
        # Attaching an interface or tagging moves the ETag as well: worth another look, and another try while the rules are the same.
        return Outcome(Status.FAILED, failure.code or "PreconditionFailed", failure.words, throttled=True)
    return Outcome(Status.FAILED, failure.code or str(failure.status), failure.words, throttled=failure.throttled)
