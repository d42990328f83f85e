"""Temporary rules of ours: what helps a change on its way. They aim at addresses, whatever a target's other rules aim at."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace

from cloudsync.adapter import Origin
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.packets import PacketSet
from cloudsync_gcp.chunks import divide
from cloudsync_gcp.payload import description, stem
from cloudsync_gcp.spell import say
from cloudsync_gcp.table import TEMPORARY_CLASS, GcpTable, Mark, Rule

TEMPORARY = Origin("temporary")


def head(table: GcpTable, network: str, number: int, *, egress: bool, deny: bool) -> Rule:
    """Return a temporary rule that says nothing yet, and has no name."""
    rules = (TEMPORARY.rule,)
    text = description(table.owner, TEMPORARY_CLASS, rules)
    mark = Mark(table.owner, TEMPORARY_CLASS, rules)
    return Rule("", network, egress, number, deny, description=text, mark=mark, origins=(TEMPORARY,))


def saying(first: Rule, packets: PacketSet, own: AddressSet, most: int) -> Iterator[Rule]:
    """Yield rules for packets at some addresses, as far as Google has words for them: ICMP types are left out."""
    for peers, services in packets.products():
        family = Family.V4 if peers.v4 else Family.V6
        for protocols in say(services, family).parts:
            for part in divide(peers, (), most):
                for target in divide(own.only(family), (), most):
                    sources, destinations = (target, part) if first.egress else (part, target)
                    yield replace(first, protocols=protocols, sources=sources.cidrs(), destinations=destinations.cidrs())


def named(rule: Rule, owner: str, taken: AbstractSet[str]) -> Rule:
    """Return a rule under its content's name, with a number behind it where that name is not free."""
    base = stem(rule, owner)
    name, turn = base, 0
    while name in taken:
        turn += 1
        name = f"{base}-r{turn}"
    return replace(rule, name=name)
