"""Who a token belongs to: plain access tokens, and JSON web tokens that a service account signs for itself."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from ..clock import LabClock
from ..kit.faults import Json
from .call import Principal
from .refusal import ComputeError, Extra, unauthenticated
from .world import Object

AUDIENCES = ("https://compute.googleapis.com/", "https://cloudresourcemanager.googleapis.com/", "https://www.googleapis.com/")
SCOPES = ("https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/compute")
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LONGEST_S = 3600.0 + 300.0


@dataclass(slots=True)
class Tokens:
    """The principals of the lab."""

    clock: LabClock
    email: str
    _key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048))
    principals: dict[str, Principal] = field(default_factory=dict)
    """By access token."""
    account: Principal = field(init=False)
    """The service account."""

    def __post_init__(self) -> None:
        self.account = Principal(self.email)

    def write_key(self, path: Path, project: str, token_uri: str) -> None:
        """Write the service account's key file as the vendor's console gives it out, readable by its owner alone."""
        pem = self._key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        content = {
            "type": "service_account",
            "project_id": project,
            "private_key_id": hashlib.sha256(pem).hexdigest()[:40],
            "private_key": pem.decode(),
            "client_email": self.email,
            "client_id": "100000000000000000001",
            "auth_uri": token_uri.replace("/token", "/auth"),
            "token_uri": token_uri,
            "universe_domain": "googleapis.com",
        }
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump(content, out, indent=2)

    def whose(self, header: str) -> Principal:
        """Return the principal of an Authorization header; a ComputeError 401 for a wrong or expired one."""
        word, _, token = header.partition(" ")
        if word.lower() != "bearer" or not token:
            raise unauthenticated()
        known = self.principals.get(token)
        if known is None and token.count(".") == 2:
            return self._signed(token, AUDIENCES)
        if known is None or (known.expires is not None and known.expires < self.clock.now()):
            raise unauthenticated()
        return known

    def _signed(self, token: str, audiences: tuple[str, ...]) -> Principal:
        """Verify a token that the service account signed for itself."""
        claims = self._claims(token)
        now = self.clock.utc().timestamp()
        begins, ends = claims.get("iat"), claims.get("exp")
        if not isinstance(begins, int | float) or not isinstance(ends, int | float) or ends - begins > _LONGEST_S:
            raise unauthenticated()
        scoped = any(scope in SCOPES for scope in str(claims.get("scope", "")).split())
        if ends < now or claims.get("iss") != self.email or claims.get("sub", self.email) != self.email:
            raise unauthenticated()
        if claims.get("aud") not in audiences and not scoped:
            raise unauthenticated()
        return self.account

    def _claims(self, token: str) -> Object:
        head, body, signature = token.split(".")
        try:
            if json.loads(_decoded(head)).get("alg") != "RS256":
                raise unauthenticated()
            self._key.public_key().verify(_decoded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
            claims: Json = json.loads(_decoded(body))
        except (ValueError, binascii.Error, InvalidSignature, AttributeError):
            raise unauthenticated() from None
        if not isinstance(claims, dict):
            raise unauthenticated()
        return claims

    def grant(self, body: bytes, token_uri: str) -> Object:
        """Answer the token endpoint: an access token for a signed assertion."""
        form = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        if form.get("grant_type") != _GRANT:
            raise ComputeError(400, "unsupported_grant_type", "Invalid grant_type", Extra(bare=True))
        try:
            principal = self._signed(form.get("assertion", ".."), (token_uri, "https://oauth2.googleapis.com/token"))
        except ComputeError:
            raise ComputeError(400, "invalid_grant", "Invalid JWT Signature.", Extra(bare=True)) from None
        token = f"ya29.lab-{hashlib.sha256(body).hexdigest()[:40]}"
        self.principals[token] = Principal(principal.email, principal.permissions, principal.projects, self.clock.now() + 3600)
        return {"access_token": token, "expires_in": 3599, "token_type": "Bearer"}


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
