"""Faults, pages, identity, permissions and limits of the Azure lab."""

from __future__ import annotations

import http.client
import threading
import urllib.parse
from typing import Any

import pytest

from cloudsync.lab.azure.pytest_plugin import Heard, Wire, rule

NSG, WRITE, LIST = "networkSecurityGroups", "NetworkSecurityGroups_CreateOrUpdate", "NetworkSecurityGroups_ListAll"


@pytest.fixture
def one(azure: Wire) -> Wire:
    azure.done(azure.path(NSG, "one"), {"securityRules": [rule("first", 100)]})
    return azure


def write(azure: Wire, name: str = "mine") -> Heard:
    return azure.put(azure.path(NSG, "one"), {"securityRules": [rule(name, 100)]})


def in_force(azure: Wire) -> list[str]:
    azure.site.ask("finish", None)
    settled = azure.site.ask("state", None)["settled"][azure.path(NSG, "one")]
    return [each["name"] for each in settled["securityRules"]]


def fault(azure: Wire, operation: str, kind: str, **options: Any) -> None:
    azure.site.ask("faults", {"operation": operation, "kind": kind, **options})


BEFORE: dict[str, tuple[int, str]] = {
    "throttle": (429, "TooManyRequests"),
    "unavailable": (503, "ServiceUnavailable"),
    "error500": (500, "InternalServerError"),
    "denied": (403, "AuthorizationFailed"),
    "expired": (401, "ExpiredAuthenticationToken"),
    "refused": (400, "BadRequest"),
}


@pytest.mark.parametrize("kind", BEFORE)
def test_what_fails_before_it_takes_effect(one: Wire, kind: str) -> None:
    fault(one, WRITE, kind)
    heard = write(one)
    assert (heard.status, heard.code) == BEFORE[kind]
    assert ("www-authenticate" in heard.headers) is (kind == "expired")
    assert in_force(one) == ["first"]
    assert write(one).status == 200


def test_what_is_lost_after_it_took_effect(one: Wire) -> None:
    fault(one, WRITE, "lost")
    assert write(one).status == 500
    assert in_force(one) == ["mine"]


@pytest.mark.parametrize(("kind", "effect"), [("reset_before", ["first"]), ("reset_after", ["mine"])])
def test_a_connection_that_breaks(one: Wire, kind: str, effect: list[str]) -> None:
    fault(one, WRITE, kind)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        write(one)
    assert in_force(one) == effect


def test_a_call_that_arrives_late(one: Wire) -> None:
    fault(one, WRITE, "late", after=2)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        write(one)
    assert in_force(one) == ["first"]
    for _ in range(2):
        one.get(one.path(NSG, "one"))
    assert in_force(one) == ["mine"]


def test_half_an_answer(one: Wire) -> None:
    fault(one, "NetworkSecurityGroups_Get", "truncated")
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        one.get(one.path(NSG, "one"))


def test_answers_that_are_none(one: Wire) -> None:
    fault(one, "NetworkSecurityGroups_Get", "garbage")
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
        one.get(one.path(NSG, "one"))
    fault(one, "NetworkSecurityGroups_Get", "html")
    assert "log in" in one.get(one.path(NSG, "one")).document
    fault(one, "NetworkSecurityGroups_Get", "empty")
    assert one.get(one.path(NSG, "one")).document == {}


def test_a_redirect_to_a_foreign_host(one: Wire) -> None:
    fault(one, WRITE, "redirect", to="https://127.0.0.1:9")
    heard = write(one)
    assert (heard.status, heard.headers["location"]) == (307, f"https://127.0.0.1:9{one.path(NSG, 'one')}")


def test_the_nth_call_on_one_resource(one: Wire) -> None:
    one.done(one.path(NSG, "two"), {})
    fault(one, WRITE, "unavailable", nth=2, scope=one.path(NSG, "two"))
    assert [write(one).status, one.put(one.path(NSG, "two"), {}).status] == [200, 200]
    one.site.ask("finish", None)
    assert [write(one).status, one.put(one.path(NSG, "two"), {}).status] == [200, 503]


def test_a_call_that_is_held(one: Wire) -> None:
    fault(one, "NetworkSecurityGroups_Get", "hold_before")
    heard: list[Heard] = []
    reader = threading.Thread(target=lambda: heard.append(one.get(one.path(NSG, "one"))))
    reader.start()
    while not one.site.ask("held", None):
        reader.join(0.005)
    one.site.act({"method": "PATCH", "path": one.path(NSG, "one"), "body": {"tags": {"a": "b"}}})
    one.site.ask("release", {})
    reader.join(10)
    assert heard[0].document["tags"] == {"a": "b"}


