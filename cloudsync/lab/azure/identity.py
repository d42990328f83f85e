"""Entra on loopback: where tokens come from, who holds one, and what that one may do."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from urllib.parse import parse_qs, urlsplit

from ..clock import LabClock
from ..http import Answer, Request
from ..kit.faults import Json
from .errors import ArmError

EPOCH = 1767225600
"""The lab's second 0 as the tokens say it: the first of January 2026."""
LIFETIME_S = 3599
AUDIENCES = ("https://management.azure.com", "https://management.core.windows.net")


@dataclass(frozen=True, slots=True)
class Grant:
    """A role on a scope, as `permissions` shows it."""

    scope: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()

    def covers(self, action: str, where: str) -> bool:
        """Does it allow an action there?"""
        below = where.lower() == self.scope.lower() or where.lower().startswith(self.scope.lower().rstrip("/") + "/")
        return below and _any(self.actions, action) and not _any(self.not_actions, action)

    def shown(self) -> Json:
        """As the API shows it."""
        return {"actions": list(self.actions), "notActions": list(self.not_actions), "dataActions": [], "notDataActions": []}


def _any(patterns: tuple[str, ...], action: str) -> bool:
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)


@dataclass(slots=True)
class Principal:
    """A service principal."""

    client_id: str
    object_id: str
    secret: str
    grants: tuple[Grant, ...] = ()

    def may(self, action: str, where: str) -> bool:
        """Is an action allowed to it there?"""
        return any(grant.covers(action, where) for grant in self.grants)


