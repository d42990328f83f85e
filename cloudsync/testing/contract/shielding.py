"""Temporary denies on top: they cut exactly what they are asked to, lead there and back, and the next plan removes one that was left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import pytest

from cloudsync.adapter import Access, Adapter, Effect, Method, Phase, Seen, Status, Table, Whose
from cloudsync.model.address import AddressSet
from cloudsync.model.packets import ALL_PACKETS, NO_PACKETS, PacketSet
from cloudsync.model.service import ANY_SERVICE, ICMP, TCP, ServiceSet
from cloudsync.model.workload import PointId
from cloudsync.proof.certificate import final_table
from cloudsync.testing.contract.meaning import must_be, must_be_silent
from cloudsync.testing.contract.packets import points_of
from cloudsync.testing.contract.pipeline import LOOKS, OWNER, Runs
from cloudsync.testing.contract.stage import Stage
from cloudsync.testing.contract.world import FIRST, FIRST_OPENS, HTTPS, SECOND, World, policy, told

Cut = Mapping[PointId, Access]
NOTHING = Access()
PARTNER, STRANGER = "198.51.100.7", "8.8.8.8"


def cut_of(source: str, services: ServiceSet) -> PacketSet:
    """Return what one address may do with some services."""
    return PacketSet.of(AddressSet.of(source), services)


def base_ways(adapter: Adapter, actual: Table, desired: Table) -> Iterator[tuple[Method, tuple[Phase, ...]]]:
    """Yield the steps of every method that puts and drops shields."""
    for method in adapter.capabilities.methods:
        phases = adapter.steps(actual, desired, method) if method not in (Method.SHIELD, Method.MEET) else ()
        if phases:
            yield method, phases


def must_be_cut(before: Mapping[PointId, Access], after: Mapping[PointId, Access], cut: Cut, what: str) -> None:
    """Fail unless every point lets through what it did, but for packets that were to be cut at that very point."""
    assert before.keys() == after.keys(), f"{what}: points come and go"
    for point, was in before.items():
        now, gone = after[point], cut.get(point, NOTHING)
        for side in ("inbound", "outbound"):
            old, new, asked = getattr(was, side), getattr(now, side), getattr(gone, side)
            assert new <= old, f"{what}: {point} opens {side} {(new - old).text()}"
            lost = old - new - asked
            assert not lost, f"{what}: at {point} it cuts {side} {lost.text()}, which it was not asked to"


class Shielding:
    """Cases about shields. A platform without denies gives its table back unchanged."""

    def test_a_shield_cuts_what_it_is_asked_to_and_nothing_else(self, stage: Stage) -> None:
        """One machine of two in a class, both directions, single ICMP types, everything, nothing, a point that is not there."""
        World.build(stage)
        runs = Runs(stage)
        runs.converge(*FIRST)
        adapter = runs.open()
        snapshot = adapter.read()
        table, at = snapshot.table, points_of(snapshot.discovery)
        before, foreign = adapter.decode(table), adapter.decode(table, Whose.FOREIGN)
        https = ServiceSet.ports(TCP, HTTPS[1], HTTPS[1])
        one = {at["web1"][0]: Access(cut_of(PARTNER, https))}
        asked: tuple[tuple[str, Cut], ...] = (
            ("one packet at one machine", one),
            ("outbound", {at["web1"][0]: Access(NO_PACKETS, cut_of(STRANGER, https))}),
            ("another one at each", {**one, at["web2"][0]: Access(cut_of(STRANGER, ANY_SERVICE), cut_of(PARTNER, ANY_SERVICE))}),
            ("one ICMP type", {at["db1"][0]: Access(cut_of(PARTNER, ServiceSet.icmp(ICMP, 8)), cut_of(PARTNER, ServiceSet.icmp(ICMP, 8)))}),
            ("everything", {at["web2"][0]: Access(ALL_PACKETS, ALL_PACKETS), at["db1"][0]: Access(ALL_PACKETS)}),
            ("at an idle machine", {at["other1"][0]: Access(ALL_PACKETS)} if at["other1"] else {}),
            ("at a point that is not there", {PointId("nowhere"): Access(ALL_PACKETS, ALL_PACKETS)}),
        )
        for what, cut in asked:
            shielded = adapter.shield(table, cut)
            must_be_cut(before, adapter.decode(shielded), cut, what)
            assert adapter.decode(shielded, Whose.FOREIGN) == foreign, f"{what}: a shield counts as somebody else's"
            assert adapter.shield(shielded, cut) == shielded, f"{what}: the same shield once more is another table"
            if not adapter.capabilities.denies:
                assert shielded == table, f"{what}: there are no denies here, and the table changes"
        assert adapter.shield(table, {}) == table, "nothing is to be cut, and the table changes"
        cut_now = adapter.decode(adapter.shield(table, one))[at["web1"][0]].inbound
        assert bool(cut_of(PARTNER, https) & cut_now) is not adapter.capabilities.denies, "one packet that is open is not cut"

    def test_shields_lead_there_and_back(self, stage: Stage) -> None:
        """Up, the change beneath them, down: temporary steps, keys of their own, and no state with more than two tables together."""
        World.build(stage)
        runs = Runs(stage)
        runs.converge(*FIRST)
        decided = runs.decide(policy(SECOND))
        adapter, actual, desired = decided.adapter, decided.snapshot.table, decided.built.encoding.table
        if not adapter.capabilities.denies:
            pytest.skip("there are no denies here")
        assert Method.SHIELD in adapter.capabilities.methods, "there are denies, and the capabilities do not offer shields"
        at = points_of(decided.snapshot.discovery)
        cut = {at["web1"][0]: Access(cut_of(STRANGER, ANY_SERVICE)), at["db1"][0]: Access(cut_of(PARTNER, ANY_SERVICE))}
        tables = (actual, adapter.shield(actual, cut), adapter.shield(desired, cut), desired)
        keys: list[str] = []
        for number, (one, other) in enumerate(pairwise(tables)):
            if one == other and number:
                continue  # a platform need not cut what the new table shuts anyway
            ways = list(base_ways(adapter, one, other))
            assert ways, f"no method leads from {_NAMES[number]} to {_NAMES[number + 1]}"
            method, phases = ways[0]
            assert final_table(adapter, one, phases) == other, f"{method.value} does not lead from {_NAMES[number]} to {_NAMES[number + 1]}"
            keys.extend(step.key for phase in phases for step in phase.steps)
            self._between(adapter, one, other, phases)
            if number != 1:
                steps = [step for phase in phases for step in phase.steps]
                lasting = [step.title for step in steps if not step.temporary]
                assert not lasting, f"this step only puts up or takes down a shield, and is not marked temporary: {lasting[0]}"
                wrong = Effect.GROWS if not number else Effect.SHRINKS
                assert not any(step.effect is wrong for step in steps), "a shield that comes opens, or one that goes shuts"
        assert len(set(keys)) == len(keys), "steps of one plan share a key"

    def _between(self, adapter: Adapter, one: Table, other: Table, phases: tuple[Phase, ...]) -> None:
        old, new, table = adapter.decode(one), adapter.decode(other), one
        for phase in phases:
            bounds = adapter.bounds(table, phase.steps)
            states = [*bounds.lower, *bounds.upper, *(adapter.simulate(table, step) for step in phase.steps)]
            for state in states:
                for point, access in adapter.decode(state).items():
                    for side in ("inbound", "outbound"):
                        now, was, will = (getattr(each, side) for each in (access, old[point], new[point]))
                        assert now <= was | will, f"in phase {phase.name} {point} opens {side} {(now - (was | will)).text()}"
                        assert was & will <= now, f"in phase {phase.name} {point} cuts {side} {((was & will) - now).text()}"
            for step in phase.steps:
                assert adapter.seen(table, step, {}) is Seen.NO, f"{step.title} is seen before it was sent"
                table = adapter.simulate(table, step)
                assert adapter.seen(table, step, {}) is Seen.YES, f"{step.title} is not seen where it is"

    def test_a_shield_that_was_left_behind_is_removed(self, stage: Stage) -> None:
        """On the platform itself: exactly the cut is gone, objects of others stay, and one run of the same policy takes the shield away."""
        world, runs = World.build(stage), Runs(stage)
        runs.converge(*FIRST)
        adapter = runs.open()
        if not adapter.capabilities.denies:
            pytest.skip("there are no denies here")
        snapshot, reach, foreign, ours = adapter.read(), world.reach(), stage.foreign(), stage.ours(OWNER)
        (point,) = points_of(snapshot.discovery)["web1"]
        gone = frozenset((to, source, service) for to, source, service in reach if (to, source, service) == ("web1", STRANGER, HTTPS))
        assert gone, "what is to be cut is not open"
        shielded = adapter.shield(snapshot.table, {point: Access(cut_of(STRANGER, ServiceSet.ports(TCP, HTTPS[1], HTTPS[1])))})
        _, phases = next(base_ways(adapter, snapshot.table, shielded))
        _carry_out(stage, adapter, snapshot.table, phases)
        now = world.reach()
        assert now == reach - gone, f"cut besides: {told(reach - gone - now) or 'nothing'}; still open: {told(now & gone) or 'nothing'}"
        assert stage.foreign() == foreign, "a shield changes objects of others"
        assert stage.ours(OWNER) != ours, "a shield carries no mark of ours"
        again = adapter.read().table
        assert again == shielded, "a shield is read otherwise than it was written"
        runs.converge(*FIRST)
        must_be(world, FIRST_OPENS, "after a shield was left behind")
        must_be_silent(runs, *FIRST, what="after a shield was left behind")
        assert stage.ours(OWNER) == ours, "the shield that was left behind is still there"
        assert stage.foreign() == foreign, "taking a shield away changes objects of others"


_NAMES = ("the table", "the table under shields", "the desired table under shields", "the desired table")


def _carry_out(stage: Stage, adapter: Adapter, table: Table, phases: tuple[Phase, ...]) -> None:
    for phase in phases:
        for step in phase.steps:
            outcome = adapter.write(step, {})
            assert outcome.status is Status.DONE, f"{step.title}: {outcome.code} {outcome.reason}"
        for _ in range(LOOKS):
            table = adapter.refresh(table, phase.steps, {})
            if all(adapter.seen(table, step, {}) is Seen.YES for step in phase.steps):
                break
            stage.clock.sleep(1.0)
        else:
            raise AssertionError(f"no read shows it: {phase.steps[0].title}")
