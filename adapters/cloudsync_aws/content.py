"""What the groups of a slot have to hold: terms become references, prefix lists and exact CIDR entries, each with its rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field

from cloudsync.adapter import AddressPeer, Allowed, ClassIntent, ClassPeer, Origin, Problem, Term
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet, Family
from cloudsync.model.fidelity import Fidelity, Verdict
from cloudsync.model.mode import Accept, Egress
from cloudsync.model.naming import older
from cloudsync.model.packets import PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import NO_SERVICE, SCTP, ServiceSet, possible
from cloudsync.model.workload import Domain
from cloudsync_aws.fit import ALL, Native, cidr_text, cover, everywhere, overlaps, say, services_of
from cloudsync_aws.place import Slot
from cloudsync_aws.table import PeerKind, RuleKey

KEPT = Origin("kept")
BLOCKS_MOST = 2000
"""EC2 bounds rules per group times groups per interface by 1,000, per family: more CIDRs than twice that are refused in any case, and then
only the rules with the most CIDRs are named."""
_SCTP = ServiceSet.protocol(SCTP)


@dataclass(frozen=True, slots=True)
class Need:
    """Services at a peer that is named (a group or a list), because of these rules."""

    services: ServiceSet
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """Services at addresses, because of these rules. `name` is the list these addresses could be kept in; empty for none."""

    addresses: AddressSet
    services: ServiceSet
    origins: tuple[Origin, ...]
    name: str = ""


@dataclass(slots=True)
class Side:
    """One direction of a slot, before it is written in entries."""

    egress: bool
    groups: dict[str, list[Need]] = field(default_factory=dict)
    lists: dict[str, list[Need]] = field(default_factory=dict)
    pieces: list[Piece] = field(default_factory=list)
    listed: list[Piece] = field(default_factory=list)
    """Pieces that went into lists: their rules still stand behind every entry they overlap, whatever lists there happen to be."""


@dataclass(slots=True)
class Findings:
    """What the encoder has to say about rules on its way."""

    target: str
    fidelity: dict[str, Fidelity] = field(default_factory=dict)
    problems: dict[tuple[str, str], Problem] = field(default_factory=dict)

    def state(self, origins: Iterable[Origin], verdict: Verdict, reason: str = "", *, accepted: bool = False) -> None:
        """State how exactly rules are said; the worst word stands."""
        for origin in origins:
            if origin == KEPT:
                continue  # the past is no rule; what of it cannot be said is noted, or refused
            known = self.fidelity.get(origin.rule)
            if known is None or _RANK[known.verdict] < _RANK[verdict]:
                self.fidelity[origin.rule] = Fidelity(origin.rule, self.target, verdict, reason, accepted)

    def refuse(self, slot: Slot, origins: tuple[Origin, ...], reason: str, hint: str) -> None:
        """Refuse rules that cannot be said."""
        self.state(origins, Verdict.CANNOT, reason)
        rules = tuple(dict.fromkeys(origin.rule for origin in origins))
        if (rules_text := ", ".join(rules), reason) not in self.problems:
            problem = Problem("FIDELITY", f"{rules_text}: {reason}", hint, rules, slot.points)
            self.problems[rules_text, reason] = problem


_RANK = {Verdict.EXACT: 0, Verdict.STRICTER: 1, Verdict.LOOSER: 2, Verdict.CANNOT: 3}


@dataclass(frozen=True, slots=True)
class Referable:
    """A class group that others may refer to, and what a reference to it matches after the plan."""

    group: str
    vpc: str
    private: AddressSet


@dataclass(slots=True)
class Peers:
    """Resolves class peers; a reference is used exactly where everybody it matches belongs to the class."""

    classes: Mapping[tuple[str, Domain], ClassIntent]
    referable: Mapping[tuple[str, Domain], tuple[Referable, ...]]
    peered: frozenset[tuple[str, str]]
    _memo: dict[tuple[str, Domain, str, bool], tuple[tuple[str, ...], AddressSet]] = field(default_factory=dict)

    def of(self, class_id: str, domain: Domain, vpc: str, *, egress: bool) -> tuple[tuple[str, ...], AddressSet]:
        """Return the groups to refer to, and the addresses of the class that no reference matches."""
        key = (class_id, domain, vpc, egress)
        found = self._memo.get(key)
        if found is None:
            addresses = self.addresses(class_id, domain, egress=egress)
            groups: list[str] = []
            matched = NOWHERE
            for one in self.referable.get((class_id, domain), ()):
                if (one.vpc == vpc or (vpc, one.vpc) in self.peered) and one.private <= addresses:
                    groups.append(one.group)
                    matched |= one.private
            found = self._memo[key] = (tuple(groups), addresses - matched)
        return found

    def addresses(self, class_id: str, domain: Domain, *, egress: bool) -> AddressSet:
        """Return all addresses of a class as seen from a domain: as destinations (egress) or as sources."""
        known = self.classes.get((class_id, domain))
        if known is None:
            return NOWHERE
        return known.destinations if egress else known.addresses


def sides(slot: Slot, peers: Peers, findings: Findings) -> tuple[Side, Side]:
    """Return both directions of a slot."""
    inbound, outbound = Side(egress=False), Side(egress=True)
    _terms(inbound, slot, slot.group.inbound, peers, findings)
    _kept(inbound, slot.key.kept_in)
    if slot.group.egress is Egress.ENFORCE:
        _terms(outbound, slot, slot.group.outbound, peers, findings)
    _kept(outbound, slot.key.kept_out)
    return inbound, outbound


def _kept(side: Side, packets: PacketSet) -> None:
    side.pieces.extend(Piece(addresses, services, (KEPT,)) for addresses, services in packets.products())


def _terms(side: Side, slot: Slot, allowed: Allowed, peers: Peers, findings: Findings) -> None:
    for term in allowed.terms:
        if term.process and Accept.PORT_ONLY not in term.accept:
            reason = f"security groups know no process ({term.process}); the port alone would be looser"
            findings.refuse(slot, term.origins, reason, "accept it in the rule: port-only ok")
            continue
        findings.state(term.origins, Verdict.EXACT)
        if term.process:
            findings.state(term.origins, Verdict.LOOSER, "any process may use the port", accepted=True)
        whole = _addresses(term, slot, peers, egress=side.egress)
        services = _with_whole_sctp(term, whole, allowed, findings)
        if isinstance(term.peer, AddressPeer):
            addresses = _maybe_anywhere(term, services, allowed, findings)
            side.pieces.append(Piece(addresses, services, term.origins, "" if addresses == ANYWHERE else _list_name(term.peer)))
            continue
        groups, rest = peers.of(term.peer.class_id, slot.key.domain, slot.key.vpc, egress=side.egress)
        for group in groups:
            side.groups.setdefault(group, []).append(Need(services, term.origins))
        if rest:
            side.pieces.append(Piece(rest, services, term.origins, f"class {term.peer.class_id}"))


def _addresses(term: Term, slot: Slot, peers: Peers, *, egress: bool) -> AddressSet:
    if isinstance(term.peer, ClassPeer):
        return peers.addresses(term.peer.class_id, slot.key.domain, egress=egress)
    return term.peer.addresses


def _list_name(peer: AddressPeer) -> str:
    return "" if peer.internet else (f"iplist {peer.name}" if peer.name else "addresses")


def _with_whole_sctp(term: Term, addresses: AddressSet, allowed: Allowed, findings: Findings) -> ServiceSet:
    """Widen sctp ports to all of sctp where the rule accepts it and no never rule is hit: EC2 ignores sctp ports."""
    part = term.services & _SCTP
    if not part or part == _SCTP or Accept.ANY_PORT not in term.accept:
        return term.services
    if not PacketSet.of(addresses, _SCTP) <= allowed.loosest:
        return term.services
    findings.state(term.origins, Verdict.LOOSER, "security groups ignore sctp ports: all of sctp is let through", accepted=True)
    return term.services | _SCTP


def _maybe_anywhere(term: Term, services: ServiceSet, allowed: Allowed, findings: Findings) -> AddressSet:
    """Say `internet` as anywhere where the rule accepts it and no never rule is hit; else exactly."""
    assert isinstance(term.peer, AddressPeer)
    if not term.peer.internet or Accept.INTERNET_AS_ANYWHERE not in term.accept:
        return term.peer.addresses
    if not PacketSet.of(ANYWHERE, services) <= allowed.loosest:
        return term.peer.addresses
    findings.state(term.origins, Verdict.LOOSER, "internet is rendered as 0.0.0.0/0 and ::/0", accepted=True)
    return ANYWHERE


# --- entries -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Entries:
    """The entries of one direction with the rules behind them; `left`: unnamed protocols left out somewhere."""

    rules: dict[RuleKey, tuple[Origin, ...]] = field(default_factory=dict)
    left: ServiceSet = NO_SERVICE
    lost: list[tuple[ServiceSet, tuple[Origin, ...]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of entries; a CIDR has one family, a group or a list takes part in both."""

    egress: bool
    kind: PeerKind
    text: str
    family: Family | None = None


