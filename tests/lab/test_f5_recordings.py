"""The lab answers recorded requests as real devices did, and knows no word that F5's published schema does not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudsync.lab.f5 import evidence, protocols, schema
from cloudsync.lab.f5.pytest_plugin import Bigip, bigip, chain, f5_site, f5_site_server, rule
from cloudsync.lab.f5.site import Site

__all__ = ["f5_site", "f5_site_server"]

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("CLOUDSYNC_SHARED", ROOT.parent / "shared"))
RECORDINGS = SHARED / "recordings" / "f5"
SPEC = SHARED / "specs" / "f5" / "as3-schema-3.56.0.json"

recorded = pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"no recordings at {RECORDINGS}; set CLOUDSYNC_SHARED")
specified = pytest.mark.skipif(not SPEC.is_file(), reason=f"no schema at {SPEC}; set CLOUDSYNC_SHARED")

VOLATILE = {
    "generation", "selfLink", "link", "token", "startTime", "expirationMicros", "lastUpdateMicros", "address", "nextPollTime", "userName",
    "username", "referer", "restOperationId", "transId", "networkFailoverDeviceGroup",
}  # fmt: skip
"""Values that differ from one device and moment to another. The steps were stitched from several runs, so names of tokens do as well."""


def read(*parts: str) -> Any:
    return json.loads(RECORDINGS.joinpath(*parts).read_text("utf-8"))


def differences(real: Any, ours: Any, at: str = "") -> Iterator[str]:
    """What a client could tell apart."""
    if isinstance(real, dict) and isinstance(ours, dict):
        for key in sorted(real.keys() | ours.keys()):
            if key not in real or key not in ours:
                yield f"{at}/{key} only {'there' if key in real else 'here'}"
            elif key in VOLATILE:
                if type(real[key]) is not type(ours[key]):
                    yield f"{at}/{key} is of another type"
            elif not (key in ("name", "fullPath") and "authtokenitemstate" in str(real.get("kind"))):
                yield from differences(real[key], ours[key], f"{at}/{key}")
    elif isinstance(real, list) and isinstance(ours, list):
        if len(real) != len(ours):
            yield f"{at}: {len(real)} there, {len(ours)} here"
        for number, (one, other) in enumerate(zip(real, ours, strict=False)):
            yield from differences(one, other, f"{at}/{number}")
    elif real != ours:
        yield f"{at}: {real!r} there, {ours!r} here"


def steps() -> list[Any]:
    return list(read("f5-automation-labs", "afm_exchanges_13.1.0.8.json")) if RECORDINGS.is_dir() else []


@pytest.fixture
def device(f5_site: Site) -> Bigip:
    """A device in the state the recorded one was in: one policy, one list, and nothing else."""
    client = bigip(f5_site, user="admin")
    client.ok("POST", "/mgmt/tm/security/firewall/policy", {"name": "block_all"})
    client.ok("POST", "/mgmt/tm/security/firewall/address-list", {"name": "test_address_list", "addresses": [{"name": "1.1.1.1"}]})
    return client


def play(device: Bigip, step: Any, held: dict[str, str]) -> Any:
    request = step["request"]
    path = "/" + request["url"].split("/", 3)[3]
    for mark, value in held.items():
        path = path.replace(mark, value)
    body = request["body"]
    if path.endswith("/login"):
        body = {**body, "password": device.password}
    reply = device.send(request["method"], path, body)
    assert reply.status == 200, reply.body
    return reply.body


@recorded
def test_every_recorded_step_is_answered_the_same_way(device: Bigip) -> None:
    held = {
        "{{bigip-dev_auth_token}}": device.token,
        "{{module}}": "afm",
        "{{afm_address_list}}": "~Common~google-dns_address_list",
        "{{afm_policy}}": "~Common~global_default_deny",
        "{{afm_policy_rule}}": "allow_google-dns",
    }
    found: list[str] = []
    for step in steps():
        wanted = step["response"]
        if "4.1" in step["step"]:
            device.ok("PATCH", "/mgmt/tm/sys/provision/afm", {"level": "none"})
        ours = play(device, step, held)
        if "default deny" in step["step"]:  # the step asks for one name and shows another
            device.ok("DELETE", "/mgmt/tm/security/firewall/policy/global_default_deny/rules/global_default_deny")
            step["request"]["body"] |= {"name": "default_deny", "fullPath": "default_deny"}
            ours = play(device, step, held)
        if step["step"].startswith(("2. Retrieve", "3. Retrieve")):  # the recorded device had fewer modules, and no AFM yet
            ours = modules(ours)
        found += [f"{step['step']}: {each}" for each in differences(wanted, ours)]
    assert found == []


def modules(ours: Any) -> Any:
    if "items" not in ours:
        return {**ours, "level": "none"}
    return {
        **ours,
        "items": [
            {**each, **({"level": "none"} if each["name"] == "afm" else {})} for each in ours["items"] if each["name"] in ("afm", "ltm")
        ],
    }


@recorded
def test_transactions_have_the_recorded_fields(device: Bigip) -> None:
    real = read("transactions", "create_12.1.2.json")
    opened = device.ok("POST", "/mgmt/tm/transaction", {})
    assert list(differences(real, opened)) == []
    queued = device.within(str(opened["transId"]), "PATCH", "/mgmt/tm/net/route-domain/0", {"description": "x"})
    assert queued.keys() == read("transactions", "add_command_response_12.1.2.json").keys()


@recorded
def test_failover_and_sync_have_the_recorded_fields(f5_site: Site, device: Bigip) -> None:
    found = read("issues", "failover_and_sync_state.json")
    active, standby, sync, conflict = (next(iter(value for key, value in each.items() if key != "source")) for each in found)
    path = "/mgmt/tm/shared/bigip-failover-state"
    assert list(differences(active, device.ok("GET", path))) == []
    assert list(differences(standby, bigip(f5_site, 1).ok("GET", path))) == []
    device.ok("POST", "/mgmt/tm/security/firewall/policy", {"name": "here"})
    bigip(f5_site, 1).ok("POST", "/mgmt/tm/security/firewall/policy", {"name": "there"})
    ours = device.ok("GET", "/mgmt/tm/cm/sync-status")
    entries = ours["entries"]["https://localhost/mgmt/tm/cm/sync-status/0"]["nestedStats"]["entries"]
    theirs = sync["entries"]["https://localhost/mgmt/tm/cm/sync-status/0"]["nestedStats"]["entries"]
    assert theirs.keys() <= entries.keys()
    assert entries["color"] == theirs["color"] == {"description": conflict["color"]}
    assert entries["mode"] == {"description": conflict["mode"]}
    generic = [
        line.replace("bigip1.example.com", "bigip1.dc1.lab.example").replace("bigip2.example.com", "bigip2.dc1.lab.example")
        for line in conflict["details"]
    ]
    assert "There is a possible change conflict between bigip1.dc1.lab.example and bigip2.dc1.lab.example." in generic[1]
    assert generic[1].partition("(")[2] in json.dumps(ours)


@recorded
def test_errors_have_the_recorded_fields_and_texts(f5_site: Site, device: Bigip) -> None:
    found = {each.get("http", 0): each for each in read("issues", "error_bodies.json") if "body" in each}
    number = device.begin()
    device.within(number, "PATCH", "/mgmt/tm/net/route-domain/0", {"description": "x"})
    invalid = device.send("GET", f"/mgmt/tm/transaction/{number}/commands/3/members").body
    assert list(differences({**found[400]["body"]}, invalid)) == []
    nobody = Bigip(device.endpoint, device.ca_file, "nobody", "")
    refused = nobody.send("GET", "/mgmt/tm/ltm/virtual").body
    assert refused.keys() == found[401]["body"].keys()
    assert refused["message"].split(" Uri:")[0] == found[401]["body"]["message"].split(" Uri:")[0]
    texts = [each["text"] for each in read("issues", "error_bodies.json") if "text" in each]
    assert "X-F5-Auth-Token has expired." in texts
    assert any(text.startswith("01020066:3: The requested IP address list") for text in texts)
    twice = device.send("POST", "/mgmt/tm/security/firewall/address-list", {"name": "test_address_list", "addresses": ["1.1.1.1"]})
    assert twice.body["message"].split(" (")[0] == "01020066:3: The requested IP address list"
    f5_site.ask("quotas", {"max_tokens": 1})
    reader = bigip(f5_site, user="reader")
    assert reader.login().body["message"].replace("user reader", "user xxx") in texts
    assert device.send("PATCH", f"/mgmt/shared/authz/tokens/{device.token}", {"timeout": 36001}).body["message"] in texts


# --- the published schema ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def definitions() -> Any:
    return json.loads(SPEC.read_text("utf-8"))["definitions"]


@specified
def test_words_of_rules_are_those_of_the_schema(definitions: Any) -> None:
    properties = definitions["Firewall_Rule"]["properties"]
    assert set(properties["action"]["enum"]) == set(schema.RULE["action"].words)
    assert set(properties["protocol"]["enum"]) == set(protocols.PROTOCOLS)


@specified
@pytest.mark.parametrize(("name", "side"), [("Firewall_Rule_Source", "source"), ("Firewall_Rule_Destination", "destination")])
def test_sides_of_rules_are_those_of_the_schema(definitions: Any, name: str, side: str) -> None:
    beyond = {"identity", "fqdns", "geo"} | (
        {"vlans"} if side == "destination" else set()
    )  # the schema leaves these out, devices have them
    theirs = set(definitions[name]["properties"])
    assert theirs - set(schema.SIDES[side]) == set()
    assert set(schema.SIDES[side]) - theirs <= beyond


@specified
@pytest.mark.parametrize(
    ("name", "collection"),
    [
        ("Firewall_Address_List", schema.ADDRESS_LIST),
        ("Firewall_Port_List", schema.PORT_LIST),
        ("Firewall_Rule_List", schema.RULE_LIST),
        ("Firewall_Policy", schema.POLICY),
        ("Net_Address_List", schema.NET_ADDRESS_LIST),
    ],
)
def test_lists_are_those_of_the_schema(definitions: Any, name: str, collection: str) -> None:
    theirs = set(definitions[name]["properties"]) - {"class", "label", "remark", "routeDomainEnforcement"}
    ours = set(schema.RESOURCES[collection].fields) - {"description"}
    assert theirs - ours == set()
    assert ours - theirs <= {"fqdns", "geo"}


@specified
def test_what_the_lab_holds_can_be_said_in_the_schema(f5_site: Site) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft7Validator(json.loads(SPEC.read_text("utf-8")))
    f5_site.reset("medium", 1)
    device = bigip(f5_site)
    device.ok(
        "POST", "/mgmt/tm/security/firewall/policy", {"name": "odd", "rules": chain(rule("r", "reject", "gre", source=["10.0.0.0/8"]))}
    )
    firewall = "/mgmt/tm/security/firewall"
    application: dict[str, Any] = {"class": "Application"}
    for each in device.ok("GET", f"{firewall}/address-list")["items"]:
        application[each["name"]] = {"class": "Firewall_Address_List", **listed(each, "addresses", "addressLists")}
    for each in device.ok("GET", f"{firewall}/port-list")["items"]:
        application[each["name"]] = {"class": "Firewall_Port_List", **listed(each, "ports", "portLists")}
    for kind, word in (("rule-list", "Firewall_Rule_List"), ("policy", "Firewall_Policy")):
        for each in device.ok("GET", f"{firewall}/{kind}?expandSubcollections=true")["items"]:
            application[each["name"]] = {"class": word, "rules": [declared(one) for one in each["rulesReference"]["items"]]}
    document = {"class": "ADC", "schemaVersion": "3.50.0", "id": "lab", "t": {"class": "Tenant", "a": application}}
    assert [each.message for each in validator.iter_errors(document)] == []
    application["odd"]["rules"][0]["action"] = "maybe"
    assert [each.message for each in validator.iter_errors(document)] != []


def listed(found: Any, entries: str, lists: str) -> dict[str, Any]:
    """A list in the schema's words."""
    shown: dict[str, Any] = {}
    if found.get(entries):
        shown[entries] = [each["name"] for each in found[entries]]
    if found.get(lists):
        shown[lists] = [{"bigip": f"/{each['partition']}/{each['name']}"} for each in found[lists]]
    return shown


def declared(found: Any) -> dict[str, Any]:
    """A rule in the schema's words."""
    if "ruleList" in found:
        return {"bigip": found["ruleList"]}
    shown: dict[str, Any] = {"name": found["name"], "action": found["action"], "protocol": found["ipProtocol"]}
    for side in ("source", "destination"):
        plain = {key: [each["name"] for each in found[side][key]] for key in ("addresses", "ports") if found[side].get(key)}
        lists = {key: [{"bigip": each} for each in found[side][key]] for key in ("addressLists", "portLists") if found[side].get(key)}
        if plain or lists:
            shown[side] = {**plain, **lists}
    return {**shown, "loggingEnabled": found["log"] == "yes"}


# --- evidence ---------------------------------------------------------------------------------------------------------


def test_every_behaviour_is_told_once() -> None:
    told = [each.what for each in evidence.BEHAVIOURS]
    assert len(told) == len(set(told))


def test_every_reading_that_is_in_doubt_has_a_switch() -> None:
    switches = sum("(switch" in each.what for each in evidence.BEHAVIOURS)
    assert switches >= 9
