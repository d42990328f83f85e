"""The campaign over four platforms: random policies on random estates, applied through the command line, judged from each vendor's raw API.

0 differing packets, a silent second run, others' objects untouched, and no state on the way outside old and new. A target that is refused
has written nothing and says one of a few codes. `make sim SEED=7 N=100` runs more of it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

import pytest

from tests.oracle import four_aws, four_case
from tests.oracle.four_case import Tally
from tests.oracle.four_grounds import GROUNDS, Ground
from tests.oracle.four_rig import FourRig
from tests.oracle.seeds import seeds

MODES = ("exclusive", "additive")
SIDES = ("gcp", "azure", "f5")
ALL = ("aws", *SIDES)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FourRig]:
    grounds: dict[str, Ground] = {name: make(tmp_path_factory.mktemp(name)) for name, make in GROUNDS.items()}
    grounds["aws"] = four_aws.start()
    yield FourRig(grounds, tmp_path_factory.mktemp("repository"))
    for ground in grounds.values():
        ground.stop()


def alone(rig: FourRig, name: str, mode: str, many: Iterable[int]) -> Tally:
    """Converge one platform by itself, and look at every state on the way."""
    tally = Tally()
    for seed in many:
        case = four_case.scene(rig, seed, {name: mode})
        if case is not None:
            four_case.settle(case, tally, watch=name)
    print(f"{name} {mode}: {tally.text()}")
    return tally


def together(rig: FourRig, many: Iterable[int]) -> Tally:
    """Converge all four from one policy, each in a mode of its own."""
    tally = Tally()
    for seed in many:
        rng = random.Random(seed)
        case = four_case.scene(rig, seed, {name: rng.choice(MODES) for name in ALL})
        if case is not None:
            four_case.settle(case, tally)
    print(f"all four: {tally.text()}")
    return tally


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SIDES)
def test_one_platform_by_itself(rig: FourRig, sim_seed: int | None, name: str, mode: str) -> None:
    tally = alone(rig, name, mode, seeds(sim_seed, (1, 3)))
    assert tally.cases or sim_seed is not None


def test_all_four_from_one_policy(rig: FourRig, sim_seed: int | None) -> None:
    tally = together(rig, seeds(sim_seed, (3, 6)))
    assert tally.cases or sim_seed is not None


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SIDES)
def test_more_of_one_platform(rig: FourRig, name: str, mode: str) -> None:
    tally = alone(rig, name, mode, range(100, 140))
    assert tally.share < 0.25, tally.text()


@pytest.mark.slow
def test_more_of_all_four(rig: FourRig) -> None:
    tally = together(rig, range(100, 130))
    assert tally.share < 0.15, tally.text()
