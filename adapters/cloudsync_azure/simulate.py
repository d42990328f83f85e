"""Azure's semantics on a table: what a payload does to it. A write that Azure would refuse raises ValueError: the plan is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import lru_cache
from itertools import groupby

from cloudsync.adapter import Seen, Step
from cloudsync.model.address import Family
from cloudsync.model.quick import dataclass
from cloudsync_azure import joins
from cloudsync_azure import payload as wire
from cloudsync_azure.limits import DESCRIPTION_MOST, NAME_MOST, PRIORITY_FIRST, PRIORITY_LAST
from cloudsync_azure.parse import ParseError, rule
from cloudsync_azure.table import AzureTable, Nsg, Protocol, Rule, order

BUSY_STATES = frozenset({"updating", "deleting", "creating"})


@dataclass(frozen=True, slots=True)
class Parsed:
    """A payload with its rules as values."""

    request: wire.Request
    rules: tuple[Rule, ...]


@lru_cache(maxsize=1024)
def parsed(payload: str, owner: str) -> Parsed:
    """Return a payload parsed back with the parser that reads Azure's answers. Raises ValueError."""
    request = wire.read(payload)
    try:
        rules = tuple(sorted((rule(raw, owner) for raw in request.rules), key=order))
    except ParseError as error:
        raise ValueError(str(error)) from error
    return Parsed(request, rules)


def simulate(table: AzureTable, steps: Iterable[Step]) -> AzureTable:
    """Return the table after several steps, in their order, from their payloads alone."""
    for joined, some in groupby(steps, lambda step: _join(step) is not None):
        batch = tuple(some)
        table = joins.after(table, filter(None, map(_join, batch))) if joined else _rules_after(table, batch)
    return table


def _join(step: Step) -> joins.Join | None:
    return joins.read(step.payload)


def _rules_after(table: AzureTable, steps: Iterable[Step]) -> AzureTable:
    nsgs, homes = dict(table.nsgs), joins.homes_of(table)
    for step in steps:
        one = parsed(step.payload, table.owner)
        nsg = nsgs.get(one.request.nsg)
        if nsg is None:
            raise ValueError(f"no network security group {one.request.nsg}")
        nsgs[nsg.id] = _after(nsg, one)
        _named_groups(nsg, nsgs[nsg.id], homes)
    return replace(table, nsgs=nsgs)


def _named_groups(old: Nsg, new: Nsg, homes: Mapping[str, AbstractSet[str]]) -> None:
    """Refuse rules of ours that come to name a group that nobody is in, or groups of several VNets. `homes`: VNets, by group."""
    before = {one.name: one for one in old.rules}
    for one in new.rules:
        asgs = {*one.source.asgs, *one.destination.asgs}
        if not asgs or not one.ours or before.get(one.name) == one:
            continue
        empty = next((asg for asg in asgs if not homes.get(asg)), None)
        if empty is not None:
            raise ValueError(f"rule {one.name} would name {empty.rpartition('/')[2]}, which nobody is in")
        if len(frozenset().union(*(homes[asg] for asg in asgs))) > 1:
            raise ValueError(f"rule {one.name} would name groups of several VNets")


def _after(nsg: Nsg, one: Parsed) -> Nsg:
    request = one.request
    if request.call == wire.PUT_NSG:
        if request.expect != wire.digest(nsg):
            raise ValueError(f"{nsg.name} is not as the step expects it")
        found = replace(nsg, rules=one.rules, flush=nsg.flush if request.flush is None else request.flush)
    else:
        name = request.name or one.rules[0].name
        known = next((each for each in nsg.rules if each.name.lower() == name.lower()), None)
        if request.expect != ("" if known is None else wire.rule_digest(known)):
            raise ValueError(f"rule {name} of {nsg.name} is not as the step expects it")
        others = [each for each in nsg.rules if each is not known]
        found = replace(nsg, rules=tuple(sorted((*others, *one.rules), key=order)))
    wrong = next(complaints(found.rules), None)
    if wrong is not None:
        raise ValueError(f"{nsg.name}: {wrong}")
    return found


def complaints(rules: Iterable[Rule]) -> Iterator[str]:
    """Yield what Azure would refuse in a table; of rules on their own only ours are looked at, foreign ones are stored already."""
    names: set[str] = set()
    places: dict[tuple[bool, int], str] = {}
    for one in rules:
        if one.name.lower() in names:
            yield f"two rules are called {one.name}"
        names.add(one.name.lower())
        place = (one.egress, one.priority)
        if place in places:
            yield f"rules {places[place]} and {one.name} have the same priority {one.priority}"
        places[place] = one.name
        if one.ours:
            yield from _wrong(one)


def _wrong(one: Rule) -> Iterator[str]:
    if not PRIORITY_FIRST <= one.priority <= PRIORITY_LAST:
        yield f"rule {one.name} has priority {one.priority}"
    if len(one.name) > NAME_MOST or len(one.description) > DESCRIPTION_MOST:
        yield f"rule {one.name} has too long a name or description"
    families = {
        family for side in (one.source, one.destination) for family in Family if not side.everything and side.addresses.family(family)
    }
    if len(families) > 1:
        yield f"rule {one.name} mixes address families"
    if one.protocol not in (Protocol.ANY, Protocol.TCP, Protocol.UDP) and one.ports != (0, 65536):
        yield f"rule {one.name} names ports for {one.protocol.value}"
    if any(not (side.addresses or side.tag or side.asgs) for side in (one.source, one.destination)):
        yield f"rule {one.name} has a side with nobody on it"


def seen(table: AzureTable, step: Step) -> Seen:
    """Tell whether a table shows a step's effect. While Azure is still at it, it does not."""
    join = joins.read(step.payload)
    if join is not None:
        return joins.seen(table, join)
    one = parsed(step.payload, table.owner)
    request, nsg = one.request, table.nsgs.get(one.request.nsg)
    if nsg is None:
        return Seen.OTHER
    if request.call == wire.PUT_NSG:
        done = nsg.rules == one.rules and (request.flush is None or nsg.flush is request.flush)
        if done and nsg.state.lower() not in BUSY_STATES:
            return Seen.YES
        return Seen.NO if done or wire.digest(nsg) == request.expect or nsg.state.lower() in BUSY_STATES else Seen.OTHER
    name = request.name or one.rules[0].name
    known = next((each for each in nsg.rules if each.name.lower() == name.lower()), None)
    done = known is None if request.call == wire.DELETE_RULE else known == one.rules[0]
    if done:
        return Seen.NO if nsg.state.lower() in BUSY_STATES else Seen.YES
    return Seen.NO if request.expect == ("" if known is None else wire.rule_digest(known)) else Seen.OTHER
