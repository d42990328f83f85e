"""What stops a plan before anything is written: a device that is not ready, names that are taken, sizes over a limit."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cloudsync.adapter import Problem
from cloudsync_f5 import payload as wire
from cloudsync_f5.lists import clash
from cloudsync_f5.table import GLOBAL, AddressList, F5Table, Policy, Rule, Virtual

_NEWER = re.compile(r"Recommended action: Synchronize (\S+) to group")
"""Whose changes the group lacks, in the device's own words (recorded: issues/failover_and_sync_state.json)."""
COMPILE_HINT = "set compiling and deploying of firewall rules to automatic, or do it by hand, or wait for it, and run again"


def early(table: F5Table) -> tuple[Problem, ...]:
    """Return what forbids any plan: a device that does not do what it is configured to do, a name that is taken."""
    found: list[Problem] = []
    for context, policy in sorted(table.running.items())[:5]:
        wanted, real = _configured(table, context) or "no policy", policy or "no policy"
        message = f"{context}: the device is configured to enforce {wanted}, but enforces {real}: not compiled yet"
        points = tuple(one.point for one in table.virtuals.values() if one.path == context)
        points += tuple(sorted(one.point for one in table.virtuals.values() if one.domain == _number(table, context)))
        found.append(Problem("F5-NOT-COMPILED", message, COMPILE_HINT, (), points))
    if table.compiling and not table.running:
        message = f"{table.active}: what is committed is not in force: {table.compiling}"
        found.append(Problem("F5-NOT-COMPILED", message, COMPILE_HINT, (), ()))
    if table.group and table.sync_words.startswith("red"):
        message = f"the devices of group {table.group} are in conflict, or do not see each other: {table.sync_words}"
        found.append(Problem("F5-SYNC", message, "bring them in step by hand first: what is written now could not reach the other device"))
    newer = _NEWER.search(table.sync_words)
    if table.group and newer is not None and newer[1] != table.active:
        message = f"{newer[1]} has changes that the active device {table.active} lacks: a change made now would be in conflict with them"
        hint = f"bring {newer[1]} to group {table.group} first, or undo its changes: afterwards both hold the same"
        found.append(Problem("F5-SYNC", message, hint))
    held = table.lists.get(table.pending)
    if (held is not None and held.mark is None) or table.pending in table.taken:
        found.append(clash(table.pending))
    found.extend(_partitions(table))
    found.extend(_domains(table))
    return tuple(found)


def _configured(table: F5Table, context: str) -> str:
    if context == GLOBAL:
        return table.enforced
    if context in table.virtuals:
        return table.virtuals[context].enforced
    return next((one.enforced for one in table.route_domains.values() if one.context == context), "")


def _number(table: F5Table, context: str) -> int | None:
    return next((one.id for one in table.route_domains.values() if one.context == context), None)


def _domains(table: F5Table) -> Iterable[Problem]:
    """Yield what is wrong with the route domains of the settings."""
    known = {word for one in table.route_domains.values() for word in (str(one.id), one.path)}
    for word in table.held:
        if word not in known:
            there = ", ".join(f"{one.id} ({one.path})" for one in sorted(table.route_domains.values(), key=lambda one: one.id)[:8])
            message = (
                f"the settings attach a policy to route domain {word}, and {table.active} has none of that name: it has {there or 'none'}"
            )
            yield Problem("F5-ROUTE-DOMAIN", message, "correct attach: route_domains, or make the route domain")


def _partitions(table: F5Table) -> Iterable[Problem]:
    if table.partition == "Common":
        return
    held = table.held_domains()
    away = [one for _, one in sorted(table.virtuals.items()) if not one.skipped and one.domain not in held and not _beside(table, one.path)]
    hint = "write partition: Common (every partition can use what is in it), or name only this partition under partitions"
    if away:
        message = (
            f"{len(away)} virtual servers are not in partition {table.partition}, first: {away[0].path}: they cannot use policies there"
        )
        yield Problem("F5-PARTITION", message, hint, (), tuple(one.point for one in away))
    for domain in held.values():
        if not _beside(table, domain.path):
            message = f"route domain {domain.path} is not in partition {table.partition}: it cannot use policies there"
            yield Problem("F5-PARTITION", message, "write partition: Common")


def _beside(table: F5Table, path: str) -> bool:
    return path.split("/")[1] == table.partition


def unreadable(virtual: Virtual, policy: str, odd: tuple[Rule, str]) -> Problem:
    """Return the problem of keeping what cannot be evaluated: a selective virtual server keeps the rest of its foreign policy open."""
    message = (
        f"{virtual.path}: mode selective keeps what policy {policy} lets in, "
        f"but its rule {odd[0].name} depends on {odd[1]}, which cannot be evaluated"
    )
    hint = "say that rule in addresses, or take the workload to full or back to visibility"
    return Problem("F5-UNREADABLE", message, hint, (), (virtual.point,))


def quotas(table: F5Table, policies: Iterable[Policy], lists: Iterable[AddressList]) -> Iterable[Problem]:
    """Return sizes over the limits of the settings, with the numbers."""
    most = table.quotas
    for policy in sorted(policies, key=lambda one: one.path):
        rules = len(policy.rules)
        blamed = _blamed(policy)
        carries = {one.id for one in table.route_domains.values() if one.enforced == policy.path}
        points = tuple(sorted(one.point for one in table.virtuals.values() if one.enforced == policy.path or one.domain in carries))
        if most.rules_per_policy and rules > most.rules_per_policy:
            message = f"policy {policy.path} needs {rules} rules; rules_per_policy allows {most.rules_per_policy}"
            yield Problem("G-QUOTA", message, "raise the limit in the settings, or say it in fewer rules", blamed, points)
        size = len(wire.canonical(wire.create_policy(policy).body))
        if most.request_bytes and size > most.request_bytes:
            message = f"policy {policy.path} is {size} bytes in one request; request_bytes allows {most.request_bytes}"
            yield Problem(
                "G-QUOTA", message, "raise the device's maxMessageBodySize and request_bytes, or say it in fewer rules", blamed, points
            )
    for one in sorted(lists, key=lambda each: each.path):
        if most.addresses_per_list and len(one.spans) > most.addresses_per_list:
            message = f"address list {one.path} needs {len(one.spans)} entries; addresses_per_list allows {most.addresses_per_list}"
            yield Problem("G-QUOTA", message, "raise the limit in the settings, or say the addresses in wider prefixes")
        size = len(wire.canonical(wire.addresses(one)))
        if most.request_bytes and size > most.request_bytes:
            message = f"address list {one.path} is {size} bytes in one request; request_bytes allows {most.request_bytes}"
            yield Problem("G-QUOTA", message, "raise the device's maxMessageBodySize and request_bytes, or use wider prefixes")


def _blamed(policy: Policy) -> tuple[str, ...]:
    counts: dict[str, int] = {}
    for rule in policy.rules:
        for origin in rule.origins:
            counts[origin.rule] = counts.get(origin.rule, 0) + 1
    return tuple(sorted(counts, key=lambda rule: (-counts[rule], rule))[:5])
