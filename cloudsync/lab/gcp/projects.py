"""Projects with their quotas, regions and zones, and the two calls of Resource Manager that ask about a project."""

from __future__ import annotations

from ..kit.faults import Kind
from .call import Call
from .links import PUBLIC
from .listing import page_of
from .permissions import held
from .world import REGIONS, ZONES, Object, Project


def get(call: Call) -> Object:
    """Answer projects.get."""
    project = call.project
    other = call.fault(Kind.IDENTITY)
    name, number = project.name, project.number
    if other is not None:
        name, number = str(other.options.get("project", "somebody-else")), str(other.options.get("number", "999999999999"))
    shown: Object = {
        "kind": "compute#project",
        "id": number,
        "creationTimestamp": call.world.stamp(call.world.began),
        "name": name,
        "commonInstanceMetadata": {"kind": "compute#metadata", "fingerprint": "VcHG23KtyMw="},
        "quotas": quotas(project),
        "selfLink": f"{PUBLIC}projects/{name}",
        "defaultServiceAccount": f"{number}-compute@developer.gserviceaccount.com",
        "defaultNetworkTier": "PREMIUM",
    }
    if project.hosts:
        shown["xpnProjectStatus"] = "HOST"
    return shown


def quotas(project: Project) -> list[Object]:
    """Return a project's quotas, limit and usage."""
    return [{"metric": name, "limit": float(limit), "usage": float(project.usage(name))} for name, limit in sorted(project.limits.items())]


def get_xpn_host(call: Call) -> Object:
    """Answer projects.getXpnHost."""
    if call.project.host is None:
        return {"kind": "compute#project"}
    host = call.world.project(call.project.host)
    return {"kind": "compute#project", "id": host.number, "name": host.name, "selfLink": f"{PUBLIC}projects/{host.name}"}


def get_xpn_resources(call: Call) -> Object:
    """Answer projects.getXpnResources: the service projects of a host."""
    names = sorted(one.name for one in call.world.projects.values() if one.host == call.project.name)
    body: Object = {"kind": "compute#projectsGetXpnResources"}
    return {**body, "resources": [{"id": name, "type": "PROJECT"} for name in names]} if names else body


def _place(call: Call, word: str, name: str) -> Object:
    url = f"{PUBLIC}projects/{call.project.name}/{word}s/{name}"
    shown: Object = {
        "kind": f"compute#{word}",
        "id": str(1000 + (*REGIONS, *ZONES).index(name)),
        "name": name,
        "status": "UP",
        "selfLink": url,
    }
    if word == "zone":
        shown["region"] = f"{PUBLIC}projects/{call.project.name}/regions/{name.rpartition('-')[0]}"
    else:
        shown["zones"] = [f"{PUBLIC}projects/{call.project.name}/zones/{zone}" for zone in ZONES if zone.startswith(f"{name}-")]
    return {**shown, "creationTimestamp": call.world.stamp(call.world.began), "description": name}


def list_regions(call: Call) -> Object:
    """Answer regions.list."""
    return page_of(
        call, "compute#regionList", f"projects/{call.project.name}/regions", {one: _place(call, "region", one) for one in REGIONS}
    )


def list_zones(call: Call) -> Object:
    """Answer zones.list."""
    return page_of(call, "compute#zoneList", f"projects/{call.project.name}/zones", {one: _place(call, "zone", one) for one in ZONES})


def get_region(call: Call) -> Object:
    """Answer regions.get."""
    return _place(call, "region", call.path["region"])


def get_zone(call: Call) -> Object:
    """Answer zones.get."""
    return _place(call, "zone", call.path["zone"])


def test_permissions(call: Call) -> Object:
    """Answer Resource Manager's projects.testIamPermissions."""
    found = held(call.principal, call.body.get("permissions", []))
    return {"permissions": found} if found else {}


def describe(call: Call) -> Object:
    """Answer Resource Manager's projects.get."""
    project = call.project
    return {"projectNumber": project.number, "projectId": project.name, "lifecycleState": "ACTIVE", "name": project.name}
