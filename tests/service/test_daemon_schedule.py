"""When targets are due: intervals, cron lines, jitter, what was missed, clocks that are set, the nights when the clocks change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.model.target import TargetSettings
from cloudsync.service.backoff import LONGEST_S, Backoff
from cloudsync.service.timetable import CronLine, Timetable
from cloudsync.settings import Listen, Schedule, Settings, load_settings
from cloudsync.settings.cron import parse
from cloudsync.testing.clock import SimulatedClock

NOON = datetime(2027, 1, 15, 12, tzinfo=UTC).timestamp()


def settings(schedule: Schedule | None = None, **own: Schedule) -> Settings:
    names = ("one", "two", "three")
    targets = tuple(TargetSettings(name, "small", TargetMode.OBSERVE, {}, Where("cloudsync.yaml")) for name in names)
    return Settings("test", targets, schedule=schedule, schedules=tuple(own.items()))


def least(low: float, high: float) -> float:
    del high
    return low


def most(low: float, high: float) -> float:
    del low
    return high


def fired(table: Timetable, clock: SimulatedClock, until: float) -> list[float]:
    """Return when anything was due, checked each second as the daemon does."""
    found = []
    while clock.now() < until:
        if table.due():
            found.append(clock.now())
        clock.advance(1)
    return found


def test_an_interval_is_due_at_once_and_then_on_its_grid() -> None:
    clock = SimulatedClock(NOON)
    table = Timetable(settings(Schedule(every_s=300)), clock, least)
    assert fired(table, clock, NOON + 1000) == [NOON, NOON + 300, NOON + 600, NOON + 900]
    assert table.next == NOON + 1200


def test_targets_of_one_schedule_are_due_together_and_others_on_their_own() -> None:
    clock = SimulatedClock(NOON)
    table = Timetable(settings(Schedule(every_s=300), two=Schedule(every_s=60)), clock, least)
    assert [line.targets for line in table.due()] == [("one", "three"), ("two",)]
    clock.advance(60)
    assert [line.targets for line in table.due()] == [("two",)]


def test_without_a_schedule_it_is_every_five_minutes() -> None:
    (line,) = Timetable(settings(), SimulatedClock(NOON), least).lines
    assert line.interval_s == 300


def test_jitter_delays_but_never_shifts_the_grid() -> None:
    clock = SimulatedClock(NOON)
    table = Timetable(settings(Schedule(every_s=300, jitter_s=30)), clock, most)
    assert fired(table, clock, NOON + 1000) == [NOON, NOON + 330, NOON + 630, NOON + 930]


def test_what_was_missed_is_due_once() -> None:
    clock = SimulatedClock(NOON)
    table = Timetable(settings(Schedule(every_s=300)), clock, least)
    table.due()
    clock.advance(1700)
    assert len(table.due()) == 1
    assert table.due() == ()
    assert table.next == NOON + 1800


def test_a_cron_line_that_is_a_little_late_is_made_up_for_and_a_window_gone_by_is_not() -> None:
    clock = SimulatedClock(NOON)
    table = Timetable(settings(Schedule(cron="30 12 * * *")), clock, least)
    clock.advance(1800 + 240)
    assert len(table.due()) == 1
    clock.advance(86400 + 3600)
    assert table.due() == ()
    assert [(one.targets, one.at) for one in table.missed] == [(("one", "two", "three"), NOON + 1800 + 86400)]
    assert table.next == NOON + 1800 + 2 * 86400


def test_a_cron_line_of_every_five_minutes_is_made_up_for_after_a_long_run() -> None:
    clock = SimulatedClock(NOON + 1)
    table = Timetable(settings(Schedule(cron="*/5 * * * *")), clock, least)
    clock.advance(300 + 720)
    assert len(table.due()) == 1
    assert table.missed == []


def test_a_clock_set_forward_makes_everything_late_once() -> None:
    clock = SimulatedClock(NOON)
    table = Timetable(settings(Schedule(every_s=300)), clock, least)
    table.due()
    clock.jump(7200)
    assert len(table.due()) == 1
    assert table.jumped == 7200
    clock.advance(299)
    assert table.due() == ()
    clock.advance(2)
    assert len(table.due()) == 1


def test_a_clock_set_back_delays_no_interval() -> None:
    clock = SimulatedClock(NOON)
    table = Timetable(settings(Schedule(every_s=300)), clock, least)
    table.due()
    clock.advance(100)
    clock.jump(-86400)
    assert table.due() == ()
    clock.advance(200)
    assert len(table.due()) == 1
    clock.advance(300)
    assert len(table.due()) == 1


def test_a_clock_set_back_leaves_cron_lines_at_their_times() -> None:
    clock = SimulatedClock(NOON)
    table = Timetable(settings(Schedule(cron="0 13 * * *")), clock, least)
    clock.jump(-7200)
    table.due()
    assert table.next == NOON + 3600
    clock.jump(-86400)
    table.due()
    assert table.next == NOON + 3600 - 86400


def test_at_once_leaves_cron_lines_alone() -> None:
    clock = SimulatedClock(NOON)
    table = Timetable(settings(Schedule(every_s=300), two=Schedule(cron="0 13 * * *")), clock, least)
    table.due()
    clock.advance(10)
    table.at_once()
    assert [line.targets for line in table.due()] == [("one", "three")]


def test_a_cron_line_that_is_due_while_the_settings_are_read_again_is_not_lost() -> None:
    clock = SimulatedClock(NOON - 1)
    old = Timetable(settings(Schedule(cron="0 12 * * *")), clock, least)
    clock.advance(2)
    new = Timetable(settings(Schedule(cron="0 12 * * *")), clock, least)
    new.follow(old)
    assert len(new.due()) == 1


# --- summer time -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A machine whose local time is somewhere else."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("day", ["2026-03-08", "2026-03-29", "2026-10-25", "2026-11-01", "2027-04-04", "2027-10-03"])
def test_nights_in_which_the_clocks_change_have_as_many_runs_as_others(zone: str, day: str) -> None:
    start = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
    clock = SimulatedClock(start - 43200.5)
    table = Timetable(settings(Schedule(cron="*/5 * * * *"), two=Schedule(cron="30 2 * * *"), three=Schedule(every_s=300)), clock, least)
    counts = {"one": 0, "two": 0, "three": 0}
    while clock.now() < start + 86400 + 43200:
        for line in table.due():
            for target in line.targets:
                counts[target] += 1
        clock.advance(max(table.next - clock.now(), 0.25))
    assert counts == {"one": 576, "two": 2, "three": 577}


# --- cron lines ------------------------------------------------------------------------------------------------------


def slow(text: str, moment: float) -> float:
    """crontab(5) minute by minute."""
    _, _, day, _, weekday = text.split()
    at = datetime.fromtimestamp(moment, UTC).replace(second=0, microsecond=0)
    said = parse(text)
    while True:
        at += timedelta(minutes=1)
        in_day, in_week = at.day in said.days, (at.weekday() + 1) % 7 in said.weekdays
        both = in_day and in_week
        if not day.startswith("*") and not weekday.startswith("*"):
            both = in_day or in_week
        if at.minute in said.minutes and at.hour in said.hours and at.month in said.months and both:
            return at.timestamp()


PARTS = st.tuples(
    st.sampled_from(["0", "*/5", "7,38", "10-20/5", "59"]),
    st.sampled_from(["*", "2", "*/6", "0,23"]),
    st.sampled_from(["*", "1", "29", "31", "*/10", "5-7"]),
    st.sampled_from(["*", "2", "1,3", "12", "6-7"]),
    st.sampled_from(["*", "0", "7", "1-5", "6", "*/2"]),
)


@profile(deadline=None, max_examples=60)
@given(PARTS, st.integers(1_790_000_000, 1_900_000_000))
def test_a_cron_line_means_what_crontab_says(parts: tuple[str, ...], moment: int) -> None:
    text = " ".join(parts)
    try:
        parse(text)
    except ValueError:
        return
    found = CronLine(text).after(moment)
    if found - moment < 86400 * 20:
        assert found == slow(text, moment)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("60 * * * *", "minute '60' is not within 0-59"),
        ("* 24 * * *", "hour '24' is not within 0-23"),
        ("* * 0 * *", "day of the month '0' is not within 1-31"),
        ("* * * 13 *", "month '13' is not within 1-12"),
        ("* * * * 8", "day of the week '8' is not within 0-7"),
        ("5-1 * * * *", "minute '5-1' is not within 0-59"),
        ("*/0 * * * *", "minute '*/0' is not within 0-59"),
        ("1/5 * * * *", "minute '1/5': a step needs a range, e.g. 1-59/5"),
        ("1,,2 * * * *", "minute '' is no number, range or step"),
        ("- * * * *", "minute '-' is no number, range or step"),
        ("0 0 30 2 *", "there is no day 30 in these months"),
        ("0 0 31 4,6 *", "there is no day 31 in these months"),
        ("0 0 * *", "4 fields, want 5"),
    ],
)
def test_a_line_that_means_nothing_says_so(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=r".*") as wrong:
        parse(text)
    assert str(wrong.value) == why


# --- settings --------------------------------------------------------------------------------------------------------

FILE = """owner: test
targets:
  - {{name: one, adapter: x, mode: observe{own}}}
  - {{name: two, adapter: x, mode: observe}}
{more}
"""


def read(more: str = "", own: str = "") -> tuple[Settings | None, list[str]]:
    content = FILE.format(more=more, own=own).encode()
    found, findings = load_settings(content, lambda _: {"type": "object", "additionalProperties": False, "properties": {}})
    return found, [str(one) for one in findings]


def test_a_target_may_have_a_schedule_of_its_own() -> None:
    found, wrong = read("schedule: {every: 5m}", ', schedule: {cron: "0 2 * * 0"}')
    assert wrong == []
    assert found is not None
    assert found.schedule_of("one") == Schedule(cron="0 2 * * 0")
    assert found.schedule_of("two") == Schedule(every_s=300)
    assert found.targets[0].options == {}


@pytest.mark.parametrize(
    ("more", "own", "said"),
    [
        ('schedule: {cron: "61 * * * *"}', "", "cloudsync.yaml:5:18 BAD-SCHEDULE minute '61' is not within 0-59"),
        ("schedule: {every: 5m, jitter: 5m}", "", "cloudsync.yaml:5:11 BAD-SCHEDULE jitter 5m is not shorter than every 5m"),
        ("", ", schedule: {jitter: 5m}", "cloudsync.yaml:3:54 BAD-SCHEDULE exactly one of every, cron is wanted"),
        ("service: {listen: 0.0.0.0:9464}", "", "cloudsync.yaml:5:19 BAD-ENDPOINT '0.0.0.0:9464' is no port of this machine"),
        ("service: {listen: metrics.acme.example:80}", "", "BAD-ENDPOINT 'metrics.acme.example:80' is no port of this machine"),
        ("service: {listen: 127.0.0.1:99999}", "", "BAD-ENDPOINT '127.0.0.1:99999' is no port of this machine"),
        ("service: {listen: unix:relative}", "", "BAD-VALUE 'unix:relative' is no valid listen"),
        ("service: {listn: none}", "", "did you mean 'listen'"),
    ],
)
def test_wrong_schedules_and_places_are_findings(more: str, own: str, said: str) -> None:
    found, wrong = read(more, own)
    assert found is None
    assert said in "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("", Listen("127.0.0.1", 9464)),
        ("service: {listen: none}", Listen()),
        ("service: {listen: localhost:80}", Listen("localhost", 80)),
        ('service: {listen: "[::1]:80"}', Listen("::1", 80)),
        ("service: {listen: unix:/run/cloudsync/http}", Listen(socket="/run/cloudsync/http")),
    ],
)
def test_places_on_this_machine(text: str, listen: Listen) -> None:
    found, wrong = read(text)
    assert wrong == []
    assert found is not None
    assert found.listen == listen


# --- back-off --------------------------------------------------------------------------------------------------------


def test_a_target_that_keeps_failing_is_tried_less_and_less_and_one_that_is_good_again_as_before() -> None:
    backoff, tried = Backoff(), []
    for tick in range(40):
        now = tick * 300.0
        assert backoff.ready("good", now)
        if backoff.ready("bad", now):
            tried.append(tick)
            backoff.failed("bad", now, 300.0)
    assert tried == [0, 1, 3, 7, 13, 19, 25, 31, 37]
    assert (tried[-1] - tried[-2]) * 300 == LONGEST_S
    backoff.good("bad")
    assert backoff.ready("bad", 0.0)


def test_rare_targets_are_not_put_off() -> None:
    backoff = Backoff()
    for tick in range(10):
        assert backoff.ready("rare", tick * 86400.0)
        assert backoff.failed("rare", tick * 86400.0, 86400.0) == 0
