"""Telling programs: a POST to a web address, signed, or a program started with the same JSON on its standard input.

What is not taken waits in the spool, as mails do. Nothing is redirected, nothing goes through a shell, no secret stands on a command line.
"""

from __future__ import annotations

import hmac
import os
import signal
import ssl
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from cloudsync.adapter import Clock
from cloudsync.model.inert import inert
from cloudsync.model.quick import dataclass
from cloudsync.spool import Spool

BUDGET_S = 60.0
SHOWN = 300
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
"""All that a program gets of our environment: the rest may hold credentials of platforms."""


@dataclass(frozen=True, slots=True)
class Hook:
    """Whom to tell: a web address, or a program by its whole path with its arguments."""

    name: str
    url: str = ""
    command: tuple[str, ...] = ()
    secret: str = field(default="", repr=False)
    ca_file: Path | None = None
    timeout_s: float = 20.0

    @property
    def channel(self) -> str:
        """Its name in the spool."""
        return f"hook-{self.name}"


@dataclass(frozen=True, slots=True)
class Called:
    """What came of it. `problems` are for people."""

    done: int = 0
    waiting: int = 0
    problems: tuple[str, ...] = ()


def flush(spool: Spool, hooks: Iterable[Hook], clock: Clock) -> Called:
    """Tell every hook what waits for it and is due, oldest first. Never raises for what a hook does."""
    deadline = clock.monotonic() + BUDGET_S
    done, waiting, problems = 0, 0, list[str]()
    for hook in hooks:
        told, why = _flush_one(spool, hook, clock, deadline)
        done += told
        left = spool.waiting(hook.channel)
        waiting += len(left)
        why = why or (left[0].wait.why if left else "")
        if why:
            problems.append(f"hook {hook.name}: {why}")
    return Called(done, waiting, tuple(problems))


def _flush_one(spool: Spool, hook: Hook, clock: Clock, deadline: float) -> tuple[int, str]:
    due = [one for one in spool.waiting(hook.channel) if one.wait.next <= clock.now()]
    done = 0
    if not due:
        return done, ""
    with spool.only_one(hook.channel) as mine:
        for one in due if mine else ():
            if not one.path.exists() or clock.monotonic() >= deadline:
                continue
            why = call(hook, one.content(), one.key, clock.now())
            if why:  # where one is not taken the others are not tried now: a receiver that is down costs one timeout
                spool.later(one, clock.now(), why)
                return done, why
            spool.done(one)
            done += 1
    return done, ""


def call(hook: Hook, content: bytes, key: str, now: float) -> str:
    """Tell a hook one thing; return why it did not take it, nothing when it did. `key` is the same at every try."""
    text = post(hook, content, key, now) if hook.url else run(hook, content, key)
    text = inert(" ".join(text.split()))[:SHOWN]
    return text.replace(hook.secret, "***") if hook.secret else text


def signature(secret: str, now: float, content: bytes) -> str:
    """Return the HMAC-SHA256 of `SECONDS.CONTENT` in hex; the time is signed so that an old post cannot be sent again."""
    return hmac.new(secret.encode(), f"{int(now)}.".encode() + content, "sha256").hexdigest()


def post(hook: Hook, content: bytes, key: str, now: float) -> str:
    """POST to a web address. Any 2xx is a yes; a redirect is none, because what was signed for one place goes to no other."""
    parts = urlsplit(hook.url)
    host = parts.hostname or ""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "cloudsync",
        "X-Cloudsync-Delivery": key,
        "X-Cloudsync-Timestamp": str(int(now)),
    }
    if hook.secret:
        headers["X-Cloudsync-Signature"] = "sha256=" + signature(hook.secret, now, content)
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=hook.ca_file)
        connection: HTTPConnection = HTTPSConnection(host, parts.port, timeout=hook.timeout_s, context=context)
    else:
        connection = HTTPConnection(host, parts.port, timeout=hook.timeout_s)
    try:
        connection.request("POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), content, headers)
        answer = connection.getresponse()
        said = answer.read(SHOWN).decode("utf-8", "replace")
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not trusted: {error.verify_message}"
    except TimeoutError:
        return f"no answer in {hook.timeout_s:g} s"
    except (OSError, HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
    return "" if 200 <= answer.status < 300 else f"answered {answer.status}: {said}"


def run(hook: Hook, content: bytes, key: str) -> str:
    """Start a program in a session of its own, with little of our environment; exit code 0 is a yes."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                hook.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env={**kept, "CLOUDSYNC_DELIVERY": key},
                start_new_session=True,
            )
        except OSError as error:
            return f"{hook.command[0]} cannot be started: {error.strerror or error}"
        try:
            process.communicate(content, timeout=hook.timeout_s)
        except subprocess.TimeoutExpired:
            with suppress(OSError):  # whatever it started goes with it
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"was not done in {hook.timeout_s:g} s and was ended"
        if process.returncode == 0:
            return ""
        said.seek(0)
        return f"ended with {process.returncode}: {said.read(SHOWN).decode('utf-8', 'replace')}"
