"""The ordered platform in memory as a stage of the contract: lines that allow and deny, in one list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address
from types import MappingProxyType

from cloudsync.adapter import Adapter, Clock, Permission, TargetSettings
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.finding import Finding, Where
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import NO_PACKETS, Packet, PacketSet
from cloudsync.model.service import ServiceSet
from cloudsync.model.workload import PointId
from cloudsync.testing.clock import SimulatedClock
from cloudsync.testing.contract import Facts, Hole, Passes, WriteFault
from cloudsync.testing.ordered import OrderedAdapter, OrderedPlatform
from cloudsync.testing.ordered_table import Line, named
from tests.contract.memory_stage import FAULTS, SCOPE

Maker = Callable[[OrderedPlatform, str, str, int], OrderedAdapter]
THEIRS = 20_000
"""Where lines of others stand: below ours, where an exclusive target may overrule them."""


class OrderedFactory:
    """Opens one ordered platform; `maker` is the adapter's class."""

    name = "ordered"
    permissions: tuple[Permission, ...] = (
        Permission("ordered:List", "see lines and points"),
        Permission("ordered:Write", "change our lines", write=True),
    )
    example: Mapping[str, str] = MappingProxyType({"account": "111122223333"})

    def __init__(self, stage: OrderedStage, maker: Maker) -> None:
        self.stage, self.maker = stage, maker

    def check(self, target: TargetSettings) -> tuple[Finding, ...]:
        known = len(target.options["account"]) == len(self.stage.platform.account)
        return () if known else (Finding(target.where, "ORDERED-ACCOUNT", "want twelve digits", "look the number up"),)

    def open(self, target: TargetSettings, owner: str, clock: Clock) -> Adapter:
        assert clock is self.stage.clock
        adapter = self.maker(self.stage.platform, target.name, owner, self.stage.quota)
        adapter.expected = target.options["account"]
        return adapter

    def role(self, targets: Iterable[TargetSettings], *, owner: str, read_only: bool) -> str:
        lines = [f"{right.action} on {target.name} as {owner}" for target in targets for right in self.permissions]
        return "\n".join(line for line in lines if not (read_only and "Write" in line)) + "\n"


class OrderedStage:
    """A world in memory. `maker` may be a broken adapter: then the contract has to find it out."""

    def __init__(self, maker: Maker = OrderedAdapter) -> None:
        self.facts = Facts(quota=False)
        self.clock = SimulatedClock()
        self.platform = OrderedPlatform()
        self.factory = OrderedFactory(self, maker)
        self.quota = 1000
        self.hosts = 0

    # --- the world before us ---

    def add_workload(self, name: str, labels: Mapping[str, str]) -> tuple[str, ...]:
        self.hosts += 1
        addresses = (f"10.0.0.{self.hosts}", f"2001:db8:40::{self.hosts:x}")
        point = self.platform.add_point(name, addresses[0], scope=SCOPE)
        self.platform.spots[point] = replace(self.platform.spots[point], addresses=AddressSet.of(*addresses))
        self.platform.tags[point] = tuple(sorted(labels.items()))
        return addresses

    def remove_workload(self, name: str) -> None:
        del self.platform.spots[self._point(name)]

    def add_foreign(self, name: str, workloads: Iterable[str], holes: Iterable[Hole]) -> None:
        del name  # lines are numbered, not named
        for hole in holes:
            packets = PacketSet.of(AddressSet.of(hole.source), ServiceSet.ports(hole.protocol, hole.port, hole.port))
            number = THEIRS + len(self.platform.lines)
            self.platform.add_line(number, packets, [self._point(workload) for workload in workloads])

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
            address = ip_address(source)
            packet = Packet(Family(address.version), int(address), protocol, port)
            point = self._point(workload)
            deciding = (line for line in lines if not line.outbound and point in line.points and packet in line.packets)
            return not next(deciding, _NOTHING).deny

        return passes

    def foreign(self, *workloads: str) -> str:
        return self._told(lambda owner: not owner, workloads)

    def ours(self, owner: str) -> str:
        return self._told(lambda one: one == owner, ())

    def _told(self, chosen: Callable[[str], bool], workloads: tuple[str, ...]) -> str:
        points = {self._point(name) for name in workloads}
        lines = [line for line in sorted(self.platform.lines.values()) if chosen(line.owner)]
        return "\n".join(str(line) for line in lines if not points or points & set(line.points))

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
        more = PacketSet.of(AddressSet.of(hole.source), ServiceSet.ports(hole.protocol, hole.port, hole.port))
        self.platform.lines[line.name] = replace(line, packets=line.packets | more)

    def narrow(self, workload: str) -> None:
        line = self._our_line(workload)
        self.platform.lines[line.name] = replace(line, packets=NO_PACKETS)

    def unmark(self, owner: str) -> None:
        for name, line in self.platform.lines.items():
            if line.owner == owner:
                self.platform.lines[name] = replace(line, owner="")

    def _point(self, workload: str) -> PointId:
        return PointId(f"{SCOPE}/{workload}")

    def _our_line(self, workload: str) -> Line:
        point = self._point(workload)
        return next(line for line in sorted(self.platform.lines.values()) if line.owner and not line.deny and point in line.points)


_NOTHING = named(Line(0, "", "", deny=True, outbound=False, points=(), packets=NO_PACKETS))
