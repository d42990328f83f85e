"""Stories as Markdown, CSV, JSON and terminal text: whatever names come in, nothing of them works, and nothing gets lost."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudsync.model.inert import inert
from cloudsync.report.csv import COLUMNS, FORMULA, cell, table
from cloudsync.report.headline import Tone, headline
from cloudsync.report.markdown import code, markdown
from cloudsync.report.moments import lasted
from cloudsync.report.story import Deed, State, Story, TargetState
from cloudsync.report.story_document import matrix_document, story_document
from cloudsync.report.told import text
from tests.cli.shell import closed_schema
from tests.stories.enemy import FRIENDLY, HOSTILE, spoken
from tests.stories.estate import NOW
from tests.stories.samples import STORIES, four_platforms, hostile, incident, quiet

SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
"""A code span of CommonMark: a run of backticks, anything, the next run of just as many."""
every_story = pytest.mark.parametrize("name", STORIES)
anything = st.text(st.characters(exclude_categories=()), max_size=60) | st.sampled_from(HOSTILE)


def planned(story: Story) -> Story:
    """Return the story of a plan with a run behind it."""
    assert story.report is not None
    return replace(story, verb="plan", report=replace(story.report, verb="plan"))


def outside(line: str) -> str:
    """Return what a line of Markdown holds outside of code spans."""
    return SPAN.sub("CODE", line)


# --- Markdown --------------------------------------------------------------------------------------------------------


def test_markdown_keeps_its_shape_whatever_names_come_in() -> None:
    friendly, enemy = markdown(spoken(incident(), FRIENDLY)), markdown(spoken(incident(), HOSTILE))
    assert [outside(line) for line in enemy.splitlines()] == [outside(line) for line in friendly.splitlines()]


@every_story
def test_outside_of_code_spans_there_is_no_text_of_others(name: str) -> None:
    for story in (STORIES[name](), *([planned(STORIES[name]())] if STORIES[name]().report else [])):
        for line in markdown(story).splitlines():
            rest = outside(line).replace("<details><summary>", "").replace("</summary>", "").replace("</details>", "")
            assert not re.search(r"[<>\[\]`@#\\!]|https?:", rest.removeprefix("###").removeprefix(">").lstrip("#")), line


@given(anything)
def test_a_code_span_holds_what_it_is_given_and_ends_where_it_should(given_text: str) -> None:
    for in_cell in (False, True):
        written = code(given_text, cell=in_cell)
        assert "\n" not in written
        # In a table the bars are taken off first, whatever stands before them.
        plain = written.replace("\\|", "|") if in_cell else written
        found = SPAN.fullmatch(plain)
        assert found, written
        assert in_cell is False or not re.search(r"(?<!\\)\|", written)
        expected = inert(given_text).strip() or "(empty)"
        assert found[2].strip() == (expected if len(expected) <= 400 else expected[:400] + "...").strip()


def test_a_plan_as_a_comment_says_what_opens_why_and_what_was_refused() -> None:
    said = markdown(planned(incident()))
    assert said.startswith("### cloudsync plan: 1 change on 1 target, 1 refused\n")
    for part in (
        "opens `tcp/443 from app=ordering env=prod role=lb`",
        "because of `ordering-prod#2 (policy/ordering.yaml:12)`",
        "**REFUSED `G-MGMT`**",
        "if that is right: `cloudsync approve 7c1e0f --guard G-MGMT --until 24h`",
        "enforced = policy on 1 point, every step safe",
        "credentials expired 2 h ago",
    ):
        assert part in said
    unread = markdown(planned(four_platforms()))
    assert "| `f5-dc1` | observe | ? | not read | `bigip1 did not answer in 30 s` |" in unread
    assert "1 not read" in unread


def test_a_comment_stays_small() -> None:
    many = replace(incident(), findings=incident().findings * 400)
    assert len(markdown(many)) < 65_536
    assert "more findings" in markdown(many)


# --- CSV -------------------------------------------------------------------------------------------------------------


@every_story
def test_every_finding_is_one_row_of_the_same_width(name: str) -> None:
    rows = list(csv.reader(StringIO(table(STORIES[name]()), newline=""), strict=True))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 1 + len(STORIES[name]().findings)
    assert {len(row) for row in rows} == {len(COLUMNS)}


@given(anything)
def test_no_cell_is_a_formula_or_a_new_line(given_text: str) -> None:
    written = cell(given_text)
    assert not written.startswith((*FORMULA, "\t", "\r", "\n"))
    assert not written.lstrip().startswith(FORMULA)
    assert "\n" not in written
    assert "\r" not in written
    assert written in (inert(given_text), "'" + inert(given_text))


def test_hostile_names_are_all_there_and_none_begins_a_formula() -> None:
    text_of_all = table(hostile())
    assert not {char for char in text_of_all if inert(char, keep="\r\n") != char}
    for row in csv.reader(StringIO(text_of_all, newline="")):
        assert not [value for value in row if value.startswith(FORMULA)], row
    assert "'=HYPERLINK" in text_of_all
    assert "'-2+3" in text_of_all


# --- JSON ------------------------------------------------------------------------------------------------------------


@every_story
def test_a_story_is_of_the_published_schema(name: str) -> None:
    story = STORIES[name]()
    document = {"schema": "cloudsync/1", "kind": "report", **story_document(story)}
    jsonschema.Draft202012Validator(closed_schema()).validate(json.loads(json.dumps(document)))
    assert story.matrix is not None
    alone = {"schema": "cloudsync/1", "kind": "map", "owner": "o", "policy": "p", "at": "2026-03-02T08:20:00Z"}
    jsonschema.Draft202012Validator(closed_schema()).validate({**alone, "matrix": matrix_document(story.matrix)})


def test_the_json_has_everything_that_a_story_has() -> None:
    document = story_document(incident())
    assert len(document["findings"]) == len(incident().findings)
    assert {one["state"] for one in document["findings"]} == {state.value for state in State}
    assert document["findings"][0]["actor"]["how"] == "AuthorizeSecurityGroupIngress (CloudTrail)"
    assert document["findings"][0]["packets"]
    assert (document["tone"], document["headline"]) == ("bad", headline(incident()).whole)
    assert len(document["trend"]) == len(incident().trend)
    assert document["inexact"][0]["verdict"] == "looser"


# --- the terminal ----------------------------------------------------------------------------------------------------


def test_text_keeps_its_lines_whatever_names_come_in() -> None:
    friendly, enemy = (text(spoken(incident(), names), NOW) for names in (FRIENDLY, HOSTILE))
    assert len(enemy.splitlines()) == len(friendly.splitlines())
    assert not {char for char in enemy if inert(char, keep="\n") != char}


def test_text_says_how_old_it_is_and_what_to_do() -> None:
    said = text(incident(), NOW + 7200)
    assert said.splitlines()[0] == headline(incident()).whole
    assert "2 hours ago" in said.splitlines()[1]
    assert "-> close sg-0ab by hand" in said
    assert "if that is right:  cloudsync approve 7c1e0f" in said
    assert "ago" not in text(incident(), NOW).splitlines()[1]


# --- the first sentence ----------------------------------------------------------------------------------------------


def cases() -> Iterator[tuple[Story, Tone, str]]:
    good, bad = quiet(), incident()
    yield good, Tone.GOOD, "Enforced = policy on the target"
    yield replace(good, targets=good.targets * 3), Tone.GOOD, "Enforced = policy on all 3 targets"
    yield replace(good, unchecked=bad.unchecked), Tone.WARN, "Nothing is known to be open in what was read"
    failed = TargetState("b", "gcp", "additive", "failed", None)
    yield replace(good, targets=(*good.targets, failed)), Tone.WARN, "Nothing is known to be open in what was read; 1 target not read"
    yield replace(good, targets=(failed,)), Tone.WARN, "Nothing was verified yet; 1 target not read"
    yield replace(good, targets=()), Tone.WARN, "Nothing was verified yet"
    ssh, _cut, wide, accepted, gone = bad.findings
    yield replace(bad, findings=(wide,)), Tone.WARN, "1 medium finding open; 1 target refused"
    yield replace(bad, findings=(ssh, wide)), Tone.BAD, "1 critical and 1 medium findings open; 1 target refused"
    done = replace(ssh, deed=Deed.RESTORED)
    yield replace(good, findings=(done,)), Tone.GOOD, "Enforced = policy on the target; 1 put back by this run"
    yield replace(good, findings=(accepted, gone)), Tone.GOOD, "Enforced = policy on the target"


@pytest.mark.parametrize(("story", "tone", "words"), list(cases()))
def test_the_first_sentence_claims_peace_only_of_what_was_read(story: Story, tone: Tone, words: str) -> None:
    found = headline(story)
    assert (found.tone, found.whole) == (tone, words)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "less than a minute"), (-5, "less than a minute"), (59, "less than a minute"), (60, "1 minute"), (7199, "1 hour"),
     (7200, "2 hours"), (86400, "1 day"), (13 * 86400, "13 days"), (14 * 86400, "2 weeks")],
)  # fmt: skip
def test_a_length_of_time_is_one_figure(seconds: float, words: str) -> None:
    assert lasted(seconds) == words
