"""The command line as a shell sees it, in this process: words in; exit code, standard output and standard error out."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from cloudsync import starter
from cloudsync.cli.main import main
from cloudsync.clock import SystemClock
from cloudsync.lab.server import Lab
from cloudsync.store.state import State

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ran:
    """One run of the command line."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"$ cloudsync {shlex.join(self.words)} -> {self.code}\n{self.out}\n{self.err}"

    @property
    def document(self) -> Any:
        """The one JSON document on standard output, checked against the published schema: no field may be missing, none unknown."""
        found = json.loads(self.out)
        jsonschema.Draft202012Validator(closed_schema()).validate(found)
        return found


def cloudsync(*words: str) -> Ran:
    """Run the command line; nothing may ever print a traceback."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(words)
        except SystemExit as leave:
            code = leave.code if isinstance(leave.code, int) else -1
    ran = Ran(words, int(code), out.getvalue(), err.getvalue())
    assert "Traceback" not in ran.out + ran.err, str(ran)
    return ran


def output_schema() -> Any:
    """Return the published schema of every document."""
    return json.loads((ROOT / "config" / "schema" / "output.schema.json").read_text(encoding="utf-8"))


@cache
def closed_schema() -> Any:
    """Return the schema with every object closed, so that a field nobody wrote down is found."""

    def close(node: Any) -> Any:
        if isinstance(node, list):
            return [close(one) for one in node]
        if not isinstance(node, dict):
            return node
        found = {key: close(value) for key, value in node.items()}
        if "properties" in node and "required" in node and "allOf" not in node and node.get("type") == "object":
            found.setdefault("additionalProperties", False)
        return found

    return close(output_schema())


@dataclass(frozen=True)
class Repository:
    """A config repository in a folder."""

    root: Path

    def run(self, verb: str, *words: str) -> Ran:
        """Run a verb on it."""
        return cloudsync(verb, "-C", str(self.root), *words)

    def printed(self, command: str) -> Ran:
        """Run a command exactly as it was printed."""
        program, *words = shlex.split(command)
        assert program == "cloudsync"
        return cloudsync(*words)

    def write(self, name: str, text: str) -> None:
        """Write a file of it."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text that must be there."""
        text = (self.root / name).read_text(encoding="utf-8")
        assert old in text, (name, old)
        self.write(name, text.replace(old, new))


def started(root: Path) -> Repository:
    """Return a repository as `init` writes it."""
    found = Repository(root)
    for name, text in starter.files().items():
        found.write(name, text)
    return found


def of_lab(root: Path, lab: Lab) -> Repository:
    """Return the starter repository, pointed at a lab and enforced for a few workloads only."""
    found = started(root)
    state = lab.state
    lines = f'account: "{state.account}"\n    endpoint: {lab.endpoint}\n    settle: 0s\n'
    found.edit("cloudsync.yaml", 'account: "111122223333"\n', lines)
    found.edit("policy/objects.yaml", "{scope: env=prod, mode: full, egress: leave}", "{scope: app=billing env=prod, mode: full}")
    found.edit("cloudsync.yaml", "management: [203.0.113.64/26]", "management: [203.0.113.64/26, 10.20.0.11/32]")
    found.edit("cloudsync.yaml", "regions: [us-east-1]", f"regions: [{state.region}]")
    return found


@contextlib.contextmanager
def lock_held(path: Path) -> Iterator[None]:
    """Hold the writer's lock of a state file, as a run at work does."""
    with State(path, SystemClock(), writer="another"):
        yield
