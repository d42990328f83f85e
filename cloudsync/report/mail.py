"""From news to messages: who gets which part, in which thread, under which Message-ID. Pure; `cloudsync.mail` sends what comes out here.

A Message-ID is made from what the message tells, never from chance or time: telling the same twice makes the same message, which whoever
sends, carries or receives it can know again (RFC 5322, 3.6.4).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from hashlib import sha256

from cloudsync.model.codec import canonical
from cloudsync.model.inert import inert
from cloudsync.model.quick import dataclass
from cloudsync.report.headline import Tone
from cloudsync.report.letter import letter
from cloudsync.report.letter_html import html
from cloudsync.report.letter_text import text
from cloudsync.report.news import LAST_CALL_S, Ledger, News
from cloudsync.report.story import Story

PREFIX = "[cloudsync]"
EVERYBODY = ""
"""The audience of `to`, which is told of everything."""
REFERENCES_MAX = 20
HEADER_MAX = 200


@dataclass(frozen=True, slots=True)
class Attachment:
    """A whole report beside the letter."""

    name: str
    kind: str
    """e.g. `text/csv`"""
    content: str


@dataclass(frozen=True, slots=True)
class Sending:
    """What the settings say of mail. `routes`: owner of rulesets -> receivers."""

    sender: str
    to: tuple[str, ...]
    on: frozenset[str]
    routes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    attachments: tuple[Attachment, ...] = ()
    purpose: str = ""
    """Mails of different purposes are different mails, though they tell the same."""


@dataclass(frozen=True, slots=True)
class Message:
    """One mail. `at`: UTC seconds since the epoch."""

    id: str
    references: tuple[str, ...]
    sender: str
    to: tuple[str, ...]
    subject: str
    text: str
    html: str
    at: float
    owner: str
    run_id: str
    urgent: bool = False
    audience: str = EVERYBODY
    keys: tuple[str, ...] = ()
    """Of the findings it tells."""
    attachments: tuple[Attachment, ...] = ()

    def content(self) -> bytes:
        """Return the message as it goes over the wire (RFC 5322): the same value makes the same bytes."""
        mail = EmailMessage(policy=SMTP)
        mail["From"] = Address("cloudsync " + self.owner, addr_spec=self.sender)
        mail["To"] = [Address(addr_spec=one) for one in self.to]
        mail["Subject"] = self.subject
        mail["Date"] = datetime.fromtimestamp(int(self.at), UTC)
        mail["Message-ID"] = self.id
        if self.references:
            mail["In-Reply-To"] = self.references[-1]
            mail["References"] = " ".join(self.references)
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notice answers it
        mail["X-Auto-Response-Suppress"] = "All"
        if self.urgent:
            mail["Importance"] = "high"
        mail["X-Cloudsync-Owner"] = inert(self.owner)
        mail["X-Cloudsync-Run"] = inert(self.run_id)
        mail.set_content(self.text, cte="quoted-printable")
        mail.add_alternative(self.html, subtype="html", cte="quoted-printable")
        for one in self.attachments:
            main, _, sub = one.kind.partition("/")
            mail.add_attachment(one.content.encode(), maintype=main, subtype=sub, filename=one.name)
        seed = sha256(self.id.encode()).hexdigest()[:24]
        for number, part in enumerate(part for part in mail.walk() if part.is_multipart()):
            part.set_boundary(f"={number}={seed}")
        # Folding a long subject behind its name leaves a space in front of it that some readers show (RFC 5322, 2.2.3). An encoded word may
        # have 75 characters (RFC 2047), so what is not ASCII is folded all the same.
        return mail.as_bytes(policy=SMTP.clone(max_line_length=HEADER_MAX) if self.subject.isascii() else SMTP)


def messages(story: Story, news: News, sending: Sending, *, always: bool = False) -> tuple[Message, ...]:
    """Return the mails that tell some news: one to everybody of `to`, and one to each owner of rulesets whom it concerns.

    `always`: everybody is written to, even that there is nothing to tell.
    """
    found: list[Message] = []
    for audience, receivers, part in _audiences(news, sending):
        if receivers and (part or (always and audience == EVERYBODY)):
            seen = story if audience == EVERYBODY else narrowed(story, audience)
            found.append(_message(seen, part, sending, audience, receivers))
    return tuple(found)


def _audiences(news: News, sending: Sending) -> Iterable[tuple[str, tuple[str, ...], News]]:
    yield EVERYBODY, sending.to, news.of(sending.on)
    for owner, receivers in sending.routes:
        rest = tuple(one for one in receivers if one not in sending.to)  # who is told everything is not told twice
        yield owner, rest, news.of(sending.on, owner)


def narrowed(story: Story, owner: str) -> Story:
    """Return the part of a story that concerns the rulesets of one owner."""
    return replace(
        story,
        findings=tuple(one for one in story.findings if owner in one.owners),
        troubles=(),
        expiring=tuple(one for one in story.expiring if one.owner == owner),
        targets=(),
        trend=(),
    )


def _message(story: Story, news: News, sending: Sending, audience: str, receivers: tuple[str, ...]) -> Message:
    written = letter(story, news)
    earlier = dict.fromkeys(message for one in news.items for name, message in one.thread if name == audience)
    return Message(
        id=f"<cloudsync.{identity(story, news, sending.purpose + audience)}@{sending.sender.rpartition('@')[2]}>",
        references=tuple(earlier)[:REFERENCES_MAX],
        sender=sending.sender,
        to=receivers,
        subject=f"{PREFIX} {written.subject}",
        text=text(written),
        html=html(written),
        at=story.at,
        owner=inert(story.owner),
        run_id=story.run_id,
        urgent=written.tone is Tone.BAD,
        audience=audience,
        keys=tuple(one.finding.key for one in news.items),
        attachments=sending.attachments if audience == EVERYBODY else (),
    )


def identity(story: Story, news: News, audience: str) -> str:
    """Return what some news is known by: made of the episodes and states of its findings, of its troubles and its rules alone."""
    told = [
        [
            [one.finding.key, one.finding.first_seen, one.what.value, one.finding.packets, one.finding.returns, one.over]
            for one in news.items
        ],
        [[one.target, one.what, one.since, one.why] for one in news.troubles],
        [[one.rule, one.until, one.until - story.at <= LAST_CALL_S] for one in news.expiring],
        [[one.run_id, one.target] for one in news.applied],
        story.at // 86400 if news.digest or not news else 0,
    ]
    return sha256(canonical([story.owner, audience, told]).encode()).hexdigest()[:32]


def threaded(ledger: Ledger, sent: Iterable[Message]) -> Ledger:
    """Return what is known once these mails are on their way: later mails about their findings answer them."""
    for one in sent:
        ledger = ledger.threaded(one.audience, one.id, one.keys)
    return ledger
