"""Whole scenarios from one seed: four platforms in one process, a simulated clock, everything going wrong, a judge after every effect.

`make sim SEED=7 N=100` plays scenarios 7 to 106. Figures count what was really run: quiet time between two runs that both wrote nothing is
counted as time, its runs are counted apart as skipped.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim.story import YEAR_S, Story, told
from tests.sim.world import World, plugged
from tests.trust.budget import budget
from tests.trust.figures import record

TURNS = 6
REGRESSIONS = Path(__file__).parent / "regressions.txt"
MOST = "runs to converge, most"


@pytest.fixture(scope="module")
def ground() -> Iterator[Path]:
    with plugged() as root:
        yield root


def played(ground: Path, seed: int, turns: int = TURNS) -> World:
    """Play one scenario; say how to play it again when something is wrong."""
    root = ground / f"seed-{seed}"
    story = Story(seed, root)
    try:
        world = story.play(turns)
    except Exception as error:
        raise AssertionError(f"make sim SEED={seed}\n{told(story.world)}") from error
    finally:
        shutil.rmtree(root, ignore_errors=True)
    assert not world.wrong, f"make sim SEED={seed}\n{told(world)}"
    return world


def test_scenarios_hold_every_invariant(ground: Path, sim_seed: int | None) -> None:
    first = sim_seed if sim_seed is not None else 1000
    count = int(os.environ.get("CLOUDSYNC_SIM_N", "1")) if sim_seed is not None else budget(change=6, night=8000, release=8000)
    total: Counter[str] = Counter()
    most = 0
    for seed in range(first, first + count):
        counts = played(ground, seed).counts
        most = max(most, counts[MOST])
        total += counts
    total[MOST] = most
    names = ("scenarios", "runs", "runs skipped", "states", "writes", "crashes", "stopped", "states after an edit by hand", "violations")
    figures = {name: total[name] for name in names}
    record("T2 simulation", {**figures, MOST: most, "first seed": first, "simulated years": round(total["seconds"] / YEAR_S, 2)})
    record("T7 simulation", {name: total[name] for name in ("foreign writes", "lockouts", "writes in doubt", "second-run writes")})
    assert total["states"] > count


def test_the_same_seed_tells_the_same_story(ground: Path) -> None:
    count = budget(change=1, night=200, release=100)
    same = sum(told(played(ground, seed)) == told(played(ground, seed)) for seed in range(5000, 5000 + count))
    record("T2 replay", {"seeds played twice": count, "traces equal to the byte": same})
    assert same == count


def lessons() -> list[tuple[int, int, str]]:
    """Return the seeds of the regression file."""
    found = []
    for line in REGRESSIONS.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            seed, turns, why = line.split(maxsplit=2)
            found.append((int(seed), int(turns), why))
    return found


@pytest.mark.parametrize(("seed", "turns", "why"), lessons())
def test_what_went_wrong_once_does_not_again(ground: Path, seed: int, turns: int, why: str) -> None:
    assert played(ground, seed, turns).counts["runs"], why


# --- could the judge be wrong and nobody see it? ----------------------------------------------------------------------


def test_an_effect_that_no_plan_would_have_is_seen(ground: Path) -> None:
    """Before the first write of a run that opens nothing to strangers somebody's hand slips: the judge sees it, and what is cut as well."""
    wrong: list[str] = []
    for seed in range(4):
        story = Story(seed, ground / f"slip-{seed}")
        world = story.world
        world.run(verify=False)
        world.begin()
        for wire in world.wires.values():
            if wire.site.tamper(story.rng):
                world.changed(wire)
        wrong += world.wrong
        shutil.rmtree(ground / f"slip-{seed}", ignore_errors=True)
    kinds = {one[:2] for one in wrong}
    assert {"I4", "I5"} <= kinds, wrong


def test_a_write_to_what_is_not_ours_is_seen(ground: Path) -> None:
    story = Story(1, ground / "foreign")
    story.world.begin()
    wire = story.world.wires["gcp"]
    wire.site.meddle(story.rng)
    story.world.changed(wire)
    assert any(one.startswith("I6: a write of gcp") for one in story.world.wrong)


def test_a_write_that_no_journal_knows_is_seen(ground: Path) -> None:
    story = Story(1, ground / "unsaid")
    world = story.world
    ran = world.run()
    assert ran is not None
    world.wires["gcp"].sent.append(("insert/of-nobody", True))
    world.journalled(ran)
    assert any(one.startswith("I10") for one in world.wrong)
