"""Operations: the effect comes when they are done, `wait`, repeats, failures, and those that are stuck or lost."""

from __future__ import annotations

import http.client
import threading
import uuid
from typing import Any

import pytest

from cloudsync.lab.gcp.pytest_plugin import Wire
from cloudsync.lab.gcp.site import Site

ALL = "global/firewalls"


def rule(name: str = "a", **more: Any) -> dict[str, Any]:
    return {"name": name, "network": "global/networks/default", "sourceRanges": ["10.0.0.0/8"], "allowed": [{"IPProtocol": "tcp"}], **more}


def slow(site: Site, seconds: float = 10.0, **settings: Any) -> None:
    site.ask("clock", {"mode": "manual"})
    site.ask("settings", {"operation_latency_s": seconds, **settings})


def started(gcp: Wire, body: dict[str, Any] | None = None, **query: str) -> str:
    status, operation = gcp.send("POST", ALL, body or rule(), **query)
    assert status == 200, operation
    return str(operation["name"])


def state(gcp: Wire, name: str) -> dict[str, Any]:
    found: dict[str, Any] = gcp.get(f"global/operations/{name}")
    return found


def test_the_first_answer_is_running_and_the_effect_comes_at_the_end(gcp_site: Site, gcp: Wire) -> None:
    slow(gcp_site)
    status, first = gcp.send("POST", ALL, rule())
    assert (status, first["status"], first["progress"], first["operationType"]) == (200, "RUNNING", 0, "insert")
    assert gcp.rules() == []
    gcp_site.ask("clock", {"advance": 9.5})
    assert state(gcp, first["name"])["status"] == "RUNNING"
    assert gcp.rules() == []
    gcp_site.ask("clock", {"advance": 0.5})
    ended = state(gcp, first["name"])
    assert (ended["status"], ended["progress"], ended["targetId"]) == ("DONE", 100, gcp.get(f"{ALL}/a")["id"])
    assert ended["targetLink"].endswith("/projects/acme-net/global/firewalls/a")
    assert "error" not in ended


def test_it_may_be_pending_first(gcp_site: Site, gcp: Wire) -> None:
    slow(gcp_site, operation_pending_s=4.0)
    status, first = gcp.send("POST", ALL, rule())
    assert (status, first["status"]) == (200, "PENDING")
    gcp_site.ask("clock", {"advance": 4})
    assert state(gcp, first["name"])["status"] == "RUNNING"


def test_without_latency_it_is_done_when_anybody_asks(gcp: Wire) -> None:
    name = started(gcp)
    assert gcp.rules() == ["a"]
    assert state(gcp, name)["status"] == "DONE"


def test_what_is_changing_cannot_be_changed(gcp_site: Site, gcp: Wire) -> None:
    gcp.done("POST", ALL, rule())
    slow(gcp_site)
    assert gcp.send("PATCH", f"{ALL}/a", {"priority": 5})[0] == 200
    for method, body in (("PATCH", {"priority": 6}), ("PUT", rule()), ("DELETE", None)):
        wanted = (400, "resourceNotReady", "The resource 'projects/acme-net/global/firewalls/a' is not ready")
        assert gcp.refusal(method, f"{ALL}/a", body) == wanted
    assert gcp.refusal("POST", ALL, rule())[:2] == (409, "alreadyExists")
    gcp_site.ask("clock", {"advance": 10})
    assert gcp.get(f"{ALL}/a")["priority"] == 5
    assert gcp.send("DELETE", f"{ALL}/a")[0] == 200


def test_operations_may_end_in_another_order(gcp_site: Site, gcp: Wire) -> None:
    slow(gcp_site, operation_order="lifo")
    for name in ("a", "b", "c"):
        started(gcp, rule(name))
    gcp_site.ask("clock", {"advance": 10})
    assert [one["target"].rpartition("/")[2] for one in gcp_site.ask("history", None)] == ["c", "b", "a"]


