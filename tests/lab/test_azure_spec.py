"""The Azure lab beside the published specification and recorded traffic; both are data outside the project, and the tests skip without."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cloudsync.lab.azure.calls import understand
from cloudsync.lab.azure.pytest_plugin import VERSION, Heard, Wire, rule
from cloudsync.lab.azure.shapes import SHAPES, name_of

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("CLOUDSYNC_SHARED", ROOT.parent / "shared"))
SPEC = SHARED / "specs" / "azure" / "nsg-subset.2025-07-01.openapi.json"
RECORDED = SHARED / "recordings" / "azure"
NSG = "networkSecurityGroups"

needs_spec = pytest.mark.skipif(not SPEC.is_file(), reason=f"no specification at {SPEC}; set CLOUDSYNC_SHARED")
needs_recordings = pytest.mark.skipif(not RECORDED.is_dir(), reason=f"no recordings at {RECORDED}; set CLOUDSYNC_SHARED")


@cache
def spec() -> Any:
    return json.loads(SPEC.read_text("utf-8"))


def schema(title: str) -> Any:
    """The specification's schema of one of our shapes; its names end in a number there."""
    schemas = spec()["components"]["schemas"]
    return next(value for name, value in schemas.items() if re.fullmatch(rf"{title}__\d+", name))


# The top level of a virtual network stands in the specification under its resource's name alone.
ALIASES = {"VirtualNetwork": "Microsoft_Network_virtualNetworks"}
ONLY_IN_TEMPLATES = {"apiVersion"}


@needs_spec
@pytest.mark.parametrize("title", [title for title in SHAPES if title != "Resource"])
def test_our_tables_say_what_the_specification_says(title: str) -> None:
    published = schema(ALIASES.get(title, title))
    theirs = {name: value for name, value in published["properties"].items() if name not in ONLY_IN_TEMPLATES}
    ours = {name_of(field): (field, wanted) for field, wanted in SHAPES[title].items()}
    assert set(ours) == set(theirs)
    nested = title.endswith("Format") or title == "AddressSpace"
    for name, (field, wanted) in ours.items():
        if nested:
            assert field.endswith("-") is bool(theirs[name].get("readOnly")), name
        if isinstance(wanted, tuple):
            assert set(wanted) == set(theirs[name]["enum"]), name
        else:
            assert agrees(wanted, theirs[name]), name
    if nested:
        assert {name for name, (field, _) in ours.items() if field.endswith("!")} == set(published.get("required", ()))


WORDS = {"text": "string", "whole": "integer", "yes": "boolean"}


def agrees(wanted: Any, published: Any) -> bool:
    """Is one of our types the published one? Of a resource that the specification nests we take the id alone, of some things all."""
    if isinstance(wanted, list):
        return bool(published.get("type") == "array") and agrees(wanted[0], published["items"])
    inner = published["allOf"][0] if "allOf" in published else published
    title = inner.get("$ref", "").rpartition("/")[2].partition("__")[0]
    match wanted:
        case "any":
            return bool(title or published.get("type"))
        case "id":
            return bool(title)
        case "map":
            return bool(title == "ResourceTags")
    return bool(title == wanted if wanted in SHAPES else published.get("type") == WORDS[wanted])


# --- replies ----------------------------------------------------------------------------------------------------------


def operations() -> Iterator[tuple[str, str, Any]]:
    for path, methods in spec()["paths"].items():
        for method, operation in methods.items():
            if method != "parameters":
                yield path, method.upper(), operation


@needs_spec
def test_calls_have_the_names_the_specification_gives_them() -> None:
    for path, method, operation in operations():
        if "operationId}" not in path:
            filled = re.sub(r"\{[^}]+\}", "x", path)
            assert understand(method, filled, "", {}, b"").operation == operation["operationId"]


