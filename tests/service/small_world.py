"""A config repository whose targets are platforms in memory, kept in this process: a day of runs costs seconds."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cloudsync.app.repository import Loaded
from cloudsync.report.story import Story
from cloudsync.testing.clock import SimulatedClock
from cloudsync.testing.memory import MemoryPlatform
from cloudsync.testing.memory_table import Group, Rule

PACKAGE = '''"""Platforms in memory, by target; the test puts them here."""

from cloudsync.model.errors import AdapterError
from cloudsync.testing.memory import MemoryAdapter

PLATFORMS = {}
DOWN = {}
ASKED = []


class Away(MemoryAdapter):
    def identify(self):
        ASKED.append(self.target)
        why = DOWN.get(self.target)
        if why:
            raise AdapterError(self.target, "identify", why, retryable=True)
        return super().identify()


class Factory:
    name = "small"
    permissions = ()

    def check(self, target):
        return ()

    def open(self, target, owner, clock):
        found = Away(PLATFORMS[target.name], target.name, owner)
        found.scope = f"{target.name}/one"
        return found

    def role(self, targets, *, owner, read_only):
        return "{}\\n"


ADAPTER = Factory()
'''
SCHEMA = {"type": "object", "additionalProperties": False, "properties": {}}
POLICY = """version: 1
labels: {role: [web, db]}
iplists: {office: [192.0.2.0/24]}
enforcement: {default: full}
rulesets:
  - name: base
    scope: all
    owner: netsec
    rules:
      - allow iplist office to role=web on tcp/443
      - allow role=web to role=db on tcp/5432
"""
MORE = "      - allow iplist office to role=db on tcp/22\n"
GUARDS = "guards: {max_affected_workloads: 100%, max_removed_rules: 100%, max_gone_workloads: 100%, max_restores: 500}\n"
ANYBODY = Rule("0.0.0.0/0", "6/22-22")
ELSEWHERE = Rule("198.51.100.0/24", "6/22-22")
"""Whatever machine is not seen in a run, it is not there: closing this depends on nobody."""


@dataclass
class World:
    """The repository, its platforms, and the clock of everything."""

    root: Path
    module: ModuleType
    clock: SimulatedClock
    stories: list[Story] = field(default_factory=list)

    @property
    def platforms(self) -> Mapping[str, MemoryPlatform]:
        found: Mapping[str, MemoryPlatform] = self.module.PLATFORMS
        return found

    @property
    def asked(self) -> list[str]:
        """The targets that were contacted, one for each time that somebody asked who they are: nothing else is asked first."""
        found: list[str] = self.module.ASKED
        return found

    @property
    def down(self) -> dict[str, str]:
        """Target -> why it does not answer."""
        found: dict[str, str] = self.module.DOWN
        return found

    def settings(self, targets: Iterable[str] = ("one",), *, schedule: str = "schedule: {every: 5m}", more: str = "") -> None:
        """Write cloudsync.yaml; a target may carry further keys: `two, schedule: {every: 1h}`."""
        lines = ["owner: small", "targets:"]
        for target in targets:
            name = target.partition(",")[0]
            lines.append(f"  - {{name: {target}, adapter: small, mode: exclusive}}")
            if name not in self.platforms:
                self.module.PLATFORMS[name] = platform(name, len(self.platforms))
        lines += ["labels_from:", "  - {label: role, tag: Role}", schedule]
        self.write("cloudsync.yaml", "\n".join(lines) + "\n" + GUARDS + more)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def commit(self, subject: str) -> str:
        """Commit everything; return the commit."""
        if not (self.root / ".git").exists():
            git(self.root, "init", "-q", "-b", "main")
            self.write(".gitignore", ".cloudsync/\n")
        git(self.root, "add", "-A")
        git(self.root, "commit", "-q", "--allow-empty", "-m", subject)
        return git(self.root, "rev-parse", "HEAD").strip()

    def ours(self, target: str = "one") -> list[str]:
        """Return our groups of a target that some machine carries."""
        found = self.platforms[target]
        carried = {name for spot in found.spots.values() for name in spot.groups}
        return sorted(key for key, group in found.groups.items() if group.owner == "small" and key in carried)

    def edit(self, target: str = "one", rule: Rule = ANYBODY) -> str:
        """Let an outsider open something in a group of ours; return the group."""
        found = self.platforms[target]
        key = self.ours(target)[0]
        group = found.groups[key]
        found.groups[key] = Group(key, group.scope, group.name, group.owner, group.rules | {rule})
        return key

    def clean(self, target: str = "one", rule: Rule = ANYBODY) -> bool:
        """Tell whether no group of ours has an outsider's rule."""
        return all(rule not in group.rules for group in self.platforms[target].groups.values() if group.owner == "small")

    def writes(self, target: str = "one") -> int:
        return len(self.platforms[target].calls)

    def deliver(self, _root: Path, _loaded: Loaded, story: Story) -> None:
        """What is told to people."""
        self.stories.append(story)


def platform(name: str, number: int) -> MemoryPlatform:
    """Return a platform with a web and a db machine that anybody reaches."""
    found = MemoryPlatform()
    scope = f"{name}/one"
    legacy = found.add_group("legacy", [("0.0.0.0/0", "6/22-22")], scope=scope)
    for at, role in enumerate(("web", "db"), 1):
        point = found.add_point(f"{name}-{role}", f"10.{number}.0.{at}", [legacy], scope=scope)
        found.tags[point] = (("Role", role),)
    return found


def git(root: Path, *words: str) -> str:
    """Run git as somebody with a name."""
    command = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@acme.example", "-c", "commit.gpgsign=false", *words]
    nowhere = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, env=os.environ | nowhere).stdout


def install(folder: Path) -> None:
    """Put the adapter's package into a folder."""
    package = folder / "cloudsync_small"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(PACKAGE, encoding="utf-8")
    (package / "settings.schema.json").write_text(json.dumps(SCHEMA), encoding="utf-8")


@contextmanager
def small_world(folder: Path) -> Iterator[World]:
    """A repository with one target, a policy, and nothing applied yet."""
    install(folder / "site")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder / "site"))
        patch.delitem(sys.modules, "cloudsync_small", raising=False)
        module: Any = importlib.import_module("cloudsync_small")
        world = World(folder / "config", module, SimulatedClock())
        world.settings()
        world.write("policy/all.yaml", POLICY)
        yield world
        patch.delitem(sys.modules, "cloudsync_small", raising=False)
