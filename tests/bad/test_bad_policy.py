"""One bad policy per file, with the exact text of its findings; the numbers are the rows of the table in the safety page, then our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudsync.policy.fmt import format_file
from cloudsync.policy.load import load_policy

FOLDER = Path(__file__).parent / "policy"
CASES = sorted(FOLDER.glob("*.yaml"))


def test_every_case_has_its_text() -> None:
    assert len(CASES) > 40
    assert {case.stem for case in CASES} == {text.stem for text in FOLDER.glob("*.txt")}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_findings_are_exactly_these(case: Path) -> None:
    policy, findings = load_policy([(f"policy/{case.name}", case.read_bytes())])
    assert policy is None
    assert "".join(f"{finding}\n" for finding in findings) == case.with_suffix(".txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_formatting_never_hides_a_finding(case: Path) -> None:
    content = format_file(case.name, case.read_bytes())
    policy, findings = load_policy([(f"policy/{case.name}", content)])
    assert policy is None
    codes = sorted(finding.code for finding in findings)
    assert codes == sorted(line.split()[1] for line in case.with_suffix(".txt").read_text(encoding="utf-8").splitlines())


def test_a_broken_file_does_not_hide_the_findings_of_another() -> None:
    first, second = FOLDER / "20-unknown-value.yaml", FOLDER / "23-host-bits.yaml"
    content = second.read_text(encoding="utf-8").split("rulesets:")[0].split("iplists:")[1]
    _, findings = load_policy([("b.yaml", f"iplists:{content}".encode()), ("a.yaml", first.read_bytes())])
    assert [(finding.where.file, finding.code) for finding in findings] == [("b.yaml", "HOST-BITS"), ("a.yaml", "UNKNOWN-VALUE")]
