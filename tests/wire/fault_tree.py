"""One life for many plans: where plans part, the process parts, so that what they have in common is lived once.

A process is forked at the very call that a fault strikes. The new one carries the fault, lives to its end and puts the files back as they
were; the old one has waited, and goes on as if nothing had happened: to the next fault of the same call, or to the next call. It is the
new one that reads and writes the files, for a process that closes a file loses all its locks on it, and the old one has a database open.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

PATIENCE_S = 120
"""What a process may take for its own part of a life; who takes longer hangs."""


@dataclass(frozen=True)
class Files:
    """The files of a folder as they are now."""

    folder: Path
    content: dict[Path, tuple[int, bytes]]
    """Each with the number of its inode."""

    @classmethod
    def of(cls, folder: Path) -> Files:
        """Read them all."""
        return cls(folder, {path: (path.stat().st_ino, path.read_bytes()) for path in folder.rglob("*") if path.is_file()})

    def put_back(self) -> None:
        """Let every file be as it was, and the same file: somebody has it open. AssertionError when one was replaced by another."""
        for path in self.folder.rglob("*"):
            if path.is_file() and path not in self.content:
                path.unlink()
        for path, (inode, content) in self.content.items():
            assert path.stat().st_ino == inode, f"{path} was replaced"
            with path.open("r+b") as file:
                file.write(content)
                file.truncate()


def part(take: Callable[[Any], None]) -> Connection | None:
    """Fork. The new process gets the line on which it has to send what it found; the old one waits, takes it, and gets None.

    `take` gets a text where the new process died or hung. Time that the old one waits does not count against it.
    """
    left, dice = signal.alarm(0), random.getstate()
    reading, writing = Pipe(duplex=False)
    child = os.fork()
    if child == 0:
        reading.close()
        random.setstate(dice)  # a fork throws them anew, and a plan has to be lived alike each time
        signal.alarm(PATIENCE_S)
        return writing
    writing.close()
    found: Any = f"the process died, or had not ended after {PATIENCE_S} s"
    with reading, suppress(EOFError):
        found = reading.recv()
    os.waitpid(child, 0)
    signal.alarm(left)
    take(found)
    return None
