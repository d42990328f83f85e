"""People answer the guards: approve, hold, unhold; and look back: history, audit."""

from __future__ import annotations

import json
import shlex
import shutil
import sqlite3
from pathlib import Path

import pytest

from cloudsync.lab.server import Lab
from tests.cli.shell import Ran, Repository, cloudsync, of_lab


def refused(repository: Repository) -> dict[str, str]:
    """Return guard -> approve command of a plan that is refused."""
    ran = repository.run("plan", "--json")
    assert ran.code == 4, str(ran)
    found = {one["guard"]: one["approve"] for one in ran.document["targets"][0]["refusals"]}
    assert {"G-AFFECTED", "G-MGMT"} <= set(found)
    return found


def digest(command: str) -> str:
    words = shlex.split(command)
    return words[words.index("--guard") - 1]


# --- approve ---------------------------------------------------------------------------------------------------------


def test_a_refusal_is_answered_by_the_command_it_prints(fresh: Repository) -> None:
    commands = refused(fresh)
    text = fresh.run("plan").out
    for guard, command in commands.items():
        assert command in text
        ran = fresh.printed(command)
        assert ran.code == 0, str(ran)
        assert f"approved {guard} of aws-prod for plan {digest(command)}" in ran.out
        assert f"next: cloudsync apply -C {fresh.root}" in ran.out
    ran = fresh.run("plan")
    assert ran.code == 2, str(ran)
    assert "G-AFFECTED approved by" in ran.out


def test_an_approval_is_for_one_plan_only(fresh: Repository) -> None:
    for command in refused(fresh).values():
        assert fresh.printed(command).code == 0
    fresh.edit("policy/shop.yaml", "to role=db on postgres\n      # `outside`", "to role=db on postgres, tcp/6432\n      # `outside`")
    ran = fresh.run("apply", "--yes")
    assert ran.code == 4
    assert "something moved since" in ran.out


def test_an_approval_that_was_used_says_nothing_of_later_plans(fresh: Repository) -> None:
    for command in refused(fresh).values():
        assert fresh.printed(command).code == 0
    assert fresh.run("apply", "--yes").code == 0
    fresh.edit("policy/objects.yaml", "default: visibility", "default: full")
    ran = fresh.run("plan")
    assert ran.code == 4, str(ran)
    assert "something moved since" not in ran.out


def approving(repository: Repository, guard: str, *more: str, plan: str = "") -> Ran:
    return repository.run("approve", plan or digest(refused(repository)["G-AFFECTED"]), "--guard", guard, "--because", "x", *more)


@pytest.fixture(scope="module")
def waiting(small_lab: Lab, credentials: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Repository, str]:
    """A repository whose plan was refused, and that plan's digest as printed. For tests that leave nothing behind."""
    small_lab.control.reset(estate="small", seed=1)
    repository = of_lab(tmp_path_factory.mktemp("waiting") / "repository", small_lab)
    return repository, digest(refused(repository)["G-AFFECTED"])


@pytest.mark.parametrize(
    ("guard", "more", "code", "said"),
    [
        ("G-SHRINK", (), 4, "G-APPROVAL G-SHRINK did not refuse plan"),
        ("G-IDENTITY", (), 4, "G-APPROVAL G-IDENTITY did not refuse plan"),
        ("G-MGMT", (), 4, "G-MGMT must be approved with the names of what is lost; add --names '"),
        ("G-MGMT", ("--names", "tcp/22"), 4, "G-MGMT says nothing of 'tcp/22'; it asks for: "),
        ("G-AFFECTED", ("--names", "web-1"), 4, "G-AFFECTED says nothing of 'web-1'; it asks for no name"),
        ("G-AFFECTED", ("--until", "8d"), 3, "BAD-TIME --until 8d is too far away; an approval lives 7 days at most"),
        ("G-AFFECTED", ("--until", "0h"), 3, "BAD-TIME --until 0h is over already"),
        ("G-AFFECTED", ("--until", "2026-01-01T00:00:00Z"), 3, "BAD-TIME --until 2026-01-01T00:00:00Z is over already"),
        ("G-AFFECTED", ("--until", "tomorrow"), 3, "BAD-TIME --until 'tomorrow' is no time; want 30m, 24h, 7d"),
        ("G-AFFECTED", ("--until", "\u0662h"), 3, "BAD-TIME --until"),
        ("G-AFFECTED", ("--because", "  "), 3, "MISSING-VALUE --because is empty"),
    ],
)
def test_an_approval_that_could_not_hold_is_refused(
    waiting: tuple[Repository, str], guard: str, more: tuple[str, ...], code: int, said: str
) -> None:
    repository, plan = waiting
    ran = approving(repository, guard, *more, plan=plan)
    assert ran.code == code, str(ran)
    assert said in ran.out + ran.err
    assert '"event":"approve"' not in repository.run("audit", "--json").out.replace(" ", "")


