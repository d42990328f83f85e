"""What a run keeps of an inventory: all of a scope that changed, of one that did not the date alone; counts per scope without a search."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloudsync.adapter import ScopeState
from cloudsync.app import memory
from cloudsync.inventory.merge import STATIC_SCOPE
from cloudsync.inventory.values import Held, Inventory, Why, load
from cloudsync.model.address import AddressSet
from cloudsync.model.workload import DEFAULT_DOMAIN, Interface, Labels, Workload, WorkloadId
from cloudsync.policy.values import Policy
from cloudsync.store.records import Records
from cloudsync.store.state import State
from cloudsync.testing.clock import SimulatedClock

A, B = "aws/one", "aws/two"
POLICY = Policy((), (), (), (), ())


def machine(name: str, scope: str, address: str, target: str = "aws") -> Workload:
    seat = Interface("", "", AddressSet.of(address), DEFAULT_DOMAIN)
    return Workload(WorkloadId(f"{target or 'static'}/{name}"), name, Labels.of({"role": "web"}), (seat,), target, scope=scope)


WEB, APP, PRINTER = machine("web", A, "10.0.0.1"), machine("app", B, "10.0.0.2"), machine("printer", STATIC_SCOPE, "10.9.0.1", "")
FIRST = Inventory((APP, WEB, PRINTER), (ScopeState(A), ScopeState(B)))


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    with State(tmp_path / "state" / "state.db", SimulatedClock()) as state:
        yield state.records


def good(at: float) -> memory.Verified:
    return memory.Verified(frozenset({"aws"}), {A: "aws", B: "aws"}, f"run-{at:g}", at)


def stored(records: Records) -> dict[tuple[str, str], tuple[list[str], float]]:
    found = {}
    for one in records.verified():
        part = load(json.dumps(one.document))
        found[one.target, one.scope] = ([workload.name for workload in part.workloads], one.at)
    return found


def test_what_did_not_change_gets_a_new_date_and_stays_as_it_is(records: Records) -> None:
    memory.remember(records, FIRST, good(1.0))
    known = memory.recall(records, ())
    assert known is not None
    assert [one.name for one in known.workloads] == ["printer"], "targets that the settings no longer name are not remembered"
    everything = {("aws", A): (["web"], 1.0), ("aws", B): (["app"], 1.0), ("", STATIC_SCOPE): (["printer"], 1.0)}
    assert stored(records) == everything
    moved = replace(APP, interfaces=machine("app", B, "10.0.0.7").interfaces)
    memory.remember(records, replace(FIRST, workloads=(moved, WEB, PRINTER)), good(2.0), FIRST)
    assert stored(records) == {key: (names, 2.0) for key, (names, _) in everything.items()}
    again = {one.scope: load(json.dumps(one.document)).workloads for one in records.verified()}
    assert again == {A: (WEB,), B: (moved,), STATIC_SCOPE: (PRINTER,)}


def test_what_is_thought_to_be_stored_and_is_not_is_written(records: Records) -> None:
    memory.remember(records, FIRST, good(3.0), FIRST)
    assert stored(records) == {("aws", A): (["web"], 3.0), ("aws", B): (["app"], 3.0), ("", STATIC_SCOPE): (["printer"], 3.0)}


@pytest.mark.parametrize(
    "now",
    [
        replace(FIRST, held=(Held(WEB.id, Why.ABSENT, 1),)),
        replace(FIRST, workloads=(WEB, PRINTER)),
        replace(FIRST, workloads=(APP, replace(WEB, labels=Labels()), PRINTER)),
        replace(FIRST, workloads=(APP, WEB)),
    ],
)
def test_every_difference_is_kept(records: Records, now: Inventory) -> None:
    memory.remember(records, FIRST, good(1.0))
    memory.remember(records, now, good(2.0), FIRST)
    kept = [load(json.dumps(one.document)) for one in records.verified()]
    assert sorted((one for part in kept for one in part.workloads), key=lambda one: one.id) == sorted(now.workloads, key=lambda one: one.id)
    assert tuple(one for part in kept for one in part.held) == now.held


def test_a_scope_that_was_not_read_whole_keeps_what_was_known(records: Records) -> None:
    memory.remember(records, FIRST, good(1.0))
    half = replace(FIRST, workloads=(WEB, PRINTER), scopes=(ScopeState(A), ScopeState(B, "no right")))
    memory.remember(records, half, good(2.0), FIRST)
    assert stored(records)["aws", B] == (["app"], 1.0)


def test_who_is_gone_is_counted_in_its_own_scope_and_not_twice() -> None:
    gone = machine("old", B, "10.0.0.3")
    known = replace(FIRST, workloads=(APP, gone, WEB, PRINTER), held=(Held(gone.id, Why.ABSENT, 1),))
    now = Inventory((WEB, PRINTER), (ScopeState(A), ScopeState(B), ScopeState("aws/new")))
    found = {one.scope: one for one in memory.before(now, known, POLICY, {A: "aws", B: "aws"}).scopes}
    assert {name: (one.verified, one.now, one.gone) for name, one in found.items()} == {
        A: (1, 1, ()),
        B: (1, 0, (APP.id,)),
        "aws/new": (None, 0, ()),
    }
