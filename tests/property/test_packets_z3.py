"""PacketSet against z3: the same random first-match rule list as a solver formula and as set algebra must agree on every packet."""

from __future__ import annotations

import random
from typing import Any

import pytest
import z3

from cloudsync.model.address import AddressSet, Family
from cloudsync.model.intervals import ranges
from cloudsync.model.packets import ALL_PACKETS, NO_PACKETS, PacketSet
from cloudsync.model.service import BLOCK, ServiceSet, possible

PEER, SERVICE = {Family.V4: z3.BitVec("p4", 33), Family.V6: z3.BitVec("p6", 129)}, z3.BitVec("s", 25)


def random_addresses(rng: random.Random) -> AddressSet:
    found = AddressSet()
    for _ in range(rng.randint(1, 3)):
        if rng.random() < 0.6:
            length = rng.choice([0, 8, 12, 16, 23, 24, 25, 30, 32])
            base = rng.choice([0x0A000000, 0x0A010000, 0xC0A80000, rng.getrandbits(32)]) >> (32 - length) << (32 - length)
            found |= AddressSet(v4=(base, base + (1 << (32 - length))))
        else:
            length = rng.choice([0, 3, 32, 48, 64, 127, 128])
            base = rng.choice([0x20010DB8 << 96, rng.getrandbits(128)]) >> (128 - length) << (128 - length)
            found |= AddressSet(v6=(base, base + (1 << (128 - length))))
    return found


def random_services(rng: random.Random) -> ServiceSet:
    found = ServiceSet()
    for _ in range(rng.randint(1, 3)):
        match rng.randint(0, 4):
            case 0:
                found |= ServiceSet.protocol(rng.choice([0, 1, 6, 17, 47, 58, 132, 255]))
            case 1:
                found |= ServiceSet.icmp(rng.choice([1, 58]), rng.randint(0, 255), rng.choice([None, 0, 255]))
            case _:
                first = rng.choice([0, 22, 80, 443, 1024, 65535, rng.randint(0, 65535)])
                found |= ServiceSet.ports(rng.choice([6, 17]), first, min(65535, first + rng.choice([0, 0, 1, 100, 65535])))
    return found


def within(variable: Any, points: tuple[int, ...]) -> Any:
    return z3.Or([z3.And(z3.UGE(variable, first), z3.ULT(variable, end)) for first, end in ranges(points)])


def formula(packets: PacketSet, family: Family) -> Any:
    return z3.Or([z3.And(within(SERVICE, (first, end)), within(PEER[family], points)) for first, end, points in packets.bands(family)])


def universe(family: Family) -> Any:
    return z3.And(z3.ULT(PEER[family], 1 << family.width), z3.ULT(SERVICE, 256 * BLOCK), within(SERVICE, possible(family).points))


def differs(left: Any, right: Any, family: Family) -> str:
    solver = z3.Solver()
    solver.set("timeout", 20_000)
    solver.add(universe(family), left != right)
    return str(solver.check())


@pytest.mark.parametrize("seed", range(12))
def test_first_match_lists_agree_with_the_solver(seed: int) -> None:
    rng = random.Random(seed)
    rules = [(rng.random() < 0.6, random_addresses(rng), random_services(rng)) for _ in range(rng.randint(3, 14))]
    allowed, seen = NO_PACKETS, NO_PACKETS
    for allow, addresses, services in rules:
        box = PacketSet.of(addresses, services)
        allowed |= (box - seen) if allow else NO_PACKETS
        seen |= box
    for family in Family:
        verdict: Any = z3.BoolVal(val=False)
        for allow, addresses, services in reversed(rules):
            hit = z3.And(within(PEER[family], addresses.family(family)), within(SERVICE, services.points))
            verdict = z3.If(hit, z3.BoolVal(allow), verdict)
        assert differs(formula(allowed, family), verdict, family) == "unsat", f"seed {seed} {family}"


@pytest.mark.parametrize("seed", range(6))
def test_emptiness_subset_and_witness_agree_with_the_solver(seed: int) -> None:
    rng = random.Random(1000 + seed)
    a = PacketSet.union_all(PacketSet.of(random_addresses(rng), random_services(rng)) for _ in range(4))
    b = PacketSet.union_all(PacketSet.of(random_addresses(rng), random_services(rng)) for _ in range(4))
    for left, right in ((a, b), (a & b, b), (a, a | b), (ALL_PACKETS, a)):
        for family in Family:
            solver = z3.Solver()
            solver.add(universe(family), formula(left, family), z3.Not(formula(right, family)))
            rest = (left - right).bands(family)
            assert (str(solver.check()) == "sat") == bool(rest)
            if rest:
                first, _end, points = rest[0]
                solver.add(PEER[family] == points[0], first == SERVICE)
                assert str(solver.check()) == "sat", "the lowest packet of the difference is a witness for the solver too"


def test_the_solver_would_notice_one_wrong_packet() -> None:
    """Negative control: a set that differs in a single packet is told apart."""
    ssh = PacketSet.of(AddressSet.of("10.0.0.0/8"), ServiceSet.ports(6, 22, 22))
    one_less = PacketSet.of(AddressSet.of("10.0.0.0/8") - AddressSet.of("10.200.0.1"), ServiceSet.ports(6, 22, 22))
    assert differs(formula(ssh, Family.V4), formula(one_less, Family.V4), Family.V4) == "sat"
