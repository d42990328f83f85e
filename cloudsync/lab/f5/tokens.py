"""Users, logins and tokens of one unit."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from dataclasses import dataclass, field

from ..clock import LabClock
from ..kit.faults import Json
from .refusal import DeviceError, unauthorized
from .settings import Settings

EPOCH = dt.datetime(2026, 1, 5, 8, 0, tzinfo=dt.UTC)
"""The wall clock of the devices when the lab begins."""
MOST_TOKEN_S = 36000
PROVIDER = "https://localhost/mgmt/cm/system/authn/providers/tmos/1f44a60e-11a7-3c51-a49f-82983026b41b/login"
READ_ONLY_ROLES = frozenset({"guest", "auditor", "operator"})


@dataclass(frozen=True, slots=True)
class User:
    """One local user."""

    name: str
    password: str
    role: str

    @property
    def is_admin(self) -> bool:
        """May it use basic authentication, and see the tokens of others?"""
        return self.role == "admin"


USERS = (
    User("admin", "lab-admin", "admin"),
    User("cloudsync", "lab-cloudsync", "resource-admin"),
    User("firewaller", "lab-firewaller", "firewall-manager"),
    User("reader", "lab-reader", "auditor"),
)
"""`admin` is the built-in one; `cloudsync` is the one lab.json names."""


@dataclass(slots=True)
class Token:
    """One login."""

    text: str
    user: User
    started: float
    timeout: float
    generation: int = 1

    @property
    def expires(self) -> float:
        """Counted from the login, whenever the lifetime was changed."""
        return self.started + self.timeout

    def as_json(self) -> Json:
        """As the token resource shows it."""
        micros = int(EPOCH.timestamp() * 1_000_000)
        start = EPOCH + dt.timedelta(seconds=self.started)
        return {
            "token": self.text,
            "name": self.text,
            "userName": self.user.name,
            "authProviderName": "tmos",
            "user": {"link": f"https://localhost/mgmt/shared/authz/users/{self.user.name}"},
            "timeout": int(self.timeout),
            "startTime": start.strftime("%Y-%m-%dT%H:%M:%S.") + f"{start.microsecond // 1000:03d}-0000",
            "address": "127.0.0.1",
            "partition": "[All]",
            "generation": self.generation,
            "lastUpdateMicros": micros + int(self.started * 1_000_000),
            "expirationMicros": micros + int(self.expires * 1_000_000),
            "kind": "shared:authz:tokens:authtokenitemstate",
            "selfLink": f"https://localhost/mgmt/shared/authz/tokens/{self.text}",
        }


@dataclass(slots=True)
class Tokens:
    """All logins of one unit."""

    clock: LabClock
    settings: Settings
    seed: str
    users: dict[str, User] = field(default_factory=lambda: {each.name: each for each in USERS})
    live: dict[str, Token] = field(default_factory=dict)
    logins: int = 0

    def settle(self) -> None:
        """Forget what has been expired for long; a token that has just expired says so once more."""
        for text in [text for text, each in self.live.items() if each.expires + MOST_TOKEN_S < self.clock.now()]:
            del self.live[text]

    def living(self) -> list[Token]:
        """Tokens that still open the door, oldest first."""
        return [each for each in self.live.values() if each.expires > self.clock.now()]

    def login(self, body: Json) -> Json:
        """Answer a login."""
        if not isinstance(body, dict) or not body.get("username") or not body.get("password"):
            raise DeviceError(400, "username and password must be specified.", rest=True)
        user = self.users.get(str(body["username"]))
        if user is None or user.password != body["password"]:
            raise unauthorized("Authentication failed.")
        mine = sum(each.user.name == user.name for each in self.living())
        if user.name != "admin" and mine >= self.settings.max_tokens:
            raise DeviceError(400, f"Bad Request: user {user.name} has reached maximum active login tokens", rest=True)
        self.logins += 1
        text = base64.b32encode(hashlib.sha256(f"{self.seed}/{self.logins}".encode()).digest()).decode()[:26]
        token = Token(text, user, self.clock.now(), self.settings.token_ttl_s)
        self.live[text] = token
        return {
            "username": user.name,
            "loginReference": {"link": PROVIDER},
            "loginProviderName": body.get("loginProviderName", "tmos"),
            "token": token.as_json(),
            "generation": 0,
            "lastUpdateMicros": 0,
        }

    def who(self, token: str | None, basic: str | None) -> tuple[User, str]:
        """Return the user of a request and the token it came with; 401 when there is none."""
        if token is not None:
            found = self.live.get(token)
            if found is None:
                raise unauthorized("X-F5-Auth-Token does not exist.")
            if found.expires <= self.clock.now():
                del self.live[token]
                raise unauthorized("X-F5-Auth-Token has expired.")
            return found.user, token
        user = self._basic(basic)
        if user is None:
            raise unauthorized("")
        if not user.is_admin and self.settings.basic_for_admins_only:
            raise unauthorized("")
        return user, ""

    def _basic(self, header: str | None) -> User | None:
        scheme, _, rest = (header or "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(rest, validate=True).decode().partition(":")
        except ValueError:
            return None
        user = self.users.get(name)
        return user if user is not None and user.password == password else None

    def resource(self, method: str, text: str, body: Json, user: User) -> Json:
        """GET, PATCH and DELETE of a token, and the list of them."""
        if not text:
            return self._list(method, user)
        found = self.live.get(text)
        if found is None or found.expires <= self.clock.now() or not (user.is_admin or found.user == user):
            raise DeviceError(404, f"Object not found - [ID: {text}]", rest=True)
        match method:
            case "GET":
                return found.as_json()
            case "DELETE":
                del self.live[text]
                return found.as_json()
            case "PATCH":
                return self._extend(found, body)
            case _:
                raise DeviceError(405, f"Method {method} not allowed.", rest=True)

    def _list(self, method: str, user: User) -> Json:
        mine = [each for each in self.living() if user.is_admin or each.user == user]
        if method == "DELETE":
            for each in mine:
                del self.live[each.text]
        return {
            "items": [each.as_json() for each in mine],
            "generation": 1,
            "kind": "shared:authz:tokens:authtokencollectionstate",
            "lastUpdateMicros": 0,
            "selfLink": "https://localhost/mgmt/shared/authz/tokens",
        }

    def _extend(self, token: Token, body: Json) -> Json:
        try:
            timeout = int(body["timeout"])
        except (KeyError, TypeError, ValueError):
            raise DeviceError(400, "timeout must be a number of seconds.", rest=True) from None
        if timeout > MOST_TOKEN_S:
            raise DeviceError(406, f"Auth-token absolute timeout ({MOST_TOKEN_S} seconds) exceeded", rest=True)
        if timeout <= 0:
            raise DeviceError(400, "timeout must be a number of seconds.", rest=True)
        token.timeout, token.generation = float(timeout), token.generation + 1
        return token.as_json()
