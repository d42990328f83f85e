"""People at the vendors' own APIs between two runs, and runs that are killed: what is told, what is put right, what is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.cli.four import SITES, Four, Json

FULL = "{scope: env=prod, mode: full}"
FRONT = {"gcp": "10.40.0.11", "azure": "10.50.1.11", "f5": "192.0.2.10"}
OFFICE, STRANGER = "203.0.113.70", "198.51.100.5"
WRITES = {"gcp": "firewalls.insert", "azure": "NetworkSecurityGroups_CreateOrUpdate", "f5": "COMMIT transaction"}
FIREWALLS = "/compute/v1/projects/acme-net/global/firewalls"
AFM = "/mgmt/tm/security/firewall"


def nsg(four: Four) -> str:
    azure = four.lab.state.as_json()["azure"]
    group = f"/subscriptions/{azure['subscription']}/resourceGroups/{azure['resource_group']}"
    return f"{group}/providers/Microsoft.Network/networkSecurityGroups/nsg-web-prod"


def our_policy(four: Four) -> str:
    """Return the path of our policy at the F5's front."""
    virtual = four.act("f5", "GET", "/mgmt/tm/ltm/virtual/~Common~vs_ordering_https")
    return f"{AFM}/policy/{virtual['fwEnforcedPolicy'].replace('/', '~')}"


def ours(four: Four, site: str) -> tuple[str, Json]:
    """Return the path and the content of our rule that lets the office in."""
    if site == "gcp":
        found = four.act(site, "GET", FIREWALLS)["items"]
        one = next(one for one in found if one["name"].startswith("cs-") and "rules=r@" in one["description"])
        return f"{FIREWALLS}/{one['name']}", one
    if site == "azure":
        found = four.act(site, "GET", nsg(four))["properties"]["securityRules"]
        one = next(one for one in found if one["properties"].get("description", "").partition(": ")[2].startswith("r@"))
        return f"{nsg(four)}/securityRules/{one['name']}", one
    rules = four.act(site, "GET", f"{our_policy(four)}/rules")["items"]
    one = next(one for one in rules if one["action"] == "accept")
    return f"{our_policy(four)}/rules/{one['name']}", one


def open_ssh(four: Four, site: str) -> None:
    """Let everybody in, as somebody in a hurry does: above all rules."""
    if site == "gcp":
        rule = {"name": "hurry", "network": "projects/acme-net/global/networks/prod", "priority": 100, "sourceRanges": ["0.0.0.0/0"],
                "allowed": [{"IPProtocol": "tcp", "ports": ["443"]}]}  # fmt: skip
        four.act(site, "POST", FIREWALLS, rule)
    elif site == "azure":
        rule = {"priority": 110, "direction": "Inbound", "access": "Allow", "protocol": "Tcp", "sourceAddressPrefix": "*",
                "sourcePortRange": "*", "destinationAddressPrefix": "*", "destinationPortRange": "443"}  # fmt: skip
        four.act(site, "PUT", f"{nsg(four)}/securityRules/hurry", {"properties": rule})
    else:
        four.act(
            site, "POST", f"{our_policy(four)}/rules", {"name": "hurry", "action": "accept", "ipProtocol": "tcp", "placeBefore": "first"}
        )


def enforced(four: Four, site: str) -> None:
    four.settings(four.target(site, "exclusive"))
    four.policy("allow iplist office to role=web, role=lb on tcp/443", enforced=FULL)
    four.converge()


@pytest.mark.parametrize("site", SITES)
def test_a_door_that_somebody_opened_is_told_by_its_name_and_closed(four: Four, site: str) -> None:
    enforced(four, site)
    open_ssh(four, site)
    four.lab.control.ask("clock", {"advance": 5}, site="f5")
    told = four.run("drift", code=2).out
    assert "hurry" in told, told
    assert four.passes(site, STRANGER, FRONT[site], "tcp", 443)
    four.converge()
    assert not four.passes(site, STRANGER, FRONT[site], "tcp", 443)
    four.settled()


@pytest.mark.parametrize("site", SITES)
def test_a_rule_of_ours_that_somebody_deleted_comes_back(four: Four, site: str) -> None:
    enforced(four, site)
    path, _ = ours(four, site)
    four.act(site, "DELETE", path)
    told = four.run("drift", code=2).out
    assert "tcp/443 from 203.0.113.64/26" in told, told
    assert "not let through" in told, told
    four.converge()
    assert four.passes(site, OFFICE, FRONT[site], "tcp", 443)
    four.settled()


@pytest.mark.parametrize("site", ["gcp", "azure"])
def test_additive_never_touches_what_somebody_adds_and_says_what_it_lets_in(four: Four, site: str) -> None:
    four.settings(four.target(site, "additive"))
    four.policy("allow iplist office to role=web, role=lb on tcp/443", enforced=FULL)
    assert "no drift" not in four.converge().out, "foreign rules let in more, and the next drift says so"
    open_ssh(four, site)
    before = four.foreign(site)
    told = four.run("drift", code=2).out
    assert "hurry" in told, told
    assert "shadow allow" in told, told
    four.forget()
    four.converge()
    assert four.writes() == {}
    assert four.foreign(site) == before


def test_drift_and_apply_agree_where_no_packet_differs(four: Four) -> None:
    enforced(four, "f5")
    four.act("f5", "POST", f"{our_policy(four)}/rules", {"name": "late", "action": "accept", "ipProtocol": "tcp", "placeAfter": "last"})
    told = four.run("drift", code=2).out
    assert "no packet differs" in told, told
    assert "no drift" not in told, told
    four.run("plan", code=2)
    four.converge()
    four.settled()


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("moment", ["hold_before", pytest.param("hold_after", marks=pytest.mark.slow)])
def test_a_run_that_is_killed_at_a_write_is_finished_by_the_next(four: Four, site: str, moment: str) -> None:
    four.settings(four.target(site, "exclusive"))
    four.policy("allow iplist office to role=web, role=lb on tcp/443", enforced=FULL)
    four.lab.control.fault(WRITES[site], moment, site=site)
    command = [sys.executable, "-m", "cloudsync.cli.main", "apply", "--yes", "-C", str(four.root)]
    run = subprocess.Popen(command, env=dict(os.environ) | four.exports, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not four.lab.control.ask("held", site=site):
        assert time.monotonic() < deadline
        assert run.poll() is None, "it was to be killed at a write"
    run.send_signal(signal.SIGKILL)
    run.wait()
    four.lab.control.no_faults()
    four.lab.control.ask("release", {}, site=site)
    four.converge()
    assert [four.passes(site, one, FRONT[site], "tcp", 443) for one in (OFFICE, STRANGER)] == [True, False]
    four.settled()
    assert "whole" in four.run("audit", "--verify", code=0).out
