"""One run over four platforms: all are read at the same time, each with no more calls than its sheet says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloudsync.lab import commands
from cloudsync.lab.demo import write_repository
from cloudsync.lab.server import Lab, running

SITES = ("", "azure", "f5", "gcp")
LIMIT_S = 60.0
"""Only a lab that hangs is that slow."""


@dataclass(frozen=True, slots=True)
class Place:
    """A lab of four vendors and a config repository that names them all."""

    lab: Lab
    repository: Path
    environment: dict[str, str]

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "cloudsync.cli.main", *words]
        return subprocess.Popen(
            command, cwd=self.repository, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *words: str) -> tuple[int, str]:
        process = self.start(*words)
        out, _ = process.communicate(timeout=LIMIT_S)
        return process.returncode, out


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("four")
    with running("four") as lab:
        write_repository(folder, lab.state.as_json())
        said: list[str] = []
        commands.env(lab.folder, say=said.append)
        pairs = (line.removeprefix("export ").partition("=")[::2] for line in said if line.startswith("export "))
        yield Place(lab, folder, dict(os.environ) | {name: value.strip("'") for name, value in pairs})


def test_all_platforms_are_asked_before_any_has_answered(place: Place) -> None:
    control = place.lab.control
    for site in SITES:
        control.fault("@read", "hold_before", site=site)
    process = place.start("drift", "--json")
    try:
        deadline = time.monotonic() + LIMIT_S
        while not (held := {site: len(control.ask("held", site=site)) for site in SITES}) or not all(held.values()):
            assert time.monotonic() < deadline, f"read one after the other: {held}"
            assert process.poll() is None, process.communicate()
    finally:
        control.no_faults()
        for site in SITES:
            control.ask("release", {}, site=site)
    out, _ = process.communicate(timeout=LIMIT_S)
    report = json.loads(out)
    assert [target["name"] for target in report["targets"]] == ["aws-prod", "gcp-prod", "azure-prod", "f5-dc1"]
    assert not any(target["error"] for target in report["targets"])


def test_a_platform_that_is_down_keeps_no_other_from_being_read(place: Place) -> None:
    place.lab.control.fault("@read", "denied", site="gcp", times=0)
    try:
        code, out = place.run("drift", "--json")
    finally:
        place.lab.control.no_faults()
    report = json.loads(out)
    assert code == 5
    assert {target["name"]: bool(target["error"]) for target in report["targets"]} == {
        "aws-prod": False, "gcp-prod": True, "azure-prod": False, "f5-dc1": False,
    }  # fmt: skip
