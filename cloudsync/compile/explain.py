"""What the policy says of one packet: which rule decides at each end, and the sentence that would open it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cloudsync.compile.allowed import Compiler, Direction
from cloudsync.compile.check import decided_by
from cloudsync.model.address import Address, AddressSet, Family
from cloudsync.model.mode import Egress, Mode
from cloudsync.model.packets import Packet, PacketSet
from cloudsync.model.service import ServiceSet
from cloudsync.model.workload import Domain, PointId, Workload


@dataclass(frozen=True, slots=True)
class Seat:
    """One interface of a workload at which a packet is decided."""

    workload: Workload
    number: int
    domain: Domain
    point: PointId | None
    mode: Mode
    egress: Egress


@dataclass(frozen=True, slots=True)
class PolicyAnswer:
    """What the policy says at one seat: `allowed` as if enforced (mode full), and why in words."""

    seat: Seat
    direction: Direction
    packet: Packet
    allowed: bool
    why: str


@dataclass(frozen=True, slots=True)
class End:
    """One end of the question: a workload of the inventory, or an address."""

    text: str
    workload: Workload | None
    address: Address | None

    def addresses(self, domain: Domain) -> AddressSet:
        """Return its addresses as seen from a domain."""
        if self.workload is not None:
            return self.workload.addresses(domain)
        assert self.address is not None
        return AddressSet.of(self.address)


def seats(compiler: Compiler, workload: Workload) -> tuple[Seat, ...]:
    """Return where a workload's packets are decided: one seat per interface."""
    for number, group in enumerate(compiler.universe.classes):
        if any(one.id == workload.id for one in group.workloads):
            return tuple(
                Seat(workload, number, interface.domain, interface.point, group.mode, group.egress) for interface in workload.interfaces
            )
    return ()


def answers(compiler: Compiler, seat: Seat, peer: End, services: ServiceSet, direction: Direction) -> Iterator[PolicyAnswer]:
    """Yield what the policy says at a seat for every address of the peer, the service's first packet each."""
    allowed = compiler.allowed(seat.number, seat.domain, direction).exact
    for packet in packets(peer.addresses(seat.domain), services):
        why = decided_by(compiler, seat.number, seat.domain, direction, packet)
        yield PolicyAnswer(seat, direction, packet, packet in allowed, why)


def packets(peers: AddressSet, services: ServiceSet) -> Iterator[Packet]:
    """Yield one packet per peer address (at most 16 per family)."""
    for family in Family:
        left = peers.only(family)
        for _ in range(16):
            packet = PacketSet.of(left, services).witness()
            if packet is None:
                break
            yield packet
            one = (packet.peer, packet.peer + 1)
            left -= AddressSet(v4=one) if family is Family.V4 else AddressSet(v6=one)


def opening(compiler: Compiler, source: Seat, destination: Seat, services: ServiceSet) -> str:
    """Return the sentence that would allow these two classes on this service."""
    classes = compiler.universe.classes
    names = []
    for seat in (source, destination):
        labels = classes[seat.number].labels
        names.append(labels.text() if labels else f"workload {seat.workload.name}")
    return f"allow {names[0]} to {names[1]} on {services.text()}"
