"""The estates of the Azure lab: what is in them, that a seed gives the same one, and how fast the lab reads."""

from __future__ import annotations

import ipaddress
import json
from collections import Counter
from pathlib import Path

import pytest

from cloudsync.lab.azure.evidence import BEHAVIOURS
from cloudsync.lab.azure.pytest_plugin import Wire
from cloudsync.lab.azure.site import Site
from cloudsync.lab.azure.switches import CHOICES

NSG, NIC = "networkSecurityGroups", "networkInterfaces"


def machines(azure: Wire) -> Counter[str]:
    """Workloads by role; those without a role count as `-`."""
    found: Counter[str] = Counter()
    for each in azure.everything(azure.everywhere("virtualMachines", "Microsoft.Compute")):
        found[each.get("tags", {}).get("role", "-")] += 1
    for each in azure.everything(azure.everywhere("virtualMachineScaleSets", "Microsoft.Compute")):
        found[each["tags"]["role"]] += each["sku"]["capacity"]
    return found


@pytest.mark.parametrize(("estate", "least", "most"), [("empty", 0, 0), ("small", 0, 0), ("four", 12, 12), ("medium", 95, 110)])
def test_sizes(azure: Wire, estate: str, least: int, most: int) -> None:
    azure.site.reset(estate, 1)
    assert least <= sum(machines(azure).values()) <= most


@pytest.mark.parametrize("estate", ["four", "medium"])
def test_a_seed_gives_the_same_estate(azure: Wire, estate: str) -> None:
    states = []
    for seed in (1, 1, 2):
        azure.site.reset(estate, seed)
        states.append(json.dumps(azure.site.ask("state", None)["resources"]))
    assert states[0] == states[1] != states[2]


@pytest.mark.parametrize("estate", ["four", "medium"])
def test_addresses_lie_in_azures_share_of_the_space(azure: Wire, estate: str) -> None:
    azure.site.reset(estate, 1)
    shares = [ipaddress.ip_network(block) for block in ("10.50.0.0/16", "10.51.0.0/16", "fd00:50::/32")]
    for each in azure.everything(azure.everywhere(NIC)):
        for one in each["properties"]["ipConfigurations"]:
            address = ipaddress.ip_address(one["properties"]["privateIPAddress"])
            assert any(address in share for share in shares), each["name"]


def test_foreign_rules_of_four_stay_out_of_the_band(azure: Wire) -> None:
    azure.site.reset("four", 1)
    found = [each for group in azure.everything(azure.everywhere(NSG)) for each in group["properties"]["securityRules"]]
    assert len(found) > 8
    assert all(each["properties"]["priority"] < 1000 for each in found)
    assert any(each["properties"]["protocol"] == "TCP" for each in found)


def test_every_role_and_flaw_is_there(azure: Wire) -> None:
    azure.site.reset("medium", 1)
    assert set(machines(azure)) >= {"web", "app", "db", "cache", "jump", "-"}
    view = azure.get(azure.everywhere("virtualMachines", "Microsoft.Compute") + "?api-version=2024-07-01&statusOnly=true").document["value"]
    powers = Counter(each["properties"]["instanceView"]["statuses"][1]["code"] for each in view)
    assert set(powers) == {"PowerState/running", "PowerState/deallocated"}


def test_a_second_subscription_is_peered_with_the_first(azure: Wire) -> None:
    azure.site.reset("medium", 1)
    second = azure.site.section()["subscriptions"][1]
    found = azure.everything(f"/subscriptions/{second}/providers/Microsoft.Network/networkInterfaces")
    assert [each["name"] for each in found] == ["shared-cache-1-nic", "shared-cache-2-nic"]
    verdict = azure.site.ask("verdict", {"src": "10.50.0.10", "dst": "10.51.192.10", "protocol": "tcp", "port": 389})
    assert (verdict["allowed"], verdict["routed"], verdict["by"]["rule"]) == (True, True, "AllowPeers")
    assert azure.site.ask("verdict", {"src": "10.51.0.11", "dst": "10.51.192.10", "protocol": "tcp", "port": 389})["allowed"] is False


def test_the_section_is_what_a_client_needs(azure_site: Site) -> None:
    section = azure_site.section()
    assert {"endpoint", "authority", "subscription", "tenant", "client_id", "client_secret", "ca_file", "resource_group"} <= set(section)
    assert Path(section["ca_file"]).read_text("ascii").startswith("-----BEGIN CERTIFICATE-----")
    assert section["subscription"] in section["subscriptions"]
    assert json.loads(json.dumps(section)) == section


def test_behaviours_are_listed_once_each_and_switches_have_a_default() -> None:
    assert len({(each.row, each.what) for each in BEHAVIOURS}) == len(BEHAVIOURS)
    assert all(each.row.startswith("azure ") for each in BEHAVIOURS)
    assert all(len(words) > 1 for words in CHOICES.values())
