"""The ordered platform in memory as a stage of the contract: denies, outbound control, lines of others above and below ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address
from types import MappingProxyType

from cloudsync.adapter import Adapter, Clock, Permission, TargetSettings
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.finding import Finding, Where
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import Packet, PacketSet
from cloudsync.model.service import BLOCK, ServiceSet
from cloudsync.model.workload import PointId
from cloudsync.testing.clock import SimulatedClock
from cloudsync.testing.contract import Facts, Hole, Passes, WriteFault
from cloudsync.testing.memory_table import Spot
from cloudsync.testing.ordered import OrderedAdapter, OrderedPlatform
from cloudsync.testing.ordered_table import Line, named
from tests.contract.memory_stage import FAULTS, SCOPE

Maker = Callable[[OrderedPlatform, str, str, int], OrderedAdapter]
FOREIGN = 9000
"""Where lines of others begin: below everything of ours."""


class OrderedFactory:
    """Opens one ordered platform in memory; `maker` is the adapter's class."""

    name = "ordered"
    permissions: tuple[Permission, ...] = (
        Permission("ordered:List", "see lines and points"),
        Permission("ordered:Write", "change our lines", write=True),
    )
    example: Mapping[str, str] = MappingProxyType({"account": "111122223333"})

    def __init__(self, stage: OrderedStage, maker: Maker) -> None:
        self.stage, self.maker = stage, maker

    def check(self, target: TargetSettings) -> tuple[Finding, ...]:
        if len(target.options["account"]) == len(self.stage.platform.account):
            return ()
        return (Finding(target.where, "ORDERED-ACCOUNT", "want twelve digits", "look the number up"),)

    def open(self, target: TargetSettings, owner: str, clock: Clock) -> Adapter:
        assert clock is self.stage.clock
        adapter = self.maker(self.stage.platform, target.name, owner, self.stage.quota)
        adapter.expected = target.options["account"]
        return adapter

    def role(self, targets: Iterable[TargetSettings], *, owner: str, read_only: bool) -> str:
        lines = [f"{right.action} on {target.name} as {owner}" for target in targets for right in self.permissions]
        return "\n".join(line for line in lines if not (read_only and "Write" in line)) + "\n"


class OrderedStage:
    """A world of lines in memory. `maker` may be a broken adapter: then the contract has to find it out."""

    def __init__(self, maker: Maker = OrderedAdapter) -> None:
        self.facts = Facts(additive=True)
        self.clock = SimulatedClock()
        self.platform = OrderedPlatform()
        self.factory = OrderedFactory(self, maker)
        self.quota = 1000
        self.hosts = 0
        self.number = FOREIGN

    # --- the world before us ---

    def add_workload(self, name: str, labels: Mapping[str, str]) -> tuple[str, ...]:
        self.hosts += 1
        addresses = (f"10.0.0.{self.hosts}", f"2001:db8:40::{self.hosts:x}")
        point = PointId(f"{SCOPE}/{name}")
        self.platform.spots[point] = Spot(point, SCOPE, "net", AddressSet.of(*addresses))
        self.platform.tags[point] = tuple(sorted(labels.items()))
        return addresses

    def remove_workload(self, name: str) -> None:
        del self.platform.spots[self._point(name)]

    def add_foreign(self, name: str, workloads: Iterable[str], holes: Iterable[Hole]) -> None:
        del name
        points = tuple(self._point(workload) for workload in workloads)
        for hole in holes:
            self.number += 1
            self.platform.add_line(self.number, _packets(hole), points)

    def target(self, mode: TargetMode) -> TargetSettings:
        return TargetSettings("mem", "ordered", mode, {"account": self.platform.account}, Where("cloudsync.yaml"))

    def stranger(self) -> TargetSettings:
        return replace(self.target(TargetMode.EXCLUSIVE), options={"account": "999988887777"})

    def open(self, target: TargetSettings, owner: str) -> Adapter:
        return self.factory.open(target, owner, self.clock)

    # --- the platform's own truth ---

    def truth(self) -> Passes:
        lines = sorted(self.platform.lines.values())

        def passes(workload: str, source: str, protocol: int, port: int) -> bool:
            peer = ip_address(source)
            detail = port * 256 if protocol in (1, 58) else port
            packet = Packet(Family.V4 if peer.version == 4 else Family.V6, int(peer), protocol, detail)
            for line in lines:
                if self._point(workload) in line.points and not line.outbound and packet in line.packets:
                    return not line.deny
            return False

        return passes

    def foreign(self, *workloads: str) -> str:
        points = {self._point(name) for name in workloads} or set(self.platform.spots)
        found = [line for line in self.platform.lines.values() if not line.owner and (points & set(line.points) or not workloads)]
        return "\n".join(map(repr, sorted(found)))

    def ours(self, owner: str) -> str:
        return "\n".join(repr(line) for line in sorted(self.platform.lines.values()) if line.owner == owner)

    def writes(self) -> int:
        return len(self.platform.calls)

    def reads(self) -> int:
        return self.platform.pages

    # --- what goes wrong ---

    def fail_write(self, nth: int, fault: WriteFault) -> None:
        self.platform.faults[self.writes() + nth] = FAULTS[fault]

    def fail_reads(self, nth: int) -> None:
        self.platform.unreadable = self.platform.pages + nth

    def heal(self) -> None:
        self.platform.faults.clear()
        self.platform.unreadable = 0
        self.platform.arrive()

    def page_of(self, size: int) -> None:
        self.platform.page_size = size

    def room_for(self, entries: int) -> None:
        self.quota = entries

    # --- what people do ---

    def widen(self, workload: str, hole: Hole) -> None:
        line = self._our_line(workload)
        self._edited(line, line.packets | _packets(hole))

    def narrow(self, workload: str) -> None:
        line = self._our_line(workload)
        peers, services = next(line.packets.products())
        self._edited(line, line.packets - PacketSet.of(peers, services))

    def unmark(self, owner: str) -> None:
        for name, line in self.platform.lines.items():
            if line.owner == owner:
                self.platform.lines[name] = replace(line, owner="")

    def _edited(self, line: Line, packets: PacketSet) -> None:
        del self.platform.lines[line.name]
        edited = named(replace(line, packets=packets))
        self.platform.lines[edited.name] = edited

    def _point(self, workload: str) -> PointId:
        return PointId(f"{SCOPE}/{workload}")

    def _our_line(self, workload: str) -> Line:
        found = (line for line in self.platform.lines.values() if self._point(workload) in line.points)
        return next(line for line in found if line.owner and not line.deny and not line.outbound)


def _packets(hole: Hole) -> PacketSet:
    first = hole.port * 256 if hole.protocol in (1, 58) else hole.port
    last = first + 255 if hole.protocol in (1, 58) else first
    return PacketSet.of(AddressSet.of(hole.source), ServiceSet((hole.protocol * BLOCK + first, hole.protocol * BLOCK + last + 1)))
