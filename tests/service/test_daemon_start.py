"""What the verbs of the service load, and what they say where something is missing."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from cloudsync.cli.main import main
from tests.cli.shell import Repository, started
from tests.cli.test_cli_startup import NOBODY, loaded

OF_THE_DAEMON = {"apscheduler", "prometheus_client", "tzlocal"}


def test_reconcile_loads_nothing_of_the_daemon(tmp_path: Path) -> None:
    root = started(tmp_path / "repository")
    root.edit("cloudsync.yaml", "regions: [us-east-1]", 'regions: [us-east-1]\n    endpoint: "http://127.0.0.1:9"')
    packages, modules = loaded("reconcile", "-C", str(root.root), **NOBODY)
    assert "botocore" in packages
    assert not packages & (OF_THE_DAEMON | {"jinja2", "pydantic", "rich", "asyncio", "moto"})
    assert "cloudsync.app.daemon" not in modules


def test_run_loads_the_scheduler_for_cron_lines_alone(tmp_path: Path) -> None:
    """Here it ends when it finds no policy; the libraries are those of a start."""
    root = started(tmp_path / "repository")
    (root.root / "policy" / "objects.yaml").unlink()
    packages, _ = loaded("run", "-C", str(root.root))
    assert not packages & {"apscheduler", "boto3", "moto", "jinja2"}


def test_without_its_libraries_the_daemon_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "apscheduler" else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    root = Repository(started(tmp_path / "repository").root)
    assert main(["run", "-C", str(root.root)]) == 3
    said = "command line NOT-INSTALLED the daemon needs apscheduler; install cloudsync[service]; `cloudsync reconcile` from a timer needs "
    assert capsys.readouterr().out == said + "neither\n"
