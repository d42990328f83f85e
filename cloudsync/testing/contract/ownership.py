"""Whose is what: marks, several owners, quotas, and the platform's own spelling."""

from __future__ import annotations

import re

import pytest

from cloudsync.model.mode import TargetMode
from cloudsync.testing.contract.meaning import must_be, must_be_silent
from cloudsync.testing.contract.pipeline import OWNER, Runs
from cloudsync.testing.contract.stage import Stage
from cloudsync.testing.contract.world import API, FIRST, FIRST_OPENS, HTTPS, POSTGRES, SECOND, SSH, Enforcing, World, told

WEB, DB = Enforcing(roles="web"), Enforcing(roles="db")
NEIGHBOUR = "neighbour"
"""Another deployment's owner id."""


class Ownership:
    """Cases about marks, owners, quotas and spelling."""

    def test_what_lost_its_mark_is_foreign(self, stage: Stage) -> None:
        """Objects with our names and contents but without the mark are somebody else's: never written, never removed."""
        if not stage.facts.additive:
            pytest.skip("rules of ours cannot stand beside rules of others on this platform")
        World.build(stage)
        runs = Runs(stage, TargetMode.ADDITIVE)
        runs.converge(*FIRST)
        assert stage.ours(OWNER), "the stage finds nothing that carries our mark"
        stage.unmark(OWNER)
        assert not stage.ours(OWNER), "the stage's `unmark` leaves marks"
        foreign = stage.foreign()
        for rules in (FIRST, SECOND, ()):
            ran = runs.run(*rules)
            assert ran.status in ("done", "refused"), f"known before the first write, or not at all: {ran}"
            assert stage.foreign() == foreign, f"an object without our mark was changed: {ran}"

    def test_two_owners_live_side_by_side(self, stage: Stage) -> None:
        """Two deployments over one estate, each for other machines: neither ever touches, counts or removes what the other wrote."""
        _side_by_side(stage, TargetMode.ADDITIVE if stage.facts.additive else TargetMode.EXCLUSIVE)

    def test_two_owners_may_both_be_exclusive(self, stage: Stage) -> None:
        """The same where both own the enforcement points of their machines: what acts elsewhere is none of their business."""
        _side_by_side(stage, TargetMode.EXCLUSIVE)

    def test_the_platforms_spelling_is_no_drift(self, stage: Stage) -> None:
        """However a policy spells addresses and services, and however the platform spells them back: 0 writes, 0 differences."""
        world, runs = World.build(stage), Runs(stage)
        rules = (
            "allow iplist halves to role=web on 6/22, tcp/22-22",
            "allow iplist alone to role=web on tcp/443, tcp/440-450",
            "allow iplist range to role=db on tcp/0-65535",
            "allow anywhere to role=db on udp/53",
            "allow iplist office to role=db on udp/53, udp/53-54",
            "allow role=web to role=db on tcp/5432",
        )
        runs.converge(*rules)
        reach = world.reach()
        must_be_silent(runs, *rules, what="awkward spellings")
        missing = world.meant((("web", "office", SSH), ("web", "office", HTTPS), ("db", "web", (6, 5432)))) - reach
        assert not missing, f"a rule that is spelt awkwardly is not in force: {told(missing)}"

    def test_a_quota_is_told_before_the_first_write(self, stage: Stage) -> None:
        """More than the platform holds is refused with G-QUOTA and numbers; nothing is written. What fits is not refused."""
        if not stage.facts.quota:
            pytest.skip("the stage cannot make the platform small")
        world, runs = World.build(stage), Runs(stage)
        stage.room_for(20)
        before, foreign = stage.writes(), stage.foreign()
        ran = runs.run("allow iplist many to role=web on tcp/22")
        assert ran.status == "refused", f"64 addresses where 20 have room: {ran}"
        quotas = [problem for problem in ran.decided.refusals if problem.code == "G-QUOTA"]
        assert quotas, f"refused, but not for the quota: {ran.words}"
        numbers = re.findall(r"[0-9]+", quotas[0].message)
        assert len(numbers) >= 2, f"how many, of how many? {quotas[0].message}"
        assert stage.writes() == before, "refused, and yet written"
        assert stage.foreign() == foreign, "refused, and yet changed"
        runs.converge(*FIRST)
        must_be(world, FIRST_OPENS, "what fits")


def _side_by_side(stage: Stage, mode: TargetMode) -> None:
    world = World.build(stage)
    one, other = Runs(stage, mode), Runs(stage, mode, NEIGHBOUR)
    one.converge(*FIRST, enforcing=WEB)
    mine = stage.ours(OWNER)
    assert mine, "the stage finds nothing that carries our mark"
    for rules in (SECOND, FIRST, SECOND):
        other.converge(*rules, enforcing=DB)
        assert stage.ours(OWNER) == mine, "the other owner's run changed what is ours"
        must_be_silent(one, *FIRST, what="beside another owner", enforcing=WEB)
    theirs = stage.ours(NEIGHBOUR)
    assert theirs, "the other owner has written nothing"
    for rules in (SECOND, ()):
        one.converge(*rules, enforcing=WEB)
        assert stage.ours(NEIGHBOUR) == theirs, "our run changed what is the other owner's"
        must_be_silent(other, *SECOND, what="beside another owner", enforcing=DB)
    missing = world.meant((("db", "web", API), ("db", "office", POSTGRES))) - world.reach()
    assert not missing, f"the other owner's rules are not in force any more: {told(missing)}"
