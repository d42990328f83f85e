"""What is news: over any life of findings, each is told once when it appears and once when it is over; nothing is told twice or lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.model.codec import from_json, to_json
from cloudsync.model.workload import Labels
from cloudsync.proof.drift import Kind, Severity
from cloudsync.report.news import GROWN_S, Item, Ledger, News, What, advance, snapshot
from cloudsync.report.story import Acknowledgement, Deed, Expiring, State, Story, TargetState, Tracked, Trouble

NOW = 1_772_439_600.0  # Monday, 2026-03-02T08:20:00Z
RUN_S = 300.0
DAY = 86400.0
NOBODY = Ledger()
"""Nobody knows anything yet."""


def finding(key: str = "aws/1", state: State = State.NEW, **fields: Any) -> Tracked:
    plain = Tracked(
        key=key,
        target="aws",
        kind=Kind.EXCESS,
        severity=Severity.HIGH,
        state=state,
        words="tcp/22 from the internet",
        sentence="",
        direction="inbound",
        labels=Labels.of({"role": "db"}),
        workloads=("db-1",),
        points=(),
        packets="p0",
        first_seen=NOW,
        last_seen=NOW,
    )
    return replace(plain, **fields)


def story(run: int, findings: Iterable[Tracked] = (), state: str = "drift", **fields: Any) -> Story:
    target = TargetState("aws", "aws", "exclusive", state, NOW)
    plain = Story(f"run-{run}", "drift", NOW + run * RUN_S, "acme", "p", None, (target,), tuple(findings))
    return replace(plain, **fields)


def told(stories: Iterable[Story], ledger: Ledger = NOBODY) -> tuple[list[list[What]], Ledger]:
    found: list[list[What]] = []
    for one in stories:
        news, ledger = advance(one, ledger)
        found.append([item.what for item in news.items])
    return found, ledger


def test_a_finding_is_told_new_and_resolved_and_nothing_between() -> None:
    there = finding(state=State.ONGOING)
    gone = finding(state=State.RESOLVED)
    found, ledger = told([story(1), story(2, [finding()]), story(3, [there]), story(4, [there]), story(5, [gone]), story(6)])
    assert found == [[], [What.NEW], [], [], [What.RESOLVED], []]
    assert ledger.findings == ()


def test_a_story_is_told_once_and_an_older_one_not_at_all() -> None:
    _, ledger = told([story(2, [finding()])])
    assert not advance(story(2, [finding()]), ledger)[0]
    assert not advance(story(1, [finding("aws/2")]), ledger)[0]


def test_what_a_dead_run_could_not_tell_is_told_by_the_next() -> None:
    found, ledger = told([story(2, [finding(state=State.ONGOING)])])
    assert found == [[What.NEW]]
    found, _ = told([story(4)], ledger)  # the run that saw it go, the third, told nobody
    assert found == [[What.RESOLVED]]


def test_what_was_put_back_is_over_with_that() -> None:
    back = finding(deed=Deed.RESTORED)
    found, ledger = told([story(1, [back]), story(2, [finding(state=State.RESOLVED, quiet=True)])])
    assert found == [[What.NEW], []]
    assert ledger.findings == ()


def test_what_was_left_and_then_put_back_is_told_as_that() -> None:
    found, _ = told(
        [
            story(1, [finding(deed=Deed.REFUSED)]),
            story(2, [finding(state=State.ONGOING, deed=Deed.RESTORED)]),
            story(3, [finding(state=State.RESOLVED, quiet=True)]),
        ]
    )
    assert found == [[What.NEW], [What.RESTORED], []]


def test_what_was_told_as_put_back_and_stands_open_is_told() -> None:
    found, _ = told([story(1, [finding(deed=Deed.RESTORED)]), story(2, [finding(state=State.ONGOING)])])
    assert found == [[What.NEW], [What.AGAIN]]


def test_other_packets_and_a_worse_grade_are_told_and_a_milder_one_is_not() -> None:
    found, _ = told(
        [
            story(1, [finding()]),
            story(2, [finding(state=State.CHANGED, packets="p1")]),
            story(3, [finding(state=State.CHANGED, packets="p1", severity=Severity.CRITICAL)]),
            story(4, [finding(state=State.CHANGED, packets="p1", severity=Severity.LOW)]),
        ]
    )
    assert found == [[What.NEW], [What.CHANGED], [What.CHANGED], []]


def test_a_group_that_scales_is_told_once_an_hour() -> None:
    runs = int(GROWN_S // RUN_S) + 1
    growing = [
        story(number, [finding(state=State.CHANGED if number else State.NEW, workloads=tuple(f"db-{one}" for one in range(number + 1)))])
        for number in range(runs)
    ]
    found, _ = told(growing)
    assert [len(one) for one in found] == [1, *[0] * (runs - 2), 1]


def test_fewer_workloads_are_no_news() -> None:
    found, _ = told([story(0, [finding(workloads=("a", "b"))]), story(40, [finding(state=State.CHANGED, workloads=("a",))])])
    assert found == [[What.NEW], []]


def test_what_is_acknowledged_is_silent_until_that_ends() -> None:
    yes = Acknowledgement("aws/1", NOW + DAY, "migration")
    quiet = finding(state=State.ACKNOWLEDGED, acknowledged=yes)
    found, _ = told([story(1, [finding()]), story(2, [quiet]), story(3, [finding(state=State.CHANGED)])])
    assert found == [[What.NEW], [], [What.CHANGED]]
    found, _ = told([story(1, [quiet]), story(2, [finding(state=State.RESOLVED, quiet=True)])])
    assert found == [[], []]


def test_a_fight_is_told_once_and_then_its_rounds_are_quiet() -> None:
    fight = finding(state=State.CHANGED, flapping=True, deed=Deed.RESTORED, returns=3)
    rounds = [story(number, [replace(fight, state=State.ONGOING, quiet=True, returns=number)]) for number in range(3, 9)]
    ended = story(9, [finding(state=State.RESOLVED, quiet=True, flapping=True)])
    found, _ = told([story(1, [finding(deed=Deed.RESTORED)]), story(2, [fight]), *rounds, ended])
    assert found == [[What.NEW], [What.FIGHT], *[[]] * 7]


def test_what_was_not_read_keeps_its_peace() -> None:
    unread = finding(state=State.ONGOING, quiet=True, why="not read in this run")
    found, ledger = told([story(1, [finding()]), story(2, [unread]), story(3, [finding(state=State.ONGOING)])])
    assert found == [[What.NEW], [], []]
    assert len(ledger.findings) == 1


def test_findings_of_a_target_that_left_the_settings_are_forgotten() -> None:
    _, ledger = told([story(1, [finding()])])
    news, ledger = advance(story(2, targets=(TargetState("gcp", "gcp", "observe", "in sync", NOW),)), ledger)
    assert (news.items, ledger.findings) == ((), ())


# --- troubles, rules that end, summaries -------------------------------------------------------------------------------


def failing(run: int, *, new: bool = False, what: str = "failed") -> Story:
    return story(run, state=what, troubles=(Trouble("aws", what, "no answer", NOW, new=new),))


def test_a_target_that_fails_is_told_once_and_once_when_it_is_good() -> None:
    recovered = story(4, state="in sync", troubles=(Trouble("aws", "recovered", "was failed", NOW),))
    ledger, said = Ledger(), []
    for one in (failing(1, new=True), failing(2), failing(3), recovered, story(5, state="in sync")):
        news, ledger = advance(one, ledger)
        said.append([trouble.what for trouble in news.troubles])
    assert said == [["failed"], [], [], ["recovered"], []]


def test_a_recovery_that_nobody_told_is_told_by_the_next_run() -> None:
    _, ledger = advance(failing(1, new=True), Ledger())
    news, ledger = advance(story(3, state="in sync"), ledger)
    assert [(one.target, one.what) for one in news.troubles] == [("aws", "recovered")]
    assert not advance(story(4, state="in sync"), ledger)[0]


def test_from_refused_to_failed_is_told_as_failed_alone() -> None:
    _, ledger = advance(failing(1, new=True, what="refused"), Ledger())
    news, _ = advance(failing(2, new=True), ledger)
    assert [one.what for one in news.troubles] == ["failed"]


def test_a_target_that_a_run_leaves_out_is_as_it_was() -> None:
    _, ledger = advance(failing(1, new=True), Ledger())
    news, ledger = advance(story(2, state="failed"), ledger)
    assert not news
    assert not advance(failing(3), ledger)[0]


def test_a_rule_that_ends_is_told_when_it_comes_into_sight_and_two_days_before() -> None:
    until = NOW + 10 * DAY
    ledger, said = Ledger(), []
    for day in range(10):
        rule = Expiring(f"r#{day}", "f:1", until, protects=True, written="r@5c1f0a93be")  # where it stands is no news
        news, ledger = advance(story(int(day * DAY / RUN_S), expiring=(rule,)), ledger)
        if news.expiring:
            said.append(day)
    assert said == [0, 8]


def test_the_weekly_summary_comes_on_its_day_once_and_not_in_the_first_week() -> None:
    ledger, days = Ledger(), []
    for hour in range(24 * 22):
        news, ledger = advance(story(hour * 12), ledger, digest_day="monday")
        if news.digest:
            days.append(hour // 24)
    assert days == [6, 13, 20]  # the first Monday is the day of the first run; from six in the morning, UTC, on


def test_without_a_day_there_is_no_summary() -> None:
    ledger = Ledger(digest="2020-01-01")
    assert not advance(story(1), ledger, digest_day="never")[0]


def test_who_wants_what() -> None:
    items = (Item(What.NEW, finding(owners=("dba",))), Item(What.NEW, finding("aws/2", owners=("web-team",))))
    ends = (Expiring("r#1", "f:1", NOW, protects=False, owner="dba"),)
    news = News(items, (Trouble("aws", "overdue", "", NOW),), ends, digest=True)
    assert [one.finding.key for one in news.of(frozenset({"drift", "failed"}), "dba").items] == ["aws/1"]
    assert news.of(frozenset({"drift", "failed", "digest"}), "dba").troubles == ()
    assert news.of(frozenset({"failed"})) == News(troubles=news.troubles)
    assert news.of(frozenset({"expiring"}), "dba").expiring == ends
    assert not news.of(frozenset({"expiring"}), "web-team")
    assert not news.of(frozenset({"recovered", "refused"}))


def test_a_report_that_is_asked_for_tells_all_that_stands_open() -> None:
    found = snapshot(story(1, [finding(), finding("aws/2", State.ONGOING), finding("aws/3", State.RESOLVED)]))
    assert [(one.what, one.finding.key) for one in found.items] == [(What.NEW, "aws/1"), (What.ONGOING, "aws/2")]


@pytest.mark.parametrize("ledger", [Ledger(), told([story(1, [finding(deed=Deed.RESTORED)])])[1]])
def test_what_people_know_survives_the_records(ledger: Ledger) -> None:
    known = ledger.threaded("", "<a@b>", ["aws/1"])
    assert from_json(Ledger, to_json(known)) == known


# --- any life of findings ----------------------------------------------------------------------------------------------

KEYS = ("aws/1", "aws/2", "aws/3")
lives = st.lists(st.fixed_dictionaries({key: st.booleans() for key in KEYS}), max_size=30)


def lived(rows: list[dict[str, bool]]) -> list[Story]:
    """Return the stories that the records tell of findings which come and go."""
    since: dict[str, float] = {}
    stories: list[Story] = []
    for number, row in enumerate(rows, 1):
        at = NOW + number * RUN_S
        findings: list[Tracked] = []
        for key in KEYS:
            if row[key]:
                state = State.ONGOING if key in since else State.NEW
                findings.append(finding(key, state, first_seen=since.setdefault(key, at), last_seen=at))
            elif key in since:
                findings.append(finding(key, State.RESOLVED, first_seen=since.pop(key), last_seen=at))
        stories.append(story(number, findings))
    return stories


@settings(max_examples=300, deadline=None)
@given(lives)
def test_each_episode_is_told_once_at_each_end(rows: list[dict[str, bool]]) -> None:
    ledger, said = Ledger(), Counter[tuple[str, float, What]]()
    for one in lived(rows):
        changed = any(each.state in (State.NEW, State.RESOLVED) for each in one.findings)
        news, ledger = advance(one, ledger)
        assert bool(news) == changed
        said.update((item.finding.key, item.finding.first_seen, item.what) for item in news.items)
    episodes = {(each.key, each.first_seen) for one in lived(rows) for each in one.findings}
    ended = {(each.key, each.first_seen) for one in lived(rows) for each in one.findings if each.state is State.RESOLVED}
    assert said == Counter({(*one, What.NEW): 1 for one in episodes}) + Counter({(*one, What.RESOLVED): 1 for one in ended})


@settings(max_examples=300, deadline=None)
@given(lives, st.sets(st.integers(1, 30)))
def test_runs_that_die_before_they_tell_lose_nothing_and_double_nothing(rows: list[dict[str, bool]], dead: set[int]) -> None:
    ledger, said = Ledger(), Counter[tuple[str, float, What]]()
    stories = lived(rows)
    for number, one in enumerate(stories, 1):
        news, after = advance(one, ledger)
        if number in dead:
            continue
        ledger = after
        said.update((item.finding.key, item.finding.first_seen, item.what) for item in news.items)
    assert set(said.values()) <= {1}
    if stories and len(stories) not in dead:
        standing = {(one.finding.key, one.finding.first_seen) for one in ledger.findings}
        assert standing == {(each.key, each.first_seen) for each in stories[-1].findings if each.state is not State.RESOLVED}
        for key, first in standing:
            assert said[key, first, What.NEW] == 1
            assert said[key, first, What.RESOLVED] == 0
