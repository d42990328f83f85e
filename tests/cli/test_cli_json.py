"""Every document of --json is of the published schema, and every kind of it is documented."""

from __future__ import annotations

import ast
import copy
import re
from typing import Any

import jsonschema
import pytest

from cloudsync.lab.server import Lab
from tests.cli.shell import ROOT, Repository, closed_schema, output_schema


def printed_kinds() -> set[str]:
    """Return the kinds that the command line's code prints."""
    found: set[str] = set()
    for path in (ROOT / "cloudsync" / "cli").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "document" and node.args:
                kind = node.args[0]
                assert isinstance(kind, ast.Constant), f"{path.name}:{node.lineno}: a kind is a literal"
                found.add(str(kind.value))
    return found


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(output_schema())


def test_every_kind_that_is_printed_is_in_the_schema_and_in_the_page() -> None:
    kinds = printed_kinds()
    page = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    assert {"run", "explain", "findings", "error"} <= kinds
    assert set(output_schema()["properties"]["kind"]["enum"]) == kinds
    assert set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)) == kinds


def test_a_plan_and_a_drift_report_are_of_the_schema(fresh: Repository) -> None:
    plan = fresh.run("plan", "--json")
    assert plan.document["verb"] == "plan"
    [target] = plan.document["targets"]
    assert target["exit"] == str(plan.code)
    assert target["plan"]["phases"]
    assert target["plan"]["changes"]
    drift = fresh.run("drift", "--json")
    assert drift.code == 2
    assert {one["enforced"] for one in drift.document["targets"][0]["drift"]} == {True, False}


def test_what_was_applied_is_of_the_schema(converged: Repository) -> None:
    ran = converged.run("history", "--json")
    assert ran.document["runs"]
    assert converged.run("test", "--offline", "--json").document["tests"]


def test_an_apply_with_nobody_to_ask_writes_nothing_and_says_so(fresh: Repository, small_lab: Lab) -> None:
    for refusal in fresh.run("plan", "--json").document["targets"][0]["refusals"]:
        assert fresh.printed(refusal["approve"]).code == 0
    before = small_lab.control.act("DescribeSecurityGroups", {}).count("<groupId>")
    ran = fresh.run("apply", "--json")
    assert ran.code == 4
    assert ran.document["code"] == "G-APPROVAL"
    assert [one["exit"] for one in fresh.run("history", "--json").document["runs"]] == [4]
    assert small_lab.control.act("DescribeSecurityGroups", {}).count("<groupId>") == before
    done = fresh.run("apply", "--yes", "--json")
    assert done.code == 0
    [target] = done.document["targets"]
    assert (target["applied"]["status"], target["remaining"]) == ("done", [])
    again = fresh.run("apply", "--yes", "--json").document["targets"][0]
    assert again["applied"] == {"status": "nothing", "done": 0, "failed": 0, "unknown": 0, "message": ""}


def test_a_saved_plan_is_applied_as_it_is_or_not_at_all(fresh: Repository) -> None:
    plan = fresh.root / "plan.json"
    for refusal in fresh.run("plan", "--json").document["targets"][0]["refusals"]:
        assert fresh.printed(refusal["approve"]).code == 0
    saved = fresh.run("plan", "-o", str(plan))
    assert saved.code == 2
    assert saved.out.splitlines()[-1] == f"Apply exactly this with: cloudsync apply -C {fresh.root} {plan}"
    assert plan.stat().st_mode & 0o777 == 0o600
    assert fresh.run("apply", str(plan), "--yes").code == 0
    moved = fresh.run("apply", str(plan), "--yes")
    assert moved.code == 4
    assert "what the platform holds changed" in moved.err
    missing = fresh.run("apply", str(plan.with_name("none.json")), "--yes")
    assert missing.code in (3, 4)
    assert "NO-PLAN" in missing.out + missing.err


@pytest.mark.parametrize("spoil", ["missing", "unknown", "kind"])
def test_the_check_against_the_schema_can_fail(repository: Repository, spoil: str) -> None:
    good: Any = repository.run("validate", "--json").document
    bad = copy.deepcopy(good)
    match spoil:
        case "missing":
            del bad["findings"][0]["hint"]
        case "unknown":
            bad["findings"][0]["colour"] = "red"
        case _:
            bad["kind"] = "finding"
    assert not list(jsonschema.Draft202012Validator(closed_schema()).iter_errors(good))
    assert list(jsonschema.Draft202012Validator(closed_schema()).iter_errors(bad))
