"""Payloads: the canonical JSON of one write, and back. What is proven is what is parsed from here, never the value it was made of.

`{"call": "put_nsg", "nsg": id, "rules": [...], "expect": digest}` is a PUT of a whole NSG: `rules` is its `securityRules` exactly as sent.
What else the PUT carries (location, tags, properties of others) is taken over from a read made just before; `expect` is the digest of
the rules that this read must show, else nothing is sent. `put_rule` and `delete_rule` write one rule alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from cloudsync.model import intervals
from cloudsync.model.intervals import Points
from cloudsync.model.quick import dataclass
from cloudsync_azure.parse import canonical
from cloudsync_azure.table import Nsg, Rule, Side

PUT_NSG, PUT_RULE, DELETE_RULE = "put_nsg", "put_rule", "delete_rule"
CALLS = (DELETE_RULE, PUT_NSG, PUT_RULE)


@dataclass(frozen=True, slots=True)
class Request:
    """One write, parsed. `rules`: raw security rules; one for `put_rule`, none for `delete_rule`."""

    call: str
    nsg: str
    rules: tuple[Mapping[str, Any], ...]
    name: str = ""
    """Of the rule that is deleted."""
    expect: str = ""
    """Digest of the NSG (or of the rule) as it must be just before; empty: the rule must not be there."""
    flush: bool | None = None


def render(request: Request) -> str:
    """Return the payload of a write."""
    body: dict[str, Any] = {"call": request.call, "nsg": request.nsg, "expect": request.expect}
    if request.call == DELETE_RULE:
        body["name"] = request.name
    else:
        body["rules"] = list(request.rules)
    if request.flush is not None:
        body["flush"] = request.flush
    return canonical(body)


def read(payload: str) -> Request:
    """Return the write of a payload. Raises ValueError for what is no write of ours."""
    body = json.loads(payload)
    if not isinstance(body, dict) or body.get("call") not in CALLS:
        raise ValueError("no writing call of this adapter")
    rules = tuple(body.get("rules", ()))
    return Request(body["call"], body["nsg"], rules, body.get("name", ""), body["expect"], body.get("flush"))


def rule_json(rule: Rule) -> dict[str, Any]:
    """Return a rule as it is sent: foreign ones exactly as they were read, ours from their values."""
    if not rule.ours:
        found: dict[str, Any] = json.loads(rule.raw)
        return found
    inner: dict[str, Any] = {
        "access": "Deny" if rule.deny else "Allow",
        "description": rule.description,
        "direction": "Outbound" if rule.egress else "Inbound",
        "priority": rule.priority,
        "protocol": rule.protocol.value,
    }
    for end, side, ports in (("source", rule.source, rule.source_ports), ("destination", rule.destination, rule.ports)):
        _put(inner, f"{end}AddressPrefix", f"{end}AddressPrefixes", _words(side))
        _put(inner, f"{end}PortRange", f"{end}PortRanges", _port_words(ports))
        if side.asgs:
            inner[f"{end}ApplicationSecurityGroups"] = [{"id": one} for one in side.asgs]
    return {"name": rule.name, "properties": inner}


def _put(inner: dict[str, Any], singular: str, plural: str, words: list[str]) -> None:
    """Put words into the singular field where one says it all: tags and `*` stand only there."""
    if len(words) == 1:
        inner[singular] = words[0]
    elif words:
        inner[plural] = words


_TAGS = {"azureloadbalancer": "AzureLoadBalancer", "virtualnetwork": "VirtualNetwork", "internet": "Internet"}


def _words(side: Side) -> list[str]:
    if side.tag:
        return [_TAGS.get(side.tag, side.tag)]
    return ["*"] if side.everything else list(side.addresses.cidrs())


def _port_words(ports: Points) -> list[str]:
    if ports == (0, 65536):
        return ["*"]
    return [str(first) if first + 1 == end else f"{first}-{end - 1}" for first, end in intervals.ranges(ports)]


def prefixes(side: Side) -> int:
    """Return how many addresses a side counts against the NSG's limit."""
    return 0 if side.tag or side.asgs or side.everything else sum(1 for _ in side.addresses.prefixes())


def digest(nsg: Nsg) -> str:
    """Return the SHA-256 of an NSG's rules in normal form, foreign ones byte for byte."""
    return _hash([rule_digest(rule) for rule in nsg.rules], nsg.flush)


def rule_digest(rule: Rule) -> str:
    """Return the SHA-256 of one rule."""
    return _hash(rule.shape or rule_json(rule))


def content_digest(parts: Iterable[object]) -> str:
    """Return twelve hexadecimal digits that stand for a content in a name."""
    return _hash(*parts)[:12]


def _hash(*parts: object) -> str:
    return hashlib.sha256(canonical(list(parts)).encode()).hexdigest()
