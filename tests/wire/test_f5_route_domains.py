"""Whole runs over the wire with policies on route domains; what passes is the lab's verdict."""

from __future__ import annotations

from typing import Any

from cloudsync.lab.f5.pytest_plugin import f5_site, f5_site_server
from tests.wire.test_f5_wire import FIREWALL, RULES, Pair, chained, estate, pair, rule

__all__ = ["estate", "f5_site", "f5_site_server", "pair"]

DOMAIN = "/mgmt/tm/net/route-domain"
CORP, STRANGER = "203.0.113.9", "198.51.100.1"


def hold(pair: Pair, words: str = "route_domains: [0]", more: str = "") -> None:
    pair.more = f", attach: {{{words}}}{more}"
    pair.settings()


def carried(pair: Pair, name: str = "0", field: str = "fwEnforcedPolicy") -> str:
    return str(pair.running("net/route-domain")[f"/Common/{name}"].get(field, ""))


def foreign(pair: Pair, name: str, rules: list[dict[str, Any]], domain: str = "0") -> None:
    pair.act("POST", f"{FIREWALL}/policy", {"name": name, "description": "since 2016", "rules": chained(rules)})
    if domain:
        pair.act("PATCH", f"{DOMAIN}/~Common~{domain}", {"fwEnforcedPolicy": f"/Common/{name}"})
    pair.settle()


def enforced(pair: Pair) -> None:
    """Show that the policy of the fixture is what packets meet."""
    assert pair.passes("web1", CORP, 443)
    assert not pair.passes("web1", STRANGER, 443)
    assert pair.passes("db1", "10.60.2.11", 5432)
    assert not pair.passes("db1", CORP, 5432)


# --- the ordinary way ------------------------------------------------------------------------------------------------------


def test_one_policy_on_the_route_domain_serves_every_class_in_it(estate: Pair) -> None:
    hold(estate)
    text = estate.apply()
    assert "enforced = policy, no drift" in text
    enforced(estate)
    assert estate.ours() == [carried(estate)]
    assert [estate.attached(name) for name in ("web1", "web2", "db1")] == ["", "", ""]
    rules = estate.running("security/firewall/policy")[carried(estate)]["rules"]
    assert [one["name"].partition("_")[0] for one in rules] == ["allow", "allow", "cs", "cs"]
    assert all(one["destination"]["addressLists"] and one["destination"]["ports"] for one in rules)
    assert estate.calls()["PATCH net/route-domain"] == 1
    assert estate.calls()["COMMIT transaction"] == 1
    assert [set(one["body"]) for one in estate.log() if one["operation"] == "PATCH net/route-domain"] == [{"fwEnforcedPolicy"}]
    assert estate.state(1)["running"]["net/route-domain"] == estate.state(0)["running"]["net/route-domain"], "both units"
    assert estate.state()["unsaved"] is False
    estate.quiet()


def test_what_else_lives_in_the_route_domain_is_not_touched(estate: Pair) -> None:
    estate.act("POST", "/mgmt/tm/ltm/virtual", {"name": "forward", "destination": "/Common/10.60.0.0:0", "mask": "255.255.0.0"})
    body = {"name": "mine", "address": "10.60.2.11/24", "vlan": "/Common/internal", "allowService": ["tcp:22"]}
    estate.act("POST", "/mgmt/tm/net/vlan", {"name": "internal"})
    estate.act("POST", "/mgmt/tm/net/self", {**body, "address": "10.60.9.1/24"})
    estate.virtual("other", "10.60.2.31:443", "env=dev")
    asked = [
        {"src": STRANGER, "dst": "10.60.9.1", "protocol": "tcp", "port": 22},
        {"src": STRANGER, "dst": "10.60.7.7", "protocol": "tcp", "port": 8080},
        {"src": STRANGER, "dst": "10.60.2.11", "protocol": "tcp", "port": 22},
        {"src": STRANGER, "dst": "10.60.2.31", "protocol": "tcp", "port": 443},
        {"src": STRANGER, "dst": "10.60.2.11", "protocol": "icmp", "icmp_type": 8},
    ]
    hold(estate)
    estate.policy(*RULES, enforcement='enforcement: {rules: [{scope: "role=web|db", mode: full}], default: visibility}\n')
    before = estate.site.ask("verdict", asked)
    assert {one["verdict"] for one in before} == {"allowed"}
    estate.apply()
    assert [one["verdict"] for one in estate.site.ask("verdict", asked)] == [one["verdict"] for one in before]
    enforced(estate)
    estate.quiet()


