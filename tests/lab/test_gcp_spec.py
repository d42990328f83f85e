"""The lab's tables say what the published API description says, both ways; its routes are the description's; its replies obey it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudsync.lab.gcp import fields, routes, schema
from cloudsync.lab.gcp.pytest_plugin import Wire
from cloudsync.lab.gcp.routes import Route
from cloudsync.lab.gcp.site import Site

OTHER_NAMES = {
    "FirewallProtocol": ("Firewall", "allowed"),
    "Layer4Config": ("FirewallPolicyRuleMatcherLayer4Config",),
    "MetadataItems": ("Metadata", "items"),
    "NetworkEffectivePolicy": ("NetworksGetEffectiveFirewallsResponseEffectiveFirewallPolicy",),
    "InstanceEffectivePolicy": ("InstancesGetEffectiveFirewallsResponseEffectiveFirewallPolicy",),
    "OperationError": ("Operation", "error"),
    "OperationErrorItem": ("Operation", "error", "errors"),
    "OperationErrorDetail": ("Operation", "error", "errors", "errorDetails"),
    "Warning": ("FirewallList", "warning"),
    "WarningItem": ("FirewallList", "warning", "data"),
}
"""Where the description has the objects that we name ourselves: a schema, or fields of one."""
SCALARS = {
    ("string", None): "s", ("string", "uint64"): "u", ("string", "int64"): "l", ("string", "byte"): "y", ("boolean", None): "b",
    ("integer", "int32"): "i", ("number", "double"): "d", ("number", "float"): "d",
}  # fmt: skip
NOT_DESCRIBED = frozenset({
    "networks.insert", "networks.patch", "networks.delete", "subnetworks.list", "subnetworks.get", "subnetworks.insert",
    "subnetworks.delete", "instances.insert", "instances.delete", "instances.stop", "instances.start", "zoneOperations.list",
    "zoneOperations.get", "zoneOperations.wait", "regionOperations.list", "regionOperations.get", "regionOperations.wait",
    "globalOperations.aggregatedList", "projects.getXpnHost", "projects.getXpnResources", "regions.list", "regions.get", "zones.list",
    "zones.get", "resourcemanager.testIamPermissions", "resourcemanager.get",
})  # fmt: skip
"""Methods that the cut of the description at hand leaves out."""
NOT_SERVED = frozenset(
    f"networkFirewallPolicies.{each}"
    for each in (
        "addPacketMirroringRule", "getPacketMirroringRule", "patchPacketMirroringRule", "removePacketMirroringRule", "getIamPolicy",
        "setIamPolicy",
    )
)  # fmt: skip


@pytest.fixture(scope="module")
def spec(shared: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shared / "specs" / "gcp" / "compute.v1.subset.json").read_text("utf-8"))
    return found


def described(spec: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the properties that the description has for one of our schemas."""
    path = OTHER_NAMES.get(name, (name,))
    found = spec["schemas"][path[0]]
    for part in path[1:]:
        found = found["properties"][part]
        found = found.get("items", found)
    properties: dict[str, Any] = found["properties"]
    return properties


def same(form: str, wanted: dict[str, Any], place: str) -> Iterator[str]:
    """Yield where our form of a field differs from the description's."""
    if form == "*":
        if "$ref" not in wanted and wanted.get("type") != "object":
            yield f"{place}: not looked into, but it is a {wanted['type']}"
    elif "$ref" in wanted:
        if OTHER_NAMES.get(form, (form,))[0] != wanted["$ref"]:
            yield f"{place}: {form} is a {wanted['$ref']}"
    elif wanted["type"] == "array":
        yield from same(form[1:-1], wanted["items"], place) if form[0] == "[" else (f"{place}: a list",)
    elif wanted["type"] == "object":
        inside = wanted.get("additionalProperties")
        if inside is not None:
            yield from same(form[1:-1], inside, place) if form[0] == "{" else (f"{place}: a map",)
        elif set(schema.schema(form)) != set(wanted["properties"]):
            yield f"{place}: {form} has other fields"
    elif "enum" in wanted and len(wanted["enum"]) <= 12:
        if form != "=" + "|".join(wanted["enum"]):
            yield f"{place}: words {wanted['enum']}"
    elif SCALARS[wanted["type"], wanted.get("format")] != form:
        yield f"{place}: {form} for {wanted['type']} {wanted.get('format')}"


