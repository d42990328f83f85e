"""Whole runs over the wire: compiling, synchronising, failing over, and what each mode does at a virtual server."""

from __future__ import annotations

from cloudsync.lab.f5.pytest_plugin import f5_site, f5_site_server
from tests.wire.test_f5_wire import FIREWALL, RULES, Pair, chained, estate, pair, rule

__all__ = ["estate", "f5_site", "f5_site_server", "pair"]


# --- compile, synchronise, fail over --------------------------------------------------------------------------------------------


def test_what_is_committed_but_not_compiled_is_not_called_enforced(estate: Pair) -> None:
    estate.more = ", compile_wait: 1s, max_wait: 2s"
    estate.settings()
    estate.act("PATCH", f"{FIREWALL}/on-demand-compilation", {"onDemandCompilation": "enabled"})
    text = estate.apply(5)
    assert "committed, but not compiled" in text
    assert estate.passes("web1", "198.51.100.1", 443), "packets meet the old rules"
    assert estate.run("plan") != 0
    assert "F5-NOT-COMPILED" in estate.text
    estate.act("POST", f"{FIREWALL}/on-demand-compilation", {"command": "run"})
    estate.act("PATCH", f"{FIREWALL}/on-demand-compilation", {"onDemandCompilation": "disabled"})
    estate.site.world.settle()
    estate.apply()
    assert not estate.passes("web1", "198.51.100.1", 443)
    estate.quiet()


def test_a_staged_policy_is_compiled_before_it_is_enforced(estate: Pair) -> None:
    estate.more = ", stage: true"
    estate.settings()
    estate.site.ask("settings", {"compile_delay_s": 0.05})
    before = estate.calls()
    estate.apply()
    assert (estate.calls() - before)["COMMIT transaction"] == 2
    bodies = [one["body"] for one in estate.log() if one["operation"] == "PATCH ltm/virtual"]
    assert [set(one) for one in bodies] == [{"fwStagedPolicy"}] * 3 + [{"fwEnforcedPolicy", "fwStagedPolicy"}] * 3
    assert "fwStagedPolicy" not in estate.running("ltm/virtual")["/Common/web1"]
    assert not estate.passes("web1", "198.51.100.1", 443)
    estate.quiet()


def test_a_slow_compiler_is_waited_for(estate: Pair) -> None:
    estate.site.ask("settings", {"compile_delay_s": 0.7})
    estate.apply()
    assert not estate.passes("web1", "198.51.100.1", 443)
    estate.quiet()


def test_a_conflict_between_the_devices_is_told_and_never_forced(estate: Pair) -> None:
    estate.more = ", compile_wait: 1s"
    estate.settings()
    second = estate.section[1]["name"]
    estate.act("POST", f"{FIREWALL}/address-list", {"name": "by_hand_there", "addresses": [{"name": "10.0.0.1"}]}, unit=second)
    first = estate.section[0]["name"]
    estate.act("POST", f"{FIREWALL}/address-list", {"name": "by_hand_here", "addresses": [{"name": "10.0.0.1"}]}, unit=first)
    assert estate.state()["color"] == "red"
    before = estate.writes()
    assert estate.run("apply", "--yes") == 4, estate.text
    assert "F5-SYNC" in estate.text
    assert "conflict" in estate.text
    assert estate.writes() == before
    assert "by_hand_there" in str(estate.running("security/firewall/address-list", 1))


def test_a_conflict_that_comes_with_our_own_change_is_told_and_never_forced(estate: Pair) -> None:
    second = estate.section[1]["name"]
    body = {"name": "by_hand_there", "addresses": [{"name": "10.0.0.1"}]}
    edit = {"unit": second, "method": "POST", "path": f"{FIREWALL}/address-list", "body": body}
    estate.site.ask("faults", {"operation": "POST sys/config", "kind": "edit", "nth": 1, "call": edit})
    text = estate.apply(5)
    assert "F5-SYNC" in text
    assert "by_hand_there" in str(estate.running("security/firewall/address-list", 1))
    assert not estate.passes("web1", "198.51.100.1", 443), "the policy itself is in force"


def test_changes_that_only_the_standby_device_has_are_no_ground_to_write_on(estate: Pair) -> None:
    estate.apply()
    body = {"name": "by_hand", "addresses": [{"name": "10.0.0.1"}]}
    estate.act("POST", f"{FIREWALL}/address-list", body, unit=estate.section[0]["name"])
    estate.site.ask("failover", {})
    estate.policy("allow iplist corp to role=web, role=db on tcp/443", RULES[1])
    before = estate.writes()
    assert estate.run("apply", "--yes") == 4, estate.text
    assert "F5-SYNC" in estate.text
    assert f"{estate.section[0]['hostname']} has changes" in estate.text
    assert estate.writes() == before


