"""SIGKILL at any bytecode of the executor and the store: the next run arrives, the journal matches the wire, the audit chain holds."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import pytest

from cloudsync.adapter import Whose
from cloudsync.apply import ApplyStatus
from cloudsync.model.packets import PacketSet
from cloudsync.model.workload import PointId
from cloudsync.testing import memory_table
from cloudsync.testing.memory import MemoryPlatform
from tests.acting.servers import Places, share
from tests.acting.world import World, assert_bijection, make_platform
from tests.crash.killing import Counter


class OutsidePlatform(MemoryPlatform):
    """A platform whose state lives in a file, as a real one lives elsewhere: it survives whoever calls it."""

    file: Path

    def save(self) -> None:
        """Write the state down."""
        content = pickle.dumps((self.groups, self.spots, self.calls, self._ids))
        new = self.file.with_suffix(".new")
        new.write_bytes(content)
        new.replace(self.file)

    def load(self) -> None:
        """Take up the state that a dead process left."""
        self.groups, self.spots, self.calls, self._ids = pickle.loads(self.file.read_bytes())  # noqa: S301  (our own file)


def outside(folder: Path, places: Places) -> World:
    """Return a fresh world whose platform outlives the process."""
    folder.mkdir()
    made = make_platform()
    platform = OutsidePlatform(groups=made.groups, spots=made.spots)
    platform._ids = made._ids
    platform.file = folder / "platform"
    platform.after_write = lambda _number: platform.save()
    platform.save()
    return World(folder, platform=platform, places=places)


def run_in_child(world: World, kill_at: int) -> int:
    """Make a run in a child that dies at a bytecode; return how it ended, and for a survivor write down how many bytecodes it took."""
    child = os.fork()
    if child == 0:
        counter = Counter(kill_at)
        try:
            sys.settrace(counter.trace)
            world.run()
            sys.settrace(None)
            (world.folder / "count").write_text(str(counter.count))
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


def states(world: World) -> list[dict[PointId, PacketSet]]:
    """Return what every point let in after each write that took effect, replayed from the platform's own log."""
    table = make_platform().table("test")
    ids = iter(sorted(set(world.platform.groups) - set(table.groups), key=lambda key: int(key.removeprefix("g-"))))
    found = [_inbound(table)]
    for call in world.platform.calls:
        if call.applied:
            made = next(ids) if '"call":"create"' in call.payload else ""
            table = memory_table.after(table, call.payload, made)
            found.append(_inbound(table))
    return found


def _inbound(table: memory_table.MemoryTable) -> dict[PointId, PacketSet]:
    return {point: access.inbound for point, access in memory_table.decode(table, Whose.ALL, None).items()}


def kill_everywhere(folder: Path, places: Places, kills: int) -> int:
    """Kill at `kills` bytecodes spread evenly over a run; return how many bytecodes a run has."""
    whole = outside(folder / "whole", places)
    assert run_in_child(whole, 0) == 0
    total = int((whole.folder / "count").read_text())
    for number in range(kills):
        at = 1 + number * total // kills
        world = outside(folder / str(at), places)
        assert os.WIFSIGNALED(run_in_child(world, at)), at
        assert isinstance(world.platform, OutsidePlatform)
        world.platform.load()
        assert world.run().status is ApplyStatus.DONE, at
        assert world.converged(), at
        assert world.run().writes == 0, at
        assert_bijection(world)
        world.audit()
        passed = states(world)
        assert passed[-1] == world.access()
        for state in passed:
            for point, packets in state.items():
                assert packets <= passed[0][point] | passed[-1][point], (at, point)
                assert passed[0][point] & passed[-1][point] <= packets, (at, point)
    return total


def test_killed_at_bytecodes_spread_over_a_run(tmp_path: Path, places: Places) -> None:
    total = kill_everywhere(tmp_path, places, 25)
    print(f"{total} bytecodes in apply and store")
    assert total > 5000


@pytest.mark.slow
def test_killed_at_a_thousand_bytecodes(tmp_path: Path, places: Places) -> None:
    kill_everywhere(tmp_path, places, 1000 // share(places, 5))
