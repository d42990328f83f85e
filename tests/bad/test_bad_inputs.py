"""One bad settings, inventory or YAML file each, with the exact text of its findings.

The numbers are the rows of the table in the safety page, from 60 on our own. Run as a program, this file writes the texts again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloudsync.inventory.static import read_static
from cloudsync.inventory.terraform import read_state
from cloudsync.model.finding import Finding
from cloudsync.policy.acknowledged import lint, read_acknowledged
from cloudsync.policy.strict import load_node
from cloudsync.registry import options_schema
from cloudsync.settings import load_settings, packaged_schema

FOLDER = Path(__file__).parent
Load = Callable[[str, bytes], tuple[Finding, ...]]


def _loading(file: str, content: bytes) -> tuple[Finding, ...]:
    return load_node(file, content)[1]


def _settings(file: str, content: bytes) -> tuple[Finding, ...]:
    settings, findings = load_settings(content, options_schema, file=file)
    assert settings is None
    return findings


def _inventory(file: str, content: bytes) -> tuple[Finding, ...]:
    return read_static([(file, content)], packaged_schema("inventory"))[1]


def _acknowledged(file: str, content: bytes) -> tuple[Finding, ...]:
    lines, findings = read_acknowledged(content, packaged_schema("acknowledged"), file=file)
    return (*findings, *lint(lines, ("aws-prod", "gcp-prod"), datetime(2027, 1, 1, tzinfo=UTC)))


def _terraform(file: str, content: bytes) -> tuple[Finding, ...]:
    return read_state(file, content)[1]


LOADERS: dict[str, Load] = {
    "loading": _loading,
    "settings": _settings,
    "inventory": _inventory,
    "acknowledged": _acknowledged,
    "terraform": _terraform,
}
CASES = sorted(case for folder in LOADERS for case in (FOLDER / folder).iterdir() if case.suffix != ".txt")


def _found(case: Path) -> str:
    return "".join(f"{finding}\n" for finding in LOADERS[case.parent.name](case.name, case.read_bytes()))


def test_every_case_has_its_text() -> None:
    assert len(CASES) > 60
    texts = {text.with_suffix("") for folder in LOADERS for text in (FOLDER / folder).glob("*.txt")}
    assert {case.with_suffix("") for case in CASES} == texts


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.stem}")
def test_findings_are_exactly_these(case: Path) -> None:
    wanted = case.with_suffix(".txt").read_text(encoding="utf-8")
    assert wanted.strip()
    assert _found(case) == wanted


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.stem}")
def test_every_finding_points_into_the_file(case: Path) -> None:
    text = case.read_bytes().decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n")
    lines = text.split("\n")
    for finding in LOADERS[case.parent.name](case.name, case.read_bytes()):
        assert finding.where.file == case.name
        assert 1 <= finding.where.line <= len(lines)
        assert 1 <= finding.where.col <= len(lines[finding.where.line - 1]) + 1


HOSTILE = [
    "[" * 5_000 + "]" * 5_000,
    "".join(" " * depth + "a:\n" for depth in range(1_000)),
    "a: &a [x]\n" + "b: [" + ", ".join(["*a"] * 50_000) + "]\n",
    "- &a x\n" * 100_000,
    "{" * 100_000,
    "- !!python/object/apply:os.system [x]\n" * 10_000,
    "a: x\n" * 100_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_input_is_refused_quickly_and_by_a_finding(text: str) -> None:
    before = time.process_time()
    _, findings = load_node("hostile.yaml", text.encode())
    assert 1 <= len(findings) <= 150
    # 50 ms is the goal on an idle machine; the limit here only tells a bomb (minutes, gigabytes) from a refusal.
    assert time.process_time() - before < 2


if __name__ == "__main__":
    for each in CASES:
        each.with_suffix(".txt").write_text(_found(each), encoding="utf-8")
