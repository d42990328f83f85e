"""Transactions: queued writes, one commit, all or nothing, and everything that may go wrong with one."""

from __future__ import annotations

from typing import Any

import pytest

from cloudsync.lab.f5.pytest_plugin import COORDINATION, FIREWALL, Bigip, bigip, chain, f5_site, f5_site_server, rule
from cloudsync.lab.f5.site import Site

__all__ = ["f5_site", "f5_site_server"]

LISTS, POLICY, VIRTUAL = f"{FIREWALL}/address-list", f"{FIREWALL}/policy", "/mgmt/tm/ltm/virtual"


@pytest.fixture
def device(f5_site: Site) -> Bigip:
    client = bigip(f5_site)
    client.ok("POST", VIRTUAL, {"name": "v", "destination": "192.0.2.1:443", "ipProtocol": "tcp"})
    return client


def wire(f5_site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = f5_site.ask("log", {"reads": True})
    return found


def swap(device: Bigip, old: str, new: str) -> str:
    """Blue and green: a new policy, attached, the old one gone."""
    number = device.begin()
    device.within(number, "POST", LISTS, {"name": f"l_{new}", "addresses": ["10.0.0.0/8"]})
    device.within(number, "POST", POLICY, {"name": new, "rules": chain(rule("a", lists=[f"/Common/l_{new}"]), rule("z", "drop"))})
    device.within(number, "PATCH", f"{VIRTUAL}/v", {"fwEnforcedPolicy": f"/Common/{new}"})
    if old:
        device.within(number, "DELETE", f"{POLICY}/{old}")
    return number


def test_opening_and_queueing_look_as_recorded(device: Bigip) -> None:
    opened = device.ok("POST", "/mgmt/tm/transaction", {})
    assert {key: value for key, value in opened.items() if key not in ("transId", "selfLink")} == {
        "state": "STARTED",
        "timeoutSeconds": 120,
        "asyncExecution": False,
        "validateOnly": False,
        "executionTimeout": 300,
        "executionTime": 0,
        "failureReason": "",
        "kind": "tm:transactionstate",
    }
    assert isinstance(opened["transId"], int)
    assert len(str(opened["transId"])) == 16
    queued = device.within(str(opened["transId"]), "PATCH", f"{VIRTUAL}/v", {"description": "x"})
    assert (queued["kind"], queued["method"], queued["evalOrder"], queued["commandId"]) == ("tm:transaction:commandsstate", "PATCH", 1, 1)
    assert queued["uri"] == "https://localhost/mgmt/tm/ltm/virtual/v"
    assert queued["body"] == {"description": "x"}


def test_nothing_happens_before_the_commit_and_everything_with_it(f5_site: Site, device: Bigip) -> None:
    number = swap(device, "", "one")
    assert device.code("GET", f"{POLICY}/one") == "01020036"
    assert "fwEnforcedPolicy" not in device.ok("GET", f"{VIRTUAL}/v")
    assert device.commit(number).body["state"] == "COMPLETED"
    assert device.ok("GET", f"{VIRTUAL}/v")["fwEnforcedPolicy"] == "/Common/one"
    assert device.ok("GET", f"/mgmt/tm/transaction/{number}")["state"] == "COMPLETED"
    commit = wire(f5_site)[-3]
    assert (commit["operation"], commit["applied"], commit["notes"]["transaction"]) == ("COMMIT transaction", True, int(number))
    assert [each["method"] for each in commit["notes"]["commands"]] == ["POST", "POST", "PATCH"]
    assert [each["applied"] for each in wire(f5_site) if each["notes"].get("transaction") and each is not commit][:3] == [False] * 3


@pytest.mark.parametrize(
    ("write", "code"),
    [
        (("POST", POLICY, {"name": "bad", "rules": chain(rule("x", "maybe"))}), "400"),
        (("POST", LISTS, {"name": "bad", "addresses": ["10.300.0.0/8"]}), "400"),
        (("PATCH", f"{VIRTUAL}/v", {"fwEnforcedPolicy": "/Common/none"}), "01020036"),
        (("DELETE", f"{LISTS}/none", None), "01020036"),
        (("POST", LISTS, {"name": "l_one", "addresses": ["10.0.0.1"]}), "01020066"),
    ],
)
def test_half_a_batch_never_applies(f5_site: Site, device: Bigip, write: tuple[Any, ...], code: str) -> None:
    before = f5_site.ask("state", None)["bigip1"]["running"]
    number = swap(device, "", "one")
    device.within(number, *write)
    failed = device.commit(number)
    assert (failed.status >= 400, failed.code) == (True, code)
    assert failed.body["message"].startswith("transaction failed:")
    assert f5_site.ask("state", None)["bigip1"]["running"] == before
    assert device.ok("GET", f"/mgmt/tm/transaction/{number}")["state"] == "FAILED"
    device.ok("DELETE", f"/mgmt/tm/transaction/{number}")
    assert f5_site.ask("state", None)["bigip1"]["open_transactions"] == []


def test_the_header_on_the_transaction_itself_is_refused(device: Bigip) -> None:
    number = swap(device, "", "one")
    for method, body in (("PATCH", {"state": "VALIDATING"}), ("DELETE", None)):
        reply = device.send(method, f"/mgmt/tm/transaction/{number}", body, {COORDINATION: number})
        assert reply.status == 400
        assert "is not allowed to be added to transaction" in reply.body["message"]
    assert device.commit(number).status == 200


def test_children_of_what_the_same_transaction_makes_have_no_address(device: Bigip) -> None:
    number = swap(device, "", "one")
    reply = device.send("POST", f"/mgmt/tm/transaction/{number}/commands/1/rules", rule("x"))
    assert (reply.status, reply.body) == (
        400,
        {"code": 400, "message": "Found invalid command id 1/rules/", "errorStack": [], "apiError": 1},
    )


def test_commands_are_listed_and_taken_out(device: Bigip) -> None:
    number = swap(device, "", "one")
    assert [each["commandId"] for each in device.ok("GET", f"/mgmt/tm/transaction/{number}/commands")["items"]] == [1, 2, 3]
    device.ok("DELETE", f"/mgmt/tm/transaction/{number}/commands/3")
    assert device.commit(number).status == 200
    assert "fwEnforcedPolicy" not in device.ok("GET", f"{VIRTUAL}/v")


def test_the_old_policy_goes_in_a_later_transaction_or_in_the_same_one(f5_site: Site, device: Bigip) -> None:
    assert device.commit(swap(device, "", "one")).status == 200
    assert device.commit(swap(device, "one", "two")).code == "01070830"  # it was in use before
    f5_site.ask("settings", {"delete_check": "after"})
    assert device.commit(swap(device, "one", "two")).status == 200
    assert device.code("GET", f"{POLICY}/one") == "01020036"


def test_what_is_needed_cannot_go_even_when_only_the_end_counts(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("settings", {"delete_check": "after"})
    device.commit(swap(device, "", "one"))
    assert device.code("DELETE", f"{POLICY}/one") == "01070830"
    assert device.code("DELETE", f"{LISTS}/l_one") == "01070830"


def test_validating_only_changes_nothing(f5_site: Site, device: Bigip) -> None:
    before = f5_site.ask("state", None)["bigip1"]["running"]
    good = device.commit(swap(device, "", "one"), validateOnly=True)
    assert (good.status, good.body["validateOnly"]) == (200, True)
    number = device.begin()
    device.within(number, "PATCH", f"{VIRTUAL}/v", {"fwEnforcedPolicy": "/Common/none"})
    assert device.commit(number, validateOnly=True).code == "01020036"
    f5_site.ask("settings", {"validate_only": "syntax"})
    number = device.begin()
    device.within(number, "PATCH", f"{VIRTUAL}/v", {"fwEnforcedPolicy": "/Common/none"})
    assert device.commit(number, validateOnly=True).status == 200
    assert f5_site.ask("state", None)["bigip1"]["running"] == before


@pytest.mark.parametrize(("way", "left"), [("total", 404), ("idle", 200)])
def test_a_transaction_expires_without_a_word(f5_site: Site, device: Bigip, way: str, left: int) -> None:
    f5_site.ask("settings", {"transaction_expiry": way})
    f5_site.ask("clock", {"mode": "manual"})
    number = swap(device, "", "one")
    f5_site.ask("clock", {"advance": 100})
    device.within(number, "PATCH", f"{VIRTUAL}/v", {"description": "x"})
    f5_site.ask("clock", {"advance": 100})
    assert device.commit(number).status == left
    assert device.send("GET", "/mgmt/tm/transaction").body["items"] == [] or left == 200


def test_a_commit_may_take_its_time(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("settings", {"commit_delay_s": 30})
    f5_site.ask("clock", {"mode": "manual"})
    number = swap(device, "", "one")
    assert device.commit(number).body["state"] == "VALIDATING"
    assert device.ok("GET", f"/mgmt/tm/transaction/{number}")["state"] == "VALIDATING"
    assert device.commit(number).status == 400  # not twice
    f5_site.ask("clock", {"advance": 31})
    assert device.ok("GET", f"/mgmt/tm/transaction/{number}")["state"] == "COMPLETED"


def test_what_cannot_join(f5_site: Site, device: Bigip) -> None:
    number = device.begin()
    for path, body in (("/mgmt/tm/sys/config", {"command": "save"}), ("/mgmt/tm/nothing", {})):
        assert device.send("POST", path, body, {COORDINATION: number}).status >= 400
    assert device.send("POST", LISTS, {"name": "a"}, {COORDINATION: "12345"}).status == 404
    assert device.commit(number).status == 400  # there is nothing in it
    assert device.send("PATCH", f"/mgmt/tm/transaction/{number}", {"state": "DONE"}).status == 400
    device.ok("DELETE", f"/mgmt/tm/transaction/{number}")
    assert device.send("GET", f"/mgmt/tm/transaction/{number}").status == 404
    assert f5_site.ask("state", None)["bigip1"]["saves"] == 0


def test_reads_with_the_header_run_at_once(device: Bigip) -> None:
    number = swap(device, "", "one")
    assert device.send("GET", f"{POLICY}/one", None, {COORDINATION: number}).code == "01020036"


def test_five_hundred_rules_in_five_calls(f5_site: Site, device: Bigip) -> None:
    device.commit(swap(device, "", "one"))
    f5_site.ask("calls", {"clear": True})
    number = device.begin()
    device.within(number, "POST", POLICY, {"name": "two", "rules": chain(*(rule(f"r{each}") for each in range(500)))})
    device.within(number, "PATCH", f"{VIRTUAL}/v", {"fwEnforcedPolicy": "/Common/two", "fwStagedPolicy": "none"})
    assert device.commit(number).status == 200
    assert sum(f5_site.ask("calls", None).values()) == 4