def test_virtual_servers_at_one_address_are_told_apart_by_what_they_listen_on(pair: Pair) -> None:
    pair.virtual("web1", "10.60.2.11:443", "role=web env=prod")
    pair.virtual("db1", "10.60.2.11:5432", "role=db env=prod")
    pair.virtual("idle", "10.60.2.11:8443", "env=dev")
    pair.policy(*RULES, enforcement='enforcement: {rules: [{scope: "role=web|db", mode: full}], default: visibility}\n')
    hold(pair)
    pair.apply()
    assert pair.passes("web1", CORP, 443)
    assert not pair.passes("web1", STRANGER, 443)
    assert not pair.passes("db1", CORP, 5432)
    assert pair.passes("db1", "10.60.2.11", 5432)
    assert pair.passes("idle", STRANGER, 8443), "nobody enforces anything there"
    pair.quiet()


def test_two_that_listen_at_the_same_place_cannot_be_told_apart_and_are_skipped(pair: Pair) -> None:
    pair.virtual("web1", "10.60.2.11:443", "role=web env=prod")
    pair.virtual("all", "10.60.2.11:0", "role=db env=prod")
    pair.virtual("web2", "10.60.2.12:443", "role=web env=prod")
    pair.policy(*RULES)
    hold(pair)
    text = pair.apply()
    assert "listens where /Common/all does" in text
    assert pair.passes("web1", STRANGER, 443)
    assert not pair.passes("web2", STRANGER, 443)
    pair.quiet()


def test_a_new_member_is_two_lists_and_no_rule(estate: Pair) -> None:
    hold(estate)
    estate.apply()
    policies = estate.ours()
    estate.virtual("web3", "10.60.2.13:443", "role=web env=prod")
    before = estate.calls()
    estate.apply()
    found = estate.calls() - before
    assert estate.ours() == policies, "no rule changed, so no policy is new"
    assert found["PATCH security/firewall/address-list"] == 2, "as a source, and as a destination"
    assert found["POST security/firewall/policy"] == found["PATCH net/route-domain"] == 0
    assert not estate.passes("web3", STRANGER, 443)
    assert estate.passes("web3", CORP, 443)
    estate.quiet()


def test_route_domains_are_kept_apart_and_spelled_with_their_number(pair: Pair) -> None:
    pair.act("POST", DOMAIN, {"name": "1", "id": 1})
    pair.virtual("web1", "10.60.2.11:443", "role=web env=prod")
    pair.virtual("web2", "10.60.2.11%1:443", "role=web env=prod")
    pair.virtual("six", "fd00:60::11%1.443", "role=web env=prod")
    pair.policy(RULES[0])
    hold(pair, "virtuals: none, route_domains: [/Common/1]")
    text = pair.apply()
    assert "the settings attach no policy here" in text
    assert carried(pair) == ""
    assert carried(pair, "1").startswith("/Common/cs_acme_rd1_")
    assert pair.passes("web1", STRANGER, 443), "its route domain is not held"
    assert pair.passes("web2", f"{CORP}%1", 443)
    assert not pair.passes("web2", f"{STRANGER}%1", 443)
    assert pair.passes("six", "2001:db8:10::9%1", 443)
    assert not pair.passes("six", "2001:db8:11::9%1", 443)
    lists = [pair.running("security/firewall/address-list")[path] for path in pair.ours("security/firewall/address-list")]
    assert {"10.60.2.11%1", "10.60.2.11%1/32"} & {each["name"] for one in lists for each in one["addresses"]}
    pair.quiet()


def test_a_route_domain_that_is_not_there_stops_before_the_first_write(estate: Pair) -> None:
    hold(estate, "route_domains: [7]")
    before = estate.writes()
    assert estate.run("apply", "--yes") == 4
    assert "F5-ROUTE-DOMAIN" in estate.text
    assert "has none of that name" in estate.text
    assert estate.writes() == before


