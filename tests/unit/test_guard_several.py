"""A guard looks at all there is: every scope, every point, both directions; what is quiet hides nothing that comes after it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudsync.adapter import Access, Effect, Phase, Problem, Step
from cloudsync.guard import affected, cap, complete, mgmt, problems, shrink
from cloudsync.guard import open as opening
from cloudsync.guard.every import check_all
from cloudsync.guard.values import Guard, Refusal
from cloudsync.model.address import ANYWHERE, AddressSet
from cloudsync.model.fidelity import Fidelity, Verdict
from cloudsync.model.packets import ALL_PACKETS, PacketSet
from cloudsync.model.service import ServiceSet
from cloudsync.model.workload import WorkloadId
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.terraform import Touch
from cloudsync.plan.values import IdentityCheck, InventoryScope, ManagementLoss, Peak, ScopeRules, TargetPlan, TouchedPoint
from cloudsync.testing.plans import HARMLESS, touched

SSH, HTTPS = ServiceSet.ports(6, 22, 22), ServiceSet.ports(6, 443, 443)
OFFICE = AddressSet.of("192.0.2.0/24")
LET = PacketSet.of(OFFICE, SSH)
NOTHING = Access()


def no(guard: Guard, plan: TargetPlan) -> list[Refusal]:
    return list(guard(plan, plan.limits))


def with_points(*points: TouchedPoint, plan: TargetPlan = HARMLESS) -> TargetPlan:
    return replace(plan, points=points)


def with_steps(*steps: Step, plan: TargetPlan = HARMLESS) -> TargetPlan:
    return replace(plan, phases=(Phase("only", steps),))


def one_way(direction: str, packets: PacketSet = LET) -> Access:
    return Access(packets) if direction == "inbound" else Access(outbound=packets)


BOTH = pytest.mark.parametrize("direction", ["inbound", "outbound"])


def test_a_quiet_scope_hides_no_other() -> None:
    calm, bad = ScopeRules("mem/a", 10, 10, 0), ScopeRules("mem/b", 10, 5, 5)
    assert [one.scope for one in no(cap.check, replace(HARMLESS, rules=(calm, bad, calm, replace(bad, scope="mem/c"))))] == [
        "mem/b",
        "mem/c",
    ]
    whole = InventoryScope("mem/a", "mem", verified=10, now=10)
    never, gone = replace(whole, verified=None), replace(whole, scope="mem/b", now=0)
    plan = replace(HARMLESS, inventory=(never, whole, gone, whole, replace(gone, scope="far/c", target="far")))
    assert [one.scope for one in no(shrink.check, plan)] == ["mem/b", "far/c"]
    partial = tuple(InventoryScope(f"mem/{name}", "mem", "cut", verified=1, now=1) for name in "cab")
    takes = tuple(Step(name, "Act", f"mem/{name}", name, name, Effect.SHRINKS, "{}", mark="m") for name in "abc")
    refused = no(complete.check, with_steps(*takes, plan=replace(HARMLESS, inventory=partial)))
    assert [(one.scope, one.objects) for one in refused] == [("mem/a", ("a",)), ("mem/b", ("b",)), ("mem/c", ("c",))]


def test_only_the_steps_that_take_rules_from_the_scope_are_named() -> None:
    grows = Step("g", "Act", "mem/one", "o", "grows", Effect.GROWS, "{}", mark="m")
    takes = replace(grows, key="t", title="takes", effect=Effect.SHRINKS, removes=2)
    plan = with_steps(grows, takes, replace(takes, key="f", title="far", scope="mem/two"))
    (refused,) = no(cap.check, replace(plan, rules=(ScopeRules("mem/one", 4, 2, 2),)))
    assert refused.objects == ("takes",)
    assert refused.approve


def test_an_empty_scope_that_loses_nothing_is_no_removal() -> None:
    assert no(cap.check, replace(HARMLESS, rules=(ScopeRules("mem/one", 0, 0, 0),))) == []


@BOTH
def test_the_last_rule_of_ours_counts_in_either_direction(direction: str) -> None:
    ours = one_way(direction)
    point = replace(touched("web1", ours, NOTHING), ours_before=ours)
    assert no(cap.check, with_points(point))
    assert no(cap.check, with_points(replace(point, ours_after=one_way(direction, PacketSet.of(AddressSet.of("192.0.2.1"), SSH))))) == []
    assert no(cap.check, with_points(replace(point, rightful=NOTHING))) == [], "somebody else put it there"
    elsewhere = one_way(direction, PacketSet.of(OFFICE, HTTPS))
    assert no(cap.check, with_points(replace(point, rightful=elsewhere))) == [], "what was there was not what we had put there"
    assert no(cap.check, with_points(replace(point, ours_before=NOTHING, rightful=ours))) == [], "it was gone before"
    assert no(cap.check, with_points(replace(point, rightful=ours)))


@BOTH
def test_closing_counts_in_either_direction_and_only_where_it_was_by_right(direction: str) -> None:
    unseen = replace(HARMLESS, unseen=OFFICE)
    point = touched("web1", one_way(direction), NOTHING)
    assert no(complete.check, with_points(point, plan=unseen))
    assert no(complete.check, with_points(replace(point, after=point.before), plan=unseen)) == [], "it stays open"
    assert no(complete.check, with_points(replace(point, rightful=NOTHING), plan=unseen)) == [], "others opened it"
    assert no(complete.check, with_points(replace(point, rightful=point.before), plan=unseen))
    assert no(complete.check, with_points(replace(point, before=NOTHING, rightful=point.before), plan=unseen)) == [], "nothing closes"
    partial = replace(HARMLESS, inventory=(InventoryScope("mem/one", "mem", "cut", verified=1, now=1),))
    assert no(complete.check, with_points(point, plan=partial))
    assert no(complete.check, with_points(replace(point, after=point.before), plan=partial)) == []


def test_a_partial_scope_names_only_its_own_points_that_lose_something() -> None:
    partial = replace(HARMLESS, inventory=(InventoryScope("mem/one", "mem", "cut", verified=1, now=1),))
    loses = touched("web1", Access(LET), NOTHING)
    keeps = touched("web2", NOTHING, Access(LET))
    far = replace(touched("web3", Access(LET), NOTHING), scope="mem/two")
    (refused,) = no(complete.check, with_points(loses, keeps, far, plan=partial))
    assert refused.objects == ("web1 (mem/one/web1)",)


def test_a_point_in_a_partial_scope_is_refused_once_although_its_peers_were_not_seen_either() -> None:
    partial = replace(HARMLESS, inventory=(InventoryScope("mem/one", "mem", "cut", verified=1, now=1),), unseen=OFFICE)
    assert len(no(complete.check, with_points(touched("web1", Access(LET), NOTHING), plan=partial))) == 1


def test_another_targets_partial_scope_stops_no_step_of_ours_by_its_name_alone() -> None:
    same_name = replace(HARMLESS, inventory=(InventoryScope("mem/one", "far", "cut", verified=1, now=1),))
    assert no(complete.check, with_steps(Step("k", "Act", "mem/one", "o", "t", Effect.SHRINKS, "{}", mark="m"), plan=same_name)) == []


def test_a_scope_that_was_read_whole_for_the_first_time_stops_nothing() -> None:
    first = replace(HARMLESS, inventory=(InventoryScope("mem/one", "mem", verified=None, now=3),))
    assert no(complete.check, with_points(touched("web1", Access(LET), NOTHING), plan=first)) == []


def test_a_new_object_that_shrinks_somebody_elses_access_is_a_removal() -> None:
    partial = replace(HARMLESS, inventory=(InventoryScope("mem/one", "mem", "cut", verified=1, now=1),))
    create = Step("c", "Create", "mem/one", "new", "create", Effect.NONE, "{}")
    for effect in (Effect.SHRINKS, Effect.SWAPS):
        move = Step("m", "Act", "mem/one", "new", "move", effect, "{}", mark="m")
        assert [one.objects for one in no(complete.check, with_steps(create, move, plan=partial))] == [("move",)]


def test_a_limit_one_below_all_is_still_a_limit() -> None:
    points = tuple(touched(f"web{number}", Access(LET), NOTHING) for number in range(100))
    for percent, refused in ((99, True), (100, False)):
        plan = replace(HARMLESS, points=points, limits=GuardLimits(max_affected_workloads=percent))
        assert bool(no(affected.check, plan)) is refused


def test_what_is_affected_and_opened_is_listed_by_name_whatever_the_order_of_the_points() -> None:
    names = ("c", "a", "b")
    plan = replace(HARMLESS, workloads=3, points=tuple(touched(name, NOTHING, Access(PacketSet.of(ANYWHERE, SSH))) for name in names))
    assert [one.objects for one in no(affected.check, plan)] == [("a (role=web)", "b (role=web)", "c (role=web)")]
    (refused,) = no(opening.check, plan)
    assert refused.objects == ("tcp/22: a (role=web)", "tcp/22: b (role=web)", "tcp/22: c (role=web)")


def test_what_was_wide_open_by_right_is_no_new_opening_when_it_comes_back() -> None:
    wide = Access(PacketSet.of(ANYWHERE, SSH))
    cut_by_others = replace(touched("web1", NOTHING, wide), rightful=wide)
    assert no(opening.check, with_points(cut_by_others)) == []
    assert no(opening.check, with_points(replace(cut_by_others, rightful=Access(LET))))


def test_management_keeps_what_it_had_by_right_and_what_is_there_of_it() -> None:
    limits = GuardLimits(management=OFFICE)
    loses = replace(touched("web1", Access(LET), NOTHING))
    assert no(mgmt.check, replace(with_points(loses), limits=limits))
    assert no(mgmt.check, replace(with_points(replace(loses, rightful=NOTHING)), limits=limits)) == [], "others opened it"
    assert no(mgmt.check, replace(with_points(replace(loses, before=NOTHING, rightful=Access(LET))), limits=limits)) == [], (
        "it was shut before"
    )
    sibling_has_more = replace(loses, rightful=NOTHING, sibling=Access(LET))
    assert no(mgmt.check, replace(with_points(sibling_has_more), limits=limits)) == [], "a sibling's access is no right of its own"
    assert no(mgmt.check, with_points(loses)) == [], "nobody is named as management"


def test_a_flow_that_is_lost_for_good_is_not_told_again_as_cut_on_the_way() -> None:
    loses = touched("web1", Access(LET), NOTHING)
    losses = (
        ManagementLoss(loses.point, "tcp/22 to web1", "s"),
        ManagementLoss(touched("web2", NOTHING, NOTHING).point, "tcp/22 to web2", "s"),
    )
    plan = replace(with_points(loses), management_losses=losses, limits=GuardLimits(management=OFFICE))
    lost, cut = no(mgmt.check, plan)
    assert lost.must_name == ("tcp/22 from 192.0.2.0/24",)
    assert cut.must_name == ("tcp/22 to web2",)
    assert cut.approve


@pytest.mark.parametrize("count", [20, 21])
def test_a_lost_flow_of_many_parts_names_twenty_of_them(count: int) -> None:
    parts = [PacketSet.of(AddressSet.of(f"192.0.2.{number}"), ServiceSet.ports(6, 2 * number, 2 * number)) for number in range(count)]
    loses = touched("w", Access(PacketSet.union_all(parts)), NOTHING)
    (refused,) = no(mgmt.check, replace(with_points(loses), limits=GuardLimits(management=OFFICE)))
    (flow,) = refused.must_name
    assert flow.count(" from ") == 20
    assert ("1 more" in flow) is (count == 21)


def test_limits_are_percentages_from_none_to_all() -> None:
    for share in (0, 100):
        assert GuardLimits(share, share, share, quota_reserve=share).quota_reserve == share
    for share in (-1, 101):
        with pytest.raises(ValueError, match=f"^max_gone_workloads {share}: want 0-100$"):
            GuardLimits(share)
        with pytest.raises(ValueError, match=f"^quota_reserve {share}: want 0-100$"):
            GuardLimits(quota_reserve=share)


def test_a_rule_that_a_problem_names_is_not_told_twice() -> None:
    cannot = Fidelity("web#1", "mem", Verdict.CANNOT, "no types")
    plan = replace(HARMLESS, problems=(Problem("FIDELITY", "cannot", "", ("web#1",)),), fidelity=(cannot, replace(cannot, rule="web#2")))
    assert [one.message for one in no(problems.check, plan)] == ["cannot", "web#2 on mem: cannot; no types"]


SAD: list[tuple[str, TargetPlan]] = [
    ("G-IDENTITY", replace(HARMLESS, identity=IdentityCheck("1", None))),
    ("TERRAFORM", replace(HARMLESS, terraform=(Touch("a", "it"),))),
    ("SAID", replace(HARMLESS, problems=(Problem("SAID", "by the encoder"),))),
    ("G-COMPLETE", with_points(touched("w", Access(LET), NOTHING), plan=replace(HARMLESS, unseen=OFFICE))),
    ("G-SHRINK", replace(HARMLESS, inventory=(InventoryScope("mem/one", "mem", verified=3, now=0),))),
    ("G-CAP", replace(HARMLESS, rules=(ScopeRules("mem/one", 1, 0, 1),))),
    ("G-AFFECTED", with_points(*(touched(name, NOTHING, Access(LET)) for name in "ab"), plan=replace(HARMLESS, workloads=2))),
    ("G-OPEN", with_points(touched("w", NOTHING, Access(ALL_PACKETS)))),
    ("G-MGMT", replace(HARMLESS, management_losses=(ManagementLoss(touched("w", NOTHING, NOTHING).point, "f", "s"),))),
    ("G-QUOTA", replace(HARMLESS, peaks=(Peak("sg", "rules", 2, 1),))),
    ("G-PROOF", replace(with_steps(Step("k", "Act", "mem/one", "o", "t", Effect.GROWS, "{}", mark="m")), replay=None)),
]


@pytest.mark.parametrize(("code", "plan"), SAD)
def test_one_sad_reason_among_happy_plans_is_refused_by_its_guard_alone(code: str, plan: TargetPlan) -> None:
    others = (replace(HARMLESS, target="far"), replace(HARMLESS, target="near"))
    checked = check_all((others[0], plan, others[1]), (), 0.0)
    assert [(one.guard, one.target) for one in checked.refusals] == [(code, "mem")]
    assert checked.overridden == ()


def test_two_interfaces_of_one_workload_are_one_opening_and_a_point_of_nobody_is_one_too() -> None:
    wide = Access(PacketSet.of(ANYWHERE, SSH))
    same = tuple(replace(touched(name, NOTHING, wide), workload=WorkloadId("mem/w")) for name in "ab")
    nobody = replace(touched("c", NOTHING, wide), workload=None)
    (refused,) = no(opening.check, with_points(*same, nobody))
    assert refused.message == "opens 2 workloads to any source"
