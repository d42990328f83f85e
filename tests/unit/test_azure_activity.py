"""Events of the Activity Log as they are read: which writes count, and what tells nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from cloudsync_azure import activity

NSG = "/subscriptions/1/resourceGroups/Net/providers/Microsoft.Network/networkSecurityGroups/web"
US = frozenset({"app-1", "object-1"})


def event(who: str, **more: Any) -> dict[str, Any]:
    return {
        "caller": who,
        "claims": {"appid": "other"},
        "eventTimestamp": "2026-03-01T12:00:00.1234567Z",
        "operationName": {"value": "Microsoft.Network/networkSecurityGroups/securityRules/write"},
        "resourceId": f"{NSG}/securityRules/ssh",
        "status": {"value": "Succeeded"},
    } | more


def test_a_write_that_succeeded_names_its_caller_moment_and_operation() -> None:
    (one,) = activity.made([event("jo@acme.example")], US)
    assert (one.what, one.whole) == (f"{NSG}/securityRules/ssh".lower(), False)
    assert one.author.how == "Microsoft.Network/networkSecurityGroups/securityRules/write (Activity Log)"
    assert abs(one.author.at - datetime(2026, 3, 1, 12, 0, tzinfo=UTC).timestamp()) < 1
    assert one.author.who == "jo@acme.example"


@pytest.mark.parametrize("word", ["MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/WRITE", "Microsoft.Network/networkSecurityGroups/write"])
def test_operations_are_read_in_any_case(word: str) -> None:
    (one,) = activity.made([event("jo", operationName={"value": word}, resourceId=NSG.upper())], US)
    assert (one.what, one.whole) == (NSG.lower(), True)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "text",
        [],
        {},
        event("APP-1"),
        event("object-1"),
        event("cloudsync", claims={"appid": "App-1"}),
        event("jo", status={"value": "Started"}),
        event("jo", status={"value": "Failed"}),
        event("jo", status="Succeeded"),
        event("jo", eventTimestamp="2026-03-01T12:00:00"),
        event("jo", eventTimestamp=None),
        event("jo", operationName={"value": "Microsoft.Network/networkSecurityGroups/securityRules/delete"}),
        event("jo", operationName={"value": "Microsoft.Network/networkInterfaces/write"}),
        event("jo", claims="text"),
    ],
)
def test_our_own_writes_others_kinds_and_other_shapes_tell_nothing(wrong: object) -> None:
    assert activity.made([wrong], US) == ()


def test_an_event_without_a_caller_is_of_somebody_unnamed() -> None:
    assert [one.author.who for one in activity.made([event("")], US)] == ["somebody unnamed"]
