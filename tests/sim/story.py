"""A scenario: everything that happens to a simulated estate, drawn from one seed. The same seed tells the same story, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from cloudsync.app.ledger import where
from cloudsync.app.reconcile import Ran
from cloudsync.store.records import Hold
from cloudsync.store.state import State
from tests.sim.draft import Draft, draft, edited
from tests.sim.lens import Address
from tests.sim.wire import Read, Wire, Write
from tests.sim.world import LOOSE, STRICT, World, connect, labels

KINDS = ("aws", "gcp", "azure", "f5")
MODES = ("exclusive", "exclusive", "additive")
EVERY_S = 300.0
YEAR_S = 365.25 * 86400
SILENT = (Read.AWAY, Read.DENIED, Read.STRANGER, Read.PARTIAL)
"""Readings after which nothing may be written there."""
SHY = (Read.EMPTY, Read.SHORT)
"""Readings that look whole and are not."""


@dataclass
class Story:
    """One scenario as it is played."""

    seed: int
    root: Path
    rng: Random = field(default_factory=Random)
    world: World = field(init=False)
    calm: int = 0
    """How many runs in a row have found nothing to do, with nothing happening in between."""

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)
        kinds = sorted(self.rng.sample(KINDS, self.rng.choice((2, 3, 4, 4))), key=KINDS.index)
        self.world = World.draw(self.root, self.rng, {kind: self.rng.choice(MODES) for kind in kinds})
        connect(self.world)
        self.world.write(draft(self.rng), guards=LOOSE)

    # --- the story ---

    def play(self, turns: int) -> World:
        """Play it to its end: turns with faults, then calm until nothing is left to do."""
        self.world.counts["scenarios"] += 1
        for _ in range(turns):
            happened = self._happens()
            self.world.note(f"turn: {happened}")
            self._turn()
            if not self.world.wrong:
                self._gap()
        self.calms()
        self.world.audited()
        self.world.counts["seconds"] += int(self.world.clock.monotonic())
        return self.world

    def _wire(self) -> Wire:
        return self.rng.choice(list(self.world.wires.values()))

    def _happens(self) -> str:
        """Let something happen in the world between two runs."""
        rng, world, wire = self.rng, self.world, self._wire()
        refs = sorted(wire.site.tags)
        word = rng.choice(
            ("policy", "policy", "policy", "more", "fewer", "label", "tamper", "tamper", "meddle", "unmark", "jump", "hold", "nothing")
        )
        match word:
            case "policy":
                assert isinstance(world.draft, Draft)
                world.write(edited(rng, world.draft), guards=rng.choice((LOOSE, LOOSE, LOOSE, STRICT)))
            case "more":
                wire.site.add(rng, labels(rng, wire.site.kind))
            case "fewer" if len(refs) > 1:
                wire.site.remove(rng.choice(refs))
            case "label" if refs:
                wire.site.tags[rng.choice(refs)].update(labels(rng, wire.site.kind))
            case "tamper":
                word = f"tamper: {wire.site.tamper(rng)}"
            case "meddle":
                word = f"meddle: {wire.site.meddle(rng)}"
            case "unmark" if rng.random() < 0.5:
                word = f"unmark: {wire.site.unmark(rng)}"
            case "jump":
                world.clock.jump(rng.choice((-7200.0, -40.0, 40.0, 7200.0)))
            case "hold":
                self.hold(wire.name)
            case _:
                word = "nothing"
        if word != "nothing":
            self.calm = 0
        return f"{wire.name} {word}"

    def hold(self, name: str) -> None:
        """Put a hold on a target, or lift the one that is there."""
        assert self.world.loaded is not None
        with State(where(self.world.root, self.world.loaded.settings), self.world.clock) as state:
            if any(one.target == name for one in state.records.holds()):
                state.records.unhold(name, "ada", self.world.clock.now())
            else:
                state.records.hold(Hold(name, "ada", "look first", self.world.clock.now()))

    def _faults(self) -> Wire | None:
        """Draw what goes wrong in the next run; return the line whose reading is wrong."""
        rng, world = self.rng, self.world
        for wire in world.wires.values():
            wire.plan_writes({})
            wire.lag = rng.choice((0, 0, 1, 3))
            if rng.random() < 0.35:
                wire.plan_writes({rng.randint(1, 6): rng.choice(list(Write)) for _ in range(rng.choice((1, 1, 2)))})
                wire.before_write = self._edits
        if rng.random() > 0.25:
            return None
        wire = self._wire()
        wire.reading = rng.choice((*SILENT, *SHY))
        refs = sorted(wire.site.tags)
        wire.hidden = tuple(rng.sample(refs, (len(refs) + 1) // 2))
        return wire

    def _edits(self, wire: Wire) -> None:
        what = wire.site.tamper(self.rng)
        self.world.note(f"{wire.name}: meanwhile {what or 'nothing'}")
        if what:
            self.world.rebase(wire.name)

    def _turn(self) -> None:
        """Make one run while things go wrong, and look at what it did."""
        world = self.world
        broken = self._faults()
        guards = world.guards
        if broken is not None:
            self._settled(broken)
        if broken is not None and broken.reading in SHY:
            assert world.draft is not None
            world.write(world.draft, guards=STRICT)
        world.look()
        before = dict(world.masks)
        world.clock.advance(EVERY_S)
        store = self.rng.random()
        world.pages = self.rng.randint(1, 12) if store < 0.08 else 0
        if store > 0.95 and world.copies and world.told() > world.copied:
            self._backup()
        ran = world.run()
        if world.pages:
            world.note(f"the disk was full after {world.pages} pages")
        world.pages = 0
        if self.rng.random() < 0.3:
            world.copy_store()
        if broken is not None:
            self._after_wrong_reading(broken, before, ran)
        if world.guards != guards:
            assert world.draft is not None
            world.write(world.draft, guards=guards)
        for wire in world.wires.values():
            wire.heal()
        if ran is not None and self.rng.random() < 0.5:
            world.approve(ran)
        if broken is not None or self._late():
            self.calm = 0
        else:
            self._rested(ran)

    def _backup(self) -> None:
        """Let a run be made with an old copy of the store: it must write nothing."""
        world = self.world

        def once() -> None:
            ran = world.run(verify=False)
            if ran is not None or any(world.writes().values()):
                world.blame(f"I11: a run with a store from before wrote {world.writes()}")

        world.old_store(once)
        world.counts["runs with an old store"] += 1

    def _settled(self, broken: Wire) -> None:
        """Let the world come to rest before a reading goes wrong, so that whatever is lost then was lost by that; not always."""
        reading, broken.reading = broken.reading, None
        for _ in range(5):
            if self.calm > 1 or self.rng.random() < 0.1:
                break
            self.world.clock.advance(EVERY_S)
            ran = self.world.run()
            self._rested(ran)
            if ran is not None and self.world.approve(ran):
                self.calm = 0
        broken.reading = reading

    def _rested(self, ran: Ran | None) -> None:
        """Count a run that found nothing to do. A machine that has gone takes two: its entries wait for the second run without it."""
        self.calm = self.calm + 1 if ran is not None and int(ran.code) == 0 and not any(self.world.writes().values()) else 0

    def _late(self) -> bool:
        return any(wire.late for wire in self.world.wires.values())

    def _after_wrong_reading(self, wire: Wire, before: dict[str, int], ran: Ran | None) -> None:
        world = self.world
        assert wire.reading is not None
        world.note(f"{wire.name}: {wire.reading.value}")
        if wire.reading in SILENT:
            if world.writes()[wire.name]:
                world.blame(f"I8: {world.writes()[wire.name]} writes to {wire.name} although {wire.reading.value}")
            if ran is not None and int(ran.code) == 0:
                world.blame(f"I12: all is well, although of {wire.name} {wire.reading.value}")
        own = [one for ref in wire.hidden for one in self._addresses(wire, ref)] if wire.reading is Read.SHORT else []
        if wire.reading is not Read.SHORT:
            own = [one for _, found in wire.site.cards() for one in found]
        about = world.paths.about(own) if self.calm > 1 else 0
        for name, mask in world.masks.items():
            if name != wire.name and before[name] & ~mask & about:
                world.blame(
                    f"I9: {name} shut out machines of {wire.name} that were not seen: {world.paths.words(before[name] & ~mask & about)}"
                )

    def _addresses(self, wire: Wire, ref: str) -> Iterator[Address]:
        for found in wire.site.found(wire.site.table):
            if found.ref == ref:
                points = {interface.point for interface in found.interfaces}
                yield from (one for point, own in wire.site.cards() if point in points for one in own)

    def _gap(self) -> None:
        """Let quiet time pass: only its first and its last run are made, and both must write nothing."""
        if self.calm == 1:
            self.world.clock.advance(EVERY_S)
            self._rested(self.world.run())
        if self.calm < 2:
            return
        skipped = self.rng.choice((0, 12, 288, 2016, 8640))
        for pause in (EVERY_S, EVERY_S * skipped):
            self.world.clock.advance(pause)
            self.world.run()
            if any(self.world.writes().values()):
                self.world.blame(f"I2: a quiet run wrote {self.world.writes()}")
        self.world.counts["runs skipped"] += max(0, skipped - 1)

    def calms(self) -> None:
        """Take back every fault and every hold; soon there must be nothing left to do: I1, I2."""
        world = self.world
        for wire in world.wires.values():
            wire.heal()
            wire.arrive(everything=True)
            self.lift(wire.name)
        assert world.draft is not None
        world.write(world.draft, guards=LOOSE)
        final: frozenset[str] = frozenset()
        refused: set[str] = set()
        for number in range(1, 9):
            world.clock.advance(EVERY_S)
            ran = world.run()
            if ran is None:
                world.blame("I1: a calm run did not come to its end")
                return
            refused = {refusal.guard for one in ran.report.targets for refusal in one.refusals}
            approved = world.approve(ran)
            final = frozenset(guard for guard in refused if final_word(guard))
            if not any(world.writes().values()) and not approved and (refused <= final):
                world.counts["runs to converge, most"] = max(world.counts["runs to converge, most"], number)
                failed = [one.name for one in ran.report.targets if not one.refusals and str(one.code) not in ("0", "")]
                if failed:
                    world.blame(f"I1: calm, and {failed} did not come in sync: {world.said(ran)}")
                break
        else:
            world.blame(f"I1: not converged after 8 calm runs, refused by {sorted(refused)}")
        world.clock.advance(EVERY_S)
        world.run()
        world.counts["second-run writes"] += sum(world.writes().values())
        if any(world.writes().values()):
            world.blame(f"I2: a second run wrote {world.writes()}")
        world.counts["targets that stay refused"] += len(final)

    def lift(self, name: str) -> None:
        assert self.world.loaded is not None
        with State(where(self.world.root, self.world.loaded.settings), self.world.clock) as state:
            if any(one.target == name for one in state.records.holds()):
                state.records.unhold(name, "ada", self.world.clock.now())


def final_word(guard: str) -> bool:
    """Tell whether a refusal says what a platform or an estate cannot do: no approval lifts it, such a target stays as it is."""
    return guard == "G-QUOTA" or not guard.startswith(("G-", "HOLD"))


def told(world: World) -> str:
    """Return the trace of a world as one text."""
    return "\n".join(world.trace)
