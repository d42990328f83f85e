"""What bounds a phase: tables below and above every state while its steps take effect in any order; and whom steps may touch."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from cloudsync.adapter import Bounds, Effect, Step
from cloudsync.model.workload import PointId
from cloudsync_azure import payload as wire
from cloudsync_azure.simulate import parsed, simulate
from cloudsync_azure.table import AzureTable


def bounds(table: AzureTable, steps: tuple[Step, ...]) -> Bounds:
    """Return tables that bound every state of a phase.

    One rule alone only adds or only takes away, whatever else is there. A replaced NSG has its old or its new rules, each NSG by itself; a
    point sees no more than the few in series before it, so the NSGs are coloured until no two in series have one colour, and every
    combination of colours, old or new, is a corner: some corner shows each point each state that it can be in.
    """
    put = [step for step in steps if parsed(step.payload, table.owner).request.call == wire.PUT_NSG]
    single = [step for step in steps if step not in put]
    silent = [step for step in single if step.effect is Effect.NONE]
    low = simulate(table, [*silent, *(step for step in single if step.effect is Effect.SHRINKS)])
    high = simulate(table, [*silent, *(step for step in single if step.effect is Effect.GROWS)])
    if not put:
        return Bounds((low,), (high,))
    groups = _coloured(table, put)
    chosen = [[step for group, on in zip(groups, corner, strict=True) if on for step in group] for corner in _corners(len(groups))]
    return Bounds(tuple(simulate(low, some) for some in chosen), tuple(simulate(high, some) for some in chosen))


def _corners(count: int) -> Iterable[tuple[bool, ...]]:
    return product((False, True), repeat=count)


def _coloured(table: AzureTable, put: list[Step]) -> list[list[Step]]:
    """Part replacements into groups in which no two NSGs stand in series before one interface."""
    names = {step.object for step in put}
    near: dict[str, set[str]] = {name: set() for name in names}
    for nic in table.nics.values():
        together = [nsg for nsg in table.series(nic) if nsg in names]
        for one in together:
            near[one].update(other for other in together if other != one)
    colour: dict[str, int] = {}
    for name in sorted(names):
        used = {colour[other] for other in near[name] if other in colour}
        colour[name] = next(number for number in range(len(names)) if number not in used)
    groups: list[list[Step]] = [[] for _ in range(max(colour.values()) + 1)]
    for step in put:
        groups[colour[step.object]].append(step)
    return groups


def affected(table: AzureTable, steps: Iterable[Step]) -> frozenset[PointId]:
    """Return the points behind the NSGs that these steps write."""
    touched = {step.object for step in steps if step.effect is not Effect.NONE}
    if not touched:
        return frozenset()
    return frozenset(nic.point for nic in table.nics.values() if not touched.isdisjoint(table.series(nic)))
