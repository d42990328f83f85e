"""A campaign that was cut goes on: what a piece came to is taken over, and only where somebody said where it is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.trust.chunks import FOLDER, piece
from tests.trust.figures import FILE, Figures


def test_a_piece_that_is_done_is_recorded_again_and_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path / "pieces"))
    monkeypatch.setenv(FILE, str(tmp_path / "figures"))
    done: list[str] = []

    def work() -> dict[str, Figures]:
        done.append("x")
        return {"T1 x": {"runs": 5}, "T1 y": {"plans": 7}}

    piece("one", work)
    piece("one", work)
    assert done == ["x"]
    lines = (tmp_path / "figures").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == 2 * [{"part": "T1 x", "runs": 5}, {"part": "T1 y", "plans": 7}]
    piece("two", work)
    monkeypatch.delenv(FOLDER)
    piece("one", work)
    assert done == ["x", "x", "x"]


def test_a_piece_that_failed_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))

    def work() -> dict[str, Figures]:
        raise AssertionError("a violation")

    with pytest.raises(AssertionError, match="a violation"):
        piece("one", work)
    assert list(tmp_path.iterdir()) == []
