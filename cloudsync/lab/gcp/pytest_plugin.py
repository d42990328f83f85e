"""For tests: one simulated Google Compute per session, emptied before each test, and a plain client that says what came back.

Use it from a `conftest.py` with `from cloudsync.lab.gcp.pytest_plugin import gcp_site, gcp_site_server`.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import pytest

from ..kit.faults import Json
from .site import Site

ROOT = "/compute/v1/"


@pytest.fixture(scope="session")
def gcp_site_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server for the whole session, in this process."""
    site = Site(tmp_path_factory.mktemp("gcp"))
    site.start()
    yield site
    site.stop()


@pytest.fixture
def gcp_site(gcp_site_server: Site) -> Site:
    """The session's server, empty and without faults; ids are the same in every run."""
    gcp_site_server.api.watch = None
    gcp_site_server.reset("empty", 1)
    return gcp_site_server


@dataclass(frozen=True, slots=True)
class Wire:
    """Requests by hand, as a client without an SDK sends them."""

    site: Site
    project: str = "acme-net"
    token: str | None = None
    """None: the lab's access token; empty: none at all."""

    def send(self, method: str, path: str, body: Json = None, **query: str) -> tuple[int, Json]:
        """Send one request; return status and body (text when it is no JSON)."""
        section = self.site.section()
        where = urlsplit(section["endpoint"])
        connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=30)
        token = section["access_token"] if self.token is None else self.token
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        target = (path if path.startswith("/") else f"{ROOT}projects/{self.project}/{path}") + (f"?{urlencode(query)}" if query else "")
        try:
            connection.request(method, target, None if body is None else json.dumps(body).encode(), headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        return answer.status, _parsed(text)

    def get(self, path: str, **query: str) -> Json:
        """Read something that is there."""
        status, body = self.send("GET", path, **query)
        assert status == 200, body
        return body

    def done(self, method: str, path: str, body: Json = None, **query: str) -> Json:
        """Write something that is accepted; return its operation when it has ended."""
        status, operation = self.send(method, path, body, **query)
        assert status == 200, operation
        status, ended = self.send("GET", urlsplit(operation["selfLink"]).path)
        assert (status, ended["status"]) == (200, "DONE"), ended
        return ended

    def refusal(self, method: str, path: str, body: Json = None, **query: str) -> tuple[int, str, str]:
        """Send what is refused; return status, reason and message."""
        status, answer = self.send(method, path, body, **query)
        assert status >= 400, answer
        error = answer["error"]
        return status, error.get("errors", [{"reason": ""}])[0]["reason"], error["message"]

    def rules(self) -> list[str]:
        """Names of the project's firewall rules."""
        return [one["name"] for one in self.get("global/firewalls").get("items", [])]


def _parsed(text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError:
        return text
