"""What a plan says of each point and scope: whose packets change, what was there by right, what is taken over, which rules are lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from cloudsync.adapter import Access, Effect, Encoding, Intent, Phase, Point, Problem, Snapshot, Step, Whose
from cloudsync.compile import intent as intents
from cloudsync.compile.intent import Actual, Recorded, TargetScope, Wanted
from cloudsync.diff import point_changes
from cloudsync.inventory.terraform_kinds import Owned
from cloudsync.model.address import ANYWHERE, AddressSet
from cloudsync.model.fidelity import Fidelity, Verdict
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import ANY_SERVICE, TCP, ServiceSet
from cloudsync.model.workload import Labels, PointId, Workload
from cloudsync.plan import build
from cloudsync.plan.build import Before, Case
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.order import Order
from cloudsync.plan.values import SHUT, Adoption, Gap, InventoryScope, ScopeRules, TouchedPoint
from cloudsync.proof.certificate import Beyond
from cloudsync.proof.values import Replay
from cloudsync.testing.memory import MemoryAdapter, MemoryPlatform
from cloudsync.testing.memory_table import MemoryTable
from cloudsync.testing.plans import HARMLESS
from tests.stories.estate import compiled, machine

POLICY = """version: 1
labels: {role: [web, db, watched, picked, sends]}
enforcement:
  default: full
  rules:
    - {scope: role=watched, mode: visibility}
    - {scope: role=picked, mode: selective, services: [tcp/1-100]}
    - {scope: role=sends, mode: full, egress: enforce}
rulesets:
  - {name: r, scope: all, owner: o, rules: [allow role=web to role=db on tcp/1]}
