"""Long-running operations, ETags, If-Match and second writers of the Azure lab."""

from __future__ import annotations

from typing import Any

import pytest

from cloudsync.lab.azure.pytest_plugin import Heard, Wire, rule

NSG = "networkSecurityGroups"


@pytest.fixture
def one(azure: Wire) -> Wire:
    azure.done(azure.path(NSG, "one"), {"securityRules": [rule("first", 100)]})
    return azure


def write(azure: Wire, *names: str, **headers: str) -> Heard:
    table = [rule(name, 100 + number) for number, name in enumerate(names)]
    return azure.put(azure.path(NSG, "one"), {"securityRules": table}, **headers)


def names(azure: Wire) -> list[str]:
    return [each["name"] for each in azure.get(azure.path(NSG, "one")).document["properties"]["securityRules"]]


def in_force(azure: Wire) -> list[str]:
    settled = azure.site.ask("state", None)["settled"][azure.path(NSG, "one")] or {}
    return [each["name"] for each in settled.get("securityRules", [])]


def poll(azure: Wire, started: Heard) -> Heard:
    return azure.raw("GET", started.headers["azure-asyncoperation"], None, {"Authorization": f"Bearer {azure.token()}"})


def test_a_put_takes_effect_when_its_operation_ends(one: Wire) -> None:
    before = one.get(one.path(NSG, "one"))
    put = write(one, "second")
    assert put.status == 200
    assert put.document["properties"]["provisioningState"] == "Updating"
    assert "etag" not in put.headers
    assert put.headers["retry-after"] == "1"
    assert put.document["etag"] != before.document["etag"]
    assert in_force(one) == ["first"]
    assert poll(one, put).document == {"status": "InProgress"}
    assert in_force(one) == ["first"]
    assert poll(one, put).document == {"status": "Succeeded"}
    assert in_force(one) == ["second"]
    after = one.get(one.path(NSG, "one"))
    assert after.document["etag"] not in (put.document["etag"], before.document["etag"])
    assert after.headers["etag"] == after.document["etag"]
    assert {each["etag"] for each in after.document["properties"]["securityRules"]} == {after.document["etag"]}
    assert after.document["properties"]["provisioningState"] == "Succeeded"


def test_a_new_group_is_201_and_has_a_guid_that_stays(azure: Wire) -> None:
    made = azure.put(azure.path(NSG, "new"), {})
    assert made.status == 201
    azure.site.ask("finish", None)
    assert azure.done(azure.path(NSG, "new"), {})["properties"]["resourceGuid"] == made.document["properties"]["resourceGuid"]


def test_az_creates_a_group_without_properties(azure: Wire) -> None:
    heard = azure.send("PUT", azure.path(NSG, "bare"), {"location": "westeurope"})
    assert heard.status == 201
    assert heard.document["properties"]["securityRules"] == []


def test_reading_the_resource_is_a_look_too(one: Wire) -> None:
    write(one, "second")
    states = [one.get(one.path(NSG, "one")).document["properties"]["provisioningState"] for _ in range(2)]
    assert states == ["Updating", "Succeeded"]


def test_the_rules_shown_while_updating_by_switch(one: Wire) -> None:
    write(one, "second")
    assert names(one) == ["second"]
    one.site.ask("finish", None)
    one.site.ask("settings", {"while_updating": "old"})
    write(one, "third")
    assert names(one) == ["second"]
    one.site.ask("finish", None)
    assert names(one) == ["third"]


def test_an_operation_takes_its_time(one: Wire) -> None:
    one.site.ask("clock", {"mode": "manual"})
    one.site.ask("settings", {"operation_seconds": 20, "operation_polls": 0})
    put = write(one, "second")
    assert poll(one, put).document["status"] == "InProgress"
    one.site.ask("clock", {"advance": 19})
    assert poll(one, put).document["status"] == "InProgress"
    one.site.ask("clock", {"advance": 1})
    assert poll(one, put).document["status"] == "Succeeded"


def test_an_operation_ends_although_nobody_looks(one: Wire) -> None:
    one.site.ask("clock", {"mode": "manual"})
    write(one, "second")
    one.site.ask("clock", {"advance": 59})
    assert in_force(one) == ["first"]
    one.site.ask("clock", {"advance": 1})
    assert in_force(one) == ["second"]


