"""One simulated estate: four platforms, one clock, the product's own pipeline and store, and a judge that looks after every effect."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from cloudsync.app.ledger import where
from cloudsync.app.reconcile import Ran, reconcile
from cloudsync.app.repository import Loaded, load
from cloudsync.app.session import Start
from cloudsync.guard.values import Approval
from cloudsync.model.errors import CloudsyncError
from cloudsync.plan.document import target_digest
from cloudsync.plan.journal import OpState
from cloudsync.store import state as store
from cloudsync.store.database import Database
from cloudsync.store.place import Place
from cloudsync.store.sqlite import SqliteDatabase
from cloudsync.store.state import State
from cloudsync.testing.clock import SimulatedClock
from tests.sim.draft import Written
from tests.sim.judges import JUDGES
from tests.sim.lens import Address
from tests.sim.paths import Paths, Pools, through
from tests.sim.sites import AwsSite, GcpSite, Site, Tags, addresses
from tests.sim.sites_more import AzureSite, F5Site
from tests.sim.wire import CrashError, Wire, factory

DRAW: Mapping[str, Callable[[Random, str], Site]] = {
    "aws": AwsSite.draw,
    "gcp": GcpSite.draw,
    "azure": AzureSite.draw,
    "f5": F5Site.draw,
}
LOOSE = "max_removed_rules: 100%, max_affected_workloads: 100%, max_gone_workloads: 100%, max_restores: 500, open_to_internet: allow"
STRICT = "open_to_internet: approve"
PLUG = "cloudsync_sim"
ADMIN = ip_address("192.0.2.10")
"""One of the operators' addresses."""


@dataclass(slots=True)
class Moment:
    """What was and what is to be at one platform, as masks, for the run that is under way."""

    old: int
    new: int
    foreign: Mapping[str, object]
    edited: bool = False
    """Somebody has edited an object of ours since: what comes of that is no promise of ours until the next run."""


