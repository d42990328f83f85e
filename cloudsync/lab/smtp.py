"""A mail server on loopback: STARTTLS and TLS, logins, faults per SMTP command, and a mailbox: a folder with one file for each message.

The protocol is aiosmtpd's. A message that comes again under a Message-ID that the mailbox holds is accepted and not kept a second time,
as mail stores do that suppress duplicates (Cyrus, Exchange); the log lists every acceptance, so a test sees both.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import socket
import ssl
import threading
from collections import Counter
from email import message_from_bytes
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from aiosmtpd.smtp import SMTP, AuthResult

from .kit.faults import Fault, Json, Kind, of_json
from .kit.tls import authority

USER, PASSWORD = "cloudsync", "lab-mail-password"
HOST = "127.0.0.1"
OPERATIONS = ("CONNECT", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA")
KINDS = {
    Kind.UNREACHABLE: "the connection is cut before a greeting",
    Kind.RESET_BEFORE: "the connection is cut, nothing is kept",
    Kind.RESET_AFTER: "the message is kept, then the connection is cut without an answer",
    Kind.UNAVAILABLE: "421, and the connection is closed",
    Kind.THROTTLE: "451, try again later",
    Kind.REFUSED: "550, or `code` and `message`",
    Kind.DENIED: "535 at AUTH, 550 elsewhere",
    Kind.SLOW: "waits `seconds` before the answer",
}
DATA_LIMIT = 10 << 20


class Site:
    """The mail server as a part of a lab."""

    name = "smtp"

    def __init__(self, folder: Path) -> None:
        """`folder` takes the certificates; the mailbox is beside it and outlives the lab."""
        self.folder = folder
        self.mailbox = folder.parent / "mailbox"
        self.lock = threading.RLock()
        self.faults: list[Fault] = []
        self.calls: Counter[str] = Counter()
        self.accepted: list[dict[str, Json]] = []
        self.ports = {"starttls": 0, "tls": 0}
        self._ca_file = folder / "ca.pem"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._servers: list[asyncio.Server] = []
        self._context: ssl.SSLContext | None = None

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open both ports."""
        issuer = authority(self.folder)
        self._ca_file, self._context = issuer.ca_file, issuer.server("smtp")
        logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd warns of what it does itself, at every login
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lab-smtp", daemon=True)
        self._thread.start()
        self.up()

    def up(self) -> None:
        """Listen, on the ports of before."""
        if not self._servers:
            self._wait(self._open())

    def down(self) -> None:
        """Refuse connections until `up`."""
        self._wait(self._close())

    def stop(self) -> None:
        """Close everything; a mailbox with messages stays."""
        with contextlib.suppress(OSError):
            self.mailbox.rmdir()
        if self._loop is None or self._thread is None:
            return
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()
        self._loop = None

    def _wait(self, work: Any) -> None:
        assert self._loop is not None, "started before"
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        for way, context in (("starttls", None), ("tls", self._context)):
            listening = socket.socket()
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((HOST, self.ports[way]))
            self.ports[way] = listening.getsockname()[1]
            made = partial(Session, self, over_tls=context is not None)
            self._servers.append(await loop.create_server(made, sock=listening, ssl=context))

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        mine = asyncio.current_task()
        for task in asyncio.all_tasks():
            if task is not mine:
                task.cancel()

    # --- what the lab asks ----------------------------------------------------------------------------------------

    def reset(self, _estate: str, _seed: int) -> None:
        """Empty the mailbox, faults and counters."""
        with self.lock:
            self.faults.clear()
            self.calls.clear()
            self.accepted.clear()
            shutil.rmtree(self.mailbox, ignore_errors=True)
            self.mailbox.mkdir(parents=True, mode=0o700)
        if self._loop is not None:
            self.up()

    def section(self) -> Json:
        """What lab.json says: `port` speaks STARTTLS, `tls_port` TLS from the first byte."""
        return {
            "host": HOST,
            "port": self.ports["starttls"],
            "tls_port": self.ports["tls"],
            "user": USER,
            "password": PASSWORD,
            "ca_file": str(self._ca_file),
            "mailbox": str(self.mailbox),
        }

    def verbs(self) -> frozenset[str]:
        """Every control verb."""
        return frozenset({"faults", "calls", "log", "down", "up"})

    def ask(self, verb: str, given: Json) -> Json:
        """`faults`, `calls`, `log` (every message accepted, in order), `down`, `up`. KeyError for any other."""
        with self.lock:
            match verb:
                case "faults":
                    if isinstance(given, list):
                        self.faults[:] = [_fault(each) for each in given]
                    elif given is not None:
                        self.faults.append(_fault(given))
                    return [each.as_json() for each in self.faults]
                case "calls":
                    counts = dict(self.calls)
                    if given and given.get("clear"):
                        self.calls.clear()
                    return counts
                case "log":
                    return list(self.accepted)
                case "down" | "up":
                    (self.down if verb == "down" else self.up)()
                    return {"listening": bool(self._servers)}
        raise KeyError(verb)

    # --- what sessions ask ----------------------------------------------------------------------------------------

    def meet(self, operation: str) -> tuple[Fault, ...]:
        """Count a command; return the faults that fire on it."""
        with self.lock:
            self.calls[operation] += 1
            return tuple(each for each in self.faults if each.counts(operation, "", 1, mutating=operation == "DATA") and each.meets())

    def keep(self, sender: str, receivers: list[str], content: bytes) -> None:
        """Put a message into the mailbox, unless it is there."""
        identity = str(message_from_bytes(content).get("Message-ID", "")).strip()
        digest = sha256((identity or content.decode("latin-1")).encode()).hexdigest()[:12]
        with self.lock:
            known = any(self.mailbox.glob(f"*-{digest}.eml"))
            self.accepted.append({"id": identity, "from": sender, "to": receivers, "size": len(content), "again": known})
            if not known:
                number = len(list(self.mailbox.glob("*.eml"))) + 1
                draft = self.mailbox / f".{digest}"
                draft.write_bytes(content)
                draft.replace(self.mailbox / f"{number:05d}-{digest}.eml")