def test_the_same_request_id_begins_nothing_new(gcp_site: Site, gcp: Wire) -> None:
    again = str(uuid.UUID(int=7))
    first = started(gcp, requestId=again)
    assert gcp.rules() == ["a"]
    assert started(gcp, requestId=again) == first
    gcp.done("DELETE", f"{ALL}/a")
    assert started(gcp, requestId=again) == first
    assert gcp.rules() == []
    assert started(gcp, requestId=str(uuid.UUID(int=8))) != first
    assert [one["applied"] for one in gcp_site.ask("log", None)] == [True, False, True, False, True]


@pytest.mark.parametrize("wrong", ["7", "00000000-0000-0000-0000-000000000000", ""])
def test_a_request_id_is_a_uuid(gcp: Wire, wrong: str) -> None:
    assert gcp.refusal("POST", ALL, rule(), requestId=wrong)[:2] == (400, "invalid")
    assert gcp.rules() == []


@pytest.mark.parametrize(("how", "made"), [("repeat", []), ("forget", ["a"])])
def test_repeating_a_failure_is_not_known(gcp_site: Site, gcp: Wire, how: str, made: list[str]) -> None:
    gcp_site.ask("settings", {"failed_request_id": how})
    gcp_site.ask("faults", {"operation": "firewalls.insert", "kind": "operation_failed"})
    name = started(gcp, requestId=str(uuid.UUID(int=7)))
    assert "error" in state(gcp, name)
    assert (started(gcp, requestId=str(uuid.UUID(int=7))) == name) is not bool(made)
    assert gcp.rules() == made


def test_request_ids_are_forgotten(gcp_site: Site, gcp: Wire) -> None:
    slow(gcp_site, 0.0, request_id_retention_s=60.0)
    name = started(gcp, requestId=str(uuid.UUID(int=7)))
    gcp_site.ask("clock", {"advance": 61})
    assert gcp.refusal("POST", ALL, rule(), requestId=str(uuid.UUID(int=7)))[:2] == (409, "alreadyExists")
    assert state(gcp, name)["status"] == "DONE"


def test_operations_are_forgotten(gcp_site: Site, gcp: Wire) -> None:
    slow(gcp_site, 0.0, operation_retention_s=60.0)
    name = started(gcp)
    assert state(gcp, name)["status"] == "DONE"
    gcp_site.ask("clock", {"advance": 61})
    assert gcp.refusal("GET", f"global/operations/{name}")[:2] == (404, "notFound")


def test_an_operation_is_found_in_its_place_alone(gcp: Wire) -> None:
    name = started(gcp)
    assert gcp.refusal("GET", f"zones/europe-west1-b/operations/{name}")[0] == 404
    assert Wire(gcp.site, "acme-apps").refusal("GET", f"global/operations/{name}")[0] == 404
    assert gcp.refusal("GET", "global/operations/operation-1")[0] == 404


def test_wait_moves_a_clock_that_stands_still(gcp_site: Site, gcp: Wire) -> None:
    slow(gcp_site)
    name = started(gcp)
    assert gcp.send("POST", f"global/operations/{name}/wait")[1]["status"] == "DONE"
    assert gcp.rules() == ["a"]


def test_wait_may_come_back_early(gcp_site: Site, gcp: Wire) -> None:
    slow(gcp_site, wait_early=True)
    name = started(gcp)
    assert gcp.send("POST", f"global/operations/{name}/wait")[1]["status"] == "RUNNING"


def test_wait_ends_when_the_operation_does_and_holds_up_nobody(gcp_site: Site, gcp: Wire) -> None:
    gcp_site.ask("settings", {"operation_latency_s": 3600.0})
    name = started(gcp)
    answers: list[str] = []
    waiting = threading.Thread(target=lambda: answers.append(gcp.send("POST", f"global/operations/{name}/wait")[1]["status"]))
    waiting.start()
    while not gcp_site.api.waiting:
        assert waiting.is_alive()
    assert gcp.rules() == []
    assert answers == []
    gcp_site.ask("clock", {"advance": 3600})
    waiting.join(20)
    assert answers == ["DONE"]


