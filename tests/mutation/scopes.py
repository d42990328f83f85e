"""What is mutated, and which tests may notice."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FLOOR = 95.0
"""Percent of mutants, equivalents aside, that a package's tests have to notice."""

SCOPES: dict[str, tuple[str, ...]] = {
    "guard": ("cloudsync/guard",),
    "plan": ("cloudsync/plan",),
    "proof": ("cloudsync/proof", "cloudsync/diff.py"),
    "apply": ("cloudsync/apply.py",),
    "store": ("cloudsync/store/journal.py", "cloudsync/store/audit.py", "cloudsync/store/lease.py"),
}

TESTS: dict[str, tuple[str, ...]] = {
    "all": ("tests/unit", "tests/property", "tests/race", "tests/crash", "tests/contract/test_memory_contract.py", "tests/service"),
    "guard": ("tests/unit", "tests/property/test_guard_false_refusals.py"),
}


def files_of(scope: str) -> list[str]:
    """Return the files of a scope, or the one file that was named."""
    found: list[Path] = []
    for name in SCOPES.get(scope, (scope,)):
        path = ROOT / name
        found += sorted(path.glob("*.py")) if path.is_dir() else [path]
    return [str(path.relative_to(ROOT)) for path in found if path.name != "__init__.py"]
