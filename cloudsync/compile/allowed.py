"""What one class may let in, or send out: allow minus never, exactly, as terms that remember their rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field, replace
from enum import Enum

from cloudsync.adapter import AddressPeer, Allowed, ClassPeer, Origin, Term
from cloudsync.compile.arms import Arm, End, origin_of, who_addresses
from cloudsync.compile.universe import Bits, Universe, members_of
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet
from cloudsync.model.mode import Accept
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
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
    _arms: dict[tuple[int, Domain, Direction], tuple[PacketSet, PacketSet]] = field(default_factory=dict)
    _boxes: dict[tuple[AddressSet, ServiceSet], PacketSet] = field(default_factory=dict)

    def rows(self, direction: Direction) -> list[list[int]]:
        """Return, per class, the arms that concern it in a direction, in policy order."""
        found = self._by_class.get(direction)
        if found is None:
            found = self._by_class[direction] = self._inverted(direction)
        return found

    def _inverted(self, direction: Direction) -> list[list[int]]:
        """Turn arms with their classes into classes with their arms; rules with the same classes are walked together."""
        rows: list[list[int]] = [[] for _ in self.universe.classes]
        alike: dict[Bits, list[int]] = {}
        for at, arm in enumerate(self.arms):
            alike.setdefault(_own(arm, direction).classes, []).append(at)
        for classes, arms in alike.items():
            for number in members_of(classes):
                rows[number] += arms
        for row in rows:
            row.sort()
        return rows

    def allowed(self, number: int, domain: Domain, direction: Direction) -> Allowed:
        """Return what class `number` may let in or send out, as seen from `domain`."""
        mine = self.rows(direction)[number]
        selective = self.universe.classes[number].selective
        key = (tuple(mine), domain, direction, selective)
        found = self._memo.get(key)
        if found is None:
            found = self._memo[key] = _Lazily.of(_Parts(self, key[0], domain, direction, selective))
        return found

    def arms_of(self, number: int, direction: Direction) -> tuple[Arm, ...]:
        """Return the arms that concern a class in a direction, in policy order."""
        return tuple(self.arms[at] for at in self.rows(direction)[number])

    def pieces(self, at: int, domain: Domain, direction: Direction) -> tuple[_Piece, ...]:
        """Return the peers of one arm as terms with their packets."""
        key = (at, domain, direction)
        found = self._pieces.get(key)
        if found is None:
            found = self._pieces[key] = tuple(self._arm_pieces(self.arms[at], domain, direction))
        return found

    def packets(self, at: int, domain: Domain, direction: Direction) -> tuple[PacketSet, PacketSet]:
        """Return the packets of one arm as `(exact, loosest)`, before never rules; all of its peers are one set of addresses here."""
        key = (at, domain, direction)
        found = self._arms.get(key)
        if found is None:
            found = self._arms[key] = self._arm_packets(self.arms[at], domain, direction)
        return found

    def _arm_packets(self, arm: Arm, domain: Domain, direction: Direction) -> tuple[PacketSet, PacketSet]:
        rule, peers = arm.rule, _peer(arm, direction)
        widened = _widened(rule.services, rule.accept)
        of = self.universe.addresses if direction is Direction.IN else self.universe.reached
        exact, widest = of(peers.classes, domain), NOWHERE
        for who in peers.addresses:
            addresses = who_addresses(self.universe, who, domain)
            exact |= addresses
            if addresses and isinstance(who.base, Internet) and Accept.INTERNET_AS_ANYWHERE in rule.accept:
                widest = ANYWHERE
        said = self._box(exact, rule.services)
        loose = said if not widest and widened == rule.services else self._box(exact | widest, widened)
        return said, loose

    def _arm_pieces(self, arm: Arm, domain: Domain, direction: Direction) -> Iterator[_Piece]:
        rule = arm.rule
        origins = (origin_of(rule),)
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


@dataclass(slots=True)
class _Parts:
    """What a class may do in one direction, part by part: most plans ask for few of them, and for few classes."""

    compiler: Compiler
    arms: tuple[int, ...]
    domain: Domain
    direction: Direction
    selective: ServiceSet

    def compute(self, name: str) -> object:
        """Return one field of `Allowed`. Raises AttributeError for another name."""
        match name:
            case "never":
                return self._packets(Action.NEVER)
            case "closed":
                closed = self._packets(Action.DENY)
                return closed | PacketSet.of(ANYWHERE, self.selective) if self.selective else closed
            case "exact":
                return self._packets(Action.ALLOW) - self._packets(Action.NEVER)
            case "loosest":
                return self._packets(Action.ALLOW, loosest=True) - self._packets(Action.NEVER)
            case "terms":
                never = self._packets(Action.NEVER)
                return _united(term for piece in self._pieces(Action.ALLOW) for term in _minus(piece, never))
            case "whole":
                return _united(piece.term for piece in self._pieces(Action.ALLOW))
            case "never_terms":
                return _united(piece.term for piece in self._pieces(Action.NEVER))
            case "closed_terms":
                closing = [piece.term for piece in self._pieces(Action.DENY)]
                if self.selective:
                    closing.append(Term(AddressPeer(ANYWHERE), self.selective, (Origin("selective"),)))
                return _united(closing)
        raise AttributeError(name)

    def _of(self, action: Action) -> Iterator[int]:
        return (at for at in self.arms if self.compiler.arms[at].rule.action is action)

    def _packets(self, action: Action, *, loosest: bool = False) -> PacketSet:
        return PacketSet.union_all(self.compiler.packets(at, self.domain, self.direction)[loosest] for at in self._of(action))

    def _pieces(self, action: Action) -> Iterator[_Piece]:
        return (piece for at in self._of(action) for piece in self.compiler.pieces(at, self.domain, self.direction))


class _Lazily(Allowed):
    """`Allowed` whose parts are computed when they are asked for, once."""

    __slots__ = ("_parts",)
    _parts: _Parts

    @classmethod
    def of(cls, parts: _Parts) -> _Lazily:
        """Return one that has computed nothing yet."""
        made = object.__new__(cls)
        object.__setattr__(made, "_parts", parts)
        return made

    def __getattr__(self, name: str) -> object:
        """Compute a part that is not there yet: a slot without a value leads here."""
        if name == "_parts":  # a copy made by `replace` has all its fields
            raise AttributeError(name)
        found = self._parts.compute(name)
        object.__setattr__(self, name, found)
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
