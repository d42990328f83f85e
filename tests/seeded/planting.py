"""Defects on purpose: a copy of the project, one text in it exchanged, and the tests that have to notice."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("cloudsync", "adapters", "tests", "config")
PATIENCE_S = 240.0
"""A run that takes longer hangs; a hang is not a catch."""
CONTROL_S = 3_600.0
"""What all tests of the catalogue together may take on a copy without a defect."""
_FAILED = re.compile(r"^FAILED (\S+?\.py::\w+(?:\[.*?\])?)(?= - |$)", re.MULTILINE)
_BROKEN = re.compile(r"^ERROR (\S+)", re.MULTILINE)
_WITNESS = re.compile(r"^witness: (\d+) modules of this copy, (\d+) from elsewhere$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Defect:
    """One mistake that somebody could make: `old` stands exactly once in `file` and becomes `new`.

    `breaks` says in one sentence what would go wrong; each of `tests` (node ids) alone has to fail with the defect and pass without it.
    """

    name: str
    file: str
    old: str
    new: str
    breaks: str
    tests: tuple[str, ...]

    @property
    def quick(self) -> bool:
        """Tell whether its tests start no server and load no SDK."""
        return not any(test.startswith(("tests/wire/", "tests/cli/")) for test in self.tests)


class StaleError(AssertionError):
    """The text that a defect exchanges is not there any more, or not once: the catalogue has to follow the code."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of tests against a copy came to."""

    code: int
    failed: tuple[str, ...]
    broken: tuple[str, ...]
    """Tests that could not run at all: a defect that breaks the import proves nothing."""
    seconds: float
    output: str

    @property
    def passed(self) -> bool:
        """Tell whether every test passed."""
        return self.code == 0

    @property
    def caught(self) -> bool:
        """Tell whether an assertion noticed the defect."""
        return self.code == 1 and bool(self.failed) and not self.broken


def make_copy(folder: Path) -> Path:
    """Copy what tests need into an empty folder; times are kept, so that compiled files stay good."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(".*"))
    shutil.copy2(ROOT / "pyproject.toml", folder)
    return folder


@contextmanager
def planted(copy: Path, defect: Defect) -> Iterator[None]:
    """Plant a defect in a copy, and take it out again."""
    path = copy / defect.file
    healthy = path.read_text(encoding="utf-8")
    times = path.stat()
    if healthy.count(defect.old) != 1:
        raise StaleError(f"{defect.name}: its text stands {healthy.count(defect.old)} times in {defect.file}")
    path.write_text(healthy.replace(defect.old, defect.new), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(healthy, encoding="utf-8")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def run_tests(copy: Path, tests: Iterable[str], patience_s: float = PATIENCE_S) -> Outcome:
    """Run tests inside a copy, up to the first failure. Raises AssertionError when not the copy was tested, or the run hung."""
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "--tb=line",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-p",
        "tests.seeded.witness",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    environment |= {"PYTHONPATH": f"{copy}{os.pathsep}{copy / 'adapters'}", "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "400"}
    started = time.monotonic()
    done = subprocess.run(
        [*words, f"--rootdir={copy}", *tests], cwd=copy, env=environment, capture_output=True, text=True, timeout=patience_s, check=False
    )
    seconds = time.monotonic() - started
    output = done.stdout + done.stderr
    witness = _WITNESS.search(output)
    assert witness is not None, f"nobody saw which modules were tested:\n{output}"
    assert int(witness[2]) == 0, f"modules from elsewhere were tested:\n{output}"
    return Outcome(done.returncode, tuple(_FAILED.findall(output)), tuple(_BROKEN.findall(output)), seconds, output)


def try_defect(copy: Path, defect: Defect) -> Outcome:
    """Plant a defect and run each of its tests alone; return the first run that did not catch it, else the last, with all seconds."""
    runs: list[Outcome] = []
    with planted(copy, defect):
        for test in defect.tests:
            runs.append(run_tests(copy, (test,)))
            if not runs[-1].caught:
                break
    last = runs[-1]
    failed = tuple(test for run in runs for test in run.failed) if last.caught else ()
    return Outcome(last.code, failed, last.broken, sum(run.seconds for run in runs), last.output)
