"""Compute Engine's semantics on a table: what a payload does to it. A call that would be refused raises ValueError: the plan is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from cloudsync.adapter import Seen, Step
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId
from cloudsync_gcp import payload as wire
from cloudsync_gcp.parse import rule as parse_rule
from cloudsync_gcp.table import GcpTable, Nic, Rule


@dataclass(slots=True)
class _Draft:
    """A table under change: mappings are copied once, however many steps follow."""

    table: GcpTable
    rules: dict[str, Rule]
    nics: dict[PointId, Nic]


def simulate_all(table: GcpTable, steps: Iterable[Step]) -> GcpTable:
    """Return the table after several steps, in their order, from their payloads alone."""
    draft = _Draft(table, dict(table.rules), dict(table.nics))
    for step in steps:
        request = wire.parse(step.payload)
        _CALLS[request.call](draft, request)
    rules = {name: draft.rules[name] for name in sorted(draft.rules)}
    return replace(table, rules=rules, nics=draft.nics)


def _insert(draft: _Draft, request: wire.Request) -> None:
    name = request.object
    if name in draft.rules or name in draft.table.taken:
        raise ValueError(f"firewall rule {name} exists")
    made = parse_rule(request.body, draft.table.owner)
    if made.mark is None or made.network not in draft.table.networks:
        raise ValueError(f"firewall rule {name} does not carry our mark, or is in a network that is not ours to manage")
    draft.rules[name] = made


def _there(draft: _Draft, name: str) -> Rule:
    rule = draft.rules.get(name)
    if rule is None:
        raise ValueError(f"no firewall rule {name}")
    return rule


def _delete(draft: _Draft, request: wire.Request) -> None:
    if _there(draft, request.object).mark is None:
        raise ValueError(f"firewall rule {request.object} is not ours to delete")
    del draft.rules[request.object]


def _patch(draft: _Draft, request: wire.Request) -> None:
    rule = _there(draft, request.object)
    if rule.mark is not None:
        raise ValueError(f"firewall rule {request.object} is ours: it is never edited")
    draft.rules[rule.name] = patched(rule, request)


def patched(rule: Rule, request: wire.Request) -> Rule:
    """Return a rule after a patch."""
    return replace(rule, disabled=bool(request.body["disabled"]), description=str(request.body["description"]))


def _set_tags(draft: _Draft, request: wire.Request) -> None:
    mine = [nic for nic in draft.nics.values() if nic.vm == request.object]
    if not mine or any(nic.tags != request.expect for nic in mine):
        raise ValueError(f"{request.object} does not bear the tags {', '.join(request.expect)}")
    for nic in mine:
        draft.nics[nic.point] = replace(nic, tags=request.items)


_CALLS: dict[str, Callable[[_Draft, wire.Request], None]] = {
    wire.INSERT: _insert,
    wire.DELETE: _delete,
    wire.PATCH: _patch,
    wire.SET_TAGS: _set_tags,
}
CALLS = tuple(sorted(_CALLS))
"""Every write the adapter can make."""


def seen(table: GcpTable, step: Step) -> Seen:
    """Tell whether a table shows a step's effect."""
    request = wire.parse(step.payload)
    if request.call == wire.SET_TAGS:
        tags = next((nic.tags for nic in table.nics.values() if nic.vm == request.object), None)
        return Seen.YES if tags == request.items else Seen.NO if tags == request.expect else Seen.OTHER
    rule = table.rules.get(request.object)
    if request.call == wire.DELETE:
        return Seen.YES if rule is None else Seen.OTHER if rule.mark is None else Seen.NO
    if request.call == wire.INSERT:
        if rule is None:
            return Seen.OTHER if request.object in table.taken else Seen.NO
        return Seen.YES if rule == parse_rule(request.body, table.owner) else Seen.OTHER
    if rule is None or rule.mark is not None:
        return Seen.OTHER
    if patched(rule, request) == rule:
        return Seen.YES
    return Seen.NO if rule.disabled is not request.body["disabled"] else Seen.OTHER
