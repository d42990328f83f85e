"""Application security groups against the lab: who is put into them, what is written when a label changes, and what is carried along."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudsync.adapter import Seen, Status, Step, TargetSettings
from cloudsync.lab.azure.estate import Machine, Rule, Works
from cloudsync.lab.azure.pytest_plugin import Wire, azure_site, azure_site_server
from cloudsync.lab.azure.site import Site
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync_azure import ADAPTER
from cloudsync_azure.adapter import AzureAdapter
from cloudsync_azure.joins import Moves
from cloudsync_azure.limits import ASG_PERMISSIONS, MOVED_CODE
from cloudsync_azure.table import Asg, AzureTable
from tests.wire.test_azure_lab import OUTCOMES, Repository, Shortened, calls, options_of

__all__ = ["azure_site", "azure_site_server"]

PUT_NIC, PUT_NSG = "NetworkInterfaces_CreateOrUpdate", "NetworkSecurityGroups_CreateOrUpdate"
KIND = "applicationSecurityGroups"
MACHINES = {
    "web-1": ("prod/net", "10.60.0.11", "web"),
    "web-2": ("prod/net", "10.60.0.12", "web"),
    "app-1": ("prod/net", "10.60.0.21", "app"),
    "app-2": ("prod/net", "10.60.0.22", "app"),
    "db-1": ("prod/net", "10.60.0.31", "db"),
    "job-1": ("prod/net", "10.60.0.41", "job"),
    "job-2": ("side/net", "10.61.0.42", "job"),
}
"""Name -> subnet, address, role. The jobs are in two networks."""
POLICY = """version: 1
labels:
  role: [web, app, db, job]
iplists:
  office: [198.51.100.0/25]
services:
  postgres: tcp/5432
enforcement:
  default: full
rulesets:
  - name: all
    scope: all
    rules:
      - never allow iplist office to role=db on tcp/22
      - allow role=web to role=app on tcp/8443
      - allow role=app to role=db on postgres
      - allow role=job to role=db|app on tcp/9000
      - allow iplist office to role=web on tcp/443
"""
ASKED = (("tcp", 22), ("tcp", 443), ("tcp", 5432), ("tcp", 8443), ("tcp", 9000), ("udp", 53))


@pytest.fixture
def site(azure_site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Two networks that are peered, each with one group on its subnet."""
    azure_site.ask("settings", {"retry_after": "none"})
    section = azure_site.section()
    for name, key in (("TENANT_ID", "tenant"), ("CLIENT_ID", "client_id"), ("CLIENT_SECRET", "client_secret")):
        monkeypatch.setenv(f"AZURE_{name}", section[key])
    works = works_of(azure_site)
    for name, block in (("prod", "10.60.0.0"), ("side", "10.61.0.0")):
        works.nsg(f"nsg-{name}", (Rule("old", 2000, ports="22"),))
        works.vnet(name, [f"{block}/16"], {"net": ([f"{block}/24"], f"nsg-{name}")})
    works.peer("prod", "side")
    for name, (subnet, address, role) in MACHINES.items():
        works.launch(Machine(name, subnet, address, (("role", role),)))
    return azure_site


def works_of(site: Site) -> Works:
    section = site.section()
    return Works(site, f"/subscriptions/{section['subscription']}/resourceGroups/{section['resource_group']}")


class Groups(Repository):
    """A config repository with `asgs: on`, unless told otherwise."""

    def write(self, mode: str, enforcement: str = "full", **more: Any) -> None:
        super().write(mode, enforcement, **{"asgs": "on", **more})
        settings = self.root / "cloudsync.yaml"
        kept = [line for line in settings.read_text("utf-8").splitlines() if "label: app" not in line and "label: env" not in line]
        settings.write_text("\n".join(kept) + "\n", "utf-8")
        (self.root / "policy" / "p.yaml").write_text(POLICY.replace("default: full", f"default: {enforcement}"), "utf-8")

    def apply(self) -> str:
        code, said = self.run("apply", "--yes")
        assert code == 0, said
        return said


@pytest.fixture
def groups(site: Site, tmp_path: Path) -> Groups:
    tmp_path.chmod(0o700)
    return Groups(tmp_path, site)


Open = Callable[..., AzureAdapter]


