"""What bounds a phase: tables below and above every state while its steps take effect; and whom steps may touch.

A phase of ours has one step. A context goes from its old rules and lists to its new ones in one step when the device has compiled them,
each at a time of its own: so every point is at any moment as before or as after. Where a virtual server's own policy and that of its route
domain change at once, either may be first: two more tables say how that looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from cloudsync.adapter import Bounds, Effect, Step
from cloudsync.model.workload import PointId
from cloudsync_f5.simulate import objects, simulate
from cloudsync_f5.table import AddressList, Ends, F5Table, Policy, Rule


def bounds(table: F5Table, steps: tuple[Step, ...]) -> Bounds:
    """Return tables that bound every state of a phase: at each point as before, as after, or one context ahead of the other."""
    after = simulate(table, *steps)
    if all(step.effect is Effect.NONE for step in steps):
        return Bounds((table,), (table,))
    states = (table, after, *_halfway(table, after))
    return Bounds(states, states)


def _halfway(before: F5Table, after: F5Table) -> Iterator[F5Table]:
    """Yield both mixtures of inner and outer contexts, if some virtual server sees both change."""
    lists = _over(after.lists, frozenset(path for path, one in before.lists.items() if after.lists.get(path) != one))
    dirty = frozenset(path for path, one in before.policies.items() if path in after.policies and _refers(before, one, lists))

    def changes(old: str, new: str) -> bool:
        return old != new or old in dirty

    outer = {one.id for path, one in before.route_domains.items() if changes(one.enforced, after.route_domains[path].enforced)}
    inner = [one for path, one in before.virtuals.items() if changes(one.enforced, after.virtuals[path].enforced)]
    if not any(one.domain in outer for one in inner):
        return
    yield _mixed(inner=before, outer=after, dirty=dirty)
    yield _mixed(inner=after, outer=before, dirty=dirty)


def _mixed(*, inner: F5Table, outer: F5Table, dirty: frozenset[str]) -> F5Table:
    """Return the table in which virtual servers are as in one table, and everything before them as in another.

    A policy over lists that differ stands under another name with the addresses written out.
    """
    virtuals = dict(outer.virtuals)
    policies = dict(outer.policies)
    for path, one in inner.virtuals.items():
        name = one.enforced
        if name in dirty:
            name = f"{name}#"
            held = inner.policies[one.enforced]
            policies[name] = replace(held, path=name, rules=tuple(_plain(inner, rule) for rule in held.rules))
        elif name:
            policies[name] = inner.policies[name]
        virtuals[path] = replace(one, enforced=name)
    missing = {path: one for path, one in inner.lists.items() if path not in outer.lists}
    return replace(outer, virtuals=virtuals, policies=policies, lists={**outer.lists, **missing})


def _plain(table: F5Table, rule: Rule) -> Rule:
    return replace(rule, source=_written_out(table, rule.source), destination=_written_out(table, rule.destination))


def _written_out(table: F5Table, ends: Ends) -> Ends:
    """Return one end of a rule with the entries of its lists in place; lists that take in others stay lists."""
    plain = {path for path in ends.lists if path in table.lists and not table.lists[path].lists and not table.lists[path].odd}
    spans = ends.spans.union(*(table.lists[path].spans for path in plain))
    return Ends(spans, ends.lists - plain)


def affected(table: F5Table, steps: tuple[Step, ...]) -> frozenset[PointId]:
    """Return the virtual servers whose packets these steps may change: attached anew, or asked by a policy over a list that changes."""
    touched = objects(step for step in steps if step.effect is not Effect.NONE)
    if not touched:
        return frozenset()
    lists = _over(table.lists, touched)
    policies = {path for path, one in table.policies.items() if path in touched or _refers(table, one, lists)}
    outer = {table.enforced} if table.enforced in policies else set()
    domains = {one.id for one in table.route_domains.values() if one.enforced in policies or one.context in touched}
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
