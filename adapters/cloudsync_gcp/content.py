"""What a slot's rules have to say, tier by tier: terms become peers and services, each with the policy rules behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace

from cloudsync.adapter import AddressPeer, Allowed, ClassIntent, Origin, Problem, Term
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet
from cloudsync.model.fidelity import Fidelity, Verdict
from cloudsync.model.mode import Accept, Mode, TargetMode
from cloudsync.model.packets import PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ANY_SERVICE, WITH_TYPES, ServiceSet
from cloudsync.model.workload import Domain
from cloudsync_gcp.decode import Reader
from cloudsync_gcp.match import Members
from cloudsync_gcp.place import Slot, tag_of
from cloudsync_gcp.table import PRIORITY_LAST, GcpTable, Rule

KEPT, DEFAULT, QUARANTINE = Origin("kept"), Origin("default-deny"), Origin("quarantine")
REASONS = frozenset({KEPT, DEFAULT, QUARANTINE})
"""Reasons of ours: no rules of the policy."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Services at peers, allowed or denied at one number, because of these rules."""

    egress: bool
    priority: int
    deny: bool
    services: ServiceSet
    addresses: AddressSet
    tags: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()
    logged: bool = False


@dataclass(slots=True)
class Findings:
    """What the encoder has to say about rules on its way."""

    target: str
    fidelity: dict[str, Fidelity] = field(default_factory=dict)
    problems: dict[tuple[str, str], Problem] = field(default_factory=dict)

    def state(self, origins: Iterable[Origin], verdict: Verdict, reason: str = "", *, accepted: bool = False) -> None:
        """State how exactly rules are said; the worst word stands."""
        for origin in origins:
            if origin in REASONS:
                continue
            known = self.fidelity.get(origin.rule)
            if known is None or _RANK[known.verdict] < _RANK[verdict]:
                self.fidelity[origin.rule] = Fidelity(origin.rule, self.target, verdict, reason, accepted)

    def refuse(self, slot: Slot, origins: tuple[Origin, ...], reason: str, hint: str) -> None:
        """Refuse rules that cannot be said."""
        self.state(origins, Verdict.CANNOT, reason)
        rules = tuple(dict.fromkeys(origin.rule for origin in origins))
        text = ", ".join(rules)
        self.problems.setdefault((text, reason), Problem("FIDELITY", f"{text}: {reason}", hint, rules, slot.points))


_RANK = {Verdict.EXACT: 0, Verdict.STRICTER: 1, Verdict.LOOSER: 2, Verdict.CANNOT: 3}


@dataclass(slots=True)
class Peers:
    """Resolves peers. A tag or account stands for a class only where everybody it matches belongs to the class."""

    table: GcpTable
    classes: Mapping[tuple[str, Domain], ClassIntent]
    accounts: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(network, class) -> the service account that all of its interfaces run as."""
    _members: Members | None = None

    def of(self, slot: Slot, term: Term, *, egress: bool) -> tuple[AddressSet, tuple[str, ...], tuple[str, ...]]:
        """Return (addresses, tags, accounts) of a term's peer; all empty when it resolves to nothing."""
        if isinstance(term.peer, AddressPeer):
            return term.peer.addresses, (), ()
        group = self.classes.get((term.peer.class_id, slot.group.domain))
        if group is None:
            return NOWHERE, (), ()
        if egress:
            return group.destinations, (), ()
        if self._members is None:
            self._members = Members(self.table)
        tag, account = tag_of(self.table, group), self.accounts.get((slot.network, group.class_id), "")
        matched = self._members.tagged(slot.network, tag) if tag else self._members.accounted(slot.network, account)
        if not matched or not matched <= group.addresses:
            return group.addresses, (), ()
        return group.addresses - matched, (tag,) if tag else (), () if tag else (account,)


def one_account_each(table: GcpTable, slots: Iterable[Slot]) -> dict[tuple[str, str], str]:
    """Return the service account of each slot whose interfaces all run as one (target: service-accounts)."""
    if table.layout.target != "service-accounts":
        return {}
    found = {(slot.network, slot.group.class_id): {nic.account for nic in slot.nics} for slot in slots}
    return {key: next(iter(accounts)) for key, accounts in found.items() if len(accounts) == 1 and "" not in accounts}


