"""The pair: two units, the group that keeps them in step, and who of them is active."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from ..clock import LabClock
from .refusal import DeviceError, not_found
from .schema import FIREWALL
from .settings import Settings
from .unit import Identity, Unit, make

GROUP = "dg-failover"
NAMES = ("bigip1", "bigip2")


@dataclass(slots=True)
class Group:
    """The device group of kind sync-failover that both units are in."""

    auto_sync: bool = False
    save_on_auto_sync: bool = False
    full_load: bool = False
    generation: int = 1


@dataclass(frozen=True, slots=True)
class Standing:
    """How the group stands."""

    color: str
    status: str
    mode: str
    summary: str
    details: tuple[str, ...]


@dataclass(slots=True)
class World:
    """Everything there is of this vendor."""

    clock: LabClock
    settings: Settings
    units: dict[str, Unit] = field(default_factory=dict)
    group: Group = field(default_factory=Group)
    last_commit: int = 0
    syncing: list[tuple[float, str]] = field(default_factory=list)
    """(when, from which unit) of synchronisations under way."""

    def reset(self, seed: int) -> None:
        """Two fresh units in step, the first one active."""
        self.group, self.last_commit = Group(), 1
        self.syncing.clear()
        for number, name in enumerate(NAMES, 1):
            drawn = hashlib.sha256(f"f5/{seed}/{name}".encode()).digest()
            letters = "".join(chr(97 + each % 26) for each in drawn[:8])
            identity = Identity(
                name,
                f"{name}.dc1.lab.example",
                f"f5-{letters[:4]}-{letters[4:]}",
                f"10.60.250.1{number}",
                f"00:94:a1:{drawn[8]:02x}:{drawn[9]:02x}:0{number}",
            )
            self.units[name] = make(identity, self.clock, self.settings, seed=str(seed), active=number == 1)

    def peer(self, unit: Unit) -> Unit:
        """The other one."""
        return next(each for each in self.units.values() if each is not unit)

    @property
    def active(self) -> Unit:
        """The unit that carries traffic."""
        return next(each for each in self.units.values() if each.active)

    def settle(self) -> None:
        """Do what is due by now, everywhere."""
        for due, name in list(self.syncing):
            if due <= self.clock.now():
                self.syncing.remove((due, name))
                self._copy(self.units[name])
        for unit in self.units.values():
            unit.settle()

    def changed(self, unit: Unit) -> None:
        """A commit on a unit changed what is synchronised."""
        if self.group.auto_sync and self.settings.connected:
            self.syncing.append((self.clock.now() + self.settings.sync_delay_s, unit.identity.name))
            self.settle()

    def next_commit(self) -> int:
        """Number a commit."""
        self.last_commit += 1
        return self.last_commit

    def sync(self, unit: Unit, direction: str, group: str) -> None:
        """Start a synchronisation that somebody asked a unit for."""
        if group.rpartition("/")[2] != GROUP:
            raise not_found("device group", group)
        if not self.settings.connected:
            raise DeviceError(400, f"01071488:3: Remote transaction for device group /Common/{GROUP} failed: the peer is not connected.")
        source = unit if direction == "to-group" else self.peer(unit)
        self.syncing.append((self.clock.now() + self.settings.sync_delay_s, source.identity.name))
        self.settle()

    def _copy(self, source: Unit) -> None:
        """Bring the peer in step with a unit; whatever was changed there is gone."""
        other = self.peer(source)
        if not self.settings.connected:
            return
        number = max(source.commit_id, other.commit_id)
        other.previous, other.running = other.running, other.running.with_shared(source.running.shared())
        for unit in (source, other):
            unit.commit_id = unit.synced_id = number
        other.compiler.changed(other.running)
        if self.group.auto_sync and self.group.save_on_auto_sync:
            other.save()

    def failover(self, to: str) -> None:
        """Let a unit take over."""
        for name, unit in self.units.items():
            unit.active = name == to

    def reboot(self, unit: Unit, down_s: float) -> None:
        """Restart a unit; its peer takes over when it was active."""
        if unit.active:
            self.failover(self.peer(unit).identity.name)
        unit.reboot()
        unit.down_until = self.clock.now() + down_s

    def standing(self, unit: Unit, *, unseen: bool = False) -> Standing:
        """How the group stands, seen from a unit; `unseen`: it does not reach its peer just now."""
        other = self.peer(unit)
        mine, theirs = unit.identity.hostname, other.identity.hostname
        if unseen or not self.settings.connected or other.down_until > self.clock.now():
            return Standing("red", "Disconnected", "high-availability", "", (f"{theirs}: disconnected",))
        lines = (f"{theirs}: connected",)
        if self.syncing:
            text = f"{GROUP} (Syncing): synchronising"
            return Standing("blue", "Syncing", "high-availability", "", (*lines, text))
        if unit.commit_id == other.commit_id:
            return Standing(
                "green",
                "In Sync",
                "high-availability",
                "All devices in the device group are in sync",
                (*lines, f"{GROUP} (In Sync): All devices in the device group are in sync"),
            )
        changed = [each for each in (unit, other) if each.commit_id != each.synced_id]
        if len(changed) == 2:
            text = f"{GROUP} (Changes Pending): There is a possible change conflict between {mine} and {theirs}."
            advice = f" - Recommended action: Synchronize {mine} to group {GROUP}"
            return Standing("red", "Changes Pending", "high-availability", text, (*lines, text, advice))
        newer = max((unit, other), key=lambda each: each.commit_id).identity.hostname
        advice = f" - Recommended action: Synchronize {newer} to group {GROUP}"
        text = f"{GROUP} (Changes Pending): {newer} has changes that are not in the group."
        return Standing(
            "yellow",
            "Changes Pending",
            "high-availability",
            text,
            (*lines, text, f" - Recommended action: Synchronize {newer} to group {GROUP}"),
        )


def same_firewall(one: Unit, other: Unit) -> bool:
    """Do both units hold the same packet filters?"""
    return all(one.running.objects[name] == other.running.objects[name] for name in FIREWALL)
