"""What bounds a phase: tables below and above every state while its steps take effect; and whom steps may touch.

A phase of ours has one step. A virtual server goes from its old rules and lists to its new ones in one step when the device has compiled
them, each at a time of its own: so every point is at any moment as before or as after, and these two tables bound everything.
"""

from __future__ import annotations

from collections.abc import Mapping

from cloudsync.adapter import Bounds, Effect, Step
from cloudsync.model.workload import PointId
from cloudsync_f5.simulate import objects, simulate
from cloudsync_f5.table import AddressList, F5Table, Policy


def bounds(table: F5Table, steps: tuple[Step, ...]) -> Bounds:
    """Return tables that bound every state of a phase: at each point the state before, or the state after."""
    after = simulate(table, *steps)
    if all(step.effect is Effect.NONE for step in steps):
        return Bounds((table,), (table,))
    return Bounds((table, after), (table, after))


def affected(table: F5Table, steps: tuple[Step, ...]) -> frozenset[PointId]:
    """Return the virtual servers whose packets these steps may change: attached anew, or asked by a policy over a list that changes."""
    touched = objects(step for step in steps if step.effect is not Effect.NONE)
    if not touched:
        return frozenset()
    lists = _over(table.lists, touched)
    policies = {path for path, one in table.policies.items() if path in touched or _refers(table, one, lists)}
    outer = {table.enforced} if table.enforced in policies else set()
    domains = {one.id for one in table.route_domains.values() if one.enforced in policies}
    return frozenset(
        virtual.point
        for virtual in table.virtuals.values()
        if outer or virtual.domain in domains or virtual.path in touched or virtual.enforced in policies
    )


def _over(lists: Mapping[str, AddressList], touched: frozenset[str]) -> frozenset[str]:
    """Return the touched lists, and every list that takes one of them in."""
    found = set(touched)
    while True:
        more = {path for path, one in lists.items() if path not in found and not found.isdisjoint(one.lists)}
        if not more:
            return frozenset(found)
        found |= more


def _refers(table: F5Table, policy: Policy, lists: frozenset[str]) -> bool:
    rules = list(policy.rules)
    for rule in policy.rules:
        if rule.rule_list in table.rule_lists:
            rules.extend(table.rule_lists[rule.rule_list].rules)
    return any(not lists.isdisjoint((*rule.source.lists, *rule.destination.lists)) for rule in rules)
