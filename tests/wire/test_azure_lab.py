"""The Azure adapter against the lab: a subscription that pages, lags, loses answers, refuses, and lets others write at the same time."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cloudsync.adapter import Effect, Seen, Status, Step, TargetSettings
from cloudsync.cli.main import main
from cloudsync.lab.azure.pytest_plugin import Wire, azure_site, azure_site_server
from cloudsync.lab.azure.site import Site
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.errors import AdapterError
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import Packet
from cloudsync_azure import payload as wire
from cloudsync_azure.adapter import AzureAdapter
from cloudsync_azure.decode import decode
from cloudsync_azure.limits import MOVED_CODE
from cloudsync_azure.payload import rule_json
from cloudsync_azure.steps import delete_rule, put, put_rule
from cloudsync_azure.table import ANY_SIDE, AzureTable, Nsg, Protocol, Rule, Side, Tier, order

__all__ = ["azure_site", "azure_site_server"]

PUT = "NetworkSecurityGroups_CreateOrUpdate"


@dataclass
class Shortened:
    """The real clock, with sleeps cut out and told to the lab."""

    site: Site
    slept: float = 0.0

    def now(self) -> float:
        return 1767225600.0 + self.monotonic()

    def monotonic(self) -> float:
        return time.monotonic() + self.slept

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.site.ask("clock", {"advance": seconds})


Open = Callable[..., AzureAdapter]


@pytest.fixture
def site(azure_site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    azure_site.reset("four", 1)
    azure_site.ask("settings", {"retry_after": "none"})
    section = azure_site.section()
    for name in ("tenant", "client_id", "client_secret"):
        monkeypatch.setenv(f"AZURE_{name.upper()}" if name != "tenant" else "AZURE_TENANT_ID", section[name])
    return azure_site


def options_of(site: Site, **more: Any) -> dict[str, Any]:
    section = site.section()
    plain = {name: section[name] for name in ("subscription", "authority", "ca_file")}
    return {**plain, "resource_groups": [section["resource_group"]], "nsgs": "all", **more}


@pytest.fixture
def opened(site: Site) -> Open:
    def build(mode: TargetMode = TargetMode.ADDITIVE, **more: Any) -> AzureAdapter:
        target = TargetSettings("az", "azure", mode, options_of(site, **more), Where("cloudsync.yaml"), site.section()["endpoint"])
        return AzureAdapter(target, "acme", Shortened(site))

    return build


def a_rule(priority: int = 1500, name: str = "cs-acme-a-web-0123456789ab") -> Rule:
    source, own = Side(AddressSet.of("192.0.2.0/24")), Side(AddressSet.of("10.50.2.11"))
    return Rule(name, False, priority, False, Protocol.TCP, source, own, (443, 444), description="cloudsync/acme: web#1", tier=Tier.ALLOW)


def the(table: AzureTable, name: str = "nsg-app-prod") -> Nsg:
    return next(one for one in table.nsgs.values() if one.name == name)


def with_rule(nsg: Nsg, *rules: Rule) -> Nsg:
    return replace(nsg, rules=tuple(sorted((*nsg.rules, *rules), key=order)))


def a_put(table: AzureTable) -> Step:
    nsg = the(table)
    return put(table, nsg, with_rule(nsg, a_rule()))


def calls(site: Site) -> dict[str, int]:
    found: dict[str, int] = site.ask("calls", {"clear": True})
    return found


def stored(site: Site, name: str = "nsg-app-prod") -> dict[str, Any]:
    found: dict[str, Any] = Wire(site).get(Wire(site).path("networkSecurityGroups", name)).document
    return found


# --- reading -------------------------------------------------------------------------------------------------------------


def test_a_read_takes_few_calls_whatever_the_number_of_rules(site: Site, opened: Open) -> None:
    adapter = opened()
    adapter.identify()
    calls(site)
    snapshot = adapter.read()
    assert snapshot.complete
    assert calls(site) == {
        "NetworkSecurityGroups_ListAll": 1,
        "NetworkInterfaces_ListAll": 1,
        "VirtualNetworks_ListAll": 1,
        "VirtualMachines_ListAll": 1,
        "VirtualMachineScaleSets_ListAll": 1,
        "NetworkInterfaces_ListVirtualMachineScaleSetNetworkInterfaces": 1,
        "PublicIPAddresses_ListAll": 1,
    }
    assert {one.name for one in snapshot.discovery.workloads} >= {"payments-app-vmss_0", "ordering-web-1"}
    assert opened().read().digest == snapshot.digest


def test_pages_are_followed_to_the_end(site: Site, opened: Open) -> None:
    whole = opened().read()
    site.ask("settings", {"page_size": 2})
    assert opened().read().digest == whole.digest


LISTS = (
    "NetworkSecurityGroups_ListAll",
    "NetworkInterfaces_ListAll",
    "VirtualNetworks_ListAll",
    "VirtualMachines_ListAll",
    "VirtualMachineScaleSets_ListAll",
    "NetworkInterfaces_ListVirtualMachineScaleSetNetworkInterfaces",
    "PublicIPAddresses_ListAll",
)


@pytest.mark.parametrize("operation", LISTS)
@pytest.mark.parametrize("kind", ["denied", "garbage", "empty", "redirect", "expired"])
def test_any_list_that_fails_leaves_nothing_of_the_subscription(site: Site, opened: Open, operation: str, kind: str) -> None:
    site.ask("faults", {"operation": operation, "kind": kind, "times": 0})
    snapshot = opened().read()
    assert not snapshot.complete
    assert snapshot.scopes[0].why
    assert (snapshot.table.nsgs, snapshot.table.nics, snapshot.discovery.workloads) == ({}, {}, ())


@pytest.mark.parametrize("kind", ["throttle", "unavailable", "reset_before", "truncated"])
def test_a_read_is_tried_again(site: Site, opened: Open, kind: str) -> None:
    site.ask("faults", {"operation": "NetworkSecurityGroups_ListAll", "kind": kind, "times": 2})
    assert opened().read().complete


def test_a_page_that_leads_back_or_away_is_incomplete_and_the_token_stays_at_home(site: Site, opened: Open) -> None:
    site.ask("settings", {"page_size": 2})
    site.ask("faults", {"operation": "NetworkSecurityGroups_ListAll", "kind": "page_repeated", "nth": 2, "times": 0})
    site.ask("faults", {"operation": "NetworkSecurityGroups_ListAll", "kind": "token_repeated", "nth": 2, "times": 0})
    assert not opened().read().complete
    site.ask("faults", None)
    site.ask("settings", {"next_link_base": "https://127.0.0.1:1"})
    away = opened().read()
    assert "refused to follow Azure Resource Manager to 127.0.0.1:1" in away.scopes[0].why


def test_another_subscription_is_noticed_before_anything_is_read(site: Site, opened: Open) -> None:
    site.ask("faults", {"operation": "Subscriptions_Get", "kind": "identity", "times": 0})
    adapter = opened()
    assert adapter.identify().account != adapter.expected_account()
    with pytest.raises(AdapterError, match="settings say"):
        opened(tenant="00000000-0000-0000-0000-000000000009").identify()


# --- writing -------------------------------------------------------------------------------------------------------------


def test_a_put_changes_the_rules_and_nothing_else(site: Site, opened: Open) -> None:
    adapter = opened()
    table = adapter.read().table
    before = stored(site)
    step = a_put(table)
    calls(site)
    assert adapter.write(step, {}).status is Status.DONE
    assert calls(site)[PUT] == 1
    after = stored(site)
    assert {key: after[key] for key in ("location", "id", "name")} == {key: before[key] for key in ("location", "id", "name")}
    assert after.get("tags") == before.get("tags")
    mine = [one["name"] for one in after["properties"]["securityRules"] if one["name"].startswith("cs-")]
    assert mine == [a_rule().name]
    fresh = adapter.refresh(table, [step], {})
    assert adapter.seen(fresh, step, {}) is Seen.YES
    assert fresh == adapter.simulate(table, step)
    foreign = [one.raw for one in the(fresh).rules if not one.ours]
    assert foreign == [one.raw for one in the(table).rules]


OUTCOMES = [
    ("throttle", Status.FAILED, True, False),
    ("denied", Status.FAILED, False, False),
    ("expired", Status.FAILED, False, False),
    ("refused", Status.FAILED, False, False),
    ("redirect", Status.FAILED, False, False),
    ("unavailable", Status.UNKNOWN, False, False),
    ("error500", Status.UNKNOWN, False, False),
    ("reset_before", Status.UNKNOWN, False, False),
    ("reset_after", Status.UNKNOWN, False, True),
    ("lost", Status.UNKNOWN, False, True),
    ("truncated", Status.UNKNOWN, False, True),
    ("garbage", Status.UNKNOWN, False, True),
    ("operation_failed", Status.UNKNOWN, False, False),
    ("operation_stuck", Status.UNKNOWN, False, False),
    ("operation_lost", Status.UNKNOWN, False, True),
]


@pytest.mark.parametrize(("kind", "status", "throttled", "applied"), OUTCOMES, ids=[one[0] for one in OUTCOMES])
def test_every_way_a_put_can_end_is_one_put_and_the_right_word(
    site: Site, opened: Open, kind: str, status: Status, *, throttled: bool, applied: bool
) -> None:
    adapter = opened(max_wait="3s")
    table = adapter.read().table
    step = a_put(table)
    site.ask("faults", {"operation": PUT, "kind": kind})
    calls(site)
    outcome = adapter.write(step, {})
    assert (outcome.status, outcome.throttled) == (status, throttled), outcome
    assert calls(site)[PUT] == 1, "never sent again"
    site.ask("finish", None)
    fresh = adapter.refresh(table, [step], {})
    assert (adapter.seen(fresh, step, {}) is Seen.YES) is applied


@pytest.mark.parametrize("if_match", ["honour", "ignore"])
def test_a_rule_that_somebody_added_since_the_plan_survives(site: Site, opened: Open, if_match: str) -> None:
    site.ask("settings", {"if_match": if_match})
    adapter = opened()
    table = adapter.read().table
    path = Wire(site).path("networkSecurityGroups", "nsg-app-prod")
    theirs = {"method": "PUT", "path": f"{path}/securityRules/theirs", "body": {"properties": rule_json(a_rule(777))["properties"]}}
    site.act(theirs)
    calls(site)
    outcome = adapter.write(a_put(table), {})
    assert (outcome.status, outcome.code) == (Status.FAILED, MOVED_CODE)
    assert calls(site).get(PUT, 0) == 0
    assert "theirs" in [one["name"] for one in stored(site)["properties"]["securityRules"]]


def test_a_rule_added_between_our_look_and_our_put_survives_where_the_etag_counts(site: Site, opened: Open) -> None:
    adapter = opened()
    table = adapter.read().table
    path = Wire(site).path("networkSecurityGroups", "nsg-app-prod")
    theirs = {"method": "PUT", "path": f"{path}/securityRules/theirs", "body": {"properties": rule_json(a_rule(777))["properties"]}}
    site.ask("faults", {"operation": PUT, "kind": "edit", "call": theirs})
    outcome = adapter.write(a_put(table), {})
    assert (outcome.status, outcome.throttled) == (Status.FAILED, True), "412: looked at again, tried again while the rules are the same"
    assert "theirs" in [one["name"] for one in stored(site)["properties"]["securityRules"]]


def test_a_tag_or_an_attached_interface_moves_the_etag_and_harms_nothing(site: Site, opened: Open) -> None:
    adapter = opened()
    table = adapter.read().table
    path = Wire(site).path("networkSecurityGroups", "nsg-app-prod")
    site.act({"method": "PATCH", "path": path, "body": {"tags": {"team": "shop"}}})
    assert adapter.write(a_put(table), {}).status is Status.DONE
    assert stored(site)["tags"] == {"team": "shop"}


@pytest.mark.parametrize(
    ("second", "status", "throttled"),
    [("retryable", Status.FAILED, True), ("conflict", Status.FAILED, True), ("superseded", Status.DONE, False)],
)
def test_a_second_writer_is_waited_for_or_wins_and_is_looked_at(
    site: Site, opened: Open, second: str, status: Status, *, throttled: bool
) -> None:
    """While somebody else's PUT runs, ours is refused as busy; one that is accepted makes theirs the superseded one."""
    site.ask("settings", {"second_writer": second, "operation_polls": 1})
    adapter = opened()
    table = adapter.read().table
    theirs = stored(site, "nsg-app-prod")
    body = {"location": theirs["location"], "properties": {"securityRules": theirs["properties"]["securityRules"]}}
    edit = {"method": "PUT", "path": theirs["id"], "body": body, "finish": False}
    site.ask("faults", {"operation": PUT, "kind": "edit", "call": edit})
    site.ask("settings", {"if_match": "ignore"})
    outcome = adapter.write(a_put(table), {})
    assert (outcome.status, outcome.throttled) == (status, throttled), outcome


