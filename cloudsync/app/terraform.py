"""The state files of Terraform that the settings name: found, read whole or not at all, and turned into what a run needs of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from cloudsync.adapter import Discovery, Found, FoundInterface, ScopeState
from cloudsync.inventory.terraform import MAX_BYTES, PREFIX, Machine, TerraformState, by_address, read_state, too_big
from cloudsync.inventory.terraform_kinds import Owned
from cloudsync.model.errors import AdapterError
from cloudsync.model.finding import Finding, Severity, Where
from cloudsync.model.quick import dataclass
from cloudsync.settings import TerraformFiles

MOST_FILES = 1000
"""State files behind one entry."""


@dataclass(frozen=True, slots=True)
class Known:
    """What one entry of the settings came to."""

    files: TerraformFiles
    states: tuple[TerraformState, ...]


def read(root: Path, entries: Iterable[TerraformFiles], *, outside: bool = True) -> tuple[tuple[Known, ...], tuple[Finding, ...]]:
    """Read the files of every entry. An entry that names nothing is an error: a list that is not there protects nothing.

    Without `outside` the files outside the repository are left to `again`.
    """
    known: list[Known] = []
    findings: list[Finding] = []
    for one in entries:
        if one.outside and not outside:
            known.append(Known(one, ()))
            continue
        paths = _paths(root, one.pattern)
        if not paths:
            hint = "write it with `terraform state pull`, or take the entry out"
            findings.append(Finding(one.where, "STATE-MISSING", f"terraform state {one.name}: no file at {one.pattern}", hint))
        if len(paths) > MOST_FILES:
            findings.append(Finding(one.where, "TOO-BIG", f"more than {MOST_FILES} files at {one.pattern}", "is this the right folder?"))
        states: list[TerraformState] = []
        for path in paths[:MOST_FILES]:
            name = path.as_posix() if one.outside else path.relative_to(root).as_posix()
            content = _content(root, path, name, outside=one.outside)
            state, wrong = read_state(name, content) if isinstance(content, bytes) else (None, (content,))
            findings.extend(wrong)
            states += [state] if state is not None else []
        known.append(Known(one, tuple(states)))
    return tuple(known), tuple(findings)


def again(root: Path, known: Iterable[Known]) -> tuple[Known, ...]:
    """Return what is known with the files outside the repository as they are now.

    Raises AdapterError when they cannot be read: they are no version of the repository, and the next run may find them whole.
    """
    found: list[Known] = []
    for one in known:
        if not one.files.outside:
            found.append(one)
            continue
        fresh, findings = read(root, (one.files,))
        wrong = next((finding for finding in findings if finding.severity is Severity.ERROR), None)
        if wrong is not None:
            raise AdapterError(f"terraform state {one.files.name}", "read", str(wrong))
        found.extend(fresh)
    return tuple(found)


def carry(root: Path, folder: Path, entries: Iterable[TerraformFiles]) -> None:
    """Put the state files of today into a folder that holds an earlier commit, instead of those of then.

    What Terraform owns is a fact of today, whatever policy is gone back to. A file that cannot be read is left out: loading says so.
    """
    for one in entries:
        if one.outside:
            continue
        for path in _paths(folder, one.pattern):
            path.unlink()
        for path in _paths(root, one.pattern):
            content = _content(root, path, path.name, outside=False)
            if isinstance(content, bytes):
                copy = folder / path.relative_to(root)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(content)


def owned(known: Iterable[Known]) -> tuple[Owned, ...]:
    """Return everything that Terraform owns, ordered by address."""
    return by_address(state for one in known for state in one.states)


def discoveries(known: Iterable[Known], read_elsewhere: Iterable[tuple[str, str]]) -> tuple[Discovery, ...]:
    """Return the machines of every entry that asks for them, as discoveries called `terraform/<entry>`: no target has such a name.

    `read_elsewhere`: platforms with the accounts that targets read: there the platform itself says who is there. A machine without an
    address is nobody's peer, and is left out.
    """
    elsewhere = {(platform, account.lower()) for platform, account in read_elsewhere}
    found: list[Discovery] = []
    for one in known:
        if not one.files.workloads:
            continue
        scope = PREFIX + one.files.name
        machines = {machine.ref: machine for state in one.states for machine in state.machines}
        workloads = tuple(
            _workload(machine, scope)
            for ref, machine in sorted(machines.items())
            if machine.addresses and (machine.platform, machine.account.lower()) not in elsewhere
        )
        found.append(Discovery(scope, workloads, (ScopeState(scope),)))
    return tuple(found)


def _workload(machine: Machine, scope: str) -> Found:
    interface = FoundInterface("", "", machine.addresses, None, "known from Terraform alone: no target reads it")
    return Found(machine.ref, machine.name, machine.account, scope, machine.tags, (interface,))


def _paths(root: Path, pattern: str) -> list[Path]:
    """Return the files of a path or a glob, sorted."""
    base, inner = (Path("/"), pattern.lstrip("/")) if pattern.startswith("/") else (root, pattern)
    if not inner:
        return []
    if not any(mark in inner for mark in "*?["):
        return [base / inner] if (base / inner).exists() else []
    try:
        return sorted(path for path in base.glob(inner) if not path.is_dir())
    except (ValueError, NotImplementedError, OSError):
        return []


def _content(root: Path, path: Path, name: str, *, outside: bool) -> bytes | Finding:
    """Read one file, at most one byte over the limit; the same before and after, or it is a finding."""
    if not outside and not path.resolve().is_relative_to(root.resolve()):
        return Finding(Where(name), "OUTSIDE-ROOT", f"{name} leads outside the repository", "name the file itself by its whole path")
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        return Finding(Where(name), "UNREADABLE", error.strerror or "cannot be read", "cloudsync must be able to read it")
    with os.fdopen(handle, "rb") as file:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            return Finding(Where(name), "UNREADABLE", "not a regular file")
        if before.st_size > MAX_BYTES:
            return too_big(name)
        content = file.read(MAX_BYTES + 1)
        after = os.fstat(handle)
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size) or len(content) != after.st_size:
        return Finding(Where(name), "TORN-READ", "it changed while it was read", "run again")
    return content