@pytest.fixture
def opened(site: Site) -> Open:
    def build(**more: Any) -> AzureAdapter:
        target = TargetSettings(
            "az", "azure", TargetMode.EXCLUSIVE, options_of(site, asgs="on", **more), Where("c.yaml"), site.section()["endpoint"]
        )
        return AzureAdapter(target, "acme", Shortened(site))

    return build


def nic_of(site: Site, name: str) -> dict[str, Any]:
    found: dict[str, Any] = Wire(site).get(Wire(site).path("networkInterfaces", f"{name}-nic")).document
    return found


def joined(site: Site, name: str) -> list[str]:
    seats = nic_of(site, name)["properties"]["ipConfigurations"]
    return sorted({one["id"].rpartition("/")[2] for seat in seats for one in seat["properties"].get(KIND, ())})


def rules(site: Site) -> list[dict[str, Any]]:
    shown = site.ask("state", {})["resources"]
    return [
        rule["properties"] for one in shown if one["type"].endswith("networkSecurityGroups") for rule in one["properties"]["securityRules"]
    ]


def asgs(site: Site) -> list[dict[str, Any]]:
    return [one for one in site.ask("state", {})["resources"] if one["type"].endswith(KIND)]


def reach(site: Site) -> dict[tuple[str, str, str, int], bool]:
    """Return what the data plane says of every pair of machines, and of the office."""
    addresses = {name: address for name, (_, address, _) in MACHINES.items()} | {"office": "198.51.100.7", "stranger": "8.8.8.8"}
    found: dict[tuple[str, str, str, int], bool] = {}
    for source, start in addresses.items():
        for goal in MACHINES:
            for protocol, port in ASKED if source != goal else ():
                given = {"src": start, "dst": addresses[goal], "protocol": protocol, "port": port}
                found[source, goal, protocol, port] = site.ask("verdict", given)["allowed"]
    return found


def meant(roles: dict[str, str]) -> dict[tuple[str, str, str, int], bool]:
    """Return the same as POLICY says it."""
    opened = {("web", "app", 8443), ("app", "db", 5432), ("job", "db", 9000), ("job", "app", 9000), ("office", "web", 443)}
    everybody = {**roles, "office": "office", "stranger": "stranger"}
    return {
        (source, goal, protocol, port): protocol == "tcp" and (everybody[source], roles[goal], port) in opened
        for source in everybody
        for goal in roles
        for protocol, port in ASKED
        if source != goal
    }


ROLES = {name: role for name, (_, _, role) in MACHINES.items()}


def relabel(site: Site, name: str, role: str) -> None:
    path = f"{works_of(site).group}/providers/Microsoft.Compute/virtualMachines/{name}"
    assert site.act({"method": "PATCH", "path": path, "body": {"tags": {"role": role}}})["status"] < 300


# --- whole runs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["exclusive", "additive"])
def test_classes_become_groups_and_the_data_plane_says_the_policy(site: Site, groups: Groups, mode: str) -> None:
    groups.write(mode)
    groups.apply()
    expected = meant(ROLES)
    if mode == "additive":
        expected |= {key: True for key in expected if key[2:] == ("tcp", 22) and key[:2] != ("office", "db-1")}
    assert reach(site) == expected
    assert {joined(site, name)[0] for name in ("web-1", "web-2")} == {joined(site, "web-1")[0]}
    assert len({joined(site, name)[0] for name in ("web-1", "app-1", "db-1")}) == 3
    assert [joined(site, name) for name in ("job-1", "job-2")] == [[], []], "a class in two networks is written by its addresses"
    named = [
        each["id"]
        for rule in rules(site)
        for side in ("source", "destination")
        for each in rule.get(f"{side}{KIND[0].upper()}{KIND[1:]}", ())
    ]
    assert {one.rpartition("/")[2] for one in named} == {one["name"] for one in asgs(site)}
    assert {one["tags"]["cloudsync-managed"] for one in asgs(site)} == {"acme"}
    groups.writes()
    groups.apply()
    assert groups.writes() == 0


def test_a_changed_label_is_one_write_of_one_interface(site: Site, groups: Groups) -> None:
    groups.write("exclusive")
    groups.apply()
    calls(site)
    relabel(site, "web-2", "app")
    groups.apply()
    made = calls(site)
    assert (made.get(PUT_NIC, 0), made.get(PUT_NSG, 0)) == (1, 0), made
    assert joined(site, "web-2") == joined(site, "app-1")
    assert reach(site) == meant({**ROLES, "web-2": "app"})
    groups.apply()
    assert calls(site).get(PUT_NIC, 0) == 0


