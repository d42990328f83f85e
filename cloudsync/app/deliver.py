"""Bringing a story to people: what is news goes into the spool, and from there to the mail server and the hooks.

What people know is written down together with the messages that tell it, in one transaction of the state; then the messages become files
of the spool. A crash at any point tells nothing twice and forgets nothing: what was not written down is still news to the next run.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cloudsync.app.ledger import opened
from cloudsync.app.repository import Loaded
from cloudsync.clock import SystemClock
from cloudsync.model.codec import CodecError, Json, from_json, to_json
from cloudsync.model.errors import CloudsyncError, InputError
from cloudsync.model.finding import Finding, Where
from cloudsync.model.quick import dataclass
from cloudsync.report.story import Story
from cloudsync.settings.values import Mail, Settings
from cloudsync.store.place import DEFAULT, local_folder
from cloudsync.store.state import State

if TYPE_CHECKING:
    from cloudsync.adapter import Clock
    from cloudsync.mail import Server
    from cloudsync.report.mail import Attachment, Message, Sending
    from cloudsync.report.news import Ledger, News
    from cloudsync.spool import Parcel, Spool
    from cloudsync.store.state import State

log = logging.getLogger("cloudsync.deliver")

KNOWN = "people-know"
"""The note under which the ledger stands, with what is on its way into the spool."""
COMMAND_LINE = Where("command line")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of it. `problems` are for people; whatever they are, the run was what it was."""

    queued: int = 0
    sent: int = 0
    waiting: int = 0
    problems: tuple[str, ...] = ()


def deliver(root: Path, loaded: Loaded, story: Story, clock: Clock | None = None) -> Delivery:
    """Tell people what is news in a story, and what still waits. Call it when the run has given its lock back.

    Never waits longer than a minute for the mail server and another for the hooks. Raises RefusedError or BusyError when the state
    cannot be used, and OSError when the spool cannot; the next run tells it then.
    """
    settings = loaded.settings
    if settings.mail is None and not settings.hooks:
        return Delivery()
    ours = clock or SystemClock()
    spool = _spool(root, settings)
    queued = 0
    with spool.only_one("telling") as mine:
        if mine:
            with opened(root, settings) as state:
                queued = _queue(state, settings, story, spool)
    return _flush(root, loaded, spool, ours, queued)


def tell_people(root: Path, loaded: Loaded, story: Story) -> None:
    """Deliver a story and log what came of it: for runs that nobody watches."""
    came = deliver(root, loaded, story)
    if came.queued or came.sent:
        log.info("deliver.done", extra={"queued": came.queued, "sent": came.sent, "waiting": came.waiting})
    for problem in came.problems:
        log.warning("deliver.waiting", extra={"why": problem, "waiting": came.waiting})


def shout(root: Path, loaded: Loaded, story: Story, clock: Clock | None = None) -> None:
    """Tell the new troubles of a story at once, without state and spool, for they may be the trouble: a full disk, a lost state.

    The same trouble makes the same Message-ID, so that who is told twice can know it. Raises OSError when it reached nobody.
    """
    from tempfile import TemporaryDirectory

    from cloudsync.report.news import Ledger, News
    from cloudsync.spool import Spool

    news = News(troubles=tuple(one for one in story.troubles if one.new))
    parcels, _ = _parcels(loaded.settings, story, news, Ledger())
    if not parcels:
        return
    with TemporaryDirectory(prefix="cloudsync-") as folder:
        spool = Spool(Path(folder) / "spool")
        queued = sum(spool.put(one) for one in parcels)
        came = _flush(root, loaded, spool, clock or SystemClock(), queued)
    if not came.sent:
        raise OSError("; ".join(came.problems) or "nothing could be sent")


def flush(root: Path, loaded: Loaded, clock: Clock | None = None) -> Delivery:
    """Send what waits and is due, without any news."""
    settings = loaded.settings
    if settings.mail is None and not settings.hooks:
        return Delivery()
    return _flush(root, loaded, _spool(root, settings), clock or SystemClock(), 0)