@dataclass(slots=True)
class World:
    """Everything that one scenario is about."""

    root: Path
    wires: dict[str, Wire]
    clock: SimulatedClock
    paths: Paths = field(default_factory=lambda: Paths.over({}))
    masks: dict[str, int] = field(default_factory=dict)
    moments: dict[str, Moment] = field(default_factory=dict)
    watched: bool = True
    """Whether somebody looks after every effect; without, a world is only a place where runs are made."""
    joint: bool = True
    """Ways across platforms are looked at as a whole: old and new of all of them at once."""
    loaded: Loaded | None = None
    trace: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    guards: str = LOOSE
    draft: Written | None = None
    saved: Path | None = None
    copies: dict[Path, bytes] = field(default_factory=dict)
    """A backup of the database, and how long the audit trail was then."""
    copied: int = 0
    pages: int = 0
    """By how many pages the store may still grow: then the disk is full. 0: no limit."""
    sent: dict[str, int] = field(default_factory=dict)

    # --- what stands there ---

    @classmethod
    def draw(cls, root: Path, rng: Random, modes: Mapping[str, str], fleet: Mapping[str, Iterable[Tags]] | None = None) -> World:
        """Draw the platforms that `modes` names, with a few machines each, or unwatched with those of a fleet, told by their tags."""
        clock = SimulatedClock()
        world = cls(root, {}, clock, watched=fleet is None)
        for name, mode in modes.items():
            world.wires[name] = Wire(name, DRAW[name](rng, mode), clock, note=world.note)
            for tags in fleet[name] if fleet is not None else [labels(rng, name) for _ in range(rng.randint(2, 4))]:
                world.wires[name].site.add(rng, tags)
        deal(world.wires)
        for wire in world.wires.values():
            wire.on_change = world.changed
            wire.on_crash = world.crashed
        clock.on_sleep = lambda _seconds: world.passed()
        if world.watched:
            world.look()
        return world

    def note(self, words: str) -> None:
        """Write a line of the trace."""
        self.trace.append(f"{self.clock.now():.2f} {words}")

    def look(self) -> None:
        """Look at everything anew: machines may have come or gone."""
        cards = {name: wire.site.cards() for name, wire in self.wires.items()}
        self.paths = Paths.over(cards, pools(self.wires) if self.joint else ())
        self.masks = {name: self.mask(name) for name in self.wires}

    def mask(self, name: str, table: Any = None) -> int:
        """Return what a platform lets through, now or with another table."""
        site = self.wires[name].site
        return self.paths.mask(name, JUDGES[site.kind](self.paths.lens, site.table if table is None else table))

    # --- the judge ---

    def begin(self) -> None:
        """Remember what is there before a run."""
        self.moments.clear()
        self.sent = {name: len(wire.sent) for name, wire in self.wires.items()}
        if not self.watched:
            return
        self.look()
        for name, wire in self.wires.items():
            wire.wanted = None
            self.moments[name] = Moment(self.masks[name], 0, wire.site.foreign())

    def changed(self, wire: Wire) -> None:
        """Look after an effect of ours: I4, I5, I6, I7."""
        name = wire.name
        if not self.watched:
            return
        self.masks[name] = self.mask(name)
        moment = self.moments.get(name)
        if moment is None:
            return
        self.counts["states"] += 1
        if wire.site.foreign() != moment.foreign:
            self.counts["foreign writes"] += 1
            self.blame(f"I6: a write of {name} changed what is not ours")
            moment.foreign = wire.site.foreign()
        if any(one.edited for one in self.moments.values()):
            self.counts["states after an edit by hand"] += 1
            return
        now = through(self.masks.values())
        if self.joint:
            old = through(one.old for one in self.moments.values())
            new = through(self.aim(other) for other in self.moments)
        else:
            rest = through(mask for other, mask in self.masks.items() if other != name)
            old, new = moment.old & rest, self.aim(name) & rest
        self.judge(name, now & ~(old | new), old & new & ~now)

    def aim(self, name: str) -> int:
        """Return what a platform is to let through at the end of this run."""
        wire, moment = self.wires[name], self.moments[name]
        if not moment.new and wire.wanted is not None:
            moment.new = self.mask(name, wire.wanted)
        return moment.new or moment.old

    def judge(self, name: str, exposed: int, cut: int) -> None:
        """Blame packets that get through although neither end lets them, and those that are cut although both do."""
        if exposed:
            self.blame(f"I4: {name} exposes {self.paths.words(exposed)}")
        if cut:
            self.blame(f"I5: {name} cuts {self.paths.words(cut)}")

    def blame(self, words: str) -> None:
        """Something is wrong that must never be."""
        self.note(f"WRONG {words}")
        self.wrong.append(words)
        self.counts["violations"] += 1

    def rebase(self, name: str) -> None:
        """Take note that somebody else has just edited an object of ours."""
        self.masks[name] = self.mask(name)
        moment = self.moments.get(name)
        if moment is not None:
            moment.edited, moment.foreign = True, self.wires[name].site.foreign()

    def passed(self) -> None:
        """Time has passed: what is late arrives."""
        self.clock.slept.clear()
        for wire in self.wires.values():
            wire.arrive()

    # --- the product ---

    def write(self, draft: Written, *, guards: str | None = None) -> None:
        """Write the config repository and load it."""
        self.draft, self.guards = draft, guards if guards is not None else self.guards
        labels = "\n".join(f"  - {{label: {key}, tag: {key}}}" for key in draft.keys)
        targets = "\n".join(f"  - {{name: {name}, adapter: sim, mode: {wire.site.mode}}}" for name, wire in self.wires.items())
        (self.root / "policy").mkdir(parents=True, exist_ok=True)
        (self.root / "cloudsync.yaml").write_text(
            f"owner: sim\ntargets:\n{targets}\nlabels_from:\n{labels}\n"
            f"schedule: {{every: 5m}}\nguards: {{{self.guards}, management: [192.0.2.0/28]}}\n",
            encoding="utf-8",
        )
        (self.root / "policy" / "drawn.yaml").write_text(draft.text(), encoding="utf-8")
        self.loaded = replace(load(self.root), version="simulated")

    def run(self, how: Start | None = None, *, verify: bool = True) -> Ran | None:
        """Make one unattended run; None when the process died or was refused before it began. `how`: with other than today's policy."""
        assert self.loaded is not None, "write a policy first"
        start = replace(how or Start("reconcile", loaded=self.loaded), clock=self.clock)
        self.begin()
        self.counts["runs"] += 1
        before, masks = self.counts["violations"], dict(self.masks)
        try:
            with self.disk():
                ran = reconcile(self.root, (), start, lambda *_: None)
            self.locked_out(ran, masks)
        except CrashError:
            self.counts["crashes"] += 1
            self.restored()
            return None
        except CloudsyncError as error:
            self.note(f"stopped: {error}")
            self.counts["stopped"] += 1
            self.said_first()
            return None
        finally:
            self.moments.clear()
        self.note(f"run ends with {int(ran.code)}: {self.said(ran)}")
        if verify:
            self.journalled(ran)
        if self.counts["violations"] > before:
            self.note("\n".join(self.wrong[-3:]))
        return ran

    def said(self, ran: Ran) -> str:
        """Return what a run did at each target, in words."""
        parts = []
        for one in ran.report.targets:
            guards = ",".join(sorted({refusal.guard for refusal in one.refusals}))
            status = one.applied.status if one.applied is not None else "-"
            message = f" ({one.applied.message})" if one.applied is not None and one.applied.message else ""
            parts.append(
                f"{one.name} {status}{message}{' refused by ' + guards if guards else ''}{' error: ' + one.error if one.error else ''}"
            )
        return "; ".join(parts)

    def writes(self) -> dict[str, int]:
        """Return how many writes each platform has seen since the last run began."""
        return {name: len(wire.sent) - self.sent.get(name, 0) for name, wire in self.wires.items()}

    def approve(self, ran: Ran) -> int:
        """Let a person approve whatever may be approved; return how many approvals that were."""
        assert self.loaded is not None
        done = 0
        with State(where(self.root, self.loaded.settings), self.clock) as state:
            for target in ran.report.targets:
                for refusal in target.refusals:
                    if target.plan is not None and refusal.approve and refusal.guard != "HOLD":
                        until = self.clock.now() + 3600
                        digest = target_digest(target.plan)
                        names = tuple(refusal.must_name)
                        state.records.approve(
                            Approval(digest, target.name, refusal.guard, "ada", "because", until, names, self.clock.now())
                        )
                        done += 1
        return done

    # --- the store ---

    @contextmanager
    def disk(self) -> Iterator[None]:
        """Let the disk be as full as it is to be."""
        real = store.open_database

        def opened(place: Place) -> Database:
            found = real(place)
            if self.pages and isinstance(found, SqliteDatabase):
                (row,) = found.rows("SELECT page_count FROM pragma_page_count")
                found.limit_pages(int(row["page_count"]) + self.pages)
            return found

        store.open_database = opened
        try:
            yield
        finally:
            store.open_database = real

    def said_first(self) -> None:
        """Look whether every write that left the process in a run that was stopped stands in the journal: I10."""
        assert self.loaded is not None
        with State(where(self.root, self.loaded.settings), self.clock) as state:
            told = {(op.op.target, op.op.step.key) for op, _ in state.journal.ops()}
        unsaid = [(name, key) for name, wire in self.wires.items() for key, _ in wire.sent[self.sent[name] :] if (name, key) not in told]
        if unsaid:
            self.blame(f"I10: sent without a word in the journal: {unsaid[:3]}")

    def old_store(self, run: Callable[[], None]) -> None:
        """Let somebody put an old copy of the database in the store's place for the time of a run."""
        files = [path for path in self.state.iterdir() if path.suffix == ".db"]
        newest = {path: path.read_bytes() for path in files}
        for path, content in self.copies.items():
            path.write_bytes(content)
        try:
            run()
        finally:
            for path, content in newest.items():
                path.write_bytes(content)
            for path in self.state.iterdir():
                if path.name.endswith(("-wal", "-shm")):
                    path.unlink()

    def told(self) -> int:
        """Return how long the audit trail is."""
        return sum(path.read_bytes().count(b"\n") for path in self.state.iterdir() if path.suffix == ".jsonl")

    def copy_store(self) -> None:
        """Keep a copy of the database, as a backup does."""
        self.copied = self.told()
        self.copies = {path: path.read_bytes() for path in self.state.iterdir() if path.suffix == ".db"}

    @property
    def state(self) -> Path:
        """Where the store is."""
        assert self.loaded is not None
        found = where(self.root, self.loaded.settings)
        assert isinstance(found, Path)
        return found.parent

    def crashed(self, _wire: Wire) -> None:
        """Keep the store as a dying process leaves it: whatever the product still writes on its way out did not happen."""
        self.saved = self.root / "saved"
        shutil.rmtree(self.saved, ignore_errors=True)
        shutil.copytree(self.state, self.saved)

    def restored(self) -> None:
        """Give the store back as the process left it."""
        assert self.saved is not None
        shutil.rmtree(self.state)
        shutil.move(self.saved, self.state)
        self.saved = None

    def journalled(self, ran: Ran) -> None:
        """Compare what left the process with the journal: I10."""
        assert self.loaded is not None
        with State(where(self.root, self.loaded.settings), self.clock) as state:
            ops = state.journal.ops(ran.report.run_id)
        told = Counter((op.op.target, op.op.step.key) for op, _ in ops)
        sent = Counter((name, key) for name, wire in self.wires.items() for key, _ in wire.sent[self.sent[name] :])
        if told != sent:
            unsaid, unsent = sorted((sent - told).items())[:3], sorted((told - sent).items())[:3]
            self.blame(f"I10: sent {unsaid} are not in the journal, told {unsent} were not sent")
        self.counts["writes"] += sum(sent.values())

    def audited(self) -> None:
        """Check the chain of the audit trail, and that no write is left whose outcome nobody knows: I10."""
        assert self.loaded is not None
        with State(where(self.root, self.loaded.settings), self.clock) as state:
            state.audit.check()
            left = [op for op, _ in state.journal.ops() if op.state in (OpState.INTENT, OpState.UNKNOWN)]
        self.counts["writes in doubt"] += len(left)
        if left:
            self.blame(f"I10: {len(left)} writes are still in doubt, first {left[0].op.step.key}")

    def locked_out(self, ran: Ran, before: Mapping[str, int]) -> None:
        """Look whether operators lost a way in that nobody approved the loss of: I7."""
        admin = self.paths.coming_from(ADMIN)
        for target in ran.report.targets if self.watched else ():
            moment = self.moments[target.name]
            asked = any(refusal.guard == "G-MGMT" for refusal, _ in target.overridden)
            lost = before[target.name] & ~self.masks[target.name] & admin
            if lost and not asked and not moment.edited:
                self.counts["lockouts"] += 1
                self.blame(f"I7: {target.name} locks out {self.paths.words(lost)}")