def test_a_call_that_is_held_after_it_took_effect_and_dropped(one: Wire) -> None:
    fault(one, WRITE, "hold_after")
    broken: list[type[Exception]] = []

    def attempt() -> None:
        try:
            write(one)
        except (ConnectionError, http.client.HTTPException) as error:
            broken.append(type(error))

    writer = threading.Thread(target=attempt)
    writer.start()
    while not one.site.ask("held", None):
        writer.join(0.005)
    assert one.site.ask("held", None)[0]["moment"] == "after"
    one.site.ask("release", {"drop": True})
    writer.join(10)
    assert broken
    assert in_force(one) == ["mine"]


def test_a_slow_answer_is_whole(one: Wire) -> None:
    fault(one, "NetworkSecurityGroups_Get", "slow", seconds=0.01)
    assert one.get(one.path(NSG, "one")).document["name"] == "one"


def test_somebody_writes_right_after_us(one: Wire) -> None:
    theirs = {"method": "PATCH", "path": one.path(NSG, "one"), "body": {"tags": {"by": "them"}}}
    fault(one, "NetworkSecurityGroups_Get", "edit_after", call=theirs)
    seen = one.get(one.path(NSG, "one"))
    assert "tags" not in seen.document
    assert one.get(one.path(NSG, "one")).document["etag"] != seen.document["etag"]


def test_an_old_answer_of_a_replica(one: Wire) -> None:
    one.done(one.path(NSG, "one"), {"securityRules": [rule("second", 100)]})
    fault(one, "NetworkSecurityGroups_Get", "stale")
    assert one.get(one.path(NSG, "one")).document["properties"]["securityRules"][0]["name"] == "first"
    assert one.get(one.path(NSG, "one")).document["properties"]["securityRules"][0]["name"] == "second"


# --- pages ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def five(azure: Wire) -> Wire:
    azure.site.ask("settings", {"page_size": 2})
    for number in range(5):
        azure.done(azure.path(NSG, f"n{number}"), {})
    return azure


def listed(azure: Wire) -> list[str]:
    return [each["name"] for each in azure.everything(azure.everywhere(NSG))]


def test_lists_come_in_pages_without_an_etag(five: Wire) -> None:
    first = five.get(five.everywhere(NSG))
    assert len(first.document["value"]) == 2
    assert "$skiptoken=" in first.document["nextLink"]
    assert "etag" not in first.headers
    assert first.document["value"][0]["etag"] == five.get(five.path(NSG, "n0")).headers["etag"]
    assert listed(five) == ["n0", "n1", "n2", "n3", "n4"]
    assert [each["name"] for each in five.everything(five.path(NSG))] == listed(five)


def test_lists_of_children_come_in_pages_too(five: Wire) -> None:
    five.done(five.path(NSG, "n0"), {"securityRules": [rule(f"r{number}", 100 + number) for number in range(5)]})
    assert len(five.everything(five.path(NSG, "n0/securityRules"))) == 5


@pytest.mark.parametrize(("kind", "page", "expected"), [
    ("page_lost", 2, ["n0", "n1", "n4"]), ("token_lost", 2, ["n0", "n1", "n2", "n3"]),
    ("page_repeated", 3, ["n0", "n1", "n2", "n3", "n4", "n0", "n1", "n2", "n3", "n4"]),
    ("token_repeated", 2, ["n0", "n1", "n2", "n3", "n2", "n3", "n4"]),
])  # fmt: skip
def test_pages_go_wrong(five: Wire, kind: str, page: int, expected: list[str]) -> None:
    fault(five, LIST, kind, page=page)
    assert listed(five) == expected


def test_a_page_fails(five: Wire) -> None:
    fault(five, LIST, "unavailable", page=2)
    following = five.get(five.everywhere(NSG)).document["nextLink"]
    assert five.raw("GET", following, None, {"Authorization": f"Bearer {five.token()}"}).status == 503


def test_a_bad_token_of_a_page(five: Wire) -> None:
    assert five.get(five.everywhere(NSG) + "?api-version=2025-07-01&$skiptoken=zzz").code == "InvalidSkipToken"


def test_a_next_link_that_leads_astray(five: Wire) -> None:
    five.site.ask("settings", {"next_link_base": "https://127.0.0.1:9"})
    assert five.get(five.everywhere(NSG)).document["nextLink"].startswith("https://127.0.0.1:9/subscriptions/")


