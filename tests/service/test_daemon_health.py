"""What the daemon answers about itself, what it tells a service manager, and how it ends when it is asked."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cloudsync.model.bucket import Bucket, BucketKey, Limit
from cloudsync.model.errors import SettingsError
from cloudsync.pacing import pacing
from cloudsync.service.health import answering
from cloudsync.service.notify import Notify
from cloudsync.service.stopping import asked_to_stop
from cloudsync.service.vitals import HANG_S, TargetFigures, Vitals
from cloudsync.settings import Listen
from cloudsync.testing.clock import SimulatedClock
from tests.service.simulated import Simulated
from tests.service.small_world import World

ANYWHERE = Listen("127.0.0.1", 0)


def ask(address: str, path: str, *, method: str = "GET", host: str = "") -> tuple[int, str]:
    """Ask over HTTP."""
    if address.startswith("unix:"):
        client = http.client.HTTPConnection("localhost", timeout=10)
        client.sock = socket.socket(socket.AF_UNIX)
        client.sock.connect(address.removeprefix("unix:"))
    else:
        client = http.client.HTTPConnection(address, timeout=10)
    client.request(method, path, headers={"Host": host} if host else {})
    answer = client.getresponse()
    content = answer.read().decode()
    client.close()
    return answer.status, content


@pytest.fixture
def vitals() -> Vitals:
    return Vitals(SimulatedClock())


def test_ready_after_the_first_run_and_alive_while_it_beats() -> None:
    clock = SimulatedClock()
    vitals = Vitals(clock)
    with answering(ANYWHERE, vitals) as address:
        assert ask(address, "/healthz") == (200, "ok\n")
        assert ask(address, "/readyz") == (503, "no run has ended yet\n")
        vitals.started = True
        assert ask(address, "/readyz") == (200, "ok\n")
        vitals.troubles = {"state": "PRE-JOURNAL the disk is full \x1b[2J"}
        assert ask(address, "/readyz") == (503, "state: PRE-JOURNAL the disk is full \\x1b[2J\n")
        vitals.troubles = {}
        clock.advance(HANG_S)
        assert ask(address, "/healthz") == (503, "the loop hangs\n")
        assert ask(address, "/readyz") == (503, "the loop hangs\n")
        vitals.pulse()
        assert ask(address, "/healthz")[0] == 200


def test_only_questions_of_this_machine_are_answered(vitals: Vitals) -> None:
    """A browser that was led here by a name of somebody else sends that name."""
    with answering(ANYWHERE, vitals) as address:
        assert ask(address, "/metrics", host="rebound.example")[0] == 403
        assert ask(address, "/metrics", host="rebound.example:9464")[0] == 403
        assert ask(address, "/metrics", host="127.0.0.1.rebound.example")[0] == 403
        assert ask(address, "/metrics", host="localhost:9464")[0] == 200
        assert ask(address, "/healthz", method="HEAD") == (200, "")
        assert ask(address, "/healthz", method="POST")[0] == 501
        assert ask(address, "/etc/passwd")[0] == 404


def test_a_unix_socket_is_for_its_group_and_a_dead_one_is_replaced(vitals: Vitals, tmp_path: Path) -> None:
    path = tmp_path / "http"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with answering(Listen(socket=str(path)), vitals) as address:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert ask(address, "/healthz") == (200, "ok\n")
        with pytest.raises(SettingsError, match="CANNOT-LISTEN"), answering(Listen(socket=str(path)), vitals):
            pass
        assert ask(address, "/healthz")[0] == 200
    assert not path.exists()


def test_a_taken_port_is_a_finding(vitals: Vitals) -> None:
    with answering(ANYWHERE, vitals) as address:
        port = int(address.rpartition(":")[2])
        with (
            pytest.raises(SettingsError, match=rf"CANNOT-LISTEN 127.0.0.1:{port}: Address already in use"),
            answering(Listen("127.0.0.1", port), vitals),
        ):
            pass


def test_none_listens_nowhere(vitals: Vitals) -> None:
    with answering(Listen(), vitals) as address:
        assert address == ""


def test_the_figures_of_a_day(world: World) -> None:
    world.settings(("one", "two"))
    day = Simulated(world, look_s=3600.0)
    day.after(310, lambda: world.down.update(two="away"))
    day.run(1000)
    assert day.vitals is not None
    with answering(ANYWHERE, day.vitals) as address:
        _, text = ask(address, "/metrics")
    found = {
        sample.name: {tuple(sample.labels.values()): sample.value for sample in one.samples if sample.name == sample.name}
        for one in text_string_to_metric_families(text)
        for sample in one.samples
    }
    assert found["cloudsync_runs_total"][("0",)] == 2
    assert found["cloudsync_runs_total"][("5",)] == 2
    assert found["cloudsync_writes_total"][("one",)] == world.writes("one")
    assert found["cloudsync_target_exit"] == {("one",): 0, ("two",): 5}
    assert found["cloudsync_target_failures"] == {("one",): 0, ("two",): 2}
    good = found["cloudsync_target_good_timestamp_seconds"]
    assert (good[("one",)] - good[("two",)]) == 600
    assert found["cloudsync_config_good"] == {(): 1}
    assert found["cloudsync_state_good"] == {(): 1}
    assert not re.findall(r"10\.\d+\.0|198\.51", text), "no address of the estate is shown"


def test_what_the_platforms_limits_did_is_told_by_platform_and_class_whatever_the_account() -> None:
    clock = SimulatedClock()
    vitals, paced = Vitals(clock), pacing(clock)
    for account in ("111122223333", "444455556666"):
        drawn = Limit(BucketKey("aws", account, "eu-west-1", "CreateSecurityGroup"), Bucket(2, 0.5))
        for _ in range(3):
            paced.take(drawn)
        paced.throttled(drawn)
    paced.take(Limit(BucketKey("gcp", "acme", "", "write"), Bucket(2, 1)))
    text = vitals.figures.text().decode()
    found = {
        (sample.name, sample.labels["platform"], sample.labels["api_class"]): sample.value
        for one in text_string_to_metric_families(text)
        for sample in one.samples
        if "_api_" in sample.name
    }
    assert found == {
        ("cloudsync_api_calls_total", "aws", "CreateSecurityGroup"): 6,
        ("cloudsync_api_wait_seconds_total", "aws", "CreateSecurityGroup"): 4,
        ("cloudsync_api_throttled_total", "aws", "CreateSecurityGroup"): 2,
        ("cloudsync_api_calls_total", "gcp", "write"): 1,
        ("cloudsync_api_wait_seconds_total", "gcp", "write"): 0,
        ("cloudsync_api_throttled_total", "gcp", "write"): 0,
    }
    assert "1111" not in text, "no account is named"


def test_a_target_that_left_leaves_the_figures(vitals: Vitals) -> None:
    for name in ("one", "two"):
        vitals.figures.ran(0, (TargetFigures(name, 0, "in sync", 1.0, 0),), seconds=1.0, at=1.0)
    vitals.figures.forget("two")
    text = vitals.figures.text().decode()
    assert 'cloudsync_target_exit{target="one"}' in text
    assert 'cloudsync_target_exit{target="two"}' not in text


# --- service manager -------------------------------------------------------------------------------------------------


@contextmanager
def manager(path: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(path)
        one.settimeout(5)
        yield one


@pytest.mark.parametrize("abstract", [False, True])
def test_a_service_manager_is_told_by_datagram(tmp_path: Path, abstract: bool) -> None:
    name = f"cloudsync-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with manager("\0" + name if abstract else name) as one:
        notify = Notify({"NOTIFY_SOCKET": "@" + name if abstract else name, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())})
        notify("READY=1", "STATUS=well")
        assert one.recv(100) == b"READY=1\nSTATUS=well"
        assert notify.watchdog_s == 30.0


def test_without_a_manager_nothing_is_told_and_a_deaf_one_is_no_reason_to_stop(tmp_path: Path) -> None:
    Notify({})("READY=1")
    Notify({"NOTIFY_SOCKET": str(tmp_path / "nobody")})("READY=1")
    assert Notify({"NOTIFY_SOCKET": "x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}).watchdog_s == 0.0


# --- the end ---------------------------------------------------------------------------------------------------------


def test_signals_only_ask_until_the_time_is_up() -> None:
    with asked_to_stop(reload=True) as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert (stop(), stop.reload) == (False, True)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
        left = signal.getitimer(signal.ITIMER_REAL)[0]
        assert 0 < left < 10
        os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getitimer(signal.ITIMER_REAL)[0] <= left, "asking again gives no more time"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGALRM)
        assert stop.cut
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