def test_an_operation_that_is_stuck(gcp_site: Site, gcp: Wire) -> None:
    slow(gcp_site, 1.0)
    gcp_site.ask("faults", {"operation": "firewalls.insert", "kind": "operation_stuck"})
    name = started(gcp)
    gcp_site.ask("clock", {"advance": 100000})
    assert state(gcp, name)["status"] == "RUNNING"
    assert gcp.send("POST", f"global/operations/{name}/wait")[1]["status"] == "RUNNING"
    assert gcp.rules() == []
    gcp_site.ask("finish", None)
    assert state(gcp, name)["status"] == "DONE"
    assert gcp.rules() == ["a"]


def test_an_operation_that_is_stuck_after_its_effect(gcp_site: Site, gcp: Wire) -> None:
    gcp_site.ask("faults", {"operation": "firewalls.insert", "kind": "operation_stuck", "applied": True})
    name = started(gcp)
    assert gcp.rules() == ["a"]
    assert state(gcp, name)["status"] == "RUNNING"
    assert [one["applied"] for one in gcp_site.ask("log", None)] == [True]


@pytest.mark.parametrize("made", [["a"], []])
def test_an_operation_that_is_lost(gcp_site: Site, gcp: Wire, made: list[str]) -> None:
    gcp_site.ask("faults", {"operation": "firewalls.insert", "kind": "operation_lost", "applied": bool(made)})
    name = started(gcp)
    assert gcp.refusal("GET", f"global/operations/{name}")[:2] == (404, "notFound")
    assert gcp.refusal("POST", f"global/operations/{name}/wait")[:2] == (404, "notFound")
    assert gcp.rules() == made
    assert name not in [one["name"] for one in gcp.get("global/operations").get("items", [])]


def test_an_operation_that_fails(gcp_site: Site, gcp: Wire) -> None:
    gcp_site.ask("faults", {"operation": "firewalls.insert", "kind": "operation_failed", "code": "QUOTA_EXCEEDED", "status": 403})
    ended = state(gcp, started(gcp))
    assert (ended["status"], ended["httpErrorStatusCode"]) == ("DONE", 403)
    assert ended["error"]["errors"][0]["code"] == "QUOTA_EXCEEDED"
    assert gcp.rules() == []
    entry = gcp_site.ask("log", None)[0]
    assert (entry["applied"], entry["notes"]["operation_error"]) == (False, "QUOTA_EXCEEDED")


def test_a_failure_may_lack_the_http_fields(gcp_site: Site, gcp: Wire) -> None:
    gcp_site.ask("faults", {"operation": "firewalls.insert", "kind": "operation_failed", "http_fields": False})
    ended = state(gcp, started(gcp))
    assert ended["error"]["errors"]
    assert "httpErrorStatusCode" not in ended
    assert "httpErrorMessage" not in ended


