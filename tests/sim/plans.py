"""The product's own plans for a simulated estate, without a store: read, compile, encode, order, prove. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cloudsync import run
from cloudsync.adapter import Adapter, TargetSettings
from cloudsync.apply import bind
from cloudsync.compile.intent import Recorded
from cloudsync.inventory.merge import build as build_inventory
from cloudsync.model.workload import PointId
from cloudsync.plan.build import Before, Built
from cloudsync.plan.limits import GuardLimits
from cloudsync.policy.load import load_policy
from cloudsync.policy.values import Policy
from tests.sim.draft import Draft
from tests.sim.wire import wired
from tests.sim.world import World

LOOSE_LIMITS = GuardLimits()


@dataclass
class Desk:
    """A world with a planner. `recorded`: what was there at adoption, as the store would know it."""

    world: World
    adapters: dict[str, Adapter] = field(default_factory=dict)
    targets: tuple[TargetSettings, ...] = ()
    recorded: dict[str, dict[PointId, Recorded]] = field(default_factory=dict)
    limits: GuardLimits = LOOSE_LIMITS

    def __post_init__(self) -> None:
        loaded = self.world.loaded
        assert loaded is not None, "write a policy first"
        self.targets = loaded.settings.targets
        for target in self.targets:
            self.adapters[target.name] = wired(self.world.wires[target.name], target, "sim", self.world.clock)
            self.recorded[target.name] = {}

    def plan(self, draft: Draft, before: Before | None = None) -> tuple[run.Planned, ...]:
        """Return what a run would do at every target to enforce a policy."""
        loaded = self.world.loaded
        assert loaded is not None
        policy = policy_of(draft)
        readings = tuple(
            run.read_all((target,), lambda one: self.adapters[one.name])[0] for target in self.targets
        )  # one by one: threads cost more than they save here
        inventory = build_inventory(tuple(one.discovery for one in readings), loaded.static, loaded.settings.rules, policy, self.targets)
        now = self.world.clock.now()
        scene = run.world(policy, inventory, now, before or Before())
        settled = run.Settled("sim", draft.text(), self.limits, now, self.recorded)
        return run.plan_all(scene, readings, settled)

    def carry_out(self, planned: tuple[run.Planned, ...]) -> None:
        """Bring every platform to where the plans lead, and remember what was adopted."""
        for one in planned:
            name = one.reading.target.name
            if one.built is None:
                continue
            bindings: dict[str, str] = {}
            for phase in one.built.plan.phases:
                for step in phase.steps:
                    bindings |= dict(self.world.wires[name].site.apply(self.adapters[name], bind(step, bindings)))
            for kept in one.built.plan.adoptions:
                self.recorded[name].setdefault(kept.point, Recorded(kept.original, kept.inbound, kept.outbound, taken=True))


def policy_of(draft: Draft) -> Policy:
    """Return a drawn policy, loaded."""
    policy, findings = load_policy([("policy/drawn.yaml", draft.text().encode())])
    assert policy is not None, findings
    return policy


def written(planned: run.Planned) -> bool:
    """Tell whether a run would write this: nothing of a plan with a problem, or with an order that is not proven."""
    built = planned.built
    if built is None or built.plan.empty or any(one.code != "NOTE" for one in built.plan.problems):
        return False
    plan = built.plan
    together = plan.component is None or plan.component.replay is None or plan.component.replay.safe
    return plan.replay is not None and plan.replay.safe and together


def moving(planned: tuple[run.Planned, ...]) -> Mapping[str, Built]:
    """Return the plans that a run would carry out, by target."""
    return {one.reading.target.name: one.built for one in planned if written(one) and one.built is not None}
