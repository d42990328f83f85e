"""Foreign rules of one direction of one NSG: which stay, which go, which move below our tiers, and which come back. Exclusive targets.

Only what acts on nobody but held points goes. At selective points what was recorded at adoption stays; where it stands above our tiers and
contradicts them, a copy of ours takes its place below. Points that are no longer held get back what was taken from them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import field
from functools import lru_cache

from cloudsync.adapter import Origin
from cloudsync.model.address import NOWHERE, AddressSet, Family
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync_azure.chain import Chain, overlap
from cloudsync_azure.decode import Reader, keepsake
from cloudsync_azure.fit import Findings
from cloudsync_azure.parse import ParseError, rule
from cloudsync_azure.table import Nic, Nsg, Rule, Side, Tier, order, owner_of
from cloudsync_azure.tiers import Want

_KEPT = re.compile(r"was (.+)@([0-9]{3,4})")


@dataclass(frozen=True, slots=True)
class Standing:
    """One interface behind the NSG: how it is held in this direction, and what was recorded of it."""

    nic: Nic
    full: bool = False
    selective: bool = False
    original: frozenset[str] = frozenset()
    closes: PacketSet = NO_PACKETS
    """What our denies cut at it; of a selective point."""
    opens: PacketSet = NO_PACKETS
    """What our allows let through at it."""

    @property
    def held(self) -> bool:
        """Tell whether the policy is enforced at it in this direction."""
        return self.full or self.selective


@dataclass(slots=True)
class Remains:
    """What becomes of the foreign rules. `kept`: copies, each with the number at which its model stood."""

    stay: list[Rule] = field(default_factory=list)
    kept: list[tuple[int, Want]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scene:
    """One direction of one NSG with everybody behind it."""

    nsg: Nsg
    egress: bool
    standings: tuple[Standing, ...]
    strangers: AddressSet
    """Addresses behind the NSG at which somebody may sit whom no list shows."""
    floor: int
    """A rule with a greater number can be outranked where it stands: our tiers find room above it."""
    reader: Reader
    findings: Findings

    def chain(self, nic: Nic) -> Chain:
        """Return the rules as seen from an interface's VNet."""
        return self.reader.chain(self.nsg.id, nic.vnet, egress=self.egress)


def remains(scene: Scene) -> Remains:
    """Return what becomes of the foreign rules of one direction."""
    found = Remains()
    mine = [one for one in scene.nsg.rules if one.egress is scene.egress]
    acts = _acting(scene)
    for one in mine:
        if one.ours:
            continue
        on = acts.get(one.name, [])
        verdict = _verdict(scene, one, on)
        if verdict == "stay":
            found.stay.append(one)
        elif verdict == "move":
            own = AddressSet.union_all(each.nic.private for each in on if each.selective)
            found.kept.extend(_copies(one, own & _own_addresses(scene, one, own)))
    _still_kept(scene, mine, found)
    _given_back(scene, mine, found)
    return found


def _acting(scene: Scene) -> dict[str, list[Standing]]:
    """Return, by rule, the interfaces it acts on."""
    masks: dict[tuple[str, int], list[Standing]] = {}
    for one in scene.standings:
        mask = scene.reader.masks(one.nic, scene.nsg.id, egress=scene.egress)
        masks.setdefault((one.nic.vnet, mask), []).append(one)
    found: dict[str, list[Standing]] = {}
    for (_, mask), standings in masks.items():
        for line in scene.chain(standings[0].nic).picked(mask):
            found.setdefault(line.rule.name, []).extend(standings)
    return found


def _verdict(scene: Scene, one: Rule, on: list[Standing]) -> str:
    another = owner_of(one.name, one.description)
    if another:
        scene.findings.note(f"{scene.nsg.name}: rule {one.name} belongs to cloudsync's owner {another}; it stays as it is")
        return "stay"
    if not on or not all(each.held for each in on) or _meets_strangers(scene, one, on[0].nic):
        return "stay"
    selective = [each for each in on if each.selective]
    if not selective:
        return "go"
    if not any(_recorded_there(scene, one, each) for each in selective):
        scene.findings.note(f"{scene.nsg.name}: rule {one.name} came after the adoption and goes")
        return "go"
    return "move" if _contradicts(scene, one, selective) else "stay"


def _recorded_there(scene: Scene, one: Rule, standing: Standing) -> bool:
    """Tell whether a rule is on record as it is now, in whatever spelling."""
    return keepsake(scene.nsg, one) in standing.original or one.shape in _shapes(scene.nsg.id, scene.reader.table.owner, standing.original)


@lru_cache(maxsize=1024)
def _shapes(nsg: str, owner: str, original: frozenset[str]) -> frozenset[str]:
    found: set[str] = set()
    for text in original:
        if f'"nsg":"{nsg}"' in text:
            with suppress(ValueError, KeyError, TypeError, ParseError):
                found.add(rule(json.loads(text)["rule"], owner).shape)
    return frozenset(found)


