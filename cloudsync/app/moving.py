"""`state copy`: which state goes where, by the settings and by the command line."""

from __future__ import annotations

from pathlib import Path

from cloudsync.app import ledger
from cloudsync.clock import SystemClock, check_clock
from cloudsync.model.finding import Where
from cloudsync.settings import Settings
from cloudsync.settings.secret import reveal
from cloudsync.settings.values import SecretReference
from cloudsync.store.place import DEFAULT, Place, locate, on_server
from cloudsync.store.transfer import Copied, transfer

HERE = Where("command line")


def copy(root: Path, source: str, destination: str, reference: str = "") -> tuple[Place, Place, Copied]:
    """Copy a state; return from where, to where, and what. Raises InputError, or what `transfer` raises.

    `source`, `destination`: URLs as `state:` has them, empty for that of the settings. `reference`: where the password of a server is that
    the settings do not name, as `env:NAME`.
    """
    settings = ledger.read_settings(root)
    clock = SystemClock()
    check_clock(clock.now())
    one, two = _place(root, settings, source, reference), _place(root, settings, destination, reference)
    return one, two, transfer(one, two, clock, f"copy-{int(clock.now()):x}")


def _place(root: Path, settings: Settings, url: str, reference: str) -> Place:
    if url in ("", settings.state or DEFAULT):
        return ledger.where(root, settings)
    kind, _, name = reference.partition(":")
    found = reveal(SecretReference(kind, name, HERE), root, HERE) if reference and on_server(url) else ""
    return locate(url, root, HERE, password=found)
