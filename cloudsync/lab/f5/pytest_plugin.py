"""For tests: a pair per session, emptied before each test.

Use it from a `conftest.py` or a test with `from cloudsync.lab.f5.pytest_plugin import f5_site, f5_site_server`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .site import Site


@pytest.fixture(scope="session")
def f5_site_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One pair for the whole session, in this process."""
    site = Site(tmp_path_factory.mktemp("f5"))
    site.start()
    try:
        yield site
    finally:
        site.stop()


@pytest.fixture
def f5_site(f5_site_server: Site) -> Site:
    """The session's pair, empty, in step and without faults; serial numbers and tokens are the same in every run."""
    f5_site_server.reset("empty", 1)
    return f5_site_server
