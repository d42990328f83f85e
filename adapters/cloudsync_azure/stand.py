"""How our rules have to stand to foreign ones that stay: bounds on their numbers.

Additive: our nevers above foreign allows; our allows above foreign denies only where the settings say so, else below every one that meets
them. Exclusive: everything of ours above every foreign rule that acts on held points. Bounds that the band cannot meet are let go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from cloudsync.model import intervals
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.packets import PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import possible
from cloudsync_azure.chain import Line, overlap, services_of
from cloudsync_azure.fit import peer_side, say
from cloudsync_azure.limits import PRIORITY_LAST
from cloudsync_azure.table import Rule, Tier
from cloudsync_azure.tiers import Want, by_address

NONE = (0, PRIORITY_LAST + 1)


@dataclass(frozen=True, slots=True)
class Stand:
    """What decides: the direction's rules as they are met behind the NSG, the held addresses, and what the target's mode permits."""

    lines: tuple[Line, ...]
    own: AddressSet
    exclusive: bool
    outrank: bool
    band: tuple[int, int]


def stand(wanted: Iterable[Want], stay: Iterable[Rule], terms: Stand) -> list[tuple[int, int]]:
    """Return, for each wanted rule, the number it must be greater than and the one it must be less than."""
    names = {rule.name for rule in stay}
    lines = [line for line in terms.lines if line.rule.name in names and not line.rule.ours and line.rule.priority <= PRIORITY_LAST]
    if not lines:
        return [NONE for _ in wanted]
    first = terms.band[0]
    if terms.exclusive:
        below = min((line.rule.priority for line in lines if line.rule.priority > first and overlap(line.own, terms.own)), default=NONE[1])
        return [(0, below) for _ in wanted]
    by_action = {deny: [line for line in lines if line.rule.deny is deny] for deny in (False, True)}
    return [_additive(want, by_action, terms) for want in wanted]


def _additive(want: Want, lines: dict[bool, list[Line]], terms: Stand) -> tuple[int, int]:
    above, below = NONE
    first = terms.band[0]
    if want.tier is Tier.NEVER:
        below = min((number for number in _met(want, lines[False]) if number > first), default=below)
    elif want.tier is Tier.ALLOW and terms.outrank:
        below = min((number for number in _met(want, lines[True]) if number > first), default=below)
    elif want.tier is Tier.ALLOW:
        above = max(_met(want, lines[True]), default=above)
    return above, below


def _met(want: Want, lines: Iterable[Line]) -> Iterator[int]:
    """Yield the priorities of foreign rules that meet a rule of ours in some packet; what cannot be read is taken to."""
    for family in Family:
        services = (services_of(want.protocol, want.ports) & possible(family)).points
        peers, own = want.peers.family(family), want.own.family(family)
        for line in lines if own else ():
            if line.uncertain and not line.services:
                if intervals.intersection(own, line.own.family(family)):
                    yield line.rule.priority
            elif (
                intervals.intersection(services, line.services.points)
                and intervals.intersection(own, line.own.family(family))
                and intervals.intersection(peers, line.peers.family(family))
            ):
                yield line.rule.priority


def foreign_of(terms: Stand) -> list[Rule]:
    """Return the foreign rules among the lines, which all stay in an additive target."""
    return [line.rule for line in terms.lines if not line.rule.ours and line.rule.priority <= PRIORITY_LAST]


def split(want: Want, terms: Stand, ports_most: int) -> tuple[list[Want], list[tuple[AddressSet, PacketSet]]]:
    """Take out of an allow what denies at the band's end cut: (what is left of it, whom it costs which packets)."""
    todo, lost = list(by_address(want)), list[tuple[AddressSet, PacketSet]]()
    for line in terms.lines:
        if line.rule.ours or not line.rule.deny or not terms.band[1] <= line.rule.priority <= PRIORITY_LAST:
            continue
        rest: list[Want] = []
        for one in todo:
            inside = one.own & line.own
            hit = one.packets & line.packets if not line.uncertain or line.services else one.packets
            if not inside or not hit:
                rest.append(one)
                continue
            if one.own - inside:
                rest.append(replace(one, own=one.own - inside))
            left = one.packets - hit
            for peers, services in left.products():
                rest.extend(_again(one, inside, PacketSet.of(peers, services), ports_most))
            said = PacketSet.union_all(each.packets for each in rest if each.own == inside)
            lost.append((inside, one.packets - said))
        todo = rest
    return todo, lost


def _again(want: Want, own: AddressSet, packets: PacketSet, ports_most: int) -> Iterator[Want]:
    """Yield an allow for some of its packets; none for services that have no word."""
    for peers, services in packets.products():
        for family in Family:
            side = peer_side(peers, family)
            said = say(services, family, ports_most)
            if side is not None and own.family(family) and not said.lost and not said.typed:
                for protocol, ports in said.words:
                    yield replace(want, protocol=protocol, peer=side, own=own, ports=ports)
