"""Every plan that the product makes of random estates and policies is accepted by the checker that shares no code with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloudsync.verify.check import verify
from cloudsync.verify.values import Kind
from tests.oracle.four_rig import FourRig
from tests.property.plan_files import MODES, PLATFORMS, grounds, plans
from tests.trust.budget import budget, seed
from tests.trust.figures import record


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FourRig]:
    made = grounds(PLATFORMS, tmp_path_factory.mktemp)
    yield FourRig(made, tmp_path_factory.mktemp("repository"))
    for ground in made.values():
        ground.stop()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", PLATFORMS)
def test_plans_of_random_policies_are_accepted(rig: FourRig, name: str, mode: str) -> None:
    accepted = points = states = own = 0
    first = 100 * seed()
    for number in range(first, first + budget(change=1, night=40, release=200)):
        for saved in plans(rig, number, {name: mode}):
            verdict = verify(saved.content)
            problems = [one for one in verdict.objections if one.kind is Kind.PROBLEM]
            assert verdict.accepted or problems, "\n".join([f"{name} {mode} {number}", *(one.text() for one in verdict.objections)])
            accepted, own = accepted + verdict.accepted, own + bool(problems)
            points += sum(one.points for one in verdict.targets)
            states += sum(one.states for one in verdict.targets)
    assert accepted
    figures = {"plans": accepted + own, "accepted": accepted, "own_problems": own, "false_alarms": 0, "points": points, "states": states}
    record(f"T verify {name}", figures)
