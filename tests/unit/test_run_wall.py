"""The order of a run and its one fault wall per target: what fails stays alone, what was not read leads to no removal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cloudsync import run
from cloudsync.adapter import Adapter, Encoding, Identity, Intent, Problem, ScopeState, Snapshot, TargetSettings
from cloudsync.app import memory
from cloudsync.guard import identity
from cloudsync.inventory.merge import build as build_inventory
from cloudsync.inventory.rules import InventoryRules
from cloudsync.inventory.static import StaticInventory
from cloudsync.inventory.values import Inventory
from cloudsync.model.finding import Where
from cloudsync.model.glance import Glance
from cloudsync.model.mode import TargetMode
from cloudsync.plan.build import Before
from cloudsync.plan.limits import GuardLimits
from cloudsync.policy.load import load_policy
from cloudsync.policy.values import Policy
from cloudsync.testing.memory import MemoryAdapter, MemoryPlatform

POLICY = b"""version: 1
labels: {role: [web, db]}
enforcement: {default: full}
rulesets:
  - name: base
    scope: all
    owner: us
    rules:
      - allow all workloads to all workloads on tcp/22
"""
LIMITS = GuardLimits(max_affected_workloads=100)


def _policy() -> Policy:
    policy, findings = load_policy([("policy/p.yaml", POLICY)])
    assert policy is not None, findings
    return policy


def _target(name: str) -> TargetSettings:
    return TargetSettings(name, "memory", TargetMode.EXCLUSIVE, {}, Where("cloudsync.yaml"))


class _Broken(MemoryAdapter):
    """An adapter with a bug."""

    def points(self, table: object) -> tuple[()]:  # noqa: ARG002  as the protocol has it
        raise KeyError("a field that is always there")


def _world(adapters: Mapping[str, Adapter], known: Inventory | None = None) -> tuple[run.World, tuple[run.Reading, ...]]:
    targets = [_target(name) for name in adapters]
    readings = run.read_all(targets, lambda target: adapters[target.name])
    discoveries = [one.discovery if one.snapshot else memory.unread(one.discovery, known) for one in readings]
    found = build_inventory(discoveries, StaticInventory(), InventoryRules(), _policy(), targets)
    inventory = memory.with_memory(found, known, targets)
    return run.world(_policy(), memory.live(inventory), 1.8e9, Before()), readings


def _settled(adapters: Mapping[str, Adapter]) -> run.Settled:
    return run.Settled("test", "digest", LIMITS, 1.8e9, {name: {} for name in adapters})


def _platform(address: str, scope: str = "mem/one") -> MemoryPlatform:
    platform = MemoryPlatform()
    legacy = platform.add_group("legacy", [("0.0.0.0/0", "6/22-22")], scope=scope)
    platform.add_point("m" + address.rpartition(".")[2], address, [legacy], scope=scope)
    return platform


def test_a_bug_in_one_target_stops_that_target_alone() -> None:
    adapters: dict[str, Adapter] = {
        "good": MemoryAdapter(_platform("10.0.0.1"), "good"),
        "bad": _Broken(_platform("10.0.0.2", "mem/two"), "bad"),
    }
    scene, readings = _world(adapters)
    good, bad = run.plan_all(scene, readings, _settled(adapters))
    assert good.plan is not None
    assert good.plan.certificate is not None
    assert good.plan.certificate.holds
    assert (bad.plan, bad.bug) == (None, True)
    assert "KeyError" in bad.error


def test_the_wrong_account_is_refused_and_nothing_is_read() -> None:
    platform = _platform("10.0.0.1")
    adapter = MemoryAdapter(platform, "mem")
    adapter.expected = "999999999999"
    (reading,) = run.read_all([_target("mem")], lambda _: adapter)
    assert reading.snapshot is None
    assert reading.refused.startswith("G-IDENTITY expected account 999999999999, got 111122223333")
    assert platform.reads == 0


def test_a_target_that_was_not_read_keeps_its_remembered_workloads_as_peers() -> None:
    first: dict[str, Adapter] = {
        "a": MemoryAdapter(_platform("10.0.0.1"), "a"),
        "b": MemoryAdapter(_platform("10.0.0.2", "mem/two"), "b"),
    }
    targets = [_target(name) for name in first]
    readings = run.read_all(targets, lambda target: first[target.name])
    known = build_inventory([one.discovery for one in readings], StaticInventory(), InventoryRules(), _policy(), targets)
    wrong = MemoryAdapter(_platform("10.0.0.2", "mem/two"), "b")
    wrong.expected = "999999999999"
    scene, again = _world({"a": first["a"], "b": wrong}, known)
    assert again[1].snapshot is None
    names = {workload.name for group in scene.compiler.universe.classes for workload in group.workloads}
    assert names == {"m1", "m2"}
    planned = run.plan_all(scene, again, _settled(first))
    assert planned[0].plan is not None
    assert any("10.0.0.2" in change.opens.text() or change.opens for change in planned[0].plan.changes) or planned[0].plan.changes
    assert planned[1].error


def test_a_scope_that_is_incomplete_is_said_to_be_unchecked() -> None:
    platform = _platform("10.0.0.1")
    platform.add_point("m9", "10.0.9.9", [platform.add_group("other", [], scope="mem/two")], scope="mem/two")
    platform.broken = {"mem/two": "page 2 failed"}
    adapters: dict[str, Adapter] = {"mem": MemoryAdapter(platform, "mem")}
    scene, readings = _world(adapters)
    (planned,) = run.plan_all(scene, readings, _settled(adapters))
    assert [(one.what, one.why) for one in planned.unchecked] == [("scope mem/two", "not read whole: page 2 failed")]
    report = run.guarded((planned,), _settled(adapters), scene, "plan", "p")
    assert [one.what for one in report.incomplete] == ["mem/two"]


def test_workloads_missing_once_are_neither_peers_nor_forgotten() -> None:
    both = _platform("10.0.0.1")
    both.add_point("m5", "10.0.0.5", [])
    adapters: dict[str, Adapter] = {"mem": MemoryAdapter(both, "mem")}
    targets = [_target("mem")]
    readings = run.read_all(targets, lambda target: adapters[target.name])
    known = build_inventory([one.discovery for one in readings], StaticInventory(), InventoryRules(), _policy(), targets)
    del both.spots[next(point for point in both.spots if point.endswith("m5"))]
    readings = run.read_all(targets, lambda target: adapters[target.name])
    found = build_inventory([one.discovery for one in readings], StaticInventory(), InventoryRules(), _policy(), targets)
    once = memory.with_memory(found, known, targets)
    assert [workload.name for workload in memory.live(once).workloads] == ["m1"]
    assert memory.quarantined(once).cidrs() == ("10.0.0.5/32",)
    twice = memory.with_memory(found, once, targets)
    assert not memory.quarantined(twice)


class _Quick(MemoryAdapter):
    """An adapter with a first look. `account`: what that proves; `fails`: what was left out cannot be read.

    `tight`: limits that a first look does not show would not do.
    """

    account = "111122223333"
    asked: tuple[str, ...] = ()
    fails = tight = False

    def forget(self) -> None:
        self.asked = ()

    def glance(self, hint: str = "") -> Glance:
        self.asked += (f"glance {hint}".strip(),)
        return Glance(super().read(), self.account, "quick")

    def completed(self, snapshot: Snapshot) -> Snapshot:
        self.asked += ("completed",)
        if not self.fails:
            return replace(snapshot, digest=f"whole {snapshot.digest}")
        scopes = tuple(ScopeState(one.scope, "refused") for one in snapshot.scopes)
        return replace(snapshot, table=replace(snapshot.table, groups={}, spots={}), scopes=scopes)

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        found = super().encode(intent, snapshot)
        if not self.tight or snapshot.digest.startswith("whole "):
            return found
        return replace(found, problems=(Problem("G-QUOTA", "no room", ""),))

    def identify(self) -> Identity:
        self.asked += ("identify",)
        return super().identify()

    def read(self) -> Snapshot:
        self.asked += ("read",)
        return super().read()


def _looked(adapter: _Quick, *, glance: bool = True) -> tuple[run.Reading, run.Planned]:
    readings = run.read_all([_target("mem")], lambda _: adapter, {} if glance else None)
    found = build_inventory([one.discovery for one in readings], StaticInventory(), InventoryRules(), _policy(), [_target("mem")])
    scene = run.world(_policy(), found, 1.8e9, Before())
    (planned,) = run.plan_all(scene, readings, _settled({"mem": adapter}))
    return readings[0], planned


def _at_rest() -> _Quick:
    """Return an adapter of a platform where the policy is in force."""
    adapter = _Quick(_platform("10.0.0.1"), "mem")
    _, planned = _looked(adapter, glance=False)
    assert planned.built is not None
    bindings: dict[str, str] = {}
    for step in (step for phase in planned.built.plan.phases for step in phase.steps):
        bindings.update(adapter.write(step, bindings).created)
    adapter.forget()
    return adapter


def test_where_nothing_is_to_do_a_first_look_is_all() -> None:
    adapter = _at_rest()
    reading, planned = _looked(adapter)
    assert reading.identity.good
    assert planned.plan is not None
    assert planned.plan.empty
    assert not planned.plan.problems
    assert adapter.asked == ("glance",)


def test_where_something_is_to_do_the_rest_is_read_and_the_platform_says_who_we_are() -> None:
    adapter = _Quick(_platform("10.0.0.1"), "mem")
    _, planned = _looked(adapter)
    assert planned.plan is not None
    assert not planned.plan.empty
    assert planned.plan.snapshot_digest.startswith("whole ")
    assert planned.plan.identity.got == Identity("memory", "111122223333", "tester")
    assert not planned.reading.glanced
    assert adapter.asked == ("glance", "identify", "completed")


def test_a_problem_is_looked_into_even_where_nothing_would_be_written() -> None:
    adapter = _at_rest()
    adapter.tight = True
    _, planned = _looked(adapter)
    assert planned.plan is not None
    assert planned.plan.problems == ()
    assert adapter.asked == ("glance", "identify", "completed")


def test_a_rest_that_cannot_be_read_leads_to_no_write() -> None:
    adapter = _Quick(_platform("10.0.0.1"), "mem")
    adapter.fails = True
    _, planned = _looked(adapter)
    assert planned.plan is not None
    assert planned.plan.empty
    assert "scope mem/one" in [one.what for one in planned.unchecked]


def test_an_account_that_no_answer_proves_is_asked_for_and_another_is_refused() -> None:
    adapter = _at_rest()
    for account in ("", "999999999999"):
        adapter.account = account
        adapter.forget()
        reading, _ = _looked(adapter)
        assert reading.identity.got == Identity("memory", "111122223333", "tester")
        assert adapter.asked == ("glance", "identify")
    adapter.expected = "222233334444"
    (refused,) = run.read_all([_target("mem")], lambda _: adapter, {})
    assert refused.snapshot is None
    assert refused.refused == (
        "G-IDENTITY expected account 222233334444, got 111122223333; nothing was written, and nothing that was read is used"
    )


def test_another_account_at_the_second_question_is_refused_by_the_guard() -> None:
    adapter = _Quick(_platform("10.0.0.1"), "mem")
    adapter.platform.account = "999999999999"
    _, planned = _looked(adapter)
    assert planned.plan is not None
    assert not planned.plan.empty
    assert [one.guard for one in identity.check(planned.plan, LIMITS)] == ["G-IDENTITY"]


def test_whoever_needs_all_of_it_gets_a_whole_read() -> None:
    adapter = _at_rest()
    _looked(adapter, glance=False)
    assert adapter.asked == ("identify", "read")
