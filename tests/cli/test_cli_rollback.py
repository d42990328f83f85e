"""`rollback COMMIT|RUN`: the policy of an earlier commit as a guarded plan, and a hold so that it stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.small import Small
from tests.service.small_world import MORE, POLICY, git, small_world

BROKEN = POLICY.replace("tcp/443", "tcp/99999")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    with small_world(tmp_path) as world:
        yield Small(world)


@pytest.fixture
def newer(small: Small) -> tuple[Small, str, str]:
    """Two commits, both applied: the second lets the office ssh to db."""
    first = small.applied(POLICY, "start")
    second = small.applied(POLICY + MORE, "office may ssh to db")
    assert small.office()
    return small, first, second


def test_a_commit_is_gone_back_to_and_stays(newer: tuple[Small, str, str]) -> None:
    small, first, _ = newer
    ran = small.run("rollback", first[:8], "--yes", "--because", "ticket 7", "--by", "jo", code=0)
    assert not small.office()
    assert f'ON HOLD one: rollback to {first[:10]} (Ada, "start"): ticket 7' in ran.out
    assert "revert the newer commits" in ran.out.lower()
    small.run("apply", "--yes", code=4)
    assert not small.office(), "the next run must not bring the newer policy back"
    assert "HOLD" in small.run("apply", "--yes").out
    lift = next(line for line in ran.out.splitlines() if line.startswith("then: ")).removeprefix("then: ")
    git(small.world.root, "revert", "--no-edit", "HEAD")
    assert small.repository.printed(lift).code == 0
    small.run("apply", "--yes", code=0)
    assert not small.office()


def test_without_a_revert_the_newer_policy_comes_back_after_unhold(newer: tuple[Small, str, str]) -> None:
    small, first, _ = newer
    small.run("rollback", first, "--yes", code=0)
    small.run("unhold", "one", code=0)
    small.run("apply", "--yes", code=0)
    assert small.office()


def test_a_run_names_the_commit_it_was_made_with(newer: tuple[Small, str, str]) -> None:
    small, first, _ = newer
    run = small.run("history", "--json").document["runs"][-1]
    assert run["commit"] == first
    ran = small.run("rollback", run["run"], "--yes", "--json", code=0)
    assert ran.document["verb"] == "rollback"
    assert not small.office()
    (hold,) = ran.document["holds"]
    assert (hold["target"], hold["because"]) == ("one", f'rollback to {first[:10]} (Ada, "start"), the policy of run {run["run"]}')


def test_it_is_shown_and_asked_for(newer: tuple[Small, str, str]) -> None:
    small, first, _ = newer
    ran = small.run("rollback", first, code=4)
    assert "there is no terminal to ask at" in ran.err
    assert "- tcp/22" in ran.out or "tcp/22" in ran.out, "the plan is shown first"
    assert small.office()
    assert small.run("history", "--json").document["holds"] == []


def test_it_is_guarded_like_every_plan(newer: tuple[Small, str, str]) -> None:
    small, first, _ = newer
    small.guards("guards: {", "guards: {management: [192.0.2.0/28], ")
    ran = small.run("rollback", first, "--yes", "--json", code=4)
    (refusal,) = ran.document["targets"][0]["refusals"]
    assert small.office()
    assert small.run("history", "--json").document["holds"] == [], "what was refused needs no hold"
    answer = small.repository.printed(refusal["approve"])
    assert "next: the same `cloudsync rollback` again" in answer.out
    small.run("rollback", first, "--yes", code=0)
    assert not small.office()


def test_a_second_rollback_goes_through_the_hold_of_the_first(newer: tuple[Small, str, str]) -> None:
    small, first, second = newer
    small.run("rollback", first, "--yes", code=0)
    small.run("rollback", second, "--yes", code=0)
    assert small.office()


def test_a_hold_of_a_person_stops_it(newer: tuple[Small, str, str]) -> None:
    small, first, _ = newer
    small.run("hold", "one", "--because", "storm", "--by", "jo", code=0)
    ran = small.run("rollback", first, "--yes", code=4)
    assert "storm" in ran.out
    assert small.office()
    (hold,) = small.run("history", "--json").document["holds"]
    assert hold["because"] == "storm"


def test_todays_settings_and_acknowledgements_hold(newer: tuple[Small, str, str]) -> None:
    small, first, _ = newer
    small.world.settings(("one", "two"))
    small.world.commit("a second target")
    ran = small.run("rollback", first, "--yes", "--json", code=0)
    assert [one["name"] for one in ran.document["targets"]] == ["one", "two"]
    assert not small.office()
    assert not small.office("two")


def test_going_to_what_stands_there_holds_nothing(newer: tuple[Small, str, str]) -> None:
    small, _, second = newer
    ran = small.run("rollback", second, "--yes", "--json", code=0)
    assert ran.document["holds"] == []


def test_a_broken_policy_of_today_can_be_left_behind(newer: tuple[Small, str, str]) -> None:
    small, first, _ = newer
    small.commit(BROKEN, "oops")
    small.run("apply", "--yes", code=3)
    ran = small.run("rollback", first, "--yes", "--json", code=0)
    assert [one["target"] for one in ran.document["holds"]] == ["one"]
    assert not small.office()


def test_a_target_that_does_not_answer_is_not_held(newer: tuple[Small, str, str]) -> None:
    small, first, _ = newer
    small.world.settings(("one", "two"))
    small.run("apply", "--yes", code=0)
    small.world.down["two"] = "gone"
    ran = small.run("rollback", first, "--yes", "--json")
    small.world.down.clear()
    assert ran.code == 5
    assert [one["target"] for one in ran.document["holds"]] == ["one"]


@pytest.mark.parametrize(
    ("word", "code", "said"),
    [
        ("feedbeef", "NO-COMMIT", "there is no commit and no run 'feedbeef'"),
        ("HEAD^{tree}", "NO-COMMIT", "there is no commit and no run"),
        ("", "NO-COMMIT", "names no commit and no run"),
        ("a\x1b[2J", "NO-COMMIT", "names no commit and no run"),
    ],
)
def test_what_is_no_commit_is_said_so(newer: tuple[Small, str, str], word: str, code: str, said: str) -> None:
    small, _, _ = newer
    ran = small.run("rollback", word, "--yes", code=3)
    assert code in ran.out
    assert said in ran.out
    assert "\x1b" not in ran.out
    assert small.office()


def test_a_policy_that_does_not_load_any_more_is_said_so_with_its_findings(newer: tuple[Small, str, str]) -> None:
    small, _, _ = newer
    broken = small.commit(BROKEN, "oops")
    small.commit(POLICY + MORE, "mended")
    before = small.world.writes()
    ran = small.run("rollback", broken, "--yes", code=3)
    assert f"OLD-POLICY the policy of commit {broken[:10]} cannot be used" in ran.out
    assert "policy/all.yaml:10:44 BAD-PORT" in ran.out
    assert small.world.writes() == before


def test_a_run_with_changes_that_were_never_committed_cannot_be_gone_back_to(newer: tuple[Small, str, str]) -> None:
    small, _, second = newer
    small.world.write("policy/all.yaml", POLICY)
    small.run("apply", "--yes", code=0)
    run = small.run("history", "--json").document["runs"][0]
    assert (run["commit"], run["dirty"]) == (second, True)
    ran = small.run("rollback", run["run"], "--yes", code=3)
    assert "UNCOMMITTED" in ran.out
    assert f"cloudsync rollback {second[:10]}" in ran.out


def test_a_file_that_nobody_reads_makes_no_run_uncommitted(newer: tuple[Small, str, str]) -> None:
    small, first, _ = newer
    git(small.world.root, "checkout", "-q", first)
    small.world.write("notes.txt", "buy milk")
    small.run("apply", "--yes", code=0)
    run = small.run("history", "--json").document["runs"][0]
    assert run["dirty"]
    git(small.world.root, "checkout", "-q", "main")
    small.run("rollback", run["run"], "--yes", code=0)


def test_without_git_there_is_nothing_to_go_back_to(small: Small) -> None:
    small.run("apply", "--yes", code=0)
    run = small.run("history", "--json").document["runs"][0]
    assert "NO-GIT" in small.run("rollback", "abcdef1", "--yes", code=3).out
    assert "stood in no commit" in small.run("rollback", run["run"], "--yes", code=3).out


def test_the_files_in_the_folder_stay_as_they_are(newer: tuple[Small, str, str]) -> None:
    small, first, _ = newer
    before = {path: path.read_bytes() for path in sorted(small.world.root.rglob("*.yaml"))}
    small.run("rollback", first, "--yes", code=0)
    assert {path: path.read_bytes() for path in sorted(small.world.root.rglob("*.yaml"))} == before
    assert git(small.world.root, "status", "--porcelain").strip() == ""


def test_it_stands_in_the_audit_trail(newer: tuple[Small, str, str]) -> None:
    small, first, _ = newer
    small.run("rollback", first, "--yes", "--by", "jo", code=0)
    entries = small.run("audit", "-n", "1000", "--json").document["entries"]
    begun = next(one for one in reversed(entries) if one["event"] == "run")
    assert (begun["verb"], begun["commit"]) == ("rollback", first)
    hold = next(one for one in entries if one["event"] == "hold")
    assert (hold["who"], hold["run"]) == ("jo", begun["run"])
    (change,) = [one for one in entries if one["event"] == "change" and one["run"] == begun["run"]]
    assert "tcp/22" in change["closes"][0]
    assert hold["n"] < next(one["n"] for one in entries if one["event"] == "intent" and one["run"] == begun["run"]), (
        "before the first write"
    )
    small.run("audit", "verify", code=0)
