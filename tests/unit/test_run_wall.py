"""The order of a run and its one fault wall per target: what fails stays alone, what was not read leads to no removal."""

from __future__ import annotations

from collections.abc import Mapping

from cloudsync import run
from cloudsync.adapter import Adapter, TargetSettings
from cloudsync.app import memory
from cloudsync.inventory.merge import build as build_inventory
from cloudsync.inventory.rules import InventoryRules
from cloudsync.inventory.static import StaticInventory
from cloudsync.inventory.values import Inventory
from cloudsync.model.finding import Where
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
