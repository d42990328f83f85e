"""Where virtual servers forward to, over the wire: as the devices themselves would, and what is enforced when pools cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudsync.adapter import Discovery
from cloudsync.lab.f5.pytest_plugin import f5_site, f5_site_server
from cloudsync.lab.f5.site import Site
from cloudsync.model import intervals
from cloudsync.model.address import ANYWHERE, AddressSet, Family, address_text
from cloudsync.model.service import ANY_SERVICE, ServiceSet
from cloudsync.model.workload import Forward
from cloudsync_f5.table import F5Table
from tests.wire.test_f5_truth import read
from tests.wire.test_f5_wire import Pair

__all__ = ["f5_site", "f5_site_server"]

POOL = "/mgmt/tm/ltm/pool"


def discovered(site: Site, monkeypatch: pytest.MonkeyPatch) -> tuple[F5Table, Discovery]:
    adapter, _ = read(site, monkeypatch)
    snapshot = adapter.read()
    table: F5Table = snapshot.table
    return table, snapshot.discovery


def forwards(found: Discovery) -> dict[str, tuple[Forward, ...]]:
    return {one.ref: one.interfaces[0].forwards for one in found.workloads}


def said(site: Site, table: F5Table, path: str) -> tuple[set[str], set[str]]:
    """Ask the devices themselves: members with ports, and the addresses from which connections go on."""
    virtual = table.virtuals[path]
    family = Family.V4 if virtual.addresses.v4 else Family.V6
    suffix = f"%{virtual.domain}" if virtual.domain else ""
    vip = next(iter(intervals.ranges(virtual.addresses.family(family))))[0]
    run = next(virtual.listener.services.ranges())
    source = ("10.20.0.5" if family is Family.V4 else "2001:db8:10::1") + suffix
    asked = {"src": source, "dst": address_text(family, vip) + suffix, "protocol": str(run.protocol), "port": run.first}
    answer = site.ask("verdict", asked)
    assert answer["listener"] == path
    return set(answer["members"]), set(answer["forwarded_from"])


def hosts(addresses: AddressSet) -> set[str]:
    return {cidr.partition("/")[0] for cidr in addresses.cidrs()}


def named(one: Forward) -> set[str]:
    """Return members as a device names them."""
    run = next(one.onward.ranges())
    return {f"{host}{'.' if ':' in host else ':'}{run.first}" for host in _each(one.to)}


def _each(addresses: AddressSet) -> list[str]:
    return [
        address_text(family, value)
        for family in Family
        for first, end in intervals.ranges(addresses.family(family))
        for value in range(first, end)
    ]


@pytest.mark.parametrize("estate", ["four", "medium"])
def test_flows_go_on_to_whom_the_devices_send_them(f5_site: Site, monkeypatch: pytest.MonkeyPatch, estate: str) -> None:
    f5_site.reset(estate, 1)
    table, found = discovered(f5_site, monkeypatch)
    ways = kept = 0
    for path, known in forwards(found).items():
        virtual = table.virtuals[path]
        if virtual.skipped or virtual.disabled:
            continue
        members, sources = said(f5_site, table, path)
        assert {name for one in known for name in named(one)} == members, path
        for one in known:
            assert one.services == virtual.listener.services
            assert sources <= set(_each(one.sources)), "the address that it really comes from is among them"
            assert bool(sources) is bool(one.sources)
            ways, kept = ways + 1, kept + (not one.sources)
    assert ways >= 9
    assert kept >= 2, "some keep the client's address"


def test_the_self_addresses_of_the_standby_count_because_it_may_take_over(f5_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    f5_site.reset("four", 1)
    _, found = discovered(f5_site, monkeypatch)
    (one,) = forwards(found)["/Common/vs_ordering_api"]
    assert {"10.60.1.1", "10.60.1.2", "10.60.1.3"} <= set(_each(one.sources))


def test_pools_come_page_by_page(f5_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    f5_site.reset("medium", 1)
    _, whole = discovered(f5_site, monkeypatch)
    monkeypatch.setattr("cloudsync_f5.read.POOLS_PAGE", 7)
    f5_site.ask("settings", {"largest_expanded_read": 20})
    monkeypatch.setattr("cloudsync_f5.read.PAGE_SIZE", 7)
    _, paged = discovered(f5_site, monkeypatch)
    assert forwards(paged) == forwards(whole)
    calls = [one for one in f5_site.ask("log", {"reads": True}) if one["operation"] == "GET ltm/pool"]
    assert len(calls) > 8


def test_a_pool_is_read_anew_each_time_and_moves_no_plan(f5_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    f5_site.reset("four", 1)
    adapter, _ = read(f5_site, monkeypatch)
    before = adapter.read()
    member = "/mgmt/tm/ltm/pool/~Common~pool_ordering_https/members/~Common~10.40.0.12:443"
    f5_site.act_json({"method": "PATCH", "path": member, "body": {"state": "user-down", "session": "user-disabled"}})
    after = adapter.read()
    (was,), (now,) = (forwards(one.discovery)["/Common/vs_ordering_https"] for one in (before, after))
    assert (hosts(was.to) - hosts(now.to), now.services) == ({"10.40.0.12"}, was.services)
    assert (before.digest, before.table) == (after.digest, after.table)


@pytest.mark.parametrize("kind", ["denied", "error500", "garbage", "truncated", "reset_before"])
def test_a_device_that_does_not_show_pools_is_read_whole_all_the_same(f5_site: Site, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    f5_site.reset("four", 1)
    adapter, before = read(f5_site, monkeypatch)
    f5_site.ask("faults", {"operation": "GET ltm/pool", "kind": kind, "times": 0})
    snapshot = adapter.read()
    table: F5Table = snapshot.table
    assert snapshot.complete
    assert table == before
    assert (before.unfollowed, bool(table.unfollowed)) == ("", True)
    for path, known in forwards(snapshot.discovery).items():
        assert [(one.to, one.onward) for one in known] == ([(ANYWHERE, ANY_SERVICE)] if table.virtuals[path].pool.path else [])


def test_without_pools_the_policy_is_enforced_and_a_note_says_what_is_not_known(
    f5_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = f5_site
    monkeypatch.setenv("F5_USER", site.section()[0]["user"])
    monkeypatch.setenv("F5_PASSWORD", site.section()[0]["password"])
    site.ask("settings", {"compile_delay_s": 0})
    site.act_json({"method": "POST", "path": POOL, "body": {"name": "p", "members": [{"name": "10.40.0.11:443"}]}})
    site.ask("faults", {"operation": "GET ltm/pool", "kind": "denied", "times": 0})
    pair = Pair(site, tmp_path)
    pair.virtual("vs", "10.60.2.10:443", "role=web env=prod", pool="/Common/p")
    pair.policy("allow iplist corp to role=web on tcp/443")
    assert pair.run("plan") == 2, pair.text
    assert "where virtual servers forward to is not known" in pair.text
    pair.apply()
    assert pair.attached("vs").startswith("/Common/cs_acme_")
    assert pair.run("doctor") == 5, pair.text
    assert "NOT dg-failover: pools: " in pair.text


def test_pools_are_not_asked_for_where_nothing_has_one(f5_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    f5_site.act_json({"method": "POST", "path": "/mgmt/tm/ltm/virtual", "body": {"name": "vs", "destination": "/Common/10.60.2.10:443"}})
    discovered(f5_site, monkeypatch)
    assert not [one for one in f5_site.ask("log", {"reads": True}) if one["operation"] == "GET ltm/pool"]


def test_every_service_goes_on_as_it_came_where_a_member_has_no_port(f5_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    f5_site.act_json({"method": "POST", "path": POOL, "body": {"name": "p", "members": [{"name": "10.40.0.11:0"}]}})
    body = {"name": "vs", "destination": "/Common/10.60.2.10:0", "ipProtocol": "tcp", "pool": "/Common/p"}
    f5_site.act_json({"method": "POST", "path": "/mgmt/tm/ltm/virtual", "body": body})
    _, found = discovered(f5_site, monkeypatch)
    whole = ServiceSet.protocol(6)
    assert forwards(found)["/Common/vs"] == (Forward(whole, AddressSet.of("10.40.0.11/32"), whole),)
