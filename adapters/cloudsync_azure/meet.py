"""MEET: first only what old and new share, at every point; a barrier; then the rest of the new. Helpers are denies on top (shields).

Whole groups: the new rules under shields against what they open, or (where that does not come out exactly) the old rules under shields
against what goes. Rule by rule: the old rules under shields against what goes, then the way of MERGE under them, then the shields go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from cloudsync.adapter import Access, Phase, Whose
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.packets import PacketSet
from cloudsync.model.workload import PointId
from cloudsync_azure.decode import decode
from cloudsync_azure.fit import peer_side, say
from cloudsync_azure.limits import PRIORITY_LAST
from cloudsync_azure.payload import content_digest
from cloudsync_azure.steps import Change, changes, delete_rule, merge, phases, put, put_rule
from cloudsync_azure.table import AzureTable, Nsg, Rule, Side, Tier, mark_text, order

PORTS_MOST = 200


def meet(actual: AzureTable, desired: AzureTable, band: tuple[int, int]) -> tuple[Phase, ...]:
    """Return the writes of MEET for whole groups; empty where shields find no number or do not come out exactly."""
    changed = changes(actual, desired)
    ends = _Ends(actual, desired, changed)
    for base, grows in ((desired, True), (actual, False)):
        middle = ends.shielded(base, band, opening=grows)
        if middle is not None and ends.exact(middle):
            shrunk = [(old, middle.nsgs[old.id]) for old, _ in changed]
            grown = [(middle.nsgs[old.id], new) for old, new in changed]
            return phases(
                ("shrink", [put(actual, old, new, temporary=True, name="shrink") for old, new in shrunk if old.rules != new.rules]),
                ("grow", [put(middle, old, new, name="grow") for old, new in grown if old.rules != new.rules]),
            )
    return ()


def meet_by_rule(actual: AzureTable, desired: AzureTable, band: tuple[int, int]) -> tuple[Phase, ...]:
    """Return the writes of MEET rule by rule."""
    changed = changes(actual, desired)
    ends = _Ends(actual, desired, changed)
    middle = ends.shielded(actual, band, opening=False)
    if middle is None or not ends.exact(middle):
        return ()
    shields = {old.id: [one for one in middle.nsgs[old.id].rules if one.tier is Tier.SHIELD] for old, _ in changed}
    under = [(middle.nsgs[old.id], _with(new, shields[old.id])) for old, new in changed]
    way = merge(middle, under)
    if not way:
        return ()
    up = [put_rule(actual, old, one, temporary=True) for old, _ in changed for one in shields[old.id]]
    down = [delete_rule(actual, new, one, temporary=True) for _, new in changed for one in shields[new.id]]
    return (*phases(("shield", up)), *way, *phases(("unshield", down)))


def _with(nsg: Nsg, more: Iterable[Rule]) -> Nsg:
    return replace(nsg, rules=tuple(sorted((*nsg.rules, *more), key=order)))


class _Ends:
    """Old and new state of everybody behind the groups that change."""

    def __init__(self, actual: AzureTable, desired: AzureTable, changed: list[Change]) -> None:
        self.actual = actual
        self.names = {old.id for old, _ in changed}
        self.points = [nic.point for nic in actual.nics.values() if not self.names.isdisjoint(actual.series(nic))]
        self.old: Mapping[PointId, Access] = decode(actual, Whose.ALL, self.points)
        self.new: Mapping[PointId, Access] = decode(desired, Whose.ALL, self.points)

    def exact(self, middle: AzureTable) -> bool:
        """Tell whether a table lets through exactly what old and new share."""
        found = decode(middle, Whose.ALL, self.points)
        seen = {(id(self.old[one]), id(self.new[one]), id(found[one])): one for one in self.points}
        return all(
            found[one].inbound == self.old[one].inbound & self.new[one].inbound
            and found[one].outbound == self.old[one].outbound & self.new[one].outbound
            for one in seen.values()
        )

    def shielded(self, base: AzureTable, band: tuple[int, int], *, opening: bool) -> AzureTable | None:
        """Return a table with denies on top: against what the new state opens, or against what goes. None without numbers or words."""
        over, under = (self.new, self.old) if opening else (self.old, self.new)
        groups: dict[tuple[str, bool, PacketSet], list[AddressSet]] = {}
        memo: dict[tuple[int, int, bool], PacketSet] = {}
        for point in self.points:
            nic = self.actual.nics[point]
            first = next(one for one in self.actual.series(nic) if one in self.names)
            for egress in (False, True):
                pair = (id(over[point]), id(under[point]), egress)
                if pair not in memo:
                    a, b = over[point], under[point]
                    memo[pair] = (a.outbound - b.outbound) if egress else (a.inbound - b.inbound)
                if memo[pair]:
                    groups.setdefault((first, egress, memo[pair]), []).append(nic.private)
        nsgs = dict(base.nsgs)
        for (name, egress, packets), own in sorted(groups.items(), key=lambda pair: (pair[0][0], pair[0][1], pair[0][2].v4, pair[0][2].v6)):
            rules = _shields(nsgs[name], _Shield(base.owner, packets, AddressSet.union_all(own), egress), band)
            if rules is None:
                return None
            nsgs[name] = _with(nsgs[name], rules)
        return replace(base, nsgs=nsgs)


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
