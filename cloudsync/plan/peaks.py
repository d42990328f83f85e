"""Peaks: how large native objects get while temporary rules, or old and new rules, stand side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cloudsync.adapter import Adapter, Phase, Table
from cloudsync.model.size import Measured, Size
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.values import Peak

Key = tuple[str, str]
"""An object and what of it is counted."""


def of_order(adapter: Adapter, actual: Table, method: str, phases: tuple[Phase, ...]) -> tuple[Peak, ...]:
    """Return the peaks of an order that puts temporary rules in, or whole blocks beside each other; of other orders, nothing."""
    temporary = method in BESIDE or any(step.temporary for phase in phases for step in phase.steps)
    return peaks(adapter, actual, phases) if temporary else ()


BESIDE = frozenset({"two-band", "meet", "shield"})
"""Methods under which an object holds more than old and new rules that differ."""


def peaks(adapter: Adapter, actual: Table, phases: tuple[Phase, ...]) -> tuple[Peak, ...]:
    """Return what gets larger on the way than it is before and after, ordered by object; nothing where a platform does not say sizes.

    What is there before and after is the matter of whoever says the policy in native rules. In a phase that adds and takes away in any
    order, all that is added may be there first.
    """
    if not isinstance(adapter, Measured):
        return ()
    table = actual
    most: dict[Key, Size] = {}
    for phase in phases:
        growing = [step for step in phase.steps if step.adds]
        if growing and len(growing) < len(phase.steps):
            _raise(most, _sizes(adapter, adapter.simulate(table, *growing)))
        table = adapter.simulate(table, *phase.steps)
        _raise(most, _sizes(adapter, table))
    before, after = _sizes(adapter, actual), _sizes(adapter, table)
    return tuple(
        Peak(one.object, one.what, one.holds, one.limit)
        for key, one in sorted(most.items())
        if one.holds > max(_holds(before, key), _holds(after, key))
    )


def _sizes(adapter: Measured, table: Table) -> dict[Key, Size]:
    return {(one.object, one.what): one for one in adapter.sizes(table)}


def _holds(sizes: Mapping[Key, Size], key: Key) -> int:
    return sizes[key].holds if key in sizes else 0


def _raise(most: dict[Key, Size], sizes: Mapping[Key, Size]) -> None:
    for key, one in sizes.items():
        if key not in most or most[key].holds < one.holds:
            most[key] = one


def usable(quota: int, reserve: int) -> int:
    """Return how much of a quota a plan may use; the reserve is rounded down, so that a quota of 5 stays 5."""
    return quota - quota * reserve // 100


def over(found: tuple[Peak, ...], limits: GuardLimits) -> Iterator[Peak]:
    """Yield the peaks for which there is no room."""
    for peak in found:
        if peak.peak > usable(peak.quota, limits.quota_reserve):
            yield peak
