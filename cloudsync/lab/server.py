"""The lab's process: start it, wait for it, use it from a test, end it."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from . import state
from .control import Control, ControlClient, restart
from .http import Answer, Request, Server
from .sites import Sites, made
from .state import LabError, LabState

DEFAULT_REGION = "us-east-1"
IDLE_LIMIT_S = 12 * 3600.0
START_LIMIT_S = 90.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a lab shall be."""

    estate: str = "empty"
    seed: int = 1
    port: int = 0
    region: str = DEFAULT_REGION
    idle_limit_s: float = IDLE_LIMIT_S
    parent: int | None = None
    """End with this process."""


@dataclass(frozen=True, slots=True)
class Lab:
    """A running lab, for tests."""

    state: LabState
    control: ControlClient
    folder: Path = Path()

    @property
    def endpoint(self) -> str:
        """The endpoint of every AWS service."""
        return self.state.endpoint


class Idle:
    """Remembers when the last request came."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def touch(self) -> None:
        """Now."""
        self.last = time.monotonic()

    def seconds(self) -> float:
        """Since the last request."""
        return time.monotonic() - self.last


def serve(folder: Path, wanted: Wanted) -> None:
    """Run a lab in this process until it is told to stop, its parent dies or nobody has asked for long."""
    done, idle = threading.Event(), Idle()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    server = Server(wanted.port, lambda _request: Answer(503, b""))  # a port that is taken is said before moto is loaded

    from .aws import corrections
    from .aws.shim import Shim

    corrections.install()
    shim = Shim(default_region=wanted.region)
    beside = Sites(folder, made(folder))
    token = secrets.token_hex(16)
    control = Control(shim, beside, token, wanted.estate, wanted.seed, done.set)
    restart(shim, wanted.estate, wanted.seed)
    beside.start(wanted.estate, wanted.seed)

    def app(request: Request) -> Answer:
        idle.touch()
        if request.path.startswith("/_lab/"):
            return control.answer(request)
        return shim.answer(request)

    server.app = app
    server.start()
    state.write(folder, replace(_state(shim, server.url, token, wanted), sites=beside.sections()))
    try:
        while not done.wait(0.5):
            if is_over(wanted, idle.seconds()):
                break
    finally:
        state.forget(folder, os.getpid())
        shim.carrier.release(drop=True)
        beside.stop()
        server.shutdown()
        server.server_close()


def is_over(wanted: Wanted, idle_s: float) -> bool:
    """Shall the lab end by itself: its parent is gone, or nobody has asked for long."""
    orphaned = wanted.parent is not None and state.start_time(wanted.parent) is None
    return orphaned or idle_s > wanted.idle_limit_s


def _state(shim: object, url: str, token: str, wanted: Wanted) -> LabState:
    from .aws.accounts import static_keys
    from .aws.shim import Shim

    assert isinstance(shim, Shim)
    keys = [static_keys(account) for account in shim.accounts.all()]
    return LabState(
        endpoint=url,
        region=wanted.region,
        account=shim.accounts.main,
        access_key_id=keys[0].access_key_id,
        secret_access_key=keys[0].secret_access_key,
        accounts=tuple(
            state.Account(each.account, each.access_key_id, each.secret_access_key, f"arn:aws:iam::{each.account}:role/cloudsync")
            for each in keys
        ),
        control=url,
        token=token,
        pid=os.getpid(),
        started=state.start_time(os.getpid()) or "",
        estate=wanted.estate,
        seed=wanted.seed,
    )


def start(folder: Path, wanted: Wanted) -> LabState:
    """Start a lab in the background; return when it answers. LabError with the end of its log when it does not."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / state.FILE).unlink(missing_ok=True)
    command = [sys.executable, "-m", "cloudsync.lab.server", "--dir", str(folder), *_options(wanted)]
    with (folder / state.LOG).open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)  # noqa: S603
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if (folder / state.FILE).exists():
            _STARTED[process.pid] = process
            return state.read(folder)
        time.sleep(0.02)
    process.kill()
    process.wait()
    tail = (folder / state.LOG).read_text(encoding="utf-8", errors="replace")[-2000:]
    raise LabError(f"the lab did not start; the end of {folder / state.LOG}:\n{tail}")


_STARTED: dict[int, subprocess.Popen[bytes]] = {}
"""Our own children, so that ending one also takes its exit status."""


def _options(wanted: Wanted) -> list[str]:
    options = ["--estate", wanted.estate, "--seed", str(wanted.seed), "--port", str(wanted.port), "--region", wanted.region]
    options += ["--idle-limit", str(wanted.idle_limit_s)]
    if wanted.parent is not None:
        options += ["--parent", str(wanted.parent)]
    return options


def stop(folder: Path, *, patience_s: float = 10.0) -> LabState:
    """End the lab of a folder, by its own pid and only if that process is still the lab."""
    found = state.read(folder)
    if not state.is_running(found):
        (folder / state.FILE).unlink(missing_ok=True)
        raise LabError(f"the lab of {folder} is not running (process {found.pid} is gone); its {state.FILE} is removed")
    os.kill(found.pid, signal.SIGTERM)
    if not _ended(found, patience_s):
        os.kill(found.pid, signal.SIGKILL)
        _ended(found, patience_s)
    (folder / state.FILE).unlink(missing_ok=True)
    return found


def _ended(found: LabState, patience_s: float) -> bool:
    """Wait until the process is gone; a child of ours leaves no zombie."""
    child = _STARTED.get(found.pid)
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if child is not None and child.poll() is not None:
            del _STARTED[found.pid]
            return True
        if child is None and not state.is_running(found):  # a child that is dead but not yet waited for is a zombie, and ours to take
            return True
        time.sleep(0.01)
    return False


@contextlib.contextmanager
def running(estate: str = "empty", *, seed: int = 1, region: str = DEFAULT_REGION) -> Iterator[Lab]:
    """A lab for the length of a `with`, in a process of its own (moto keeps one cloud per process)."""
    with tempfile.TemporaryDirectory(prefix="cloudsync-lab-") as name:
        folder = Path(name)
        started = start(folder, Wanted(estate=estate, seed=seed, region=region, parent=os.getpid()))
        try:
            yield Lab(started, ControlClient(started.control, started.token), folder)
        finally:
            with contextlib.suppress(LabError):
                stop(folder)


def main(arguments: list[str] | None = None) -> NoReturn:
    """`python -m cloudsync.lab.server --dir DIR`: the background process itself."""
    parser = argparse.ArgumentParser(prog="cloudsync.lab.server")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--estate", default="empty")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--region", default=DEFAULT_REGION)
    parser.add_argument("--idle-limit", type=float, default=IDLE_LIMIT_S)
    parser.add_argument("--parent", type=int)
    given = parser.parse_args(arguments)
    wanted = Wanted(given.estate, given.seed, given.port, given.region, given.idle_limit, given.parent)
    serve(given.dir, wanted)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # taking a large cloud apart object by object takes seconds, and nobody needs it


if __name__ == "__main__":
    main()
