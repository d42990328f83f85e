"""A mail server and a web hook on loopback, for tests of what people are told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from cloudsync.lab.http import Answer, Request, Server
from cloudsync.lab.kit.tls import authority
from cloudsync.lab.smtp import PASSWORD, USER, Site

Json = Any


@dataclass
class Office:
    """The mail server of the lab in this process."""

    site: Site
    folder: Path

    @property
    def section(self) -> dict[str, Json]:
        """What lab.json says of it."""
        found: dict[str, Json] = self.site.section()
        return found

    def settings(self, more: str = "", *, way: str = "starttls") -> str:
        """Return `mail:` of the settings; the password is a file."""
        (self.folder / "password").write_text(PASSWORD + "\n", encoding="utf-8")
        url = f"smtps://127.0.0.1:{self.section['tls_port']}" if way == "tls" else f"smtp+starttls://localhost:{self.section['port']}"
        return (
            f"mail:\n  smtp: {url}\n  from: cloudsync@acme.example\n  to: [netsec@acme.example]\n  user: {USER}\n"
            f"  password: file:{self.folder / 'password'}\n  ca_file: {self.section['ca_file']}\n  timeout: 2s\n{more}"
        )

    def fault(self, command: str, kind: str, **options: Json) -> None:
        """Let something go wrong."""
        self.site.ask("faults", {"operation": command, "kind": kind, **options})

    def accepted(self) -> list[dict[str, Json]]:
        """Return every message that the server took, in order."""
        found: list[dict[str, Json]] = self.site.ask("log", None)
        return found

    def mailbox(self) -> list[EmailMessage]:
        """Return the messages of the mailbox."""
        found: list[EmailMessage] = []
        for path in sorted(self.site.mailbox.glob("*.eml")):
            mail = message_from_bytes(path.read_bytes(), policy=policy.default)
            assert isinstance(mail, EmailMessage)
            found.append(mail)
        return found

    def subjects(self) -> list[str]:
        """Return the subjects of the mailbox."""
        return [str(mail["Subject"]).removeprefix("[cloudsync] ") for mail in self.mailbox()]


@contextmanager
def post_office(folder: Path) -> Iterator[Office]:
    """Open a mail server with an empty mailbox."""
    site = Site(folder / "smtp")
    site.reset("empty", 1)
    site.start()
    try:
        yield Office(site, folder)
    finally:
        site.stop()


@dataclass
class Receiver:
    """A web server that takes what hooks post. `answers`: status and headers to give instead of 200, first come first."""

    server: Server
    got: list[Request] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self.server.url}/hooks/cloudsync?team=net"

    def answer(self, request: Request) -> Answer:
        """Take one post."""
        with self.lock:
            self.got.append(request)
            status, headers = self.answers.pop(0) if self.answers else (200, {})
        return Answer(status, b"told", headers)


@contextmanager
def receiver(tls: Path | None = None) -> Iterator[Receiver]:
    """Open a receiver; with a folder it speaks https with a certificate of the authority made there."""
    server = Server(0, lambda _request: Answer(503, b""), tls=authority(tls).server("hooks") if tls else None)
    one = Receiver(server)
    server.app = one.answer
    server.start()
    try:
        yield one
    finally:
        server.shutdown()
        server.server_close()
