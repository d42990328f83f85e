"""What bounds a phase: tables below and above every state while its steps take effect in any order; and whom steps may touch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from cloudsync.adapter import Bounds, Effect, Step
from cloudsync.model.workload import PointId
from cloudsync_gcp import payload as wire
from cloudsync_gcp.match import Matcher, by_network
from cloudsync_gcp.parse import rule as parse_rule
from cloudsync_gcp.simulate import simulate_all
from cloudsync_gcp.table import GcpTable, Rule


def bounds(table: GcpTable, steps: tuple[Step, ...]) -> Bounds:
    """Return tables that bound every state of a phase.

    What a first-match table lets through only rises with each allow that comes and each deny that goes, and only falls with the others,
    whatever else stands there. A VM whose tags change bears the old or the new ones, both for its own rules and as a member that others
    refer to, and these two may lag behind each other: what a point lets in from one member depends on these two machines alone, so a
    packet is decided as in one of four corners.
    """
    silent = [step for step in steps if step.effect is Effect.NONE]
    grows = [step for step in steps if step.effect is Effect.GROWS]
    shrinks = [step for step in steps if step.effect is Effect.SHRINKS]
    swaps = [step for step in steps if step.effect is Effect.SWAPS]
    low = simulate_all(table, (*silent, *shrinks))
    high = simulate_all(table, (*silent, *grows))
    if not swaps:
        return Bounds((low,), (high,))
    return Bounds(_corners(low, swaps), _corners(high, swaps))


def _corners(table: GcpTable, swaps: list[Step]) -> tuple[GcpTable, ...]:
    before = dict(table.members or {})
    after = dict(before)
    for step in swaps:
        request = wire.parse(step.payload)
        before[request.object], after[request.object] = request.expect, request.items
    moved = simulate_all(table, swaps)
    return tuple(replace(own, members=members) for own in (table, moved) for members in (before, after))


def affected(table: GcpTable, steps: tuple[Step, ...]) -> frozenset[PointId]:
    """Return the points whose packets these steps may change: where their rules act, VMs whose tags change, and whoever refers to those."""
    rules: dict[str, Rule] = {}
    vms: set[str] = set()
    tags: set[str] = set()
    for step in steps:
        request = wire.parse(step.payload)
        if step.effect is Effect.NONE:
            continue
        if request.call == wire.SET_TAGS:
            vms.add(request.object)
            tags.update(set(request.items) ^ set(request.expect))
        elif request.call == wire.INSERT:
            rules[request.object] = parse_rule(request.body, table.owner)
        elif request.object in table.rules:
            rules[request.object] = table.rules[request.object]
    if tags:
        rules |= {name: rule for name, rule in table.rules.items() if tags.intersection(rule.source_tags)}
    acting = _acted_on(table, rules.values())
    return acting | frozenset(nic.point for nic in table.nics.values() if nic.vm in vms)


def _acted_on(table: GcpTable, rules: Iterable[Rule]) -> frozenset[PointId]:
    matchers = {key: Matcher(listed, egress=key[1]) for key, listed in by_network(table, rules).items() if listed}
    return frozenset(
        nic.point
        for nic in table.nics.values()
        if any((nic.network, egress) in matchers and matchers[nic.network, egress].side(nic).any for egress in (False, True))
    )