def test_every_field_of_ours_is_the_descriptions_and_none_is_missing(spec: dict[str, Any]) -> None:
    wrong: list[str] = []
    for name in fields.SCHEMAS:
        ours, theirs = schema.schema(name), described(spec, name)
        wrong += [f"{name}.{each}: only one side has it" for each in set(ours) ^ set(theirs)]
        for key in set(ours) & set(theirs):
            wrong += same(ours[key].form, theirs[key], f"{name}.{key}")
            if ours[key].output is not bool(theirs[key].get("readOnly")):
                wrong.append(f"{name}.{key}: output only on one side")
            if ours[key].named is not (theirs[key].get("pattern") == schema.NAME.pattern and theirs[key]["type"] == "string"):
                wrong.append(f"{name}.{key}: a name on one side")
    assert not wrong, wrong
    assert len(fields.SCHEMAS) > 50


def test_a_difference_would_be_seen(spec: dict[str, Any]) -> None:
    firewall = described(spec, "Firewall")
    assert list(same("s", firewall["priority"], "x"))
    assert list(same("=INGRESS", firewall["direction"], "x"))
    assert list(same("[i]", firewall["sourceTags"], "x"))
    assert not list(same("i", firewall["priority"], "x"))


def test_what_methods_require_is_what_the_description_says(spec: dict[str, Any]) -> None:
    wanted: dict[str, set[str]] = {}
    for route in routes.routes():
        for key, field in described(spec, route.takes).items() if route.takes else ():
            if f"compute.{route.name}" in field.get("annotations", {}).get("required", []) and route.name != "firewalls.patch":
                wanted.setdefault(route.name, set()).add(key)
    assert {name: set(keys) for name, keys in schema.REQUIRED.items()} == wanted


def methods(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        method["id"].removeprefix("compute."): method for resource in spec["resources"].values() for method in resource["methods"].values()
    }


def test_every_route_is_one_of_the_description_and_none_is_missing(spec: dict[str, Any]) -> None:
    theirs = methods(spec)
    ours = {route.name: route for route in routes.routes()}
    assert set(ours) - set(theirs) == NOT_DESCRIBED
    assert set(theirs) - set(ours) == NOT_SERVED
    for name in set(ours) & set(theirs):
        route, method = ours[name], theirs[name]
        assert (route.method, route.path) == (method["httpMethod"], method["flatPath"]), name
        assert route.takes == method.get("request", {}).get("$ref"), name
        assert (route.gives or method["response"]["$ref"]) == method["response"]["$ref"], name
        query = {key for key, one in method["parameters"].items() if one["location"] == "query"}
        extra = {"returnPartialSuccess"} if "filter" in query else set()  # known to newer clients than the description
        assert route.known_query - routes.SYSTEM - extra == query - extra, name
    assert set(spec["parameters"]) | {"$alt"} == routes.SYSTEM


def violations(spec: dict[str, Any], wanted: dict[str, Any], value: Any, place: str) -> Iterator[str]:
    """Yield where a reply breaks the description."""
    if "$ref" in wanted:
        wanted = spec["schemas"][wanted["$ref"]]
    match wanted.get("type"):
        case "object" if isinstance(value, dict):
            for key, each in value.items():
                inner = wanted.get("properties", {}).get(key) or wanted.get("additionalProperties")
                yield from violations(spec, inner, each, f"{place}.{key}") if inner else (f"{place}.{key}: unknown",)
        case "array" if isinstance(value, list):
            for number, each in enumerate(value):
                yield from violations(spec, wanted["items"], each, f"{place}[{number}]")
        case "string" if isinstance(value, str):
            if "enum" in wanted and value not in wanted["enum"]:
                yield f"{place}: {value} is no word"
            if "pattern" in wanted and not re.fullmatch(wanted["pattern"], value):
                yield f"{place}: {value} breaks the pattern"
            if wanted.get("format") in ("uint64", "int64") and not re.fullmatch(r"-?\d+", value):
                yield f"{place}: {value} is no number"
        case "integer" if isinstance(value, int) and not isinstance(value, bool):
            return
        case "number" if isinstance(value, int | float) and not isinstance(value, bool):
            return
        case "boolean" if isinstance(value, bool):
            return
        case kind:
            yield f"{place}: {value!r} is no {kind}"


