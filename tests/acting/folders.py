"""A `tmp_path` in memory where the machine allows it: thousands of durable commits, and no disk to wait for."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def private_folder() -> Path:
    """Make a private folder, in memory if possible."""
    shared = Path("/dev/shm")  # noqa: S108  (only as the parent of a folder with an unguessable name)
    parent = str(shared) if shared.is_dir() and shared.stat().st_mode & 0o2 else None
    return Path(tempfile.mkdtemp(prefix="cloudsync-test-", dir=parent))


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A private folder, in memory if possible."""
    folder = private_folder()
    yield folder
    shutil.rmtree(folder)