def waiting(root: Path, loaded: Loaded) -> tuple[int, float | None]:
    """Return how many messages wait, and since when the oldest does (UTC seconds since the epoch)."""
    found = _spool(root, loaded.settings).waiting()
    return len(found), found[0].at if found else None


def report_mails(
    root: Path, loaded: Loaded, story: Story, *, folder: Path | None, clock: Clock | None = None
) -> tuple[list[Path], Delivery]:
    """Mail a whole story because somebody asks for it. With a `folder` the mails are written there, and nothing is sent.

    Raises InputError where no mail is configured. The same report is sent once, however often it is asked for.
    """
    from cloudsync.app.whole import writing
    from cloudsync.report.mail import Sending, messages
    from cloudsync.report.news import snapshot

    mail = loaded.settings.mail
    if mail is None and folder is None:
        hint = "add mail: to cloudsync.yaml, or look at the mail first: --dry-run"
        raise InputError([Finding(COMMAND_LINE, "NO-MAIL", "the settings name no mail server", hint)])
    nobody = Sending("cloudsync@localhost", ("you@localhost",), _EVERYTHING)
    news = snapshot(story)
    written = messages(story, news, _sending(mail, story, "report ") if mail else nobody, always=True)
    if folder is not None:
        paths: list[Path] = []
        for number, one in enumerate(written, 1):
            path = folder / f"{number:02d}-{one.audience or 'all'}.eml"
            with writing(path):
                folder.mkdir(parents=True, exist_ok=True)
                path.write_bytes(one.content())
            paths.append(path)
        return paths, Delivery()
    spool = _spool(root, loaded.settings)
    queued = sum(spool.put(_parcel(one)) for one in written)
    return [], _flush(root, loaded, spool, clock or SystemClock(), queued)


_EVERYTHING = frozenset({"drift", "refused", "failed", "recovered", "expiring", "digest", "applied"})


# --- into the spool --------------------------------------------------------------------------------------------------


def _queue(state: State, settings: Settings, story: Story, spool: Spool) -> int:
    """Write down what people will know and what tells them; then put it into the spool. Returns how many parcels were new there."""
    from cloudsync.report.news import advance

    note = state.records.note(KNOWN)
    before, left = _recalled(note)
    queued = sum(spool.put(one) for one in left)  # of a run that died between the state and the spool
    news, ledger = advance(story, before, digest_day=settings.mail.digest if settings.mail else "never")
    parcels, ledger = _parcels(settings, story, news, ledger)
    if parcels:
        state.records.keep(KNOWN, {"ledger": to_json(ledger), "outbox": [_document(one) for one in parcels]})
        queued += sum(spool.put(one) for one in parcels)
    if parcels or left or _differs(before, ledger):
        state.records.keep(KNOWN, {"ledger": to_json(ledger), "outbox": []})
    return queued


def _differs(before: Ledger, after: Ledger) -> bool:
    """Tell whether what people know changed. Which run it was that changed nothing is worth no write to the disk."""
    return not before.run or replace(after, run=before.run, at=before.at) != before


def _recalled(note: Json) -> tuple[Ledger, list[Parcel]]:
    from cloudsync.report.news import Ledger
    from cloudsync.spool import Parcel

    if not isinstance(note, dict):
        return Ledger(), []
    ledger = Ledger()
    with suppress(CodecError, KeyError, TypeError):  # of another version: all is news again, rather than nothing
        ledger = from_json(Ledger, note["ledger"])
    parcels = [
        Parcel(one["channel"], one["id"], one["at"], one["content"].encode("ascii"), one["suffix"]) for one in note.get("outbox", ())
    ]
    return ledger, parcels


def _document(one: Parcel) -> Json:
    return {"channel": one.channel, "id": one.id, "at": one.at, "content": one.content.decode("ascii"), "suffix": one.suffix}


def _parcels(settings: Settings, story: Story, news: News, ledger: Ledger) -> tuple[list[Parcel], Ledger]:
    if not news:
        return [], ledger
    found: list[Parcel] = []
    if settings.mail is not None:
        from cloudsync.report.mail import messages, threaded

        written = messages(story, news, _sending(settings.mail, story))
        ledger = threaded(ledger, written)
        found += map(_parcel, written)
    found += _posts(settings, story, news)
    return found, ledger


