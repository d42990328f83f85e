"""Random worlds of several targets in memory: hosts that talk to each other, some by a load balancer, tables before and after."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from cloudsync.adapter import Capabilities
from cloudsync.compile.universe import Arrived, Class, Postings, Universe
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.mode import Egress, Mode
from cloudsync.model.packets import ALL_PACKETS, Packet, PacketSet
from cloudsync.model.service import NO_SERVICE, TCP, ServiceSet
from cloudsync.model.workload import DEFAULT_DOMAIN, Forward, Interface, Labels, PointId, Workload, WorkloadId
from cloudsync.plan.build import Built
from cloudsync.plan.course import Site, chart
from cloudsync.testing.memory_table import Spot
from cloudsync.testing.ordered import ALLOWING, DENYING, MEETING, OrderedAdapter, OrderedPlatform
from cloudsync.testing.ordered_table import ALLOWS, DENIES, Line, OrderedTable, named
from cloudsync.testing.plans import built_to
from tests.oracle.interleave import Actor, Stopover, Trip

PORTS = (22, 443, 8080)
FLOOR = 9500
"""Number of the foreign line that lets nothing out, below everything."""


@dataclass(frozen=True, slots=True)
class Host:
    """One machine: its target, its point, its address, and what it forwards to."""

    target: str
    point: PointId
    address: str
    forwards: tuple[Forward, ...] = ()

    @property
    def addresses(self) -> AddressSet:
        return AddressSet.of(self.address)


@dataclass(frozen=True, slots=True)
class World:
    """Targets with their tables before and after."""

    hosts: tuple[Host, ...]
    adapters: Mapping[str, OrderedAdapter]
    old: Mapping[str, OrderedTable]
    new: Mapping[str, OrderedTable]

    def universe(self) -> Universe:
        """Return an inventory in which every machine is a class of its own."""
        classes = tuple(_class(host) for host in self.hosts)
        return Universe(classes, Postings({}), {}, 0, Arrived((), None))

    def built(self) -> tuple[Built, ...]:
        """Return every target's plan by itself."""
        universe = self.universe()
        return tuple(built_to(self.adapters[name], self.old[name], self.new[name], universe, name) for name in sorted(self.adapters))

    def charted(self) -> tuple[Built, ...]:
        """Return every target's plan as a part of the run."""
        return chart([Site(one) for one in self.built()], self.universe())

    def trips(self) -> Iterator[Trip]:
        """Yield every single flow between two machines, and by each load balancer on to each of its members."""
        for source in self.hosts:
            for goal in self.hosts:
                for port in PORTS:
                    if source is not goal:
                        stops = (_leaves(source, goal.address, port), _enters(goal, source.address, port))
                        yield Trip(f"{source.point} > {goal.point} {port}", stops)
                        yield from self._onward(source, goal, port, stops)

    def _onward(self, source: Host, front: Host, port: int, stops: tuple[Stopover, ...]) -> Iterator[Trip]:
        for forward in front.forwards:
            for member in self.hosts:
                if not member.addresses & forward.to or not ServiceSet.ports(TCP, port, port) <= forward.services or member is front:
                    continue
                for onward in PORTS:
                    if ServiceSet.ports(TCP, onward, onward) <= forward.onward:
                        seen = forward.sources.cidrs()[0].split("/")[0] if forward.sources else source.address
                        name = f"{source.point} > {front.point} {port} > {member.point} {onward}"
                        yield Trip(name, (*stops, _enters(member, seen, onward)))

    def actors(self, built: tuple[Built, ...]) -> dict[str, Actor]:
        """Return what brute force needs of each target."""
        return {one.plan.target: Actor(self.adapters[one.plan.target], one.actual, one.plan.phases) for one in built}


def packet(peer: str, port: int) -> Packet:
    """Return one packet from (or to) an address."""
    return Packet(Family.V4, int(ip_address(peer)), TCP, port)


def _leaves(host: Host, peer: str, port: int) -> Stopover:
    return Stopover(host.target, host.point, inbound=False, packet=packet(peer, port))


def _enters(host: Host, peer: str, port: int) -> Stopover:
    return Stopover(host.target, host.point, inbound=True, packet=packet(peer, port))


