"""The words of AFM: rules as dumps and as bodies say them, addresses with their route domain, protocols, ports, ICMP types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from cloudsync.verify.ground import Json, items, mapping, number, text, texts
from cloudsync.verify.space import ANY, BLOCK, ICMP, ICMPV6, PORTED, Runs, Span, UnreadableError, icmp, network, ports, protocol

_NAMED = (
    *("icmp 1", "igmp 2", "ipencap 4", "tcp 6", "egp 8", "udp 17", "dccp 33", "ipv6 41", "gre 47", "esp 50", "ah 51", "ipv6-icmp 58"),
    *("eigrp 88", "ospf 89", "pim 103", "vrrp 112", "sctp 132", "any -1"),
)
_PROTOCOLS = {word: int(value) for word, value in (one.split() for one in _NAMED)}
_PORTS = {"any": 0, "*": 0, "http": 80, "https": 443, "ssh": 22, "domain": 53, "smtp": 25, "ftp": 21, "ldap": 389, "ldaps": 636}
_READ = frozenset(
    {"name", "action", "ipProtocol", "log", "status", "source", "destination", "icmp", "description", "placeAfter", "ruleList"}
)
_ODD = {"fqdns": "names to resolve", "geo": "countries", "vlans": "VLANs", "zones": "zones", "identity": "users"}
_ODD_RULES = frozenset({"schedule", "irule", "virtualServer", "protocolInspectionProfile", "classificationPolicy"})


@dataclass(frozen=True, slots=True)
class Ends:
    """One end of a rule; nothing at all means every address."""

    spans: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()

    @property
    def said(self) -> bool:
        """Tell whether it names anybody."""
        return bool(self.spans or self.lists)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `action` is empty where it is a word nobody knows, or the rule stands for a rule list."""

    name: str
    action: str
    source: Ends
    destination: Ends
    protocol: int
    ported: bool
    """Whether ports stand in the rule itself."""
    services: Runs
    port_lists: tuple[str, ...]
    enabled: bool
    rule_list: str
    odd: tuple[str, ...] = field(compare=False)
    said: str
    """Its description."""
    logged: bool

    @property
    def inherited(self) -> bool:
        """Tell whether it was taken over from the policy whose place ours has."""
        return self.name.startswith("was_")


def dumped_rule(raw: Json) -> Rule:
    """Return a rule of a dump."""
    _, enabled, logged, rule_list, said_of, odd, _, name, action, source, destination, native = items(raw, "a rule")
    value, said, types, port_lists = items(native, "the services of a rule")
    found = _services(number(value, "a protocol"), [(one[0], one[1]) for one in said], [(one[0], one[1]) for one in types])
    ends = [Ends(tuple(sorted(texts(one[0], "addresses"))), tuple(sorted(texts(one[1], "lists")))) for one in (source, destination)]
    return Rule(
        name,
        action,
        ends[0],
        ends[1],
        value,
        bool(said),
        found,
        texts(port_lists, "lists"),
        enabled is True,
        rule_list,
        texts(odd, "odd"),
        said_of,
        logged is True,
    )


def from_body(raw: Json) -> Rule:
    """Return a rule of a request."""
    one = mapping(raw, "a rule")
    source, destination = mapping(one.get("source") or {}, "a source"), mapping(one.get("destination") or {}, "a destination")
    status = text(one.get("status", "enabled"), "a status")
    odd = [f"{key} {one[key]}" for key in sorted(_ODD_RULES & one.keys()) if one[key] not in (None, "", "none")]
    odd += [word for end in (source, destination) for key, word in _ODD.items() if end.get(key)]
    if status not in ("enabled", "disabled"):
        odd.append("hours")
    if source.get("ports") or source.get("portLists"):
        odd.append("source ports")
    if one.get("log", "no") not in ("yes", "no"):
        raise UnreadableError(f"log {one['log']!r}")
    listed = _path(one.get("ruleList"))
    action = str(one.get("action", ""))
    if action not in ("accept", "accept-decisively", "drop", "reject"):
        if not listed:
            odd.append(f"action {action}")
        action = ""
    value = _protocol(one.get("ipProtocol", "any"))
    said = [_port(name) for name in spans_of(destination.get("ports"))]
    types = [_type(name) for name in spans_of(one.get("icmp"))]
    ends = [
        Ends(tuple(sorted(spans_of(end.get("addresses")))), tuple(sorted(_paths(end.get("addressLists"))))) for end in (source, destination)
    ]
    described, logged = str(one.get("description") or ""), one.get("log") == "yes"
    found = _services(value, said, types)
    lists = _paths(destination.get("portLists"))
    name = text(one.get("name"), "a rule's name")
    if not name.startswith("was_") and (odd or set(one) - _READ):
        raise UnreadableError(f"rule {name} of ours says what nobody here can evaluate")
    return Rule(
        name, action, ends[0], ends[1], value, bool(said), found, lists, status != "disabled", listed, tuple(odd), described, logged
    )


