"""A PostgreSQL server of the tests' own, in a private folder; it can be killed like any other process, and started again."""

from __future__ import annotations

import os
import pwd
import secrets
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest

from cloudsync.store.place import Place, Server, locate
from tests.acting.folders import private_folder

PATIENCE_S = 60
USER = "cloudsync"


@dataclass(slots=True)
class Cluster:
    """A server that listens on a socket in its folder, where everybody is trusted, and on loopback, where the password counts."""

    programs: Path
    folder: Path
    owner: int
    """Who runs it: PostgreSQL refuses to run as root."""
    password: str = field(default_factory=lambda: secrets.token_hex(8))
    port: int = 0
    schemas: count[int] = field(default_factory=lambda: count(1))

    def create(self) -> None:
        """Make the cluster."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        secret = self.folder / "password"
        secret.write_text(self.password)
        os.chown(self.folder, self.owner, -1)
        os.chown(secret, self.owner, -1)
        # A language that sorts unlike bytes: what we sort has to come out as from SQLite all the same.
        words = ["-E", "UTF8", "--locale=C", "--locale-provider=icu", "--icu-locale=en-US", "-N"]
        words += ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}"]
        self._run("initdb", "-D", str(self.data), "-U", USER, *words)

    @property
    def data(self) -> Path:
        """The folder of the data."""
        return self.folder / "data"

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self.folder} -c shared_buffers=16MB -c max_connections=40"
        options += " -c dynamic_shared_memory_type=mmap"  # in the folder, where what a killed server leaves goes with it
        self._run("pg_ctl", "start", "-w", "-D", str(self.data), "-l", str(self.folder / "log"), "-o", options)

    def stop(self) -> None:
        """Stop it at once."""
        self._run("pg_ctl", "stop", "-m", "immediate", "-w", "-D", str(self.data))

    def kill(self) -> None:
        """End every process of it with SIGKILL, as the kernel does when memory runs out."""
        dying: list[int] = []
        for pid in self.processes():
            with suppress(ProcessLookupError):  # a session that ended meanwhile
                dying.append(os.pidfd_open(pid))
        for handle in dying:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        for handle in dying:
            assert select.select([handle], [], [], PATIENCE_S)[0], "it does not die"
            os.close(handle)
        # The dead stay in the table of processes until they are reaped, and would pass for living owners of these.
        for left in (self.data / "postmaster.pid", self.folder / f".s.PGSQL.{self.port}.lock"):
            left.unlink()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Have somebody else stop it and clear away when this process is killed before it can."""
        script = f"read -r word && exit; '{self.programs}/pg_ctl' stop -m immediate -D '{self.data}'; rm -rf '{self.folder}'"
        nothing = subprocess.DEVNULL
        owner = self.owner if os.geteuid() == 0 else None
        words = ["sh", "-c", script]
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=nothing, stderr=nothing, user=owner, cwd="/", start_new_session=True
        ) as keeper:
            assert keeper.stdin is not None
            try:
                yield
            finally:
                keeper.stdin.write(b"done\n")
                keeper.stdin.close()

    def alive(self) -> bool:
        """Tell whether it runs."""
        with suppress(OSError, ValueError):
            os.kill(int((self.data / "postmaster.pid").read_text().split("\n", 1)[0]), 0)
            return True
        return False

    def processes(self) -> list[int]:
        """Return the ids of its processes, the first of them first."""
        first = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        found = [first]
        for status in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                if int(status.read_text().rpartition(")")[2].split()[1]) == first:
                    found.append(int(status.parent.name))
        return found

    def url(self, database: str = "postgres", query: str = "") -> str:
        """Return the URL by its socket."""
        return f"postgresql://{USER}@/{database}?host={self.folder}&port={self.port}{query}"

    def loopback(self, query: str = "") -> str:
        """Return the URL by its port, where the password counts."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres{query}"

    def place(self, folder: Path, *, database: str = "postgres") -> Server:
        """Return a schema that nobody has used yet, with a local folder."""
        name = f"cs_{next(self.schemas)}"
        place = locate(self.url(database, f"&schema={name}"), folder)
        assert isinstance(place, Server)
        return Server(place.url, folder / "state", name)

    def sql(self, *statements: str, database: str = "postgres", schema: str = "public") -> None:
        """Run statements beside everybody else."""
        words = [word for statement in (f"SET search_path = {schema}", *statements) for word in ("-c", statement)]
        self._run("psql", "-v", "ON_ERROR_STOP=1", "-X", "-q", *words, self.url(database))

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [str(self.programs / program), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program != "pg_ctl" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=PATIENCE_S,
            user=self.owner if os.geteuid() == 0 else None,
            cwd="/",
        )
        assert done.returncode == 0, (program, done.stdout, (self.folder / "log").read_text() if (self.folder / "log").exists() else "")


def programs() -> Path | None:
    """Return the folder of the server's programs; Debian keeps them off the PATH."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    if found:
        candidates.append(Path(found).resolve().parent)
    return next((one for one in candidates if all((one / name).exists() for name in ("initdb", "pg_ctl", "postgres", "psql"))), None)


@contextmanager
def running() -> Iterator[Cluster]:
    """Run a server of one's own; skips where there is none to run."""
    where = programs()
    if where is None:
        pytest.skip("no PostgreSQL server here: install the package postgresql")
    if find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed: pip install 'cloudsync[postgres]'")
    folder = private_folder()
    cluster = Cluster(where, folder, pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid())
    try:
        cluster.create()
        with cluster.kept():
            cluster.start()
            try:
                yield cluster
            finally:
                if cluster.alive():
                    cluster.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A server that everybody uses, and nobody harms."""
    with running() as cluster:
        yield cluster


Places = Callable[[Path], Place]


def in_a_file(folder: Path) -> Path:
    """Return a state file in a folder."""
    return folder / "state" / "state.db"


def share(places: Places, on_server: int) -> int:
    """Return of how many cases one is tried: of all that are tried in files, a part on a server, which takes its time."""
    return 1 if places is in_a_file else on_server


@pytest.fixture(params=["sqlite", "postgresql"])
def places(request: pytest.FixtureRequest) -> Places:
    """What gives a folder a place for state that nobody has used yet: in each of the databases."""
    if request.param == "sqlite":
        return in_a_file
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.place


@pytest.fixture
def place(places: Places, tmp_path: Path) -> Place:
    """A place for state that nobody has used yet."""
    return places(tmp_path)
