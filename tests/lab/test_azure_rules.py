"""Security rules and groups of the Azure lab: what is refused, with which words, and that a refusal leaves no trace."""

from __future__ import annotations

from typing import Any

import pytest

from cloudsync.lab.azure.pytest_plugin import Wire, rule

NSG = "networkSecurityGroups"


def rules(azure: Wire, *table: Any, **more: Any) -> Any:
    return azure.put(azure.path(NSG, "one"), {"securityRules": list(table), **more})


def stored(azure: Wire) -> Any:
    return azure.get(azure.path(NSG, "one"))


@pytest.fixture
def one(azure: Wire) -> Wire:
    azure.done(azure.path(NSG, "one"), {"securityRules": [rule("first", 100), rule("second", 200, direction="Outbound")]})
    return azure


PRIORITY = "Security rule has invalid Priority. Value provided: {} Allowed range 100-4096."
PORT = (
    "Security rule has invalid Port range. Value provided: {}. Value should be an integer OR integer range with '-' delimiter. "
    "Valid range 0-65535."
)
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "priority 99": ({"priority": 99}, "SecurityRuleInvalidPriority", PRIORITY.format(99)),
    "priority 4097": ({"priority": 4097}, "SecurityRuleInvalidPriority", PRIORITY.format(4097)),
    "port 70000": ({"destinationPortRange": "70000"}, "SecurityRuleInvalidPortRange", PORT.format(70000)),
    "ports upside down": ({"destinationPortRange": "90-80"}, "SecurityRuleInvalidPortRange", PORT.format("90-80")),
    "port in words": ({"destinationPortRange": "https"}, "SecurityRuleInvalidPortRange", PORT.format("https")),
    "many ports, one bad": (
        {"destinationPortRange": None, "destinationPortRanges": ["80", "66600"]}, "SecurityRuleInvalidPortRange", PORT.format(66600),
    ),
    "prefix /42": ({"sourceAddressPrefix": "10.0.0.0/42"}, "SecurityRuleInvalidAddressPrefix", "Value provided: 10.0.0.0/42"),
    "10.300.0.0/8": ({"sourceAddressPrefix": "10.300.0.0/8"}, "SecurityRuleInvalidAddressPrefix", "Value provided: 10.300.0.0/8"),
    "host bits": ({"sourceAddressPrefix": "50.206.209.68/27"}, "SecurityRuleInvalidAddressPrefix", "50.206.209.68/27"),
    "no such tag": ({"sourceAddressPrefix": "Intranet"}, "SecurityRuleInvalidAddressPrefix", "Intranet"),
    "a long story": ({"description": "x" * 141}, "SecurityRuleDescriptionTooLong", "Security rule description cannot exceed 140 chars."),
    "action maybe": ({"access": "maybe"}, "InvalidRequestFormat", "Cannot parse the request."),
    "protocol sctp": ({"protocol": "Sctp"}, "InvalidRequestFormat", "Cannot parse the request."),
    "no direction": ({"direction": None}, "InvalidRequestFormat", "Cannot parse the request."),
    "no priority": ({"priority": None}, "InvalidRequestFormat", "Cannot parse the request."),
    "an unknown field": ({"comment": "hello"}, "InvalidRequestFormat", "Cannot parse the request."),
    "a list where a text belongs": ({"sourceAddressPrefix": ["10.0.0.0/8"]}, "InvalidRequestFormat", "Cannot parse the request."),
    "no source at all": ({"sourceAddressPrefix": None}, "SecurityRuleParameterContainsEmptyValue", "sourceAddressPrefix"),
    "an empty list of sources": (
        {"sourceAddressPrefix": None, "sourceAddressPrefixes": []}, "SecurityRuleParameterContainsEmptyValue", "sourceAddressPrefixes",
    ),
    "no ports": ({"destinationPortRange": None}, "SecurityRuleParameterContainsEmptyValue", "destinationPortRange"),
    "one and many sources": (
        {"sourceAddressPrefixes": ["10.1.0.0/16"]}, "SecurityRuleCannotSpecifyBothSingularAndPlural", "sourceAddressPrefixes",
    ),
    "one and many ports": (
        {"destinationPortRanges": ["80"]}, "SecurityRuleCannotSpecifyBothSingularAndPlural", "destinationPortRanges",
    ),
    "star in a list": (
        {"sourceAddressPrefix": None, "sourceAddressPrefixes": ["*"]}, "SecurityRuleParameterContainsUnsupportedValue", "*",
    ),
    "a tag in a list of one": (
        {"sourceAddressPrefix": None, "sourceAddressPrefixes": ["Internet"]}, "SecurityRuleParameterContainsUnsupportedValue", "Internet",
    ),
    "tags in a list": (
        {"sourceAddressPrefix": None, "sourceAddressPrefixes": ["Internet", "VirtualNetwork"]},
        "SecurityRuleParameterContainsUnsupportedValue", "Internet",
    ),
    "two families": (
        {"sourceAddressPrefix": None, "sourceAddressPrefixes": ["10.0.0.0/8", "fd00::/8"]},
        "ResourceCannotContainAddressPrefixesFromDifferentAddressFamilies", "different address families",
    ),
    "two families on two sides": (
        {"destinationAddressPrefix": "fd00::/8"}, "ResourceCannotContainAddressPrefixesFromDifferentAddressFamilies", "families",
    ),
    "an ASG that is not there": (
        {"sourceAddressPrefix": None, "sourceApplicationSecurityGroups": [{"id": "/subscriptions/x"}]},
        "InvalidResourceReference", "not found",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_rule_refuses_the_whole_put_and_leaves_no_trace(one: Wire, case: str) -> None:
    change, code, words = REFUSED[case]
    before = stored(one)
    heard = rules(one, rule("good", 300), rule("bad", 301, **change))
    assert (heard.status, heard.code) == (400, code)
    assert words in heard.message
    assert stored(one).document == before.document


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_child_rule_is_refused_alike(one: Wire, case: str) -> None:
    change, code, _ = REFUSED[case]
    before = stored(one)
    bad = rule("bad", 301, **change)
    heard = one.put(one.path(NSG, "one/securityRules/bad"), bad["properties"], location=None)
    assert (heard.status, heard.code) == (400, code)
    assert stored(one).document == before.document


@pytest.mark.parametrize("name", ["-first", "first-", "a b", "x" * 81, "first.", "ü"])
def test_a_name_that_is_none(one: Wire, name: str) -> None:
    assert rules(one, rule(name, 300)).code == "InvalidResourceName"


@pytest.mark.parametrize("name", ["first", "x" * 80, "a.b-c_", "1", "AllowVnetInBound"])
def test_a_name_that_is_one(one: Wire, name: str) -> None:
    assert rules(one, rule(name, 300)).code == "ok"


def test_priorities_are_unique_per_direction(one: Wire) -> None:
    assert rules(one, rule("a", 300), rule("b", 300)).code == "SecurityRuleConflict"
    assert rules(one, rule("a", 300), rule("b", 300, direction="Outbound")).code == "ok"


def test_names_are_unique_whatever_their_case(one: Wire) -> None:
    assert rules(one, rule("a", 300), rule("A", 301)).code == "DuplicateResourceName"


def test_a_child_at_a_taken_priority_conflicts(one: Wire) -> None:
    child = one.put(one.path(NSG, "one/securityRules/third"), rule("third", 100)["properties"], location=None)
    assert (child.status, child.code) == (400, "SecurityRuleConflict")
    assert child.message.startswith("Security rule first conflicts with rule third. Rules cannot have the same Priority and Direction.")


def test_two_priorities_swap_in_one_put(one: Wire) -> None:
    one.done(one.path(NSG, "one"), {"securityRules": [rule("a", 300), rule("b", 301)]})
    one.done(one.path(NSG, "one"), {"securityRules": [rule("a", 301), rule("b", 300)]})
    found = {each["name"]: each["properties"]["priority"] for each in stored(one).document["properties"]["securityRules"]}
    assert found == {"a": 301, "b": 300}


def test_limits_of_a_group(one: Wire) -> None:
    full = [rule(f"r{number}", 100 + number) for number in range(1000)]
    assert rules(one, *full).code == "ok"
    one.site.ask("finish", None)
    assert rules(one, *full, rule("straw", 100, direction="Outbound")).code == "SecurityRuleCountLimitReached"
    wide = [f"10.{number // 256}.{number % 256}.0/24" for number in range(2001)]
    two = [rule(f"w{number}", 100 + number, sourceAddressPrefix=None, sourceAddressPrefixes=wide) for number in range(2)]
    assert rules(one, *two).code == "NetworkSecurityGroupTooManyAddressPrefixes"
    two[1] = rule("w1", 101, destinationAddressPrefix=None, destinationAddressPrefixes=wide)
    assert rules(one, *two).code == "ok"


def test_limits_of_asgs_in_a_group(one: Wire) -> None:
    ids = []
    for number in range(11):
        one.done(one.path("applicationSecurityGroups", f"asg{number}"), {})
        ids.append({"id": one.path("applicationSecurityGroups", f"asg{number}")})
    many = rule("asg", 300, sourceAddressPrefix=None, sourceApplicationSecurityGroups=ids)
    assert rules(one, many).code == "NumberOfApplicationSecurityGroupsReferencedInSecurityRuleLimitReached"
    one.site.ask("quotas", {"asgs_per_group": 3})
    few = rule("asg", 300, sourceAddressPrefix=None, sourceApplicationSecurityGroups=ids[:4])
    assert rules(one, few).code == "NetworkSecurityGroupTooManyApplicationSecurityGroups"
    mixed = rule("asg", 300, sourceApplicationSecurityGroups=ids[:2])
    assert rules(one, mixed).code == "SecurityRuleCannotSpecifyBothAddressPrefixesAndApplicationSecurityGroups"
    one.done(one.path(NSG, "one"), {"securityRules": [rule("asg", 300, sourceAddressPrefix=None, sourceApplicationSecurityGroups=ids[:2])]})
    gone = one.send("DELETE", one.path("applicationSecurityGroups", "asg0"))
    assert gone.code == "InUseApplicationSecurityGroupCannotBeDeleted"
    assert one.send("DELETE", one.path("applicationSecurityGroups", "asg9")).status == 202


def test_host_bits_by_switch(one: Wire) -> None:
    old = rule("partner", 300, sourceAddressPrefix="203.0.113.68/27")
    one.site.ask("plant", {"id": one.path(NSG, "one"), "rules": [old]})
    back = stored(one).document["properties"]["securityRules"]
    assert rules(one, *back).code == "SecurityRuleInvalidAddressPrefix"
    one.site.ask("settings", {"host_bits": "old_only"})
    assert rules(one, *back).code == "ok"
    one.site.ask("finish", None)
    fresh = rule("partner-2", 301, sourceAddressPrefix="203.0.113.68/27")
    assert rules(one, *back, fresh).code == "SecurityRuleInvalidAddressPrefix"
    one.site.ask("settings", {"host_bits": "accept"})
    assert rules(one, *back, fresh).code == "ok"


def test_a_child_put_does_not_ask_about_foreign_rules(one: Wire) -> None:
    one.site.ask("plant", {"id": one.path(NSG, "one"), "rules": [rule("partner", 300, sourceAddressPrefix="203.0.113.68/27")]})
    assert one.put(one.path(NSG, "one/securityRules/ours"), rule("ours", 1000)["properties"], location=None).status == 201


def test_old_spellings_survive_a_whole_put_byte_for_byte(one: Wire) -> None:
    odd = rule("Old", 300, protocol="TCP", sourceAddressPrefix="INTERNET", destinationAddressPrefix="10.0.0.4")
    one.site.ask("plant", {"id": one.path(NSG, "one"), "rules": [{**odd, "omit": ["sourcePortRanges", "sourceAddressPrefixes"]}]})
    before = next(each for each in stored(one).document["properties"]["securityRules"] if each["name"] == "Old")
    assert before["properties"]["protocol"] == "TCP"
    assert "sourcePortRanges" not in before["properties"]
    one.done(one.path(NSG, "one"), {"securityRules": stored(one).document["properties"]["securityRules"][::-1]})
    after = next(each for each in stored(one).document["properties"]["securityRules"] if each["name"] == "Old")
    assert {**before, "etag": ""} == {**after, "etag": ""}


def test_read_only_fields_are_ignored_or_refused_by_switch(one: Wire) -> None:
    whole = stored(one).document
    assert one.send("PUT", one.path(NSG, "one"), whole).code == "ok"
    one.site.ask("finish", None)
    one.site.ask("settings", {"read_only_fields": "refuse"})
    assert one.send("PUT", one.path(NSG, "one"), whole).code == "InvalidRequestFormat"


def test_one_element_lists_by_switch(one: Wire) -> None:
    single = rule("single", 300, sourceAddressPrefix=None, sourceAddressPrefixes=["10.0.0.0/8"])
    one.done(one.path(NSG, "one"), {"securityRules": [single]})
    assert stored(one).document["properties"]["securityRules"][0]["properties"]["sourceAddressPrefixes"] == ["10.0.0.0/8"]
    one.site.ask("settings", {"one_element_lists": "collapse"})
    one.done(one.path(NSG, "one"), {"securityRules": [rule("other", 301), single]})
    one.done(one.path(NSG, "one"), {"securityRules": [{**single, "name": "anew"}]})
    assert stored(one).document["properties"]["securityRules"][0]["properties"]["sourceAddressPrefix"] == "10.0.0.0/8"


def test_an_empty_text_is_a_missing_field(one: Wire) -> None:
    given = rule("wide", 300, sourceAddressPrefix="", sourceAddressPrefixes=["10.0.0.0/8", "172.16.0.0/12"])
    one.done(one.path(NSG, "one"), {"securityRules": [given]})
    assert "sourceAddressPrefix" not in stored(one).document["properties"]["securityRules"][0]["properties"]


def test_a_put_is_a_full_replacement(one: Wire) -> None:
    one.done(one.path(NSG, "one"), {"securityRules": [rule("a", 100)], "flushConnection": True}, beside={"tags": {"Team": "net"}})
    assert stored(one).document["properties"]["flushConnection"] is True
    one.done(one.path(NSG, "one"), None)
    left = stored(one).document
    assert left["properties"]["securityRules"] == []
    assert "flushConnection" not in left["properties"]
    assert "tags" not in left


def test_the_six_defaults_cannot_be_written_or_removed(one: Wire) -> None:
    defaults = one.everything(one.path(NSG, "one/defaultSecurityRules"))
    assert [(each["name"], each["properties"]["priority"]) for each in defaults] == [
        ("AllowVnetInBound", 65000), ("AllowAzureLoadBalancerInBound", 65001), ("DenyAllInBound", 65500),
        ("AllowVnetOutBound", 65000), ("AllowInternetOutBound", 65001), ("DenyAllOutBound", 65500),
    ]  # fmt: skip
    assert one.send("DELETE", one.path(NSG, "one/defaultSecurityRules/DenyAllInBound")).status == 405


def test_missing_things_have_the_two_answers_of_the_vendor(one: Wire) -> None:
    group = one.get(one.path(NSG, "none"))
    assert (group.status, group.code) == (404, "ResourceNotFound")
    assert group.message == "The Resource 'Microsoft.Network/networkSecurityGroups/none' under resource group 'rg-cloudsync' was not found."
    assert "details" not in group.document["error"]
    assert group.headers["x-ms-failure-cause"] == "gateway"
    child = one.get(one.path(NSG, "one/securityRules/none"))
    assert (child.status, child.code) == (404, "NotFound")
    assert child.document["error"]["details"] == []
    assert child.message == f"Resource {one.path(NSG, 'one/securityRules/none')} not found."
    assert one.send("DELETE", one.path(NSG, "none")).status == 204
    assert one.send("DELETE", one.path(NSG, "one/securityRules/none")).status == 204


@pytest.mark.parametrize("body", ["{", "[]", '"text"'])
def test_a_body_that_is_no_object(one: Wire, body: str) -> None:
    heard = one.send("PUT", one.path(NSG, "one"), body)
    assert (heard.status, heard.code) == (400, "InvalidRequestContent")


def test_a_location_is_needed_and_does_not_change(one: Wire) -> None:
    assert one.put(one.path(NSG, "one"), {}, location=None).code == "LocationRequired"
    moved = one.put(one.path(NSG, "one"), {}, location="northeurope")
    assert (moved.status, moved.code) == (409, "InvalidResourceLocation")
    assert one.put(one.path(NSG, "one"), {}, location="West Europe").status == 200


def test_ids_in_any_case_come_back_in_one(one: Wire) -> None:
    heard = one.get(one.path(NSG, "ONE").replace("/resourceGroups/rg-cloudsync", "/resourcegroups/RG-CLOUDSYNC").lower())
    assert heard.document["id"] == one.path(NSG, "one")
    assert heard.document["properties"]["securityRules"][0]["id"] == one.path(NSG, "one/securityRules/first")


def test_old_versions_do_not_know_the_newer_fields(one: Wire) -> None:
    one.done(one.path(NSG, "one"), {"securityRules": [rule("a", 100)], "flushConnection": True})
    old = one.get(one.path(NSG, "one") + "?api-version=2016-12-01").document["properties"]
    assert "sourcePortRanges" not in old["securityRules"][0]["properties"]
    assert "flushConnection" not in old
    middle = one.get(one.path(NSG, "one") + "?api-version=2024-01-01").document["properties"]
    assert middle["securityRules"][0]["properties"]["sourcePortRanges"] == []
    assert "flushConnection" not in middle
