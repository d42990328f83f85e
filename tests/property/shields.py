"""Random packets to be cut at random points, and what every shield must keep, whatever the platform."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random

from cloudsync.adapter import Access
from cloudsync.model.address import AddressSet
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.service import ICMP, ICMPV6, WITH_TYPES, ServiceSet
from cloudsync.model.workload import PointId

TYPED = ServiceSet.icmp(ICMP, 8) | ServiceSet.icmp(ICMPV6, 128)
NOTHING = Access()


def asked(random: Random, points: Iterable[PointId], peers: Sequence[AddressSet], services: Sequence[ServiceSet]) -> dict[PointId, Access]:
    """Draw what is to be cut: at some points, some of them alike, inbound and outbound, single ICMP types among it."""
    pool = [Access(_some(random, peers, services), _some(random, peers, services)) for _ in range(3)]
    return {point: random.choice(pool) for point in points if random.random() < 0.6}


def _some(random: Random, peers: Sequence[AddressSet], services: Sequence[ServiceSet]) -> PacketSet:
    found = NO_PACKETS
    for _ in range(random.randrange(3)):
        found |= PacketSet.of(random.choice(peers), random.choice((*services, TYPED)))
    if random.random() < 0.3:
        found -= PacketSet.of(random.choice(peers), random.choice(services))
    return found


def never_more(before: Mapping[PointId, Access], after: Mapping[PointId, Access], cut: Mapping[PointId, Access]) -> None:
    """Fail unless every point lets through what it did, but for packets that were to be cut there."""
    assert before.keys() == after.keys()
    for point, was in before.items():
        now, gone = after[point], cut.get(point, NOTHING)
        assert now.inbound <= was.inbound, (point, "opened", (now.inbound - was.inbound).text())
        assert now.outbound <= was.outbound, (point, "opened", (now.outbound - was.outbound).text())
        assert was.inbound - now.inbound <= gone.inbound, (point, "cut besides", (was.inbound - now.inbound - gone.inbound).text())
        assert was.outbound - now.outbound <= gone.outbound, (point, "cut besides", (was.outbound - now.outbound - gone.outbound).text())


def untyped(packets: PacketSet) -> PacketSet:
    """Return packets without those of single ICMP types: whole protocols stay. Peers that may use all of a protocol have it whole."""
    found: list[PacketSet] = []
    for peers, services in packets.products():
        typed = [run.protocol for run in services.ranges() if run.protocol in WITH_TYPES and not run.whole]
        found.append(PacketSet.of(peers, services - ServiceSet.union_all(map(ServiceSet.protocol, typed))))
    return PacketSet.union_all(found)
