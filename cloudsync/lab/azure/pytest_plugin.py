"""For tests: one Azure per session, in this process, emptied before each test, and a plain client that says what came back.

Use it from a `conftest.py` with `from cloudsync.lab.azure.pytest_plugin import azure_site, azure_site_server`.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from ..kit.faults import Json
from .site import Site

VERSION = "2025-07-01"


@pytest.fixture(scope="session")
def azure_site_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The servers of one Azure."""
    folder: Path = tmp_path_factory.mktemp("azure-lab")
    site = Site(folder)
    site.start()
    yield site
    site.stop()


@pytest.fixture
def azure_site(azure_site_server: Site) -> Site:
    """The session's Azure: empty, without faults, every switch at its default; ids are the same in every run."""
    azure_site_server.reset("empty", 1)
    return azure_site_server


@dataclass(frozen=True, slots=True)
class Heard:
    """What came back."""

    status: int
    document: Json
    headers: Mapping[str, str]

    @property
    def code(self) -> str:
        """The vendor's error code; `ok` when it worked."""
        if self.status < 300:
            return "ok"
        inner = self.document.get("error", self.document) if isinstance(self.document, dict) else {}
        return str(inner.get("code", ""))

    @property
    def message(self) -> str:
        """The vendor's words."""
        inner = self.document.get("error", self.document)
        return str(inner.get("message", ""))


@dataclass(slots=True)
class Wire:
    """A client without an SDK: one request, one answer, nothing repeated."""

    site: Site
    principal: str = "cloudsync"
    version: str = VERSION
    _token: str | None = None
    _secure: ssl.SSLContext | None = field(default=None)

    def path(self, kind: str, name: str = "", provider: str = "Microsoft.Network") -> str:
        """The path of a resource, or of its collection, in the lab's resource group."""
        section = self.site.section()
        group = f"/subscriptions/{section['subscription']}/resourceGroups/{section['resource_group']}"
        return f"{group}/providers/{provider}/{kind}" + (f"/{name}" if name else "")

    def everywhere(self, kind: str, provider: str = "Microsoft.Network") -> str:
        """The path of a collection of the whole subscription."""
        return f"/subscriptions/{self.site.section()['subscription']}/providers/{provider}/{kind}"

    def send(self, method: str, path: str, body: Json = None, **headers: str) -> Heard:
        """One request; `_` in header names stands for `-`. ConnectionError or HTTPException when the connection ends early."""
        url = path if "?" in path else f"{path}?api-version={self.version}"
        given = {"Authorization": f"Bearer {self.token()}", "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.raw(method, self.site.section()["endpoint"] + url, body, {name: value for name, value in given.items() if value})

    def raw(self, method: str, url: str, body: Json, headers: Mapping[str, str]) -> Heard:
        """One request to any of the lab's servers."""
        parts = urlsplit(url)
        if self._secure is None:
            self._secure = ssl.create_default_context(cafile=self.site.section()["ca_file"])
        connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, context=self._secure, timeout=30)
        try:
            content = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
            connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, content, dict(headers))
            answer = connection.getresponse()
            text = answer.read()
            found = {name.lower(): value for name, value in answer.getheaders()}
            document = json.loads(text) if text and "json" in found.get("content-type", "") else text.decode() or None
            return Heard(answer.status, document, found)
        finally:
            connection.close()

    def token(self) -> str:
        """A token of the client's own principal, fetched once."""
        if self._token is None:
            section = self.site.section()
            own = section["principals"][self.principal]
            form = {"grant_type": "client_credentials", "scope": "https://management.azure.com/.default", **own}
            url = f"{section['authority']}/{section['tenant']}/oauth2/v2.0/token"
            heard = self.raw("POST", url, urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"})
            self._token = str(heard.document["access_token"])
        return self._token

    def get(self, path: str, **headers: str) -> Heard:
        """Read."""
        return self.send("GET", path, **headers)

    def put(self, path: str, properties: Json = None, *, location: str | None = "westeurope", beside: Json = None, **headers: str) -> Heard:
        """Write a resource; without a location, a child."""
        body = {"properties": properties, **({} if location is None else {"location": location}), **(beside or {})}
        return self.send("PUT", path, body, **headers)

    def done(self, path: str, properties: Json = None, *, location: str | None = "westeurope", beside: Json = None) -> Json:
        """Write a resource, let the operation end, and read it back."""
        heard = self.put(path, properties, location=location, beside=beside)
        assert heard.status < 300, heard
        self.site.ask("finish", None)
        return self.get(path).document

    def everything(self, path: str) -> list[Json]:
        """All pages of a list."""
        found: list[Json] = []
        heard = self.get(path)
        while True:
            found += heard.document["value"]
            following = heard.document.get("nextLink")
            if following is None:
                return found
            heard = self.raw("GET", following, None, {"Authorization": f"Bearer {self.token()}"})


def rule(name: str, place: int, **properties: Json) -> Json:
    """A rule at a priority, right unless it is told otherwise; None takes a field away."""
    kept = {
        "protocol": "Tcp", "access": "Allow", "priority": place, "direction": "Inbound", "sourceAddressPrefix": "10.0.0.0/8",
        "sourcePortRange": "*", "destinationAddressPrefix": "*", "destinationPortRange": "443", **properties,
    }  # fmt: skip
    return {"name": name, "properties": {key: value for key, value in kept.items() if value is not None}}
