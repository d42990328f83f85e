"""A lab of four platforms for the tests that look for secrets, and servers that are not who they say they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.lab.kit.tls import Authority, authority
from tests.cli.four import Four, on_stage
from tests.security.stranger import Stranger


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Four]:
    """One lab for the tests of a module."""
    with on_stage(tmp_path_factory.mktemp("four")) as found:
        yield found


@pytest.fixture(scope="module")
def nobodys(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority that nobody was told to trust."""
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def stranger(nobodys: Authority) -> Iterator[Stranger]:
    """A server on loopback whose certificate is of that authority."""
    with Stranger(nobodys.server("stranger")) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of nobody: no credentials or settings of the machine are found."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder
