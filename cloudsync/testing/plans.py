"""Plans to test with: a harmless one to vary, and real ones that lead a platform in memory from what it has to what is wanted."""

from __future__ import annotations

from dataclasses import replace

from cloudsync.adapter import Access, Adapter, Discovery, Encoding, Identity, Intent, Method, Snapshot, Table, Whose
from cloudsync.compile.intent import Actual
from cloudsync.compile.universe import Universe
from cloudsync.model.codec import digest
from cloudsync.model.mode import TargetMode
from cloudsync.model.workload import Labels, PointId, WorkloadId
from cloudsync.plan.build import Before, Built, Case
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.order import choose
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


def built_to(adapter: Adapter, actual: Table, desired: Table, universe: Universe, target: str) -> Built:
    """Return a plan between two tables of a platform by the planner's own choice of method, as a run would make it."""
    points = {point.id: point for point in adapter.points(actual)}
    now = adapter.decode(actual, Whose.ALL)
    order = choose(adapter, actual, desired, {name: point.addresses for name, point in points.items()})
    snapshot = Snapshot(target, Discovery(target, (), ()), actual, (), digest(adapter.dump(actual)))
    intent = Intent(target, "test", TargetMode.EXCLUSIVE, (), ())
    case = Case(
        adapter=adapter,
        identity=HARMLESS.identity,
        snapshot=snapshot,
        intent=intent,
        universe=universe,
        actual=Actual(points, now, adapter.decode(actual, Whose.FOREIGN)),
        recorded={},
        limits=HARMLESS.limits,
        before=Before(),
        policy_digest=HARMLESS.policy_digest,
    )
    plan = replace(
        HARMLESS,
        target=target,
        method=order.method,
        phases=order.phases,
        replay=order.replay,
        snapshot_digest=snapshot.digest,
        desired_digest=digest(adapter.dump(desired)),
    )
    after = adapter.decode(order.final, Whose.ALL) if order.phases else now
    return Built(plan, actual, order.final, Encoding(desired), intent, case=case, after=after)