def test_a_reply_that_breaks_the_description_would_be_seen(spec: dict[str, Any]) -> None:
    for body in ({"priority": "7"}, {"direction": "UP"}, {"colour": "red"}, {"id": "x"}, {"sourceRanges": "10.0.0.0/8"}, {"disabled": 1}):
        assert list(violations(spec, {"$ref": "Firewall"}, body, "x")), body


@pytest.mark.parametrize("estate", ["four", "medium"])
def test_every_reply_obeys_the_description(gcp_site: Site, gcp: Wire, spec: dict[str, Any], estate: str) -> None:
    seen: dict[str, int] = {}
    wrong: list[str] = []

    def watch(route: Route, body: dict[str, Any]) -> None:
        seen[route.name] = seen.get(route.name, 0) + 1
        if route.gives:
            wrong.extend(violations(spec, {"$ref": route.gives}, body, route.name))

    gcp_site.api.watch = watch
    gcp_site.reset(estate, 1)
    use_everything(gcp)
    assert not wrong, wrong[:20]
    assert {route.name for route in routes.routes()} - set(seen) == set()


def use_everything(gcp: Wire) -> None:
    """Ask for every method once."""
    rule = {"name": "x", "network": "global/networks/prod", "sourceRanges": ["10.0.0.0/8"], "allowed": [{"IPProtocol": "tcp"}]}
    operation = gcp.done("POST", "global/firewalls", rule)
    gcp.done("PATCH", "global/firewalls/x", {"priority": 7})
    gcp.done("PUT", "global/firewalls/x", {**rule, "logConfig": {"enable": True}})
    gcp.get("global/firewalls/x")
    gcp.done("DELETE", "global/firewalls/x")
    asked = {"permissions": ["compute.firewalls.get"]}
    gcp.send("POST", "global/firewalls/prod-iap/testIamPermissions", asked)
    gcp.send("POST", "/v1/projects/acme-net:testIamPermissions", asked)
    gcp.get("/v1/projects/acme-net")
    gcp.done("POST", "global/networks", {"name": "n", "autoCreateSubnetworks": False})
    gcp.done("PATCH", "global/networks/n", {"networkFirewallPolicyEnforcementOrder": "BEFORE_CLASSIC_FIREWALL"})
    subnets = "regions/europe-west1/subnetworks"
    subnet = {"name": "s", "network": "global/networks/n", "ipCidrRange": "10.70.0.0/24"}
    regional = gcp.done("POST", subnets, subnet)
    gcp.get(f"{subnets}/s")
    zone = "zones/europe-west1-b"
    machine = f"{zone}/instances/m"
    zonal = gcp.done("POST", f"{zone}/instances", {"name": "m", "networkInterfaces": [{"subnetwork": f"{subnets}/s"}]})
    gcp.done("POST", f"{machine}/setTags", {"items": ["a"], "fingerprint": gcp.get(machine)["tags"]["fingerprint"]})
    gcp.done("POST", f"{machine}/setLabels", {"labels": {"a": "b"}, "labelFingerprint": gcp.get(machine)["labelFingerprint"]})
    gcp.done("POST", f"{machine}/stop")
    gcp.done("POST", f"{machine}/start")
    gcp.get(f"{machine}/getEffectiveFirewalls", networkInterface="nic0")
    gcp.done("DELETE", machine)
    gcp.done("DELETE", f"{subnets}/s")
    gcp.done("DELETE", "global/networks/n")
    use_policies(gcp)
    gcp.send("POST", f"global/operations/{operation['name']}/wait")
    for place, one in ((zone, zonal), ("regions/europe-west1", regional)):
        gcp.get(f"{place}/operations/{one['name']}")
        gcp.send("POST", f"{place}/operations/{one['name']}/wait")
        gcp.get(f"{place}/operations")
    for path in (
        "", "global/firewalls", "global/networks", "global/networks/prod", "global/networks/prod/getEffectiveFirewalls",
        "global/operations", "aggregated/operations", "aggregated/subnetworks", "aggregated/instances", "aggregated/firewallPolicies",
        "global/firewallPolicies", "zones", zone, f"{zone}/instances", "regions", "regions/europe-west1", subnets, "getXpnHost",
        "getXpnResources",
    ):  # fmt: skip
        gcp.get(path or "/compute/v1/projects/acme-net")


