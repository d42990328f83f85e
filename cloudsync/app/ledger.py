"""The state as people look at it and answer it: approvals, holds, history, audit.

Only the settings are needed for that, so a broken policy is no hindrance.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloudsync import registry, sources
from cloudsync.clock import SystemClock, check_clock
from cloudsync.model.errors import InputError
from cloudsync.model.finding import Severity
from cloudsync.settings import Settings, load_settings
from cloudsync.settings.secret import reveal
from cloudsync.store.place import DEFAULT, Place, locate, on_server
from cloudsync.store.state import State


def read_settings(root: Path) -> Settings:
    """Return the settings of a repository. Raises InputError with every finding."""
    content, findings = sources.read_settings(root)
    settings = None
    if content is not None:
        settings, findings = load_settings(content, registry.options_schema)
    if settings is None or any(one.severity is Severity.ERROR for one in findings):
        raise InputError(findings)
    return settings


def where(root: Path, settings: Settings) -> Place:
    """Return where the state is, whether or not it is there. Raises SettingsError, also when the password cannot be read."""
    url = settings.state or DEFAULT
    password = reveal(settings.state_password, root, settings.where) if on_server(url) else ""
    return locate(url, root, settings.where, password=password)


@contextmanager
def opened(root: Path, settings: Settings) -> Iterator[State]:
    """Open the state to leave a note in it; it is made when it is not there. Raises RefusedError (PRE-*) or BusyError."""
    clock = SystemClock()
    check_clock(clock.now())
    with State(where(root, settings), clock) as state:
        yield state


@contextmanager
def looked_at(root: Path, settings: Settings) -> Iterator[State | None]:
    """Open the state to look at it; None, and nothing is made, when no run has left one."""
    path = where(root, settings)
    if not path.exists():
        yield None
        return
    with opened(root, settings) as state:
        yield state
