"""The service as a state machine: hypothesis decides what people do, what goes wrong and when a run comes; it shrinks what it finds.

After each step nothing may be wrong, and at the end of each example everything must come to rest.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from cloudsync.app.reconcile import Ran
from cloudsync.app.release import Chooser, Wish
from cloudsync.app.repository import Loaded
from cloudsync.app.session import Start
from tests.sim.draft import Draft, edited
from tests.sim.story import EVERY_S, Story
from tests.sim.wire import Read, Wire, Write
from tests.sim.world import labels, plugged
from tests.trust.budget import budget
from tests.trust.figures import record

DICE = st.integers(0, 999)
PLACES = st.integers(0, 3)


class Service(RuleBasedStateMachine):
    """One deployment, from its first run on."""

    played: ClassVar[int] = 0
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.story: Story | None = None
        self.ran: Ran | None = None
        self.earlier: list[Loaded] = []
        self.loose: set[str] = set()
        """Targets that were given back: on hold."""

    @initialize(seed=st.integers(0, 30))
    def begins(self, seed: int) -> None:
        Service.played += 1
        self.story = Story(seed, ROOTS[-1] / f"machine-{Service.played}")
        self.ran = self.story.world.run()

    @property
    def told(self) -> Story:
        assert self.story is not None
        return self.story

    def wire(self, place: int) -> Wire:
        found = list(self.told.world.wires.values())
        return found[place % len(found)]

    # --- what people do ---

    @rule(dice=DICE)
    def edits_the_policy(self, dice: int) -> None:
        world = self.told.world
        assert isinstance(world.draft, Draft)
        assert world.loaded is not None
        self.earlier.append(world.loaded)
        world.write(edited(Random(dice), world.draft))

    @rule(place=PLACES, dice=DICE)
    def scales_up(self, place: int, dice: int) -> None:
        wire = self.wire(place)
        wire.site.add(Random(dice), labels(Random(dice), wire.site.kind))

    @rule(place=PLACES)
    def scales_down(self, place: int) -> None:
        site = self.wire(place).site
        if len(site.tags) > 1:
            site.remove(max(site.tags))

    @rule(place=PLACES, dice=DICE)
    def relabels(self, place: int, dice: int) -> None:
        site = self.wire(place).site
        site.tags[min(site.tags)].update(labels(Random(dice), site.kind))

    @rule(place=PLACES, dice=DICE)
    def tampers(self, place: int, dice: int) -> None:
        self.wire(place).site.tamper(Random(dice))

    @rule(place=PLACES, dice=DICE)
    def edits_what_is_not_ours(self, place: int, dice: int) -> None:
        self.wire(place).site.meddle(Random(dice))

    @rule(place=PLACES)
    def holds_or_lifts(self, place: int) -> None:
        name = self.wire(place).name
        if name not in self.loose:
            self.told.hold(name)

    @precondition(lambda self: self.ran is not None)
    @rule()
    def approves(self) -> None:
        assert self.ran is not None
        self.told.world.approve(self.ran)

    # --- runs ---

    def run(self, how: Start | None = None) -> None:
        world = self.told.world
        world.clock.advance(EVERY_S)
        self.ran = world.run(how)
        for wire in world.wires.values():
            wire.heal()

    @rule()
    def reconciles(self) -> None:
        self.run()

    @rule(place=PLACES, fault=st.sampled_from(list(Write)), number=st.integers(1, 5))
    def reconciles_while_a_write_goes_wrong(self, place: int, fault: Write, number: int) -> None:
        wire = self.wire(place)
        wire.plan_writes({number: fault})
        wire.before_write = lambda one: self.told.world.rebase(one.name) if one.site.tamper(Random(number)) else None
        self.run()

    @rule(place=PLACES, reading=st.sampled_from((Read.AWAY, Read.DENIED, Read.STRANGER, Read.PARTIAL)))
    def reconciles_while_a_platform_cannot_be_read(self, place: int, reading: Read) -> None:
        wire = self.wire(place)
        wire.reading = reading
        self.run()
        assert not self.told.world.writes()[wire.name], reading

    @precondition(lambda self: bool(self.earlier))
    @rule()
    def rolls_back(self) -> None:
        self.run(Start("rollback", loaded=self.earlier[-1], through=True))

    @rule(place=PLACES)
    def gives_a_target_back(self, place: int) -> None:
        """Release with a hold: either somebody has to be asked, or nothing of ours is carried there any more."""
        world, wire = self.told.world, self.wire(place)
        assert world.loaded is not None
        wish = Chooser(Wish(targets=(wire.name,)), world.loaded.policy, hold=True)
        self.run(Start("release", loaded=world.loaded, release=wish, through=True))
        if self.ran is None:
            return
        (report,) = (one for one in self.ran.report.targets if one.name == wire.name)
        if not report.refusals and report.applied is not None and report.applied.status in ("done", "nothing"):
            assert not list(self.carried(wire)), f"{wire.name} still carries {list(self.carried(wire))}"
            self.loose.add(wire.name)
            self.told.hold(wire.name)

    def carried(self, wire: Wire) -> Iterator[str]:
        """Yield points at which something of ours still acts."""
        match wire.site.kind:
            case "aws":
                marks = {key for key, group in wire.site.table.groups.items() if group.mark is not None}
                yield from (eni.id for eni in wire.site.table.enis.values() if set(eni.groups) & marks)
            case "f5":
                ours = {path for path, policy in wire.site.table.policies.items() if policy.mark is not None}
                yield from (path for path, one in wire.site.table.virtuals.items() if one.enforced in ours)
            case "gcp":
                yield from (name for name, rule in wire.site.table.rules.items() if rule.mark is not None)
            case _:
                yield from (one.name for nsg in wire.site.table.nsgs.values() for one in nsg.rules if one.ours)

    # --- what must hold ---

    @invariant()
    def nothing_is_wrong(self) -> None:
        Service.steps += 1
        if self.story is not None:
            assert not self.story.world.wrong, "\n".join(self.story.world.trace)

    def teardown(self) -> None:
        if self.story is None:
            return
        try:
            self.told.calms()
            self.nothing_is_wrong()
            self.told.world.audited()
        finally:
            shutil.rmtree(self.told.world.root, ignore_errors=True)


ROOTS: list[Path] = []
"""Where worlds are put; the last one counts."""


def test_whatever_people_do_in_whatever_order() -> None:
    with plugged() as root:
        ROOTS.append(root)
        try:
            run_state_machine_as_test(
                Service,
                settings=settings(
                    max_examples=budget(change=2, night=400, release=200),
                    stateful_step_count=6,
                    deadline=None,
                    derandomize=True,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            ROOTS.pop()
    record("T2 state machine", {"examples": Service.played, "invariants checked": Service.steps})
