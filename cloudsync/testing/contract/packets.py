"""Between what the suite asks (addresses and ports as people write them) and what adapters say (packets, points)."""

from __future__ import annotations

from ipaddress import ip_address

from cloudsync.adapter import Discovery
from cloudsync.model.address import Family
from cloudsync.model.packets import Packet
from cloudsync.model.service import WITH_TYPES
from cloudsync.model.workload import PointId
from cloudsync.testing.contract.pipeline import Runs
from cloudsync.testing.contract.world import Reach, Service, World, told


def packet_of(source: str, service: Service) -> Packet:
    """Return the packet that opens a flow from a source on a service, seen from its receiver."""
    address = ip_address(source)
    protocol, port = service
    family = Family.V4 if address.version == 4 else Family.V6
    return Packet(family, int(address), protocol, port * 256 if protocol in WITH_TYPES else port)


def points_of(discovery: Discovery) -> dict[str, tuple[PointId, ...]]:
    """Return the enforcement points of every workload, by its name."""
    return {
        found.name: tuple(interface.point for interface in found.interfaces if interface.point is not None and not interface.skipped)
        for found in discovery.workloads
    }


def decoded(world: World, runs: Runs) -> Reach:
    """Read the platform through the adapter and return what `decode` says of every probe."""
    adapter = runs.open()
    shown = adapter.read()
    access, at = adapter.decode(shown.table), points_of(shown.discovery)
    return frozenset(
        (to, source, service)
        for to, source, service in world.probes()
        if any(packet_of(source, service) in access[point].inbound for point in at.get(to, ()))
    )


def must_decode_as_true(world: World, runs: Runs) -> None:
    """Fail unless `decode` says of every probe what the platform's truth says."""
    said, true = decoded(world, runs), world.reach()
    more, less = told(said - true), told(true - said)
    assert said == true, f"decode opens what does not pass: {more or 'nothing'}; decode shuts what passes: {less or 'nothing'}"