def spans_of(raw: Json) -> tuple[str, ...]:
    """Return the names of `[{name}]`; plain texts count too."""
    if raw is None:
        return ()
    return tuple(text(one["name"] if isinstance(one, dict) else one, "a name") for one in items(raw, "a list"))


def _paths(raw: Json) -> tuple[str, ...]:
    if raw is None:
        return ()
    return tuple(_path(_joined(one) if isinstance(one, dict) else one) for one in items(raw, "a list"))


def _joined(one: Mapping[str, Json]) -> str:
    if one.get("fullPath"):
        return str(one["fullPath"])
    return "/".join(("", *(str(part) for part in (one.get("partition") or "Common", one.get("subPath"), one["name"]) if part)))


def _path(raw: Json) -> str:
    name = str(raw or "")
    return "" if name in ("", "none") else name if name.startswith("/") else f"/Common/{name}"


def _protocol(raw: Json) -> int:
    word = str(raw)
    if word in _PROTOCOLS:
        return _PROTOCOLS[word]
    if word.isdecimal() and int(word) <= 255:
        return int(word)
    raise UnreadableError(f"protocol {raw!r}")


def _port(name: str) -> tuple[int, int]:
    first, dash, last = name.partition("-")
    if first in ("any", "*"):
        return 0, BLOCK - 1
    low = _PORTS[first] if first in _PORTS else int(first)
    high = int(last) if dash else low
    if not 0 <= low <= high < BLOCK:
        raise UnreadableError(f"port {name!r}")
    return low, high


def _type(name: str) -> tuple[int, int]:
    kind, _, code = name.partition(":")
    found = int(kind), int(code) if code and code not in ("any", "*") else -1
    if not (0 <= found[0] <= 255 and -1 <= found[1] <= 255):
        raise UnreadableError(f"ICMP type {name!r}")
    return found


def _services(value: int, said: list[tuple[int, int]], types: list[tuple[int, int]]) -> Runs:
    """Return what protocol, ports and types mean; with ports, `any` is the protocols that have some."""
    if value < 0:
        return tuple(run for one in sorted(PORTED) for first, last in said for run in ports(one, first, last)) if said else ANY
    if value in PORTED and said:
        return tuple(run for first, last in said for run in ports(value, first, last))
    if value in (ICMP, ICMPV6) and types:
        return tuple(run for kind, code in types for run in icmp(value, kind, code))
    return protocol(value)


@lru_cache(maxsize=65536)
def span_in(name: str) -> tuple[int, Span]:
    """Return the route domain and the addresses of an entry: an address, a prefix or a range, each with or without `%rd`."""
    if "-" in name:
        low, high = (_split(part.strip()) for part in name.split("-", 1))
        if "%" in name.split("-", 1)[1] and low[1] != high[1]:
            raise UnreadableError(f"{name!r} is no range of addresses")
        return low[1], network(f"{low[0]}-{high[0]}")
    head, slash, tail = name.partition("/")
    plain, domain = _split(head)
    if "%" in tail:
        tail, domain = _split(tail)
    plain = {"any": "0.0.0.0/0", "any6": "::/0"}.get(plain, plain + (f"/{tail}" if slash else ""))
    return domain, network(plain)


def _split(name: str) -> tuple[str, int]:
    plain, mark, domain = name.partition("%")
    if mark and not domain.isdecimal():
        raise UnreadableError(f"{name!r}: no route domain")
    return plain, int(domain) if mark else 0
