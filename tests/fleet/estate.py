"""Many small accounts in one process, reached by a socket: they outlive whoever writes to them, and keep a log of their own."""

from __future__ import annotations

import json
import os
import pickle
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from cloudsync.model.errors import AdapterError
from cloudsync.testing.memory import MemoryPlatform
from cloudsync.testing.memory_table import RejectedError
from tests.acting.servers import Cluster
from tests.service.small_world import git

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = '''"""Accounts behind a socket."""

import os
import pickle
import socket

from cloudsync.testing.memory import MemoryAdapter


class Far:
    def __init__(self, account):
        self.account = account
        self._line = socket.socket(socket.AF_UNIX)
        self._line.connect(os.environ["FAR_ESTATE"])
        self._file = self._line.makefile("rwb")
        self.broken = {}
        self.tags = self._ask("tags")

    def _ask(self, what, *given):
        pickle.dump((self.account, what, given), self._file)
        self._file.flush()
        good, answer = pickle.load(self._file)
        if not good:
            raise answer
        return answer

    def page(self, owner, token=""):
        return self._ask("page", owner, token)

    def send(self, payload):
        return self._ask("send", payload)


class Factory:
    name = "far"
    permissions = ()

    def check(self, target):
        return ()

    def open(self, target, owner, clock):
        found = MemoryAdapter(Far(target.name), target.name, owner)
        found.scope = f"{target.name}/one"
        return found

    def role(self, targets, *, owner, read_only):
        return "{}\\n"


ADAPTER = Factory()
'''
SCHEMA = '{"type": "object", "additionalProperties": false, "properties": {}}'
POLICY = """version: 1
labels: {role: [web]}
iplists: {office: [192.0.2.0/24]}
enforcement: {default: full}
rulesets:
  - name: base
    scope: all
    owner: netsec
    rules:
      - allow iplist office to role=web on tcp/443
"""
MORE = "      - allow iplist office to role=web on tcp/22\n"
GUARDS = "guards: {max_affected_workloads: 100%, max_removed_rules: 100%, management: [192.0.2.0/28]}\n"
_PEER = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Write:
    """One write as the platform took it. Times are monotonic seconds; `session`: the connection, one for each run."""

    account: str
    session: int
    pid: int
    payload: str
    began: float
    ended: float
    applied: bool


@dataclass(frozen=True, slots=True)
class Ran:
    """A run of one account that came to its end, `at` in UTC seconds."""

    account: str
    at: float
    seconds: float


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@dataclass
class Estate:
    """The accounts and what was done to them."""

    path: Path
    accounts: dict[str, MemoryPlatform] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    looks: list[tuple[str, int, float]] = field(default_factory=list)
    """Account, process, time of each reading."""
    rejected: list[str] = field(default_factory=list)
    before: Callable[[str, int, str], None] = lambda _account, _pid, _payload: None
    """Called before a write takes effect; whatever it does, the effect comes after."""
    locks: dict[str, threading.Lock] = field(default_factory=dict)
    sessions: int = 0

    def add(self, name: str, number: int) -> None:
        """Add an account with one machine that somebody may reach who should not."""
        platform = MemoryPlatform(account=name)
        legacy = platform.add_group("legacy", [("198.51.100.0/24", "6/22-22")], scope=f"{name}/one")
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        point = platform.add_point("web", address, [legacy], scope=f"{name}/one")
        platform.tags[point] = (("Role", "web"),)
        self.accounts[name], self.locks[name] = platform, threading.Lock()

    def serve(self, line: socket.socket) -> None:
        """Answer one client until it goes."""
        self.sessions += 1
        session = self.sessions
        pid = _PEER.unpack(line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))[0]
        with suppress(EOFError, OSError), line, line.makefile("rwb") as file:
            while True:
                account, what, given = pickle.load(file)  # noqa: S301  (from our own children)
                pickle.dump(self._answer(account, what, given, (session, pid)), file)
                file.flush()

    def _answer(self, account: str, what: str, given: tuple[Any, ...], who: tuple[int, int]) -> tuple[bool, Any]:
        platform = self.accounts[account]
        try:
            if what == "tags":
                return True, platform.tags
            if what == "page":
                self.looks.append((account, who[1], time.monotonic()))
                with self.locks[account]:
                    return True, platform.page(*given)
            return True, self._send(account, given[0], who)
        except (RejectedError, AdapterError) as error:
            self.rejected.append(f"{account}: {error}")
            return False, error

    def _send(self, account: str, payload: str, who: tuple[int, int]) -> object:
        began = time.monotonic()
        self.before(account, who[1], payload)
        with self.locks[account]:
            found = self.accounts[account].send(payload)
            self.writes.append(Write(account, *who, payload, began, time.monotonic(), applied=self.accounts[account].calls[-1].applied))
        return found

    # --- what must hold ---------------------------------------------------------------------------------------------

    def writers_overlap(self) -> list[str]:
        """Return accounts at which somebody wrote after somebody else had begun to."""
        wrong: list[str] = []
        for account in self.accounts:
            order = [one.session for one in self.writes if one.account == account]
            changes = [session for at, session in enumerate(order) if not at or order[at - 1] != session]
            if len(changes) != len(set(changes)):
                wrong.append(f"{account}: {changes}")
        return wrong

    def looked_by_others(self, account: str, pid: int, since: float) -> float:
        """Return how long after a moment somebody else first looked at an account, seconds."""
        return min((at for name, who, at in self.looks if name == account and who != pid and at > since), default=float("inf")) - since

    def rules(self, account: str) -> set[str]:
        """Return what the account's machine lets in."""
        platform = self.accounts[account]
        return {rule.service for spot in platform.spots.values() for name in spot.groups for rule in platform.groups[name].rules}

    def converged(self, rules: set[str]) -> list[str]:
        """Return the accounts that are not as wanted."""
        return [name for name in self.accounts if self.rules(name) != rules]

    def doubled(self) -> list[str]:
        """Return accounts with more than one group of ours: something was made twice."""
        return [name for name, one in self.accounts.items() if sum(bool(group.owner) for group in one.groups.values()) > 1]


