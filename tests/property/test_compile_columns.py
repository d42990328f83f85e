"""Lists made in arrays are the lists made one by one, byte for byte, and both are what Python's own library says."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, collapse_addresses, summarize_address_range

import numpy as np
import pytest

from cloudsync.compile import arms, tables, universe
from cloudsync.compile.allowed import Compiler
from cloudsync.compile.columns import Columns, members
from cloudsync.model.address import AddressSet
from cloudsync.model.errors import RefusedError
from cloudsync.model.intervals import ranges
from cloudsync.model.workload import Domain, Workload
from tests.property.test_compile_meaning import NOW, random_world

pytest.importorskip("numpy", reason="the arrays are numpy's")


def _ranges(rng: random.Random) -> tuple[tuple[int, int], ...]:
    """Return a few ranges, most of them one address, near others, at the edges of what there is, or very wide."""
    found: list[tuple[int, int]] = []
    for _ in range(rng.randrange(4)):
        first = rng.choice((0, 167772160, 167772160, 4294967200)) + rng.randrange(96)
        wide = rng.choice((1, 1, 1, 1, 2, 3, 7, 64, 1 << 31, 1 << 32))
        found.append((first, min(first + wide, 1 << 32)))
    return tuple(found)


def _flips(ranges: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    return AddressSet.of(*(net for a, b in ranges for net in summarize_address_range(IPv4Address(a), IPv4Address(b - 1)))).v4


@pytest.mark.parametrize("seed", range(40))
def test_lists_in_arrays_are_what_ipaddress_collapses(seed: int) -> None:
    rng = random.Random(seed)
    classes = [[_flips(_ranges(rng)) for _ in range(rng.randrange(5))] for _ in range(rng.randrange(1, 12))]
    columns = _columns(classes)

    def collapsed(numbers: list[int]) -> tuple[str, ...]:
        each = [AddressSet(v4=points).cidrs() for number in numbers for points in classes[number]]
        nets = [net for text in each for net in AddressSet.of(*text).prefixes()]
        whole = collapse_addresses(net for _, value, length in nets for net in _network(value, length))
        return tuple(map(str, whole))

    every = list(range(len(classes)))
    assert list(columns.own(every)) == [collapsed([number]) for number in every]
    sets = [sorted(rng.sample(every, rng.randrange(1, len(every) + 1))) for _ in range(6)]
    assert list(columns.lists([sum(1 << one for one in numbers) for numbers in sets])) == [collapsed(numbers) for numbers in sets]


def _network(value: int, length: int) -> list[IPv4Network]:
    last = value + (1 << (32 - length)) - 1
    return list(summarize_address_range(IPv4Address(value), IPv4Address(last)))


def _columns(classes: list[list[tuple[int, ...]]]) -> Columns:
    rows = [(first, end, number) for number, group in enumerate(classes) for points in group for first, end in ranges(points)]
    random.Random(len(rows)).shuffle(rows)
    first, end, owner = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return Columns.of(first, end, owner, len(classes))


def test_work_in_small_pieces_is_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    classes = [[_flips(_ranges(rng)) for _ in range(4)] for _ in range(30)]
    sets = [rng.getrandbits(30) | 1 for _ in range(40)]
    columns = _columns(classes)
    whole, own = list(columns.lists(sets)), list(columns.own(range(30)))
    monkeypatch.setattr("cloudsync.compile.columns.AT_ONCE", 8)
    assert list(columns.lists(sets)) == whole
    assert list(columns.own(range(30))) == own


def test_members_of_a_large_set_are_its_bits() -> None:
    rng = random.Random(1)
    for wide in (1, 7, 8, 9, 4095, 4097, 70_000):
        wanted = sorted({rng.randrange(wide) for _ in range(50)} | {wide - 1})
        bits = sum(1 << one for one in wanted)
        assert members(bits).tolist() == wanted
        assert list(universe.members_of(bits)) == wanted


@pytest.mark.parametrize("seed", range(60))
def test_tables_from_arrays_are_the_tables_made_one_by_one(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, workloads = random_world(random.Random(8000 + seed))

    def made(domain: Domain) -> tables.Tables:
        classes = universe.build(policy, workloads)
        return tables.tables(Compiler(classes, arms.resolve(classes, policy, NOW)), domain)

    for domain in (Domain("default"), Domain("other")):
        plain = made(domain)
        with monkeypatch.context() as patch:
            patch.setattr(tables, "MANY", 0)
            patch.setattr(universe, "MANY", 0)
            quick = made(domain)
        assert quick == plain


def test_the_order_of_an_inventory_and_shared_labels_mean_nothing() -> None:
    for seed in range(20):
        policy, workloads = random_world(random.Random(9000 + seed))
        wanted = universe.build(policy, workloads)
        shuffled: list[Workload] = [replace(one, labels=replace(one.labels)) for one in workloads]
        random.Random(seed).shuffle(shuffled)
        found = universe.build(policy, shuffled)
        assert (found.classes, found.postings, found.names, found.unlabeled) == (
            wanted.classes,
            wanted.postings,
            wanted.names,
            wanted.unlabeled,
        )
        assert found.findings == wanted.findings


def test_two_classes_with_one_id_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, workloads = next(
        world for world in (random_world(random.Random(seed)) for seed in range(50)) if len(universe.build(*world).classes) > 1
    )
    monkeypatch.setattr(universe, "class_id", lambda *_args, **_named: "0123456789")
    with pytest.raises(RefusedError, match="CLASS-ID"):
        universe.build(policy, workloads)
