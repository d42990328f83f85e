"""Each guard with all others off: it alone refuses what it is for, before any write; and without it the harm happens.

Guards hide that another one fails, so none may lean on another. Where a layer above a guard stops the same harm earlier, the scenario takes
that layer's word away (`bent`): a guard is what is left when everything before it was wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cloudsync import run
from cloudsync.adapter import Identity
from cloudsync.guard import affected, approval, cap, complete, every, identity, mgmt, problems, proof, quota, shrink, terraform
from cloudsync.guard import open as opening
from cloudsync.guard.values import Guard
from cloudsync.model.fidelity import Fidelity, Verdict
from cloudsync.plan.terraform import Touch
from cloudsync.plan.values import IdentityCheck, InventoryScope, Peak, TargetPlan
from tests.cli.small import Small
from tests.service.small_world import GUARDS, MORE, POLICY, small_world
from tests.trust.figures import record

STRICT = "guards: {max_affected_workloads: 50%, max_removed_rules: 50%, max_gone_workloads: 30%, management: [192.0.2.0/28]}\n"
ADMIN = "      - allow iplist office to role=web, role=db on tcp/22\n"
RULES = POLICY + MORE
Bend = Callable[[TargetPlan], TargetPlan]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a guard is for. `begun`: the policy in force before; `then`: what happens; `harm`: what may not come of `apply`."""

    guard: Guard
    code: str
    then: Callable[[Small], None]
    harm: Callable[[Small], bool]
    begun: str = RULES
    bent: Bend | None = None
    limits: str = STRICT
    runs: int = 1
    """After how many runs the harm would be done."""
    exit: int = 4


def policy(text: str) -> Callable[[Small], None]:
    return lambda small: small.world.write("policy/all.yaml", text)


def web_is_shut_out_of_db(small: Small) -> bool:
    found = small.world.platforms["one"]
    (spot,) = [one for key, one in found.spots.items() if key.endswith("one-db")]
    return not any(rule.service == "6/5432-5432" for key in spot.groups for rule in found.groups[key].rules)


def written(small: Small) -> bool:
    return small.world.writes() > 0


def shut_the_office_out(small: Small) -> bool:
    return not small.office()


def _gone(small: Small) -> None:
    """Every web machine is missing from an answer that came back with success."""
    platform = small.world.platforms["one"]
    for point in [key for key in platform.spots if key.endswith("-web")]:
        del platform.spots[point]


def _wrong_account(plan: TargetPlan) -> TargetPlan:
    return replace(plan, identity=IdentityCheck("111122223333", Identity("memory", "999988887777", "arn:role/x")))


def _half_read(plan: TargetPlan) -> TargetPlan:
    scopes = tuple(InventoryScope(one.scope, one.target, "page 2 failed", verified=one.verified, now=one.now) for one in plan.inventory)
    return replace(plan, inventory=scopes)


def _terraforms(plan: TargetPlan) -> TargetPlan:
    return replace(plan, terraform=(Touch("aws_security_group.legacy", "change it"),))


def _looser(plan: TargetPlan) -> TargetPlan:
    return replace(plan, fidelity=(Fidelity("base#1", "one", Verdict.LOOSER, "all of icmp is opened"),))


def _too_large(plan: TargetPlan) -> TargetPlan:
    return replace(plan, peaks=(Peak("group web", "inbound rules", peak=61, quota=60),))


def _unproven(plan: TargetPlan) -> TargetPlan:
    return replace(plan, certificate=None, replay=None)


