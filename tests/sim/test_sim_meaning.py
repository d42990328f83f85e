"""Random policies as text, loaded and compiled by the product, against the independent reading: no platform involved.

Everything on the way counts: the YAML, both forms and both voices of a rule, groups, scopes, tiers, exceptions, domains, both families.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest

from cloudsync.compile import arms, universe
from cloudsync.compile.allowed import Compiler, Direction
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.packets import Packet, PacketSet
from cloudsync.model.workload import Domain, Interface, Labels, PointId, Workload, WorkloadId
from cloudsync.policy.load import load_policy
from tests.oracle import probes
from tests.oracle.draw import VOCABULARY, Drawer
from tests.oracle.language import Book
from tests.oracle.reading import Address, Card, Machine, Reading, Service
from tests.oracle.seeds import seeds

POOL = [
    "203.0.113.0/24",
    "!203.0.113.7",
    "2001:db8:10::/48",
    "!2001:db8:10::/64",
    "10.0.1.0/28",
    "!10.0.1.3",
    "10.0.1.2-10.0.1.9",
    "52.0.0.0/8",
    "2600:1::/126",
    "0.0.0.0/0",
]
CASES = 50
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def random_machines(rng: random.Random) -> list[Machine]:
    found: list[Machine] = []
    for number in range(rng.randint(2, 7)):
        labels = {key: rng.choice(values) for key, values in VOCABULARY.items() if rng.random() < 0.75}
        cards = []
        for at in range(rng.choice([1, 1, 1, 2])):
            addresses: set[Address] = {ip_address(f"10.0.{1 + at}.{number}")}
            if rng.random() < 0.3:
                addresses.add(ip_address(f"52.0.{at}.{number}"))
            if rng.random() < 0.5:
                addresses.add(ip_address(f"2600:1::{at}:{number}"))
            cards.append(Card(f"eni-{number}-{at}", frozenset(addresses), rng.choice(["default", "default", "lab"])))
        found.append(Machine(f"m-{number}", f"i-{number}", labels, tuple(cards)))
    return found


def workload(machine: Machine) -> Workload:
    interfaces = tuple(
        Interface(card.ref, "net", AddressSet.of(*card.addresses), Domain(card.domain), PointId(card.ref)) for card in machine.cards
    )
    return Workload(WorkloadId(f"t/{machine.ref}"), machine.name, Labels.of(machine.labels), interfaces, target="t", ref=machine.ref)


def compiled(book: Book, machines: list[Machine]) -> Compiler:
    policy, findings = load_policy([("policy/drawn.yaml", book.yaml().encode())])
    assert policy is not None, "\n".join(str(one) for one in findings) + "\n" + book.yaml()
    world = universe.build(policy, [workload(machine) for machine in machines])
    return Compiler(world, arms.resolve(world, policy, NOW))


def bits_of(packets: PacketSet, address: Address, services: list[Service]) -> int:
    family = Family(address.version)
    found = 0
    for at, service in enumerate(services):
        detail = service.port * 256 + service.code if service.protocol in (1, 58) else service.port
        if service.over(address) and Packet(family, int(address), service.protocol, detail) in packets:
            found |= 1 << at
    return found


@pytest.mark.parametrize("block", range(4))
def test_compiled_meaning_is_the_language(block: int, sim_seed: int | None) -> None:
    compared = 0
    for seed in seeds(sim_seed, range(CASES))[block::4]:
        rng = random.Random(seed)
        machines = random_machines(rng)
        book = Drawer(rng, [one.name for one in machines], POOL).book()
        compiler = compiled(book, machines)
        services = probes.services(book, [])
        reading = Reading(book, machines, services)
        addresses = probes.addresses(book, machines, [])
        peers = rng.sample(addresses, min(len(addresses), 40))
        by_ref = {one.ref: number for number, group in enumerate(compiler.universe.classes) for one in group.workloads}
        for machine in machines:
            for card in machine.cards:
                for direction in Direction:
                    inbound = direction is Direction.IN
                    allowed = compiler.allowed(by_ref[machine.ref], Domain(card.domain), direction)
                    for address in peers:
                        never = reading.tier("never allow", card, machine, address, inbound=inbound)
                        expected = reading.tier("allow", card, machine, address, inbound=inbound) & ~never
                        said = f"seed {seed} {machine.name}/{card.ref} {direction.value} {address}\n{book.yaml()}"
                        assert bits_of(allowed.exact, address, services) == expected, said
                        assert bits_of(allowed.never, address, services) == never, said
                        compared += len(services)
    assert compared > 100_000 or sim_seed is not None
