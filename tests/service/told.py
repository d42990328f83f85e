"""Runs of the small world, and what they leave in the state."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from cloudsync.app import ledger
from cloudsync.app.past import told
from cloudsync.app.reconcile import Ran, reconcile
from cloudsync.app.session import Start
from cloudsync.guard.values import Approval
from cloudsync.model.workload import PointId
from cloudsync.plan.document import target_digest
from cloudsync.plan.values import Adoption
from cloudsync.report.story import Made
from cloudsync.report.values import RunReport
from cloudsync.store.audit import verify
from cloudsync.store.history import PolicyVersion
from cloudsync.store.records import Hold, RunRecord
from cloudsync.store.state import State
from tests.service.small_world import World

Line = dict[str, Any]


def ran(world: World, *targets: str) -> Ran:
    """Make one run, a minute after the one before."""
    world.clock.advance(60)
    return reconcile(world.root, targets, Start("reconcile", clock=world.clock), world.deliver)


@dataclass(frozen=True)
class Kept:
    """What is on record."""

    world: World
    runs: tuple[RunRecord, ...]
    versions: tuple[PolicyVersion, ...]
    changes: tuple[Made, ...]
    holds: tuple[Hold, ...]
    stories: frozenset[str]
    lines: tuple[str, ...]

    def of(self, event: str) -> list[Line]:
        """Return the lines of one event in the audit trail."""
        return [one for one in map(json.loads, self.lines) if one["event"] == event]

    def verify(self) -> None:
        verify(self.lines)

    def state(self) -> AbstractContextManager[State]:
        return ledger.opened(self.world.root, ledger.read_settings(self.world.root))

    def originals(self, target: str) -> dict[PointId, Adoption]:
        with self.state() as state:
            return dict(state.records.originals(target))

    def approve(self, report: RunReport, who: str, because: str) -> None:
        """Approve everything that a run was refused, as a person would."""
        now = self.world.clock.now()
        with self.state() as state:
            for target in report.targets:
                assert target.plan is not None
                for one in target.refusals:
                    yes = Approval(target_digest(target.plan), target.name, one.guard, who, because, now + 3600, one.must_name, now)
                    state.records.approve(yes)


def kept(world: World) -> Kept:
    """Read the state."""
    with ledger.opened(world.root, ledger.read_settings(world.root)) as state:
        return Kept(
            world,
            state.records.runs(1000),
            state.history.versions(),
            told(state.history.changes()),
            state.records.holds(),
            frozenset(run for run, _ in state.history.stories("")),
            tuple(state.audit.lines()),
        )
