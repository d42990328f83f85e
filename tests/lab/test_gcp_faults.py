"""Every kind of fault, before and after the effect; edits by others; rates; and that the log tells what really happened."""

from __future__ import annotations

import http.client
import threading
from pathlib import Path
from typing import Any

import pytest

from cloudsync.lab.gcp.pytest_plugin import Wire
from cloudsync.lab.gcp.site import Site
from cloudsync.lab.kit.faults import Kind

ALL = "global/firewalls"
RULE = {"name": "a", "network": "global/networks/default", "sourceRanges": ["10.0.0.0/8"], "allowed": [{"IPProtocol": "tcp"}]}
CUT = (ConnectionError, http.client.HTTPException)


def fault(site: Site, kind: str, operation: str = "firewalls.insert", **options: Any) -> None:
    site.ask("faults", {"operation": operation, "kind": kind, **options})


def last(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = site.ask("log", {"reads": True})[-1]
    return found


@pytest.mark.parametrize(
    "case",
    [
        ("throttle", {}, 403, "rateLimitExceeded"),
        ("throttle", {"status": 429}, 429, "rateLimitExceeded"),
        ("unavailable", {}, 503, "backendError"),
        ("unavailable", {"status": 502}, 502, "backendError"),
        ("error500", {}, 500, "backendError"),
        ("denied", {}, 403, "forbidden"),
        ("expired", {}, 401, "authError"),
        ("refused", {"status": 412, "code": "conditionNotMet", "message": "no"}, 412, "conditionNotMet"),
    ],
)
def test_refused_before_any_effect(gcp_site: Site, gcp: Wire, case: tuple[str, dict[str, Any], int, str]) -> None:
    kind, options, status, reason = case
    fault(gcp_site, kind, **options)
    assert gcp.refusal("POST", ALL, RULE)[:2] == (status, reason)
    assert gcp.rules() == []
    entry = gcp_site.ask("log", None)[0]
    assert (entry["applied"], entry["status"], entry["code"], entry["fault"]) == (False, status, reason, kind)
    gcp.done("POST", ALL, RULE)


def test_a_rate_limit_names_its_metric(gcp_site: Site, gcp: Wire) -> None:
    fault(gcp_site, "throttle")
    error = gcp.send("POST", ALL, RULE)[1]["error"]
    detail = error["details"][0]
    assert (detail["@type"], detail["reason"]) == ("type.googleapis.com/google.rpc.ErrorInfo", "RATE_LIMIT_EXCEEDED")
    assert error["errors"][0]["domain"] == "usageLimits"


def test_a_denial_names_permission_and_resource(gcp_site: Site, gcp: Wire) -> None:
    fault(gcp_site, "denied")
    text = "Required 'compute.firewalls.create' permission for 'projects/acme-net/global/firewalls'"
    assert gcp.refusal("POST", ALL, RULE)[2] == text


def test_lost_after_the_effect(gcp_site: Site, gcp: Wire) -> None:
    fault(gcp_site, "lost")
    assert gcp.refusal("POST", ALL, RULE)[0] == 503
    assert gcp.rules() == ["a"]
    assert gcp_site.ask("log", None)[0]["applied"] is True


@pytest.mark.parametrize(("kind", "there"), [("reset_before", []), ("reset_after", ["a"]), ("truncated", ["a"])])
def test_connections_that_break(gcp_site: Site, gcp: Wire, kind: str, there: list[str]) -> None:
    fault(gcp_site, kind)
    with pytest.raises(CUT):
        gcp.send("POST", ALL, RULE)
    assert gcp.rules() == there


def test_a_call_that_takes_effect_long_after_its_client_was_cut_off(gcp_site: Site, gcp: Wire) -> None:
    fault(gcp_site, "late", after=3)
    with pytest.raises(CUT):
        gcp.send("POST", ALL, RULE)
    assert gcp.rules() == []
    assert gcp.rules() == []
    gcp.rules()
    assert gcp.rules() == ["a"]


def test_bodies_that_are_none(gcp_site: Site, gcp: Wire) -> None:
    fault(gcp_site, "html", "firewalls.list")
    assert "Please log in" in gcp.send("GET", ALL)[1]
    fault(gcp_site, "garbage", "firewalls.list")
    assert isinstance(gcp.send("GET", ALL)[1], str)
    fault(gcp_site, "empty", "firewalls.list")
    assert gcp.send("GET", ALL) == (200, {})
    fault(gcp_site, "empty", "firewalls.list", body={"error": {"code": 500}})
    assert gcp.send("GET", ALL) == (200, {"error": {"code": 500}})
    assert gcp.get(ALL)["kind"] == "compute#firewallList"


def test_a_redirect(gcp_site: Site, gcp: Wire) -> None:
    fault(gcp_site, "redirect", status=308, location="http://127.0.0.1:9/x")
    assert gcp.send("POST", ALL, RULE) == (308, "")
    assert gcp.rules() == []


def test_another_project_answers(gcp_site: Site, gcp: Wire) -> None:
    fault(gcp_site, "identity", "projects.get", project="stranger", number="7")
    found = gcp.get("/compute/v1/projects/acme-net")
    assert (found["name"], found["id"]) == ("stranger", "7")
    assert gcp.get("/compute/v1/projects/acme-net")["name"] == "acme-net"


def test_the_nth_call_and_how_often(gcp_site: Site, gcp: Wire) -> None:
    fault(gcp_site, "unavailable", "firewalls.list", nth=2, times=2)
    assert [gcp.send("GET", ALL)[0] for _ in range(4)] == [200, 503, 503, 200]
    fault(gcp_site, "unavailable", "@write", times=0)
    assert gcp.refusal("POST", ALL, RULE)[0] == 503
    assert gcp.refusal("DELETE", f"{ALL}/x")[0] == 503
    assert gcp.send("GET", ALL)[0] == 200
    gcp_site.ask("faults", [])
    gcp.done("POST", ALL, RULE)


def test_somebody_edits_before_and_after_a_call(gcp_site: Site, gcp: Wire) -> None:
    gcp.done("POST", ALL, RULE)
    edit = {"method": "PATCH", "path": f"projects/acme-net/{ALL}/a", "body": {"priority": 7}}
    fault(gcp_site, "edit", "firewalls.get", call=edit)
    assert gcp.get(f"{ALL}/a")["priority"] == 7
    fault(gcp_site, "edit_after", "firewalls.get", call=[{**edit, "body": {"priority": 8}}, {**edit, "body": {"disabled": True}}])
    assert gcp.get(f"{ALL}/a")["priority"] == 7
    assert (gcp.get(f"{ALL}/a")["priority"], gcp.get(f"{ALL}/a")["disabled"]) == (8, True)
    by = [entry["by"] for entry in gcp_site.ask("log", None)]
    assert by == ["client", "third party", "third party", "third party"]
    assert "firewalls.patch" not in gcp_site.ask("calls", None)


def test_an_edit_takes_effect_at_once_whatever_the_latency(gcp_site: Site, gcp: Wire) -> None:
    gcp_site.ask("settings", {"operation_latency_s": 3600.0})
    found = gcp_site.ask("act", {"method": "POST", "path": f"projects/acme-net/{ALL}", "body": RULE})
    assert (found["status"], found["body"]["status"]) == (200, "DONE")
    assert gcp.rules() == ["a"]
    assert gcp_site.ask("act", {"method": "POST", "path": f"projects/acme-net/{ALL}", "body": RULE})["status"] == 409
    with pytest.raises(ValueError, match="no method"):
        gcp_site.ask("act", {"method": "PUT", "path": "projects/x"})


@pytest.mark.parametrize(("kind", "there"), [("hold_before", []), ("hold_after", ["a"])])
def test_calls_that_wait_and_are_dropped(gcp_site: Site, gcp: Wire, kind: str, there: list[str]) -> None:
    fault(gcp_site, kind)
    seen: list[str] = []

    def call() -> None:
        try:
            gcp.send("POST", ALL, RULE)
        except CUT as error:
            seen.append(type(error).__name__)

    waiting = threading.Thread(target=call)
    waiting.start()
    while not gcp_site.ask("held", None):
        assert waiting.is_alive()
    assert gcp_site.ask("held", None)[0]["operation"] == "firewalls.insert"
    assert gcp.rules() == there
    gcp_site.ask("release", {"drop": True})
    waiting.join(20)
    assert seen


def test_a_call_that_waits_goes_on(gcp_site: Site, gcp: Wire) -> None:
    fault(gcp_site, "hold_before")
    waiting = threading.Thread(target=lambda: gcp.send("POST", ALL, RULE))
    waiting.start()
    while not gcp_site.ask("held", None):
        assert waiting.is_alive()
    assert gcp_site.ask("release", None) == {"released": 1}
    waiting.join(20)
    assert gcp.rules() == ["a"]


def test_slow(gcp_site: Site, gcp: Wire) -> None:
    fault(gcp_site, "slow", "firewalls.list", seconds=0.0)
    assert gcp.rules() == []
    assert last(gcp_site)["fault"] == "slow"


def test_every_kind_is_tried_in_some_test_here() -> None:
    elsewhere = {"operation_stuck", "operation_lost", "operation_failed", "page_lost", "token_lost", "page_repeated", "token_repeated"}
    elsewhere |= {"stale", "unreachable"}
    text = Path(__file__).read_text("utf-8")
    assert [kind.value for kind in Kind if kind.value not in elsewhere and f'"{kind.value}"' not in text] == []


def test_a_minute_has_room_for_so_many_calls(gcp_site: Site, gcp: Wire) -> None:
    gcp_site.ask("clock", {"mode": "manual"})
    gcp_site.ask("clock", {"advance": 60 - gcp_site.clock.now() % 60})
    assert gcp_site.ask("buckets", {"enabled": True, "scale": 4 / 1500})["per_minute"] == 4
    assert [gcp.send("GET", ALL)[0] for _ in range(5)] == [200, 200, 200, 200, 403]
    assert gcp.send("POST", ALL, RULE)[0] == 200
    gcp_site.ask("clock", {"advance": 59})
    assert gcp.refusal("GET", ALL)[:2] == (403, "rateLimitExceeded")
    gcp_site.ask("clock", {"advance": 1})
    assert [gcp.send("GET", ALL, filter="name = a")[0] for _ in range(3)] == [200, 200, 403]
    assert Wire(gcp.site, "acme-other").send("GET", ALL)[0] == 200


def test_a_reset_forgets_it_all(gcp_site: Site, gcp: Wire) -> None:
    fault(gcp_site, "unavailable", "*", times=0)
    gcp_site.ask("buckets", {"enabled": True, "scale": 1 / 1500})
    gcp_site.ask("settings", {"addresses_max": 1})
    gcp_site.ask("quotas", {"FIREWALLS": 1})
    gcp_site.reset("empty", 1)
    assert [gcp.send("GET", ALL)[0] for _ in range(3)] == [200, 200, 200]
    assert gcp_site.ask("settings", None)["addresses_max"] == 256
    assert gcp_site.ask("quotas", None)["FIREWALLS"] == 500
    assert gcp_site.ask("calls", None) == {"firewalls.list": 3}


def test_control_refuses_what_it_does_not_know(gcp_site: Site) -> None:
    for verb, given in (
        ("settings", {"colour": "red"}),
        ("settings", {"cidrs": "upside down"}),
        ("settings", {"addresses_max": "many"}),
        ("settings", {"addresses_max": True}),
        ("quotas", {"ROCKETS": 1}),
        ("clock", {"mode": "backwards"}),
        ("faults", {"operation": "*", "kind": "boredom"}),
        ("policies", {"weather": []}),
        ("verdict", {"src": "10.0.0.1", "dst": "10.0.0.2", "protocol": "tcp", "port": 1}),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            gcp_site.ask(verb, given)
    with pytest.raises(KeyError):
        gcp_site.ask("dance", None)
    with pytest.raises(ValueError, match="no estate 'huge'"):
        gcp_site.reset("huge", 1)
    assert {"faults", "calls", "log", "held", "release", "verdict", "state", "act"} <= gcp_site.verbs()
