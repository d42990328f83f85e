"""Paths that cannot be read or written are the user's to mend: a finding, exit 3, nothing contacted, nothing half written."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudsync.app.whole import write_whole
from cloudsync.model.errors import InputError
from tests.cli.shell import cloudsync


@pytest.fixture
def starter(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    assert cloudsync("init", str(folder)).code == 0
    return folder


@pytest.mark.parametrize("words", [("init", "{file}/deeper"), ("schema", "--write", "{file}/deeper")])
def test_a_folder_that_cannot_be_made_is_a_finding(words: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "a-file"
    file.write_text("x")
    ran = cloudsync(*(word.format(file=file) for word in words))
    assert ran.code == 3, str(ran)
    assert "CANNOT-WRITE" in ran.out


@pytest.mark.parametrize("words", [("apply", "nowhere/plan.json", "--yes"), ("plan", "-o", "nowhere/plan.json")])
def test_a_plan_file_is_looked_for_before_anything_is_contacted(words: tuple[str, ...], starter: Path) -> None:
    ran = cloudsync(words[0], "-C", str(starter), *(str(starter / word) if word.startswith("nowhere") else word for word in words[1:]))
    assert ran.code == 3, str(ran)
    assert "reading aws-prod" not in ran.out + ran.err
    assert ("NO-PLAN" if words[0] == "apply" else "CANNOT-WRITE") in ran.out


def test_a_file_is_replaced_whole_through_a_name_nobody_can_guess(tmp_path: Path) -> None:
    path, trap = tmp_path / "plan.json", tmp_path / "elsewhere"
    path.write_bytes(b"old")
    for name in ("plan.json.new", "plan.json.cloudsync-new"):
        (tmp_path / name).symlink_to(trap)
    write_whole(path, b"new", 0o600)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert not trap.exists()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["plan.json", "plan.json.cloudsync-new", "plan.json.new"]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "taken"
    folder.mkdir()
    with pytest.raises(InputError, match="CANNOT-WRITE"):
        write_whole(folder, b"new", 0o600)
    assert [one.name for one in tmp_path.iterdir()] == ["taken"]
