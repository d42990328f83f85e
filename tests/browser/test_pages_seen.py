"""The report in a real browser: on a phone and on a desk, light, dark and on paper, by mouse and by keyboard, with and without scripts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cloudsync.report.story import State
from tests.browser.chromium import Browser
from tests.stories.samples import STORIES, four_platforms, incident

PHONE, SMALL_PHONE, DESK = 390, 320, 1360
NAMES = (*STORIES, "map")

# The contrast of every text with what is behind it (WCAG 2.2, 1.4.3): 4.5, or 3 for large text.
CONTRAST = """(() => {
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; })
    .reduce((sum, v, at) => sum + v * [.2126, .7152, .0722][at], 0);
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + .05) / (y + .05); };
  const grounds = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const style = getComputedStyle(one);
      const colours = style.backgroundImage.match(/rgba?\\([^)]*\\)/g);
      if (colours) return colours.map(numbers);
      const plain = numbers(style.backgroundColor);
      if (plain.length < 4 || plain[3] > 0) return [plain];
    }
    return [[255, 255, 255]];
  };
  const seen = new Map();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !node.checkVisibility() || node.closest("script, style, svg, option, datalist")) continue;
    const style = getComputedStyle(node);
    const size = parseFloat(style.fontSize);
    const wanted = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    const found = Math.min(...grounds(node).map((ground) => ratio(numbers(style.color), ground)));
    const words = walk.currentNode.data.trim().slice(0, 30);
    if (found < wanted) seen.set(`${node.tagName}.${node.className} ${style.color}`, `${found.toFixed(2)} ${words}`);
  }
  return Object.fromEntries(seen);
})()"""
OUTSIDE = """(() => {
  const wide = document.documentElement.clientWidth;
  return [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility() && !one.closest(".wide, nav, .skip, datalist"))
    .filter((one) => one.getBoundingClientRect().right > wide + 1 || one.getBoundingClientRect().left < -1)
    .slice(0, 5).map((one) => one.outerHTML.slice(0, 120));
})()"""


def test_the_measures_can_fail(browser: Browser, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<body style='background:#fff'><p style='color:#999;width:9999px'>pale and wide</p><script>nothing()</script><img src=http://192.0.2.1/x>"
    )
    browser.open(bad, width=PHONE)
    assert browser.ask(CONTRAST)
    assert browser.ask(OUTSIDE)
    complaints = " ".join(browser.complaints)
    assert "thrown" in complaints
    assert "request: http://192.0.2.1/x" in complaints


@pytest.mark.parametrize("width", [SMALL_PHONE, PHONE, DESK])
@pytest.mark.parametrize("name", NAMES)
def test_a_page_fits_its_window_and_nothing_complains(browser: Browser, pages: dict[str, Path], name: str, width: int) -> None:
    browser.open(pages[name], width=width)
    assert browser.ask("document.documentElement.scrollWidth") <= browser.ask("document.documentElement.clientWidth")
    assert browser.ask(OUTSIDE) == []
    browser.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert browser.ask("document.documentElement.scrollWidth") <= browser.ask("document.documentElement.clientWidth")
    assert browser.complaints == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_every_text_can_be_read_in_light_and_in_dark(browser: Browser, pages: dict[str, Path], name: str, dark: bool) -> None:
    browser.open(pages[name], width=DESK, dark=dark)
    browser.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    ground = browser.ask("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) < 200) is dark
    assert browser.ask(CONTRAST) == {}


def test_hostile_names_run_nothing(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["hostile"], width=DESK)
    assert browser.complaints == []
    assert browser.ask("document.querySelectorAll('img, iframe, object, form').length") == 0
    assert browser.ask("document.scripts.length") == 1
    # Even markup that came through would find the page's own policy in its way.
    browser.ask("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\"><p style=\"color: red\">x</p>')")
    browser.ask("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert browser.ask("window.ran") is None
    assert browser.ask("getComputedStyle(document.body.lastElementChild).color") != "rgb(255, 0, 0)"
    assert any("Content Security Policy" in one for one in browser.complaints)


def shown(browser: Browser) -> list[str]:
    """Return the severities of the rows that are visible, in order."""
    found: Any = browser.ask(
        "[...document.querySelectorAll('.findings tbody tr')].filter((r) => r.checkVisibility()).map((r) => r.dataset.severity)"
    )
    assert isinstance(found, list)
    return found


def sift(browser: Browser, control: str, value: str) -> None:
    """Type into a control of the filter, or choose in it."""
    browser.ask(f"""(() => {{
        const one = document.querySelector({json.dumps(control)});
        one.value = {json.dumps(value)};
        one.dispatchEvent(new Event("input", {{ bubbles: true }}));
    }})()""")


def test_findings_are_sorted_and_sifted(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["four-platforms"], width=DESK)
    start = [one.severity.value for one in four_platforms().findings]
    assert shown(browser) == start
    browser.ask("document.querySelector('.findings th button').click()")
    assert shown(browser) == start
    browser.ask("document.querySelector('.findings th button').click()")
    assert shown(browser) == start[::-1]
    assert browser.ask("document.querySelector('.findings th').getAttribute('aria-sort')") == "descending"
    sift(browser, "[type=search]", "role=DB ordering")
    assert shown(browser) == ["critical"]
    assert browser.ask("document.getElementById('told').textContent") == "1 of 5 shown"
    sift(browser, "[type=search]", "")
    sift(browser, "select[name=target]", "gcp-prod")
    assert sorted(shown(browser)) == ["high", "medium"]
    assert browser.complaints == []


def test_the_matrix_answers_to_the_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["incident"], width=DESK)
    browser.key("Tab")
    assert browser.ask("document.activeElement.className") == "skip"
    browser.ask("document.querySelector('.square td.open a').focus()")
    browser.key("Enter")
    assert browser.ask("document.querySelector('.chosen').checkVisibility()")
    said = browser.ask("document.querySelector('.chosen').textContent")
    assert "tcp/22" in said
    assert "open, but not in the policy" in said
    browser.key("Escape")
    assert not browser.ask("document.querySelector('.chosen').checkVisibility()")


def test_a_link_opens_what_it_leads_to(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["four-platforms"], width=DESK)
    browser.ask("document.querySelectorAll('.rest .to')[3].id && (location.hash = document.querySelectorAll('.rest .to')[3].id)")
    browser.ask("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert browser.ask("document.querySelectorAll('.rest .to')[3].open && document.querySelector('.rest').open")


def test_the_page_works_without_scripts(browser: Browser, pages: dict[str, Path]) -> None:
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(pages["incident"], width=DESK)
        browser.send("Emulation.setScriptExecutionDisabled", value=False)
        assert not browser.ask("document.documentElement.classList.contains('scripted')")
        assert not browser.ask("document.querySelector('.tools').checkVisibility()")
        assert len(shown(browser)) == sum(one.state is not State.RESOLVED for one in incident().findings)
        assert browser.ask("document.querySelector('.square').checkVisibility()")
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)


def test_a_phone_gets_the_list_and_a_desk_the_square(browser: Browser, pages: dict[str, Path]) -> None:
    for width, square in ((PHONE, False), (DESK, True)):
        browser.open(pages["four-platforms"], width=width)
        assert browser.ask("document.querySelector('.square').checkVisibility()") is square
        assert browser.ask("document.querySelector('.to').checkVisibility()")


@pytest.mark.parametrize("name", NAMES)
def test_a_page_prints_on_few_sheets_dark_or_not(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name], width=DESK, dark=True)
    printed = browser.pdf()
    assert printed.startswith(b"%PDF-")
    sheets = len(re.findall(rb"/Type\s*/Page\b", printed))
    assert 1 <= sheets <= {"quiet": 4, "incident": 8, "four-platforms": 12, "map": 5}.get(name, 60)
    browser.media("print", dark=True)
    assert browser.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.ask("['nav', '.tools', '.chosen'].every((one) => !document.querySelector(one)?.checkVisibility())")
    assert browser.complaints == []


def test_pictures_are_left_for_people(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    """A picture of two pages is made; run with `--basetemp=DIR` to keep and look at them."""
    for name in ("incident", "four-platforms"):
        for width, dark in ((PHONE, False), (DESK, False), (DESK, True)):
            browser.open(pages[name], width=width, dark=dark)
            path = tmp_path / f"{name}-{width}{'-dark' if dark else ''}.png"
            browser.picture(path, whole=False)
            assert path.read_bytes().startswith(b"\x89PNG")
            assert path.stat().st_size > 10_000
