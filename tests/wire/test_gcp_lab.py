"""The GCP adapter against the lab: a project that pages, lags, loses answers, refuses, and spells things its own way."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cloudsync.adapter import Effect, Seen, Snapshot, Status, Step, TargetSettings
from cloudsync.cli.main import main
from cloudsync.clock import SystemClock
from cloudsync.lab.gcp.pytest_plugin import Wire, gcp_site, gcp_site_server
from cloudsync.lab.gcp.site import Site
from cloudsync.model.address import Family
from cloudsync.model.errors import AdapterError
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import Packet
from cloudsync_gcp import payload as wire
from cloudsync_gcp.adapter import GcpAdapter
from cloudsync_gcp.decode import decode
from cloudsync_gcp.payload import description, stem
from cloudsync_gcp.steps import delete, insert, merge
from cloudsync_gcp.table import GcpTable, Mark, Rule

__all__ = ["gcp_site", "gcp_site_server"]

PROD = "projects/acme-net/global/networks/prod"


@dataclass
class Shortened:
    """The real clock, with sleeps cut out and told to the lab."""

    site: Site
    slept: float = 0.0

    def now(self) -> float:
        return SystemClock().now() + self.slept

    def monotonic(self) -> float:
        return SystemClock().monotonic() + self.slept

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.site.ask("clock", {"advance": seconds})


Open = Callable[..., GcpAdapter]


@pytest.fixture
def site(gcp_site: Site) -> Site:
    gcp_site.reset("four", 1)
    return gcp_site


@pytest.fixture
def opened(site: Site) -> Open:
    section = site.section()

    def build(mode: TargetMode = TargetMode.ADDITIVE, **options: Any) -> GcpAdapter:
        kept: dict[str, Any] = {"project": section["project"], "service_projects": ["acme-apps"], "networks": ["prod", "dev"]}
        kept |= {"credentials": f"file:{section['service_account_file']}", **options}
        return GcpAdapter(TargetSettings("gcp", "gcp", mode, kept, Where("cloudsync.yaml"), section["endpoint"]), "acme", Shortened(site))

    return build


def a_rule(priority: int = 600, **more: Any) -> Rule:
    text = description("acme", "c1", ("r#1",))
    rule = Rule("", PROD, False, priority, False, (("tcp", ((22, 22),)),), ("10.0.0.0/8",), ("10.40.0.21/32",), description=text)
    rule = replace(rule, mark=Mark("acme", "c1", ("r#1",)), **more)
    return replace(rule, name=stem(rule, "acme"))


def calls(site: Site) -> dict[str, int]:
    found: dict[str, int] = site.ask("calls", {"clear": True})
    return found


# --- reading -------------------------------------------------------------------------------------------------------------


def test_a_read_takes_few_calls_whatever_the_number_of_rules(site: Site, opened: Open) -> None:
    calls(site)
    snapshot = opened().read()
    assert snapshot.complete
    assert calls(site) == {
        "projects.get": 1,
        "firewalls.list": 1,
        "instances.aggregatedList": 2,
        "networks.get": 2,
        "networks.getEffectiveFirewalls": 2,
    }
    assert len(snapshot.discovery.workloads) == len(snapshot.table.nics) == 12
    stopped = next(one for one in snapshot.discovery.workloads if one.name == "ordering-db-dev")
    assert dict(stopped.tags)["role"] == "db"
    assert {one.account for one in snapshot.discovery.workloads} == {"acme-net", "acme-apps"}
    assert opened().read().digest == snapshot.digest


def test_no_token_is_fetched_a_service_account_signs_its_own(site: Site, opened: Open) -> None:
    calls(site)
    opened().identify()
    assert calls(site) == {"projects.get": 1}


def test_a_plain_access_token_will_do(site: Site, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_TOKEN", site.section()["access_token"])
    assert opened(credentials="env:LAB_TOKEN").identify().account == "acme-net"


def test_pages_are_followed_to_the_end(site: Site, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    site.reset("medium", 1)
    whole = opened(networks="all").read()
    monkeypatch.setattr("cloudsync_gcp.client.PAGE_SIZE", 7)
    calls(site)
    assert opened(networks="all").read().digest == whole.digest
    assert calls(site)["firewalls.list"] > 3


BROKEN = (
    "empty",
    "html",
    "garbage",
    "truncated",
    "redirect",
    "denied",
    "expired",
    "error500",
    "reset_before",
    "unreachable",
    "token_repeated",
)


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("operation", ["firewalls.list", "instances.aggregatedList"])
def test_a_list_in_doubt_leaves_nothing_of_any_network(
    site: Site, opened: Open, operation: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloudsync_gcp.client.PAGE_SIZE", 3)
    site.ask("faults", {"operation": operation, "kind": kind, "times": 0})
    nothing(opened().read(), 2)


@pytest.mark.parametrize("kind", ["empty", "html", "denied", "error500"])
@pytest.mark.parametrize("operation", ["networks.get", "networks.getEffectiveFirewalls"])
def test_a_network_in_doubt_leaves_nothing_of_itself_alone(site: Site, opened: Open, operation: str, kind: str) -> None:
    site.ask("faults", {"operation": operation, "kind": kind, "times": 0})
    nothing(opened(networks=["dev"]).read(), 1)
    site.ask("faults", [])
    site.ask("faults", {"operation": operation, "kind": kind, "nth": 1, "times": 4 if kind in ("html", "error500") else 1})
    snapshot = opened().read()
    assert [scope.complete for scope in snapshot.scopes].count(True) >= 1 or kind == "html"


def nothing(snapshot: Snapshot, scopes: int) -> None:
    assert len(snapshot.scopes) == scopes
    assert not any(scope.complete for scope in snapshot.scopes)
    assert not snapshot.table.rules
    assert not snapshot.table.nics
    assert not snapshot.discovery.workloads


@pytest.mark.parametrize("kind", ["throttle", "unavailable", "reset_before"])
def test_a_read_is_tried_again(site: Site, opened: Open, kind: str) -> None:
    site.ask("faults", {"operation": "firewalls.list", "kind": kind})
    assert opened().read().complete


def test_a_network_that_is_not_there_is_not_an_empty_one(opened: Open) -> None:
    snapshot = opened(networks=["prod", "nowhere"]).read()
    assert {scope.scope: scope.complete for scope in snapshot.scopes} == {"acme-net/prod": True, "acme-net/nowhere": False}
    assert "notFound" in next(scope.why for scope in snapshot.scopes if not scope.complete)


def test_another_project_is_no_identity(opened: Open) -> None:
    with pytest.raises(AdapterError):
        opened(project="somebody-else").identify()
    assert opened(project="acme-other").expected_account() == "acme-other"


# --- writing -------------------------------------------------------------------------------------------------------------

OUTCOMES = {
    "throttle": (Status.FAILED, False, True),
    "unavailable": (Status.UNKNOWN, False, False),
    "error500": (Status.UNKNOWN, False, False),
    "reset_before": (Status.UNKNOWN, False, False),
    "reset_after": (Status.UNKNOWN, True, False),
    "denied": (Status.FAILED, False, False),
    "expired": (Status.FAILED, False, False),
    "redirect": (Status.UNKNOWN, False, False),
    "truncated": (Status.UNKNOWN, True, False),
    "garbage": (Status.UNKNOWN, True, False),
    "html": (Status.UNKNOWN, True, False),
    "empty": (Status.UNKNOWN, True, False),
    "operation_stuck": (Status.UNKNOWN, False, False),
    "operation_lost": (Status.UNKNOWN, True, False),
    "operation_failed": (Status.UNKNOWN, False, False),  # INTERNAL_ERROR: nobody knows
}


@pytest.mark.parametrize("kind", list(OUTCOMES))
def test_what_goes_wrong_with_a_write_and_what_it_means(site: Site, opened: Open, kind: str) -> None:
    site.ask("settings", {"wait_limit_s": 0.1})
    adapter, rule = opened(max_wait="5s"), a_rule()
    table = adapter.read().table
    step = insert(table, rule)
    calls(site)
    site.ask("faults", {"operation": "firewalls.insert", "kind": kind})
    outcome = adapter.write(step, {})
    status, there, throttled = OUTCOMES[kind]
    assert (outcome.status, outcome.throttled) == (status, throttled), outcome
    assert calls(site)["firewalls.insert"] == 1
    shown = adapter.refresh(table, [step], {})
    assert adapter.seen(shown, step, {}) is (Seen.YES if there else Seen.NO)


def test_an_operation_that_fails_without_the_fields_of_http_has_failed(site: Site, opened: Open) -> None:
    adapter = opened()
    fault = {
        "operation": "firewalls.insert",
        "kind": "operation_failed",
        "code": "QUOTA_EXCEEDED",
        "message": "Quota",
        "http_fields": False,
    }
    site.ask("faults", fault)
    outcome = adapter.write(insert(adapter.read().table, a_rule()), {})
    assert (outcome.status, outcome.code) == (Status.FAILED, "QUOTA_EXCEEDED")


def test_what_is_sent_is_the_payload_that_was_proven(site: Site, opened: Open) -> None:
    adapter = opened()
    table = adapter.read().table
    step = insert(table, a_rule())
    seen: list[Any] = []
    site.api.watch = lambda *told: seen.append(told)
    assert adapter.write(step, {}).status is Status.DONE
    shown = Wire(site).get(f"global/firewalls/{step.object}")
    for key, value in wire.parse(step.payload).body.items():
        assert shown[key] == value or (key == "network" and shown[key].endswith(value)), key
    assert adapter.refresh(table, [step], {}) == adapter.simulate(table, step)


def test_a_rule_that_is_there_already_is_done_only_if_it_is_ours_and_the_same(site: Site, opened: Open) -> None:
    adapter = opened()
    table = adapter.read().table
    step = insert(table, a_rule())
    assert adapter.write(step, {}).status is Status.DONE
    assert adapter.write(step, {}).status is Status.UNKNOWN  # 409
    assert adapter.seen(adapter.refresh(table, [step], {}), step, {}) is Seen.YES
    Wire(site).done("PATCH", f"global/firewalls/{step.object}", {"sourceRanges": ["0.0.0.0/0"]})
    assert adapter.seen(adapter.refresh(table, [step], {}), step, {}) is Seen.OTHER
    away = delete(adapter.read().table, a_rule())
    assert adapter.write(away, {}).status is Status.DONE
    assert adapter.write(away, {}).status is Status.UNKNOWN  # 404
    assert adapter.seen(adapter.refresh(table, [away], {}), away, {}) is Seen.YES


def test_a_write_while_another_operation_runs_may_be_tried_later(site: Site, opened: Open) -> None:
    adapter = opened()
    step = insert(adapter.read().table, a_rule())
    adapter.write(step, {})
    site.ask("settings", {"operation_latency_s": 500.0})
    Wire(site).send("PATCH", f"global/firewalls/{step.object}", {"description": "x"})
    outcome = adapter.write(delete(adapter.read().table, a_rule()), {})
    assert (outcome.status, outcome.throttled) == (Status.FAILED, True)


def test_slow_operations_are_waited_for(site: Site, opened: Open) -> None:
    site.ask("settings", {"operation_latency_s": 20.0, "wait_early": True})
    adapter = opened()
    step = insert(adapter.read().table, a_rule())
    assert adapter.write(step, {}).status is Status.DONE
    assert step.object in Wire(site).rules()


def test_nothing_is_sent_for_what_is_no_call_of_ours(site: Site, opened: Open) -> None:
    adapter = opened()
    calls(site)
    for payload in (
        '{"call":"networks.delete","project":"acme-net","rule":"x"}',
        '{"call":"firewalls.delete","project":"acme-other","rule":"x"}',
    ):
        outcome = adapter.write(Step("k", "a", "s", "x", "t", Effect.NONE, payload), {})
        assert (outcome.status, outcome.code) == (Status.FAILED, "NotSent")
    assert calls(site) == {}


def test_a_missing_right_is_named(site: Site, opened: Open) -> None:
    site.ask(
        "principals", {"service_account": {"permissions": ["compute.*.get", "compute.*.list", "compute.networks.getEffectiveFirewalls"]}}
    )
    adapter = opened()
    outcome = adapter.write(insert(adapter.read().table, a_rule()), {})
    assert outcome.status is Status.FAILED
    assert "compute.firewalls.create" in outcome.reason or "compute.networks.updatePolicy" in outcome.reason


# --- tags ----------------------------------------------------------------------------------------------------------------


def retagged(table: GcpTable, vm: str, tags: tuple[str, ...]) -> Step:
    nics = {point: replace(nic, tags=tags) if nic.vm_name == vm else nic for point, nic in table.nics.items()}
    (phase,) = merge(table, replace(table, nics=nics))
    return phase.steps[0]


def test_tags_are_replaced_whole_and_the_last_one_can_go(site: Site, opened: Open) -> None:
    adapter = opened(target="managed-tags")
    table = adapter.read().table
    step = retagged(table, "jump-1", ("cs-acme-t0", "jump"))
    assert adapter.write(step, {}).status is Status.DONE
    table = adapter.refresh(table, [step], {})
    assert adapter.seen(table, step, {}) is Seen.YES
    step = retagged(table, "jump-1", ())
    assert adapter.write(step, {}).status is Status.DONE
    assert adapter.seen(adapter.refresh(table, [step], {}), step, {}) is Seen.YES


def test_tags_that_somebody_else_changed_meanwhile_are_not_overwritten(site: Site, opened: Open) -> None:
    adapter = opened(target="managed-tags")
    table = adapter.read().table
    step = retagged(table, "jump-1", ("cs-acme-t0", "jump"))
    path = "zones/europe-west1-b/instances/jump-1"
    shown = Wire(site).get(path)["tags"]
    Wire(site).done("POST", f"{path}/setTags", {"items": ["jump", "theirs"], "fingerprint": shown["fingerprint"]})
    outcome = adapter.write(step, {})
    assert (outcome.status, outcome.code) == (Status.FAILED, "moved")
    assert Wire(site).get(path)["tags"]["items"] == ["jump", "theirs"]


# --- doctor --------------------------------------------------------------------------------------------------------------


def test_doctor_writes_nothing_and_names_what_is_missing(site: Site, opened: Open) -> None:
    assert all(check.ok for check in opened().doctor())
    site.ask("principals", {"service_account": {"permissions": ["compute.*.get", "compute.*.list", "compute.networks.*"]}})
    site.ask("quotas", {"FIREWALLS": 19})
    calls(site)
    failed = {check.name: check.hint for check in opened().doctor() if not check.ok}
    assert set(failed) == {
        "acme-net: compute.firewalls.create",
        "acme-net: compute.firewalls.delete",
        "acme-net: compute.firewalls.update",
        "gcp: quota FIREWALLS",
    }
    assert all(failed.values())
    assert not [name for name in calls(site) if name.endswith((".insert", ".delete", ".patch", ".setTags"))]


# --- the whole way -------------------------------------------------------------------------------------------------------

SETTINGS = """\
owner: acme
policy: policy/
targets:
  - {{name: gcp-prod, adapter: gcp, mode: {mode}, endpoint: "{endpoint}", project: acme-net, service_projects: [acme-apps],
     networks: [prod, dev], credentials: "file:{key}"{more}}}
