"""An approval covers one refusal of one plan for a while; a byte of difference voids it. Plans survive their files."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudsync.adapter import Access, Effect, Phase, Step
from cloudsync.diff import Change
from cloudsync.guard import approval
from cloudsync.guard.every import Checked, check_all
from cloudsync.guard.values import Approval
from cloudsync.model.address import ANYWHERE, AddressSet
from cloudsync.model.errors import InputError
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.service import ServiceSet
from cloudsync.model.workload import Labels
from cloudsync.plan.document import dump, load, plan_digest, target_digest
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.values import Plan, TargetPlan
from cloudsync.testing.plans import HARMLESS, touched

NOW = 1_800_000_000.0
HTTPS = ServiceSet.ports(6, 443, 443)
WIDE = Access(PacketSet.of(ANYWHERE, HTTPS))
STEP = Step("k", "Act", "mem/one", "o", "do it", Effect.GROWS, "{}", mark="m")
OPENS = replace(HARMLESS, phases=(Phase("p", (STEP,)),), points=(touched("web1", Access(), WIDE),))


def yes(plan: TargetPlan, guard: str = "G-OPEN", until: float = NOW + 60, names: tuple[str, ...] = ()) -> Approval:
    return Approval(target_digest(plan), plan.target, guard, "ann", "checked", until, names, NOW - 60)


def codes(checked: Checked) -> list[str]:
    return [refused.guard for refused in checked.refusals]


def test_an_approval_lifts_exactly_its_refusal() -> None:
    assert codes(check_all([OPENS], [], NOW)) == ["G-OPEN"]
    checked = check_all([OPENS], [yes(OPENS)], NOW)
    assert checked.refusals == ()
    assert [(refused.guard, given.who) for refused, given in checked.overridden] == [("G-OPEN", "ann")]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (yes(replace(OPENS, snapshot_digest="f" * 64)), "something moved since"),
        (yes(OPENS, until=NOW), "has expired"),
        (replace(yes(OPENS), created=NOW + 1), "check the clock"),
    ],
)
def test_an_approval_that_does_not_hold_says_why(given: Approval, why: str) -> None:
    checked = check_all([OPENS], [given], NOW)
    assert codes(checked) == ["G-OPEN", "G-APPROVAL"]
    assert why in checked.refusals[1].message


def test_an_approval_of_another_guard_or_target_does_nothing() -> None:
    assert codes(check_all([OPENS], [yes(OPENS, "G-CAP"), replace(yes(OPENS), target="other")], NOW)) == ["G-OPEN"]


def test_a_management_loss_is_approved_only_by_name() -> None:
    limits = GuardLimits(management=AddressSet.of("192.0.2.0/28"))
    before = Access(PacketSet.of(AddressSet.of("192.0.2.0/28"), HTTPS))
    plan = replace(OPENS, points=(touched("web1", before, Access()),), limits=limits)
    assert codes(check_all([plan], [yes(plan, "G-MGMT")], NOW)) == ["G-MGMT", "G-APPROVAL"]
    assert codes(check_all([plan], [yes(plan, "G-MGMT", names=("tcp/443 from 192.0.2.0/28",))], NOW)) == []


def test_nothing_overrides_what_cannot_be_overridden() -> None:
    unproven = replace(OPENS, points=(), replay=None)
    checked = check_all([unproven], [yes(unproven, "G-PROOF")], NOW)
    assert codes(checked) == ["G-PROOF", "G-APPROVAL"]
    assert "nothing overrides" in checked.refusals[1].message


def test_a_refusal_stops_its_target_alone() -> None:
    other = replace(HARMLESS, target="other")
    checked = check_all([OPENS, other], [], NOW)
    assert checked.of("other") == ()
    assert [refused.guard for refused in checked.of("mem")] == ["G-OPEN"]


def test_a_stored_plan_that_moved_is_refused() -> None:
    assert list(approval.moved(OPENS, OPENS)) == []
    (refused,) = approval.moved(OPENS, replace(OPENS, snapshot_digest="f" * 64))
    assert refused.guard == "G-APPROVAL"
    assert refused.message.startswith("the reading moved since the plan was made")


@pytest.mark.parametrize(
    "other",
    [
        replace(OPENS, limits=GuardLimits(max_removed_rules=31)),
        replace(OPENS, snapshot_digest="f" * 64),
        replace(OPENS, policy_digest="f" * 64),
        replace(OPENS, method="join"),
        replace(OPENS, phases=(Phase("p", (replace(STEP, payload="{ }"),)),)),
        replace(OPENS, phases=(Phase("p", (STEP,)), Phase("q", ()))),
        replace(OPENS, owner="else"),
    ],
)
def test_every_difference_in_what_is_done_or_read_is_another_digest(other: TargetPlan) -> None:
    assert target_digest(other) != target_digest(OPENS)


def test_the_digest_does_not_know_the_time_nor_words_for_people() -> None:
    assert target_digest(replace(OPENS, notes=("hello",))) == target_digest(OPENS)
    assert plan_digest(Plan((OPENS,), 1.0)) == plan_digest(Plan((OPENS,), 2.0))


def full() -> Plan:
    change = Change("inbound", "c1", Labels.of({"role": "web"}), (OPENS.points[0].point,), ("web1",), WIDE.inbound, NO_PACKETS, ())
    limits = GuardLimits(management=AddressSet.of("192.0.2.0/28", "2001:db8::/32"))
    return Plan((replace(OPENS, changes=(change,), limits=limits), replace(HARMLESS, target="other")), NOW)


def test_a_plan_file_is_byte_stable_and_reads_back_equal() -> None:
    text = dump(full())
    assert load(text) == full()
    assert dump(load(text)) == text
    assert text.endswith("}\n")
    assert "\n" not in text[:-1]


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda text: text[: len(text) // 2], "is no JSON"),
        (lambda text: text.replace('"title":"do it"', '"title":"do that"'), "was changed after it was written"),
        (lambda text: text.replace('"version":1', '"version":2'), "version 2, this program reads 1"),
        (lambda text: text.replace("cloudsync-plan", "something"), "no format 'cloudsync-plan'"),
        (lambda text: text.replace('"exclusive"', '"exclusively"'), "mode: 'exclusively' is not a valid TargetMode"),
        (lambda _: "[]", "no format"),
    ],
)
def test_a_harmed_plan_file_is_a_finding(harm: object, words: str) -> None:
    assert callable(harm)
    with pytest.raises(InputError) as caught:
        load(harm(dump(full())), "plan.json")
    assert str(caught.value).startswith("plan.json:1:")
    assert words in str(caught.value)