def test_the_last_machine_of_a_class_takes_the_group_with_it(site: Site, groups: Groups) -> None:
    groups.write("exclusive")
    groups.apply()
    before = {one["name"] for one in asgs(site)}
    relabel(site, "db-1", "app")
    groups.apply()
    assert reach(site) == meant({**ROLES, "db-1": "app"})
    assert len(before - {one["name"] for one in asgs(site)}) == 1


def test_a_machine_taken_out_by_hand_is_drift_and_is_put_back(site: Site, groups: Groups) -> None:
    groups.write("exclusive")
    groups.apply()
    calls(site)
    nic = nic_of(site, "web-1")
    for seat in nic["properties"]["ipConfigurations"]:
        seat["properties"][KIND] = []
    site.act({"method": "PUT", "path": nic["id"], "body": nic})
    everybody = meant(ROLES)
    now = reach(site)
    assert [key for key in now if now[key] is not everybody[key] and "web-1" not in key] == [], "nobody else is touched by it"
    code, said = groups.run("drift")
    assert code == 2, said
    calls(site)
    groups.apply()
    made = calls(site)
    assert (made.get(PUT_NIC, 0), made.get(PUT_NSG, 0)) == (1, 0), made
    assert reach(site) == everybody


@pytest.mark.parametrize("how", ["release", "no room", "off"])
def test_giving_back_leaves_nothing_named_and_interfaces_as_they_were(site: Site, groups: Groups, how: str) -> None:
    before = {name: without_counters(nic_of(site, name)) for name in MACHINES}
    groups.write("exclusive")
    groups.apply()
    if how == "release":
        groups.write("exclusive", "visibility")
    else:
        groups.write("exclusive", **({"asgs": "off"} if how == "off" else {"quotas": {"asgs": 0}}))
    code, said = groups.run("apply", "--yes")
    if code == 4:  # many rules go at once: somebody has to approve
        words = next(line for line in said.splitlines() if "cloudsync approve" in line).partition("cloudsync ")[2]
        assert groups.run(shlex.split(words)[0], *shlex.split(words)[3:])[0] == 0
        said = groups.apply()
    assert not any(f"{KIND[0].upper()}{KIND[1:]}" in key and rule[key] for rule in rules(site) for key in rule)
    if how != "release":
        assert reach(site) == meant(ROLES)
    if how == "off":
        assert "quotas: {asgs: 0}" in groups.run("plan")[1]
        return
    assert asgs(site) == []
    assert {name: without_counters(nic_of(site, name)) for name in MACHINES} == before


def without_counters(shown: object) -> object:
    if isinstance(shown, dict):
        return {key: without_counters(one) for key, one in shown.items() if key not in ("etag", KIND)}
    return [without_counters(one) for one in shown] if isinstance(shown, list) else shown


def test_the_role_is_enough_and_doctor_asks_for_the_same_rights(site: Site, groups: Groups, opened: Open) -> None:
    target = TargetSettings("az", "azure", TargetMode.EXCLUSIVE, options_of(site, asgs="on"), Where("c.yaml"), "")
    plain = TargetSettings("az", "azure", TargetMode.EXCLUSIVE, options_of(site), Where("c.yaml"), "")
    actions = json.loads(ADAPTER.role([target], owner="acme", read_only=False))["Actions"]
    fewer = json.loads(ADAPTER.role([plain], owner="acme", read_only=False))["Actions"]
    assert set(actions) - set(fewer) == {one.action for one in ASG_PERMISSIONS}
    site.ask("principals", {"client_id": "cloudsync", "grants": [{"actions": fewer}]})
    missing = {one.name.rpartition(": ")[2] for one in opened().doctor() if not one.ok}
    assert {one.action for one in ASG_PERMISSIONS} <= missing
    site.ask("principals", {"client_id": "cloudsync", "grants": [{"actions": actions}]})
    assert [one.name for one in opened().doctor() if not one.ok] == ["rights"] or all(
        one.ok for one in opened().doctor() if "Microsoft." in one.name
    )
    groups.write("exclusive")
    groups.apply()
    assert reach(site) == meant(ROLES)


def test_without_the_right_to_read_groups_nothing_of_the_read_is_used(site: Site, opened: Open) -> None:
    site.ask("faults", {"operation": "ApplicationSecurityGroups_ListAll", "kind": "denied", "times": 0})
    snapshot = opened().read()
    assert not snapshot.complete
    assert snapshot.table.nsgs == {}


