"""Which rules act on which interface: for each one the set of rules whose target it is, as the bits of one integer.

Interfaces with the same bits are let through the same packets, so everything else is worked out once per set of bits.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field

from cloudsync.model import intervals
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.quick import dataclass
from cloudsync_gcp.spell import addresses_of
from cloudsync_gcp.table import GcpTable, Nic, Rule


@dataclass(slots=True)
class _Line:
    """One family's line of addresses cut where some rule's own-side ranges begin or end."""

    cuts: list[int] = field(default_factory=list)
    bits: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, spans: Iterable[tuple[int, tuple[int, ...]]], everywhere: int) -> _Line:
        """Return the line of `(bit, flip points)`; `everywhere` holds the rules without ranges."""
        flips: dict[int, int] = {}
        for bit, points in spans:
            for at in points:
                flips[at] = flips.get(at, 0) ^ bit
        line = cls([0], [everywhere])
        now = everywhere
        for at in sorted(flips):
            now ^= flips[at]
            if at == 0:
                line.bits[0] = now
            else:
                line.cuts.append(at)
                line.bits.append(now)
        return line

    def over(self, points: tuple[int, ...]) -> set[int]:
        """Return the sets of bits at the given addresses."""
        found: set[int] = set()
        for first, end in intervals.ranges(points):
            at = bisect_right(self.cuts, first) - 1
            found.add(self.bits[at])
            at += 1
            while at < len(self.cuts) and self.cuts[at] < end:
                found.add(self.bits[at])
                at += 1
        return found


@dataclass(frozen=True, slots=True)
class Side:
    """What acts on an interface in one direction: sets of bits per family, one for each part of its own addresses."""

    v4: frozenset[int] = frozenset()
    v6: frozenset[int] = frozenset()

    @property
    def any(self) -> int:
        """The rules that act on any part of it."""
        every = 0
        for one in (*self.v4, *self.v6):
            every |= one
        return every


class Matcher:
    """Rules of one network and direction, in order of evaluation; rule `n` is bit `1 << n`."""

    def __init__(self, rules: Sequence[Rule], *, egress: bool) -> None:
        self.rules = tuple(rules)
        self._untargeted = 0
        self._tags: dict[str, int] = {}
        self._accounts: dict[str, int] = {}
        everywhere = 0
        spans: list[tuple[int, AddressSet]] = []
        for number, rule in enumerate(self.rules):
            bit = 1 << number
            for tag in rule.target_tags:
                self._tags[tag] = self._tags.get(tag, 0) | bit
            for account in rule.target_accounts:
                self._accounts[account] = self._accounts.get(account, 0) | bit
            if not rule.target_tags and not rule.target_accounts:
                self._untargeted |= bit
            own = rule.sources if egress else rule.destinations
            if own:
                spans.append((bit, addresses_of(own)))
            else:
                everywhere |= bit
        self._lines = {family: _Line.of(((bit, addresses.family(family)) for bit, addresses in spans), everywhere) for family in Family}
        self._memo: dict[tuple[AddressSet, tuple[str, ...], str], Side] = {}

    def targeted(self, nic: Nic) -> int:
        """Return the rules that a VM's tags and account select, addresses aside."""
        bits = self._untargeted | self._accounts.get(nic.account, 0)
        for tag in nic.tags:
            bits |= self._tags.get(tag, 0)
        return bits

    def side(self, nic: Nic) -> Side:
        """Return what acts on an interface."""
        selected = self.targeted(nic)
        four, six = (frozenset(bits & selected for bits in self._lines[family].over(nic.inside.family(family))) for family in Family)
        return Side(four, six)


def by_network(table: GcpTable, rules: Iterable[Rule] | None = None) -> dict[tuple[str, bool], list[Rule]]:
    """Return rules (all of the table's without `rules`) by network and direction, each list in the order of evaluation."""
    found: dict[tuple[str, bool], list[Rule]] = {(key, egress): [] for key in table.networks for egress in (False, True)}
    for rule in sorted(table.rules.values() if rules is None else rules, key=lambda one: one.key):
        if (rule.network, rule.egress) in found:
            found[rule.network, rule.egress].append(rule)
    return found


@dataclass(slots=True)
class Members:
    """What source tags and source service accounts match: primary internal addresses of the VMs in one network."""

    table: GcpTable
    _by_tag: dict[tuple[str, str], AddressSet] | None = None
    _by_account: dict[tuple[str, str], AddressSet] = field(default_factory=dict)

    def of(self, rule: Rule) -> AddressSet:
        """Return the addresses behind a rule's source tags and accounts."""
        if self._by_tag is None:
            self._by_tag = self._gather()
        tags = (self._by_tag.get((rule.network, tag)) for tag in rule.source_tags)
        accounts = (self._by_account.get((rule.network, account)) for account in rule.source_accounts)
        return AddressSet.union_all(one for one in (*tags, *accounts) if one is not None)

    def tagged(self, network: str, tag: str) -> AddressSet:
        """Return the addresses of the VMs that bear a tag."""
        if self._by_tag is None:
            self._by_tag = self._gather()
        return self._by_tag.get((network, tag), AddressSet())

    def accounted(self, network: str, account: str) -> AddressSet:
        """Return the addresses of the VMs that run as a service account."""
        if self._by_tag is None:
            self._by_tag = self._gather()
        return self._by_account.get((network, account), AddressSet())

    def _gather(self) -> dict[tuple[str, str], AddressSet]:
        tags: dict[tuple[str, str], list[AddressSet]] = {}
        accounts: dict[tuple[str, str], list[AddressSet]] = {}
        override: Mapping[str, tuple[str, ...]] = self.table.members or {}
        for nic in self.table.nics.values():
            for tag in override.get(nic.vm, nic.tags):
                tags.setdefault((nic.network, tag), []).append(nic.primary)
            if nic.account:
                accounts.setdefault((nic.network, nic.account), []).append(nic.primary)
        self._by_account = {key: AddressSet.union_all(found) for key, found in accounts.items()}
        return {key: AddressSet.union_all(found) for key, found in tags.items()}
