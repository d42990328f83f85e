"""A config repository over a platform in memory, something bad put into it, and what one command then says."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.shell import Ran, cloudsync
from tests.service.small_world import World, small_world

_HEX = re.compile(r"\b[0-9a-f]{8,}(?:-[0-9a-f]+)*\b")
_USAGE = re.compile(r"^usage: .*?(?=^cloudsync )", re.MULTILINE | re.DOTALL)
_VERBS = re.compile(r"there are: init, [a-z, ]+;")
_CHOICE = re.compile(r"\(choose from [^)]*\)")
_TIME = re.compile(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?\b")


@dataclass(frozen=True, slots=True)
class Case:
    """One bad command, file, setting or environment: a YAML file, and beside it the exact text as .txt.

    `before`: commands that prepare the scene, each with its exit code first. `delete`, `write`, `edit`, `link`, `size`, `mode`: what is
    then done to files below the repository, in this order. `commit`: whether all of it is in git. `environment`: variables set. `run`: the
    command. `contacts`: whether platforms may be asked. `row`: of the table in the safety page.
    """

    name: str
    why: str
    run: tuple[str, ...]
    exit: int
    row: int = 0
    before: tuple[tuple[int | str, ...], ...] = ()
    write: Mapping[str, str] | None = None
    edit: Mapping[str, tuple[str, str]] | None = None
    delete: tuple[str, ...] = ()
    mode: Mapping[str, int] | None = None
    link: Mapping[str, str] | None = None
    size: Mapping[str, int] | None = None
    commit: bool = False
    environment: Mapping[str, str] | None = None
    contacts: bool = False


def load(path: Path) -> Case:
    """Return a case from its file."""
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name in ("run", "delete"):
        if name in found:
            found[name] = tuple(str(word) for word in found[name])
    found["before"] = tuple(tuple(line) for line in found.get("before", ()))
    return Case(name=path.stem, **found)


@dataclass
class Scene:
    """The repository and the platform of one case."""

    world: World

    def run(self, *words: str) -> Ran:
        """Run a command in the repository."""
        return cloudsync(words[0], "-C", str(self.world.root), *(word.replace("ROOT", str(self.world.root)) for word in words[1:]))

    def prepare(self, case: Case) -> None:
        """Bring the scene to where the case begins."""
        for code, *words in case.before:
            ran = self.run(*(str(word) for word in words))
            assert ran.code == code, str(ran)
        for name in case.delete:
            (self.world.root / name).unlink()
        for name, text in (case.write or {}).items():
            self.world.write(name, text)
        for name, (old, new) in (case.edit or {}).items():
            path = self.world.root / name
            text = path.read_text(encoding="utf-8")
            assert old in text, (name, old)
            path.write_text(text.replace(old, new, 1), encoding="utf-8")
        for name, to in (case.link or {}).items():
            path = self.world.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(to.replace("ROOT", str(self.world.root)))
        for name, length in (case.size or {}).items():
            self.world.write(name, "")
            os.truncate(self.world.root / name, length)
        if case.commit:
            self.world.commit("everything")
        for name, mode in (case.mode or {}).items():
            (self.world.root / name).chmod(mode)

    def said(self, ran: Ran) -> str:
        """Return exit code and output, with what differs from run to run taken out."""
        errors = f"--- errors\n{ran.err}" if ran.err else ""
        text = f"exit {ran.code}\n{ran.out}{errors}"
        text = text.replace(str(self.world.root), "ROOT").replace(str(self.world.root.parent), "ABOVE")
        text = _CHOICE.sub(lambda found: found.group().replace("'", ""), _USAGE.sub("usage: ...\n", text))  # versions of argparse differ
        text = _VERBS.sub("there are: (all verbs);", text)
        return _TIME.sub("TIME", _HEX.sub("HEX", text))

    def counts(self) -> tuple[int, int]:
        """Return how often platforms were contacted, and how many calls changed something."""
        return len(self.world.asked), sum(len(one.calls) for one in self.world.platforms.values())


@contextmanager
def scene(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Scene]:
    """A repository over one platform, and an environment that says nothing but what a case wants."""
    with small_world(folder) as world, pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("CLOUDSYNC_"):
                patch.delenv(name)
        patch.setenv("LOGNAME", "ada")
        patch.setenv("COLUMNS", "100")
        for name, value in (environment or {}).items():
            patch.setenv(name, value.replace("ROOT", str(world.root)))
        yield Scene(world)


@contextmanager
def no_network() -> Iterator[list[object]]:
    """Refuse every connection of this process, and yield the list of those that were tried."""
    tried: list[object] = []

    def refuse(_self: socket.socket, address: object) -> None:
        tried.append(address)
        raise ConnectionRefusedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        yield tried