# --- one interface -------------------------------------------------------------------------------------------------------


def a_join(site: Site, adapter: AzureAdapter) -> tuple[AzureTable, Step]:
    """Return a table with a group of ours that is there, and the step that puts web-1 into it."""
    path = works_of(site).path(KIND, "cs-acme-0123456789-abcdef")
    works_of(site).put(path, {}, tags={"cloudsync-managed": "acme"})
    calls(site)
    table = adapter.read().table
    asg = Asg(path.lower(), "westeurope", "acme")
    assert table.asgs[asg.id] == asg
    nic = next(one for one in table.nics.values() if one.name == "web-1-nic")
    goal = adapter.simulate(table)
    more = {**goal.nics, nic.point: type(nic)(**{**{name: getattr(nic, name) for name in nic.__slots__}, "asgs": (*nic.asgs, asg.id)})}
    wanted = AzureTable(table.owner, table.scope, table.nsgs, more, table.subnets, table.spaces, table.asgs)
    (step,) = Moves.of(table, wanted).put(table, wanted, "join")
    return table, step


def test_an_interface_is_written_whole_and_only_its_groups_change(site: Site, opened: Open) -> None:
    works = works_of(site)
    theirs = works.path(KIND, "theirs")
    works.put(theirs, {})
    nic = nic_of(site, "web-1")
    nic["tags"] = {"team": "shop"}
    nic["properties"] |= {"enableIPForwarding": True, "dnsSettings": {"dnsServers": ["10.0.0.4"]}}
    seat = nic["properties"]["ipConfigurations"][0]["properties"]
    seat[KIND] = [{"id": theirs}]
    works.put(works.path("publicIPAddresses", "web-1-ip"), {"publicIPAllocationMethod": "Static"})
    seat["publicIPAddress"] = {"id": works.path("publicIPAddresses", "web-1-ip")}
    assert site.act({"method": "PUT", "path": nic["id"], "body": nic})["status"] < 300
    site.ask("settings", {"read_only_fields": "refuse"})
    before = nic_of(site, "web-1")
    adapter = opened()
    table, step = a_join(site, adapter)
    assert adapter.write(step, {}).status is Status.DONE
    assert calls(site)[PUT_NIC] == 1
    after = nic_of(site, "web-1")
    assert joined(site, "web-1") == ["cs-acme-0123456789-abcdef", "theirs"]
    assert without_counters(after) == without_counters(before)
    fresh = adapter.refresh(table, [step], {})
    assert adapter.seen(fresh, step, {}) is Seen.YES
    assert fresh == adapter.simulate(table, step)


@pytest.mark.parametrize(("kind", "status", "throttled", "applied"), OUTCOMES[:12], ids=[one[0] for one in OUTCOMES[:12]])
def test_every_way_a_join_can_end_is_one_put_and_the_right_word(
    site: Site, opened: Open, kind: str, status: Status, *, throttled: bool, applied: bool
) -> None:
    adapter = opened(max_wait="3s")
    table, step = a_join(site, adapter)
    site.ask("faults", {"operation": PUT_NIC, "kind": kind})
    outcome = adapter.write(step, {})
    assert (outcome.status, outcome.throttled) == (status, throttled), outcome
    assert calls(site)[PUT_NIC] == 1, "never sent again"
    assert (adapter.seen(adapter.refresh(table, [step], {}), step, {}) is Seen.YES) is applied


def test_somebody_elses_groups_on_an_interface_are_never_lost(site: Site, opened: Open) -> None:
    adapter = opened()
    table, step = a_join(site, adapter)
    theirs = works_of(site).path(KIND, "theirs")
    works_of(site).put(theirs, {})
    nic = nic_of(site, "web-1")
    nic["properties"]["ipConfigurations"][0]["properties"][KIND] = [{"id": theirs}]
    edit = {"method": "PUT", "path": nic["id"], "body": nic}
    site.ask("faults", {"operation": PUT_NIC, "kind": "edit", "call": edit})
    outcome = adapter.write(step, {})
    assert (outcome.status, outcome.throttled) == (Status.FAILED, True), "412 between our look and our PUT"
    assert joined(site, "web-1") == ["theirs"]
    assert adapter.write(step, {}).code == MOVED_CODE, "the look before the PUT shows it"
    assert adapter.seen(adapter.refresh(table, [step], {}), step, {}) is Seen.OTHER
