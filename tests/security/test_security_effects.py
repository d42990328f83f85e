"""Effects go through ports: each kind of effect has the modules that may have it, found in the syntax tree, and nobody else may.

A new module that reads the environment, starts a program, opens a connection, draws a random number or writes a file fails here until
somebody gives it a place with a reason. The lab is a world of its own and left out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.tidy import tree
from tests.tidy.test_tidy_code import dotted, imported

SPEAKERS = frozenset({"adapters/cloudsync_f5/client.py", "adapters/cloudsync_gcp/client.py"})
CLIENTS = frozenset(f"adapters/cloudsync_{name}/client.py" for name in ("aws", "azure", "f5", "gcp"))
READERS = frozenset(f"adapters/cloudsync_{name}/read.py" for name in ("aws", "azure", "f5", "gcp"))
PACERS = frozenset({"cloudsync/pacing.py"})


@dataclass(frozen=True)
class Effect:
    """One kind: names that show it (a dot at the end means everything below), and the modules that may have it."""

    name: str
    shown_by: tuple[str, ...]
    homes: frozenset[str]

    def seen(self, names: Iterable[str]) -> list[str]:
        """Return the names that show this effect."""
        return sorted({one for one in names if any(one == sign or one.startswith(sign + ".") for sign in self.shown_by)})


EFFECTS = (
    Effect(
        "starts programs",
        ("subprocess", "os.system", "os.popen", "os.fork", "os.posix_spawn", "os.execv", "os.execve", "multiprocessing", "pty"),
        frozenset({"cloudsync/hooks.py", "cloudsync/sources.py"}),  # the settings' own hooks; git
    ),
    Effect(
        "opens connections",
        ("socket.socket", "socket.create_connection", "ssl", "http.client", "http.server", "urllib.request", "smtplib", "requests",
         "urllib3", "psycopg", "asyncio", "ftplib", "socketserver"),
        SPEAKERS | {"cloudsync/hooks.py", "cloudsync/mail.py", "cloudsync/service/health.py", "cloudsync/service/notify.py",
                   "cloudsync/store/postgres.py", "cloudsync/fleet/queue.py", "cloudsync/fleet/standing.py", "cloudsync/fleet/worker.py"},
    ),
    Effect(
        "reads the environment",
        ("os.environ", "os.getenv"),
        (CLIENTS - {"adapters/cloudsync_aws/client.py"})
        | {"adapters/cloudsync_aws/adapter.py", "cloudsync/cli/output.py", "cloudsync/hooks.py", "cloudsync/service/notify.py",
                   "cloudsync/settings/secret.py", "cloudsync/store/place.py"},
    ),
    Effect(
        "draws random numbers",
        ("random", "secrets", "uuid.uuid1", "uuid.uuid4"),
        CLIENTS | {"cloudsync/app/session.py", "cloudsync/cli/service.py"},  # jitter; the id of a run
    ),
    Effect(
        "runs things at the same time",
        ("threading", "concurrent", "_thread"),
        (CLIENTS - {"adapters/cloudsync_f5/client.py"}) | READERS | PACERS
        | {"adapters/cloudsync_aws/adapter.py", "cloudsync/cli/progress.py", "cloudsync/run.py",
                                      "cloudsync/service/health.py", "cloudsync/store/postgres.py", "cloudsync/store/sqlite.py",
                                      "cloudsync/store/buckets.py", "cloudsync/cli/worker.py", "cloudsync/fleet/keeper.py",
                                      "cloudsync/fleet/worker.py"},
    ),
    Effect(
        "listens to signals",
        ("signal.signal", "signal.setitimer", "signal.sigwait"),
        frozenset({"cloudsync/cli/wall.py", "cloudsync/cli/worker.py", "cloudsync/service/stopping.py"}),
    ),
    Effect(
        "loads code by name",
        ("importlib.import_module", "__import__", "runpy", "ctypes", "marshal", "pickle", "shelve", "importlib.metadata.entry_points"),
        frozenset({"cloudsync/cli/main.py", "cloudsync/registry.py", "cloudsync/testing/contract/packaging.py"}),
    ),
    Effect(
        "makes temporary files",
        ("tempfile",),
        frozenset({"cloudsync/app/deliver.py", "cloudsync/app/rollback.py", "cloudsync/app/versions.py", "cloudsync/app/whole.py",
                   "cloudsync/cli/output.py", "cloudsync/hooks.py"}),
    ),
    Effect(
        "writes files",
        ("open", "os.open", "os.fdopen", "os.replace", "os.rename", "os.unlink", "os.chmod", "os.truncate", ".write_text", ".write_bytes",
         ".unlink", ".symlink_to", ".chmod", ".touch", ".rename", ".rmdir", "shutil"),
        # models.py: when it is installed, never in a run.
        frozenset({"adapters/cloudsync_aws/models.py",
                   "cloudsync/app/deliver.py", "cloudsync/app/rollback.py", "cloudsync/app/terraform.py", "cloudsync/app/versions.py",
                   "cloudsync/app/whole.py", "cloudsync/cli/files.py", "cloudsync/cli/wall.py", "cloudsync/service/health.py",
                   "cloudsync/settings/generate.py", "cloudsync/sources.py", "cloudsync/spool.py", "cloudsync/store/files.py"}),
    ),
    Effect(
        "waits",
        ("time.sleep", "select.select", "signal.pause"),
        frozenset({"cloudsync/clock.py"}),
    ),
    Effect(
        "checks no certificate",
        ("ssl._create_unverified_context", "ssl.CERT_NONE", "urllib3.disable_warnings", "ssl._create_default_https_context"),
        frozenset(),
    ),
)  # fmt: skip


@cache
def named(file: Path) -> tuple[str, ...]:
    """Return the names of a file of the product, each once."""
    return tuple(dict.fromkeys(names(tree.syntax(file))))


def names(module: ast.Module) -> Iterator[str]:
    """Yield what a module imports, calls and names with a dot; a method is named by its last word too, `.unlink`."""
    yield from (name for _, name in imported(module))
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute):
            yield dotted(node)
        elif isinstance(node, ast.Call):
            yield dotted(node.func)
            if isinstance(node.func, ast.Attribute):
                yield f".{node.func.attr}"


def product() -> Iterator[Path]:
    """Yield the product's modules."""
    return (file for file in tree.python_files(*tree.PRODUCT) if file.parts[:2] != ("cloudsync", "lab"))


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect.name)
def test_only_who_may_has_an_effect(effect: Effect) -> None:
    found = {str(file): effect.seen(named(file)) for file in product()}
    strangers = {file: seen for file, seen in found.items() if seen and file not in effect.homes}
    assert not strangers, strangers


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect.name)
def test_nobody_keeps_a_right_that_is_not_used(effect: Effect) -> None:
    idle = [home for home in sorted(effect.homes) if not effect.seen(named(Path(home)))]
    assert not idle, idle


@pytest.mark.parametrize(
    ("source", "effect"),
    [
        ("import subprocess\nsubprocess.run(['ls'])", "starts programs"),
        ("import os\nos.popen('ls')", "starts programs"),
        ("from urllib.request import urlopen", "opens connections"),
        ("import os\nx = os.environ['A']", "reads the environment"),
        ("import random\nrandom.random()", "draws random numbers"),
        ("from threading import Thread", "runs things at the same time"),
        ("import pickle", "loads code by name"),
        ("from pathlib import Path\nPath('a').write_text('x')", "writes files"),
        ("open('a', 'w')", "writes files"),
        ("import time\ntime.sleep(1)", "waits"),
        ("import ssl\nc = ssl._create_unverified_context()", "checks no certificate"),
    ],
)
def test_a_planted_effect_is_found(source: str, effect: str) -> None:
    (one,) = [one for one in EFFECTS if one.name == effect]
    assert one.seen(names(ast.parse(source)))
