"""The mails in a real browser, as a mail client would show them: on a phone, light and dark; nothing is cut, pale or loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cloudsync.report.letter import letter
from cloudsync.report.letter_html import html
from cloudsync.report.news import snapshot
from tests.browser.chromium import Browser
from tests.browser.test_pages_seen import CONTRAST, OUTSIDE
from tests.stories.samples import STORIES


@pytest.fixture(scope="session")
def mails(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The HTML part of a mail about every sample story, and a weekly summary."""
    folder = tmp_path_factory.mktemp("mails")
    found: dict[str, Path] = {}
    for name, make in (*STORIES.items(), ("week", STORIES["four-platforms"])):
        news = replace(snapshot(make()), digest=name == "week")
        found[name] = folder / f"{name}.html"
        found[name].write_text(html(letter(make(), news)), encoding="utf-8")
    return found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 900])
@pytest.mark.parametrize("name", [*STORIES, "week"])
def test_a_mail_fits_and_can_be_read(browser: Browser, mails: dict[str, Path], name: str, width: int, *, dark: bool) -> None:
    browser.open(mails[name], width=width, dark=dark)
    assert browser.ask(OUTSIDE) == []
    assert browser.ask(CONTRAST) == {}
    assert browser.complaints == []


def test_the_first_screen_of_a_phone_says_what_happened_and_what_to_do(browser: Browser, mails: dict[str, Path], tmp_path: Path) -> None:
    browser.open(mails["incident"], width=390, height=844)
    bottom = """(() => [...document.querySelectorAll("td")].find((one) => one.textContent.startsWith("close sg-0ab by hand"))
        .getBoundingClientRect().bottom)()"""
    assert browser.ask(bottom) < 844
    picture = tmp_path / "incident.png"
    browser.picture(picture)
    assert picture.stat().st_size > 20_000
