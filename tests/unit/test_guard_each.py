"""Each guard alone, at its limits: the others are not run, so that none can hide that this one fails."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from cloudsync.adapter import Access, Effect, Identity, Phase, Problem, Step
from cloudsync.guard import affected, cap, complete, identity, mgmt, problems, proof, quota, shrink, terraform
from cloudsync.guard import open as opening
from cloudsync.guard.every import GUARDS
from cloudsync.guard.values import Guard, Refusal
from cloudsync.model.address import ANYWHERE, AddressSet, Family
from cloudsync.model.fidelity import Fidelity, Verdict
from cloudsync.model.packets import ALL_PACKETS, Packet, PacketSet
from cloudsync.model.service import ServiceSet
from cloudsync.model.workload import PointId, WorkloadId
from cloudsync.plan.document import target_digest
from cloudsync.plan.limits import GuardLimits, at_most
from cloudsync.plan.terraform import Touch
from cloudsync.plan.values import IdentityCheck, InventoryScope, ManagementLoss, Peak, ScopeRules, TargetPlan
from cloudsync.proof.values import Certificate, Difference, Replay, Violation
from cloudsync.testing.plans import HARMLESS, touched

SSH, HTTPS = ServiceSet.ports(6, 22, 22), ServiceSet.ports(6, 443, 443)
OFFICE = AddressSet.of("192.0.2.0/24")
POINT = PointId("mem/one/web1")


def let(peers: AddressSet | str, services: ServiceSet = HTTPS) -> Access:
    return Access(PacketSet.of(AddressSet.of(peers) if isinstance(peers, str) else peers, services))


def no(guard: Guard, plan: TargetPlan) -> list[Refusal]:
    return list(guard(plan, plan.limits))


def step(effect: Effect = Effect.GROWS, *, scope: str = "mem/one", removes: int = 0, action: str = "Act", mark: str = "m") -> Step:
    return Step(f"k/{action}", action, scope, "object", f"{action} something", effect, "{}", removes=removes, mark=mark)


def with_steps(*steps: Step, plan: TargetPlan = HARMLESS) -> TargetPlan:
    return replace(plan, phases=(Phase("only", steps),))


WRITES = with_steps(step())
ALL_GUARDS: tuple[Guard, ...] = (
    *(identity.check, terraform.check, problems.check, complete.check, shrink.check, cap.check, affected.check),
    *(opening.check, mgmt.check, quota.check, proof.check),
)


@pytest.mark.parametrize("guard", ALL_GUARDS)
def test_no_guard_refuses_a_harmless_plan(guard: Guard) -> None:
    assert no(guard, WRITES) == []
    assert no(guard, HARMLESS) == []


def test_every_guard_is_asked() -> None:
    assert set(GUARDS) == set(ALL_GUARDS)
    assert len(GUARDS) == len(ALL_GUARDS)


def test_limits_are_shares_rounded_down_but_never_below_one() -> None:
    assert [at_most(30, count) for count in (0, 1, 3, 4, 6, 7, 10, 100)] == [1, 1, 1, 1, 1, 2, 3, 30]
    assert at_most(0, 1000) == 1
    with pytest.raises(ValueError, match="max_removed_rules 101"):
        GuardLimits(max_removed_rules=101)


# --- TERRAFORM ---------------------------------------------------------------------------------------------------------


def test_terraform_names_the_addresses_and_nothing_overrides_it() -> None:
    touches = tuple(Touch(f"module.net.aws_security_group.web[{number}]", "delete it") for number in range(7))
    [refused] = no(terraform.check, replace(HARMLESS, terraform=touches))
    assert "7 objects that Terraform owns: module.net.aws_security_group.web[0], " in refused.message
    assert "and 2 more" in refused.message
    assert refused.objects[0] == "module.net.aws_security_group.web[0]: delete it"
    assert not refused.approve


# --- G-IDENTITY ------------------------------------------------------------------------------------------------------


def test_identity_of_another_account_is_refused_for_good() -> None:
    wrong = replace(WRITES, identity=IdentityCheck("111122223333", Identity("aws", "222233334444", "arn:role/x")))
    (refused,) = no(identity.check, wrong)
    assert refused.guard == "G-IDENTITY"
    assert refused.message == "expected 111122223333, got 222233334444 (arn:role/x)"
    assert not refused.approve


def test_identity_that_cannot_be_read_is_refused() -> None:
    (refused,) = no(identity.check, replace(HARMLESS, identity=IdentityCheck("1", None, "credentials expired")))
    assert "could not be read: credentials expired" in refused.message


# --- G-COMPLETE ------------------------------------------------------------------------------------------------------

PARTIAL = InventoryScope("mem/one", "mem", "page 2 failed", verified=10, now=5)
ELSEWHERE = InventoryScope("other/two", "other", "page 2 failed", verified=10, now=5)


@pytest.mark.parametrize(
    ("taking", "count"),
    [
        (step(Effect.GROWS), 0),
        (step(Effect.NONE), 0),
        (step(Effect.SHRINKS), 1),
        (step(Effect.SWAPS), 1),
        (step(Effect.NONE, removes=1), 1),
        (step(Effect.NONE, action="DeleteSecurityGroup"), 1),
        (step(Effect.SHRINKS, scope="mem/whole"), 0),
    ],
)
def test_removals_in_a_partial_scope_are_refused(taking: Step, count: int) -> None:
    refused = no(complete.check, with_steps(taking, plan=replace(HARMLESS, inventory=(PARTIAL,))))
    assert len(refused) == count
    assert all(one.scope == "mem/one" and "page 2 failed" in one.message and not one.approve for one in refused)


def test_stripping_an_object_that_the_plan_itself_creates_removes_nothing_from_anybody() -> None:
    create, strip = step(Effect.NONE, mark=""), step(Effect.NONE, removes=2)
    assert no(complete.check, with_steps(create, strip, plan=replace(HARMLESS, inventory=(PARTIAL,)))) == []


def test_closing_at_a_point_of_a_partial_scope_is_refused() -> None:
    plan = replace(WRITES, inventory=(PARTIAL,), points=(touched("web1", let(OFFICE), Access()),))
    assert [one.guard for one in no(complete.check, plan)] == ["G-COMPLETE"]


def test_closing_peers_that_were_not_seen_is_refused_everywhere() -> None:
    point = touched("web1", let("10.9.0.0/24"), let("10.9.0.128/25"))
    plan = replace(WRITES, inventory=(ELSEWHERE,), points=(point,), unseen=AddressSet.of("10.9.0.7"))
    assert [one.guard for one in no(complete.check, plan)] == ["G-COMPLETE"]
    assert no(complete.check, replace(plan, unseen=AddressSet.of("10.9.0.200"))) == []
    opened_by_others = replace(point, rightful=let("10.9.0.128/25"))
    assert no(complete.check, replace(plan, points=(opened_by_others,))) == []
    assert no(complete.check, replace(plan, points=(replace(point, rightful=let("10.9.0.0/24")),))) != []


def test_closing_anything_is_refused_while_a_scope_was_never_read_whole() -> None:
    never = replace(ELSEWHERE, verified=None)
    closing = replace(WRITES, inventory=(never,), points=(touched("web1", let(OFFICE), Access()),))
    assert "other/two was never read whole" in no(complete.check, closing)[0].message
    opens = replace(WRITES, inventory=(never,), points=(touched("web1", Access(), let(OFFICE)),))
    assert no(complete.check, opens) == []


# --- G-SHRINK --------------------------------------------------------------------------------------------------------


def gone(count: int, of: int, now: int | None = None, lost: int = 0) -> TargetPlan:
    ids = tuple(WorkloadId(f"mem/i-{number}") for number in range(count))
    losing = tuple(WorkloadId(f"mem/l-{number}") for number in range(lost))
    left = of - count if now is None else now
    return replace(HARMLESS, inventory=(InventoryScope("mem/one", "mem", verified=of, now=left, gone=ids, lost_policy=losing),))


@pytest.mark.parametrize(
    ("plan", "refuses"),
    [
        (gone(30, 100), False),
        (gone(31, 100), True),
        (gone(20, 100, lost=10), False),
        (gone(20, 100, lost=11), True),
        (gone(1, 2), False),
        (gone(2, 3), True),
        (gone(1, 1), True),
        (gone(1, 1, now=1), False),
        (gone(0, 0), False),
        (gone(3, 10, now=40), False),
        (gone(4, 10, now=40), True),
    ],
)
def test_a_shrunken_scope_is_refused_beyond_its_limit(plan: TargetPlan, *, refuses: bool) -> None:
    refused = no(shrink.check, plan)
    assert bool(refused) is refuses
    assert all(one.guard == "G-SHRINK" and one.approve for one in refused)


def test_a_shrunken_scope_is_refused_although_the_plan_writes_nothing_and_shows_ten() -> None:
    (refused,) = no(shrink.check, gone(31, 100))
    assert refused.message == "31 of 100 verified workloads are gone or lost their policy (31 %, limit 30 % = 30)"
    assert len(refused.objects) == 10
    assert refused.more == 21


def test_a_scope_never_verified_or_not_read_whole_is_not_shrunken() -> None:
    for scope in (InventoryScope("s", "mem", now=0), InventoryScope("s", "mem", "why", verified=10, now=0)):
        assert no(shrink.check, replace(HARMLESS, inventory=(scope,))) == []


# --- G-CAP -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "removed", "refuses"),
    [
        (100, 70, 30, False),
        (100, 69, 31, True),
        (100, 100, 31, True),
        (2, 1, 1, False),
        (1, 1, 1, False),
        (1, 0, 1, True),
        (100, 0, 1, True),
        (3, 1, 2, True),
        (0, 5, 0, False),
    ],
)
def test_removals_of_own_rules_are_capped_per_scope(before: int, after: int, removed: int, *, refuses: bool) -> None:
    plan = replace(with_steps(step(removes=removed)), rules=(ScopeRules("mem/one", before, after, removed),))
    refused = no(cap.check, plan)
    assert bool(refused) is refuses
    assert all(one.guard == "G-CAP" and one.scope == "mem/one" for one in refused)


def test_a_point_never_loses_its_last_rule_of_ours_unasked() -> None:
    point = replace(touched("web1", let(OFFICE), Access()), ours_before=let(OFFICE), ours_after=Access())
    (refused,) = no(cap.check, replace(WRITES, points=(point,)))
    assert "1 point would lose the last rule of ours" in refused.message
    assert no(cap.check, replace(WRITES, points=(replace(point, ours_after=let("192.0.2.1")),))) == []
    assert no(cap.check, replace(WRITES, points=(replace(point, enforced=False),))) == []
    assert no(cap.check, replace(WRITES, points=(replace(point, rightful=Access()),))) == [], "others put it there"
    assert no(cap.check, replace(WRITES, points=(replace(point, rightful=point.ours_before),)))


def test_foreign_rules_do_not_count_as_ours() -> None:
    assert no(cap.check, replace(WRITES, points=(touched("web1", let(ANYWHERE), Access()),))) == []


# --- G-AFFECTED ------------------------------------------------------------------------------------------------------


def changing(count: int, of: int, before: Access, after: Access) -> TargetPlan:
    points = tuple(touched(f"web{number}", before, after) for number in range(count))
    return replace(WRITES, points=points, workloads=of)


@pytest.mark.parametrize(("count", "of", "refuses"), [(10, 100, False), (11, 100, True), (1, 1, False), (2, 19, True), (2, 20, False)])
def test_workloads_whose_packets_change_are_capped(count: int, of: int, *, refuses: bool) -> None:
    refused = no(affected.check, changing(count, of, let(OFFICE), let("192.0.2.0/25")))
    assert bool(refused) is refuses
    assert all(one.guard == "G-AFFECTED" and one.approve for one in refused)


def test_two_interfaces_of_one_workload_count_once() -> None:
    plan = changing(11, 100, let(OFFICE), Access())
    merged = tuple(replace(point, workload=WorkloadId("mem/i-1")) for point in plan.points)
    assert no(affected.check, replace(plan, points=merged)) == []


def test_unchanged_packets_do_not_count() -> None:
    assert no(affected.check, changing(50, 100, let(OFFICE), let(OFFICE))) == []


def test_machines_that_come_and_go_do_not_count() -> None:
    plan = changing(50, 100, let("10.0.0.1"), let("10.0.0.0/31"))
    assert no(affected.check, plan)
    assert no(affected.check, replace(plan, churn=AddressSet.of("10.0.0.0"))) == []
    assert no(affected.check, replace(plan, churn=AddressSet.of("10.0.0.1")))
    joining = tuple(replace(point, sibling=let("10.0.0.0/31")) for point in plan.points)
    assert no(affected.check, replace(plan, points=joining)) == []


def test_hundred_percent_lets_a_first_adoption_through() -> None:
    """Neighbours that are no workloads of ours may change too: all of them is still no limit."""
    plan = replace(changing(103, 100, let(OFFICE), Access()), limits=GuardLimits(max_affected_workloads=100))
    assert no(affected.check, plan) == []


# --- G-OPEN ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "refuses"),
    [
        (Access(), let(ANYWHERE), True),
        (Access(), let("0.0.0.0/0"), True),
        (Access(), let("::/0"), True),
        (Access(), let("128.0.0.0/1"), True),
        (Access(), let("12.0.0.0/8"), True),
        (Access(), let("12.0.0.0/9"), False),
        (Access(), let("2600::/16"), True),
        (Access(), let("2600::/17"), False),
        (Access(), let("10.0.0.0/8"), False),
        (Access(), let("fc00::/7"), False),
        (let(ANYWHERE), let(ANYWHERE), False),
        (let(ANYWHERE), Access(), False),
        (let(ANYWHERE, SSH), let(ANYWHERE), True),
        (let("0.0.0.0/1"), let("0.0.0.0/0"), True),
        (Access(), Access(outbound=ALL_PACKETS), False),
    ],
)
def test_a_new_opening_to_any_source_needs_approval(before: Access, after: Access, *, refuses: bool) -> None:
    refused = no(opening.check, replace(WRITES, points=(touched("web1", before, after),)))
    assert bool(refused) is refuses
    assert all(one.guard == "G-OPEN" and one.message == "opens 1 workload to any source" for one in refused)


def test_the_opening_says_which_service_and_whose_labels() -> None:
    (refused,) = no(opening.check, replace(WRITES, points=(touched("web1", Access(), let(ANYWHERE)),)))
    assert refused.objects == ("tcp/443: web1 (role=web)",)


def test_what_a_sibling_already_has_is_no_new_opening() -> None:
    point = replace(touched("web9", Access(), let(ANYWHERE)), sibling=let(ANYWHERE))
    assert no(opening.check, replace(WRITES, points=(point,))) == []
    assert no(opening.check, replace(WRITES, points=(replace(point, sibling=let(ANYWHERE, SSH)),)))


def test_openings_may_be_allowed_by_the_settings() -> None:
    plan = replace(WRITES, points=(touched("web1", Access(), let(ANYWHERE)),), limits=GuardLimits(open_to_internet=True))
    assert no(opening.check, plan) == []


# --- G-MGMT ----------------------------------------------------------------------------------------------------------

GUARDED = GuardLimits(management=AddressSet.of("192.0.2.0/28"))


@pytest.mark.parametrize(
    ("before", "after", "flow"),
    [
        (let(OFFICE, SSH), let("192.0.2.0/28", SSH), ""),
        (let(OFFICE, SSH), let("192.0.2.0/29", SSH), "tcp/22 from 192.0.2.8/29"),
        (let(OFFICE, SSH), let(OFFICE, HTTPS), "tcp/22 from 192.0.2.0/28"),
        (let("192.0.2.16/28", SSH), Access(), ""),
        (Access(), Access(), ""),
    ],
)
def test_what_is_open_to_management_stays_open(before: Access, after: Access, flow: str) -> None:
    refused = no(mgmt.check, replace(WRITES, points=(touched("web1", before, after),), limits=GUARDED))
    assert [one.must_name for one in refused] == ([(flow,)] if flow else [])
    assert all(f"--names {shlex.quote(flow)}" in one.approve for one in refused)


@pytest.mark.parametrize(("sibling", "flow"), [(let(OFFICE, HTTPS), ""), (let(OFFICE, SSH), "tcp/22 from 192.0.2.0/28")])
def test_a_machine_that_joins_its_like_keeps_what_they_have_and_no_more(sibling: Access, flow: str) -> None:
    joins = replace(touched("web3", let(OFFICE, SSH), let(OFFICE, HTTPS)), sibling=sibling)
    refused = no(mgmt.check, replace(WRITES, points=(joins,), limits=GUARDED))
    assert [one.must_name for one in refused] == ([(flow,)] if flow else [])


@pytest.mark.parametrize(
    ("applied", "flow"),
    [
        (let(OFFICE, SSH), "tcp/22 from 192.0.2.0/28"),  # by right, though a foreign deny keeps the platform from being held to it
        (let(OFFICE, HTTPS), ""),  # somebody put it there: taken back without a question
        (None, ""),
    ],
)
def test_what_our_rules_let_in_counts_as_far_as_it_was_applied(applied: Access | None, flow: str) -> None:
    point = replace(touched("web1", let(OFFICE, SSH), Access()), ours_before=let(OFFICE, SSH), rightful=Access(), applied=applied)
    refused = no(mgmt.check, replace(WRITES, points=(point,), limits=GUARDED))
    assert [one.must_name for one in refused] == ([(flow,)] if flow else [])


def test_a_management_flow_cut_on_the_way_is_refused() -> None:
    loss = ManagementLoss(POINT, "tcp/22 from 192.0.2.1 to web1", "revoke 2 rules")
    (refused,) = no(mgmt.check, replace(WRITES, management_losses=(loss,), limits=GUARDED))
    assert refused.must_name == ("tcp/22 from 192.0.2.1 to web1",)


# --- G-QUOTA ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peak", "of", "refuses"), [(57, 60, False), (58, 60, True), (5, 5, False), (6, 5, True), (950, 1000, False), (951, 1000, True)]
)
def test_a_peak_has_to_leave_the_reserve(peak: int, of: int, *, refuses: bool) -> None:
    refused = no(quota.check, replace(WRITES, peaks=(Peak("sg-1", "inbound IPv4 rules", peak, of, ("web#1",)),)))
    assert bool(refused) is refuses
    assert all(not one.approve and "web#1" in one.objects[0] for one in refused)


# --- G-PROOF ---------------------------------------------------------------------------------------------------------

PACKET = Packet(Family.V4, 0x0A000001, 6, 22)
DIFFERENCE = Difference(POINT, "inbound", "excess", PACKET)


def harm(kind: str) -> Replay:
    return Replay(3, (Violation(kind, "move", "set groups", POINT, "inbound", PACKET),))


@pytest.mark.parametrize(
    ("plan", "approvable"),
    [
        (replace(WRITES, certificate=None), False),
        (replace(WRITES, certificate=Certificate(1, (DIFFERENCE,))), False),
        (replace(WRITES, certificate=Certificate(1, reached=False)), False),
        (replace(WRITES, replay=None), False),
        (replace(WRITES, replay=harm("exposure")), False),
        (replace(WRITES, replay=harm("outage")), True),
    ],
)
def test_an_unproven_plan_is_refused_and_only_an_outage_can_be_approved(plan: TargetPlan, *, approvable: bool) -> None:
    (refused,) = no(proof.check, plan)
    assert refused.guard == "G-PROOF"
    assert bool(refused.approve) is approvable
    assert refused.must_name == (("10.0.0.1 tcp/22",) if approvable else ())
    assert no(proof.check, replace(plan, phases=())) == []


# --- problems --------------------------------------------------------------------------------------------------------


def test_problems_pass_through_with_their_code() -> None:
    (refused,) = no(problems.check, replace(HARMLESS, problems=(Problem("G-QUOTA", "61 of 60", "raise it", ("web#1",)),)))
    assert (refused.guard, refused.message, refused.objects, refused.approve) == ("G-QUOTA", "61 of 60; raise it", ("web#1",), "")


@pytest.mark.parametrize(
    ("verdict", "accepted", "refuses"),
    [
        (Verdict.EXACT, False, False),
        (Verdict.STRICTER, False, False),
        (Verdict.LOOSER, True, False),
        (Verdict.LOOSER, False, True),
        (Verdict.CANNOT, False, True),
        (Verdict.CANNOT, True, True),
    ],
)
def test_a_rule_said_looser_without_acceptance_is_refused(verdict: Verdict, *, accepted: bool, refuses: bool) -> None:
    plan = replace(WRITES, fidelity=(Fidelity("web#1", "mem", verdict, "no types", accepted),))
    assert [one.guard for one in no(problems.check, plan)] == (["FIDELITY"] if refuses else [])


def test_a_refusal_prints_number_limit_objects_and_the_command() -> None:
    plan = changing(11, 100, let(OFFICE), Access())
    text = no(affected.check, plan)[0].text()
    assert text.splitlines()[0] == "REFUSED G-AFFECTED mem: would change the packets of 11 of 100 workloads (11 %, limit 10 % = 10)"
    assert text.splitlines()[-2] == "    and 1 more"
    command = f'cloudsync approve {target_digest(plan)[:16]} --guard G-AFFECTED --until 24h --because "checked by hand"'
    assert text.splitlines()[-1] == f"    if that is right:  {command}"
