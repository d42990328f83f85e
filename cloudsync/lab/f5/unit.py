"""One BIG-IP: its running and its saved configuration, its logins and transactions, what it has compiled, and its place in the pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..clock import LabClock
from ..kit.faults import Json
from .compiler import Compiler
from .config import Config
from .editor import Editor
from .paths import Target, target
from .references import Key
from .refusal import DeviceError
from .schema import FOLDER, PARTITION, RESOURCES, ROUTE_DOMAIN
from .settings import Settings
from .tokens import Tokens
from .transactions import Command, Transactions


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a unit is."""

    name: str
    """As the lab calls it: bigip1, bigip2."""
    hostname: str
    serial: str
    management: str
    mac: str


@dataclass(slots=True)
class Saved:
    """What survives a reboot."""

    config: Config
    commit_id: int
    synced_id: int


@dataclass(slots=True)
class Unit:
    """One device."""

    identity: Identity
    clock: LabClock
    settings: Settings
    running: Config
    previous: Config
    """Before the last change: what a stale read shows."""
    saved: Saved
    tokens: Tokens
    transactions: Transactions
    compiler: Compiler
    active: bool
    commit_id: int = 0
    """The last change of what is synchronised, on whichever unit it was made."""
    synced_id: int = 0
    """`commit_id` when the group was last in step."""
    generation: int = 1
    saves: int = 0
    reboots: int = 0
    down_until: float = 0.0
    late_saves: list[tuple[float, Saved]] = field(default_factory=list)

    def next_generation(self) -> int:
        """Count changes."""
        self.generation += 1
        return self.generation

    @property
    def unsaved(self) -> bool:
        """Would a reboot lose something?"""
        return self.running.objects != self.saved.config.objects

    def try_out(self, commands: Sequence[Command]) -> tuple[Config, list[Key | None]]:
        """Carry commands out on a draft; return it and what each left behind. DeviceError when one cannot be."""
        editor = Editor(self.running.copy(), self.settings, self.next_generation, self.running)
        left = [carry_out(editor, command) for command in commands]
        editor.finish()
        return editor.draft, left

    def keep(self, draft: Config, commit_id: int) -> bool:
        """Make a draft the running configuration; True when what is synchronised changed."""
        shared = draft.shared() != self.running.shared()
        self.previous, self.running = self.running, draft
        if shared:
            self.commit_id = commit_id
        self.compiler.changed(draft)
        return shared

    def snapshot(self) -> Saved:
        """Take what a save would write down now."""
        return Saved(self.running, self.commit_id, self.synced_id)

    def save(self) -> None:
        """Write the running configuration down."""
        self.saved = self.snapshot()
        self.saves += 1

    def load(self) -> None:
        """Run what was saved."""
        self.previous, self.running = self.running, self.saved.config
        self.commit_id, self.synced_id = self.saved.commit_id, self.saved.synced_id

    def reboot(self) -> None:
        """Lose what was not saved, every login and every transaction."""
        self.late_saves.clear()
        self.load()
        self.tokens.live.clear()
        self.transactions.held.clear()
        self.compiler.at_once(self.running)
        self.reboots += 1

    def settle(self) -> None:
        """Do what is due by now."""
        for due, saved in list(self.late_saves):
            if due <= self.clock.now():
                self.late_saves.remove((due, saved))
                self.saved = saved
        self.transactions.settle()
        self.tokens.settle()
        self.compiler.settle(self.running)


def carry_out(editor: Editor, command: Command) -> Key | None:
    """One write on a draft; return the object it left behind, None after a delete."""
    at = target(command.path)
    match command.method:
        case "POST":
            return _post(editor, at, command.body)
        case "PATCH" | "PUT":
            if at.part:
                editor.change_part(at.collection, _path(at), at.part, command.body, whole=command.method == "PUT")
                return at.collection, _path(at)
            if at.sub:
                raise DeviceError(400, "A collection cannot be changed as a whole.", 1)
            return editor.modify(at.collection, _path(at), command.body, whole=command.method == "PUT")
        case "DELETE":
            if at.part:
                editor.remove_part(at.collection, _path(at), at.part)
            elif at.sub:
                raise DeviceError(400, "A collection cannot be deleted as a whole.", 1)
            else:
                editor.delete(at.collection, _path(at))
            return None
        case _:
            raise DeviceError(405, f"HTTP method {command.method} is not allowed for this resource.", 1)


def _post(editor: Editor, at: Target, body: Json) -> Key:
    if at.sub:
        editor.add_part(at.collection, _path(at), body)
        return at.collection, _path(at)
    if at.path is not None and not RESOURCES[at.collection].single:
        raise DeviceError(405, "HTTP method POST is not allowed for this resource.", 1)
    return editor.create(at.collection, body)


def _path(at: Target) -> str:
    if at.path is None:
        raise DeviceError(405, "HTTP method is not allowed for a collection.", 1)
    return at.path


def fresh(afm: str = "nominal", hostname: str = "") -> Config:
    """What a device holds that nobody has touched."""
    config = Config()
    config.objects[PARTITION]["Common"] = {"name": "Common", "defaultRouteDomain": 0, "generation": 1}
    config.objects[FOLDER]["/Common"] = {"name": "Common", "partition": "/", "generation": 1, "deviceGroup": "/Common/dg-failover"}
    config.objects[ROUTE_DOMAIN]["/Common/0"] = {"name": "0", "partition": "Common", "id": 0, "generation": 1}
    config.objects["sys/global-settings"][""] = {"hostname": hostname, "generation": 1}
    for module in ("afm", "apm", "asm", "avr", "gtm", "ltm", "pem"):
        level = {"ltm": "nominal", "afm": afm}.get(module, "none")
        config.objects["sys/provision"][module] = {"name": module, "level": level, "generation": 1}
    return config


def make(identity: Identity, clock: LabClock, settings: Settings, *, seed: str, active: bool) -> Unit:
    """A device as it comes out of its box, named and licensed."""
    config = fresh(hostname=identity.hostname)
    unit = Unit(
        identity,
        clock,
        settings,
        config,
        config,
        Saved(config, 0, 0),
        Tokens(clock, settings, f"{seed}/{identity.name}"),
        Transactions(clock, settings),
        Compiler(clock, settings),
        active,
    )
    unit.compiler.at_once(config)
    return unit
