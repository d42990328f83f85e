"""What is mutated, and which tests may notice."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FLOOR = 90.0
"""Percent of mutants, equivalents aside, that a package's tests have to notice; a run below it fails."""

SCOPES: dict[str, tuple[str, ...]] = {
    "guard": ("cloudsync/guard",),
    "plan": ("cloudsync/plan",),
    "proof": ("cloudsync/proof", "cloudsync/diff.py"),
    "apply": ("cloudsync/apply.py",),
    "store": ("cloudsync/store/journal.py", "cloudsync/store/audit.py", "cloudsync/store/lease.py"),
}

TESTS: dict[str, tuple[str, ...]] = {
    "guard": ("tests/unit/test_guard_*.py", "tests/unit/test_plan_document.py"),
    "plan": (
        *("tests/unit/test_plan_*.py", "tests/unit/test_course_*.py", "tests/unit/test_guard_each.py", "tests/unit/test_proof_each.py"),
        *("tests/unit/test_proof_replay.py", "tests/unit/test_weave.py", "tests/unit/test_pacing.py"),
    ),
    "proof": (
        *("tests/unit/test_proof_*.py", "tests/unit/test_words_*.py", "tests/unit/test_explain_*.py", "tests/unit/test_drift_*.py"),
        *("tests/property/test_order.py", "tests/property/test_policy_sides.py"),
    ),
    "apply": ("tests/unit/test_apply_*.py",),
    "store": ("tests/unit/test_store_state.py", "tests/unit/test_journal_*.py"),
}
"""The tests of each package: what a mistake there has to be noticed by, without the whole of the tests to help."""
EVERY = ("tests/unit", "tests/property", "tests/race", "tests/crash", "tests/service")
"""For a file that is named by itself."""


def files_of(scope: str) -> list[str]:
    """Return the files of a scope, or the one file that was named."""
    found: list[Path] = []
    for name in SCOPES.get(scope, (scope,)):
        path = ROOT / name
        found += sorted(path.glob("*.py")) if path.is_dir() else [path]
    return [str(path.relative_to(ROOT)) for path in found if path.name != "__init__.py"]


def tests_of(scope: str) -> list[str]:
    """Return the test files of a scope."""
    return [str(path.relative_to(ROOT)) for name in TESTS.get(scope, EVERY) for path in sorted(ROOT.glob(name))]
