"""Every method that the lab serves: its place, its query, its bodies, the permission it needs, and who answers it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from . import effective, firewalls, instances, networks, operations, permissions, policies, policy_rules, projects, subnetworks
from .call import Call
from .world import Object

_LIST = "filter maxResults orderBy pageToken returnPartialSuccess"
_AGGREGATED = f"{_LIST} includeAllScopes serviceProjectNumber"
_WRITE = "requestId"
SYSTEM = frozenset(
    [
        "$alt",
        "$.xgafv",
        "access_token",
        "alt",
        "callback",
        "fields",
        "key",
        "oauth_token",
        "prettyPrint",
        "quotaUser",
        "uploadType",
        "upload_protocol",
        "userIp",
    ]
)
"""Query parameters that every method has."""

COMPUTE = "/compute/v1/"
MANAGER = "/v1/"


@dataclass(frozen=True, slots=True)
class Route:
    """One method."""

    name: str
    """As in the API description, without `compute.`."""
    method: str
    path: str
    answer: Callable[[Call], Object]
    permission: str | None
    query: str = ""
    takes: str | None = None
    """Schema of the request's body."""
    gives: str | None = None
    """Schema of the answer's body; None when the description at hand has none."""
    root: str = COMPUTE

    @property
    def known_query(self) -> frozenset[str]:
        """Every query parameter the method has."""
        return frozenset(self.query.split()) | SYSTEM

    @property
    def mutating(self) -> bool:
        """Does it change anything?"""
        return self.method != "GET" and not self.name.endswith((".wait", ".testIamPermissions"))


def _firewalls() -> tuple[Route, ...]:
    all_, one = "projects/{project}/global/firewalls", "projects/{project}/global/firewalls/{firewall}"
    return (
        Route("firewalls.list", "GET", all_, firewalls.list_all, "compute.firewalls.list", _LIST, gives="FirewallList"),
        Route("firewalls.get", "GET", one, firewalls.get, "compute.firewalls.get", gives="Firewall"),
        Route("firewalls.insert", "POST", all_, firewalls.insert, "compute.firewalls.create", _WRITE, "Firewall", "Operation"),
        Route("firewalls.patch", "PATCH", one, firewalls.patch, "compute.firewalls.update", _WRITE, "Firewall", "Operation"),
        Route("firewalls.update", "PUT", one, firewalls.update, "compute.firewalls.update", _WRITE, "Firewall", "Operation"),
        Route("firewalls.delete", "DELETE", one, firewalls.delete, "compute.firewalls.delete", _WRITE, None, "Operation"),
        _testing("firewalls", "firewalls"),
    )


def _testing(name: str, kind: str) -> Route:
    path = f"projects/{{project}}/global/{kind}/{{resource}}/testIamPermissions"
    return Route(
        f"{name}.testIamPermissions", "POST", path, permissions.test, None, "", "TestPermissionsRequest", "TestPermissionsResponse"
    )


def _networks() -> tuple[Route, ...]:
    all_, one = "projects/{project}/global/networks", "projects/{project}/global/networks/{network}"
    subnets = "projects/{project}/regions/{region}/subnetworks"
    effect = "NetworksGetEffectiveFirewallsResponse"
    return (
        Route("networks.list", "GET", all_, networks.list_all, "compute.networks.list", _LIST, gives="NetworkList"),
        Route("networks.get", "GET", one, networks.get, "compute.networks.get", gives="Network"),
        Route("networks.insert", "POST", all_, networks.insert, "compute.networks.create", _WRITE, "Network", "Operation"),
        Route("networks.patch", "PATCH", one, networks.patch, "compute.networks.update", _WRITE, "Network", "Operation"),
        Route("networks.delete", "DELETE", one, networks.delete, "compute.networks.delete", _WRITE, None, "Operation"),
        Route(
            "networks.getEffectiveFirewalls", "GET", f"{one}/getEffectiveFirewalls", effective.of_network,
            "compute.networks.getEffectiveFirewalls", gives=effect,
        ),
        Route(
            "subnetworks.aggregatedList", "GET", "projects/{project}/aggregated/subnetworks", subnetworks.aggregated_list,
            "compute.subnetworks.list", f"{_AGGREGATED} views", gives="SubnetworkAggregatedList",
        ),
        Route("subnetworks.list", "GET", subnets, subnetworks.list_all, "compute.subnetworks.list", _LIST),
        Route("subnetworks.get", "GET", subnets + "/{subnetwork}", subnetworks.get, "compute.subnetworks.get", gives="Subnetwork"),
        Route("subnetworks.insert", "POST", subnets, subnetworks.insert, "compute.subnetworks.create", _WRITE, "Subnetwork", "Operation"),
        Route(
            "subnetworks.delete", "DELETE", subnets + "/{subnetwork}", subnetworks.delete, "compute.subnetworks.delete", _WRITE,
            None, "Operation",
        ),
    )  # fmt: skip


