"""The stage itself: a stage that sees nothing would let every adapter pass."""

from __future__ import annotations

from cloudsync.testing.contract.pipeline import OWNER, Runs
from cloudsync.testing.contract.stage import Hole, Stage
from cloudsync.testing.contract.world import API, FIRST, FIRST_OPENS, SSH, World


class Staging:
    """Cases about what the author of an adapter has written for this suite."""

    def test_the_stage_sees_what_happens(self, stage: Stage) -> None:
        """Truth, foreign objects, ours and the counters move when something happens, and only then."""
        world, runs = World.build(stage), Runs(stage)
        before, foreign = world.reach(), stage.foreign()
        assert (world.reach(), stage.foreign()) == (before, foreign), "nothing happened, and the stage tells something else"
        assert world.meant((("web", "partner", SSH), ("db", "partner", API))) <= before, "what others opened is not open"
        assert not stage.ours(OWNER), "something of ours is there before anything was written"
        assert foreign, "the stage sees no object of others"
        assert stage.foreign("other1") != stage.foreign("web1"), "the stage does not tell whose foreign objects are whose"
        stage.add_foreign("more", ["db1"], [Hole("198.51.100.0/24", *SSH)])
        assert stage.foreign() != foreign, "somebody opened more, and the stage does not see it"
        assert world.meant((("db", "partner", SSH),)) <= world.reach(), "somebody opened more, and it is not open"
        writes, reads = stage.writes(), stage.reads()
        runs.converge(*FIRST)
        assert stage.writes() > writes, "the stage counts no writes"
        assert stage.reads() > reads, "the stage counts no reads"
        assert stage.ours(OWNER), "the stage finds nothing that carries our mark"
        assert not stage.ours("nobody"), "the stage finds what nobody has written"
        assert world.reach() >= world.meant(FIRST_OPENS), "a run is done, and the stage does not see its effect"
