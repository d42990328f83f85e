"""The daemon as a process of its own against a simulated cloud: it starts, puts right, reloads, is killed, ends in time."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudsync.clock import SystemClock
from cloudsync.store.state import State as Store
from tests.cli.stage import Stage, staged, tcp
from tests.service.small_world import git

ROOT = Path(__file__).resolve().parents[2]
POLICY = """\
enforcement: {default: full}
rulesets:
  - name: shop
    scope: all
    owner: team-shop
    rules:
      - allow role=web to role=db on tcp/5432
"""
MORE = "      - allow role=web to role=db on tcp/6432\n"
SOON_S = 90.0
"""Longer than anything here takes on a machine with much else to do."""


class Process:
    """The daemon, its log as it comes, and what it tells a service manager."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        state = stage.lab.state
        self.told: list[str] = []
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(folder / "notify"))
        known = {
            "AWS_ACCESS_KEY_ID": state.access_key_id,
            "AWS_SECRET_ACCESS_KEY": state.secret_access_key,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NOTIFY_SOCKET": str(folder / "notify"),
            "WATCHDOG_USEC": "4000000",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "adapters")]),
        }
        self.child = subprocess.Popen(
            [sys.executable, "-m", "cloudsync.cli.main", "run", "-C", str(stage.root)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | known,
            cwd=folder,
        )
        self.log: list[dict[str, Any]] = []
        self.came = threading.Condition()
        for reader in (self._lines, self._datagrams):
            threading.Thread(target=reader, daemon=True).start()

    def _lines(self) -> None:
        assert self.child.stderr is not None
        for line in self.child.stderr:
            with self.came:
                self.log.append(json.loads(line))
                self.came.notify_all()

    def _datagrams(self) -> None:
        while True:
            try:
                content = self.manager.recv(4096).decode()
            except OSError:
                return
            with self.came:
                self.told += content.splitlines()
                self.came.notify_all()

    def wait(self, what: Callable[[], object]) -> None:
        """Wait until something is there."""
        with self.came:
            assert self.came.wait_for(lambda: what() or self.child.poll() is not None, SOON_S), self.log
            assert what(), (self.child.returncode, self.log)

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.log if line["event"] == name]

    def end(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal; return the exit code and how long it took."""
        began = time.monotonic()
        self.child.send_signal(number)
        code = self.child.wait(SOON_S)
        return code, time.monotonic() - began


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("process") / "repository") as one:
        yield one


@pytest.fixture
def stage(server: Stage) -> Stage:
    """A converged estate of two machines, in git, with a run every second."""
    server.clear()
    net = server.net()
    for role in ("web", "db"):
        server.machine(net, role, f"role={role}", [server.group(net, f"old-{role}", tcp(22, "0.0.0.0/0"))])
    server.root.mkdir(exist_ok=True)
    server.settings(more="service: {listen: none}\n")
    path = server.root / "cloudsync.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("schedule: {every: 5m}", "schedule: {every: 1s}"), encoding="utf-8")
    server.policy(POLICY)
    (server.root / ".gitignore").write_text(".cloudsync/\n", encoding="utf-8")
    if not (server.root / ".git").exists():
        git(server.root, "init", "-q", "-b", "main")
    commit(server, "start")
    server.converge()
    return server


def commit(stage: Stage, subject: str) -> None:
    git(stage.root, "add", "-A")
    git(stage.root, "commit", "-q", "--allow-empty", "-m", subject)


@pytest.fixture
def start(stage: Stage, tmp_path: Path) -> Iterator[Callable[[], Process]]:
    made: list[Process] = []

    def one() -> Process:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Process(stage, folder))
        return made[-1]

    yield one
    for process in made:
        if process.child.poll() is None:
            process.child.kill()
            process.child.wait()
        assert process.child.stderr is not None
        process.child.stderr.close()
        process.manager.close()


def open_ssh(stage: Stage) -> None:
    (ours,) = (one for one in stage.carries("db") if one in stage.ours())
    stage.ec2.authorize_security_group_ingress(GroupId=ours, IpPermissions=[tcp(22, "0.0.0.0/0")])


def test_it_starts_puts_right_reloads_and_ends_when_asked(stage: Stage, start: Callable[[], Process]) -> None:
    daemon = start()
    daemon.wait(lambda: daemon.events("run.end"))
    assert [line["event"] for line in daemon.log[:2]] == ["config.read", "service.start"]
    assert daemon.told[0] == "READY=1"
    open_ssh(stage)
    daemon.wait(lambda: daemon.events("finding.new"))
    (found,) = daemon.events("finding.new")
    assert (found["target"], found["severity"], found["deed"]) == ("aws", "critical", "restored")
    assert not stage.passes("db", "198.51.100.1", "tcp/22")
    stage.policy(POLICY + MORE)
    commit(stage, "another port")
    daemon.child.send_signal(signal.SIGHUP)
    daemon.wait(lambda: daemon.events("config.changed"))
    changed = len(daemon.log)
    daemon.wait(lambda: any(line["event"] == "run.end" and line["writes"] for line in daemon.log[changed:]))
    assert stage.passes("db", stage.address("web"), "tcp/6432")
    daemon.wait(lambda: "WATCHDOG=1" in daemon.told)
    code, took = daemon.end()
    assert (code, daemon.log[-1]["event"]) == (0, "service.stop")
    assert took < 10
    assert "RELOADING=1" in daemon.told
    assert "STOPPING=1" in daemon.told
    stage.settled()


def test_it_ends_within_ten_seconds_in_the_middle_of_writes_and_the_next_run_finishes(stage: Stage, start: Callable[[], Process]) -> None:
    """The platform does not answer: what was sent stays open in the journal, and is settled by the next run."""
    daemon = start()
    daemon.wait(lambda: daemon.events("run.end"))
    stage.lab.control.fault("RevokeSecurityGroupIngress", "hold_after")
    open_ssh(stage)
    began = time.monotonic()
    while not stage.lab.control.ask("held") and time.monotonic() - began < SOON_S:
        time.sleep(0.05)
    assert open_ops(stage) == 1
    code, took = daemon.end()
    assert (code, took < 10) == (5, True)
    stage.lab.control.no_faults()
    stage.lab.control.ask("release")
    again = start()
    again.wait(lambda: any(line["exit"] == 0 for line in again.events("run.end")))
    again.end()
    assert not open_ops(stage)
    assert not stage.passes("db", "198.51.100.1", "tcp/22")


def open_ops(stage: Stage) -> int:
    with Store(stage.root / ".cloudsync" / "state.db", SystemClock()) as state:
        return len(state.journal.open_ops("aws"))


def test_after_a_kill_the_next_start_goes_on(stage: Stage, start: Callable[[], Process]) -> None:
    daemon = start()
    daemon.wait(lambda: daemon.events("run.end"))
    assert daemon.end(signal.SIGKILL)[0] == -signal.SIGKILL
    open_ssh(stage)
    again = start()
    again.wait(lambda: again.events("finding.new"))
    assert again.end()[0] == 0
    assert not stage.passes("db", "198.51.100.1", "tcp/22")


def test_it_does_not_start_on_a_broken_repository(stage: Stage, start: Callable[[], Process]) -> None:
    git(stage.root, "checkout", "-q", "--orphan", "other")
    stage.policy(POLICY.replace("tcp/5432", "tcp/99999"))
    commit(stage, "oops")
    stage.forget()
    daemon = start()
    assert daemon.child.wait(SOON_S) == 3
    assert stage.calls() == {}
    git(stage.root, "checkout", "-q", "-f", "main")
