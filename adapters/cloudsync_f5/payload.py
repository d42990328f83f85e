"""Payloads: the canonical JSON of what one step sends, and back. What is proven is what is parsed from here, not what it was made of.

Shape: `{"calls": [{"body", "method", "path"}, ...], "host", ...}`. With `transaction` true the calls are queued in one transaction and
committed together; otherwise they are sent one after the other. `host` is the device that was active when the plan was made: another one
gets nothing. `expect` says which policy each touched context must carry just before: a transaction knows no compare-and-swap.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any

from cloudsync.model.quick import dataclass
from cloudsync_f5 import words
from cloudsync_f5.table import DOMAIN_CONTEXT, AddressList, Ends, Policy, Rule

POLICY = "/mgmt/tm/security/firewall/policy"
ADDRESS_LIST = "/mgmt/tm/security/firewall/address-list"
VIRTUAL = "/mgmt/tm/ltm/virtual"
ROUTE_DOMAIN = "/mgmt/tm/net/route-domain"
ENFORCED, STAGED = "fwEnforcedPolicy", "fwStagedPolicy"
SAVE = "/mgmt/tm/sys/config"
SYNC = "/mgmt/tm/cm"

Json = Any


@dataclass(frozen=True, slots=True)
class Call:
    """One request: `path` is below the device's address."""

    method: str
    path: str
    body: Json = None


@dataclass(frozen=True, slots=True)
class Request:
    """One step, parsed."""

    host: str
    calls: tuple[Call, ...]
    transaction: bool = False
    expect: Mapping[str, str] = field(default_factory=dict)


def canonical(value: object) -> str:
    """Return JSON with sorted keys and no spaces, ASCII only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def render(request: Request) -> str:
    """Return the payload of a step."""
    calls = [{"method": one.method, "path": one.path, **({} if one.body is None else {"body": one.body})} for one in request.calls]
    body: dict[str, Json] = {"host": request.host, "calls": calls}
    if request.transaction:
        body["transaction"] = True
        body["expect"] = dict(request.expect)
    return canonical(body)


def parse(payload: str) -> Request:
    """Return the step of a payload."""
    body = json.loads(payload)
    calls = tuple(Call(one["method"], one["path"], one.get("body")) for one in body["calls"])
    return Request(body["host"], calls, bool(body.get("transaction")), body.get("expect", {}))


def tilded(path: str) -> str:
    """Return a full path as it stands in a URL: `/Common/x` is `~Common~x`."""
    return path.replace("/", "~")


def untilded(url: str) -> str:
    """Return the full path that the last part of a URL names."""
    return url.rpartition("/")[2].replace("~", "/")


# --- objects ---------------------------------------------------------------------------------------------------------------


def named(path: str) -> dict[str, Json]:
    """Return name and partition of a full path, and the folder where there is one."""
    parts = path.strip("/").split("/")
    found = {"name": parts[-1], "partition": parts[0]}
    if len(parts) > 2:
        found["subPath"] = "/".join(parts[1:-1])
    return found


def rules(found: Sequence[Rule]) -> list[dict[str, Json]]:
    """Return rules as nested bodies, chained by placeAfter: without a chain their order is nobody's promise."""
    after, bodies = "first", []
    for one in found:
        bodies.append({**rule(one), "placeAfter": after})
        after = one.name
    return bodies


def rule(one: Rule) -> dict[str, Json]:
    """Return one rule of ours, without its place."""
    if one.inherited:
        return inherited(one)
    assert one.action is not None, "rules of ours have an action"
    assert not one.action.opens or not one.source.any, f"rule {one.name} would open to anybody who is not named"
    return _rule(one, one.action.value)


def inherited(one: Rule) -> dict[str, Json]:
    """Return a rule that was taken over, word for word: with what this adapter does not know the meaning of."""
    body = _rule(one, one.action.value if one.action is not None else "")
    if one.rule_list:
        body["ruleList"] = one.rule_list
    for key, value in json.loads(one.rest or "{}").items():
        body[key] = {**body.get(key, {}), **value} if isinstance(value, dict) else value
    if one.port_lists:
        body["destination"] = {**body.get("destination", {}), "portLists": sorted(one.port_lists)}
    return body


