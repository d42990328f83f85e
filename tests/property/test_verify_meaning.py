"""The checker's own sets and its own reading of the policy language, against plain loops over packets."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import ip_address

import pytest

from cloudsync.compile import universe
from cloudsync.compile.allowed import Direction
from cloudsync.model.address import Family, address_text
from cloudsync.model.codec import Pool as Numbers
from cloudsync.model.codec import packets_json
from cloudsync.model.packets import Packet, PacketSet
from cloudsync.plan import evidence
from cloudsync.policy.values import Action
from cloudsync.verify.document import Pool
from cloudsync.verify.policy import Meaning, read
from cloudsync.verify.space import Packets, Space, UnreadableError, network
from tests.property.test_compile_meaning import NOW, matches, probes, random_world

BITS = 1 << 16


def told(space: Space, packets: list[Packet]) -> None:
    """Tell a space of packets, so that it can be asked about each."""
    for packet in packets:
        value = address_text(packet.family, packet.peer)
        space.addresses((network(value),))
        at = packet.protocol * BITS + packet.detail
        space.services(((at, at),))


def holds(space: Space, packets: Packets, packet: Packet) -> bool:
    at = packet.protocol * BITS + packet.detail
    return bool(packets & space.packets((network(address_text(packet.family, packet.peer)),), ((at, at),)))


@pytest.mark.parametrize("seed", range(40))
def test_every_packet_is_decided_as_the_language_says(seed: int) -> None:
    dice = random.Random(5000 + seed)
    policy, workloads = random_world(dice)
    allows = [rule for rule in policy.rules if rule.action is Action.ALLOW]
    if seed % 2 and allows:  # random rules seldom meet: one that allows is forbidden again, to some of its sources
        again = dice.choice(allows)
        policy = replace(policy, rules=(*policy.rules, replace(again, id="r#99", action=Action.NEVER, sources=again.sources[:1])))
    classes = universe.build(policy, workloads)
    raw = evidence.document(evidence.Evidence(policy, classes, frozenset(), NOW.timestamp(), ()), Numbers())
    book, space, listed = read(raw), Space(), list(probes(workloads))
    book.tell(space)
    told(space, listed)
    space.cut()
    meaning = Meaning(book, space)
    machines = {machine.id: machine for machine in book.machines}
    for workload in workloads:
        machine, domain = machines[workload.id], workload.interfaces[0].domain
        for direction in Direction:
            ruling = meaning.ruling(machine, domain, inbound=direction is Direction.IN)
            for packet in listed:
                by = {
                    action: any(rule.action is action and matches(rule, workload, packet, direction, workloads) for rule in policy.rules)
                    for action in Action
                }
                allowed = by[Action.ALLOW] and not by[Action.NEVER]
                assert holds(space, ruling.exact, packet) == allowed, (packet.text(), workload, direction)
                assert holds(space, ruling.never, packet) == by[Action.NEVER]
                assert not allowed or holds(space, ruling.loosest, packet)
                if not book.line(machine).services:
                    assert holds(space, ruling.closed, packet) == by[Action.DENY]


def random_set(dice: random.Random) -> PacketSet:
    boxes = []
    for _ in range(dice.randint(0, 4)):
        family = dice.choice(list(Family))
        first, service = dice.randrange(12), dice.choice((0, 1 * BITS + 8 * 256, 6 * BITS + 20, 17 * BITS + 53, 58 * BITS, 255 * BITS))
        peers = (first, first + dice.randint(1, 8)) if dice.random() < 0.8 else (0, 1 << family.width)
        spans = (service, service + dice.choice((1, 4, BITS - service % BITS)), peers)
        boxes.append(PacketSet(v4=(spans,)) if family is Family.V4 else PacketSet(v6=(spans,)))
    return PacketSet.union_all(boxes)


@pytest.mark.parametrize("seed", range(60))
def test_sets_are_exact(seed: int) -> None:
    """Union, intersection and difference of sets as they stand in plan files, packet by packet; and a witness is a member."""
    dice = random.Random(seed)
    one, two = random_set(dice), random_set(dice)
    listed = [
        Packet(family, peer, protocol, detail)
        for family in Family
        for peer in range(22)
        for protocol, detail in ((0, 0), (1, 8 * 256), (6, 20), (6, 22), (17, 53), (17, 60), (58, 5), (255, 9))
    ]
    pool, space = Pool([packets_json(one), packets_json(two)]), Space()
    for at in (0, 1):
        pool.tell(space, at)
    told(space, listed)
    space.cut()
    left, right = pool.packets(space, 0), pool.packets(space, 1)
    for packet in listed:
        if (packet.family, packet.protocol) in ((Family.V4, 58), (Family.V6, 1)):
            continue  # there are no such packets
        for mine, theirs in ((left | right, one | two), (left & right, one & two), (left & ~right, one - two)):
            assert holds(space, mine, packet) == (packet in theirs), packet.text()
    rest = left & ~right
    if rest:
        service, address = space.witness(rest)
        text = space.address_text(address)
        family = Family(ip_address(text).version)
        assert any(
            packet in one - two for packet in listed if (packet.family, packet.peer) == (family, int(ip_address(text)))
        ) or space.service_text(service)


@pytest.mark.parametrize(
    "raw",
    [
        [[4, ["6/80-80"], ["10.0.0.2-10.0.0.1"]]],
        [[4, ["6/80-70"], ["10.0.0.1"]]],
        [[4, ["256/0-0"], ["10.0.0.1"]]],
        [[4, ["6/80-80"], ["2001:db8::1"]]],
        [[5, ["6/80-80"], ["10.0.0.1"]]],
        [[4, ["6/80-80"], []]],
        [[4, ["6/80-80"], ["10.0.0.1"]], [4, ["6/80-80"], ["10.0.0.2"]]],
        [[4, ["6/80-80"], ["10.0.0.2", "10.0.0.1"]]],
    ],
)
def test_what_is_no_set_in_its_one_spelling_is_refused(raw: object) -> None:
    with pytest.raises(UnreadableError):
        Pool([raw]).of(0)
