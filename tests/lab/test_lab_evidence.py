"""The documented table is the one the lab keeps, and every number of the deviation list is in it."""

from __future__ import annotations

from pathlib import Path

from cloudsync.lab import evidence
from cloudsync.lab.aws import faults

PAGE = Path(__file__).resolve().parents[2] / "docs" / "lab.md"


def test_the_page_holds_the_table() -> None:
    assert evidence.table() in PAGE.read_text(encoding="utf-8")


def test_every_row_has_evidence() -> None:
    assert {each.row for each in evidence.BEHAVIOURS} >= {str(number) for number in range(1, 42)}


def test_every_kind_of_fault_is_documented() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [kind.value for kind in faults.Kind if kind.value not in page] == []


def test_the_share_that_is_assumed_is_said() -> None:
    assert f"{len(evidence.BEHAVIOURS)} behaviours" in evidence.share()
    assert "assumed" in evidence.share()
