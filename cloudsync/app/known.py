"""The world that policy tests are evaluated in: the static inventory with what the last runs verified, or what is there now."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cloudsync import run
from cloudsync.app import ledger, memory, session
from cloudsync.app.repository import Loaded, load
from cloudsync.clock import SystemClock
from cloudsync.inventory.merge import build as build_inventory
from cloudsync.inventory.values import Inventory
from cloudsync.model.errors import PolicyError
from cloudsync.model.quick import dataclass
from cloudsync.plan.build import Before
from cloudsync.policy.values import Policy


def world_for_tests(root: Path, *, offline: bool) -> tuple[Policy, run.World, str]:
    """Return the policy, a compiled world, and in words where its inventory comes from.

    What earlier runs verified is taken; before the first run the platforms are read, unless `offline` or they cannot be.
    """
    loaded = load(root)
    known = known_world(loaded)
    if offline or known.verified or not loaded.settings.targets:
        return loaded.policy, known.scene, known.source
    with session.start(root, (), verb="test") as opened:
        found = opened.plan("test")
    why = next((report.error for report in found.report.targets if report.error), "")
    if why:
        return loaded.policy, known.scene, f"{known.source}; the platforms could not be read: {why}"
    return loaded.policy, found.scene, "static inventory and the platforms, read just now"


@dataclass(frozen=True, slots=True)
class Known:
    """A world made without contacting anything. `verified` tells whether any run has verified an inventory."""

    scene: run.World
    source: str
    verified: bool


def known_world(loaded: Loaded) -> Known:
    """Return the compiled world of the static inventory and of what the last runs verified."""
    root = loaded.root
    clock = SystemClock()
    static = build_inventory([], loaded.static, loaded.settings.rules, loaded.policy, loaded.settings.targets)
    known, age = None, ""
    with ledger.looked_at(root, loaded.settings) as state:
        if state is not None:
            known = memory.recall(state.records, loaded.settings.targets)
            newest = max((one.at for one in state.records.verified()), default=0.0)
            age = datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%dT%H:%MZ") if newest else ""
    found = joined(static, known)
    if not found.usable:
        raise PolicyError(found.findings)
    source = f"static inventory and the one verified {age}" if age else "static inventory only: no run has verified another one yet"
    return Known(run.world(loaded.policy, found, clock.now(), Before()), source, bool(age))


def joined(static: Inventory, known: Inventory | None) -> Inventory:
    """Return the static inventory with everything the last runs verified on the platforms."""
    if known is None:
        return static
    names = {one.name for one in known.workloads if one.target}
    mine = [one for one in static.workloads if one.name not in names]
    workloads = sorted([*mine, *(one for one in memory.live(known).workloads if one.target)], key=lambda one: one.id)
    return Inventory(tuple(workloads), (*static.scopes, *known.scopes), (), static.warnings, static.findings)
