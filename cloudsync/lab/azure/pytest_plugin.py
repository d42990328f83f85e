"""For tests: one Azure per session, in this process, emptied before each test.

Use it from a `conftest.py` or a test file with `from cloudsync.lab.azure.pytest_plugin import azure_site, azure_site_started`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .site import Site


@pytest.fixture(scope="session")
def azure_site_started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The servers of one Azure."""
    folder: Path = tmp_path_factory.mktemp("azure-lab")
    site = Site(folder)
    site.start()
    yield site
    site.stop()


@pytest.fixture
def azure_site(azure_site_started: Site) -> Site:
    """The session's Azure: empty, without faults, every switch at its default; ids are the same in every run."""
    azure_site_started.reset("empty", 1)
    return azure_site_started