def _instances() -> tuple[Route, ...]:
    all_, one = "projects/{project}/zones/{zone}/instances", "projects/{project}/zones/{zone}/instances/{instance}"

    def write(verb: str, answer: Callable[[Call], Object], permission: str, takes: str | None = None) -> Route:
        return Route(f"instances.{verb}", "POST", f"{one}/{verb}", answer, f"compute.instances.{permission}", _WRITE, takes, "Operation")

    return (
        Route(
            "instances.aggregatedList", "GET", "projects/{project}/aggregated/instances", instances.aggregated_list,
            "compute.instances.list", _AGGREGATED, gives="InstanceAggregatedList",
        ),
        Route("instances.list", "GET", all_, instances.list_all, "compute.instances.list", _LIST, gives="InstanceList"),
        Route("instances.get", "GET", one, instances.get, "compute.instances.get", gives="Instance"),
        Route("instances.insert", "POST", all_, instances.insert, "compute.instances.create", _WRITE, "Instance", "Operation"),
        Route("instances.delete", "DELETE", one, instances.delete, "compute.instances.delete", _WRITE, None, "Operation"),
        Route(
            "instances.getEffectiveFirewalls", "GET", f"{one}/getEffectiveFirewalls", effective.of_instance,
            "compute.instances.getEffectiveFirewalls", "networkInterface", gives="InstancesGetEffectiveFirewallsResponse",
        ),
        write("setTags", instances.set_tags, "setTags", "Tags"),
        write("setLabels", instances.set_labels, "setLabels", "InstancesSetLabelsRequest"),
        write("stop", instances.stop, "stop"),
        write("start", instances.start, "start"),
    )  # fmt: skip


def _operations() -> tuple[Route, ...]:
    every = "projects/{project}/aggregated/operations"
    found = [
        Route("globalOperations.aggregatedList", "GET", every, operations.aggregated_list, "compute.globalOperations.list", _AGGREGATED)
    ]
    for kind, place in (("global", "global"), ("zone", "zones/{zone}"), ("region", "regions/{region}")):
        all_ = f"projects/{{project}}/{place}/operations"
        right = f"compute.{kind}Operations"
        found += [
            Route(f"{kind}Operations.list", "GET", all_, operations.list_all, f"{right}.list", _LIST, gives="OperationList"),
            Route(f"{kind}Operations.get", "GET", all_ + "/{operation}", operations.get, f"{right}.get", gives="Operation"),
            Route(f"{kind}Operations.wait", "POST", all_ + "/{operation}/wait", operations.get, f"{right}.get", gives="Operation"),
        ]
    return tuple(found)


