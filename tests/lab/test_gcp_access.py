"""Tokens, keys and permissions: who is let in, and what they may do."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from cloudsync.lab.gcp.pytest_plugin import Wire
from cloudsync.lab.gcp.site import Site

ALL = "global/firewalls"
RULE = {"name": "a", "network": "global/networks/default", "allowed": [{"IPProtocol": "tcp"}]}
AUDIENCE = "https://compute.googleapis.com/"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def as_(site: Site, token: str, *permissions: str, **more: Any) -> Wire:
    site.ask("principals", {token: {"permissions": list(permissions), **more}})
    return Wire(site, token=token)


def key(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(site.section()["service_account_file"]).read_text("utf-8"))
    return found


def signed(site: Site, **claims: Any) -> str:
    """A token as clients sign it; `claims` replace its own."""
    private = serialization.load_pem_private_key(key(site)["private_key"].encode(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    now = int(site.clock.utc().timestamp())
    email = site.section()["service_account"]
    payload = {"iss": email, "sub": email, "aud": AUDIENCE, "iat": now, "exp": now + 3600, **claims}
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256", "typ": "JWT"}, {k: v for k, v in payload.items() if v is not None})]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    return (text + b"." + base64.urlsafe_b64encode(private.sign(text, padding.PKCS1v15(), hashes.SHA256())).rstrip(b"=")).decode()


def test_without_a_token_and_with_a_wrong_one(gcp_site: Site, gcp: Wire) -> None:
    assert Wire(gcp_site, token="").refusal("GET", ALL)[:2] == (401, "authError")
    assert Wire(gcp_site, "acme-net", "wrong").refusal("GET", ALL)[:2] == (401, "authError")
    assert Wire(gcp_site, "acme-net", "a.b.c").refusal("GET", ALL)[:2] == (401, "authError")
    assert Wire(gcp_site, token="").send("GET", ALL, access_token=gcp_site.section()["access_token"])[0] == 200
    gcp_site.ask("settings", {"anonymous": True})
    assert Wire(gcp_site, token="").send("GET", ALL)[0] == 200
    assert Wire(gcp_site, "acme-net", "wrong").send("GET", ALL)[0] == 401


def test_a_key_signs_for_itself(gcp_site: Site) -> None:
    assert Wire(gcp_site, token=signed(gcp_site)).send("GET", ALL)[0] == 200
    assert Wire(gcp_site, token=signed(gcp_site, aud=None, scope=SCOPE)).send("GET", ALL)[0] == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://storage.googleapis.com/"},
        {"aud": None},
        {"aud": None, "scope": "https://www.googleapis.com/auth/drive"},
        {"iss": "somebody@else"},
        {"sub": "somebody@else"},
        {"exp": 1, "iat": 0},
        {"exp": None},
        {"exp": 4102444800},
    ],
)
def test_a_token_that_says_something_wrong(gcp_site: Site, claims: dict[str, Any]) -> None:
    assert Wire(gcp_site, token=signed(gcp_site, **claims)).refusal("GET", ALL)[:2] == (401, "authError")


def test_a_forged_signature(gcp_site: Site) -> None:
    head, body, signature = signed(gcp_site).split(".")
    other = base64.urlsafe_b64encode(json.dumps({"iss": "x"}).encode()).rstrip(b"=").decode()
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    hs256 = base64.urlsafe_b64encode(b'{"alg":"HS256"}').rstrip(b"=").decode()
    mac = base64.urlsafe_b64encode(hmac.digest(b"key", f"{hs256}.{body}".encode(), hashlib.sha256)).rstrip(b"=").decode()
    for token in (
        f"{head}.{other}.{signature}",
        f"{none}.{body}.",
        f"{hs256}.{body}.{mac}",
        f"{head}.{body}.AAAA",
        f"[].{body}.{signature}",
    ):
        assert Wire(gcp_site, token=token).refusal("GET", ALL)[:2] == (401, "authError")


def test_tokens_expire(gcp_site: Site) -> None:
    token = signed(gcp_site)
    short = as_(gcp_site, "short", "*", expires_in_s=60)
    assert short.send("GET", ALL)[0] == 200
    gcp_site.ask("clock", {"advance": 61})
    assert short.refusal("GET", ALL)[:2] == (401, "authError")
    gcp_site.ask("clock", {"advance": 3600})
    assert Wire(gcp_site, token=token).refusal("GET", ALL)[:2] == (401, "authError")


def granted(site: Site, **form: str) -> tuple[int, dict[str, Any]]:
    where = urlsplit(site.section()["token_uri"])
    connection = http.client.HTTPConnection(str(where.hostname), where.port)
    connection.request("POST", where.path, urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    body: dict[str, Any] = json.loads(answer.read())
    connection.close()
    return answer.status, body


def test_the_token_endpoint_gives_an_access_token_for_a_signed_assertion(gcp_site: Site) -> None:
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assertion = signed(gcp_site, aud=gcp_site.section()["token_uri"], scope=SCOPE)
    status, body = granted(gcp_site, grant_type=grant, assertion=assertion)
    assert (status, body["token_type"]) == (200, "Bearer")
    assert Wire(gcp_site, token=body["access_token"]).send("GET", ALL)[0] == 200
    assert granted(gcp_site, grant_type=grant, assertion=signed(gcp_site, aud="https://elsewhere")) == (
        400,
        {"error": "invalid_grant", "error_description": "Invalid JWT Signature."},
    )
    assert granted(gcp_site, grant_type="password")[1]["error"] == "unsupported_grant_type"


def test_the_key_file_is_its_owners_alone(gcp_site: Site) -> None:
    assert Path(gcp_site.section()["service_account_file"]).stat().st_mode & 0o077 == 0


READ = ("compute.firewalls.list", "compute.firewalls.get", "compute.globalOperations.get", "compute.projects.get")


def test_a_reader_writes_nothing(gcp_site: Site, gcp: Wire) -> None:
    gcp.done("POST", ALL, RULE)
    reader = as_(gcp_site, "reader", *READ)
    assert reader.rules() == ["a"]
    for method, path, body, permission in (
        ("POST", ALL, {**RULE, "name": "b"}, "'compute.firewalls.create' permission for 'projects/acme-net/global/firewalls/b'"),
        ("PATCH", f"{ALL}/a", {"priority": 1}, "'compute.firewalls.update' permission for 'projects/acme-net/global/firewalls/a'"),
        ("PUT", f"{ALL}/a", RULE, "'compute.firewalls.update'"),
        ("DELETE", f"{ALL}/a", None, "'compute.firewalls.delete'"),
        ("GET", "aggregated/instances", None, "'compute.instances.list'"),
        ("GET", "global/networks/default/getEffectiveFirewalls", None, "'compute.networks.getEffectiveFirewalls'"),
    ):
        code, reason, text = reader.refusal(method, path, body)
        assert (code, reason) == (403, "forbidden")
        assert permission in text
    assert gcp.get(f"{ALL}/a")["priority"] == 1000


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_writing_a_rule_needs_the_network_too(gcp_site: Site, gcp: Wire, method: str) -> None:
    gcp.done("POST", ALL, RULE)
    writer = as_(gcp_site, "writer", "compute.firewalls.*")
    path, body = (ALL, {**RULE, "name": "b"}) if method == "POST" else (f"{ALL}/a", RULE)
    wanted = "Required 'compute.networks.updatePolicy' permission for 'projects/acme-net/global/networks/default'"
    assert writer.refusal(method, path, body)[2] == wanted
    as_(gcp_site, "writer", "compute.firewalls.*", "compute.networks.updatePolicy", "compute.globalOperations.get")
    writer.done(method, path, body)


def test_projects(gcp_site: Site) -> None:
    assert Wire(gcp_site, "nowhere").refusal("GET", ALL) == (404, "notFound", "The resource 'projects/nowhere' was not found")
    guest = as_(gcp_site, "guest", "*", projects=["acme-net"])
    assert guest.send("GET", ALL)[0] == 200
    other = "/compute/v1/projects/acme-other"
    assert guest.refusal("GET", f"{other}/{ALL}")[2] == "Required 'compute.firewalls.list' permission for 'projects/acme-other'"
    assert guest.refusal("GET", other)[0] == 403
    assert guest.get("/compute/v1/projects/480100000001")["name"] == "acme-net"


@pytest.mark.parametrize(
    "path", ["/v1/projects/acme-net:testIamPermissions", f"{ALL}/a/testIamPermissions", "global/firewallPolicies/p/testIamPermissions"]
)
def test_asking_what_one_may(gcp_site: Site, path: str) -> None:
    reader = as_(gcp_site, "reader", *READ)
    asked = {"permissions": ["compute.firewalls.create", "compute.firewalls.get", "compute.firewalls.list"]}
    assert reader.send("POST", path, asked) == (200, {"permissions": ["compute.firewalls.get", "compute.firewalls.list"]})
    assert as_(gcp_site, "nobody").send("POST", path, asked) == (200, {})
    assert gcp_site.ask("log", None) == []


def test_the_operation_says_who(gcp_site: Site) -> None:
    operation = as_(gcp_site, "dave", "*", email="dave@acme.example").done("POST", ALL, RULE)
    assert operation["user"] == "dave@acme.example"
    found = gcp_site.ask("act", {"method": "DELETE", "path": f"projects/acme-net/{ALL}/a", "as": "dave"})
    assert found["body"]["user"] == "dave@acme.example"


def test_no_token_is_ever_logged(gcp_site: Site, gcp: Wire) -> None:
    gcp.done("POST", ALL, RULE)
    gcp.send("GET", ALL, access_token=gcp_site.section()["access_token"])
    assert gcp_site.section()["access_token"] not in json.dumps(gcp_site.ask("log", {"reads": True}))


def test_the_permissions_of_the_key_may_be_cut(gcp_site: Site) -> None:
    gcp_site.ask("principals", {"service_account": {"permissions": list(READ)}})
    wire = Wire(gcp_site, token=signed(gcp_site))
    assert wire.send("GET", ALL)[0] == 200
    assert wire.refusal("POST", ALL, RULE)[:2] == (403, "forbidden")


def test_every_method_names_a_permission(gcp_site: Site) -> None:
    nobody: Callable[..., tuple[int, str, str]] = as_(gcp_site, "nobody").refusal
    for path in ("global/networks", "global/networks/default", "zones", "regions", "aggregated/subnetworks", "global/operations"):
        assert "Required 'compute." in nobody("GET", path)[2]
