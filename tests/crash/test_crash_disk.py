"""The disk under the state: full at any size, gone at any page. Nothing is sent that is not written down, and the next run arrives."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cloudsync.apply import ApplyStatus, Ports
from cloudsync.model.errors import BusyError, RefusedError
from cloudsync.plan.journal import OpState
from tests.acting.servers import in_a_file
from tests.acting.world import DyingJournal, Killed, World, assert_bijection
from tests.trust.budget import budget
from tests.trust.figures import record

PAGE = 4096
FRAME = PAGE + 24
"""A page in SQLite's write-ahead log, with its header."""


@contextmanager
def no_file_over(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes for the length of a `with`: writes beyond fail as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_at_any_size_stops_the_run_before_the_call(tmp_path: Path) -> None:
    """Whatever the size at which nothing more fits: every call on the wire stands in the journal, and with room again the run arrives."""
    reference = World(tmp_path / "reference", places=in_a_file)
    assert reference.run().status is ApplyStatus.DONE
    stopped = sizes = 0
    step = budget(32, 4, 1) * 1024
    for size in range(8 * 1024, 1024 * 1024, step):
        world = World(tmp_path / str(size), places=in_a_file)
        sizes += 1
        refused = False
        with no_file_over(size):
            try:
                world.run()
            except (RefusedError, BusyError):
                refused = True
        stopped += refused
        assert world.run().status is ApplyStatus.DONE, size
        assert world.converged(), size
        assert world.access() == reference.access()
        assert world.run().writes == 0
        assert_bijection(world)
        world.audit()
        if not refused:
            break
    assert stopped > 0
    record("T4 disk full", {"sizes": sizes, "stopped": stopped, "not_converged": 0, "audit_gaps": 0})


def dead(folder: Path, at: int) -> tuple[World, bool]:
    """Return a world whose run died at an effect of the journal, its write-ahead log as the kill left it; false when it got through."""
    world = World(folder, places=in_a_file)
    state = world.state("dying")
    try:
        world.run_with(Ports(DyingJournal(state.journal, at, after=True), state.lease, world.clock), world.options)
    except Killed:
        kept = folder.with_name(folder.name + "-kept")
        shutil.copytree(folder / "state", kept)
        state.close()
        shutil.rmtree(folder / "state")
        shutil.move(kept, folder / "state")
        return world, True
    state.close()
    return world, False


@pytest.mark.parametrize("at", [4, 9, 15])
def test_a_log_that_lost_its_end_in_a_power_cut_is_refused_or_made_good(tmp_path: Path, at: int) -> None:
    """A disk that lies about what is durable loses the end of the log: the calls that stand nowhere any more are not sent a second time."""
    first, died = dead(tmp_path / "first", at)
    assert died
    whole = (first.place.with_name(first.place.name + "-wal")).read_bytes() if isinstance(first.place, Path) else b""
    assert len(whole) > 8 * FRAME
    refused = cuts = 0
    every = budget(12, 2, 1)
    for number in range(0, len(whole) // FRAME, every):
        world, died = dead(tmp_path / f"cut-{number}", at)
        assert died
        assert isinstance(world.place, Path)
        log = world.place.with_name(world.place.name + "-wal")
        log.write_bytes(log.read_bytes()[: 32 + number * FRAME])
        log.with_name(world.place.name + "-shm").unlink(missing_ok=True)
        calls, cuts = len(world.platform.calls), cuts + 1
        try:
            result = world.run()
        except RefusedError:
            refused += 1
            assert len(world.platform.calls) == calls, "it was refused, and yet it wrote"
            continue
        assert result.status is ApplyStatus.DONE, number
        assert world.converged(), number
        assert world.run().writes == 0
        assert all(op.state in (OpState.DONE, OpState.FAILED, OpState.VOID) for op in world.ops())
        world.audit()
        applied = [call.payload for call in world.platform.calls if call.applied]
        assert len(applied) == len(set(applied)), "a call was made twice"
    record("T4 power cut", {"cuts": cuts, "refused": refused, "not_converged": 0})
