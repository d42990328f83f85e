"""Classes found in arrays are those found one workload after the other, and ranges read in columns are what workloads say themselves."""

from __future__ import annotations

import gc
import random
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from cloudsync.compile import arms, columns, grouping, survey, tables, universe
from cloudsync.compile.allowed import Compiler
from cloudsync.compile.pause import uncollected
from cloudsync.compile.universe import Universe
from cloudsync.model.address import AddressSet, Family, prefix_text
from cloudsync.model.intervals import ranges
from cloudsync.model.workload import Domain, Interface, Labels, Workload, WorkloadId
from cloudsync.policy.values import Policy
from tests.property.test_compile_meaning import NOW, random_world

HERE, THERE = Domain("default"), Domain("other")
EDGES = tuple(int(IPv4Address(one)) for one in ("10.0.0.0", "11.0.0.0", "100.64.0.0", "128.0.0.0", "192.0.0.9", "192.0.0.10", "224.0.0.0"))
"""Of these and the address before, one is globally routable, the other is not; or both are, and their neighbours are not."""


def _said(found: Universe) -> tuple[object, ...]:
    return found.classes, dict(found.postings), found.names, found.unlabeled, found.findings


def _disguised(dice: random.Random, workloads: Sequence[Workload]) -> list[Workload]:
    """Return the workloads in another order; some with labels of their own that are equal, some with one that no rule mentions."""
    found: list[Workload] = []
    for one in workloads:
        pairs = [(key, "".join(list(value))) for key, value in one.labels.pairs]
        more = [("zone", dice.choice("ab"))] if dice.random() < 0.3 else []
        found.append(replace(one, labels=Labels(tuple(sorted(pairs + more)))) if dice.random() < 0.7 else one)
    dice.shuffle(found)
    return found