@pytest.mark.parametrize(
    ("plan", "code", "said"),
    [("abc", 3, "BAD-DIGEST 'abc' does not name a plan"), ("zz" * 8, 3, "BAD-DIGEST"), ("0" * 16, 4, "no such plan is stored")],
)
def test_a_plan_that_is_not_there_cannot_be_approved(repository: Repository, plan: str, code: int, said: str) -> None:
    ran = repository.run("approve", plan, "--guard", "G-CAP", "--because", "x")
    assert ran.code == code
    assert said in ran.out + ran.err


def test_what_nothing_overrides_is_not_approved(fresh: Repository) -> None:
    """An additive target without room: G-QUOTA is final."""
    fresh.edit("cloudsync.yaml", "    settle: 0s\n", "    settle: 0s\n    quotas: {rules_per_group: 1}\n")
    ran = fresh.run("plan", "--json")
    assert ran.code == 4, str(ran)
    target = ran.document["targets"][0]
    [final] = [one for one in target["refusals"] if one["guard"] == "G-QUOTA"][:1]
    assert final["approve"] == ""
    answer = fresh.run("approve", target["plan"]["digest"], "--guard", "G-QUOTA", "--because", "please")
    assert answer.code == 4
    assert "G-QUOTA cannot be approved, by nobody" in answer.err


def test_an_approval_is_a_document(waiting: tuple[Repository, str], tmp_path: Path) -> None:
    repository, plan = waiting
    copy = Repository(tmp_path / "copy")
    shutil.copytree(repository.root, copy.root)
    document = approving(copy, "G-AFFECTED", "--by", "jo", "--until", "2h", "--json", plan=plan).document
    assert (document["guard"], document["who"], document["because"], document["target"]) == ("G-AFFECTED", "jo", "x", "aws-prod")
    assert document["digest"].startswith(plan)


# --- hold ------------------------------------------------------------------------------------------------------------


def test_a_hold_stops_all_writes_until_it_is_lifted(fresh: Repository, small_lab: Lab) -> None:
    for command in refused(fresh).values():
        assert fresh.printed(command).code == 0
    assert fresh.run("hold", "aws-prod", "--because", "storm", "--by", "jo").code == 0
    groups = small_lab.control.act("DescribeSecurityGroups", {})
    ran = fresh.run("apply", "--yes")
    assert ran.code in (4, 5), str(ran)
    assert "storm" in ran.out + ran.err
    assert small_lab.control.act("DescribeSecurityGroups", {}).count("<groupId>") == groups.count("<groupId>")
    assert fresh.run("history").out.startswith("ON HOLD aws-prod: storm (jo,")
    lifted = fresh.run("unhold", "aws-prod", "--json")
    assert (lifted.code, lifted.document["holds"]) == (0, [])
    assert fresh.run("apply", "--yes").code == 0


def test_all_targets_can_be_held_and_freed(repository: Repository) -> None:
    held = repository.run("hold", "--all", "--because", "migration", "--by", "jo", "--json")
    assert [(one["target"], one["who"], one["because"]) for one in held.document["holds"]] == [("*", "jo", "migration")]
    text = repository.run("hold", "--all", "--because", "migration", "--by", "jo").out
    assert f"lift it with: cloudsync unhold -C {repository.root} --all" in text
    assert "no such hold; on hold: all targets" in repository.run("unhold", "aws-prod").err
    assert repository.run("unhold", "--all").out == "lifted: all targets\n"
    again = repository.run("unhold", "--all")
    assert (again.code, again.out) == (4, "")
    assert "NO-HOLD all targets: no such hold; nothing is on hold" in again.err


@pytest.mark.parametrize("verb", ["hold", "unhold"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("aws-prd",), "UNKNOWN-TARGET no target 'aws-prd'; did you mean 'aws-prod'"),
        ((), "WHICH-TARGET say which: TARGET or --all; cloudsync.yaml has: aws-prod"),
        (("aws-prod", "--all"), "WHICH-TARGET not both"),
    ],
)
def test_a_hold_names_its_target(repository: Repository, verb: str, words: tuple[str, ...], said: str) -> None:
    ran = repository.run(verb, *words, *(("--because", "x") if verb == "hold" else ()))
    assert (ran.code, ran.err) == (3, "")
    assert said in ran.out


