"""What a changed policy costs on the wire: a rule that comes or goes touches its own native rules, and its neighbours' in nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

import cloudsync.compile.allowed
from cloudsync.adapter import Origin
from cloudsync.policy.values import Rule
from tests.cli.four import WORDS, Four
from tests.oracle import cloud

SITES = ("aws", "gcp", "azure", "f5")
FRONT = {"aws": "web", "gcp": "web", "azure": "web", "f5": "lb"}
PLACE = {"aws": "10.10.1.21", "gcp": "10.40.0.11", "azure": "10.50.1.11"}
"""The address of one of those; on F5 nothing listens where the rules are about."""
CALLS = {"aws": "", "gcp": "gcp", "azure": "azure", "f5": "f5"}
LISTS = "".join(f"  p{number:02}: [192.0.2.{number * 8}/29]\n" for number in range(1, 31))
OPENS = {
    "aws": {"AuthorizeSecurityGroupIngress": 1},
    "gcp": {"firewalls.insert": 1},
    "azure": {"NetworkSecurityGroups_CreateOrUpdate": 1},
}
CLOSES = {**OPENS, "aws": {"RevokeSecurityGroupIngress": 1}, "gcp": {"firewalls.delete": 1}}


def sentence(site: str, number: int, more: str = "") -> str:
    """Return one of many rules: a list of its own, a port of its own."""
    return f"allow iplist p{number:02} to role={FRONT[site]} env=prod on tcp/{9000 + number}{more}"


def policy(four: Four, rules: Iterable[str]) -> None:
    """Write a policy that is enforced in production."""
    four.policy(*rules, enforced="{scope: env=prod, mode: full}", words=WORDS + LISTS)


def ours(four: Four, site: str) -> dict[str, str]:
    """Return every native rule of ours with all it says, by what tells it from others; on F5 without the generation it stands in."""
    if site == "aws":
        state = four.lab.state
        keys = next(one for one in state.accounts if one.account == state.account)
        seen = cloud.read(cloud.Access(state.endpoint, keys.account, keys.access_key_id, keys.secret_access_key, state.region), "")
        groups = {name: one for name, one in seen.groups.items() if "cloudsync:owner" in cloud.tags(one)}
        return {f"{name}/{said}": said for name, one in groups.items() for said in _entries(one)}
    if site == "gcp":
        listed = four.act(site, "GET", "/compute/v1/projects/acme-net/global/firewalls")["items"]
        return {one["name"]: json.dumps(one, sort_keys=True) for one in listed if one["name"].startswith("cs-")}
    if site == "azure":
        azure = four.lab.state.as_json()["azure"]
        where = f"/subscriptions/{azure['subscription']}/resourceGroups/{azure['resource_group']}/providers/Microsoft.Network"
        nsgs = four.act(site, "GET", f"{where}/networkSecurityGroups")["value"]
        rules = [(nsg["name"], one) for nsg in nsgs for one in nsg["properties"]["securityRules"] if one["name"].startswith("cs-")]
        return {f"{nsg}/{one['name']}": json.dumps(one["properties"], sort_keys=True) for nsg, one in rules}
    found: dict[str, str] = {}
    for one in four.act(site, "GET", "/mgmt/tm/security/firewall/policy?expandSubcollections=true")["items"]:
        for rule in one.get("rulesReference", {}).get("items", ()) if one["name"].startswith("cs_") else ():
            said = {key: value for key, value in rule.items() if key in ("action", "source", "destination", "ipProtocol", "description")}
            found[rule["name"]] = json.dumps(said, sort_keys=True)
    return found


def _entries(group: Any) -> Iterable[str]:
    for way in ("IpPermissions", "IpPermissionsEgress"):
        for one in group[way]:
            for kind in ("IpRanges", "Ipv6Ranges", "UserIdGroupPairs", "PrefixListIds"):
                for peer in one[kind]:
                    yield json.dumps([way, one["IpProtocol"], one.get("FromPort"), peer], sort_keys=True)


def explained(four: Four, site: str, number: int) -> str:
    """Return what is said of a packet that one of the rules is about; nothing on F5."""
    return four.run("explain", f"192.0.2.{number * 8}", PLACE[site], f"tcp/{9000 + number}", code=0).out if site in PLACE else ""


def started(four: Four, site: str, rules: Iterable[str]) -> dict[str, str]:
    """Bring a first policy in force at one platform; return what is ours there then."""
    four.settings(four.target(site, "exclusive"))
    policy(four, rules)
    four.converge()
    four.forget()
    return ours(four, site)


def applied(four: Four, site: str, rules: Iterable[str]) -> dict[str, int]:
    """Bring another policy in force; return the writes it took."""
    four.forget()
    policy(four, rules)
    four.converge()
    return four.writes(CALLS[site])


@pytest.fixture
def numbered(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Write as earlier releases did: rules without an id by their position. `undo()` ends it."""

    def by_position(rule: Rule) -> Origin:
        return Origin(rule.id, rule.where)

    monkeypatch.setattr(cloudsync.compile.allowed, "origin_of", by_position)
    return monkeypatch


