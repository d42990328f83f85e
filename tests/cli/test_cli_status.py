"""`status`: how everything stands, from the records alone, with an honest exit code."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.small import Small
from tests.service.small_world import ELSEWHERE, MORE, POLICY, small_world

BROKEN = POLICY.replace("tcp/443", "tcp/99999")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    with small_world(tmp_path) as world:
        yield Small(world)


def set_lease(small: Small, pid: int, host: str, expires: float) -> None:
    with sqlite3.connect(small.world.root / ".cloudsync" / "state.db") as connection:
        connection.execute("UPDATE lease SET pid = ?, host = ?, expires = ?", (pid, host, expires))
    connection.close()


def test_nothing_is_known_before_the_first_run(small: Small) -> None:
    ran = small.run("status", code=5)
    assert "one  small exclusive  never run" in ran.out
    assert "no run that could write is on record" in ran.out
    assert not (small.world.root / ".cloudsync").exists(), "looking makes nothing"
    document = small.run("status", "--json", code=5).document
    assert [(one["state"], one["exit"], one["last_good"]) for one in document["targets"]] == [("never run", 5, None)]
    assert (document["writer"], document["last_run"], document["audit_head"]) == (None, None, "")


def test_all_is_well(small: Small) -> None:
    commit = small.applied(POLICY, "start")
    ran = small.run("status", code=0)
    assert f'policy {commit[:10]} (Ada, "start")' in ran.out
    assert "one  small exclusive  changed for " in ran.out
    assert "next run: " in ran.out
    document = small.run("status", "--json", code=0).document
    (target,) = document["targets"]
    assert (target["findings"], target["hold"], target["overdue"], target["exit"]) == ({}, None, False, 0)
    assert target["last_good"] is not None
    assert target["next"] > target["read"], "five minutes after the last look"
    assert (document["last_run"]["verb"], document["last_run"]["commit"]) == ("apply", commit)
    assert document["audit_head"].partition(":")[2] in small.run("audit", "verify", code=0).out


def test_open_findings_are_counted(small: Small) -> None:
    small.applied(POLICY, "start")
    small.world.edit(rule=ELSEWHERE)
    small.run("drift", code=2)
    (target,) = small.run("status", "--json", code=2).document["targets"]
    assert (target["state"], sum(target["findings"].values())) == ("drift", 1)
    assert "open findings: 1 " in small.run("status").out


def test_a_hold_is_told_with_its_reason(small: Small) -> None:
    small.applied(POLICY, "start")
    small.run("hold", "--all", "--because", "storm", "--by", "jo", code=0)
    ran = small.run("status", code=4)
    assert "ON HOLD since " in ran.out
    assert "by jo: storm" in ran.out
    (target,) = small.run("status", "--json").document["targets"]
    assert (target["hold"]["target"], target["exit"]) == ("*", 4)


def test_a_refusal_needs_a_person(small: Small) -> None:
    small.applied(POLICY, "start")
    small.guards("guards: {", "guards: {management: [192.0.2.0/28], ")
    small.applied(POLICY + MORE, "office")
    small.commit(POLICY, "no office")
    small.run("apply", "--yes", code=4)
    ran = small.run("status", code=4)
    assert "one  small exclusive  refused" in ran.out
    assert "G-MGMT" in ran.out


def test_a_platform_that_does_not_answer(small: Small) -> None:
    small.applied(POLICY, "start")
    small.world.down["one"] = "nobody there"
    small.run("apply", "--yes", code=5)
    ran = small.run("status", code=5)
    assert "one  small exclusive  failed" in ran.out
    assert "nobody there" in ran.out
    small.world.down.clear()


def test_the_worst_of_several_targets_counts_and_each_has_its_own(small: Small) -> None:
    small.world.settings(("one", "two"))
    small.run("apply", "--yes", "--target", "one", code=0)
    document = small.run("status", "--json", code=5).document
    assert [(one["name"], one["exit"]) for one in document["targets"]] == [("one", 0), ("two", 5)]


def test_no_good_run_for_long_is_overdue(small: Small) -> None:
    small.applied(POLICY, "start")
    with sqlite3.connect(small.world.root / ".cloudsync" / "state.db") as connection:
        connection.execute("UPDATE health SET good = good - 86400, read = read - 86400, since = since - 86400")
    connection.close()
    ran = small.run("status", code=5)
    assert "OVERDUE" in ran.out
    assert "is the daemon or the timer running?" in ran.out


def test_without_a_schedule_nothing_is_said_of_the_next_run(small: Small) -> None:
    small.world.settings(schedule="")
    small.applied(POLICY, "start")
    assert "next run" not in small.run("status", code=0).out


def test_a_cron_line_tells_the_next_time(small: Small) -> None:
    small.world.settings(schedule='schedule: {cron: "7 3 1 1 *"}')
    small.applied(POLICY, "start")
    (target,) = small.run("status", "--json", code=0).document["targets"]
    assert target["next"].endswith("-01-01T03:07:00Z")


def test_who_writes_now(small: Small) -> None:
    small.applied(POLICY, "start")
    set_lease(small, os.getpid(), os.uname().nodename, 4e9)
    writer = small.run("status", "--json", code=0).document["writer"]
    assert writer["pid"] == os.getpid()
    assert f"at work: run {writer['run']}, pid {os.getpid()}" in small.run("status").out


@pytest.mark.parametrize(("host", "expires"), [("", 4e9), ("elsewhere", 1.0)])
def test_a_dead_writer_is_not_at_work(small: Small, host: str, expires: float) -> None:
    small.applied(POLICY, "start")
    set_lease(small, 2**22 + 1, host or os.uname().nodename, expires)  # beyond every process id of Linux
    assert small.run("status", "--json", code=0).document["writer"] is None


def test_another_machine_is_believed_until_its_lease_ends(small: Small) -> None:
    small.applied(POLICY, "start")
    set_lease(small, 1, "elsewhere", 4e9)
    assert small.run("status", "--json", code=0).document["writer"]["host"] == "elsewhere"


def test_a_broken_policy_is_said_so_and_the_rest_still_told(small: Small) -> None:
    small.applied(POLICY, "start")
    small.world.write("policy/all.yaml", BROKEN)
    ran = small.run("status", code=4)
    assert "policy/all.yaml:10:44 BAD-PORT" in ran.out
    assert "one  small exclusive" in ran.out
    assert small.run("status", "--json").document["broken"]


def test_looking_asks_no_platform(small: Small) -> None:
    small.applied(POLICY, "start")
    small.world.down["one"] = "nobody may be asked"
    small.run("status", code=0)
    small.world.down.clear()
