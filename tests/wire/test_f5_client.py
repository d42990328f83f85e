"""Calls to one device: TLS, logins, pages, lost answers; what a failed call means; and that a write is sent once."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from cloudsync.adapter import Effect, Status, Step, TargetSettings
from cloudsync.lab.f5.pytest_plugin import f5_site, f5_site_server
from cloudsync.lab.f5.site import Site
from cloudsync.lab.kit.tls import authority
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.testing.clock import SimulatedClock
from cloudsync_f5 import payload as wire
from cloudsync_f5.adapter import F5Adapter
from cloudsync_f5.client import CallFailedError, Device
from cloudsync_f5.limits import READ_ATTEMPTS
from cloudsync_f5.payload import Call, Request
from cloudsync_f5.read import DEVICE, kind
from cloudsync_f5.settings import F5Settings
from cloudsync_f5.write import Writer

__all__ = ["f5_site", "f5_site_server"]

LIST = {"name": "one", "partition": "Common", "addresses": [{"name": "10.0.0.1"}]}
VIRTUALS = "/mgmt/tm/ltm/virtual"
Opened = Callable[..., Device]


def target(site: Site, **options: Any) -> TargetSettings:
    section = site.section()
    kept = {
        "hosts": [one["hostname"] for one in section],
        "device_group": "dg-failover",
        "addresses": {one["hostname"]: one["endpoint"] for one in section},
        "ca_file": section[0]["ca_file"],
        **options,
    }
    return TargetSettings("f5", "f5", TargetMode.EXCLUSIVE, kept, Where("cloudsync.yaml"))


@pytest.fixture
def opened(f5_site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    made: list[weakref.ref[Device]] = []
    monkeypatch.setenv("F5_USER", f5_site.section()[0]["user"])
    monkeypatch.setenv("F5_PASSWORD", f5_site.section()[0]["password"])

    def build(**options: Any) -> Device:
        settings = F5Settings.of(target(f5_site, **options))
        device = Device(settings, settings.hosts[0], SimulatedClock(), jitter=lambda: 0.5)
        made.append(weakref.ref(device))
        return device

    yield build
    for one in made:  # tokens of the next test are spelled as those of this one: nobody may log out later
        device = one()
        if device is not None:
            device.close()


def live(site: Site) -> int:
    return sum(len(unit) for unit in site.ask("tokens", {}).values())


def sent(site: Site, operation: str) -> int:
    return sum(1 for one in site.ask("log", {"reads": True}) if one["operation"] == operation and one["by"] == "client")


# --- TLS and logins ----------------------------------------------------------------------------------------------------------


def test_a_device_that_another_authority_vouches_for_is_refused(opened: Opened, tmp_path: Path) -> None:
    other = authority(tmp_path / "other")
    with pytest.raises(CallFailedError, match="ca_file") as caught:
        opened(ca_file=str(other.ca_file)).get(DEVICE)
    assert caught.value.answered, "nothing was sent"


def test_without_an_authority_of_its_own_the_systems_decide(opened: Opened) -> None:
    with pytest.raises(CallFailedError, match="certificate"):
        opened(ca_file="").get(DEVICE)


def test_the_environment_decides_neither_about_proxies_nor_about_certificates(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    assert opened().get(DEVICE)["kind"] == kind(DEVICE)


def test_one_login_serves_many_calls_and_ends_with_its_device(f5_site: Site, opened: Opened) -> None:
    device = opened()
    for _ in range(5):
        device.get(DEVICE)
    assert (sent(f5_site, "POST shared/authn/login"), live(f5_site)) == (1, 1)
    device.close()
    assert live(f5_site) == 0
    device.get(DEVICE)
    assert live(f5_site) == 1
    del device
    gc.collect()
    assert live(f5_site) == 0, "nobody has to remember to log out"


def test_a_hundred_and_one_runs_leave_no_login(f5_site: Site, opened: Opened) -> None:
    """Others were locked out by the hundred and first of theirs. Here two at a time would be too many already."""
    del opened  # the environment holds the credentials
    f5_site.ask("quotas", {"max_tokens": 1})
    for _ in range(101):
        adapter = F5Adapter(target(f5_site), "acme", SimulatedClock())
        adapter.identify()
        snapshot = adapter.read()
        assert snapshot.complete, snapshot.scopes
        del adapter
    assert live(f5_site) == 0
    assert sent(f5_site, "POST shared/authn/login") == 2 * 101
    assert sent(f5_site, "DELETE shared/authz/tokens") == 2 * 101


def test_a_program_that_ends_leaves_no_login(f5_site: Site, opened: Opened) -> None:
    del opened  # the environment holds the credentials
    code = (
        "from cloudsync_f5.client import Device\nfrom cloudsync_f5.settings import F5Settings\n"
        "from cloudsync.testing.clock import SimulatedClock\n"
        f"settings = F5Settings(name='f5', hosts=('h',), addresses={{'h': {f5_site.section()[0]['endpoint']!r}}},"
        f" ca_file={f5_site.section()[0]['ca_file']!r})\n"
        "device = Device(settings, 'h', SimulatedClock())\ndevice.get('/mgmt/tm/cm/device')\nraise SystemExit(3)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, env=None, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3, done.stderr
    assert live(f5_site) == 0


@pytest.mark.parametrize("shape", ["rest", "tm", "html"])
def test_a_login_that_ran_out_is_renewed_once_for_a_read(f5_site: Site, opened: Opened, shape: str) -> None:
    f5_site.ask("settings", {"shape_401": shape})
    device = opened()
    device.get(DEVICE)
    f5_site.ask("tokens", {"kill": True})
    assert device.get(DEVICE)
    assert sent(f5_site, "POST shared/authn/login") == 2


def test_a_login_is_renewed_before_it_runs_out(f5_site: Site, opened: Opened) -> None:
    device = opened()
    device.get(DEVICE)
    device.clock.sleep(1000)
    device.get(DEVICE)
    assert sent(f5_site, "POST shared/authn/login") == 2
    assert live(f5_site) == 1


def test_nobody_logs_in_as_somebody_else(f5_site: Site, opened: Opened) -> None:
    device = opened()
    device.get(DEVICE)
    device.close()
    device.get(DEVICE)
    users = {one["notes"].get("user") for one in f5_site.ask("log", {"reads": True}) if one["by"] == "client"}
    assert users <= {"cloudsync", None}


def test_a_missing_secret_is_told_without_a_call(f5_site: Site, opened: Opened, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    device = opened(password=f"file:{tmp_path / 'absent'}")
    with pytest.raises(CallFailedError, match="cannot be read"):
        device.get(DEVICE)
    monkeypatch.delenv("F5_USER")
    with pytest.raises(CallFailedError, match="F5_USER is not set"):
        opened().get(DEVICE)
    assert not f5_site.ask("log", {"reads": True})


def test_a_secret_may_stand_in_a_file(opened: Opened, f5_site: Site, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f5_site.section()[0]["password"] + "\n", "utf-8")
    assert opened(password=f"file:{tmp_path / 'password'}").get(DEVICE)


# --- reads -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["unavailable", "reset_before", "truncated", "garbage", "error500"])
def test_a_read_is_tried_again_a_bounded_number_of_times(f5_site: Site, opened: Opened, fault: str) -> None:
    f5_site.ask("faults", {"operation": "GET cm/device", "kind": fault, "times": READ_ATTEMPTS - 1})
    assert opened().get(DEVICE)
    f5_site.ask("faults", [{"operation": "GET cm/device", "kind": fault, "times": 0}])
    with pytest.raises(CallFailedError):
        opened().get(DEVICE)
    assert sent(f5_site, "GET cm/device") == 2 * READ_ATTEMPTS


def test_a_refusal_is_not_tried_again(f5_site: Site, opened: Opened) -> None:
    f5_site.ask("faults", {"operation": "GET cm/device", "kind": "denied", "times": 0})
    with pytest.raises(CallFailedError, match="Authorization failed") as caught:
        opened().get(DEVICE)
    assert (caught.value.status, caught.value.answered, caught.value.retryable) == (403, True, False)
    assert sent(f5_site, "GET cm/device") == 1


def test_a_redirect_is_not_followed(f5_site: Site, opened: Opened) -> None:
    f5_site.ask("faults", {"operation": "GET cm/device", "kind": "redirect", "times": 0})
    with pytest.raises(CallFailedError):
        opened().get(DEVICE)
    assert not sent(f5_site, "GET tmui/login.jsp")


def pages(site: Site, device: Device) -> list[str]:
    for number in range(7):
        body = {"name": f"vs{number}", "destination": f"/Common/10.60.2.{number + 1}:80", "ipProtocol": "tcp"}
        site.act(site.section()[0]["name"], "POST", VIRTUALS, body)
    return [str(one["name"]) for one in device.collection(VIRTUALS, kind(VIRTUALS), **{"$select": "name,fullPath", "$top": "3"})]


def test_every_page_is_read(f5_site: Site, opened: Opened) -> None:
    assert len(pages(f5_site, opened())) == 7


@pytest.mark.parametrize("fault", ["page_lost", "token_lost", "page_repeated", "token_repeated"])
def test_a_page_that_is_lost_or_comes_twice_is_no_whole_reading(f5_site: Site, opened: Opened, fault: str) -> None:
    f5_site.ask("faults", {"operation": "GET ltm/virtual", "kind": fault, "nth": 2, "times": 0 if fault == "token_repeated" else 1})
    with pytest.raises(CallFailedError, match=r"twice|speaks of"):
        pages(f5_site, opened())


def test_an_answer_of_another_kind_is_no_collection(opened: Opened) -> None:
    with pytest.raises(CallFailedError, match="not a tm:ltm:virtual"):
        list(opened().collection(DEVICE, kind(VIRTUALS)))


# --- writes ------------------------------------------------------------------------------------------------------------------


def step(site: Site, *calls: Call, transaction: bool = True) -> Step:
    request = Request(site.section()[0]["hostname"], calls, transaction=transaction)
    return Step("k", "Transaction", "dg-failover", "o", "t", Effect.NONE, wire.render(request), mark="acme")


def writer(device: Device) -> Writer:
    return Writer(device, device.settings, device.clock)


CREATE = Call("POST", wire.ADDRESS_LIST, LIST)


def there(site: Site) -> bool:
    unit = site.section()[0]["name"]
    return "/Common/one" in site.ask("state", {})[unit]["running"]["security/firewall/address-list"]


def left_open(site: Site) -> list[int]:
    found: list[int] = site.ask("state", {})[site.section()[0]["name"]]["open_transactions"]
    return found


@pytest.mark.parametrize(
    ("fault", "status", "applied"),
    [
        ("reset_before", Status.FAILED, False),
        ("reset_after", Status.DONE, True),
        ("truncated", Status.DONE, True),
        ("garbage", Status.DONE, True),
        ("html", Status.DONE, True),
        ("lost", Status.DONE, True),
        ("refused", Status.FAILED, False),
        ("denied", Status.FAILED, False),
        ("operation_failed", Status.FAILED, False),
    ],
)
def test_what_became_of_a_commit_is_looked_up_and_it_is_never_sent_again(
    f5_site: Site, opened: Opened, fault: str, status: Status, applied: object
) -> None:
    f5_site.ask("faults", {"operation": "COMMIT transaction", "kind": fault})
    outcome = writer(opened()).send(step(f5_site, CREATE))
    assert (outcome.status, there(f5_site)) == (status, applied), outcome
    assert sent(f5_site, "COMMIT transaction") == 1
    assert not left_open(f5_site)


def test_a_commit_that_takes_its_time_is_waited_for(f5_site: Site, opened: Opened) -> None:
    f5_site.ask("settings", {"commit_delay_s": 0.3})
    device = opened()
    outcome = Writer(device, device.settings, Told(f5_site)).send(step(f5_site, CREATE))
    assert outcome.status is Status.DONE
    assert there(f5_site)


class Told(SimulatedClock):
    """A clock that the lab's follows."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.site.ask("clock", {"advance": seconds})


