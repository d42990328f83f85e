"""The compiler against a packet-by-packet reading of the policy language, on small random worlds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from cloudsync.adapter import AddressPeer, ClassPeer, Term
from cloudsync.compile import arms, universe
from cloudsync.compile.allowed import Compiler, Direction
from cloudsync.compile.universe import Universe
from cloudsync.model.address import ANYWHERE, AddressSet, Family, globally_routable
from cloudsync.model.finding import Where
from cloudsync.model.mode import Accept, Egress, Mode
from cloudsync.model.packets import Packet, PacketSet
from cloudsync.model.service import ANY_SERVICE, NO_SERVICE, TCP, ServiceSet
from cloudsync.model.workload import Domain, Interface, Labels, PointId, Workload, WorkloadId
from cloudsync.policy.values import (
    Action,
    AllWorkloads,
    Anywhere,
    Base,
    Enforcement,
    Internet,
    IpList,
    LabelSelector,
    NamedWorkload,
    Policy,
    Rule,
    Strangers,
    UnlabeledWorkloads,
    Who,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HERE = Where("policy/p.yaml")
KEYS = {"role": ("web", "db"), "env": ("prod", "test")}
LISTS = (
    IpList("corp", AddressSet.of("10.0.0.0/30")),
    IpList("mixed", AddressSet.of("10.0.0.2/31", "203.0.113.0/31", "2001:db8::/127")),
)
SERVICES = (ServiceSet.ports(TCP, 22, 22), ServiceSet.ports(TCP, 20, 30), ServiceSet.icmp(1, 8), ANY_SERVICE)
PROBES = (("tcp", 6, 22), ("tcp", 6, 25), ("tcp", 6, 99), ("icmp", 1, 8 * 256), ("icmpv6", 58, 128 * 256), ("gre", 47, 0))


def random_world(dice: random.Random) -> tuple[Policy, list[Workload]]:
    workloads = []
    for number in range(dice.randint(1, 6)):
        labels = {key: dice.choice(values) for key, values in KEYS.items() if dice.random() < 0.7}
        domain = Domain(dice.choice(("default", "default", "other")))
        addresses = AddressSet.of(f"10.0.0.{number}/32")
        if dice.random() < 0.4:
            addresses |= AddressSet.of(f"52.0.0.{number}/32")
        if dice.random() < 0.4:
            addresses |= AddressSet.of(f"2600:1::{number:x}/128")
        interfaces = [Interface(f"eni-{number}", "vpc-1", addresses, domain, PointId(f"p{number}"))]
        if dice.random() < 0.3:  # a load balancer: it opens connections from addresses at which nobody reaches it
            interfaces.append(Interface("snat", "vpc-1", AddressSet.of("10.0.0.7/32"), domain, source_only=True, shared="pair"))
        workloads.append(Workload(WorkloadId(f"t/{number}"), f"w{number}", Labels.of(labels), tuple(interfaces), "t", ref=f"i-{number}"))
    rules = tuple(random_rule(dice, number) for number in range(dice.randint(1, 6)))
    lines = (
        Enforcement(LabelSelector((("role", ("db",)),)), dice.choice(list(Mode)), Egress.LEAVE, SERVICES[0]),
        Enforcement(None, Mode.FULL, Egress.ENFORCE, NO_SERVICE),
    )
    return Policy(tuple(KEYS.items()), (), rules, lines, ()), workloads


def random_selector(dice: random.Random) -> LabelSelector:
    keys = sorted(dice.sample(sorted(KEYS), dice.randint(1, 2)))
    return LabelSelector(tuple((key, tuple(sorted(dice.sample(KEYS[key], dice.randint(1, 2))))) for key in keys))


def _base(dice: random.Random, *, workloads_only: bool = False) -> Base:
    bases: list[Base] = [
        random_selector(dice),
        random_selector(dice),
        AllWorkloads(),
        UnlabeledWorkloads(),
        NamedWorkload(f"w{dice.randint(0, 7)}"),
    ]
    if not workloads_only:
        bases += [*LISTS, Anywhere(), Strangers(), Internet()]
    return dice.choice(bases)


def _who(dice: random.Random, *, source: bool) -> Who:
    base = _base(dice)
    on_workloads = not isinstance(base, IpList | Anywhere | Strangers | Internet)
    excluded = tuple(_base(dice, workloads_only=on_workloads) for _ in range(dice.choice((0, 0, 1, 2))))
    return Who(base, excluded, outside=source and on_workloads and dice.random() < 0.3)


def random_rule(dice: random.Random, number: int) -> Rule:
    until = dice.choice((None, None, None, datetime(2025, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)))
    scopes = tuple(dice.choice((None, random_selector(dice))) for _ in range(dice.randint(1, 2)))
    return Rule(
        id=f"r#{number}",
        ruleset="r",
        where=HERE,
        action=dice.choice((Action.ALLOW, Action.ALLOW, Action.ALLOW, Action.DENY, Action.NEVER)),
        sources=tuple(_who(dice, source=True) for _ in range(dice.randint(1, 2))),
        destinations=tuple(_who(dice, source=False) for _ in range(dice.randint(1, 2))),
        services=dice.choice(SERVICES),
        scopes=scopes,
        text="a rule",
        until=until,
        accept=frozenset({Accept.INTERNET_AS_ANYWHERE}) if dice.random() < 0.2 else frozenset(),
    )


# --- the reading: one packet, one workload, plain loops ---------------------------------------------------------------


def _has(workload: Workload, base: Base, everyone: list[Workload]) -> bool:
    match base:
        case AllWorkloads():
            return True
        case UnlabeledWorkloads():
            return not workload.labels.pairs
        case NamedWorkload(name):
            return name in (workload.name, workload.ref)
        case LabelSelector(clauses):
            return all(workload.labels.get(key) in values for key, values in clauses)
    raise AssertionError(everyone)


def _sees(workload: Workload, domain: Domain, *, reached: bool = False) -> set[tuple[int, int]]:
    """The addresses that a workload's packets come from, or those at which it is reached."""
    found = set()
    for interface in workload.interfaces:
        if reached and interface.source_only:
            continue
        for family, value, _ in interface.addresses.prefixes():
            public = AddressSet(**{f"v{int(family)}": (value, value + 1)}) <= globally_routable()
            if interface.domain == domain or public:
                found.add((int(family), value))
    return found