def _projects() -> tuple[Route, ...]:
    one = "projects/{project}"
    return (
        Route("projects.get", "GET", one, projects.get, "compute.projects.get", gives="Project"),
        Route("projects.getXpnHost", "GET", f"{one}/getXpnHost", projects.get_xpn_host, "compute.projects.get"),
        Route("projects.getXpnResources", "GET", f"{one}/getXpnResources", projects.get_xpn_resources, "compute.projects.get", _LIST),
        Route("regions.list", "GET", f"{one}/regions", projects.list_regions, "compute.regions.list", _LIST),
        Route("regions.get", "GET", f"{one}/regions/{{region}}", projects.get_region, "compute.regions.get"),
        Route("zones.list", "GET", f"{one}/zones", projects.list_zones, "compute.zones.list", _LIST),
        Route("zones.get", "GET", f"{one}/zones/{{zone}}", projects.get_zone, "compute.zones.get"),
        Route(
            "resourcemanager.testIamPermissions", "POST", "projects/{project}:testIamPermissions", projects.test_permissions, None, "",
            "TestPermissionsRequest", "TestPermissionsResponse", MANAGER,
        ),
        Route(
            "resourcemanager.get", "GET", "projects/{project}", projects.describe, "resourcemanager.projects.get", root=MANAGER,
        ),
    )  # fmt: skip


def _policies() -> tuple[Route, ...]:
    all_ = "projects/{project}/global/firewallPolicies"
    one = f"{all_}/{{firewallPolicy}}"
    name, right, rule = "networkFirewallPolicies", "compute.firewallPolicies", "FirewallPolicyRule"

    def write(verb: str, answer: Callable[[Call], Object], query: str, takes: str | None = None) -> Route:
        return Route(f"{name}.{verb}", "POST", f"{one}/{verb}", answer, f"{right}.update", f"{_WRITE} {query}", takes, "Operation")

    def read(verb: str, answer: Callable[[Call], Object], query: str, gives: str) -> Route:
        return Route(f"{name}.{verb}", "GET", f"{one}/{verb}", answer, f"{right}.get", query, gives=gives)

    return (
        Route(f"{name}.list", "GET", all_, policies.list_all, f"{right}.list", _LIST, gives="FirewallPolicyList"),
        Route(
            f"{name}.aggregatedList", "GET", "projects/{project}/aggregated/firewallPolicies", policies.aggregated_list, f"{right}.list",
            _AGGREGATED, gives="NetworkFirewallPolicyAggregatedList",
        ),
        Route(f"{name}.get", "GET", one, policies.get, f"{right}.get", gives="FirewallPolicy"),
        Route(f"{name}.insert", "POST", all_, policies.insert, f"{right}.create", _WRITE, "FirewallPolicy", "Operation"),
        Route(f"{name}.patch", "PATCH", one, policies.patch, f"{right}.update", _WRITE, "FirewallPolicy", "Operation"),
        Route(f"{name}.delete", "DELETE", one, policies.delete, f"{right}.delete", _WRITE, None, "Operation"),
        write("addAssociation", policies.add_association, "replaceExistingAssociation", "FirewallPolicyAssociation"),
        write("removeAssociation", policies.remove_association, "name"),
        write("cloneRules", policies.clone_rules, "sourceFirewallPolicy"),
        read("getAssociation", policies.get_association, "name", "FirewallPolicyAssociation"),
        write("addRule", policy_rules.add, "minPriority maxPriority", rule),
        write("patchRule", policy_rules.patch, "priority", rule),
        write("removeRule", policy_rules.remove, "priority"),
        read("getRule", policy_rules.get, "priority", rule),
        _testing(name, "firewallPolicies"),
    )  # fmt: skip


@cache
def routes() -> tuple[Route, ...]:
    """Return every method."""
    return (*_firewalls(), *_networks(), *_instances(), *_operations(), *_projects(), *_policies())


@cache
def _patterns() -> Mapping[str, list[tuple[re.Pattern[str], Route]]]:
    found: dict[str, list[tuple[re.Pattern[str], Route]]] = {}
    for route in routes():
        text = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/:]+)", re.escape(route.root + route.path))
        found.setdefault(route.method, []).append((re.compile(text), route))
    return found


def route_of(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """Return the method that a request asks for, and the parameters in its path."""
    for pattern, route in _patterns().get(method, ()):
        match = pattern.fullmatch(path)
        if match:
            return route, match.groupdict()
    return None
