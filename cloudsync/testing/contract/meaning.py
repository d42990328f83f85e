"""What is enforced is the policy: whatever was there before, in every mode, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

import pytest

from cloudsync.adapter import Access, ClassIntent, ClassPeer
from cloudsync.model.address import NOWHERE, AddressSet
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.service import ANY_SERVICE
from cloudsync.testing.contract.packets import must_decode_as_true, points_of
from cloudsync.testing.contract.pipeline import Ran, Runs
from cloudsync.testing.contract.stage import Hole, Stage
from cloudsync.testing.contract.world import (
    API,
    EVERYBODY,
    FIRST,
    FIRST_OPENS,
    FULL,
    HTTPS,
    POSTGRES,
    RELEASED,
    SECOND,
    SECOND_OPENS,
    SELECTIVE,
    SSH,
    Enforcing,
    Opening,
    World,
    policy,
    told,
)


def must_be(world: World, openings: tuple[Opening, ...], what: str) -> None:
    """Fail unless the platform lets in exactly these openings at the machines that are enforced."""
    now, meant = world.at(world.reach(), "web", "db"), world.meant(openings)
    assert now - meant == frozenset(), f"{what}: open against the policy: {told(now - meant)}"
    assert meant - now == frozenset(), f"{what}: shut against the policy: {told(meant - now)}"


def must_be_silent(runs: Runs, *rules: str, what: str, enforcing: Enforcing = FULL) -> Ran:
    """Fail unless one more run of the same policy finds nothing to do, and sends nothing."""
    before = runs.stage.writes()
    again = runs.run(*rules, enforcing=enforcing)
    assert again.status == "done", f"{what}: one more run: {again}"
    assert not again.decided.steps, f"{what}: one more run wants to write: {[step.title for step in again.decided.steps][:5]}"
    assert not again.decided.built.plan.changes, f"{what}: one more run sees a difference: {again.decided.built.plan.changes[:3]}"
    assert runs.stage.writes() == before, f"{what}: one more run wrote {runs.stage.writes() - before} times"
    return again


class Meaning:
    """Cases about what is enforced."""

    def test_the_certificate_holds_and_the_platform_agrees(self, stage: Stage) -> None:
        """The plan proves enforced = policy from what is really sent; the platform's own truth says the same, packet by packet."""
        world, runs = World.build(stage), Runs(stage)
        ran = runs.converge(*FIRST)
        certificate = ran.decided.built.plan.certificate
        assert certificate is not None, "the plan has no certificate"
        assert certificate.holds, "the certificate does not hold"
        assert certificate.points == 3, f"{certificate.points} points are certified, 3 are enforced"
        must_be(world, FIRST_OPENS, "first run")
        must_decode_as_true(world, runs)

    def test_what_is_read_is_what_the_platform_lets_in(self, stage: Stage) -> None:
        """Before anything of ours is there: `decode` of a fresh reading says what the platform's truth says, foreign rules and defaults."""
        must_decode_as_true(World.build(stage), Runs(stage))

    def test_a_second_run_writes_nothing(self, stage: Stage) -> None:
        """Idempotence: what was reached is encoded as it stands."""
        world, runs = World.build(stage), Runs(stage)
        runs.converge(*FIRST)
        for _ in range(2):
            must_be_silent(runs, *FIRST, what="after the first policy")
        must_be(world, FIRST_OPENS, "after silent runs")

    def test_every_state_leads_to_the_same_end(self, stage: Stage) -> None:
        """Convergence: from nothing, from another policy and back, from what people did to our objects by hand."""
        world, runs = World.build(stage), Runs(stage)
        runs.converge(*SECOND)
        must_be(world, SECOND_OPENS, "from nothing")
        runs.converge(*FIRST)
        must_be(world, FIRST_OPENS, "from another policy")
        hole = Hole("198.51.100.0/24", *API)
        stage.widen("web1", hole)
        assert any(to == "web1" and service == API for to, _, service in world.reach()), "the stage's `widen` opens nothing"
        runs.converge(*FIRST)
        must_be(world, FIRST_OPENS, "after a hole made by hand")
        reached = world.reach()
        stage.narrow("db1")
        assert world.reach() != reached, "the stage's `narrow` shuts nothing"
        runs.converge(*FIRST)
        must_be(world, FIRST_OPENS, "after something was shut by hand")
        world.add("web3", "web")
        runs.converge(*FIRST)
        must_be(world, FIRST_OPENS, "after a machine joined")
        must_be_silent(runs, *FIRST, what="at the end")

    def test_an_empty_selector_opens_nothing(self, stage: Stage) -> None:
        """A peer that resolves to nothing leaves its rule out; it never becomes `any`, in neither family."""
        world, runs = World.build(stage), Runs(stage)
        rules = ("allow role=ghost to role=web on tcp/22", "allow iplist office except iplist office to role=db on tcp/8443")
        kept = "allow iplist partners to role=web on tcp/443"
        runs.converge(*rules, kept)
        must_be(world, (("web", "partner", HTTPS),), "a rule whose source is empty")
        runs.converge(*rules)
        must_be(world, (), "nothing but empty rules")
        must_be_silent(runs, *rules, what="nothing but empty rules")

    def test_a_class_without_addresses_opens_nothing(self, stage: Stage) -> None:
        """The same where the peer is a class that has no address as seen from here, e.g. because it sits in another routing domain."""
        World.build(stage)
        decided = Runs(stage).decide(policy(FIRST))
        intent, adapter = decided.intent, decided.adapter
        (db,) = {point.class_id for point in intent.points if point.point in points_of(decided.snapshot.discovery)["db1"]}
        peers = {one.peer.class_id for group in intent.classes for one in group.inbound.terms if isinstance(one.peer, ClassPeer)}
        members = AddressSet.union_all(group.addresses for group in intent.classes if group.class_id in peers)
        nobody = tuple(_without_addresses(group, peers, db) for group in intent.classes)
        encoding = adapter.encode(replace(intent, classes=nobody), decided.snapshot)
        (point,) = points_of(decided.snapshot.discovery)["db1"]
        forced = (encoding.forced or {}).get(point, Access()).inbound
        beyond = adapter.decode(encoding.table)[point].inbound - PacketSet.of(members, ANY_SERVICE) - forced
        assert not beyond, f"a class without addresses becomes {beyond.text()}"

    def test_never_rules_hold_against_every_allow(self, stage: Stage) -> None:
        """never > allow: whatever opens a packet that a never rule forbids, it stays shut; what lies beside it stays open."""
        world, runs = World.build(stage), Runs(stage)
        rules = (
            "allow anywhere to role=web on tcp/443",
            "allow iplist office to role=web on tcp/22",
            "never allow iplist partners to role=web on any service",
            "never allow role=other to all workloads on tcp/443",
        )
        runs.converge(*rules)
        openings = (("web", "office", SSH), ("web", EVERYBODY, HTTPS))
        forbidden = world.meant((("web", "partner", HTTPS), ("web", "other", HTTPS)))
        now, meant = world.at(world.reach(), "web"), world.meant(openings) - forbidden
        assert now == meant, f"too much: {told(now - meant) or 'nothing'}; too little: {told(meant - now) or 'nothing'}"
        must_be_silent(runs, *rules, what="never rules")

    def test_selective_keeps_the_past_and_closes_what_it_is_told(self, stage: Stage) -> None:
        """((L - D - S) + A) - N: the past stays but for denied packets and the services of the line; allows on top, nevers above all."""
        world, runs = World.build(stage), Runs(stage)
        before = world.at(world.reach(), "web", "db")
        rules = (
            "allow iplist office to role=web on tcp/22",
            "deny iplist office to role=db on tcp/5432",
            "never allow iplist partners to role=web on any service",
        )
        runs.converge(*rules, enforcing=SELECTIVE)
        denied = world.meant((("db", "office", POSTGRES), ("web", "partner", SSH), ("web", "partner", HTTPS)))
        meant = frozenset(one for one in before - denied if one[2] != SSH) | world.meant((("web", "office", SSH),))
        now = world.at(world.reach(), "web", "db")
        assert now == meant, f"too much: {told(now - meant) or 'nothing'}; too little: {told(meant - now) or 'nothing'}"
        must_be_silent(runs, *rules, what="selective", enforcing=SELECTIVE)

    def test_a_machine_that_is_missing_once_keeps_its_entries(self, stage: Stage) -> None:
        """Entries for quarantined addresses stay as they are; when the quarantine ends, they go."""
        World.build(stage)
        runs = Runs(stage)
        runs.converge(*FIRST)
        found = runs.open().read().discovery.workloads
        addresses = AddressSet.union_all(card.addresses for one in found if one.name == "web2" for card in one.interfaces)
        stage.remove_workload("web2")
        adapter = runs.open()
        snapshot = adapter.read()
        assert "web2" not in {one.name for one in snapshot.discovery.workloads}, "a machine that is deleted is discovered all the same"
        (point,) = points_of(snapshot.discovery)["db1"]
        held = runs.decide_from(policy(FIRST), adapter, snapshot, quarantined=addresses)
        assert not held.refusals, f"refused: {held.refusals[0]}"
        assert not held.steps, f"a machine is missing for the first time, and the plan wants: {[step.title for step in held.steps][:3]}"
        gone = runs.decide_from(policy(FIRST), adapter, snapshot)
        left = adapter.decode(gone.built.encoding.table)[point].inbound & PacketSet.of(addresses, ANY_SERVICE)
        assert not left, f"the quarantine is over, and entries stay: {left.text()}"

    def test_what_is_released_is_as_it_was(self, stage: Stage) -> None:
        """From full back to idle: every packet as before, foreign objects byte for byte as before, nothing of ours left in force."""
        world, runs = World.build(stage), Runs(stage)
        before, foreign = world.reach(), stage.foreign()
        runs.converge(*FIRST)
        runs.converge(*FIRST, enforcing=RELEASED)
        now = world.reach()
        assert now == before, f"too much: {told(now - before) or 'nothing'}; too little: {told(before - now) or 'nothing'}"
        assert stage.foreign() == foreign, "objects of others are not what they were before us"
        must_be_silent(runs, *FIRST, what="released", enforcing=RELEASED)

    def test_idle_neighbours_are_not_touched(self, stage: Stage) -> None:
        """Exclusive targets leave what acts on idle workloads alone, byte for byte and packet for packet."""
        world, runs = World.build(stage), Runs(stage)
        foreign, before = stage.foreign("other1"), world.at(world.reach(), "other")
        for rules in (FIRST, SECOND):
            runs.converge(*rules)
            assert stage.foreign("other1") == foreign, "what acts on an idle workload was changed"
            assert world.at(world.reach(), "other") == before, "what passes to an idle workload has changed"

    def test_additive_leaves_foreign_objects_alone(self, stage: Stage) -> None:
        """Beside foreign rules: they stay byte for byte, what they let in stays open, what the policy allows passes."""
        _needs_additive(stage)
        world, runs = World.build(stage), Runs(stage, TargetMode.ADDITIVE)
        foreign, before = stage.foreign(), world.reach()
        for rules, openings in ((FIRST, FIRST_OPENS), (SECOND, SECOND_OPENS)):
            runs.converge(*rules)
            now, meant = world.reach(), world.meant(openings)
            assert stage.foreign() == foreign, "objects of others were changed"
            assert meant <= now, f"shut against the policy: {told(meant - now)}"
            assert now <= before | meant, f"open, and neither by the policy nor by what was there: {told(now - before - meant)}"
            must_be_silent(runs, *rules, what="additive")

    def test_observe_writes_nothing(self, stage: Stage) -> None:
        """A target in mode observe can be read, decoded and explained, and nothing reaches the platform."""
        World.build(stage)
        writes, foreign = stage.writes(), stage.foreign()
        runs = Runs(stage, TargetMode.OBSERVE)
        runs.decide(policy(FIRST))
        assert (stage.writes(), stage.foreign()) == (writes, foreign), "looking has written"


def _without_addresses(group: ClassIntent, empty: Container[str], receiver: str) -> ClassIntent:
    """Return a class as it is seen from where the members of `empty` have no address: `receiver` lets nobody in then."""
    if group.class_id in empty:
        group = replace(group, addresses=NOWHERE, reached=None)
    if group.class_id == receiver:
        group = replace(group, inbound=replace(group.inbound, exact=NO_PACKETS, loosest=NO_PACKETS))
    return group


def _needs_additive(stage: Stage) -> None:
    if not stage.facts.additive:
        pytest.skip("rules of ours cannot stand beside rules of others on this platform")
