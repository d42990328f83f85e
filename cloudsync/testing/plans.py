"""Plans to test with: a harmless one to vary, and real ones that lead a platform in memory from what it has to what is wanted."""

from __future__ import annotations

from dataclasses import replace

from cloudsync.adapter import Access, Identity, Method
from cloudsync.model.codec import digest
from cloudsync.model.mode import TargetMode
from cloudsync.model.workload import Labels, PointId, WorkloadId
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.values import Adoption, IdentityCheck, InventoryScope, TargetPlan, TouchedPoint
from cloudsync.proof.values import Certificate, Replay
from cloudsync.testing.memory import MemoryAdapter
from cloudsync.testing.memory_table import MemoryTable

ACCOUNT = "111122223333"

HARMLESS = TargetPlan(
    target="mem",
    mode=TargetMode.EXCLUSIVE,
    owner="test",
    identity=IdentityCheck(ACCOUNT, Identity("memory", ACCOUNT, "tester")),
    limits=GuardLimits(),
    snapshot_digest="0" * 64,
    desired_digest="1" * 64,
    policy_digest="2" * 64,
    scopes=("mem/one",),
    workloads=100,
    inventory=(InventoryScope("mem/one", "mem", verified=100, now=100),),
    certificate=Certificate(points=1),
    replay=Replay(states=1),
)
"""A plan that every guard lets pass; tests replace the fields they are about."""


def touched(name: str, before: Access, after: Access) -> TouchedPoint:
    """Return one point of the platform in memory whose packets change."""
    point = PointId(f"mem/one/{name}")
    return TouchedPoint(point, WorkloadId(f"mem/{name}"), name, Labels.of({"role": "web"}), "mem/one", "net", before, after)


def plan_to(adapter: MemoryAdapter, actual: MemoryTable, desired: MemoryTable, method: Method = Method.SWAP) -> TargetPlan:
    """Return the plan that leads from one table to another; its adoptions are the points that change hands."""
    phases = adapter.steps(actual, desired, method)
    adoptions = tuple(
        Adoption(key, spot.groups, adapter.decode(actual, points=(key,))[key].inbound)
        for key, spot in sorted(actual.spots.items())
        if desired.spots[key] != spot
    )
    return replace(
        HARMLESS,
        target=adapter.target,
        owner=adapter.owner,
        method=method.value,
        phases=phases,
        adoptions=adoptions,
        snapshot_digest=digest(adapter.dump(actual)),
        desired_digest=digest(adapter.dump(desired)),
    )