def _address_in(base: Base, address: tuple[int, int], domain: Domain, everyone: list[Workload]) -> bool:
    family, value = address
    one = AddressSet(**{f"v{family}": (value, value + 1)})
    taken = any(address in _sees(workload, domain) for workload in everyone)
    match base:
        case IpList(_, addresses):
            return one <= addresses
        case Anywhere():
            return True
        case Strangers():
            return not taken
        case Internet():
            return not taken and one <= globally_routable()
    return any(_has(workload, base, everyone) and address in _sees(workload, domain) for workload in everyone)


def _is_address(base: Base) -> bool:
    return isinstance(base, IpList | Anywhere | Strangers | Internet)


def _workload_end(who: Who, scope: LabelSelector | None, workload: Workload, everyone: list[Workload]) -> bool:
    if _is_address(who.base) or not _has(workload, who.base, everyone):
        return False
    inside = scope is None or who.outside or _has(workload, scope, everyone)
    if not inside:
        return False
    return not any(not _is_address(base) and _has(workload, base, everyone) for base in who.excluded)


def _peer_end(
    who: Who, scope: LabelSelector | None, address: tuple[int, int], place: tuple[Domain, Direction], everyone: list[Workload]
) -> bool:
    domain, direction = place
    reached = direction is Direction.OUT
    if _is_address(who.base):
        return _address_in(who.base, address, domain, everyone) and not any(
            _address_in(base, address, domain, everyone) for base in who.excluded
        )
    return any(_workload_end(who, scope, one, everyone) and address in _sees(one, domain, reached=reached) for one in everyone)


def matches(rule: Rule, workload: Workload, packet: Packet, direction: Direction, everyone: list[Workload]) -> bool:
    if rule.until is not None and rule.until <= NOW:
        return False
    at = packet.protocol * 65536 + packet.detail
    if not any(first <= at < end for first, end in zip(rule.services.points[::2], rule.services.points[1::2], strict=True)):
        return False
    domain = workload.interfaces[0].domain
    address = (int(packet.family), packet.peer)
    for scope in rule.scopes:
        own, peers = (rule.destinations, rule.sources) if direction is Direction.IN else (rule.sources, rule.destinations)
        if any(_workload_end(who, scope, workload, everyone) for who in own) and any(
            _peer_end(who, scope, address, (domain, direction), everyone) for who in peers
        ):
            return True
    return False


def probes(everyone: list[Workload]) -> Iterator[Packet]:
    four = {int.from_bytes(bytes((10, 0, 0, n))) for n in range(8)} | {0x34000000 + n for n in range(7)}
    four |= {0xCB007100, 0xCB007102, 0x08080808, 0}
    six = {0x2600_0001 << 96 | n for n in range(7)} | {0x20010DB8 << 96, 0, 0x2A00 << 112}
    for family, values in ((Family.V4, four), (Family.V6, six)):
        for value in sorted(values):
            for name, protocol, detail in PROBES:
                if (name, family) not in (("icmp", Family.V6), ("icmpv6", Family.V4)):
                    yield Packet(family, value, protocol, detail)