def test_nothing_is_written_to_the_standby_device(estate: Pair) -> None:
    estate.apply()
    assert {one["scope"] for one in estate.log() if one["mutating"]} == {estate.section[0]["name"]}
    estate.site.ask("failover", {})
    estate.policy("allow iplist corp to role=web, role=db on tcp/443", RULES[1])
    before = len(estate.log())
    estate.apply()
    assert {one["scope"] for one in estate.log()[before:] if one["mutating"]} == {estate.section[1]["name"]}


def test_a_failover_between_plan_and_apply_stops_before_anything_is_sent(estate: Pair) -> None:
    assert estate.run("plan", "-o", str(estate.root / "plan.json")) == 2, estate.text
    estate.site.ask("failover", {})
    before = estate.writes()
    assert estate.run("apply", str(estate.root / "plan.json"), "--yes") in (4, 5)
    assert estate.writes() == before


def test_a_failover_in_the_middle_of_a_run_stops_it(estate: Pair) -> None:
    estate.site.ask("settings", {"compile_delay_s": 0.01})
    edit = {
        "unit": estate.section[0]["name"],
        "method": "POST",
        "path": "/mgmt/tm/sys/failover",
        "body": {"command": "run", "standby": True},
    }
    estate.site.ask("faults", {"operation": "COMMIT transaction", "kind": "edit_after", "call": edit})
    code = estate.run("apply", "--yes")
    assert estate.site.world.active.identity.name == estate.section[1]["name"], "the lab failed over"
    assert code == 5, estate.text
    assert "F5-FAILOVER" in estate.text or "active" in estate.text


def test_two_active_devices_or_none_are_read_by_nobody(estate: Pair) -> None:
    for unit in estate.site.world.units.values():
        unit.active = True
    assert estate.run("plan") != 0
    assert "one device of the group has to be active" in estate.text


def test_another_device_under_the_address_is_noticed_first(estate: Pair) -> None:
    estate.site.ask("faults", {"operation": "GET cm/device", "kind": "identity", "times": 0})
    before = estate.writes()
    assert estate.run("apply", "--yes") == 4
    assert "G-IDENTITY" in estate.text
    assert estate.writes() == before


def test_without_the_firewall_module_nothing_is_read(estate: Pair) -> None:
    estate.site.ask("provision", {"module": "afm", "level": "none"})
    estate.run("plan")
    assert "not provisioned" in estate.text


def test_a_human_edit_just_before_the_commit_stops_the_commit(estate: Pair) -> None:
    estate.act("POST", f"{FIREWALL}/policy", {"name": "urgent", "rules": chained([rule("all", "accept", protocol="any")])})
    estate.settle()
    edit = {"method": "PATCH", "path": "/mgmt/tm/ltm/virtual/~Common~web1", "body": {"fwEnforcedPolicy": "/Common/urgent"}}
    estate.site.ask("faults", {"operation": "GET ltm/virtual", "kind": "edit", "nth": 3, "call": edit})
    code = estate.run("apply", "--yes")
    assert code == 5, estate.text
    assert "F5-MOVED" in estate.text
    assert not any(estate.attached(name).startswith("/Common/cs_") for name in estate.addresses), "nothing of the plan was written"
    estate.site.ask("faults", [])
    estate.settle()
    estate.apply()
    estate.quiet()


# --- modes --------------------------------------------------------------------------------------------------------------------


def legacy(pair: Pair, name: str = "legacy") -> None:
    rules = [rule("old", "accept", "198.51.100.0/24"), rule("rest", "drop", protocol="any")]
    pair.act("POST", f"{FIREWALL}/policy", {"name": name, "description": "since 2016", "rules": chained(rules)})
    pair.act("PATCH", "/mgmt/tm/ltm/virtual/~Common~web1", {"fwEnforcedPolicy": f"/Common/{name}"})
    pair.settle()


def test_additive_leaves_a_virtual_server_with_a_policy_alone_and_says_so(estate: Pair) -> None:
    legacy(estate)
    estate.mode = "additive"
    estate.settings()
    estate.policy("never allow iplist corp to role=web, role=db on any service", RULES[1])
    before = estate.running("security/firewall/policy")["/Common/legacy"]
    text = estate.apply()
    assert "carries the policy /Common/legacy" in text
    assert estate.running("security/firewall/policy")["/Common/legacy"] == before
    assert estate.attached("web1") == "/Common/legacy"
    assert estate.attached("web2").startswith("/Common/cs_acme_")
    assert not estate.passes("web2", "203.0.113.9", 443), "never stands above the device's default"
    assert estate.passes("web2", "198.51.100.1", 443), "what nobody forbids stays as it was"
    estate.quiet()


