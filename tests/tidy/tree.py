"""The project's own files and functions, as the tidy tests see them."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PRODUCT = ("cloudsync", "adapters")
PROGRAMS = (*PRODUCT, "bench")
EVERYTHING = (*PROGRAMS, "tests")


@dataclass(frozen=True, slots=True)
class Function:
    """One function or method; `lines` counts from `def` to the last line of its body."""

    file: Path
    name: str
    line: int
    lines: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.name} ({self.lines} lines)"


@cache
def python_files(*folders: str) -> tuple[Path, ...]:
    """Return the Python files below the named folders of the project, relative to its root, in order."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return tuple(sorted(path.relative_to(ROOT) for path in found if "__pycache__" not in path.parts))


@cache
def syntax(file: Path) -> ast.Module:
    """Return the syntax tree of a file given relative to the root."""
    return ast.parse((ROOT / file).read_text(encoding="utf-8"), filename=str(file))


def functions(*folders: str) -> Iterator[Function]:
    """Yield every function below the folders."""
    for file in python_files(*folders):
        for node in ast.walk(syntax(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield Function(file, node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1)


def line_count(file: Path) -> int:
    """Count the lines of a file given relative to the root."""
    return len((ROOT / file).read_text(encoding="utf-8").splitlines())


def text_files() -> tuple[Path, ...]:
    """Return what belongs to the project: tracked files where git knows them, else all but the hidden folders."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode == 0 and listing.stdout:
        names = [Path(name) for name in listing.stdout.split("\0") if name]
    else:
        names = [path.relative_to(ROOT) for path in ROOT.rglob("*") if not path.relative_to(ROOT).parts[0].startswith(".venv")]
    return tuple(sorted(name for name in names if (ROOT / name).is_file() and "__pycache__" not in name.parts))


def percentile(values: list[int], share: float) -> int:
    """Return the smallest value with at least `share` of all values at or below it."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0
