"""The text of one service, `protocol[/port[-port]]` or `icmp[/type]`, as an exact set."""

from __future__ import annotations

from cloudsync.model.finding import Finding, Where
from cloudsync.model.service import (
    ANY_SERVICE,
    ICMP,
    ICMP_TYPES,
    ICMPV6_TYPES,
    PROTOCOL_NAMES,
    PROTOCOLS,
    WITH_PORTS,
    WITH_TYPES,
    ServiceSet,
)
from cloudsync.policy.syntax import ANY
from cloudsync.policy.words import did_you_mean, is_number, listed


def read_service(text: str, where: Where) -> ServiceSet | Finding:
    """Return the services of one text, or what is wrong with it."""
    if text == ANY:
        return ANY_SERVICE
    name, slash, rest = text.partition("/")
    number = _protocol(name, text, where)
    if isinstance(number, Finding):
        return number
    if not slash:
        return ServiceSet.protocol(number)
    if number in WITH_TYPES:
        return _icmp(number, rest, where)
    if number not in WITH_PORTS:
        shown = PROTOCOL_NAMES.get(number, f"protocol {number}")
        return Finding(where, "BAD-PORT", f"{shown} has no ports", f"did you mean '{name}'")
    return _ports(number, f"{name}/", rest, where)


def starts_like_a_protocol(text: str) -> bool:
    """Tell whether a text can only be a protocol, and not the name of a service."""
    return "/" in text or text in PROTOCOLS or is_number(text)


def _protocol(name: str, text: str, where: Where) -> int | Finding:
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    if is_number(name):
        if len(name) > 1 and name[0] == "0":
            return Finding(where, "BAD-PROTOCOL", "leading zero", f"did you mean {name.lstrip('0') or '0'}")
        if len(name) <= 3 and int(name) <= 255:
            return int(name)
        hint = f"did you mean tcp/{name}" if name == text and len(name) <= 5 and int(name) <= 65535 else "want tcp, udp, ... or 0-255"
        return Finding(where, "BAD-PROTOCOL", f"'{name}' is no protocol", hint)
    return Finding(where, "BAD-PROTOCOL", f"'{name}' is no protocol", did_you_mean(name, PROTOCOLS, f"want {listed(PROTOCOLS)} or 0-255"))


def _ports(protocol: int, before: str, text: str, where: Where) -> ServiceSet | Finding:
    parts = text.split("-")
    if len(parts) > 2 or not all(part and part.isdigit() for part in parts):
        return Finding(where, "BAD-PORT", f"'{text}'", "want N or N-M")
    if any(not part.isascii() or (part[0] != "0" and len(part) > 5) for part in parts):
        return Finding(where, "BAD-PORT", f"want ASCII 0-65535, found '{text}'")
    if any(len(part) > 1 and part[0] == "0" for part in parts):
        meant = "-".join(part.lstrip("0") or "0" for part in parts)
        return Finding(where, "BAD-PORT", "leading zero", f"did you mean {meant}")
    first, last = int(parts[0]), int(parts[-1])
    if max(first, last) > 65535:
        return Finding(where, "BAD-PORT", f"want ASCII 0-65535, found '{text}'")
    if first > last:
        return Finding(where, "BAD-PORT", "reversed range", f"did you mean {before}{last}-{first}")
    return ServiceSet.ports(protocol, first, last)


def _icmp(protocol: int, text: str, where: Where) -> ServiceSet | Finding:
    name, names, others = "icmp", ICMP_TYPES, ICMPV6_TYPES
    if protocol != ICMP:
        name, names, others = "icmpv6", ICMPV6_TYPES, ICMP_TYPES
    if text in names:
        return ServiceSet.icmp(protocol, names[text])
    parts = text.split("-")
    if len(parts) > 1 and all(part.isdigit() for part in parts):
        return Finding(where, "BAD-ICMP", f"{name} takes one type", f"write {name}/{parts[0]}, {name}/{parts[-1]}")
    if not is_number(text):
        hint = f"it is a type of {'icmpv6' if protocol == ICMP else 'icmp'}" if text in others else did_you_mean(text, names)
        return Finding(where, "BAD-ICMP", f"{name} has no type '{text}'", hint or "want a name of the list or 0-255")
    if len(text) > 1 and text[0] == "0":
        return Finding(where, "BAD-ICMP", "leading zero", f"did you mean {text.lstrip('0') or '0'}")
    if len(text) > 3 or int(text) > 255:
        return Finding(where, "BAD-ICMP", f"want ASCII 0-255, found '{text}'")
    return ServiceSet.icmp(protocol, int(text))