@dataclass(slots=True)
class Writer:
    """Turns the intent of slots into pieces."""

    table: GcpTable
    mode: TargetMode
    peers: Peers
    findings: Findings
    foreign: Reader
    """Reads the foreign rules that stay."""
    notes: list[str] = field(default_factory=list)

    def pieces(self, slot: Slot, *, egress: bool) -> list[Piece]:
        """Return what a slot's rules say in one direction."""
        layout, group = self.table.layout, slot.group
        allowed = group.outbound if egress else group.inbound
        nevers = list(self._denied(slot, allowed.never_terms, layout.never, egress=egress))
        allows = _merged(self._allowed(slot, allowed, egress=egress))
        placed, floor = self._placed(slot, allows, egress=egress)
        lowest = layout.deny if floor <= layout.allow else max(layout.deny, floor + 1)
        found = [*nevers, *placed]
        denies: list[Piece] = []
        if group.mode is Mode.SELECTIVE or self.mode is not TargetMode.EXCLUSIVE:
            denies.extend(self._denied(slot, allowed.closed_terms, lowest, egress=egress))
        if group.mode is Mode.FULL:
            number = max(layout.default_deny, lowest)
            denies.append(Piece(egress, number, True, ANY_SERVICE, ANYWHERE, origins=(DEFAULT,)))
        if lowest > PRIORITY_LAST:
            if denies:
                way = "outbound" if egress else "inbound"
                self.notes.append(f"{slot.title}: a foreign deny at {floor} leaves no number for our {way} denies beneath our allows")
        else:
            found.extend(denies)
        return _merged(found)

    def _allowed(self, slot: Slot, allowed: Allowed, *, egress: bool) -> Iterator[Piece]:
        for term in allowed.whole or allowed.terms:
            services = self._said(slot, term, deny=False)
            if services is None:
                continue
            addresses, tags, accounts = self.peers.of(slot, term, egress=egress)
            if isinstance(term.peer, AddressPeer):
                addresses = self._maybe_anywhere(term, allowed)
            if addresses or tags or accounts:
                yield Piece(egress, self.table.layout.allow, False, services, addresses, tags, accounts, term.origins, term.logged)

    def _denied(self, slot: Slot, terms: Iterable[Term], priority: int, *, egress: bool) -> Iterator[Piece]:
        for term in terms:
            services = self._said(slot, term, deny=True)
            if services is None:
                continue
            addresses, tags, accounts = self.peers.of(slot, term, egress=egress)
            if addresses or tags or accounts:
                yield Piece(egress, priority, True, services, addresses, tags, accounts, term.origins, term.logged)

    def _said(self, slot: Slot, term: Term, *, deny: bool) -> ServiceSet | None:
        """Return the services as Google can say them, None when the rule is refused."""
        if term.process and Accept.PORT_ONLY not in term.accept:
            reason = f"VPC firewall rules know no process ({term.process}); the port alone would be looser"
            self.findings.refuse(slot, term.origins, reason, "accept it in the rule: port-only ok")
            return None
        typed = [run.protocol for run in term.services.ranges() if run.protocol in WITH_TYPES and not run.whole]
        services = term.services
        if typed and deny:
            reason = f"VPC firewall rules know no ICMP types, so {term.services.text()} cannot be denied by itself"
            self.findings.refuse(slot, term.origins, reason, "deny all of icmp, or leave the rule to another platform")
            return None
        if typed and Accept.ANY_TYPE not in term.accept:
            reason = f"VPC firewall rules know no ICMP types; all of icmp would be looser than {term.services.text()}"
            self.findings.refuse(slot, term.origins, reason, "accept it in the rule: any-type ok")
            return None
        self.findings.state(term.origins, Verdict.EXACT)
        if typed:
            services = ServiceSet.union_all((services, *(ServiceSet.protocol(number) for number in typed)))
            self.findings.state(term.origins, Verdict.LOOSER, "every ICMP type is let through", accepted=True)
        if term.process:
            self.findings.state(term.origins, Verdict.LOOSER, "any process may use the port", accepted=True)
        return services

    def _maybe_anywhere(self, term: Term, allowed: Allowed) -> AddressSet:
        """Say `internet` as anywhere where the rule accepts it; never rules stand above it anyway."""
        assert isinstance(term.peer, AddressPeer)
        if not term.peer.internet or Accept.INTERNET_AS_ANYWHERE not in term.accept:
            return term.peer.addresses
        if not PacketSet.of(ANYWHERE, term.services) - allowed.never <= allowed.loosest:
            return term.peer.addresses
        self.findings.state(term.origins, Verdict.LOOSER, "internet is rendered as 0.0.0.0/0 and ::/0", accepted=True)
        return ANYWHERE

    # --- foreign denies ----------------------------------------------------------------------------------------------

    def _placed(self, slot: Slot, allows: list[Piece], *, egress: bool) -> tuple[list[Piece], int]:
        """Move allows beneath the foreign denies that overlap them (additive, unless `outrank`); and the lowest number used."""
        layout = self.table.layout
        if self.mode is TargetMode.EXCLUSIVE or layout.outrank or not allows:
            return allows, layout.allow
        denies = self._foreign_denies(slot, egress=egress)
        found: list[Piece] = []
        for piece in allows:
            number = layout.allow
            mine = PacketSet.of(piece.addresses | self._matched(slot, piece), piece.services) if denies else None
            for rule in denies:
                if mine is not None and rule.priority > number and mine & self.foreign.packets(rule):
                    number = min(rule.priority, PRIORITY_LAST)
            found.append(piece if number == piece.priority else replace(piece, priority=number))
        return found, max((piece.priority for piece in found), default=layout.allow)

    def _matched(self, slot: Slot, piece: Piece) -> AddressSet:
        if not piece.tags and not piece.accounts:
            return NOWHERE
        stand_in = Rule("", slot.network, False, 0, False, source_tags=piece.tags, source_accounts=piece.accounts)
        return Members(self.table).of(stand_in)

    def _foreign_denies(self, slot: Slot, *, egress: bool) -> list[Rule]:
        found = {rule.name: rule for nic in slot.nics for rule in self.foreign.rules(nic, egress=egress) if rule.deny}
        return sorted(found.values(), key=lambda rule: rule.key)


