"""Random device groups and intents for property tests: small, nasty, drawn from one seed; and an evaluator that knows no set algebra."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.adapter import Access, AddressPeer, Allowed, ClassIntent, ClassPeer, Intent, Origin, PointIntent, Term, Whose
from cloudsync.model import intervals
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet, Family
from cloudsync.model.mode import Egress, Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, Packet, PacketSet
from cloudsync.model.service import ANY_SERVICE, BLOCK, GRE, ICMP, ICMPV6, SCTP, TCP, UDP, ServiceSet, possible
from cloudsync.model.workload import DEFAULT_DOMAIN, Labels
from cloudsync_f5 import words
from cloudsync_f5.decode import decode
from cloudsync_f5.read import judged
from cloudsync_f5.table import (
    EVERYBODY,
    Action,
    AddressList,
    Ends,
    F5Table,
    Listener,
    Policy,
    PortList,
    RouteDomain,
    Rule,
    RuleList,
    Virtual,
)
from cloudsync_f5.words import ANY_PROTOCOL, Native, Span

OWNER = "acme"
SCOPE = "dg-dc1"
SERVICES = (
    ServiceSet.ports(TCP, 22, 22),
    ServiceSet.ports(TCP, 443, 443),
    ServiceSet.ports(TCP, 400, 500) | ServiceSet.ports(UDP, 53, 53),
    ServiceSet.protocol(TCP),
    ServiceSet.icmp(ICMP, 8) | ServiceSet.icmp(ICMPV6, 128),
    ServiceSet.icmp(ICMP, 3, 4),
    ServiceSet.protocol(GRE) | ServiceSet.protocol(89),
    ServiceSet.ports(SCTP, 80, 90),
    ANY_SERVICE - ServiceSet.ports(TCP, 22, 22),
    ANY_SERVICE,
)
ADDRESSES = (
    AddressSet.of("10.0.0.0/8"),
    AddressSet.of("10.0.0.0/9", "192.168.0.0/16"),
    AddressSet.of("203.0.113.0/24", "2001:db8::/32"),
    AddressSet.of("198.51.100.7/32"),
    AddressSet.of(*(f"198.51.100.{number}/32" for number in range(1, 30, 4)), "2001:db8:1::/48"),
    ANYWHERE,
    ANYWHERE - AddressSet.of("10.0.0.0/8"),
)
LISTENERS = (
    ServiceSet.ports(TCP, 443, 443),
    ServiceSet.ports(TCP, 22, 22),
    ServiceSet.ports(UDP, 53, 53),
    ServiceSet.protocol(TCP),
    ServiceSet.protocol(89),
    ANY_SERVICE,
)
SPANS = ("0.0.0.0/0", "::/0", "10.0.0.0/8", "10.1.0.0/16", "10.0.0.5-10.0.1.9", "192.0.2.1", "2001:db8::/32", "203.0.113.0/25")
NATIVES = (
    Native(ANY_PROTOCOL),
    Native(TCP),
    Native(TCP, ((443, 443),)),
    Native(TCP, ((22, 22), (400, 450))),
    Native(UDP, ((53, 53),)),
    Native(ICMP),
    Native(ICMP, (), ((3, 4), (8, -1))),
    Native(89),
)


@dataclass(frozen=True, slots=True)
class Estate:
    """A table with what every virtual server was before us, and the class each belongs to."""

    table: F5Table
    past: dict[str, Access]
    original: dict[str, tuple[str, ...]]
    classes: dict[str, str]


def _spans(random: Random, domains: tuple[int, ...]) -> frozenset[Span]:
    picked = random.sample(SPANS, random.randint(1, 3))
    return frozenset(replace(words.span(text), domain=random.choice(domains)) for text in picked)


def _ends(random: Random, lists: list[str], domains: tuple[int, ...]) -> Ends:
    kind = random.random()
    if kind < 0.3:
        return EVERYBODY
    return Ends(_spans(random, domains)) if kind < 0.6 or not lists else Ends(frozenset(), frozenset(random.sample(lists, 1)))


def rules(random: Random, lists: list[str], vips: list[Span], *, most: int = 5, listed: str = "") -> tuple[Rule, ...]:
    found: list[Rule] = []
    for number in range(random.randint(0, most)):
        action = random.choice((Action.ACCEPT, Action.ACCEPT, Action.DROP, Action.REJECT, Action.DECISIVELY))
        native = random.choice(NATIVES)
        to = Ends(frozenset({random.choice(vips)})) if vips and random.random() < 0.2 else EVERYBODY
        ports = frozenset({"/Common/ports"}) if native.protocol == TCP and random.random() < 0.15 else frozenset()
        enabled = random.random() > 0.1
        found.append(Rule(f"r{number}", action, _ends(random, lists, (0, 0, 1)), to, native, ports, enabled))
    if listed and random.random() < 0.3:
        found.insert(random.randint(0, len(found)), Rule("taken-in", None, rule_list=listed))
    return tuple(found)


def estate(random: Random, *, virtuals_most: int = 5, outer: bool = True) -> Estate:
    lists = {
        "/Common/one": AddressList("/Common/one", _spans(random, (0, 1))),
        "/Common/two": AddressList("/Common/two", _spans(random, (0, 1)), frozenset({"/Common/one"})),
    }
    ports = {"/Common/ports": PortList("/Common/ports", frozenset({(440, 445), (22, 22)}))}
    virtuals: dict[str, Virtual] = {}
    vips: list[Span] = []
    for number in range(random.randint(1, virtuals_most)):
        domain = random.choice((0, 0, 1))
        text = f"10.60.0.{number + 1}" if random.random() < 0.7 else f"fd00:60::{number + 1}"
        span = replace(words.span(text), domain=domain)
        vips.append(span)
        peers = ANYWHERE.only(span.family)
        if random.random() < 0.2 and span.family is Family.V4:
            peers = AddressSet.of("10.0.0.0/8")
        path = f"/Common/vs{number}"
        listener = Listener(peers, random.choice(LISTENERS))
        virtuals[path] = Virtual(path, SCOPE, domain, words.addresses((span,), domain), listener)
    rule_lists = {"/Common/shared": RuleList("/Common/shared", rules(random, sorted(lists), vips, most=3))}
    policies = {
        path: Policy(path, rules(random, sorted(lists), vips, listed="/Common/shared"))
        for path in ("/Common/legacy-a", "/Common/legacy-b", "/Common/edge", "/Common/domain")
    }
    for path, virtual in virtuals.items():
        if random.random() < 0.6:
            virtuals[path] = replace(virtual, enforced=random.choice(("/Common/legacy-a", "/Common/legacy-b")))
    domains = {
        "/Common/0": RouteDomain("/Common/0", 0, "/Common/domain" if outer and random.random() < 0.3 else ""),
        "/Common/1": RouteDomain("/Common/1", 1),
    }
    table = F5Table(
        OWNER,
        SCOPE,
        "Common",
        policies,
        rule_lists,
        lists,
        ports,
        virtuals,
        domains,
        enforced="/Common/edge" if outer and random.random() < 0.3 else "",
        open_by_default=random.random() < 0.8,
        active="bigip1",
        group=SCOPE if random.random() < 0.7 else "",
        saves=random.random() < 0.9,
        stages=random.random() < 0.3,
    )
    access = decode(table)
    past = {path: access[one.point] for path, one in virtuals.items()}
    original: dict[str, tuple[str, ...]] = {path: (one.enforced,) if one.enforced else () for path, one in virtuals.items()}
    return Estate(table, past, original, {path: f"class{random.randrange(3)}" for path in virtuals})


def reassigned(random: Random, before: Estate, share: float) -> Estate:
    """Return the estate with some virtual servers in other classes, as label changes do."""
    classes = {key: f"class{random.randrange(3)}" if random.random() < share else known for key, known in before.classes.items()}
    return replace(before, classes=classes)


def after(before: Estate, table: F5Table, *, additive: bool) -> Estate:
    """Return the estate once a table was reached."""
    return replace(before, table=judged(table, additive=additive))


# --- intents -----------------------------------------------------------------------------------------------------------


def intent(random: Random, world: Estate, mode: TargetMode, *, tiers: bool = True, modes: Iterable[Mode] = tuple(Mode)) -> Intent:
    names = sorted({*world.classes.values(), "elsewhere", "nobody"})
    addresses = {
        name: AddressSet.union_all(one.addresses for path, one in world.table.virtuals.items() if world.classes[path] == name)
        for name in names
    }
    addresses["elsewhere"] = AddressSet.of("10.77.0.1/32", "10.77.0.9/32", "198.51.100.7/32")
    addresses["nobody"] = NOWHERE
    choices = list(modes)
    classes: dict[str, ClassIntent] = {}
    for name in names:
        picked = random.choice(choices)
        inbound = allowed(random, names, addresses, tiers=tiers) if picked.enforced else Allowed()
        classes[name] = ClassIntent(
            name, DEFAULT_DOMAIN, Labels.of({"role": name}), picked, Egress.LEAVE, addresses[name], inbound, reached=addresses[name]
        )
    points = [_point(world, one, classes[world.classes[path]], mode) for path, one in world.table.virtuals.items()]
    shuffled = list(classes.values())
    random.shuffle(shuffled)
    return Intent("f5", OWNER, mode, tuple(shuffled), tuple(sorted(points, key=lambda one: one.point)))


def _point(world: Estate, virtual: Virtual, group: ClassIntent, mode: TargetMode) -> PointIntent:
    original = world.original[virtual.path]
    if mode is not TargetMode.EXCLUSIVE or not group.mode.enforced:
        return PointIntent(virtual.point, group.class_id, DEFAULT_DOMAIN, group.mode, group.egress, original=original)
    past = world.past[virtual.path]
    selective = group.mode is Mode.SELECTIVE
    kept_in = past.inbound - group.inbound.closed - group.inbound.never if selective else NO_PACKETS
    return PointIntent(virtual.point, group.class_id, DEFAULT_DOMAIN, group.mode, group.egress, kept_in, past.outbound, original)


def _terms(random: Random, names: list[str], word: str, most: int) -> tuple[Term, ...]:
    found: list[Term] = []
    for number in range(random.randint(0, most)):
        peer: ClassPeer | AddressPeer
        if random.random() < 0.5:
            peer = ClassPeer(random.choice(names))
        else:
            at = random.randrange(len(ADDRESSES))
            peer = AddressPeer(ADDRESSES[at], f"list{at}" if random.random() < 0.5 else "")
        found.append(Term(peer, random.choice(SERVICES), (Origin(f"{word}#{number}"),), logged=random.random() < 0.2))
    return tuple(found)


def allowed(random: Random, names: list[str], addresses: dict[str, AddressSet], *, tiers: bool) -> Allowed:
    """Return inbound: as the compiler gives it, in tiers and flat, or flat alone."""
    whole, never_terms, closed_terms = (_terms(random, names, word, most) for word, most in (("allow", 4), ("never", 2), ("deny", 2)))
    never, closed = packets(never_terms, addresses), packets(closed_terms, addresses)
    exact = packets(whole, addresses) - never
    flat: list[Term] = []
    for term in whole:
        left = packets((term,), addresses) - never
        flat.extend(Term(AddressPeer(peers), services, term.origins) for peers, services in left.products())
    if not tiers:
        return Allowed(tuple(flat), exact, exact, never, closed)
    return Allowed(tuple(flat), exact, exact, never, closed, whole, never_terms, closed_terms)


def packets(terms: Iterable[Term], addresses: dict[str, AddressSet]) -> PacketSet:
    return PacketSet.union_all(
        PacketSet.of(addresses[one.peer.class_id] if isinstance(one.peer, ClassPeer) else one.peer.addresses, one.services) for one in terms
    )


# --- one packet, rule by rule: no set algebra ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Evaluator:
    """First match by hand, context by context."""

    table: F5Table

    def passes(self, virtual: Virtual, packet: Packet) -> bool:
        if not self.listens(virtual, packet):
            return False
        domain = next((one.enforced for one in self.table.route_domains.values() if one.id == virtual.domain), "")
        for policy in (self.table.enforced, domain):
            action = self.decides(policy, virtual, packet)
            if action in (Action.DROP, Action.REJECT):
                return False
            if action is Action.DECISIVELY:
                return True
        action = self.decides(virtual.enforced, virtual, packet)
        return self.table.open_by_default if action is None else action in (Action.ACCEPT, Action.DECISIVELY)

    def ours(self, virtual: Virtual, packet: Packet) -> bool:
        held = self.table.policies.get(virtual.enforced)
        if held is None or held.mark is None or not self.listens(virtual, packet):
            return False
        return self.decides(virtual.enforced, virtual, packet) in (Action.ACCEPT, Action.DECISIVELY)

    @staticmethod
    def listens(virtual: Virtual, packet: Packet) -> bool:
        inside = intervals.contains(virtual.listener.peers.family(packet.family), packet.peer)
        at = packet.protocol * BLOCK + packet.detail
        return (
            inside and intervals.contains(virtual.listener.services.points, at) and intervals.contains(possible(packet.family).points, at)
        )

    def decides(self, policy: str, virtual: Virtual, packet: Packet) -> Action | None:
        held = self.table.policies.get(policy)
        return self._first(held.rules if held else (), virtual, packet)

    def _first(self, rules: Iterable[Rule], virtual: Virtual, packet: Packet) -> Action | None:
        for rule in rules:
            if not rule.enabled:
                continue
            if rule.rule_list:
                inner = self.table.rule_lists.get(rule.rule_list)
                found = self._first(inner.rules if inner else (), virtual, packet)
                if found is not None:
                    return found
                continue
            vip = min(intervals.ranges(virtual.addresses.v4 or virtual.addresses.v6))[0]
            family = Family.V4 if virtual.addresses.v4 else Family.V6
            if (
                self._serves(rule, packet)
                and self._in(rule.source, packet.family, packet.peer, virtual.domain)
                and self._in(rule.destination, family, vip, virtual.domain)
            ):
                return rule.action
        return None

    def _serves(self, rule: Rule, packet: Packet) -> bool:
        native = rule.native
        if native.protocol not in (ANY_PROTOCOL, packet.protocol):
            return False
        ports = [*native.ports, *(pair for path in rule.port_lists for pair in self.table.port_lists[path].ports)]
        if ports:
            return any(low <= packet.detail <= high for low, high in ports)
        if native.icmp:
            kind, code = divmod(packet.detail, 256)
            return any(kind == one and other in (-1, code) for one, other in native.icmp)
        return True

    def _in(self, ends: Ends, family: Family, value: int, domain: int) -> bool:
        return ends.any or any(
            one.domain == domain and one.version == family and one.first <= value <= one.last for one in self._spans(ends.spans, ends.lists)
        )

    def _spans(self, spans: Iterable[Span], lists: Iterable[str]) -> Iterator[Span]:
        yield from spans
        for path in lists:
            if path in self.table.lists:
                yield from self._spans(self.table.lists[path].spans, self.table.lists[path].lists)


def probes(random: Random, table: F5Table, count: int) -> list[Packet]:
    """Return packets at the edges of everything that a table speaks of."""
    edges: dict[Family, set[int]] = {Family.V4: {0, (1 << 32) - 1}, Family.V6: {0, (1 << 128) - 1}}
    spans = [span for one in table.lists.values() for span in one.spans]
    rules = [rule for policy in table.policies.values() for rule in policy.rules]
    rules += [rule for listed in table.rule_lists.values() for rule in listed.rules]
    spans += [span for rule in rules for span in rule.source.spans]
    for span in spans:
        top = (1 << span.family.width) - 1
        edges[span.family].update(min(top, max(0, value)) for value in (span.first - 1, span.first, span.last, span.last + 1))
    details = {
        TCP: (21, 22, 443, 444, 450, 451, 500, 8080),
        UDP: (53, 54),
        SCTP: (80, 91),
        ICMP: (8 * 256, 3 * 256 + 4, 3 * 256),
        GRE: (0,),
    }
    details |= {ICMPV6: (128 * 256, 129 * 256), 89: (0,), 200: (0,)}
    found: list[Packet] = []
    for _ in range(count):
        family = random.choice((Family.V4, Family.V4, Family.V6))
        protocol = random.choice(sorted(details))
        found.append(Packet(family, random.choice(sorted(edges[family])), protocol, random.choice(details[protocol])))
    return found


# --- and whether reading agrees with the evaluator ------------------------------------------------------------------------


@settings(max_examples=80)
@given(st.integers(0, 10**9))
def test_decoding_agrees_with_rules_read_one_by_one(seed: int) -> None:
    random = Random(seed)
    world = estate(random)
    evaluator = Evaluator(world.table)
    access = decode(world.table)
    for packet in probes(random, world.table, 60):
        for virtual in world.table.virtuals.values():
            assert (packet in access[virtual.point].inbound) is evaluator.passes(virtual, packet), (virtual, packet)


@settings(max_examples=30)
@given(st.integers(0, 10**9))
def test_the_foreign_part_is_reality_while_nothing_is_ours(seed: int) -> None:
    world = estate(Random(seed))
    assert decode(world.table, Whose.FOREIGN) == decode(world.table)
    assert all(not access.inbound and not access.outbound for access in decode(world.table, Whose.OURS).values())