@contextmanager
def estate(folder: Path, accounts: int) -> Iterator[Estate]:
    """Run an estate."""
    made = Estate(folder / "estate.sock")
    for number in range(accounts):
        made.add(f"account-{number:04}", number + 1)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(made.path))
    listener.listen(64)

    def accept() -> None:
        with suppress(OSError):
            while True:
                line, _ = listener.accept()
                threading.Thread(target=made.serve, args=(line,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@dataclass
class Deployment:
    """A config repository and its workers."""

    folder: Path
    estate: Estate
    state: str
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    started: int = 0

    @property
    def root(self) -> Path:
        return self.folder / "config"

    def write(self, *, every: str = "5m", policy: str = POLICY) -> None:
        """Write the repository and commit it."""
        (self.root / "policy").mkdir(parents=True, exist_ok=True)
        lines = ["owner: fleet", f"state: {self.state}", "targets:"]
        lines += [f"  - {{name: {name}, adapter: far, mode: exclusive}}" for name in self.estate.accounts]
        lines += ["labels_from:", "  - {label: role, tag: Role}", f"schedule: {{every: {every}}}"]
        (self.root / "cloudsync.yaml").write_text("\n".join(lines) + "\n" + GUARDS)
        (self.root / "policy" / "policy.yaml").write_text(policy)
        if not (self.root / ".git").exists():
            git(self.root, "init", "-q")
        git(self.root, "add", ".")
        git(self.root, "commit", "-q", "-m", "policy")

    def environment(self) -> dict[str, str]:
        package = self.folder / "site" / "cloudsync_far"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").write_text(PACKAGE)
        (package / "settings.schema.json").write_text(SCHEMA)
        places = [str(package.parent), str(ROOT), str(ROOT / "adapters")]
        return os.environ | {
            "PYTHONPATH": os.pathsep.join(places),
            "FAR_ESTATE": str(self.estate.path),
            "STATE_DIRECTORY": str(self.folder / "here"),
        }

    def start(self, count: int = 1) -> None:
        """Start workers."""
        (self.folder / "here").mkdir(mode=0o700, exist_ok=True)
        for _ in range(count):
            self.started += 1
            with (self.folder / f"worker-{self.started}.log").open("wb") as file:
                command = [sys.executable, "-m", "cloudsync.cli.main", "worker", "-C", str(self.root)]
                self.workers.append(subprocess.Popen(command, stderr=file, stdout=file, env=self.environment(), cwd=self.folder))

    def kill(self, pid: int) -> None:
        """Kill a worker at once."""
        one = next(worker for worker in self.workers if worker.pid == pid)
        one.kill()
        one.wait()
        self.workers.remove(one)

    def kill_and_see(self, pid: int, url: str) -> float:
        """Kill a worker that holds its target, and return how long after that the server had given its locks back, seconds."""
        locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted AND pid = ANY(%s)"
        with psycopg.connect(url, autocommit=True) as look:
            name = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE %s"
            sessions = [row[0] for row in look.execute(name, (f"cloudsync pid {pid} %",))]
            assert look.execute(locks, (sessions,)).fetchone() != (0,), "it holds nothing"
            self.kill(pid)
            return wait_for(lambda: look.execute(locks, (sessions,)).fetchone() == (0,), 10)

    def runs(self) -> list[Ran]:
        """Return every run that came to its end, as the workers' logs have it."""
        found: list[Ran] = []
        for path in sorted(self.folder.glob("worker-*.log")):
            lines = (json.loads(line) for line in path.read_text().splitlines() if '"event": "run.end"' in line)
            found += (Ran(next(iter(one["targets"])), _moment(one["at"]), one["seconds"]) for one in lines)
        return found

    def end(self) -> list[int]:
        """Ask all to stop and return their exit codes."""
        for one in self.workers:
            one.terminate()
        return [one.wait(30) for one in self.workers]

    def logs(self) -> str:
        return "".join(path.read_text()[-4000:] for path in sorted(self.folder.glob("worker-*.log")))


@contextmanager
def deployment(folder: Path, cluster: Cluster, accounts: int) -> Iterator[Deployment]:
    """Make an estate, a repository for it and a place for its state; whatever still runs at the end is killed."""
    name = f"fleet_{next(cluster.schemas)}"
    with estate(folder, accounts) as made:
        one = Deployment(folder, made, cluster.url(query=f"&schema={name}"))
        try:
            yield one
        finally:
            for worker in one.workers:
                worker.kill()
                worker.wait()


def wait_for(what: Callable[[], bool], limit_s: float) -> float:
    """Wait until something is so and return how long that took; fails when it takes longer."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < limit_s, "it did not happen"
        threading.Event().wait(0.02)
    return time.monotonic() - began