def _merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Return fewer pieces that say the same: first the peers of one rule's services together, then the services of the same peers."""
    by_rule: dict[tuple[object, ...], list[Piece]] = {}
    for piece in pieces:
        by_rule.setdefault((piece.egress, piece.priority, piece.deny, piece.services, frozenset(piece.origins), piece.logged), []).append(
            piece
        )
    by_peers: dict[tuple[object, ...], list[Piece]] = {}
    for some in by_rule.values():
        one = _united(some)
        by_peers.setdefault((one.egress, one.priority, one.deny, one.addresses, one.tags, one.accounts, one.logged), []).append(one)
    return sorted((_united(some) for some in by_peers.values()), key=_order)


def _united(pieces: list[Piece]) -> Piece:
    first = pieces[0]
    origins = {origin for piece in pieces for origin in piece.origins}
    return Piece(
        first.egress,
        first.priority,
        first.deny,
        ServiceSet.union_all(piece.services for piece in pieces),
        AddressSet.union_all(piece.addresses for piece in pieces),
        tuple(sorted({tag for piece in pieces for tag in piece.tags})),
        tuple(sorted({account for piece in pieces for account in piece.accounts})),
        tuple(sorted(origins, key=lambda origin: (origin in REASONS, origin.native, origin.where is None))),
        first.logged,
    )


def _order(piece: Piece) -> tuple[object, ...]:
    rules = tuple(origin.native for origin in piece.origins)
    return (piece.egress, piece.priority, not piece.deny, rules, piece.services.points, piece.addresses.v4, piece.addresses.v6, piece.tags)
