"""The world as far as it is known without contacting anything: the static inventory and what the last runs verified."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cloudsync import run
from cloudsync.app import memory
from cloudsync.app.repository import load
from cloudsync.clock import SystemClock
from cloudsync.inventory.merge import build as build_inventory
from cloudsync.inventory.values import Inventory
from cloudsync.model.errors import PolicyError
from cloudsync.plan.build import Before
from cloudsync.policy.values import Policy
from cloudsync.store.state import DEFAULT, State, state_path


def known_world(root: Path) -> tuple[Policy, run.World, str]:
    """Return the policy, the compiled world of the known inventory, and in words where that inventory comes from."""
    loaded = load(root)
    clock = SystemClock()
    static = build_inventory([], loaded.static, loaded.settings.rules, loaded.policy, loaded.settings.targets)
    path = state_path(loaded.settings.state or DEFAULT, root, loaded.settings.where)
    known, age = None, ""
    if path.exists():
        with State(path, clock) as state:
            known = memory.recall(state.records, loaded.settings.targets)
            newest = max((one.at for one in state.records.verified()), default=0.0)
            age = datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%dT%H:%MZ") if newest else ""
    found = joined(static, known)
    if not found.usable:
        raise PolicyError(found.findings)
    source = f"static inventory and the one verified {age}" if age else "static inventory only: no run has verified another one yet"
    return loaded.policy, run.world(loaded.policy, found, clock.now(), Before()), source


def joined(static: Inventory, known: Inventory | None) -> Inventory:
    """Return the static inventory with everything the last runs verified on the platforms."""
    if known is None:
        return static
    names = {one.name for one in known.workloads if one.target}
    mine = [one for one in static.workloads if one.name not in names]
    workloads = sorted([*mine, *(one for one in memory.live(known).workloads if one.target)], key=lambda one: one.id)
    return Inventory(tuple(workloads), (*static.scopes, *known.scopes), (), static.warnings, static.findings)
