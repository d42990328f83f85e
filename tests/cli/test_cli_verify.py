"""`verify` on the command line: what it says of a plan file, in words and as a document, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.shell import Repository, cloudsync
from tests.property.alterations import signed


@pytest.fixture
def plan(fresh: Repository, tmp_path: Path) -> Path:
    file = tmp_path / "plan.json"
    made = fresh.run("plan", "-o", str(file))
    assert file.exists(), str(made)
    return file


def test_a_plan_as_it_was_made_is_accepted(fresh: Repository, plan: Path) -> None:
    ran = fresh.run("verify", str(plan))
    assert ran.code == 0, str(ran)
    assert ran.out.splitlines()[-1].startswith("accepted: ")
    assert "another one" not in ran.out
    said = fresh.run("verify", str(plan), "--json").document
    assert (said["accepted"], said["policy"], said["objections"]) == (True, "same", [])
    [target] = said["targets"]
    assert target["platform"] == "aws"
    assert target["points"] > 0
    assert target["states"] == target["steps"] + 1 > 1


def test_it_needs_no_repository_and_contacts_nothing(plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    ran = cloudsync("verify", str(plan), "--json")
    assert ran.code == 0, str(ran)
    assert ran.document["policy"] == "unknown"


def test_another_policy_in_the_repository_is_said_and_no_reason_against(fresh: Repository, plan: Path) -> None:
    policy = next((fresh.root / "policy").glob("*.yaml"))
    policy.write_text(policy.read_text(encoding="utf-8") + "\n# another thought\n", encoding="utf-8")
    ran = fresh.run("verify", str(plan))
    assert ran.code == 0, str(ran)
    assert "the policy in the repository is another one than the plan's" in ran.out


def test_one_more_entry_is_refused_with_a_witness(plan: Path) -> None:
    document = json.loads(plan.read_text(encoding="utf-8"))
    steps = [one for phase in document["plan"]["targets"][0]["phases"] for one in phase["steps"]]
    step = next(one for one in steps if one["action"] == "AuthorizeSecurityGroupIngress")
    payload = json.loads(step["payload"])
    payload["args"]["IpPermissions"].append({"IpProtocol": "tcp", "FromPort": 23, "ToPort": 23, "IpRanges": [{"CidrIp": "203.0.113.7/32"}]})
    step["payload"] = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    plan.write_text(json.dumps(document), encoding="utf-8")
    ran = cloudsync("verify", str(plan))
    assert ran.code == 4
    assert "digest: the content does not match its digest: the file was changed after it was written" in ran.out
    plan.write_text(signed(document), encoding="utf-8")
    ran = cloudsync("verify", str(plan))
    assert ran.code == 4
    assert "digest:" not in ran.out
    assert "inbound tcp/23 from 203.0.113.7 would pass and is not wanted" in ran.out
    assert ran.out.splitlines()[-1].startswith("REFUSED: ")
    said = cloudsync("verify", str(plan), "--json").document
    assert not said["accepted"]
    assert {"excess", "told"} <= {one["kind"] for one in said["objections"]}
    assert any(one["witness"] == "inbound tcp/23 from 203.0.113.7" for one in said["objections"])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("{", "BAD-PLAN"),
        ("[]", "BAD-PLAN"),
        ('{"format": "cloudsync-plan", "version": 7}', "BAD-PLAN"),
        ('{"format": "cloudsync-plan", "version": 1, "digests": {}, "packet_sets": [], "plan": {"targets": []}}', "NO-EVIDENCE"),
        ('{"format": "cloudsync-plan", "version": 1, "content_digest": "", "evidence": {}, "plan": {}}', "BAD-PLAN"),
        ("[" * 100_000, "BAD-PLAN"),
    ],
)
def test_what_is_no_plan_is_invalid_input(tmp_path: Path, content: str, code: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(content, encoding="utf-8")
    ran = cloudsync("verify", str(file))
    assert ran.code == 3, str(ran)
    assert f"{code} " in ran.out + ran.err


def test_a_file_that_is_not_there_is_invalid_input(tmp_path: Path) -> None:
    ran = cloudsync("verify", str(tmp_path / "none.json"))
    assert ran.code == 3
    assert "NO-PLAN cannot be read" in ran.out + ran.err