def _class(host: Host) -> Class:
    return Class(host.point, Labels.of({"role": host.point}), (_workload(host),), Mode.FULL, Egress.ENFORCE, NO_SERVICE)


def _workload(host: Host) -> Workload:
    interface = Interface("nic", "net", host.addresses, DEFAULT_DOMAIN, host.point, forwards=host.forwards)
    return Workload(WorkloadId(f"{host.target}/{host.point}"), host.point, Labels(), (interface,), host.target)


@dataclass(frozen=True, slots=True)
class Shape:
    """What random worlds look like."""

    targets: int = 3
    hosts: int = 2
    kinds: tuple[Capabilities, ...] = (DENYING, ALLOWING, MEETING)
    balancer: float = 0.5
    """Share of worlds in which the first machine of the first target is a load balancer."""
    busy: float = 0.35
    """Share of the single flows that a state allows."""


def draw(dice: random.Random, shape: Shape = Shape()) -> World:
    """Return a random world."""
    names = [f"t{number}" for number in range(shape.targets)]
    every = [(number, at) for number in range(shape.targets) for at in range(shape.hosts)]
    hosts = [Host(names[number], PointId(f"t{number}/h{at}"), f"10.{number}.0.{at + 1}") for number, at in every]
    if dice.random() < shape.balancer:
        hosts[0] = _balancing(dice, hosts)
    adapters: dict[str, OrderedAdapter] = {}
    old: dict[str, OrderedTable] = {}
    new: dict[str, OrderedTable] = {}
    for name in names:
        capabilities = dice.choice(shape.kinds)
        adapters[name] = OrderedAdapter(OrderedPlatform(), name, "test", capabilities=capabilities)
        own = [host for host in hosts if host.target == name]
        old[name], new[name] = _tables(dice, shape, own, hosts, denies=capabilities.denies)
    return World(tuple(hosts), adapters, old, new)


def _balancing(dice: random.Random, hosts: list[Host]) -> Host:
    front = hosts[0]
    members = dice.sample(hosts[1:], dice.randint(1, 2))
    port, onward = dice.choice(PORTS), dice.choice(PORTS)
    sources = front.addresses if dice.random() < 0.5 else AddressSet()
    to = AddressSet.union_all(one.addresses for one in members)
    forward = Forward(ServiceSet.ports(TCP, port, port), to, ServiceSet.ports(TCP, onward, onward), sources)
    return Host(front.target, front.point, front.address, (forward,))


def _tables(dice: random.Random, shape: Shape, own: list[Host], hosts: list[Host], *, denies: bool) -> tuple[OrderedTable, OrderedTable]:
    spots = {host.point: Spot(host.point, "mem/one", "net", host.addresses) for host in own}
    floor = Line(FLOOR, "floor", "", deny=True, outbound=True, points=tuple(sorted(spots)), packets=ALL_PACKETS)
    empty = OrderedTable("test", {"floor": floor}, spots)
    allows, blocks = dice.sample(ALLOWS, 60), dice.sample(DENIES, 20)
    kept: list[Line] = []
    tables: list[list[Line]] = [[], []]
    for host in own:
        for outbound in (False, True):
            for line in _lines(dice, shape, host, hosts, outbound=outbound):
                made = named(Line(allows.pop(), "", "test", deny=False, outbound=outbound, points=(host.point,), packets=line))
                where = dice.randint(0, 2)
                (kept if where == 2 else tables[where]).append(made)
            if denies and dice.random() < 0.5:
                number = dice.choice((allows.pop(), blocks.pop()))
                peers = dice.choice(hosts).addresses
                cut = PacketSet.of(peers, ServiceSet.ports(TCP, 22, dice.choice((22, 8080))))
                made = named(Line(number, "", "test", deny=True, outbound=outbound, points=(host.point,), packets=cut))
                tables[dice.randint(0, 1)].append(made)
    return empty.with_lines((*kept, *tables[0])), empty.with_lines((*kept, *tables[1]))


def _lines(dice: random.Random, shape: Shape, host: Host, hosts: list[Host], *, outbound: bool) -> Iterator[PacketSet]:
    del outbound
    for port in PORTS:
        peers = [one.addresses for one in hosts if one is not host and dice.random() < shape.busy]
        if peers:
            yield PacketSet.of(AddressSet.union_all(peers), ServiceSet.ports(TCP, port, port))
