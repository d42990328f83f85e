"""What an earlier phase put in place is looked at again before something is taken away for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cloudsync.adapter import Method, Step
from cloudsync.apply import ApplyResult, ApplyStatus, Options, Ports, apply
from cloudsync.model.workload import PointId
from cloudsync.testing.memory import MemoryAdapter, MemoryPlatform
from cloudsync.testing.memory_table import MemoryTable, Rule
from cloudsync.testing.plans import plan_to
from tests.acting.folders import tmp_path
from tests.acting.world import World

__all__ = ["tmp_path"]

OLD, NEW = Rule("10.0.0.0/8", "6/22-22"), Rule("10.0.0.0/16", "6/22-22")


class NarrowReads(MemoryAdapter):
    """A platform so large that only what steps touch is read again; something happens behind one of the reads."""

    behind: Mapping[int, Callable[[], None]] = {}
    looks = 0

    def refresh(self, table: MemoryTable, steps: Iterable[Step], bindings: Mapping[str, str]) -> MemoryTable:
        del bindings
        now, names = self.platform.table(self.owner), {step.object for step in steps}
        groups = {key: now.groups[key] if key in names else group for key, group in table.groups.items()}
        spots = {key: now.spots[key] if key in names else spot for key, spot in table.spots.items()}
        self.looks += 1
        self.behind.get(self.looks, lambda: None)()
        return replace(table, groups=groups, spots=spots)


@pytest.fixture
def platform() -> MemoryPlatform:
    found = MemoryPlatform()
    found.add_group("old", [("10.0.0.0/8", "6/22-22")], owner="test")
    found.add_group("new", [], owner="test")
    found.add_point("web", "10.0.0.1", ["g-1", "g-2"])
    return found


@contextmanager
def ports(folder: Path) -> Iterator[Ports]:
    world = World(folder)
    with world.state("run") as state:
        yield Ports(state.journal, state.lease, world.clock)


def moved_over(folder: Path, platform: MemoryPlatform, behind: Mapping[int, Callable[[], None]]) -> ApplyResult:
    """Give the machine its access by the new group, then take it from the old one."""
    adapter = NarrowReads(platform)
    adapter.behind = behind
    actual = platform.table("test")
    desired = actual.with_group(replace(actual.groups["g-1"], rules=frozenset()))
    desired = desired.with_group(replace(actual.groups["g-2"], rules=frozenset({NEW})))
    plan = plan_to(adapter, actual, desired, Method.JOIN)
    assert [phase.name for phase in plan.phases] == ["authorize", "revoke"]
    with ports(folder) as found:
        return apply(plan, adapter, actual, found, Options("run", settle_s=5.0))


def test_what_takes_over_is_still_there_before_the_old_goes(tmp_path: Path, platform: MemoryPlatform) -> None:
    assert moved_over(tmp_path, platform, {}).status is ApplyStatus.DONE
    assert platform.groups["g-2"].rules == {NEW}
    assert platform.groups["g-1"].rules == set()


def test_somebody_deletes_what_was_just_put_in_place_and_the_old_stays(tmp_path: Path, platform: MemoryPlatform) -> None:
    def delete() -> None:
        platform.groups["g-2"] = replace(platform.groups["g-2"], rules=frozenset())

    result = moved_over(tmp_path, platform, {2: delete})  # behind the look that confirms it
    assert result.status is ApplyStatus.MOVED
    assert "somebody changed what this run has written" in result.message
    point = PointId("mem/one/web")
    assert NarrowReads(platform).decode(platform.table("test"))[point].inbound == OLD.packets()
