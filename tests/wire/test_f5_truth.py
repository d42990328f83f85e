"""What the adapter reads out of a whole estate against what the devices really do with a packet, asked one at a time."""

from __future__ import annotations

from random import Random

import pytest

from cloudsync.adapter import TargetSettings
from cloudsync.lab.f5.pytest_plugin import f5_site, f5_site_server
from cloudsync.lab.f5.site import Site
from cloudsync.model import intervals
from cloudsync.model.address import Family, address_text
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import Packet
from cloudsync.model.service import BLOCK, ICMP, ICMPV6, TCP, UDP, ServiceRange
from cloudsync.testing.clock import SimulatedClock
from cloudsync_f5.adapter import F5Adapter
from cloudsync_f5.table import F5Table, Virtual

__all__ = ["f5_site", "f5_site_server"]


def read(site: Site, monkeypatch: pytest.MonkeyPatch) -> tuple[F5Adapter, F5Table]:
    section = site.section()
    monkeypatch.setenv("F5_USER", section[0]["user"])
    monkeypatch.setenv("F5_PASSWORD", section[0]["password"])
    options = {
        "hosts": [one["hostname"] for one in section],
        "device_group": section[0]["device_group"],
        "addresses": {one["hostname"]: one["endpoint"] for one in section},
        "ca_file": section[0]["ca_file"],
    }
    adapter = F5Adapter(TargetSettings("f5", "f5", TargetMode.EXCLUSIVE, options, Where("x")), "acme", SimulatedClock())
    snapshot = adapter.read()
    assert snapshot.complete, snapshot.scopes
    table: F5Table = snapshot.table
    return adapter, table


def probes(random: Random, table: F5Table, virtual: Virtual, count: int) -> list[Packet]:
    """Return packets to one virtual server from the edges of everything that any rule speaks of."""
    family = Family.V4 if virtual.addresses.v4 else Family.V6
    edges = {1, (1 << family.width) - 2}
    spans = [span for one in table.lists.values() for span in one.spans]
    spans += [span for policy in table.policies.values() for rule in policy.rules for span in rule.source.spans]
    top = (1 << family.width) - 1
    for span in spans:
        if span.family is family:
            edges.update(min(top, max(0, value)) for value in (span.first - 1, span.first, span.last, span.last + 1))
    run: ServiceRange = next(virtual.listener.services.ranges())
    details = [(run.protocol, run.first), (TCP, 22), (TCP, run.first + 1), (UDP, 53)] if run.protocol not in (ICMP, ICMPV6) else [(TCP, 80)]
    return [Packet(family, random.choice(sorted(edges)), *random.choice(details)) for _ in range(count)]


def verdict(site: Site, virtual: Virtual, packet: Packet) -> bool:
    suffix = f"%{virtual.domain}" if virtual.domain else ""
    family = Family.V4 if virtual.addresses.v4 else Family.V6
    vip = next(iter(intervals.ranges(virtual.addresses.family(family))))[0]
    asked = {
        "src": address_text(family, packet.peer) + suffix,
        "dst": address_text(family, vip) + suffix,
        "protocol": str(packet.protocol),
        "port": packet.detail,
    }
    said = site.ask("verdict", asked)
    return bool(said["verdict"] == "allowed" and said["listener"] == virtual.path)


@pytest.mark.parametrize(("estate", "count", "default"), [("four", 60, "accept"), ("four", 60, "reject"), ("medium", 12, "accept")])
def test_what_is_read_is_what_packets_meet(f5_site: Site, monkeypatch: pytest.MonkeyPatch, estate: str, count: int, default: str) -> None:
    f5_site.reset(estate, 1)
    f5_site.ask("settings", {"default_action": default})
    adapter, table = read(f5_site, monkeypatch)
    assert table.open_by_default is (default == "accept")
    random = Random(7)
    access = adapter.decode(table)
    asked = opened = 0
    for virtual in table.virtuals.values():
        if virtual.skipped or virtual.disabled:
            continue
        for packet in probes(random, table, virtual, count):
            if packet.detail >= BLOCK:
                continue
            inside = packet in access[virtual.point].inbound
            assert inside is verdict(f5_site, virtual, packet), (virtual.path, packet.text(), inside)
            asked, opened = asked + 1, opened + inside
    assert asked > 500
    assert 0 < opened < asked, "both answers occur"
