"""What a mail looks like: the first screen, 80 columns, headers, threads, routes; and that names from outside do nothing in it."""

from __future__ import annotations

import re
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

import pytest

from cloudsync.model.workload import Labels
from cloudsync.proof.drift import Kind, Severity
from cloudsync.report.headline import Tone
from cloudsync.report.letter import days, letter, subject
from cloudsync.report.mail import Message, Sending, messages, threaded
from cloudsync.report.news import Item, Ledger, News, What, advance, snapshot
from cloudsync.report.notice import notice
from cloudsync.report.phrases import happening, peers_of, said, service, whom
from cloudsync.report.story import Deed, Expiring, State, Story, Trouble
from tests.stories.samples import STORIES, four_platforms, hostile, incident, quiet

EVENTS = frozenset({"drift", "refused", "failed", "recovered", "expiring", "digest", "applied"})
SENDING = Sending("cloudsync@acme.example", ("netsec@acme.example", "noc@acme.example"), EVENTS)


def mailed(story: Story, sending: Sending = SENDING) -> Message:
    news, _ = advance(story, Ledger())
    return next(iter(messages(story, news, sending)))


def parsed(message: Message) -> EmailMessage:
    found = message_from_bytes(message.content(), policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def part(mail: EmailMessage, kind: str) -> str:
    found = mail.get_body((kind,))
    assert found is not None
    return str(found.get_content())


# --- what a person reads -------------------------------------------------------------------------------------------------


def test_the_subject_tells_the_story() -> None:
    assert mailed(incident()).subject == (
        "[cloudsync] 1 critical, 1 minor: ssh open to the internet on 4 db workloads (aws-prod); 1 put back; "
        "aws-prod refused; aws-dr overdue"
    )
    assert mailed(four_platforms()).subject == (
        "[cloudsync] 1 high, 2 minor: tcp/8443 open to the internet on 17 app workloads (gcp-prod); 2 put back (1 critical); "
        "f5-dc1 failed; azure-prod refused"
    )


def test_the_first_screen_says_what_how_bad_where_since_when_by_whom_what_was_done_and_what_to_do() -> None:
    screen = mailed(incident()).text.splitlines()[:24]
    told = re.sub(r"\s+", " ", " ".join(screen))
    for words in (
        "1 critical and 1 minor stand open now",
        "[CRITICAL] ssh is open to the internet on 4 db workloads (new)",
        "where aws-prod: app=ordering env=prod role=db (db-01, db-02, db-03, db-04)",
        "because ingress tcp/22 0.0.0.0/0 in sg-0ab (break-glass)",
        "since 2026-03-02 08:14 UTC, 6 minutes ago",
        "by arn:aws:iam::111122223333:user/jdoe, AuthorizeSecurityGroupIngress (CloudTrail)",
        "cloudsync refused to change it: G-MGMT",
        "you close sg-0ab by hand, or approve:",
    ):
        assert words in told, words


@pytest.mark.parametrize("name", STORIES)
def test_the_text_fits_a_terminal(name: str) -> None:
    story = STORIES[name]()
    for news in (snapshot(story), replace(snapshot(story), digest=True), News(digest=True)):
        (message, *_) = messages(story, news, SENDING, always=True)
        commands = {f"    {row.text}" for block in letter(story, snapshot(story)).blocks for row in block.rows if row.command}
        wide = [line for line in message.text.splitlines() if len(line) > 80 and line not in commands]
        assert [line for line in wide if " " in line.strip()] == [], "only what is one word may be wider"


@pytest.mark.parametrize("name", STORIES)
def test_text_and_html_say_the_same(name: str) -> None:
    story = STORIES[name]()
    written = letter(story, snapshot(story))
    (message, *_) = messages(story, snapshot(story), SENDING, always=True)
    page = _Page(message.html)
    flat = re.sub(r"\s+", "", message.text)
    for block in written.blocks:
        assert re.sub(r"\s+", "", block.title) in flat
        assert re.sub(r"\s+", " ", block.title) in page.text
        for row in block.rows:
            assert re.sub(r"\s+", "", row.text) in flat
            assert re.sub(r"\s+", " ", row.text).strip() in page.text


def test_after_the_news_come_all_findings_targets_the_unchecked_the_days_and_the_audit_head() -> None:
    text = mailed(incident()).text
    places = [text.index(word) for word in ("[CRITICAL]", "ALL FINDINGS", "TARGETS", "NOT CHECKED", "THE LAST DAYS", "\nrun ", "\naudit ")]
    assert places == sorted(places)
    assert "accepted until 2026-03-14" in text
    assert incident().audit_head.partition(", ")[2] in text
    assert incident().run_id in text


def test_a_command_stands_on_one_line() -> None:
    assert (
        '\n    cloudsync approve 7c1e5b2d0a9f4e31 --guard G-AFFECTED --until 24h --because "checked by hand"\n'
        in mailed(four_platforms()).text
    )


def test_what_was_put_back_is_good_news_and_says_when() -> None:
    one = next(one for one in four_platforms().findings if one.deed is Deed.RESTORED and one.severity is Severity.CRITICAL)
    story = replace(four_platforms(), findings=(one,), troubles=(), expiring=())
    message = mailed(story)
    assert message.subject == "[cloudsync] 1 critical put back: ssh was open to the internet on 9 db workloads (aws-prod)"
    assert "put back as the policy has it at 08:20 UTC" in message.text
    assert not message.urgent


def test_subjects_of_every_kind_of_news() -> None:
    story = incident()
    (first, *_) = story.findings
    over = replace(first, state=State.RESOLVED, deed=Deed.NOTHING)
    failed = Trouble("f5-dc1", "failed", "bigip1 did not answer in 30 s", story.at)
    also = Trouble("aws-dr", "failed", "throttled", story.at)
    recovered = Trouble("f5-dc1", "recovered", "was failed since 2026-03-01 22:00 UTC", story.at)
    ends = Expiring("guardrails#2", "policy/guardrails.yaml:8", story.at + 86400, protects=True)
    for news, told in {
        News((Item(What.RESOLVED, over),)): "1 critical resolved: ssh was open to the internet on 4 db workloads (aws-prod)",
        News((Item(What.FIGHT, replace(first, returns=4)),)): (
            "1 critical: ssh open to the internet on 4 db workloads (aws-prod), back for the 4. time"
        ),
        News(troubles=(failed,)): "failed: f5-dc1: bigip1 did not answer in 30 s",
        News(troubles=(failed, also)): "2 targets failed: f5-dc1, aws-dr",
        News(troubles=(recovered,)): "recovered: f5-dc1: was failed since 2026-03-01 22:00 UTC",
        News(troubles=(replace(failed, target="state", title="the state cannot be used", why="no space left"), also)): (
            "the state cannot be used: no space left; aws-dr failed"
        ),
        News(expiring=(ends,)): "a rule ends soon: guardrails#2 on 2026-03-03 (opens access)",
        News(applied=story.history[:1]): "applied: 1 change at 4 workloads (aws-prod)",
    }.items():
        assert subject(story, news) == told
    week = "the week to 2026-03-02: 1 critical and 1 medium findings open; 2 new this week; 1 put back by this run; 1 target refused"
    assert subject(story, News(digest=True)) == week
    assert subject(quiet(), News()) == "Enforced = policy on the target (acme-prod)"


def test_a_finding_in_words() -> None:
    ssh = incident().findings[0]
    assert happening(ssh, over=False) == "ssh is open to the internet on 4 db workloads"
    assert happening(ssh, over=True) == "ssh was open to the internet on 4 db workloads"
    cut = replace(ssh, kind=Kind.MISSING, words="tcp/443, udp/443 from role=lb; tcp/80 from role=lb")
    assert happening(cut, over=False) == "https and more from role=lb is cut at 4 db workloads"
    out = replace(ssh, direction="outbound", words="tcp/25 to anywhere (IPv6)")
    assert happening(out, over=False) == "smtp to the internet (IPv6) is open for 4 db workloads"
    assert happening(replace(ssh, kind=Kind.WOULD_BLOCK), over=False) == "ssh from the internet would be cut on 4 db workloads"
    assert happening(replace(ssh, kind=Kind.WOULD_OPEN), over=False) == "ssh from the internet would be opened on 4 db workloads"
    assert whom(replace(ssh, labels=Labels(()), workloads=("db-01",))) == "db-01"
    assert whom(replace(ssh, labels=Labels.of({"app": "shop"}))) == "4 workloads app=shop"
    assert peers_of(replace(ssh, words="tcp/22 from role=web app=shop, role=lb and 4 more")) == "role=web app=shop and more"
    assert peers_of(replace(ssh, words="tcp/22 from role=web (some of their addresses) and 3 more")) == "role=web and more"
    assert service("any service except tcp/22, tcp/80") == "nearly any service"
    assert service("tcp/22, tcp/80, tcp/443, udp/53") == "ssh and more"
    assert (service("tcp/3389"), service("tcp/12345")) == ("rdp", "tcp/12345")


def test_the_days_of_a_target_that_is_not_read_stand_as_they_were() -> None:
    story = four_platforms()
    gap = replace(story, trend=tuple(one for one in story.trend if not one.label and (one.target != "aws-prod" or one.day < "2026-02-28")))
    rows = list(days(gap, 7))
    assert [one.day for one in rows] == [f"2026-02-{day}" for day in range(24, 29)] + ["2026-03-01", "2026-03-02"]
    assert None not in [one.open for one in rows]
    assert [one.open for one in days(replace(story, trend=()), 7)] == []


def test_many_findings_are_counted_not_listed() -> None:
    first = incident().findings[0]
    many = tuple(replace(first, key=f"aws-prod/{number:04d}") for number in range(200))
    message = mailed(replace(incident(), findings=many))
    assert "and 188 more findings: cloudsync report shows them all" in message.text
    assert "and 175 more: cloudsync report shows them all" in message.text
    assert len(message.content()) < 100_000, "some mail services cut what is longer"


# --- headers, threads, routes ----------------------------------------------------------------------------------------------


def test_headers() -> None:
    mail = parsed(mailed(incident()))
    assert mail["From"] == "cloudsync acme-prod <cloudsync@acme.example>"
    assert mail["To"] == "netsec@acme.example, noc@acme.example"
    assert mail["Date"] == "Mon, 02 Mar 2026 08:20:00 +0000"
    assert re.fullmatch(r"<cloudsync\.[0-9a-f]{32}@acme\.example>", mail["Message-ID"])
    assert (mail["Auto-Submitted"], mail["Importance"], mail["In-Reply-To"]) == ("auto-generated", "high", None)
    assert [one.get_content_type() for one in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]


@pytest.mark.parametrize("name", STORIES)
def test_the_same_news_make_the_same_bytes_of_seven_bits(name: str) -> None:
    story = STORIES[name]()
    once, again = (messages(story, snapshot(story), SENDING, always=True) for _ in range(2))
    assert [one.content() for one in once] == [one.content() for one in again]
    for one in once:
        assert one.content().isascii()
        assert max(map(len, one.content().split(b"\r\n"))) <= 998
        assert b"\n" not in one.content().replace(b"\r\n", b"")


def test_later_mails_about_a_finding_answer_the_first() -> None:
    story = replace(incident(), troubles=(), expiring=())
    news, ledger = advance(story, Ledger())
    sent = messages(story, news, SENDING)
    ledger = threaded(ledger, sent)
    gone = replace(story, run_id="next", at=story.at + 300, findings=tuple(replace(one, state=State.RESOLVED) for one in story.findings))
    news, _ = advance(gone, ledger)
    (answer,) = messages(gone, news, SENDING)
    assert answer.references == (sent[0].id,)
    assert parsed(answer)["In-Reply-To"] == parsed(answer)["References"] == sent[0].id
    assert answer.id != sent[0].id


def test_owners_are_told_of_their_own_and_nobody_twice() -> None:
    story = incident()
    mine = replace(story.findings[0], owners=("ordering-team",))
    story = replace(story, findings=(mine, *story.findings[1:]))
    routes = (("ordering-team", ("ordering@acme.example", "netsec@acme.example")), ("nobody", ("x@acme.example",)))
    news, ledger = advance(story, Ledger())
    everybody, owner = messages(story, news, replace(SENDING, routes=routes))
    assert (owner.to, owner.audience) == (("ordering@acme.example",), "ordering-team")
    assert owner.id != everybody.id
    assert owner.subject == "[cloudsync] 1 critical: ssh open to the internet on 4 db workloads (aws-prod)"
    assert "ordering-prod#5" in owner.text
    for foreign in ("tcp/8080", "guardrails#2", "REFUSED", "gcp-prod"):
        assert foreign not in owner.text
        assert foreign in everybody.text
    known = threaded(ledger, (everybody, owner))
    thread = next(one.thread for one in known.findings if one.finding.key == mine.key)
    assert dict(thread) == {"": everybody.id, "ordering-team": owner.id}


def test_events_that_nobody_wants_make_no_mail() -> None:
    news, _ = advance(incident(), Ledger())
    assert messages(incident(), news, replace(SENDING, on=frozenset({"digest"}))) == ()
    (only,) = messages(incident(), news, replace(SENDING, on=frozenset({"expiring"})))
    assert only.subject == "[cloudsync] 2 rules end soon: guardrails#2 on 2026-03-04 (opens access)"
    news, _ = advance(quiet(), Ledger())
    assert messages(quiet(), news, SENDING) == ()


# --- names from outside ----------------------------------------------------------------------------------------------------


class _Page(HTMLParser):
    """What a mail client would see."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.values: list[str] = []
        self._text: list[str] = []
        self.feed(source)
        self.close()
        self.text = re.sub(r"\s+", " ", " ".join(self._text))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.values += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self._text.append(data)


@pytest.mark.parametrize("name", STORIES)
def test_the_html_loads_nothing_and_runs_nothing(name: str) -> None:
    story = STORIES[name]()
    (message, *_) = messages(story, snapshot(story), SENDING, always=True)
    page = _Page(message.html)
    plain = {"html", "head", "meta", "title", "style", "body", "div", "table", "tr", "td", "span", "br", "b"}
    assert page.tags <= plain
    assert not {name for name in page.attributes if name.startswith("on") or name in ("src", "href", "background", "action")}
    assert not [value for value in page.values if "url(" in value or "//" in value]
    style = message.html.partition("<style>")[2].partition("</style>")[0]
    assert "@import" not in style
    assert "url(" not in style


def test_names_from_outside_do_nothing() -> None:
    message = mailed(hostile())
    mail = parsed(message)
    assert mail["Bcc"] is None
    assert {name for name, _ in mail.items()} == {name for name, _ in parsed(mailed(incident())).items()}
    for text in (str(mail["Subject"]), str(mail["From"]), part(mail, "plain"), part(mail, "html")):
        harmful = [
            char for char in text if (ord(char) < 32 and char not in "\r\n") or 0x7F <= ord(char) < 0xA0 or 0x200B <= ord(char) < 0x200F
        ]
        assert harmful == []
        assert not set(text) & set("\u202e\u2066\u2028")
        assert "http://evil" not in text
    assert "\n" not in str(mail["Subject"])
    assert not re.search(r"^Bcc:", part(mail, "plain"), re.MULTILINE)


def test_a_link_in_a_name_is_none() -> None:
    assert said("http://evil.example WWW.evil.example a\r\nb\u202e") == "http[:]//evil.example www[.]evil.example a\\x0d\\x0ab\\u202e"
    assert said(said("http://evil.example\n")) == said("http://evil.example\n")


def test_what_hooks_are_told_is_as_inert() -> None:
    news, _ = advance(hostile(), Ledger())
    key, document = notice(hostile(), news, "chat")
    assert notice(hostile(), news, "chat")[0] == key != notice(hostile(), news, "pager")[0]
    assert document["subject"] == mailed(hostile()).subject.removeprefix("[cloudsync] ")

    def texts(value: Any) -> list[str]:
        match value:
            case dict():
                return [text for pair in value.items() for one in pair for text in texts(one)]
            case list():
                return [text for one in value for text in texts(one)]
            case str():
                return [value]
        return []

    harmful = [text for text in texts(document) if re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200e\u202a-\u202e\u2066-\u2069]", text)]
    assert harmful == []


def test_how_loud_a_mail_is() -> None:
    story = incident()
    assert letter(story, advance(story, Ledger())[0]).tone is Tone.BAD
    assert letter(story, News(expiring=story.expiring)).tone is Tone.WARN
    assert letter(quiet(), News(digest=True)).tone is Tone.GOOD