def _rule(one: Rule, action: str) -> dict[str, Json]:
    body: dict[str, Json] = {
        "name": one.name,
        **({"action": action} if action else {}),
        "ipProtocol": words.protocol_word(one.native.protocol),
        "log": "yes" if one.logged else "no",
        "status": "enabled" if one.enabled else "disabled",
    }
    source, destination = _end(one.source), _end(one.destination)
    if one.native.ports:
        destination["ports"] = [{"name": words.port_text(pair)} for pair in one.native.ports]
    if source:
        body["source"] = source
    if destination:
        body["destination"] = destination
    if one.native.icmp:
        body["icmp"] = [{"name": words.icmp_text(pair)} for pair in one.native.icmp]
    if one.description:
        body["description"] = one.description
    return body


def _end(ends: Ends) -> dict[str, Json]:
    found: dict[str, Json] = {}
    if ends.spans:
        found["addresses"] = [{"name": one.text()} for one in sorted(ends.spans)]
    if ends.lists:
        found["addressLists"] = sorted(ends.lists)
    return found


def addresses(one: AddressList) -> list[dict[str, str]]:
    """Return the entries of a list; an empty list cannot be said, and nobody may ask for one."""
    assert one.spans, f"{one.path} would be empty: that means anybody"
    return [{"name": span.text()} for span in sorted(one.spans)]


def create_list(one: AddressList) -> Call:
    """Return the creation of an address list."""
    return Call("POST", ADDRESS_LIST, {**named(one.path), "description": one.description, "addresses": addresses(one)})


def change_list(one: AddressList) -> Call:
    """Return the change of a list to new entries: the whole array is replaced."""
    return Call("PATCH", f"{ADDRESS_LIST}/{tilded(one.path)}", {"description": one.description, "addresses": addresses(one)})


def delete_list(path: str) -> Call:
    """Return the deletion of an address list."""
    return Call("DELETE", f"{ADDRESS_LIST}/{tilded(path)}")


def create_policy(one: Policy) -> Call:
    """Return the creation of a policy with all its rules in one body."""
    return Call("POST", POLICY, {**named(one.path), "description": one.description, "rules": rules(one.rules)})


def delete_policy(path: str) -> Call:
    """Return the deletion of a policy."""
    return Call("DELETE", f"{POLICY}/{tilded(path)}")


def attach(place: str, path: str, enforced: str | None, staged: str | None = None) -> Call:
    """Return the change of the fields that say which policies a context enforces and stages; None leaves one alone.

    `place` is VIRTUAL or ROUTE_DOMAIN, `path` the object there.
    """
    fields = {ENFORCED: enforced, STAGED: staged}
    return Call("PATCH", f"{place}/{tilded(path)}", {key: value or "none" for key, value in fields.items() if value is not None})


def context(call: Call) -> str:
    """Return the context that a call attaches a policy to or detaches one from, as tables name it; empty for other calls."""
    if call.method != "PATCH" or not call.path.startswith((f"{VIRTUAL}/", f"{ROUTE_DOMAIN}/")):
        return ""
    path = untilded(call.path)
    return f"{DOMAIN_CONTEXT}{path}" if call.path.startswith(ROUTE_DOMAIN) else path


def save() -> Call:
    """Return the order to save the running configuration."""
    return Call("POST", SAVE, {"command": "save"})


def saves(payload: str) -> bool:
    """Tell whether a payload is the order to save the configuration, and nothing else. ValueError for what is no payload of ours."""
    return [call.path for call in parse(payload).calls] == [SAVE]


def sync(group: str) -> Call:
    """Return the order to bring the group to what this device has."""
    return Call("POST", SYNC, {"command": "run", "utilCmdArgs": f"config-sync to-group {group}"})


# --- content hashes --------------------------------------------------------------------------------------------------------


def content_of_rules(found: Iterable[Rule]) -> str:
    """Return the canonical text of what rules say, in their order: what a generation's name is made of."""
    return canonical([rule(one) for one in found])