def test_our_operation_superseded_by_another_is_in_doubt_and_looked_at(site: Site, opened: Open) -> None:
    site.ask("settings", {"second_writer": "superseded", "operation_polls": 2})
    adapter = opened()
    table = adapter.read().table
    theirs = stored(site, "nsg-app-prod")
    body = {"location": theirs["location"], "properties": {"securityRules": theirs["properties"]["securityRules"]}}
    edit = {"method": "PUT", "path": theirs["id"], "body": body}
    site.ask("faults", {"operation": PUT, "kind": "edit_after", "call": edit})
    step = a_put(table)
    outcome = adapter.write(step, {})
    assert outcome.status is Status.UNKNOWN, outcome
    assert adapter.seen(adapter.refresh(table, [step], {}), step, {}) is Seen.NO


def test_a_400_that_names_a_foreign_rule_is_reported_with_azures_words(site: Site, opened: Open) -> None:
    """A rule stored with host bits that today's service refuses blocks every whole PUT; rule by rule it does not."""
    path = Wire(site).path("networkSecurityGroups", "nsg-app-prod")
    old = rule_json(a_rule(140))["properties"] | {"sourceAddressPrefix": "50.206.209.68/27", "description": "old"}
    site.ask("plant", {"id": path, "rules": [{"name": "host-bits", "properties": old}]})
    adapter = opened()
    table = adapter.read().table
    outcome = adapter.write(a_put(table), {})
    assert (outcome.status, outcome.code) == (Status.FAILED, "SecurityRuleInvalidAddressPrefix")
    assert "host-bits" in outcome.reason
    assert adapter.write(put_rule(table, the(table), a_rule()), {}).status is Status.DONE


