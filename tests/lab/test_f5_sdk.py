"""The transport of F5's own SDK, unchanged, against the lab."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cloudsync.lab.f5.pytest_plugin import chain, f5_site, f5_site_server, rule
from cloudsync.lab.f5.site import Site

__all__ = ["f5_site", "f5_site_server"]

session = pytest.importorskip("icontrol.session", reason="the extra f5 is not installed")


class Sdk:
    """A session with a token that was got beforehand, as the traps of the transport demand."""

    def __init__(self, site: Site, number: int = 0) -> None:
        unit = site.section()[number]
        self.url, ca_file = unit["endpoint"], unit["ca_file"]
        first = session.iControlRESTSession(unit["user"], unit["password"], verify=ca_file)
        body = {"username": unit["user"], "password": unit["password"], "loginProviderName": "tmos"}
        answer = first.post(f"{self.url}/mgmt/shared/authn/login", json=body, timeout=(5, 30))
        self.token = answer.json()["token"]["token"]
        self.calls = session.iControlRESTSession("unused", "unused", token_to_use=self.token, verify=ca_file)
        self.calls.session.verify = ca_file
        self._first = first

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        more = {"json": body} if body is not None else {}
        answer = getattr(self.calls, method)(f"{self.url}/mgmt/{path}", headers=headers, timeout=(5, 30), **more)
        return answer.json() if answer.content else None

    def end(self) -> None:
        self.ask("delete", f"shared/authz/tokens/{self.token}")
        self.calls.session.close()
        self._first.session.close()


@pytest.fixture
def sdk(f5_site: Site) -> Iterator[Sdk]:
    found = Sdk(f5_site)
    yield found
    found.end()
    state = f5_site.ask("state", None)
    assert [state[name]["live_tokens"] for name in ("bigip1", "bigip2")] == [0, 0]
    assert state["bigip1"]["open_transactions"] == []


def test_a_whole_run(f5_site: Site, sdk: Sdk) -> None:
    f5_site.act("bigip1", "POST", "/mgmt/tm/ltm/virtual", {"name": "v", "destination": "192.0.2.1:443", "ipProtocol": "tcp"})
    f5_site.ask("settings", {"compile_delay_s": 0})
    assert sdk.ask("get", "tm/sys/provision/afm")["level"] == "nominal"
    assert sdk.ask("get", "tm/shared/bigip-failover-state")["failoverState"] == "active"
    joined = {"X-F5-REST-Coordination-Id": str(sdk.ask("post", "tm/transaction", {})["transId"])}
    sdk.ask("post", "tm/security/firewall/address-list", {"name": "cs_web", "addresses": [{"name": "10.40.0.0/16"}]}, **joined)
    rules = chain(rule("web", protocol="tcp", lists=["/Common/cs_web"], ports=["443"]), rule("cs_default", "drop"))
    sdk.ask("post", "tm/security/firewall/policy", {"name": "cs_v_1", "rules": rules}, **joined)
    sdk.ask("patch", "tm/ltm/virtual/~Common~v", {"fwEnforcedPolicy": "/Common/cs_v_1", "fwStagedPolicy": "none"}, **joined)
    number = joined["X-F5-REST-Coordination-Id"]
    assert sdk.ask("patch", f"tm/transaction/{number}", {"state": "VALIDATING"})["state"] == "COMPLETED"
    shown = sdk.ask("get", "tm/security/firewall/policy?expandSubcollections=true")["items"][0]
    assert [each["name"] for each in shown["rulesReference"]["items"]] == ["web", "cs_default"]
    sdk.ask("post", "tm/sys/config", {"command": "save"})
    sdk.ask("post", "tm/cm", {"command": "run", "utilCmdArgs": "config-sync to-group dg-failover"})
    other = Sdk(f5_site, 1)
    assert other.ask("get", "tm/ltm/virtual/~Common~v")["fwEnforcedPolicy"] == "/Common/cs_v_1"
    other.end()
    assert f5_site.ask("verdict", {"src": "10.41.0.1", "dst": "192.0.2.1", "port": 443})["rule"] == "cs_default"


def test_refusals_arrive_as_the_sdks_own_error(sdk: Sdk) -> None:
    exceptions = pytest.importorskip("icontrol.exceptions")
    with pytest.raises(exceptions.iControlUnexpectedHTTPError) as caught:
        sdk.ask("post", "tm/security/firewall/policy", {"name": "p", "rules": chain(rule("x", "maybe"))})
    assert caught.value.response.status_code == 400
    assert caught.value.response.json()["message"] == 'invalid property value "action":"maybe"'


def test_the_sdk_builds_paths_of_its_own(sdk: Sdk) -> None:
    base = f"{sdk.url}/mgmt/tm/security/firewall/policy/"
    sdk.calls.post(base, json={"name": "p", "partition": "Common"}, timeout=(5, 30))
    found = sdk.calls.get(base, partition="Common", name="p", uri_as_parts=True, params={"expandSubcollections": "true"}, timeout=(5, 30))
    assert found.json()["rulesReference"]["items"] == []


def test_a_session_that_logs_in_by_itself(f5_site: Site) -> None:
    unit = f5_site.section()[0]
    own = session.iControlRESTSession(unit["user"], unit["password"], token=True, verify=unit["ca_file"])
    found = own.get(f"{unit['endpoint']}/mgmt/tm/ltm/virtual", timeout=(5, 30)).json()
    assert found["items"] == []
    assert f5_site.ask("calls", None)["POST shared/authn/login"] == 1
    own.session.close()
