"""Rules about groups that change hands, said by address for a while: then members can come and go and no packet notices (MEET)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from cloudsync.model.address import NOWHERE, AddressSet, Family
from cloudsync_azure.limits import NAME_MOST, PRIORITY_FIRST, PRIORITY_LAST
from cloudsync_azure.table import AzureTable, Nsg, Rule, Side, Tier, members, order


def frozen(nsg: Nsg, table: AzureTable, changing: AbstractSet[str]) -> Nsg | None:
    """Return an NSG whose own rules name none of these groups, and say what they say now; None where a rule finds no second number."""
    inside = members(table)
    behind = AddressSet.union_all(nic.private for nic in table.nics.values() if nsg.id in table.series(nic))
    taken = {(one.egress, one.priority): one for one in nsg.rules}
    rules: list[Rule] = []
    for one in nsg.rules:
        if not one.ours or changing.isdisjoint({*one.own.asgs, *one.peer.asgs}):
            rules.append(one)
            continue
        for twin, plain in enumerate(_plain(one, inside, behind)):
            number = one.priority if not twin else _beside(one, taken)
            if number is None:
                return None
            taken[one.egress, number] = one
            rules.append(replace(plain, priority=number, name=one.name if not twin else f"{one.name[: NAME_MOST - 2]}-6"))
    return replace(nsg, rules=tuple(sorted(rules, key=order)))


def _plain(one: Rule, inside: Mapping[str, AddressSet], behind: AddressSet) -> Iterator[Rule]:
    """Yield a rule by its addresses, family by family; nothing for one that is about nobody."""
    for family in Family:
        own = _side(one.own, inside, family)
        own = Side(own.addresses & behind) if one.own.asgs else own
        peer = _side(one.peer, inside, family)
        if (own.addresses or own.tag) and (peer.addresses or peer.tag):
            source, destination = (own, peer) if one.egress else (peer, own)
            yield replace(one, source=source, destination=destination)


def _side(side: Side, inside: Mapping[str, AddressSet], family: Family) -> Side:
    if side.tag:
        return side if family is Family.V4 else Side()  # of the tags that we name, AzureLoadBalancer is an IPv4 address
    addresses = AddressSet.union_all(inside.get(asg, NOWHERE) for asg in side.asgs) if side.asgs else side.addresses
    return side if side.everything and family is Family.V4 else Side(addresses.only(family))


def _beside(one: Rule, taken: Mapping[tuple[bool, int], Rule]) -> int | None:
    """Return a free number next to a rule, with only rules of its own tier between: among those order is free, but for copies of others."""
    for step in (1, -1) if one.tier is not Tier.KEPT else ():
        number = one.priority + step
        while (one.egress, number) in taken and taken[one.egress, number].tier is one.tier:
            number += step
        if (one.egress, number) not in taken and PRIORITY_FIRST <= number <= PRIORITY_LAST:
            return number
    return None
