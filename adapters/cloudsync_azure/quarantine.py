"""Addresses of machines that a complete read did not find for the first time: rules that name them keep them one more run."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace

from cloudsync.adapter import Origin
from cloudsync.model.address import AddressSet
from cloudsync_azure.table import Rule, Side, Tier
from cloudsync_azure.tiers import Want

QUARANTINE = Origin("quarantine")


def held_back(wanted: list[Want], mine: Iterable[Rule], waiting: AddressSet, empty: AbstractSet[str]) -> list[Want]:
    """Return the wanted rules with the missing machines' addresses left where rules of ours name them now; none is added anywhere.

    `empty`: groups of ours in which nobody is seen. Whoever is missing may still be in there: rules about them stay as well.
    """
    if not waiting:
        return wanted
    found = list(wanted)
    for rule in mine:
        if rule.tier is not None and empty & {*rule.own.asgs, *rule.peer.asgs}:
            found.append(_as_it_is(rule))
            continue
        if rule.tier in (None, Tier.SHIELD, Tier.KEPT, Tier.MEND, Tier.PLATFORM) or not _names(rule, waiting):
            continue
        at = next((at for at, want in enumerate(found) if _continues(want, rule, waiting)), None)
        if at is not None:
            found[at] = _with(found[at], rule, waiting)
        elif _alone(rule.peer, waiting) or _alone(rule.own, waiting):
            found.append(_as_it_is(rule))
    return found


def _alone(side: Side, waiting: AddressSet) -> bool:
    return not side.asgs and side.addresses <= waiting


def _names(rule: Rule, waiting: AddressSet) -> bool:
    peer = rule.peer.addresses
    return bool(rule.own.addresses & waiting) or (not rule.peer.everything and bool(peer & waiting))


def _continues(want: Want, rule: Rule, waiting: AddressSet) -> bool:
    """Tell whether a wanted rule is the same as one that stands there, but for the missing machines."""
    same = (want.tier, want.deny, want.protocol, want.ports) == (rule.tier, rule.deny, rule.protocol, rule.ports)
    if not same or want.asg or want.peer.asgs or rule.own.asgs or bool(want.own.v4) is not bool(rule.own.addresses.v4):
        return False
    rest = (rule.peer.addresses - waiting, rule.own.addresses - waiting)
    peers_match = want.peer.addresses == rule.peer.addresses or want.peer.addresses - waiting == rest[0]
    return peers_match and want.own - waiting == rest[1]


def _with(want: Want, rule: Rule, waiting: AddressSet) -> Want:
    peer = want.peer if want.peer == rule.peer else Side(want.peer.addresses | (rule.peer.addresses & waiting))
    return replace(want, peer=peer, own=want.own | (rule.own.addresses & waiting))


def _as_it_is(rule: Rule) -> Want:
    assert rule.tier is not None
    names = rule.description.partition(": ")[2].split(", ")
    origins = tuple(Origin(name) for name in names if name) or (QUARANTINE,)
    own, asg = rule.own.addresses, next(iter(rule.own.asgs), "")
    return Want(rule.tier, rule.egress, rule.deny, rule.protocol, rule.peer, own, rule.ports, rule.source_ports, origins, asg)
