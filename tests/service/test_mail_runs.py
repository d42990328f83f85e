"""What people get over real runs: once when it happens, once when it is over, nothing else; whatever happens to mail or to us."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cloudsync.app.deliver import Delivery, deliver, flush, waiting
from cloudsync.app.reconcile import Ran, reconcile
from cloudsync.app.repository import load
from cloudsync.app.session import Start
from cloudsync.cli.main import main
from cloudsync.model.errors import RefusedError
from cloudsync.report.story import State
from cloudsync.spool import Spool
from cloudsync.store.records import Records
from cloudsync.testing.memory_table import Group
from tests.service.post_office import Office, post_office
from tests.service.small_world import ANYBODY, ELSEWHERE, World

ROOT = Path(__file__).resolve().parents[2]
RUN_S = 300.0


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with post_office(tmp_path_factory.mktemp("post")) as office:
        yield office


@pytest.fixture
def office(opened: Office) -> Office:
    opened.site.reset("empty", 1)
    return opened


class Runs:
    """Runs of a small world whose news go to a real mail server."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.came = Delivery()

    def once(self, *, deliver_it: bool = True) -> Ran:
        """Make one run, five minutes after the one before."""
        self.world.clock.advance(RUN_S)

        def told(root: Path, loaded: Any, story: Any) -> None:
            if deliver_it:
                self.came = deliver(root, loaded, story, self.world.clock)

        return reconcile(self.world.root, (), Start("reconcile", clock=self.world.clock), told)


@pytest.fixture
def runs(world: World, office: Office) -> Runs:
    """A converged world, of which nobody has heard yet."""
    world.settings(more=office.settings("  on: [drift, refused, failed, recovered, expiring]\n"))
    made = Runs(world)
    made.once()
    made.once()
    assert office.accepted() == []
    return made


def spool_of(world: World) -> Spool:
    return Spool(world.root / ".cloudsync" / "spool")


def test_with_nothing_to_tell_there_is_no_mail_and_no_file(runs: Runs, office: Office) -> None:
    for _ in range(12):
        runs.once()
    assert office.accepted() == []
    assert runs.came == Delivery()
    assert [path.name for path in (runs.world.root / ".cloudsync" / "spool").iterdir()] == [".telling.lock"]


def test_what_an_outsider_opened_is_told_once_as_put_back(runs: Runs, office: Office) -> None:
    runs.world.edit(rule=ELSEWHERE)
    for _ in range(6):
        runs.once()
    assert office.subjects() == ["1 minor put back: ssh was open to 198.51.100.0/24 on 1 web workload (one)"]


def test_what_only_is_reported_is_told_when_it_comes_and_when_it_goes_in_one_thread(runs: Runs, office: Office) -> None:
    world = runs.world
    text = (world.root / "cloudsync.yaml").read_text(encoding="utf-8")
    world.write("cloudsync.yaml", text.replace("mode: exclusive", "mode: observe"))
    runs.once()
    key = world.edit()
    for _ in range(5):
        runs.once()
    group = world.platforms["one"].groups[key]
    world.platforms["one"].groups[key] = Group(key, group.scope, group.name, group.owner, group.rules - {ANYBODY})
    for _ in range(5):
        runs.once()
    assert office.subjects() == [
        "1 critical: ssh open to the internet on 1 web workload (one)",
        "1 critical resolved: ssh was open to the internet on 1 web workload (one)",
    ]
    first, second = office.mailbox()
    assert second["In-Reply-To"] == first["Message-ID"]


def test_a_server_that_is_down_costs_the_run_nothing_and_the_mail_comes_later_once(runs: Runs, office: Office) -> None:
    office.site.down()
    runs.world.edit()
    ran = runs.once()
    assert (ran.code, runs.world.clean()) == (0, True)
    assert (runs.came.queued, runs.came.sent, runs.came.waiting) == (1, 0, 1)
    loaded = load(runs.world.root)
    assert waiting(runs.world.root, loaded)[0] == 1
    for _ in range(3):
        runs.once()
    assert office.accepted() == []
    office.site.up()
    for _ in range(14):
        runs.once()
    assert office.subjects() == ["1 critical put back: ssh was open to the internet on 1 web workload (one)"]
    assert len(office.accepted()) == 1
    assert waiting(runs.world.root, loaded) == (0, None)


def test_a_run_that_died_before_it_told_is_told_by_the_next(runs: Runs, office: Office) -> None:
    runs.world.edit()
    runs.once(deliver_it=False)
    assert office.accepted() == []
    runs.once()
    # It was put back by the run that died, and is gone: there is nothing left to be told of it. A finding that stays is.
    runs.world.down["one"] = "no route to it"
    runs.once(deliver_it=False)
    runs.once()
    assert office.subjects() == ["failed: one: identify failed: no route to it"]


