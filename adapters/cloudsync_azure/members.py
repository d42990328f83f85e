"""What is sent so that an interface joins or leaves application security groups, and so that groups come and go. Pure."""

from __future__ import annotations

from typing import Any

from cloudsync.adapter import Outcome, Status
from cloudsync.model.quick import dataclass
from cloudsync_azure import parse
from cloudsync_azure.joins import DELETE_ASG, PUT_ASG, Join
from cloudsync_azure.limits import MOVED_CODE
from cloudsync_azure.parse import Raw
from cloudsync_azure.simulate import BUSY_STATES
from cloudsync_azure.table import TAG_MANAGED

NIC_READ_ONLY = frozenset(
    {
        "provisioningState",
        "resourceGuid",
        "virtualMachine",
        "primary",
        "macAddress",
        "hostedWorkloads",
        "privateEndpoint",
        "tapConfigurations",
        "dscpConfiguration",
        "vnetEncryptionSupported",
        "defaultOutboundConnectivityEnabled",
    }
)
SEAT_READ_ONLY = frozenset({"provisioningState", "privateLinkConnectionProperties"})
"""What the specification calls read-only, of an interface and of its ipConfigurations: it is not sent back.

Everything else is, known to us or not: a PUT of an interface clears what it leaves out.
"""


@dataclass(frozen=True, slots=True)
class Ready:
    """One call, ready to be sent."""

    method: str
    path: str
    body: object
    etag: str


def prepared(raw: Raw | None, join: Join, owner: str) -> Ready | Outcome:
    """Return the call for what a read has just shown, or why it is not sent."""
    name = join.object.rpartition("/")[2]
    if join.call == PUT_ASG:
        if raw is not None:
            return Outcome(Status.FAILED, MOVED_CODE, f"there is an application security group {name} already")
        return Ready("PUT", join.object, {"location": join.location, "tags": {TAG_MANAGED: join.owner}, "properties": {}}, "")
    if raw is None:
        return Outcome(Status.FAILED, "ResourceNotFound", f"{join.object} is gone")
    etag = str(raw.get("etag") or "")
    if join.call == DELETE_ASG:
        if parse.asg(raw, owner).owner != owner:
            return Outcome(Status.FAILED, MOVED_CODE, f"application security group {name} no longer carries our mark")
        return Ready("DELETE", join.object, None, etag)
    known = parse.interface(raw)
    state = str(parse.properties(raw, name).get("provisioningState") or "")
    if state.lower() in BUSY_STATES:
        return Outcome(Status.FAILED, "AnotherOperationInProgress", f"{name} is {state}", throttled=True)
    if known.asgs != join.expect or not known.alike:
        return Outcome(Status.FAILED, MOVED_CODE, f"somebody has changed the groups of {name} since the plan was made")
    return Ready("PUT", join.object, nic_body(raw, join), etag)


def nic_body(raw: Raw, join: Join) -> dict[str, Any]:
    """Return the body of a PUT of a whole interface: as it was read, with other application security groups."""
    body: dict[str, Any] = {key: value for key, value in raw.items() if key not in ("id", "name", "type", "etag", "properties")}
    kept = {key: value for key, value in raw["properties"].items() if key not in NIC_READ_ONLY}
    kept["ipConfigurations"] = [_seat(one, join) for one in raw["properties"]["ipConfigurations"]]
    body["properties"] = kept
    return body


def _seat(one: Raw, join: Join) -> dict[str, Any]:
    """Return an ipConfiguration in these groups; those that it is in already stay spelled as they are."""
    inner = {key: value for key, value in one["properties"].items() if key not in SEAT_READ_ONLY}
    stay = [each for each in inner.get("applicationSecurityGroups") or () if str(each["id"]).lower() in join.asgs]
    known = {str(each["id"]).lower() for each in stay}
    inner["applicationSecurityGroups"] = [{"id": each["id"]} for each in stay] + [{"id": each} for each in join.asgs if each not in known]
    return {**{key: value for key, value in one.items() if key not in ("id", "type", "etag", "properties")}, "properties": inner}
