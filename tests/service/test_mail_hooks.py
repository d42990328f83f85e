"""Programs that are told: posts that are signed, programs that are started; the same content as the mails, and as patient."""

from __future__ import annotations

import hmac
import json
import os
import select
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cloudsync.app.deliver import Delivery, deliver
from cloudsync.app.reconcile import reconcile
from cloudsync.app.repository import load
from cloudsync.app.session import Start
from cloudsync.hooks import Called, Hook, flush, signature
from cloudsync.lab.kit.tls import authority
from cloudsync.report.news import Ledger, advance, snapshot
from cloudsync.report.notice import notice
from cloudsync.report.story import Story
from cloudsync.spool import FIRST_WAIT_S, Parcel, Spool
from cloudsync.testing.clock import SimulatedClock
from tests.service.post_office import Receiver, receiver
from tests.service.small_world import World
from tests.stories.samples import STORIES

ROOT = Path(__file__).resolve().parents[2]
CANARY = "canary-of-the-hook"
BODY = b'{"kind": "notice"}\n'


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as one:
        yield one


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    found = Spool(tmp_path / "spool")
    assert found.put(Parcel("hook-chat", "news-1", SimulatedClock().now(), BODY, ".json"))
    return found


def chat(url: str, **more: Any) -> Hook:
    return replace(Hook("chat", url, secret=CANARY, timeout_s=1.0), **more)


def test_a_post_is_signed_with_its_time(there: Receiver, spool: Spool) -> None:
    clock = SimulatedClock()
    assert flush(spool, [chat(there.url)], clock) == Called(1, 0)
    (request,) = there.got
    assert (request.method, request.path, request.query, request.body) == ("POST", "/hooks/cloudsync", "team=net", BODY)
    stamp = request.headers["x-cloudsync-timestamp"]
    wanted = hmac.new(CANARY.encode(), stamp.encode() + b"." + BODY, "sha256").hexdigest()
    assert request.headers["x-cloudsync-signature"] == f"sha256={wanted}" == f"sha256={signature(CANARY, clock.now(), BODY)}"
    assert stamp == str(int(clock.now()))
    assert request.headers["content-type"] == "application/json"
    assert len(request.headers["x-cloudsync-delivery"]) == 24
    assert flush(spool, [chat(there.url)], clock) == Called()
    assert len(there.got) == 1


def test_without_a_secret_nothing_pretends_to_be_signed(there: Receiver, spool: Spool) -> None:
    flush(spool, [chat(there.url, secret="")], SimulatedClock())
    assert "x-cloudsync-signature" not in there.got[0].headers


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 429, 500, 503])
def test_what_is_no_yes_is_tried_again_with_the_same_id(there: Receiver, spool: Spool, status: int) -> None:
    there.answers = [(status, {"Location": there.url + "&elsewhere"})]
    clock = SimulatedClock()
    came = flush(spool, [chat(there.url)], clock)
    assert came == Called(0, 1, (f"hook chat: answered {status}: told",))
    assert flush(spool, [chat(there.url)], clock) == came, "it is not due"
    clock.advance(FIRST_WAIT_S)
    assert flush(spool, [chat(there.url)], clock) == Called(1, 0)
    first, second = there.got
    assert first.headers["x-cloudsync-delivery"] == second.headers["x-cloudsync-delivery"]
    assert (first.query, second.query) == ("team=net", "team=net"), "nobody was sent elsewhere"


def test_nobody_listens(spool: Spool) -> None:
    came = flush(spool, [chat("http://127.0.0.1:9/x")], SimulatedClock())
    assert came.waiting == 1
    assert "refused" in came.problems[0]


def test_https_is_checked(tmp_path: Path, spool: Spool) -> None:
    with receiver(tmp_path / "tls") as there:
        stranger = authority(tmp_path / "other").ca_file
        clock = SimulatedClock()
        for trusted in (None, stranger):
            came = flush(spool, [chat(there.url, ca_file=trusted)], clock)
            assert "its certificate is not trusted" in came.problems[0]
            clock.advance(3600)
        assert there.got == []
        assert flush(spool, [chat(there.url, ca_file=tmp_path / "tls" / "ca.pem")], clock) == Called(1, 0)


def test_a_hook_that_is_down_does_not_hold_up_another(there: Receiver, spool: Spool) -> None:
    spool.put(Parcel("hook-other", "news-1-other", SimulatedClock().now(), BODY, ".json"))
    came = flush(spool, [chat("http://127.0.0.1:9/x"), chat(there.url, name="other")], SimulatedClock())
    assert (came.done, came.waiting) == (1, 1)


# --- programs --------------------------------------------------------------------------------------------------------------


def program(folder: Path, text: str) -> tuple[str, ...]:
    path = folder / "hook.py"
    path.write_text(text, encoding="utf-8")
    return (sys.executable, str(path), "$(touch nothing)", "; exit 1")