@pytest.mark.parametrize("site", SITES)
def test_a_rule_dropped_from_the_middle_of_twenty_takes_its_own_native_rules_along_and_no_others(four: Four, site: str) -> None:
    rules = [sentence(site, number) for number in range(1, 21)]
    before = started(four, site, rules)
    assert len(before) >= 20
    policy(four, [*rules[:9], *rules[10:]])
    said = explained(four, site, 10)
    assert site not in ("gcp", "azure") or "(not in the policy now)" in said, said
    writes = applied(four, site, [*rules[:9], *rules[10:]])
    after = ours(four, site)
    assert after.items() <= before.items(), "a native rule of another rule was changed"
    assert len(before) - len(after) == 1
    if site in CLOSES:
        assert writes == CLOSES[site]
    four.settled()


@pytest.mark.parametrize("site", SITES)
def test_a_rule_put_on_top_adds_its_own_native_rules_and_touches_no_others(four: Four, site: str) -> None:
    rules = [sentence(site, number) for number in range(1, 21)]
    before = started(four, site, rules)
    writes = applied(four, site, [sentence(site, 30), *rules])
    after = ours(four, site)
    assert before.items() <= after.items(), "a native rule of another rule was changed"
    assert len(after) - len(before) == 1
    if site in OPENS:
        assert writes == OPENS[site]
    said = explained(four, site, 10)
    assert site not in PLACE or "r#11 (policy/all.yaml:" in said, said
    assert "r@" not in said
    four.settled()


@pytest.mark.parametrize("site", SITES)
def test_another_order_and_other_reasons_are_written_nowhere(four: Four, site: str) -> None:
    rules = [sentence(site, number) for number in range(1, 13)]
    same_peers = [f"allow iplist p{one:02} to role={FRONT[site]} env=prod on tcp/443" for one in (1, 13, 14)]
    before = started(four, site, [*rules, *same_peers])
    assert applied(four, site, [*reversed(same_peers), *reversed(rules)]) == {}
    told = [f"'{sentence(site, number)} because \"CHG-{number}\" owned by ops'" for number in range(1, 13)]
    assert applied(four, site, [*told[:-1], f"{told[-1]}\n      # a remark", *same_peers]) == {}
    assert ours(four, site) == before


@pytest.mark.parametrize("site", SITES)
def test_an_estate_described_by_positions_is_left_alone_until_a_rule_of_it_changes(
    four: Four, site: str, numbered: pytest.MonkeyPatch
) -> None:
    rules = [sentence(site, number) for number in range(1, 21)]
    before = started(four, site, rules)
    assert any("r#10" in one for one in before.values())
    numbered.undo()
    four.run("plan", code=0)
    assert applied(four, site, rules) == {}
    assert applied(four, site, list(reversed(rules))) == {}
    said = explained(four, site, 10)
    assert site not in PLACE or "r#11 (policy/all.yaml:" in said, said
    assert "r#10" not in said, "that was its number once"
    four.settled()
    applied(four, site, [sentence(site, 30), *rules[:9], *rules[10:]])
    after = ours(four, site)
    if site in ("azure", "f5"):  # groups and policies are written as a whole
        assert not any("r#" in one for one in after.values())
        assert len(after) == len(before)
    else:
        assert len(before.items() - after.items()) == 1
        (new,) = after.items() - before.items()
        assert "r@" in new[1]
    four.settled()


def test_a_rule_taken_away_by_hand_is_named_as_the_policy_has_it(four: Four) -> None:
    before = started(four, "gcp", [sentence("gcp", number) for number in range(1, 13)])
    (name,) = (name for name, said in before.items() if '"192.0.2.80/29"' in said)
    four.act("gcp", "DELETE", f"/compute/v1/projects/acme-net/global/firewalls/{name}")
    ran = four.run("drift", code=2)
    assert "wanted by r#10 (policy/all.yaml:" in ran.out, str(ran)
    (drift,) = json.loads(four.run("drift", "--json", code=2).out)["targets"][0]["drift"]
    assert [one["rule"] for one in drift["wanted_by"]] == ["r#10"]
    four.converge()
    assert ours(four, "gcp").keys() == before.keys()
