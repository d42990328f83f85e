"""Several targets at once: nothing is exposed, nothing is cut, in any state of any interleaving; and the controls that must fail, fail."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from cloudsync.adapter import Phase, Step
from cloudsync.model.address import AddressSet
from cloudsync.model.codec import canonical, packets_json
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import TCP, ServiceSet
from cloudsync.plan.build import Built
from cloudsync.plan.values import Component, CourseMethod
from cloudsync.proof.flows import Ground, Place, crossings
from cloudsync.proof.values import Leg, Stage
from cloudsync.proof.whole import Track, replay_whole
from cloudsync.testing.ordered_table import SHIELDS, Line, line_of, named
from tests.oracle.courses import PORTS, Shape, World, draw
from tests.oracle.interleave import Actor, Verdict, judge, passes, walk
from tests.trust.budget import budget
from tests.trust.figures import record

WORLDS = budget(24, 4000, 300)
BALANCED = Shape(balancer=1.0)


@cache
def drawn(seed: int, *, balanced: bool = False) -> tuple[World, tuple[Built, ...]]:
    world = draw(random.Random(seed), BALANCED if balanced else Shape())
    return world, world.charted()


def stages_of(built: tuple[Built, ...]) -> tuple[Stage, ...]:
    """Return the stages of everything, as hostile as may be: components do not wait for each other, so all their n-th stages are one."""
    listed = [stages for _, stages in sorted(_courses(built).items())]
    longest = max((len(one) for one in listed), default=0)
    return tuple(Stage(str(at), tuple(leg for one in listed if at < len(one) for leg in one[at].legs)) for at in range(longest))


def _courses(built: tuple[Built, ...]) -> dict[tuple[str, ...], tuple[Stage, ...]]:
    found: dict[tuple[str, ...], tuple[Stage, ...]] = {}
    for one in built:
        plan = one.plan
        if plan.component is not None:
            found[plan.component.targets] = plan.component.stages
        elif plan.phases:
            found[plan.target,] = (Stage("alone", (Leg(plan.target, 0, len(plan.phases)),)),)
    return found


def proven(built: tuple[Built, ...]) -> bool:
    """Tell whether the planner says that every state is safe."""
    plans = [one.plan for one in built]
    wholes = [plan.component.replay for plan in plans if plan.component is not None]
    return all(plan.replay is not None and plan.replay.safe for plan in plans) and all(one is not None and one.safe for one in wholes)


def exposures(verdict: Verdict) -> int:
    return sum(one.kind == "exposure" for one in verdict.broken)


def test_no_interleaving_exposes_or_cuts_anything() -> None:
    methods: Counter[str] = Counter()
    looked = states = safe = exposed = cut = 0
    for seed in range(WORLDS):
        world, built = drawn(seed, balanced=seed % 4 == 0)
        verdict = judge(world.actors(built), stages_of(built), world.trips())
        looked += verdict.looked
        for component in {one.plan.component for one in built if one.plan.component is not None}:
            methods[component.method.value] += 1
            states += component.replay.states if component.replay is not None else 0
        if proven(built):
            safe += 1
            exposed += exposures(verdict)
            cut += len(verdict.broken) - exposures(verdict)
            assert not verdict.broken, (seed, verdict.broken[:3])
        if not any(plan.method == "none safe" for plan in (one.plan for one in built)) and not _stuck(built):
            assert not exposures(verdict), (seed, verdict.broken[:3])
        for one in built:
            assert world.adapters[one.plan.target].simulate(one.actual, *one.plan.steps) == one.final
    assert {"order", "shield", "meet"} <= methods.keys()
    assert safe > WORLDS * 0.9
    found = {"exposed": exposed, "cut": cut, "violations": exposed + cut}
    record("T3 course", {"worlds": WORLDS, "states": looked, "states_replayed": states, **found})


def _stuck(built: tuple[Built, ...]) -> bool:
    return any(one.plan.component is not None and one.plan.component.method is CourseMethod.NONE for one in built)


def test_random_walks_with_lag_see_nothing_either() -> None:
    for seed in range(min(WORLDS, 20)):
        world, built = drawn(seed)
        if not proven(built):
            continue
        actors, trips = world.actors(built), tuple(world.trips())
        ends = {trip.name: (_at(actors, trip, last=False), _at(actors, trip, last=True)) for trip in trips}
        for state in walk(actors, stages_of(built), random.Random(seed)):
            for trip in trips:
                now, (old, new) = passes(actors, state, trip), ends[trip.name]
                assert now <= (old or new), (seed, trip.name)
                assert now >= (old and new), (seed, trip.name)


def _at(actors: dict[str, Actor], trip: object, *, last: bool) -> bool:
    nothing: dict[object, frozenset[int]] = {}
    state = {name: (len(actor.phases) if last else 0, _Nothing(nothing)) for name, actor in actors.items()}
    return passes(actors, state, trip)  # type: ignore[arg-type]


class _Nothing(dict[object, frozenset[int]]):
    def __missing__(self, key: object) -> frozenset[int]:
        return frozenset()


# --- the replay and brute force agree, on good courses and on bad ones -----------------------------------------------


def _replayed(world: World, built: tuple[Built, ...], stages: tuple[Stage, ...]) -> bool:
    """Ask the product's replay about any stages of any phases."""
    places = {
        name: {host.point: Place(host.addresses, None, host.forwards) for host in world.hosts if host.target == name}
        for name in world.adapters
    }
    grounds = [
        Ground(one.plan.target, adapter.decode(one.actual), adapter.decode(one.final), places[one.plan.target])
        for one in built
        for adapter in (world.adapters[one.plan.target],)
    ]
    tracks = {
        one.plan.target: Track(world.adapters[one.plan.target], one.actual, one.plan.phases, places[one.plan.target])
        for one in built
        if one.plan.phases
    }
    return replay_whole(tracks, stages, crossings(grounds)).safe