def test_a_program_gets_the_json_and_little_else(tmp_path: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    out = tmp_path / "out.json"
    command = program(
        tmp_path,
        f"import json, os, sys\njson.dump([sys.argv[1:], sys.stdin.read(), dict(os.environ)], open({str(out)!r}, 'w'))\nprint('noise')\n",
    )
    assert flush(spool, [Hook("chat", command=command)], SimulatedClock()) == Called(1, 0)
    words, body, environment = json.loads(out.read_text(encoding="utf-8"))
    assert words == ["$(touch nothing)", "; exit 1"]
    assert body.encode() == BODY
    assert len(environment["CLOUDSYNC_DELIVERY"]) == 24
    assert CANARY not in json.dumps(environment)


def test_a_program_that_fails_is_started_again_and_its_words_are_kept(tmp_path: Path, spool: Spool) -> None:
    command = program(tmp_path, "import sys\nsys.stderr.write('no \\x1b[31mpager\\n')\nsys.exit(7)\n")
    clock = SimulatedClock()
    came = flush(spool, [Hook("chat", command=command)], clock)
    assert came == Called(0, 1, ("hook chat: ended with 7: no \\x1b[31mpager",))
    clock.advance(FIRST_WAIT_S)
    assert flush(spool, [Hook("chat", command=program(tmp_path, "import sys; sys.stdin.read()"))], clock) == Called(1, 0)


def test_a_program_that_hangs_is_ended_with_what_it_started(tmp_path: Path, spool: Spool) -> None:
    fifo = tmp_path / "alive"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    text = (
        f"import os, subprocess, sys, time\nalive = os.open({str(fifo)!r}, os.O_WRONLY)\nos.write(alive, b'.')\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], pass_fds=[alive])\ntime.sleep(60)\n"
    )
    try:
        came = flush(spool, [Hook("chat", command=program(tmp_path, text), timeout_s=2)], SimulatedClock())
        assert came.problems == ("hook chat: was not done in 2 s and was ended",)
        assert os.read(reading, 1) == b"."
        assert select.select([reading], [], [], 5)[0], "somebody still holds the other end"
        assert os.read(reading, 1) == b""
    finally:
        os.close(reading)


def test_a_program_that_is_not_there(spool: Spool) -> None:
    came = flush(spool, [Hook("chat", command=("/no/such/program",))], SimulatedClock())
    assert came.problems == ("hook chat: /no/such/program cannot be started: No such file or directory",)


# --- content ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STORIES)
def test_what_is_told_is_of_the_schema(name: str) -> None:
    schema = json.loads((ROOT / "config" / "schema" / "notice.schema.json").read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    story = STORIES[name]()
    for news in (snapshot(story), advance(story, Ledger())[0], replace(snapshot(story), applied=story.history)):
        _, document = notice(story, news, "chat")
        jsonschema.validate(document, schema)
        assert set(document) == set(schema["properties"])
        assert json.loads(json.dumps(document)) == document


def test_a_run_tells_its_hooks_what_they_want(world: World, there: Receiver, tmp_path: Path) -> None:
    out = tmp_path / "page.json"
    command = program(tmp_path, f"import sys\nopen({str(out)!r}, 'a').write(sys.stdin.read())\n")
    (tmp_path / "key").write_text(CANARY, encoding="utf-8")
    (tmp_path / "address").write_text(there.url + "\n", encoding="utf-8")
    world.settings(
        more=f"hooks:\n  - {{name: chat, url: 'file:{tmp_path / 'address'}', secret: 'file:{tmp_path / 'key'}'}}\n"
        f"  - {{name: pager, command: {json.dumps(list(command))}, on: [failed]}}\n"
    )
    loaded = load(world.root)

    def told(story: Story) -> None:
        deliver(world.root, loaded, story, world.clock)

    for number in range(6):
        world.clock.advance(300)
        if number == 2:
            world.edit()
        if number == 4:
            world.down["one"] = "no route to it"
        reconcile(world.root, (), Start("reconcile", clock=world.clock), lambda _root, _loaded, story: told(story))
    posted = [json.loads(request.body) for request in there.got]
    assert [one["subject"] for one in posted] == [
        "1 critical put back: ssh was open to the internet on 1 web workload (one)",
        "failed: one: identify failed: no route to it",
    ]
    assert posted[0]["findings"][0]["deed"] == "restored"
    paged = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [one["troubles"][0]["target"] for one in paged] == ["one"]
    assert len({one["id"] for one in (*posted, *paged)}) == 3


def test_an_address_that_is_a_secret_is_checked_and_not_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_URL", f"http://hooks.example/{CANARY}?key={CANARY}")
    world.settings(more="hooks:\n  - {name: chat, url: 'env:HOOK_URL'}\n")
    world.down["one"] = "no route to it"
    came: list[Delivery] = []
    reconcile(
        world.root,
        (),
        Start("reconcile", clock=world.clock),
        lambda root, loaded, story: came.append(deliver(root, loaded, story, world.clock)),
    )
    (problem,) = came[0].problems
    assert "not https" in problem
    assert CANARY not in problem
