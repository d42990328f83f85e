"""Bad commands, files, states and environments as a person meets them: the exact text, the exit code, and that nothing was touched.

One YAML file each in tests/bad/command, with its text beside it. Run as a program, this file writes the texts again.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

from tests.bad.scene import Case, load, no_network, scene
from tests.trust.figures import record

FOLDER = Path(__file__).parent / "command"
FILES = sorted(FOLDER.glob("*.yaml"))


def _said(case: Case, folder: Path) -> tuple[str, int, int]:
    """Return what the command said, how often it contacted platforms, and how many calls changed something."""
    with scene(folder, case.environment) as stage, no_network() as tried:
        stage.prepare(case)
        before = stage.counts()
        ran = stage.run(*case.run)
        after = stage.counts()
        assert not tried
        return stage.said(ran), after[0] - before[0], after[1] - before[1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_bad_command_says_exactly_this_and_touches_nothing(path: Path, tmp_path: Path) -> None:
    case = load(path)
    said, contacts, writes = _said(case, tmp_path)
    record("T9 bad commands", {"cases": 1, "wrong": int(said != path.with_suffix(".txt").read_text(encoding="utf-8"))})
    assert said == path.with_suffix(".txt").read_text(encoding="utf-8"), f"if it should: python -m tests.bad.test_bad_commands {path.stem}"
    assert said.startswith(f"exit {case.exit}\n")
    assert writes == 0
    assert case.contacts or contacts == 0
    assert case.why


def test_every_command_has_its_text() -> None:
    assert {path.stem for path in FILES} == {path.stem for path in FOLDER.glob("*.txt")}


if __name__ == "__main__":
    for each in FILES:
        if len(sys.argv) > 1 and each.stem not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory() as name:
            each.with_suffix(".txt").write_text(_said(load(each), Path(name))[0], encoding="utf-8")
