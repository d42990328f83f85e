"""iam and doctor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cloudsync.lab.server import Lab
from tests.cli.shell import Repository, cloudsync, of_lab


def actions(role: str) -> set[str]:
    return {action for statement in json.loads(role)["Statement"] for action in statement["Action"]}


def test_iam_is_made_for_the_targets_of_the_repository(repository: Repository) -> None:
    ran = repository.run("iam", "aws")
    assert (ran.code, ran.err) == (0, "")
    assert "ec2:AuthorizeSecurityGroupIngress" in actions(ran.out)
    assert '"aws:ResourceTag/cloudsync:owner": "acme-prod"' in ran.out
    assert ":111122223333:" in ran.out
    repository.edit("cloudsync.yaml", 'account: "111122223333"\n', 'account: "444455556666"\n')
    assert ":444455556666:" in repository.run("iam", "aws").out


def test_the_reading_role_cannot_write(repository: Repository) -> None:
    ran = repository.run("iam", "aws", "--read-only", "--json")
    document = ran.document
    assert document["read_only"]
    verbs = {action.partition(":")[2] for action in actions(document["role"])}
    assert verbs
    assert not [verb for verb in verbs if not verb.startswith(("Describe", "Get", "List", "Lookup"))]


def test_outside_a_repository_iam_prints_an_example_and_says_so(tmp_path: Path) -> None:
    ran = cloudsync("iam", "aws", "-C", str(tmp_path))
    assert ran.code == 0
    assert "this role is an example" in ran.err
    assert json.loads(ran.out)["Version"] == "2012-10-17"


@pytest.mark.parametrize(("platform", "said"), [("awss", "did you mean 'aws'"), ("../x", "UNKNOWN-ADAPTER")])
def test_iam_of_an_unknown_platform(platform: str, said: str, tmp_path: Path) -> None:
    ran = cloudsync("iam", platform, "-C", str(tmp_path))
    assert ran.code == 3
    assert ran.out.startswith("command line UNKNOWN-ADAPTER")
    assert said in ran.out


def test_doctor_finds_all_in_place(fresh: Repository) -> None:
    ran = fresh.run("doctor")
    assert ran.code == 0, str(ran)
    assert "NOT" not in ran.out
    assert ran.out.splitlines()[-1].endswith("checks, all ok")
    document = fresh.run("doctor", "--target", "aws-prod", "--json").document
    assert document["wrong"] == 0
    assert {"", "aws-prod"} == {one["target"] for one in document["checks"]}


def test_doctor_refuses_another_account_than_the_settings_name(small_lab: Lab, credentials: None, tmp_path: Path) -> None:
    found = of_lab(tmp_path / "repository", small_lab)
    found.edit("cloudsync.yaml", f'account: "{small_lab.state.account}"', 'account: "999988887777"')
    ran = found.run("doctor")
    assert ran.code == 4, str(ran)
    assert f"G-IDENTITY expected account 999988887777, got {small_lab.state.account}" in ran.out
    assert [one["ok"] for one in found.run("doctor", "--json").document["checks"]].count(False) == 1


def test_doctor_says_when_a_platform_is_not_there(small_lab: Lab, credentials: None, tmp_path: Path) -> None:
    found = of_lab(tmp_path / "repository", small_lab)
    found.edit("cloudsync.yaml", small_lab.endpoint, "http://127.0.0.1:9")
    ran = found.run("doctor")
    assert ran.code == 5, str(ran)
    assert "NOT aws-prod: reach:" in ran.out


def test_doctor_tells_what_stops_every_run_before_any_contact(repository: Repository) -> None:
    state = repository.root / ".cloudsync" / "state.db"
    state.parent.mkdir(mode=0o700)
    state.touch(mode=0o644)
    repository.edit("cloudsync.yaml", "regions: [us-east-1]", 'regions: [us-east-1]\n    endpoint: "http://127.0.0.1:9"')
    ran = repository.run("doctor")
    assert ran.code == 4, str(ran)
    assert "NOT state: PRE-MODE" in ran.out
