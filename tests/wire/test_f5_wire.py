"""Whole runs over the wire against a simulated pair of BIG-IPs: what people reported of other tools, and what must always hold."""

from __future__ import annotations

import contextlib
import io
import logging
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cloudsync.cli.main import main
from cloudsync.lab.f5.pytest_plugin import f5_site, f5_site_server
from cloudsync.lab.f5.site import Site

__all__ = ["f5_site", "f5_site_server"]

FIREWALL = "/mgmt/tm/security/firewall"
POLICY_HEAD = """\
version: 1
labels:
  role: [web, db, lb]
  env: [prod, dev]
iplists:
  corp: [203.0.113.0/24, "2001:db8:10::/48"]
"""
FULL = "enforcement: {default: full}\n"
RULES = ("allow iplist corp to role=web on tcp/443", "allow role=web to role=db on tcp/5432")


@dataclass
class Pair:
    """Two devices, a config repository, and the product's own command line."""

    site: Site
    root: Path
    text: str = ""
    mode: str = "exclusive"
    more: str = ""
    addresses: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.root / "policy").mkdir()
        self.settings()

    @property
    def section(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.site.section()
        return found

    def settings(self) -> None:
        one, two = self.section
        hosts = f"[{one['hostname']}, {two['hostname']}]"
        where = f"{{{one['hostname']}: '{one['endpoint']}', {two['hostname']}: '{two['endpoint']}'}}"
        target = f"name: f5, adapter: f5, mode: {self.mode}, hosts: {hosts}, device_group: dg-failover, addresses: {where}"
        content = (
            "owner: acme\n"
            f"targets:\n  - {{{target}, ca_file: {one['ca_file']}, settle: 0s{self.more}}}\n"
            "labels_from:\n  - {tag: role, label: role}\n  - {tag: env, label: env}\n"
            "guards: {max_removed_rules: 100%, max_affected_workloads: 100%, max_gone_workloads: 100%, open_to_internet: allow}\n"
        )
        (self.root / "cloudsync.yaml").write_text(content, encoding="utf-8")

    def policy(self, *rules: str, enforcement: str = FULL) -> None:
        lines = "".join(f"      - {rule}\n" for rule in rules)
        text = f"{POLICY_HEAD}{enforcement}rulesets:\n  - name: r\n    scope: all\n    rules:\n{lines}"
        (self.root / "policy" / "p.yaml").write_text(text, encoding="utf-8")

    def act(self, method: str, path: str, body: object = None, unit: str = "") -> Any:
        return self.site.act(unit or self.site.world.active.identity.name, method, path, body)

    def settle(self) -> None:
        self.act("POST", "/mgmt/tm/sys/config", {"command": "save"})
        self.act("POST", "/mgmt/tm/cm", {"command": "run", "utilCmdArgs": "config-sync to-group dg-failover"})
        self.site.world.settle()

    def virtual(self, name: str, destination: str, labels: str, **more: object) -> None:
        self.addresses[name] = destination
        metadata = [dict(zip(("name", "value"), one.split("="), strict=True), persist="true") for one in labels.split()]
        body = {"name": name, "destination": f"/Common/{destination}", "ipProtocol": "tcp", "metadata": metadata, **more}
        self.act("POST", "/mgmt/tm/ltm/virtual", body)
        self.settle()

    def run(self, *arguments: str) -> int:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = main(["-C", str(self.root), *arguments])
        self.text = out.getvalue()
        return code

    def apply(self, code: int = 0) -> str:
        assert self.run("apply", "--yes") == code, self.text
        return self.text

    def quiet(self) -> None:
        """Show that a further run writes nothing."""
        before = self.writes()
        self.apply()
        assert self.writes() == before
        assert self.run("plan") == 0, self.text

    def log(self, *, reads: bool = False) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.site.ask("log", {"reads": True} if reads else {})
        return [one for one in found if one["by"] == "client"]

    def writes(self) -> int:
        return len(self.log())

    def calls(self, *, reads: bool = False) -> Counter[str]:
        return Counter(one["operation"] for one in self.log(reads=reads))

    def passes(self, name: str, src: str, port: int) -> bool:
        dst = re.sub(r"[:.]\d+$", "", self.addresses[name])
        asked = {"src": src, "dst": dst, "protocol": "tcp", "port": port}
        return bool(self.site.ask("verdict", asked)["verdict"] == "allowed")

    def state(self, unit: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = self.site.ask("state", {})[self.section[unit]["name"]]
        return found

    def running(self, kind: str, unit: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = self.state(unit)["running"][kind]
        return found

    def attached(self, name: str) -> str:
        return str(self.running("ltm/virtual")[f"/Common/{name}"].get("fwEnforcedPolicy", ""))

    def ours(self, kind: str = "security/firewall/policy") -> list[str]:
        return [path for path, one in self.running(kind).items() if str(one.get("description", "")).startswith("cloudsync:acme:")]


@pytest.fixture
def pair(f5_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    monkeypatch.setenv("F5_USER", f5_site.section()[0]["user"])
    monkeypatch.setenv("F5_PASSWORD", f5_site.section()[0]["password"])
    f5_site.ask("settings", {"compile_delay_s": 0})
    return Pair(f5_site, tmp_path)


@pytest.fixture
def estate(pair: Pair) -> Pair:
    """Two web servers and a database behind the pair."""
    pair.virtual("web1", "10.60.2.11:443", "role=web env=prod")
    pair.virtual("web2", "10.60.2.12:443", "role=web env=prod")
    pair.virtual("db1", "10.60.2.21:5432", "role=db env=prod")
    pair.policy(*RULES)
    return pair


def rule(name: str, action: str, *sources: str, port: str = "443", protocol: str = "tcp") -> dict[str, Any]:
    body: dict[str, Any] = {"name": name, "action": action, "ipProtocol": protocol}
    if sources:
        body["source"] = {"addresses": [{"name": one} for one in sources]}
    if protocol == "tcp":
        body["destination"] = {"ports": [{"name": port}]}
    return body


def chained(rules: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    after, found = "first", []
    for one in rules:
        found.append({**one, "placeAfter": after})
        after = one["name"]
    return found


# --- the ordinary way ------------------------------------------------------------------------------------------------------


def test_from_nothing_to_the_policy_and_then_to_silence(estate: Pair) -> None:
    text = estate.apply()
    assert "enforced = policy, no drift" in text
    assert estate.passes("web1", "203.0.113.9", 443)
    assert not estate.passes("web1", "198.51.100.1", 443)
    assert estate.passes("db1", "10.60.2.11", 5432)
    assert not estate.passes("db1", "203.0.113.9", 5432)
    assert estate.attached("web1") == estate.attached("web2") != estate.attached("db1"), "one policy per class"
    assert estate.state()["unsaved"] is False
    assert estate.state()["color"] == estate.state(1)["color"] == "green"
    assert estate.ours() == estate.ours()
    assert sorted(estate.running("security/firewall/policy", 1)) == sorted(estate.running("security/firewall/policy"))
    estate.quiet()
    for unit in (0, 1):
        assert (estate.state(unit)["live_tokens"], estate.state(unit)["open_transactions"]) == (0, [])


def test_one_transaction_whatever_the_number_of_virtual_servers(estate: Pair) -> None:
    for number in range(20):
        estate.virtual(f"more{number}", f"10.60.3.{number + 1}:443", "role=web env=dev")
    before = estate.calls()
    estate.apply()
    found = estate.calls() - before
    assert found["COMMIT transaction"] == 1
    assert found["PATCH ltm/virtual"] == 23
    assert all(set(one["body"]) == {"fwEnforcedPolicy"} for one in estate.log() if one["operation"] == "PATCH ltm/virtual")
    assert found["PUT ltm/virtual"] == 0


def test_reads_do_not_grow_with_the_number_of_rules(estate: Pair) -> None:
    estate.apply()
    estate.run("plan")
    before = estate.calls(reads=True)
    estate.run("plan")
    few = sum((estate.calls(reads=True) - before).values())
    many = [rule(f"r{number}", "accept", f"10.{number}.0.0/16") for number in range(250)]
    estate.act("POST", f"{FIREWALL}/policy", {"name": "big", "rules": chained(many)})
    before = estate.calls(reads=True)
    estate.run("plan")
    assert sum((estate.calls(reads=True) - before).values()) == few


def test_a_member_that_comes_is_one_change_of_one_list(estate: Pair) -> None:
    estate.apply()
    policies = estate.ours()
    estate.virtual("web3", "10.60.2.13:443", "role=web env=prod")
    before = estate.calls()
    estate.apply()
    found = estate.calls() - before
    assert estate.ours() == policies, "no rule changed, so no policy is new"
    assert found["PATCH security/firewall/address-list"] == 1
    assert found["POST security/firewall/policy"] == 0
    assert estate.passes("db1", "10.60.2.13", 5432)


def test_a_new_rule_among_five_hundred_keeps_their_order(pair: Pair) -> None:
    pair.virtual("web1", "10.60.2.11:443", "role=web env=prod")
    rules = [f"allow anywhere to role=web on tcp/{1000 + number}" for number in range(500)]
    pair.policy(*rules)
    pair.apply()
    before = pair.calls()
    rules.insert(250, "deny iplist corp to role=web on tcp/443")
    rules.insert(250, "never allow iplist corp to role=web on tcp/1250")
    pair.policy(*rules)
    pair.apply()
    found = pair.calls() - before
    assert found["POST security/firewall/policy"] == 1
    assert sum(found.values()) < 15, found
    shown = pair.running("security/firewall/policy")[pair.attached("web1")]["rules"]
    assert [one["name"].partition("_")[0] for one in shown] == ["never", *["allow"] * 500, "cs"]


# --- echo noise, spelling, families, route domains ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "switches",
    [
        {"unknown_fields": True, "rule_numbers": True},
        {"drop_full_length": True, "sorted_addresses": False},
        {"empty_items": "missing"},
        {"nested_patch": "merges", "delete_check": "before", "validate_only": "syntax"},
        {"nested_patch": "replaces", "delete_check": "after", "transaction_expiry": "idle"},
    ],
)
def test_however_a_device_spells_things_the_second_run_writes_nothing(estate: Pair, switches: dict[str, Any]) -> None:
    estate.site.ask("settings", switches)
    estate.policy(*RULES, "allow iplist corp to role=db on icmp, tcp/5000-5010, gre", "allow role=web to role=web on any service")
    estate.apply()
    estate.quiet()


def test_route_domains_are_kept_apart_and_spelled_with_their_number(pair: Pair) -> None:
    pair.act("POST", "/mgmt/tm/net/route-domain", {"name": "1", "id": 1})
    pair.virtual("web1", "10.60.2.11%1:443", "role=web env=prod")
    pair.virtual("six", "fd00:60::11%1.443", "role=web env=prod")
    pair.policy("allow iplist corp to role=web on tcp/443")
    pair.apply()
    assert pair.passes("web1", "203.0.113.9%1", 443)
    assert not pair.passes("web1", "198.51.100.9%1", 443)
    assert pair.passes("six", "2001:db8:10::9%1", 443)
    assert not pair.passes("six", "2001:db8:11::9%1", 443)
    lists = [pair.running("security/firewall/address-list")[path] for path in pair.ours("security/firewall/address-list")]
    assert any(each["name"] == "203.0.113.0%1/24" for one in lists for each in one["addresses"])
    pair.quiet()


# --- what people reported -----------------------------------------------------------------------------------------------------


def test_a_group_that_shrinks_to_nobody_never_means_anybody(estate: Pair) -> None:
    estate.apply()
    for name in ("web1", "web2"):
        estate.act("DELETE", f"/mgmt/tm/ltm/virtual/~Common~{name}")
    estate.settle()
    estate.policy(*RULES, "allow iplist corp to role=db on tcp/5432")  # the last rule of a point goes only with an approval
    estate.run("apply", "--yes")
    estate.apply()
    assert not estate.passes("db1", "198.51.100.1", 5432)
    assert not estate.passes("db1", "10.60.2.11", 5432), "nor those who are gone"
    assert estate.passes("db1", "203.0.113.9", 5432)
    for path in estate.ours():
        for one in estate.running("security/firewall/policy")[path]["rules"]:
            if one["action"].startswith("accept"):
                assert one["source"].get("addresses") or one["source"].get("addressLists"), one


def test_a_source_added_by_hand_goes_again(estate: Pair) -> None:
    estate.apply()
    policy = estate.attached("web1").replace("/", "~")
    first = estate.running("security/firewall/policy")[estate.attached("web1")]["rules"][0]
    body = {"source": {"addresses": [{"name": "198.51.100.0/24"}], "addressLists": first["source"]["addressLists"]}}
    estate.act("PATCH", f"{FIREWALL}/policy/{policy}/rules/{first['name']}", body)
    estate.settle()
    assert estate.passes("web1", "198.51.100.1", 443)
    assert estate.run("drift") == 2
    assert "198.51.100" in estate.text
    estate.apply()
    assert not estate.passes("web1", "198.51.100.1", 443)
    estate.quiet()


def test_a_list_of_somebody_else_under_our_name_stops_everything_before_the_first_write(estate: Pair) -> None:
    estate.apply()
    taken = next(path for path in estate.ours("security/firewall/address-list") if "corp" in path).rpartition("/")[2]
    estate.policy("allow anywhere to role=web on tcp/443", RULES[1])
    estate.apply()
    assert taken not in str(estate.ours("security/firewall/address-list"))
    for place in (f"{FIREWALL}/address-list", "/mgmt/tm/net/address-list"):
        estate.act("POST", place, {"name": taken, "addresses": [{"name": "10.0.0.1"}]})
        estate.settle()
        before = estate.writes()
        estate.policy(*RULES)
        assert estate.run("apply", "--yes") == 4
        assert "F5-NAME-CLASH" in estate.text
        assert estate.writes() == before
        estate.act("DELETE", f"{place}/~Common~{taken}")
    estate.settle()
    estate.apply()


def test_a_disabled_virtual_server_stays_disabled_and_keeps_what_it_had(pair: Pair) -> None:
    pair.virtual("web1", "10.60.2.11:443", "role=web env=prod", disabled=True, description="asleep", persist=[{"name": "cookie"}])
    before = pair.running("ltm/virtual")["/Common/web1"]
    pair.policy(*RULES[:1])
    pair.apply()
    after = pair.running("ltm/virtual")["/Common/web1"]
    changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    assert changed <= {"fwEnforcedPolicy", "fwEnforcedPolicyReference", "generation"}
    assert after["disabled"] is True


def test_the_policy_is_there_after_a_reboot(estate: Pair) -> None:
    estate.apply()
    policies = estate.ours()
    estate.site.ask("reboot", {"unit": estate.section[0]["name"]})
    estate.site.ask("failover", {"to": estate.section[0]["name"]})
    assert estate.ours() == policies
    assert not estate.passes("web1", "198.51.100.1", 443)


def test_a_save_that_fails_is_told_and_made_good_by_the_next_run(estate: Pair) -> None:
    estate.site.ask("settings", {"save": "fails"})
    estate.apply(5)
    assert "save" in estate.text
    assert not estate.passes("web1", "198.51.100.1", 443), "the policy itself is in force"
    assert estate.run("doctor") != 0
    assert "last change was written, but not yet saved" in estate.text
    estate.site.ask("settings", {"save": "works"})
    estate.apply()
    assert estate.state()["unsaved"] is False
    assert estate.ours("security/firewall/address-list") == [
        one for one in estate.ours("security/firewall/address-list") if "pending" not in one
    ]
    estate.quiet()


def test_what_a_commit_is_refused_with_reaches_the_report_in_full(estate: Pair) -> None:
    words = "01070734:3: Configuration error: nobody knows <why>"
    estate.site.ask("faults", {"operation": "COMMIT transaction", "kind": "refused", "message": words})
    text = estate.apply(5)
    assert "01070734" in text
    assert "nobody knows <why>" in text
    assert not estate.ours()
    assert estate.state()["open_transactions"] == []
    estate.site.ask("faults", [])
    estate.apply()
    estate.quiet()


def test_a_busy_device_is_waited_for_in_reads_and_the_write_is_tried_again_as_a_new_one(estate: Pair) -> None:
    estate.site.ask("faults", {"operation": "GET security/firewall/policy", "kind": "unavailable", "nth": 1, "times": 2})
    estate.site.ask("faults", {"operation": "COMMIT transaction", "kind": "unavailable", "nth": 1, "times": 1})
    estate.apply()
    estate.quiet()


def test_logins_that_are_taken_away_are_made_again_and_none_is_left(estate: Pair) -> None:
    estate.apply()
    for _ in range(3):
        estate.site.ask("tokens", {"kill": True})
        assert estate.run("plan") == 0
    estate.site.ask("faults", {"operation": "GET ltm/virtual", "kind": "expired", "nth": 1, "times": 1})
    assert estate.run("plan") == 0, estate.text
    assert [estate.state(unit)["live_tokens"] for unit in (0, 1)] == [0, 0]


def test_many_runs_fit_under_the_limit_of_logins(estate: Pair) -> None:
    estate.site.ask("quotas", {"max_tokens": 2})
    estate.apply()
    for _ in range(6):
        assert estate.run("plan") == 0, estate.text


def test_too_many_logins_are_told_with_the_way_out(estate: Pair) -> None:
    estate.site.ask("quotas", {"max_tokens": 0})
    assert estate.run("doctor") == 5
    assert "maximum active login tokens" in estate.text
    assert "tokens" in estate.text


def test_no_word_of_a_secret_is_logged_or_printed(estate: Pair, caplog: pytest.LogCaptureFixture) -> None:
    secret = estate.section[0]["password"]
    with caplog.at_level(logging.DEBUG):
        estate.apply()
        said = estate.text
        estate.run("doctor")
    everything = (
        caplog.text + said + estate.text + "".join(path.read_text("utf-8", "replace") for path in estate.root.rglob("*") if path.is_file())
    )
    assert secret not in everything
    assert not re.search(r"\b[A-Z2-7]{26}\b", caplog.text + said), "no token either"
