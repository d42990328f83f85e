"""What a VPC firewall rule may say, and how the vendor spells it: limits, exclusions, defaults, normal spellings."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache

from ..kit.faults import Json
from .refusal import ComputeError, invalid, too_large
from .schema import NAME
from .settings import Settings
from .world import Object

PROTOCOLS = {"ah": 51, "esp": 50, "icmp": 1, "ipip": 94, "sctp": 132, "tcp": 6, "udp": 17}
WITH_PORTS = frozenset({6, 17, 132})
ANYWHERE = "0.0.0.0/0"
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_ACCOUNT = re.compile(r"[^@\s]+@[^@\s]+")
LISTS = (
    "sourceRanges", "destinationRanges", "sourceTags", "targetTags", "sourceServiceAccounts", "targetServiceAccounts", "allowed", "denied",
)  # fmt: skip
_SOURCES = ("sourceRanges", "sourceTags", "sourceServiceAccounts")


@lru_cache(maxsize=1024)
def number_of(protocol: str) -> int | None:
    """Return a protocol's number; None for `all`. ValueError for what is no protocol."""
    name = protocol.lower()
    if name == "all":
        return None
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    if name.isdecimal() and int(name) <= 255:
        return int(name)
    raise ValueError(protocol)


def completed(given: Object) -> Object:
    """Fill in what a client may leave out. Ingress without any source becomes open to the world, as the vendor makes it."""
    rule = {"description": "", "direction": "INGRESS", "priority": 1000, "disabled": False, "logConfig": {"enable": False}, **given}
    if rule["direction"] == "INGRESS" and not any(rule.get(name) for name in _SOURCES):
        rule["sourceRanges"] = [ANYWHERE]
    if rule["direction"] == "EGRESS" and not rule.get("destinationRanges"):
        rule["destinationRanges"] = [ANYWHERE]
    return {name: value for name, value in rule.items() if value != [] and value is not None}


def check(rule: Object, settings: Settings) -> None:
    """Refuse what the vendor refuses in a complete rule."""
    if rule.get("allowed") and rule.get("denied"):
        raise invalid("resource.denied[0]", "", "Should not specify both allowed and denied in the same time.")
    if not (rule.get("allowed") or rule.get("denied")):
        raise invalid("resource.allowed", "", "At least one of allowed and denied must be specified.")
    if not 0 <= rule["priority"] <= 65535:
        raise invalid("resource.priority", rule["priority"], "Must be between 0 and 65535, inclusive.")
    if len(rule["description"]) > settings.description_max:
        raise invalid("resource.description", rule["description"], f"Must be at most {settings.description_max} characters long.")
    _counts(rule, settings)
    _exclusions(rule)
    _names(rule)
    _families(rule)
    for field in ("allowed", "denied"):
        for number, one in enumerate(rule.get(field, ())):
            _protocol(one, f"resource.{field}[{number}]", settings)


def _counts(rule: Object, settings: Settings) -> None:
    most = {
        "sourceRanges": settings.addresses_max,
        "destinationRanges": settings.addresses_max,
        "sourceTags": settings.source_tags_max,
        "targetTags": settings.target_tags_max,
        "sourceServiceAccounts": settings.accounts_max,
        "targetServiceAccounts": settings.accounts_max,
    }
    for field, limit in most.items():
        if len(rule.get(field, ())) > limit:
            raise too_large(f"resource.{field}", limit, len(rule[field]))


def _exclusions(rule: Object) -> None:
    tags = rule.get("sourceTags") or rule.get("targetTags")
    accounts = rule.get("sourceServiceAccounts") or rule.get("targetServiceAccounts")
    if tags and accounts:
        raise invalid("resource", "", "Tags and service accounts cannot be specified in the same firewall rule.")
    if rule["direction"] == "EGRESS" and (rule.get("sourceTags") or rule.get("sourceServiceAccounts")):
        raise ComputeError(400, "badRequest", "Should not specify source tag or service account for egress direction.")