def check(path: str, method: str, heard: Heard) -> None:
    """Validate one answer against the specification."""
    for template, verb, operation in operations():
        pattern = re.sub(r"\{[^}]+\}", "[^/]+", template)
        if verb == method and re.fullmatch(pattern, path, re.IGNORECASE):
            responses = operation["responses"]
            found = responses.get(str(heard.status), responses["default"])
            content = found.get("content")
            if content is None:
                assert heard.document is None
                return
            wanted = {**content["application/json"]["schema"], "components": spec()["components"]}
            jsonschema.Draft202012Validator(wanted).validate(heard.document)
            return
    raise AssertionError(f"{method} {path} is in no published path")


@needs_spec
def test_every_reply_is_as_published(azure: Wire) -> None:
    azure.site.reset("four", 1)
    every = [azure.everywhere(word) for word in (NSG, "networkInterfaces", "virtualNetworks", "applicationSecurityGroups")]
    for path in every:
        heard = azure.get(path)
        for document in heard.document["value"]:
            if document["name"] == "nsg-app-prod":
                tame(document)
        check(path, "GET", heard)
        for document in heard.document["value"]:
            one = azure.get(document["id"])
            check(document["id"], "GET", Heard(one.status, tame(one.document), one.headers))
    for child in ("nsg-web-prod/securityRules", "nsg-web-prod/securityRules/AllowProbes", "nsg-web-prod/securityRules/none", "none"):
        check(azure.path(NSG, child), "GET", azure.get(azure.path(NSG, child)))
    for subnet in ("vnet-prod/subnets", "vnet-prod/subnets/web"):
        check(azure.path("virtualNetworks", subnet), "GET", azure.get(azure.path("virtualNetworks", subnet)))


def tame(document: Any) -> Any:
    """Rules from the years before hold words in capitals, which no published enumeration knows."""
    for each in document.get("properties", {}).get("securityRules", ()):
        each["properties"]["protocol"] = each["properties"]["protocol"].title()
    return document


@needs_spec
def test_every_reply_to_a_write_is_as_published(azure: Wire) -> None:
    one, child = azure.path(NSG, "one"), azure.path(NSG, "one/securityRules/a")
    steps = [
        ("PUT", one, {"location": "westeurope", "properties": {"securityRules": [rule("a", 100)]}}),
        ("PUT", one, {"location": "westeurope", "properties": {"securityRules": [rule("a", 99)]}}),
        ("PUT", one, {"location": "westeurope", "properties": {"securityRules": [rule("a", 100, access="maybe")]}}),
        ("PUT", child, {"properties": rule("a", 101)["properties"]}),
        ("PUT", azure.path("applicationSecurityGroups", "g"), {"location": "westeurope"}),
        ("DELETE", child, None),
        ("DELETE", child, None),
        ("DELETE", one, None),
    ]
    for method, path, body in steps:
        heard = azure.send(method, path, body)
        check(path, method, heard)
        follow = heard.headers.get("azure-asyncoperation")
        for _ in range(2 if follow else 0):
            answer = azure.raw("GET", str(follow), None, {"Authorization": f"Bearer {azure.token()}"})
            check(str(follow).partition("?")[0].removeprefix(azure.site.section()["endpoint"]), "GET", answer)


# --- recordings -------------------------------------------------------------------------------------------------------


def recorded_puts() -> Iterator[tuple[str, Any, Any]]:
    """(path, what was sent, what came back) of every recorded PUT of an NSG."""
    for file in sorted((RECORDED / "net").glob("*.json")):
        for entry in json.loads(file.read_text("utf-8-sig"))["Entries"]:
            path = entry["RequestUri"].partition("?")[0]
            if entry["RequestMethod"] == "PUT" and re.search(r"/networkSecurityGroups/[^/]+$", path):
                yield path, json.loads(entry["RequestBody"]), json.loads(entry["ResponseBody"])


def without(document: Any, *names: str) -> Any:
    """A document less some fields, at every depth."""
    if isinstance(document, dict):
        return {name: without(value, *names) for name, value in document.items() if name not in names}
    return [without(each, *names) for each in document] if isinstance(document, list) else document