def _at_once(built: tuple[Built, ...]) -> tuple[Stage, ...]:
    return (Stage("all", tuple(Leg(one.plan.target, 0, len(one.plan.phases)) for one in built if one.plan.phases)),)


def _in_turn(built: tuple[Built, ...], dice: random.Random) -> tuple[Stage, ...]:
    legs = [Leg(one.plan.target, 0, len(one.plan.phases)) for one in built if one.plan.phases]
    dice.shuffle(legs)
    return tuple(Stage(leg.target, (leg,)) for leg in legs)


def test_replay_says_what_brute_force_says_of_any_course() -> None:
    agreed: Counter[bool] = Counter()
    for seed in range(WORLDS // 3):
        world = draw(random.Random(seed), BALANCED if seed % 3 == 0 else Shape())
        dice = random.Random(seed)
        for built in (world.built(), world.charted()):
            for stages in (_at_once(built), _in_turn(built, dice)):
                verdict = judge(world.actors(built), stages, world.trips())
                told = _replayed(world, built, stages)
                assert told is (exposures(verdict) == 0), (seed, verdict.broken[:3])
                agreed[told] += 1
    assert agreed[True]
    assert agreed[False]


# --- controls: a promise that nothing can break is no promise --------------------------------------------------------


def _merged(component: Component) -> tuple[Stage, ...]:
    ends = {target: max(leg.end for stage in component.stages if (leg := stage.leg(target))) for target in component.targets}
    return (Stage("all", tuple(Leg(target, 0, end) for target, end in ends.items())),)


def _reversed_order(component: Component) -> tuple[Stage, ...]:
    return tuple(reversed(component.stages))


def _dropped_early(component: Component) -> tuple[Stage, ...]:
    *first, change, drop = component.stages
    legs = {leg.target: leg for leg in change.legs}
    for leg in drop.legs:
        before = legs.get(leg.target)
        legs[leg.target] = Leg(leg.target, before.first if before else leg.first, leg.end)
    return (*first, Stage("both", tuple(legs.values())))


CONTROLS: dict[str, tuple[CourseMethod, Callable[[Component], tuple[Stage, ...]]]] = {
    "no barrier between targets": (CourseMethod.ORDER, _merged),
    "targets in reverse": (CourseMethod.ORDER, _reversed_order),
    "shields without barriers": (CourseMethod.SHIELD, _merged),
    "shields dropped early": (CourseMethod.SHIELD, _dropped_early),
    "MEET without the barrier": (CourseMethod.MEET, _merged),
}


@pytest.mark.parametrize("name", CONTROLS)
def test_controls_expose(name: str) -> None:
    method, spoil = CONTROLS[name]
    tried = caught = missed = 0
    for seed in range(budget(30, 1000, 200)):
        world, built = drawn(seed)
        for component in {one.plan.component for one in built if one.plan.component is not None}:
            if component.method is not method or (spoil is _dropped_early and component.stages[-1].name != "unshield"):
                continue
            stages = spoil(component)
            inside = tuple(one for one in built if one.plan.target in component.targets)
            trips = [trip for trip in world.trips() if {stop.target for stop in trip.stops} <= set(component.targets)]
            found = exposures(judge(world.actors(built), stages, trips))
            tried += 1
            caught += bool(found)
            missed += bool(found) and _replayed(world, inside, stages)
    print(f"{name}: {caught} of {tried} expose")
    assert caught
    assert not missed
    record(f"T3 control: {name}", {"courses": tried, "exposed": caught})


def _thinner(step: Step) -> Step:
    """Return a shield's step with one packet fewer in it."""
    call = json.loads(step.payload)
    line = line_of(call)
    one = line.packets.witness()
    assert one is not None
    hole = PacketSet.of(AddressSet((one.peer, one.peer + 1)), ServiceSet.ports(TCP, one.detail, one.detail))
    thin: Line = named(replace(line, packets=line.packets - hole))
    payload = canonical({**call, "name": thin.name, "packets": packets_json(thin.packets)})
    return replace(step, key=f"{call['call']}/{thin.name}", object=thin.name, payload=payload)


def test_a_shield_that_misses_one_packet_is_caught() -> None:
    caught = tried = 0
    for seed in range(30):
        world, built = drawn(seed)
        if not any(one.plan.component and one.plan.component.method is CourseMethod.SHIELD for one in built):
            continue
        spoiled = tuple(replace(one, plan=replace(one.plan, phases=tuple(map(_thin, one.plan.phases)))) for one in built)
        verdict = judge(world.actors(spoiled), stages_of(spoiled), world.trips())
        tried += 1
        caught += bool(exposures(verdict))
        for component in {one.plan.component for one in built if one.plan.component is not None}:
            inside = tuple(one for one in spoiled if one.plan.target in component.targets)
            if component.method is CourseMethod.SHIELD and exposures(verdict):
                assert not _replayed(world, inside, component.stages)
    assert caught
    record("T3 control: shield misses one packet", {"courses": tried, "exposed": caught})


def _thin(phase: Phase) -> Phase:
    return Phase(phase.name, tuple(_thinner(step) if _shields(step) else step for step in phase.steps))


def _shields(step: Step) -> bool:
    line = line_of(json.loads(step.payload))
    return line.number in SHIELDS and line.deny


def test_two_steps_swapped_across_a_barrier_are_caught() -> None:
    caught = 0
    for seed in range(30):
        world, built = drawn(seed)
        for one in built:
            component = one.plan.component
            if component is None or component.method is not CourseMethod.MEET:
                continue
            cuts = [leg.end for stage in component.stages[:-1] if (leg := stage.leg(one.plan.target))]
            cut = cuts[-1] if cuts else 0
            if not 0 < cut < len(one.plan.phases):
                continue
            phases = list(one.plan.phases)
            early, late = phases[cut - 1], phases[cut]
            phases[cut - 1] = Phase(early.name, (*early.steps[:-1], late.steps[0]))
            phases[cut] = Phase(late.name, (early.steps[-1], *late.steps[1:]))
            spoiled = tuple(replace(each, plan=replace(each.plan, phases=tuple(phases))) if each is one else each for each in built)
            inside = tuple(each for each in spoiled if each.plan.target in component.targets)
            trips = [trip for trip in world.trips() if {stop.target for stop in trip.stops} <= set(component.targets)]
            exposed = exposures(judge(world.actors(spoiled), component.stages, trips))
            assert _replayed(world, inside, component.stages) is (exposed == 0)
            caught += bool(exposed)
    assert caught


def test_the_same_world_is_charted_the_same_way() -> None:
    for seed in range(6):
        one, other = draw(random.Random(seed)).charted(), draw(random.Random(seed)).charted()
        assert [built.plan for built in one] == [built.plan for built in other]


def test_a_run_with_nothing_to_do_is_left_alone() -> None:
    world = draw(random.Random(1))
    still = World(world.hosts, world.adapters, world.old, world.old)
    assert all(one.plan.component is None and one.plan.empty for one in still.charted())
    assert len(PORTS) == 3
