"""Defects in guards and approvals: each guard switched off has to be noticed by its own test, with no other guard run beside it."""

from __future__ import annotations

from tests.seeded.planting import Defect

_ALONE = "tests/unit/test_guard_each.py::"
_APPROVAL = "tests/unit/test_guard_approval.py::"


_CHECK = "def check(plan: TargetPlan, limits: GuardLimits) -> Iterator[Refusal]:\n"
_SILENT = "def check(plan: TargetPlan, limits: GuardLimits) -> Iterator[Refusal]:\n    return iter(())\n\n\n"


def _off(name: str, breaks: str, test: str) -> Defect:
    """Return a guard that says nothing any more."""
    new = _SILENT + _CHECK.replace("check", "unused")
    return Defect(f"guard-{name}-off", f"cloudsync/guard/{name}.py", _CHECK, new, breaks, (_ALONE + test,))


SWITCHED_OFF = (
    _off(
        "identity",
        "The credentials of another account are written with.",
        "test_identity_of_another_account_is_refused_for_good",
    ),
    _off(
        "complete",
        "Rules go because half of the inventory was not read.",
        "test_removals_in_a_partial_scope_are_refused",
    ),
    _off(
        "shrink",
        "An inventory that came back nearly empty is believed.",
        "test_a_shrunken_scope_is_refused_beyond_its_limit",
    ),
    _off(
        "cap",
        "One run may remove every rule that we own.",
        "test_removals_of_own_rules_are_capped_per_scope",
    ),
    _off(
        "affected",
        "One rule may change the packets of every workload unasked.",
        "test_workloads_whose_packets_change_are_capped",
    ),
    _off(
        "open",
        "A workload is opened to the internet without anybody's yes.",
        "test_a_new_opening_to_any_source_needs_approval",
    ),
    _off(
        "mgmt",
        "The operators lock themselves out.",
        "test_what_is_open_to_management_stays_open",
    ),
    _off(
        "quota",
        "A plan runs into the quota in the middle.",
        "test_a_peak_has_to_leave_the_reserve",
    ),
    _off(
        "proof",
        "A plan that nobody proved is written.",
        "test_an_unproven_plan_is_refused_and_only_an_outage_can_be_approved",
    ),
    _off(
        "problems",
        "A table that the platform cannot say is written all the same.",
        "test_problems_pass_through_with_their_code",
    ),
)

DEFECTS = (
    *SWITCHED_OFF,
    Defect(
        name="guard-forgotten-in-the-list",
        file="cloudsync/guard/every.py",
        old="    shrink.check,\n",
        new="",
        breaks="A guard exists, is tested, and is never asked.",
        tests=(_ALONE + "test_every_guard_is_asked",),
    ),
    Defect(
        name="guard-open-counts-spelling-not-packets",
        file="cloudsync/guard/open.py",
        old="intervals.size(intervals.intersection(peers, public)) >= ANY_SOURCE[family]",
        new="peers == (0, 1 << family.width)",
        breaks="Two halves of the internet are not the internet.",
        tests=(_ALONE + "test_a_new_opening_to_any_source_needs_approval",),
    ),
    Defect(
        name="guard-mgmt-forgets-the-way",
        file="cloudsync/guard/mgmt.py",
        old="cut = [loss for loss in plan.management_losses if loss.point not in lost]",
        new="cut: list[ManagementLoss] = []",
        breaks="A management flow may be cut for a while if it comes back.",
        tests=(_ALONE + "test_a_management_flow_cut_on_the_way_is_refused",),
    ),
    Defect(
        name="guard-proof-approves-exposure",
        file="cloudsync/guard/proof.py",
        old='would expose packets", exposed)',
        new='would expose packets", exposed, about=About(approvable=True))',
        breaks="Somebody can approve an exposure away.",
        tests=(_ALONE + "test_an_unproven_plan_is_refused_and_only_an_outage_can_be_approved",),
    ),
    Defect(
        name="guard-cap-percent-rounded-up",
        file="cloudsync/plan/limits.py",
        old="max(1, of * percent // 100)",
        new="max(1, -(-of * percent // 100))",
        breaks="Every limit lets one object more through than the settings say.",
        tests=(_ALONE + "test_limits_are_shares_rounded_down_but_never_below_one",),
    ),
    Defect(
        name="approval-never-expires",
        file="cloudsync/guard/approval.py",
        old="approval.created <= now < approval.until and",
        new="approval.created <= now and",
        breaks="A yes of last year still holds.",
        tests=(_APPROVAL + "test_an_approval_that_does_not_hold_says_why",),
    ),
    Defect(
        name="approval-for-any-plan",
        file="cloudsync/guard/approval.py",
        old="approval.target == plan.target and approval.digest == digest\n",
        new="approval.target == plan.target\n",
        breaks="A yes to one plan is a yes to every other.",
        tests=(_APPROVAL + "test_an_approval_that_does_not_hold_says_why",),
    ),
    Defect(
        name="approval-of-what-cannot-be-approved",
        file="cloudsync/guard/approval.py",
        old="    if not refused.approve:\n        return None\n",
        new="",
        breaks="The wrong account can be approved.",
        tests=(_APPROVAL + "test_nothing_overrides_what_cannot_be_overridden",),
    ),
    Defect(
        name="approval-of-a-loss-unread",
        file="cloudsync/guard/approval.py",
        old=" and set(refused.must_name) <= set(approval.names)",
        new="",
        breaks="A lockout is approved without its flow being named.",
        tests=(_APPROVAL + "test_a_management_loss_is_approved_only_by_name",),
    ),
    Defect(
        name="stored-plan-that-moved",
        file="cloudsync/guard/approval.py",
        old="    if target_digest(plan) != target_digest(fresh):\n",
        new="    if plan.target != fresh.target:\n",
        breaks="A plan of yesterday is applied to the world of today.",
        tests=(_APPROVAL + "test_a_stored_plan_that_moved_is_refused",),
    ),
    Defect(
        name="digest-forgets-the-limits",
        file="cloudsync/plan/document.py",
        old='"owner", "identity", "limits", "snapshot_digest"',
        new='"owner", "identity", "snapshot_digest"',
        breaks="Raised limits leave an old approval standing.",
        tests=(_APPROVAL + "test_every_difference_in_what_is_done_or_read_is_another_digest",),
    ),
    Defect(
        name="digest-forgets-the-order",
        file="cloudsync/plan/document.py",
        old='("scopes", "method", "phases", "adoptions"',
        new='("scopes", "method", "adoptions"',
        breaks="Two plans with other steps have one digest.",
        tests=(_APPROVAL + "test_every_difference_in_what_is_done_or_read_is_another_digest",),
    ),
)
