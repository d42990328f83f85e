"""The entries of an IP list: CIDRs, ranges `a-b` and single addresses of both families; `!` leaves out. Nothing is guessed or rounded."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from cloudsync.model import intervals
from cloudsync.model.address import Address, AddressSet, plain_v4
from cloudsync.model.finding import Finding, Where
from cloudsync.policy.words import is_number

WANT = "want a CIDR, a range a-b or a single address"


def read_entries(entries: Iterable[tuple[str, Where]]) -> tuple[AddressSet, tuple[Finding, ...]]:
    """Return included minus excluded addresses of a list, and every wrong entry."""
    included: list[tuple[int, int, int]] = []
    excluded: list[tuple[int, int, int]] = []
    findings: list[Finding] = []
    for text, where in entries:
        found = _entry(text.removeprefix("!").strip(), where)
        if isinstance(found, Finding):
            findings.append(found)
        else:
            (excluded if text.startswith("!") else included).append(found)
    return _set(included) - _set(excluded), tuple(findings)


def plain_address(text: str) -> AddressSet | None:
    """Return the one IPv4 address of a text in the usual form; None for everything that has to be looked at more closely."""
    value = plain_v4(text)
    return None if value is None else AddressSet((value, value + 1))


def _set(spans: list[tuple[int, int, int]]) -> AddressSet:
    four = intervals.from_ranges((first, last + 1) for version, first, last in spans if version == 4)
    six = intervals.from_ranges((first, last + 1) for version, first, last in spans if version == 6)
    return AddressSet(four, six)


def _entry(text: str, where: Where) -> tuple[int, int, int] | Finding:
    """Return family, first and last address of one entry."""
    if "-" in text:
        return _range(text, where)
    if "/" in text:
        return _network(text, where)
    found = _address(text, where)
    return found if isinstance(found, Finding) else (found.version, int(found), int(found))


def _address(text: str, where: Where) -> Address | Finding:
    octets = text.split(".")
    if len(octets) == 4 and all(is_number(part) for part in octets):
        meant = ".".join(part.lstrip("0") or "0" for part in octets)
        if meant != text:
            return Finding(where, "BAD-ADDRESS", "leading zero in an octet", f"did you mean {meant}")
    try:
        address = ip_address(text)
    except ValueError:
        return Finding(where, "BAD-ADDRESS", f"'{text}' is no address", WANT)
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return Finding(where, "MAPPED-V4", f"'{text}' is an IPv4 address in IPv6 clothes", f"did you mean {address.ipv4_mapped}")
        if address.scope_id is not None:
            return Finding(where, "BAD-ADDRESS", f"'{text}' names an interface", f"did you mean {text.partition('%')[0]}")
    return address


def _network(text: str, where: Where) -> tuple[int, int, int] | Finding:
    base, _, length = text.partition("/")
    if not is_number(length):
        return Finding(where, "BAD-ADDRESS", f"'{text}' has no prefix length", _length_hint(text))
    if len(length) > 1 and length[0] == "0":
        return Finding(where, "BAD-ADDRESS", "leading zero in the prefix length", f"did you mean {base}/{length.lstrip('0') or '0'}")
    address = _address(base, where)
    if isinstance(address, Finding):
        if address.code == "MAPPED-V4" and 96 <= int(length) <= 128:
            meant = IPv4Network((address.hint.removeprefix("did you mean "), int(length) - 96), strict=False)
            return Finding(where, "MAPPED-V4", f"'{text}' is an IPv4 network in IPv6 clothes", f"did you mean {meant}")
        return address
    most = 32 if isinstance(address, IPv4Address) else 128
    if len(length) > 3 or int(length) > most:
        return Finding(where, "BAD-ADDRESS", f"prefix length {length} of '{text}'", f"want 0-{most}")
    network = _loose(address, int(length))
    if network.network_address != address:
        return Finding(where, "HOST-BITS", f"{text} has host bits set", f"did you mean {network}")
    return network.version, int(network.network_address), int(network.broadcast_address)


def _loose(address: Address, length: int) -> IPv4Network | IPv6Network:
    if isinstance(address, IPv4Address):
        return IPv4Network((int(address), length), strict=False)
    return IPv6Network((int(address), length), strict=False)


def _length_hint(text: str) -> str:
    try:
        return f"did you mean {ip_network(text, strict=False)}"
    except ValueError:
        return "want /N"


def _range(text: str, where: Where) -> tuple[int, int, int] | Finding:
    left, _, right = text.partition("-")
    ends: list[Address] = []
    for part in (left.strip(), right.strip()):
        found = _address(part, where)
        if isinstance(found, Finding):
            return found
        ends.append(found)
    first, last = ends
    if first.version != last.version:
        return Finding(where, "BAD-ADDRESS", f"'{text}' mixes IPv4 and IPv6", WANT)
    if int(first) > int(last):
        return Finding(where, "REVERSED-RANGE", f"'{text}' runs backwards", f"did you mean {last}-{first}")
    return first.version, int(first), int(last)
