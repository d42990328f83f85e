"""One browser for the session, and the pages as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.report.html import map_page, page
from tests.browser.chromium import Browser, program, running
from tests.stories.samples import STORIES, four_platforms


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser without any network; tests that want it skip where there is none."""
    if program() is None:
        pytest.skip("no chromium here: the pages cannot be looked at")
    with running(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every sample story as a file."""
    folder = tmp_path_factory.mktemp("pages")
    found: dict[str, Path] = {}
    for name, make in STORIES.items():
        found[name] = folder / f"{name}.html"
        found[name].write_text(page(make()), encoding="utf-8")
    found["map"] = folder / "map.html"
    found["map"].write_text(map_page(four_platforms()), encoding="utf-8")
    return found