def _meets_strangers(scene: Scene, one: Rule, nic: Nic) -> bool:
    if not scene.strangers:
        return False
    line = next(line for line in scene.chain(nic).lines if line.rule.name == one.name)
    return overlap(line.own, scene.strangers)


def _contradicts(scene: Scene, one: Rule, selective: list[Standing]) -> bool:
    """Tell whether a rule too high to be outranked where it stands would decide what our tiers must decide."""
    if one.priority > scene.floor:
        return False
    line = next(line for line in scene.chain(selective[0].nic).lines if line.rule.name == one.name)
    against = PacketSet.union_all(each.opens if one.deny else each.closes for each in selective)
    return bool(line.packets & against)


def _own_addresses(scene: Scene, one: Rule, own: AddressSet) -> AddressSet:
    found = NOWHERE
    for each in scene.standings:
        if overlap(each.nic.private, own):
            line = next(line for line in scene.chain(each.nic).lines if line.rule.name == one.name)
            found |= line.own & each.nic.private
    return found


def _copies(one: Rule, own: AddressSet) -> Iterator[tuple[int, Want]]:
    """Yield a foreign rule as rules of ours, one per family, for some of the machines it acts on."""
    origin = (Origin(f"was {one.name}@{one.priority}"),)
    for family in Family:
        mine = own.only(family)
        peer = _in_family(one.peer, family)
        if mine and peer is not None:
            want = Want(Tier.KEPT, one.egress, one.deny, one.protocol, peer, mine, one.ports, one.source_ports, origin)
            yield one.priority, want


def _in_family(side: Side, family: Family) -> Side | None:
    if side.tag or side.asgs or (side.everything and family is Family.V4):
        return side
    addresses = side.addresses.only(family)
    return Side(addresses) if addresses else None


def _still_kept(scene: Scene, mine: Iterable[Rule], found: Remains) -> None:
    """Keep copies made earlier, as far as their machines still need them."""
    needed = AddressSet.union_all(one.nic.private for one in scene.standings if one.selective or _released(scene, one))
    if not any(one.held for one in scene.standings):
        return
    for one in mine:
        match = _KEPT.fullmatch(one.description.partition(": ")[2]) if one.tier is Tier.KEPT else None
        if match is None:
            continue
        own = one.own.addresses & needed
        if own:
            origin = (Origin(f"was {match[1]}@{match[2]}"),)
            copy = Want(Tier.KEPT, one.egress, one.deny, one.protocol, one.peer, own, one.ports, one.source_ports, origin)
            found.kept.append((int(match[2]), copy))


def _released(scene: Scene, one: Standing) -> bool:
    """Tell whether something of a point that is held no longer has to be given back: rules of ours still act on it."""
    if one.held or not one.original:
        return False
    chain = scene.chain(one.nic)
    mine = chain.picked(scene.reader.masks(one.nic, scene.nsg.id, egress=scene.egress) & chain.ours)
    return any(line.rule.tier is not Tier.SHIELD for line in mine)


def _given_back(scene: Scene, mine: Iterable[Rule], found: Remains) -> None:
    """Give back what was recorded of points that are held no longer: the rules themselves, or copies while others are still held."""
    there = {one.shape for one in mine}
    copied = {origin.rule for _, want in found.kept for origin in want.origins}
    anybody = any(one.held for one in scene.standings)
    for text, released in sorted(_recorded(scene).items()):
        try:
            one = rule(json.loads(text)["rule"], scene.reader.table.owner)
        except (ValueError, KeyError, TypeError, ParseError):
            scene.findings.note(f"{scene.nsg.name}: a record of the adoption cannot be read; nothing is given back for it")
            continue
        if one.egress is not scene.egress or one.shape in there or one.ours:
            continue
        if anybody:
            if f"was {one.name}@{one.priority}" not in copied:
                own = AddressSet.union_all(each.nic.private for each in released)
                found.kept.extend(_copies(one, own if one.own.everything or one.own.tag else own & one.own.addresses))
        elif any(other.name.lower() == one.name.lower() or other.priority == one.priority for other in found.stay):
            scene.findings.note(
                f"{scene.nsg.name}: rule {one.name} is not given back: its name or its priority {one.priority} is taken by now"
            )
        else:
            found.stay.append(one)
    found.stay.sort(key=order)


def _recorded(scene: Scene) -> Mapping[str, list[Standing]]:
    found: dict[str, list[Standing]] = {}
    for one in scene.standings:
        if _released(scene, one):
            for text in one.original:
                if f'"nsg":"{scene.nsg.id}"' in text:
                    found.setdefault(text, []).append(one)
    return found
