"""What others say of the product: systemd of its units, bandit of its code, pip of its dependencies. The figures of T10."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.tidy import tree
from tests.tidy.test_tidy_units import EXPOSURE_MAX, UNITS, exposure
from tests.trust.figures import record

LOCKS = ("requirements.lock", "requirements-source.lock")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_little_exposed(tmp_path: Path) -> None:
    folder = tmp_path / "units"
    shutil.copytree(UNITS, folder)
    scores = [exposure(folder, f"./{path.name}") for path in sorted(UNITS.glob("*.service"))]
    record("T10 systemd", {"units": len(scores), "exposure_max": max(scores)})
    assert max(scores) <= EXPOSURE_MAX


@pytest.mark.skipif(find_spec("bandit") is None, reason="bandit is not installed")
def test_bandit_finds_nothing_of_weight() -> None:
    words = [sys.executable, "-m", "bandit", "-q", "-r", *tree.PRODUCT, "--severity-level", "medium", "-f", "json"]
    done = subprocess.run(words, cwd=tree.ROOT, capture_output=True, text=True, check=False, timeout=300)
    report = json.loads(done.stdout)
    found = [f"{one['filename']}:{one['line_number']} {one['test_id']} {one['issue_text']}" for one in report["results"]]
    totals = report["metrics"]["_totals"]
    record("T10 bandit", {"lines": totals["loc"], "bandit_medium": len(found), "silenced": totals["nosec"] + totals["skipped_tests"]})
    assert not found, "\n".join(found)
    assert not report["errors"]


def entries_of(lock: str) -> list[str]:
    return [entry for entry in re.split(r"\n(?=\S)", lock) if entry.strip() and not entry.startswith("#")]


def unpinned(lock: str) -> list[str]:
    """Return the entries of a lock file without a version or without a hash."""
    return [entry for entry in entries_of(lock) if not re.match(r"[A-Za-z0-9._-]+==\S+", entry) or "--hash=sha256:" not in entry]


def test_every_dependency_is_pinned_by_hash() -> None:
    texts = [(tree.ROOT / name).read_text(encoding="utf-8") for name in LOCKS]
    loose = [entry for text in texts for entry in unpinned(text)]
    record("T10 pins", {"packages": sum(len(entries_of(text)) for text in texts), "unpinned": len(loose), "dependency_audit": "not run"})
    assert not loose, loose
    assert unpinned("a==1 \\\n    --hash=sha256:0\nb>=2 \\\n    --hash=sha256:0\nc==3\n") == ["b>=2 \\\n    --hash=sha256:0", "c==3\n"]


def test_the_installation_takes_nothing_without_its_hash() -> None:
    makefile = (tree.ROOT / "Makefile").read_text(encoding="utf-8")
    installs = [line for line in makefile.splitlines() if "pip install" in line]
    assert len(installs) == 3
    assert [("--require-hashes" in line, "--no-deps" in line) for line in installs] == [(True, False), (True, True), (False, True)]
