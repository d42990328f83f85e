"""The documented table is the one the lab keeps, and every number of the deviation list is in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudsync.lab import evidence
from cloudsync.lab.aws import faults

PAGE = Path(__file__).resolve().parents[2] / "docs" / "lab.md"


@pytest.mark.parametrize("vendor", evidence.VENDORS)
def test_the_page_holds_the_table(vendor: str) -> None:
    page = PAGE if vendor == "aws" else PAGE.with_name(f"lab-{vendor}.md")
    assert evidence.table(evidence.of(vendor)) in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("vendor", evidence.VENDORS)
def test_nothing_is_listed_twice(vendor: str) -> None:
    listed = [(each.row, each.what) for each in evidence.of(vendor)]
    assert len(set(listed)) == len(listed) > 20


def test_every_row_has_evidence() -> None:
    assert {each.row for each in evidence.BEHAVIOURS} >= {str(number) for number in range(1, 42)}


def test_every_kind_of_fault_is_documented() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [kind.value for kind in faults.Kind if kind.value not in page] == []


def test_the_share_that_is_assumed_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert evidence.main([]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == [*evidence.VENDORS, "all"]
    total = sum(len(evidence.of(vendor)) for vendor in evidence.VENDORS)
    assert f"{total} behaviours" in said[-1]
    assert all("assumed" in line for line in said)