# --- who asks, and how often ------------------------------------------------------------------------------------------


def test_who_sends_no_token_or_a_wrong_one(one: Wire) -> None:
    missing = one.send("GET", one.path(NSG, "one"), Authorization="")
    assert (missing.status, missing.code) == (401, "AuthenticationFailed")
    assert missing.headers["www-authenticate"].startswith("Bearer authorization_uri=")
    assert one.send("GET", one.path(NSG, "one"), Authorization="Bearer a.b.c").code == "InvalidAuthenticationToken"
    assert one.send("GET", one.path(NSG, "one"), Authorization=f"Bearer {one.token()[:-2]}xx").code == "InvalidAuthenticationToken"


def test_a_token_expires_and_may_be_revoked(one: Wire) -> None:
    one.site.ask("clock", {"advance": 3600})
    assert one.get(one.path(NSG, "one")).code == "ExpiredAuthenticationToken"
    one._token = None
    assert one.get(one.path(NSG, "one")).status == 200
    one.site.ask("token", {"revoke": True})
    assert one.get(one.path(NSG, "one")).code == "InvalidAuthenticationToken"


@pytest.mark.parametrize(("change", "status", "error"), [
    ({"client_secret": "wrong"}, 401, "invalid_client"), ({"client_id": "nobody"}, 400, "unauthorized_client"),
    ({"grant_type": "password"}, 400, "unsupported_grant_type"),
])  # fmt: skip
def test_the_authority_refuses(one: Wire, change: dict[str, str], status: int, error: str) -> None:
    section = one.site.section()
    form = {
        "grant_type": "client_credentials",
        "scope": "https://management.azure.com/.default",
        **section["principals"]["cloudsync"],
        **change,
    }
    url = f"{section['authority']}/{section['tenant']}/oauth2/v2.0/token"
    heard = one.raw("POST", url, urllib.parse.urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"})
    assert (heard.status, heard.document["error"]) == (status, error)
    assert heard.document["error_description"].startswith("AADSTS")


def test_a_token_for_something_else(one: Wire) -> None:
    section = one.site.section()
    form = {"grant_type": "client_credentials", "scope": "https://graph.microsoft.com/.default", **section["principals"]["cloudsync"]}
    url = f"{section['authority']}/{section['tenant']}/oauth2/v2.0/token"
    heard = one.raw("POST", url, urllib.parse.urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"})
    refused = one.send("GET", one.path(NSG, "one"), Authorization=f"Bearer {heard.document['access_token']}")
    assert (refused.status, refused.code) == (401, "InvalidAuthenticationTokenAudience")


@pytest.mark.parametrize(("version", "code"), [
    ("", "MissingApiVersionParameter"), ("api-version=latest", "InvalidApiVersionParameter"),
    ("api-version=2031-01-01", "InvalidApiVersionParameter"),
    ("api-version=2015-06-15", "ok"), ("API-Version=2026-03-01", "ok"), ("api-version=2024-05-01-preview", "ok"),
])  # fmt: skip
def test_versions(one: Wire, version: str, code: str) -> None:
    assert one.get(f"{one.path(NSG, 'one')}?{version}").code == code


def test_who_may_only_read(one: Wire) -> None:
    reader = Wire(one.site, "reader")
    assert reader.get(one.path(NSG, "one")).status == 200
    refused = write(reader)
    assert (refused.status, refused.code) == (403, "AuthorizationFailed")
    assert "'Microsoft.Network/networkSecurityGroups/write'" in refused.message
    assert reader.send("DELETE", one.path(NSG, "one/securityRules/first")).code == "AuthorizationFailed"
    assert in_force(one) == ["first"]
    scope = one.path(NSG).partition("/providers/")[0]
    shown = reader.get(f"{scope}/providers/Microsoft.Authorization/permissions").document["value"]
    assert shown == [{"actions": ["*/read"], "notActions": [], "dataActions": [], "notDataActions": []}]


def test_a_third_party_may_be_held_to_its_permissions(one: Wire) -> None:
    call = {"method": "DELETE", "path": one.path(NSG, "one/securityRules/first"), "as": "reader"}
    assert one.site.act(call)["body"]["error"]["code"] == "AuthorizationFailed"
    assert one.site.act({**call, "as": "stranger"})["status"] == 202
    with pytest.raises(ValueError, match="no principal"):
        one.site.act({**call, "as": "nobody"})


def test_a_role_without_what_the_body_refers_to(one: Wire) -> None:
    net = {
        "addressSpace": {"addressPrefixes": ["10.50.0.0/16"]},
        "subnets": [{"name": "a", "properties": {"addressPrefix": "10.50.0.0/24"}}],
    }
    one.done(one.path("virtualNetworks", "net"), net)
    one.done(one.path("applicationSecurityGroups", "g"), {})
    actions = [
        "Microsoft.Network/*/read",
        "Microsoft.Network/networkSecurityGroups/write",
        "Microsoft.Network/virtualNetworks/subnets/write",
    ]
    one.site.ask("principals", {"client_id": "reader", "grants": [{"actions": actions}]})
    reader = Wire(one.site, "reader")
    assert write(reader).status == 200
    one.site.ask("finish", None)
    group = {"id": one.path("applicationSecurityGroups", "g")}
    asg = rule("asg", 101, sourceAddressPrefix=None, sourceApplicationSecurityGroups=[group])
    refused = reader.put(one.path(NSG, "one"), {"securityRules": [asg]})
    assert (refused.status, refused.code) == (403, "LinkedAuthorizationFailed")
    assert "joinNetworkSecurityRule/action" in refused.message
    subnet = {"addressPrefix": "10.50.0.0/24", "networkSecurityGroup": {"id": one.path(NSG, "one")}}
    attach = reader.put(one.path("virtualNetworks", "net/subnets/a"), subnet, location=None)
    assert attach.code == "LinkedAuthorizationFailed"
    assert in_force(one) == ["mine"]


def test_not_actions_take_away(one: Wire) -> None:
    grant = {"actions": ["*"], "not_actions": ["Microsoft.Network/networkSecurityGroups/securityRules/delete"]}
    one.site.ask("principals", {"client_id": "reader", "grants": [grant]})
    reader = Wire(one.site, "reader")
    assert reader.send("DELETE", one.path(NSG, "one/securityRules/first")).code == "AuthorizationFailed"
    assert write(reader).status == 200


@pytest.mark.parametrize(("code", "status"), [("ConflictWithNetworkIntentPolicy", 400), ("DenyAssignmentAuthorizationFailed", 403)])
def test_managed_policies_protect_one_group(one: Wire, code: str, status: int) -> None:
    one.done(one.path(NSG, "two"), {})
    one.site.ask("protect", {"id": one.path(NSG, "one"), "code": code, "status": status})
    assert (write(one).status, write(one).code) == (status, code)
    assert one.put(one.path(NSG, "two"), {}).status == 200
    one.site.ask("protect", {"id": one.path(NSG, "one")})
    assert write(one).status == 200


def test_another_subscription_answers(one: Wire) -> None:
    section = one.site.section()
    fault(one, "Subscriptions_Get", "identity")
    path = f"/subscriptions/{section['subscription']}"
    stranger, self_ = one.get(path).document, one.get(path).document
    assert stranger["subscriptionId"] != section["subscription"]
    assert stranger["tenantId"] != section["tenant"]
    assert (self_["subscriptionId"], self_["tenantId"]) == (section["subscription"], section["tenant"])


def test_buckets_fill_again(one: Wire) -> None:
    one.site.ask("clock", {"mode": "manual"})
    one.site.ask("buckets", {"enabled": True, "scale": 0.02})
    left = one.get(one.path(NSG, "one"))
    assert left.headers["x-ms-ratelimit-remaining-subscription-reads"] == "4"
    assert left.headers["x-ms-ratelimit-remaining-subscription-global-reads"] == "74"
    assert [one.get(one.path(NSG, "one")).status for _ in range(5)] == [200, 200, 200, 200, 429]
    refused = one.get(one.path(NSG, "one"))
    assert (refused.code, refused.headers["retry-after"]) == ("SubscriptionRequestsThrottled", "2")
    assert [write(one).status for _ in range(5)] == [200, 429, 429, 429, 429]  # an operation runs, then the bucket is empty
    assert one.send("DELETE", one.path(NSG, "one/securityRules/none")).status == 204
    one.site.ask("clock", {"advance": 2})
    assert one.get(one.path(NSG, "one")).status == 200


def test_the_window_of_the_network_provider(one: Wire) -> None:
    """At this scale the gateway lets one change through every twenty seconds, the provider five in five minutes."""
    one.site.ask("clock", {"mode": "manual"})
    one.site.ask("buckets", {"enabled": True, "scale": 0.005})
    answers = []
    for _ in range(6):
        answers.append(one.send("DELETE", one.path(NSG, "none")))
        one.site.ask("clock", {"advance": 20})
    assert [each.status for each in answers] == [204, 204, 204, 204, 204, 429]
    assert (answers[-1].code, answers[-1].headers["retry-after"]) == ("TooManyRequests", "200")
    one.site.ask("clock", {"advance": 180})
    assert one.send("DELETE", one.path(NSG, "none")).status == 204


def test_without_buckets_nothing_is_throttled_and_the_headers_are_there(one: Wire) -> None:
    assert {one.get(one.path(NSG, "one")).status for _ in range(300)} == {200}
    assert one.get(one.path(NSG, "one")).headers["x-ms-ratelimit-remaining-subscription-reads"] == "250"


def test_bodies_of_errors_without_an_envelope(one: Wire) -> None:
    one.site.ask("settings", {"error_body": "bare"})
    assert one.get(one.path(NSG, "none")).document["code"] == "ResourceNotFound"


@pytest.mark.parametrize(("given", "words"), [
    ({"no_such": 1}, "no switch"), ({"if_match": "sometimes"}, "honour, ignore"), ({"icmp_covers_v6": "yes"}, "true or false"),
])  # fmt: skip
def test_switches_that_are_none_change_nothing(one: Wire, given: Any, words: str) -> None:
    before = one.site.ask("settings", None)
    with pytest.raises(ValueError, match=words):
        one.site.ask("settings", {"page_size": 7, **given})
    assert one.site.ask("settings", None) == before


def test_unknown_verbs_limits_clocks_and_estates(one: Wire) -> None:
    with pytest.raises(KeyError):
        one.site.ask("dance", None)
    with pytest.raises(ValueError, match="no limit"):
        one.site.ask("quotas", {"no_such": 1})
    with pytest.raises(ValueError, match="clock"):
        one.site.ask("clock", {"mode": "slow"})
    with pytest.raises(ValueError, match="no estate"):
        one.site.reset("huge", 1)


def test_what_is_not_served(one: Wire) -> None:
    assert one.get(one.path("routeTables", "r")).code == "InvalidResourceType"
    assert one.get(one.path(NSG, "one/dances/x")).code == "InvalidResourceType"
    assert one.send("POST", one.path(NSG, "one"), {}).status == 405
    assert one.get("/favicon.ico").status == 404


# --- locks ------------------------------------------------------------------------------------------------------------


def test_a_lock_keeps_rules_from_deletion_but_not_from_a_whole_put(one: Wire) -> None:
    group = one.path(NSG).partition("/providers/")[0]
    lock = f"{group}/providers/Microsoft.Authorization/locks/keep"
    assert one.send("PUT", lock, {"properties": {"level": "Maybe"}}).code == "InvalidLockLevel"
    assert Wire(one.site, "reader").send("PUT", lock, {"properties": {"level": "CanNotDelete"}}).code == "AuthorizationFailed"
    assert one.send("PUT", lock, {"properties": {"level": "CanNotDelete"}}).status == 201
    assert one.get(lock).document["properties"]["level"] == "CanNotDelete"
    assert len(one.get(f"{group}/providers/Microsoft.Authorization/locks").document["value"]) == 1
    for path in (one.path(NSG, "one"), one.path(NSG, "one/securityRules/first"), group):
        refused = one.send("DELETE", path)
        assert (refused.status, refused.code) == (409, "ScopeLocked")
    assert write(one).status == 200
    assert in_force(one) == ["mine"]
    assert one.send("PUT", lock, {"properties": {"level": "ReadOnly"}}).status == 200
    assert write(one, "again").code == "ScopeLocked"
    assert one.send("DELETE", lock).status == 200
    assert one.get(lock).code == "LockNotFound"
    assert one.send("DELETE", one.path(NSG, "one/securityRules/mine")).status == 202


def test_a_lock_on_one_group_leaves_the_others(one: Wire) -> None:
    one.done(one.path(NSG, "one-more"), {})
    lock = f"{one.path(NSG, 'one')}/providers/Microsoft.Authorization/locks/keep"
    assert one.send("PUT", lock, {"properties": {"level": "CanNotDelete"}}).status == 201
    assert one.send("DELETE", one.path(NSG, "one")).code == "ScopeLocked"
    assert one.send("DELETE", one.path(NSG, "one-more")).status == 202
