"""The lab as a process: up, down, env, its files, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudsync.lab import commands, state
from cloudsync.lab.pytest_plugin import Cloud
from cloudsync.lab.server import Wanted, is_over, stop


class Said:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture
def said() -> Said:
    return Said()


def test_up_env_fault_reset_down(tmp_path: Path, said: Said) -> None:
    assert commands.up(tmp_path, "small", say=said, background=True) == 0
    try:
        found = json.loads((tmp_path / "lab.json").read_text())
        assert {"endpoint", "region", "account"} <= set(found["aws"])
        assert stat.S_IMODE((tmp_path / "lab.json").stat().st_mode) == 0o600
        cloud = Cloud(found["aws"]["endpoint"], found["aws"]["access_key_id"], found["aws"]["secret_access_key"])
        assert len(cloud.ec2.describe_security_groups()["SecurityGroups"]) == 20
        assert commands.up(tmp_path, "small", say=said, background=True) == 3
        assert "already running" in said.text

        assert commands.fault(tmp_path, ["DescribeVpcs:throttle:nth=1,times=2"], say=said) == 0
        assert cloud.code(cloud.ec2.describe_vpcs) == "RequestLimitExceeded"
        assert commands.fault(tmp_path, ["DescribeVpcs"], say=said) == 3
        assert commands.reset(tmp_path, say=said, faults_only=True) == 0
        assert cloud.code(cloud.ec2.describe_vpcs) == "ok"
        cloud.vpc()
        assert commands.reset(tmp_path, say=said) == 0
        assert len(cloud.ec2.describe_vpcs()["Vpcs"]) == 3
    finally:
        assert commands.down(tmp_path, say=said) == 0
    assert state.start_time(found["pid"]) is None
    assert not (tmp_path / "lab.json").exists()
    assert commands.down(tmp_path, say=said) == 3
    assert said.lines[-1].startswith(f"no lab in {tmp_path}")


def test_env_gives_a_shell_what_a_real_client_needs(tmp_path: Path, said: Said) -> None:
    made = state.LabState(
        "http://127.0.0.1:1", "us-east-1", "111122223333", "AKIALAB", "s3cret's", (), "http://127.0.0.1:1", "t", 1, "0", "empty", 1
    )
    accounts = (state.Account("111122223333", "AKIALAB", "s3cret's", "arn"), state.Account("444455556666", "AKIAOTHER", "x", "arn"))
    state.write(
        tmp_path,
        state.of_json(
            {
                **made.as_json(),
                "aws": {
                    **made.as_json()["aws"],
                    "accounts": {
                        each.account: {
                            "access_key_id": each.access_key_id,
                            "secret_access_key": each.secret_access_key,
                            "role_arn": each.role_arn,
                        }
                        for each in accounts
                    },
                },
            }
        ),
    )
    assert commands.env(tmp_path, say=said) == 0
    script = f"{said.text}\nenv"
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env={"AWS_PROFILE": "prod"})
    found = dict(line.partition("=")[::2] for line in shell.stdout.splitlines())
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    secret = found["AWS_SECRET_ACCESS_KEY"]
    assert secret == accounts[0].secret_access_key
    assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "us-east-1"
    assert "AWS_PROFILE" not in found
    assert commands.env(tmp_path, say=said, account="444455556666") == 0
    assert "export AWS_ACCESS_KEY_ID=AKIAOTHER" in said.lines
    assert commands.env(tmp_path, say=said, account="1") == 3


def test_a_dead_lab_is_noticed_and_never_somebody_elses_process_killed(tmp_path: Path, said: Said) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        made = state.LabState("http://127.0.0.1:1", "r", "a", "k", "s", (), "c", "t", bystander.pid, "another start time", "empty", 1)
        state.write(tmp_path, made)
        assert commands.down(tmp_path, say=said) == 3
        assert "is not running" in said.text
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_foreground_lab_ends_on_ctrl_c(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from cloudsync.lab import commands; "
        "sys.exit(commands.up(Path(sys.argv[1]), 'empty', say=lambda line: None))"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    try:
        wait_for((tmp_path / "lab.json").exists)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert not (tmp_path / "lab.json").exists()
    finally:
        process.kill()
        process.wait()


def test_a_lab_ends_by_itself_when_nobody_asks(tmp_path: Path) -> None:
    """Started without `start`, which on a busy machine might look for the first time when so short a life is over."""
    command = [sys.executable, "-m", "cloudsync.lab.server", "--dir", str(tmp_path), "--idle-limit", "0.5"]
    with subprocess.Popen(command) as process:
        try:
            assert process.wait(90) == 0
        finally:
            process.kill()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(state.LabError):
        stop(tmp_path)


def test_a_lab_ends_with_its_parent() -> None:
    with subprocess.Popen(["sleep", "60"]) as parent:
        wanted = Wanted(parent=parent.pid, idle_limit_s=10)
        assert not is_over(wanted, 9.9)
        assert is_over(wanted, 10.1)
        parent.kill()
        parent.wait()
        assert is_over(wanted, 0)


def test_a_lab_that_cannot_start_says_why(tmp_path: Path, said: Said) -> None:
    assert commands.up(tmp_path, "huge", say=said, background=True) == 3
    assert "want one of empty, four, medium, small" in said.text
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert commands.up(tmp_path, "empty", say=said, background=True, options=commands.Options(port=port)) == 1
    assert "Address already in use" in said.text


def wait_for(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if ready():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen within 30 s")


def test_the_lab_needs_nothing_of_the_product() -> None:
    program = (
        "import sys, cloudsync.lab.server, cloudsync.lab.commands, cloudsync.lab.aws.shim; "
        "print([n for n in sys.modules if n.startswith('cloudsync') and not n.startswith('cloudsync.lab') and n != 'cloudsync'])"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env={**os.environ})
    assert out.stdout.strip() == "[]"
