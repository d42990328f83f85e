"""What the platforms' limits did on a day: every run adds to it, whoever else does, and the oldest days go."""

from __future__ import annotations

from contextlib import closing

from cloudsync.app import limits
from cloudsync.clock import day_of
from cloudsync.model.bucket import Bucket, BucketKey, Limit, Tally
from cloudsync.pacing import pacing
from cloudsync.store.limits import LimitRow, LimitTable
from cloudsync.store.place import Place
from cloudsync.store.state import State, open_database
from cloudsync.testing.clock import SimulatedClock

WRITES = ("azure", "write")


def test_two_runs_add_to_one_row_and_old_days_go(place: Place) -> None:
    with closing(open_database(place)) as one, closing(open_database(place)) as two:
        here, there = LimitTable(one), LimitTable(two)
        here.add("2027-01-01", "2026-12-02", {WRITES: Tally(10, 1.5, 0)})
        here.add("2027-01-02", "2026-12-03", {WRITES: Tally(10, 1.5, 0), ("aws", "CreateSecurityGroup"): Tally(1, 0.0, 2)})
        there.add("2027-01-02", "2026-12-03", {WRITES: Tally(5, 0.25, 1)})
        assert here.of("2027-01-02") == (
            LimitRow("2027-01-02", "aws", "CreateSecurityGroup", Tally(1, 0.0, 2)),
            LimitRow("2027-01-02", "azure", "write", Tally(15, 1.75, 1)),
        )
        there.add("2027-02-01", "2027-01-02", {WRITES: Tally(1, 1.0, 0)})
        assert here.of("2027-01-01") == ()
        assert len(here.of("2027-01-02")) == 2


def test_a_run_notes_what_it_waited_for_and_nothing_where_nobody_waited(place: Place) -> None:
    clock = SimulatedClock()
    drawn = Limit(BucketKey("aws", "1", "r", "Create"), Bucket(1, 0.5))
    idle = Limit(BucketKey("aws", "1", "r", "Describe"), Bucket(9, 9))
    pacing(clock).take(drawn)
    with State(place, clock) as state:
        today = day_of(clock.now())
        with limits.noted(state, clock):
            pacing(clock).take(idle)
        assert state.limits.of(today) == ()
        with limits.noted(state, clock):
            pacing(clock).take(idle)
            pacing(clock).take(drawn)
            pacing(clock).throttled(drawn)
        (row,) = state.limits.of(today)
        assert (row.platform, row.api_class, row.tally.calls, row.tally.throttled) == ("aws", "Create", 1, 1)
        assert 1.9 < row.tally.waited_s <= 2.1