@dataclass(slots=True)
class Directory:
    """One tenant: its principals and the key its tokens are signed with."""

    tenant: str
    clock: LabClock
    principals: dict[str, Principal] = field(default_factory=dict)
    base: str = ""
    lifetime_s: int = LIFETIME_S
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    _issued: int = 0

    def now(self) -> int:
        """Seconds since 1970, in the lab's time."""
        return EPOCH + int(self.clock.now())

    def issue(self, principal: Principal, audience: str) -> str:
        """A token."""
        self._issued += 1
        claims = {
            "aud": audience, "iss": f"{self.base}/{self.tenant}/v2.0", "tid": self.tenant, "appid": principal.client_id,
            "oid": principal.object_id, "iat": self.now(), "nbf": self.now(), "exp": self.now() + self.lifetime_s, "uti": str(self._issued),
            "idtyp": "app", "ver": "1.0",
        }  # fmt: skip
        text = f"{_packed({'typ': 'JWT', 'alg': 'HS256'})}.{_packed(claims)}"
        return f"{text}.{self._sign(text)}"

    def revoke(self) -> None:
        """All tokens that exist are worthless from now on."""
        self._key = secrets.token_bytes(32)

    def _sign(self, text: str) -> str:
        return base64.urlsafe_b64encode(hmac.digest(self._key, text.encode(), hashlib.sha256)).rstrip(b"=").decode()

    def bearer(self, header: str | None) -> Principal:
        """Who sends this Authorization header? ArmError 401 when nobody does that we know."""
        if not header:
            raise unauthorized("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.", self)
        scheme, _, token = header.partition(" ")
        text, _, signature = token.rpartition(".")
        if scheme.lower() != "bearer" or not hmac.compare_digest(signature.encode(), self._sign(text).encode()):
            raise unauthorized("InvalidAuthenticationToken", "The access token is invalid.", self)
        claims = json.loads(base64.urlsafe_b64decode(text.partition(".")[2] + "=="))
        if claims["exp"] <= self.now():
            raise self.expired(claims["exp"])
        if str(claims["aud"]).rstrip("/") not in (*AUDIENCES, self.base):
            message = f"The access token has been obtained for wrong audience or resource '{claims['aud']}'."
            raise unauthorized("InvalidAuthenticationTokenAudience", message, self)
        principal = self.principals.get(claims["appid"])
        if principal is None:
            raise unauthorized("InvalidAuthenticationToken", "The access token is from an unknown application.", self)
        return principal

    def expired(self, at: int) -> ArmError:
        """Return the 401 for a token that was good until `at`."""
        message = f"The access token expiry UTC time '{_clock(at)}' is earlier than current UTC time '{_clock(self.now())}'."
        return unauthorized("ExpiredAuthenticationToken", message, self)

    def answer(self, request: Request) -> Answer:
        """Answer a request to the authority."""
        path = request.path.rstrip("/")
        if path.endswith("/.well-known/openid-configuration"):
            return _json(200, self._configuration())
        if path.endswith("/discovery/instance"):
            given = parse_qs(request.query)
            wanted = given.get("authorization_endpoint", [""])[0]
            host = urlsplit(wanted).netloc or urlsplit(self.base).netloc
            return _json(200, {
                "tenant_discovery_endpoint": f"{self.base}/{self.tenant}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
            })  # fmt: skip
        if path.endswith(("/oauth2/v2.0/token", "/oauth2/token")) and request.method == "POST":
            return self._token(path, {name: values[0] for name, values in parse_qs(request.body.decode("utf-8", "replace")).items()})
        return _json(404, {"error": "not_found", "error_description": f"Nothing is at {path}."})

    def _configuration(self) -> Json:
        where = f"{self.base}/{self.tenant}"
        return {
            "token_endpoint": f"{where}/oauth2/v2.0/token",
            "authorization_endpoint": f"{where}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{where}/oauth2/v2.0/devicecode",
            "issuer": f"{where}/v2.0",
            "jwks_uri": f"{where}/discovery/v2.0/keys",
            "tenant_region_scope": "EU",
            "response_types_supported": ["code", "token"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    def _token(self, path: str, form: dict[str, str]) -> Answer:
        tenant = path.strip("/").split("/")[0]
        if tenant.lower() != self.tenant.lower():
            return _oauth(400, "invalid_request", "AADSTS90002", f"Tenant '{tenant}' not found.", 90002)
        if form.get("grant_type") != "client_credentials":
            return _oauth(400, "unsupported_grant_type", "AADSTS70003", "The app requested an unsupported grant type.", 70003)
        principal = self.principals.get(form.get("client_id", ""))
        if principal is None:
            text = f"Application with identifier '{form.get('client_id', '')}' was not found in the directory '{self.tenant}'."
            return _oauth(400, "unauthorized_client", "AADSTS700016", text, 700016)
        if not hmac.compare_digest(form.get("client_secret", "").encode(), principal.secret.encode()):
            text = "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value."
            return _oauth(401, "invalid_client", "AADSTS7000215", text, 7000215)
        audience = form.get("scope", form.get("resource", "")).split(" ")[0].removesuffix(".default").rstrip("/")
        token = self.issue(principal, audience)
        return _json(200, {"token_type": "Bearer", "expires_in": self.lifetime_s, "ext_expires_in": self.lifetime_s, "access_token": token})


def _clock(seconds: int) -> str:
    """A time as the gateway writes it: 8/5/2021 7:58:17 AM."""
    at = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{at.month}/{at.day}/{at.year} {at.hour % 12 or 12}:{at:%M:%S %p}"


def unauthorized(code: str, message: str, directory: Directory) -> ArmError:
    """A 401 with the challenge that names the authority."""
    challenge = f'Bearer authorization_uri="{directory.base}/{directory.tenant}", error="invalid_token", error_description="{message}"'
    return ArmError(401, code, message, headers={"WWW-Authenticate": challenge})


def _packed(value: Json) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).rstrip(b"=").decode()


def _json(status: int, document: Json) -> Answer:
    return Answer(status, json.dumps(document).encode(), {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store"})


def _oauth(status: int, error: str, code: str, text: str, number: int) -> Answer:
    return _json(status, {"error": error, "error_description": f"{code}: {text}", "error_codes": [number]})
