"""Whole runs with the state on a server: as with a file; and nothing is written anywhere while the server is away."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.app import ledger
from cloudsync.cli.main import main
from cloudsync.clock import SystemClock
from cloudsync.store.state import State
from tests.acting.servers import Cluster, running
from tests.service.small_world import MORE, POLICY, World, small_world


@pytest.fixture
def mortal() -> Iterator[Cluster]:
    """A server to be killed."""
    with running() as cluster:
        yield cluster


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    with small_world(tmp_path) as found:
        yield found


def cloudsync(world: World, *words: str) -> int:
    """Run the command line."""
    return int(main([words[0], "-C", str(world.root), *words[1:]]))


def state(world: World, url: str, *more: str) -> None:
    """Move the state."""
    world.settings(more="".join(f"{line}\n" for line in (f"state: {url}", *more)))


def a_day(world: World, capsys: pytest.CaptureFixture[str]) -> tuple[list[int], list[str]]:
    """Apply, suffer an edit, put it back, change the policy; return the exit codes, and what stands in the audit trail."""
    codes = [cloudsync(world, "history"), cloudsync(world, "apply", "--yes")]
    assert "no run has left anything yet: there is no " in capsys.readouterr().out
    world.edit()
    codes += [
        cloudsync(world, "drift"),
        cloudsync(world, "apply", "--yes"),
        cloudsync(world, "plan"),
        cloudsync(world, "test", "--offline"),
    ]
    world.write("policy/all.yaml", POLICY + MORE)
    codes += [cloudsync(world, "apply", "--yes"), cloudsync(world, "audit", "--verify"), cloudsync(world, "history")]
    assert world.clean()
    capsys.readouterr()
    assert cloudsync(world, "audit", "--json") == 0
    return codes, [entry["event"] for entry in json.loads(capsys.readouterr().out)["entries"]]


def test_runs_over_a_server_leave_what_runs_over_a_file_leave(
    tmp_path: Path, postgres: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("STATE_SECRET", postgres.password)
    with small_world(tmp_path / "file") as world:
        in_a_file = a_day(world, capsys)
    with small_world(tmp_path / "server") as world:
        state(world, postgres.loopback("?schema=whole_runs"), "state_password: env:STATE_SECRET")
        on_a_server = a_day(world, capsys)
        assert {file.name for file in (world.root / ".cloudsync").iterdir()} == {"audit.jsonl"}
        assert not [file for file in world.root.rglob("*") if file.is_file() and postgres.password.encode() in file.read_bytes()]
    assert on_a_server == in_a_file
    assert in_a_file[0] == [0, 0, 2, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("verb", ["apply", "plan", "drift", "history", "hold"])
def test_a_server_that_is_away_means_no_contact_and_no_write(
    world: World, mortal: Cluster, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    state(world, mortal.url(query="&schema=away"))
    assert cloudsync(world, "apply", "--yes") == 0
    world.edit()
    calls = world.writes()
    mortal.stop()
    words = {"apply": ["--yes"], "hold": ["--because", "x", "one"]}.get(verb, [])
    capsys.readouterr()
    assert cloudsync(world, verb, *words) == 4
    told = capsys.readouterr()
    assert "PRE-JOURNAL" in told.err
    assert "Traceback" not in told.err
    assert world.writes() == calls
    assert "reading" not in told.out + told.err, "no platform was contacted"
    mortal.start()
    assert cloudsync(world, "apply", "--yes") == 0
    assert world.clean()


def test_a_password_that_is_not_there_is_invalid_input(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATE_SECRET", raising=False)
    state(world, "postgresql://cloudsync@127.0.0.1:9/x", "state_password: env:STATE_SECRET")
    assert cloudsync(world, "apply", "--yes") == 3
    assert "NO-SECRET the environment has no STATE_SECRET" in capsys.readouterr().out
    assert world.writes() == 0


def test_without_psycopg_it_is_said_what_to_install(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state(world, "postgresql://cloudsync@127.0.0.1:9/x")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "cloudsync.store.postgres", raising=False)
    assert cloudsync(world, "apply", "--yes") == 4
    assert "pip install 'cloudsync[postgres]'" in capsys.readouterr().err
    assert world.writes() == 0


def test_another_run_at_work_is_named(world: World, postgres: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    state(world, postgres.url(query="&schema=busy"))
    place = ledger.where(world.root, ledger.read_settings(world.root))
    with State(place, SystemClock(), writer="another"):
        assert cloudsync(world, "apply", "--yes") == 75
    assert f"pid {os.getpid()} on " in capsys.readouterr().err
    assert world.writes() == 0
