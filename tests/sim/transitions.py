"""Random transitions: a drawn estate, enforced, then changed; planned by the product, every state judged by `tests.sim.states`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import and_
from pathlib import Path
from random import Random

from cloudsync import run
from cloudsync.adapter import Phase
from cloudsync.proof.values import Leg, Stage
from tests.sim.draft import Draft, draft, edited
from tests.sim.paths import Paths
from tests.sim.plans import Desk, moving
from tests.sim.states import Actor, Group, Journey, Seen
from tests.sim.world import World, connect, labels

KINDS = ("aws", "gcp", "azure", "f5")


@dataclass(frozen=True, slots=True)
class Way:
    """What a run would do: each target's phases, and the groups in which they go. Controls make a wrong one of it."""

    phases: Mapping[str, tuple[Phase, ...]]
    groups: tuple[Group, ...]


@dataclass
class Transition:
    """One drawn transition, planned."""

    seed: int
    leg: int
    desk: Desk
    planned: tuple[run.Planned, ...]

    @classmethod
    def several(cls, root: Path, seed: int, legs: int = 3) -> Iterator[Transition]:
        """Draw an estate, bring it to a first policy, and plan the way to another one, and from there to the next."""
        rng = Random(seed)
        kinds = sorted(rng.sample(KINDS, rng.choice((1, 2, 2, 3, 3, 4))), key=KINDS.index)
        world = World.draw(root, rng, {kind: rng.choice(("exclusive", "exclusive", "additive")) for kind in kinds})
        connect(world)
        first = outbound(rng, draft(rng))
        world.write(first)
        desk, policy = Desk(world), first
        desk.carry_out(desk.plan(first))
        for leg in range(legs):
            policy = outbound(rng, edited(rng, edited(rng, policy)))
            for wire in world.wires.values():
                for ref in sorted(wire.site.tags):
                    if rng.random() < 0.2:
                        wire.site.tags[ref].update(labels(rng, wire.site.kind))
                if rng.random() < 0.2:
                    wire.site.add(rng, labels(rng, wire.site.kind))
            planned = desk.plan(policy)
            yield cls(seed, leg, desk, planned)
            desk.carry_out(planned)

    def way(self) -> Way:
        """Return what the run would do."""
        plans = moving(self.planned)
        groups: list[Group] = []
        told: set[str] = set()
        for name, built in plans.items():
            component = built.plan.component
            if component is None:
                groups.append(Group((Stage("own", (Leg(name, 0, len(built.plan.phases)),)),)))
            elif component.targets[0] not in told:
                told.update(component.targets)
                stages = (replace(one, legs=tuple(leg for leg in one.legs if leg.target in plans)) for one in component.stages)
                groups.append(Group(tuple(stage for stage in stages if stage.legs)))
        return Way({name: built.plan.phases for name, built in plans.items()}, tuple(groups))

    def look(self, way: Way, *, limit: int = 1024) -> Seen:
        """Look at every state of a way."""
        world = self.desk.world
        world.joint = True
        world.look()
        dice = Random(self.seed)
        plans = moving(self.planned)
        paths: Paths = world.paths
        actors = {
            name: Actor(world.wires[name].site.kind, self.desk.adapters[name], plans[name].actual, plans[name].final, phases, paths, dice)
            for name, phases in way.phases.items()
        }
        rest = reduce(and_, (mask for name, mask in world.masks.items() if name not in actors), paths.whole)
        return Journey(paths, actors, rest, dice, limit).look(way.groups)

    def tell(self, counts: Counter[str]) -> None:
        """Count how it was planned."""
        plans = moving(self.planned)
        counts["transitions"] += bool(plans)
        refused = [
            one for one in self.planned if one.built is not None and not one.built.plan.empty and one.reading.target.name not in plans
        ]
        counts["targets refused"] += len(refused)
        counts["broken"] += sum(one.bug for one in self.planned)
        for built in plans.values():
            counts[f"{built.plan.method} at {built.plan.target}"] += 1
        for component in {built.plan.component.targets: built.plan.component for built in plans.values() if built.plan.component}.values():
            counts[f"components by {component.method.value}"] += 1


def outbound(rng: Random, before: Draft) -> Draft:
    """Return a policy that holds more machines to what they may open: only then packets meet two points that can stop them."""
    modes = [(f"role={role}", "full", "enforce") for role in ("web", "app", "db") if rng.random() < 0.6]
    known = {scope for scope, _, _ in modes}
    return replace(before, modes=(*modes, *(one for one in before.modes if one[0] not in known)))


# --- wrong ways ---------------------------------------------------------------------------------------------------------


def _each(way: Way, change: Callable[[tuple[Phase, ...]], tuple[Phase, ...]]) -> Way:
    """Return a way in which every target's phases are changed; everything goes at once, without stages."""
    phases = {name: change(found) for name, found in way.phases.items()}
    groups = tuple(Group((Stage("own", (Leg(name, 0, len(found)),)),)) for name, found in phases.items())
    return Way(phases, groups)


