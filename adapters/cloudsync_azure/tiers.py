"""What is wanted of one direction of an NSG: the policy's terms as rules without numbers, tier by tier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace

from cloudsync.adapter import AddressPeer, Allowed, ClassIntent, ClassPeer, Origin, Term
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet, Family
from cloudsync.model.fidelity import Verdict
from cloudsync.model.intervals import Points
from cloudsync.model.mode import Accept, Mode
from cloudsync.model.packets import PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import Domain, PointId
from cloudsync_azure.chain import overlap, services_of
from cloudsync_azure.fit import Findings, peer_side, say
from cloudsync_azure.groups import ClassKey, Group
from cloudsync_azure.limits import PLATFORM_ADDRESS
from cloudsync_azure.table import ALL_PORTS, Protocol, Side, Tier

PLATFORM, DEFAULT, MEND = Origin("platform"), Origin("default deny"), Origin("kept")
_LOAD_BALANCER = Side(tag="azureloadbalancer")


@dataclass(frozen=True, slots=True)
class Want:
    """A rule that is wanted, without name and number. `own`: addresses behind the NSG, of one family unless groups stand for both sides."""

    tier: Tier
    egress: bool
    deny: bool
    protocol: Protocol
    peer: Side
    own: AddressSet
    ports: Points = ALL_PORTS
    source_ports: Points = ALL_PORTS
    origins: tuple[Origin, ...] = ()
    asg: str = ""
    """The application security group that is written for `own`."""
    met: AddressSet = NOWHERE
    """Who is in the group that is written for the peer."""

    @property
    def side(self) -> Side:
        """Its own side as it is written."""
        return Side(asgs=(self.asg,)) if self.asg else Side(self.own)

    @property
    def peers(self) -> AddressSet:
        """The addresses of the other side, whatever it is written as; nobody's where that is a tag."""
        return self.met if self.peer.asgs else self.peer.addresses

    @property
    def packets(self) -> PacketSet:
        """What it decides, seen from behind; nothing where its peer is a tag."""
        return PacketSet.of(self.peers, services_of(self.protocol, self.ports))


Key = tuple[Tier, bool, bool, Protocol, Side, Side, Points, Points]


def key_of(want: Want) -> Key:
    """Return everything that makes a rule this rule, but its number and its words."""
    return want.tier, want.egress, want.deny, want.protocol, want.peer, want.side, want.ports, want.source_ports


def by_address(want: Want) -> Iterator[Want]:
    """Yield a rule about groups as rules about the addresses that are in them now."""
    if not want.asg and not want.peer.asgs:
        yield want
        return
    for family in Family:
        peer = want.peer if want.peer.tag else peer_side(want.peers, family)
        if peer is not None and want.own.family(family):
            yield replace(want, peer=peer, own=want.own.only(family), asg="", met=NOWHERE)


@dataclass(frozen=True, slots=True)
class Slot:
    """The held points of one class behind one NSG in one direction."""

    group: ClassIntent
    own: AddressSet
    """Their private addresses: rules see no others."""
    points: tuple[PointId, ...]
    asg: str = ""
    """The application security group that everybody of the class is in, and of those behind the NSG nobody else; empty for none."""

    def allowed(self, *, egress: bool) -> Allowed:
        """Return what the policy says of a direction."""
        return self.group.outbound if egress else self.group.inbound


@dataclass(frozen=True, slots=True)
class Peers:
    """Resolves peers to addresses, and to groups where they may be named."""

    classes: Mapping[tuple[str, Domain], ClassIntent]
    groups: Mapping[ClassKey, Group] = field(default_factory=dict)

    def asg(self, term: Term, domain: Domain) -> str:
        """Return the application security group of a term's peer; empty for none."""
        known = self.groups.get((term.peer.class_id, domain)) if isinstance(term.peer, ClassPeer) else None
        return known.asg.id if known is not None else ""

    def addresses(self, term: Term, domain: Domain, *, egress: bool) -> AddressSet:
        """Return the addresses of a term's peer as seen from a domain; a class that is not known is nobody."""
        if isinstance(term.peer, AddressPeer):
            loose = term.peer.internet and Accept.INTERNET_AS_ANYWHERE in term.accept
            return ANYWHERE if loose else term.peer.addresses
        assert isinstance(term.peer, ClassPeer)
        known = self.classes.get((term.peer.class_id, domain))
        if known is None:
            return NOWHERE
        return known.destinations if egress else known.addresses


@dataclass(frozen=True, slots=True)
class Saying:
    """What is needed to put a direction's policy into rules."""

    egress: bool
    peers: Peers
    findings: Findings
    ports_most: int


def wants(slots: Iterable[Slot], saying: Saying) -> list[Want]:
    """Return the tiers of one direction: never, allow, closed, default deny; the same rule for several classes is one rule."""
    return list(_united(want for slot in slots for want in _slot(slot, saying)))


def _slot(slot: Slot, saying: Saying) -> Iterator[Want]:
    allowed = slot.allowed(egress=saying.egress)
    yield from _terms(slot, saying, Tier.NEVER, allowed.never_terms)
    yield from _terms(slot, saying, Tier.ALLOW, allowed.whole or allowed.terms)
    if slot.group.mode is Mode.SELECTIVE:
        yield from _terms(slot, saying, Tier.CLOSED, allowed.closed_terms)
        return
    for family in Family:
        side = _peer_side(slot, ANYWHERE, family)
        if slot.own.family(family) and side is not None:
            own = slot.own.only(family)
            yield Want(Tier.DEFAULT, saying.egress, True, Protocol.ANY, side, own, origins=(DEFAULT,), asg=slot.asg)


