"""The peers' environments: `.bench/peers/NAME`, made once from `bench/peers/NAME.txt`. What cannot be installed is not run."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).parent
ROOT = Path(".bench/peers")
NAMES = ("ansible", "c7n", "aerleon", "dd")
INSTALL_LIMIT_S = 900


def installed(name: str) -> Path | None:
    """Return the folder of a peer's programs, made now if it is not there; None, and a line why, where that fails."""
    pins = PINS / f"{name}.txt"
    folder, wanted = (ROOT / name).absolute(), hashlib.sha256(pins.read_bytes()).hexdigest()
    stamp = folder / ".installed"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return folder / "bin"
    print(f"installing {name} into {folder}", flush=True)
    uv = str(Path(sys.executable).parent / "uv")
    steps = (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(folder / "bin" / "python"), "-r", str(pins)],
    )
    for step in steps:
        try:
            done = subprocess.run(step, capture_output=True, text=True, check=False, timeout=INSTALL_LIMIT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"{name}: not run, {error}")
            return None
        if done.returncode:
            print(f"{name}: not run, it could not be installed: {done.stderr.strip().splitlines()[-1:]}")
            return None
    stamp.write_text(wanted, encoding="utf-8")
    return folder / "bin"


def pinned(name: str) -> str:
    """Return the versions that matter of a peer, e.g. `ansible-core 2.19.14`."""
    lines = dict(line.split("==") for line in (PINS / f"{name}.txt").read_text(encoding="utf-8").split() if "==" in line)
    return ", ".join(f"{package} {lines[package]}" for package in (name, f"{name}-core", "boto3") if package in lines)