def test_a_stuck_commit_is_unknown(f5_site: Site, opened: Opened) -> None:
    f5_site.ask("faults", {"operation": "COMMIT transaction", "kind": "operation_stuck"})
    outcome = writer(opened()).send(step(f5_site, CREATE))
    assert (outcome.status, outcome.code) == (Status.UNKNOWN, "CommitPending")


def test_a_command_that_is_refused_gives_the_whole_transaction_up(f5_site: Site, opened: Opened) -> None:
    f5_site.ask("faults", {"operation": "POST security/firewall/address-list", "kind": "denied"})
    outcome = writer(opened()).send(step(f5_site, CREATE))
    assert outcome.status is Status.FAILED
    assert "nothing was committed" in outcome.reason
    assert not there(f5_site)
    assert not left_open(f5_site)


def test_a_login_that_is_lost_inside_a_transaction_gives_it_up(f5_site: Site, opened: Opened) -> None:
    f5_site.ask("faults", {"operation": "POST security/firewall/address-list", "kind": "expired"})
    outcome = writer(opened()).send(step(f5_site, CREATE))
    assert (outcome.status, outcome.throttled) == (Status.FAILED, False)
    assert not there(f5_site)
    assert not left_open(f5_site)


def test_a_login_that_ran_out_before_a_transaction_costs_nothing(f5_site: Site, opened: Opened) -> None:
    device = opened()
    f5_site.ask("faults", {"operation": "POST transaction", "kind": "expired"})
    assert writer(device).send(step(f5_site, CREATE)).status is Status.DONE
    assert there(f5_site)