labels_from:
  - {{tag: role, label: role}}
  - {{tag: app, label: app}}
  - {{tag: env, label: env}}
state: sqlite:///state.db
guards: {{max_removed_rules: 100%, max_affected_workloads: 100%, max_gone_workloads: 100%, open_to_internet: allow}}
"""
POLICY = """\
version: 1
labels:
  role: [web, app, db, lb, jump]
  app: [ordering, payments]
  env: [prod, dev]
iplists:
  corp: [198.51.100.0/24, "2001:db8:10::/48", "!198.51.100.7"]
services:
  https: [tcp/443, udp/443]
enforcement:
  default: {default}
  rules:
    - {{scope: "app=ordering env=prod", mode: full}}
    - {{scope: "app=payments env=prod", mode: selective, services: [tcp/22]}}
rulesets:
  - name: all
    scope: all
    rules:
      - never allow internet to role=db on any service
      - allow iplist corp to role=web on https
      - allow role=web to role=db on tcp/{port}
      - allow role=jump to all workloads on tcp/22
      - deny env=dev to env=prod on any service
"""


@dataclass
class Repository:
    """A config repository with one GCP target, and the command line on it."""

    root: Path
    site: Site

    def write(self, mode: str = "additive", more: str = "", *, default: str = "visibility", port: int = 5432) -> None:
        section = self.site.section()
        (self.root / "policy").mkdir(exist_ok=True)
        text = SETTINGS.format(mode=mode, endpoint=section["endpoint"], key=section["service_account_file"], more=more)
        (self.root / "cloudsync.yaml").write_text(text, encoding="utf-8")
        (self.root / "policy" / "all.yaml").write_text(POLICY.format(default=default, port=port), encoding="utf-8")

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
        self_made = [one for one in self.site.ask("log", {"clear": True}) if one["by"] == "client"]
        return len(self_made)


@pytest.fixture
def repository(site: Site, tmp_path: Path) -> Repository:
    tmp_path.chmod(0o700)
    found = Repository(tmp_path, site)
    found.write()
    return found


def foreign(site: Site) -> str:
    rules = site.ask("state", None)["acme-net"]["firewalls"].values()
    return json.dumps([one for one in rules if not one["name"].startswith("cs-")], sort_keys=True)


@pytest.mark.parametrize(
    ("mode", "more"),
    [
        ("additive", ""),
        ("additive", ", target: managed-tags"),
        ("exclusive", ", band: {shield: 100, never: 150, allow: 200, deny: 250}, default_deny: 260"),
    ],
)
def test_a_project_converges_and_the_second_run_writes_nothing(repository: Repository, mode: str, more: str) -> None:
    site = repository.site
    before = foreign(site)
    repository.write(mode, more)
    repository.writes()
    code, said = repository.run("apply", "--yes")
    assert code == 0, said
    assert repository.writes() > 10
    assert foreign(site) == before
    code, said = repository.run("apply", "--yes")
    assert (code, repository.writes()) == (0, 0), said
    repository.write(mode, more, port=6432)
    code, said = repository.run("apply", "--yes")
    assert code == 0, said
    assert repository.writes() > 0
    code, said = repository.run("apply", "--yes")
    assert (code, repository.writes()) == (0, 0), said


ORG = {
    "name": "77",
    "shortName": "org",
    "rules": [
        {"priority": number, "direction": "INGRESS", "action": action, "match": {"srcIpRanges": [source], "layer4Configs": [config]}}
        for number, action, source, config in (
            (1, "allow", "35.235.240.0/20", {"ipProtocol": "tcp", "ports": ["22"]}),
            (2, "goto_next", "198.51.100.0/24", {"ipProtocol": "all"}),
            (3, "deny", "198.0.0.0/8", {"ipProtocol": "all"}),
            (4, "deny", "0.0.0.0/0", {"ipProtocol": "tcp", "ports": ["23"]}),
        )
    ],
}


@pytest.mark.parametrize("policies", [[], [ORG]])
@pytest.mark.parametrize("mode", ["additive", "exclusive"])
def test_what_is_decoded_is_what_the_lab_lets_through(repository: Repository, opened: Open, mode: str, policies: list[Any]) -> None:
    site = repository.site
    site.ask("policies", {"hierarchy": policies})
    repository.write(mode, ", band: {shield: 100, never: 150, allow: 200, deny: 250}, default_deny: 260")
    code, said = repository.run("apply", "--yes")
    assert code == 0, said
    repository.writes()
    assert repository.run("apply", "--yes")[0] == repository.writes() == 0
    table, random = opened().read().table, Random(7)
    access = decode(table)
    sources = [
        "8.8.8.8",
        "198.51.100.7",
        "198.51.100.9",
        "10.50.1.1",
        "35.235.240.9",
        "130.211.0.9",
        "10.41.0.11",
        "10.40.0.11",
        "198.18.0.1",
    ]
    for _ in range(300):
        nic, source = random.choice(list(table.nics.values())), random.choice(sources)
        target = nic.primary.cidrs()[0].partition("/")[0]
        port = random.choice((22, 23, 80, 443, 3389, 5432, 9999))
        if source == target:
            continue
        verdict = site.ask("verdict", {"src": source, "dst": target, "protocol": "tcp", "port": port})
        packet = Packet(Family.V4, int(ip_address(source)), 6, port)
        assert (packet in access[nic.point].inbound) is verdict["ingress"]["allowed"], (nic.point, source, port, verdict)


@pytest.mark.parametrize("spelling", [{"cidrs": "long"}, {"cidrs": "bare"}, {"protocols": "number"}, {"lists": "reverse"}])
def test_however_the_project_spells_things_the_second_run_writes_nothing(repository: Repository, spelling: dict[str, str]) -> None:
    repository.site.ask("settings", spelling)
    assert repository.run("apply", "--yes")[0] == 0
    repository.writes()
    code, said = repository.run("apply", "--yes")
    assert (code, repository.writes()) == (0, 0), said


@pytest.mark.parametrize("nth", [1, 2])
def test_a_quota_reached_on_the_way_deletes_nothing_and_ends_with_5(repository: Repository, nth: int) -> None:
    assert repository.run("apply", "--yes")[0] == 0
    site = repository.site
    there = set(Wire(site).rules())
    repository.write(port=6432)
    fault = {
        "operation": "firewalls.insert",
        "kind": "operation_failed",
        "code": "QUOTA_EXCEEDED",
        "message": "Quota 'FIREWALLS' exceeded.",
        "nth": nth,
    }
    site.ask("faults", fault | {"times": 0})
    code, said = repository.run("apply", "--yes")
    assert code == 5, said
    assert there <= set(Wire(site).rules())
    site.ask("faults", [])
    assert repository.run("apply", "--yes")[0] == 0


def test_a_quota_that_is_known_is_refused_before_the_first_write(repository: Repository) -> None:
    repository.site.ask("quotas", {"FIREWALLS": 20})
    code, said = repository.run("apply", "--yes")
    assert code == 4
    assert "G-QUOTA" in said
    assert repository.writes() == 0


def test_exclusive_switches_off_and_release_gives_back(repository: Repository) -> None:
    site = repository.site
    before = foreign(site)
    band = ", band: {shield: 100, never: 150, allow: 200, deny: 250}, default_deny: 260"
    repository.write("exclusive", band, default="full")
    code, said = repository.run("apply", "--yes")
    assert code == 0, said
    off = {one["name"] for one in site.ask("state", None)["acme-net"]["firewalls"].values() if one.get("disabled")}
    assert "prod-db-reporting" in off  # it was off before
    assert len(off) > 3
    repository.write("additive", default="full")
    code, said = repository.run("apply", "--yes")
    assert code == 0, said
    assert foreign(site) == before


def test_explain_says_which_rule_decides(repository: Repository) -> None:
    assert repository.run("apply", "--yes")[0] == 0
    _, said = repository.run("explain", "ordering-web-1", "ordering-db-1", "tcp/5432")
    assert "VPC firewall rules of acme-net/prod" in said
