"""Entries of Cloud Audit Logs as they are read: who counts as a rule's author, and what tells nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from cloudsync_gcp import logs

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC).timestamp()


def entry(name: str, who: str, minute: int, verb: str = "insert", **more: Any) -> dict[str, Any]:
    payload = {
        "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
        "authenticationInfo": {"principalEmail": who},
        "serviceName": "compute.googleapis.com",
        "methodName": f"v1.compute.firewalls.{verb}",
        "resourceName": f"projects/acme-net/global/firewalls/{name}",
    }
    stamp = {"timestamp": f"2026-03-01T12:{minute:02}:00.123456789Z", "operation": {"id": f"{name}-{minute}", "last": True}}
    return {"protoPayload": payload | more.pop("payload", {}), **stamp, **more}


def test_the_latest_change_of_a_rule_counts_whatever_the_order() -> None:
    found = [entry("ssh", "jo@acme.example", 1), entry("ssh", "max@acme.example", 3, "patch"), entry("web", "jo@acme.example", 2, "update")]
    told = logs.latest(found)
    assert told == logs.latest(found[::-1])
    assert {name: one.who for name, one in told.items()} == {"ssh": "max@acme.example", "web": "jo@acme.example"}
    assert told["ssh"].how == "v1.compute.firewalls.patch (Cloud Audit Logs)"
    assert abs(told["ssh"].at - (NOON + 180)) < 1


def test_a_change_that_was_refused_or_failed_at_its_end_made_nothing() -> None:
    refused = entry("ssh", "eve@acme.example", 5, payload={"status": {"code": 7, "message": "PERMISSION_DENIED"}})
    begun = entry("ssh", "max@acme.example", 6, operation={"id": "operation-1", "first": True})
    ended = entry("ssh", "max@acme.example", 7, operation={"id": "operation-1", "last": True}, payload={"status": {"code": 3}})
    assert logs.latest([refused, begun, ended]) == {}
    assert logs.latest([refused, begun, ended, entry("ssh", "jo@acme.example", 1)])["ssh"].who == "jo@acme.example"


def test_a_caller_without_an_address_is_told_by_its_subject() -> None:
    subject = "principal://iam.googleapis.com/locations/global/workforcePools/p/subject/jo"
    assert logs.latest([entry("a", "", 1, payload={"authenticationInfo": {"principalSubject": subject}})])["a"].who == subject
    assert logs.latest([entry("a", "", 1, payload={"authenticationInfo": {}})])["a"].who == "somebody unnamed"


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "text",
        [],
        {},
        {"protoPayload": None, "timestamp": "2026-03-01T12:00:00Z"},
        entry("a", "jo", 1, "delete"),
        entry("a", "jo", 1, timestamp="yesterday"),
        entry("a", "jo", 1, timestamp="2026-03-01T12:00:00"),
        entry("a", "jo", 1, timestamp=7),
        entry("", "jo", 1),
        entry("a", "jo", 1, operation="text"),
        entry("a", "jo", 1, payload={"resourceName": "projects/acme-net/global/networks/prod"}),
        entry("a", "jo", 1, payload={"authenticationInfo": "text"}),
        entry("a", "jo", 1, payload={"status": [1]}),
    ],
)
def test_an_entry_in_another_shape_tells_nothing(wrong: object) -> None:
    assert logs.latest([wrong]) == {}


def test_what_is_asked_names_the_rules_the_methods_and_the_moment() -> None:
    asked = logs.asking("acme-net", ["ssh", "web"], NOON)
    assert asked["resourceNames"] == ["projects/acme-net"]
    assert 'timestamp>="2026-03-01T12:00:00Z"' in asked["filter"]
    wanted = 'protoPayload.resourceName=("projects/acme-net/global/firewalls/ssh" OR "projects/acme-net/global/firewalls/web")'
    assert wanted in asked["filter"]
    assert "v1.compute.firewalls.delete" not in asked["filter"]


def test_a_filter_for_the_most_rules_is_not_too_long_for_the_api() -> None:
    names = [f"{number:02}".ljust(63, "x") for number in range(logs.RULES_MOST)]
    assert len(logs.asking("p" * 30, names, NOON)["filter"]) <= 20_000
