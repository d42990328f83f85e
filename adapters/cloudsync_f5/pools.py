"""Pools, and where virtual servers forward to: to which members, on which port, from which addresses. Pure.

Every member counts that may get a new connection: up or down, because what monitors say changes by the minute; those that people took out
do not. A pool that an iRule or an LTM policy picks is not known: only the default pool of a virtual server is followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field

from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet, Family
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ANY_SERVICE, WITH_PORTS, ServiceSet
from cloudsync.model.workload import Forward
from cloudsync_f5 import words
from cloudsync_f5.parse import ParseError, Raw, items, path_of
from cloudsync_f5.table import AUTOMAP, Virtual
from cloudsync_f5.words import Span


@dataclass(frozen=True, slots=True)
class Member:
    """One member. `closed`: forced offline; `resting`: disabled, so that only clients that a persistence record names get there."""

    address: Span
    port: int
    """0: the port that the client asked for."""
    closed: bool = False
    resting: bool = False


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool. `snats`: whether SNAT applies to its connections; a pool may forbid it, whatever the virtual server says."""

    path: str
    members: tuple[Member, ...] = ()
    snats: bool = True


@dataclass(frozen=True, slots=True)
class Behind:
    """What virtual servers forward to, and from where: self addresses of all devices, translations of SNAT pools, pools by path."""

    selves: tuple[Span, ...] = ()
    translations: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)
    unread: bool = False
    """Whether pools could not be read: then whoever forwards may forward to anybody."""


def pool(raw: Raw) -> Pool:
    """Return one pool with its members, as read with its subcollection. Raises ParseError."""
    reference = raw.get("membersReference")
    if not isinstance(reference, dict):
        raise ParseError(f"pool {path_of(raw)} came without its members")
    found = (_member(one) for one in items(reference))
    return Pool(path_of(raw), tuple(one for one in found if one is not None), str(raw.get("allowSnat", "yes")) != "no")


def _member(raw: Raw) -> Member | None:
    """Return one member; None for a name to resolve: the members that it resolves to are listed beside it."""
    name = str(raw["name"])
    try:
        address = words.span(str(raw.get("address") or "any"))
        port = words.ports(_port(name))[0]
    except ValueError as error:
        raise ParseError(f"pool member {name}: {error}") from error
    if not address.first:
        return None
    return Member(address, port, str(raw.get("state")) == "user-down", str(raw.get("session")) == "user-disabled")


def _port(name: str) -> str:
    """Return the port in a member's name: `10.40.0.1:443`, `node-7:https`, `2001:db8::1.443`."""
    bare = name.rpartition("/")[2]
    return bare.rpartition("." if bare.count(":") > 1 else ":")[2]


# --- forwards --------------------------------------------------------------------------------------------------------------


def forwards(virtual: Virtual, behind: Behind) -> tuple[Forward, ...]:
    """Return where flows that arrive at a virtual server go on to; empty when nowhere. Anywhere, on any service, when it is not known."""
    if behind.unread and virtual.pool.path and virtual.addresses:
        known = _translated(virtual, behind) or ANYWHERE
        return (Forward(virtual.listener.services, ANYWHERE, ANY_SERVICE, known if virtual.snat else NOWHERE),)
    chosen = behind.pools.get(virtual.pool.path)
    if chosen is None or not virtual.addresses:
        return ()
    arriving, domain = virtual.listener.services, virtual.domain
    groups: dict[tuple[Family, ServiceSet], set[Span]] = {}
    for member in chosen.members:
        if member.closed or (member.resting and not virtual.pool.persists) or member.address.domain != domain:
            continue
        port = member.port if virtual.pool.translates else 0
        groups.setdefault((member.address.family, onward(arriving, port)), set()).add(member.address)
    return tuple(_forwards(virtual, chosen, groups, behind))


def _forwards(
    virtual: Virtual, chosen: Pool, groups: Mapping[tuple[Family, ServiceSet], Iterable[Span]], behind: Behind
) -> Iterator[Forward]:
    translated = bool(virtual.snat) and chosen.snats
    every = _translated(virtual, behind) if translated else NOWHERE
    for (family, services), members in sorted(groups.items(), key=lambda one: (one[0][0], one[0][1].points)):
        sources: AddressSet = every.only(family)
        if translated and not sources:
            continue  # no address to go on from: empty would mean that the client's is kept
        yield Forward(virtual.listener.services, words.addresses(members, virtual.domain), services, sources)


def _translated(virtual: Virtual, behind: Behind) -> AddressSet:
    """Return the addresses from which a virtual server that translates opens connections."""
    spans = behind.selves if virtual.snat == AUTOMAP else behind.translations.get(virtual.snat, ())
    return words.addresses(spans, virtual.domain)


def onward(arriving: ServiceSet, port: int) -> ServiceSet:
    """Return the services on which flows go on to a member's port; those without ports, and all for port 0, as they arrive."""
    if not port:
        return arriving
    found = arriving
    for number in sorted(WITH_PORTS):
        part = arriving & ServiceSet.protocol(number)
        if part:
            found = (found - part) | ServiceSet.ports(number, port, port)
    return found
