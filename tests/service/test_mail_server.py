"""Handing mails to a real server: TLS, logins, and everything that goes wrong; nothing lost, nothing doubled."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from cloudsync.lab.kit.tls import authority
from cloudsync.lab.smtp import PASSWORD, USER
from cloudsync.mail import CHANNEL, Handed, Server, flush
from cloudsync.report.mail import Message
from cloudsync.spool import FIRST_WAIT_S, KEPT_S, LONGEST_WAIT_S, Parcel, Spool
from cloudsync.testing.clock import SimulatedClock
from tests.service.post_office import Office, post_office


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with post_office(tmp_path_factory.mktemp("post")) as office:
        yield office


@pytest.fixture
def office(opened: Office) -> Office:
    opened.site.reset("empty", 1)
    return opened


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


CLOCK_START = SimulatedClock().now()
CANARY = "s3cr3t-canary"


def server(office: Office, way: str = "starttls") -> Server:
    section = office.section
    port = section["tls_port"] if way == "tls" else section["port"]
    return Server("127.0.0.1", port, way, USER, PASSWORD, Path(section["ca_file"]), timeout_s=1.0)


def put(spool: Spool, name: str = "1", to: tuple[str, ...] = ("a@acme.example",)) -> str:
    message = Message(
        f"<{name}@acme.example>", (), "cloudsync@acme.example", to, f"mail {name}", "text\n", "<p>text", CLOCK_START, "acme", "run"
    )
    assert spool.put(Parcel(CHANNEL, message.id, message.at, message.content(), ".eml"))
    return message.id


@pytest.mark.parametrize("way", ["starttls", "tls"])
def test_a_mail_arrives_whole(office: Office, spool: Spool, way: str) -> None:
    put(spool)
    assert flush(spool, server(office, way), SimulatedClock()) == Handed(1, 0)
    (mail,) = office.mailbox()
    assert (mail["Subject"], mail["To"], mail["Message-ID"]) == ("mail 1", "a@acme.example", "<1@acme.example>")
    assert office.accepted()[0]["from"] == "cloudsync@acme.example"
    assert spool.waiting() == ()


def test_what_was_sent_is_not_sent_again(office: Office, spool: Spool) -> None:
    identity = put(spool)
    flush(spool, server(office), SimulatedClock())
    assert not spool.put(Parcel(CHANNEL, identity, CLOCK_START + 99, b"again", ".eml"))
    assert flush(spool, server(office), SimulatedClock()) == Handed()
    assert len(office.accepted()) == 1
    assert office.site.ask("calls", None)["CONNECT"] == 1, "with nothing to send nobody is called"


def test_what_waits_is_not_taken_twice(spool: Spool) -> None:
    identity = put(spool)
    assert not spool.put(Parcel(CHANNEL, identity, CLOCK_START + 1, b"again", ".eml"))
    assert len(spool.waiting()) == 1


def test_mails_go_in_the_order_in_which_they_came(office: Office, spool: Spool) -> None:
    for number in (3, 1, 2):
        message = Message(
            f"<{number}@x.example>", (), "c@x.example", ("a@x.example",), str(number), "t", "h", CLOCK_START + number, "o", "r"
        )
        spool.put(Parcel(CHANNEL, message.id, message.at, message.content(), ".eml"))
    assert flush(spool, server(office), SimulatedClock()).sent == 3
    assert [str(mail["Subject"]) for mail in office.mailbox()] == ["1", "2", "3"]


@pytest.mark.parametrize("way", ["starttls", "tls"])
def test_a_wrong_password_is_said_and_not_shown(office: Office, spool: Spool, way: str) -> None:
    put(spool)
    wrong = replace(server(office, way), password=CANARY)
    came = flush(spool, wrong, SimulatedClock())
    assert (came.sent, came.waiting) == (0, 1)
    assert "does not take the login of cloudsync: 535" in came.problems[0]
    kept = b"".join(path.read_bytes() for path in spool.folder.rglob("*") if path.is_file())
    assert CANARY not in "".join(came.problems) + repr(wrong) + kept.decode()
    assert office.accepted() == []


@pytest.mark.parametrize("way", ["starttls", "tls"])
def test_a_server_of_another_authority_is_told_nothing(office: Office, spool: Spool, tmp_path: Path, way: str) -> None:
    put(spool)
    stranger = replace(server(office, way), ca_file=authority(tmp_path / "other").ca_file)
    came = flush(spool, stranger, SimulatedClock())
    assert "its certificate is not trusted" in came.problems[0]
    assert flush(spool, replace(stranger, ca_file=None), SimulatedClock(CLOCK_START + 3600)).sent == 0
    assert "AUTH" not in office.site.ask("calls", None)
    assert office.accepted() == []


def test_without_starttls_nothing_is_said_in_the_open(spool: Spool) -> None:
    heard: list[bytes] = []

    def serve(listening: socket.socket) -> None:
        client, _ = listening.accept()
        with client, client.makefile("rb") as lines:
            client.sendall(b"220 old.example ESMTP\r\n")
            for line in lines:
                heard.append(line)
                client.sendall(b"250-old.example\r\n250 AUTH PLAIN LOGIN\r\n" if line.upper().startswith(b"EHLO") else b"502 what\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        put(spool)
        came = flush(spool, Server("127.0.0.1", listening.getsockname()[1], "starttls", USER, PASSWORD, timeout_s=2), SimulatedClock())
        thread.join(5)
    assert "offers no STARTTLS" in came.problems[0]
    assert came.waiting == 1
    assert [line.split()[0].upper() for line in heard] == [b"EHLO"]


def test_a_server_that_is_down_is_tried_less_and_less_often(office: Office, spool: Spool) -> None:
    put(spool)
    office.site.down()
    clock = SimulatedClock()
    tries: list[float] = []
    while clock.now() < CLOCK_START + 6 * 3600:
        before = spool.channel_wait(CHANNEL).attempts
        assert flush(spool, server(office), clock).waiting == 1
        if spool.channel_wait(CHANNEL).attempts > before:
            tries.append(clock.now() - CLOCK_START)
        clock.advance(30)
    gaps = [second - first for first, second in pairwise(tries)]
    assert gaps[:4] == [FIRST_WAIT_S, 2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S, 8 * FIRST_WAIT_S]
    assert max(gaps) == LONGEST_WAIT_S
    office.site.up()
    clock.advance(LONGEST_WAIT_S)
    assert flush(spool, server(office), clock) == Handed(1, 0)
    assert len(office.accepted()) == 1
    assert spool.channel_wait(CHANNEL).attempts == 0


@pytest.mark.parametrize(
    ("command", "kind"),
    [("CONNECT", "unreachable"), ("EHLO", "reset_before"), ("STARTTLS", "reset_before"), ("AUTH", "reset_before"), ("MAIL", "reset_before"),
     ("RCPT", "reset_before"), ("DATA", "reset_before"), ("CONNECT", "refused"), ("EHLO", "unavailable"), ("STARTTLS", "throttle"),
     ("MAIL", "unavailable"), ("MAIL", "throttle"), ("RCPT", "throttle"), ("RCPT", "refused"), ("DATA", "throttle"), ("DATA", "refused")],
)  # fmt: skip
def test_whatever_goes_wrong_once_the_mail_arrives_once(office: Office, spool: Spool, command: str, kind: str) -> None:
    put(spool)
    office.fault(command, kind)
    clock = SimulatedClock()
    first = flush(spool, server(office), clock)
    assert (first.sent, first.waiting, len(first.problems)) == (0, 1, 1)
    assert flush(spool, server(office), clock) == Handed(0, 1, first.problems), "not tried again at once"
    clock.advance(FIRST_WAIT_S)
    assert flush(spool, server(office), clock) == Handed(1, 0)
    assert [one["again"] for one in office.accepted()] == [False]


def test_a_slow_server_costs_its_timeout_and_no_more(office: Office, spool: Spool) -> None:
    put(spool)
    office.fault("RCPT", "slow", seconds=30)
    came = flush(spool, server(office), SimulatedClock())
    assert came.waiting == 1
    assert "no answer in 1 s" in came.problems[0] or "timed out" in came.problems[0]


def test_an_answer_that_was_lost_makes_the_same_mail_again_and_no_other(office: Office, spool: Spool) -> None:
    put(spool)
    office.fault("DATA", "reset_after")
    clock = SimulatedClock()
    assert flush(spool, server(office), clock).waiting == 1
    clock.advance(FIRST_WAIT_S)
    assert flush(spool, server(office), clock) == Handed(1, 0)
    assert [(one["id"], one["again"]) for one in office.accepted()] == [("<1@acme.example>", False), ("<1@acme.example>", True)]
    assert len(office.mailbox()) == 1


def test_a_receiver_that_has_it_does_not_get_it_again_for_another_who_has_not(office: Office, spool: Spool) -> None:
    put(spool, to=("a@acme.example", "gone@acme.example", "b@acme.example"))
    office.fault("RCPT", "refused", nth=2, code=550, message="5.1.1 no such user")
    clock = SimulatedClock()
    came = flush(spool, server(office), clock)
    assert came == Handed(0, 1, ("gone@acme.example: 550 5.1.1 no such user",))
    clock.advance(FIRST_WAIT_S)
    assert flush(spool, server(office), clock) == Handed(1, 0)
    assert [one["to"] for one in office.accepted()] == [["a@acme.example", "b@acme.example"], ["gone@acme.example"]]


def test_one_mail_that_is_not_taken_does_not_hold_up_the_others(office: Office, spool: Spool) -> None:
    for name in ("1", "2", "3"):
        put(spool, name)
    office.fault("DATA", "refused", nth=2, code=554)
    assert flush(spool, server(office), SimulatedClock()).sent == 2
    assert len(spool.waiting()) == 1


def test_after_five_days_a_mail_is_laid_aside_with_the_reason(office: Office, spool: Spool) -> None:
    identity = put(spool)
    office.fault("DATA", "refused", times=0, code=554, message="5.7.1 not from you")
    clock = SimulatedClock()
    clock.advance(KEPT_S + 1)
    came = flush(spool, server(office), clock)
    assert came.problems == ("given up after five days: 554 5.7.1 not from you",)
    assert spool.waiting() == ()
    aside = {path.suffix for path in (spool.folder / "failed").iterdir()}
    assert aside == {".eml", ".why"}
    assert spool.knows(identity)


def test_the_spool_is_private(spool: Spool) -> None:
    put(spool)
    assert spool.folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in spool.folder.iterdir())


def test_broken_notes_of_the_spool_only_mean_another_try(office: Office, spool: Spool) -> None:
    put(spool)
    spool.waiting()[0].path.with_suffix(".wait").write_bytes(b"{not json")
    (spool.folder / "mail.down").write_bytes(b"\xff")
    assert flush(spool, server(office), SimulatedClock()) == Handed(1, 0)


def test_while_somebody_sends_nobody_else_does(office: Office, spool: Spool) -> None:
    put(spool)
    with spool.only_one("sending") as mine:
        assert mine
        assert flush(spool, server(office), SimulatedClock()) == Handed(0, 1)
    assert flush(spool, server(office), SimulatedClock()) == Handed(1, 0)


def test_the_list_of_what_was_sent_stays_short(office: Office, spool: Spool) -> None:
    put(spool)
    with (spool.folder / "sent").open("w", encoding="ascii") as log:
        log.writelines(f"{number:024x}\n" for number in range(10_000))
    flush(spool, server(office), SimulatedClock())
    kept = (spool.folder / "sent").read_text(encoding="ascii").split()
    assert len(kept) == 5000
    assert spool.knows("<1@acme.example>")