def test_rules_are_written_and_removed_one_by_one(site: Site, opened: Open) -> None:
    adapter = opened(write="child")
    table = adapter.read().table
    nsg = the(table)
    add = put_rule(table, nsg, a_rule())
    assert adapter.write(add, {}).status is Status.DONE
    fresh = adapter.refresh(table, [add], {})
    assert adapter.seen(fresh, add, {}) is Seen.YES
    assert adapter.write(add, {}).code == MOVED_CODE, "it is there already"
    remove = delete_rule(fresh, the(fresh), a_rule())
    assert adapter.write(remove, {}).status is Status.DONE
    assert adapter.refresh(fresh, [remove], {}) == table
    assert [one["operation"] for one in site.ask("log", {}) if one["mutating"]] == ["SecurityRules_CreateOrUpdate", "SecurityRules_Delete"]


def test_a_step_that_is_none_of_ours_is_not_sent(site: Site, opened: Open) -> None:
    adapter = opened()
    odd = Step("x", "PUT", "s", "o", "t", Effect.NONE, json.dumps({"call": "delete_nsg", "nsg": "x", "expect": ""}))
    assert adapter.write(odd, {}).code == "NotSent"
    gone = replace(odd, payload=wire.render(wire.Request(wire.PUT_NSG, Wire(site).path("networkSecurityGroups", "none"), (), expect="x")))
    assert adapter.write(gone, {}).code == "ResourceNotFound"


