"""The campaign over four platforms: random policies on random estates, applied through the command line, judged from each vendor's raw API.

0 differing packets, a silent second run, others' objects untouched, and no state on the way outside old and new. A target that is refused
has written nothing and says one of a few codes. `make sim SEED=7 N=100` runs more of it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

import pytest

from tests.oracle import four_aws, four_campaign, four_case
from tests.oracle.four_case import Tally
from tests.oracle.four_ground import Json
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


def alone(rig: FourRig, name: str, mode: str, many: Iterable[int], more: Json | None = None, *, outrank: bool = False) -> Tally:
    """Converge one platform by itself, and look at every state on the way."""
    tally = Tally()
    for seed in many:
        case = four_case.scene(rig, seed, {name: mode}, {name: more} if more else None)
        if case is not None:
            four_case.settle(case, tally, watch=name, outrank=outrank)
    print(f"{name} {mode}: {tally.text()}")
    return tally


def together(rig: FourRig, many: Iterable[int], *, further: bool = False) -> Tally:
    """Converge all four from one policy, each in a mode of its own; `further`: then people tamper, then comes another policy."""
    tally = Tally()
    for seed in many:
        rng = random.Random(seed)
        case = four_case.scene(rig, seed, {name: rng.choice(MODES) for name in ALL})
        if case is not None and not four_case.settle(case, tally) and further:
            four_case.tamper(case, seed, tally)
            four_case.change(case, seed, tally)
    print(f"all four: {tally.text()}")
    return tally


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SIDES)
def test_one_platform_by_itself(rig: FourRig, sim_seed: int | None, name: str, mode: str) -> None:
    tally = alone(rig, name, mode, seeds(sim_seed, (1,)))
    assert tally.cases or sim_seed is not None


def test_all_four_from_one_policy_and_on_to_another(rig: FourRig, sim_seed: int | None) -> None:
    tally = together(rig, seeds(sim_seed, (3,)), further=True)
    assert tally.cases or sim_seed is not None


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SIDES)
def test_more_of_one_platform(rig: FourRig, name: str, mode: str) -> None:
    tally = alone(rig, name, mode, range(100, 130))
    assert tally.share < 0.25, tally.text()


@pytest.mark.slow
def test_more_of_all_four(rig: FourRig) -> None:
    tally = together(rig, range(100, 120), further=True)
    assert tally.share < 0.15, tally.text()


OTHERWISE: tuple[tuple[str, str, Json, Json], ...] = (
    ("gcp", "additive", {"outrank": True}, {}),
    ("gcp", "exclusive", {"target": "managed-tags"}, {}),
    ("gcp", "exclusive", {}, {"cidrs": "long", "protocols": "number", "lists": "reverse"}),
    ("azure", "additive", {"outrank": True}, {}),
    ("azure", "exclusive", {"write": "child"}, {}),
    ("azure", "exclusive", {}, {"if_match": "ignore", "one_element_lists": "collapse"}),
    ("f5", "additive", {"default_deny": True}, {"default_action": "drop"}),
    ("f5", "exclusive", {}, {"nested_patch": "merges", "rule_numbers": True, "unknown_fields": True, "drop_full_length": True}),
)
"""Platform, mode, settings of the target, settings of the lab: other ways to write, and other spellings of the same."""


@pytest.mark.slow
@pytest.mark.parametrize("way", OTHERWISE, ids=str)
def test_other_ways_and_other_spellings(rig: FourRig, way: tuple[str, str, Json, Json]) -> None:
    name, mode, more, switches = way
    ground = rig.grounds[name]
    ground.switches = switches
    try:
        tally = alone(rig, name, mode, range(200, 208), more, outrank=bool(more.get("outrank")))
    finally:
        ground.switches = {}
    assert tally.share < 0.4, tally.text()


# --- could the judge be wrong and nobody see it? ----------------------------------------------------------------------


BOTH = {"blocked, must be open", "open, must be closed"}


@pytest.mark.parametrize("name", SIDES)
def test_what_somebody_else_changes_is_a_difference(rig: FourRig, name: str) -> None:
    """Objects of ours are removed or edited one after the other: both ways of being wrong are seen, and one run puts all of it right."""
    seen: set[str] = set()
    for seed in (10, 17, 11, 12):
        case = four_case.scene(rig, seed, {name: "exclusive"})
        if case is None or four_case.settle(case, Tally()):
            continue
        for number in range(4):
            rig.grounds[name].tamper(random.Random(number))
            now = case.look.world(rig.estates())
            seen |= {one.what for one in four_campaign.differences(case.look, now, case.origin, rig.modes)}
        four_case.settle(case, Tally())
        if seen == BOTH:
            return
    raise AssertionError(f"four estates tampered with, and all that was seen is {seen}")


@pytest.mark.parametrize("name", SIDES)
def test_a_moment_outside_old_and_new_is_seen(rig: FourRig, name: str) -> None:
    """The state before the first run, shown as a moment between two states of after, is exposure or a cut."""
    case = four_case.scene(rig, 3, {name: "exclusive"})
    assert case is not None
    four_case.settle(case, Tally())
    now = case.look.world(rig.estates())
    assert four_campaign.moments(case.look, now, now, [("nothing", now)]) == []
    assert four_campaign.moments(case.look, now, now, [("a slip", case.origin)])
