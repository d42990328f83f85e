"""SHIELD: temporary denies on top against packets that only a moment between two states would let through.

One managed NSG on an interface's way is enough: the one where foreign allows above our band decide the least of it. The denies aim at the
own addresses of the interfaces, and a rule's number follows from its content where that number is free, so that the same shield stands at
the same place before and after a change. What is not cut exactly is not cut at all: what Azure has no word for, addresses that another
interface behind the same NSG has as well, and everything where no number or no room is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace

from cloudsync.adapter import Access
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ICMP, ICMPV6, ServiceSet
from cloudsync.model.workload import PointId
from cloudsync_azure.chain import overlap
from cloudsync_azure.decode import Reader
from cloudsync_azure.fit import peer_side, say
from cloudsync_azure.payload import content_digest
from cloudsync_azure.place import Band
from cloudsync_azure.quota import fits
from cloudsync_azure.settings import AzureSettings
from cloudsync_azure.table import AzureTable, Nic, Nsg, Rule, Side, Tier, mark_text, order

NOTHING = Access()
_PINGS = ServiceSet.protocol(ICMP) | ServiceSet.protocol(ICMPV6)
Groups = dict[tuple[bool, PacketSet], list[AddressSet]]


def shield(table: AzureTable, packets: Mapping[PointId, Access], settings: AzureSettings) -> AzureTable:
    """Return the table with temporary denies of these packets at these points: never more than that, maybe less."""
    cuts: dict[str, Groups] = {}
    ways = _Ways(table, packets, settings.band[0])
    for point in sorted(packets):
        nic = table.nics.get(point)
        for egress in (False, True) if nic is not None and not nic.skipped else ():
            assert nic is not None
            nsg, wanted = ways.best(nic, egress=egress)
            if wanted:
                cuts.setdefault(nsg, {}).setdefault((egress, wanted), []).append(nic.private)
    nsgs = dict(table.nsgs)
    for name, groups in cuts.items():
        found = nsgs[name]
        for (egress, wanted), own in sorted(groups.items(), key=lambda pair: (pair[0][0], pair[0][1].v4, pair[0][1].v6)):
            contents = _contents(wanted, AddressSet.union_all(own), settings.quotas.ports_per_rule, egress=egress)
            found = _placed(found, contents, table.owner, settings.band)
        if fits(found.rules, settings):
            nsgs[name] = found
    return replace(table, nsgs=nsgs)


# --- where ---------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Ways:
    """Which NSG cuts what exactly, at each interface. `first`: the first number of our band."""

    table: AzureTable
    packets: Mapping[PointId, Access]
    first: int
    _reader: Reader = field(init=False)
    _behind: dict[str, tuple[list[Nic], bool]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._reader = Reader(self.table)

    def best(self, nic: Nic, *, egress: bool) -> tuple[str, PacketSet]:
        """Return the NSG that cuts the most of what is to be cut at an interface, and what that is; nothing where none does."""
        tried = [
            (self._exactly(name, nic, egress=egress) - above, name)
            for name in reversed(self.table.series(nic))
            if name in self.table.nsgs and self.table.nsgs[name].managed and (above := self._above(name, nic, egress=egress)) is not None
        ]
        wanted, name = max(tried, key=lambda pair: pair[0].size, default=(NO_PACKETS, ""))
        return name, wanted

    def _exactly(self, name: str, nic: Nic, *, egress: bool) -> PacketSet:
        """Return what is to be cut at an interface and at every other behind the NSG that has some of its addresses."""
        if name not in self._behind:
            nics = [one for one in self.table.nics.values() if name in self.table.series(one)]
            alone = sum(one.private.size for one in nics) == AddressSet.union_all(one.private for one in nics).size
            self._behind[name] = (nics, alone)
        nics, alone = self._behind[name]
        found = self._asked(nic.point, egress=egress)
        for other in () if alone or not found else nics:
            if other is not nic and overlap(other.private, nic.private):
                found &= self._asked(other.point, egress=egress)
        return found

    def _asked(self, point: PointId, *, egress: bool) -> PacketSet:
        access = self.packets.get(point, NOTHING)
        return access.outbound if egress else access.inbound

    def _above(self, name: str, nic: Nic, *, egress: bool) -> PacketSet | None:
        """Return what foreign allows above our band let through at an interface; None where nobody can say what one of them does."""
        chain = self._reader.chain(name, nic.vnet, egress=egress)
        lines = chain.picked(self._reader.masks(nic, name, egress=egress))
        over = [one for one in lines if one.rule.priority < self.first and not one.rule.deny]
        if any(one.uncertain and not one.services for one in over):
            return None
        return PacketSet.union_all(one.packets for one in over)


# --- which rules ---------------------------------------------------------------------------------------------------------


def _contents(packets: PacketSet, own: AddressSet, ports_most: int, *, egress: bool) -> Iterator[Rule]:
    """Yield denies without name and number, as far as Azure has words: ICMP types and protocols without a name are left out."""
    for peers, services in packets.products():
        for family in Family:
            side, mine = peer_side(peers, family), Side(own.only(family))
            if side is None or not mine.addresses:
                continue
            said = say(services, family, ports_most)
            if said.typed:
                said = say(services - _PINGS, family, ports_most)
            source, destination = (mine, side) if egress else (side, mine)
            for protocol, ports in said.words:
                yield Rule("", egress, 0, True, protocol, source, destination, ports, tier=Tier.SHIELD)


def _placed(nsg: Nsg, contents: Iterator[Rule], owner: str, band: tuple[int, int]) -> Nsg:
    """Return an NSG with these denies above every allow of ours; one that stands there already stays, one without a number is left out."""
    found = list(nsg.rules)
    text = f"{mark_text(owner)}temporary"
    for content in contents:
        mine = [one for one in found if one.egress is content.egress]
        # The platform's own address may get through: whoever wants it cut gets less than that.
        end = min((one.priority for one in mine if one.ours and not one.deny and one.tier is not Tier.PLATFORM), default=band[1] + 1)
        there = {replace(one, name="", priority=0, description="") for one in mine if one.tier is Tier.SHIELD and one.priority < end}
        peer, own = content.peer.addresses, content.own.addresses
        parts = [content.egress, content.protocol.value, peer.v4, peer.v6, own.v4, own.v6, content.ports]
        digest = content_digest(parts)
        number = _number(digest, {one.priority for one in mine}, band, end)
        if content not in there and number is not None:
            name = f"cs-{owner}-{Tier.SHIELD.value}-{number}-{digest}"
            found.append(replace(content, name=name, priority=number, description=text))
    return replace(nsg, rules=tuple(sorted(found, key=order)))


def _number(digest: str, taken: set[int], band: tuple[int, int], end: int) -> int | None:
    """Return a number of the band before `end`: the one that follows from the content, else the next free one, those of our tiers last."""
    width = max(1, Band(*band).start(Tier.NEVER) - band[0])
    first = int(digest, 16) % width
    tried = (*range(first, width), *range(first), *range(width, band[1] + 1 - band[0]))
    return next((band[0] + at for at in tried if band[0] + at < end and band[0] + at not in taken), None)
