"""The state directory: private to us, held by one run at a time."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from socket import gethostname

from cloudsync.model.errors import BusyError, RefusedError


def make_private(path: Path) -> None:
    """Create the directory and the file of a path if they are missing, 0700 and 0600, durably; refuse wider or foreign ones (PRE-MODE)."""
    directory = path.parent
    try:
        if not directory.exists():
            directory.mkdir(mode=0o700, parents=True)
            sync_directory(directory.parent)
        _refuse_open(directory, 0o700)
        if not path.exists() and not path.is_symlink():
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            sync_directory(directory)
    except OSError as error:
        raise RefusedError("PRE-JOURNAL", f"{error.filename or directory}: {error.strerror}", "state has to be writable") from error
    _refuse_open(path, 0o600)


def _refuse_open(path: Path, want: int) -> None:
    found = path.lstat()
    directory = want == 0o700
    if not (stat.S_ISDIR(found.st_mode) if directory else stat.S_ISREG(found.st_mode)):
        raise RefusedError("PRE-MODE", f"{path} is no ordinary {'directory' if directory else 'file'}")
    mode = stat.S_IMODE(found.st_mode)
    if mode & ~want:
        raise RefusedError("PRE-MODE", f"{path}: mode {mode:04o}, want {want:04o}", f"chmod {want:o} {path}")
    if found.st_uid != os.geteuid():
        raise RefusedError("PRE-MODE", f"{path} belongs to uid {found.st_uid}, we are {os.geteuid()}", "run as its owner")


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class DirectoryLock:
    """One run per state directory, by `flock`: the kernel drops it when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def acquire(self, now: float) -> None:
        """Take the lock or raise BusyError with its holder. `now` (UTC seconds) is written down for whoever finds it taken."""
        make_private(self.path)
        handle = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(os.pread(handle, 4096, 0))
            os.close(handle)
            raise BusyError("PRE-LOCK", f"another run holds {self.path}: {holder}", "wait for it, or end that process") from error
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps({"pid": os.getpid(), "host": gethostname(), "since": now}).encode(), 0)
        except OSError as error:
            os.close(handle)  # an open handle holds the lock: a daemon would wait for itself
            raise RefusedError("PRE-JOURNAL", f"{self.path}: {error.strerror}", "state has to be writable") from error
        self._handle = handle

    def lost(self) -> str:
        """Return why the lock is not ours any more; empty while it is."""
        if self._handle is None:
            return "the lock was released"
        try:
            ours, there = os.fstat(self._handle), self.path.stat()
        except OSError:
            return "the lock file is gone"
        return "" if (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino) else "the lock file was replaced"

    def release(self) -> None:
        """Give the lock back."""
        if self._handle is not None:
            with suppress(OSError):
                os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None


def _holder(text: bytes) -> str:
    try:
        found = json.loads(text)
        return f"pid {int(found['pid'])} on {found['host']}"
    except (ValueError, KeyError, TypeError):
        return "an unknown process"