def test_bad_credentials_are_one_clear_failure(site: Site, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "canary-of-a-wrong-secret")
    with pytest.raises(AdapterError) as caught:
        opened().identify()
    assert "canary" not in str(caught.value)
    checks = opened().doctor()
    assert [one.ok for one in checks] == [False]
    assert "AZURE_CLIENT_SECRET" in checks[0].hint


def test_an_empty_secret_is_named_and_the_sdk_says_nothing_by_itself(
    site: Site, opened: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "canary-of-a-wrong-secret")
    with pytest.raises(AdapterError):
        opened().identify()
    assert [one.name for one in caplog.records if one.name.startswith("azure")] == []
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "")
    with pytest.raises(AdapterError, match="AZURE_CLIENT_SECRET is set, and empty"):
        opened().identify()


def test_doctor_writes_nothing_and_names_the_missing_right(site: Site, opened: Open) -> None:
    calls(site)
    assert all(one.ok for one in opened().doctor())
    site.ask("principals", {"client_id": "cloudsync", "grants": [{"actions": ["*/read"]}]})
    missing = [one.name.rpartition(": ")[2] for one in opened().doctor() if not one.ok]
    assert missing == ["Microsoft.Network/networkSecurityGroups/write", "Microsoft.Network/virtualNetworks/subnets/join/action"]
    assert [one for one in site.ask("log", {}) if one["mutating"]] == []


