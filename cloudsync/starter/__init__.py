"""The config repository that `cloudsync init` writes: commented files that load as they are and say what to change."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "repository"
_NAMES = {"gitignore": ".gitignore"}
"""A dot file inside a package would be obeyed by the tools that pack it."""


def files() -> dict[str, str]:
    """Return path from the repository root to text, sorted by path."""
    found = {}
    for path in sorted(_FOLDER.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            name = path.relative_to(_FOLDER).as_posix()
            found[_NAMES.get(name, name)] = path.read_text(encoding="utf-8")
    return dict(sorted(found.items()))