@pytest.mark.parametrize("dies_at", ["keep", "put", "keep again"])
def test_dying_between_the_state_and_the_spool_tells_once(
    runs: Runs, office: Office, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    keep, put, count = Records.keep, Spool.put, Counter[str]()

    def failing_keep(self: Records, key: str, document: Any) -> None:
        if key == "people-know":
            count["keep"] += 1
            if (dies_at, count["keep"]) in {("keep", 1), ("keep again", 2)}:
                raise RefusedError("PRE-JOURNAL", "no space left")
        keep(self, key, document)

    def failing_put(self: Spool, parcel: Any) -> bool:
        if dies_at == "put":
            raise OSError(28, "No space left on device")
        return put(self, parcel)

    runs.world.down["one"] = "no route to it"
    with monkeypatch.context() as patch:
        patch.setattr(Records, "keep", failing_keep)
        patch.setattr(Spool, "put", failing_put)
        ran = runs.once()
    assert ran.code == 5, "the run is what it was"
    for _ in range(3):
        runs.once()
    assert office.subjects() == ["failed: one: identify failed: no route to it"]
    assert len(office.accepted()) == 1


def test_a_target_that_fails_and_is_good_again(runs: Runs, office: Office) -> None:
    runs.world.down["one"] = "no route to it"
    for _ in range(4):
        runs.once()
    del runs.world.down["one"]
    for _ in range(4):
        runs.once()
    failed, recovered = office.subjects()
    assert failed == "failed: one: identify failed: no route to it"
    assert recovered.startswith("recovered: one: was failed since ")


def test_the_audit_head_and_the_run_stand_in_the_mail(runs: Runs, office: Office) -> None:
    runs.world.edit()
    ran = runs.once()
    (mail,) = office.mailbox()
    body = mail.get_body(("plain",))
    assert body is not None
    text = str(body.get_content()).replace("\n", "")
    assert ran.story.run_id in text
    assert ran.story.audit_head.partition(":")[2] in text
    assert mail["X-Cloudsync-Run"] == ran.story.run_id


def test_owners_get_their_own(runs: Runs, office: Office) -> None:
    runs.world.settings(more=office.settings("  routes: {netsec: [owner@acme.example]}\n"))
    runs.world.edit()
    runs.once()
    assert sorted(one["to"] for one in office.accepted()) == [["netsec@acme.example"], ["owner@acme.example"]]


def test_whole_reports_are_attached_when_asked_for(runs: Runs, office: Office) -> None:
    runs.world.settings(more=office.settings("  attach: [html, csv, markdown]\n"))
    runs.world.edit()
    runs.once()
    (mail,) = office.mailbox()
    assert [one.get_filename() for one in mail.iter_attachments()] == [
        "cloudsync-report.html",
        "cloudsync-report.csv",
        "cloudsync-report.md",
    ]


def test_a_missing_password_keeps_the_mail(runs: Runs, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    text = office.settings().replace(f"file:{office.folder / 'password'}", "env:NO_SUCH_PASSWORD")
    runs.world.settings(more=text)
    runs.world.edit()
    assert runs.once().code == 0
    (problem,) = runs.came.problems
    assert "the environment has no NO_SUCH_PASSWORD" in problem
    monkeypatch.setenv("NO_SUCH_PASSWORD", office.section["password"])
    assert flush(runs.world.root, load(runs.world.root), runs.world.clock).sent == 1
    assert len(office.mailbox()) == 1


def test_no_secret_reaches_state_spool_or_mail(runs: Runs, office: Office) -> None:
    runs.world.edit()
    runs.once()
    office.site.down()
    runs.world.down["one"] = "away"
    runs.once()
    kept = b"".join(path.read_bytes() for path in (runs.world.root / ".cloudsync").rglob("*") if path.is_file())
    assert office.section["password"].encode() not in kept + b"".join(bytes(mail) for mail in office.mailbox())


def test_the_weekly_summary(runs: Runs, office: Office) -> None:
    runs.world.settings(more=office.settings("  digest: friday\n"))
    weekday = 0.0
    while weekday < 8 * 86400:
        runs.once()
        runs.world.clock.advance(6 * 3600)
        weekday += 6 * 3600 + RUN_S
    assert office.subjects() == ["the week to 2027-01-22: Enforced = policy on the target; 0 new this week"]


def test_a_report_that_is_asked_for(runs: Runs, office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs.world.down["one"] = "no route to it"
    runs.once()
    office.site.reset("empty", 1)
    root = str(runs.world.root)
    assert main(["report", "-C", root, "--mail", "--dry-run", "-o", str(tmp_path / "mails")]) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / 'mails' / '01-all.eml'}\n"
    assert office.accepted() == []
    assert main(["report", "-C", root, "--mail"]) == 0
    assert main(["report", "-C", root, "--mail"]) == 0
    assert "this report was mailed before" in capsys.readouterr().out
    assert office.subjects() == ["failed: one: identify failed: no route to it"]
    assert b"Subject: [cloudsync] failed: one: identify failed: no route to it" in (tmp_path / "mails" / "01-all.eml").read_bytes()
    main(["report", "-C", root, "--mail", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert {name: document[name] for name in ("kind", "queued", "sent", "waiting", "files")} == {
        "kind": "mail", "queued": 0, "sent": 0, "waiting": 0, "files": []
    }  # fmt: skip
    jsonschema.validate(document, json.loads((ROOT / "config" / "schema" / "output.schema.json").read_bytes()))


def test_without_mail_in_the_settings(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Runs(world)
    made.once()
    assert made.came == Delivery()
    assert main(["report", "-C", str(world.root), "--mail"]) == 3
    assert "NO-MAIL" in capsys.readouterr().out
    assert main(["report", "-C", str(world.root), "--mail", "--dry-run", "-o", str(tmp_path / "mails")]) == 0
    assert main(["report", "-C", str(world.root), "--dry-run"]) == 3
    assert not (world.root / ".cloudsync" / "spool").exists()


def test_a_day_of_runs(runs: Runs, office: Office) -> None:
    """288 runs; every seventh hour an outsider opens something, mail is down for the third part of the day."""
    edits = 0
    for number in range(288):
        if number == 96:
            office.site.down()
        if number == 192:
            office.site.up()
        if number % 84 == 40:
            runs.world.edit()
            edits += 1
        ran = runs.once()
        assert ran.code == 0
        assert all(one.state in (State.NEW, State.RESOLVED) for one in ran.story.findings)
    told = [subject for subject in office.subjects() if "put back" in subject]
    assert len(told) == edits
    assert len(office.accepted()) == edits == len({one["id"] for one in office.accepted()})
