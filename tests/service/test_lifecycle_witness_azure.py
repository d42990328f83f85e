"""Who did it on Azure: the Activity Log asked about new findings; the lab's log as a client of Azure Monitor sees it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cloudsync.app.repository import load
from cloudsync.app.story import retell
from cloudsync.clock import SystemClock
from cloudsync.lab.control import ControlError
from cloudsync.report.story import Tracked
from cloudsync.store.state import State as Store
from cloudsync_azure import client
from tests.cli.four import Four, Json, on_stage

LIST, RIGHT = "ActivityLogs_List", "Microsoft.Insights/eventtypes/values/read"
JO, MAX = "jo@acme.example", "max@acme.example"
ABOUT = "Microsoft.Network/networkSecurityGroups"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Four]:
    with on_stage(tmp_path_factory.mktemp("repository")) as one:
        yield one


@pytest.fixture
def four(server: Four) -> Four:
    server.lab.control.no_faults()
    server.clear()
    server.settings(server.target("azure", "exclusive"))
    server.policy("allow iplist office to role=web, role=lb on tcp/443", enforced="{scope: env=prod, mode: full}")
    server.converge()
    return server


def azure(four: Four) -> Json:
    return four.lab.state.as_json()["azure"]


def nsg(four: Four) -> str:
    group = f"/subscriptions/{azure(four)['subscription']}/resourceGroups/{azure(four)['resource_group']}"
    return f"{group}/providers/{ABOUT}/nsg-web-prod"


def rule(priority: int, port: str = "443") -> Json:
    return {"priority": priority, "direction": "Inbound", "access": "Allow", "protocol": "Tcp", "sourceAddressPrefix": "*",
            "sourcePortRange": "*", "destinationAddressPrefix": "*", "destinationPortRange": port}  # fmt: skip


def opened(four: Four, who: str, name: str = "hurry", priority: int = 110, port: str = "443") -> None:
    """Let everybody in, as somebody in a hurry does."""
    four.act("azure", "PUT", f"{nsg(four)}/securityRules/{name}", {"properties": rule(priority, port)}, caller=who)


def replaced(four: Four, who: str, name: str, priority: int, port: str) -> None:
    """Write the whole group with one rule more, as templates do."""
    found = four.act("azure", "GET", nsg(four))
    added = [*found["properties"]["securityRules"], {"name": name, "properties": rule(priority, port)}]
    body = {"location": found["location"], "tags": found.get("tags", {}), "properties": {"securityRules": added}}
    four.act("azure", "PUT", nsg(four), body, caller=who)


def findings(four: Four) -> tuple[Tracked, ...]:
    with Store(four.root / ".cloudsync" / "state.db", SystemClock()) as state:
        story = retell(state, load(four.root), SystemClock().now())
    assert story is not None
    return story.findings


def told(four: Four) -> dict[str, str | None]:
    """Return who is told, by the name of the rule that a finding is about."""
    known = "hurry|alpha|beta"
    found = {}
    for one in findings(four):
        for name in re.findall(known, " ".join(one.natives)):
            found[name] = one.actor.who if one.actor else None
    return found


def log(four: Four, words: str) -> list[Json]:
    """Ask the log as a client does, page by page."""
    path = f"/subscriptions/{azure(four)['subscription']}/providers/Microsoft.Insights/eventtypes/management/values"
    query, found = f"api-version=2015-04-01&$filter={words.replace(' ', '%20')}", []
    while query:
        document = four.act("azure", "GET", path, query=query)
        found += document["value"]
        query = document.get("nextLink", "").partition("?")[2]
    return found


def test_a_report_says_who_opened_it_and_how(four: Four) -> None:
    opened(four, JO)
    said = four.run("drift", code=2).out
    assert f"new, by {JO} at " in said, said
    actors = {(one.actor.who, one.actor.how) for one in findings(four) if one.actor}
    assert actors == {(JO, f"{ABOUT}/securityRules/write (Activity Log)")}
    assert all(abs(one.actor.at - one.first_seen) < 60 for one in findings(four) if one.actor)
    four.forget()
    four.run("drift", code=2)
    assert LIST not in four.calls("azure")  # it is known who


def test_a_write_of_the_whole_group_tells_only_where_one_alone_made_such(four: Four) -> None:
    opened(four, JO, "hurry", 110, "22")
    replaced(four, MAX, "alpha", 111, "80")
    four.run("drift", code=2)
    assert told(four) == {"hurry": JO, "alpha": MAX}  # and our own whole writes, before, do not count
    replaced(four, JO, "beta", 112, "8443")
    four.run("drift", code=2)
    assert told(four) == {"hurry": JO, "alpha": MAX, "beta": None}


@pytest.mark.parametrize("fault", ["denied", "unavailable", "throttle", "html", "garbage", "reset_before", "empty"])
def test_a_log_that_cannot_be_asked_stops_nothing(four: Four, fault: str) -> None:
    opened(four, JO)
    four.lab.control.ask("faults", {"kind": fault, "operation": LIST}, site="azure")
    ran = four.run("drift", code=2)
    assert "new · azure/" in ran.out, str(ran)
    assert told(four) == {"hurry": None}
    four.lab.control.ask("faults", [], site="azure")
    four.run("drift", code=2)  # a late event is found by a later run
    assert told(four) == {"hurry": JO}


def test_a_log_that_is_too_slow_is_not_waited_for(four: Four, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LOG_TIMEOUT_S", 0.1)
    opened(four, JO)
    four.lab.control.ask("faults", {"kind": "slow", "operation": LIST, "seconds": 1}, site="azure")
    four.run("drift", code=2)
    assert told(four) == {"hurry": None}
    assert four.calls("azure")[LIST] == 1


def test_without_the_right_everything_else_goes_on_and_doctor_is_content(four: Four) -> None:
    grants = [{"actions": ["*"], "not_actions": [RIGHT]}]
    four.lab.control.ask("principals", {"client_id": azure(four)["client_id"], "grants": grants}, site="azure")
    opened(four, JO)
    four.run("drift", code=2)
    assert told(four) == {"hurry": None}
    (line,) = [line for line in four.run("doctor").out.splitlines() if RIGHT in line]
    assert "not granted on the subscription: optional" in line
    assert line.lstrip().startswith("ok"), line


def test_a_run_with_nothing_new_asks_nobody(four: Four) -> None:
    four.forget()
    four.run("apply", "--yes", code=0)
    four.run("drift", code=0)
    assert LIST not in four.calls("azure")


def test_the_log_of_the_lab_is_filtered_and_paged_as_azure_monitors(four: Four) -> None:
    for number in (1, 2, 3):
        opened(four, JO, f"p{number}", 110 + number, str(number))
    four.lab.control.ask("settings", {"page_size": 2}, site="azure")
    since = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    later = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    group = f"eventTimestamp ge '{since}' and resourceGroupName eq '{azure(four)['resource_group'].upper()}'"
    events = [one for one in log(four, group) if one["caller"] == JO]
    assert [one["resourceId"].rpartition("/")[2] for one in events] == ["p3", "p2", "p1"]
    assert {one["status"]["value"] for one in events} == {"Succeeded"}
    one = log(four, f"eventTimestamp ge '{since}' and resourceUri eq '{nsg(four)}/securityRules/p2'")
    assert [each["operationName"]["value"] for each in one] == [f"{ABOUT}/securityRules/write"]
    assert log(four, f"eventTimestamp ge '{later}'") == []
    assert log(four, f"eventTimestamp ge '{since}' and eventTimestamp le '{since}'") == []


@pytest.mark.parametrize(
    "words", ["resourceGroupName eq 'x'", "eventTimestamp ge 'soon'", "eventTimestamp ge '2026-01-01' and colour eq 'x'"]
)
def test_the_log_of_the_lab_refuses_a_filter_that_is_none(four: Four, words: str) -> None:
    with pytest.raises((AssertionError, ControlError), match="BadRequest"):
        log(four, words)
