"""Drift and planned changes at their edges: what counts as which kind, how bad it is, in which order it is told, whose rule is named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from cloudsync.adapter import Access, Entry, Intent
from cloudsync.compile import intent as intents
from cloudsync.compile.intent import Actual, TargetScope, Wanted
from cloudsync.diff import Change, Owners, PointChange, changes, point_changes
from cloudsync.model.address import ANYWHERE, AddressSet
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.service import ANY_SERVICE, TCP, ServiceSet
from cloudsync.model.workload import Labels, PointId, Workload
from cloudsync.proof.drift import SENSITIVE, Drift, Kind, Scene, Severity, find, severity, with_ids
from cloudsync.report.ages import Aged, Ages
from cloudsync.testing.memory import MemoryAdapter, MemoryPlatform
from cloudsync.testing.memory_table import MemoryTable
from tests.stories.estate import compiled, machine

POLICY = """version: 1
labels: {role: [web, db, send]}
iplists: {office: [192.0.2.0/24]}
enforcement:
  default: full
  rules: [{scope: role=send, mode: full, egress: enforce}]
rulesets:
  - name: shop
    scope: all
    owner: o
    rules:
      - allow role=web to role=db on tcp/5432
      - allow iplist office to role=db on tcp/22
      - allow role=send to iplist office on tcp/25
      - allow role=web to role=web on tcp/1
