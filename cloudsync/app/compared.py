"""Two sides of `cloudsync diff`: versions of the policy over one inventory, or what two targets really enforce."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cloudsync import run
from cloudsync.adapter import Whose
from cloudsync.app import ledger, rollback
from cloudsync.app.repository import Loaded, known, load, policy_name
from cloudsync.app.session import Found, Progress, Seen, Session, Start, begin, start
from cloudsync.compile.universe import Universe
from cloudsync.model.errors import AdapterError, InputError
from cloudsync.model.finding import Finding
from cloudsync.model.quick import dataclass
from cloudsync.proof.sides import Held, Likeness, Shift, likeness, shifts

FOLDER = "."
"""The side that stands for the files as they are."""
TARGET = "@"
"""What a side begins with that stands for what a target really enforces."""


@dataclass(frozen=True, slots=True)
class Versions:
    """Two versions of the policy and what changes from the first to the second. `unread`: targets whose workloads are only remembered."""

    first: str
    second: str
    workloads: int
    shifts: tuple[Shift, ...]
    remembered: bool
    unread: tuple[str, ...] = ()


def versions(root: Path, sides: tuple[str, str], *, offline: bool, progress: Progress) -> Versions:
    """Compare two versions of the policy over the workloads there are. Raises InputError for a side that is none."""
    loaded = [load(root) if side == FOLDER else rollback.find(root, side).loaded for side in sides]
    words = [policy_name(known(one)) for one in loaded]
    with _session(root, loaded[1], offline=offline, progress=progress) as session:
        seen = _seen(session, offline=offline)
        other = replace_session(session, loaded[0]).see(seen.readings)
        if offline:
            other, seen = _once(other), _once(seen)
    unread = tuple(one.target.name for one in seen.readings if one.snapshot is None)
    found = shifts(other.scene.compiler, seen.scene.compiler)
    return Versions(words[0], words[1], len(seen.inventory.workloads), found, offline, unread)


@contextmanager
def _session(root: Path, loaded: Loaded, *, offline: bool, progress: Progress) -> Iterator[Session]:
    """Open a run that looks. Offline there has to be something to remember."""
    if offline:
        with ledger.looked_at(root, loaded.settings) as state:
            if state is None or not state.records.verified():
                message = "there is no good run yet to remember workloads from"
                raise InputError([Finding(rollback.COMMAND_LINE, "NOTHING-REMEMBERED", message, "leave --offline out, or apply once")])
    with begin(root, (), Start("diff", progress=progress, loaded=loaded)) as session:
        yield session


def _seen(session: Session, *, offline: bool) -> Seen:
    if not offline:
        return session.look()
    session.targets = ()
    return session.see(())


def replace_session(session: Session, loaded: Loaded) -> Session:
    """Return a session that asks another version of the policy with the same state and the same targets."""
    return replace(session, loaded=loaded)


def _once(seen: Seen) -> Seen:
    """Leave out entries of files that only give labels to a machine that is remembered: they would count twice."""
    machines = {one.name for one in seen.inventory.workloads if one.target}
    kept = tuple(one for one in seen.inventory.workloads if one.target or one.name not in machines)
    if len(kept) == len(seen.inventory.workloads):
        return seen
    inventory = replace(seen.inventory, workloads=kept)
    scene = run.world(seen.scene.policy, inventory, seen.now, seen.scene.before)
    return replace(seen, inventory=inventory, scene=scene)


@dataclass(frozen=True, slots=True)
class Platforms:
    """Two targets compared, with the universe in whose words they are told."""

    likeness: Likeness
    universe: Universe


def platforms(root: Path, sides: tuple[str, str], progress: Progress) -> Platforms:
    """Compare what two targets really let through. Raises AdapterError when one could not be read whole, InputError for no target."""
    names = [side.removeprefix(TARGET) for side in sides]
    with start(root, names, verb="diff", progress=progress) as session:
        seen = session.look()
    first, second = (_held(seen, name) for name in names)
    return Platforms(likeness(seen.scene.compiler.universe, seen.scene.owners, first, second), seen.scene.compiler.universe)


def _held(seen: Seen, name: str) -> Held:
    reading = next(one for one in seen.readings if one.target.name == name)
    if reading.snapshot is None or reading.adapter is None:
        raise AdapterError(name, "read", reading.error or "not read")
    partial = next((scope for scope in reading.snapshot.scopes if not scope.complete), None)
    if partial is not None:
        raise AdapterError(name, "read", f"{partial.scope} was not read whole: {partial.why}")
    return Held(name, reading.adapter.decode(reading.snapshot.table, Whose.ALL))


def reality(root: Path, version: str, target: str, progress: Progress) -> Found:
    """Compare a version of the policy with what a target really enforces: drift, as `drift` finds it."""
    loaded = None if version == FOLDER else rollback.find(root, version).loaded
    with begin(root, (target.removeprefix(TARGET),), Start("drift", progress=progress, loaded=loaded)) as session:
        return session.plan("drift")