# --- whole runs ----------------------------------------------------------------------------------------------------------

POLICY = """version: 1
labels:
  role: [web, app, db, jump, cache]
  app: [ordering, payments]
  env: [prod, dev]
iplists:
  office: [198.51.100.0/25]
services:
  postgres: tcp/5432
  ssh: tcp/22
enforcement:
  default: MODE
rulesets:
  - name: guard
    scope: all
    rules:
      - never allow iplist office to role=db on ssh
      - deny env=dev to env=prod on any service
  - name: prod
    scope: env=prod
    rules:
      - allow role=web to role=app on tcp/8443
      - allow role=app to role=db on postgres
      - allow iplist office to role=jump|web on tcp/443
"""


@dataclass
class Repository:
    """A config repository whose one target is the lab."""

    root: Path
    site: Site

    def write(self, mode: str, enforcement: str = "full", **more: Any) -> None:
        options = {**options_of(self.site), "mode": mode, "endpoint": self.site.section()["endpoint"], **more}
        target = json.dumps({"name": "az", "adapter": "azure", **options})
        labels = "".join(f"  - {{tag: {key}, label: {key}}}\n" for key in ("role", "app", "env"))
        guards = "guards: {max_removed_rules: 100%, max_affected_workloads: 100%, open_to_internet: allow}\n"
        (self.root / "cloudsync.yaml").write_text(f"owner: acme\ntargets:\n  - {target}\nlabels_from:\n{labels}{guards}", "utf-8")
        (self.root / "policy").mkdir(exist_ok=True)
        (self.root / "policy" / "p.yaml").write_text(POLICY.replace("MODE", enforcement), "utf-8")

    def run(self, *words: str) -> tuple[int, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(["-C", str(self.root), *words])
            except SystemExit as leave:
                code = int(leave.code or 0)
        assert "Traceback" not in out.getvalue() + err.getvalue()
        return code, out.getvalue() + err.getvalue()

    def writes(self) -> int:
        return sum(1 for one in self.site.ask("log", {"clear": True}) if one["mutating"] and one["by"] == "client")


@pytest.fixture
def repository(site: Site, tmp_path: Path) -> Repository:
    tmp_path.chmod(0o700)
    return Repository(tmp_path, site)


def foreign(site: Site) -> str:
    """Return every foreign rule of every group; the order of rules and empty lists mean nothing."""
    kept: dict[str, dict[str, Any]] = {}
    for one in site.ask("state", {})["resources"]:
        if one["type"] == "Microsoft.Network/networkSecurityGroups":
            rules = [rule for rule in one["properties"]["securityRules"] if not rule["name"].startswith("cs-")]
            kept[one["name"]] = {rule["name"]: {key: value for key, value in rule["properties"].items() if value != []} for rule in rules}
    return json.dumps(kept, sort_keys=True)


@pytest.mark.parametrize("write", ["whole", "child"])
def test_additive_touches_nothing_foreign_and_the_second_run_writes_nothing(site: Site, repository: Repository, write: str) -> None:
    before = foreign(site)
    repository.write("additive", write=write)
    code, said = repository.run("apply", "--yes")
    assert code == 0, said
    assert repository.writes() > 0
    assert foreign(site) == before
    code, said = repository.run("apply", "--yes")
    assert (code, repository.writes()) == (0, 0), said


def test_exclusive_takes_over_undoes_a_change_by_hand_and_gives_back_byte_for_byte(site: Site, repository: Repository) -> None:
    before = foreign(site)
    repository.write("exclusive")
    code, said = repository.run("apply", "--yes")
    assert code == 0, said
    count = repository.writes()
    assert count == 5, "one PUT per changed group"
    path = Wire(site).path("networkSecurityGroups", "nsg-app-prod")
    body = {"properties": {**rule_json(a_rule(150))["properties"], "description": "by hand", "destinationPortRange": "23"}}
    site.act({"method": "PUT", "path": f"{path}/securityRules/opened", "body": body})
    code, said = repository.run("drift")
    assert (code, "opened" in said) == (2, True), said
    code, said = repository.run("apply", "--yes")
    assert (code, repository.writes()) == (0, 1), said
    repository.write("exclusive", "visibility")
    code, said = repository.run("apply", "--yes")
    assert (code, "G-CAP" in said) == (4, True), said
    approve = next(line for line in said.splitlines() if "cloudsync approve" in line)
    words = shlex.split(approve.partition("cloudsync ")[2])
    assert repository.run(words[0], *words[3:])[0] == 0
    code, said = repository.run("apply", "--yes")
    assert code == 0, said
    assert foreign(site) == before
    assert "cs-acme" not in json.dumps(stored(site))


def test_what_the_adapter_reads_is_what_the_data_plane_does(site: Site, repository: Repository, opened: Open) -> None:
    random = Random(7)
    for mode in ("observe", "additive", "exclusive"):
        repository.write(mode)
        code, said = repository.run("apply", "--yes")
        assert code == 0, said
        table = opened().read().table
        access = decode(table)
        single = [nic for nic in table.nics.values() if nic.private.v4[1:] == (nic.private.v4[0] + 1,)]
        for _ in range(150):
            nic = random.choice(single)
            source = random.choice(("192.0.2.7", "198.51.100.9", "8.8.8.8", "10.50.2.200", "10.51.0.77", "10.9.9.9", "168.63.129.16"))
            protocol, port = random.choice((("tcp", 22), ("tcp", 443), ("tcp", 5432), ("tcp", 8443), ("udp", 53), ("icmp", 0)))
            number = {"tcp": 6, "udp": 17, "icmp": 1}[protocol]
            packet = Packet(Family.V4, int(ip_address(source)), number, port)
            given = {"src": source, "dst": str(ip_address(nic.private.v4[0])), "protocol": protocol, "port": port}
            verdict = site.ask("verdict", given)
            assert (packet in access[nic.point].inbound) is verdict["allowed"], (mode, given, verdict)


def test_a_refusal_for_one_group_stops_there_and_says_so(site: Site, repository: Repository) -> None:
    repository.write("additive")
    site.ask("faults", {"operation": PUT, "kind": "refused", "code": "ConflictWithNetworkIntentPolicy", "status": 400, "message": "policy"})
    code, said = repository.run("apply", "--yes")
    assert code == 5
    assert "ConflictWithNetworkIntentPolicy" in said
    site.ask("faults", None)
    code, said = repository.run("apply", "--yes")
    assert code == 0, said


def test_anyone_is_written_as_a_star() -> None:
    assert rule_json(replace(a_rule(), source=ANY_SIDE))["properties"]["sourceAddressPrefix"] == "*"
