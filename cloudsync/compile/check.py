"""Policy tests, evaluated exactly: set algebra over every packet, no sampling, as if every mode were full."""

from __future__ import annotations

from cloudsync.compile.allowed import Compiler, Direction
from cloudsync.compile.arms import End, end, who_addresses
from cloudsync.compile.universe import members_of
from cloudsync.model.address import NOWHERE, AddressSet
from cloudsync.model.packets import NO_PACKETS, Packet, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ServiceSet
from cloudsync.model.workload import Domain, Workload
from cloudsync.policy.values import Action, Expectation, PolicyTest


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one policy test; `reason` names a witness packet and the rule that decides it when it failed."""

    test: PolicyTest
    passed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Seat:
    """One class in one domain, on the side whose tables decide."""

    number: int
    domain: Domain
    example: Workload


def run(compiler: Compiler, tests: tuple[PolicyTest, ...]) -> tuple[Verdict, ...]:
    """Evaluate every test, in order."""
    return tuple(_one(compiler, test) for test in tests)


def _one(compiler: Compiler, test: PolicyTest) -> Verdict:
    sources = end(compiler.universe, test.sources, None)
    destinations = end(compiler.universe, test.destinations, None)
    for side, found in (("source", sources), ("destination", destinations)):
        if not found.classes and not found.addresses:
            return Verdict(test, passed=False, reason=f"vacuous: the {side} matches no workload of this inventory, so nothing was tested")
    outbound = not destinations.classes
    reach_in = _side(compiler, test, destinations.classes, sources, Direction.IN) if destinations.classes else None
    reach_out = _side(compiler, test, sources.classes, destinations, Direction.OUT) if destinations.addresses else None
    if outbound and not sources.classes:
        return Verdict(test, passed=False, reason="vacuous: neither end is a workload, no table decides")
    failed = [verdict for verdict in (reach_in, reach_out) if verdict is not None and not verdict.passed]
    return failed[0] if failed else Verdict(test, passed=True)


def _seats(compiler: Compiler, classes: int) -> list[_Seat]:
    seats: dict[tuple[int, Domain], _Seat] = {}
    for number in members_of(classes):
        for workload in compiler.universe.classes[number].workloads:
            for interface in workload.interfaces:
                seats.setdefault((number, interface.domain), _Seat(number, interface.domain, workload))
    return list(seats.values())


def peer_addresses(compiler: Compiler, peers: End, domain: Domain, direction: Direction) -> AddressSet:
    """Return all addresses of the other end as seen from a domain: of sources (inbound) or of destinations (outbound)."""
    of = compiler.universe.addresses if direction is Direction.IN else compiler.universe.reached
    found = of(peers.classes, domain)
    for who in peers.addresses:
        found |= who_addresses(compiler.universe, who, domain)
    return found


def _families(seat: _Seat, compiler: Compiler, peers: AddressSet) -> AddressSet:
    own = compiler.universe.class_addresses(seat.number, seat.domain)
    return AddressSet(peers.v4 if own.v4 else (), peers.v6 if own.v6 else ())


def _side(compiler: Compiler, test: PolicyTest, seats: int, peers: End, direction: Direction) -> Verdict:
    some, wrong = NO_PACKETS, NO_PACKETS
    tested = False
    for seat in _seats(compiler, seats):
        allowed = compiler.allowed(seat.number, seat.domain, direction).exact
        asked = PacketSet.of(_families(seat, compiler, peer_addresses(compiler, peers, seat.domain, direction)), test.services)
        tested = tested or bool(asked)
        match test.expectation:
            case Expectation.CAN:
                wrong = asked - allowed
            case Expectation.CANNOT:
                wrong = asked & allowed
            case Expectation.ONLY if direction is Direction.IN:
                wrong = (allowed & _on(test.services)) - asked
                some |= allowed & asked
            case Expectation.ONLY:
                wrong = NO_PACKETS
                some |= allowed & asked
        witness = wrong.witness()
        if witness is not None:
            return Verdict(test, passed=False, reason=_why(compiler, seat, witness, direction))
    if not tested:
        return Verdict(test, passed=False, reason="vacuous: the two ends share no address family and service, so nothing was tested")
    if test.expectation is Expectation.ONLY:
        if not some:
            return Verdict(test, passed=False, reason="nobody may: not even the source of this test")
        if direction is Direction.OUT:
            return _only_out(compiler, test, seats, peers)
    return Verdict(test, passed=True)


def _only_out(compiler: Compiler, test: PolicyTest, sources: int, peers: End) -> Verdict:
    """`only X may reach ADDRESSES`: no workload outside X may."""
    for seat in _seats(compiler, compiler.universe.everything & ~sources):
        asked = PacketSet.of(_families(seat, compiler, peer_addresses(compiler, peers, seat.domain, Direction.OUT)), test.services)
        witness = (compiler.allowed(seat.number, seat.domain, Direction.OUT).exact & asked).witness()
        if witness is not None:
            return Verdict(test, passed=False, reason=_why(compiler, seat, witness, Direction.OUT))
    return Verdict(test, passed=True)


def _on(services: ServiceSet) -> PacketSet:
    return PacketSet.of(AddressSet((0, 1 << 32), (0, 1 << 128)), services)


def _why(compiler: Compiler, seat: _Seat, witness: Packet, direction: Direction) -> str:
    peer = AddressSet((witness.peer, witness.peer + 1), ()) if witness.family == 4 else AddressSet((), (witness.peer, witness.peer + 1))
    who = _name_of(compiler, peer, seat.domain)
    way = f"{who} to {seat.example.name}" if direction is Direction.IN else f"{seat.example.name} to {who}"
    return f"packet {witness.text()} ({way}): {decided_by(compiler, seat.number, seat.domain, direction, witness)}"


def _name_of(compiler: Compiler, peer: AddressSet, domain: Domain) -> str:
    for group in compiler.universe.classes:
        for workload in group.workloads:
            if workload.addresses(domain) & peer != NOWHERE:
                return f"{workload.name} ({workload.labels.text()})"
    return "an address of no workload"


def decided_by(compiler: Compiler, number: int, domain: Domain, direction: Direction, packet: Packet) -> str:
    """Say which rule decides a packet at a class, or that none allows it."""
    found: dict[Action, str] = {}
    for at, arm in enumerate(compiler.arms):
        own = arm.destination if direction is Direction.IN else arm.source
        if not own.classes >> number & 1 or arm.rule.action in found:
            continue
        if any(packet in piece.exact for piece in compiler.pieces(at, domain, direction)):
            found[arm.rule.action] = f"{arm.rule.id} '{arm.rule.text}' ({arm.rule.where})"
    if Action.NEVER in found:
        return f"forbidden by {found[Action.NEVER]}"
    if Action.ALLOW in found:
        return f"allowed by {found[Action.ALLOW]}"
    if Action.DENY in found:
        return f"no rule allows it; denied by {found[Action.DENY]}"
    return "no rule allows it"