def test_a_refusal_at_the_commit_comes_with_the_devices_code_and_words(f5_site: Site, opened: Opened) -> None:
    attach = Call("PATCH", f"{VIRTUALS}/~Common~nobody", {"fwEnforcedPolicy": "/Common/x"})
    outcome = writer(opened()).send(step(f5_site, CREATE, attach))
    assert outcome.status is Status.FAILED
    assert outcome.code == "01020036"
    assert "/Common/nobody" in outcome.reason
    assert not there(f5_site), "all or nothing"
    assert not left_open(f5_site)


def test_nothing_is_sent_to_a_device_that_is_not_active(f5_site: Site, opened: Opened) -> None:
    f5_site.ask("failover", {})
    outcome = writer(opened()).send(step(f5_site, CREATE))
    assert (outcome.status, outcome.code) == (Status.FAILED, "F5-FAILOVER")
    assert not f5_site.ask("log", {})


def test_a_host_outside_the_settings_gets_nothing(f5_site: Site) -> None:
    adapter = F5Adapter(target(f5_site), "acme", SimulatedClock())
    request = wire.render(Request("bigip9.example", (CREATE,), transaction=True))
    outcome = adapter.write(Step("k", "Transaction", "dg", "o", "t", Effect.NONE, request, mark="acme"), {})
    assert (outcome.status, outcome.code) == (Status.FAILED, "NotSent")


