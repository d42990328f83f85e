"""SIGKILL to the whole database server in the middle of a run, and its restart: nothing is lost, nothing is sent twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloudsync.apply import ApplyStatus, Options, Ports
from cloudsync.model.errors import RefusedError
from cloudsync.plan.journal import Journal, Op, OpenOp, OpState, Writer
from cloudsync.plan.values import Adoption
from tests.acting.servers import Cluster, running
from tests.acting.world import World, assert_bijection


@dataclass(slots=True)
class Shaken:
    """A journal around whose n-th effect something happens, right before or right after it."""

    journal: Journal
    at: int
    after: bool
    happen: Callable[[], None]
    effects: int = 0

    def intend(self, op: Op) -> int:
        """Make an op durable."""
        here = self._here()
        op_id = self.journal.intend(op)
        self._then(here=here)
        return op_id

    def settle(self, op_id: int, state: OpState, reason: str = "") -> None:
        """Record an outcome."""
        here = self._here()
        self.journal.settle(op_id, state, reason)
        self._then(here=here)

    def adopt(self, target: str, adoptions: Iterable[Adoption], writer: Writer) -> None:
        """Record adoptions."""
        here = self._here()
        self.journal.adopt(target, adoptions, writer)
        self._then(here=here)

    def open_ops(self, target: str) -> tuple[OpenOp, ...]:
        """Return the open ops."""
        return self.journal.open_ops(target)

    def held(self, target: str) -> str:
        """Return why writes are on hold."""
        return self.journal.held(target)

    def _here(self) -> bool:
        self.effects += 1
        if self.effects == self.at and not self.after:
            self.happen()
        return self.effects == self.at

    def _then(self, *, here: bool) -> None:
        if here and self.after:
            self.happen()


@pytest.fixture
def mortal() -> Iterator[Cluster]:
    """A server to be killed."""
    with running() as cluster:
        yield cluster


def run_shaken(world: World, at: int, happen: Callable[[], None], *, after: bool) -> tuple[int, int]:
    """Make a run during which something happens at an effect; return how many effects it had and how many calls it sent afterwards."""
    calls: list[int] = []

    def now() -> None:
        calls.append(len(world.platform.calls))
        happen()

    journal = None
    try:
        with world.state("shaken") as state:
            journal = Shaken(state.journal, at, after, now)
            world.run_with(Ports(journal, state.lease, world.clock), Options("shaken", visible_s=30.0, call_s=20.0))
    except RefusedError as error:
        if error.code != "PRE-JOURNAL":
            raise
    assert journal is not None
    return journal.effects, len(world.platform.calls) - calls[0] if calls else 0


@pytest.mark.parametrize("after", [False, True])
def test_the_server_dies_at_any_effect_of_the_journal(tmp_path: Path, mortal: Cluster, *, after: bool) -> None:
    total, _ = run_shaken(World(tmp_path / "whole", places=mortal.place), 0, lambda: None, after=after)
    reference = World(tmp_path / "reference")
    reference.run()
    assert total > 10
    sent = 0
    for at in range(1, total + 1, 3 if after else 2):
        world = World(tmp_path / str(at), places=mortal.place)
        world.state().close()
        _, late = run_shaken(world, at, mortal.kill, after=after)
        assert late <= 1, "at most the call whose intent was durable goes out"
        sent += late
        with pytest.raises(RefusedError, match="PRE-JOURNAL"):
            world.run()
        calls = len(world.platform.calls)
        mortal.start()
        assert len(world.platform.calls) == calls
        assert world.run().status is ApplyStatus.DONE
        assert world.converged(), at
        assert world.access() == reference.access()
        assert world.run().writes == 0
        assert_bijection(world)
        world.audit()
    assert sent or not after


def test_the_server_dies_while_a_call_is_on_its_way(tmp_path: Path, mortal: Cluster) -> None:
    reference = World(tmp_path / "reference")
    writes = reference.run().writes
    for bad in range(1, writes + 1, 3):
        world = World(tmp_path / str(bad), places=mortal.place)

        def die(number: int, bad: int = bad) -> None:
            if number == bad:
                mortal.kill()

        if bad % 2:
            world.platform.after_write = die
        else:
            world.platform.before_write = die
        with pytest.raises(RefusedError, match="PRE-JOURNAL"):
            world.run()
        assert len(world.platform.calls) == bad, "nothing is sent after the call whose outcome could not be written down"
        mortal.start()
        world.platform.after_write = world.platform.before_write = lambda _number: None
        assert [op.state for op in world.ops()][-1] is OpState.INTENT
        assert world.run().status is ApplyStatus.DONE
        assert world.converged()
        assert world.access() == reference.access()
        payloads = [call.payload for call in world.platform.calls if call.applied]
        assert len(payloads) == len(set(payloads)), "a call was made twice"
        assert_bijection(world)
        world.audit()


def test_a_server_that_is_killed_and_back_before_anybody_looks_has_given_the_lock_away(tmp_path: Path, mortal: Cluster) -> None:
    world = World(tmp_path, places=mortal.place)
    state = world.state("one")
    assert state.lease.lost() == ""
    mortal.kill()
    mortal.start()
    assert state.lease.lost(), "the session, and with it the lock, is gone"
    with world.state("two") as other:
        assert other.lease.generation == 2
    with pytest.raises(RefusedError, match="PRE-JOURNAL"):
        state.close()
    assert world.audit() == 2