"""
WEB, DB, DB2, SEND = (machine("mem", name, f"10.0.0.{n}", role=name[:-2]) for n, name in enumerate(("web-1", "db-1", "db-2", "send-1"), 1))
OFFICE = AddressSet.of("192.0.2.0/24")
SSH, SQL = ServiceSet.ports(TCP, 22, 22), ServiceSet.ports(TCP, 5432, 5432)
A, B = PacketSet.of(OFFICE, SSH), PacketSet.of(OFFICE, SQL)
WORLD = compiled(POLICY, (WEB, DB, DB2, SEND))


def at(workload: Workload) -> PointId:
    point = workload.interfaces[0].point
    assert point is not None
    return point


# --- how bad ---------------------------------------------------------------------------------------------------------


def test_remote_administration_and_databases_are_these_ports() -> None:
    ports = [22, 23, *range(135, 140), 445, 1433, 1434, 1521, 2375, 2376, 2379, 2380, 3306, 3389, 5432, 5900, 5901, 5985, 5986, 6379, 6443]
    ports += [*range(9200, 9301), 10250, 11211, 27017, 27018, 27019]
    assert ServiceSet.union_all(ServiceSet.ports(TCP, port, port) for port in ports) == SENSITIVE


@pytest.mark.parametrize(
    ("peers", "services", "kind", "grade"),
    [
        ("0.0.0.0/0", ANY_SERVICE, Kind.EXCESS, Severity.CRITICAL),
        ("0.0.0.0/0", ANY_SERVICE - SENSITIVE, Kind.EXCESS, Severity.HIGH),
        ("10.0.0.0/16", SSH, Kind.EXCESS, Severity.LOW),
        ("10.0.0.0/15", SSH, Kind.EXCESS, Severity.MEDIUM),
        ("10.0.0.0/8", SSH, Kind.WOULD_BLOCK, Severity.MEDIUM),
        ("0.0.0.0/0", SSH, Kind.WOULD_OPEN, Severity.LOW),
        ("10.0.0.0/24", SSH, Kind.SHADOW_DENY, Severity.MEDIUM),
        ("10.0.0.0/24", SSH, Kind.MISSING, Severity.MEDIUM),
    ],
)
def test_a_finding_is_as_bad_as_what_it_opens(peers: str, services: ServiceSet, kind: Kind, grade: Severity) -> None:
    assert severity(PacketSet.of(AddressSet.of(peers), services), kind) is grade


def test_of_several_openings_the_worst_counts() -> None:
    far = PacketSet.of(AddressSet.of("0.0.0.0/0"), ServiceSet.ports(TCP, 443, 443))
    near = PacketSet.of(AddressSet.of("10.0.0.0/24"), SSH)
    assert severity(far | near, Kind.EXCESS) is Severity.HIGH
    assert severity(near | PacketSet.of(ANYWHERE, SSH), Kind.EXCESS) is Severity.CRITICAL
    assert [one.value for one in Severity] == ["critical", "high", "medium", "low"]


# --- what is found ---------------------------------------------------------------------------------------------------


class Listing(MemoryAdapter):
    """A platform of which the rules are said."""

    def __init__(self, listed: Iterable[Entry] = (), *, denies: bool = False) -> None:
        super().__init__(MemoryPlatform())
        self.capabilities = replace(MemoryAdapter.capabilities, denies=denies, container="policy")
        self.listed_entries = tuple(listed)

    def entries(self, table: MemoryTable, points: Iterable[PointId] | None = None) -> tuple[Entry, ...]:
        del table
        return tuple(entry for entry in self.listed_entries if set(entry.points) & set(points or ()))


def scene(
    access: dict[Workload, Access],
    wanted: dict[Workload, Wanted] | None = None,
    would: dict[Workload, Access] | None = None,
    adapter: Listing | None = None,
    ours: dict[Workload, Access] | None = None,
) -> Scene:
    told = adapter or Listing()
    shown = {at(workload): found for workload, found in access.items()}
    want = {at(workload): found for workload, found in (wanted or {}).items()}
    watched = {at(workload): found for workload, found in (would or {}).items()}
    alone = {at(workload): found for workload, found in (ours or {}).items()}
    table = told.read().table
    return Scene("mem", TargetMode.EXCLUSIVE, told, table, shown, want, WORLD.compiler.universe, WORLD.owners, watched, alone)


def exactly(access: Access, *, ours_only: bool = False) -> Wanted:
    return Wanted(access, access, ours_only=ours_only)


def kinds(found: Iterable[Drift]) -> list[tuple[Kind, str, PacketSet]]:
    return [(one.kind, one.direction, one.packets) for one in found]


BOTH_WAYS = Access(A, B)
NOTHING = Access()


def test_what_is_open_and_what_is_missing_is_found_in_both_directions() -> None:
    assert kinds(find(scene({DB: BOTH_WAYS}, {DB: exactly(NOTHING)}))) == [
        (Kind.EXCESS, "inbound", A),
        (Kind.EXCESS, "outbound", B),
    ]
    assert kinds(find(scene({DB: NOTHING}, {DB: exactly(BOTH_WAYS)}))) == [
        (Kind.MISSING, "inbound", A),
        (Kind.MISSING, "outbound", B),
    ]
    assert find(scene({DB: BOTH_WAYS}, {DB: exactly(BOTH_WAYS)})) == ()
    loose = Wanted(NOTHING, BOTH_WAYS, ours_only=False)
    assert find(scene({DB: BOTH_WAYS}, {DB: loose})) == find(scene({DB: NOTHING}, {DB: loose})) == ()


def test_beside_foreign_rules_what_ours_allow_and_others_cut_is_a_shadow_deny() -> None:
    want = {DB: exactly(Access(A | B, A | B), ours_only=True)}
    found = find(scene({DB: NOTHING}, want, ours={DB: Access(A, B)}))
    assert kinds(found) == [
        (Kind.SHADOW_DENY, "inbound", A),
        (Kind.SHADOW_DENY, "outbound", B),
        (Kind.MISSING, "inbound", B),
    ]
    assert kinds(find(scene({DB: Access(A, A)}, want, ours={DB: Access(A, A)}))) == [(Kind.MISSING, "inbound", B)]
    assert kinds(find(scene({DB: Access(A | B, A)}, {DB: exactly(Access(A), ours_only=True)}))) == [(Kind.SHADOW, "inbound", B)]


def test_a_watched_workload_shows_what_full_would_do_to_it() -> None:
    found = find(scene({DB: Access(A, A)}, would={DB: Access(B)}))
    assert kinds(found) == [(Kind.WOULD_BLOCK, "inbound", A), (Kind.WOULD_OPEN, "inbound", B)]
    assert not any(one.real for one in found)
    assert kinds(find(scene({DB: Access(A)}, {DB: exactly(NOTHING)}, would={DB: Access(B)}))) == [(Kind.EXCESS, "inbound", A)]


def test_who_is_in_no_inventory_or_of_whom_nothing_is_wanted_has_no_drift() -> None:
    assert find(scene({DB: BOTH_WAYS})) == ()
    stranger = machine("mem", "x-1", "10.0.0.99", role="web")
    assert find(scene({stranger: BOTH_WAYS}, {stranger: exactly(NOTHING)})) == ()
    assert len(find(scene({stranger: BOTH_WAYS, DB: Access(A), WEB: Access(B)}, {DB: exactly(NOTHING), WEB: exactly(NOTHING)}))) == 2


def test_points_that_let_the_same_through_are_still_held_to_what_each_of_them_should() -> None:
    shared = Access(A)
    found = find(scene({DB: shared, WEB: shared, SEND: shared}, {DB: exactly(Access(A)), WEB: exactly(NOTHING)}, would={SEND: Access(A)}))
    assert [(one.labels.text(), one.kind) for one in found] == [("role=web", Kind.EXCESS)]


def test_real_differences_come_first_then_the_worst_then_by_kind_labels_and_direction() -> None:
    wide = Access(PacketSet.of(ANYWHERE, SSH))
    access = {WEB: Access(B, B), DB: wide, DB2: Access(A), SEND: Access(A)}
    found = find(scene(access, {WEB: exactly(NOTHING), DB: exactly(NOTHING), SEND: exactly(Access(A | B))}, would={DB2: NOTHING}))
    assert [(one.kind, one.labels.text(), one.direction) for one in found] == [
        (Kind.EXCESS, "role=db", "inbound"),
        (Kind.MISSING, "role=send", "inbound"),
        (Kind.EXCESS, "role=web", "inbound"),
        (Kind.EXCESS, "role=web", "outbound"),
        (Kind.WOULD_BLOCK, "role=db", "inbound"),
    ]


def test_the_same_difference_at_one_class_is_one_finding() -> None:
    found = find(scene({DB2: Access(A), DB: Access(A), WEB: Access(A)}, dict.fromkeys((DB, DB2, WEB), exactly(NOTHING))))
    assert [(one.points, one.workloads) for one in found] == [((at(DB), at(DB2)), ("db-1", "db-2")), ((at(WEB),), ("web-1",))]
    assert (found[0].target, found[0].container, found[0].words) == ("mem", "policy", "tcp/22 from 192.0.2.0/24")


def test_what_is_missing_names_the_rules_that_want_it_and_what_is_open_names_none() -> None:
    points = {at(one): Access() for one in (WEB, DB, SEND)}
    actual = Actual({}, points, points)
    intent = intents.build(WORLD.compiler, TargetScope("mem", "acme", TargetMode.EXCLUSIVE), actual, {})
    web = PacketSet.of(WEB.interfaces[0].addresses, SQL)
    mail = PacketSet.of(OFFICE, ServiceSet.ports(TCP, 25, 25))
    access = {DB: Access(B), SEND: Access(), WEB: Access(A)}
    wants = {DB: exactly(Access(A | web)), SEND: exactly(Access(NO_PACKETS, mail)), WEB: exactly(NOTHING)}
    found = find(replace(scene(access, wants), classes=intent.classes))
    named = {(one.kind, one.labels.text()): [rule.rule for rule in one.wanted_by] for one in found}
    assert named == {
        (Kind.MISSING, "role=db"): ["shop#1", "shop#2"],
        (Kind.MISSING, "role=send"): ["shop#3"],
        (Kind.EXCESS, "role=db"): [],
        (Kind.EXCESS, "role=web"): [],
    }
    (missing,) = (one for one in found if one.labels.text() == "role=send")
    lines = [line for line, _ in Ages(None).lines(Aged(missing))]
    assert lines[1] == "      at send-1 · wanted by shop#3 (policy/all.yaml:14)"


# --- whose rule ------------------------------------------------------------------------------------------------------


def entry(native: str, packets: PacketSet = A, *, ours: bool = False, denies: bool = False, direction: str = "inbound") -> Entry:
    return Entry("g-1", "legacy", native, direction, packets, ours, (at(DB),), denies=denies)


LISTED = (
    entry("ours", ours=True),
    entry("theirs"),
    entry("out", direction="outbound"),
    entry("other", B),
    entry("cuts", denies=True),
    entry("our cut", denies=True, ours=True),
)


def named(kind: Kind, *, denies: bool) -> list[str]:
    adapter = Listing(LISTED, denies=denies)
    match kind:
        case Kind.EXCESS:
            found = find(scene({DB: Access(A)}, {DB: exactly(NOTHING)}, adapter=adapter))
        case Kind.MISSING:
            found = find(scene({DB: NOTHING}, {DB: exactly(Access(A))}, adapter=adapter))
        case _:
            found = find(scene({DB: NOTHING}, would={DB: Access(A)}, adapter=adapter))
    (one,) = found
    assert one.kind is kind
    return [rule.native for rule in one.entries]


def test_the_rules_behind_a_difference_are_named_foreign_ones_first() -> None:
    assert named(Kind.EXCESS, denies=False) == named(Kind.EXCESS, denies=True) == ["theirs", "ours"]
    assert named(Kind.MISSING, denies=True) == ["cuts"]
    assert named(Kind.MISSING, denies=False) == [], "nothing there can cut"
    assert named(Kind.WOULD_OPEN, denies=True) == []


def test_what_is_sent_is_told_the_other_way_round() -> None:
    out = replace(entry("out", B, direction="outbound"), points=(at(DB),))
    (one,) = find(scene({DB: Access(outbound=B)}, {DB: exactly(NOTHING)}, adapter=Listing([out])))
    assert one.text() == (
        "tcp/5432 to 192.0.2.0/24 sent by 1 workload role=db: not in the policy, let out by 'out' in legacy (g-1), not ours"
    )


def text(kind: Kind, *entries: Entry, container: str = "group") -> str:
    one = Drift("mem", kind, Severity.LOW, "inbound", A, (at(DB),), ("db-1", "db-2"), Labels(), "tcp/22", entries, container)
    return one.text()


def test_a_sentence_names_three_rules_and_counts_the_rest() -> None:
    start = "tcp/22 to 2 workloads (no label): "
    rules = [replace(entry(f"r{number}"), object="legacy") for number in range(5)]
    told = [f"'r{number}' in legacy, not ours" for number in range(3)]
    assert text(Kind.EXCESS) == f"{start}not in the policy"
    assert text(Kind.EXCESS, *rules[:3]) == f"{start}not in the policy, let in by " + "; ".join(told)
    assert text(Kind.EXCESS, *rules) == f"{start}not in the policy, let in by " + "; ".join(told) + "; and 2 more rules"
    cut = f"wanted and allowed by ours, but cut by rules that are not ours (shadow deny), cut by {told[0]}"
    assert text(Kind.SHADOW_DENY, rules[0]) == start + cut
    assert text(Kind.MISSING, rules[0]) == f"{start}wanted, but not let through, cut by {told[0]}"
    assert text(Kind.WOULD_BLOCK, rules[0]) == f"{start}would be blocked in mode full, let in by {told[0]}"
    assert [one.value for one in (Kind.SHADOW, Kind.WOULD_OPEN)] == [
        "not in the policy, beside what ours allow (shadow allow)",
        "would be opened in mode full",
    ]


def test_a_rule_is_named_by_id_place_and_owner() -> None:
    start = "tcp/22 to 2 workloads (no label): not in the policy, let in by "
    assert text(Kind.EXCESS, replace(entry("r"), id="sgr-1")) == f"{start}sgr-1 'r' in legacy (g-1), not ours"
    assert text(Kind.EXCESS, entry("r", ours=True), container="policy") == f"{start}'r' in our policy legacy, not ours"
    assert text(Kind.EXCESS, replace(entry("r"), owner="Terraform")) == f"{start}'r' in legacy (g-1), not ours (Terraform)"
    plain = Drift("mem", Kind.EXCESS, Severity.LOW, "inbound", A, (), ("w",), Labels(), "tcp/22", ())
    assert plain.container == "group"


def test_ids_are_put_to_the_rules_that_have_one() -> None:
    one = Drift("mem", Kind.EXCESS, Severity.LOW, "inbound", A, (), (), Labels(), "w", (entry("a"), replace(entry("b"), id="old")))
    (found,) = with_ids([one], {("g-1", "a"): "sgr-1"})
    assert [rule.id for rule in found.entries] == ["sgr-1", ""]


# --- planned changes -------------------------------------------------------------------------------------------------


def intent() -> Intent:
    return intents.build(WORLD.compiler, TargetScope("mem", "acme", TargetMode.EXCLUSIVE), Actual({}, {}, {}), {})


def planned(before: dict[PointId, Access], after: dict[PointId, Access]) -> tuple[Change, ...]:
    return changes(WORLD.compiler.universe, WORLD.owners, intent(), point_changes(WORLD.owners, before, after))


def test_a_point_opens_and_closes_in_each_direction() -> None:
    both = PointChange(PointId("p"), None, Access(A, B), Access(B, A))
    assert (both.opens(inbound=True), both.closes(inbound=True)) == (B, A)
    assert (both.opens(inbound=False), both.closes(inbound=False)) == (A, B)
    part = PointChange(PointId("p"), None, Access(A, B), Access(A | B, A | B))
    assert (part.opens(inbound=True), part.opens(inbound=False)) == (B, A)
    back = PointChange(PointId("p"), None, part.after, part.before)
    assert (back.closes(inbound=True), back.closes(inbound=False)) == (B, A)


def test_points_that_differ_are_listed_by_id_with_their_owners_wherever_they_are_missing() -> None:
    stranger = PointId("mem/zz")
    before = {stranger: Access(A), at(WEB): Access(A), at(DB): Access(B)}
    after = {at(SEND): Access(B), at(WEB): Access(A), at(DB): Access(A)}
    found = point_changes(WORLD.owners, before, after)
    assert [(one.point, one.workload.name if one.workload else "", one.before, one.after) for one in found] == [
        (at(DB), "db-1", Access(B), Access(A)),
        (at(SEND), "send-1", Access(), Access(B)),
        (stranger, "", Access(A), Access()),
    ]


def test_interfaces_without_a_point_have_no_owner() -> None:
    bare = replace(WEB, interfaces=(replace(WEB.interfaces[0], point=None), replace(WEB.interfaces[0], point=PointId("second"))))
    assert set(Owners.of(compiled(POLICY, (bare,)).compiler.universe).by_point) == {PointId("second")}


def test_changes_that_are_alike_are_one_and_carry_the_rules_that_open_them() -> None:
    web = PacketSet.of(WEB.interfaces[0].addresses, SQL)
    opened = Access(A | web)
    found = planned({}, {at(DB): opened, at(DB2): opened})
    (one,) = found
    assert (one.direction, one.labels.text(), one.points, one.workloads) == ("inbound", "role=db", (at(DB), at(DB2)), ("db-1", "db-2"))
    assert (one.opens, one.closes) == (A | web, NO_PACKETS)
    assert {origin.rule for origin in one.origins} == {"shop#1", "shop#2"}
    assert one.class_id == next(group.id for group in WORLD.compiler.universe.classes if group.labels.get("role") == "db")
    (office,) = planned({}, {at(DB): Access(A)})
    assert [origin.rule for origin in office.origins] == ["shop#2"]
    (closing,) = planned({at(DB): Access(A)}, {})
    assert (closing.closes, closing.origins) == (A, ())
    (foreign,) = planned({}, {at(DB): Access(PacketSet.of(AddressSet.of("8.8.8.8"), SSH))})
    assert foreign.origins == (), "no rule wants that"


def test_what_is_sent_names_the_rules_for_sending() -> None:
    mail = PacketSet.of(OFFICE, ServiceSet.ports(TCP, 25, 25))
    (one,) = planned({}, {at(SEND): Access(outbound=mail)})
    assert (one.direction, one.opens, [origin.rule for origin in one.origins]) == ("outbound", mail, ["shop#3"])


def test_changes_come_by_class_then_direction_then_point_and_nobodys_first() -> None:
    numbers = {workload.name: WORLD.owners.by_point[at(workload)][0] for workload in (WEB, DB, SEND)}
    assert set(numbers.values()) == {0, 1, 2}
    first = min((WEB, DB, SEND), key=lambda one: numbers[one.name])
    last = max((WEB, DB, SEND), key=lambda one: numbers[one.name])
    nobody = PointId("zz")
    found = planned({at(last): Access(A)}, {nobody: Access(A), at(last): Access(B, B), at(first): Access(B)})
    assert [(one.points[0], one.direction) for one in found] == [
        (nobody, "inbound"),
        (at(first), "inbound"),
        (at(last), "inbound"),
        (at(last), "outbound"),
    ]
    assert (found[0].class_id, found[0].labels, found[0].workloads, found[0].origins) == ("", Labels(), (nobody,), ())
    apart = planned({}, {at(DB2): Access(A), at(DB): Access(B)})
    assert [one.points for one in apart] == [(at(DB),), (at(DB2),)]
