"""`history`, `audit verify`, `report --run`: what every run opened and closed, with the version of the policy it was made with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.small import Small
from tests.service.small_world import ELSEWHERE, MORE, POLICY, small_world


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    with small_world(tmp_path) as world:
        yield Small(world)


def test_changes_stand_in_words_under_their_run(small: Small) -> None:
    small.applied(POLICY, "start")
    commit = small.applied(POLICY + MORE, "office may ssh to db")
    ran = small.run("history", code=0)
    lines = ran.out.splitlines()
    first = next(line for line in lines if "office may ssh" in line)
    assert f'{commit[:10]} (Ada, "office may ssh to db")' in first
    after = lines[lines.index(first) + 1 :]
    assert after[:3] == ["    one: 1 write", "    one: role=db   one-db", "      + tcp/22 from 192.0.2.0/24"]
    latest = small.run("history", "--json").document["runs"][0]
    (change,) = latest["changes"]
    assert (change["opens"], change["closes"], change["workloads"]) == (["tcp/22 from 192.0.2.0/24"], [], ["one-db"])
    one = small.run("history", latest["run"], "--json").document
    assert one["changes"] == latest["changes"]
    assert "      + tcp/22 from 192.0.2.0/24" in small.run("history", latest["run"]).out


def test_quiet_runs_and_looks_are_counted_and_listed_with_all(small: Small) -> None:
    small.applied(POLICY, "start")
    small.run("apply", "--yes", code=0)
    small.run("drift", code=0)
    brief = small.run("history", "--json").document
    assert [one["verb"] for one in brief["runs"]] == ["apply"]
    assert brief["quiet"] == 2
    assert "2 more that changed nothing or only looked: --all lists them too" in small.run("history").out
    whole = small.run("history", "--all", "--json").document
    assert sorted(one["verb"] for one in whole["runs"]) == ["apply", "apply", "drift"]
    assert whole["quiet"] == 0
    assert len(small.run("history", "--all", "-n", "2", "--json").document["runs"]) == 2


def test_the_count_of_quiet_runs_does_not_depend_on_how_many_are_shown(small: Small) -> None:
    small.applied(POLICY, "start")
    small.applied(POLICY + MORE, "office")
    small.run("apply", "--yes", code=0)
    document = small.run("history", "-n", "1", "--json").document
    assert (len(document["runs"]), document["quiet"]) == (1, 1)


def test_failures_and_refusals_are_never_quiet(small: Small) -> None:
    small.applied(POLICY, "start")
    small.world.down["one"] = "gone"
    small.run("apply", "--yes", code=5)
    small.world.down.clear()
    small.world.write("policy/all.yaml", POLICY + MORE)
    small.run("apply", code=4)  # nobody to ask
    assert [one["exit"] for one in small.run("history", "--json").document["runs"]] == [4, 5, 0]


def test_versions_of_the_policy_with_commit_and_author(small: Small) -> None:
    first = small.applied(POLICY, "start")
    second = small.applied(POLICY + MORE, "office")
    small.world.write("policy/all.yaml", POLICY)
    small.run("apply", "--yes", code=0)
    versions = small.run("history", "--policy", "--json").document["versions"]
    assert {(one["commit"], one["author"], one["subject"], one["dirty"]) for one in versions} == {
        (first, "Ada", "start", False),
        (second, "Ada", "office", False),
        (second, "Ada", "office", True),
    }
    assert versions[0]["digest"] == next(one["digest"] for one in versions if one["commit"] == first), "the same files again"
    assert f'{second[:10]} (Ada, "office", with uncommitted changes)' in small.run("history", "--policy").out


def test_a_commit_subject_from_outside_is_inert(small: Small) -> None:
    small.applied(POLICY, "nice\x1b[2J\u202etry")
    for words in (("history",), ("history", "--policy"), ("status",)):
        out = small.run(*words).out
        assert "\x1b" not in out
        assert "\u202e" not in out


def test_audit_verify_is_a_word_too(small: Small) -> None:
    small.applied(POLICY, "start")
    assert "the audit trail is whole" in small.run("audit", "verify", code=0).out
    assert small.run("audit", "verify", "--json").document["verified"] is True


def test_an_earlier_run_is_reported_as_it_was(small: Small) -> None:
    small.applied(POLICY, "start")
    small.world.edit(rule=ELSEWHERE)
    small.run("drift", code=2)
    seen = small.run("history", "--all", "--json").document["runs"][0]
    assert seen["verb"] == "drift"
    small.run("apply", "--yes", code=0)
    small.run("apply", "--yes", code=0)
    told = small.run("report", "--run", seen["run"], "--json").document
    assert told["run"] == seen["run"]
    (finding,) = told["findings"]
    assert finding["state"] == "new"
    assert all(one["at"] <= told["at"] for one in told["history"]), "what came later is not told"
    missing = small.run("report", "--run", "feed", code=3)
    assert "UNKNOWN-RUN the records do not tell run 'feed'" in missing.out


def test_a_report_quotes_the_end_of_the_trail_as_it_was_then(small: Small) -> None:
    small.applied(POLICY, "start")
    told = small.run("report", "--json").document
    lines, _, digest = told["audit_head"].partition(":")
    entries = small.run("audit", "-n", "1000", "--json").document["entries"]
    after = [one for one in entries if one["n"] == int(lines) + 1]
    assert not after or after[0]["prev"] == digest


def test_the_history_of_a_report_is_filled(small: Small) -> None:
    small.applied(POLICY, "start")
    small.applied(POLICY + MORE, "office")
    told = small.run("report", "--json").document
    assert [one["opens"] for one in told["history"] if "office" in one["policy"]] == [["tcp/22 from 192.0.2.0/24"]]
    assert len({one["run"] for one in told["history"]}) == 2
