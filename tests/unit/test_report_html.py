"""The HTML report: one file that loads nothing, keeps its shape whatever names come in, and says everything that it has to."""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from cloudsync.model.inert import inert
from cloudsync.report.html import map_page, page
from cloudsync.report.story import State, Story
from tests.stories.enemy import FRIENDLY, HOSTILE, spoken
from tests.stories.samples import STORIES, four_platforms, hostile, incident, quiet

EMPTY = frozenset({"meta", "link", "input", "br", "img"})
LOADING = frozenset({"src", "srcset", "data", "poster", "action", "formaction", "background", "xlink:href", "cite", "ping", "manifest"})


@dataclass
class Read(HTMLParser):
    """What a reader of HTML makes of a page."""

    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    script: str = ""
    style: str = ""
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if len({name for name, _ in attrs}) != len(attrs):
            self.wrong.append(f"an attribute twice in <{tag}>")
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.wrong.append(f"</{tag}> at {self.getpos()} closes nothing")

    def handle_data(self, data: str) -> None:
        match self._open[-1] if self._open else "":
            case "script":
                self.script += data
            case "style":
                self.style += data
            case _:
                self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.wrong.append(f"a comment: {data}")

    @property
    def text(self) -> str:
        """All that a person reads, spaces as one."""
        return re.sub(r"\s+", " ", "".join(self.texts))

    @property
    def shape(self) -> Counter[tuple[str, ...]]:
        """How often which element stands there with which attributes."""
        return Counter((tag, *sorted(attributes)) for tag, attributes in self.tags)

    def values(self, name: str) -> list[str]:
        """Every value of an attribute."""
        return [attributes[name] for _, attributes in self.tags if name in attributes]


def read(text: str) -> Read:
    found = Read()
    found.feed(text)
    found.close()
    return found


MAPS = {"map": four_platforms, "map of an enemy": hostile}
every_page = pytest.mark.parametrize("name", [*STORIES, *MAPS])


@cache
def written(name: str) -> str:
    return map_page(MAPS[name]()) if name in MAPS else page(STORIES[name]())


@every_page
def test_a_page_is_well_formed_and_its_links_lead_somewhere(name: str) -> None:
    found = read(written(name))
    assert not found.wrong
    assert not found._open, found._open
    ids = found.values("id")
    assert len(set(ids)) == len(ids)
    for link in found.values("href"):
        assert link.startswith("#")
        assert link[1:] in ids, link
    for shown in found.values("data-show"):
        assert set(shown.split()) <= set(ids)
    for labelled in found.values("aria-labelledby"):
        assert labelled in ids
    assert [tag for tag, _ in found.tags].count("h1") == 1


@every_page
def test_a_page_loads_nothing_and_forbids_itself_to(name: str) -> None:
    found = read(written(name))
    assert not {attribute for _, attributes in found.tags for attribute in attributes if attribute in LOADING or attribute.startswith("on")}
    assert not found.values("style")
    assert not {"iframe", "object", "embed", "img", "link", "base", "form", "audio", "video", "frame"} & {tag for tag, _ in found.tags}
    assert "url(" not in found.style
    assert "@import" not in found.style
    assert not re.search(r"fetch|XMLHttpRequest|import\(|WebSocket|innerHTML|eval|document\.write", found.script)
    assert [tag for tag, _ in found.tags].count("script") == 1
    assert [tag for tag, _ in found.tags].count("style") == 1
    [policy] = [attributes["content"] for _, attributes in found.tags if attributes.get("http-equiv") == "Content-Security-Policy"]
    for what, text in (("script-src", found.script), ("style-src", found.style)):
        assert f"{what} 'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none';")


@pytest.mark.parametrize("make", [page, map_page])
def test_no_name_changes_the_shape_of_a_page(make: object) -> None:
    assert callable(make)
    friendly = read(make(spoken(incident(), FRIENDLY)))
    enemy = read(make(spoken(incident(), HOSTILE)))
    assert enemy.shape == friendly.shape
    assert (enemy.script, enemy.style) == (friendly.script, friendly.style)


def test_every_hostile_name_is_there_to_be_read_and_inert() -> None:
    text = page(hostile())
    found = read(text)
    for name in HOSTILE:
        assert re.sub(r"\s+", " ", inert(name)) in found.text, name
    harmful = {char for char in text if inert(char, keep="\n") != char}
    assert not harmful, harmful


