"""Everything that can be made to go wrong between a client and a device."""

from __future__ import annotations

import http.client
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from cloudsync.lab.f5.pytest_plugin import COORDINATION, FIREWALL, Bigip, bigip, chain, f5_site, f5_site_server, rule
from cloudsync.lab.f5.site import Site
from cloudsync.lab.kit.faults import Kind

__all__ = ["f5_site", "f5_site_server"]

LISTS, POLICY, VIRTUAL = f"{FIREWALL}/address-list", f"{FIREWALL}/policy", "/mgmt/tm/ltm/virtual"
NEW = {"name": "a", "addresses": ["10.0.0.1"]}
POST = "POST security/firewall/address-list"
CUT = (OSError, http.client.HTTPException)


@pytest.fixture
def device(f5_site: Site) -> Bigip:
    return bigip(f5_site)


def fault(f5_site: Site, kind: str, operation: str = POST, **options: Any) -> None:
    f5_site.ask("faults", {"operation": operation, "kind": kind, **options})


def there(f5_site: Site, name: str = "a") -> bool:
    return f"/Common/{name}" in f5_site.ask("state", None)["bigip1"]["running"]["security/firewall/address-list"]


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        ("throttle", 503, "There is an active asynchronous task executing."),
        ("unavailable", 503, "There is an active asynchronous task executing."),
        ("error500", 500, "AsyncContext timeout"),
        ("denied", 403, "Authorization failed"),
        ("expired", 401, "X-F5-Auth-Token has expired."),
        ("refused", 400, "01070734:3"),
    ],
)
def test_refused_before_it_takes_effect(f5_site: Site, device: Bigip, kind: str, status: int, text: str) -> None:
    fault(f5_site, kind)
    reply = device.send("POST", LISTS, NEW)
    assert (reply.status, reply.body["code"]) == (status, status)
    assert text in reply.body["message"]
    assert not there(f5_site)
    entry = f5_site.ask("log", None)[-1]
    assert (entry["status"], entry["applied"], entry["fault"]) == (status, False, kind)
    assert device.send("POST", LISTS, NEW).status == 200


def test_options_of_refusals(f5_site: Site, device: Bigip) -> None:
    fault(f5_site, "unavailable", retry_after=7)
    assert device.send("POST", LISTS, NEW).headers["retry-after"] == "7"
    fault(f5_site, "refused", status=409, message="01020066:3: Somebody was faster.")
    assert device.send("POST", LISTS, NEW).code == "01020066"
    fault(f5_site, "expired", shape="tm")
    assert "errorStack" in device.send("POST", LISTS, NEW).body
    fault(f5_site, "redirect")
    assert device.send("POST", LISTS, NEW).headers["location"] == "/tmui/login.jsp"


@pytest.mark.parametrize(("kind", "effect"), [("reset_before", False), ("reset_after", True), ("truncated", True)])
def test_cut_connections(f5_site: Site, device: Bigip, kind: str, effect: object) -> None:
    fault(f5_site, kind)
    with pytest.raises(CUT):
        device.send("POST", LISTS, NEW)
    assert there(f5_site) is effect


@pytest.mark.parametrize(("kind", "status"), [("lost", 500), ("garbage", 200), ("html", 200), ("empty", 200)])
def test_done_and_not_told(f5_site: Site, device: Bigip, kind: str, status: int) -> None:
    fault(f5_site, kind)
    reply = device.send("POST", LISTS, NEW)
    assert reply.status == status
    assert not isinstance(reply.body, dict) or "fullPath" not in reply.body
    assert there(f5_site)
    assert f5_site.ask("log", None)[-1]["applied"] is True


def test_a_late_call_takes_effect_after_others(f5_site: Site, device: Bigip) -> None:
    fault(f5_site, "late", after=2)
    with pytest.raises(CUT):
        device.send("POST", LISTS, NEW)
    device.ok("GET", LISTS)
    assert not there(f5_site)
    device.ok("GET", LISTS)
    assert there(f5_site)


@pytest.mark.parametrize(("kind", "effect"), [("hold_before", False), ("hold_after", True)])
def test_a_held_call(f5_site: Site, device: Bigip, kind: str, effect: object) -> None:
    fault(f5_site, kind)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(device.send("POST", LISTS, NEW).status))
    thread.start()
    while not f5_site.ask("held", None):
        pass
    assert there(f5_site) is effect
    assert f5_site.ask("release", {})["released"] == 1
    thread.join(10)
    assert (found, there(f5_site)) == ([200], True)


def test_slow_is_only_slow(f5_site: Site, device: Bigip) -> None:
    fault(f5_site, "slow", seconds=0.01)
    assert device.send("POST", LISTS, NEW).status == 200


