"""IpPermissions of a request -> canonical rules, refused the way EC2 refuses them (rows 1-2, 5, 11-17)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from .refusal import Refusal
from .wire import Form

ANY = "-1"
_NAMES = {"all": ANY, "-1": ANY, "tcp": "tcp", "6": "tcp", "udp": "udp", "17": "udp"}
_NAMES |= {"icmp": "icmp", "1": "icmp", "icmpv6": "icmpv6", "58": "icmpv6"}
_RULE_TEXT = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]*")


class Kind(Enum):
    """What the other end of a rule is."""

    V4 = "cidrIpv4"
    V6 = "cidrIpv6"
    GROUP = "referencedGroup"
    LIST = "prefixListId"


@dataclass(frozen=True, slots=True, order=True)
class Match:
    """The identity of a rule inside one group and direction; description and tags are no part of it.

    `first` and `last` are ports, or ICMP type and code, or None where EC2 keeps none.
    """

    protocol: str
    first: int | None
    last: int | None
    peer_kind: str
    peer: str

    @property
    def kind(self) -> Kind:
        """The kind of the peer."""
        return Kind(self.peer_kind)

    def duplicate_text(self) -> str:
        """EC2's words for a rule that is already there (row 6)."""
        if self.protocol == ANY:
            return f'the specified rule "peer: {self.peer}, ALL, ALLOW" already exists'
        ports = "" if self.first is None else f", from port: {self.first}, to port: {self.last}"
        return f'the specified rule "peer: {self.peer}, {self.protocol.upper()}{ports}, ALLOW" already exists'


@dataclass(frozen=True, slots=True)
class Wanted:
    """One rule of a request."""

    match: Match
    description: str | None
    owner: str | None = None
    """Account of a referenced group, when the request names one."""


@lru_cache(maxsize=65536)
def cidr(text: str, *, v6: bool) -> str:
    """The canonical form of a block: host bits cleared, IPv6 compressed and lower case (rows 1, 2, 15)."""
    address, slash, length = text.partition("/")
    if not slash or not length.isdecimal() or (":" in address) != v6:
        raise Refusal.value(f"CIDR block {text} is malformed")
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise Refusal.value(f"CIDR block {text} is malformed") from None


def protocol(text: str | None) -> str:
    """The name EC2 keeps for a protocol: tcp, udp, icmp, icmpv6, -1, or a number (rows 12-14)."""
    if not text:
        raise Refusal.value("Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly.")
    known = _NAMES.get(text.lower())
    if known:
        return known
    if text.isdecimal() and int(text) <= 255:
        return str(int(text))
    raise Refusal.value(f"Invalid value '{text}' for IP protocol. Unknown protocol.")


def span(name: str, first: int | None, last: int | None) -> tuple[int | None, int | None]:
    """The ports, or ICMP type and code, that EC2 keeps for a protocol (rows 12, 13)."""
    if name in ("tcp", "udp"):
        if first is None or last is None:
            raise Refusal.value("Invalid value for portRange. Must specify both from and to ports with TCP/UDP.")
        if first == -1 and last == -1:
            return 0, 65535
        if not 0 <= first <= last <= 65535:
            raise Refusal.value(f"Invalid TCP/UDP port range ({first}:{last})")
        return first, last
    if name in ("icmp", "icmpv6"):
        kind, code = -1 if first is None else first, -1 if last is None else last
        if not -1 <= kind <= 255 or not -1 <= code <= 255 or (kind == -1 and code != -1):
            raise Refusal.value(f"Invalid ICMP type and code ({kind}:{code})")
        return kind, code
    return None, None


def description(text: str | None) -> str | None:
    """A rule description EC2 takes, None for none and for an empty one (rows 17, 29)."""
    if not text:
        return None
    if len(text) > 255 or not _RULE_TEXT.fullmatch(text):
        raise Refusal.value(
            "Invalid rule description. Valid descriptions are strings less than 256 characters from the following set: "
            " a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
        )
    return text


def wanted(form: Form) -> list[Wanted]:
    """Every rule that a request names, in its order; a twin inside the request is refused (row 5)."""
    found: list[Wanted] = []
    for permission in form.forms("IpPermissions"):
        before = len(found)
        found.extend(_of_permission(permission))
        if len(found) == before:
            raise Refusal.value("Invalid value for IpPermissions: a permission must have at least one source or destination.")
    if not form.has("IpPermissions"):
        found.extend(_flat(form))
    if not found:
        raise Refusal.missing("ipPermissions")
    if len({each.match for each in found}) != len(found):
        raise Refusal.value("The same permission must not appear multiple times")
    return found


def _of_permission(permission: Form) -> Iterator[Wanted]:
    name = protocol(permission.text("IpProtocol"))
    first, last = span(name, permission.number("FromPort"), permission.number("ToPort"))

    def rule(kind: Kind, peer: str, source: Form, owner: str | None = None) -> Wanted:
        return Wanted(Match(name, first, last, kind.value, peer), description(source.text("Description")), owner)

    for each in permission.forms("IpRanges"):
        yield rule(Kind.V4, cidr(each.text("CidrIp") or "", v6=False), each)
    for each in permission.forms("Ipv6Ranges"):
        yield rule(Kind.V6, cidr(each.text("CidrIpv6") or "", v6=True), each)
    for each in permission.forms("Groups", "UserIdGroupPairs"):
        group = each.text("GroupId") or each.text("GroupName")
        if not group:
            raise Refusal.missing("groupId")
        yield rule(Kind.GROUP, group, each, each.text("UserId"))
    for each in permission.forms("PrefixListIds"):
        list_id = each.text("PrefixListId")
        if not list_id:
            raise Refusal.missing("prefixListId")
        yield rule(Kind.LIST, list_id, each)


def _flat(form: Form) -> Iterator[Wanted]:
    """The old way to say one rule, without IpPermissions."""
    source = form.text("SourceSecurityGroupName")
    if source:
        for known, low, high in (("tcp", 0, 65535), ("udp", 0, 65535), ("icmp", -1, -1)):
            yield Wanted(Match(known, low, high, Kind.GROUP.value, source), None, form.text("SourceSecurityGroupOwnerId"))
        return
    block = form.text("CidrIp")
    if block is None:
        return
    name = protocol(form.text("IpProtocol"))
    first, last = span(name, form.number("FromPort"), form.number("ToPort"))
    v6 = ":" in block
    kind = Kind.V6 if v6 else Kind.V4
    yield Wanted(Match(name, first, last, kind.value, cidr(block, v6=v6)), None)