def test_a_device_that_drops_by_default_would_let_nothing_in(estate: Pair) -> None:
    estate.site.ask("settings", {"default_action": "drop"})
    hold(estate)
    before = estate.writes()
    assert estate.run("apply", "--yes") == 4
    assert "F5-DEFAULT" in estate.text
    assert estate.writes() == before


def test_never_allow_and_deny_stand_in_their_order_over_all_classes(estate: Pair) -> None:
    hold(estate)
    selective = 'enforcement: {rules: [{scope: "role=web", mode: selective}, {scope: "role=db", mode: full}], default: visibility}\n'
    rules = (
        "never allow iplist corp to role=db on any service",
        "deny anywhere to role=web on tcp/443",
        "allow role=web to role=db on tcp/5432",
        "allow role=db to role=web on tcp/443",
        "allow iplist corp to role=db on tcp/5432",
    )
    estate.policy(*rules, enforcement=selective)
    estate.apply()
    shown = estate.running("security/firewall/policy")[carried(estate)]["rules"]
    tiers = [one["name"].partition("_")[0] for one in shown]
    assert tiers == sorted(tiers, key=["never", "allow", "deny", "shut", "kept", "cs"].index)
    assert not estate.passes("db1", CORP, 5432), "never stands above allow"
    assert estate.passes("db1", "10.60.2.11", 5432)
    assert estate.passes("web1", "10.60.2.21", 443), "allow stands above deny"
    assert not estate.passes("web1", STRANGER, 443)
    estate.quiet()


# --- modes, and what others wrote ------------------------------------------------------------------------------------------


LEGACY = [rule("old", "accept", "198.51.100.0/24"), rule("ssh", "drop", port="22"), rule("rest", "drop", "192.0.2.0/24", protocol="any")]


def test_additive_skips_a_route_domain_that_carries_a_policy_and_names_it(estate: Pair) -> None:
    foreign(estate, "legacy", LEGACY)
    estate.mode = "additive"
    hold(estate)
    estate.policy("never allow iplist corp to role=web, role=db on any service", RULES[1])
    before = estate.writes()
    text = estate.apply()
    assert "route domain 0 carries the policy /Common/legacy" in text
    assert estate.writes() == before


def test_additive_adds_its_rules_and_leaves_the_rest_to_others(estate: Pair) -> None:
    foreign(estate, "legacy", LEGACY, domain="")
    estate.act("PATCH", "/mgmt/tm/ltm/virtual/~Common~web1", {"fwEnforcedPolicy": "/Common/legacy"})
    estate.settle()
    estate.mode = "additive"
    hold(estate)
    estate.policy("never allow iplist corp to role=web, role=db on any service", RULES[1])
    estate.apply()
    assert estate.attached("web1") == "/Common/legacy"
    assert not estate.passes("web2", CORP, 443), "never stands above the device's default"
    assert estate.passes("web2", STRANGER, 443), "what nobody forbids stays as it was"
    assert not estate.passes("web1", "192.0.2.1", 443), "what the policy on the virtual server cuts stays cut"
    estate.quiet()


def test_exclusive_takes_the_place_of_a_policy_and_keeps_what_it_says_of_others(estate: Pair) -> None:
    foreign(estate, "legacy", LEGACY)
    estate.virtual("other", "10.60.2.31:443", "env=dev")
    hold(estate)
    only = 'enforcement: {rules: [{scope: "role=web|db", mode: full}], default: visibility}\n'
    estate.policy(*RULES, enforcement=only)
    legacy = estate.running("security/firewall/policy")["/Common/legacy"]
    estate.apply()
    assert carried(estate).startswith("/Common/cs_acme_rd0_")
    enforced(estate)
    assert not estate.passes("other", "192.0.2.1", 443), "what it cut elsewhere stays cut"
    assert estate.passes("other", "198.51.100.1", 443)
    shown = estate.running("security/firewall/policy")
    assert shown["/Common/legacy"] == legacy
    assert [one["name"] for one in shown[carried(estate)]["rules"]][-3:] == ["was_old", "was_ssh", "was_rest"]
    estate.quiet()
    estate.act("PATCH", f"{FIREWALL}/policy/~Common~legacy/rules/rest", {"status": "disabled"})
    estate.settle()
    estate.apply()
    assert estate.passes("other", "192.0.2.1", 443), "people still edit their own policy, and it still counts"
    elsewhere = 'enforcement: {rules: [{scope: "role=db", mode: full}], default: visibility}\n'
    estate.policy(*RULES, enforcement=elsewhere)
    estate.apply()
    assert estate.passes("web1", STRANGER, 443)
    assert not estate.passes("db1", CORP, 5432)
    estate.quiet()


