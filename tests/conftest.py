"""What every test lives under: no network but loopback, a seed that can be replayed, and where recorded vendor traffic may lie."""

import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acting.servers import place, places, postgres

__all__ = ["place", "places", "postgres"]

ROOT = Path(__file__).resolve().parent.parent


class OutsideNetworkError(AssertionError):
    """A test tried to leave the machine."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sim-seed", type=int, default=None, help="replay one seeded simulation instead of the fixed set")


def leads_outside(address: object) -> bool:
    """Tell whether a socket address leads off this machine. A name counts as outside unless it is `localhost`."""
    if not isinstance(address, tuple):
        return False  # a unix socket
    host = str(address[0])
    if host in {"", "localhost"}:
        return False
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True
    return not (ip.is_loopback or ip.is_unspecified)


def guarded(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return `original`, a method of sockets whose last argument is an address, refusing addresses off this machine."""

    def call(self: socket.socket, *arguments: Any) -> Any:
        if leads_outside(arguments[-1]):
            raise OutsideNetworkError(f"{original.__name__} to {arguments[-1]!r}: tests may use loopback only")
        return original(self, *arguments)

    return call


@pytest.fixture(scope="session", autouse=True)
def loopback_only() -> Iterator[None]:
    """Keep every socket of this process on loopback. Child processes are ours and bind loopback themselves."""
    with pytest.MonkeyPatch.context() as patch:
        for method in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, method, guarded(getattr(socket.socket, method)))
        yield


@pytest.fixture
def sim_seed(request: pytest.FixtureRequest) -> int | None:
    """The seed given on the command line, if one was."""
    seed = request.config.getoption("--sim-seed")
    assert seed is None or isinstance(seed, int)
    return seed


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recordings and vendor specifications; not part of the project, so a fresh clone skips."""
    folder = Path(os.environ.get("CLOUDSYNC_SHARED", ROOT.parent / "shared"))
    if not (folder / "recordings").is_dir():
        pytest.skip(f"no recordings at {folder}: set CLOUDSYNC_SHARED to the folder that holds them")
    return folder
