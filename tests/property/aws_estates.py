"""Random AWS tables and intents for property tests: small, nasty, drawn from one seed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

from cloudsync.adapter import (
    Access,
    AddressPeer,
    Allowed,
    ClassIntent,
    ClassPeer,
    Intent,
    Origin,
    PointIntent,
    Term,
    Whose,
)
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet, Family
from cloudsync.model.mode import Accept, Egress, Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.service import ANY_SERVICE, GRE, ICMP, ICMPV6, SCTP, TCP, UDP, ServiceSet
from cloudsync.model.workload import DEFAULT_DOMAIN, Labels
from cloudsync_aws.decode import decode
from cloudsync_aws.fit import ALL
from cloudsync_aws.payload import placeholder
from cloudsync_aws.simulate import default_egress, renamed
from cloudsync_aws.table import AwsTable, Eni, Group, PeerKind, PrefixList, Quotas, RuleKey, Vpc

OWNER = "acme"
SCOPES = ("111122223333/us-east-1", "444455556666/us-east-1")
ROOMY = Quotas(rules_per_group=500, groups_per_eni=8)
SERVICES = (
    ServiceSet.ports(TCP, 22, 22),
    ServiceSet.ports(TCP, 443, 443),
    ServiceSet.ports(TCP, 1000, 2000),
    ServiceSet.ports(TCP, 1500, 1500) | ServiceSet.ports(UDP, 53, 53),
    ServiceSet.protocol(TCP),
    ServiceSet.icmp(ICMP, 8) | ServiceSet.icmp(ICMPV6, 128),
    ServiceSet.icmp(ICMP, 3, 4),
    ServiceSet.protocol(ICMP) | ServiceSet.protocol(ICMPV6),
    ServiceSet.protocol(GRE),
    ServiceSet.protocol(89),
    ServiceSet.protocol(SCTP),
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


@dataclass(frozen=True, slots=True)
class Estate:
    """A table with what every interface was before us, and the class each belongs to."""

    table: AwsTable
    past: dict[str, Access]
    original: dict[str, tuple[str, ...]]
    classes: dict[str, str]


def estate(random: Random, *, quotas: Quotas = ROOMY, enis_most: int = 6) -> Estate:
    vpcs = {
        key: Vpc(key, scope, (), ipv6)
        for key, scope, ipv6 in (("vpc-a", SCOPES[0], True), ("vpc-b", SCOPES[0], False), ("vpc-c", SCOPES[1], True))
    }
    lists = {"pl-1": PrefixList("pl-1", SCOPES[0], "legacy", Family.V4, 4, entries={"192.0.2.0/24": "", "10.9.0.0/16": "x"})}
    groups: dict[str, Group] = {}
    for vpc in vpcs.values():
        for number in range(random.randint(1, 3)):
            key = f"sg-{vpc.id[-1]}{number}"
            rules = dict.fromkeys(default_egress(vpc), "") if random.random() < 0.7 else {}
            groups[key] = Group(key, vpc.scope, vpc.id, "default" if number == 0 else f"legacy-{number}", rules, is_default=number == 0)
    for key, group in list(groups.items()):
        groups[key] = replace(group, rules={**group.rules, **{_rule(random, groups, group): "legacy" for _ in range(random.randint(0, 4))}})
    enis: dict[str, Eni] = {}
    for vpc_number, vpc in enumerate(vpcs.values()):
        mine = [key for key, group in groups.items() if group.vpc == vpc.id]
        for number in range(random.randint(1, enis_most)):
            key = f"eni-{vpc.id[-1]}{number}"
            private = AddressSet.of(f"10.{vpc_number}.0.{number + 1}/32")
            if vpc.ipv6 and random.random() < 0.5:
                private |= AddressSet.of(f"2001:db8:{vpc_number + 1}::{number + 1}/128")
            public = AddressSet.of(f"8.8.{vpc_number}.{number + 1}/32") if random.random() < 0.3 else NOWHERE
            carried = tuple(sorted(random.sample(mine, random.randint(1, min(2, len(mine))))))
            enis[key] = Eni(key, vpc.scope, vpc.id, f"i-{key}", private, public, carried, "a service's" if random.random() < 0.1 else "")
    peered = frozenset({("vpc-a", "vpc-b"), ("vpc-b", "vpc-a")}) if random.random() < 0.5 else frozenset()
    table = AwsTable(OWNER, groups, enis, lists, vpcs, peered, dict.fromkeys(SCOPES, quotas))
    past = {eni.id: decode(table, Whose.ALL, [eni.point])[eni.point] for eni in enis.values()}
    classes = {key: f"class{random.randrange(4)}" for key in enis}
    return Estate(table, past, {key: eni.groups for key, eni in enis.items()}, classes)


def _rule(random: Random, groups: dict[str, Group], group: Group) -> RuleKey:
    egress = random.random() < 0.3
    native = random.choice((ALL, (TCP, 22, 22), (TCP, 0, 65535), (UDP, 53, 53), (ICMP, 8, -1), (ICMP, -1, -1), (GRE, -1, -1)))
    kind = random.choice(list(PeerKind))
    peer = {
        PeerKind.CIDR4: random.choice(("0.0.0.0/0", "10.0.0.0/8", "192.0.2.1/32")),
        PeerKind.CIDR6: random.choice(("::/0", "2001:db8::/32")),
        PeerKind.GROUP: random.choice([key for key, other in groups.items() if other.vpc == group.vpc]),
        PeerKind.LIST: "pl-1",
    }[kind]
    return RuleKey(egress, *native, kind.value, peer)


def reassigned(random: Random, before: Estate, share: float) -> Estate:
    """Return the estate with some interfaces in other classes, as label changes do."""
    classes = {key: f"class{random.randrange(4)}" if random.random() < share else known for key, known in before.classes.items()}
    return replace(before, classes=classes)


def intent(random: Random, world: Estate, mode: TargetMode, *, terms_most: int = 4, modes: Iterable[Mode] = tuple(Mode)) -> Intent:
    names = sorted({*world.classes.values(), "elsewhere"})
    addresses = {
        name: AddressSet.union_all(
            eni.private | eni.public for key, eni in world.table.enis.items() if world.classes[key] == name and not eni.skipped
        )
        for name in names
    }
    addresses["elsewhere"] = AddressSet.of("10.77.0.1/32", "10.77.0.9/32")
    modes = list(modes)
    classes: dict[str, ClassIntent] = {}
    for name in names:
        picked, egress = random.choice(modes), random.choice(list(Egress))
        inbound = allowed(random, names, addresses, terms_most) if picked.enforced else Allowed()
        outbound = allowed(random, names, addresses, terms_most) if picked.enforced and egress is Egress.ENFORCE else Allowed()
        labels = Labels.of({"role": name})
        classes[name] = ClassIntent(name, DEFAULT_DOMAIN, labels, picked, egress, addresses[name], inbound, outbound)
    points = [_point(world, eni, classes[world.classes[key]], mode) for key, eni in world.table.enis.items() if not eni.skipped]
    return Intent("aws", OWNER, mode, tuple(classes.values()), tuple(sorted(points, key=lambda one: one.point)))


def _point(world: Estate, eni: Eni, group: ClassIntent, mode: TargetMode) -> PointIntent:
    original = world.original[eni.id]
    if mode is not TargetMode.EXCLUSIVE or not group.mode.enforced:
        return PointIntent(eni.point, group.class_id, DEFAULT_DOMAIN, group.mode, group.egress, original=original)
    past = world.past[eni.id]
    selective = group.mode is Mode.SELECTIVE
    kept_in = past.inbound - group.inbound.closed - group.inbound.never if selective else NO_PACKETS
    if group.egress is Egress.LEAVE:
        kept_out = past.outbound
    else:
        kept_out = past.outbound - group.outbound.closed - group.outbound.never if selective else NO_PACKETS
    return PointIntent(eni.point, group.class_id, DEFAULT_DOMAIN, group.mode, group.egress, kept_in, kept_out, original)


def allowed(random: Random, names: list[str], addresses: dict[str, AddressSet], terms_most: int) -> Allowed:
    """Return one direction: terms with never packets taken out as the compiler takes them out."""
    never = PacketSet.of(random.choice(ADDRESSES[:4]), random.choice(SERVICES[:2])) if random.random() < 0.3 else NO_PACKETS
    closed = PacketSet.of(ANYWHERE, random.choice(SERVICES[:4]))
    terms: list[Term] = []
    loose: list[PacketSet] = []
    for number in range(random.randint(0, terms_most)):
        services = random.choice(SERVICES)
        origins = (Origin(f"rules#{number}"),)
        accept: frozenset[Accept] = frozenset()
        if random.random() < 0.1:
            services, accept = services | ServiceSet.ports(SCTP, 80, 80), frozenset({Accept.ANY_PORT})
        peer: ClassPeer | AddressPeer
        if random.random() < 0.5:
            name = random.choice(names)
            peer, mine = ClassPeer(name), addresses[name]
        else:
            chosen = random.randrange(len(ADDRESSES))
            peer = AddressPeer(ADDRESSES[chosen], f"list{chosen}" if random.random() < 0.5 else "")
            mine = peer.addresses
        packets = PacketSet.of(mine, services)
        loose.append(PacketSet.of(mine, services | ServiceSet.protocol(SCTP)) if accept else packets)
        if not packets & never:
            terms.append(Term(peer, services, origins, accept))
            continue
        terms.extend(Term(AddressPeer(peers), part, origins, accept) for peers, part in (packets - never).products())
    by_class = [PacketSet.of(_of(term, addresses), term.services) for term in terms]
    exact = PacketSet.union_all(by_class)
    return Allowed(tuple(terms), exact, PacketSet.union_all([exact, *loose]) - never, never, closed)


def _of(term: Term, addresses: dict[str, AddressSet]) -> AddressSet:
    return addresses[term.peer.class_id] if isinstance(term.peer, ClassPeer) else term.peer.addresses


def settled(table: AwsTable) -> AwsTable:
    """Return a table as the next read shows it: new objects under native ids, in the order of their keys."""
    new = sorted(key for key in (*table.groups, *table.lists) if key.startswith(placeholder("")[:5]))
    known = {*table.groups, *table.lists}
    names: dict[str, str] = {}
    number = 0
    for key in new:
        while (native := f"{'pl' if key in table.lists else 'sg'}-new{number:03d}") in known:
            number += 1
        known.add(native)
        names[key] = native
    return renamed(table, names)