@pytest.mark.parametrize(("switch", "put", "child", "delete"), [
    ("none", None, None, None), ("7", "7", "7", "7"), ("recorded", "3", "10", "10"),
])  # fmt: skip
def test_retry_after_by_switch(azure: Wire, switch: str, put: str | None, child: str | None, delete: str | None) -> None:
    azure.site.ask("settings", {"retry_after": switch})
    heard = [azure.put(azure.path(NSG, "one"), {})]
    azure.site.ask("finish", None)
    heard.append(azure.put(azure.path(NSG, "one/securityRules/a"), rule("a", 100)["properties"], location=None))
    azure.site.ask("finish", None)
    heard.append(azure.send("DELETE", azure.path(NSG, "one")))
    assert [each.headers.get("retry-after") for each in heard] == [put, child, delete]


def test_a_delete_is_202_and_the_group_is_there_until_it_ends(one: Wire) -> None:
    gone = one.send("DELETE", one.path(NSG, "one"))
    assert gone.status == 202
    assert gone.document is None
    assert "/operationResults/" in gone.headers["location"]
    assert one.get(one.path(NSG, "one")).document["properties"]["provisioningState"] == "Deleting"
    assert poll(one, gone).document["status"] == "Succeeded"
    assert one.get(one.path(NSG, "one")).status == 404
    result = one.raw("GET", gone.headers["location"], None, {"Authorization": f"Bearer {one.token()}"})
    assert result.status == 204


def test_child_rules_come_and_go(one: Wire) -> None:
    path = one.path(NSG, "one/securityRules/second")
    made = one.put(path, rule("ignored", 300)["properties"], location=None)
    assert (made.status, made.document["name"], made.document["properties"]["provisioningState"]) == (201, "second", "Updating")
    assert in_force(one) == ["first"]
    one.site.ask("finish", None)
    assert one.get(path).headers["etag"] == one.get(one.path(NSG, "one")).headers["etag"]
    assert one.put(path, rule("x", 301)["properties"], location=None).status == 200
    one.site.ask("finish", None)
    assert one.send("DELETE", path).status == 202
    one.site.ask("finish", None)
    assert in_force(one) == ["first"]
    assert one.get(path).code == "NotFound"


@pytest.mark.parametrize("what", ["group", "child", "delete", "child delete", "tags"])
def test_if_match_is_honoured_or_ignored_by_switch(one: Wire, what: str) -> None:
    group, child = one.path(NSG, "one"), one.path(NSG, "one/securityRules/first")
    stale = one.get(group).document["etag"]
    one.done(group, {"securityRules": [rule("first", 200)]})

    def attempt(etag: str) -> Heard:
        match what:
            case "group":
                return write(one, "mine", If_Match=etag)
            case "child":
                return one.put(child, rule("first", 300)["properties"], location=None, If_Match=etag)
            case "delete":
                return one.send("DELETE", group, If_Match=etag)
            case "child delete":
                return one.send("DELETE", child, If_Match=etag)
        return one.send("PATCH", group, {"tags": {"a": "b"}}, If_Match=etag)

    refused = attempt(stale)
    assert (refused.status, refused.code) == (412, "PreconditionFailed")
    assert refused.document["error"]["details"][0]["code"] == "PreconditionFailedEtagMismatch"
    assert in_force(one) == ["first"]
    fresh = one.get(group).document["etag"]
    one.site.ask("settings", {"if_match": "ignore"})
    assert attempt(stale).status < 300
    one.site.reset("empty", 1)
    one._token = None
    one.done(group, {"securityRules": [rule("first", 200)]})
    assert attempt(one.get(group).document["etag"]).status < 300
    assert fresh != stale


def test_the_etag_of_the_put_is_not_the_one_to_use_next(one: Wire) -> None:
    put = write(one, "second")
    one.site.ask("finish", None)
    assert write(one, "third", If_Match=put.document["etag"]).status == 412


@pytest.mark.parametrize(("switch", "status", "code"), [
    ("conflict", 409, "AnotherOperationInProgress"), ("retryable", 429, "RetryableError"),
])  # fmt: skip
def test_a_second_writer_is_refused_while_an_operation_runs(one: Wire, switch: str, status: int, code: str) -> None:
    one.site.ask("settings", {"second_writer": switch})
    first = write(one, "mine")
    second = write(one, "theirs")
    assert (second.status, second.code) == (status, code)
    child = one.send("DELETE", one.path(NSG, "one/securityRules/mine"))
    assert (child.status, child.code) == (status, code)
    if switch == "retryable":
        assert second.document["error"]["details"][0]["code"] == "RetryableErrorDueToAnotherOperation"
    one.site.ask("finish", None)
    assert in_force(one) == ["mine"]
    assert poll(one, first).document["status"] == "Succeeded"


