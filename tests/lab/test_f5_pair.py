"""Two units: running and saved, in step and out of step, active and standby, configured and compiled."""

from __future__ import annotations

from typing import Any

import pytest

from cloudsync.lab.f5.pytest_plugin import FIREWALL, Bigip, bigip, chain, f5_site, f5_site_server, rule
from cloudsync.lab.f5.site import Site

__all__ = ["f5_site", "f5_site_server"]

LISTS, POLICY, VIRTUAL = f"{FIREWALL}/address-list", f"{FIREWALL}/policy", "/mgmt/tm/ltm/virtual"
SYNC = {"command": "run", "utilCmdArgs": "config-sync to-group dg-failover"}
PACKET = {"src": "198.51.100.1", "dst": "192.0.2.1", "protocol": "tcp", "port": 443}


@pytest.fixture
def device(f5_site: Site) -> Bigip:
    return bigip(f5_site)


@pytest.fixture
def other(f5_site: Site) -> Bigip:
    return bigip(f5_site, 1)


def stats(shown: Any) -> list[dict[str, Any]]:
    """The nested statistics of an answer as plain dicts."""
    return [
        {key: next(iter(value.values())) for key, value in each["nestedStats"]["entries"].items() if "nestedStats" not in value}
        for each in shown["entries"].values()
    ]


def color(device: Bigip) -> str:
    return str(stats(device.ok("GET", "/mgmt/tm/cm/sync-status"))[0]["color"])


def details(device: Bigip) -> list[str]:
    entries = next(iter(device.ok("GET", "/mgmt/tm/cm/sync-status")["entries"].values()))["nestedStats"]["entries"]
    listed = next(value for key, value in entries.items() if key.endswith("/details"))["nestedStats"]["entries"]
    return [each["nestedStats"]["entries"]["details"]["description"] for each in listed.values()]


def compiled(device: Bigip) -> str:
    return str(stats(device.ok("GET", f"{FIREWALL}/current-state"))[0]["pccdState"])


def listed(device: Bigip) -> list[str]:
    return [each["name"] for each in device.ok("GET", LISTS)["items"]]


def add(device: Bigip, name: str = "a") -> None:
    device.ok("POST", LISTS, {"name": name, "addresses": ["10.0.0.1"]})


# --- identity ---------------------------------------------------------------------------------------------------------


def test_every_place_that_says_who_a_unit_is_says_the_same(f5_site: Site, device: Bigip, other: Bigip) -> None:
    for number, client in enumerate((device, other)):
        section = f5_site.section()[number]
        shown = client.ok("GET", "/mgmt/shared/identified-devices/config/device-info")
        assert (shown["hostname"], shown["chassisSerialNumber"]) == (section["hostname"], section["serial"])
        mine = [each for each in client.ok("GET", "/mgmt/tm/cm/device")["items"] if each["selfDevice"] == "true"]
        assert [(each["hostname"], each["chassisId"]) for each in mine] == [(section["hostname"], section["serial"])]
        assert client.ok("GET", "/mgmt/tm/sys/global-settings")["hostname"] == section["hostname"]
        assert section["serial"] in str(client.ok("GET", "/mgmt/tm/sys/hardware"))
    assert f5_site.section()[0]["serial"] != f5_site.section()[1]["serial"]


def test_the_version_is_in_every_link(device: Bigip) -> None:
    assert device.ok("GET", "/mgmt/tm/sys/")["selfLink"].endswith("ver=16.1.4")
    assert stats(device.ok("GET", "/mgmt/tm/sys/version"))[0]["Version"] == "16.1.4"


def test_the_same_seed_gives_the_same_units(f5_site: Site) -> None:
    serials = [each["serial"] for each in f5_site.section()]
    f5_site.reset("empty", 2)
    assert [each["serial"] for each in f5_site.section()] != serials
    f5_site.reset("empty", 1)
    assert [each["serial"] for each in f5_site.section()] == serials


# --- running and saved ------------------------------------------------------------------------------------------------


def test_what_is_not_saved_is_lost_with_a_reboot(f5_site: Site, device: Bigip) -> None:
    add(device, "saved")
    device.ok("POST", "/mgmt/tm/sys/config", {"command": "save"})
    add(device, "unsaved")
    assert f5_site.ask("state", None)["bigip1"]["unsaved"] is True
    f5_site.ask("reboot", {"unit": "bigip1"})
    assert device.send("GET", LISTS).status == 401
    device.login()
    assert listed(device) == ["saved"]


