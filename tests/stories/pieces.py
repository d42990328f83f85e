"""What stories are made of: packets, findings of the records, the run behind them, changes of earlier runs, weeks of counts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cloudsync.model.address import AddressSet
from cloudsync.model.codec import digest, packets_json
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import TCP, ServiceSet
from cloudsync.proof.drift import Drift
from cloudsync.report.matrix import Matrix, build
from cloudsync.report.story import Made, Mark, State, Story, Tracked
from cloudsync.report.values import RunReport, TargetReport
from tests.stories.estate import DAY, HOUR, NOW, World

Words = tuple[str, ...]
POLICY = '4f1c2a9 (netsec, "open 8443 for the order API")'
HEAD = "line 4182, 9f2d6c1e0b7a4d35a1c9e8f702b3d6445e1f0a9c8b7d6e5f4a3b2c1d0e9f8a7b"


def ports(first: int, last: int = 0) -> ServiceSet:
    """Return TCP ports."""
    return ServiceSet.ports(TCP, first, last or first)


def packets(peers: AddressSet | str, services: ServiceSet) -> PacketSet:
    """Return packets from these peers."""
    return PacketSet.of(AddressSet.of(peers) if isinstance(peers, str) else peers, services)


def tracked(one: Drift, state: State = State.NEW, *, hours: float = 1.0, number: int = 1) -> Tracked:
    """Return a finding of the records."""
    return Tracked(
        key=f"{one.target}/{number:04x}{digest(packets_json(one.packets))[:8]}",
        target=one.target,
        kind=one.kind,
        severity=one.severity,
        state=state,
        words=one.words,
        sentence=one.text(),
        direction=one.direction,
        labels=one.labels,
        workloads=one.workloads,
        points=one.points,
        packets=digest(packets_json(one.packets)),
        first_seen=NOW - hours * HOUR,
        last_seen=NOW if state is not State.RESOLVED else NOW - HOUR / 12,
        seen=max(1, int(hours * 12)),
        natives=tuple(f"{entry.native} in {entry.object_name}" for entry in one.entries),
        content=one.packets,
        owners=("netsec",),
    )


def matrix(world: World, findings: tuple[Tracked, ...]) -> Matrix:
    """Return the matrix of a world with its open findings marked."""
    found = [(one, one.content, one.key) for one in findings if one.content is not None and one.state is not State.RESOLVED]
    return build(world.compiler, world.owners, found, "inventory verified 2026-03-02T08:15Z")


def report(world: World, targets: tuple[TargetReport, ...], verb: str = "drift") -> RunReport:
    """Return the run behind a story."""
    workloads = sum(len(group.workloads) for group in world.compiler.universe.classes)
    return RunReport(
        verb, "acme-prod", POLICY, workloads, (), targets, universe=world.compiler.universe, owners=world.owners, run_id="69a547b0-2f6c11"
    )


def story(**fields: Any) -> Story:
    """Return a story with nothing in it but these fields."""
    empty = Story("69a547b0-2f6c11", "drift", NOW, "acme-prod", POLICY, None, (), (), audit_head=HEAD)
    return replace(empty, **fields)


def changes(world: World) -> Iterator[Made]:
    """Yield what earlier runs did, the latest first."""
    rows: tuple[tuple[float, str, dict[str, str], Words, Words, Words, str], ...] = (
        (0.0, "69a547b0-2f6c11", {"app": "ordering", "role": "db"}, (), ("tcp/22 from the internet",), (), POLICY),
        (
            26 * HOUR,
            "69a3d9b1-00aa41",
            {"app": "ordering", "role": "app"},
            ("tcp/8443 from role=web app=ordering env=prod",),
            (),
            ("ordering-prod/web-to-app (policy/ordering.yaml:12)",),
            POLICY,
        ),
        (
            5 * DAY,
            "699f1e30-7b2f90",
            {"app": "ordering", "role": "lb"},
            ("tcp/443, udp/443 from iplist partners",),
            ("tcp/80 from anywhere",),
            ("ordering-prod#1 (policy/ordering.yaml:10)",),
            '9b0d3e1 (mlopez, "https only for partners")',
        ),
        (
            12 * DAY,
            "6995e0aa-41c7d2",
            {"role": "web", "app": "ordering"},
            (),
            ("tcp/8080 from 10.0.0.0/8", "tcp/9100 from 203.0.113.9"),
            (),
            '77aa01c (netsec, "tidy up monitoring")',
        ),
    )
    for ago, run, labels, opens, closes, rules, policy in rows:
        group = world.compiler.universe.classes[next(world.classes(**labels))]
        names = tuple(world.compiler.universe.called(one) for one in group.workloads)
        yield Made(run, NOW - ago, group.workloads[0].target, "inbound", group.labels, names, opens, closes, rules, policy)


def marks(targets: dict[str, tuple[float, int]], labels: tuple[str, ...], *, days: int, seed: int) -> Iterator[Mark]:
    """Yield days of counts: `targets` says the usual number of findings and the number of workloads of each."""
    dice = random.Random(seed)
    level = {name: usual for name, (usual, _) in targets.items()}
    for back in range(days - 1, -1, -1):
        day = datetime.fromtimestamp(NOW - back * DAY, UTC).date().isoformat()
        for name, (usual, workloads) in targets.items():
            step = dice.choice((-1, -1, 0, 0, 0, 1, 2)) * 0.5 * (usual > 0)
            level[name] = max(0.0, level[name] + step - (level[name] - usual) * 0.15)
            count = round(level[name])
            critical = min(count, int(dice.random() < 0.12 and usual > 0))
            grown = workloads * (days - back + 20) // (days + 20)
            fresh = dice.choice((0, 0, 0, 1, 1, 2, 3)) * (usual > 0)
            yield Mark(day, name, "", count, critical, critical * 4 + (count > 2) * 2, grown * 9 // 10, workloads, fresh)
            for at, label in enumerate(labels):
                share = max(1, len(labels) - at)
                part = workloads // (at + 1)
                yield Mark(
                    day, name, label, count * share // (len(labels) + 1), critical, critical * 3, grown * part // (workloads + at), part
                )