def test_a_second_writer_supersedes_the_first(one: Wire) -> None:
    one.site.ask("settings", {"second_writer": "superseded"})
    first, second = write(one, "mine"), write(one, "theirs")
    one.site.ask("finish", None)
    lost = poll(one, first).document
    assert (lost["status"], lost["error"]["details"][0]["code"]) == ("Canceled", "CanceledAndSupersededDueToAnotherOperation")
    assert poll(one, second).document["status"] == "Succeeded"
    assert in_force(one) == ["theirs"]


def test_who_refers_to_a_group_that_is_updating_has_to_wait(one: Wire) -> None:
    network(one)
    put = write(one, "mine")
    properties = {"addressPrefix": "10.50.0.0/24", "networkSecurityGroup": {"id": one.path(NSG, "one")}}
    early = one.put(one.path("virtualNetworks", "net/subnets/a"), properties, location=None)
    assert (early.status, early.code) == (429, "RetryableError")
    assert early.document["error"]["details"][0]["code"] == "ReferencedResourceNotProvisioned"
    poll(one, put)
    poll(one, put)
    assert one.put(one.path("virtualNetworks", "net/subnets/a"), properties, location=None).status == 200


def test_attaching_and_tags_give_a_new_etag_and_change_no_rule(one: Wire) -> None:
    group = one.path(NSG, "one")
    before = one.get(group).document
    patched = one.send("PATCH", group, {"tags": {"Team": "net"}})
    assert (patched.status, patched.document["tags"]) == (200, {"Team": "net"})
    assert patched.document["etag"] != before["etag"]
    network(one)
    subnet = one.get(one.path("virtualNetworks", "net/subnets/a")).document["properties"]
    one.done(one.path("virtualNetworks", "net/subnets/a"), {**subnet, "networkSecurityGroup": {"id": group}}, location=None)
    attached = one.get(group).document
    assert attached["properties"]["subnets"] == [{"id": one.path("virtualNetworks", "net/subnets/a")}]
    assert attached["etag"] != patched.document["etag"]
    interface = {"ipConfigurations": [{"name": "x", "properties": {"subnet": {"id": one.path("virtualNetworks", "net/subnets/a")}}}]}
    made = one.put(one.path("networkInterfaces", "nic"), {**interface, "networkSecurityGroup": {"id": group}})
    assert (made.status, made.document["properties"]["provisioningState"]) == (201, "Succeeded")
    both = one.get(group).document
    assert both["properties"]["networkInterfaces"] == [{"id": one.path("networkInterfaces", "nic")}]
    assert both["etag"] != attached["etag"]
    assert in_force(one) == ["first"]
    refused = one.send("DELETE", group)
    assert refused.code == "InUseNetworkSecurityGroupCannotBeDeleted"
    assert one.path("networkInterfaces", "nic") in refused.message


def network(azure: Wire) -> Any:
    properties = {
        "addressSpace": {"addressPrefixes": ["10.50.0.0/16"]},
        "subnets": [{"name": "a", "properties": {"addressPrefix": "10.50.0.0/24"}}],
    }
    return azure.done(azure.path("virtualNetworks", "net"), properties)


def test_a_third_party_may_write_between_any_two_calls(one: Wire) -> None:
    theirs = {"method": "PUT", "path": one.path(NSG, "one/securityRules/theirs"), "body": rule("theirs", 999)}
    one.site.ask("faults", {"operation": "NetworkSecurityGroups_CreateOrUpdate", "kind": "edit", "call": theirs})
    etag = one.get(one.path(NSG, "one")).document["etag"]
    assert write(one, "mine", If_Match=etag).status == 412
    assert in_force(one) == ["first", "theirs"]
    log = one.site.ask("log", None)
    assert [(each["by"], each["operation"], each["status"], each["applied"]) for each in log[-2:]] == [
        ("client", "NetworkSecurityGroups_CreateOrUpdate", 412, False),
        ("third party", "SecurityRules_CreateOrUpdate", 201, True),
    ]


