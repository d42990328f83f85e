"""Files written whole or not at all, through a name that nobody can guess. What cannot be written is the user's to mend: CANNOT-WRITE."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cloudsync.model.errors import InputError
from cloudsync.model.finding import Finding, Where


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the system's no into a finding at `path`. Raises InputError."""
    try:
        yield
    except OSError as error:
        raise InputError([_cannot(path, error.strerror or str(error))]) from error


def check_writable(path: Path) -> None:
    """Raise InputError when a file could not be written there: asked before a run contacts anything."""
    folder = path.parent
    if path.is_dir():
        raise InputError([_cannot(path, "it is a folder")])
    if not folder.is_dir():
        raise InputError([_cannot(path, f"there is no folder {folder}")])
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError([_cannot(path, f"no right to write in {folder}")])


def write_whole(path: Path, content: bytes, mode: int) -> None:
    """Replace a file so that a crash leaves the old or the new one, never half of it. Raises InputError."""
    import tempfile

    with writing(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        new = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            new.chmod(mode)
            new.replace(path)
        except BaseException:
            with suppress(OSError):
                new.unlink()
            raise


def _cannot(path: Path, why: str) -> Finding:
    return Finding(Where(str(path)), "CANNOT-WRITE", f"cannot be written: {why}", "name another place")