def _names(rule: Object) -> None:
    for field in ("sourceTags", "targetTags"):
        for number, tag in enumerate(rule.get(field, ())):
            if not NAME.fullmatch(tag):
                raise invalid(f"resource.{field}[{number}]", tag, f"Must be a match of regex '{NAME.pattern}'")
    for field in ("sourceServiceAccounts", "targetServiceAccounts"):
        for number, account in enumerate(rule.get(field, ())):
            if not _ACCOUNT.fullmatch(account):
                raise invalid(f"resource.{field}[{number}]", account, "Must be a service account email.")


def _families(rule: Object) -> None:
    """Every block must be one, and all of one family."""
    seen: set[int] = set()
    for field in ("sourceRanges", "destinationRanges"):
        for number, text in enumerate(rule.get(field, ())):
            block = block_of(text)
            if block is None:
                raise invalid(f"resource.{field}[{number}]", text, "Must be a valid IPv4 or IPv6 CIDR address range.")
            seen.add(block.version)
    if len(seen) > 1:
        text = "IPv4 and IPv6 address ranges cannot be specified in the same firewall rule."
        raise invalid("resource.sourceRanges", rule.get("sourceRanges", []), text)


@lru_cache(maxsize=65536)
def block_of(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Read a block, or an address without a length; None when it is neither. A zone index or a mask in dots is neither."""
    address, slash, length = text.partition("/")
    if "%" in text or (slash and not (length.isascii() and length.isdecimal())):
        return None
    try:
        return ipaddress.ip_network(f"{address}/{length}" if slash else address, strict=False)
    except ValueError:
        return None


def _protocol(one: Json, path: str, settings: Settings) -> None:
    name = one.get("IPProtocol", "")
    try:
        number = number_of(name)
    except ValueError:
        words = ", ".join(f'"{word}"' for word in sorted([*PROTOCOLS, "all"]))
        raise invalid(f"{path}.IPProtocol", name, f"Must be one of [{words}] or an IP protocol number between 0 and 255.") from None
    ports = one.get("ports", [])
    if ports and number not in WITH_PORTS:
        raise invalid(f"{path}.ports[0]", ports[0], f"Ports may only be specified for TCP, UDP and SCTP, not for '{name}'.")
    if len(ports) > settings.ports_max:
        raise too_large(f"{path}.ports", settings.ports_max, len(ports))
    for index, text in enumerate(ports):
        if not port_range(text):
            raise invalid(f"{path}.ports[{index}]", text, "Ports must be an integer or a range between 0 and 65535.")


@lru_cache(maxsize=65536)
def port_range(text: str) -> tuple[int, int] | None:
    """Read `80` or `80-90`; None when it is neither."""
    found = _PORTS.fullmatch(text)
    if not found or not text.isascii():
        return None
    first, end = int(found[1]), int(found[2] or found[1])
    return (first, end) if first <= end <= 65535 else None


def spelled(rule: Object, settings: Settings) -> Object:
    """Spell a checked rule as the vendor shows it, under the lab's settings."""
    shown = dict(rule)
    for field in ("sourceRanges", "destinationRanges"):
        if field in shown:
            shown[field] = [_block(text, settings.cidrs) for text in shown[field]]
    for field in ("allowed", "denied"):
        if field in shown:
            shown[field] = [_spelled_protocol(one, settings.protocols) for one in shown[field]]
    if settings.lists == "reverse":
        for field in LISTS:
            if field in shown:
                shown[field] = list(reversed(shown[field]))
    return shown


def _spelled_protocol(one: Json, how: str) -> Object:
    name = str(one["IPProtocol"])
    number = number_of(name)
    if how == "number" and number is not None:
        name = str(number)
    elif how == "lower":
        name = name.lower()
    found: Object = {"IPProtocol": name}
    if one.get("ports"):
        found["ports"] = list(one["ports"])
    return found


def _block(text: str, how: str) -> str:
    block = block_of(text)
    if block is None or how == "keep":
        return text
    if how == "bare" and block.num_addresses == 1:
        return str(block.network_address)
    return block.exploded if how == "long" else str(block)


def blocks(texts: list[str]) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Yield the blocks of a checked list."""
    for text in texts:
        block = block_of(text)
        if block is not None:
            yield block
