"""What one class may let in, or send out: allow minus never, exactly, as terms that remember their rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum

from cloudsync.adapter import AddressPeer, Allowed, ClassPeer, Origin, Term
from cloudsync.compile.arms import Arm, End, who_addresses
from cloudsync.compile.universe import Universe, members_of
from cloudsync.model.address import ANYWHERE, AddressSet
from cloudsync.model.mode import Accept
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.service import WITH_PORTS, WITH_TYPES, ServiceSet
from cloudsync.model.workload import Domain
from cloudsync.policy.values import Action, Internet, IpList, Who


class Direction(Enum):
    """Inbound: the class is the destination. Outbound: it is the source."""

    IN = "inbound"
    OUT = "outbound"


@dataclass(frozen=True, slots=True)
class _Piece:
    """One peer of one arm, before never rules: what it is exactly, and what it may be at the loosest."""

    term: Term
    exact: PacketSet
    loosest: PacketSet


@dataclass(slots=True)
class Compiler:
    """Computes `Allowed` per class, domain and direction; equal work is done once."""

    universe: Universe
    arms: tuple[Arm, ...]
    _by_class: dict[Direction, list[list[int]]] = field(default_factory=dict)
    _memo: dict[tuple[object, ...], Allowed] = field(default_factory=dict)
    _pieces: dict[tuple[int, Domain, Direction], tuple[_Piece, ...]] = field(default_factory=dict)
    _boxes: dict[tuple[AddressSet, ServiceSet], PacketSet] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for direction in Direction:
            rows: list[list[int]] = [[] for _ in self.universe.classes]
            for at, arm in enumerate(self.arms):
                for number in members_of(_own(arm, direction).classes):
                    rows[number].append(at)
            self._by_class[direction] = rows

    def allowed(self, number: int, domain: Domain, direction: Direction) -> Allowed:
        """Return what class `number` may let in or send out, as seen from `domain`."""
        mine = self._by_class[direction][number]
        selective = self.universe.classes[number].selective
        key = (tuple(mine), domain, direction, selective)
        found = self._memo.get(key)
        if found is None:
            found = self._memo[key] = self._compute(mine, domain, direction, selective)
        return found

    def arms_of(self, number: int, direction: Direction) -> tuple[Arm, ...]:
        """Return the arms that concern a class in a direction, in policy order."""
        return tuple(self.arms[at] for at in self._by_class[direction][number])

    def pieces(self, at: int, domain: Domain, direction: Direction) -> tuple[_Piece, ...]:
        """Return the peers of one arm as terms with their packets."""
        key = (at, domain, direction)
        found = self._pieces.get(key)
        if found is None:
            found = self._pieces[key] = tuple(self._arm_pieces(self.arms[at], domain, direction))
        return found

    def _compute(self, mine: list[int], domain: Domain, direction: Direction, selective: ServiceSet) -> Allowed:
        by_action: dict[Action, list[_Piece]] = {action: [] for action in Action}
        for at in mine:
            by_action[self.arms[at].rule.action].extend(self.pieces(at, domain, direction))
        never = PacketSet.union_all(piece.exact for piece in by_action[Action.NEVER])
        closed = PacketSet.union_all(piece.exact for piece in by_action[Action.DENY])
        if selective:
            closed |= PacketSet.of(ANYWHERE, selective)
        terms = _united(term for piece in by_action[Action.ALLOW] for term in _minus(piece, never))
        whole = _united(piece.term for piece in by_action[Action.ALLOW]) if never else terms
        nevers = _united(piece.term for piece in by_action[Action.NEVER])
        closing = [piece.term for piece in by_action[Action.DENY]]
        if selective:
            closing.append(Term(AddressPeer(ANYWHERE), selective, (Origin("selective"),)))
        exact = PacketSet.union_all(piece.exact for piece in by_action[Action.ALLOW]) - never
        loose = [piece.loosest for piece in by_action[Action.ALLOW] if piece.loosest is not piece.exact]
        loosest = PacketSet.union_all((exact, *loose)) - never if loose else exact
        return Allowed(terms, exact, loosest, never, closed, whole, nevers, _united(closing))

    def _arm_pieces(self, arm: Arm, domain: Domain, direction: Direction) -> Iterator[_Piece]:
        rule = arm.rule
        origins = (Origin(rule.id, rule.where),)
        peers = _peer(arm, direction)
        widened = _widened(rule.services, rule.accept)
        for number in members_of(peers.classes):
            of = self.universe.class_addresses if direction is Direction.IN else self.universe.class_reached
            addresses = of(number, domain)
            term = Term(ClassPeer(self.universe.classes[number].id), rule.services, origins, rule.accept, rule.process, rule.logged)
            exact = self._box(addresses, rule.services)
            yield _Piece(term, exact, exact if widened == rule.services else self._box(addresses, widened))
        for who in peers.addresses:
            addresses = who_addresses(self.universe, who, domain)
            if not addresses:
                continue
            term = Term(_address_peer(who, addresses), rule.services, origins, rule.accept, rule.process, rule.logged)
            exact = self._box(addresses, rule.services)
            loosened = isinstance(who.base, Internet) and Accept.INTERNET_AS_ANYWHERE in rule.accept
            widest = ANYWHERE if loosened else addresses
            loosest = exact if (widest, widened) == (addresses, rule.services) else self._box(widest, widened)
            yield _Piece(term, exact, loosest)

    def _box(self, addresses: AddressSet, services: ServiceSet) -> PacketSet:
        key = (addresses, services)
        found = self._boxes.get(key)
        if found is None:
            found = self._boxes[key] = PacketSet.of(addresses, services)
        return found


def _united(terms: Iterable[Term]) -> tuple[Term, ...]:
    """Join terms that say the same into one that remembers all of its rules."""
    found: dict[tuple[object, ...], Term] = {}
    for term in terms:
        key = (term.peer, term.services, term.accept, term.process, term.logged)
        known = found.get(key)
        origins = term.origins if known is None else tuple(dict.fromkeys((*known.origins, *term.origins)))
        found[key] = term if known is None or known.origins == origins else _with_origins(term, origins)
    return tuple(found.values())


def _minus(piece: _Piece, never: PacketSet) -> Iterator[Term]:
    """Take never packets out of a term; what stays whole keeps its peer, the rest becomes addresses."""
    term = piece.term
    hit = piece.exact & never if never else NO_PACKETS
    if not hit:
        yield term
        return
    whole = term.services - hit.services()
    if whole:
        yield replace(term, services=whole)
    for peers, services in (piece.exact - never - _of_services(whole)).products():
        yield replace(term, peer=AddressPeer(peers), services=services)


def _of_services(services: ServiceSet) -> PacketSet:
    return PacketSet.of(ANYWHERE, services) if services else NO_PACKETS


def _own(arm: Arm, direction: Direction) -> End:
    return arm.destination if direction is Direction.IN else arm.source


def _peer(arm: Arm, direction: Direction) -> End:
    return arm.source if direction is Direction.IN else arm.destination


def _with_origins(term: Term, origins: tuple[Origin, ...]) -> Term:
    return replace(term, origins=origins)


def _address_peer(who: Who, addresses: AddressSet) -> AddressPeer:
    named = who.base.name if isinstance(who.base, IpList) and not who.excluded else ""
    return AddressPeer(addresses, named, isinstance(who.base, Internet))


def _widened(services: ServiceSet, accept: Iterable[Accept]) -> ServiceSet:
    """Return the services with what a rule accepts by name: whole protocols for any-port, whole ICMP for any-type."""
    accepted = frozenset(accept)
    wide = services
    for run in services.ranges():
        if run.protocol in WITH_PORTS and Accept.ANY_PORT in accepted:
            wide |= ServiceSet.protocol(run.protocol)
        if run.protocol in WITH_TYPES and Accept.ANY_TYPE in accepted:
            wide |= ServiceSet.protocol(run.protocol)
    return wide