@pytest.mark.parametrize("seed", range(80))
def test_classes_found_in_arrays_are_those_found_one_by_one(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numpy")
    dice = random.Random(11_000 + seed)
    policy, workloads = random_world(dice)
    workloads = _disguised(dice, [replace(one, id=WorkloadId(f"{one.id}-{n}")) for one in workloads for n in range(3)])
    released = frozenset(one.id for one in workloads if seed % 2 and dice.random() < 0.3)
    plain = universe.build(policy, workloads, released)
    monkeypatch.setattr(grouping, "MANY", 0)
    quick = universe.build(policy, workloads, released)
    assert _said(quick) == _said(plain)
    wanted = {one.id: number for number, group in enumerate(quick.classes) for one in group.workloads}
    numbers = survey.numbers(workloads, [group.workloads for group in plain.classes]).tolist()
    assert numbers == [wanted[one.id] for one in workloads]
    assert quick.arrived.numbers is not None
    assert quick.arrived.numbers.tolist() == numbers
    assert plain.arrived.numbers is None
    assert all(plain.postings.many(pair) == bits.bit_count() for pair, bits in quick.postings.items())


def test_an_inventory_of_nobody_has_no_class(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numpy")
    monkeypatch.setattr(grouping, "MANY", 0)
    for seed in range(20):
        assert universe.build(random_world(random.Random(seed))[0], []).classes == ()


def test_equal_labels_are_one_value_whatever_they_are_made_from() -> None:
    said = {"role": "web", "env": "prod"}
    one = Labels.of(said)
    assert Labels.of({key: "".join(list(value)) for key, value in reversed(said.items())}) is one
    assert one == Labels((("env", "prod"), ("role", "web")))
    assert Labels.of({"role": "web"}) != one


def _machine(dice: random.Random, number: int) -> Workload:
    """Return a workload with one interface or several, here or elsewhere, also with blocks that are globally routable in part."""
    seats: list[Interface] = []
    for at in range(dice.choice((0, 1, 1, 1, 1, 2))):
        near = [AddressSet((edge - dice.randrange(3), edge + dice.choice((1, 2)))) for edge in dice.sample(EDGES, dice.randrange(3))]
        public = AddressSet.of(*(f"8.8.{number}.{at}/32" for _ in range(dice.randrange(2))))
        six = AddressSet.of(*(f"2600:1::{number:x}/128" for _ in range(dice.choice((0, 0, 0, 1)))))
        held = AddressSet.union_all([AddressSet.of(f"10.0.{number}.{8 * at}/32"), public, six, *near])
        seats.append(Interface(f"e{at}", "net", held, dice.choice((HERE, HERE, THERE)), source_only=dice.random() < 0.2))
    return Workload(WorkloadId(f"t/{number:02}"), f"w{number}", Labels(), tuple(seats), "t")


@pytest.mark.parametrize("seed", range(60))
def test_ranges_read_in_columns_are_those_of_each_workload(seed: int) -> None:
    pytest.importorskip("numpy")
    dice = random.Random(12_000 + seed)
    machines = [_machine(dice, number) for number in range(dice.randrange(20))]
    for domain in (HERE, THERE):
        for reached in (False, True):
            found = survey.ranges(machines, domain, reached=reached)
            got = sorted(zip(found.owners.tolist(), found.firsts.tolist(), found.ends.tolist(), strict=True))
            said = [one.reached(domain) if reached else one.addresses(domain) for one in machines]
            assert got == [(row, *pair) for row, addresses in enumerate(said) for pair in ranges(addresses.v4)]
            every = [seat for one in machines for seat in one.interfaces]
            assert found.apart == any(seat.source_only for seat in every)
            assert found.six == any(seat.addresses.v6 for seat in every)


def _made(policy: Policy, workloads: Sequence[Workload], domain: Domain) -> tables.Tables:
    classes = universe.build(policy, workloads)
    return tables.tables(Compiler(classes, arms.resolve(classes, policy, NOW)), domain)


@pytest.mark.parametrize("seed", range(20))
def test_without_numpy_many_workloads_are_compiled_all_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, workloads = random_world(random.Random(13_000 + seed))
    plain = _made(policy, workloads, HERE)
    for module in (grouping, tables, universe):
        monkeypatch.setattr(module, "MANY", 0)
    monkeypatch.setattr(columns, "available", lambda: False)
    for name in ("of", "lists", "own"):
        monkeypatch.setattr(columns.Columns, name, None)
    assert _made(policy, workloads, HERE) == plain


def test_blocks_written_at_once_are_written_as_one_by_one() -> None:
    np = pytest.importorskip("numpy")
    dice = random.Random(4)
    pairs = [(dice.getrandbits(32) >> bits << bits, bits) for bits in range(33) for _ in range(20)]
    wanted = [prefix_text(Family.V4, value, 32 - bits) for value, bits in pairs]
    values, wide = np.array(pairs, dtype=np.int64).T
    assert len(pairs) >= columns.FEW
    assert columns._texts(values, wide).tolist() == wanted
    few = slice(0, columns.FEW - 1)
    assert columns._texts(values[few], wide[few]).tolist() == wanted[few]


def _stopped_half_way() -> None:
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled()
        raise ValueError("mine")


@pytest.mark.parametrize("on", [True, False])
def test_the_collector_of_cycles_is_afterwards_as_it_was(on: bool) -> None:
    was = gc.isenabled()
    (gc.enable if on else gc.disable)()
    try:
        with pytest.raises(ValueError, match="mine"):
            _stopped_half_way()
        assert gc.isenabled() == on
    finally:
        (gc.enable if was else gc.disable)()


def test_many_values_made_meanwhile_are_not_looked_through_at_once() -> None:
    seen: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            seen.append(info["collected"])

    was = gc.isenabled()
    gc.enable()
    gc.callbacks.append(note)
    try:
        with uncollected():
            kept = [[number] for number in range(20_000)]
            seen.clear()
        assert gc.get_count()[0] < 1000
        assert not seen
    finally:
        gc.callbacks.remove(note)
        (gc.enable if was else gc.disable)()
    assert len(kept) == 20_000