def test_the_order_of_a_name_stays_inside_it() -> None:
    """Letters of scripts that run from right to left are no attack, but must not carry away what stands beside them."""
    found = read(page(spoken(incident(), ("\u05e9\u05dc\u05d5\u05dd-1",) * len(HOSTILE))))
    assert found.shape["bdi",] > 100


def test_the_first_screen_says_what_happened_where_and_what_to_do() -> None:
    text = read(page(incident())).text
    order = (
        *("1 put back by this run · 1 target refused", "tcp/22 from anywhere but 1 address", "refused G-MGMT", "last good run 2 hours ago"),
        *("What needs somebody", "close sg-0ab by hand", "cloudsync approve 7c1e0f", "What cloudsync did", "As a list", "What runs opened"),
        *("2026-02-03 to 2026-03-02", "What this report does not vouch for"),
    )
    at = [text.index(words) for words in order]
    assert at == sorted(at), text
    assert text.index("1 critical and 1 medium findings open") < at[0]
    for told in (
        "arn:aws:iam::111122223333:user/jdoe",
        "accepted until 2026-03-14 08:20 UTC by dba",
        "came back 5 times",
        "was there for 1 day until",
    ):
        assert told in text
    for gap in ("credentials expired 2 h ago", "managed NAT gateway", "looser, accepted", "only watched (mode visibility)"):
        assert gap in text


def test_a_quiet_page_says_so_and_claims_no_more() -> None:
    text = read(page(quiet())).text
    assert "Enforced = policy on the target" in text
    assert "Nothing differs from the policy." in text
    assert "What needs somebody" not in text
    partly = replace(quiet(), unchecked=incident().unchecked)
    assert "Nothing is known to be open in what was read" in read(page(partly)).text
    assert "in what was read" in read(page(partly)).text
    assert "Enforced = policy" not in read(page(partly)).text


def test_every_finding_is_one_row_with_what_it_is_sorted_and_filtered_by() -> None:
    found = read(page(four_platforms()))
    rows = [attributes for tag, attributes in found.tags if tag == "tr" and "data-severity" in attributes]
    findings = four_platforms().findings
    assert [row["data-target"] for row in rows] == [one.target for one in findings]
    assert [row["data-state"] for row in rows] == [one.state.value for one in findings]
    assert "role=db" in found.values("value")


def test_the_matrix_has_a_square_for_each_pair_and_a_reason_for_each_square() -> None:
    found = read(map_page(four_platforms()))
    matrix = four_platforms().matrix
    assert matrix is not None
    squares = [attributes for tag, attributes in found.tags if tag == "a" and "data-show" in attributes]
    assert len(squares) == len(matrix.cells)
    assert "nobody" not in [one["title"] for one in squares]
    classes = Counter(word for tag, attributes in found.tags if tag == "td" for word in attributes.get("class", "").split())
    assert {"allowed", "open", "foreign", "cut", "also"} <= set(classes)
    members = sum(len(group.members) for group in matrix.groups)
    assert found.text.count("ordering-db-p01") == 1
    report = four_platforms().report
    assert report is not None
    assert members == report.workloads == 400


def test_an_unread_state_is_never_green() -> None:
    story = four_platforms()
    found = read(page(story))
    cards = [
        attributes.get("class") for tag, attributes in found.tags if tag == "li" and attributes.get("class") in ("good", "warn", "bad")
    ]
    assert cards == ["good", "warn", "bad", "bad"]


def test_without_a_matrix_and_without_history_the_page_still_stands() -> None:
    bare: Story = replace(incident(), report=None, matrix=None, trend=(), history=(), targets=(), inexact=())
    found = read(page(bare))
    assert not found.wrong
    assert "There is no history yet" in found.text
    assert "No run has changed anything that is on record" in found.text
    assert "matrix" not in found.values("id")


def test_what_is_resolved_or_accepted_does_not_shout() -> None:
    story = incident()
    calm = replace(story, findings=tuple(one for one in story.findings if one.state in (State.RESOLVED, State.ACKNOWLEDGED)), troubles=())
    text = read(page(calm)).text
    assert "Nothing is known to be open in what was read" in text
    assert "1 acknowledged, 1 resolved" in text