"""
ROLES = ("web", "web", "db", "watched", "picked", "sends")
EVERYONE = tuple(machine("mem", f"{role}-{number}", f"10.0.0.{number}", role=role) for number, role in enumerate(ROLES, 1))
WEB, WEB2, DB, WATCHED, PICKED, SENDS = EVERYONE
WORLD = compiled(POLICY, EVERYONE)
OWNERS = WORLD.owners
STRANGER = PointId("mem/stranger")


def at(workload: Workload) -> PointId:
    point = workload.interfaces[0].point
    assert point is not None
    return point


def some(number: int) -> PacketSet:
    return PacketSet.of(AddressSet.of("192.0.2.1"), ServiceSet.ports(TCP, number, number))


A, B, C, D = (some(number) for number in range(1, 5))


class Told(MemoryAdapter):
    """Tables are `before` and `after`; what is ours in them, and how much, is said."""

    def __init__(self, *, denies: bool = False) -> None:
        super().__init__(MemoryPlatform())
        self.capabilities = replace(MemoryAdapter.capabilities, denies=denies)
        self.ours: dict[str, dict[PointId, Access]] = {"before": {}, "after": {}}
        self.counts: dict[str, dict[str, int]] = {"before": {}, "after": {}}

    def decode(self, table: MemoryTable, whose: Whose = Whose.ALL, points: Iterable[PointId] | None = None) -> Mapping[PointId, Access]:
        assert whose is Whose.OURS
        return {point: self.ours[table.owner][point] for point in points or () if point in self.ours[table.owner]}

    def owned(self, table: MemoryTable) -> Mapping[str, int]:
        return self.counts[table.owner]


BEFORE, AFTER = MemoryTable("before", {}, {}), MemoryTable("after", {}, {})


def point(name: PointId, *, network: str = "net", ours: tuple[str, ...] = ("cs-1",), foreign: tuple[str, ...] = ("sg-1",)) -> Point:
    return Point(name, "mem/one", network, f"name of {name}", AddressSet.of("10.0.0.1"), ours, foreign)


POINTS = {at(one): point(at(one)) for one in EVERYONE}


def intent(mode: TargetMode = TargetMode.EXCLUSIVE, incomplete: frozenset[str] = frozenset()) -> Intent:
    return intents.build(WORLD.compiler, TargetScope("mem", "acme", mode, incomplete), Actual(POINTS, {}, {}), {})


def case(
    adapter: Told | None = None,
    actual: Actual | None = None,
    before: Before | None = None,
    recorded: Mapping[PointId, Recorded] | None = None,
    wanted: Intent | None = None,
) -> Case:
    told = adapter or Told()
    snapshot = replace(told.read(), table=BEFORE)
    assert isinstance(snapshot, Snapshot)
    seen = actual or Actual(POINTS, {}, {})
    return Case(
        told, HARMLESS.identity, snapshot, wanted or intent(), WORLD.compiler.universe, seen,
        recorded or {}, GuardLimits(), before or Before(), "digest",
    )  # fmt: skip


# --- the points that are touched -------------------------------------------------------------------------------------


def touched(made: Case, before: dict[PointId, Access], after: dict[PointId, Access], *steps: Step) -> dict[PointId, TouchedPoint]:
    way = build._Way(AFTER, after, (Phase("p", steps),), Beyond())
    found = build._touched(made, OWNERS, point_changes(OWNERS, before, after), way)
    assert [one.point for one in found] == sorted(one.point for one in found)
    return {one.point: one for one in found}


def test_a_touched_point_says_who_it_is_and_what_passes_before_and_after() -> None:
    adapter = Told()
    adapter.ours = {"before": {at(DB): Access(C)}, "after": {at(DB): Access(D)}}
    seen = Actual(POINTS, {at(DB): Access(A)}, {})
    (one,) = touched(case(adapter, seen), {at(DB): Access(A)}, {at(DB): Access(B)}).values()
    assert one == TouchedPoint(
        at(DB), DB.id, "db-3", Labels.of({"role": "db"}), "mem/one", "net", Access(A), Access(B), Access(C), Access(D), enforced=True
    )


def test_points_that_a_step_names_are_touched_although_their_packets_stay() -> None:
    attach = Step("k", "Attach", "mem/one", "o", "t", Effect.SWAPS, "{}", points=(at(WATCHED),), mark="m")
    found = touched(case(), {}, {}, attach)
    assert list(found) == [at(WATCHED)]
    assert (found[at(WATCHED)].before, found[at(WATCHED)].after, found[at(WATCHED)].enforced) == (SHUT, SHUT, False)


def test_a_point_of_nobody_goes_by_its_own_name_or_id() -> None:
    named = Actual({**POINTS, STRANGER: point(STRANGER, network="far")}, {}, {})
    one = touched(case(actual=named), {}, {STRANGER: Access(A)})[STRANGER]
    assert (one.workload, one.name, one.labels, one.scope, one.network, one.enforced) == (
        None, f"name of {STRANGER}", Labels(), "mem/one", "far", False,
    )  # fmt: skip
    bare = touched(case(), {}, {STRANGER: Access(A)})[STRANGER]
    assert (bare.name, bare.scope, bare.network, bare.owner) == (STRANGER, "", "", STRANGER)


def test_a_machine_that_is_new_is_compared_with_its_like_in_its_network() -> None:
    seen = Actual(POINTS, {at(WEB2): Access(B), at(DB): Access(C)}, {})
    known = Before(workloads=frozenset(one.id for one in EVERYONE if one is not WEB))
    change: tuple[dict[PointId, Access], dict[PointId, Access]] = ({}, {at(WEB): Access(A), at(WEB2): Access(A)})
    found = touched(case(actual=seen, before=known), *change)
    assert (found[at(WEB)].sibling, found[at(WEB2)].sibling) == (Access(B), None)
    assert touched(case(actual=seen), *change)[at(WEB)].sibling is None, "nothing was ever verified"
    elsewhere = Actual({**POINTS, at(WEB2): point(at(WEB2), network="far")}, seen.everything, {})
    assert touched(case(actual=elsewhere, before=known), *change)[at(WEB)].sibling is None
    foreign_only = Actual({**POINTS, at(WEB2): point(at(WEB2), ours=())}, seen.everything, {})
    assert touched(case(actual=foreign_only, before=known), *change)[at(WEB)].sibling is None, "it is not enforced yet"
    unseen = Actual({key: one for key, one in POINTS.items() if key != at(WEB2)}, seen.everything, {})
    assert touched(case(actual=unseen, before=known), *change)[at(WEB)].sibling is None
    both_new = Before(workloads=frozenset({DB.id}))
    assert touched(case(actual=seen, before=both_new), *change)[at(WEB)].sibling is None
    first = Before(workloads=frozenset({WEB.id, WEB2.id}))
    assert touched(case(actual=seen, before=first), {}, {STRANGER: Access(A)})[STRANGER].sibling is None


def test_the_first_member_of_a_class_speaks_for_it_and_watched_ones_never_do() -> None:
    third = machine("mem", "web-9", "10.0.0.9", role="web")
    known = Before(workloads=frozenset(one.id for one in EVERYONE))
    seen = Actual({**POINTS, at(third): point(at(third))}, {at(WEB): Access(A), at(WEB2): Access(B), at(WATCHED): Access(C)}, {})
    found = build._siblings(case(actual=seen, before=known), OWNERS)
    of_web, of_watched = OWNERS.by_point[at(WEB)][0], OWNERS.by_point[at(WATCHED)][0]
    assert found[of_web, "net"] == Access(A)
    assert (of_watched, "net") not in found
    assert len(found) == 4


# --- what was there by right -----------------------------------------------------------------------------------------


def rightful(
    workload: Workload,
    *,
    mode: TargetMode = TargetMode.EXCLUSIVE,
    kept: Recorded | None = None,
    foreign: Access = SHUT,
    before: Before | None = None,
    points: Mapping[PointId, Point] = POINTS,
) -> Access | None:
    number, _, domain = OWNERS.by_point[at(workload)]
    group = WORLD.compiler.universe.classes[number]
    known = before or Before(applied={(group.id, domain): Access(A, B)})
    seen = Actual(points, {}, {at(workload): foreign})
    recorded = {} if kept is None else {at(workload): kept}
    return build._rightful(case(actual=seen, before=known, recorded=recorded, wanted=intent(mode)), OWNERS, at(workload))


KEPT = Recorded((), C, D)


def test_by_right_is_what_was_applied_last_and_what_was_left_alone_of_the_past() -> None:
    assert rightful(DB, kept=KEPT) == Access(A, D), "what it sends was left alone"
    assert rightful(SENDS, kept=KEPT) == Access(A, B)
    assert rightful(PICKED, kept=KEPT) == Access(A | C, D), "selective keeps what it had"
    assert rightful(DB) is None, "its past is not on record"
    assert rightful(DB, mode=TargetMode.ADDITIVE, foreign=Access(C, D)) == Access(A | C, B | D)


def test_where_it_is_not_known_nothing_is_said_to_be_by_right() -> None:
    number, _, domain = OWNERS.by_point[at(DB)]
    applied: dict[tuple[str, str], Access] = {(WORLD.compiler.universe.classes[number].id, domain): Access(A, B)}
    assert rightful(DB, kept=KEPT, before=Before(applied=applied, relabelled=frozenset({DB.id}))) is None
    assert rightful(DB, kept=KEPT, before=Before(applied=applied, relabelled=frozenset({WEB.id}))) is not None
    assert rightful(DB, kept=KEPT, before=Before()) is None
    assert rightful(WATCHED, kept=KEPT) is None
    assert rightful(DB, kept=KEPT, points={}) is None
    assert rightful(DB, kept=KEPT, points={at(DB): point(at(DB), ours=())}) is None
    assert build._rightful(case(), OWNERS, STRANGER) is None


def test_by_right_can_be_only_what_can_pass() -> None:
    everything = Access(PacketSet.of(ANYWHERE, ANY_SERVICE), PacketSet.of(ANYWHERE, ANY_SERVICE))
    name = at(DB)
    beyond = Beyond(forced={name: Access(A, B)}, left_out={name: Access(C, D)})
    plain, ordered = case(), case(Told(denies=True))
    assert build._possible(plain, beyond, name, everything) == everything, "groups hold both families"
    assert build._possible(ordered, beyond, name, None) is None
    four = PacketSet.of(ANYWHERE, ANY_SERVICE) & PacketSet.of(AddressSet.of("0.0.0.0/0"), ANY_SERVICE)
    assert build._possible(ordered, beyond, name, everything) == Access(four - C, four - D)
    assert build._possible(ordered, beyond, name, SHUT) == Access(A, B), "what always passes passed before"


# --- what is taken over ----------------------------------------------------------------------------------------------


def adopted(made: Case, *workloads: Workload) -> list[Adoption]:
    change = {at(one): Access(A) for one in workloads}
    return list(build._adoptions(made, tuple(touched(made, {}, change).values())))


def test_each_enforced_point_is_recorded_as_it_was_before_its_first_write() -> None:
    seen = Actual({**POINTS, at(DB): point(at(DB), ours=(), foreign=("sg-7", "sg-8"))}, {at(DB): Access(A, B)}, {at(DB): Access(A)})
    assert adopted(case(actual=seen), DB) == [Adoption(at(DB), ("sg-7", "sg-8"), A, B)]
    assert [one.point for one in adopted(case(), WEB, DB, SENDS)] == sorted([at(WEB), at(DB), at(SENDS)])


def test_what_is_on_record_or_not_to_be_enforced_is_not_taken_over() -> None:
    assert adopted(case(recorded={at(DB): KEPT}), DB, WEB) == adopted(case(), WEB) != []
    assert adopted(case(), WATCHED) == []
    assert adopted(case(wanted=intent(TargetMode.ADDITIVE)), DB) == []
    skipped = {**POINTS, at(DB): replace(POINTS[at(DB)], skipped="managed by others")}
    assert adopted(case(actual=Actual(skipped, {}, {})), DB, WEB) == adopted(case(), WEB)
    absent = {key: one for key, one in POINTS.items() if key != at(DB)}
    assert adopted(case(actual=Actual(absent, {}, {})), DB, WEB) == adopted(case(), WEB)


def test_what_cannot_be_held_to_the_policy_now_is_left_out() -> None:
    want = Wanted(SHUT, SHUT, ours_only=False)
    asked = dict.fromkeys((at(DB), at(WEB), STRANGER), want)
    assert build._held(case(), asked) == {at(DB): want, at(WEB): want}
    skipped = Actual({**POINTS, at(DB): replace(POINTS[at(DB)], skipped="why")}, {}, {})
    assert build._held(case(actual=skipped), asked) == {at(WEB): want}
    partial = Actual({**POINTS, at(DB): replace(POINTS[at(DB)], scope="mem/two")}, {}, {})
    assert build._held(case(actual=partial, wanted=intent(incomplete=frozenset({"mem/two"}))), asked) == {at(WEB): want}


# --- which rules are lost --------------------------------------------------------------------------------------------


def removing(name: str, count: int, effect: Effect = Effect.SHRINKS, scope: str = "a") -> Step:
    return Step(name, "Act", scope, name, name, effect, "{}", removes=count, mark="m")


def lost(*steps: Step, denies: bool = False, points: Mapping[PointId, Point] = POINTS) -> dict[str, int]:
    adapter = Told(denies=denies)
    adapter.counts = {"before": {"b": 7, "a": 9}, "after": {"a": 4, "c": 1}}
    found = build._rules(case(adapter, Actual(points, {}, {})), AFTER, (Phase("one", steps[:1]), Phase("two", steps[1:])))
    assert [(one.scope, one.owned_before, one.owned_after) for one in found] == [("a", 9, 4), ("b", 7, 0), ("c", 0, 1)]
    assert found == tuple(ScopeRules(one.scope, one.owned_before, one.owned_after, one.removed) for one in found)
    return {one.scope: one.removed for one in found if one.removed}


def test_rules_that_go_are_counted_per_scope_over_all_phases() -> None:
    assert lost(removing("x", 2), removing("y", 3), removing("z", 4, scope="b")) == {"a": 5, "b": 4}
    assert lost() == {}


def test_rules_that_act_nowhere_are_nobodys_loss() -> None:
    created = replace(removing("x", 0, Effect.NONE), mark="")
    assert lost(created, removing("x", 2, Effect.SWAPS), removing("y", 1)) == {"a": 1}, "the plan itself created it"
    assert lost(removing("idle", 2, Effect.NONE)) == {}
    carried = {at(DB): point(at(DB), ours=("idle",))}
    assert lost(removing("idle", 2, Effect.NONE), points=carried) == {"a": 2}
    assert lost(replace(removing("x", 2), temporary=True)) == {}


def test_where_rules_are_never_edited_a_successor_makes_up_for_one() -> None:
    grows = replace(removing("y", 0, Effect.GROWS), adds=2)
    assert lost(removing("x", 3), grows, denies=True) == {"a": 1}
    assert lost(removing("x", 3), grows) == {"a": 3}
    assert lost(removing("x", 1), grows, denies=True) == {}
    assert lost(removing("x", 3), replace(grows, scope="d", mark=""), denies=True) == {"a": 3}
    assert lost(removing("x", 3), replace(grows, scope="b"), replace(grows, temporary=True), denies=True) == {"a": 3}


# --- what stands in the way ------------------------------------------------------------------------------------------


def test_a_table_that_should_change_without_a_way_is_a_problem() -> None:
    none = Order("none", (), Replay(1), AFTER)
    made = case()
    methods = ", ".join(method.value for method in made.adapter.capabilities.methods)
    (problem,) = build._wayless(made, AFTER, none)
    assert problem == Problem(
        "NO-WAY",
        f"the rules should change, but none of the ways to do it ({methods}) fits: too few free places, numbers or helpers",
        "make room: fewer foreign rules in our numbers, or a higher limit",
    )
    assert build._wayless(made, BEFORE, none) == []
    assert build._wayless(made, AFTER, replace(none, phases=(Phase("p", ()),))) == []


@pytest.mark.parametrize(
    ("verdict", "accepted", "told"),
    [
        (Verdict.EXACT, False, 0),
        (Verdict.STRICTER, False, 0),
        (Verdict.LOOSER, True, 0),
        (Verdict.LOOSER, False, 1),
        (Verdict.CANNOT, True, 1),
    ],
)
def test_a_rule_that_a_platform_says_too_loosely_or_not_at_all_is_a_problem(verdict: Verdict, told: int, *, accepted: bool) -> None:
    encoding = Encoding(BEFORE, fidelity=(Fidelity("r#1", "mem", verdict, "no types", accepted),))
    message = f"rule r#1 on mem: {verdict.value}: no types"
    assert build._unfaithful(encoding) == [Problem("FIDELITY", message, rules=("r#1",))][:told]
    known = replace(encoding, problems=(Problem("G-QUOTA", "too many", rules=("r#1",)),))
    assert build._unfaithful(known) == [], "it was told already"


def test_the_digest_of_a_document_does_not_depend_on_the_order_of_its_names() -> None:
    assert build.digest_of({"a": 1, "b": "é"}) == build.digest_of({"b": "é", "a": 1})
    assert build.digest_of({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    assert build.digest_of(["é", 1]) != build.digest_of([1, "é"])


# --- the whole plan --------------------------------------------------------------------------------------------------


def test_a_plan_carries_everything_that_it_was_made_from() -> None:
    platform = MemoryPlatform()
    legacy = platform.add_group("legacy", [("0.0.0.0/0", "6/443-443")], scope="mem/db-3")
    platform.add_point("nic0", "10.0.0.3", [legacy], scope="mem/db-3")
    adapter = MemoryAdapter(platform, "mem")
    snapshot = adapter.read()
    points = {one.id: one for one in adapter.points(snapshot.table)}
    assert set(points) == {at(DB)}
    everything = adapter.decode(snapshot.table)
    scopes = (InventoryScope("mem/db-3", "mem", verified=1, now=1),)
    before = Before(frozenset({DB.id}), AddressSet.of("10.0.0.8"), AddressSet.of("10.0.0.9"), scopes)
    actual = Actual(points, everything, everything)
    wanted = intents.build(WORLD.compiler, TargetScope("mem", "acme", TargetMode.EXCLUSIVE), actual, {})
    limits = GuardLimits(management=AddressSet.of("192.0.2.0/24"))
    owned = Owned("aws_sg.x", "aws_security_group", "memory", platform.account, (legacy,))
    made = Case(
        adapter, HARMLESS.identity, snapshot, wanted, WORLD.compiler.universe, actual, {}, limits, before, "policy", (owned,)
    )  # fmt: skip
    built = build.build(made)
    plan = built.plan
    assert (plan.target, plan.mode, plan.owner, plan.identity, plan.limits) == (
        "mem",
        TargetMode.EXCLUSIVE,
        "acme",
        HARMLESS.identity,
        limits,
    )
    assert (plan.snapshot_digest, plan.policy_digest, plan.scopes) == (snapshot.digest, "policy", ("mem/db-3",))
    assert plan.desired_digest == build.digest_of(adapter.dump(built.final)) != snapshot.digest
    assert (plan.churn, plan.unseen, plan.inventory, plan.workloads) == (before.churn, before.unseen, scopes, len(EVERYONE))
    assert (plan.method, bool(plan.phases), plan.empty) == ("swap", True, False)
    assert [one.point for one in plan.points] == [at(DB)]
    assert [one.original for one in plan.adoptions] == [(legacy,)]
    assert {change.direction for change in plan.changes} == {"inbound"}
    assert plan.rules
    assert plan.certificate is not None
    assert plan.replay is not None
    assert (plan.certificate.holds, plan.replay.safe) == (True, True)
    assert (plan.problems, plan.management_losses, plan.gap, plan.peaks, plan.component) == ((), (), Gap(), (), None)
    assert [touch.address for touch in plan.terraform] == ["aws_sg.x"]
    assert (built.case, built.actual, built.intent) == (made, snapshot.table, wanted)
    assert built.after == adapter.decode(built.final)
    assert built.wanted == {at(DB): intents.wanted(wanted)[at(DB)]}, "what a read does not show is not held to anything"
    second = build.build(replace(made, snapshot=replace(snapshot, table=built.final), actual=replace(actual, everything=built.after)))
    assert (second.plan.empty, second.plan.method) == (True, "none")
    assert second.plan.desired_digest == snapshot.digest
