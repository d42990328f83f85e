"""The service units stay closed: what systemd itself says about them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tidy import tree

EXPOSURE_MAX = 1.5  # of 10; a unit without hardening scores above 9
UNITS = tree.ROOT / "config" / "systemd"


def exposure(folder: Path, unit: str) -> float:
    """Return the exposure that systemd gives a unit lying in `folder`, without starting anything."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", unit],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert score, done.stdout + done.stderr
    return float(score[1])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", sorted(path.name for path in UNITS.glob("*.service")))
def test_a_unit_exposes_little_and_only_through_its_hardening(unit: str, tmp_path: Path) -> None:
    root = tmp_path / "units"
    shutil.copytree(UNITS, root)
    assert exposure(root, f"./{unit}") <= EXPOSURE_MAX
    shutil.rmtree(root / "cloudsync-.service.d")
    assert exposure(root, f"./{unit}") > EXPOSURE_MAX


def test_every_timer_has_its_service_and_the_daemon_needs_none() -> None:
    timers = {path.stem for path in UNITS.glob("*.timer")}
    assert timers
    assert timers | {"cloudsync-run", "cloudsync-worker@"} == {path.stem for path in UNITS.glob("*.service")}


def test_the_daemon_and_the_timer_are_never_both_at_work() -> None:
    daemon = (UNITS / "cloudsync-run.service").read_text(encoding="utf-8")
    assert "Conflicts=cloudsync-reconcile.timer\n" in daemon
    assert "Type=notify\n" in daemon
    assert re.search(r"^WatchdogSec=\d+min$", daemon, re.MULTILINE)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", sorted(path.name for path in UNITS.glob("*.*") if path.is_file()))
def test_a_unit_says_nothing_that_systemd_does_not_know(unit: str, tmp_path: Path) -> None:
    root = tmp_path / "units"
    shutil.copytree(UNITS, root)
    for path in root.glob("*.service"):  # the program is not installed here
        path.write_text(path.read_text(encoding="utf-8").replace("/opt/cloudsync/.venv/bin/cloudsync", "/bin/true"), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"./{unit}"], cwd=root, capture_output=True, text=True, check=False, timeout=60
    )
    wrong = [line for line in (done.stdout + done.stderr).splitlines() if "cloudsync" in line]
    assert not wrong, wrong
