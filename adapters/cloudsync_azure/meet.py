"""MEET: first only what old and new share, at every NSG; a barrier; then the rest of the new. Helpers are denies on top (shields).

NSGs in series are points of their own: each goes to what its own old and new rules share. Whole groups: the new rules under shields against
what they open, or (where that does not come out exactly) the old rules under shields against what goes. Rule by rule: the old rules under
shields against what goes, then the way of MERGE under them, then the shields go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from cloudsync.adapter import Access, Phase
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.packets import PacketSet
from cloudsync.model.workload import PointId
from cloudsync_azure.fit import peer_side, say
from cloudsync_azure.limits import PRIORITY_LAST
from cloudsync_azure.payload import content_digest
from cloudsync_azure.steps import Change, alone, changes, delete_rule, flush, merge, phases, put, put_rule
from cloudsync_azure.table import AzureTable, Nsg, Rule, Side, Tier, mark_text, order

PORTS_MOST = 200


def meet(actual: AzureTable, desired: AzureTable, band: tuple[int, int]) -> tuple[Phase, ...]:
    """Return the writes of MEET for whole groups; empty where shields find no number or do not come out exactly."""
    flushed, ready = flush(actual, changes(actual, desired))
    ways: list[tuple[Nsg, Nsg, Nsg]] = []
    for old, new in ready:
        ends = _Ends(actual, old, new)
        middle = ends.middle(new, band, opening=True) or ends.middle(old, band, opening=False)
        if middle is None:
            return ()
        ways.append((old, middle, new))
    return phases(
        ("flush", flushed),
        ("shrink", [put(actual, old, middle, temporary=True, name="shrink") for old, middle, _ in ways if old.rules != middle.rules]),
        ("grow", [put(actual, middle, new, name="grow") for _, middle, new in ways if middle.rules != new.rules]),
    )


def meet_by_rule(actual: AzureTable, desired: AzureTable, band: tuple[int, int]) -> tuple[Phase, ...]:
    """Return the writes of MEET rule by rule."""
    flushed, ready = flush(actual, changes(actual, desired))
    shields: dict[str, list[Rule]] = {}
    under: list[Change] = []
    for old, new in ready:
        middle = _Ends(actual, old, new).middle(old, band, opening=False)
        if middle is None:
            return ()
        shields[old.id] = [one for one in middle.rules if one.tier is Tier.SHIELD and one not in old.rules]
        under.append((middle, _with(new, shields[old.id])))
    way = merge(actual, under)
    if not way and any(old.rules != new.rules for old, new in under):
        return ()
    up = [put_rule(actual, old, one, temporary=True) for old, _ in ready for one in shields[old.id]]
    down = [delete_rule(actual, new, one, temporary=True) for _, new in ready for one in shields[new.id]]
    return (*phases(("flush", flushed), ("shield", up)), *way, *phases(("unshield", down)))


def _with(nsg: Nsg, more: Iterable[Rule]) -> Nsg:
    return replace(nsg, rules=tuple(sorted((*nsg.rules, *more), key=order)))


class _Ends:
    """Old and new state of everybody behind one group that changes, whatever stands in series with it."""

    def __init__(self, table: AzureTable, old: Nsg, new: Nsg) -> None:
        self.table = table
        self.old: Mapping[PointId, Access] = alone(table, old)
        self.new: Mapping[PointId, Access] = alone(table, new)

    def middle(self, base: Nsg, band: tuple[int, int], *, opening: bool) -> Nsg | None:
        """Return a group that lets through exactly what old and new share: denies on top against what the new state opens, or what goes."""
        over, under = (self.new, self.old) if opening else (self.old, self.new)
        groups: dict[tuple[bool, PacketSet], list[AddressSet]] = {}
        memo: dict[tuple[int, int], tuple[PacketSet, PacketSet]] = {}
        for point, more in over.items():
            pair = (id(more), id(under[point]))
            if pair not in memo:
                memo[pair] = (more.inbound - under[point].inbound, more.outbound - under[point].outbound)
            for egress, packets in zip((False, True), memo[pair], strict=True):
                if packets:
                    groups.setdefault((egress, packets), []).append(self.table.nics[point].private)
        found = base
        for (egress, packets), own in sorted(groups.items(), key=lambda pair: (pair[0][0], pair[0][1].v4, pair[0][1].v6)):
            rules = _shields(found, _Shield(self.table.owner, packets, AddressSet.union_all(own), egress), band)
            if rules is None:
                return None
            found = _with(found, rules)
        return found if self._exact(found) else None

    def _exact(self, middle: Nsg) -> bool:
        found = alone(self.table, middle)
        seen = {(id(self.old[one]), id(self.new[one]), id(found[one])): one for one in found}
        return all(
            found[one].inbound == self.old[one].inbound & self.new[one].inbound
            and found[one].outbound == self.old[one].outbound & self.new[one].outbound
            for one in seen.values()
        )


@dataclass(frozen=True, slots=True)
class _Shield:
    """Packets that some machines behind an NSG shall not get for a while."""

    owner: str
    packets: PacketSet
    own: AddressSet
    egress: bool


def _shields(nsg: Nsg, shield: _Shield, band: tuple[int, int]) -> list[Rule] | None:
    egress = shield.egress
    mine = [one.priority for one in nsg.rules if one.egress is egress]
    ours = min(
        (one.priority for one in nsg.rules if one.egress is egress and one.ours and one.tier is not Tier.SHIELD), default=PRIORITY_LAST
    )
    free = iter([number for number in range(band[0], ours) if number not in mine])
    found: list[Rule] = []
    for content in _denies(shield.packets, shield.own):
        number = next(free, None)
        if content is None or number is None:
            return None
        found.append(_shield(content, shield.owner, number, egress=egress))
    return found


def _denies(packets: PacketSet, own: AddressSet) -> Iterator[Rule | None]:
    """Yield denies for packets, without name and number; None for what Azure has no word for."""
    for peers, services in packets.products():
        for family in Family:
            side = peer_side(peers, family)
            if side is None or not own.family(family):
                continue
            said = say(services, family, PORTS_MOST)
            if said.lost or said.typed:
                yield None
            for protocol, ports in said.words:
                yield Rule("", False, 0, True, protocol, side, Side(own.only(family)), ports, tier=Tier.SHIELD)


def _shield(content: Rule, owner: str, number: int, *, egress: bool) -> Rule:
    peer, own = content.source, content.destination
    source, destination = (own, peer) if egress else (peer, own)
    parts = [egress, content.protocol.value, peer.addresses.v4, peer.addresses.v6, own.addresses.v4, own.addresses.v6, content.ports]
    name = f"cs-{owner}-{Tier.SHIELD.value}-shield-{content_digest(parts)}"
    text = f"{mark_text(owner)}temporary"
    return replace(content, name=name, egress=egress, priority=number, source=source, destination=destination, description=text)