def test_some_save_through_a_command_line(f5_site: Site, device: Bigip) -> None:
    def say(line: str) -> str:
        return str(device.ok("POST", "/mgmt/tm/util/bash", {"command": "run", "utilCmdArgs": f'-c "{line}"'}).get("commandResult", ""))

    add(device)
    assert "Saving" in say("tmsh save sys config")
    assert f5_site.ask("state", None)["bigip1"]["unsaved"] is False
    assert [say("runlevel"), say("ps aux | grep x"), say("curl http://localhost")] == ["N 3\n", "", "200\n"]
    assert "not found" in say("rm -rf /")
    assert float(say("cat /proc/uptime").split()[0]) > 0
    assert "16.1.4" in say("cat /VERSION")


def test_a_save_may_fail(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("settings", {"save": "fails"})
    add(device)
    assert device.code("POST", "/mgmt/tm/sys/config", {"command": "save"}) == "01071769"
    assert f5_site.ask("state", None)["bigip1"]["unsaved"] is True


def test_a_save_may_answer_before_it_is_done(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("settings", {"save": "early", "save_delay_s": 5})
    f5_site.ask("clock", {"mode": "manual"})
    add(device)
    device.ok("POST", "/mgmt/tm/sys/config", {"command": "save"})
    assert f5_site.ask("state", None)["bigip1"]["unsaved"] is True
    f5_site.ask("clock", {"advance": 6})
    assert f5_site.ask("state", None)["bigip1"]["unsaved"] is False


def test_a_reboot_before_an_early_save_is_done_loses_it(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("settings", {"save": "early", "save_delay_s": 5})
    f5_site.ask("clock", {"mode": "manual"})
    add(device)
    device.ok("POST", "/mgmt/tm/sys/config", {"command": "save"})
    f5_site.ask("reboot", {"unit": "bigip1"})
    f5_site.ask("clock", {"advance": 6})
    for _ in range(2):  # nor does what was under way come back with the next start
        device.login()
        assert listed(device) == []
        f5_site.ask("reboot", {"unit": "bigip1"})


def test_the_running_configuration_is_replaced_by_the_saved_one(device: Bigip) -> None:
    add(device)
    device.ok("POST", "/mgmt/tm/sys/config", {"command": "load"})
    assert listed(device) == []


def test_a_unit_that_starts_does_not_answer(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("clock", {"mode": "manual"})
    f5_site.ask("reboot", {"unit": "bigip1", "seconds": 60})
    with pytest.raises(OSError, match=r"reset|closed|aborted"):
        device.send("GET", LISTS)
    f5_site.ask("clock", {"advance": 61})
    assert device.login().status == 200


# --- in step ----------------------------------------------------------------------------------------------------------


def test_a_change_on_one_unit_is_yellow_until_it_is_synchronised(device: Bigip, other: Bigip) -> None:
    assert (color(device), color(other)) == ("green", "green")
    add(device)
    assert (color(device), color(other)) == ("yellow", "yellow")
    assert details(other)[-1] == " - Recommended action: Synchronize bigip1.dc1.lab.example to group dg-failover"
    assert listed(other) == []
    device.ok("POST", "/mgmt/tm/cm", SYNC)
    assert (color(device), color(other)) == ("green", "green")
    assert listed(other) == ["a"]


def test_changes_on_both_are_a_conflict(device: Bigip, other: Bigip) -> None:
    add(device, "mine")
    add(other, "theirs")
    assert color(device) == "red"
    assert "possible change conflict between bigip1.dc1.lab.example and bigip2.dc1.lab.example" in details(device)[1]
    other.ok("POST", "/mgmt/tm/cm", {"command": "run", "utilCmdArgs": "config-sync from-group dg-failover"})
    assert (color(other), listed(other)) == ("green", ["mine"])


def test_what_belongs_to_one_unit_is_never_synchronised(f5_site: Site, device: Bigip, other: Bigip) -> None:
    admin = bigip(f5_site, user="admin")
    admin.ok("POST", "/mgmt/tm/net/vlan", {"name": "x", "tag": 10})
    admin.ok("POST", "/mgmt/tm/net/self", {"name": "own", "address": "10.60.0.2/24", "vlan": "x"})
    admin.ok("PATCH", f"{FIREWALL}/management-ip-rules", {"rules": chain(rule("r"))})
    assert color(device) == "green"
    add(device)
    device.ok("POST", "/mgmt/tm/cm", SYNC)
    assert other.ok("GET", "/mgmt/tm/net/self")["items"] == []
    assert other.ok("GET", f"{FIREWALL}/management-ip-rules/rules")["items"] == []


def test_groups_may_synchronise_and_save_by_themselves(f5_site: Site, device: Bigip, other: Bigip) -> None:
    admin = bigip(f5_site, user="admin")
    group = "/mgmt/tm/cm/device-group/~Common~dg-failover"
    assert admin.ok("GET", group)["autoSync"] == "disabled"
    admin.ok("PATCH", group, {"autoSync": "enabled", "saveOnAutoSync": "true"})
    assert admin.send("PATCH", group, {"autoSync": "sometimes"}).status == 400
    add(device)
    assert (color(device), listed(other)) == ("green", ["a"])
    state = f5_site.ask("state", None)
    assert (state["bigip1"]["unsaved"], state["bigip2"]["unsaved"]) == (True, False)


def test_synchronising_takes_time(f5_site: Site, device: Bigip, other: Bigip) -> None:
    f5_site.ask("settings", {"sync_delay_s": 10})
    f5_site.ask("clock", {"mode": "manual"})
    add(device)
    device.ok("POST", "/mgmt/tm/cm", SYNC)
    assert (color(device), listed(other)) == ("blue", [])
    f5_site.ask("clock", {"advance": 11})
    assert (color(device), listed(other)) == ("green", ["a"])


def test_units_that_do_not_see_each_other(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("settings", {"connected": False})
    add(device)
    assert (color(device), details(device)) == ("red", ["bigip2.dc1.lab.example: disconnected"])
    assert device.code("POST", "/mgmt/tm/cm", SYNC) == "01071488"


@pytest.mark.parametrize("arguments", ["config-sync to-group nobody", "config-sync", "halt", "config-sync sideways dg-failover"])
def test_a_bad_synchronisation(device: Bigip, arguments: str) -> None:
    add(device)
    assert device.code("POST", "/mgmt/tm/cm", {"command": "run", "utilCmdArgs": arguments}) != "ok"
    assert color(device) == "yellow"


def test_a_reboot_may_put_a_unit_behind(f5_site: Site, device: Bigip, other: Bigip) -> None:
    add(device)
    device.ok("POST", "/mgmt/tm/cm", SYNC)
    device.ok("POST", "/mgmt/tm/sys/config", {"command": "save"})
    f5_site.ask("reboot", {"unit": "bigip2"})
    other.login()
    assert (listed(other), color(device)) == ([], "yellow")


# --- failover ---------------------------------------------------------------------------------------------------------


def test_failover_swaps_the_roles(f5_site: Site, device: Bigip, other: Bigip) -> None:
    def states() -> list[str]:
        path = "/mgmt/tm/shared/bigip-failover-state"
        return [str(each.ok("GET", path)["failoverState"]) for each in (device, other)]

    assert states() == ["active", "standby"]
    f5_site.ask("failover", {})
    assert states() == ["standby", "active"]
    assert stats(device.ok("GET", "/mgmt/tm/cm/failover-status"))[0]["status"] == "STANDBY"
    assert other.ok("POST", "/mgmt/tm/sys/failover", {"command": "run", "utilCmdArgs": "standby"})["command"] == "run"
    assert states() == ["active", "standby"]
    assert other.send("POST", "/mgmt/tm/sys/failover", {"command": "run", "utilCmdArgs": "standby"}).status == 400
    f5_site.ask("reboot", {"unit": "bigip1"})
    device.login()
    assert states() == ["standby", "active"]


def test_traffic_meets_the_active_unit(f5_site: Site, device: Bigip) -> None:
    attach(device, "drop")
    f5_site.ask("clock", {"mode": "manual"})
    f5_site.ask("clock", {"advance": 1})
    assert f5_site.ask("verdict", PACKET)["verdict"] == "denied"
    f5_site.ask("failover", {})
    assert f5_site.ask("verdict", PACKET)["context"] == "listener"  # the other unit has never heard of it
    assert f5_site.ask("verdict", {**PACKET, "unit": "bigip1"})["verdict"] == "denied"


# --- compiling --------------------------------------------------------------------------------------------------------


def attach(device: Bigip, action: str) -> None:
    """A policy that decides about everything at a virtual server."""
    device.ok("POST", POLICY, {"name": "p", "rules": chain(rule("all", action))})
    device.ok("POST", VIRTUAL, {"name": "v", "destination": "192.0.2.1:443", "ipProtocol": "tcp", "fwEnforcedPolicy": "p"})


def test_a_commit_is_not_enforcement(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("settings", {"compile_delay_s": 20})
    f5_site.ask("clock", {"mode": "manual"})
    attach(device, "drop")
    assert (compiled(device), f5_site.ask("verdict", PACKET)["verdict"]) == ("compiling", "allowed")
    assert device.ok("GET", f"{FIREWALL}/container-stat")["entries"] == {}
    f5_site.ask("clock", {"advance": 21})
    assert (compiled(device), f5_site.ask("verdict", PACKET)["verdict"]) == ("ready", "denied")
    row = stats(device.ok("GET", f"{FIREWALL}/container-stat"))[0]
    assert {key: row[key] for key in ("contextName", "contextType", "policyName", "policyType", "ruleCount")} == {
        "contextName": "/Common/v",
        "contextType": "virtual",
        "policyName": "/Common/p",
        "policyType": "Enforced",
        "ruleCount": 1,
    }


def test_rules_are_counted_as_they_are_compiled(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("settings", {"compile_delay_s": 0})
    attach(device, "drop")
    device.ok("POST", f"{FIREWALL}/rule-list", {"name": "l", "rules": chain(rule("a"), rule("b"), rule("c", status="disabled"))})
    device.ok("PATCH", f"{POLICY}/p", {"rules": chain({"name": "l", "ruleList": "l"}, rule("off", status="disabled"), rule("all", "drop"))})
    assert stats(device.ok("GET", f"{FIREWALL}/container-stat"))[0]["ruleCount"] == 3


def test_each_commit_is_active_after_its_own_time(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("settings", {"compile_delay_s": 20})
    f5_site.ask("clock", {"mode": "manual"})
    attach(device, "drop")
    f5_site.ask("clock", {"advance": 10})
    device.ok("PATCH", f"{POLICY}/p/rules/all", {"action": "reject"})
    f5_site.ask("clock", {"advance": 11})
    assert (f5_site.ask("verdict", PACKET)["action"], compiled(device)) == ("drop", "compiling")
    f5_site.ask("clock", {"advance": 10})
    assert (f5_site.ask("verdict", PACKET)["action"], compiled(device)) == ("reject", "ready")


def test_compiling_by_hand(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("settings", {"compile_delay_s": 0})
    path = f"{FIREWALL}/on-demand-compilation"
    device.ok("PATCH", path, {"onDemandCompilation": "enabled"})
    attach(device, "drop")
    assert (compiled(device), f5_site.ask("verdict", PACKET)["verdict"]) == ("manual", "allowed")
    device.ok("POST", path, {"command": "run"})
    assert (compiled(device), f5_site.ask("verdict", PACKET)["verdict"]) == ("ready", "denied")


def test_deploying_by_hand(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("settings", {"compile_delay_s": 0})
    path = f"{FIREWALL}/on-demand-rule-deploy"
    device.ok("PATCH", path, {"onDemandRuleDeploy": "enabled"})
    attach(device, "drop")
    assert (compiled(device), f5_site.ask("verdict", PACKET)["verdict"]) == ("undeployed", "allowed")
    device.ok("POST", path, {"command": "run"})
    assert (compiled(device), f5_site.ask("verdict", PACKET)["verdict"]) == ("ready", "denied")


def test_compiling_may_fail(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("settings", {"compile_delay_s": 0, "compile": "fails"})
    attach(device, "drop")
    assert (compiled(device), f5_site.ask("verdict", PACKET)["verdict"]) == ("failed", "allowed")
    f5_site.ask("settings", {"compile": "works"})
    device.ok("PATCH", f"{POLICY}/p/rules/all", {"log": "yes"})
    assert (compiled(device), f5_site.ask("verdict", PACKET)["verdict"]) == ("ready", "denied")


def test_the_peer_compiles_what_it_was_given(f5_site: Site, device: Bigip, other: Bigip) -> None:
    f5_site.ask("settings", {"compile_delay_s": 20})
    f5_site.ask("clock", {"mode": "manual"})
    attach(device, "drop")
    device.ok("POST", "/mgmt/tm/cm", SYNC)
    f5_site.ask("failover", {})
    assert (compiled(other), f5_site.ask("verdict", PACKET)["verdict"]) == ("compiling", "allowed")
    f5_site.ask("clock", {"advance": 21})
    assert (compiled(other), f5_site.ask("verdict", PACKET)["verdict"]) == ("ready", "denied")


def test_hits_are_counted(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("settings", {"compile_delay_s": 0})
    attach(device, "drop")
    device.ok("PATCH", f"{VIRTUAL}/v", {"fwStagedPolicy": "p"})
    for _ in range(3):
        f5_site.ask("verdict", {**PACKET, "count": True})
    rows = {row["ruleStatType"]: row["hits"] for row in stats(device.ok("GET", f"{FIREWALL}/rule-stat"))}
    assert rows == {"enforced": 3, "staged": 3}