def entries(side: Side) -> Entries:
    """Return the entries of one direction: exact, canonical, none that 0.0.0.0/0 and ::/0 make idle."""
    found = Entries()
    packets = PacketSet.union_all(PacketSet.of(piece.addresses, piece.services) for piece in side.pieces)
    sources = [*side.pieces, *side.listed]
    blocks = cover(packets)
    if len(blocks) > BLOCKS_MOST:
        sources = sorted(sources, key=lambda piece: -len(piece.addresses.cidrs()))[:5]
    for (family, network, length), services in blocks.items():
        cidr = (family, network, length)
        kind = PeerKind.CIDR4 if family is Family.V4 else PeerKind.CIDR6
        end = network + (1 << (family.width - length))
        near = [piece for piece in sources if overlaps(piece.addresses.family(family), network, end)]
        needs = [Need(piece.services, piece.origins) for piece in near]
        _add(found, Peer(side.egress, kind, cidr_text(cidr), family), services, needs, {})
    open_to_all = everywhere(packets) if packets else {}
    for kind, peers in ((PeerKind.GROUP, side.groups), (PeerKind.LIST, side.lists)):
        for peer, needs in sorted(peers.items()):
            services = ServiceSet.union_all(need.services for need in needs)
            _add(found, Peer(side.egress, kind, peer), services, needs, open_to_all)
    return found


