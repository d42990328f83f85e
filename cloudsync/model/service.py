"""Services as exact sets on one line of integers: protocol * 65536 + port, or + type * 256 + code for ICMP.

A protocol without ports fills its whole block of 65536, so that a set of services is one set of integers.
Protocol numbers: IANA protocol-numbers; ICMP types: IANA icmp-parameters and icmpv6-parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloudsync.model import intervals
from cloudsync.model.address import Family
from cloudsync.model.intervals import Points
from cloudsync.model.quick import dataclass

BLOCK = 1 << 16
TCP, UDP, SCTP, ICMP, ICMPV6, GRE, ESP, AH = 6, 17, 132, 1, 58, 47, 50, 51
WITH_PORTS = frozenset({TCP, UDP, SCTP})
WITH_TYPES = frozenset({ICMP, ICMPV6})
PROTOCOLS: dict[str, int] = {"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "ah": 51, "icmpv6": 58, "sctp": 132}
PROTOCOL_NAMES: dict[int, str] = {number: name for name, number in PROTOCOLS.items()}
ICMP_TYPES: dict[str, int] = {
    "echo-reply": 0,
    "destination-unreachable": 3,
    "redirect": 5,
    "echo-request": 8,
    "router-advertisement": 9,
    "router-solicitation": 10,
    "time-exceeded": 11,
    "parameter-problem": 12,
    "timestamp-request": 13,
    "timestamp-reply": 14,
}
ICMPV6_TYPES: dict[str, int] = {
    "destination-unreachable": 1,
    "packet-too-big": 2,
    "time-exceeded": 3,
    "parameter-problem": 4,
    "echo-request": 128,
    "echo-reply": 129,
    "router-solicitation": 133,
    "router-advertisement": 134,
    "neighbor-solicitation": 135,
    "neighbor-advertisement": 136,
    "redirect": 137,
}
TYPE_NAMES: dict[int, dict[int, str]] = {
    ICMP: {number: name for name, number in ICMP_TYPES.items()},
    ICMPV6: {number: name for name, number in ICMPV6_TYPES.items()},
}


@dataclass(frozen=True, slots=True)
class ServiceRange:
    """A run of services within one protocol; `first` and `last` are ports, or type*256+code, inclusive."""

    protocol: int
    first: int
    last: int

    @property
    def whole(self) -> bool:
        """Tell whether this is the whole protocol."""
        return self.first == 0 and self.last == BLOCK - 1

    def text(self) -> str:
        """Return the policy language's text, e.g. `tcp/443`, `udp/5000-5010`, `icmp/echo-request`, `gre`."""
        name = PROTOCOL_NAMES.get(self.protocol, str(self.protocol))
        if self.whole:
            return name
        if self.protocol in WITH_TYPES:
            kind, code = divmod(self.first, 256)
            if self.first % 256 == 0 and self.last == self.first + 255:
                return f"{name}/{TYPE_NAMES[self.protocol].get(kind, kind)}"
            if self.first == self.last:
                return f"{name}/{kind} code {code}"
            return f"{name}/{kind} code {code} to {self.last // 256} code {self.last % 256}"
        return f"{name}/{self.first}" if self.first == self.last else f"{name}/{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class ServiceSet:
    """A set of services; `points` are flip points on the service line, so equal sets are equal values."""

    points: Points = ()

    @classmethod
    def protocol(cls, number: int) -> ServiceSet:
        """Return everything of one protocol (0-255, else ValueError)."""
        if not 0 <= number <= 255:
            raise ValueError(f"protocol {number}: want 0-255")
        return cls((number * BLOCK, (number + 1) * BLOCK))

    @classmethod
    def ports(cls, protocol: int, first: int, last: int) -> ServiceSet:
        """Return a port range of tcp, udp or sctp, ends included (ValueError otherwise)."""
        if protocol not in WITH_PORTS or not 0 <= first <= last <= 65535:
            raise ValueError(f"protocol {protocol} ports {first}-{last}: want tcp, udp or sctp and 0 <= first <= last <= 65535")
        return cls((protocol * BLOCK + first, protocol * BLOCK + last + 1))

    @classmethod
    def icmp(cls, protocol: int, kind: int, code: int | None = None) -> ServiceSet:
        """Return one ICMP or ICMPv6 type with all its codes, or with one code (ValueError otherwise)."""
        if protocol not in WITH_TYPES or not 0 <= kind <= 255 or (code is not None and not 0 <= code <= 255):
            raise ValueError(f"protocol {protocol} type {kind} code {code}: want icmp or icmpv6, type and code 0-255")
        start = protocol * BLOCK + kind * 256
        return cls((start, start + 256)) if code is None else cls((start + code, start + code + 1))

    @classmethod
    def union_all(cls, sets: Iterable[ServiceSet]) -> ServiceSet:
        """Return the union of many sets."""
        return cls(intervals.union_all(s.points for s in sets))

    def __or__(self, other: ServiceSet) -> ServiceSet:
        return ServiceSet(intervals.union(self.points, other.points))

    def __and__(self, other: ServiceSet) -> ServiceSet:
        return ServiceSet(intervals.intersection(self.points, other.points))

    def __sub__(self, other: ServiceSet) -> ServiceSet:
        return ServiceSet(intervals.difference(self.points, other.points))

    def __bool__(self) -> bool:
        return bool(self.points)

    def __le__(self, other: ServiceSet) -> bool:
        return not self - other

    def meets(self, other: ServiceSet) -> bool:
        """Tell whether both have a service in common."""
        return intervals.meet(self.points, other.points)

    def ranges(self) -> Iterator[ServiceRange]:
        """Yield runs of services cut at protocol borders, ascending."""
        for first, end in intervals.ranges(self.points):
            start = first
            while start < end:
                protocol = start // BLOCK
                stop = min(end, (protocol + 1) * BLOCK)
                yield ServiceRange(protocol, start - protocol * BLOCK, stop - 1 - protocol * BLOCK)
                start = stop

    def text(self, most: int = 6) -> str:
        """Return the policy language's text, comma separated; `any service` for all; at most `most` parts."""
        if self == ANY_SERVICE:
            return "any service"
        parts = self.parts()
        shown = ", ".join(parts[:most])
        return shown if len(parts) <= most else f"{shown} and {len(parts) - most} more"

    def parts(self) -> tuple[str, ...]:
        """Return one text per run; neighbouring protocols without a name are one part, `other protocols` when it is all of them."""
        named = [run.text() for run in (self & NAMED_PROTOCOLS).ranges()]
        rest = self - NAMED_PROTOCOLS
        if rest == ANY_SERVICE - NAMED_PROTOCOLS:
            return (*named, "other protocols")
        numbers = [(first // BLOCK, (end - 1) // BLOCK) for first, end in intervals.ranges(rest.points)]
        return (*named, *(str(first) if first == last else f"protocols {first}-{last}" for first, last in numbers))


NO_SERVICE = ServiceSet()
ANY_SERVICE = ServiceSet((0, 256 * BLOCK))
NAMED_PROTOCOLS = ServiceSet.union_all(ServiceSet.protocol(number) for number in PROTOCOLS.values())


def possible(family: Family) -> ServiceSet:
    """Return the services that exist in a family: all but ICMPv6 over IPv4, all but ICMP over IPv6."""
    return _POSSIBLE[family]


_POSSIBLE = {Family.V4: ANY_SERVICE - ServiceSet.protocol(ICMPV6), Family.V6: ANY_SERVICE - ServiceSet.protocol(ICMP)}