@needs_recordings
def test_recorded_puts_are_answered_as_they_were(azure: Wire) -> None:
    """Everything but ids, ETags and what else refers to the group is equal, the six default rules with their texts included."""
    count = 0
    for _path, sent, answered in recorded_puts():
        azure.site.reset("empty", 1)
        azure._token = None
        heard = azure.send("PUT", azure.path(NSG, answered["name"]), sent)
        assert heard.status in (200, 201)
        ignored = ("id", "etag", "resourceGuid", "networkInterfaces", "subnets", "provisioningState")
        assert without(heard.document, *ignored) == without(answered, *ignored)
        count += 1
    assert count


def recorded_refusals() -> Iterator[tuple[str, str, int, Any]]:
    for entry in json.loads((RECORDED / "xplat_parsed.json").read_text("utf-8")):
        if entry["status"] == 400 and "/securityRules/" in entry["path"]:
            yield entry["body"]["error"]["code"], entry["path"].partition("?")[0].rpartition("/")[2], entry["status"], entry["body"]


CHANGES = {
    "SecurityRuleInvalidPriority": "priority",
    "SecurityRuleInvalidPortRange": "destinationPortRange",
    "SecurityRuleInvalidAddressPrefix": "destinationAddressPrefix",
    "SecurityRuleDescriptionTooLong": "description",
}


@needs_recordings
def test_recorded_refusals_have_the_same_bodies(azure: Wire) -> None:
    azure.done(azure.path(NSG, "networkSecurityGroupName"), {})
    seen = set()
    for code, name, status, body in recorded_refusals():
        given = re.search(r"Value provided: ([^ ]+?)\.?(?: |$)", body["error"]["message"])
        value: Any = "x" * 141 if given is None else int(given[1]) if code.endswith("Priority") else given[1]
        path = azure.path(NSG, f"networkSecurityGroupName/securityRules/{name}")
        heard = azure.put(path, rule(name, 100, **{CHANGES[code]: value})["properties"], location=None)
        theirs = re.sub(r"/subscriptions/\S+/providers", path.partition("/providers")[0] + "/providers", json.dumps(body))
        assert (heard.status, heard.document) == (status, json.loads(theirs))
        seen.add(code)
    assert seen == set(CHANGES)


def recorded_groups() -> Iterator[Any]:
    for file in sorted((RECORDED / "java").glob("*.json")):
        for entry in json.loads(file.read_text("utf-8-sig"))["networkCallRecords"]:
            text = entry["Response"].get("Body", "")
            if entry["Method"] == "GET" and "/networkSecurityGroups" in entry["Uri"] and '"securityRules"' in text:
                body = json.loads(text)
                yield from body.get("value", [body] if "properties" in body else [])


@needs_recordings
def test_recorded_groups_can_be_put_and_come_back_the_same(azure: Wire) -> None:
    """The rules of every recorded group are accepted and shown as they were recorded."""
    azure.site.ask("settings", {"host_bits": "accept"})
    count = 0
    for number, group in enumerate(recorded_groups()):
        rules = group["properties"]["securityRules"]
        if any("ApplicationSecurityGroups" in json.dumps(each) for each in rules):
            continue  # the groups they name are of another tenant
        back = azure.done(azure.path(NSG, f"g{number}"), {"securityRules": rules})
        ignored = ("id", "etag", "provisioningState", "type")
        plurals = ("sourcePortRanges", "destinationPortRanges", "sourceAddressPrefixes", "destinationAddressPrefixes")
        old = [] if rules and plurals[0] in rules[0]["properties"] else plurals
        assert without(back["properties"]["securityRules"], *ignored, *old) == without(rules, *ignored)
        count += len(rules)
    assert count > 20


def test_the_version_of_the_tests_is_the_one_that_is_pinned() -> None:
    assert VERSION == "2025-07-01"
