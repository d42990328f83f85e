"""The estates of the pair: how large, how labelled, in step, and the same with every build."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from cloudsync.lab.f5.pytest_plugin import bigip, f5_site, f5_site_server
from cloudsync.lab.f5.site import Site

__all__ = ["f5_site", "f5_site_server"]

ESTATES = {"empty": 0, "small": 0, "four": 12, "medium": 100}


def virtuals(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = site.ask("state", None)["bigip1"]["running"]["ltm/virtual"]
    return found


@pytest.mark.parametrize(("name", "size"), ESTATES.items())
def test_an_estate_stands_in_step_saved_and_compiled(f5_site: Site, name: str, size: int) -> None:
    f5_site.reset(name, 1)
    state = f5_site.ask("state", None)
    assert len(state["bigip1"]["running"]["ltm/virtual"]) == size
    for unit in ("bigip1", "bigip2"):
        assert {key: state[unit][key] for key in ("color", "unsaved", "compile", "saves", "live_tokens", "open_transactions")} == {
            "color": "green",
            "unsaved": False,
            "compile": "ready",
            "saves": 0,
            "live_tokens": 0,
            "open_transactions": [],
        }
    assert state["bigip1"]["running"]["security/firewall/policy"] == state["bigip2"]["running"]["security/firewall/policy"]
    assert f5_site.ask("log", {"reads": True}) == []


@pytest.mark.parametrize("name", ["four", "medium"])
def test_the_same_estate_is_the_same(f5_site: Site, name: str) -> None:
    f5_site.reset(name, 3)
    first = f5_site.ask("state", None)
    f5_site.reset(name, 3)
    assert f5_site.ask("state", None) == first


@pytest.mark.parametrize("name", ["four", "medium"])
def test_labels_are_those_of_the_estate_with_a_few_mistakes(f5_site: Site, name: str) -> None:
    f5_site.reset(name, 1)
    labelled: Counter[bool] = Counter()
    for each in virtuals(f5_site).values():
        found = {one["name"]: one["value"] for one in each.get("metadata", ())}
        labelled[set(found) == {"role", "app", "env", "loc"} and found["loc"] == "dc1" and found["env"] in ("prod", "dev", "test")] += 1
    assert labelled[True] > 2 * labelled[False] > 0


@pytest.mark.parametrize("name", ["four", "medium"])
def test_addresses_are_those_of_the_data_centre(f5_site: Site, name: str) -> None:
    f5_site.reset(name, 1)
    ours = [ip_network(each) for each in ("10.60.0.0/16", "192.0.2.0/24", "2001:db8:60::/48")]
    found = f5_site.ask("state", None)["bigip1"]["running"]["ltm/virtual-address"]
    for path in found:
        address = ip_address(path.rpartition("/")[2].partition("%")[0])
        assert any(address in each for each in ours), path


def test_members_stand_on_the_other_platforms(f5_site: Site) -> None:
    f5_site.reset("medium", 1)
    nodes = f5_site.ask("state", None)["bigip1"]["running"]["ltm/node"]
    first = Counter(path.removeprefix("/Common/").split(".")[1] for path in nodes if "." in path)
    assert {"40", "41", "50", "51"} <= first.keys()


def test_what_is_left_from_years_ago(f5_site: Site) -> None:
    f5_site.reset("four", 1)

    def rule(src: str, **more: Any) -> str:
        return str(f5_site.ask("verdict", {"src": src, "dst": "192.0.2.10", "port": 443, **more})["rule"])

    assert rule("203.0.113.1") == "web"
    assert rule("192.0.2.130") == "block_listed"
    assert f5_site.ask("verdict", {"src": "10.9.9.9", "dst": "192.0.2.99", "port": 21})["context"] == "listener"  # disabled
    device = bigip(f5_site)
    assert device.code("DELETE", "/mgmt/tm/security/firewall/policy/legacy_edge") == "01070830"
    assert device.code("DELETE", "/mgmt/tm/security/firewall/policy/migration_2016") == "ok"  # nobody uses it


def test_the_lab_in_its_own_domain_uses_addresses_of_production(f5_site: Site) -> None:
    f5_site.reset("medium", 1)
    near = f5_site.ask("verdict", {"src": "10.60.9.9", "dst": "10.60.2.10", "port": 443})
    far = f5_site.ask("verdict", {"src": "10.60.9.9%7", "dst": "10.60.2.10%7", "port": 443})
    assert (near["listener"], far["listener"]) == ("/Common/vs_ordering_inside", "/Common/vs_lab_1")
    stranger = f5_site.ask("verdict", {"src": "10.70.0.1%7", "dst": "10.60.2.10%7", "port": 443})
    assert (stranger["verdict"], stranger["context"]) == ("denied", "route-domain")
