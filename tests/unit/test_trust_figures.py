"""Budgets and figures of the campaign."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.trust.budget import Budget, budget
from tests.trust.figures import FILE, record


def test_a_change_gets_the_small_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOUDSYNC_TRUST", raising=False)
    assert Budget.now() is Budget.CHANGE
    assert budget(1, 2, 3) == 1
    monkeypatch.setenv("CLOUDSYNC_TRUST", "release")
    assert budget(1, 2, 3) == 3
    monkeypatch.setenv("CLOUDSYNC_TRUST", "soon")
    with pytest.raises(ValueError, match="soon"):
        Budget.now()


def test_figures_are_appended_line_by_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "figures.jsonl"
    monkeypatch.setenv(FILE, str(file))
    record("T3 states", {"states": 5, "violations": 0})
    record("T3 states", {"states": 7, "violations": 0})
    found = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert found == [{"part": "T3 states", "states": 5, "violations": 0}, {"part": "T3 states", "states": 7, "violations": 0}]
