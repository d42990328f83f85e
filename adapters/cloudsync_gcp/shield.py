"""SHIELD: temporary denies on top against packets that only a moment between two states would let through.

They stand at the number `shield` of the band, or beside the topmost rule of ours where an older one stands above it, and aim at the own
addresses of the interfaces: a tag or an account may stand for others too. What is not cut exactly is not cut at all: single ICMP types,
addresses that another interface has as well, interfaces whose rules are not all understood, and everything where the quota has no room.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from cloudsync.adapter import Access
from cloudsync.model import intervals
from cloudsync.model.address import AddressSet
from cloudsync.model.packets import PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId
from cloudsync_gcp.decode import points
from cloudsync_gcp.table import PRIORITY_LAST, GcpTable, Nic
from cloudsync_gcp.temporary import head, named, saying

NOTHING = Access()


def shield(table: GcpTable, packets: Mapping[PointId, Access]) -> GcpTable:
    """Return the table with temporary denies of these packets at these points: never more than that, maybe less."""
    rules = dict(table.rules)
    standing = {replace(rule, name="") for rule in table.rules.values() if rule.temporary}
    for cut in _cuts(table, packets):
        first = head(table, cut.network, _number(table, cut), egress=cut.egress, deny=True)
        for rule in saying(first, cut.packets, cut.own, table.layout.addresses_most):
            if rule not in standing:
                one = named(rule, table.owner, rules.keys() | table.taken)
                rules[one.name] = one
    return replace(table, rules={name: rules[name] for name in sorted(rules)}) if _room(table, len(rules)) else table


def _room(table: GcpTable, rules: int) -> bool:
    limit = table.room.limit
    return rules == len(table.rules) or limit is None or rules + table.room.elsewhere <= limit - table.room.reserve


def crowded(actual: GcpTable, desired: GcpTable) -> bool:
    """Tell whether temporary rules stand in the way: no room for all under the quota at the peak, or a name that is not free yet."""
    if not any(rule.temporary for table in (actual, desired) for rule in table.rules.values()):
        return False
    clash = any(rule.temporary and actual.rules.get(name, rule) != rule for name, rule in desired.rules.items())
    return clash or not _room(actual, len(actual.rules.keys() | desired.rules.keys()))


@dataclass(frozen=True, slots=True)
class _Cut:
    """Packets to be cut at some addresses in one direction of one network."""

    network: str
    egress: bool
    packets: PacketSet
    own: AddressSet


def _cuts(table: GcpTable, packets: Mapping[PointId, Access]) -> Iterable[_Cut]:
    unknown = {point.id for point in points(table) if point.skipped}
    known = {point for point, nic in table.nics.items() if nic.scope not in table.incomplete and point not in unknown}
    asked = {point: access for point, access in packets.items() if point in known}
    groups: dict[tuple[str, bool, PacketSet], list[AddressSet]] = {}
    shared = _sharing(table, asked)
    for point in sorted(asked):
        nic = table.nics[point]
        together = [asked.get(other, NOTHING) for other in (point, *shared.get(point, ()))]
        for egress in (False, True):
            wanted = together[0].outbound if egress else together[0].inbound
            for one in together[1:]:
                wanted &= one.outbound if egress else one.inbound
            if wanted:
                groups.setdefault((nic.network, egress, wanted), []).append(nic.inside)
    return [_Cut(*key, AddressSet.union_all(own)) for key, own in groups.items()]


def _sharing(table: GcpTable, asked: Iterable[PointId]) -> dict[PointId, tuple[PointId, ...]]:
    """Return, by point, the interfaces of the same network that have some of its addresses as well."""
    by_network: dict[str, list[Nic]] = {}
    for nic in table.nics.values():
        by_network.setdefault(nic.network, []).append(nic)
    doubtful = {
        key for key, nics in by_network.items() if sum(nic.inside.size for nic in nics) != AddressSet.union_all(n.inside for n in nics).size
    }
    return {
        point: tuple(other.point for other in by_network[nic.network] if other.point != point and _overlap(nic.inside, other.inside))
        for point, nic in ((point, table.nics[point]) for point in asked)
        if nic.network in doubtful
    }


def _overlap(a: AddressSet, b: AddressSet) -> bool:
    return bool(intervals.intersection(a.v4, b.v4) or intervals.intersection(a.v6, b.v6))


def _number(table: GcpTable, cut: _Cut) -> int:
    """Return the number of a deny that stands above all of ours: beside an allow of the same number it decides."""
    mine = (rule for rule in table.rules.values() if rule.mark is not None and rule.network == cut.network)
    return min(table.layout.shield, min((rule.priority for rule in mine if rule.egress is cut.egress), default=PRIORITY_LAST))
