"""Users, logins, tokens and what each role may."""

from __future__ import annotations

import pytest

from cloudsync.lab.f5.pytest_plugin import FIREWALL, Bigip, bigip, f5_site, f5_site_server
from cloudsync.lab.f5.site import Site

__all__ = ["f5_site", "f5_site_server"]

LISTS = f"{FIREWALL}/address-list"
TOKENS = "/mgmt/shared/authz/tokens"


@pytest.fixture
def device(f5_site: Site) -> Bigip:
    return bigip(f5_site)


def test_a_login_looks_as_recorded(device: Bigip) -> None:
    shown = device.login().body
    assert (shown["username"], shown["loginProviderName"], shown["generation"]) == ("cloudsync", "tmos", 0)
    token = shown["token"]
    assert (len(token["token"]), token["name"], token["timeout"], token["partition"]) == (26, token["token"], 1200, "[All]")
    assert token["expirationMicros"] - token["lastUpdateMicros"] == 1200 * 1_000_000
    assert token["kind"] == "shared:authz:tokens:authtokenitemstate"


def test_a_wrong_password_is_refused_by_the_framework(f5_site: Site, device: Bigip) -> None:
    wrong = device.password = device.password[::-1]
    reply = device.login()
    assert (reply.status, reply.body["message"], reply.body["kind"]) == (401, "Authentication failed.", ":resterrorresponse")
    assert device.code("POST", "/mgmt/shared/authn/login", {"username": "cloudsync"}) == "400"
    assert wrong not in str(f5_site.ask("log", {"reads": True}))


@pytest.mark.parametrize(("shape", "key"), [("rest", "restOperationId"), ("tm", "errorStack"), ("html", None)])
def test_all_shapes_of_401(f5_site: Site, device: Bigip, shape: str, key: str | None) -> None:
    f5_site.ask("settings", {"shape_401": shape})
    device.token = ""
    reply = device.send("GET", LISTS)
    assert reply.status == 401
    assert isinstance(reply.body, str) if key is None else key in reply.body
    device.login()
    device.token = device.token[::-1]
    assert device.send("GET", LISTS).status == 401


def test_a_token_lives_twenty_minutes_and_can_be_kept_ten_hours(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("clock", {"mode": "manual"})
    device.login()
    path = f"{TOKENS}/{device.token}"
    f5_site.ask("clock", {"advance": 1199})
    assert device.send("GET", LISTS).status == 200
    kept = device.ok("PATCH", path, {"timeout": "36000"})
    assert (kept["timeout"], kept["generation"]) == (36000, 2)
    assert kept["expirationMicros"] - kept["lastUpdateMicros"] == 36000 * 1_000_000
    assert device.send("PATCH", path, {"timeout": 36001}).status == 406
    assert device.send("PATCH", path, {"timeout": "soon"}).status == 400
    f5_site.ask("clock", {"advance": 34802})
    gone = device.send("GET", LISTS)
    assert (gone.status, gone.body["message"]) == (401, "X-F5-Auth-Token has expired.")


def test_a_token_is_ended(f5_site: Site, device: Bigip) -> None:
    device.ok("DELETE", f"{TOKENS}/{device.token}")
    assert device.send("GET", LISTS).status == 401
    assert f5_site.ask("state", None)["bigip1"]["live_tokens"] == 0
    device.login()
    f5_site.ask("tokens", {"kill": True})
    assert device.send("GET", LISTS).status == 401


def test_a_user_has_so_many_tokens_and_admin_any_number(f5_site: Site, device: Bigip) -> None:
    f5_site.ask("quotas", {"max_tokens": 5})
    for _ in range(4):
        assert device.login().status == 200
    last = device.login()
    assert (last.status, last.body["message"]) == (400, "Bad Request: user cloudsync has reached maximum active login tokens")
    admin = bigip(f5_site, user="admin")
    for _ in range(6):
        assert admin.login().status == 200
    assert len(admin.ok("GET", TOKENS)["items"]) == 5 + 7
    admin.ok("DELETE", TOKENS)
    assert f5_site.ask("state", None)["bigip1"]["live_tokens"] == 0


def test_each_unit_has_its_own_tokens(f5_site: Site, device: Bigip) -> None:
    other = bigip(f5_site, 1)
    other.token = device.token
    assert other.send("GET", LISTS).status == 401
    f5_site.ask("tokens", {"kill": True, "unit": "bigip1"})
    assert device.send("GET", LISTS).status == 401
    assert other.login().status == 200


def test_basic_authentication_is_for_administrators(f5_site: Site, device: Bigip) -> None:
    admin = bigip(f5_site, user="admin")
    admin.token = ""
    assert admin.send("GET", LISTS, None, admin.basic()).status == 200
    device.token = ""
    assert device.send("GET", LISTS, None, device.basic()).status == 401
    assert device.send("GET", LISTS, None, {"Authorization": "Basic !!!"}).status == 401
    f5_site.ask("settings", {"basic_for_admins_only": False})
    assert device.send("GET", LISTS, None, device.basic()).status == 200


def test_a_reader_reads(f5_site: Site) -> None:
    reader = bigip(f5_site, user="reader")
    assert reader.send("GET", LISTS).status == 200
    for method, path, body in (
        ("POST", LISTS, {"name": "a", "addresses": ["10.0.0.1"]}),
        ("POST", "/mgmt/tm/transaction", {}),
        ("POST", "/mgmt/tm/sys/config", {"command": "save"}),
        ("PATCH", "/mgmt/tm/net/route-domain/0", {"fwEnforcedPolicy": "none"}),
    ):
        reply = reader.send(method, path, body)
        assert (reply.status, reply.body["kind"]) == (403, ":resterrorresponse")
    reader.ok("DELETE", f"{TOKENS}/{reader.token}")


def test_a_firewall_manager_writes_filters_and_attaches_them_where_it_may(f5_site: Site) -> None:
    manager = bigip(f5_site, user="firewaller")
    manager.ok("POST", f"{FIREWALL}/policy", {"name": "p"})
    attach = ("PATCH", "/mgmt/tm/net/route-domain/0", {"fwEnforcedPolicy": "p"})
    assert manager.send(*attach).status == 403
    f5_site.ask("settings", {"firewall_manager_attaches": True})
    assert manager.send(*attach).status == 200


def test_nobody_uses_the_token_of_another(f5_site: Site, device: Bigip) -> None:
    manager = bigip(f5_site, user="firewaller")
    assert manager.send("DELETE", f"{TOKENS}/{device.token}").status == 404
    assert device.send("GET", LISTS).status == 200