def test_a_human_edits_between_two_calls(f5_site: Site, device: Bigip) -> None:
    call = {"method": "PATCH", "path": f"{LISTS}/a", "body": {"addresses": ["10.6.6.6"]}}
    device.ok("POST", LISTS, NEW)
    fault(f5_site, "edit", "GET security/firewall/address-list", call=call)
    assert device.ok("GET", f"{LISTS}/a")["addresses"] == [{"name": "10.6.6.6"}]
    fault(f5_site, "edit_after", "GET security/firewall/address-list", call={**call, "method": "DELETE", "body": None})
    assert device.ok("GET", f"{LISTS}/a")["name"] == "a"
    assert not there(f5_site)
    assert [each["by"] for each in f5_site.ask("log", None)] == ["client", "third party", "third party"]


def test_the_world_moves_between_two_calls(f5_site: Site, device: Bigip) -> None:
    fault(f5_site, "edit", POST, call={"control": "failover", "given": {}})
    device.ok("POST", LISTS, NEW)
    assert device.ok("GET", "/mgmt/tm/shared/bigip-failover-state")["failoverState"] == "standby"
    fault(f5_site, "edit", "GET ltm/virtual", call={"control": "tokens", "given": {"kill": True}})
    assert device.send("GET", VIRTUAL).status == 401


def test_no_token_and_no_password_is_in_the_log(f5_site: Site, device: Bigip) -> None:
    device.ok("GET", f"/mgmt/shared/authz/tokens/{device.token}")
    device.ok("DELETE", f"/mgmt/shared/authz/tokens/{device.token}")
    log = str(f5_site.ask("log", {"reads": True}))
    assert device.token not in log
    assert device.password not in log


def test_third_parties_act_past_faults_and_are_refused_as_anybody(f5_site: Site, device: Bigip) -> None:
    fault(f5_site, "unavailable", "*", times=0)
    assert f5_site.ask("act", {"method": "POST", "path": LISTS, "body": NEW})["ok"] is True
    refused = f5_site.ask("act", {"method": "POST", "path": LISTS, "body": NEW, "unit": "bigip1"})
    assert (refused["ok"], refused["status"], refused["code"]) == (False, 409, "01020066")
    assert device.send("GET", LISTS).status == 503
    assert f5_site.ask("calls", None).get(POST, 0) == 0  # what others do is no call of the client


def test_a_stale_read(f5_site: Site, device: Bigip) -> None:
    device.ok("POST", LISTS, NEW)
    fault(f5_site, "stale", "GET security/firewall/address-list")
    assert device.ok("GET", LISTS)["items"] == []
    assert [each["name"] for each in device.ok("GET", LISTS)["items"]] == ["a"]


def test_another_device_answers(f5_site: Site, device: Bigip) -> None:
    fault(f5_site, "identity", "GET shared/identified-devices/config/device-info", serial="other")
    path = "/mgmt/shared/identified-devices/config/device-info"
    assert device.ok("GET", path)["chassisSerialNumber"] == "other"
    assert device.ok("GET", path)["chassisSerialNumber"] == f5_site.section()[0]["serial"]
    fault(f5_site, "identity", "GET cm/device", hostname="other.example")
    mine = [each["hostname"] for each in device.ok("GET", "/mgmt/tm/cm/device")["items"] if each["selfDevice"] == "true"]
    assert mine == ["other.example"]


def test_the_peer_is_not_seen_for_a_moment(f5_site: Site, device: Bigip) -> None:
    fault(f5_site, "unreachable", "GET cm/sync-status")
    assert "Disconnected" in str(device.ok("GET", "/mgmt/tm/cm/sync-status"))
    assert "In Sync" in str(device.ok("GET", "/mgmt/tm/cm/sync-status"))


@pytest.mark.parametrize(
    ("kind", "page", "seen"),
    [
        ("page_lost", 2, ["a0", "a1", "a4"]),
        ("token_lost", 2, ["a0", "a1", "a2", "a3"]),
        ("page_repeated", 2, ["a0", "a1", "a0", "a1", "a2", "a3", "a4"]),
        ("token_repeated", 2, ["a0", "a1", "a2", "a3", "a2", "a3", "a4"]),
    ],
)
def test_pages_that_go_wrong(f5_site: Site, device: Bigip, kind: str, page: int, seen: list[str]) -> None:
    for number in range(5):
        device.ok("POST", LISTS, {"name": f"a{number}", "addresses": ["10.0.0.1"]})
    fault(f5_site, kind, "GET security/firewall/address-list", page=page)
    found: list[str] = []
    path = f"{LISTS}?$top=2"
    while path:
        shown = device.ok("GET", path)
        found += [each["name"] for each in shown["items"]]
        path = shown.get("nextLink", "").removeprefix("https://localhost")
    assert found == seen


def swap(device: Bigip) -> str:
    number = device.begin()
    device.within(number, "POST", POLICY, {"name": "p", "rules": chain(rule("a"))})
    return number


