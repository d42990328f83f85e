"""Payloads: the canonical JSON of one call, and back. What is proven is what is parsed from here, never the value it was made of.

Shapes: `{"call": "firewalls.insert", "project": P, "body": {...}}`, `firewalls.delete` with `rule`, `firewalls.patch` with `rule` and
`body`, `instances.setTags` with `instance`, `items` and `expect` (the tags that must be there just before; the fingerprint is read then).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field, replace
from hashlib import sha256
from typing import Any

from cloudsync.model.quick import dataclass
from cloudsync_gcp.parse import canonical
from cloudsync_gcp.spell import port_texts
from cloudsync_gcp.table import MARK_WORD, Rule, owner_in_names

INSERT, DELETE, PATCH, SET_TAGS = "firewalls.insert", "firewalls.delete", "firewalls.patch", "instances.setTags"
DESCRIPTION_MOST = 2047
NAME_MOST = 63


@dataclass(frozen=True, slots=True)
class Request:
    """One call, parsed. `object` is the rule's name or the VM's path."""

    call: str
    project: str
    object: str
    body: Mapping[str, Any] = field(default_factory=dict)
    items: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()


def render(request: Request) -> str:
    """Return the payload of a call."""
    value: dict[str, Any] = {"call": request.call, "project": request.project}
    if request.call == SET_TAGS:
        value |= {"instance": request.object, "items": list(request.items), "expect": list(request.expect)}
    elif request.call == INSERT:
        value["body"] = dict(request.body)
    else:
        value["rule"] = request.object
        if request.call == PATCH:
            value["body"] = dict(request.body)
    return canonical(value)


def parse(payload: str) -> Request:
    """Return the call of a payload. ValueError when it is none of ours."""
    value = json.loads(payload)
    call = value.get("call")
    if call == INSERT:
        return Request(call, value["project"], value["body"]["name"], value["body"])
    if call == DELETE:
        return Request(call, value["project"], value["rule"])
    if call == PATCH and set(value["body"]) == {"description", "disabled"}:
        return Request(call, value["project"], value["rule"], value["body"])
    if call == SET_TAGS:
        return Request(call, value["project"], value["instance"], {}, tuple(value["items"]), tuple(value["expect"]))
    raise ValueError(f"{call!r} is no writing call of this adapter")


# --- rules ---------------------------------------------------------------------------------------------------------------


def body(rule: Rule) -> dict[str, Any]:
    """Return a rule as Google takes it: what is empty is left out, lists in one order."""
    entries: list[dict[str, Any]] = []
    for name, ports in rule.protocols:
        entries.append({"IPProtocol": name, "ports": port_texts(ports)} if ports else {"IPProtocol": name})
    lists = {
        "sourceRanges": rule.sources,
        "destinationRanges": rule.destinations,
        "sourceTags": rule.source_tags,
        "targetTags": rule.target_tags,
        "sourceServiceAccounts": rule.source_accounts,
        "targetServiceAccounts": rule.target_accounts,
    }
    return {
        "name": rule.name,
        "description": rule.description,
        "network": rule.network,
        "direction": "EGRESS" if rule.egress else "INGRESS",
        "priority": rule.priority,
        "denied" if rule.deny else "allowed": entries,
        "logConfig": json.loads(rule.log) if rule.log else {"enable": False},
        "disabled": rule.disabled,
        **{key: list(value) for key, value in lists.items() if value},
    }


def stem(rule: Rule, owner: str) -> str:
    """Return `cs-<owner>-<20 hex>`: the name a rule of ours has by its content, whatever name and state it is in."""
    content = body(replace(rule, name="", disabled=False))
    return f"cs-{owner_in_names(owner)}-{sha256(canonical(content).encode()).hexdigest()[:20]}"


def named_by_content(rule: Rule, owner: str) -> bool:
    """Tell whether a rule of ours is what its name says: enforced, and with the content that the name was made from."""
    base = stem(rule, owner)
    return not rule.disabled and (rule.name == base or rule.name.startswith(f"{base}-r"))


def description(owner: str, class_id: str, rules: tuple[str, ...]) -> str:
    """Return the description that marks a rule as ours and names the policy rules behind it; nothing in it changes by itself."""
    head, tail = f"{MARK_WORD} owner={owner} class={class_id} rules=", ". Managed by cloudsync; changes made by hand are undone."
    room = DESCRIPTION_MOST - len(head) - len(tail)
    named = ",".join(rules)
    if len(named) > room:
        kept: list[str] = []
        for one in rules:
            if len(",".join((*kept, one))) > room - 4:
                break
            kept.append(one)
        named = ",".join((*kept, "..."))
    return head + named + tail