def no_barrier(way: Way) -> Way:
    """All steps of a target may take effect in any order."""
    return _each(way, lambda phases: (Phase("all", tuple(step for phase in phases for step in phase.steps)),))


def delete_first(way: Way) -> Way:
    """The phases run backwards: what is old goes before what is new is there."""
    return _each(way, lambda phases: tuple(reversed(phases)))


def bottom_up(way: Way) -> Way:
    """What is inserted goes in from the bottom: the phases that add run backwards, those that take away stay behind them."""

    def turned(phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
        adding = [phase for phase in phases if all(step.adds and not step.removes for step in phase.steps)]
        others = [phase for phase in phases if phase not in adding]
        return (*reversed(adding), *others)

    return _each(way, turned)


def object_by_object(way: Way) -> Way:
    """One object after the other is brought to its new state: group by group, rule by rule."""

    def grouped(phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
        steps = [step for phase in phases for step in phase.steps]
        names = dict.fromkeys(step.object for step in steps)
        return tuple(Phase(name, (step,)) for name in names for step in steps if step.object == name)

    return _each(way, grouped)


def point_by_point(way: Way) -> Way:
    """Every target goes its own safe way, without waiting for the others."""
    return _each(way, lambda phases: phases)


def _staged(way: Way, change: Callable[[tuple[Stage, ...]], tuple[Stage, ...]]) -> Way:
    return replace(way, groups=tuple(Group(change(group.stages)) for group in way.groups))


def stages_reversed(way: Way) -> Way:
    """Where whole targets go one after another, the last goes first."""
    return _staged(way, lambda stages: tuple(reversed(stages)) if all(_whole(way, stage) for stage in stages) else stages)


def _whole(way: Way, stage: Stage) -> bool:
    return all(leg.first == 0 and leg.end == len(way.phases[leg.target]) for leg in stage.legs)


def shield_dropped_early(way: Way) -> Way:
    """The shields go before the change that they are for: the targets that wear them drop them at the end of their own change."""

    def early(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        if [stage.name for stage in stages] != ["shield", "change", "unshield"]:
            return stages
        ends = {leg.target: leg.end for leg in stages[2].legs}
        legs = tuple(replace(leg, end=ends.get(leg.target, leg.end)) for leg in stages[1].legs)
        rest = tuple(leg for leg in stages[2].legs if leg.target not in {one.target for one in legs})
        return (stages[0], replace(stages[1], legs=(*legs, *rest)))

    return _staged(way, early)


def meet_without_barrier(way: Way) -> Way:
    """Those that close and those that open do not wait for each other."""

    def joined(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        if [stage.name for stage in stages] != ["close", "open"]:
            return stages
        firsts = {leg.target: leg.first for leg in stages[0].legs}
        opened = {leg.target: leg.end for leg in stages[1].legs}
        names = dict.fromkeys((*firsts, *opened))
        begun = {leg.target: leg.first for leg in stages[1].legs} | firsts
        closed = {leg.target: leg.end for leg in stages[0].legs}
        return (Stage("all", tuple(Leg(name, begun[name], opened.get(name, closed.get(name, 0))) for name in names)),)

    return _staged(way, joined)


def shield_raised_late(way: Way) -> Way:
    """The shields come after the change that they are for."""

    def late(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        if [stage.name for stage in stages] != ["shield", "change", "unshield"]:
            return stages
        bare = tuple(leg for leg in stages[1].legs if leg.target not in {one.target for one in stages[0].legs})
        return (replace(stages[1], legs=bare), stages[0], stages[2]) if bare else stages

    return _staged(way, late)


def no_room(way: Way) -> Way:
    """Nobody has counted: what is old is gone when the platform says that there is no room for what is new."""
    return _each(way, lambda phases: tuple(phase for phase in phases if not any(step.adds for step in phase.steps)))


def helper_trap(way: Way) -> Way:
    """What was added for the time of the change is dropped in the end, also where it is wanted for good."""

    def dropped(phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
        undone = [
            replace(step, key=f"undo-{step.key}", payload=step.payload.replace("authorize_security", "revoke_security"), adds=0)
            for phase in phases
            for step in phase.steps
            if step.action.startswith("Authorize") and "{new:" not in step.payload
        ]
        return (*phases, *(Phase("drop helpers", (step,)) for step in undone))

    return _each(way, dropped)


CONTROLS: Mapping[str, Callable[[Way], Way]] = {
    "no barrier between phases": no_barrier,
    "delete first": delete_first,
    "inserted bottom-up": bottom_up,
    "group by group": object_by_object,
    "each target by itself in series": point_by_point,
    "target order reversed": stages_reversed,
    "shield dropped early": shield_dropped_early,
    "shield raised late": shield_raised_late,
    "MEET without its barrier": meet_without_barrier,
    "quota ignored": no_room,
    "helper trap": helper_trap,
}
