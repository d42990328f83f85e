"""Creating and filling at once: the order of the calls, what waits for what, and that nothing is named before a read has shown it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudsync.adapter import Effect, Outcome, Phase, Status, Step
from cloudsync.apply import ApplyResult, ApplyStatus, Options, apply
from cloudsync.plan.weave import BATCH, names, weavable, weave
from cloudsync.testing.plans import HARMLESS
from tests.acting.script import ScriptAdapter, Stage

NOTHING: tuple[tuple[int, ...], ...] = ((),) * 100


def create(number: int) -> Step:
    return Step(f"create/{number}", "Create", "mem/one", f"g{number}", f"create g{number}", Effect.NONE, "{}")


def fill(number: int, *others: int) -> Step:
    wanted = ",".join(f"{{new:g{one}}}" for one in (number, *others))
    return Step(f"fill/{number}", "Fill", "mem/one", f"g{number}", f"fill g{number}", Effect.NONE, wanted, mark="m")


def creations(count: int) -> Phase:
    return Phase("create", tuple(create(number) for number in range(count)))


def filling(*peers: tuple[int, ...]) -> Phase:
    return Phase("fill", tuple(fill(number, *some) for number, some in enumerate(peers)))


graphs = st.integers(1, 90).flatmap(
    lambda count: st.lists(st.lists(st.integers(0, count - 1), max_size=3).map(tuple), max_size=count).map(
        lambda peers: (count, tuple(peers))
    )
)


@given(graphs)
def test_every_step_comes_once_and_after_what_it_names(graph: tuple[int, tuple[tuple[int, ...], ...]]) -> None:
    count, peers = graph
    first, second = creations(count), filling(*peers)
    woven = weave(first, second)
    assert sorted(step.key for step in woven.steps) == sorted(step.key for step in (*first.steps, *second.steps))
    made: set[str] = set()
    for step in woven.steps:
        made |= set() if step.mark else {step.object}
        assert names(step) <= made
    assert weave(first, second) == woven


def test_what_another_phase_has_created_is_not_waited_for() -> None:
    first, second = creations(2), Phase("fill", (fill(0, 7), fill(1)))
    woven = weave(first, second)
    assert [step.key for step in woven.steps] == ["create/0", "create/1", "fill/0", "fill/1"]


def worst_lag(woven: Phase) -> int:
    """Return how many fillings are behind the creations at the most."""
    lag = most = 0
    for step in woven.steps:
        lag += -1 if step.mark else 1
        most = max(most, lag)
    return most


@pytest.mark.parametrize("peers", ["none", "ring", "star", "chain backwards", "pairs"])
def test_fillings_follow_the_creations_closely(peers: str) -> None:
    """What lags behind by less than a bucket holds costs no time."""
    count = 1000
    shapes: dict[str, list[tuple[int, ...]]] = {
        "none": [() for _ in range(count)],
        "ring": [((number + 1) % count,) for number in range(count)],
        "star": [(count - 1,) for _ in range(count)],
        "chain backwards": [(count - 1 - number,) for number in range(count)],
        "pairs": [(number ^ 1,) for number in range(count)],
    }
    assert worst_lag(weave(creations(count), filling(*shapes[peers]))) <= BATCH + 2 < 38


def test_only_what_nobody_feels_is_woven() -> None:
    first, second = creations(3), filling((), ())
    assert weavable(first, second)
    assert not weavable(first, Phase("fill", (*second.steps, replace(second.steps[0], key="x", effect=Effect.GROWS))))
    assert not weavable(replace(first, steps=(*first.steps, replace(first.steps[0], effect=Effect.SHRINKS))), second)
    assert not weavable(second, second), "nothing is created"
    assert not weavable(first, first), "what creates more does not fill"
    assert not weavable(first, Phase("delete", (replace(second.steps[0], payload="{}"),))), "it names nothing new"


class Woven(ScriptAdapter):
    """A platform whose new objects may be filled while others are created."""

    capabilities = replace(ScriptAdapter.capabilities, woven=True)


def stage(count: int) -> Stage:
    made = Stage(adapter=Woven())
    made.adapter.outcomes = {
        number: Outcome(Status.DONE, created=((step.object, f"id-{step.object}"),))
        for number, step in enumerate(weave(creations(count), filling(*NOTHING[:count])).steps, 1)
        if not step.mark
    }
    return made


def run(world: Stage, *todo: Phase) -> ApplyResult:
    plan = replace(HARMLESS, phases=todo)
    return apply(plan, world.adapter, world.table, world.ports, Options("run"))


def phases(count: int) -> tuple[Phase, ...]:
    return creations(count), filling(*NOTHING[:count])


def test_nothing_is_named_before_a_read_has_shown_it() -> None:
    world, count = stage(60), 60
    marks: list[int] = []
    """How many reads there had been when each write was done: the read before the phase names everything, and shows nothing of it."""
    world.adapter.after_write = lambda _number: marks.append(len(world.adapter.reads))
    result = run(world, *phases(count))
    assert (result.status, result.phases, result.done) == (ApplyStatus.DONE, 2, 2 * count)
    made = {step.object: marks[at] for at, step in enumerate(world.adapter.written) if not step.mark}
    for at, step in enumerate(world.adapter.written):
        assert "{new:" not in step.payload
        if step.mark:
            since = {key for keys in world.adapter.reads[made[step.object] : marks[at]] for key in keys}
            assert f"create/{step.object.removeprefix('g')}" in since
    assert result.reads <= 60 // BATCH + 4


def test_an_object_that_no_read_shows_is_not_filled() -> None:
    world = stage(5)
    world.adapter.after_write = lambda _number: world.adapter.world.discard("create/3")
    result = run(world, *phases(5))
    assert (result.status, result.step) == (ApplyStatus.FAILED, "create g3")
    assert not any(step.mark for step in world.adapter.written)


def test_what_somebody_does_to_a_new_object_meanwhile_is_noticed() -> None:
    world = stage(5)
    world.adapter.after_write = lambda number: world.adapter.world.add("theirs") if number == 7 else None
    result = run(world, *phases(5))
    assert result.status is ApplyStatus.MOVED


def test_a_platform_that_does_not_say_so_is_not_woven() -> None:
    world = Stage()
    world.adapter.outcomes = {number: Outcome(Status.DONE, created=((f"g{number - 1}", f"id-{number}"),)) for number in (1, 2)}
    assert run(world, *phases(2)).status is ApplyStatus.DONE
    assert [step.key for step in world.adapter.written] == ["create/0", "create/1", "fill/0", "fill/1"]