def _posts(settings: Settings, story: Story, news: News) -> Iterator[Parcel]:
    from cloudsync.report.notice import notice
    from cloudsync.spool import Parcel

    for hook in settings.hooks:
        part = news.of(hook.on)
        if part:
            key, document = notice(story, part, hook.name)
            yield Parcel(f"hook-{hook.name}", key, story.at, json.dumps(document, ensure_ascii=True).encode() + b"\n", ".json")


def _parcel(one: Message) -> Parcel:
    from cloudsync.mail import CHANNEL
    from cloudsync.spool import Parcel

    return Parcel(CHANNEL, one.id, one.at, one.content(), ".eml")


def _sending(mail: Mail, story: Story, purpose: str = "") -> Sending:
    from cloudsync.report.mail import Sending

    on = _EVERYTHING if purpose else mail.on
    return Sending(mail.sender, mail.to, on, mail.routes, tuple(_attached(mail.attach, story)), purpose)


def _attached(forms: Iterable[str], story: Story) -> Iterator[Attachment]:
    from cloudsync.report.mail import Attachment

    for form in forms:
        match form:
            case "html":
                from cloudsync.report.html import page

                yield Attachment("cloudsync-report.html", "text/html", page(story))
            case "csv":
                from cloudsync.report.csv import table

                yield Attachment("cloudsync-report.csv", "text/csv", table(story))
            case _:
                from cloudsync.report.markdown import markdown

                yield Attachment("cloudsync-report.md", "text/markdown", markdown(story))


# --- out of the spool ------------------------------------------------------------------------------------------------


def _spool(root: Path, settings: Settings) -> Spool:
    from cloudsync.spool import Spool

    if settings.spool:
        return Spool(root / settings.spool)
    return Spool(local_folder(settings.state or DEFAULT, root) / "spool")


def _flush(root: Path, loaded: Loaded, spool: Spool, clock: Clock, queued: int) -> Delivery:
    if not spool.waiting():
        return Delivery(queued)
    from cloudsync import hooks, mail
    from cloudsync.settings.secret import reveal

    settings = loaded.settings
    sent, problems = 0, list[str]()
    if settings.mail is not None and spool.waiting(mail.CHANNEL):
        try:
            password = reveal(settings.mail.password, root, settings.where)
        except CloudsyncError as error:
            problems.append(f"mail: {error}")
        else:
            handed = mail.flush(spool, _server(settings.mail, password, root), clock)
            sent += handed.sent
            problems += [f"mail: {one}" for one in handed.problems]
    ready: list[hooks.Hook] = []
    for one in settings.hooks:
        try:
            secret = reveal(one.secret, root, settings.where)
            url = _address(reveal(one.url_from, root, settings.where), settings) if one.url_from else one.url
        except CloudsyncError as error:
            problems.append(f"hook {one.name}: {error}")
        else:
            ca_file = root / one.ca_file if one.ca_file else None
            ready.append(hooks.Hook(one.name, url, one.command, secret, ca_file, one.timeout_s))
    called = hooks.flush(spool, ready, clock)
    return Delivery(queued, sent + called.done, len(spool.waiting()), (*problems, *called.problems))


def _address(url: str, settings: Settings) -> str:
    """Return an address that was kept as a secret if it may be used. Raises SettingsError, which does not show it."""
    from cloudsync.model import endpoint
    from cloudsync.model.errors import SettingsError

    wrong = ", ".join(endpoint.complaints(url.partition("?")[0]))
    if wrong:
        raise SettingsError([Finding(settings.where, "BAD-ENDPOINT", wrong, endpoint.WANT)])
    return url


def _server(settings: Mail, password: str, root: Path) -> Server:
    from cloudsync.mail import Server

    ca_file = root / settings.ca_file if settings.ca_file else None
    return Server(settings.host, settings.port, settings.security, settings.user, password, ca_file, settings.timeout_s)