def _fault(given: Json) -> Fault:
    found = of_json(given)
    if found.kind not in KINDS:
        raise ValueError(f"a mail server knows no fault {found.kind.value!r}: want one of {', '.join(each.value for each in KINDS)}")
    return found


class Session(SMTP):
    """One connection. Every command asks first whether something is to go wrong."""

    def __init__(self, site: Site, *, over_tls: bool) -> None:
        """`over_tls`: the connection began with TLS; else STARTTLS is demanded before anything is said."""
        super().__init__(
            SimpleNamespace(handle_DATA=self._keep),
            data_size_limit=DATA_LIMIT,
            hostname="mail.lab.example",
            ident="ESMTP",
            tls_context=None if over_tls else site._context,
            require_starttls=not over_tls,
            auth_required=True,
            authenticator=_authenticate,
            loop=asyncio.get_running_loop(),
        )
        self.site = site
        self.cut_after = False
        if over_tls:
            self._auth_require_tls = False  # aiosmtpd knows of STARTTLS alone, and would take no login here
        for operation in ("EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT"):
            self._smtp_methods[operation] = partial(self._faulty, operation, self._smtp_methods[operation])

    async def _handle_client(self) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            answer = await self._met("CONNECT")
            if answer is None:
                await super()._handle_client()
            else:
                await self.push(answer)
        if self.transport is not None:
            self.transport.close()

    async def _met(self, operation: str) -> str | None:
        """Let what is to go wrong go wrong: the answer to give instead, or None."""
        for fault in self.site.meet(operation):
            match fault.kind:
                case Kind.SLOW:
                    await asyncio.sleep(float(fault.options.get("seconds", 1)))
                case Kind.UNREACHABLE | Kind.RESET_BEFORE:
                    self._cut()
                case Kind.RESET_AFTER if operation != "DATA":
                    self._cut()
                case Kind.UNAVAILABLE:
                    await self.push("421 4.3.2 service not available, closing the channel")
                    self._cut(gently=True)
                case Kind.THROTTLE:
                    return str(fault.options.get("message", "451 4.7.1 try again later"))
                case Kind.REFUSED:
                    return f"{fault.options.get('code', 550)} {fault.options.get('message', '5.7.1 refused')}"
                case Kind.DENIED:
                    return "535 5.7.8 authentication failed" if operation == "AUTH" else "550 5.7.1 not allowed"
                case Kind.RESET_AFTER:
                    self.cut_after = True
        return None

    def _cut(self, *, gently: bool = False) -> NoReturn:
        if isinstance(self.transport, asyncio.WriteTransport) and not gently:
            self.transport.abort()
        raise asyncio.CancelledError

    async def _faulty(self, operation: str, command: Any, argument: str | None) -> None:
        answer = await self._met(operation)
        if answer is not None:
            await self.push(answer)
        else:
            await command(argument)

    async def _keep(self, _server: object, _session: object, envelope: Any) -> str:
        """Answer a message that arrived whole."""
        answer = await self._met("DATA")
        if answer is not None:
            return answer
        self.site.keep(str(envelope.mail_from), list(map(str, envelope.rcpt_tos)), bytes(envelope.content))
        if self.cut_after:
            self._cut()
        return "250 2.0.0 kept"


def _authenticate(_server: object, _session: object, _envelope: object, mechanism: str, given: Any) -> AuthResult:
    right = mechanism in ("LOGIN", "PLAIN") and given.login == USER.encode() and given.password == PASSWORD.encode()
    return AuthResult(success=right, handled=False)
