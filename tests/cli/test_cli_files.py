"""Verbs on files alone: init, validate, test, fmt, schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cloudsync import starter
from cloudsync.settings import packaged_schema
from tests.cli.shell import ROOT, Repository, cloudsync


def test_init_writes_what_validates(tmp_path: Path) -> None:
    ran = cloudsync("init", str(tmp_path / "new"), "--json")
    assert ran.code == 0
    assert sorted(ran.document["files"]) == sorted(str(tmp_path / "new" / name) for name in starter.files())
    assert cloudsync("validate", "-C", str(tmp_path / "new")).code == 0


def test_init_says_what_comes_next_and_never_overwrites(tmp_path: Path) -> None:
    first = cloudsync("init", "-C", str(tmp_path))
    assert first.out.splitlines()[-1].endswith("then: cloudsync validate")
    settings = tmp_path / "cloudsync.yaml"
    settings.write_text("mine", encoding="utf-8")
    again = cloudsync("init", str(tmp_path))
    assert again.code == 3
    assert "cloudsync.yaml:1:1 EXISTS is already there; nothing was written" in again.out
    assert settings.read_text(encoding="utf-8") == "mine"


def test_validate_counts_and_passes_with_warnings(repository: Repository) -> None:
    ran = repository.run("validate")
    assert ran.code == 0
    assert "policy/shop.yaml:8:9 OPEN-TO-INTERNET rule shop-prod#1" in ran.out
    assert ran.out.splitlines()[-1] == "0 errors, 1 warning in 5 files, 14 rules"


def test_strict_makes_warnings_errors(repository: Repository) -> None:
    assert repository.run("validate", "--strict").code == 3
    repository.edit("policy/shop.yaml", "allow anywhere to role=web", "allow iplist offices to role=web")
    assert repository.run("validate", "--strict").code == 0


def test_validate_lists_all_findings_at_once_with_their_places(repository: Repository) -> None:
    repository.edit("policy/shop.yaml", "role=app to role=db on postgres", "role=app to role=dbb on postgress")
    repository.edit("cloudsync.yaml", "mode: exclusive", "mode: exclusiv")
    ran = repository.run("validate", "--json")
    assert ran.code == 3
    found = {(one["file"], one["code"]) for one in ran.document["findings"] if one["severity"] == "error"}
    assert {("policy/shop.yaml", "UNKNOWN-VALUE"), ("policy/shop.yaml", "UNKNOWN-SERVICE")} <= found
    assert any(file == "cloudsync.yaml" for file, _ in found)


def test_the_shipped_example_is_valid() -> None:
    assert cloudsync("validate", "--strict", "-C", str(ROOT / "config" / "example")).code == 0


def test_policy_tests_pass_on_workloads_that_are_there(repository: Repository) -> None:
    repository.write(
        "inventory/all.csv",
        "name,addresses,role,app,env\nw,10.1.0.1,web,shop,prod\na,10.1.0.2,app,shop,prod\nd,10.1.0.3,db,shop,prod\n"
        "b,10.1.0.4,app,billing,prod\nj,10.1.0.5,bastion,platform,shared\n",
    )
    ran = repository.run("test", "--offline", "--json")
    assert ran.code == 0, str(ran)
    document = ran.document
    assert all(one["passed"] for one in document["tests"])
    assert document["summary"].startswith("5 passed, 0 failed")
    assert document["inventory"].startswith("static inventory only")


def test_a_failing_policy_test_names_a_packet_and_the_rule(repository: Repository) -> None:
    repository.write("inventory/all.csv", "name,addresses,role,app,env\nw,10.1.0.1,web,shop,prod\nd,10.1.0.3,db,shop,prod\n")
    repository.edit(
        "policy/shop.yaml",
        "tests:",
        "tests:\n  - role=web app=shop env=prod cannot reach iplist offices on tcp/80\n  - anywhere cannot reach role=web on http",
    )
    ran = repository.run("test", "--offline")
    assert ran.code == 3
    [line] = [line for line in ran.out.splitlines() if "anywhere cannot reach role=web" in line]
    assert line.startswith("FAIL policy/shop.yaml:")
    assert "tcp/80" in line
    assert "allowed by shop-prod#1" in line


def test_a_test_of_nobody_is_no_success(repository: Repository) -> None:
    ran = repository.run("test", "--offline")
    assert ran.code == 3
    assert "vacuous" in ran.out


def test_fmt_rewrites_once_and_then_never_again(repository: Repository) -> None:
    assert repository.run("fmt", "--check").code == 0
    repository.edit("policy/shop.yaml", "allow role=app to role=cache on redis", "allow   app to   reach cache on redis")
    checked = repository.run("fmt", "--check", "--json")
    assert checked.code == 3
    assert checked.document["changed"] == ["policy/shop.yaml"]
    assert "allow   app" in (repository.root / "policy" / "shop.yaml").read_text(encoding="utf-8")
    assert repository.run("fmt").out == "rewrote: policy/shop.yaml\n"
    text = (repository.root / "policy" / "shop.yaml").read_text(encoding="utf-8")
    assert "allow role=app to role=cache on redis" in text
    assert "# One file per team is a good habit" in text
    assert repository.run("fmt").out == "every sentence is canonical\n"
    assert [path.name for path in (repository.root / "policy").iterdir() if "new" in path.name] == []


@pytest.mark.parametrize("name", ["settings", "policy", "inventory"])
def test_schema_prints_what_editors_use(name: str, tmp_path: Path) -> None:
    assert json.loads(cloudsync("schema", name).out) == packaged_schema(name)
    ran = cloudsync("schema", "--write", str(tmp_path / "schemas"), "--json")
    assert ran.code == 0
    assert str(tmp_path / "schemas" / f"{name}.schema.json") in ran.document["files"]
    assert json.loads((tmp_path / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8")) == packaged_schema(name)


def test_a_name_out_of_a_description_leads_to_the_rule_whose_it_is(repository: Repository) -> None:
    """Without any platform: the repository names one that is not there."""
    third = repository.run("explain", "shop-prod#3", "--json").document["found"]
    assert (third["where"].partition(":")[0], third["sentence"]) == ("policy/shop.yaml", "allow role=app to role=db on postgres")
    written = third["written"]
    repository.edit("policy/shop.yaml", "      - allow anywhere to role=web on https, http\n", "")
    ran = repository.run("explain", written)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        f"{written}: shop-prod#2 (policy/shop.yaml:9)",
        "  allow role=app to role=db on postgres",
        f"  in what is written on platforms: {written}",
    ]
    assert "need not be this one" in repository.run("explain", "shop-prod#3").out
    assert repository.run("explain", "shop-prod/web-to-app", "--json").document["found"]["written"] == "shop-prod/web-to-app"
    gone = repository.run("explain", "shop-prod@0123456789")
    assert (gone.code, gone.out) == (0, "shop-prod@0123456789: not in the policy now\n")
    assert repository.run("explain", "shop-prod@0123456789", "--json").document["found"] is None
