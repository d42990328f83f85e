"""For tests: a pair per session, emptied before each test, and a plain client that says what a device said.

Use it from a `conftest.py` or a test with `from cloudsync.lab.f5.pytest_plugin import f5_site, f5_site_server`.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

import pytest

from ..kit.faults import Json
from .site import Site

FIREWALL = "/mgmt/tm/security/firewall"
COORDINATION = "X-F5-REST-Coordination-Id"


@pytest.fixture(scope="session")
def f5_site_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One pair for the whole session, in this process."""
    site = Site(tmp_path_factory.mktemp("f5"))
    site.start()
    try:
        yield site
    finally:
        site.stop()


@pytest.fixture
def f5_site(f5_site_server: Site) -> Site:
    """The session's pair, empty, in step and without faults; serial numbers and tokens are the same in every run."""
    f5_site_server.reset("empty", 1)
    return f5_site_server


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    body: Json
    headers: dict[str, str]

    @property
    def code(self) -> str:
        """`ok`, or the device's eight digits, or the HTTP status when it gave none."""
        if self.status < 300:
            return "ok"
        text = str(self.body.get("message", "")) if isinstance(self.body, dict) else ""
        head = text.removeprefix("transaction failed:").partition(":")[0]
        return head if len(head) == 8 else str(self.status)


@cache
def _context(ca_file: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


@dataclass(slots=True)
class Bigip:
    """Speaks to one unit as any program would."""

    endpoint: str
    ca_file: str
    user: str
    password: str
    token: str = ""

    def send(self, method: str, path: str, body: Json = None, headers: dict[str, str] | None = None) -> Reply:
        """One request on a connection of its own; OSError or HTTPException when it is cut."""
        connection = http.client.HTTPSConnection(urlsplit(self.endpoint).netloc, timeout=30, context=_context(self.ca_file))
        sent = {"Content-Type": "application/json", **({"X-F5-Auth-Token": self.token} if self.token else {}), **(headers or {})}
        raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path.replace(" ", "%20"), raw, sent)
            answer = connection.getresponse()
            text = answer.read()
            try:
                shown = json.loads(text) if text else None
            except ValueError:
                shown = text.decode(errors="replace")
            return Reply(answer.status, shown, {name.lower(): value for name, value in answer.getheaders()})
        finally:
            connection.close()

    def login(self) -> Reply:
        """Get a token and use it from now on."""
        self.token = ""
        body = {"username": self.user, "password": self.password, "loginProviderName": "tmos"}
        reply = self.send("POST", "/mgmt/shared/authn/login", body)
        if reply.status == 200:
            self.token = str(reply.body["token"]["token"])
        return reply

    def ok(self, method: str, path: str, body: Json = None, headers: dict[str, str] | None = None) -> Json:
        """One request that must work; return its body."""
        reply = self.send(method, path, body, headers)
        if reply.status != 200:
            raise AssertionError(f"{method} {path}: {reply.status} {reply.body}")
        return reply.body

    def code(self, method: str, path: str, body: Json = None, headers: dict[str, str] | None = None) -> str:
        """`ok` or the code of the refusal."""
        return self.send(method, path, body, headers).code

    def basic(self) -> dict[str, str]:
        """Return the header of basic authentication."""
        return {"Authorization": "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()}

    def begin(self) -> str:
        """Open a transaction; return its id."""
        return str(self.ok("POST", "/mgmt/tm/transaction", {})["transId"])

    def within(self, transaction: str, method: str, path: str, body: Json = None) -> Json:
        """Put a write into a transaction."""
        return self.ok(method, path, body, {COORDINATION: transaction})

    def commit(self, transaction: str, **more: Json) -> Reply:
        """Commit it."""
        return self.send("PATCH", f"/mgmt/tm/transaction/{transaction}", {"state": "VALIDATING", **more})


def bigip(site: Site, number: int = 0, user: str | None = None) -> Bigip:
    """Return a client of one unit, logged in."""
    section = site.section()[number]
    name = user or section["user"]
    client = Bigip(section["endpoint"], section["ca_file"], name, section["users"][name]["password"])
    client.login()
    return client


def chain(*rules: Json) -> list[Json]:
    """Rules with their places said, each after the one before."""
    shown: list[Json] = []
    for rule in rules:
        shown.append({**rule, "placeAfter": shown[-1]["name"] if shown else "first"})
    return shown


def rule(name: str, action: str = "accept", protocol: str = "any", **more: Json) -> dict[str, Json]:
    """One rule; `source`, `lists` and `ports` are short for what they mean, anything else is taken as it is."""
    shown: dict[str, Json] = {"name": name, "action": action, "ipProtocol": protocol}
    source: dict[str, Json] = {}
    if "source" in more:
        source["addresses"] = [{"name": each} for each in more.pop("source")]
    if "lists" in more:
        source["addressLists"] = list(more.pop("lists"))
    if source:
        shown["source"] = source
    if "ports" in more:
        shown["destination"] = {"ports": [{"name": each} for each in more.pop("ports")]}
    return {**shown, **more}
