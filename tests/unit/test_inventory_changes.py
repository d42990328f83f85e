"""Who came, went and was relabelled; who is remembered, for how long, and what of them."""

from __future__ import annotations

from cloudsync.adapter import ScopeState
from cloudsync.inventory.changes import Kind, label_changes, with_last_good
from cloudsync.inventory.values import Held, Inventory, Why
from cloudsync.model.address import AddressSet
from cloudsync.model.workload import Domain, Interface, Labels, PointId, Workload, WorkloadId


def machine(ref: str, *addresses: str, scope: str = "s", domain: str = "default", **labels: str) -> Workload:
    interfaces = (Interface(f"eni-{ref}", "vpc-1", AddressSet.of(*addresses), Domain(domain), PointId(f"p/{ref}")),) if addresses else ()
    return Workload(WorkloadId(f"t/{ref}"), ref, Labels.of(labels), interfaces, "t", "1", scope, ref, "tag")


def inventory(*machines: Workload, held: tuple[Held, ...] = (), **scopes: str) -> Inventory:
    states = tuple(ScopeState(name, why) for name, why in (scopes or {"s": ""}).items())
    return Inventory(tuple(sorted(machines, key=lambda one: one.id)), states, held)


WEB, DB = machine("web", "10.0.0.1", role="web"), machine("db", "10.0.0.2", role="db")


def ids(found: Inventory) -> list[str]:
    return [one.ref for one in found.workloads]


def test_every_change_is_told_once_in_order_of_the_ids() -> None:
    before = inventory(WEB, DB, machine("old", "10.0.0.3", role="db"))
    after = inventory(WEB, machine("db", "10.0.0.2", role="web"), machine("new", "10.0.0.4", role="db"))
    assert [(change.kind, change.name) for change in label_changes(before, after)] == [
        (Kind.RELABELLED, "db"),
        (Kind.ADDED, "new"),
        (Kind.REMOVED, "old"),
    ]
    assert label_changes(before, after)[0].text() == "db (t/db) relabelled: role=db -> role=web  [tag]"
    assert label_changes(before, before) == ()
    assert label_changes(None, after) == ()


def test_an_incomplete_scope_keeps_its_last_verified_members_whole() -> None:
    last = inventory(WEB, DB)
    for _ in range(5):
        last = with_last_good(inventory(DB, s="throttled"), last)
        assert last.workloads == (DB, WEB)
        assert last.held == (Held(WEB.id, Why.INCOMPLETE, 0),)


def test_one_incomplete_scope_does_not_hold_the_members_of_another() -> None:
    other = machine("other", "10.1.0.1", scope="r")
    last = with_last_good(inventory(WEB, s="", r=""), inventory(WEB, other, s="", r=""))
    gone = with_last_good(inventory(DB, s="throttled", r=""), last)
    assert ids(gone) == ["db", "web"]


def test_a_workload_goes_only_after_two_complete_runs_missed_it() -> None:
    first = with_last_good(inventory(WEB), inventory(WEB, DB))
    assert ids(first) == ["db", "web"]
    assert first.held == (Held(DB.id, Why.ABSENT, 1),)
    second = with_last_good(inventory(WEB), first)
    assert ids(second) == ["web"]
    assert second.held == ()


def test_an_incomplete_run_between_neither_counts_nor_starts_again() -> None:
    first = with_last_good(inventory(WEB), inventory(WEB, DB))
    between = with_last_good(inventory(WEB, s="cut"), first)
    assert ids(between) == ["db", "web"]
    assert ids(with_last_good(inventory(WEB), between)) == ["web"]


def test_one_that_comes_back_starts_from_nothing() -> None:
    first = with_last_good(inventory(WEB), inventory(WEB, DB))
    back = with_last_good(inventory(WEB, DB), first)
    assert back.held == ()
    assert ids(with_last_good(inventory(WEB), back)) == ["db", "web"]


def test_an_absent_one_is_a_peer_only_because_its_point_is_gone() -> None:
    kept = with_last_good(inventory(WEB), inventory(WEB, DB)).workloads[0]
    assert kept.ref == "db"
    assert [interface.point for interface in kept.interfaces] == [None]
    held = with_last_good(inventory(WEB, s="cut"), inventory(WEB, DB)).workloads[0]
    assert [interface.point for interface in held.interfaces] == ["p/db"]


def test_an_absent_one_goes_at_once_when_its_address_is_somebody_elses() -> None:
    thief = machine("thief", "10.0.0.2", role="web")
    assert ids(with_last_good(inventory(WEB, thief), inventory(WEB, DB))) == ["thief", "web"]
    two = machine("db", "10.0.0.2", "10.0.0.3", role="db")
    assert ids(with_last_good(inventory(WEB, thief), inventory(WEB, two))) == ["thief", "web"]
    elsewhere = machine("far", "10.0.0.2", domain="other")
    assert ids(with_last_good(inventory(WEB, elsewhere), inventory(WEB, DB))) == ["db", "far", "web"]


def test_of_one_not_read_only_the_address_that_somebody_else_has_is_forgotten() -> None:
    two = machine("two", "10.0.0.2", "10.0.0.3", role="db")
    thief = machine("thief", "10.0.0.2", scope="r")
    kept = with_last_good(inventory(thief, s="cut", r=""), inventory(two, s="", r=""))
    assert [interface.addresses.text() for interface in kept.workloads[1].interfaces] == ["10.0.0.3"]
    thief_of_all = machine("thief", "10.0.0.2", "10.0.0.3", scope="r")
    assert ids(with_last_good(inventory(thief_of_all, s="cut", r=""), inventory(two, s="", r=""))) == ["thief"]


def test_what_people_take_out_goes_at_once() -> None:
    static = Workload(WorkloadId("static/bm"), "bm", Labels.of({"role": "db"}), (), scope="static")
    assert ids(with_last_good(inventory(WEB), inventory(WEB, static, s=""))) == ["web"]
    assert ids(with_last_good(inventory(WEB, s="", static=""), inventory(WEB, static, s="", static=""))) == ["web"]
    left = machine("left", "10.9.0.1", scope="dropped")
    assert ids(with_last_good(inventory(WEB), inventory(WEB, left, s="", dropped=""))) == ["web"]


def test_without_a_past_nothing_is_remembered() -> None:
    now = inventory(WEB, s="cut")
    assert with_last_good(now, None) is now


def test_an_empty_complete_reading_empties_nothing_at_first() -> None:
    assert ids(with_last_good(inventory(), inventory(WEB, DB))) == ["db", "web"]