@pytest.mark.parametrize(
    ("kind", "states", "applied"),
    [
        ("operation_stuck", ("VALIDATING", "VALIDATING"), True),
        ("operation_failed", ("VALIDATING", "FAILED"), False),
        ("operation_lost", ("COMPLETED", "404"), True),
    ],
)
def test_commits_that_go_wrong(f5_site: Site, device: Bigip, kind: str, states: tuple[str, str], applied: object) -> None:
    answer, after = states
    f5_site.ask("clock", {"mode": "manual"})
    number = swap(device)
    fault(f5_site, kind, "COMMIT transaction", message="01070734:3: no")
    assert device.commit(number).body["state"] == answer
    f5_site.ask("clock", {"advance": 1})
    found = device.send("GET", f"/mgmt/tm/transaction/{number}")
    assert (found.body["state"] if found.status == 200 else str(found.status)) == after
    assert found.body.get("failureReason", "") == ("01070734:3: no" if after == "FAILED" else "")
    assert (device.send("GET", f"{POLICY}/p").status == 200) is applied


def test_a_commit_that_applies_and_loses_its_answer(f5_site: Site, device: Bigip) -> None:
    number = swap(device)
    fault(f5_site, "reset_after", "COMMIT transaction")
    with pytest.raises(CUT):
        device.commit(number)
    assert device.ok("GET", f"/mgmt/tm/transaction/{number}")["state"] == "COMPLETED"
    assert device.ok("GET", f"{POLICY}/p")["name"] == "p"


def test_a_commit_that_comes_after_its_client_gave_up(f5_site: Site, device: Bigip) -> None:
    number = swap(device)
    fault(f5_site, "late", "COMMIT transaction", after=2)
    with pytest.raises(CUT):
        device.commit(number)
    assert device.ok("GET", f"/mgmt/tm/transaction/{number}")["state"] == "STARTED"
    assert device.ok("GET", f"/mgmt/tm/transaction/{number}")["state"] == "COMPLETED"
    assert device.ok("GET", f"{POLICY}/p")["name"] == "p"


def test_a_human_is_faster_than_the_commit(f5_site: Site, device: Bigip) -> None:
    number = swap(device)
    fault(f5_site, "edit", "COMMIT transaction", call={"method": "POST", "path": POLICY, "body": {"name": "p", "description": "by hand"}})
    assert device.commit(number).code == "01020066"
    assert device.ok("GET", f"{POLICY}/p")["description"] == "by hand"


def test_the_nth_call_of_a_pattern_on_one_unit(f5_site: Site, device: Bigip) -> None:
    other = bigip(f5_site, 1)
    fault(f5_site, "unavailable", "GET security/*", nth=2, scope="bigip1")
    assert [device.send("GET", LISTS).status for _ in range(3)] == [200, 503, 200]
    assert [other.send("GET", LISTS).status for _ in range(3)] == [200] * 3
    fault(f5_site, "unavailable", "@write", times=0)
    assert device.send("GET", LISTS).status == 200
    assert device.login().status == 200  # a login writes no configuration
    number = device.begin()
    assert device.send("POST", POLICY, {"name": "p"}, {COORDINATION: number}).status == 503


def test_a_stranger_in_the_middle_is_noticed(f5_site: Site, device: Bigip) -> None:
    connection = http.client.HTTPSConnection(device.endpoint.removeprefix("https://"), timeout=10, context=ssl.create_default_context())
    with pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", LISTS)
    connection.close()


@pytest.mark.parametrize(
    "given", [{"nested_patch": "maybe"}, {"nothing": 1}, {"compile_delay_s": "soon"}, {"max_tokens": -1}, {"connected": 1}]
)
def test_a_switch_that_does_not_exist(f5_site: Site, given: Any) -> None:
    before = f5_site.ask("settings", None)
    with pytest.raises(ValueError, match=r"want|no lab setting"):
        f5_site.ask("settings", given)
    assert f5_site.ask("settings", None) == before


def test_control_requests_that_make_no_sense(f5_site: Site) -> None:
    for verb, given in (
        ("act", {"method": "GET", "path": "/x"}),
        ("reboot", {"unit": "bigip9"}),
        ("failover", {"to": "x"}),
        ("clock", {"x": 1}),
    ):
        with pytest.raises(ValueError, match=r"want|no unit"):
            f5_site.ask(verb, given)
    with pytest.raises(KeyError):
        f5_site.ask("nothing", None)
    with pytest.raises(ValueError, match=r"no estate"):
        f5_site.reset("huge", 1)
    assert {"faults", "act", "verdict", "reboot", "failover", "state", "clock"} <= f5_site.verbs()


def test_a_device_has_no_buckets(f5_site: Site) -> None:
    assert f5_site.ask("buckets", None) == {"enabled": False, "scale": 1.0}
    with pytest.raises(ValueError, match=r"no rates"):
        f5_site.ask("buckets", {"enabled": True})


def test_every_kind_of_fault_is_tested_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [kind.value for kind in Kind if f'"{kind.value}"' not in text] == []