LESS = RULES.replace(MORE, "").replace("      - allow role=web to role=db on tcp/5432\n", "")
WIDE = RULES + "      - allow anywhere to role=db on tcp/5432\n"
EVERYWHERE = RULES + ADMIN.replace("22", "2222")
SCENARIOS = (
    Scenario(identity.check, "G-IDENTITY", policy(RULES + ADMIN), written, bent=_wrong_account),
    Scenario(complete.check, "G-COMPLETE", policy(RULES.replace(MORE, "")), shut_the_office_out, bent=_half_read),
    Scenario(terraform.check, "TERRAFORM", policy(RULES + ADMIN), written, bent=_terraforms),
    Scenario(problems.check, "FIDELITY", policy(RULES + ADMIN), written, bent=_looser, exit=3),
    Scenario(quota.check, "G-QUOTA", policy(RULES + ADMIN), written, bent=_too_large),
    Scenario(proof.check, "G-PROOF", policy(RULES + ADMIN), written, bent=_unproven),
    Scenario(shrink.check, "G-SHRINK", _gone, web_is_shut_out_of_db, runs=2),
    Scenario(cap.check, "G-CAP", policy(LESS), shut_the_office_out),
    Scenario(affected.check, "G-AFFECTED", policy(EVERYWHERE), lambda small: small.lets("one-web", "192.0.2.0/24", "6/2222-2222")),
    Scenario(opening.check, "G-OPEN", policy(WIDE), lambda small: small.lets("one-db", "0.0.0.0/0", "6/5432-5432")),
    Scenario(mgmt.check, "G-MGMT", policy(RULES.replace(MORE, "")), shut_the_office_out),
)  # fmt: skip


@contextmanager
def staged(folder: Path, scenario: Scenario, guards: tuple[Guard, ...]) -> Iterator[Small]:
    """The policy before in force, then what happens; with these guards and no other."""
    with small_world(folder) as world, pytest.MonkeyPatch.context() as patch:
        small = Small(world)
        for number in range(3):
            point = world.platforms["one"].add_point(f"one-more{number}-web", f"10.0.1.{number}", scope="one/one")
            world.platforms["one"].tags[point] = (("Role", "web"),)
        small.commit(scenario.begun, "begun")
        small.insist("apply")
        small.guards(GUARDS, scenario.limits)
        for platform in world.platforms.values():
            platform.calls.clear()
        scenario.then(small)
        patch.setattr(every, "GUARDS", guards)
        if scenario.bent is not None:
            patch.setattr(run, "plan_all", bending(run.plan_all, scenario.bent))
        yield small


def bending(original: Callable[..., tuple[run.Planned, ...]], bend: Bend) -> Callable[..., tuple[run.Planned, ...]]:
    """Return a planner whose plans tell what the scenario wants told."""

    def plan_all(*arguments: Any, **more: Any) -> tuple[run.Planned, ...]:
        found = original(*arguments, **more)
        return tuple(one if one.built is None else replace(one, built=replace(one.built, plan=bend(one.built.plan))) for one in found)

    return plan_all


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.code)
def test_a_guard_alone_refuses_and_without_it_the_harm_happens(scenario: Scenario, tmp_path: Path) -> None:
    with staged(tmp_path / "alone", scenario, (scenario.guard,)) as small:
        assert not scenario.harm(small) or scenario.harm is written
        ran = [small.run("apply", "--yes", "--json") for _ in range(scenario.runs)][-1]
        refused = {one["guard"] for target in ran.document["targets"] for one in target["refusals"]}
        assert (ran.code, refused) == (scenario.exit, {scenario.code}), str(ran)
        assert small.world.writes() == 0
        assert not scenario.harm(small)
    with staged(tmp_path / "off", scenario, ()) as small:
        for _ in range(scenario.runs):
            small.run("apply", "--yes")
        harmed = scenario.harm(small)
        record("T5 guards alone", {"guards_alone": 1, "harms_shown": int(harmed)})
        assert harmed, "without the guard nothing happened: the scenario shows nothing"


def test_there_is_a_scenario_for_every_guard() -> None:
    assert {one.guard for one in SCENARIOS} == set(every.GUARDS)
    assert len(SCENARIOS) == len(every.GUARDS)


def test_an_approval_alone_lets_through_its_plan_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = Scenario(cap.check, "G-CAP", policy(LESS), shut_the_office_out)
    other = LESS.replace("tcp/443", "tcp/8443")
    for off in (False, True):
        with staged(tmp_path / f"{off}", scenario, (cap.check,)) as small:
            for refusal in small.run("apply", "--yes", "--json", code=4).document["targets"][0]["refusals"]:
                assert small.repository.printed(refusal["approve"]).code == 0
            small.world.write("policy/all.yaml", other)
            if off:
                monkeypatch.setattr(approval, "holding", lambda _plan, _refused, given, _now: given[0])
            small.run("apply", "--yes", code=0 if off else 4)
            assert shut_the_office_out(small) is off
    record("T5 guards alone", {"guards_alone": 1, "harms_shown": 1})
