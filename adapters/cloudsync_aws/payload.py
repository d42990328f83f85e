"""Payloads: the canonical JSON of one EC2 call, and back. What is proven is what is parsed from here, never the value it was made of.

Shape: `{"args": {...}, "call": "..."}` with exactly the SDK's keyword arguments. `expect` stands beside them where a call replaces a
whole value without compare-and-swap: what must be there just before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any

from cloudsync.model.quick import dataclass
from cloudsync_aws.table import TAG_MANAGED, TAG_OWNER, Mark, PeerKind, RuleKey

GROUP_DESCRIPTION = "Managed by cloudsync. Changes made by hand are undone."
ENTRIES_PER_CALL = 100
"""Changes of entries in one ModifyManagedPrefixList (EC2 refuses more; its SDK does not check)."""

_NAMES = {-1: "-1", 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}
_NUMBERS = {name: number for number, name in _NAMES.items()}
_WITH_SPAN = frozenset({1, 6, 17, 58})
_FIELDS = {
    PeerKind.CIDR4.value: ("IpRanges", "CidrIp"),
    PeerKind.CIDR6.value: ("Ipv6Ranges", "CidrIpv6"),
    PeerKind.GROUP.value: ("UserIdGroupPairs", "GroupId"),
    PeerKind.LIST.value: ("PrefixListIds", "PrefixListId"),
}


@dataclass(frozen=True, slots=True)
class Request:
    """One call, parsed."""

    call: str
    args: Mapping[str, Any]
    expect: tuple[str, ...] | None = None


def canonical(value: object) -> str:
    """Return JSON with sorted keys and no spaces, ASCII only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def render(call: str, args: Mapping[str, Any], expect: Iterable[str] | None = None) -> str:
    """Return the payload of a call."""
    body: dict[str, Any] = {"call": call, "args": args}
    if expect is not None:
        body["expect"] = list(expect)
    return canonical(body)


def parse(payload: str) -> Request:
    """Return the call of a payload."""
    body = json.loads(payload)
    expect = body.get("expect")
    return Request(body["call"], body["args"], None if expect is None else tuple(expect))


# --- rules ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accounts:
    """Whose a group is, where a reference crosses accounts: EC2 wants the other account's id beside the group's."""

    own: str
    of_group: Mapping[str, str] = field(default_factory=dict)

    def other(self, group: str) -> str:
        """Return the account to name for a group; empty when it is our own."""
        account = self.of_group.get(group, self.own)
        return "" if account == self.own else account


def permissions(rules: Mapping[RuleKey, str], accounts: Accounts, *, described: bool = True) -> list[dict[str, Any]]:
    """Return IpPermissions: one per (protocol, from, to), ordered, no twin; descriptions left out for revokes."""
    found: dict[tuple[int, int, int], dict[str, Any]] = {}
    for key in sorted(rules):
        span = (key.protocol, key.first, key.last)
        permission = found.get(span)
        if permission is None:
            permission = found[span] = {"IpProtocol": _NAMES.get(key.protocol, str(key.protocol))}
            if key.protocol in _WITH_SPAN:
                permission["FromPort"], permission["ToPort"] = key.first, key.last
        block, name = _FIELDS[key.kind]
        source: dict[str, str] = {name: key.peer}
        if key.kind == PeerKind.GROUP.value and accounts.other(key.peer):
            source["UserId"] = accounts.other(key.peer)
        if described and rules[key]:
            source["Description"] = rules[key]
        permission.setdefault(block, []).append(source)
    return list(found.values())


def rules_of(permissions: Iterable[Mapping[str, Any]], *, egress: bool) -> Iterator[tuple[RuleKey, str]]:
    """Yield `(identity, description)` of IpPermissions in the order given."""
    for permission in permissions:
        name = permission["IpProtocol"]
        protocol = _NUMBERS[name] if name in _NUMBERS else int(name)
        first, last = (permission["FromPort"], permission["ToPort"]) if protocol in _WITH_SPAN else (-1, -1)
        for kind, (block, field_name) in _FIELDS.items():
            for source in permission.get(block, ()):
                yield RuleKey(egress, protocol, first, last, kind, source[field_name]), source.get("Description", "")


# --- tags ----------------------------------------------------------------------------------------------------------------


def tag_specification(resource: str, tags: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return TagSpecifications for one resource type."""
    return [{"ResourceType": resource, "Tags": [{"Key": key, "Value": value} for key, value in tags]}]


def rule_tags(mark: Mark) -> list[dict[str, Any]]:
    """Return the tags of every rule we add."""
    return tag_specification("security-group-rule", ((TAG_MANAGED, "true"), (TAG_OWNER, mark.owner)))


def tags_of(specification: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Return the tags of TagSpecifications, sorted by key."""
    return tuple(sorted((tag["Key"], tag["Value"]) for one in specification for tag in one["Tags"]))


# --- ids that are not known yet ------------------------------------------------------------------------------------------


def placeholder(key: str) -> str:
    """Return the text that stands for the id of an object still to be created."""
    return f"{{new:{key}}}"


def key_of(text: str) -> str | None:
    """Return the key inside a placeholder; None for a native id."""
    return text[5:-1] if text.startswith("{new:") and text.endswith("}") else None


def bound(payload: str, bindings: Mapping[str, str]) -> str:
    """Return a payload with every placeholder replaced whose id is known."""
    return _NEW.sub(lambda found: bindings.get(found[1], found[0]), payload)


_NEW = re.compile(r"\{new:([^{}]+)\}")
