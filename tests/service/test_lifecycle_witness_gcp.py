"""Who did it on GCP: Cloud Audit Logs asked about new findings; the lab's log as a client of Cloud Logging sees it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from cloudsync.app.repository import load
from cloudsync.app.story import retell
from cloudsync.clock import SystemClock
from cloudsync.report.story import Tracked
from cloudsync.store.state import State as Store
from cloudsync_gcp import client
from tests.cli.four import Four, on_stage

FIREWALLS = "/compute/v1/projects/acme-net/global/firewalls"
LIST, RIGHT = "logging.entries.list", "logging.logEntries.list"
JO, MAX = "jo@acme.example", "max@acme.example"
ACTIVITY = "projects/acme-net/logs/cloudaudit.googleapis.com%2Factivity"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Four]:
    with on_stage(tmp_path_factory.mktemp("repository")) as one:
        yield one


@pytest.fixture
def four(server: Four) -> Four:
    server.lab.control.no_faults()
    server.clear()
    server.lab.control.ask("principals", {"jo": {"email": JO}, "max": {"email": MAX}}, site="gcp")
    server.settings(server.target("gcp", "exclusive"))
    server.policy("allow iplist office to role=web, role=lb on tcp/443", enforced="{scope: env=prod, mode: full}")
    server.converge()
    return server


def opened(four: Four, by: str, name: str = "hurry", port: str = "443") -> None:
    """Let everybody in, as somebody in a hurry does."""
    rule = {"name": name, "network": "projects/acme-net/global/networks/prod", "priority": 100, "sourceRanges": ["0.0.0.0/0"],
            "allowed": [{"IPProtocol": "tcp", "ports": [port]}]}  # fmt: skip
    four.act("gcp", "POST", FIREWALLS, rule, **{"as": by})


def findings(four: Four) -> tuple[Tracked, ...]:
    with Store(four.root / ".cloudsync" / "state.db", SystemClock()) as state:
        story = retell(state, load(four.root), SystemClock().now())
    assert story is not None
    return story.findings


def asked(four: Four, body: Any, by: str = "") -> requests.Response:
    gcp = four.lab.state.as_json()["gcp"]
    headers = {"Authorization": f"Bearer {by or gcp['access_token']}"}
    return requests.post(f"{gcp['endpoint']}/v2/entries:list", json=body, headers=headers, timeout=10)


def test_a_report_says_who_opened_it_and_how(four: Four) -> None:
    opened(four, "jo")
    told = four.run("drift", code=2).out
    assert f"new, by {JO} at " in told, told
    actors = [one.actor for one in findings(four)]
    assert {(one.who, one.how) for one in actors if one} == {(JO, "v1.compute.firewalls.insert (Cloud Audit Logs)")}
    assert all(abs(one.actor.at - one.first_seen) < 60 for one in findings(four) if one.actor)
    four.forget()
    four.run("drift", code=2)
    assert LIST not in four.calls("gcp")  # it is known who
    assert {one.actor.who for one in findings(four) if one.actor} == {JO}


def test_whoever_changed_a_rule_last_made_what_is_there(four: Four) -> None:
    opened(four, "jo", "alpha")
    opened(four, "jo", "beta", "8443")
    four.act("gcp", "PATCH", f"{FIREWALLS}/beta", {"sourceRanges": ["198.51.100.0/24"]}, **{"as": "max"})
    four.run("drift", code=2)
    told = {re.findall("alpha|beta", " ".join(one.natives))[0]: one.actor.who for one in findings(four) if one.actor}
    assert told == {"alpha": JO, "beta": MAX}
    assert four.calls("gcp")[LIST] == 1


@pytest.mark.parametrize("fault", ["denied", "unavailable", "throttle", "html", "garbage", "reset_before", "empty"])
def test_a_log_that_cannot_be_asked_stops_nothing(four: Four, fault: str) -> None:
    opened(four, "jo")
    four.lab.control.ask("faults", {"kind": fault, "operation": LIST}, site="gcp")
    ran = four.run("drift", code=2)
    assert "new · gcp/" in ran.out, str(ran)
    assert {one.actor for one in findings(four)} == {None}
    four.lab.control.ask("faults", [], site="gcp")
    four.run("drift", code=2)  # a late entry is found by a later run
    assert {one.actor.who for one in findings(four) if one.actor} == {JO}


def test_a_log_that_is_too_slow_is_not_waited_for(four: Four, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LOG_TIMEOUTS_S", (5, 0.1))
    opened(four, "jo")
    four.lab.control.ask("faults", {"kind": "slow", "operation": LIST, "seconds": 1}, site="gcp")
    four.run("drift", code=2)
    assert {one.actor for one in findings(four)} == {None}
    assert four.calls("gcp")[LIST] == 1


def test_without_the_right_everything_else_goes_on_and_doctor_is_content(four: Four) -> None:
    rights = ["compute.*"]
    four.lab.control.ask("principals", {"service_account": {"permissions": rights}}, site="gcp")
    opened(four, "jo")
    four.run("drift", code=2)
    assert {one.actor for one in findings(four)} == {None}
    said = four.run("doctor", code=0).out
    assert re.search(rf"{re.escape(RIGHT)}\W.*not granted", said), said


def test_a_run_with_nothing_new_asks_nobody(four: Four) -> None:
    four.forget()
    four.run("apply", "--yes", code=0)
    four.run("drift", code=0)
    assert LIST not in four.calls("gcp")


def test_the_log_of_the_lab_is_filtered_ordered_and_paged_as_cloud_loggings(four: Four) -> None:
    for port in (1, 2, 3):
        opened(four, "jo", f"p{port}", str(port))
    body: dict[str, Any] = {"resourceNames": ["projects/acme-net"], "orderBy": "timestamp desc", "pageSize": 2}
    body["filter"] = f'logName="{ACTIVITY}" AND protoPayload.authenticationInfo.principalEmail="{JO}"'
    first = asked(four, body).json()
    names = [one["protoPayload"]["resourceName"].rpartition("/")[2] for one in first["entries"]]
    assert names == ["p3", "p2"]
    rest = asked(four, body | {"pageToken": first["nextPageToken"]}).json()
    assert [one["protoPayload"]["resourceName"].rpartition("/")[2] for one in rest["entries"]] == ["p1"]
    assert "nextPageToken" not in rest
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert asked(four, body | {"filter": f'timestamp>="{later}"'}).json() == {}
    either = 'resource.type="gce_firewall_rule" protoPayload.resourceName:("/p1" OR "/p2")'
    assert len(asked(four, body | {"filter": either}).json()["entries"]) == 2


def test_the_log_of_the_lab_refuses_as_cloud_logging(four: Four) -> None:
    body = {"resourceNames": ["projects/acme-net"]}
    for wrong in ({}, {**body, "filter": "a ="}, {**body, "filter": 'timestamp>="soon"'}, {**body, "pageSize": 1001}):
        answer = asked(four, wrong)
        assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT"), wrong
    assert asked(four, body | {"orderBy": "severity"}).status_code == 400
    assert asked(four, body, by="nobody").status_code == 401
    four.lab.control.ask("principals", {"poor": {"permissions": ["compute.*"]}}, site="gcp")
    refused = asked(four, body, by="poor")
    assert (refused.status_code, refused.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert asked(four, {"resourceNames": ["projects/other"]}).status_code == 403