# --- whole reads --------------------------------------------------------------------------------------------------------------


def test_importing_the_adapter_loads_no_sdk() -> None:
    code = "import cloudsync_f5, cloudsync_f5.adapter, sys; raise SystemExit(bool({'icontrol', 'requests', 'f5'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_self_addresses_of_both_devices_are_sources(f5_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("F5_USER", f5_site.section()[0]["user"])
    monkeypatch.setenv("F5_PASSWORD", f5_site.section()[0]["password"])
    f5_site.reset("four", 1)
    snapshot = F5Adapter(target(f5_site), "acme", SimulatedClock()).read()
    assert snapshot.complete, snapshot.scopes
    selves = {
        each["address"].partition("/")[0]
        for unit in f5_site.ask("state", {}).values()
        for each in unit["running"]["net/self"].values()
        if "%" not in each["address"] and ":" not in each["address"]
    }
    one = next(found for found in snapshot.discovery.workloads if found.name == "vs_ordering_https")
    sources = one.interfaces[1].addresses
    assert len(selves) > 2
    assert all(ip_address(text) in sources for text in selves)
    assert dict(one.tags)["role"] == "lb"


def test_a_device_that_cannot_be_reached_leaves_the_group_incomplete(f5_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("F5_USER", f5_site.section()[0]["user"])
    monkeypatch.setenv("F5_PASSWORD", f5_site.section()[0]["password"])
    second = f5_site.section()[1]
    addresses = {f5_site.section()[0]["hostname"]: f5_site.section()[0]["endpoint"], second["hostname"]: "https://127.0.0.1:1"}
    adapter = F5Adapter(target(f5_site, addresses=addresses), "acme", SimulatedClock())
    snapshot = adapter.read()
    assert not snapshot.complete
    assert second["hostname"] in snapshot.scopes[0].why
    assert adapter.identify().account == "dg-failover", "the one that answers is who it should be"
    assert not adapter.points(snapshot.table)