@pytest.mark.parametrize("seed", range(60))
def test_every_packet_is_decided_as_the_language_says(seed: int) -> None:
    dice = random.Random(seed)
    policy, workloads = random_world(dice)
    classes = universe.build(policy, workloads)
    compiler = Compiler(classes, arms.resolve(classes, policy, NOW))
    seen = 0
    for number, group in enumerate(classes.classes):
        for workload in group.workloads:
            domain = workload.interfaces[0].domain
            for direction in Direction:
                allowed = compiler.allowed(number, domain, direction)
                for packet in probes(workloads):
                    by = {
                        action: any(
                            rule.action is action and matches(rule, workload, packet, direction, workloads) for rule in policy.rules
                        )
                        for action in Action
                    }
                    assert (packet in allowed.exact) == (by[Action.ALLOW] and not by[Action.NEVER]), (packet.text(), workload, direction)
                    assert (packet in allowed.never) == by[Action.NEVER]
                    if not group.selective:
                        assert (packet in allowed.closed) == by[Action.DENY]
                    seen += 1
    assert seen


def _said(classes: Universe, terms: tuple[Term, ...], domain: Domain, direction: Direction) -> PacketSet:
    numbers = {group.id: number for number, group in enumerate(classes.classes)}
    of = classes.class_addresses if direction is Direction.IN else classes.class_reached
    return PacketSet.union_all(
        PacketSet.of(
            of(numbers[term.peer.class_id], domain) if isinstance(term.peer, ClassPeer) else term.peer.addresses,
            term.services,
        )
        for term in terms
    )


@pytest.mark.parametrize("seed", range(60))
def test_terms_say_the_same_as_the_exact_set(seed: int) -> None:
    dice = random.Random(1000 + seed)
    policy, workloads = random_world(dice)
    classes = universe.build(policy, workloads)
    compiler = Compiler(classes, arms.resolve(classes, policy, NOW))
    for number in range(len(classes.classes)):
        for domain in (Domain("default"), Domain("other")):
            for direction in Direction:
                allowed = compiler.allowed(number, domain, direction)
                assert _said(classes, allowed.terms, domain, direction) == allowed.exact
                nevers = _said(classes, allowed.never_terms, domain, direction)
                assert nevers == allowed.never
                assert _said(classes, allowed.whole, domain, direction) - nevers == allowed.exact
                assert _said(classes, allowed.closed_terms, domain, direction) == allowed.closed
                assert allowed.exact <= allowed.loosest
                assert not allowed.loosest & allowed.never
                assert all(term.origins for term in allowed.terms)
                assert all(term.peer.addresses for term in allowed.terms if isinstance(term.peer, AddressPeer))


def test_accepting_the_internet_as_anywhere_loosens_that_rule_alone() -> None:
    web = Workload(
        WorkloadId("t/1"),
        "w1",
        Labels.of({"role": "web"}),
        (Interface("e", "v", AddressSet.of("10.0.0.1/32"), point=PointId("p")),),
        target="t",
    )
    ssh = ServiceSet.ports(TCP, 22, 22)
    rule = Rule("r#1", "r", HERE, Action.ALLOW, (Who(Internet()),), (Who(AllWorkloads()),), ssh, (None,), "a rule")
    loose = Rule(
        "r#2", "r", HERE, Action.ALLOW, (Who(Internet()),), (Who(AllWorkloads()),), SERVICES[2], (None,), "a rule",
        accept=frozenset({Accept.INTERNET_AS_ANYWHERE}),
    )  # fmt: skip
    policy = Policy((), (), (rule, loose), (Enforcement(None, Mode.FULL),), ())
    classes = universe.build(policy, [web])
    allowed = Compiler(classes, arms.resolve(classes, policy, NOW)).allowed(0, Domain("default"), Direction.IN)
    assert allowed.loosest - allowed.exact == PacketSet.of(ANYWHERE - classes.internet(Domain("default")), SERVICES[2])


def test_a_new_rule_renames_no_class() -> None:
    workloads = [
        Workload(WorkloadId(f"t/{n}"), f"w{n}", Labels.of({"role": role}), (Interface("e", "v", AddressSet.of(f"10.0.0.{n}/32")),))
        for n, role in enumerate(("web", "web", "db"))
    ]
    first = Rule(
        "r#1", "r", HERE, Action.ALLOW, (Who(LabelSelector((("role", ("web",)),))),), (Who(AllWorkloads()),), SERVICES[0], (None,), ""
    )
    second = Rule(
        "r#2", "r", HERE, Action.ALLOW, (Who(LabelSelector((("role", ("db",)),))),), (Who(AllWorkloads()),), SERVICES[1], (None,), ""
    )
    lines = (Enforcement(None, Mode.FULL),)
    before = universe.build(Policy((), (), (first,), lines, ()), workloads)
    after = universe.build(Policy((), (), (first, second), lines, ()), workloads)
    assert [group.id for group in before.classes] == [group.id for group in after.classes]
    assert len({group.id for group in after.classes}) == 2
