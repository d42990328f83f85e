"""Pieces -> rules: families and sizes apart, named by their content, cut so that what has not changed keeps its rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace

from cloudsync.model.address import NOWHERE, AddressSet, Family
from cloudsync.model.naming import older
from cloudsync.model.quick import dataclass
from cloudsync_gcp.chunks import divide
from cloudsync_gcp.content import KEPT, Piece
from cloudsync_gcp.parse import canonical
from cloudsync_gcp.payload import body, description, named_by_content, stem
from cloudsync_gcp.place import Slot, tag_of
from cloudsync_gcp.spell import addresses_of, say
from cloudsync_gcp.table import GcpTable, Mark, Rule, Spec

SOURCE_TAGS_MOST, SOURCE_ACCOUNTS_MOST = 30, 10
"""Source tags and source service accounts of one rule (from users' reports)."""

Home = tuple[str, bool, str, bool]
"""Network, egress, class, and whether the rules are corrections of what is kept."""


@dataclass(slots=True)
class Builder:
    """Makes rules for slots; `table` is what stands now, with foreign rules and tags as wanted."""

    table: GcpTable
    waiting: AddressSet = NOWHERE
    """Addresses in quarantine: where they stand they stay, nowhere else do they come."""
    made: dict[str, Rule] = field(default_factory=dict)
    _targets_now: dict[Home, set[AddressSet]] = field(default_factory=dict)
    _peers_now: dict[tuple[object, ...], dict[tuple[str, ...], set[AddressSet]]] = field(default_factory=dict)
    """Everything of a rule but its addresses and the rules behind it -> the rules behind it -> peers."""
    _by_content: dict[str, list[str]] = field(default_factory=dict)
    """What a rule does, whatever its description names -> names of such rules."""
    _targets: dict[tuple[object, ...], tuple[AddressSet, ...]] = field(default_factory=dict)
    _own: dict[int, tuple[Slot, AddressSet]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for rule in sorted(self.table.rules.values(), key=lambda one: (len(one.name), one.name)):
            if rule.mark is None:
                continue
            own, peers = (rule.sources, rule.destinations) if rule.egress else (rule.destinations, rule.sources)
            home = _home(rule.network, rule.mark.class_id, rule.mark.rules, egress=rule.egress)
            if own:
                self._targets_now.setdefault(home, set()).add(addresses_of(own))
            if peers:
                self._peers_now.setdefault(_kind(rule), {}).setdefault(rule.mark.rules, set()).add(addresses_of(peers))
            if named_by_content(rule, self.table.owner):
                self._by_content.setdefault(_content(rule), []).append(rule.name)

    def add(self, slot: Slot, pieces: Iterable[Piece], *, corrections: bool = False) -> None:
        """Make the rules of pieces. Corrections aim at addresses, whatever the slot's other rules aim at."""
        for piece in pieces:
            for rule in self._rules(slot, piece, by_address=corrections or self.table.layout.target == "ip"):
                named = self._named(rule)
                self.made[named.name] = named

    def _rules(self, slot: Slot, piece: Piece, *, by_address: bool) -> Iterator[Rule]:
        ids = tuple(dict.fromkeys(origin.native for origin in piece.origins))
        head = Rule(
            name="",
            network=slot.network,
            egress=piece.egress,
            priority=piece.priority,
            deny=piece.deny,
            log=canonical({"enable": True}) if piece.logged else "",
            description=description(self.table.owner, slot.group.class_id, ids),
            mark=Mark(self.table.owner, slot.group.class_id, ids),
            origins=piece.origins,
        )
        if not by_address:
            head = _aimed(head, self.table, slot)
        own = self._inside(slot)
        for family in Family:
            peers = piece.addresses.only(family)
            if not peers or not own.family(family):
                continue
            for protocols in say(piece.services, family).parts:
                for target in self._aims(slot, family, ids, by_address=by_address, egress=piece.egress):
                    yield from self._with_peers(head, protocols, target, peers)
        for protocols in say(piece.services).parts if piece.tags or piece.accounts else ():
            for at in range(0, len(piece.tags), SOURCE_TAGS_MOST):
                yield replace(head, protocols=protocols, source_tags=piece.tags[at : at + SOURCE_TAGS_MOST])
            for at in range(0, len(piece.accounts), SOURCE_ACCOUNTS_MOST):
                yield replace(head, protocols=protocols, source_accounts=piece.accounts[at : at + SOURCE_ACCOUNTS_MOST])

    def _with_peers(self, head: Rule, protocols: tuple[Spec, ...], target: tuple[str, ...], peers: AddressSet) -> Iterator[Rule]:
        whole = replace(head, protocols=protocols)
        family = Family.V4 if peers.v4 else Family.V6
        now = [one.only(family) for one in self._standing(whole) if one.family(family)]
        for part in divide(peers, now, self.table.layout.addresses_most, self.waiting.only(family)):
            texts = _texts(part)
            sources, destinations = (target, texts) if head.egress else (texts, target)
            yield replace(whole, sources=sources, destinations=destinations)

    def _standing(self, rule: Rule) -> set[AddressSet]:
        """Return the peers of rules that stand for the same policy rules, by whatever name those went."""
        assert rule.mark is not None
        there, wanted = self._peers_now.get(_kind(rule), {}), rule.mark.rules
        return {one for names, peers in there.items() if names == wanted or older(names, wanted) for one in peers}

    def _aims(self, slot: Slot, family: Family, ids: tuple[str, ...], *, by_address: bool, egress: bool) -> tuple[tuple[str, ...], ...]:
        """Return the own-side ranges of a slot's rules, one for each part; a single empty one where tags or accounts aim."""
        if not by_address:
            return ((),)
        home = _home(slot.network, slot.group.class_id, ids, egress=egress)
        key = (home, family, slot.points)
        parts = self._targets.get(key)
        if parts is None:
            now = [one.only(family) for one in self._targets_now.get(home, ()) if one.family(family)]
            own = self._inside(slot).only(family)
            parts = divide(own, now, self.table.layout.addresses_most, self.waiting.only(family))
            self._targets[key] = parts
        return tuple(_texts(part) for part in parts)

    def _inside(self, slot: Slot) -> AddressSet:
        known = self._own.get(id(slot))
        if known is None or known[0] is not slot:
            known = self._own[id(slot)] = (slot, slot.inside)
        return known[1]

    def _named(self, rule: Rule) -> Rule:
        """Give a rule its name: that of the one that stands already, else its content's, with a number where that name is taken."""
        assert rule.mark is not None
        there = [self.table.rules[name] for name in self._by_content.get(_content(rule), ())]
        for exactly in (True, False):
            for known in there:
                assert known.mark is not None
                if known.description == rule.description if exactly else older(known.mark.rules, rule.mark.rules):
                    return replace(known, origins=rule.origins)
        base = stem(rule, self.table.owner)
        name, turn = base, 0
        while name in self.table.rules or name in self.table.taken:
            turn += 1
            name = f"{base}-r{turn}"
        return replace(rule, name=name)


def _aimed(rule: Rule, table: GcpTable, slot: Slot) -> Rule:
    if table.layout.target == "service-accounts":
        return replace(rule, target_accounts=(slot.nics[0].account,))
    return replace(rule, target_tags=(tag_of(table, slot.group),))


def _home(network: str, class_id: str, ids: tuple[str, ...], *, egress: bool) -> Home:
    return (network, egress, class_id, ids == (KEPT.rule,))


def _kind(rule: Rule) -> tuple[object, ...]:
    """Everything of a rule of ours but its addresses and the policy rules behind it."""
    assert rule.mark is not None
    return (rule.network, rule.egress, rule.priority, rule.deny, rule.protocols, rule.log, rule.mark.class_id)


def _content(rule: Rule) -> str:
    assert rule.mark is not None
    return canonical([body(replace(rule, name="", description="", disabled=False)), rule.mark.class_id])


def _texts(addresses: AddressSet) -> tuple[str, ...]:
    return addresses.cidrs()


def idle(table: GcpTable, made: Mapping[str, Rule], waiting: AddressSet, frozen: frozenset[str]) -> Iterator[Rule]:
    """Yield rules of ours that are not wanted and yet stay: in networks not read whole, or for addresses in quarantine alone."""
    for name, rule in table.rules.items():
        if rule.mark is None or name in made:
            continue
        still = table.networks[rule.network].scope in frozen
        own = addresses_of(rule.sources if rule.egress else rule.destinations)
        peers = addresses_of(rule.destinations if rule.egress else rule.sources)
        alone = waiting and ((own and own <= waiting) or (peers and peers <= waiting))
        if still or (alone and not rule.disabled and not rule.temporary):
            yield rule