def labels(rng: Random, kind: str) -> dict[str, str]:
    """Draw the tags of a machine; some lack one. Virtual servers alone are load balancers."""
    found = {"role": "lb" if kind == "f5" else rng.choice(("web", "app", "db")), "env": rng.choice(("prod", "prod", "dev"))}
    if rng.random() < 0.1:
        del found[rng.choice(sorted(found))]
    return found


def deal(wires: Mapping[str, Wire]) -> None:
    """Put two machines of every other platform behind the virtual servers, dealt out in turn."""
    members = [own[0] for wire in wires.values() if wire.site.kind != "f5" for _, own in wire.site.cards()[:2]]
    for wire in wires.values():
        if isinstance(wire.site, F5Site):
            servers = sorted(wire.site.tags)
            for at, one in enumerate(members):
                path = servers[at % len(servers)]
                wire.site.behind[path] = (*wire.site.behind.get(path, ()), one)


def pools(wires: Mapping[str, Wire]) -> Pools:
    """Return which members, of those that are there, stand behind which virtual server."""
    there = {one for wire in wires.values() for _, own in wire.site.cards() for one in own}
    found: list[tuple[Address, Address]] = []
    for wire in wires.values():
        if isinstance(wire.site, F5Site):
            for path, virtual in wire.site.table.virtuals.items():
                found += [(addresses(virtual.addresses)[0], one) for one in wire.site.behind.get(path, ()) if one in there]
    return tuple(found)


MEMORY = Path("/dev") / "shm"
"""Where Linux keeps files in memory: a simulated store need not survive a power cut, and each of its commits waits for the disk."""


@contextmanager
def plugged() -> Iterator[Path]:
    """Yield a folder for worlds and let the settings know an adapter called `sim`: the lines of the world that is open."""
    with TemporaryDirectory(prefix="cloudsync-sim-", dir=MEMORY if MEMORY.is_dir() else None) as name, _plugged(Path(name)) as root:
        yield root


@contextmanager
def _plugged(root: Path) -> Iterator[Path]:
    package = root / "plug" / PLUG
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('"""Simulated lines, by name."""\n\nADAPTER = None\n', encoding="utf-8")
    schema = '{"type": "object", "additionalProperties": false, "properties": {}}\n'
    (package / "settings.schema.json").write_text(schema, encoding="utf-8")
    sys.path.insert(0, str(package.parent))
    sys.modules.pop(PLUG, None)
    try:
        yield root
    finally:
        sys.path.remove(str(package.parent))
        sys.modules.pop(PLUG, None)


def connect(world: World) -> None:
    """Let the adapter called `sim` lead to a world's lines."""
    vars(import_module(PLUG))["ADAPTER"] = factory(world.wires)
