"""What each guard says, whole: number and limit, what is concerned, and the command only where a command helps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudsync.adapter import Access, Effect, Phase, Problem, Step
from cloudsync.guard import affected, approval, cap, complete, identity, mgmt, problems, proof, quota, shrink, terraform
from cloudsync.guard.every import GUARDS
from cloudsync.guard.values import DIGITS, Approval, Guard, Refusal, share
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.fidelity import Fidelity, Verdict
from cloudsync.model.packets import Packet, PacketSet
from cloudsync.model.service import ServiceSet
from cloudsync.model.workload import Labels, PointId, WorkloadId
from cloudsync.plan.document import target_digest
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.terraform import Touch
from cloudsync.plan.values import (
    Component,
    CourseMethod,
    Gap,
    IdentityCheck,
    InventoryScope,
    ManagementLoss,
    Peak,
    ScopeRules,
    TargetPlan,
)
from cloudsync.proof.values import Certificate, Difference, PathReplay, PathViolation, Replay, Stop, Violation
from cloudsync.testing.plans import HARMLESS, touched

SSH = ServiceSet.ports(6, 22, 22)
OFFICE = AddressSet.of("192.0.2.0/28")
FROM_OFFICE = Access(PacketSet.of(OFFICE, SSH))
POINT = PointId("mem/one/web1")
PACKET = Packet(Family.V4, 0x0A000001, 6, 22)
OTHER_PACKET = Packet(Family.V4, 0x0A000001, 6, 443)
EXPOSED = "mem/one/web1 inbound 10.0.0.1 tcp/{} would be open although neither the old nor the new state opens it"
LOSES = touched("web1", FROM_OFFICE, Access())


def taking(title: str, scope: str = "mem/one") -> Step:
    return Step(f"k/{title}", "Revoke", scope, f"o/{title}", title, Effect.SHRINKS, "{}", removes=1, mark="m")


def writing(*steps: Step) -> TargetPlan:
    return replace(HARMLESS, phases=(Phase("only", steps or (taking("revoke 1 rule"),)),))


WRITES = writing()
PARTIAL = InventoryScope("mem/one", "mem", "page 2 failed", verified=10, now=5)


def violating(*kinds: str) -> TargetPlan:
    packets = (OTHER_PACKET, PACKET)
    broken = tuple(Violation(kind, "move", "set groups", POINT, "inbound", packet) for kind in kinds for packet in packets)
    return replace(WRITES, replay=Replay(3, broken))


def said(refused: Refusal) -> str:
    """The text for people without the digest, which differs from plan to plan."""
    return refused.text().replace(refused.approve, refused.approve.replace(refused.approve.split()[2], "DIGEST") if refused.approve else "")


def asks(guard: str, names: str = "") -> str:
    return f'\n    if that is right:  cloudsync approve DIGEST --guard {guard}{names} --until 24h --because "checked by hand"'


SAYINGS: list[tuple[Guard, TargetPlan, str]] = [
    (
        identity.check,
        replace(WRITES, identity=IdentityCheck("1111", None)),
        "REFUSED G-IDENTITY mem: expected 1111, identity could not be read: no answer",
    ),
    (
        terraform.check,
        replace(WRITES, terraform=tuple(Touch(f"aws.g{number}", "delete it") for number in range(2))),
        "REFUSED TERRAFORM mem: would touch 2 objects that Terraform owns: aws.g0, aws.g1\n    aws.g0: delete it\n    aws.g1: delete it",
    ),
    (
        complete.check,
        replace(writing(taking("revoke 1 rule"), taking("delete sg-9")), inventory=(PARTIAL,)),
        "REFUSED G-COMPLETE mem mem/one: 2 removals in a scope that was not read whole (page 2 failed)\n    revoke 1 rule\n    delete sg-9",
    ),
    (
        complete.check,
        replace(HARMLESS, inventory=(PARTIAL,), points=(LOSES,)),
        "REFUSED G-COMPLETE mem mem/one: 1 removal in a scope that was not read whole (page 2 failed)\n    web1 (mem/one/web1)",
    ),
    (
        complete.check,
        replace(HARMLESS, points=(LOSES,), unseen=OFFICE),
        "REFUSED G-COMPLETE mem: access would close at 1 points, but the peers were not seen in this run\n    web1 (mem/one/web1)",
    ),
    (
        complete.check,
        replace(HARMLESS, points=(LOSES,), inventory=tuple(InventoryScope(f"far/{name}", "far", "no route") for name in ("two", "one"))),
        "REFUSED G-COMPLETE mem: access would close at 1 points, but scope far/one, far/two was never read whole\n    web1 (mem/one/web1)",
    ),
    (
        shrink.check,
        replace(
            HARMLESS, inventory=(InventoryScope("mem/one", "mem", verified=2, now=0, gone=(WorkloadId("mem/a"), WorkloadId("mem/b"))),)
        ),
        "REFUSED G-SHRINK mem mem/one: all 2 verified workloads are gone; a scope is never emptied unasked\n    mem/a\n    mem/b"
        + asks("G-SHRINK"),
    ),
    (
        cap.check,
        replace(WRITES, rules=(ScopeRules("mem/one", 4, 0, 4),)),
        "REFUSED G-CAP mem mem/one: would remove all 4 of our rules; a scope is never emptied unasked\n    revoke 1 rule" + asks("G-CAP"),
    ),
    (
        cap.check,
        replace(writing(taking("revoke 2 rules"), taking("far", "mem/two")), rules=(ScopeRules("mem/one", 8, 5, 3),)),
        "REFUSED G-CAP mem mem/one: would remove 3 of 8 of our rules (37 %, limit 30 % = 2)\n    revoke 2 rules" + asks("G-CAP"),
    ),
    (
        cap.check,
        replace(HARMLESS, points=(replace(LOSES, ours_before=FROM_OFFICE),)),
        "REFUSED G-CAP mem: 1 point would lose the last rule of ours\n    web1 (mem/one/web1)" + asks("G-CAP"),
    ),
    (
        affected.check,
        replace(
            HARMLESS,
            workloads=12,
            points=(touched("b", FROM_OFFICE, Access()), replace(touched("a", FROM_OFFICE, Access()), labels=Labels())),
        ),
        "REFUSED G-AFFECTED mem: would change the packets of 2 of 12 workloads (16 %, limit 10 % = 1)\n    a (no label)\n    b (role=web)"
        + asks("G-AFFECTED"),
    ),
    (
        mgmt.check,
        replace(
            HARMLESS,
            limits=GuardLimits(management=OFFICE),
            points=(touched("z", FROM_OFFICE, Access()), touched("a", FROM_OFFICE, Access())),
        ),
        "REFUSED G-MGMT mem: 2 points would no longer be open to management: tcp/22 from 192.0.2.0/28\n"
        "    a (mem/one/a): tcp/22 from 192.0.2.0/28\n    z (mem/one/z): tcp/22 from 192.0.2.0/28"
        + asks("G-MGMT", " --names 'tcp/22 from 192.0.2.0/28'"),
    ),
    (
        mgmt.check,
        replace(HARMLESS, management_losses=tuple(ManagementLoss(POINT, flow, "revoke") for flow in ("tcp/443", "tcp/22"))),
        "REFUSED G-MGMT mem: 2 management flows would be cut on the way\n"
        "    mem/one/web1 during revoke: tcp/443\n    mem/one/web1 during revoke: tcp/22"
        + asks("G-MGMT", " --names tcp/22 --names tcp/443"),
    ),
    (
        quota.check,
        replace(WRITES, peaks=(Peak("sg-1", "inbound rules", 120, 100, ("web#1", "web#2")), Peak("sg-2", "tags", 96, 100))),
        (
            "REFUSED G-QUOTA mem: 2 objects would be over their quota (less 5 % reserve)\n"
            "    sg-1: 120 inbound rules, quota 100 leaves 95; rules: web#1, web#2\n    sg-2: 96 tags, quota 100 leaves 95"
        ),
    ),
    (proof.check, replace(WRITES, certificate=None), "REFUSED G-PROOF mem: the certificate was not computed"),
    (
        proof.check,
        replace(WRITES, certificate=Certificate(1, (Difference(POINT, "inbound", "excess", PACKET),))),
        (
            "REFUSED G-PROOF mem: the certificate does not hold: 1 differences\n"
            "    mem/one/web1 inbound: 10.0.0.1 tcp/22 would pass but is not wanted"
        ),
    ),
    (
        proof.check,
        replace(WRITES, certificate=Certificate(1, reached=False)),
        "REFUSED G-PROOF mem: the steps do not lead to the desired state",
    ),
    (proof.check, replace(WRITES, replay=None), "REFUSED G-PROOF mem: the replay did not run"),
    (
        proof.check,
        violating("exposure"),
        (
            "REFUSED G-PROOF mem: 2 states on the way would expose packets\n"
            f"    exposure in phase move (set groups): {EXPOSED.format(443)}\n"
            f"    exposure in phase move (set groups): {EXPOSED.format(22)}"
        ),
    ),
    (
        proof.check,
        violating("outage"),
        "REFUSED G-PROOF mem: 2 states on the way would cut packets\n"
        "    outage in phase move (set groups): mem/one/web1 inbound 10.0.0.1 tcp/443 would be cut\n"
        "    outage in phase move (set groups): mem/one/web1 inbound 10.0.0.1 tcp/22 would be cut"
        + asks("G-PROOF", " --names '10.0.0.1 tcp/22' --names '10.0.0.1 tcp/443'"),
    ),
    (
        problems.check,
        replace(HARMLESS, problems=(Problem("G-QUOTA", "61 of 60", "", ("web#1",), (POINT,)),)),
        "REFUSED G-QUOTA mem: 61 of 60\n    web#1\n    mem/one/web1",
    ),
    (
        problems.check,
        replace(HARMLESS, fidelity=(Fidelity("web#1", "mem", Verdict.CANNOT, "no types"),)),
        "REFUSED FIDELITY mem: web#1 on mem: cannot; no types",
    ),
]


GAPPED = replace(violating("outage"), gap=Gap(packets=1, points=2, steps=3, seconds=9.6))
ALONE = Component(("mem",), CourseMethod.ORDER, ())
WITH_OTHERS = replace(ALONE, targets=("far", "mem", "near"))
SLIPS = PathViolation("s", "far", 1, "open", "10.0.0.1 -> 10.0.0.2 tcp/22", (Stop("mem", POINT, "inbound"),))


def test_a_gap_says_how_much_it_cuts_where_and_for_how_long() -> None:
    (refused,) = proof.check(GAPPED, GAPPED.limits)
    assert refused.message == (
        "2 states on the way would cut packets that the old and the new state allow; no order avoids it, this one is the shortest gap:"
        " 1 packet at 2 points for about 10 s (3 writes)"
    )
    assert refused.must_name
    (plain,) = proof.check(violating("outage"), HARMLESS.limits)
    assert plain.message == "2 states on the way would cut packets"


def together(component: Component) -> list[str]:
    return [said(refused) for refused in proof.check(replace(WRITES, component=component), WRITES.limits)]


def test_what_targets_do_together_is_proven_over_their_whole_paths_or_refused_for_good() -> None:
    ran = PathReplay(9)
    assert together(replace(ALONE, replay=ran)) == together(replace(WITH_OTHERS, replay=ran)) == []
    assert together(ALONE) == ["REFUSED G-PROOF mem: the replay of mem did not run"]
    assert together(WITH_OTHERS) == ["REFUSED G-PROOF mem: the replay of mem together with far, near did not run"]
    exposed = replace(WITH_OTHERS, replay=PathReplay(9, (SLIPS, SLIPS)))
    words = "REFUSED G-PROOF mem: 2 states on the way of mem together with far, near would expose flows"
    assert together(exposed) == [f"{words}\n    {SLIPS.text()}\n    {SLIPS.text()}"]


@pytest.mark.parametrize(("guard", "plan", "words"), SAYINGS)
def test_a_guard_says_how_much_of_what_and_what_may_be_done(guard: Guard, plan: TargetPlan, words: str) -> None:
    (refused,) = guard(plan, plan.limits)
    assert said(refused) == words
    assert not refused.approve or target_digest(plan)[:DIGITS] in refused.approve


def test_every_guard_but_the_opening_says_something_here() -> None:
    """The opening has its own table beside the addresses that count as any source."""
    told = {guard.__module__ for guard, _plan, _words in SAYINGS}
    assert {guard.__module__ for guard in GUARDS} - told == {"cloudsync.guard.open"}


@pytest.mark.parametrize(("count", "words"), [(5, "a0, a1, a2, a3, a4"), (6, "a0, a1, a2, a3, a4 and 1 more")])
def test_terraform_names_five_addresses_in_the_message(count: int, words: str) -> None:
    (refused,) = terraform.check(replace(HARMLESS, terraform=tuple(Touch(f"a{number}", "it") for number in range(count))), HARMLESS.limits)
    assert refused.message == f"would touch {count} objects that Terraform owns: {words}"


def test_ten_objects_are_listed_and_the_rest_is_counted() -> None:
    for count, more in ((10, 0), (11, 1)):
        touches = tuple(Touch(f"a{number}", "it") for number in range(count))
        (refused,) = terraform.check(replace(HARMLESS, terraform=touches), HARMLESS.limits)
        assert (len(refused.objects), refused.more) == (10, more)
        assert ("more" in refused.text().splitlines()[-1]) == bool(more)


def test_the_witnesses_of_an_outage_are_named_in_order_whatever_the_order_of_the_steps() -> None:
    packets = [Packet(Family.V4, 0x0A000001, 6, port) for port in (90, 10, 50, 30, 70, 20, 80)]
    cut = tuple(Violation("outage", "move", "set groups", POINT, "inbound", packet) for packet in packets)
    (refused,) = proof.check(replace(WRITES, replay=Replay(9, cut)), HARMLESS.limits)
    assert refused.must_name == tuple(f"10.0.0.1 tcp/{port}" for port in (10, 20, 30, 50, 70, 80, 90))


def test_a_reserve_is_a_share_of_a_hundred_rounded_down() -> None:
    assert [quota.usable(size, 5) for size in (5, 19, 20, 99, 100, 1000)] == [5, 19, 19, 95, 95, 950]


def test_a_bare_refusal_lists_nothing_and_offers_nothing() -> None:
    assert Refusal("G-CAP", "mem", "", "no").text() == "REFUSED G-CAP mem: no"


def test_an_approval_without_a_time_was_given_before_all_times() -> None:
    assert Approval("d", "mem", "G-CAP", "ann", "checked", 1.0).created == 0


def test_a_share_of_nothing_is_all_of_it() -> None:
    assert [share(1, 3), share(2, 2), share(1, 0)] == ["33 %", "100 %", "all"]


# --- approvals that do not hold --------------------------------------------------------------------------------------

NOW = 1_800_000_000.0
MUST_NAME = replace(HARMLESS, limits=GuardLimits(management=OFFICE), points=(LOSES,))


def given(plan: TargetPlan, guard: str = "G-MGMT", names: tuple[str, ...] = ()) -> Approval:
    return Approval(target_digest(plan), plan.target, guard, "ann", "checked", NOW + 60, names, NOW - 60)


def why(plan: TargetPlan, refused: Refusal, *approvals: Approval) -> list[str]:
    return [one.message for one in approval.check(plan, refused, approvals, NOW)]


def test_an_approval_that_does_not_hold_says_by_whom_it_is_and_what_it_lacks() -> None:
    (refused,) = mgmt.check(MUST_NAME, MUST_NAME.limits)
    yes, digest = given(MUST_NAME), target_digest(MUST_NAME)
    start = "the approval of G-MGMT by ann"
    moved = replace(yes, digest="f" * 64)
    assert why(MUST_NAME, refused, moved) == [f"{start} is for plan {'f' * 16}, this is {digest[:16]}: something moved since"]
    assert why(MUST_NAME, refused, replace(yes, until=NOW)) == [f"{start} has expired"]
    assert why(MUST_NAME, refused, replace(yes, created=NOW + 1)) == [f"{start} was given in the future: check the clock"]
    assert why(MUST_NAME, refused, yes) == [f"{start} does not name tcp/22 from 192.0.2.0/28"]
    final = replace(refused, approve="")
    assert why(MUST_NAME, final, yes) == [f"{start} is void: nothing overrides this refusal"]


def test_an_approval_that_names_a_part_is_told_the_rest_in_order() -> None:
    (refused,) = proof.check(violating("outage"), HARMLESS.limits)
    many = replace(refused, must_name=tuple("gfedcba"))
    assert why(MUST_NAME, many, given(MUST_NAME, "G-PROOF", ("d", "z"))) == [
        "the approval of G-PROOF by ann does not name a, b, c, e, f, g"
    ]


def test_every_approval_that_does_not_hold_is_answered_whatever_else_lies_there() -> None:
    (refused,) = mgmt.check(MUST_NAME, MUST_NAME.limits)
    other, expired = given(MUST_NAME, "G-CAP"), replace(given(MUST_NAME), until=NOW)
    assert len(why(MUST_NAME, refused, other, replace(other, target="far"), expired, given(MUST_NAME))) == 2


def test_an_approval_holds_from_the_second_in_which_it_was_given() -> None:
    (refused,) = mgmt.check(MUST_NAME, MUST_NAME.limits)
    yes = replace(given(MUST_NAME, names=refused.must_name), created=NOW)
    assert approval.holding(MUST_NAME, refused, [yes], NOW) == yes
    assert approval.holding(MUST_NAME, refused, [yes], NOW - 1) is None
    assert why(MUST_NAME, refused, replace(yes, names=())) == ["the approval of G-MGMT by ann does not name tcp/22 from 192.0.2.0/28"]
    assert approval.LONGEST_S == 7 * 24 * 3600


def test_a_stored_plan_that_moved_says_whether_the_reading_or_the_plan_did() -> None:
    digest = target_digest(HARMLESS)[:16]
    others = (replace(HARMLESS, snapshot_digest="f" * 64), "the reading"), (replace(HARMLESS, policy_digest="f" * 64), "the plan")
    for fresh, what in others:
        (refused,) = approval.moved(HARMLESS, fresh)
        assert refused.message == f"{what} moved since the plan was made: {digest} is {target_digest(fresh)[:16]} now"
