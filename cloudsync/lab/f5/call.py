"""One request as it came over the wire, read and named."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import parse_qsl

from ..http import Request
from ..kit.faults import Json
from .paths import target
from .refusal import DeviceError

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_NO_CONFIGURATION = ("shared/authn/login", "shared/authz/tokens", "tm/transaction")
"""Posts that change no configuration: logins, tokens, the opening of a transaction."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    method: str
    path: str
    """Below /mgmt/, without slashes at the ends."""
    query: dict[str, str]
    body: Json
    broken: bool
    """The body is no JSON."""
    token: str | None
    basic: str | None
    transaction: str | None
    """The coordination header."""
    size: int = 0
    """Bytes of the body."""

    @property
    def tm(self) -> str | None:
        """The path below /mgmt/tm/, None when it is elsewhere."""
        return self.path.removeprefix("tm/") if self.path.startswith("tm/") else None

    @property
    def commits(self) -> bool:
        """Does it ask a transaction to commit?"""
        return (
            self.path.startswith("tm/transaction/")
            and self.path.count("/") == 2
            and self.method in ("PATCH", "PUT")
            and isinstance(self.body, dict)
            and self.body.get("state") == "VALIDATING"
        )

    @property
    def operation(self) -> str:
        """`METHOD collection`, `METHOD collection/rules`, `COMMIT transaction`: what faults and counters go by."""
        if self.commits:
            return "COMMIT transaction"
        if self.path.startswith("tm/transaction"):
            return f"{self.method} {'transaction/commands' if self.path.count('/') > 2 else 'transaction'}"
        if self.path.startswith("shared/authz/tokens"):
            return f"{self.method} shared/authz/tokens"
        if self.tm is None:
            return f"{self.method} {self.path}"
        try:
            return f"{self.method} {target(self.tm).operation}"
        except DeviceError:
            parts = [each for each in self.tm.split("/") if each[0] != "~"]
            return f"{self.method} {'/'.join(parts)}"

    @property
    def mutating(self) -> bool:
        """Does it change configuration, at once or with a transaction's commit?"""
        return self.method in _WRITES and (self.commits or not self.path.startswith(_NO_CONFIGURATION))

    @property
    def page(self) -> int:
        """Which page of a collection it asks for, from 1."""
        top, skip = self.query.get("$top", ""), self.query.get("$skip", "")
        return int(skip) // int(top) + 1 if top.isdecimal() and skip.isdecimal() and int(top) else 1

    @property
    def shown_path(self) -> str:
        """The path without a token."""
        head, mark, token = self.path.partition("shared/authz/tokens/")
        return f"/mgmt/{head}{mark}{'***' + token[-6:] if token else ''}"

    @property
    def shown_body(self) -> Json:
        """The body without a password."""
        if isinstance(self.body, dict):
            return {key: "***" if key == "password" else value for key, value in self.body.items()}
        return self.body


def read(request: Request) -> Call | None:
    """Read a request; None when it is not below /mgmt."""
    if not request.path.startswith("/mgmt/"):
        return None
    body: Json = None
    broken = False
    if request.body:
        try:
            body = json.loads(request.body)
        except ValueError:
            broken = True
    return Call(
        request.method,
        "/".join(each for each in request.path.removeprefix("/mgmt/").split("/") if each),
        dict(parse_qsl(request.query, keep_blank_values=True)),
        body,
        broken,
        request.headers.get("x-f5-auth-token"),
        request.headers.get("authorization"),
        request.headers.get("x-f5-rest-coordination-id"),
        len(request.body),
    )