def test_what_a_route_domain_carried_is_given_back_at_the_end(estate: Pair) -> None:
    foreign(estate, "legacy", LEGACY)
    estate.act("POST", DOMAIN, {"name": "1", "id": 1})
    estate.virtual("far", "10.60.2.41%1:443", "role=lb env=prod")
    hold(estate, "virtuals: all, route_domains: [0]")
    estate.apply()
    assert carried(estate) != "/Common/legacy"
    elsewhere = 'enforcement: {rules: [{scope: "role=lb", mode: full}], default: visibility}\n'
    estate.policy(*RULES, "allow iplist corp to role=lb on tcp/443", enforcement=elsewhere)
    estate.apply()
    assert carried(estate) == "/Common/legacy"
    assert estate.ours() == [estate.attached("far")]
    assert not estate.passes("web1", "192.0.2.1", 443)
    estate.quiet()


def test_selective_keeps_what_the_route_domains_policy_let_in(estate: Pair) -> None:
    foreign(estate, "legacy", LEGACY)
    hold(estate)
    selective = 'enforcement: {rules: [{scope: "role=web", mode: selective}], default: visibility}\n'
    estate.policy("deny iplist corp to role=web on tcp/443", "allow role=db to role=web on tcp/443", enforcement=selective)
    estate.apply()
    assert estate.passes("web1", STRANGER, 443), "kept"
    assert not estate.passes("web1", CORP, 443), "denied"
    assert not estate.passes("web1", "192.0.2.1", 443), "the old policy did not let it in"
    assert estate.passes("web1", "10.60.2.21", 443)
    estate.quiet()


def test_a_rule_edited_by_hand_is_drift_and_goes_again(estate: Pair) -> None:
    hold(estate)
    estate.apply()
    policy = carried(estate)
    first = estate.running("security/firewall/policy")[policy]["rules"][0]
    body = {"source": {"addresses": [{"name": "198.51.100.0/24"}], "addressLists": first["source"].get("addressLists", [])}}
    estate.act("PATCH", f"{FIREWALL}/policy/{policy.replace('/', '~')}/rules/{first['name']}", body)
    estate.settle()
    assert estate.run("drift") == 2
    assert "198.51.100" in estate.text
    estate.apply()
    enforced(estate)
    assert carried(estate) != policy
    estate.quiet()


def test_explain_follows_a_packet_through_the_route_domain(estate: Pair) -> None:
    hold(estate)
    estate.apply()
    assert estate.run("explain", CORP, "web1", "tcp/443") == 0, estate.text
    assert "route domain 0, policy /Common/cs_acme_rd0_" in estate.text
    estate.run("explain", STRANGER, "web1", "tcp/443")
    assert "cs_default_" in estate.text


# --- sizes ------------------------------------------------------------------------------------------------------------------


def test_quotas_are_refused_before_writing(estate: Pair) -> None:
    hold(estate, more=", quotas: {rules_per_policy: 3}")
    before = estate.writes()
    assert estate.run("apply", "--yes") == 4
    assert "rules_per_policy allows 3" in estate.text
    assert estate.writes() == before


def test_reads_and_writes_do_not_grow_with_classes(estate: Pair) -> None:
    hold(estate)
    for number in range(12):
        estate.virtual(f"more{number}", f"10.60.3.{number + 1}:443", "role=web env=dev" if number % 2 else "role=lb env=dev")
    estate.apply()
    found = estate.calls()
    assert found["COMMIT transaction"] == 1
    assert found["PATCH net/route-domain"] == 1
    assert found["PATCH ltm/virtual"] == 0
    assert found["POST security/firewall/policy"] == 1