def test_a_third_party_does_not_end_the_operations_of_others(one: Wire) -> None:
    write(one, "mine")
    done = one.site.act({"method": "PUT", "path": one.path(NSG, "other"), "body": {"location": "westeurope"}})
    assert done["status"] == 201
    assert in_force(one) == ["first"]
    assert one.get(one.path(NSG, "other")).document["properties"]["provisioningState"] == "Succeeded"


def test_where_if_match_is_ignored_a_third_partys_rule_is_lost(one: Wire) -> None:
    one.site.ask("settings", {"if_match": "ignore"})
    theirs = {"method": "PUT", "path": one.path(NSG, "one/securityRules/theirs"), "body": rule("theirs", 999)}
    one.site.ask("faults", {"operation": "NetworkSecurityGroups_CreateOrUpdate", "kind": "edit", "call": theirs})
    assert write(one, "mine", If_Match=one.get(one.path(NSG, "one")).document["etag"]).status == 200
    one.site.ask("finish", None)
    assert in_force(one) == ["mine"]


@pytest.mark.parametrize("keeps", ["old", "new"])
def test_an_operation_that_fails(one: Wire, keeps: str) -> None:
    one.site.ask("settings", {"failed_keeps": keeps})
    one.site.ask("faults", {"operation": "NetworkSecurityGroups_CreateOrUpdate", "kind": "operation_failed", "code": "AllocationFailed"})
    put = write(one, "mine")
    poll(one, put)
    failed = poll(one, put).document
    assert (failed["status"], failed["error"]["code"]) == ("Failed", "AllocationFailed")
    assert in_force(one) == ["first"]
    assert names(one) == (["first"] if keeps == "old" else ["mine"])
    assert one.get(one.path(NSG, "one")).document["properties"]["provisioningState"] == "Failed"
    assert write(one, "again").status == 200


def test_an_operation_that_is_stuck(one: Wire) -> None:
    one.site.ask("faults", {"operation": "NetworkSecurityGroups_CreateOrUpdate", "kind": "operation_stuck"})
    one.site.ask("clock", {"mode": "manual"})
    put = write(one, "mine")
    one.site.ask("clock", {"advance": 3_000})
    one.site.ask("finish", None)
    assert {poll(one, put).document["status"] for _ in range(5)} == {"InProgress"}
    assert in_force(one) == ["first"]
    one.site.ask("finish", {"stuck": True})
    assert in_force(one) == ["mine"]


def test_an_operation_that_is_stuck_after_it_took_effect(one: Wire) -> None:
    one.site.ask("faults", {"operation": "NetworkSecurityGroups_CreateOrUpdate", "kind": "operation_stuck", "applies": True})
    put = write(one, "mine")
    assert poll(one, put).document["status"] == "InProgress"
    assert in_force(one) == ["mine"]


def test_an_operation_nobody_finds_takes_effect_all_the_same(one: Wire) -> None:
    one.site.ask("faults", {"operation": "NetworkSecurityGroups_CreateOrUpdate", "kind": "operation_lost"})
    put = write(one, "mine")
    lost = poll(one, put)
    assert (lost.status, lost.code) == (404, "OperationNotFound")
    one.site.ask("finish", None)
    assert in_force(one) == ["mine"]


def test_urls_of_operations_may_lead_astray(one: Wire) -> None:
    one.site.ask("settings", {"operation_base": "https://127.0.0.1:1"})
    assert write(one, "mine").headers["azure-asyncoperation"].startswith("https://127.0.0.1:1/")


def test_every_put_is_counted_and_named(one: Wire) -> None:
    one.site.ask("calls", {"clear": True})
    one.site.ask("log", {"clear": True})
    etag = one.get(one.path(NSG, "one")).document["etag"]
    write(one, "a", If_Match=etag)
    write(one, "b")
    assert one.site.ask("calls", None)["NetworkSecurityGroups_CreateOrUpdate"] == 2
    log = one.site.ask("log", None)
    assert [(each["notes"].get("if-match"), each["applied"], each["code"]) for each in log] == [
        (etag, True, None), (None, False, "RetryableError"),
    ]  # fmt: skip
    assert log[0]["body"]["properties"]["securityRules"][0]["name"] == "a"
    assert one.token() not in str(log)
