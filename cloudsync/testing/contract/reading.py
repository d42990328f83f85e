"""Reading: every page, nothing believed that was cut short, nobody else's account, and no write on the way."""

from __future__ import annotations

import re

import pytest

from cloudsync.adapter import AdapterFactory, Snapshot, Table
from cloudsync.model.codec import canonical
from cloudsync.model.errors import AdapterError
from cloudsync.model.mode import TargetMode
from cloudsync.testing.contract.pipeline import OWNER, Runs
from cloudsync.testing.contract.stage import Hole, Stage
from cloudsync.testing.contract.world import API, FIRST, POSTGRES, SECOND, World, policy, told

CROWD = 9
"""Machines more than the usual, so that lists have several pages."""


class Reading:
    """Cases about `identify`, `read`, `refresh`, `doctor`."""

    def test_discovery_tells_who_is_there(self, stage: Stage) -> None:
        """Every machine with its name, tags, addresses and a point to enforce at; ordered; each scope accounted for."""
        world, adapter = World.build(stage), Runs(stage).open()
        snapshot = adapter.read()
        found = {one.name: one for one in snapshot.discovery.workloads}
        points = {point.id for point in adapter.points(snapshot.table)}
        assert snapshot.complete, f"not read whole: {[scope.why for scope in snapshot.scopes if scope.why]}"
        assert snapshot.scopes, "no scope is accounted for"
        assert [one.ref for one in snapshot.discovery.workloads] == sorted(one.ref for one in snapshot.discovery.workloads), "not ordered"
        assert len({one.ref for one in snapshot.discovery.workloads}) == len(snapshot.discovery.workloads), "a ref comes twice"
        for name, addresses in world.addresses.items():
            assert name in found, f"{name} is not discovered; there are {sorted(found)}"
            one = found[name]
            assert ("role", world.roles[name]) in one.tags, f"{name} has tags {one.tags}"
            own = {text for interface in one.interfaces for text in interface.addresses.cidrs()}
            assert {_host(address) for address in addresses} <= own, f"{name} has {sorted(own)}, not {addresses}"
            assert {interface.point for interface in one.interfaces if interface.point} <= points, f"{name} names a point that is none"
            assert any(interface.point for interface in one.interfaces), f"{name} has no point to enforce at"
            assert one.scope in {scope.scope for scope in snapshot.scopes}, f"{name} is of scope {one.scope}, which is not accounted for"

    def test_pages_are_followed_to_the_end(self, stage: Stage) -> None:
        """Small pages give the same reading as large ones, with more calls."""
        if not stage.facts.pages:
            pytest.skip("the platform does not page")
        world = World.build(stage)
        for number in range(CROWD):
            world.add(f"more{number}", "app")
            stage.add_foreign(f"extra{number}", [f"more{number}"], [Hole("192.0.2.0/24", 6, 1000 + number)])
        adapter = Runs(stage).open()
        before = stage.reads()
        whole = adapter.read()
        between = stage.reads()
        stage.page_of(2)
        paged = adapter.read()
        after = stage.reads()
        assert paged.complete, f"small pages are not read whole: {[scope.why for scope in paged.scopes if scope.why]}"
        names = {one.name for one in paged.discovery.workloads}
        missing = sorted(set(world.addresses) - names)
        assert not missing, f"on later pages, and not read: {missing}"
        assert paged.table == whole.table, "the table depends on the size of the pages"
        assert paged.digest == whole.digest, "the digest depends on the size of the pages"
        assert after - between > between - before, "the stage's `page_of` makes no more pages: this case shows nothing"

    def test_a_read_that_fails_anywhere_is_not_taken_for_whole(self, stage: Stage) -> None:
        """Whatever call of a read is refused: an AdapterError, or scopes that say why they are incomplete and hold nothing."""
        world, runs = World.build(stage), Runs(stage)
        runs.converge(*FIRST)
        for nth, snapshot in _partial(stage, runs):
            if snapshot is None or snapshot.complete:
                continue
            why = [scope.why for scope in snapshot.scopes if scope.why]
            scopes = {scope.scope for scope in snapshot.scopes if scope.why}
            kept = [one.name for one in snapshot.discovery.workloads if one.scope in scopes]
            assert all(why), f"read call {nth} is refused and nobody says why"
            assert not kept, f"read call {nth} is refused ({why[0]}), yet its scope holds {kept}"
        for nth, snapshot in _partial(stage, runs):
            if snapshot is None or not snapshot.complete:
                continue
            names = {one.name for one in snapshot.discovery.workloads}
            assert names >= set(world.addresses), f"read call {nth} is refused and the reading is called whole without {names}"
            whole = runs.open().read()
            assert _same_but_numbers(snapshot, whole), (
                f"read call {nth} is refused, the reading is called whole, and differs from a whole one"
            )

    def test_a_partial_read_removes_nothing(self, stage: Stage) -> None:
        """Nothing that was open is shut, nothing of anybody is removed because of a reading that is not whole."""
        world, runs = World.build(stage), Runs(stage)
        runs.converge(*FIRST)
        before, foreign = world.reach(), stage.foreign()
        for nth, snapshot in _partial(stage, runs):
            if snapshot is None or snapshot.complete:
                continue
            decided = runs.decide_from(policy(SECOND), runs.open(), snapshot)
            removed = [step.title for step in decided.steps if step.removes or "delete" in step.action.lower()]
            assert not removed, f"read call {nth} is refused, and the plan wants to remove: {removed[:3]}"
            runs.carry_out(decided)
            shut = before - world.reach()
            assert not shut, f"read call {nth} is refused, and what came of it shuts {told(shut)}"
            assert stage.foreign() == foreign, f"read call {nth} is refused, and objects of others were changed"

    def test_a_refresh_that_fails_raises(self, stage: Stage) -> None:
        """`refresh` either shows what is there or raises AdapterError: it never hands back what it was given."""
        World.build(stage)
        runs = Runs(stage)
        runs.converge(*FIRST)
        decided = runs.decide(policy(SECOND))
        stage.fail_reads(1)
        try:
            decided.adapter.refresh(decided.snapshot.table, tuple(step for step in decided.steps if step.mark), {})
        except AdapterError:
            return
        finally:
            stage.heal()
        raise AssertionError("reading is refused, and refresh did not raise AdapterError")

    def test_refresh_shows_what_people_did_meanwhile(self, stage: Stage) -> None:
        """Reality that moved is seen before a write: the table differs from the one the plan was made from. Unmoved reality is equal."""
        World.build(stage)
        runs = Runs(stage)
        runs.converge(*FIRST)
        decided = runs.decide(policy(SECOND))
        steps = tuple(step for step in decided.steps if step.mark)
        same: Table = decided.adapter.refresh(decided.snapshot.table, steps, {})
        assert same == decided.snapshot.table, "nothing moved, and refresh shows another table"
        stage.widen("web1", Hole("198.51.100.0/24", *API))
        stage.widen("db1", Hole("198.51.100.0/24", *POSTGRES))
        moved = decided.adapter.refresh(decided.snapshot.table, steps, {})
        assert moved != decided.snapshot.table, "somebody changed what the plan touches, and refresh does not show it"

    def test_the_digest_moves_with_what_is_read_and_with_nothing_else(self, stage: Stage) -> None:
        """Two readings of an unmoved platform have one digest, also from another process; an edit gives another."""
        World.build(stage)
        runs = Runs(stage)
        runs.converge(*FIRST)
        first, second = runs.open().read(), runs.open().read()
        assert first.digest == second.digest, "nothing moved, and the digest is another"
        assert first.table == second.table, "nothing moved, and the table is another"
        assert canonical(runs.open().dump(first.table)) == canonical(runs.open().dump(second.table)), "dump is not deterministic"
        stage.widen("web1", Hole("198.51.100.0/24", *API))
        assert runs.open().read().digest != first.digest, "a rule was changed by hand, and the digest is the same"

    def test_credentials_of_another_account_are_told(self, stage: Stage) -> None:
        """`identify` says who answers, `expected_account` what the settings say: settings of another account never match."""
        World.build(stage)
        good = Runs(stage).open()
        assert good.identify().account == good.expected_account(), "the right settings do not match the credentials"
        bad = stage.open(stage.stranger(), OWNER)
        try:
            said = bad.identify().account
        except AdapterError:
            return
        assert said != bad.expected_account(), "settings that name another account match: nobody would notice"

    def test_looking_writes_nothing(self, stage: Stage) -> None:
        """identify, read, refresh, rule ids and doctor send no write; doctor finds a healthy platform healthy."""
        World.build(stage)
        runs = Runs(stage)
        runs.converge(*FIRST)
        writes, ours, foreign = stage.writes(), stage.ours(OWNER), stage.foreign()
        adapter = runs.open()
        adapter.identify()
        table = adapter.read().table
        decided = runs.decide(policy(SECOND))
        adapter.refresh(table, tuple(step for step in decided.steps if step.mark), {})
        adapter.rule_ids(table, adapter.entries(table))
        checks = adapter.doctor()
        changed = (stage.ours(OWNER), stage.foreign()) != (ours, foreign)
        assert not changed, "looking has changed something"
        assert stage.writes() == writes, "looking has written"
        assert checks, "doctor checks nothing"
        sick = [f"{check.name}: {check.detail}" for check in checks if not check.ok]
        assert not sick, f"doctor finds a healthy platform sick: {sick[:3]}"

    def test_the_reading_role_can_write_nothing(self, stage: Stage) -> None:
        """The role for reading names every reading right and no writing one; the full role reads and writes; each has a reason."""
        factory: AdapterFactory = stage.factory
        target = stage.target(TargetMode.EXCLUSIVE)
        reading = factory.role([target], owner=OWNER, read_only=True)
        writing = factory.role([target], owner=OWNER, read_only=False)
        rights = factory.permissions
        missing = [right.action for right in rights if not right.write and not _grants(reading, right.action)]
        assert not missing, f"the reading role lacks {missing}"
        assert not [right.action for right in rights if right.write and _grants(reading, right.action)], "the reading role may write"
        lacking = [right.action for right in rights if not right.write and not _grants(writing, right.action)]
        assert not lacking, f"the full role lacks {lacking}"
        assert any(right.write and _grants(writing, right.action) for right in rights), "the full role may not write"
        assert all(right.why for right in rights), "a right without a reason"


def _grants(role: str, action: str) -> bool:
    """Tell whether a role names an action as a whole word: rights may begin alike."""
    return re.search(rf"(?<![\w.:/*-]){re.escape(action)}(?![\w.:/*-])", role) is not None


def _host(address: str) -> str:
    return f"{address}/{128 if ':' in address else 32}"


def _partial(stage: Stage, runs: Runs) -> list[tuple[int, Snapshot | None]]:
    """Return, for every call of a whole read, what comes of reading while that call and all after it are refused; None: it raised."""
    before = stage.reads()
    runs.open().read()
    calls = stage.reads() - before
    assert calls, "the stage counts no reads"
    found: list[tuple[int, Snapshot | None]] = []
    for nth in range(1, calls + 1):
        adapter = runs.open()
        stage.fail_reads(nth)
        try:
            found.append((nth, adapter.read()))
        except AdapterError:
            found.append((nth, None))
        finally:
            stage.heal()
    assert found[0][1] is None or not found[0][1].complete, "every read call is refused, and a reading is called whole"
    return found


def _same_but_numbers(one: Snapshot, other: Snapshot) -> bool:
    """Tell whether two readings show the same machines with the same rules; limits that could not be read may be defaults."""
    return one.discovery.workloads == other.discovery.workloads
