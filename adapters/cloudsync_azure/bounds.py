"""What bounds a phase: tables below and above every state while its steps take effect in any order; and whom steps may touch."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from cloudsync.adapter import Bounds, Effect, Step
from cloudsync.model.workload import PointId
from cloudsync_azure import joins
from cloudsync_azure import payload as wire
from cloudsync_azure.simulate import parsed, simulate
from cloudsync_azure.table import AzureTable


def bounds(table: AzureTable, steps: tuple[Step, ...]) -> Bounds:
    """Return tables that bound every state of a phase.

    One rule alone only adds or only takes away, whatever else is there. A replaced NSG has its old or its new rules, each NSG by itself; a
    point sees no more than the few in series before it, so the NSGs are coloured until no two in series have one colour, and every
    combination of colours, old or new, is a corner: some corner shows each point each state that it can be in. Interfaces that join and
    leave groups have corners of their own, see `_memberships`.
    """
    moved = [step for step in steps if _puts(step)]
    rest = [step for step in steps if step not in moved]
    put = [step for step in rest if joins.read(step.payload) is None and parsed(step.payload, table.owner).request.call == wire.PUT_NSG]
    single = [step for step in rest if step not in put]
    silent = [step for step in single if step.effect is Effect.NONE]
    low = simulate(table, [*silent, *(step for step in single if step.effect is Effect.SHRINKS)])
    high = simulate(table, [*silent, *(step for step in single if step.effect is Effect.GROWS)])
    groups = _coloured(table, put) if put else []
    replaced = [[step for group, on in zip(groups, corner, strict=True) if on for step in group] for corner in _corners(len(groups))]
    chosen = [(*more, *some) for some in replaced for more in _memberships(moved)]
    return Bounds(tuple(simulate(low, some) for some in chosen), tuple(simulate(high, some) for some in chosen))


def _puts(step: Step) -> bool:
    join = joins.read(step.payload)
    return join is not None and join.call == joins.PUT_NIC


def _memberships(moved: list[Step]) -> list[list[Step]]:
    """Return the parts of these moves that show every pair of interfaces in each of its four states: neither, one, the other, both.

    Whether a packet gets through goes by the groups of its two ends alone. Any two of n moves differ in a bit of their places.
    """
    found = [[], moved] if moved else [[]]
    for bit in range((len(moved) - 1).bit_length() if len(moved) > 1 else 0):
        found.extend([step for at, step in enumerate(moved) if at >> bit & 1 == on] for on in (0, 1))
    return found


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
    """Return the points behind the NSGs that these steps write, or whose rules name groups that somebody joins or leaves."""
    some = tuple(steps)
    moves = [join for join in (joins.read(step.payload) for step in some) if join is not None]
    touched = {step.object for step in some if step.effect is not Effect.NONE and step.object in table.nsgs}
    found = joins.affected(table, moves) if moves else frozenset[PointId]()
    if not touched:
        return found
    return found | {nic.point for nic in table.nics.values() if not touched.isdisjoint(table.series(nic))}
