"""A plan file says what it is, holds what its digest covers, and is refused in one sentence when anything in it was touched."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from cloudsync.adapter import Effect, Phase, Problem, Step
from cloudsync.model.codec import digest
from cloudsync.model.errors import InputError
from cloudsync.model.mode import TargetMode
from cloudsync.model.workload import PointId
from cloudsync.plan.document import dump, load, plan_digest, target_digest
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.values import Adoption, Component, Course, CourseMethod, Gap, IdentityCheck, Plan, TargetPlan
from cloudsync.proof.values import Certificate, Leg, Replay, Stage
from cloudsync.testing.plans import HARMLESS

STEP = Step("k", "Act", "mem/one", "o", "do it", Effect.GROWS, "{}", mark="m")
STAGES = (Stage("first", (Leg("gcp", 0, 1),)), Stage("then", (Leg("mem", 0, 1),)))
TOGETHER = Component(("gcp", "mem"), CourseMethod.ORDER, STAGES)
ONE = Plan((replace(HARMLESS, phases=(Phase("p", (STEP,)),)),), 1.0)
WRONG = "was changed after it was written: its digest does not match its content"


def refused(text: str) -> str:
    with pytest.raises(InputError) as caught:
        load(text, "plan.json")
    return str(caught.value)


def sealed(change: Callable[[dict[str, object]], object]) -> str:
    """A plan file that was changed."""
    document = json.loads(dump(ONE))
    change(document)
    return json.dumps(document)


# --- the digest ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        replace(HARMLESS, target="far"),
        replace(HARMLESS, mode=TargetMode.ADDITIVE),
        replace(HARMLESS, owner="else"),
        replace(HARMLESS, identity=IdentityCheck("1")),
        replace(HARMLESS, limits=GuardLimits(quota_reserve=6)),
        replace(HARMLESS, snapshot_digest="f"),
        replace(HARMLESS, desired_digest="f"),
        replace(HARMLESS, policy_digest="f"),
        replace(HARMLESS, scopes=()),
        replace(HARMLESS, method="join"),
        replace(HARMLESS, phases=(Phase("p", ()),)),
        replace(HARMLESS, adoptions=(Adoption(PointId("p"), ()),)),
        replace(HARMLESS, certificate=Certificate(2)),
        replace(HARMLESS, replay=Replay(2)),
        replace(HARMLESS, problems=(Problem("X", "y"),)),
        replace(HARMLESS, component=TOGETHER),
        replace(HARMLESS, component=replace(TOGETHER, stages=STAGES[::-1])),
    ],
)
def test_whatever_is_done_or_relied_on_is_in_the_digest(other: TargetPlan) -> None:
    assert target_digest(other) != target_digest(HARMLESS)
    assert target_digest(replace(other)) == target_digest(other)


def test_the_digest_of_several_targets_knows_their_order() -> None:
    other = replace(HARMLESS, target="far")
    assert plan_digest(Plan((HARMLESS, other))) == digest([target_digest(HARMLESS), target_digest(other)])
    assert plan_digest(Plan((HARMLESS, other))) != plan_digest(Plan((other, HARMLESS)))


# --- the file --------------------------------------------------------------------------------------------------------


def test_a_plan_file_says_what_it_is_and_holds_what_it_takes_to_check_it() -> None:
    document = json.loads(dump(ONE, lambda _pool: {"points": 7}))
    assert (document["format"], document["version"], document["evidence"]) == ("cloudsync-plan", 1, {"points": 7})
    assert document["digests"] == {"mem": target_digest(ONE.targets[0])}
    seal = document.pop("content_digest")
    assert seal == digest(document)
    assert "evidence" not in json.loads(dump(ONE))
    assert load(dump(ONE, lambda _pool: {"points": 7})) == load(dump(ONE)) == ONE


def test_a_plan_file_that_was_cut_says_where() -> None:
    text = dump(ONE)
    assert refused(text[:40]).startswith("plan.json:1:")
    assert " BAD-PLAN is no JSON: " in refused(text[:40])
    assert refused("\n\n  x") == "plan.json:3:3 BAD-PLAN is no JSON: Expecting value; make it again with `cloudsync plan -o FILE`"
    with pytest.raises(InputError, match=r"^plan:1:1 BAD-PLAN "):
        load("x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "does not hold a plan: no format 'cloudsync-plan'"),
        (sealed(lambda found: found.update(format="else")), "does not hold a plan: no format 'cloudsync-plan'"),
        (sealed(lambda found: found.update(version=2)), "does not hold a plan: version 2, this program reads 1"),
        (sealed(lambda found: found.pop("version")), "does not hold a plan: version None, this program reads 1"),
        ("[" * 100_000, "does not hold a plan: it is nested too deeply"),
        ("9" * 5000, "does not hold a plan: a number in it has thousands of digits"),
        (sealed(lambda found: found.update(digests={})), WRONG),
        (sealed(lambda found: found.pop("digests")), WRONG),
        (sealed(lambda found: found.update(digests={"mem": "f" * 64})), WRONG),
        (sealed(lambda found: found.update(content_digest="f" * 64)), WRONG),
        (sealed(lambda found: found.update(evidence={"points": 7})), WRONG),
    ],
)
def test_a_plan_file_that_was_touched_is_refused_in_one_sentence(text: str, words: str) -> None:
    assert refused(text) == f"plan.json:1:1 BAD-PLAN {words}; make it again with `cloudsync plan -o FILE`"


def test_a_plan_file_whose_digests_were_changed_is_refused_although_it_was_sealed_again() -> None:
    def reseal(found: dict[str, object]) -> None:
        found.pop("content_digest")
        found["digests"] = {"mem": "f" * 64}
        found["content_digest"] = digest(json.loads(json.dumps(found)))

    assert WRONG in refused(sealed(reseal))


def test_a_plan_file_without_a_plan_says_what_is_missing() -> None:
    assert refused(sealed(lambda found: found.pop("plan"))).startswith("plan.json:1:1 BAD-PLAN does not hold a plan: ")


def test_a_plan_file_from_before_the_seal_is_held_to_its_digests_alone() -> None:
    assert load(sealed(lambda found: found.pop("content_digest"))) == ONE


def test_evidence_without_its_seal_is_refused() -> None:
    def unsealed(found: dict[str, object]) -> None:
        found["evidence"] = {}
        found.pop("content_digest")

    assert WRONG in refused(sealed(unsealed))


# --- what a plan says of itself --------------------------------------------------------------------------------------


def test_plans_are_found_by_their_target() -> None:
    plan = Plan((HARMLESS, replace(HARMLESS, target="far")))
    assert plan.target("far") is plan.targets[1]
    assert plan.target("mem") is plan.targets[0]
    assert plan.target("none") is None
    assert Plan(()).created == 0


def test_identity_is_good_when_the_expected_account_answered() -> None:
    assert HARMLESS.identity.good
    assert not replace(HARMLESS.identity, expected="999").good
    assert not IdentityCheck("1").good


def test_a_target_begins_in_the_first_stage_that_has_a_leg_of_it() -> None:
    assert [TOGETHER.first(name) for name in ("gcp", "mem", "none")] == [0, 1, 0]


def test_the_course_of_a_run_names_each_component_once() -> None:
    plan = Plan((replace(HARMLESS, component=TOGETHER), HARMLESS, replace(HARMLESS, target="gcp", component=TOGETHER)))
    assert plan.course == Course((TOGETHER,))
    assert Plan((HARMLESS,)).course == Course()


def test_a_gap_is_nothing_unless_something_is_cut() -> None:
    assert TOGETHER.gap == Gap() == Gap(packets=0, points=0, steps=0, seconds=0.0)
    assert [one.value for one in CourseMethod] == ["order", "shield", "meet", "gap", "none safe"]


def test_a_plan_is_empty_when_no_phase_has_a_step() -> None:
    assert replace(HARMLESS, phases=(Phase("p", ()),)).empty
    assert not ONE.targets[0].empty
    assert ONE.targets[0].steps == (STEP,)
    assert (HARMLESS.method, HARMLESS.component, HARMLESS.terraform) == ("none", None, ())
