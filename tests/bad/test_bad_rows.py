"""The forty rows of the table in the safety page are all here, each by its number, and there are more than two hundred cases."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bad.rows import ELSEWHERE, ROWS
from tests.bad.scene import load

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]


def files() -> list[Path]:
    return sorted(path for folder in FOLDER.iterdir() if folder.is_dir() for path in folder.iterdir() if path.suffix == ".txt")


def shown_by_files() -> dict[int, list[str]]:
    """Return the cases of this folder by row: the number that a file's name begins with, or the `row` of a command."""
    found: dict[int, list[str]] = {}
    for path in files():
        if path.parent.name == "command":
            found.setdefault(load(path.with_suffix(".yaml")).row, []).append(path.stem)
        elif path.parent.name != "__pycache__":
            found.setdefault(int(path.stem[:2]), []).append(f"{path.parent.name}/{path.stem}")
    return found


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_shown(row: int) -> None:
    shown = [*shown_by_files().get(row, ()), *ELSEWHERE.get(row, ())]
    assert shown, f"row {row} is shown nowhere"


def test_tests_elsewhere_are_there() -> None:
    for node in {node for nodes in ELSEWHERE.values() for node in nodes}:
        file, _, name = node.partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}, node


def test_there_are_more_than_two_hundred_cases_and_no_two_are_alike() -> None:
    assert len(files()) >= 200
    commands = [path.with_suffix(".yaml") for path in files() if path.parent.name == "command"]
    assert len({str(replace(load(path), name="", why="")) for path in commands}) == len(commands)
