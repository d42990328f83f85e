"""One target in a process of its own: `python -m tests.fuzz.child TARGET guided|blind SECONDS SEED`. `python -m tests.fuzz` starts it."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.fuzz.loops import Crashes, feed_blindly, feed_guided
from tests.fuzz.values import Target

FOLDER = Path(__file__).resolve().parents[2] / ".trust" / "fuzz"
LOOKED_AT = ["cloudsync", "cloudsync_aws", "cloudsync_azure", "cloudsync_f5", "cloudsync_gcp", "yaml"]


def _targets(*, guided: bool) -> dict[str, Target]:
    """Import the targets, and with them the product: guided, so that its branches are seen."""
    atheris: Any = import_module("atheris") if guided else None
    with atheris.instrument_imports(include=LOOKED_AT) if atheris else nullcontext():
        found: dict[str, Target] = import_module("tests.fuzz.targets").TARGETS
    return found


def main(name: str, way: str, seconds: int, seed: int) -> None:
    """Feed one target."""
    crashes = Crashes(_targets(guided=way == "guided")[name], FOLDER)
    if way == "guided":
        feed_guided(crashes, seed, seconds, FOLDER)
    else:
        end = time.monotonic() + seconds
        feed_blindly(crashes, seed, lambda _: time.monotonic() < end)
        print(f"executions {crashes.executions}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