def _add(found: Entries, peer: Peer, services: ServiceSet, needs: list[Need], open_to_all: Mapping[Family, ServiceSet]) -> None:
    said = say(services, peer.family)
    found.left |= said.left
    if said.lost:
        found.lost.append((said.lost, _origins_of(needs, said.lost)))
    for native in said.natives:
        if not open_to_all or not _idle(native, open_to_all):
            found.rules[RuleKey(peer.egress, *native, peer.kind.value, peer.text)] = _origins(needs, native)


def _idle(native: Native, open_to_all: Mapping[Family, ServiceSet]) -> bool:
    services = services_of(native)
    return all(services & possible(family) <= open_to_all[family] for family in Family)


def _origins(needs: Iterable[Need], native: Native) -> tuple[Origin, ...]:
    services = services_of(native)
    found = dict.fromkeys(origin for need in needs if need.services.meets(services) for origin in need.origins)
    return tuple(sorted(found, key=lambda origin: (origin == KEPT, origin.native)))


def _origins_of(needs: Iterable[Need], services: ServiceSet) -> tuple[Origin, ...]:
    return tuple(dict.fromkeys(origin for need in needs if need.services & services for origin in need.origins))


def stricter(side: Side, left: PacketSet, peers: Peers) -> Iterator[Origin]:
    """Yield the rules that lose packets of unnamed protocols."""
    for piece in side.pieces:
        if PacketSet.of(piece.addresses, piece.services) & left:
            yield from piece.origins
    for group in peers.referable.values():
        for one in group:
            for need in side.groups.get(one.group, ()):
                if PacketSet.of(one.private, need.services) & left:
                    yield from need.origins


# --- texts ---------------------------------------------------------------------------------------------------------------

DESCRIPTION_MOST = 255
_NOT_IN_DESCRIPTIONS = re.compile(r"[^A-Za-z0-9. _\-:/()#,@\[\]+=&;{}!$*]")


def description(key: RuleKey, origins: Iterable[Origin], standing: str = "") -> str:
    """Return the rules behind an entry as EC2 takes it: its characters, its length. For people; never read back as truth.

    The two entries that EC2 puts into every new group stay without one: they need no write then. `standing`: what the entry has now;
    it stays where it only numbers the same rules, as earlier releases did.
    """
    if key.egress and (key.protocol, key.first, key.last) == ALL and key.peer in ("0.0.0.0/0", "::/0"):
        return ""
    names = list(dict.fromkeys(origin.native for origin in origins))
    if older(standing.split(", "), names):
        return standing
    text = _NOT_IN_DESCRIPTIONS.sub("_", ", ".join(names))
    return text if len(text) <= DESCRIPTION_MOST else text[: DESCRIPTION_MOST - 3] + "..."