def test_selective_keeps_what_was_open_and_release_gives_it_back(estate: Pair) -> None:
    legacy(estate)
    selective = 'enforcement: {rules: [{scope: "role=web", mode: selective}], default: visibility}\n'
    estate.policy("deny iplist corp to role=web on tcp/443", "allow role=db to role=web on tcp/443", enforcement=selective)
    estate.apply()
    assert estate.passes("web1", "198.51.100.1", 443), "kept"
    assert not estate.passes("web1", "203.0.113.9", 443)
    assert estate.passes("web1", "10.60.2.21", 443), "allowed"
    assert not estate.passes("web1", "192.0.2.1", 443), "the old policy did not let it in"
    assert estate.passes("web2", "192.0.2.1", 443), "there was no policy here"
    assert not estate.passes("web2", "203.0.113.9", 443), "denied"
    assert estate.attached("db1") == ""
    estate.quiet()
    elsewhere = 'enforcement: {rules: [{scope: "role=db", mode: full}], default: visibility}\n'
    estate.policy(RULES[0], RULES[1], enforcement=elsewhere)  # a scope is never emptied without an approval
    estate.apply()
    assert estate.attached("web1") == "/Common/legacy"
    assert estate.attached("web2") == ""
    assert estate.ours() == [estate.attached("db1")]
    assert len(estate.ours("security/firewall/address-list")) == 1


def test_foreign_policies_on_outer_contexts_are_counted_with(estate: Pair) -> None:
    rules = [rule("vip", "accept-decisively", "192.0.2.7"), rule("cut", "drop", "203.0.113.128/25")]
    estate.act("POST", f"{FIREWALL}/policy", {"name": "edge", "rules": chained(rules)})
    estate.act("PATCH", f"{FIREWALL}/global-rules", {"enforcedPolicy": "/Common/edge"})
    estate.settle()
    text = estate.apply()
    assert "policy /Common/edge on the global context decides before ours" in text
    assert estate.passes("web1", "203.0.113.9", 443)
    assert not estate.passes("web1", "203.0.113.200", 443), "cut before our policy is asked"
    assert estate.passes("web1", "192.0.2.7", 443), "let in for good before our policy is asked"
    estate.quiet()


def test_policies_are_attached_where_the_settings_say_and_nowhere_else(estate: Pair) -> None:
    estate.more = ", attach: {virtuals: [web1, /Common/db1]}"
    estate.settings()
    text = estate.apply()
    assert "the settings attach no policy here" in text
    assert estate.attached("web1")
    assert estate.attached("db1")
    assert not estate.attached("web2")
    assert estate.passes("db1", "10.60.2.12", 5432), "it is a member of its class all the same"
    estate.quiet()


def test_a_virtual_server_that_is_not_there_is_no_silence(estate: Pair) -> None:
    estate.more = ", attach: {virtuals: [web1, wbe2]}"
    estate.settings()
    before = estate.writes()
    assert estate.run("apply", "--yes") == 5
    assert "the settings attach a policy to wbe2, and the device has no virtual server of that name" in estate.text
    assert estate.writes() == before


def test_observe_writes_nothing(estate: Pair) -> None:
    estate.mode = "observe"
    estate.settings()
    before = estate.writes()
    estate.run("apply", "--yes")
    assert estate.writes() == before


def test_two_owners_do_not_touch_each_other(estate: Pair) -> None:
    estate.apply()
    ours = {path: estate.running("security/firewall/policy")[path] for path in estate.ours()}
    settings = (estate.root / "cloudsync.yaml").read_text("utf-8")
    (estate.root / "cloudsync.yaml").write_text(settings.replace("owner: acme", "owner: other").replace("exclusive", "additive"), "utf-8")
    assert estate.run("apply", "--yes") == 0, estate.text
    assert {path: estate.running("security/firewall/policy")[path] for path in estate.ours()} == ours


def test_egress_enforced_is_refused_and_never_silently_dropped(estate: Pair) -> None:
    estate.policy(RULES[1], enforcement="enforcement: {default: {mode: full, egress: enforce}}\n")
    before = estate.writes()
    assert estate.run("apply", "--yes") == 3
    assert "filters nothing that it sends" in estate.text
    assert estate.writes() == before
