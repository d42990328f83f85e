"""What a plan file carries to be checked again, field by field; and how large objects get on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from cloudsync.adapter import Access, Effect, Encoding, Phase, Point, Step
from cloudsync.compile import intent as intents
from cloudsync.compile.intent import Actual, TargetScope, Wanted
from cloudsync.model.address import AddressSet
from cloudsync.model.codec import Json, Pool
from cloudsync.model.mode import Accept, Egress, Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.service import TCP, ServiceSet
from cloudsync.model.size import Size
from cloudsync.model.workload import PointId, Workload
from cloudsync.plan import peaks as sizes
from cloudsync.plan.build import Built
from cloudsync.plan.evidence import Evidence, TargetEvidence, document
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.values import Peak
from cloudsync.policy.load import load_policy
from cloudsync.policy.values import Policy
from cloudsync.proof.certificate import Beyond
from cloudsync.testing.memory import MemoryAdapter, MemoryPlatform
from cloudsync.testing.memory_table import MemoryTable
from cloudsync.testing.plans import HARMLESS
from tests.stories.estate import compiled, machine

POLICY = """version: 1
labels: {role: [web, db]}
iplists: {office: [192.0.2.0/24]}
enforcement:
  default: full
  rules: [{scope: role=web, mode: selective, services: [tcp/1-100], egress: leave}]
rulesets:
  - name: all
    scope: all
    owner: o
    rules:
      - allow iplist office, workload db-1 to role=db except workload web-1 on tcp/22
      - allow internet to unlabeled workloads on tcp/443
  - name: scoped
    scope: role=db
    owner: o
    rules:
      - allow outside role=web to all workloads on tcp/5
      - allow strangers, anywhere to role=db on tcp/6