def test_a_network_in_use_is_seen_at_the_end_as_recorded(gcp: Wire) -> None:
    gcp.done("POST", "global/networks", {"name": "n", "autoCreateSubnetworks": False})
    gcp.done("POST", ALL, rule(network="global/networks/n"))
    status, operation = gcp.send("DELETE", "global/networks/n")
    assert status == 200
    ended = state(gcp, operation["name"])
    text = "The network resource 'projects/acme-net/global/networks/n' is already being used by 'projects/acme-net/global/firewalls/a'"
    assert ended["error"] == {"errors": [{"code": "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "message": text}]}
    assert (ended["httpErrorStatusCode"], ended["httpErrorMessage"]) == (400, "BAD REQUEST")
    assert gcp.get("global/networks/n")["name"] == "n"
    gcp.done("DELETE", f"{ALL}/a")
    gcp.done("DELETE", "global/networks/n")
    assert gcp.send("GET", "global/networks/n")[0] == 404


def test_a_rule_whose_network_goes_meanwhile_fails(gcp_site: Site, gcp: Wire) -> None:
    gcp.done("POST", "global/networks", {"name": "n", "autoCreateSubnetworks": False})
    slow(gcp_site)
    name = started(gcp, rule(network="global/networks/n"))
    gcp_site.ask("act", {"method": "DELETE", "path": "projects/acme-net/global/networks/n"})
    gcp_site.ask("clock", {"advance": 10})
    assert state(gcp, name)["error"]["errors"][0]["code"] == "NOT_FOUND"
    assert gcp.rules() == []


def test_only_so_many_at_once(gcp_site: Site, gcp: Wire) -> None:
    slow(gcp_site, concurrent_operations=2)
    started(gcp, rule("a"))
    started(gcp, rule("b"))
    status, body = gcp.send("POST", ALL, rule("c"))
    assert (status, body["error"]["errors"][0]["reason"]) == (403, "rateLimitExceeded")
    assert body["error"]["details"][0]["reason"] == "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED"
    gcp_site.ask("clock", {"advance": 10})
    started(gcp, rule("c"))


def test_the_history_tells_every_state(gcp_site: Site, gcp: Wire) -> None:
    gcp.done("POST", ALL, rule())
    gcp.done("PATCH", f"{ALL}/a", {"priority": 7})
    gcp.done("DELETE", f"{ALL}/a")
    found = gcp_site.ask("history", {"clear": True})
    assert [one["operation"] for one in found] == ["firewalls.insert", "firewalls.patch", "firewalls.delete"]
    assert [one["after"] and one["after"]["priority"] for one in found] == [1000, 7, None]
    assert [one["call"] for one in found] == [one["sequence"] for one in gcp_site.ask("log", None)]
    assert gcp_site.ask("history", None) == []


def test_a_controller_puts_its_rules_back(gcp_site: Site, gcp: Wire) -> None:
    gcp_site.ask("clock", {"mode": "manual"})
    gcp_site.ask("settings", {"gke_restores_after_s": 30.0})
    gcp.done("POST", ALL, rule("gke-one-all"))
    gcp.done("POST", ALL, rule("mine"))
    before = gcp.get(f"{ALL}/gke-one-all")
    gcp.done("DELETE", f"{ALL}/gke-one-all")
    gcp.done("DELETE", f"{ALL}/mine")
    assert gcp.rules() == []
    gcp_site.ask("clock", {"advance": 30})
    assert gcp.rules() == ["gke-one-all"]
    after = gcp.get(f"{ALL}/gke-one-all")
    assert after["id"] != before["id"]
    assert after["sourceRanges"] == before["sourceRanges"]
    assert gcp_site.ask("history", None)[-1]["by"] == "controller"


def test_what_waits_for_an_earlier_world_does_not_speak_in_the_next(gcp_site: Site, gcp: Wire) -> None:
    gcp_site.ask("settings", {"operation_latency_s": 3600.0})
    name = started(gcp)
    seen: list[str] = []

    def wait(path: str) -> None:
        try:
            gcp.send("POST", path, rule("late"))
        except (OSError, http.client.HTTPException) as error:
            seen.append(type(error).__name__)

    gcp_site.ask("faults", {"operation": "firewalls.insert", "kind": "hold_before"})
    threads = [threading.Thread(target=wait, args=(path,)) for path in (ALL, f"global/operations/{name}/wait")]
    for thread in threads:
        thread.start()
    while not (gcp_site.ask("held", None) and gcp_site.api.waiting):
        assert all(thread.is_alive() for thread in threads)
    gcp_site.reset("empty", 1)
    for thread in threads:
        thread.join(20)
    assert gcp.rules() == []
    assert [entry["operation"] for entry in gcp_site.ask("log", {"reads": True})] == ["firewalls.list"]
    assert len(seen) == 2


def test_many_at_once(gcp_site: Site, gcp: Wire) -> None:
    def work(worker: int) -> None:
        for number in range(12):
            status, operation = gcp.send("POST", ALL, rule(f"w{worker}-{number}"))
            assert status == 200, operation
            assert gcp.send("POST", f"global/operations/{operation['name']}/wait")[1]["status"] == "DONE"
        gcp.send("POST", ALL, rule("only-one"))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(gcp.rules()) == 73
    entries = gcp_site.ask("log", None)
    assert sum(entry["applied"] for entry in entries) == 73
    assert sorted(entry["status"] for entry in entries if entry["body"]["name"] == "only-one") == [200, 409, 409, 409, 409, 409]
    assert [entry["sequence"] for entry in entries] == sorted(entry["sequence"] for entry in entries)
