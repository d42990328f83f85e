"""The past at selective points, mended: where foreign rules no longer say what has to stay open or shut, rules of ours do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cloudsync.adapter import Allowed, ClassIntent, PointIntent, Problem, Whose
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.mode import Egress, Mode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ANY_SERVICE, ServiceSet, possible
from cloudsync.model.workload import PointId
from cloudsync_azure.beyond import PLATFORM_PACKETS, Plumbing, unreachable
from cloudsync_azure.decode import Reader
from cloudsync_azure.fit import peer_side, say
from cloudsync_azure.table import AzureTable, Nic, Tier
from cloudsync_azure.tiers import MEND, Want


@dataclass(frozen=True, slots=True)
class Held:
    """One point held to the policy, with all that is wanted there."""

    nic: Nic
    intent: PointIntent
    group: ClassIntent
    quarantined: AddressSet

    @property
    def both(self) -> bool:
        """Tell whether outbound is held too."""
        return self.intent.egress is Egress.ENFORCE

    def allowed(self, *, egress: bool) -> Allowed:
        """Return what the policy says of a direction."""
        return self.group.outbound if egress else self.group.inbound

    def bounds(self, *, egress: bool) -> tuple[PacketSet, PacketSet]:
        """Return what must and what may be let through."""
        allowed = self.allowed(egress=egress)
        kept = (self.intent.kept_out if egress else self.intent.kept_in) or NO_PACKETS
        spare = PacketSet.of(self.quarantined, ANY_SERVICE)
        return allowed.exact | kept, PacketSet.union_all((allowed.loosest, kept, spare, PLATFORM_PACKETS))


@dataclass(frozen=True, slots=True)
class Gap:
    """What a point lets through against what it must and may."""

    missing: PacketSet
    excess: PacketSet


def gaps(table: AzureTable, held: tuple[Held, ...], *, egress: bool) -> dict[PointId, Gap]:
    """Return the points at which a table does not say what is wanted."""
    reader = Reader(table)
    found: dict[PointId, Gap] = {}
    memo: dict[tuple[int, ...], Gap | None] = {}
    pipes = Plumbing.of(table)
    hold: list[object] = []
    for one in held:
        if egress and not one.both:
            continue
        got = reader.packets(one.nic, Whose.ALL, egress=egress)
        out = unreachable(reader, one.nic)
        kept = one.intent.kept_out if egress else one.intent.kept_in
        owed = pipes.open(reader, one.nic, egress=egress)
        key = (id(got), id(one.group), id(kept), id(out), id(owed))
        if key not in memo:
            hold.append((got, one.group, kept, out))
            least, most = one.bounds(egress=egress)
            least = (least | owed) - (out.outbound if egress else out.inbound)
            both = Gap(least - got, got - most)
            memo[key] = both if both.missing or both.excess else None
        gap = memo[key]
        if gap is not None:
            found[one.nic.point] = gap
    return found


def mend(table: AzureTable, held: tuple[Held, ...], ports_most: int) -> Mapping[tuple[str, bool], tuple[Want, ...]]:
    """Return rules that close the gaps at selective points, by NSG and direction; every managed NSG in series must let through."""
    found: dict[tuple[str, bool], list[Want]] = {}
    selective = tuple(one for one in held if one.intent.mode is Mode.SELECTIVE)
    for egress in (False, True):
        same: dict[tuple[str, Gap], list[Nic]] = {}
        found_gaps = gaps(table, selective, egress=egress)
        for one in selective:
            gap = found_gaps.get(one.nic.point)
            for nsg in table.series(one.nic) if gap is not None else ():
                if gap is not None and nsg in table.nsgs and table.nsgs[nsg].managed:
                    same.setdefault((nsg, gap), []).append(one.nic)
        for (nsg, gap), nics in same.items():
            own = AddressSet.union_all(nic.private for nic in nics)
            found.setdefault((nsg, egress), []).extend(_mended(gap, own, ports_most, egress=egress))
    return {key: tuple(wants) for key, wants in found.items()}


def _mended(gap: Gap, own: AddressSet, ports_most: int, *, egress: bool) -> Iterator[Want]:
    for packets, deny in ((gap.missing, False), (gap.excess, True)):
        for peers, services in packets.products():
            for family in Family:
                side = peer_side(peers, family)
                if side is None or not own.family(family):
                    continue
                for inner, cuts in _parts(services, family, ports_most):
                    for protocol, ports in say(inner, family, ports_most).words:
                        yield Want(Tier.MEND, egress, deny or cuts, protocol, side, own.only(family), ports, origins=(MEND,))


def _parts(services: ServiceSet, family: Family, ports_most: int) -> Iterator[tuple[ServiceSet, bool]]:
    """Yield services as Azure can say them: as they are, or as everything beneath a deny of the rest."""
    if not say(services, family, ports_most).lost:
        yield services, False
        return
    rest = possible(family) - services
    if not say(rest, family, ports_most).lost:
        yield rest, True
        yield possible(family), False


def outranked(table: AzureTable, held: tuple[Held, ...]) -> Iterator[Problem]:
    """Yield why held points would not say what is wanted: foreign rules that stay and stand above ours."""
    for egress in (False, True):
        found = gaps(table, held, egress=egress)
        reader = Reader(table)
        same: dict[tuple[str, ...], list[PointId]] = {}
        for one in held:
            gap = found.get(one.nic.point)
            if gap is not None:
                same.setdefault(tuple(sorted(set(_blamed(reader, one.nic, gap, egress=egress)))), []).append(one.nic.point)
        for names, points in same.items():
            way = "outbound" if egress else "inbound"
            listed = ", ".join(names) or "no rule that can be named"
            gap = found[points[0]]
            what = gap.excess.text(2) if gap.excess else gap.missing.text(2)
            verb = "let through" if gap.excess else "cut"
            stays = f"{what} {verb} by {listed}, which stays because it acts on others too"
            text = f"{len(points)} points cannot be held to the policy {way}: {stays}"
            hint = "give it a greater priority number, or narrow it to the others; or begin `band` in the settings above it"
            yield Problem("AZURE-OUTRANKED", text, hint, points=tuple(points))


def _blamed(reader: Reader, nic: Nic, gap: Gap, *, egress: bool) -> Iterator[str]:
    for name in reader.series(nic):
        line = reader.chain(name, nic.vnet, egress=egress)
        mask = reader.masks(nic, name, egress=egress) & line.custom & ~line.ours
        for one in line.picked(mask):
            wrong = gap.missing if one.rule.deny else gap.excess
            if one.packets & wrong:
                yield f"rule {one.rule.name} ({one.rule.priority}) of {reader.table.nsgs[name].name}"
