"""One direction of one NSG, compiled: which rules meet an address behind it, and what those let through together.

Addresses that the same rules meet fare alike, so the line of own addresses is cut at every place where a rule begins or ends, and each
piece carries the set of its rules as bits. Equal work is done once over all tables of a run, and equal results are one object: proofs
compare a plan's states by identity first.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import field, replace
from functools import lru_cache
from itertools import pairwise

from cloudsync.adapter import Whose
from cloudsync.model import intervals
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet, Family
from cloudsync.model.intervals import Points
from cloudsync.model.packets import NO_PACKETS, Band, PacketSet, append
from cloudsync.model.quick import dataclass
from cloudsync.model.service import AH, ANY_SERVICE, BLOCK, ESP, ICMP, ICMPV6, NO_SERVICE, TCP, UDP, ServiceSet, possible
from cloudsync_azure.limits import PLATFORM_ADDRESS
from cloudsync_azure.table import ALL_PORTS, ANY_SIDE, Protocol, Rule, Side, Tier

LINK_LOCAL = AddressSet.of("169.254.0.0/16")
KNOWN_TAGS = frozenset({"virtualnetwork", "azureloadbalancer", "internet"})
"""Service tags whose addresses follow from what is read; all others are lists of Microsoft's."""
_VNET, _LB, _NET = Side(tag="virtualnetwork"), Side(tag="azureloadbalancer"), Side(tag="internet")


def _default(name: str, number: int, source: Side, destination: Side, *, deny: bool = False) -> Rule:
    return Rule(name, name.endswith("OutBound"), number, deny, Protocol.ANY, source, destination)


DEFAULTS = (
    _default("AllowVnetInBound", 65000, _VNET, _VNET),
    _default("AllowAzureLoadBalancerInBound", 65001, _LB, ANY_SIDE),
    _default("DenyAllInBound", 65500, ANY_SIDE, ANY_SIDE, deny=True),
    _default("AllowVnetOutBound", 65000, _VNET, _VNET),
    _default("AllowInternetOutBound", 65001, ANY_SIDE, _NET),
    _default("DenyAllOutBound", 65500, ANY_SIDE, ANY_SIDE, deny=True),
)
"""The six rules that every NSG has and nobody can remove."""

Members = tuple[tuple[str, AddressSet], ...]
"""ASG id -> private addresses of its members; only those that rules name, sorted."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What tags and groups stand for where an NSG is looked at: one VNet's space, and the members of ASGs."""

    space: AddressSet = NOWHERE
    members: Members = ()

    def addresses(self, side: Side) -> AddressSet | None:
        """Return the addresses of one side; None for a service tag whose addresses are Microsoft's and not known here."""
        if side.asgs:
            known = dict(self.members)
            found = [known.get(one, NOWHERE) for one in side.asgs]
            # A rule that names a group without members does nothing at all.
            return AddressSet.union_all(found) if all(found) else NOWHERE
        match side.tag:
            case "":
                return side.addresses
            case "virtualnetwork":
                return self.space | PLATFORM_ADDRESS
            case "azureloadbalancer":
                return PLATFORM_ADDRESS
            case "internet":
                return ANYWHERE - self.space - PLATFORM_ADDRESS - LINK_LOCAL
            case _:
                return None


@lru_cache(maxsize=4096)
def services_of(protocol: Protocol, ports: tuple[int, ...]) -> ServiceSet:
    """Return the services of a rule. Ports are those of tcp and udp: with ports named, `*` is these two. ICMP covers both families."""
    match protocol:
        case Protocol.ANY if ports == ALL_PORTS:
            return ANY_SERVICE
        case Protocol.ANY:
            return _at(TCP, ports) | _at(UDP, ports)
        case Protocol.TCP:
            return _at(TCP, ports)
        case Protocol.UDP:
            return _at(UDP, ports)
        case Protocol.ICMP:
            return ServiceSet.union_all(map(ServiceSet.protocol, (ICMP, ICMPV6)))
        case Protocol.ESP:
            return ServiceSet.protocol(ESP)
        case Protocol.AH:
            return ServiceSet.protocol(AH)


def _at(protocol: int, ports: tuple[int, ...]) -> ServiceSet:
    return ServiceSet(tuple(protocol * BLOCK + point for point in ports))


@dataclass(frozen=True, slots=True)
class Line:
    """One rule where it is looked at. `uncertain`: it decides some of these packets, or nobody can say which."""

    rule: Rule
    own: AddressSet
    peers: AddressSet
    services: ServiceSet
    uncertain: str = ""

    @property
    def packets(self) -> PacketSet:
        """What it decides where it is reached."""
        return _box(self.peers, self.services)


@lru_cache(maxsize=65536)
def _box(peers: AddressSet, services: ServiceSet) -> PacketSet:
    return PacketSet.of(peers, services)


def _line(rule: Rule, ground: Ground) -> Line:
    own, peers = ground.addresses(rule.own), ground.addresses(rule.peer)
    if rule.unclear:
        return Line(rule, ANYWHERE, NOWHERE, NO_SERVICE, rule.unclear)
    if peers is None or own is None:
        tag = rule.peer.tag if peers is None else rule.own.tag
        return Line(rule, ANYWHERE if own is None else own, NOWHERE, NO_SERVICE, f"the addresses of service tag {tag} are not known here")
    wordless = rule.protocol in (Protocol.ICMP, Protocol.ESP, Protocol.AH) and rule.ports != ALL_PORTS
    uncertain = "it looks at source ports" if rule.limited else "it names ports for a protocol without any" if wordless else ""
    return Line(rule, own, peers, services_of(rule.protocol, rule.ports), uncertain)


