"""Handing mails to a server: TLS checked, logged in, within a time, and never twice to who has it.

What a server does not take waits in the spool. A connection that ends after the message and before the answer leaves open whether the
server has it (RFC 1047); it is sent again under the same Message-ID, by which servers and readers know it.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import field
from email import message_from_bytes, policy
from pathlib import Path
from socket import gethostname

from cloudsync.adapter import Clock
from cloudsync.model.inert import inert
from cloudsync.model.quick import dataclass
from cloudsync.spool import Spool, Waiting

CHANNEL = "mail"
BUDGET_S = 60.0
"""How long sending may take in one go; what is left is sent the next time."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where mails go. `security`: `starttls`, `tls`, or `plain` (this machine only)."""

    host: str
    port: int
    security: str
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    """Certificates to trust instead of the system's."""
    timeout_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Handed:
    """What came of it. `problems` are for people."""

    sent: int = 0
    waiting: int = 0
    problems: tuple[str, ...] = ()


def flush(spool: Spool, server: Server, clock: Clock) -> Handed:
    """Send what is due, oldest first. Never raises for what a server does."""
    now = clock.now()
    if spool.channel_wait(CHANNEL).next > now:
        return _left(spool, ())
    due = [one for one in spool.waiting(CHANNEL) if one.wait.next <= now]
    if not due:
        return _left(spool, ())
    with spool.only_one("sending") as mine:
        return _send(spool, server, clock, due) if mine else _left(spool, ())


def _left(spool: Spool, problems: Iterable[str], sent: int = 0) -> Handed:
    waiting = spool.waiting(CHANNEL)
    told = list(problems)
    if waiting and not told:
        why = spool.channel_wait(CHANNEL).why or waiting[0].wait.why
        told = [why] if why else []
    return Handed(sent, len(waiting), tuple(told))


def _send(spool: Spool, server: Server, clock: Clock, due: Iterable[Waiting]) -> Handed:
    deadline = clock.monotonic() + BUDGET_S
    sent, problems = 0, list[str]()
    try:
        with _connected(server) as client:
            spool.up(CHANNEL)
            for one in due:
                if clock.monotonic() >= deadline:
                    break
                if not one.path.exists():
                    continue  # somebody else sent it meanwhile
                left, why = _hand_over(client, one)
                if not why:
                    spool.done(one)
                    sent += 1
                else:
                    problems.append(why if spool.later(one, clock.now(), why, left) else f"given up after five days: {why}")
    except (OSError, smtplib.SMTPException) as error:
        why = f"{server.host}:{server.port}: {_words(error, server)}"
        spool.down(CHANNEL, clock.now(), why)
        problems.append(why)
    return _left(spool, problems, sent)


@contextmanager
def _connected(server: Server) -> Iterator[smtplib.SMTP]:
    """Open a connection, checked and logged in, and end it politely if that is still possible."""
    context = ssl.create_default_context(cafile=server.ca_file) if server.security != "plain" else None
    name = _own_name()
    if server.security == "tls":
        client: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, name, timeout=server.timeout_s, context=context)
    else:
        client = smtplib.SMTP(server.host, server.port, name, timeout=server.timeout_s)
    try:
        if server.security == "starttls":
            client.starttls(context=context)  # raises where the server has none: nothing is ever said in the open instead
        if server.user:
            client.login(server.user, server.password)
        yield client
        with suppress(OSError, smtplib.SMTPException):
            client.quit()
    finally:
        client.close()


def _hand_over(client: smtplib.SMTP, one: Waiting) -> tuple[tuple[str, ...], str]:
    """Send one mail; return who does not have it, and why. Both empty: all have it. What ends the connection is raised."""
    content = one.content()
    head = message_from_bytes(content, policy=policy.SMTP)
    sender = head["From"].addresses[0].addr_spec
    receivers = one.wait.left or tuple(address.addr_spec for address in head["To"].addresses)
    try:
        refused = client.sendmail(sender, receivers, content)
    except smtplib.SMTPRecipientsRefused as error:
        refused = error.recipients
    except smtplib.SMTPServerDisconnected:
        raise
    except smtplib.SMTPResponseException as error:
        if error.smtp_code == 421:
            raise
        return receivers, _answer(error.smtp_code, error.smtp_error)
    if not refused:
        return (), ""
    return tuple(refused), "; ".join(f"{receiver}: {_answer(*answer)}" for receiver, answer in refused.items())


def _answer(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return inert(f"{code} {' '.join(words.split())}")[:300]


def _words(error: Exception, server: Server) -> str:
    """Return why a server could not be used, without the password whatever the server repeats."""
    match error:
        case smtplib.SMTPAuthenticationError():
            text = f"the server does not take the login of {server.user}: {_answer(error.smtp_code, error.smtp_error)}"
        case smtplib.SMTPResponseException():
            text = _answer(error.smtp_code, error.smtp_error)
        case ssl.SSLCertVerificationError():
            text = f"its certificate is not trusted: {error.verify_message}"
        case smtplib.SMTPNotSupportedError():
            text = f"it offers no {'STARTTLS' if server.security == 'starttls' else 'login'}: {error}"
        case TimeoutError():
            text = f"no answer in {server.timeout_s:g} s"
        case _:
            text = " ".join(str(error).split()) or type(error).__name__
    text = inert(text)
    return text.replace(server.password, "***") if server.password else text


def _own_name() -> str:
    """Return how we greet. Asking the resolver for more could take longer than all the rest."""
    name = gethostname()
    return name if name.isascii() and name else "localhost"