def use_policies(gcp: Wire) -> None:
    all_, one = "global/firewallPolicies", "global/firewallPolicies/p"
    gcp.done("POST", all_, {"name": "p"})
    gcp.done("POST", all_, {"name": "q"})
    match = {"srcIpRanges": ["10.0.0.0/8"], "layer4Configs": [{"ipProtocol": "tcp", "ports": ["80"]}]}
    gcp.done("POST", f"{one}/addRule", {"priority": 9, "direction": "INGRESS", "action": "allow", "match": match})
    gcp.done("POST", f"{one}/patchRule", {"action": "deny"}, priority="9")
    gcp.get(f"{one}/getRule", priority="9")
    gcp.done("POST", f"{all_}/q/cloneRules", sourceFirewallPolicy="global/firewallPolicies/p")
    gcp.done("POST", f"{one}/removeRule", priority="9")
    gcp.done("POST", f"{one}/addAssociation", {"name": "a", "attachmentTarget": "global/networks/prod"})
    gcp.get(f"{one}/getAssociation", name="a")
    gcp.get("global/networks/prod/getEffectiveFirewalls")
    gcp.send("POST", f"{one}/testIamPermissions", {"permissions": ["compute.firewallPolicies.get"]})
    gcp.done("POST", f"{one}/removeAssociation", name="a")
    gcp.done("PATCH", one, {"description": "new", "fingerprint": gcp.get(one)["fingerprint"]})
    gcp.done("DELETE", one)


def recorded(shared: Path) -> Iterator[dict[str, Any]]:
    """Yield every recorded VPC rule."""
    for path in sorted((shared / "recordings" / "gcp").glob("*/*/*.json")):
        content = json.loads(path.read_text("utf-8"))
        body = content.get("body", content)
        yield from body.get("firewalls", [])
        if body.get("kind") == "compute#firewallList":
            yield from body.get("items", [])
        if body.get("kind") == "compute#firewall":
            yield body


def test_every_recorded_rule_passes_our_tables_and_comes_back_as_it_was(gcp_site: Site, gcp: Wire, shared: Path) -> None:
    rules = list(recorded(shared))
    assert len(rules) > 20
    for number, rule in enumerate(rules):
        assert not list(schema.check("Firewall", rule)), rule["name"]
        network = rule["network"].rpartition("/")[2]
        if network not in gcp_site.ask("state", None)["acme-net"]["networks"]:
            gcp.done("POST", "global/networks", {"name": network, "autoCreateSubnetworks": False})
        sent = {**rule, "name": f"r{number}", "network": f"global/networks/{network}"}
        gcp.done("POST", "global/firewalls", sent)
        back = gcp.get(f"global/firewalls/r{number}")
        apart = {"id", "name", "network", "selfLink", "creationTimestamp"}
        wanted = {"logConfig": {"enable": False}, **{key: value for key, value in rule.items() if key not in apart}}
        assert {key: value for key, value in back.items() if key not in apart} == wanted
