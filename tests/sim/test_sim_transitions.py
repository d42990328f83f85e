"""Every state on the way of drawn transitions over one to four platforms: nothing exposed, nothing cut, on no path, however points lag.

The states are those of the product's own plans; the judge shares no code with its replay, its decoding or its packet sets. Wrong ways
of the same plans have to be seen by the same judge: the table of controls.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim.transitions import CONTROLS, Transition
from tests.sim.world import plugged
from tests.trust.budget import budget
from tests.trust.figures import record

LIMIT = 16384
"""How many states of one stage are looked at before they are drawn; four times as many of all targets together."""
CONTROL_LIMIT = 256


@pytest.fixture(scope="module")
def ground() -> Iterator[Path]:
    with plugged() as root:
        yield root


def transitions(ground: Path, seeds: range) -> Iterator[Transition]:
    for seed in seeds:
        root = ground / f"transition-{seed}"
        yield from Transition.several(root, seed)
        shutil.rmtree(root, ignore_errors=True)


def test_no_state_on_the_way_exposes_or_cuts(ground: Path, sim_seed: int | None) -> None:
    first = sim_seed if sim_seed is not None else 0
    count = int(os.environ.get("CLOUDSYNC_SIM_N", "1")) if sim_seed is not None else budget(change=6, night=6000, release=330)
    how: Counter[str] = Counter()
    told: Counter[str] = Counter()
    for transition in transitions(ground, range(first, first + count)):
        transition.tell(how)
        way = transition.way()
        if not way.phases:
            continue
        seen = transition.look(way, limit=LIMIT)
        said = f"make sim SEED={transition.seed}: leg {transition.leg}: {seen.words}"
        assert not seen.wrong, said
        told.update(states=seen.states, distinct=seen.distinct, exposed=seen.exposed + seen.lag_exposed, cut=seen.cut + seen.lag_cut)
        told["over several targets"] += seen.states if len(way.phases) > 1 else 0
    methods = {name: number for name, number in sorted(how.items()) if " at " in name or name.startswith("components by")}
    record("T3 transitions", {**told, "transitions": how["transitions"], "targets refused": how["targets refused"], **methods})
    assert not how["broken"], how
    assert told["states"] or sim_seed is not None


FOUND = (200, 204, 205, 209, 212)
"""Seeds whose plans take, between them, every way that a control spoils."""


def test_wrong_ways_are_seen(ground: Path) -> None:
    """Each control spoils the plans of the same transitions in its own way: the judge must see every kind of it."""
    drawn = range(400, 400 + budget(change=0, night=600, release=40))
    chosen = dict.fromkeys((*FOUND, *drawn))
    tried: Counter[str] = Counter()
    caught: Counter[str] = Counter()
    states: Counter[str] = Counter()
    for seed in chosen:
        for transition in transitions(ground, range(seed, seed + 1)):
            way = transition.way()
            for name, spoil in CONTROLS.items():
                wrong = spoil(way)
                if wrong == way:
                    continue
                try:
                    seen = transition.look(wrong, limit=CONTROL_LIMIT)
                except ValueError:
                    continue  # a platform refuses this order by itself
                tried[name] += 1
                caught[name] += bool(seen.wrong)
                states[name] += seen.wrong
    for name in CONTROLS:
        record(f"T3 control: {name}", {"transitions": tried[name], "with violations": caught[name], "states in violation": states[name]})
    assert all(caught[name] for name in CONTROLS), {name: (tried[name], caught[name]) for name in CONTROLS}