def test_a_broken_policy_does_not_keep_anybody_from_holding(repository: Repository) -> None:
    repository.write("policy/shop.yaml", "rulesets: [")
    assert repository.run("validate").code == 3
    assert repository.run("hold", "--all", "--because", "the policy is broken").code == 0


# --- looking back ----------------------------------------------------------------------------------------------------


def test_history_tells_every_run_with_its_end(converged: Repository) -> None:
    ran = converged.run("history")
    assert ran.code == 0
    document = converged.run("history", "--json").document
    assert [(one["verb"], one["exit"]) for one in document["runs"]] == [("apply", 0), ("apply", 4)]
    done, first = document["runs"]
    assert done["targets"][0]["writes"] > 0
    assert set(first["targets"][0]["refused"]) >= {"G-AFFECTED", "G-MGMT"}
    assert f"{done['run']}  exit 0  done" in ran.out
    assert f"aws-prod: {done['targets'][0]['writes']} writes" in ran.out
    assert len(converged.run("history", "-n", "1", "--json").document["runs"]) == 1


def test_history_of_one_run_lists_its_writes(converged: Repository) -> None:
    latest = converged.run("history", "--json").document["runs"][0]
    document = converged.run("history", latest["run"], "--json").document
    assert len(document["writes"]) == latest["targets"][0]["writes"]
    assert {one["state"] for one in document["writes"]} == {"done"}
    assert "AuthorizeSecurityGroupIngress" in {one["action"] for one in document["writes"]}
    text = converged.run("history", latest["run"]).out
    changed = sum(1 + len(one["opens"]) + len(one["closes"]) for one in document["changes"])
    assert changed
    assert text.count("\n") == 2 + changed + len(document["writes"])
    missing = converged.run("history", "nope")
    assert missing.code == 3
    assert f"UNKNOWN-RUN no run begins with 'nope'; the latest is {latest['run']}" in missing.out


@pytest.mark.parametrize("verb", ["history", "audit"])
def test_looking_back_on_nothing_makes_nothing(repository: Repository, verb: str) -> None:
    ran = repository.run(verb)
    assert (ran.code, ran.out) == (0, f"no run has left anything yet: there is no {repository.root}/.cloudsync/state.db\n")
    assert not repository.run(verb, "--json").document.get("runs")
    assert not (repository.root / ".cloudsync").exists()


def test_the_audit_trail_is_printed_and_verified(converged: Repository) -> None:
    document = converged.run("audit", "-n", "100000", "--json").document
    assert {"run", "approve", "intent", "outcome", "end"} <= {one["event"] for one in document["entries"]}
    assert [one["n"] for one in document["entries"]] == list(range(1, document["lines"] + 1))
    short = converged.run("audit", "-n", "2").out.splitlines()
    assert short[0] == f"the latest 2 of {document['lines']} lines"
    assert len(short) == 4
    verified = converged.run("audit", "--verify")
    assert verified.code == 0
    assert f"the audit trail is whole: {document['lines']} lines" in verified.out
    assert converged.run("audit", "--verify", "--json").document["head"] == document["head"]


def test_an_edited_audit_trail_is_found_out(repository: Repository) -> None:
    for because in ("one", "two", "three"):
        assert repository.run("hold", "--all", "--because", because, "--by", "jo").code == 0
    assert repository.run("audit", "--verify").code == 0
    with sqlite3.connect(repository.root / ".cloudsync" / "state.db") as connection:
        connection.execute("""UPDATE audit SET line = replace(line, '"two"', '"mine"') WHERE n = 2""")
    connection.close()
    ran = repository.run("audit", "--verify")
    assert (ran.code, ran.out) == (4, "")
    assert "AUDIT line 3 does not follow from line 2: the trail was edited" in ran.err
    assert repository.run("audit", "--verify", "--json").document["code"] == "AUDIT"


def test_an_answer_carries_the_login_name_unless_another_is_given(repository: Repository) -> None:
    assert repository.run("hold", "--all", "--because", "x").code == 0
    [entry] = repository.run("audit", "--json").document["entries"]
    assert entry["who"]
    assert json.dumps(entry)


def test_a_repository_here_needs_no_place_in_printed_commands(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository.root)
    assert "lift it with: cloudsync unhold aws-prod\n" in cloudsync("hold", "aws-prod", "--because", "x").out