@dataclass(slots=True)
class Chain:
    """Every rule of one direction of an NSG, defaults last, in the order of evaluation."""

    lines: tuple[Line, ...]
    _cuts: dict[Family, tuple[list[int], list[int]]] = field(default_factory=dict)
    _said: dict[tuple[int, Family], PacketSet] = field(default_factory=dict)
    _segments: dict[Family, list[tuple[int, int, int]]] = field(default_factory=dict)
    _peers: dict[tuple[int, Family], Points] = field(default_factory=dict)
    ours: int = 0
    """Bits of our rules."""
    kept: int = 0
    """Bits of those of ours that only repeat what foreign rules said."""
    custom: int = 0
    """Bits of every rule that is no default."""

    def __post_init__(self) -> None:
        for at, line in enumerate(self.lines):
            tier = line.rule.tier
            self.ours |= (tier is not None) << at
            self.kept |= (tier in (Tier.KEPT, Tier.MEND)) << at
            self.custom |= (line.rule.priority < DEFAULTS[0].priority) << at
        for family in Family:
            flips: dict[int, int] = {}
            for at, line in enumerate(self.lines):
                for point in line.own.family(family):
                    flips[point] = flips.get(point, 0) ^ (1 << at)
            places, masks, now = [], [], 0
            for point in sorted(flips):
                now ^= flips[point]
                places.append(point)
                masks.append(now)
            self._cuts[family] = (places, masks)

    def masks(self, family: Family, first: int, end: int) -> set[int]:
        """Return the sets of rules, as bits, that meet addresses in a range."""
        places, masks = self._cuts[family]
        at = bisect_right(places, first) - 1
        found = {masks[at] if at >= 0 else 0}
        at += 1
        while at < len(places) and places[at] < end:
            found.add(masks[at])
            at += 1
        return found

    def borders(self, family: Family, first: int, end: int) -> list[int]:
        """Return the places inside a range where other rules begin to meet."""
        places, _ = self._cuts[family]
        return places[bisect_right(places, first) : bisect_left(places, end)]

    def seen(self, mask: int, whose: Whose) -> int:
        """Return the bits that count for a reading."""
        match whose:
            case Whose.ALL:
                return mask
            case Whose.OURS:
                return mask & self.ours
            case Whose.FOREIGN:
                return mask & (~self.ours | self.kept)

    def packets(self, mask: int, family: Family) -> PacketSet:
        """Return what these rules let through to an address of a family: the first that matches decides, nothing that none matches.

        The line of services is cut where a rule begins or ends; between two cuts only few rules are left, and many masks share them.
        """
        key = (mask, family)
        found = self._said.get(key)
        if found is None:
            bands: list[Band] = []
            for first, end, some in self._cut_services(family):
                points = self._folded(some & mask, family)
                if points:
                    append(bands, first, end, points)
            whole = PacketSet(v4=tuple(bands)) if family is Family.V4 else PacketSet(v6=tuple(bands))
            found = self._said[key] = _same(whole)
        return found

    def _cut_services(self, family: Family) -> list[tuple[int, int, int]]:
        """Return `(first, end, rules as bits)` over the line of services."""
        found = self._segments.get(family)
        if found is None:
            flips: dict[int, int] = {}
            for at, line in enumerate(self.lines):
                # What decides only part of its packets counts as open: an allow lets in all of them, a deny cuts none.
                if not line.peers.family(family) or (line.uncertain and line.rule.deny):
                    continue
                for point in (line.services & possible(family)).points:
                    flips[point] = flips.get(point, 0) ^ (1 << at)
            places = sorted(flips)
            found, now = [], 0
            for first, end in pairwise(places):
                now ^= flips[first]
                if now:
                    found.append((first, end, now))
            self._segments[family] = found
        return found

    def _folded(self, some: int, family: Family) -> Points:
        """Fold a few rules from the last to the first: the peers that get through on services that all of them are about."""
        key = (some, family)
        found = self._peers.get(key)
        if found is None:
            found = intervals.EMPTY
            left = some
            while left:
                at = left.bit_length() - 1
                left ^= 1 << at
                line = self.lines[at]
                points = line.peers.family(family)
                found = intervals.difference(found, points) if line.rule.deny else intervals.union(found, points)
            self._peers[key] = found
        return found

    def effective(self, mask: int) -> dict[int, PacketSet]:
        """Return, by place, the packets that each of these rules really decides: those that no rule before it does."""
        found: dict[int, PacketSet] = {}
        decided = NO_PACKETS
        for at, line in enumerate(self.lines):
            if mask >> at & 1:
                found[at] = line.packets - decided
                if not line.uncertain:
                    decided |= line.packets
        return found

    def picked(self, mask: int) -> Iterator[Line]:
        """Yield the lines of some bits, first to last."""
        while mask:
            low = mask & -mask
            yield self.lines[low.bit_length() - 1]
            mask ^= low


@lru_cache(maxsize=8192)
def _same(packets: PacketSet) -> PacketSet:
    """Equal sets are one object."""
    return packets


@lru_cache(maxsize=4096)
def chain(rules: tuple[Rule, ...], *, egress: bool, ground: Ground) -> Chain:
    """Compile one direction of an NSG's rules."""
    mine = (rule for rule in (*rules, *DEFAULTS) if rule.egress is egress)
    return Chain(tuple(_line(replace(rule, origins=()), ground) for rule in mine))


def overlap(a: AddressSet, b: AddressSet) -> bool:
    """Tell whether two sets have an address in common."""
    return bool(intervals.intersection(a.v4, b.v4) or intervals.intersection(a.v6, b.v6))