"""
WEB, DB = (machine("mem", f"{role}-1", f"10.0.0.{number}", role=role) for number, role in enumerate(("web", "db"), 1))
TWO = replace(DB, interfaces=(*DB.interfaces, replace(DB.interfaces[0], ref="snat", point=None, source_only=True)))
WORLD = compiled(POLICY, (WEB, TWO))
A, B, C, D = (PacketSet.of(AddressSet.of("192.0.2.1"), ServiceSet.ports(TCP, number, number)) for number in range(1, 5))


def at(workload: Workload) -> PointId:
    point = workload.interfaces[0].point
    assert point is not None
    return point


def policy() -> Policy:
    found, findings = load_policy([("policy/all.yaml", POLICY.encode())])
    assert found is not None, findings
    return found


class Dumped(MemoryAdapter):
    """Tables are dumped as is said."""

    def __init__(self, before: Json, after: Json) -> None:
        super().__init__(MemoryPlatform())
        self.said = {"before": before, "after": after}

    def dump(self, table: MemoryTable) -> Json:
        return self.said[table.owner]


POINTS = {
    at(one): Point(at(one), scope, "net", one.name, AddressSet(), skipped=skipped)
    for one, scope, skipped in ((DB, "mem/one", ""), (WEB, "mem/one", "why"))
}
POINTS[PointId("mem/zz")] = Point(PointId("mem/zz"), "mem/a", "net", "zz", AddressSet())


def told(before: Json, after: Json, wanted: dict[PointId, Wanted] | None = None, beyond: Beyond | None = None) -> tuple[Any, Pool]:
    adapter = Dumped(before, after)
    scope = TargetScope("mem", "acme", TargetMode.EXCLUSIVE, frozenset({"b", "a"}), AddressSet.of("10.0.0.9"))
    intent = intents.build(WORLD.compiler, scope, Actual(POINTS, {}, {}), {})
    intent = replace(intent, points=tuple(replace(one, kept_in=None, kept_out=D, was_out=None) for one in intent.points))
    tables = MemoryTable("before", {}, {}), MemoryTable("after", {}, {})
    built = Built(HARMLESS, *tables, Encoding(tables[0]), intent, wanted or {}, beyond or Beyond())
    pool = Pool()
    one = TargetEvidence(adapter, built, POINTS)
    found = document(Evidence(policy(), WORLD.compiler.universe, frozenset({WEB.id, DB.id}), 1_800_000_000.9, (one,)), pool)
    return found, pool


# --- policy and inventory --------------------------------------------------------------------------------------------


def test_the_rules_stand_there_word_for_word_and_part_by_part() -> None:
    found, _ = told({}, {})
    first, second, third, fourth = found["rules"]
    office = {"iplist": "office", "addresses": first["from"][0]["base"]["addresses"]}
    assert office["addresses"] == ["192.0.2.0-192.0.2.255"]
    assert first["from"] == [
        {"base": office, "except": [], "outside": False},
        {"base": {"workload": "db-1"}, "except": [], "outside": False},
    ]
    assert first["to"] == [{"base": {"labels": [["role", ["db"]]]}, "except": [{"workload": "web-1"}], "outside": False}]
    assert (first["id"], first["action"], first["scopes"], first["until"], first["accept"]) == ("all#1", "allow", [None], None, [])
    assert first["text"] == "allow iplist office, workload db-1 to role=db except workload web-1 on tcp/22"
    assert first["services"] != second["services"]
    assert [one["base"] for one in (*second["from"], *second["to"])] == [{"word": "internet"}, {"word": "unlabeled workloads"}]
    assert third["scopes"] == fourth["scopes"] == [[["role", ["db"]]]]
    assert [(one["base"], one["outside"]) for one in (*third["from"], *third["to"])] == [
        ({"labels": [["role", ["web"]]]}, True),
        ({"word": "all workloads"}, False),
    ]
    assert [one["base"] for one in fourth["from"]] == [{"word": "strangers"}, {"word": "anywhere"}]


def test_ends_and_acceptances_of_rules_are_told_in_utc_and_in_order() -> None:
    dated = policy()
    ends = datetime(2027, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    rule = replace(dated.rules[0], until=ends, accept=frozenset(Accept))
    found: Any = document(Evidence(replace(dated, rules=(rule,)), WORLD.compiler.universe, frozenset(), 0.0, ()), Pool())
    assert found["rules"][0]["until"] == "2027-01-02T01:04:05Z"
    assert found["rules"][0]["accept"] == sorted(one.value for one in Accept)
    assert (found["now"], found["targets"], found["released"]) == ("1970-01-01T00:00:00Z", {}, [])


def test_enforcement_and_workloads_stand_there_whole() -> None:
    found, _ = told({}, {})
    lines = [(line["scope"], line["mode"], line["egress"]) for line in found["enforcement"]]
    assert ([["role", ["web"]]], Mode.SELECTIVE.value, Egress.LEAVE.value) in lines
    assert any(scope is None and mode == Mode.FULL.value for scope, mode, _ in lines)
    assert all(line["services"] is not None for line in found["enforcement"])
    db, web = found["workloads"]
    assert (db["id"], db["name"], db["ref"], db["target"], db["labels"]) == (DB.id, "db-1", "i-db-1", "mem", {"role": "db"})
    first, second = db["interfaces"]
    assert (first["domain"], first["point"], first["source_only"]) == ("default", at(DB), False)
    assert (second["point"], second["source_only"]) == (None, True)
    assert "10.0.0.2" in str(first["addresses"])
    assert web["id"] == WEB.id
    assert found["released"] == [DB.id, WEB.id]
    assert found["now"] == "2027-01-15T08:00:00Z"


# --- a target --------------------------------------------------------------------------------------------------------


def test_a_target_stands_there_as_it_was_read_and_by_what_differs_at_the_end() -> None:
    before: dict[str, Json] = {
        "rules": [1, {"b": 2}, 3],
        "groups": {"x": 1, "y": 2, **dict.fromkeys("hgfedc", 0)},
        "same": [1],
        "mode": "a",
        "gone": 7,
    }
    after: dict[str, Json] = {"rules": [{"b": 2}, 4, 1], "groups": {"y": 3, "z": 4}, "same": [1], "mode": "b", "new": [5]}
    found, _ = told(before, after)
    target = found["targets"]["mem"]
    assert (target["platform"], target["table"], target["incomplete"]) == ("memory", before, ["a", "b"])
    assert target["end"] == {
        "gone": {"whole": None},
        "groups": {"gone": ["c", "d", "e", "f", "g", "h", "x"], "new": {"y": 3, "z": 4}},
        "mode": {"whole": "b"},
        "new": {"whole": [5]},
        "rules": {"gone": [2], "new": [4]},
    }
    assert list(target["end"]) == sorted(target["end"])
    assert target["skipped"] == [at(WEB)]
    assert target["scopes"] == {"mem/a": ["mem/zz"], "mem/one": sorted([at(DB), at(WEB)])}
    assert list(target["scopes"]) == ["mem/a", "mem/one"]
    assert "10.0.0.9" in str(target["quarantined"])
    assert target["points"] == []


def test_a_held_point_carries_what_it_must_and_may_let_through_and_what_the_policy_does_not_decide() -> None:
    want = Wanted(Access(A | B, A | B), Access(A | B, A | B), ours_only=True)
    beyond = Beyond({at(DB): Access(A, B)}, {at(DB): Access(C, NO_PACKETS)}, {at(DB): Access(D, C)})
    found, pool = told({}, {}, {at(WEB): want, at(DB): want}, beyond)
    db, web = found["targets"]["mem"]["points"]

    def number(packets: PacketSet) -> int:
        return pool.number(packets)

    assert (db["point"], web["point"], db["ours_only"]) == (at(DB), at(WEB), True)
    assert "kept_in" not in web
    assert "was_out" not in web
    assert web["kept_out"] == number(D)
    assert {"left_out", "plumbing", "forced"} & set(web) == set()
    assert {"left_out", "plumbing", "forced"} <= set(db)
    held = beyond.held(at(DB), want)
    assert (held.least, held.most) == (Access(B | D, A | C), Access(A | B | C | D, A | B | C))
    texts = {key: str(db[key]) for key in ("least", "most", "left_out", "plumbing", "forced")}
    assert len(set(texts.values())) == 5


# --- sizes -----------------------------------------------------------------------------------------------------------


class Sized(MemoryAdapter):
    """Tables are numbers; how much objects hold in each is said."""

    def __init__(self, *holds: dict[str, int]) -> None:
        super().__init__(MemoryPlatform())
        self.holds = holds

    def sizes(self, table: object) -> Iterator[Size]:
        assert isinstance(table, int)
        yield from (Size(name, "rules", count, 10) for name, count in self.holds[table].items())

    def simulate(self, table: object, *steps: Step) -> Any:
        assert isinstance(table, int)
        return table + sum(step.adds - step.removes for step in steps)


def write(adds: int = 0, removes: int = 0, *, temporary: bool = False) -> Step:
    return Step("k", "Act", "s", "o", "t", Effect.GROWS, "{}", adds, removes, temporary=temporary, mark="m")


def peaks(adapter: Sized, *phases: Iterable[Step]) -> list[tuple[str, int]]:
    found = sizes.peaks(adapter, 0, tuple(Phase("p", tuple(steps)) for steps in phases))
    assert all((one.what, one.quota) == ("rules", 10) for one in found)
    return [(one.object, one.peak) for one in found]


def test_a_peak_is_what_an_object_holds_on_the_way_beyond_both_ends() -> None:
    adapter = Sized({"b": 3, "a": 1}, {"b": 5, "a": 1}, {"b": 4, "a": 2})
    assert peaks(adapter, [write(1)], [write(1)]) == [("b", 5)]
    assert peaks(adapter, [write(1)]) == [], "it stays"
    assert peaks(Sized({"a": 9}, {"a": 9}, {"a": 1}), [write(1)], [write(1)]) == [], "it was there before"
    assert peaks(Sized({}, {"b": 2, "a": 1}, {}), [write(1)], [write(1)]) == [("a", 1), ("b", 2)]
    assert peaks(Sized({}, {"a": 4}, {"a": 3}, {}), [write(1)], [write(1)], [write(1)]) == [("a", 4)]


def test_in_a_phase_that_adds_and_takes_away_everything_added_may_stand_first() -> None:
    adapter = Sized({"a": 1}, {"a": 3}, {"a": 7})
    assert peaks(adapter, [write(2), write(0, 1)]) == [("a", 7)]
    assert peaks(Sized({"a": 1}, {"a": 3}, {"a": 7}), [write(2)]) == []
    assert peaks(Sized({"a": 1}, {"a": 3}, {"a": 2}), [write(2), write(0, 1)]) == []


@pytest.mark.parametrize(
    ("method", "temporary", "counted"),
    [("two-band", False, True), ("meet", False, True), ("shield", False, True), ("merge", False, False), ("join", True, True)],
)
def test_peaks_are_asked_for_where_old_and_new_stand_beside_each_other(method: str, *, temporary: bool, counted: bool) -> None:
    adapter = Sized({}, {"a": 4}, {})
    phases = (Phase("p", (write(1),)), Phase("q", (write(1, temporary=temporary),)))
    found = sizes.of_order(adapter, 0, method, phases)
    assert bool(found) is counted
    assert sizes.of_order(MemoryAdapter(MemoryPlatform()), MemoryTable("", {}, {}), "meet", ()) == ()


def test_a_peak_has_to_fit_its_quota_less_the_reserve() -> None:
    fits, above = Peak("a", "rules", 95, 100), Peak("b", "rules", 96, 100)
    assert list(sizes.over((fits, above, fits), GuardLimits(quota_reserve=5))) == [above]
    assert [sizes.usable(quota, 5) for quota in (5, 19, 20, 99, 100)] == [5, 19, 19, 95, 95]