def _terms(slot: Slot, saying: Saying, tier: Tier, terms: Iterable[Term]) -> Iterator[Want]:
    for term in terms:
        if _refused(slot, saying, tier, term):
            continue
        for said in _said(slot, saying, term):
            yield replace(said, tier=tier, deny=tier is not Tier.ALLOW)


def _said(slot: Slot, saying: Saying, term: Term) -> Iterator[Want]:
    """Yield the rules of a term. Groups on both sides cover both families at once: only where the words of both are the same."""
    addresses = saying.peers.addresses(term, slot.group.domain, egress=saying.egress)
    asg = saying.peers.asg(term, slot.group.domain)
    words = {
        family: say(term.services, family, saying.ports_most).words
        for family in Family
        if addresses.family(family) and slot.own.family(family)
    }
    if asg and slot.asg and len(set(words.values())) == 1:
        for protocol, ports in next(iter(words.values())):
            plain = Want(Tier.ALLOW, saying.egress, False, protocol, Side(asgs=(asg,)), slot.own, ports, origins=term.origins)
            yield replace(plain, asg=slot.asg, met=addresses)
        return
    for family, some in words.items():
        # An address on one side keeps a rule about a group to one family.
        joined = asg and not slot.asg
        side = Side(asgs=(asg,)) if joined else _peer_side(slot, addresses, family)
        if side is None:
            continue
        for protocol, ports in some:
            plain = Want(Tier.ALLOW, saying.egress, False, protocol, side, slot.own.only(family), ports, origins=term.origins)
            yield replace(plain, asg=slot.asg, met=addresses.only(family) if joined else NOWHERE)


def _peer_side(slot: Slot, addresses: AddressSet, family: Family) -> Side | None:
    """Return the other side in one family. Opposite a group it is always spelled out: `*` would be both families at once."""
    mine = addresses.only(family)
    return (Side(mine) if mine else None) if slot.asg else peer_side(addresses, family)


def _refused(slot: Slot, saying: Saying, tier: Tier, term: Term) -> bool:
    """State how exactly a term can be said, and refuse it where it cannot."""
    findings, denies = saying.findings, tier is not Tier.ALLOW
    said = [say(term.services, family, saying.ports_most) for family in Family]
    lost = next((one.lost for one in said if one.lost), None)
    if lost is not None:
        reason = f"network security groups have no word for {lost.text()}"
        findings.refuse(term.origins, reason, "name tcp, udp, icmp, esp, ah or any service", slot.points)
        return True
    if term.process and Accept.PORT_ONLY not in term.accept:
        reason = f"network security groups know no process ({term.process}); the port alone would be looser"
        findings.refuse(term.origins, reason, "accept it in the rule: port-only ok", slot.points)
        return True
    typed = any(one.typed for one in said)
    if typed and denies:
        findings.refuse(
            term.origins, "network security groups know no ICMP types: all of ICMP would be cut", "name all of icmp", slot.points
        )
        return True
    if typed and Accept.ANY_TYPE not in term.accept:
        reason = "network security groups know no ICMP types: all of ICMP would be let through"
        findings.refuse(term.origins, reason, "accept it in the rule: any-type ok", slot.points)
        return True
    findings.state(term.origins, Verdict.EXACT)
    if typed:
        findings.state(term.origins, Verdict.LOOSER, "all of ICMP is let through, not one type", accepted=True)
    if term.process:
        findings.state(term.origins, Verdict.LOOSER, "any process may use the port", accepted=True)
    if isinstance(term.peer, AddressPeer) and term.peer.internet and Accept.INTERNET_AS_ANYWHERE in term.accept:
        findings.state(term.origins, Verdict.LOOSER, "internet is rendered as anywhere", accepted=True)
    return False


def _united(found: Iterable[Want]) -> Iterator[Want]:
    same: dict[tuple[object, ...], list[Want]] = {}
    for want in found:
        family = Family.V4 if want.own.v4 else Family.V6
        same.setdefault((want.tier, want.deny, want.protocol, want.peer, want.asg, family, want.ports), []).append(want)
    for several in same.values():
        origins = tuple(sorted(dict.fromkeys(origin for one in several for origin in one.origins), key=lambda one: one.native))
        yield replace(several[0], own=AddressSet.union_all(one.own for one in several), origins=origins)


def platform(found: Iterable[Want], *, egress: bool) -> Iterator[Want]:
    """Yield the allows for the platform's own address, where a deny of ours would stop it."""
    stopped: dict[str, list[AddressSet]] = {}
    for want in found:
        if stops_platform(want):
            stopped.setdefault(want.asg, []).append(want.own)
    for asg, own in sorted(stopped.items()):
        everybody = AddressSet.union_all(own)
        yield Want(Tier.PLATFORM, egress, False, Protocol.ANY, _LOAD_BALANCER, everybody, origins=(PLATFORM,), asg=asg)


def stops_platform(want: Want) -> bool:
    """Tell whether a deny covers 168.63.129.16."""
    return want.deny and bool(want.own.v4) and overlap(want.peers, PLATFORM_ADDRESS)
