"""MEET: first only what old and new share, at every NSG; a barrier; then the rest of the new. Helpers are denies on top (shields).

NSGs in series are points of their own: each goes to what its own old and new rules share. Whole groups: the new rules under shields against
what they open, or (where that does not come out exactly) the old rules under shields against what goes. Rule by rule: the old rules under
shields against what goes, then the way of MERGE under them, then the shields go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from cloudsync.adapter import Access, Phase, Step
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ServiceSet, possible
from cloudsync.model.workload import PointId
from cloudsync_azure.fit import peer_side, say
from cloudsync_azure.freeze import frozen
from cloudsync_azure.joins import Moves
from cloudsync_azure.limits import PRIORITY_LAST
from cloudsync_azure.payload import content_digest
from cloudsync_azure.quota import fits
from cloudsync_azure.settings import AzureSettings
from cloudsync_azure.steps import Change, alone, changes, delete_rule, flush, merge, phases, put, put_rule
from cloudsync_azure.table import AzureTable, Nsg, Rule, Side, Tier, asgs_of, mark_text, order

PORTS_MOST = 200


def meet(actual: AzureTable, desired: AzureTable, settings: AzureSettings) -> tuple[Phase, ...]:
    """Return the writes of MEET for whole groups; empty where shields find no number or do not come out exactly.

    Rules about application security groups whose members change name addresses in the middle: interfaces move while no rule goes by them.
    """
    moves = Moves.of(actual, desired)
    flushed, ready = flush(actual, _touched(actual, desired, moves.changed))
    ways: list[tuple[Nsg, Nsg, Nsg]] = []
    for old, new in ready:
        ends = _Ends(actual, old, new, desired)
        bases = ((frozen(new, desired, moves.changed), True), (frozen(old, actual, moves.changed), False))
        tried = (ends.middle(base, settings.band, opening=opening) for base, opening in bases if base is not None)
        middle = next((one for one in tried if one is not None and fits(one.rules, settings)), None)
        if middle is None:
            return ()
        ways.append((old, middle, new))
    return phases(
        ("flush", flushed),
        ("create-groups", moves.create(actual)),
        ("shrink", [put(actual, old, middle, temporary=True, name="shrink") for old, middle, _ in ways if old.rules != middle.rules]),
        ("move", moves.put(actual, desired, "move")),
        ("grow", [put(desired, middle, new, name="grow") for _, middle, new in ways if middle.rules != new.rules]),
        ("remove-groups", moves.remove(actual)),
    )


def _touched(actual: AzureTable, desired: AzureTable, changing: frozenset[str]) -> list[Change]:
    """Return the NSGs that change, and those whose rules go by groups whose members do."""
    found = changes(actual, desired)
    known = {old.id for old, _ in found}
    more = [(nsg, desired.nsgs[key]) for key, nsg in sorted(actual.nsgs.items()) if nsg.managed and key not in known]
    return [*found, *((old, new) for old, new in more if changing & asgs_of(rule for rule in old.rules if rule.ours))]


def meet_by_rule(actual: AzureTable, desired: AzureTable, settings: AzureSettings) -> tuple[Phase, ...]:
    """Return the writes of MEET rule by rule; none where interfaces move between application security groups."""
    if Moves.of(actual, desired) != Moves():
        return ()
    flushed, ready = flush(actual, changes(actual, desired))
    shields: dict[str, list[Rule]] = {}
    under: list[Change] = []
    for old, new in ready:
        middle = _Ends(actual, old, new, actual).middle(old, settings.band, opening=False)
        if middle is None:
            return ()
        shields[old.id] = [one for one in middle.rules if one.tier is Tier.SHIELD and one not in old.rules]
        under.append((middle, _with(new, shields[old.id])))
    way = merge(actual, under, settings)
    if not way and any(old.rules != new.rules for old, new in under):
        return ()
    # Allows of a shield let through what passes anyhow: they come first and go last, for the denies under them would cut it.
    up = [(one.deny, put_rule(actual, old, one)) for old, _ in ready for one in shields[old.id]]
    down = [(one.deny, delete_rule(actual, new, one)) for _, new in ready for one in shields[new.id]]
    return (
        *phases(("flush", flushed), ("shield-allow", _of(up, deny=False)), ("shield", _of(up, deny=True))),
        *way,
        *phases(("unshield", _of(down, deny=True)), ("unshield-allow", _of(down, deny=False))),
    )


def _of(steps: list[tuple[bool, Step]], *, deny: bool) -> list[Step]:
    return [step for denies, step in steps if denies is deny]


def _with(nsg: Nsg, more: Iterable[Rule]) -> Nsg:
    return replace(nsg, rules=tuple(sorted((*nsg.rules, *more), key=order)))


class _Ends:
    """Old and new state of everybody behind one group that changes, whatever stands in series with it."""

    def __init__(self, table: AzureTable, old: Nsg, new: Nsg, goal: AzureTable) -> None:
        self.table = table
        self.old: Mapping[PointId, Access] = alone(table, old)
        self.new: Mapping[PointId, Access] = alone(goal, new)

    def middle(self, base: Nsg, band: tuple[int, int], *, opening: bool) -> Nsg | None:
        """Return a group that lets through exactly what old and new share: denies on top against what the new state opens, or what goes."""
        over, under = (self.new, self.old) if opening else (self.old, self.new)
        groups: dict[tuple[bool, PacketSet, PacketSet], list[AddressSet]] = {}
        memo: dict[tuple[int, int], tuple[tuple[PacketSet, PacketSet], ...]] = {}
        for point, more in over.items():
            pair = (id(more), id(under[point]))
            if pair not in memo:
                less = under[point]
                memo[pair] = (_parted(more.inbound, less.inbound), _parted(more.outbound, less.outbound))
            for egress, (packets, shared) in zip((False, True), memo[pair], strict=True):
                if packets:
                    groups.setdefault((egress, packets, shared), []).append(self.table.nics[point].private)
        found = base
        for (egress, packets, shared), own in sorted(groups.items(), key=_stable):
            rules = _shields(found, _Shield(self.table.owner, packets, shared, AddressSet.union_all(own), egress), band)
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


def _stable(pair: tuple[tuple[bool, PacketSet, PacketSet], list[AddressSet]]) -> tuple[object, ...]:
    (egress, packets, shared), _ = pair
    return egress, packets.v4, packets.v6, shared.v4, shared.v6


def _parted(more: PacketSet, less: PacketSet) -> tuple[PacketSet, PacketSet]:
    """Return what one state has beyond the other, and what both share; the latter only where it is needed to say the former."""
    packets = more - less
    wordless = any(say(services, family, PORTS_MOST).lost for _, services in packets.products() for family in Family)
    return packets, more & less if wordless else NO_PACKETS


@dataclass(frozen=True, slots=True)
class _Shield:
    """Packets that some machines behind an NSG shall not get for a while; `shared` are those they keep."""

    owner: str
    packets: PacketSet
    shared: PacketSet
    own: AddressSet
    egress: bool


def _shields(nsg: Nsg, shield: _Shield, band: tuple[int, int]) -> list[Rule] | None:
    egress = shield.egress
    mine = [one.priority for one in nsg.rules if one.egress is egress]
    first = min(
        (one.priority for one in nsg.rules if one.egress is egress and one.ours and one.tier is not Tier.SHIELD), default=PRIORITY_LAST
    )
    last = max((one.priority for one in nsg.rules if one.egress is egress and one.tier is Tier.SHIELD), default=band[0] - 1)
    free = iter([number for number in range(max(band[0], last + 1), first) if number not in mine])
    found: list[Rule] = []
    for content in _contents(shield):
        number = next(free, None)
        if content is None or number is None:
            return None
        found.append(_shield(content, shield.owner, number, egress=egress))
    return found


def _contents(shield: _Shield) -> Iterator[Rule | None]:
    """Yield rules for packets, without name and number, first to last; None for what Azure has no word for.

    "Any service but ssh" has no word of its own: what these peers keep of ssh is allowed first, then all of it is denied.
    """
    for peers, services in shield.packets.products():
        for family in Family:
            side = peer_side(peers, family)
            if side is None or not shield.own.family(family):
                continue
            own = Side(shield.own.only(family))
            if not say(services, family, PORTS_MOST).lost:
                yield from _rules(side, services, family, own, deny=True)
                continue
            kept = shield.shared & PacketSet.of(peers.only(family), possible(family) - services)
            for some, words in kept.products():
                inner = peer_side(some, family)
                if inner is not None:
                    yield from _rules(inner, words, family, own, deny=False)
            yield from _rules(side, possible(family), family, own, deny=True)


def _rules(side: Side, services: ServiceSet, family: Family, own: Side, *, deny: bool) -> Iterator[Rule | None]:
    said = say(services, family, PORTS_MOST)
    if said.lost or said.typed:
        yield None
    for protocol, ports in said.words:
        yield Rule("", False, 0, deny, protocol, side, own, ports, tier=Tier.SHIELD)


def _shield(content: Rule, owner: str, number: int, *, egress: bool) -> Rule:
    peer, own = content.source, content.destination
    source, destination = (own, peer) if egress else (peer, own)
    parts = [egress, content.deny, content.protocol.value, peer.addresses.v4, peer.addresses.v6, own.addresses.v4, own.addresses.v6]
    name = f"cs-{owner}-{Tier.SHIELD.value}-shield-{content_digest([*parts, content.ports])}"
    text = f"{mark_text(owner)}temporary"
    return replace(content, name=name, egress=egress, priority=number, source=source, destination=destination, description=text)
