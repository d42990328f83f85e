"""The platform in memory as a stage of the contract: the smallest example of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from types import MappingProxyType

from cloudsync.adapter import Adapter, Clock, Permission, TargetSettings
from cloudsync.model.address import AddressSet
from cloudsync.model.finding import Finding, Where
from cloudsync.model.mode import TargetMode
from cloudsync.model.workload import PointId
from cloudsync.testing.clock import SimulatedClock
from cloudsync.testing.contract import Facts, Hole, Passes, WriteFault
from cloudsync.testing.memory import Fault, MemoryAdapter, MemoryPlatform
from cloudsync.testing.memory_table import Rule

FAULTS = {
    WriteFault.LOST_BEFORE: Fault.LOST_BEFORE,
    WriteFault.LOST_AFTER: Fault.LOST_AFTER,
    WriteFault.LATE: Fault.LATE,
    WriteFault.REFUSED: Fault.REFUSED,
    WriteFault.THROTTLED: Fault.THROTTLED,
}
SCOPE = "mem/one"
SPOKEN = {"6": "tcp", "17": "udp"}
Maker = Callable[[MemoryPlatform, str, str, int], MemoryAdapter]


class MemoryFactory:
    """Opens one platform in memory; `maker` is the adapter's class."""

    name = "memory"
    permissions: tuple[Permission, ...] = (
        Permission("memory:List", "see groups and points"),
        Permission("memory:Write", "change our groups", write=True),
    )

    example: Mapping[str, str] = MappingProxyType({"account": "111122223333"})

    def __init__(self, stage: MemoryStage, maker: Maker) -> None:
        self.stage, self.maker = stage, maker

    def check(self, target: TargetSettings) -> tuple[Finding, ...]:
        if len(target.options["account"]) == len(self.stage.platform.account):
            return ()
        return (Finding(target.where, "MEMORY-ACCOUNT", "want twelve digits", "look the number up"),)

    def open(self, target: TargetSettings, owner: str, clock: Clock) -> Adapter:
        assert clock is self.stage.clock
        adapter = self.maker(self.stage.platform, target.name, owner, self.stage.quota)
        adapter.expected = target.options["account"]
        return adapter

    def role(self, targets: Iterable[TargetSettings], *, owner: str, read_only: bool) -> str:
        lines = [f"{right.action} on {target.name} as {owner}" for target in targets for right in self.permissions]
        return "\n".join(line for line in lines if not (read_only and "Write" in line)) + "\n"


def spoken(rule: Rule) -> Rule:
    """Spell a rule as this platform shows it: hosts without a length, protocols by name."""
    peer = rule.peer.removesuffix("/128" if ":" in rule.peer else "/32")
    protocol, _, run = rule.service.partition("/")
    return Rule(peer, f"{SPOKEN.get(protocol, protocol)}/{run}")


class MemoryStage:
    """A world in memory. `maker` may be a broken adapter: then the contract has to find it out."""

    def __init__(self, maker: Maker = MemoryAdapter) -> None:
        self.facts = Facts()
        self.clock = SimulatedClock()
        self.platform = MemoryPlatform(spelling=spoken)
        self.factory = MemoryFactory(self, maker)
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
        group = self.platform.add_group(name, [(hole.source, f"{hole.protocol}/{hole.port}-{hole.port}") for hole in holes], scope=SCOPE)
        for workload in workloads:
            spot = self.platform.spots[self._point(workload)]
            self.platform.spots[spot.id] = replace(spot, groups=tuple(sorted({*spot.groups, group})))

    def target(self, mode: TargetMode) -> TargetSettings:
        return TargetSettings("mem", "memory", mode, {"account": self.platform.account}, Where("cloudsync.yaml"))

    def stranger(self) -> TargetSettings:
        return replace(self.target(TargetMode.EXCLUSIVE), options={"account": "999988887777"})

    def open(self, target: TargetSettings, owner: str) -> Adapter:
        return self.factory.open(target, owner, self.clock)

    # --- the platform's own truth ---

    def truth(self) -> Passes:
        groups, spots = dict(self.platform.groups), dict(self.platform.spots)

        def passes(workload: str, source: str, protocol: int, port: int) -> bool:
            return any(covers(rule, source, protocol, port) for name in spots[self._point(workload)].groups for rule in groups[name].rules)

        return passes

    def foreign(self, *workloads: str) -> str:
        return self._told(lambda owner: not owner, workloads)

    def ours(self, owner: str) -> str:
        return self._told(lambda one: one == owner, ())

    def _told(self, chosen: Callable[[str], bool], workloads: tuple[str, ...]) -> str:
        points = {self._point(name) for name in workloads} or set(self.platform.spots)
        carried = {key: [name for name in self.platform.spots[key].groups if chosen(self.platform.groups[name].owner)] for key in points}
        acting = {name for names in carried.values() for name in names}
        groups = [
            f"{name} {group.name!r} {group.owner!r} {sorted(group.rules)}"
            for name, group in sorted(self.platform.groups.items())
            if chosen(group.owner) and (name in acting or not workloads)
        ]
        return "\n".join([*groups, *(f"{key}: {names}" for key, names in sorted(carried.items()) if names)])

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
        group = self.platform.groups[self._our_group(workload)]
        more = Rule(hole.source, f"{hole.protocol}/{hole.port}-{hole.port}")
        self.platform.groups[group.id] = replace(group, rules=group.rules | {more})

    def narrow(self, workload: str) -> None:
        group = self.platform.groups[self._our_group(workload)]
        self.platform.groups[group.id] = replace(group, rules=frozenset(sorted(group.rules)[1:]))

    def unmark(self, owner: str) -> None:
        for name, group in self.platform.groups.items():
            if group.owner == owner:
                self.platform.groups[name] = replace(group, owner="")

    def _point(self, workload: str) -> PointId:
        return PointId(f"{SCOPE}/{workload}")

    def _our_group(self, workload: str) -> str:
        return next(name for name in self.platform.spots[self._point(workload)].groups if self.platform.groups[name].owner)


def covers(rule: Rule, source: str, protocol: int, port: int) -> bool:
    """Tell whether a rule lets a packet in, by the words it was written in."""
    number, _, run = rule.service.partition("/")
    first, _, last = run.partition("-")
    address = ip_address(source)
    if "-" in rule.peer:
        low, _, high = rule.peer.partition("-")
        within = ip_address(low).version == address.version and int(ip_address(low)) <= int(address) <= int(ip_address(high))
    else:
        network = ip_network(rule.peer)
        within = network.version == address.version and address in network
    return within and int(number) == protocol and int(first) <= port <= int(last)
